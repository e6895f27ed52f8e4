/* SPDX-License-Identifier: MIT */
/*
 * Special cases of the x87 transcendentals; the true values come from struct fp_transcendentals.
 * SDM Vol. 2, "F2XM1", "FYL2X", "FYL2XP1", "FPATAN", "FSIN", "FCOS", "FPTAN" and their tables of
 * results.
 */

#include "cpu/softfloat/x87_internal.h"

#define J_BIT UINT64_C(0x8000000000000000)

/* pi / 2^n to 128 bits, as FPATAN returns it for zeros and infinities. */
static struct fp_wide pi_over(int32_t n, bool sign)
{
    return (struct fp_wide){.hi = UINT64_C(0xc90fdaa22168c234),
                            .lo = UINT64_C(0xc4c6628b80dc1cd1),
                            .exp = 1 - n,
                            .sign = sign};
}

/* 3 pi / 4 to 128 bits. */
static struct fp_wide three_quarters_pi(bool sign)
{
    return (struct fp_wide){.hi = UINT64_C(0x96cbe3f9990e91a7),
                            .lo = UINT64_C(0x9394c9e8a0a5159d),
                            .exp = 1,
                            .sign = sign};
}

static struct f80 finish(struct fp_env *env, struct fp_wide w)
{
    struct fp_num n = fp_finish(env, &fp_format80, 64, w);
    return fp_pack80(&n);
}

static struct f80 invalid(struct fp_env *env)
{
    fp_raise(env, FP_IE);
    return f80_indefinite();
}

static struct f80 zero(bool sign)
{
    struct fp_num n = fp_zero(sign);
    return fp_pack80(&n);
}

static struct f80 infinity(bool sign)
{
    struct fp_num n = fp_infinity(sign);
    return fp_pack80(&n);
}

static struct f80 one(bool sign)
{
    return (struct f80){.mant = J_BIT, .se = (uint16_t)((sign ? 0x8000 : 0) | 0x3fff)};
}

struct f80 f80_f2xm1(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x)
{
    struct fp_num n = fp_unpack80(x), r;
    env->c1_up = false;
    if (x87_special(env, &n, &n, &r))
        return fp_pack80(&r);
    if (n.cls == FPC_INF)
        return n.sign ? one(true) : x;
    if (n.cls == FPC_ZERO || (n.denormal && fp_raise(env, FP_DE)))
        return x;
    if (n.exp >= 0) { /* outside (-1, 1): only the ends are defined; the rest is left as it is */
        bool is_minus_one = n.exp == 0 && n.sig == J_BIT && n.sign;
        return is_minus_one ? (struct f80){.mant = J_BIT, .se = 0xbffe} : x;
    }
    return finish(env, t->f2xm1(x));
}

/* y * log2(x) where the logarithm is infinite with the given sign. */
static struct f80 times_infinite_log(struct fp_env *env, const struct fp_num *y, bool log_sign,
                                     bool from_zero)
{
    if (y->cls == FPC_ZERO)
        return invalid(env);
    if (from_zero && y->cls == FPC_FINITE)
        fp_raise(env, FP_ZE);
    return infinity(y->sign != log_sign);
}

/* y * 0 with the sign of the logarithm. */
static struct f80 times_zero_log(struct fp_env *env, const struct fp_num *y, bool log_sign)
{
    return y->cls == FPC_INF ? invalid(env) : zero(y->sign != log_sign);
}

struct f80 f80_fyl2x(struct fp_env *env, const struct fp_transcendentals *t, struct f80 y,
                     struct f80 x)
{
    struct fp_num a = fp_unpack80(y), b = fp_unpack80(x), r;
    env->c1_up = false;
    if (x87_special(env, &a, &b, &r))
        return fp_pack80(&r);
    if (b.cls == FPC_ZERO)
        return times_infinite_log(env, &a, true, true);
    if (b.sign)
        return invalid(env);
    bool is_one = b.cls == FPC_FINITE && b.exp == 0 && b.sig == J_BIT;
    bool is_invalid = (b.cls == FPC_INF && a.cls == FPC_ZERO) || (is_one && a.cls == FPC_INF);
    if (!is_invalid && (a.denormal || b.denormal) && fp_raise(env, FP_DE))
        return y;
    if (b.cls == FPC_INF)
        return times_infinite_log(env, &a, false, false);
    if (is_one)
        return times_zero_log(env, &a, false);
    bool log_sign = b.exp < 0;
    if (a.cls == FPC_INF)
        return infinity(a.sign != log_sign);
    if (a.cls == FPC_ZERO)
        return zero(a.sign != log_sign);
    return finish(env, t->fyl2x(y, x));
}

struct f80 f80_fyl2xp1(struct fp_env *env, const struct fp_transcendentals *t, struct f80 y,
                       struct f80 x)
{
    struct fp_num a = fp_unpack80(y), b = fp_unpack80(x), r;
    env->c1_up = false;
    if (x87_special(env, &a, &b, &r))
        return fp_pack80(&r);
    if ((b.cls == FPC_INF && (b.sign || a.cls == FPC_ZERO)) ||
        (b.cls == FPC_ZERO && a.cls == FPC_INF))
        return invalid(env);
    if (b.cls == FPC_FINITE && b.sign && b.exp >= 0)
        return invalid(env); /* x <= -1: undefined in the manual */
    if ((a.denormal || b.denormal) && fp_raise(env, FP_DE))
        return y;
    if (b.cls == FPC_INF || a.cls == FPC_INF)
        return infinity(a.sign != b.sign);
    if (b.cls == FPC_ZERO || a.cls == FPC_ZERO)
        return zero(a.sign != b.sign);
    return finish(env, t->fyl2xp1(y, x));
}

/* FPATAN when an operand is zero or infinite: a multiple of pi / 4. */
static struct f80 axis_angle(struct fp_env *env, const struct fp_num *y, const struct fp_num *x)
{
    bool y_small = y->cls == FPC_ZERO || (y->cls == FPC_FINITE && x->cls == FPC_INF);
    if (y->cls == FPC_INF && x->cls == FPC_INF)
        return finish(env, x->sign ? three_quarters_pi(y->sign) : pi_over(2, y->sign));
    if (!y_small)
        return finish(env, pi_over(1, y->sign));
    return x->sign ? finish(env, pi_over(0, y->sign)) : zero(y->sign);
}

struct f80 f80_fpatan(struct fp_env *env, const struct fp_transcendentals *t, struct f80 y,
                      struct f80 x)
{
    struct fp_num a = fp_unpack80(y), b = fp_unpack80(x), r;
    env->c1_up = false;
    if (x87_special(env, &a, &b, &r))
        return fp_pack80(&r);
    if ((a.denormal || b.denormal) && fp_raise(env, FP_DE))
        return y;
    if (a.cls != FPC_FINITE || b.cls != FPC_FINITE)
        return axis_angle(env, &a, &b);
    return finish(env, t->fpatan(y, x));
}

/* What FSIN, FCOS and FPTAN have to do with an operand. */
enum trig_case {
    TRIG_DONE,    /* *out holds the result */
    TRIG_RANGE,   /* |x| >= 2^63: C2 */
    TRIG_COMPUTE, /* finite, nonzero, in range */
};

static enum trig_case trig_prepare(struct fp_env *env, struct f80 x, bool cosine, struct f80 *out)
{
    struct fp_num n = fp_unpack80(x), r;
    env->c1_up = false;
    *out = x;
    if (x87_special(env, &n, &n, &r)) {
        *out = fp_pack80(&r);
        return TRIG_DONE;
    }
    if (n.cls == FPC_INF) {
        *out = invalid(env);
        return TRIG_DONE;
    }
    if (n.cls == FPC_ZERO) {
        if (cosine)
            *out = one(false);
        return TRIG_DONE;
    }
    if (n.exp >= 63)
        return TRIG_RANGE;
    if (n.denormal && fp_raise(env, FP_DE))
        return TRIG_DONE;
    return TRIG_COMPUTE;
}

static bool trig(struct fp_env *env, struct fp_wide (*value)(struct f80), bool cosine, struct f80 x,
                 struct f80 *out)
{
    enum trig_case c = trig_prepare(env, x, cosine, out);
    if (c == TRIG_COMPUTE)
        *out = finish(env, value(x));
    return c != TRIG_RANGE;
}

bool f80_fsin(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x, struct f80 *out)
{
    return trig(env, t->fsin, false, x, out);
}

bool f80_fcos(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x, struct f80 *out)
{
    return trig(env, t->fcos, true, x, out);
}

bool f80_fptan(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x,
               struct f80 *out)
{
    return trig(env, t->fptan, false, x, out);
}
