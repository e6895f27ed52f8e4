/* SPDX-License-Identifier: MIT */
/* FSIN, FCOS and FPATAN in 128-bit integers against MPFR: the same result, flags and C1 in every
 * rounding mode, wherever the quick way answers; and it answers. */
#include "monitor/mpfr_transcendentals.h"
#include "monitor/quick_transcendentals.h"
#include "tests/test.h"

enum { ROUNDS = 40000 };

static uint64_t next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Exponents from 2^-13 to 2^1, any sign; a third of the significands have few bits. */
static struct f80 operand(uint64_t *s)
{
    uint64_t mant = next(s), shape = next(s);
    if (shape % 3 == 0)
        mant &= ~(UINT64_MAX >> (shape >> 8) % 12);
    return (struct f80){
        .mant = mant | UINT64_C(1) << 63,
        .se = (uint16_t)((shape >> 16 & 0x8000) | (0x3fff - 13 + (shape >> 40) % 15))};
}

struct outcome {
    struct f80 value; /* result */
    uint8_t flags;    /* IE..PE */
    bool c1;          /* rounded up */
};

static struct outcome run(const struct fp_transcendentals *t, unsigned fn, struct f80 y,
                          struct f80 x, unsigned rc)
{
    struct fp_env env = {.rc = (uint8_t)rc, .pc = 64, .masks = FP_ALL};
    struct outcome o = {.value = x};
    if (fn == 0)
        EXPECT(f80_fsin(&env, t, x, &o.value));
    else if (fn == 1)
        EXPECT(f80_fcos(&env, t, x, &o.value));
    else
        o.value = f80_fpatan(&env, t, y, x);
    o.flags = env.flags;
    o.c1 = env.c1_up;
    return o;
}

static unsigned differences(unsigned fn, uint64_t seed)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct f80 y = operand(&seed), x = operand(&seed);
        for (unsigned rc = 0; rc < 4; rc++) {
            struct outcome a = run(&mpfr_transcendentals, fn, y, x, rc);
            struct outcome b = run(&exact_transcendentals, fn, y, x, rc);
            bad += a.value.mant != b.value.mant || a.value.se != b.value.se || a.flags != b.flags ||
                   a.c1 != b.c1;
        }
    }
    return bad;
}

TEST(quick_transcendentals, fsin_is_what_mpfr_says)
{
    EXPECT_EQ(0, differences(0, 1));
}

TEST(quick_transcendentals, fcos_is_what_mpfr_says)
{
    EXPECT_EQ(0, differences(1, 2));
}

TEST(quick_transcendentals, fpatan_is_what_mpfr_says)
{
    EXPECT_EQ(0, differences(2, 3));
}

TEST(quick_transcendentals, nearly_all_common_operands_are_quick)
{
    uint64_t seed = 4;
    unsigned sines = 0, angles = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct f80 x = operand(&seed), y = operand(&seed);
        struct fp_wide w;
        x.se = (uint16_t)(0x3fff - (i & 7));
        y.se = (uint16_t)(0x3fff + (i >> 3 & 3));
        sines += quick_sine(x, i & 1, &w);
        angles += quick_arctangent(y, x, &w);
    }
    EXPECT(sines > ROUNDS - ROUNDS / 100);
    EXPECT(angles > ROUNDS - ROUNDS / 100);
}

TEST_MAIN(RUN(quick_transcendentals, fsin_is_what_mpfr_says)
              RUN(quick_transcendentals, fcos_is_what_mpfr_says)
                  RUN(quick_transcendentals, fpatan_is_what_mpfr_says)
                      RUN(quick_transcendentals, nearly_all_common_operands_are_quick))
