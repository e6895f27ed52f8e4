/* SPDX-License-Identifier: MIT */
/*
 * The softfloat against the x87 unit of the host, where the host is x86-64: random and special
 * operands, every RC and PC, masked and unmasked exceptions, results, exception flags and condition
 * codes.
 */

#include "tests/unit/softfloat_operands.h"

#include "tests/test.h"

#if defined(__x86_64__)

#include <string.h>

enum { ROUNDS = 30000 };

/* State after one instruction. */
struct outcome {
    struct f80 st0;  /* ST(0) */
    struct f80 st1;  /* ST(1), zero unless the instruction leaves something of interest there */
    uint64_t mem;    /* destination in memory, EEh bytes where not written */
    uint8_t bcd[10]; /* the same for FBSTP */
    uint8_t flags;   /* IE..PE */
    uint8_t cc;      /* C3 C2 C1 C0 in bits 3-0 */
};

/* Operands of one case. */
struct inputs {
    struct f80 a; /* ST(0) */
    struct f80 b; /* ST(1) */
    uint64_t mem; /* source in memory */
    uint16_t fcw; /* control word */
};

static struct f80 f80_from_bytes(const uint8_t *p)
{
    struct f80 v;
    memcpy(&v.mant, p, 8);
    memcpy(&v.se, p + 8, 2);
    return v;
}

static void collect(struct outcome *o, const uint8_t env[108])
{
    uint16_t fsw;
    memcpy(&fsw, env + 4, 2);
    o->flags = fsw & FP_ALL;
    o->cc = (uint8_t)((fsw >> 8 & 7) | (fsw >> 14 & 1) << 3);
    o->st0 = f80_from_bytes(env + 28);
    o->st1 = f80_from_bytes(env + 38);
}

/* FSAVE after the instruction, which does not wait and so shows what an unmasked exception left. */
#define HOST_OP(name, insn)                                                                        \
    static void host_##name(const struct inputs *in, struct outcome *o)                            \
    {                                                                                              \
        uint8_t save[108], a[16], b[16], mem[16];                                                  \
        memcpy(a, &in->a.mant, 8), memcpy(a + 8, &in->a.se, 2);                                    \
        memcpy(b, &in->b.mant, 8), memcpy(b + 8, &in->b.se, 2);                                    \
        memset(mem, 0xee, sizeof(mem));                                                            \
        memcpy(mem, &in->mem, 8);                                                                  \
        __asm__ volatile("fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\t" insn                \
                         "\n\tfnsave %[save]\n\tfninit"                                            \
                         : [save] "=m"(save), [mem] "+m"(mem)                                      \
                         : [a] "m"(a), [b] "m"(b), [cw] "m"(in->fcw)                               \
                         : "memory");                                                              \
        collect(o, save);                                                                          \
        memcpy(&o->mem, mem, 8);                                                                   \
        memcpy(o->bcd, mem, 10);                                                                   \
    }

/* The same by the softfloat: o comes with the operands in st0 and st1 and the memory preset. */
#define SOFT(name, body)                                                                           \
    static void soft_##name(struct fp_env *env, const struct inputs *in, struct outcome *o)        \
    {                                                                                              \
        struct f80 a = in->a, b = in->b;                                                           \
        (void)a, (void)b, (void)o, (void)env;                                                      \
        body                                                                                       \
    }
#define PAIR(name, insn, body) HOST_OP(name, insn) SOFT(name, body)

static void commit(const struct fp_env *env, struct outcome *o, struct f80 v)
{
    if (fp_x87_commits(env))
        o->st0 = v;
}

/* After a push: the old ST(0) is ST(1). */
static void commit_push(const struct fp_env *env, struct outcome *o, struct f80 v)
{
    if (!fp_x87_loads(env))
        return;
    o->st1 = o->st0;
    o->st0 = v;
}

static void commit_store(const struct fp_env *env, struct outcome *o, uint64_t v, unsigned bytes)
{
    if (fp_x87_stores(env))
        o->mem = bytes == 8
                     ? v
                     : (o->mem >> bytes * 8 << bytes * 8) | (v & ((UINT64_C(1) << bytes * 8) - 1));
}

static void set_relation(struct outcome *o, enum fp_relation r)
{
    static const uint8_t codes[] = {
        [FP_LESS] = 1, [FP_EQUAL] = 8, [FP_GREATER] = 0, [FP_UNORDERED] = 13};
    o->cc = codes[r];
}

#define ARITH(op, x, y) commit(env, o, f80_arith(env, op, x, y, false));
#define ARITH_M32(op, first_is_mem)                                                                \
    bool d;                                                                                        \
    struct f80 m = f80_widen_f32((uint32_t)in->mem, &d);                                           \
    commit(env, o, (first_is_mem) ? f80_arith(env, op, m, a, d) : f80_arith(env, op, a, m, d));
#define ARITH_M64(op, first_is_mem)                                                                \
    bool d;                                                                                        \
    struct f80 m = f80_widen_f64(in->mem, &d);                                                     \
    commit(env, o, (first_is_mem) ? f80_arith(env, op, m, a, d) : f80_arith(env, op, a, m, d));

/* clang-format off */
PAIR(fadd, "fadd %%st(1), %%st(0)", ARITH(FP_ADD, a, b))
PAIR(fsub, ".byte 0xd8, 0xe1", ARITH(FP_SUB, a, b))
PAIR(fsubr, ".byte 0xd8, 0xe9", ARITH(FP_SUB, b, a))
PAIR(fmul, "fmul %%st(1), %%st(0)", ARITH(FP_MUL, a, b))
PAIR(fdiv, ".byte 0xd8, 0xf1", ARITH(FP_DIV, a, b))
PAIR(fdivr, ".byte 0xd8, 0xf9", ARITH(FP_DIV, b, a))
PAIR(fadds, "fadds %[mem]", ARITH_M32(FP_ADD, false))
PAIR(fsubrs, "fsubrs %[mem]", ARITH_M32(FP_SUB, true))
PAIR(fmull, "fmull %[mem]", ARITH_M64(FP_MUL, false))
PAIR(fdivl, "fdivl %[mem]", ARITH_M64(FP_DIV, false))
PAIR(fiadd, "fiaddl %[mem]", commit(env, o, f80_arith(env, FP_ADD, a, f80_from_i64((int32_t)in->mem), false));)
PAIR(fidivr, "fidivrs %[mem]", commit(env, o, f80_arith(env, FP_DIV, f80_from_i64((int16_t)in->mem), a, false));)
PAIR(fsqrt, "fsqrt", commit(env, o, f80_sqrt(env, a));)
PAIR(frndint, "frndint", commit(env, o, f80_rndint(env, a));)
PAIR(fscale, "fscale", commit(env, o, f80_scale(env, a, b));)
PAIR(fcom, "fcom %%st(1)", set_relation(o, f80_compare(env, a, b, false, true));)
PAIR(fucom, "fucom %%st(1)", set_relation(o, f80_compare(env, a, b, false, false));)
PAIR(fcoms, "fcoms %[mem]", bool d; struct f80 m = f80_widen_f32((uint32_t)in->mem, &d);
     set_relation(o, f80_compare(env, a, m, d, true));)
PAIR(ftst, "ftst", set_relation(o, f80_compare(env, a, f80_constant(F80_0, 0), false, true));)

static uint8_t fxam_codes(struct f80 a)
{
    static const uint8_t spread[] = {0, 1, 4, 5, 8, 9, 12};
    return (uint8_t)(spread[f80_examine(a)] | (a.se >> 15) << 1);
}
PAIR(fxam, "fxam", o->cc = fxam_codes(a);)
PAIR(fxtract, "fxtract", struct f80 e; struct f80 s = f80_extract(env, a, &e);
     if (fp_x87_commits(env)) { o->st1 = e; o->st0 = s; })

static void soft_rem(struct fp_env *env, const struct inputs *in, struct outcome *o, bool nearest)
{
    struct f80_rem r = f80_rem(env, in->a, in->b, nearest);
    commit(env, o, r.value);
    o->cc = (uint8_t)((r.quotient >> 2 & 1) | (r.quotient >> 1 & 1) << 3 | (r.quotient & 1) << 1 | r.partial << 2);
}
PAIR(fprem, "fprem", soft_rem(env, in, o, false);)
PAIR(fprem1, "fprem1", soft_rem(env, in, o, true);)

PAIR(flds, "flds %[mem]", commit_push(env, o, f80_load_f32(env, (uint32_t)in->mem));)
PAIR(fldl, "fldl %[mem]", commit_push(env, o, f80_load_f64(env, in->mem));)
PAIR(filds, "filds %[mem]", commit_push(env, o, f80_from_i64((int16_t)in->mem));)
PAIR(fildll, "fildll %[mem]", commit_push(env, o, f80_from_i64((int64_t)in->mem));)
PAIR(fsts, "fsts %[mem]", commit_store(env, o, f80_store_f32(env, a), 4);)
PAIR(fstl, "fstl %[mem]", commit_store(env, o, f80_store_f64(env, a), 8);)
PAIR(fists, "fists %[mem]", commit_store(env, o, (uint64_t)f80_to_i16(env, a, env->rc), 2);)
PAIR(fistl, "fistl %[mem]", commit_store(env, o, (uint64_t)f80_to_i32(env, a, env->rc), 4);)

/* Popping stores: when they pop, FSAVE finds ST(1) on top. */
static void popped(const struct fp_env *env, const struct inputs *in, struct outcome *o)
{
    if (!fp_x87_stores(env))
        return;
    o->st0 = in->b;
    o->st1 = (struct f80){0, 0};
}
PAIR(fistpll, "fistpll %[mem]", commit_store(env, o, (uint64_t)f80_to_i64(env, a, env->rc), 8); popped(env, in, o);)
PAIR(fisttps, "fisttps %[mem]", commit_store(env, o, (uint64_t)f80_to_i16(env, a, FP_RC_ZERO), 2); popped(env, in, o);)
PAIR(fisttpl, "fisttpl %[mem]", commit_store(env, o, (uint64_t)f80_to_i32(env, a, FP_RC_ZERO), 4); popped(env, in, o);)
PAIR(fisttpll, "fisttpll %[mem]", commit_store(env, o, (uint64_t)f80_to_i64(env, a, FP_RC_ZERO), 8); popped(env, in, o);)
PAIR(fbstp, "fbstp %[mem]", uint8_t t[10]; f80_to_bcd(env, a, t);
     if (fp_x87_stores(env)) { memcpy(o->bcd, t, 10); memcpy(&o->mem, t, 8); } popped(env, in, o);)
PAIR(fldpi, "fldpi", commit_push(env, o, f80_constant(F80_PI, env->rc));)
PAIR(fldl2t, "fldl2t", commit_push(env, o, f80_constant(F80_L2T, env->rc));)
PAIR(fldl2e, "fldl2e", commit_push(env, o, f80_constant(F80_L2E, env->rc));)
PAIR(fldlg2, "fldlg2", commit_push(env, o, f80_constant(F80_LG2, env->rc));)
PAIR(fldln2, "fldln2", commit_push(env, o, f80_constant(F80_LN2, env->rc));)
/* clang-format on */

/* What a case compares besides ST(0), memory and flags. */
enum { CC_C1 = 1, CC_ALL = 2, MEM32 = 4, MEM64 = 8, INT = 16, BIG = 32 };

struct x87_case {
    const char *name;                                                             /* mnemonic */
    void (*host)(const struct inputs *in, struct outcome *o);                     /* the CPU */
    void (*soft)(struct fp_env *env, const struct inputs *in, struct outcome *o); /* us */
    int what; /* CC_*, operands */
};
#define CASE(name, what)                                                                           \
    {                                                                                              \
#name, host_##name, soft_##name, what                                                      \
    }
static const struct x87_case cases[] = {
    CASE(fadd, CC_C1),
    CASE(fsub, CC_C1),
    CASE(fsubr, CC_C1),
    CASE(fmul, CC_C1),
    CASE(fdiv, CC_C1),
    CASE(fdivr, CC_C1),
    CASE(fadds, CC_C1 | MEM32),
    CASE(fsubrs, CC_C1 | MEM32),
    CASE(fmull, CC_C1 | MEM64),
    CASE(fdivl, CC_C1 | MEM64),
    CASE(fiadd, CC_C1 | INT),
    CASE(fidivr, CC_C1 | INT),
    CASE(fsqrt, CC_C1),
    CASE(frndint, CC_C1),
    CASE(fscale, CC_C1),
    CASE(fcom, CC_ALL),
    CASE(fucom, CC_ALL),
    CASE(fcoms, CC_ALL | MEM32),
    CASE(ftst, CC_ALL),
    CASE(fxam, CC_ALL),
    CASE(fxtract, 0),
    CASE(fprem, CC_ALL),
    CASE(fprem1, CC_ALL),
    CASE(flds, CC_C1 | MEM32),
    CASE(fldl, CC_C1 | MEM64),
    CASE(filds, CC_C1 | INT),
    CASE(fildll, CC_C1 | INT),
    CASE(fsts, CC_C1),
    CASE(fstl, CC_C1),
    CASE(fists, CC_C1),
    CASE(fistl, CC_C1),
    CASE(fistpll, CC_C1),
    CASE(fisttps, CC_C1),
    CASE(fisttpl, CC_C1),
    CASE(fisttpll, CC_C1),
    CASE(fbstp, CC_C1),
    CASE(fldpi, 0),
    CASE(fldl2t, 0),
    CASE(fldl2e, 0),
    CASE(fldlg2, 0),
    CASE(fldln2, 0),
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static int same(struct f80 a, struct f80 b)
{
    return a.mant == b.mant && a.se == b.se;
}

static int agree(const struct x87_case *c, const struct inputs *in)
{
    static const uint8_t precision[] = {24, 24, 53, 64};
    struct fp_env env = {
        .rc = in->fcw >> 10 & 3, .pc = precision[in->fcw >> 8 & 3], .masks = in->fcw & FP_ALL};
    struct outcome want, got = {.st0 = in->a, .st1 = in->b, .mem = in->mem};
    memset(got.bcd, 0xee, sizeof(got.bcd));
    memcpy(got.bcd, &in->mem, 8);
    c->host(in, &want);
    c->soft(&env, in, &got);
    int cc_ok = 1;
    if ((c->what & CC_ALL) != 0)
        cc_ok = want.cc == got.cc;
    else if ((c->what & CC_C1) != 0)
        cc_ok = (want.cc >> 1 & 1) == env.c1_up;
    if ((c->what & CC_ALL) == 0)
        got.cc = (uint8_t)(env.c1_up << 1);
    got.flags = env.flags;
    int st1_ok = same(want.st1, got.st1) || got.st1.mant == 0;
    if (same(want.st0, got.st0) && st1_ok && want.mem == got.mem && want.flags == got.flags &&
        cc_ok && (strcmp(c->name, "fbstp") != 0 || memcmp(want.bcd, got.bcd, 10) == 0))
        return 1;
    printf("%s fcw=%04x a=%04x:%016llx b=%04x:%016llx m=%016llx\n   host %04x:%016llx m=%016llx "
           "f=%02x cc=%x\n"
           "   ours %04x:%016llx m=%016llx f=%02x cc=%x\n",
           c->name, in->fcw, in->a.se, (unsigned long long)in->a.mant, in->b.se,
           (unsigned long long)in->b.mant, (unsigned long long)in->mem, want.st0.se,
           (unsigned long long)want.st0.mant, (unsigned long long)want.mem, want.flags, want.cc,
           got.st0.se, (unsigned long long)got.st0.mant, (unsigned long long)got.mem, got.flags,
           got.cc);
    return 0;
}

static struct inputs random_inputs(uint64_t *seed, int what, int unmasked)
{
    uint64_t bits = prng(seed);
    struct inputs in = {0};
    in.fcw = (uint16_t)((bits & 0xc00) | (bits >> 16 & 3) << 8 | 0x3f);
    if ((in.fcw >> 8 & 3) == 1)
        in.fcw |= 0x300; /* 01 is reserved */
    if (unmasked)
        in.fcw = (uint16_t)((in.fcw & 0xffc0u) | (bits >> 20 & 0x3f));
    in.a = operand_f80(seed, (struct f80){0, 0x3fff});
    in.b = operand_f80(seed, in.a);
    in.mem = (what & MEM32) != 0   ? operand_f32(seed, 0x3f800000)
             : (what & MEM64) != 0 ? operand_f64(seed, UINT64_C(0x3ff) << 52)
             : (what & INT) != 0   ? operand_integer(seed)
                                   : UINT64_C(0xeeeeeeeeeeeeeeee);
    return in;
}

static int run_cases(uint64_t seed, int rounds, int unmasked)
{
    int bad[CASES] = {0}, total = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < CASES; k++) {
            struct inputs in = random_inputs(&seed, cases[k].what, unmasked);
            if (bad[k] < 5 && !agree(&cases[k], &in))
                total++, bad[k]++;
        }
    }
    return total;
}

TEST(softfloat_host_x87, masked_results_flags_and_codes_equal_the_host)
{
    EXPECT_EQ(0, run_cases(1, ROUNDS, 0));
}

TEST(softfloat_host_x87, unmasked_responses_equal_the_host)
{
    EXPECT_EQ(0, run_cases(2, ROUNDS, 1));
}

#else

TEST(softfloat_host_x87, masked_results_flags_and_codes_equal_the_host)
{
    print_message("skipped: the host is not x86-64, there is no x87 to compare with\n");
    skip();
}

TEST(softfloat_host_x87, unmasked_responses_equal_the_host)
{
    print_message("skipped: the host is not x86-64, there is no x87 to compare with\n");
    skip();
}

#endif

TEST_MAIN(RUN(softfloat_host_x87, masked_results_flags_and_codes_equal_the_host)
              RUN(softfloat_host_x87, unmasked_responses_equal_the_host))
