/* SPDX-License-Identifier: MIT */
/*
 * The x87 transcendentals: known values on every host, and where the host is x86-64 its x87 unit:
 * special operands exactly, values within one unit in the last place (SDM Vol. 1, "Transcendental
 * Instruction Accuracy").
 */

#include "tests/unit/softfloat_operands.h"

#include "monitor/mpfr_transcendentals.h"
#include "tests/test.h"

#include <string.h>

/* The seven with one shape. */
enum function { F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FPTAN, FUNCTIONS };
static const char *const names[] = {"f2xm1", "fyl2x", "fyl2xp1", "fpatan", "fsin", "fcos", "fptan"};

struct outcome {
    struct f80 value; /* result; the operand in ST(0) where nothing was written */
    uint8_t flags;    /* IE..PE */
    bool c1;          /* rounded up */
    bool c2;          /* out of range */
};

static struct f80 f(uint16_t se, uint64_t mant)
{
    return (struct f80){.mant = mant, .se = se};
}

/* x is ST(0), y is ST(1). */
static struct outcome ours(enum function fn, struct f80 y, struct f80 x, uint8_t rc, uint8_t masks)
{
    const struct fp_transcendentals *t = &mpfr_transcendentals;
    struct fp_env env = {.rc = rc, .pc = 64, .masks = masks};
    struct outcome o = {.value = x};
    bool in_range = true;
    struct f80 v = x;
    switch (fn) {
    case F2XM1:
        v = f80_f2xm1(&env, t, x);
        break;
    case FYL2X:
        v = f80_fyl2x(&env, t, y, x);
        break;
    case FYL2XP1:
        v = f80_fyl2xp1(&env, t, y, x);
        break;
    case FPATAN:
        v = f80_fpatan(&env, t, y, x);
        break;
    case FSIN:
        in_range = f80_fsin(&env, t, x, &v);
        break;
    case FCOS:
        in_range = f80_fcos(&env, t, x, &v);
        break;
    default:
        in_range = f80_fptan(&env, t, x, &v);
        break;
    }
    if (fp_x87_commits(&env))
        o.value = v;
    o.flags = env.flags;
    o.c1 = env.c1_up;
    o.c2 = !in_range;
    return o;
}

/* One known value. */
struct vector {
    enum function fn; /* instruction */
    struct f80 y, x;  /* ST(1), ST(0) */
    uint8_t rc;       /* rounding control */
    struct f80 want;  /* result */
    uint8_t flags;    /* exceptions */
};

#define ONE                                                                                        \
    {                                                                                              \
        0x8000000000000000, 0x3fff                                                                 \
    }
#define TWO                                                                                        \
    {                                                                                              \
        0x8000000000000000, 0x4000                                                                 \
    }
#define HALF                                                                                       \
    {                                                                                              \
        0x8000000000000000, 0x3ffe                                                                 \
    }
#define ZERO                                                                                       \
    {                                                                                              \
        0, 0                                                                                       \
    }
#define M_ZERO                                                                                     \
    {                                                                                              \
        0, 0x8000                                                                                  \
    }
#define INF                                                                                        \
    {                                                                                              \
        0x8000000000000000, 0x7fff                                                                 \
    }
#define M_INF                                                                                      \
    {                                                                                              \
        0x8000000000000000, 0xffff                                                                 \
    }
#define INDEFINITE                                                                                 \
    {                                                                                              \
        0xc000000000000000, 0xffff                                                                 \
    }

/* clang-format off */
static const struct vector vectors[] = {
    /* sqrt(2) - 1 = 0.6A09E667F3BCC908B2FB1366EA957D3E... in hexadecimal */
    {F2XM1, ZERO, HALF, 0, {0xd413cccfe7799211, 0x3ffd}, FP_PE},
    {F2XM1, ZERO, HALF, 2, {0xd413cccfe7799212, 0x3ffd}, FP_PE},
    {F2XM1, ZERO, {0x8000000000000000, 0xbfff}, 0, {0x8000000000000000, 0xbffe}, 0},
    {F2XM1, ZERO, M_INF, 0, {0x8000000000000000, 0xbfff}, 0},
    {F2XM1, ZERO, M_ZERO, 0, M_ZERO, 0},
    /* logarithms of powers of two are exact */
    {FYL2X, {0xc000000000000000, 0x4000}, {0x8000000000000000, 0x4002}, 0, {0x9000000000000000, 0x4002}, 0},
    {FYL2X, ONE, ZERO, 0, M_INF, FP_ZE},
    {FYL2X, ZERO, ZERO, 0, INDEFINITE, FP_IE},
    {FYL2X, INF, ONE, 0, INDEFINITE, FP_IE},
    {FYL2X, ONE, {0x8000000000000000, 0xbfff}, 0, INDEFINITE, FP_IE},
    {FYL2X, ONE, M_ZERO, 0, M_INF, FP_ZE},
    /* log2(10) = FLDL2T */
    {FYL2X, ONE, {0xa000000000000000, 0x4002}, 0, {0xd49a784bcd1b8afe, 0x4000}, FP_PE},
    {FYL2X, ONE, {0xa000000000000000, 0x4002}, 2, {0xd49a784bcd1b8aff, 0x4000}, FP_PE},
    {FYL2XP1, ONE, ONE, 0, ONE, 0},
    {FYL2XP1, ONE, M_ZERO, 0, M_ZERO, 0},
    {FYL2XP1, INF, ZERO, 0, INDEFINITE, FP_IE},
    /* log2(1 + 2^-100) = 2^-100 / ln 2, a little below */
    {FYL2XP1, ONE, {0x8000000000000000, 0x3f9b}, 0, {0xb8aa3b295c17f0bc, 0x3f9b}, FP_PE},
    {FPATAN, ONE, ONE, 0, {0xc90fdaa22168c235, 0x3ffe}, FP_PE},
    {FPATAN, ONE, ONE, 1, {0xc90fdaa22168c234, 0x3ffe}, FP_PE},
    {FPATAN, ZERO, M_ZERO, 0, {0xc90fdaa22168c235, 0x4000}, FP_PE},
    {FPATAN, M_ZERO, ONE, 0, M_ZERO, 0},
    {FPATAN, INF, M_INF, 0, {0x96cbe3f9990e91a8, 0x4000}, FP_PE},
    {FPATAN, ONE, INF, 0, ZERO, 0},
    /* sin 1 = 0.D76AA47848677020C6E9E909C50F3C32... */
    {FSIN, ZERO, ONE, 0, {0xd76aa47848677021, 0x3ffe}, FP_PE},
    {FSIN, ZERO, ONE, 3, {0xd76aa47848677020, 0x3ffe}, FP_PE},
    {FSIN, ZERO, M_ZERO, 0, M_ZERO, 0},
    {FSIN, ZERO, INF, 0, INDEFINITE, FP_IE},
    {FCOS, ZERO, ZERO, 0, ONE, 0},
    /* sin of the nearest number to pi: the rest of the 66-bit pi, -2^-64 exactly, not of pi itself */
    {FSIN, ZERO, {0xc90fdaa22168c235, 0x4000}, 0, {0x8000000000000000, 0xbfbf}, FP_PE},
    /* tan 1 = 1.8EB245CBEE3A5B8ACC7D41323141... */
    {FPTAN, ZERO, ONE, 0, {0xc75922e5f71d2dc5, 0x3fff}, FP_PE},
};
/* clang-format on */

TEST(transcendentals, known_values_come_out_to_the_last_bit)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct vector *v = &vectors[i];
        struct outcome o = ours(v->fn, v->y, v->x, v->rc, FP_ALL);
        if (o.value.se != v->want.se || o.value.mant != v->want.mant || o.flags != v->flags)
            print_error("vector %zu %s: %04x:%016llx flags %02x\n", i, names[v->fn], o.value.se,
                        (unsigned long long)o.value.mant, o.flags);
        EXPECT_EQ(v->want.se, o.value.se);
        EXPECT_EQ(v->want.mant, o.value.mant);
        EXPECT_EQ(v->flags, o.flags);
    }
}

TEST(transcendentals, operands_of_2_to_the_63_and_more_set_c2_and_change_nothing)
{
    struct f80 big = f(0x3fff + 63, UINT64_C(0x8000000000000000));
    struct outcome o = ours(FSIN, big, big, 0, FP_ALL);
    EXPECT(o.c2);
    EXPECT_EQ(0, o.flags);
    EXPECT_EQ(big.se, o.value.se);
    big.se--;
    EXPECT(!ours(FCOS, big, big, 0, FP_ALL).c2);
}

TEST(transcendentals, tiny_results_underflow_once)
{
    struct f80 tiny = f(0, UINT64_C(0x4000000000000000)); /* 2^-16383 */
    struct outcome o = ours(FSIN, tiny, tiny, FP_RC_ZERO, FP_ALL);
    EXPECT_EQ(FP_DE | FP_UE | FP_PE, o.flags);
    EXPECT_EQ(UINT64_C(0x3fffffffffffffff), o.value.mant);
    o = ours(FSIN, tiny, tiny, FP_RC_NEAREST, FP_ALL & ~FP_UE);
    EXPECT_EQ(FP_DE | FP_UE | FP_PE, o.flags);
    EXPECT_EQ(0x6000, o.value.se); /* 2^-16383 with the exponent raised by 24576 */
}

#if defined(__x86_64__)

enum { ROUNDS = 20000 };

#define HOST_OP(name)                                                                              \
    static void host_##name(const uint8_t y[16], const uint8_t x[16], uint16_t fcw,                \
                            uint8_t save[108])                                                     \
    {                                                                                              \
        __asm__ volatile(                                                                          \
            "fninit\n\tfldt %[y]\n\tfldt %[x]\n\tfldcw %[cw]\n\t" #name                            \
            "\n\tfnsave %[save]\n\tfninit"                                                         \
            : [save] "=m"(*(uint8_t(*)[108])save)                                                  \
            : [y] "m"(*(const uint8_t(*)[16])y), [x] "m"(*(const uint8_t(*)[16])x), [cw] "m"(fcw)  \
            : "memory");                                                                           \
    }
HOST_OP(f2xm1)
HOST_OP(fyl2x)
HOST_OP(fyl2xp1)
HOST_OP(fpatan)
HOST_OP(fsin)
HOST_OP(fcos)
HOST_OP(fptan)

static struct outcome host(enum function fn, struct f80 y, struct f80 x, uint8_t rc, uint8_t masks)
{
    static void (*const table[])(const uint8_t *, const uint8_t *, uint16_t, uint8_t *) = {
        host_f2xm1, host_fyl2x, host_fyl2xp1, host_fpatan, host_fsin, host_fcos, host_fptan};
    uint8_t a[16], b[16], save[108];
    uint16_t fsw;
    struct outcome o;
    memcpy(a, &y.mant, 8), memcpy(a + 8, &y.se, 2);
    memcpy(b, &x.mant, 8), memcpy(b + 8, &x.se, 2);
    table[fn](a, b, (uint16_t)(0x300 | masks | rc << 10), save);
    memcpy(&fsw, save + 4, 2);
    o.flags = fsw & FP_ALL;
    o.c1 = (fsw >> 9 & 1) != 0;
    o.c2 = (fsw >> 10 & 1) != 0;
    bool pushed = fn == FPTAN && (fsw >> 11 & 7) == 5; /* FPTAN pushed: its result is ST(1) */
    memcpy(&o.value.mant, save + 28 + (pushed ? 10 : 0), 8);
    memcpy(&o.value.se, save + 28 + (pushed ? 10 : 0) + 8, 2);
    return o;
}

/* Equal, or neighbours in the order of magnitudes. */
static bool within_one_ulp(struct f80 a, struct f80 b)
{
    if (a.se == b.se)
        return a.mant - b.mant + 1 <= 2;
    if ((a.se ^ b.se) == 1 || (a.se & 0x7fff) + 1 == (b.se & 0x7fff) ||
        (b.se & 0x7fff) + 1 == (a.se & 0x7fff))
        return (a.mant << 1) + 2 <= 2 || (b.mant << 1) + 2 <= 2;
    return false;
}

/* Operands on which the manual defines the result. */
static bool is_defined(enum function fn, struct f80 x)
{
    uint16_t e = x.se & 0x7fff;
    if (fn == F2XM1)
        return e < 0x3fff || e == 0x7fff || (e == 0x3fff && x.mant << 1 == 0);
    if (fn == FYL2XP1)
        return e < 0x3ffd || e == 0x7fff;
    return true;
}

static bool agree(enum function fn, struct f80 y, struct f80 x, uint8_t rc, uint8_t masks)
{
    struct outcome want = host(fn, y, x, rc, masks), got = ours(fn, y, x, rc, masks);
    bool exact = (want.flags & FP_PE) == 0; /* a special case */
    /* Logarithms of powers of two and 2^1 - 1 are exact: AMD's approximation reports PE, and UE
     * where the result is denormal, all the same. */
    if ((got.flags & FP_PE) == 0)
        want.flags &= (uint8_t) ~(FP_PE | (masks & FP_UE));
    bool ok = want.flags == got.flags && want.c2 == got.c2;
    ok = ok && (exact ? want.value.se == got.value.se && want.value.mant == got.value.mant
                      : within_one_ulp(want.value, got.value));
    if (!ok)
        printf("%s rc=%d masks=%02x st1=%04x:%016llx st0=%04x:%016llx\n"
               "  host %04x:%016llx f=%02x c1=%d c2=%d  ours %04x:%016llx f=%02x c1=%d c2=%d\n",
               names[fn], rc, masks, y.se, (unsigned long long)y.mant, x.se,
               (unsigned long long)x.mant, want.value.se, (unsigned long long)want.value.mant,
               want.flags, want.c1, want.c2, got.value.se, (unsigned long long)got.value.mant,
               got.flags, got.c1, got.c2);
    return ok;
}

static int compare_with_host(uint64_t seed, bool unmasked)
{
    int bad[FUNCTIONS] = {0}, total = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < ROUNDS; i++) {
        for (int fn = 0; fn < FUNCTIONS; fn++) {
            uint64_t bits = prng(&seed);
            struct f80 x = operand_f80(&seed, f(0x3fff, 0)), y = operand_f80(&seed, f(0x3fff, 0));
            uint8_t masks = unmasked ? bits >> 8 & FP_ALL : FP_ALL;
            if (!is_defined((enum function)fn, x) || bad[fn] >= 8)
                continue;
            if (!agree((enum function)fn, y, x, bits & 3, masks))
                bad[fn]++, total++;
        }
    }
    return total;
}

TEST(transcendentals, host_agrees_within_one_ulp)
{
    EXPECT_EQ(0, compare_with_host(1, false));
}

TEST(transcendentals, host_agrees_when_unmasked)
{
    EXPECT_EQ(0, compare_with_host(2, true));
}

#else

TEST(transcendentals, host_agrees_within_one_ulp)
{
    print_message("skipped: the host is not x86-64, there is no x87 to compare with\n");
    skip();
}

TEST(transcendentals, host_agrees_when_unmasked)
{
    print_message("skipped: the host is not x86-64, there is no x87 to compare with\n");
    skip();
}

#endif

TEST_MAIN(RUN(transcendentals, known_values_come_out_to_the_last_bit)
              RUN(transcendentals, operands_of_2_to_the_63_and_more_set_c2_and_change_nothing)
                  RUN(transcendentals, tiny_results_underflow_once)
                      RUN(transcendentals, host_agrees_within_one_ulp)
                          RUN(transcendentals, host_agrees_when_unmasked))
