/* SPDX-License-Identifier: MIT */
/* Conversions between floating-point formats and integers: XMM, MMX and general registers. SDM Vol.
 * 2A, "CVTxx". */
#include "cpu/interp/sse_fp.h"

/* ---- between XMM registers, or XMM and MMX ---- */

SIMD_FN(cvtss2sd)
{
    d->q[0] = f32_to_f64(env, low_f32(s));
}

SIMD_FN(cvtsd2ss)
{
    set_f32(d, f64_to_f32(env, s->q[0]));
}

SIMD_FN(cvtps2pd)
{
    uint64_t low = widen_f32(env, low_f32(s));
    *d = v128_make(low, widen_f32(env, (uint32_t)(s->q[0] >> 32)));
}

SIMD_FN(cvtpd2ps)
{
    uint32_t low = f64_to_f32(env, s->q[0]);
    *d = v128_make(pair32(low, f64_to_f32(env, s->q[1])), 0);
}

SIMD_FN(cvtdq2ps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = f32_of_i32(env, (int32_t)s->d[i]);
}

SIMD_FN(cvtdq2pd) /* exact */
{
    *d = v128_make(f64_of_i32((int32_t)s->q[0]), f64_of_i32((int32_t)(s->q[0] >> 32)));
}

SIMD_FN(cvtps2dq)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = (uint32_t)f32_to_i32(env, s->d[i], env->rc);
}

SIMD_FN(cvttps2dq)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = truncate_f32(env, s->d[i]);
}

static uint64_t ps_to_i32(struct fp_env *env, uint64_t s, uint8_t rc)
{
    uint32_t low = (uint32_t)f32_to_i32(env, (uint32_t)s, rc);
    return pair32(low, (uint32_t)f32_to_i32(env, (uint32_t)(s >> 32), rc));
}

SIMD_FN(cvtpd2dq) /* and CVTPD2PI, whose DEST has no upper half */
{
    uint32_t low = (uint32_t)f64_to_i32(env, s->q[0], env->rc);
    *d = v128_make(pair32(low, (uint32_t)f64_to_i32(env, s->q[1], env->rc)), 0);
}

SIMD_FN(cvttpd2dq)
{
    uint32_t low = truncate_f64(env, s->q[0]);
    *d = v128_make(pair32(low, truncate_f64(env, s->q[1])), 0);
}

SIMD_FN(cvtps2pi)
{
    d->q[0] = ps_to_i32(env, s->q[0], env->rc);
}

SIMD_FN(cvttps2pi)
{
    d->q[0] = ps_to_i32(env, s->q[0], FP_RC_ZERO);
}

SIMD_FN(cvtpi2ps) /* the upper half of DEST stays */
{
    uint32_t low = f32_from_i32(env, (int32_t)s->q[0]);
    d->q[0] = pair32(low, f32_from_i32(env, (int32_t)(s->q[0] >> 32)));
}

ALWAYS_INLINE int widen_ss(struct vcpu *vcpu, const struct rec *rec, uint32_t a)
{
    if (unlikely(!sse_plain32(a)))
        return exec_simd(vcpu, rec);
    xmm_set_low(vcpu, rec->dst, sse_bits64((double)sse_float(a)));
    NEXT;
}

ALWAYS_INLINE int narrow_sd(struct vcpu *vcpu, const struct rec *rec, uint64_t a)
{
    uint32_t r = sse_bits32((float)sse_double(a));
    bool ok =
        sse_fast_mxcsr(vcpu->arch.mxcsr) && sse_plain64(a) && (sse_normal32(r) || a << 1 == 0);
    if (unlikely(!ok))
        return exec_simd(vcpu, rec);
    xmm_set_low32(vcpu, rec->dst, r);
    NEXT;
}

/* clang-format off */
SCALAR_FORMS(cvtss2sd, widen_ss, 32, xmm_low32)
SCALAR_FORMS(cvtsd2ss, narrow_sd, 64, xmm_low)
/* clang-format on */

/* clang-format off */
#define FP_ROW(OP, name) [OP_##OP] = {.fn = do_##name, .attr = ROW_FP}
const struct simd_row simd_convert_rows[] = {
    [OP_CVTSS2SD] = {.fn = do_cvtss2sd, .hot_r = exec_cvtss2sd_r, .hot_m = exec_cvtss2sd_m, .attr = ROW_FP},
    [OP_CVTSD2SS] = {.fn = do_cvtsd2ss, .hot_r = exec_cvtsd2ss_r, .hot_m = exec_cvtsd2ss_m, .attr = ROW_FP},
    FP_ROW(CVTPS2PD, cvtps2pd), FP_ROW(CVTPD2PS, cvtpd2ps), FP_ROW(CVTDQ2PS, cvtdq2ps), FP_ROW(CVTDQ2PD, cvtdq2pd),
    FP_ROW(CVTPS2DQ, cvtps2dq), FP_ROW(CVTTPS2DQ, cvttps2dq), FP_ROW(CVTPD2DQ, cvtpd2dq), FP_ROW(CVTTPD2DQ, cvttpd2dq),
    FP_ROW(CVTPD2PI, cvtpd2dq), FP_ROW(CVTTPD2PI, cvttpd2dq), FP_ROW(CVTPS2PI, cvtps2pi), FP_ROW(CVTTPS2PI, cvttps2pi),
    FP_ROW(CVTPI2PS, cvtpi2ps), FP_ROW(CVTPI2PD, cvtdq2pd),
};
/* clang-format on */
const size_t simd_convert_count = ARRAY_SIZE(simd_convert_rows);

/* ---- with general registers ---- */

SIMD_FN(cvtsi2ss_32)
{
    set_f32(d, f32_from_i32(env, (int32_t)s->q[0]));
}

SIMD_FN(cvtsi2ss_64)
{
    set_f32(d, f32_from_i64(env, (int64_t)s->q[0]));
}

SIMD_FN(cvtsi2sd_32)
{
    d->q[0] = f64_from_i32(env, (int32_t)s->q[0]);
}

SIMD_FN(cvtsi2sd_64)
{
    d->q[0] = f64_from_i64(env, (int64_t)s->q[0]);
}

/* clang-format off */
#define TO_GPR(name, f, low, mode)                                                           \
    SIMD_FN(name##_32) { d->q[0] = (uint32_t)f##_to_i32(env, low, mode); }                   \
    SIMD_FN(name##_64) { d->q[0] = (uint64_t)f##_to_i64(env, low, mode); }
TO_GPR(cvtss2si, f32, low_f32(s), env->rc)
TO_GPR(cvttss2si, f32, low_f32(s), FP_RC_ZERO)
TO_GPR(cvtsd2si, f64, s->q[0], env->rc)
TO_GPR(cvttsd2si, f64, s->q[0], FP_RC_ZERO)
/* clang-format on */

/* Integers that a format holds exactly need no rounding; the others the host rounds only when
 * inexactness is sticky. */
ALWAYS_INLINE int from_integer(struct vcpu *vcpu, const struct rec *rec, int64_t v, unsigned bits)
{
    int64_t exact = INT64_C(1) << (bits == 32 ? 24 : 53);
    if (unlikely((v < -exact || v > exact) && !sse_fast_mxcsr(vcpu->arch.mxcsr)))
        return exec_simd(vcpu, rec);
    if (bits == 32)
        xmm_set_low32(vcpu, rec->dst, sse_bits32((float)v));
    else
        xmm_set_low(vcpu, rec->dst, sse_bits64((double)v));
    NEXT;
}

/* Truncation of a plain value in range: PE if a fraction is lost, which must be sticky and masked
 * already. */
ALWAYS_INLINE int to_integer(struct vcpu *vcpu, const struct rec *rec, double v, bool plain,
                             unsigned width)
{
    double limit = width == 32 ? 0x1p31 : 0x1p63;
    if (unlikely(!plain || v >= limit || v < -limit))
        return exec_simd(vcpu, rec);
    int64_t r = (int64_t)v;
    if (unlikely((double)r != v && !sse_fast_mxcsr(vcpu->arch.mxcsr)))
        return exec_simd(vcpu, rec);
    if (width == 32)
        reg_set32(vcpu, rec->dst, (uint64_t)r);
    else
        reg_set64(vcpu, rec->dst, (uint64_t)r);
    NEXT;
}

/* clang-format off */
#define FROM_GPR(name, bits)                                                                              \
    EXEC(name##_32_r) { return from_integer(vcpu, rec, (int32_t)reg_get(vcpu, rec->src), bits); }         \
    EXEC(name##_64_r) { return from_integer(vcpu, rec, (int64_t)reg_get(vcpu, rec->src), bits); }         \
    EXEC(name##_32_m)                                                                                     \
    {                                                                                                     \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), 4);                  \
        return at.ok ? from_integer(vcpu, rec, (int32_t)le32_load(at.host), bits) : exec_simd(vcpu, rec); \
    }                                                                                                     \
    EXEC(name##_64_m)                                                                                     \
    {                                                                                                     \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), 8);                  \
        return at.ok ? from_integer(vcpu, rec, (int64_t)le64_load(at.host), bits) : exec_simd(vcpu, rec); \
    }
FROM_GPR(cvtsi2ss, 32)
FROM_GPR(cvtsi2sd, 64)

#define TO_INTEGER(name, width, bits, value)                                                  \
    ALWAYS_INLINE int name##_##width(struct vcpu *vcpu, const struct rec *rec, uint##bits##_t a) \
    {                                                                                         \
        return to_integer(vcpu, rec, value(a), sse_plain##bits(a), width);                    \
    }
TO_INTEGER(cvttss2si, 32, 32, (double)sse_float)
TO_INTEGER(cvttss2si, 64, 32, (double)sse_float)
TO_INTEGER(cvttsd2si, 32, 64, sse_double)
TO_INTEGER(cvttsd2si, 64, 64, sse_double)
SCALAR_FORMS(cvttss2si_32, cvttss2si_32, 32, xmm_low32)
SCALAR_FORMS(cvttss2si_64, cvttss2si_64, 32, xmm_low32)
SCALAR_FORMS(cvttsd2si_32, cvttsd2si_32, 64, xmm_low)
SCALAR_FORMS(cvttsd2si_64, cvttsd2si_64, 64, xmm_low)
/* clang-format on */

/* ---- choosing ---- */

/* One mnemonic with a 32-bit (0) and a 64-bit (1) general register or integer. */
struct convert_row {
    uint16_t op;        /* enum op */
    simd_fn *fn[2];     /* meaning */
    exec_fn *hot[2][2]; /* register and memory form, or NULL */
};

/* clang-format off */
#define BOTH(name) {do_##name##_32, do_##name##_64}
#define HOT_BOTH(name) {{exec_##name##_32_r, exec_##name##_32_m}, {exec_##name##_64_r, exec_##name##_64_m}}
static const struct convert_row gpr_rows[] = {
    {OP_CVTSI2SD, BOTH(cvtsi2sd), HOT_BOTH(cvtsi2sd)},
    {OP_CVTSI2SS, BOTH(cvtsi2ss), HOT_BOTH(cvtsi2ss)},
    {OP_CVTTSD2SI, BOTH(cvttsd2si), HOT_BOTH(cvttsd2si)},
    {OP_CVTTSS2SI, BOTH(cvttss2si), HOT_BOTH(cvttss2si)},
    {OP_CVTSD2SI, BOTH(cvtsd2si), {{NULL}}},
    {OP_CVTSS2SI, BOTH(cvtss2si), {{NULL}}},
};
/* clang-format on */

static const struct convert_row *convert_row_of(unsigned op)
{
    for (size_t i = 0; i < ARRAY_SIZE(gpr_rows); i++)
        if (gpr_rows[i].op == op)
            return &gpr_rows[i];
    return NULL;
}

simd_fn *sse_convert_gpr_meaning(unsigned op, bool is_wide)
{
    const struct convert_row *row = convert_row_of(op);
    return row ? row->fn[is_wide] : NULL;
}

exec_fn *sse_select_convert_gpr(struct selection *s, struct rec *rec, unsigned op)
{
    const struct operand *o = s->in->operands;
    const struct convert_row *row = convert_row_of(op);
    if (!row)
        return NULL;
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    /* The integer is the operand that is no XMM register; of CVTSD2SI r, m64 it is DEST. */
    bool is_wide = (o[0].kind == OPND_GPR ? o[0].size : o[1].size) == 8;
    simd_prepare(s, rec, row->fn[is_wide], ROW_FP);
    exec_fn *hot = s->in->has_mem && !s->mem64 ? NULL : row->hot[is_wide][s->in->has_mem];
    return hot ? hot : exec_simd;
}
