/* SPDX-License-Identifier: MIT */
/* SSE arithmetic, minimum and maximum, comparison. */

#include "cpu/softfloat/internal.h"

/* Lowest bit of the quiet bit in the left-aligned payload. */
#define QUIET_BIT UINT64_C(0x4000000000000000)

/*
 * NaN operands: the first source if it is a NaN, else the second, quieted; IE if either signals.
 * SDM Vol. 1, table "Rules for Handling NaNs". A QNaN outranks DE and ZE.
 */
static struct fp_num sse_nan(struct fp_env *env, const struct fp_num *a, const struct fp_num *b)
{
    if (a->cls == FPC_SNAN || b->cls == FPC_SNAN)
        fp_raise(env, FP_IE);
    struct fp_num n = fp_is_nan(a) ? *a : *b;
    n.sig |= QUIET_BIT;
    n.cls = FPC_QNAN;
    return n;
}

static struct fp_num sse_binary(struct fp_env *env, const struct fp_format *f, enum fp_op op,
                                const struct fp_num *a, const struct fp_num *b)
{
    if (fp_is_nan(a) || fp_is_nan(b))
        return sse_nan(env, a, b);
    return fp_arith(env, f, f->prec, op, a, b, a->denormal || b->denormal);
}

static uint32_t binary32(struct fp_env *env, enum fp_op op, uint32_t a, uint32_t b)
{
    struct fp_num x = fp_unpack32(a, env->daz), y = fp_unpack32(b, env->daz);
    x = sse_binary(env, &fp_format32, op, &x, &y);
    return fp_pack32(&x);
}

static uint64_t binary64(struct fp_env *env, enum fp_op op, uint64_t a, uint64_t b)
{
    struct fp_num x = fp_unpack64(a, env->daz), y = fp_unpack64(b, env->daz);
    x = sse_binary(env, &fp_format64, op, &x, &y);
    return fp_pack64(&x);
}

uint32_t f32_add(struct fp_env *env, uint32_t a, uint32_t b)
{
    return binary32(env, FP_ADD, a, b);
}

uint32_t f32_sub(struct fp_env *env, uint32_t a, uint32_t b)
{
    return binary32(env, FP_SUB, a, b);
}

uint32_t f32_mul(struct fp_env *env, uint32_t a, uint32_t b)
{
    return binary32(env, FP_MUL, a, b);
}

uint32_t f32_div(struct fp_env *env, uint32_t a, uint32_t b)
{
    return binary32(env, FP_DIV, a, b);
}

uint64_t f64_add(struct fp_env *env, uint64_t a, uint64_t b)
{
    return binary64(env, FP_ADD, a, b);
}

uint64_t f64_sub(struct fp_env *env, uint64_t a, uint64_t b)
{
    return binary64(env, FP_SUB, a, b);
}

uint64_t f64_mul(struct fp_env *env, uint64_t a, uint64_t b)
{
    return binary64(env, FP_MUL, a, b);
}

uint64_t f64_div(struct fp_env *env, uint64_t a, uint64_t b)
{
    return binary64(env, FP_DIV, a, b);
}

uint32_t f32_sqrt(struct fp_env *env, uint32_t a)
{
    struct fp_num x = fp_unpack32(a, env->daz);
    x = fp_is_nan(&x) ? sse_nan(env, &x, &x) : fp_root(env, &fp_format32, fp_format32.prec, &x);
    return fp_pack32(&x);
}

uint64_t f64_sqrt(struct fp_env *env, uint64_t a)
{
    struct fp_num x = fp_unpack64(a, env->daz);
    x = fp_is_nan(&x) ? sse_nan(env, &x, &x) : fp_root(env, &fp_format64, fp_format64.prec, &x);
    return fp_pack64(&x);
}

static enum fp_relation sse_compare(struct fp_env *env, const struct fp_num *a,
                                    const struct fp_num *b, bool signalling)
{
    if (fp_is_nan(a) || fp_is_nan(b)) {
        if (signalling || a->cls == FPC_SNAN || b->cls == FPC_SNAN)
            fp_raise(env, FP_IE);
        return FP_UNORDERED;
    }
    if (a->denormal || b->denormal)
        fp_raise(env, FP_DE);
    return fp_order(a, b);
}

enum fp_relation f32_compare(struct fp_env *env, uint32_t a, uint32_t b, bool signalling)
{
    struct fp_num x = fp_unpack32(a, env->daz), y = fp_unpack32(b, env->daz);
    return sse_compare(env, &x, &y, signalling);
}

enum fp_relation f64_compare(struct fp_env *env, uint64_t a, uint64_t b, bool signalling)
{
    struct fp_num x = fp_unpack64(a, env->daz), y = fp_unpack64(b, env->daz);
    return sse_compare(env, &x, &y, signalling);
}

/* The second operand passes unchanged, but DAZ makes a zero of it where it is a denormal. */
static uint32_t flush32(const struct fp_env *env, uint32_t v)
{
    return env->daz && (v & 0x7f800000) == 0 ? v & 0x80000000 : v;
}

static uint64_t flush64(const struct fp_env *env, uint64_t v)
{
    bool tiny = (v & UINT64_C(0x7ff0000000000000)) == 0;
    return env->daz && tiny ? v & UINT64_C(0x8000000000000000) : v;
}

uint32_t f32_min(struct fp_env *env, uint32_t a, uint32_t b)
{
    return flush32(env, f32_compare(env, a, b, true) == FP_LESS ? a : b);
}

uint32_t f32_max(struct fp_env *env, uint32_t a, uint32_t b)
{
    return flush32(env, f32_compare(env, a, b, true) == FP_GREATER ? a : b);
}

uint64_t f64_min(struct fp_env *env, uint64_t a, uint64_t b)
{
    return flush64(env, f64_compare(env, a, b, true) == FP_LESS ? a : b);
}

uint64_t f64_max(struct fp_env *env, uint64_t a, uint64_t b)
{
    return flush64(env, f64_compare(env, a, b, true) == FP_GREATER ? a : b);
}
