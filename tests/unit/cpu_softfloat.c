/* SPDX-License-Identifier: MIT */
/*
 * The softfloat on every host: the rules of the manual by hand-picked values, and digests of many
 * random operations, recorded on a host where the same code agreed with silicon
 * (cpu_softfloat_host_*.c).
 */

#include "tests/unit/softfloat_operands.h"

#include "cpu/softfloat/sse_fast.h"
#include "tests/test.h"

#include <string.h>

#define J UINT64_C(0x8000000000000000)

static struct fp_env masked(uint8_t rc)
{
    return (struct fp_env){.rc = rc, .pc = 64, .masks = FP_ALL};
}

static struct f80 f(uint16_t se, uint64_t mant)
{
    return (struct f80){.mant = mant, .se = se};
}

#define EXPECT_F80(want_se, want_mant, got)                                                        \
    do {                                                                                           \
        struct f80 got_ = (got);                                                                   \
        EXPECT_EQ(want_se, got_.se);                                                               \
        EXPECT_EQ(want_mant, got_.mant);                                                           \
    } while (0)

TEST(softfloat, sse_nan_is_the_first_source_that_is_one_and_comes_back_quiet)
{
    struct fp_env env = masked(0);
    EXPECT_EQ(0x7fc00001u, f32_add(&env, 0x7f800001u, 0xffc12345u));
    EXPECT_EQ(FP_IE, env.flags);
    env.flags = 0;
    EXPECT_EQ(0xffc12345u, f32_mul(&env, 0x00000001u, 0xffc12345u));
    EXPECT_EQ(0, env.flags); /* a QNaN outranks DE */
    EXPECT_EQ(0xffc00000u, f32_sub(&env, 0x7f800000u, 0x7f800000u));
    EXPECT_EQ(FP_IE, env.flags);
}

TEST(softfloat, minimum_returns_the_second_source_for_nans_and_zeros)
{
    struct fp_env env = masked(0);
    EXPECT_EQ(0x7f800001u, f32_min(&env, 0x3f800000u, 0x7f800001u));
    EXPECT_EQ(FP_IE, env.flags);
    EXPECT_EQ(0x00000000u, f32_min(&env, 0x80000000u, 0x00000000u));
    EXPECT_EQ(0x80000000u, f32_max(&env, 0x00000000u, 0x80000000u));
}

TEST(softfloat, daz_and_ftz_make_zeros_with_the_sign)
{
    struct fp_env env = masked(0);
    env.daz = true;
    EXPECT_EQ(J, f64_mul(&env, J | 1, UINT64_C(0x4340000000000000)));
    EXPECT_EQ(0, env.flags);
    env.daz = false;
    env.ftz = true;
    EXPECT_EQ(J, f64_mul(&env, UINT64_C(0x8010000000000000), UINT64_C(0x3fe0000000000000)));
    EXPECT_EQ(FP_UE | FP_PE, env.flags);
}

TEST(softfloat, exact_denormal_result_underflows_only_when_unmasked)
{
    struct fp_env env = masked(0);
    EXPECT_EQ(UINT64_C(0x0008000000000000),
              f64_mul(&env, UINT64_C(0x0010000000000000), UINT64_C(0x3fe0000000000000)));
    EXPECT_EQ(0, env.flags);
    env.masks &= (uint8_t)~FP_UE;
    f64_mul(&env, UINT64_C(0x0010000000000000), UINT64_C(0x3fe0000000000000));
    EXPECT_EQ(FP_UE, env.flags);
}

TEST(softfloat, overflow_rounds_to_infinity_or_the_largest_number)
{
    static const uint32_t want[] = {0x7f800000, 0x7f7fffff, 0x7f800000, 0x7f7fffff};
    for (uint8_t rc = 0; rc < 4; rc++) {
        struct fp_env env = masked(rc);
        EXPECT_EQ(want[rc], f32_add(&env, 0x7f7fffffu, 0x7f7fffffu));
        EXPECT_EQ(FP_OE | FP_PE, env.flags);
    }
}

TEST(softfloat, out_of_range_conversion_gives_the_integer_indefinite)
{
    struct fp_env env = masked(0);
    EXPECT_EQ(INT32_MIN, f64_to_i32(&env, UINT64_C(0x41dfffffffe00000), FP_RC_NEAREST));
    EXPECT_EQ(FP_IE, env.flags);
    env.flags = 0;
    EXPECT_EQ(INT32_MAX, f64_to_i32(&env, UINT64_C(0x41dfffffffe00000), FP_RC_ZERO));
    EXPECT_EQ(FP_PE, env.flags);
}

TEST(softfloat, unmasked_precomputation_exception_hides_later_ones_of_other_elements)
{
    EXPECT_EQ(FP_ZE, fp_sse_settle(FP_ZE | FP_PE | FP_OE, FP_ALL & ~FP_ZE));
    EXPECT_EQ(FP_ZE | FP_PE, fp_sse_settle(FP_ZE | FP_PE, FP_ALL));
}

TEST(softfloat, x87_nan_is_the_larger_significand_the_quiet_one_or_the_positive_one)
{
    struct fp_env env = masked(0);
    struct f80 small = f(0x7fff, J | 0x4000000000000001), large = f(0xffff, J | 0x4000000000000002);
    struct f80 signalling = f(0x7fff, J | 0x3fffffffffffffff);
    EXPECT_F80(0xffff, large.mant, f80_arith(&env, FP_ADD, small, large, false));
    EXPECT_F80(0x7fff, small.mant, f80_arith(&env, FP_ADD, small, f80_change_sign(small), false));
    EXPECT_EQ(0, env.flags);
    EXPECT_F80(0x7fff, small.mant, f80_arith(&env, FP_ADD, signalling, small, false));
    EXPECT_EQ(FP_IE, env.flags);
}

TEST(softfloat, unnormals_and_pseudo_infinities_are_invalid_operands)
{
    struct fp_env env = masked(0);
    EXPECT_F80(0xffff, UINT64_C(0xc000000000000000), f80_sqrt(&env, f(0x3fff, 1)));
    EXPECT_EQ(FP_IE, env.flags);
    EXPECT_EQ(0, f80_examine(f(0x7fff, 0)));
    EXPECT_EQ(6, f80_examine(f(0, J)));
    EXPECT_EQ(2, f80_examine(f(1, J)));
}

TEST(softfloat, precision_control_rounds_the_significand_not_the_exponent)
{
    struct fp_env env = masked(0);
    env.pc = 24;
    EXPECT_F80(0x3ffd, UINT64_C(0xaaaaab0000000000),
               f80_arith(&env, FP_DIV, f(0x3fff, J), f80_from_i64(3), false));
    EXPECT_EQ(FP_PE, env.flags);
    EXPECT(env.c1_up);
    env.pc = 64;
    EXPECT_F80(0x3ffd, UINT64_C(0xaaaaaaaaaaaaaaab),
               f80_arith(&env, FP_DIV, f(0x3fff, J), f80_from_i64(3), false));
}

TEST(softfloat, unmasked_overflow_moves_the_exponent_by_24576)
{
    struct fp_env env = masked(0);
    env.masks = FP_ALL & ~FP_OE;
    EXPECT_F80(0x7ffe - 24576 + 1, J, f80_arith(&env, FP_ADD, f(0x7ffe, J), f(0x7ffe, J), false));
    EXPECT_EQ(FP_OE, env.flags);
    EXPECT(fp_x87_commits(&env));
    EXPECT(!fp_x87_stores(&env));
}

TEST(softfloat, partial_remainder_reduces_in_steps_and_reports_the_quotient)
{
    struct fp_env env = masked(0);
    struct f80_rem r = f80_rem(&env, f80_from_i64(23), f80_from_i64(4), false);
    EXPECT_F80(0x4000, UINT64_C(0xc000000000000000), r.value); /* 23 = 5 * 4 + 3 */
    EXPECT_EQ(5, r.quotient);
    r = f80_rem(&env, f80_from_i64(23), f80_from_i64(4), true);
    EXPECT_F80(0xbfff, J, r.value); /* 23 = 6 * 4 - 1 */
    EXPECT_EQ(6, r.quotient);
    struct f80 big = f(0x3fff + 1000, J | 12345), three = f80_from_i64(3);
    int steps = 0;
    for (r.partial = true, r.value = big; r.partial && steps < 100; steps++)
        r = f80_rem(&env, r.value, three, false);
    EXPECT_EQ(16, steps);
    EXPECT_EQ(0, env.flags);
}

TEST(softfloat, packed_decimal_round_trips_and_has_its_indefinite)
{
    static const uint8_t digits[10] = {0x90, 0x78, 0x56, 0x34, 0x12, 0x90, 0x78, 0x56, 0x34, 0x80};
    static const uint8_t indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
    uint8_t out[10];
    struct fp_env env = masked(0);
    f80_to_bcd(&env, f80_from_bcd(digits), out);
    EXPECT_EQ(0, memcmp(digits, out, 10));
    EXPECT_EQ(0, env.flags);
    f80_to_bcd(&env, f80_from_i64(INT64_C(1000000000000000000)), out);
    EXPECT_EQ(0, memcmp(indefinite, out, 10));
    EXPECT_EQ(FP_IE, env.flags);
}

TEST(softfloat, constants_follow_rounding_control)
{
    EXPECT_F80(0x4000, UINT64_C(0xc90fdaa22168c235), f80_constant(F80_PI, FP_RC_NEAREST));
    EXPECT_F80(0x4000, UINT64_C(0xc90fdaa22168c234), f80_constant(F80_PI, FP_RC_DOWN));
    EXPECT_F80(0x4000, UINT64_C(0xd49a784bcd1b8aff), f80_constant(F80_L2T, FP_RC_UP));
    EXPECT_F80(0x3fff, J, f80_constant(F80_1, FP_RC_UP));
    EXPECT_F80(0, 0, f80_constant(F80_0, FP_RC_DOWN));
}

static uint64_t mix(uint64_t digest, uint64_t v)
{
    digest = (digest ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return digest ^ digest >> 29;
}

static uint64_t mix80(uint64_t digest, struct f80 v)
{
    return mix(mix(digest, v.mant), v.se);
}

static struct fp_env random_env(uint64_t *seed)
{
    static const uint8_t precision[] = {24, 53, 64, 64};
    uint64_t v = prng(seed);
    struct fp_env env = {.rc = v & 3, .pc = precision[v >> 2 & 3], .masks = FP_ALL};
    if ((v >> 4 & 3) == 0)
        env.masks = v >> 8 & FP_ALL;
    else if ((v >> 4 & 3) == 1)
        env.flags = FP_PE;
    return env;
}

static uint64_t digest_sse32(uint64_t d, struct fp_env *env, uint32_t a, uint32_t b)
{
    d = mix(d, sse_add32(env, a, b));
    d = mix(d, sse_sub32(env, a, b));
    d = mix(d, sse_mul32(env, a, b));
    d = mix(d, sse_div32(env, a, b));
    d = mix(d, sse_sqrt32(env, a));
    d = mix(d, f32_min(env, a, b));
    d = mix(d, f32_round(env, a, env->rc, false));
    d = mix(d, f32_to_f64(env, a));
    d = mix(d, (uint32_t)f32_to_i32(env, a, env->rc));
    d = mix(d, f32_from_i64(env, (int64_t)(d & INT64_MAX)));
    return mix(d, env->flags | (uint64_t)f32_compare(env, a, b, false) << 8);
}

static uint64_t digest_sse64(uint64_t d, struct fp_env *env, uint64_t a, uint64_t b)
{
    d = mix(d, sse_add64(env, a, b));
    d = mix(d, sse_sub64(env, a, b));
    d = mix(d, sse_mul64(env, a, b));
    d = mix(d, sse_div64(env, a, b));
    d = mix(d, sse_sqrt64(env, a));
    d = mix(d, f64_max(env, a, b));
    d = mix(d, f64_round(env, a, env->rc, false));
    d = mix(d, f64_to_f32(env, a));
    d = mix(d, (uint64_t)f64_to_i64(env, a, env->rc));
    d = mix(d, f64_from_i64(env, (int64_t)(d & INT64_MAX)));
    return mix(d, env->flags | (uint64_t)f64_compare(env, a, b, true) << 8);
}

static uint64_t digest_x87(uint64_t d, struct fp_env *env, struct f80 a, struct f80 b)
{
    struct f80 e;
    uint8_t bcd[10];
    for (int op = FP_ADD; op <= FP_DIV; op++) {
        d = mix80(d, f80_arith(env, (enum fp_op)op, a, b, false));
        d = mix(d, env->c1_up);
    }
    d = mix80(d, f80_sqrt(env, a));
    d = mix80(d, f80_rndint(env, a));
    d = mix80(d, f80_scale(env, a, b));
    d = mix80(d, f80_extract(env, a, &e));
    d = mix80(d, e);
    struct f80_rem r = f80_rem(env, a, b, (a.mant & 1) != 0);
    d = mix(mix80(d, r.value), (uint64_t)r.quotient << 1 | r.partial);
    d = mix(d, (uint32_t)f80_to_i32(env, a, env->rc));
    d = mix(d, (uint64_t)f80_to_i64(env, a, env->rc));
    f80_to_bcd(env, a, bcd);
    d = mix80(d, f80_from_bcd(bcd));
    if (env->masks == FP_ALL) {
        d = mix(d, f80_store_f32(env, a));
        d = mix(d, f80_store_f64(env, a));
    }
    return mix(d, env->flags | (uint64_t)f80_compare(env, a, b, false, true) << 8);
}

/* Random operations; env.flags accumulates over the operations of a round. */
static uint64_t digest(uint64_t seed, int format)
{
    uint64_t d = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 20000; i++) {
        struct fp_env env = random_env(&seed);
        if (format == 80) {
            struct f80 a = operand_f80(&seed, f(0x3fff, 0));
            d = digest_x87(d, &env, a, operand_f80(&seed, a));
            continue;
        }
        env.daz = (env.rc ^ (i & 3)) == 0;
        env.ftz = (env.rc ^ (i >> 2 & 3)) == 0;
        env.masks = FP_ALL;
        if (format == 32) {
            uint32_t a = operand_f32(&seed, 0);
            d = digest_sse32(d, &env, a, operand_f32(&seed, a));
        } else {
            uint64_t a = operand_f64(&seed, 0);
            d = digest_sse64(d, &env, a, operand_f64(&seed, a));
        }
    }
    return d;
}

TEST(softfloat, single_precision_is_the_same_on_every_host)
{
    EXPECT_EQ(UINT64_C(0x86b171869b694298), digest(32, 32));
}

TEST(softfloat, double_precision_is_the_same_on_every_host)
{
    EXPECT_EQ(UINT64_C(0xc89bedb734270f82), digest(64, 64));
}

TEST(softfloat, extended_precision_is_the_same_on_every_host)
{
    EXPECT_EQ(UINT64_C(0xac048f350eb5c4e1), digest(80, 80));
}

/* clang-format off */
TEST_MAIN(
    RUN(softfloat, sse_nan_is_the_first_source_that_is_one_and_comes_back_quiet)
    RUN(softfloat, minimum_returns_the_second_source_for_nans_and_zeros)
    RUN(softfloat, daz_and_ftz_make_zeros_with_the_sign)
    RUN(softfloat, exact_denormal_result_underflows_only_when_unmasked)
    RUN(softfloat, overflow_rounds_to_infinity_or_the_largest_number)
    RUN(softfloat, out_of_range_conversion_gives_the_integer_indefinite)
    RUN(softfloat, unmasked_precomputation_exception_hides_later_ones_of_other_elements)
    RUN(softfloat, x87_nan_is_the_larger_significand_the_quiet_one_or_the_positive_one)
    RUN(softfloat, unnormals_and_pseudo_infinities_are_invalid_operands)
    RUN(softfloat, precision_control_rounds_the_significand_not_the_exponent)
    RUN(softfloat, unmasked_overflow_moves_the_exponent_by_24576)
    RUN(softfloat, partial_remainder_reduces_in_steps_and_reports_the_quotient)
    RUN(softfloat, packed_decimal_round_trips_and_has_its_indefinite)
    RUN(softfloat, constants_follow_rounding_control)
    RUN(softfloat, single_precision_is_the_same_on_every_host)
    RUN(softfloat, double_precision_is_the_same_on_every_host)
    RUN(softfloat, extended_precision_is_the_same_on_every_host))
/* clang-format on */
