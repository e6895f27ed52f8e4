/* SPDX-License-Identifier: MIT */
/*
 * The meanings of integer instructions (cpu/alu.h): against bit-by-bit reference formulas on every
 * host, and against the processor itself where that is an x86-64. Flags that the manual leaves
 * undefined are compared with our own rule only.
 */
#include "tests/test.h"

#include <stdlib.h>

#include "cpu/alu.h"

static const unsigned widths[] = {8, 16, 32, 64};

static const uint64_t corners[] = {0,
                                   1,
                                   2,
                                   3,
                                   0x0f,
                                   0x10,
                                   0x7f,
                                   0x80,
                                   0x81,
                                   0xff,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x12345678,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x9e3779b97f4a7c15,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xffffffffffffffff,
                                   0x5555555555555555,
                                   0xaaaaaaaaaaaaaaaa,
                                   0xfedcba9876543210};

/* xorshift64: the same operands every run. */
static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static uint64_t pick(uint64_t *s)
{
    uint64_t r = next_random(s);
    return r & 1 ? corners[(r >> 8) % ARRAY_SIZE(corners)] : next_random(s) >> (r >> 16 & 63);
}

static uint32_t rflags_of(struct alu r)
{
    static struct vcpu v;
    flags_commit(&v, r);
    return flags_status(&v);
}

static struct alu old_of(uint64_t value, uint32_t rflags)
{
    static struct vcpu v;
    flags_set_status(&v, rflags);
    return (struct alu){value, v.run.flag_result, v.run.flag_carry};
}

static uint32_t flags_szp(unsigned width, uint64_t r)
{
    r &= low_mask(width);
    return (r == 0 ? F_ZF : 0u) | (r >> (width - 1) ? F_SF : 0u) |
           (__builtin_popcountll(r & 0xff) % 2 ? 0u : F_PF);
}

/* ---- reference: ripple carry, one bit at a time ---- */

static uint64_t ripple(unsigned width, uint64_t a, uint64_t b, bool carry, uint32_t *flags)
{
    uint64_t r = 0;
    bool into = carry, aux = false;
    for (unsigned i = 0; i < width; i++) {
        unsigned sum = (unsigned)(a >> i & 1) + (unsigned)(b >> i & 1) + carry;
        r |= (uint64_t)(sum & 1) << i;
        into = carry;
        carry = sum >> 1;
        aux = i == 3 ? carry : aux;
    }
    *flags =
        flags_szp(width, r) | (carry ? F_CF : 0u) | (into != carry ? F_OF : 0u) | (aux ? F_AF : 0u);
    return r;
}

static void expect_alu(struct alu got, uint64_t value, uint32_t flags)
{
    EXPECT_EQ(value, got.value);
    EXPECT_EQ(flags, rflags_of(got));
}

TEST(alu, addition_and_subtraction_ripple_like_an_adder)
{
    uint64_t seed = 88172645463325252u;
    for (unsigned n = 0; n < 40000; n++) {
        unsigned w = widths[n & 3];
        uint64_t a = pick(&seed), b = pick(&seed);
        bool cf = n >> 2 & 1;
        uint32_t f;
        uint64_t r = ripple(w, a, b, cf, &f);
        expect_alu(alu_adc(w, a, b, cf), r, f);
        r = ripple(w, a, ~b, !cf, &f);
        expect_alu(alu_sbb(w, a, b, cf), r, f ^ (F_CF | F_AF));
        r = ripple(w, ~UINT64_C(0), ~a, true, &f);
        r = ripple(w, 0, ~a, true, &f);
        expect_alu(alu_neg(w, a), r, f ^ (F_CF | F_AF));
    }
}

TEST(alu, inc_and_dec_keep_cf)
{
    for (unsigned i = 0; i < ARRAY_SIZE(corners) * 8; i++) {
        unsigned w = widths[i & 3];
        uint64_t a = corners[i / 8];
        uint32_t cf = i & 4 ? F_CF : 0, f;
        uint64_t r = ripple(w, a, 1, false, &f);
        expect_alu(alu_inc(w, old_of(a, cf)), r, (f & ~(uint32_t)F_CF) | cf);
        r = ripple(w, a, ~UINT64_C(1), true, &f);
        expect_alu(alu_dec(w, old_of(a, cf)), r, ((f ^ F_AF) & ~(uint32_t)F_CF) | cf);
    }
}

TEST(alu, logic_clears_cf_of_af)
{
    uint64_t seed = 7;
    for (unsigned n = 0; n < 4000; n++) {
        unsigned w = widths[n & 3];
        uint64_t a = pick(&seed), b = pick(&seed), m = low_mask(w);
        expect_alu(alu_and(w, a, b), a & b & m, flags_szp(w, a & b));
        expect_alu(alu_or(w, a, b), (a | b) & m, flags_szp(w, a | b));
        expect_alu(alu_xor(w, a, b), (a ^ b) & m, flags_szp(w, a ^ b));
    }
}

TEST(alu, every_combination_of_flags_survives_the_lazy_form)
{
    for (unsigned i = 0; i < 64; i++) {
        uint32_t f = (i & 1 ? F_CF : 0u) | (i & 2 ? F_PF : 0u) | (i & 4 ? F_AF : 0u) |
                     (i & 8 ? F_ZF : 0u) | (i & 16 ? F_SF : 0u) | (i & 32 ? F_OF : 0u);
        struct alu old = old_of(0, f);
        EXPECT_EQ(f, rflags_of(old));
        old.carry = carry_with_cf(old.carry, true);
        EXPECT_EQ(f | F_CF, rflags_of(old));
        old.carry = carry_with_cf(old.carry, false);
        EXPECT_EQ(f & ~(uint32_t)F_CF, rflags_of(old));
        old.carry = carry_with_of(old.carry, true);
        EXPECT_EQ((f & ~(uint32_t)F_CF) | F_OF, rflags_of(old));
    }
}

/* ---- shifts: one bit at a time ---- */

typedef struct alu shift_meaning(unsigned width, struct alu old, uint64_t count);

/* clang-format off */
#define BY_WIDTH(name)                                                          \
    static struct alu name(unsigned w, struct alu old, uint64_t n)              \
    {                                                                           \
        return w == 8 ? alu_##name(8, old, n) : w == 16 ? alu_##name(16, old, n) \
             : w == 32 ? alu_##name(32, old, n) : alu_##name(64, old, n);       \
    }
BY_WIDTH(shl) BY_WIDTH(shr) BY_WIDTH(sar) BY_WIDTH(rol) BY_WIDTH(ror) BY_WIDTH(rcl) BY_WIDTH(rcr)
    /* clang-format on */

    /* One step of each; returns the new value, *cf in and out. */
    static uint64_t step_of(shift_meaning *op, unsigned w, uint64_t v, bool *cf)
{
    uint64_t top = v >> (w - 1) & 1, low = v & 1, m = low_mask(w), in = *cf;
    bool is_left = op == shl || op == rol || op == rcl;
    *cf = is_left ? top : low;
    if (is_left)
        return (v << 1 | (op == rol ? top : op == rcl ? in : 0)) & m;
    return v >> 1 | (op == sar ? top : op == ror ? low : op == rcr ? in : 0) << (w - 1);
}

static void check_shift(shift_meaning *op, unsigned w, uint64_t a, unsigned count, uint32_t before)
{
    unsigned n = count & (w == 64 ? 63 : 31);
    uint64_t v = a & low_mask(w);
    bool cf = before & F_CF, is_left = op == shl || op == rol || op == rcl;
    for (unsigned i = 0; i < n; i++)
        v = step_of(op, w, v, &cf);
    uint64_t top = v >> (w - 1) & 1, second = v >> (w - 2) & 1;
    bool of = is_left ? top != cf : top != second;
    uint32_t f = (cf ? F_CF : 0u) | (of ? F_OF : 0u);
    if (op == shl || op == shr || op == sar)
        f |= flags_szp(w, v);
    else
        f |= before & (F_SF | F_ZF | F_AF | F_PF);
    if (op == sar)
        f &= ~(uint32_t)F_OF;
    expect_alu(op(w, old_of(a, before), count), v, n ? f : before);
}

TEST(alu, shifts_and_rotates_are_repeated_single_steps)
{
    shift_meaning *const ops[] = {shl, shr, sar, rol, ror, rcl, rcr};
    uint64_t seed = 99;
    for (unsigned k = 0; k < ARRAY_SIZE(ops) * 4; k++)
        for (unsigned count = 0; count < 70; count++)
            for (unsigned i = 0; i < 6; i++) {
                uint64_t r = next_random(&seed);
                check_shift(ops[k / 4], widths[k & 3], pick(&seed), count,
                            i & 1 ? r & F_OSZAPC : F_CF);
            }
}

TEST(alu, double_shifts_take_bits_from_the_source)
{
    struct alu r = alu_shld(32, old_of(0x80000001, 0), 0xc0000000, 4);
    EXPECT_EQ(0x1c, r.value);
    EXPECT_EQ(0, rflags_of(r) & F_CF);
    r = alu_shrd(64, old_of(1, 0), 0xf, 1);
    EXPECT_EQ(0x8000000000000000, r.value);
    EXPECT_EQ(F_CF, rflags_of(r) & F_CF);
    EXPECT_EQ(0xacf0 | 0, alu_shld(16, old_of(0x1234, 0), 0x5678, 17).value);
    EXPECT_EQ(0x6781, alu_shld(16, old_of(0x1234, 0), 0x5678, 20).value); /* DEST:SRC:DEST */
    EXPECT_EQ(0x4567, alu_shrd(16, old_of(0x1234, 0), 0x5678, 20).value);
    expect_alu(alu_shld(32, old_of(0x180000001, F_OSZAPC), 5, 32), 0x80000001, F_OSZAPC);
}

/* ---- multiplication and division ---- */

TEST(alu, products_undo_by_division)
{
    uint64_t seed = 5;
    for (unsigned n = 0; n < 20000; n++) {
        unsigned w = widths[n & 3];
        uint64_t a = pick(&seed) & low_mask(w), b = pick(&seed) & low_mask(w);
        struct product p = alu_mul(w, a, b);
        EXPECT_EQ(p.hi != 0, p.carry >> 63);
        if (b == 0)
            continue;
        struct quotient q = alu_div(w, p.hi, p.lo, b);
        EXPECT(q.ok);
        EXPECT_EQ(a, q.quotient);
        EXPECT_EQ(0, q.remainder);
        p = alu_imul(w, a, b);
        q = alu_idiv(w, p.hi, p.lo, b);
        EXPECT(q.ok);
        EXPECT_EQ(a, q.quotient);
        EXPECT_EQ(0, q.remainder);
    }
}

TEST(alu, division_faults_on_zero_and_on_overflow)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned w = widths[i];
        uint64_t min = BIT(w - 1), m = low_mask(w);
        EXPECT(!alu_div(w, 0, 1, 0).ok);
        EXPECT(!alu_idiv(w, 0, 1, 0).ok);
        EXPECT(!alu_div(w, 2, 0, 2).ok);
        EXPECT(alu_div(w, 1, m, 2).ok);
        EXPECT(!alu_idiv(w, m, min, m).ok); /* most negative / -1 */
        EXPECT(!alu_idiv(w, 0, min, 1).ok); /* 2^(w-1) / 1 */
        EXPECT(alu_idiv(w, 0, min, m).ok);  /* 2^(w-1) / -1 fits */
        EXPECT_EQ(min, alu_idiv(w, 0, min, m).quotient);
        EXPECT_EQ(min, alu_idiv(w, m, min, 1).quotient);
        EXPECT_EQ(m, alu_idiv(w, m, (uint64_t)-7 & m, 2).remainder); /* -7 = 2 * -3 - 1 */
        EXPECT_EQ((uint64_t)-3 & m, alu_idiv(w, m, (uint64_t)-7 & m, 2).quotient);
    }
}

/* ---- bits and decimals ---- */

TEST(alu, bit_tests_and_counts)
{
    struct alu r = alu_bit_test(32, BIT_SET, old_of(0, F_OSZAPC), 33);
    expect_alu(r, 2, F_OSZAPC & ~F_CF);
    expect_alu(alu_bit_test(16, BIT_RESET, old_of(0x8000, 0), 15), 0, F_CF);
    expect_alu(alu_bit_test(64, BIT_COMPLEMENT, old_of(0, F_ZF), 63), BIT(63), F_ZF);
    expect_alu(alu_bsf(16, 0x10000), 0, F_ZF | F_PF);
    expect_alu(alu_bsf(32, 1), 0, F_PF);
    expect_alu(alu_bsr(64, BIT(63)), 63, F_PF);
    expect_alu(alu_tzcnt(16, 0), 16, F_CF);
    expect_alu(alu_tzcnt(32, 1), 0, F_ZF);
    expect_alu(alu_lzcnt(16, 0x10001), 15, 0);
    expect_alu(alu_lzcnt(32, 0), 32, F_CF);
    expect_alu(alu_popcnt(8, 0x1ff), 8, 0);
    expect_alu(alu_popcnt(64, 0), 0, F_ZF);
    const char *text = "123456789";
    uint32_t crc = ~UINT32_C(0);
    for (unsigned i = 0; i < 9; i++)
        crc = alu_crc32(crc, (uint8_t)text[i], 1);
    EXPECT_EQ(0xe3069283, ~crc);
    EXPECT_EQ(alu_crc32(alu_crc32(7, 0x34, 1), 0x12, 1), alu_crc32(7, 0x1234, 2));
}

/* All two-digit sums and differences, then what the manual's examples give. */
TEST(alu, decimal_adjustments_make_decimal_sums)
{
    for (unsigned a = 0; a < 100; a++)
        for (unsigned b = 0; b < 100; b++) {
            unsigned pa = a / 10 * 16 + a % 10, pb = b / 10 * 16 + b % 10, sum = a + b;
            unsigned diff = (100 + a - b) % 100;
            struct alu t = alu_add(8, pa, pb), r;
            r = alu_daa(t.value, rflags_of(t) & F_CF, rflags_of(t) & F_AF);
            EXPECT_EQ(sum % 100 / 10 * 16 + sum % 10, r.value);
            EXPECT_EQ(sum > 99, (rflags_of(r) & F_CF) != 0);
            t = alu_sub(8, pa, pb);
            r = alu_das(t.value, rflags_of(t) & F_CF, rflags_of(t) & F_AF);
            EXPECT_EQ(diff / 10 * 16 + diff % 10, r.value);
            EXPECT_EQ(a < b, (rflags_of(r) & F_CF) != 0);
        }
    expect_alu(alu_aaa(0x000f, false), 0x0105, F_CF | F_AF | F_PF);
    expect_alu(alu_aas(0x02ff, false), 0x0109, F_CF | F_AF | F_PF);
    EXPECT_EQ(0x0703, alu_aam(73, 10).value);
    EXPECT_EQ(73, alu_aad(0x0703, 10).value);
}

/* ---- the processor itself ---- */

#if defined(__x86_64__)

/* Runs `text` with RAX = a, RDX = d, RCX = c and these flags; leaves a, d and the flags. Steps over
 * the red zone. */
#define ON_HOST(text, a, d, c, f)                                                                  \
    __asm__ volatile("lea -128(%%rsp), %%rsp; push %3; popfq; " text                               \
                     "; pushfq; pop %3; lea 128(%%rsp), %%rsp"                                     \
                     : "+a"(a), "+d"(d), "+c"(c), "+r"(f)                                          \
                     :                                                                             \
                     : "cc", "memory")

struct host_state {
    uint64_t a;     /* RAX */
    uint64_t d;     /* RDX */
    uint64_t c;     /* RCX */
    uint64_t flags; /* RFLAGS */
};

typedef void host_fn(struct host_state *s);
typedef struct alu our_fn(unsigned w, struct alu old, uint64_t d, uint64_t c);

/* clang-format off */
#define HOST_FN(name, w, text)                                                                            \
    static void name##_##w(struct host_state *s) { ON_HOST(text, s->a, s->d, s->c, s->flags); }

#define HOST_BINARY(name)                                                                                 \
    HOST_FN(name, 8, #name " %%dl, %%al") HOST_FN(name, 16, #name " %%dx, %%ax")                          \
    HOST_FN(name, 32, #name " %%edx, %%eax") HOST_FN(name, 64, #name " %%rdx, %%rax")                     \
    static host_fn *const host_##name[] = {name##_8, name##_16, name##_32, name##_64};

#define HOST_UNARY(name)                                                                                  \
    HOST_FN(name, 8, #name " %%al") HOST_FN(name, 16, #name " %%ax")                                      \
    HOST_FN(name, 32, #name " %%eax") HOST_FN(name, 64, #name " %%rax")                                   \
    static host_fn *const host_##name[] = {name##_8, name##_16, name##_32, name##_64};

#define HOST_SHIFT(name)                                                                                  \
    HOST_FN(name, 8, #name " %%cl, %%al") HOST_FN(name, 16, #name " %%cl, %%ax")                          \
    HOST_FN(name, 32, #name " %%cl, %%eax") HOST_FN(name, 64, #name " %%cl, %%rax")                       \
    static host_fn *const host_##name[] = {name##_8, name##_16, name##_32, name##_64};

#define HOST_DOUBLE(name)                                                                                 \
    HOST_FN(name, 16, #name " %%cl, %%dx, %%ax")                                                          \
    HOST_FN(name, 32, #name " %%cl, %%edx, %%eax") HOST_FN(name, 64, #name " %%cl, %%rdx, %%rax")         \
    static host_fn *const host_##name[] = {NULL, name##_16, name##_32, name##_64};

#define HOST_WIDE(name)                                                                                   \
    HOST_FN(name, 16, #name " %%dx, %%ax")                                                                \
    HOST_FN(name, 32, #name " %%edx, %%eax") HOST_FN(name, 64, #name " %%rdx, %%rax")                     \
    static host_fn *const host_##name[] = {NULL, name##_16, name##_32, name##_64};

HOST_BINARY(add) HOST_BINARY(adc) HOST_BINARY(sub) HOST_BINARY(sbb) HOST_BINARY(and) HOST_BINARY(or) HOST_BINARY(xor)
HOST_UNARY(inc) HOST_UNARY(dec) HOST_UNARY(neg)
HOST_SHIFT(sal)
HOST_WIDE(bt) HOST_WIDE(bts) HOST_WIDE(btr) HOST_WIDE(btc) HOST_WIDE(bsf) HOST_WIDE(bsr)
HOST_DOUBLE(shld) HOST_DOUBLE(shrd)
HOST_SHIFT(shr) HOST_SHIFT(sar) HOST_SHIFT(rol) HOST_SHIFT(ror) HOST_SHIFT(rcl) HOST_SHIFT(rcr)

#define OURS(name, EXPR)                                                                                  \
    static struct alu our_##name(unsigned w, struct alu old, uint64_t d, uint64_t c)                      \
    { (void)old; (void)c; (void)d; return EXPR; }
OURS(add, alu_add(w, old.value, d))
OURS(adc, alu_adc(w, old.value, d, old.carry >> 63))
OURS(sub, alu_sub(w, old.value, d))
OURS(sbb, alu_sbb(w, old.value, d, old.carry >> 63))
OURS(and, alu_and(w, old.value, d))
OURS(or, alu_or(w, old.value, d))
OURS(xor, alu_xor(w, old.value, d))
OURS(inc, alu_inc(w, old))
OURS(dec, alu_dec(w, old))
OURS(neg, alu_neg(w, old.value))
OURS(sal, shl(w, old, c))
OURS(shr, shr(w, old, c))
OURS(sar, sar(w, old, c))
OURS(rol, rol(w, old, c))
OURS(ror, ror(w, old, c))
OURS(rcl, rcl(w, old, c))
OURS(rcr, rcr(w, old, c))
OURS(shld, w == 16 ? alu_shld(16, old, d, c) : w == 32 ? alu_shld(32, old, d, c) : alu_shld(64, old, d, c))
OURS(shrd, w == 16 ? alu_shrd(16, old, d, c) : w == 32 ? alu_shrd(32, old, d, c) : alu_shrd(64, old, d, c))
OURS(bt, alu_bit_test(w, BIT_TEST, old, d))
OURS(bts, alu_bit_test(w, BIT_SET, old, d))
OURS(btr, alu_bit_test(w, BIT_RESET, old, d))
OURS(btc, alu_bit_test(w, BIT_COMPLEMENT, old, d))

/* BSF and BSR of zero keep DEST. */
static struct alu keep_if_zero(struct alu r, uint64_t dst)
{
    r.value = r.result ? r.value : dst;
    return r;
}
OURS(bsf, keep_if_zero(alu_bsf(w, d), old.value & low_mask(w)))
OURS(bsr, keep_if_zero(alu_bsr(w, d), old.value & low_mask(w)))

enum { ALWAYS, SHIFTS, ROTATES, BITS_ONLY_CF, BITS_ONLY_ZF, LOGIC };

static const struct pair {
    const char *name;     /* for a failure's message */
    host_fn *const *host; /* by width */
    our_fn *ours;         /* the same on values */
    unsigned kind;        /* which flags are defined */
} pairs[] = {
#define PAIR(name, kind) {#name, host_##name, our_##name, kind},
    PAIR(add, ALWAYS) PAIR(adc, ALWAYS) PAIR(sub, ALWAYS) PAIR(sbb, ALWAYS) PAIR(inc, ALWAYS) PAIR(dec, ALWAYS)
    PAIR(neg, ALWAYS) PAIR(and, LOGIC) PAIR(or, LOGIC) PAIR(xor, LOGIC) PAIR(sal, SHIFTS) PAIR(shr, SHIFTS) PAIR(sar, SHIFTS)
    PAIR(rol, ROTATES) PAIR(ror, ROTATES) PAIR(rcl, ROTATES) PAIR(rcr, ROTATES) PAIR(shld, SHIFTS) PAIR(shrd, SHIFTS)
    PAIR(bt, BITS_ONLY_CF) PAIR(bts, BITS_ONLY_CF) PAIR(btr, BITS_ONLY_CF) PAIR(btc, BITS_ONLY_CF)
    PAIR(bsf, BITS_ONLY_ZF) PAIR(bsr, BITS_ONLY_ZF)
#undef PAIR
};
/* clang-format on */

/* The flags that the manual defines after this. */
static uint32_t defined(const struct pair *p, unsigned width, uint64_t c)
{
    unsigned n = (unsigned)c & (width == 64 ? 63 : 31);
    switch (p->kind) {
    case LOGIC:
        return F_OSZPC;
    case SHIFTS:
        if (n > width)
            return F_SF | F_ZF | F_PF;
        return n == 0 ? F_OSZAPC : n == 1 ? F_OSZPC : F_SF | F_ZF | F_PF | (n == width ? 0u : F_CF);
    case ROTATES:
        return n <= 1 ? F_OSZAPC : F_OSZAPC & ~F_OF;
    case BITS_ONLY_CF:
        return F_CF | F_ZF;
    case BITS_ONLY_ZF:
        return F_ZF;
    default:
        return F_OSZAPC;
    }
}

/* Is even the result undefined? Double shifts of 16 bits by more. */
static bool is_undefined(const struct pair *p, unsigned width, uint64_t c)
{
    return (p->host == host_shld || p->host == host_shrd) && (c & 31) > width && width == 16;
}

TEST(host, integer_meanings_agree_with_the_processor)
{
    uint64_t seed = 20260101;
    for (unsigned k = 0; k < ARRAY_SIZE(pairs); k++)
        for (unsigned n = 0; n < 8000; n++) {
            const struct pair *p = &pairs[k];
            unsigned w = widths[n & 3];
            struct host_state s = {pick(&seed), pick(&seed), pick(&seed) & 0xff, 0};
            if (!p->host[n & 3] || is_undefined(p, w, s.c))
                continue;
            uint32_t before = (uint32_t)next_random(&seed) & F_OSZAPC;
            s.flags = before | 2;
            struct alu r = p->ours(w, old_of(s.a, before), s.d, s.c);
            uint32_t mask = defined(p, w, s.c), got = rflags_of(r) & mask;
            uint64_t a = s.a, d = s.d;
            p->host[n & 3](&s);
            if (r.value != (s.a & low_mask(w)) || got != (s.flags & mask))
                print_error("%s width %u a %llx d %llx c %llu flags %x: %llx %x, host %llx %x\n",
                            p->name, w, (unsigned long long)a, (unsigned long long)d,
                            (unsigned long long)s.c, before, (unsigned long long)r.value, got,
                            (unsigned long long)s.a, (unsigned)s.flags & mask);
            EXPECT_EQ(s.a & low_mask(w), r.value);
            EXPECT_EQ(s.flags & mask, got);
        }
}

/* clang-format off */
#define HOST_MULDIV(name)                                                                                 \
    HOST_FN(name, 16, #name " %%cx") HOST_FN(name, 32, #name " %%ecx") HOST_FN(name, 64, #name " %%rcx")  \
    static host_fn *const host_##name[] = {name##_16, name##_32, name##_64};
HOST_MULDIV(mul) HOST_MULDIV(imul) HOST_MULDIV(div) HOST_MULDIV(idiv)
    /* clang-format on */

    TEST(host, products_and_quotients_agree_with_the_processor)
{
    uint64_t seed = 424242;
    for (unsigned n = 0; n < 30000; n++) {
        unsigned i = n % 3, w = widths[i + 1];
        bool is_signed = n & 1;
        uint64_t m = low_mask(w);
        struct host_state s = {pick(&seed), pick(&seed), pick(&seed), 2};
        struct host_state t = s;
        struct product p = is_signed ? alu_imul(w, s.a, s.c) : alu_mul(w, s.a, s.c);
        (is_signed ? host_imul : host_mul)[i](&s);
        EXPECT_EQ(s.a & m, p.lo);
        EXPECT_EQ(s.d & m, p.hi);
        EXPECT_EQ(s.flags & (F_CF | F_OF),
                  rflags_of((struct alu){0, p.result, p.carry}) & (F_CF | F_OF));
        struct quotient q = is_signed ? alu_idiv(w, t.d, t.a, t.c) : alu_div(w, t.d, t.a, t.c);
        if (!q.ok)
            continue;
        (is_signed ? host_idiv : host_div)[i](&t);
        EXPECT_EQ(t.a & m, q.quotient);
        EXPECT_EQ(t.d & m, q.remainder);
    }
}

#else

TEST(host, integer_meanings_agree_with_the_processor)
{
    skip(); /* the host is not an x86-64 */
}

TEST(host, products_and_quotients_agree_with_the_processor)
{
    skip(); /* the host is not an x86-64 */
}

#endif

/* clang-format off */
TEST_MAIN(RUN(alu, addition_and_subtraction_ripple_like_an_adder)
          RUN(alu, inc_and_dec_keep_cf)
          RUN(alu, logic_clears_cf_of_af)
          RUN(alu, every_combination_of_flags_survives_the_lazy_form)
          RUN(alu, shifts_and_rotates_are_repeated_single_steps)
          RUN(alu, double_shifts_take_bits_from_the_source)
          RUN(alu, products_undo_by_division)
          RUN(alu, division_faults_on_zero_and_on_overflow)
          RUN(alu, bit_tests_and_counts)
          RUN(alu, decimal_adjustments_make_decimal_sums)
          RUN(host, integer_meanings_agree_with_the_processor)
          RUN(host, products_and_quotients_agree_with_the_processor))
