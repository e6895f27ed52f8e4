/* SPDX-License-Identifier: MIT */
/* VEX packed integers: short cuts for the frequent ones, and what legacy SSE does not have. */
#include "cpu/interp/avx.h"

/* ---- DEST := SRC1 op SRC2 ---- */

/* clang-format off */
#define AVX_HOT(name)                                                                                    \
    EXEC(v##name##_r128)                                                                                 \
    {                                                                                                    \
        ymm_set_low(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->base), xmm_get(vcpu, rec->src)));        \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(v##name##_r256)                                                                                 \
    {                                                                                                    \
        union v128 low = v_##name(ymm_lane(vcpu, rec->base, 0), ymm_lane(vcpu, rec->src, 0));            \
        union v128 high = v_##name(ymm_lane(vcpu, rec->base, 1), ymm_lane(vcpu, rec->src, 1));           \
        ymm_set_lanes(vcpu, rec->dst, low, high);                                                        \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(v##name##_m128)                                                                                 \
    {                                                                                                    \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), 16);                \
        if (unlikely(!at.ok))                                                                            \
            return exec_vex(vcpu, rec);                                                                  \
        ymm_set_low(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->src), v128_load(at.host)));              \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(v##name##_m256)                                                                                 \
    {                                                                                                    \
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), 32);                \
        if (unlikely(!at.ok))                                                                            \
            return exec_vex(vcpu, rec);                                                                  \
        union v128 low = v_##name(ymm_lane(vcpu, rec->src, 0), v128_load(at.host));                      \
        union v128 high = v_##name(ymm_lane(vcpu, rec->src, 1), v128_load(at.host + 16));                \
        ymm_set_lanes(vcpu, rec->dst, low, high);                                                        \
        NEXT;                                                                                            \
    }                                                                                                    \
    static exec_fn *const v##name##_hot[VEX_FORMS] = {exec_v##name##_r128, exec_v##name##_r256,          \
                                                      exec_v##name##_m128, exec_v##name##_m256};
AVX_HOT(paddb) AVX_HOT(paddw) AVX_HOT(paddd) AVX_HOT(paddq) AVX_HOT(psubb) AVX_HOT(psubw) AVX_HOT(psubd)
AVX_HOT(psubq) AVX_HOT(pand) AVX_HOT(pandn) AVX_HOT(por) AVX_HOT(pxor) AVX_HOT(pcmpeqb) AVX_HOT(pcmpeqw)
AVX_HOT(pcmpeqd) AVX_HOT(pcmpeqq) AVX_HOT(pcmpgtb) AVX_HOT(pcmpgtd) AVX_HOT(pminub) AVX_HOT(pminud)
AVX_HOT(pmaxub) AVX_HOT(pmuludq) AVX_HOT(pmulld) AVX_HOT(pmaddwd) AVX_HOT(punpckldq) AVX_HOT(punpckhdq)
AVX_HOT(punpcklqdq) AVX_HOT(punpckhqdq) AVX_HOT(pshufb)

/* By an immediate. */
#define AVX_SHIFT(name)                                                                                  \
    EXEC(v##name##_i128)                                                                                 \
    {                                                                                                    \
        ymm_set_low(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->base), simd_imm8(rec)));                 \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(v##name##_i256)                                                                                 \
    {                                                                                                    \
        union v128 low = v_##name(ymm_lane(vcpu, rec->base, 0), simd_imm8(rec));                         \
        union v128 high = v_##name(ymm_lane(vcpu, rec->base, 1), simd_imm8(rec));                        \
        ymm_set_lanes(vcpu, rec->dst, low, high);                                                        \
        NEXT;                                                                                            \
    }                                                                                                    \
    static exec_fn *const v##name##_shift[2] = {exec_v##name##_i128, exec_v##name##_i256};
AVX_SHIFT(pslld) AVX_SHIFT(psllq) AVX_SHIFT(psrld) AVX_SHIFT(psrlq) AVX_SHIFT(psrad)

#define HOT(OP, name) [OP_V##OP] = v##name##_hot
static exec_fn *const *const hot_rows[] = {
    HOT(PADDB, paddb), HOT(PADDW, paddw), HOT(PADDD, paddd), HOT(PADDQ, paddq), HOT(PSUBB, psubb), HOT(PSUBW, psubw),
    HOT(PSUBD, psubd), HOT(PSUBQ, psubq), HOT(PAND, pand), HOT(PANDN, pandn), HOT(POR, por), HOT(PXOR, pxor),
    HOT(ANDPS, pand), HOT(ANDPD, pand), HOT(ANDNPS, pandn), HOT(ANDNPD, pandn), HOT(ORPS, por), HOT(ORPD, por),
    HOT(XORPS, pxor), HOT(XORPD, pxor), HOT(PCMPEQB, pcmpeqb), HOT(PCMPEQW, pcmpeqw), HOT(PCMPEQD, pcmpeqd),
    HOT(PCMPEQQ, pcmpeqq), HOT(PCMPGTB, pcmpgtb), HOT(PCMPGTD, pcmpgtd), HOT(PMINUB, pminub), HOT(PMINUD, pminud),
    HOT(PMAXUB, pmaxub), HOT(PMULUDQ, pmuludq), HOT(PMULLD, pmulld), HOT(PMADDWD, pmaddwd),
    HOT(PUNPCKLDQ, punpckldq), HOT(PUNPCKHDQ, punpckhdq), HOT(PUNPCKLQDQ, punpcklqdq), HOT(PUNPCKHQDQ, punpckhqdq),
    HOT(UNPCKLPS, punpckldq), HOT(UNPCKHPS, punpckhdq), HOT(UNPCKLPD, punpcklqdq), HOT(UNPCKHPD, punpckhqdq),
    HOT(PSHUFB, pshufb),
};
#define SHIFT(OP, name) [OP_V##OP] = v##name##_shift
static exec_fn *const *const shift_rows[] = {
    SHIFT(PSLLD, pslld), SHIFT(PSLLQ, psllq), SHIFT(PSRLD, psrld), SHIFT(PSRLQ, psrlq), SHIFT(PSRAD, psrad),
};
/* clang-format on */

exec_fn *avx_hot_int(const struct selection *s, const struct rec *rec)
{
    unsigned op = s->in->op;
    enum vex_form form = vex_form_of(s, rec);
    if (rec_source(rec) == PLACE_IMM && op < ARRAY_SIZE(shift_rows) && shift_rows[op])
        return shift_rows[op][rec->imm & VEX_256 ? 1 : 0];
    if (form < VEX_FORMS && op < ARRAY_SIZE(hot_rows) && hot_rows[op])
        return hot_rows[op][form];
    return NULL;
}

/* ---- shifts by the counts of SRC2's lanes.  SDM Vol. 2C, "VPSLLVD", "VPSRLVD", "VPSRAVD" ---- */

SIMD_FN(vpsllvd)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = s->d[i] < 32 ? d->d[i] << s->d[i] : 0;
}

SIMD_FN(vpsllvq)
{
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = s->q[i] < 64 ? d->q[i] << s->q[i] : 0;
}

SIMD_FN(vpsrlvd)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = s->d[i] < 32 ? d->d[i] >> s->d[i] : 0;
}

SIMD_FN(vpsrlvq)
{
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = s->q[i] < 64 ? d->q[i] >> s->q[i] : 0;
}

SIMD_FN(vpsravd)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = (uint32_t)((int32_t)d->d[i] >> (s->d[i] < 32 ? s->d[i] : 31));
}

/* ---- masks and tests ---- */

EXEC(vpmovmskb_128)
{
    const uint64_t *q = &vcpu->arch.ymm[4 * rec->src];
    reg_set32(vcpu, rec->dst, simd_mask8(q[0]) | simd_mask8(q[1]) << 8);
    NEXT;
}

EXEC(vpmovmskb_256)
{
    const uint64_t *q = &vcpu->arch.ymm[4 * rec->src];
    reg_set32(vcpu, rec->dst,
              simd_mask8(q[0]) | simd_mask8(q[1]) << 8 | simd_mask8(q[2]) << 16 |
                  simd_mask8(q[3]) << 24);
    NEXT;
}

static struct v256 flags(bool zf, bool cf)
{
    return (struct v256){{v128_make((zf ? F_ZF : 0u) | (cf ? F_CF : 0u), 0), v128_make(0, 0)}};
}

/* ZF: no common bit of `bits`; CF: no such bit of SRC outside DEST. */
static struct v256 test(const struct vex_operands *x, uint64_t bits)
{
    uint64_t both = 0, outside = 0;
    for (unsigned i = 0; i < 2 * x->lanes; i++) {
        uint64_t d = x->d.lane[i / 2].q[i & 1], s = x->b.lane[i / 2].q[i & 1];
        both |= d & s & bits;
        outside |= ~d & s & bits;
    }
    return flags(!both, !outside);
}

static struct v256 vptest(const struct vex_operands *x) /* SDM Vol. 2B, "PTEST" */
{
    return test(x, UINT64_MAX);
}

static struct v256 vtestps(const struct vex_operands *x) /* SDM Vol. 2C, "VTESTPD/VTESTPS": signs */
{
    return test(x, UINT64_C(0x8000000080000000));
}

static struct v256 vtestpd(const struct vex_operands *x)
{
    return test(x, UINT64_C(0x8000000000000000));
}

/* Sign bits of 32-bit or 64-bit lanes. */
static struct v256 vmovmskps(const struct vex_operands *x)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 4 * x->lanes; i++)
        mask |= (uint64_t)(x->b.lane[i / 4].d[LANE_D(i & 3)] >> 31) << i;
    return (struct v256){{v128_make(mask, 0), v128_make(0, 0)}};
}

static struct v256 vmovmskpd(const struct vex_operands *x)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 2 * x->lanes; i++)
        mask |= x->b.lane[i / 2].q[i & 1] >> 63 << i;
    return (struct v256){{v128_make(mask, 0), v128_make(0, 0)}};
}

exec_fn *avx_select_int(struct selection *s, struct rec *rec)
{
    switch (s->in->op) {
    case OP_VPSLLVD:
        return vex_select_lanes(s, rec, do_vpsllvd, 0);
    case OP_VPSLLVQ:
        return vex_select_lanes(s, rec, do_vpsllvq, 0);
    case OP_VPSRLVD:
        return vex_select_lanes(s, rec, do_vpsrlvd, 0);
    case OP_VPSRLVQ:
        return vex_select_lanes(s, rec, do_vpsrlvq, 0);
    case OP_VPSRAVD:
        return vex_select_lanes(s, rec, do_vpsravd, 0);
    case OP_VPMOVMSKB:
        return vex_is_256(s->in) ? exec_vpmovmskb_256 : exec_vpmovmskb_128;
    case OP_VPTEST:
        return vex_select_whole(s, rec, vptest);
    case OP_VTESTPS:
        return vex_select_whole(s, rec, vtestps);
    case OP_VTESTPD:
        return vex_select_whole(s, rec, vtestpd);
    case OP_VMOVMSKPS:
        return vex_select_whole(s, rec, vmovmskps);
    case OP_VMOVMSKPD:
        return vex_select_whole(s, rec, vmovmskpd);
    default:
        return NULL;
    }
}
