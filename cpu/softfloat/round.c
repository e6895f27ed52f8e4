/* SPDX-License-Identifier: MIT */
/* The one place that rounds: to a format, or to an integer. */

#include "cpu/softfloat/internal.h"
#include "cpu/softfloat/u128.h"

#define J_BIT UINT64_C(0x8000000000000000)

/* A significand cut to some precision. */
struct cut {
    uint64_t sig; /* left-aligned; 0 means it carried out of bit 63 */
    bool inexact; /* bits were lost */
    bool up;      /* it was incremented */
};

/* Keep the upper prec bits (1 to 64) of hi:lo. */
static struct cut cut_to(uint8_t rc, bool sign, int prec, uint64_t hi, uint64_t lo)
{
    unsigned drop = (unsigned)(64 - prec);
    uint64_t unit = UINT64_C(1) << drop;
    uint64_t rest = hi & (unit - 1);
    bool guard, sticky;
    if (drop == 0) {
        guard = lo >> 63 != 0;
        sticky = lo << 1 != 0;
    } else {
        guard = (rest & unit >> 1) != 0;
        sticky = (rest & ((unit >> 1) - 1)) != 0 || lo != 0;
    }
    struct cut c = {.sig = hi - rest, .inexact = guard || sticky};
    c.up = fp_rounds_up(rc, sign, (hi & unit) != 0, guard, sticky);
    if (c.up)
        c.sig += unit;
    return c;
}

/* Masked overflow: infinity, or the largest number when rounding leads back to it. */
static struct fp_num overflow_value(struct fp_env *env, const struct fp_format *f, int prec,
                                    bool sign)
{
    bool to_inf = env->rc == FP_RC_NEAREST || env->rc == (sign ? FP_RC_DOWN : FP_RC_UP);
    env->c1_up = to_inf;
    if (to_inf)
        return fp_infinity(sign);
    return (struct fp_num){
        .cls = FPC_FINITE, .sign = sign, .exp = f->emax, .sig = UINT64_MAX << (64 - prec)};
}

/*
 * Unmasked overflow or underflow: the exponent moved by f->wrap. Where FSCALE went so far that this
 * is not enough, the result is an inexact infinity or zero, whatever RC says (as measured on an AMD
 * EPYC).
 */
static struct fp_num wrapped(struct fp_env *env, const struct fp_format *f, struct fp_num n,
                             int32_t by)
{
    n.exp += by;
    if (f->wrap == 0 || (n.exp >= f->emin && n.exp <= f->emax))
        return n;
    env->flags |= FP_PE;
    env->c1_up = n.exp > f->emax;
    return env->c1_up ? fp_infinity(n.sign) : fp_zero(n.sign);
}

/* Masked underflow: denormalise first, round once. */
static struct fp_num tiny_value(struct fp_env *env, const struct fp_format *f, int prec,
                                const struct fp_wide *w)
{
    if (env->ftz) {
        env->flags |= FP_UE | FP_PE;
        return fp_zero(w->sign);
    }
    struct u128 s = u128_shr_sticky((struct u128){w->hi, w->lo}, (uint32_t)(f->emin - w->exp));
    struct cut c = cut_to(env->rc, w->sign, prec, s.hi, s.lo);
    if (c.inexact)
        env->flags |= FP_UE | FP_PE;
    env->c1_up = c.up;
    if (c.sig == 0)
        return fp_zero(w->sign);
    return (struct fp_num){.cls = FPC_FINITE, .sign = w->sign, .exp = f->emin, .sig = c.sig};
}

struct fp_num fp_finish(struct fp_env *env, const struct fp_format *f, int prec, struct fp_wide w)
{
    if ((w.hi | w.lo) == 0)
        return fp_zero(w.sign);
    struct cut c = cut_to(env->rc, w.sign, prec, w.hi, w.lo);
    struct fp_num n = {.cls = FPC_FINITE, .sign = w.sign, .exp = w.exp, .sig = c.sig};
    if (c.sig == 0) {
        n.sig = J_BIT;
        n.exp++;
    }
    bool tiny = n.exp<f->emin, huge = n.exp> f->emax;
    if (tiny && (env->masks & FP_UE) != 0)
        return tiny_value(env, f, prec, &w);
    if (c.inexact)
        env->flags |= FP_PE;
    env->c1_up = c.up;
    if (tiny) {
        env->flags |= FP_UE;
        return wrapped(env, f, n, f->wrap);
    }
    if (!huge)
        return n;
    env->flags |= FP_OE;
    if ((env->masks & FP_OE) == 0)
        return wrapped(env, f, n, -f->wrap);
    env->flags |= FP_PE;
    return overflow_value(env, f, prec, w.sign);
}

struct fp_integer fp_to_integer(const struct fp_num *a, uint8_t rc)
{
    if (a->cls == FPC_ZERO)
        return (struct fp_integer){0};
    if (a->exp > 63)
        return (struct fp_integer){.too_big = true};
    struct u128 s = u128_shr_sticky((struct u128){a->sig, 0}, (uint32_t)(63 - a->exp));
    struct fp_integer r = {.mag = s.hi, .inexact = s.lo != 0};
    r.up = fp_rounds_up(rc, a->sign, (s.hi & 1) != 0, s.lo >> 63 != 0, s.lo << 1 != 0);
    r.mag += r.up;
    return r;
}

struct fp_num fp_from_integer(uint64_t mag, bool sign)
{
    if (mag == 0)
        return fp_zero(sign);
    unsigned shift = u64_clz(mag);
    return (struct fp_num){
        .cls = FPC_FINITE, .sign = sign, .exp = 63 - (int32_t)shift, .sig = mag << shift};
}

int64_t fp_to_signed(struct fp_env *env, const struct fp_num *a, unsigned bits, uint8_t rc)
{
    uint64_t limit = UINT64_C(1) << (bits - 1);
    struct fp_integer r = {.too_big = true};
    if (a->cls == FPC_ZERO || a->cls == FPC_FINITE)
        r = fp_to_integer(a, rc);
    if (r.too_big || r.mag > limit || (r.mag == limit && !a->sign)) {
        fp_raise(env, FP_IE);
        return (int64_t)(0 - limit);
    }
    if (r.inexact)
        env->flags |= FP_PE;
    env->c1_up = r.up;
    return (int64_t)(a->sign ? 0 - r.mag : r.mag);
}
