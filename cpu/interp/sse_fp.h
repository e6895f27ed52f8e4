/* SPDX-License-Identifier: MIT */
/* What the floating-point files of SSE share. Included by sse_fp*.c and sse_convert.c alone; owns
 * nothing. */
#pragma once

#include "cpu/interp/sse.h"
#include "cpu/softfloat/sse_fast.h"

/* The lowest single. */
static inline uint32_t low_f32(const union v128 *v)
{
    return (uint32_t)v->q[0];
}

/* Only the lowest single changes. */
static inline void set_f32(union v128 *d, uint32_t v)
{
    d->q[0] = (d->q[0] & ~UINT64_C(0xffffffff)) | v;
}

/* Two doublewords as a quadword, low first. */
static inline uint64_t pair32(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

/* ---- tries of what sse_fast.h has not ---- */

/* The smaller, the larger: SRC if they are equal. Plain operands raise nothing, whatever MXCSR
 * says. */
static inline struct sse_try32 sse_try_min32(uint32_t a, uint32_t b)
{
    return (struct sse_try32){sse_float(a) < sse_float(b) ? a : b,
                              sse_plain32(a) && sse_plain32(b)};
}

static inline struct sse_try32 sse_try_max32(uint32_t a, uint32_t b)
{
    return (struct sse_try32){sse_float(a) > sse_float(b) ? a : b,
                              sse_plain32(a) && sse_plain32(b)};
}

static inline struct sse_try64 sse_try_min64(uint64_t a, uint64_t b)
{
    return (struct sse_try64){sse_double(a) < sse_double(b) ? a : b,
                              sse_plain64(a) && sse_plain64(b)};
}

static inline struct sse_try64 sse_try_max64(uint64_t a, uint64_t b)
{
    return (struct sse_try64){sse_double(a) > sse_double(b) ? a : b,
                              sse_plain64(a) && sse_plain64(b)};
}

/* ---- what the host may do in any mode: nothing is rounded, and the flags are known ---- */

static inline enum fp_relation compare_f32(struct fp_env *env, uint32_t a, uint32_t b,
                                           bool signalling)
{
    if (unlikely(!sse_plain32(a) || !sse_plain32(b)))
        return f32_compare(env, a, b, signalling);
    float x = sse_float(a), y = sse_float(b);
    return x < y ? FP_LESS : x == y ? FP_EQUAL : FP_GREATER;
}

static inline enum fp_relation compare_f64(struct fp_env *env, uint64_t a, uint64_t b,
                                           bool signalling)
{
    if (unlikely(!sse_plain64(a) || !sse_plain64(b)))
        return f64_compare(env, a, b, signalling);
    double x = sse_double(a), y = sse_double(b);
    return x < y ? FP_LESS : x == y ? FP_EQUAL : FP_GREATER;
}

/* Widening is exact. */
static inline uint64_t widen_f32(struct fp_env *env, uint32_t a)
{
    return likely(sse_plain32(a)) ? sse_bits64((double)sse_float(a)) : f32_to_f64(env, a);
}

/* Integers up to 2^24 are exact. */
static inline uint32_t f32_of_i32(struct fp_env *env, int32_t v)
{
    return v >= -0x1000000 && v <= 0x1000000 ? sse_bits32((float)v) : f32_from_i32(env, v);
}

/* All 32-bit integers are. */
static inline uint64_t f64_of_i32(int32_t v)
{
    return sse_bits64((double)v);
}

/* Truncation loses a fraction (PE) or does not. */
static inline uint32_t truncate_f64(struct fp_env *env, uint64_t a)
{
    double x = sse_double(a);
    if (unlikely(!sse_plain64(a) || x >= 0x1p31 || x <= -0x1p31))
        return (uint32_t)f64_to_i32(env, a, FP_RC_ZERO);
    int32_t r = (int32_t)x;
    env->flags |= (double)r != x ? FP_PE : 0;
    return (uint32_t)r;
}

static inline uint32_t truncate_f32(struct fp_env *env, uint32_t a)
{
    if (unlikely(!sse_plain32(a)))
        return (uint32_t)f32_to_i32(env, a, FP_RC_ZERO);
    return truncate_f64(env, sse_bits64((double)sse_float(a)));
}

/*
 * To an integral value by rc, for magnitudes below 2^52 (2^23): adding that number rounds to
 * nearest even, and what is one off in the direction of rc is corrected.
 */
static inline uint64_t integral_f64(struct fp_env *env, uint64_t a, uint8_t rc, bool suppress_pe)
{
    const double big = 0x1p52;
    bool negative = a >> 63;
    double m = sse_double(a & INT64_MAX), r = (m + big) - big;
    if (unlikely(FLT_EVAL_METHOD != 0 || !sse_plain64(a) || m >= big))
        return f64_round(env, a, rc, suppress_pe);
    if (rc != FP_RC_NEAREST && rc == (negative ? FP_RC_DOWN : FP_RC_UP))
        r += r < m ? 1 : 0;
    else if (rc != FP_RC_NEAREST)
        r -= r > m ? 1 : 0;
    env->flags |= r != m && !suppress_pe ? FP_PE : 0;
    return sse_bits64(r) | (uint64_t)negative << 63;
}

static inline uint32_t integral_f32(struct fp_env *env, uint32_t a, uint8_t rc, bool suppress_pe)
{
    const float big = 0x1p23f;
    bool negative = a >> 31;
    float m = sse_float(a & INT32_MAX), r = (m + big) - big;
    if (unlikely(FLT_EVAL_METHOD != 0 || !sse_plain32(a) || m >= big))
        return f32_round(env, a, rc, suppress_pe);
    if (rc != FP_RC_NEAREST && rc == (negative ? FP_RC_DOWN : FP_RC_UP))
        r += r < m ? 1 : 0;
    else if (rc != FP_RC_NEAREST)
        r -= r > m ? 1 : 0;
    env->flags |= r != m && !suppress_pe ? FP_PE : 0;
    return sse_bits32(r) | (uint32_t)negative << 31;
}

/* clang-format off */
/* Short cuts of an instruction with a scalar source: call(vcpu, rec, SRC) ends the handler. */
#define SCALAR_FORMS(name, call, bits, low)                                                            \
    EXEC(name##_r) { return call(vcpu, rec, low(vcpu, rec->src)); }                                    \
    EXEC(name##_m)                                                                                     \
    {                                                                                                  \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), (bits) / 8);      \
        if (unlikely(!at.ok))                                                                          \
            return exec_simd(vcpu, rec);                                                               \
        return call(vcpu, rec, le##bits##_load(at.host));                                              \
    }
/* clang-format on */

/* CVTSI2SS, CVTSI2SD, CVTSS2SI ...: their meaning depends on the size of the general register. op:
 * s->in's without V. */
exec_fn *sse_select_convert_gpr(struct selection *s, struct rec *rec, unsigned op);
simd_fn *sse_convert_gpr_meaning(unsigned op, bool is_wide); /* NULL: no such op */

/* DPPS, DPPD. */
select_fn sse_select_dot;

/*
 * Their meaning for some 128-bit lanes at once. Each step of all lanes reports its exceptions
 * before the next is computed: an unmasked one ends the instruction with the flags so far. False:
 * run.fault.
 */
bool sse_dpps(struct vcpu *vcpu, union v128 *d, const union v128 *s, unsigned lanes, unsigned imm);
bool sse_dppd(struct vcpu *vcpu, union v128 *d, const union v128 *s, unsigned imm);
