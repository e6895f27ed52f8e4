/* SPDX-License-Identifier: MIT */
/* FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1. */

#include "cpu/softfloat/u128.h"
#include "cpu/softfloat/x87_internal.h"

struct f80 f80_rndint(struct fp_env *env, struct f80 a)
{
    struct fp_num n = fp_unpack80(a), r;
    env->c1_up = false;
    if (x87_special(env, &n, &n, &r))
        return fp_pack80(&r);
    if (n.denormal && fp_raise(env, FP_DE))
        return a;
    if (n.cls != FPC_FINITE || n.exp >= 63)
        return a;
    struct fp_integer i = fp_to_integer(&n, env->rc);
    if (i.inexact)
        env->flags |= FP_PE;
    env->c1_up = i.up;
    n = fp_from_integer(i.mag, n.sign);
    return fp_pack80(&n);
}

/* FSCALE by an infinity: SDM Vol. 2, "FSCALE", table "FSCALE Results". */
static struct fp_num scale_by_infinity(struct fp_env *env, const struct fp_num *a, bool down)
{
    if (a->cls == (down ? FPC_INF : FPC_ZERO)) {
        fp_raise(env, FP_IE);
        return fp_indefinite();
    }
    return down ? fp_zero(a->sign) : fp_infinity(a->sign);
}

/* The integer part of a scale factor, held to where every result has left the range. */
static int32_t scale_steps(const struct fp_num *b)
{
    const int32_t limit = 1 << 17;
    if (b->cls == FPC_ZERO || b->exp < 0)
        return 0;
    int32_t steps = b->exp >= 17 ? limit : (int32_t)(b->sig >> (63 - b->exp));
    return b->sign ? -steps : steps;
}

struct f80 f80_scale(struct fp_env *env, struct f80 a, struct f80 b)
{
    struct fp_num x = fp_unpack80(a), y = fp_unpack80(b), r;
    env->c1_up = false;
    if (x87_special(env, &x, &y, &r))
        return fp_pack80(&r);
    bool invalid = y.cls == FPC_INF && x.cls == (y.sign ? FPC_INF : FPC_ZERO);
    if (!invalid && (x.denormal || y.denormal) && fp_raise(env, FP_DE))
        return a;
    if (y.cls == FPC_INF) {
        r = scale_by_infinity(env, &x, y.sign);
    } else if (x.cls != FPC_FINITE) {
        r = x;
    } else {
        struct fp_wide w = fp_widen(&x);
        w.exp += scale_steps(&y);
        r = fp_finish(env, &fp_format80, 64, w);
    }
    return fp_pack80(&r);
}

struct f80 f80_extract(struct fp_env *env, struct f80 a, struct f80 *exponent)
{
    struct fp_num n = fp_unpack80(a), r;
    env->c1_up = false;
    if (x87_special(env, &n, &n, &r)) {
        *exponent = fp_pack80(&r);
        return *exponent;
    }
    if (n.cls == FPC_ZERO) {
        fp_raise(env, FP_ZE);
        r = fp_infinity(true);
        *exponent = fp_pack80(&r);
        return a;
    }
    if (n.cls == FPC_INF) {
        r = fp_infinity(false);
        *exponent = fp_pack80(&r);
        return a;
    }
    if (n.denormal)
        fp_raise(env, FP_DE);
    *exponent = f80_from_i64(n.exp);
    n.exp = 0;
    return fp_pack80(&n);
}

/* A long division that stopped after the integer part. */
struct division {
    uint64_t quotient; /* its low 64 bits */
    uint64_t rem;      /* remainder, less than the divisor, at the scale of the last step */
};

/* a * 2^steps / b on significands with bit 63 set; steps up to 63. */
static struct division divide(uint64_t a, uint64_t b, int32_t steps)
{
    struct division d = {0, a};
    bool carry = false;
    for (int32_t i = 0;; i++) {
        d.quotient <<= 1;
        if (carry || d.rem >= b) {
            d.rem -= b;
            d.quotient |= 1;
        }
        if (i == steps)
            return d;
        carry = d.rem >> 63 != 0;
        d.rem <<= 1;
    }
}

/* FPREM1: turn a truncated quotient into the nearest one, ties to even. True if the sign flips. */
static bool round_quotient(struct division *d, uint64_t b)
{
    uint64_t other = b - d->rem;
    if (d->rem < other || (d->rem == other && (d->quotient & 1) == 0))
        return false;
    d->quotient++;
    d->rem = other;
    return true;
}

/*
 * Remainder of finite nonzero numbers. An exponent difference D of 64 or more is reduced by N,
 * between 32 and 63, such that D - N is a multiple of 32; SDM Vol. 2, "FPREM", leaves N to the
 * implementation.
 */
static struct fp_wide remainder_of(const struct fp_num *a, const struct fp_num *b, bool nearest,
                                   struct f80_rem *out)
{
    int32_t diff = a->exp - b->exp;
    struct fp_num n = *a;
    struct division d = {0, a->sig};
    int32_t scale = a->exp;
    if (diff < -1 || (diff < 0 && !nearest))
        return fp_widen(a);
    if (diff == -1) { /* a is below b: the nearest quotient is 0 or 1 */
        if (a->sig <= b->sig)
            return fp_widen(a);
        d = (struct division){1, b->sig - (a->sig - b->sig)};
        n.sign = !n.sign;
    } else {
        out->partial = diff >= 64;
        int32_t steps = out->partial ? (diff & 31) | 32 : diff;
        scale = b->exp + diff - steps;
        d = divide(a->sig, b->sig, steps);
        if (nearest && !out->partial && round_quotient(&d, b->sig))
            n.sign = !n.sign;
    }
    if (!out->partial)
        out->quotient = d.quotient & 7;
    if (d.rem == 0)
        return (struct fp_wide){.sign = a->sign};
    unsigned shift = u64_clz(d.rem);
    return (struct fp_wide){.hi = d.rem << shift, .exp = scale - (int32_t)shift, .sign = n.sign};
}

struct f80_rem f80_rem(struct fp_env *env, struct f80 a, struct f80 b, bool nearest)
{
    struct fp_num x = fp_unpack80(a), y = fp_unpack80(b), r;
    struct f80_rem out = {.value = a};
    env->c1_up = false;
    if (x87_special(env, &x, &y, &r)) {
        out.value = fp_pack80(&r);
        return out;
    }
    if (x.cls == FPC_INF || y.cls == FPC_ZERO) {
        fp_raise(env, FP_IE);
        out.value = f80_indefinite();
        return out;
    }
    if ((x.denormal || y.denormal) && fp_raise(env, FP_DE))
        return out;
    if (x.cls == FPC_ZERO)
        return out;
    struct fp_wide w = y.cls == FPC_INF ? fp_widen(&x) : remainder_of(&x, &y, nearest, &out);
    r = fp_finish(env, &fp_format80, 64, w);
    out.value = fp_pack80(&r);
    return out;
}
