/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Fast paths of SSE + - * /, square root and FMA3's fma: host arithmetic, inline, where it cannot
 * be told apart from the softfloat; everything else goes out of line to softfloat.h. Called by the
 * SSE handlers only.
 *
 * sse_try_* give the host's result or say that they can't: a handler whose state sse_fast_mxcsr()
 * allows tries, and goes out of line otherwise. sse_add64() and its like do both.
 *
 * The host is used when RC is nearest, PE is already sticky and masked (so that inexactness needs
 * no detecting), the operands are normal or zero and the result is normal or an exact zero. The JIT
 * of the design meets the same conditions in its own way. Compile with -ffp-contract=off.
 */

#include "cpu/softfloat/softfloat.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A host whose C arithmetic keeps excess precision (x87) would round twice: always softfloat there.
 */
static inline bool sse_fast_ok(const struct fp_env *env)
{
    return FLT_EVAL_METHOD == 0 && env->rc == FP_RC_NEAREST &&
           (env->flags & env->masks & FP_PE) != 0;
}

/* The same of MXCSR itself (SDM Vol. 1, "MXCSR Control and Status Register"): RC 0, PM and PE set.
 */
static inline bool sse_fast_mxcsr(uint32_t mxcsr)
{
    return FLT_EVAL_METHOD == 0 && (mxcsr & 0x7020) == 0x1020;
}

/* Normal, or zero of either sign: the exponent field is neither 0 nor all ones, or nothing is set.
 */
static inline bool sse_plain32(uint32_t v)
{
    uint32_t magnitude = v << 1;
    return magnitude - 0x01000000u < 0xfe000000u || magnitude == 0;
}

static inline bool sse_plain64(uint64_t v)
{
    uint64_t magnitude = v << 1;
    return magnitude - UINT64_C(0x0020000000000000) < UINT64_C(0xffc0000000000000) ||
           magnitude == 0;
}

/* Normal result; the smallest normal is left out, since it may have been rounded up from a tiny
 * one. */
static inline bool sse_normal32(uint32_t v)
{
    return (v << 1) - 0x01000001u < 0xfdffffffu;
}

static inline bool sse_normal64(uint64_t v)
{
    return (v << 1) - UINT64_C(0x0020000000000001) < UINT64_C(0xffbfffffffffffff);
}

static inline float sse_float(uint32_t v)
{
    float f;
    memcpy(&f, &v, sizeof(f));
    return f;
}

static inline uint32_t sse_bits32(float f)
{
    uint32_t v;
    memcpy(&v, &f, sizeof(v));
    return v;
}

static inline double sse_double(uint64_t v)
{
    double d;
    memcpy(&d, &v, sizeof(d));
    return d;
}

static inline uint64_t sse_bits64(double d)
{
    uint64_t v;
    memcpy(&v, &d, sizeof(v));
    return v;
}

/* What a try gave. */
struct sse_try32 {
    uint32_t value; /* the result, if ok */
    bool ok;        /* the host's result is the softfloat's, and no flag but PE could change */
};

struct sse_try64 {
    uint64_t value; /* the result, if ok */
    bool ok;        /* the host's result is the softfloat's, and no flag but PE could change */
};

static inline struct sse_try32 sse_try_add32(uint32_t a, uint32_t b)
{
    uint32_t r = sse_bits32(sse_float(a) + sse_float(b));
    bool plain = sse_plain32(a) && sse_plain32(b);
    /* A zero sum is exact. */
    return (struct sse_try32){r, plain && (sse_normal32(r) || r << 1 == 0)};
}

static inline struct sse_try32 sse_try_sub32(uint32_t a, uint32_t b)
{
    uint32_t r = sse_bits32(sse_float(a) - sse_float(b));
    bool plain = sse_plain32(a) && sse_plain32(b);
    return (struct sse_try32){r, plain && (sse_normal32(r) || r << 1 == 0)};
}

static inline struct sse_try32 sse_try_mul32(uint32_t a, uint32_t b)
{
    uint32_t r = sse_bits32(sse_float(a) * sse_float(b));
    bool plain = sse_plain32(a) && sse_plain32(b);
    /* Otherwise zero is underflow. */
    return (struct sse_try32){r, plain && (sse_normal32(r) || a << 1 == 0 || b << 1 == 0)};
}

static inline struct sse_try32 sse_try_div32(uint32_t a, uint32_t b)
{
    uint32_t r = sse_bits32(sse_float(a) / sse_float(b));
    bool plain = sse_plain32(a) && sse_plain32(b) && b << 1 != 0;
    return (struct sse_try32){r, plain && (sse_normal32(r) || a << 1 == 0)};
}

/* Never tiny, never huge. */
static inline struct sse_try32 sse_try_sqrt32(uint32_t a)
{
    if (!sse_plain32(a) || a >> 31 != 0)
        return (struct sse_try32){0, false};
    return (struct sse_try32){sse_bits32(sqrtf(sse_float(a))), true};
}

static inline struct sse_try64 sse_try_add64(uint64_t a, uint64_t b)
{
    uint64_t r = sse_bits64(sse_double(a) + sse_double(b));
    bool plain = sse_plain64(a) && sse_plain64(b);
    /* A zero sum is exact. */
    return (struct sse_try64){r, plain && (sse_normal64(r) || r << 1 == 0)};
}

static inline struct sse_try64 sse_try_sub64(uint64_t a, uint64_t b)
{
    uint64_t r = sse_bits64(sse_double(a) - sse_double(b));
    bool plain = sse_plain64(a) && sse_plain64(b);
    return (struct sse_try64){r, plain && (sse_normal64(r) || r << 1 == 0)};
}

static inline struct sse_try64 sse_try_mul64(uint64_t a, uint64_t b)
{
    uint64_t r = sse_bits64(sse_double(a) * sse_double(b));
    bool plain = sse_plain64(a) && sse_plain64(b);
    /* Otherwise zero is underflow. */
    return (struct sse_try64){r, plain && (sse_normal64(r) || a << 1 == 0 || b << 1 == 0)};
}

static inline struct sse_try64 sse_try_div64(uint64_t a, uint64_t b)
{
    uint64_t r = sse_bits64(sse_double(a) / sse_double(b));
    bool plain = sse_plain64(a) && sse_plain64(b) && b << 1 != 0;
    return (struct sse_try64){r, plain && (sse_normal64(r) || a << 1 == 0)};
}

/* Never tiny, never huge. */
static inline struct sse_try64 sse_try_sqrt64(uint64_t a)
{
    if (!sse_plain64(a) || a >> 63 != 0)
        return (struct sse_try64){0, false};
    return (struct sse_try64){sse_bits64(sqrt(sse_double(a))), true};
}

static inline uint32_t sse_add32(struct fp_env *env, uint32_t a, uint32_t b)
{
    struct sse_try32 r = sse_try_add32(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f32_add(env, a, b);
}

static inline uint32_t sse_sub32(struct fp_env *env, uint32_t a, uint32_t b)
{
    struct sse_try32 r = sse_try_sub32(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f32_sub(env, a, b);
}

static inline uint32_t sse_mul32(struct fp_env *env, uint32_t a, uint32_t b)
{
    struct sse_try32 r = sse_try_mul32(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f32_mul(env, a, b);
}

static inline uint32_t sse_div32(struct fp_env *env, uint32_t a, uint32_t b)
{
    struct sse_try32 r = sse_try_div32(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f32_div(env, a, b);
}

static inline uint32_t sse_sqrt32(struct fp_env *env, uint32_t a)
{
    struct sse_try32 r = sse_try_sqrt32(a);
    return sse_fast_ok(env) && r.ok ? r.value : f32_sqrt(env, a);
}

static inline uint64_t sse_add64(struct fp_env *env, uint64_t a, uint64_t b)
{
    struct sse_try64 r = sse_try_add64(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f64_add(env, a, b);
}

static inline uint64_t sse_sub64(struct fp_env *env, uint64_t a, uint64_t b)
{
    struct sse_try64 r = sse_try_sub64(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f64_sub(env, a, b);
}

static inline uint64_t sse_mul64(struct fp_env *env, uint64_t a, uint64_t b)
{
    struct sse_try64 r = sse_try_mul64(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f64_mul(env, a, b);
}

static inline uint64_t sse_div64(struct fp_env *env, uint64_t a, uint64_t b)
{
    struct sse_try64 r = sse_try_div64(a, b);
    return sse_fast_ok(env) && r.ok ? r.value : f64_div(env, a, b);
}

static inline uint64_t sse_sqrt64(struct fp_env *env, uint64_t a)
{
    struct sse_try64 r = sse_try_sqrt64(a);
    return sse_fast_ok(env) && r.ok ? r.value : f64_sqrt(env, a);
}

/* The C library's fma rounds once on every host; the signs are those of FP_NEGATE_*. */
static inline uint32_t sse_fma32(struct fp_env *env, uint32_t a, uint32_t b, uint32_t c,
                                 unsigned negate)
{
    if (sse_fast_ok(env) && sse_plain32(a) && sse_plain32(b) && sse_plain32(c)) {
        uint32_t product = negate & FP_NEGATE_PRODUCT ? a ^ 0x80000000u : a;
        uint32_t addend = negate & FP_NEGATE_ADDEND ? c ^ 0x80000000u : c;
        uint32_t r = sse_bits32(fmaf(sse_float(product), sse_float(b), sse_float(addend)));
        if (sse_normal32(r))
            return r;
    }
    return f32_fma(env, a, b, c, negate);
}

static inline uint64_t sse_fma64(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c,
                                 unsigned negate)
{
    if (sse_fast_ok(env) && sse_plain64(a) && sse_plain64(b) && sse_plain64(c)) {
        uint64_t product = negate & FP_NEGATE_PRODUCT ? a ^ UINT64_C(0x8000000000000000) : a;
        uint64_t addend = negate & FP_NEGATE_ADDEND ? c ^ UINT64_C(0x8000000000000000) : c;
        uint64_t r = sse_bits64(fma(sse_double(product), sse_double(b), sse_double(addend)));
        if (sse_normal64(r))
            return r;
    }
    return f64_fma(env, a, b, c, negate);
}
