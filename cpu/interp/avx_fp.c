/* SPDX-License-Identifier: MIT */
/* VEX floating point: short cuts by the host's arithmetic for the frequent ones, dot products, and
 * half precision (F16C). */
#include "cpu/interp/avx.h"

#include "cpu/interp/sse_fp.h"

/* ---- DEST := SRC1 op SRC2 ---- */

/* clang-format off */
#define AVX_SCALAR(name, t, bits)                                                                        \
    ALWAYS_INLINE int v##name##t(struct vcpu *vcpu, const struct rec *rec, union v128 a, uint##bits##_t b) \
    {                                                                                                    \
        struct sse_try##bits r = sse_try_##name##bits((uint##bits##_t)a.q[0], b);                        \
        if (unlikely(!sse_fast_mxcsr(vcpu->arch.mxcsr) || !r.ok))                                        \
            return exec_vex(vcpu, rec);                                                                  \
        uint64_t low = (bits) == 32 ? (a.q[0] & ~(uint64_t)UINT32_MAX) | r.value : r.value;              \
        ymm_set_low(vcpu, rec->dst, v128_make(low, a.q[1]));                                             \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(v##name##t##_r)                                                                                 \
    {                                                                                                    \
        return v##name##t(vcpu, rec, xmm_get(vcpu, rec->base), (uint##bits##_t)xmm_low(vcpu, rec->src)); \
    }                                                                                                    \
    EXEC(v##name##t##_m)                                                                                 \
    {                                                                                                    \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), (bits) / 8);        \
        if (unlikely(!at.ok))                                                                            \
            return exec_vex(vcpu, rec);                                                                  \
        return v##name##t(vcpu, rec, xmm_get(vcpu, rec->src), le##bits##_load(at.host));                 \
    }                                                                                                    \
    static exec_fn *const v##name##t##_hot[VEX_FORMS] = {                                                \
        [VEX_R128] = exec_v##name##t##_r, [VEX_M128] = exec_v##name##t##_m};

#define AVX_PACKED(name, t, array, bits)                                                                 \
    ALWAYS_INLINE int v##name##t(struct vcpu *vcpu, const struct rec *rec, struct v256 a, struct v256 b, \
                                 unsigned lanes)                                                         \
    {                                                                                                    \
        bool ok = sse_fast_mxcsr(vcpu->arch.mxcsr);                                                      \
        struct v256 d = {{v128_make(0, 0), v128_make(0, 0)}};                                            \
        for (unsigned l = 0; l < lanes; l++) {                                                           \
            for (unsigned i = 0; i < 128 / (bits); i++) {                                                \
                struct sse_try##bits r = sse_try_##name##bits(a.lane[l].array[i], b.lane[l].array[i]);   \
                d.lane[l].array[i] = r.value;                                                            \
                ok &= r.ok;                                                                              \
            }                                                                                            \
        }                                                                                                \
        if (unlikely(!ok))                                                                               \
            return exec_vex(vcpu, rec);                                                                  \
        ymm_set(vcpu, rec->dst, d);                                                                      \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(v##name##t##_r128)                                                                              \
    {                                                                                                    \
        return v##name##t(vcpu, rec, ymm_get(vcpu, rec->base), ymm_get(vcpu, rec->src), 1);              \
    }                                                                                                    \
    EXEC(v##name##t##_r256)                                                                              \
    {                                                                                                    \
        return v##name##t(vcpu, rec, ymm_get(vcpu, rec->base), ymm_get(vcpu, rec->src), 2);              \
    }                                                                                                    \
    EXEC(v##name##t##_m128)                                                                              \
    {                                                                                                    \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), 16);                \
        if (unlikely(!at.ok))                                                                            \
            return exec_vex(vcpu, rec);                                                                  \
        struct v256 b = {{v128_load(at.host), v128_make(0, 0)}};                                         \
        return v##name##t(vcpu, rec, ymm_get(vcpu, rec->src), b, 1);                                     \
    }                                                                                                    \
    EXEC(v##name##t##_m256)                                                                              \
    {                                                                                                    \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), 32);                \
        if (unlikely(!at.ok))                                                                            \
            return exec_vex(vcpu, rec);                                                                  \
        return v##name##t(vcpu, rec, ymm_get(vcpu, rec->src), v256_load(at.host), 2);                    \
    }                                                                                                    \
    static exec_fn *const v##name##t##_hot[VEX_FORMS] = {exec_v##name##t##_r128, exec_v##name##t##_r256, \
                                                         exec_v##name##t##_m128, exec_v##name##t##_m256};

#define AVX_BINARY(name) \
    AVX_SCALAR(name, ss, 32) AVX_SCALAR(name, sd, 64) AVX_PACKED(name, ps, d, 32) AVX_PACKED(name, pd, q, 64)
AVX_BINARY(add)
AVX_BINARY(sub)
AVX_BINARY(mul)
AVX_BINARY(div)
AVX_BINARY(min)
AVX_BINARY(max)

#define HOT(OP, name) [OP_V##OP] = v##name##_hot
#define HOTS(OP, name) HOT(OP##SS, name##ss), HOT(OP##SD, name##sd), HOT(OP##PS, name##ps), HOT(OP##PD, name##pd)
static exec_fn *const *const hot_rows[] = {
    HOTS(ADD, add), HOTS(SUB, sub), HOTS(MUL, mul), HOTS(DIV, div), HOTS(MIN, min), HOTS(MAX, max),
};
/* clang-format on */

exec_fn *avx_hot_fp(const struct selection *s, const struct rec *rec)
{
    unsigned op = s->in->op;
    enum vex_form form = vex_form_of(s, rec);
    return form < VEX_FORMS && op < ARRAY_SIZE(hot_rows) && hot_rows[op] ? hot_rows[op][form]
                                                                         : NULL;
}

/* ---- dot products.  SDM Vol. 2A, "DPPS", "DPPD" ---- */

static NOINLINE bool dot_work(struct vcpu *vcpu, const struct rec *rec, bool is_double)
{
    struct v256 s, d = ymm_get(vcpu, vex_a(rec));
    unsigned lanes = rec->imm & VEX_256 ? 2 : 1, imm = simd_imm8(rec);
    if (!vex_source(vcpu, rec, &s))
        return false;
    if (is_double ? !sse_dppd(vcpu, d.lane, s.lane, imm)
                  : !sse_dpps(vcpu, d.lane, s.lane, lanes, imm))
        return false;
    if (lanes == 1)
        d.lane[1] = v128_make(0, 0);
    ymm_set(vcpu, rec->dst, d);
    return true;
}

EXEC(vdpps)
{
    if (unlikely(!dot_work(vcpu, rec, false)))
        return exec_fault(vcpu, rec);
    NEXT;
}

EXEC(vdppd)
{
    if (unlikely(!dot_work(vcpu, rec, true)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* ---- half precision.  SDM Vol. 2C, "VCVTPH2PS", "VCVTPS2PH" ---- */

SIMD_FN(cvtph2ps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[LANE_D(i)] = f16_to_f32(env, s->w[LANE_W(i)]);
}

/* imm 2: MXCSR.RC, else imm 1:0. */
SIMD_FN(cvtps2ph)
{
    uint64_t r = 0;
    uint8_t rc = imm & 4 ? env->rc : (uint8_t)(imm & 3);
    for (unsigned i = 0; i < 4; i++)
        r |= (uint64_t)f32_to_f16(env, s->d[LANE_D(i)], rc) << 16 * i;
    *d = v128_make(r, 0);
}

exec_fn *avx_select_fp(struct selection *s, struct rec *rec)
{
    switch (s->in->op) {
    case OP_VDPPS:
        vex_prepare(s, rec, NULL, ROW_FP);
        return exec_vdpps;
    case OP_VDPPD:
        vex_prepare(s, rec, NULL, ROW_FP);
        return exec_vdppd;
    case OP_VCVTPH2PS:
        return vex_select_lanes(s, rec, do_cvtph2ps, ROW_FP);
    case OP_VCVTPS2PH:
        return vex_select_lanes(s, rec, do_cvtps2ph, ROW_FP);
    default:
        return NULL;
    }
}
