/* SPDX-License-Identifier: MIT */
/* SSE conversions and rounding to integral values. */

#include "cpu/softfloat/internal.h"

#define QUIET_BIT UINT64_C(0x4000000000000000)

/* A single NaN operand: quieted, IE if it signalled. */
static void quiet(struct fp_env *env, struct fp_num *n)
{
    if (n->cls == FPC_SNAN)
        fp_raise(env, FP_IE);
    n->sig |= QUIET_BIT;
    n->cls = FPC_QNAN;
}

/* ROUNDxx reports neither DE nor, on request, PE. */
static struct fp_num to_integral(struct fp_env *env, struct fp_num n, uint8_t rc, bool suppress_pe)
{
    if (fp_is_nan(&n)) {
        quiet(env, &n);
        return n;
    }
    if (n.cls != FPC_FINITE || n.exp >= 63)
        return n;
    struct fp_integer r = fp_to_integer(&n, rc);
    if (r.inexact && !suppress_pe)
        env->flags |= FP_PE;
    return fp_from_integer(r.mag, n.sign);
}

uint32_t f32_round(struct fp_env *env, uint32_t a, uint8_t rc, bool suppress_pe)
{
    struct fp_num n = to_integral(env, fp_unpack32(a, env->daz), rc, suppress_pe);
    return fp_pack32(&n);
}

uint64_t f64_round(struct fp_env *env, uint64_t a, uint8_t rc, bool suppress_pe)
{
    struct fp_num n = to_integral(env, fp_unpack64(a, env->daz), rc, suppress_pe);
    return fp_pack64(&n);
}

/* Between the two formats: as an arithmetic operation with one operand. */
static struct fp_num convert(struct fp_env *env, const struct fp_format *f, struct fp_num n)
{
    if (fp_is_nan(&n))
        quiet(env, &n);
    else if (n.denormal && fp_raise(env, FP_DE))
        return fp_indefinite();
    else if (n.cls == FPC_FINITE)
        n = fp_finish(env, f, f->prec, fp_widen(&n));
    return n;
}

uint64_t f32_to_f64(struct fp_env *env, uint32_t a)
{
    struct fp_num n = convert(env, &fp_format64, fp_unpack32(a, env->daz));
    return fp_pack64(&n);
}

uint32_t f64_to_f32(struct fp_env *env, uint64_t a)
{
    struct fp_num n = convert(env, &fp_format32, fp_unpack64(a, env->daz));
    return fp_pack32(&n);
}

int32_t f32_to_i32(struct fp_env *env, uint32_t a, uint8_t rc)
{
    struct fp_num n = fp_unpack32(a, env->daz);
    return (int32_t)fp_to_signed(env, &n, 32, rc);
}

int64_t f32_to_i64(struct fp_env *env, uint32_t a, uint8_t rc)
{
    struct fp_num n = fp_unpack32(a, env->daz);
    return fp_to_signed(env, &n, 64, rc);
}

int32_t f64_to_i32(struct fp_env *env, uint64_t a, uint8_t rc)
{
    struct fp_num n = fp_unpack64(a, env->daz);
    return (int32_t)fp_to_signed(env, &n, 32, rc);
}

int64_t f64_to_i64(struct fp_env *env, uint64_t a, uint8_t rc)
{
    struct fp_num n = fp_unpack64(a, env->daz);
    return fp_to_signed(env, &n, 64, rc);
}

/* The integer, rounded once. */
static struct fp_num from_signed(struct fp_env *env, const struct fp_format *f, int64_t v)
{
    bool sign = v < 0;
    struct fp_num n = fp_from_integer(sign ? 0 - (uint64_t)v : (uint64_t)v, sign);
    return fp_finish(env, f, f->prec, fp_widen(&n));
}

uint32_t f32_from_i32(struct fp_env *env, int32_t v)
{
    return f32_from_i64(env, v);
}

uint32_t f32_from_i64(struct fp_env *env, int64_t v)
{
    struct fp_num n = from_signed(env, &fp_format32, v);
    return fp_pack32(&n);
}

uint64_t f64_from_i32(struct fp_env *env, int32_t v)
{
    return f64_from_i64(env, v);
}

uint64_t f64_from_i64(struct fp_env *env, int64_t v)
{
    struct fp_num n = from_signed(env, &fp_format64, v);
    return fp_pack64(&n);
}
