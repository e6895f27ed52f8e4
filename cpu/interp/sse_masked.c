/* SPDX-License-Identifier: MIT */
/* What a mask in a register chooses: BLENDVPS, BLENDVPD, PBLENDVB by XMM0; MASKMOVQ and MASKMOVDQU
 * to memory. */
#include "cpu/interp/sse.h"

/* ---- blends.  SDM Vol. 2A, "BLENDVPS", Vol. 2B, "PBLENDVB": the sign bit of XMM0's lane takes SRC
 * ---- */

union v128 simd_blend(union v128 d, union v128 s, union v128 mask, unsigned bytes)
{
    union v128 m = bytes == 1   ? v_pcmpgtb(v128_make(0, 0), mask)
                   : bytes == 4 ? v_psrad(mask, 31)
                                : v_pcmpgtq(v128_make(0, 0), mask);
    d.u64 = VEC_SELECT(m.u64, s.u64, d.u64);
    return d;
}

static NOINLINE bool blend_work(struct vcpu *vcpu, const struct rec *rec, unsigned bytes)
{
    union v128 s;
    if (!simd_source(vcpu, rec, &s))
        return false;
    xmm_set(vcpu, rec->dst, simd_blend(xmm_get(vcpu, rec->dst), s, xmm_get(vcpu, 0), bytes));
    return true;
}

/* clang-format off */
#define BLEND(name, bytes)                                  \
    EXEC(name)                                              \
    {                                                       \
        if (unlikely(!blend_work(vcpu, rec, bytes)))        \
            return exec_fault(vcpu, rec);                   \
        NEXT;                                               \
    }
BLEND(pblendvb, 1)
BLEND(blendvps, 4)
BLEND(blendvpd, 8)
/* clang-format on */

/* ---- masked stores.  SDM Vol. 2B, "MASKMOVDQU", "MASKMOVQ" ---- */

/*
 * The whole operand is checked, whatever the mask: alignment (to 8), canonical, writable. The
 * manual lets processors differ ("mask of all 0s": faults "may still be signaled (implementation
 * dependent)"); AMD's do this.
 */
static bool store_masked(struct vcpu *vcpu, const struct rec *rec, union v128 v, unsigned mask,
                         unsigned size)
{
    struct linear at = simd_linear(vcpu, rec, size, ACCESS_WRITE);
    for (unsigned i = 0; i < size; i += 8)
        if (!at.ok || !mem_probe_write(vcpu, rec, at.la + i, 8))
            return false;
    for (unsigned i = 0; i < size; i++) {
        bool stored = !(mask >> i & 1) || mem_store_slow(vcpu, rec, at.la + i, 1, v.b[LANE_B(i)]);
        assert(stored); /* it was probed with write intent */
    }
    return true;
}

static NOINLINE bool maskmov_work(struct vcpu *vcpu, const struct rec *rec)
{
    if (rec->imm & SIMD_MMX) {
        const uint64_t *mm = vcpu->arch.fp_mant;
        if (!simd_enter_mmx(vcpu, rec) ||
            !store_masked(vcpu, rec, v128_make(mm[rec->dst], 0), simd_mask8(mm[rec->src]), 8))
            return false;
        simd_commit_mmx(vcpu);
        return true;
    }
    return store_masked(vcpu, rec, xmm_get(vcpu, rec->dst), v_pmovmskb(xmm_get(vcpu, rec->src)),
                        16);
}

EXEC(maskmov)
{
    if (unlikely(!maskmov_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* The operand is DS:[rDI], or another segment's; it is not among the decoded ones. */
static void fill_di(const struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    bool is_fs_gs = in->seg == SEG_FS || in->seg == SEG_GS;
    rec->base = REC_GPR + REG_RDI;
    rec->index = REC_NONE;
    rec->disp = 0;
    rec->scale = (uint8_t)(s->mem64 ? 0 : in->addrsize << 4);
    rec->seg = !s->mem64 || is_fs_gs ? in->seg : SEG_ZERO;
}

exec_fn *sse_select_masked(struct selection *s, struct rec *rec)
{
    exec_fn *fn;
    switch (s->in->op) {
    case OP_PBLENDVB:
        fn = exec_pblendvb;
        break;
    case OP_BLENDVPS:
        fn = exec_blendvps;
        break;
    case OP_BLENDVPD:
        fn = exec_blendvpd;
        break;
    case OP_MASKMOVQ:
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
        fn = exec_maskmov;
        break;
    default:
        return NULL;
    }
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    simd_prepare(s, rec, NULL, 0);
    if (fn == exec_maskmov)
        fill_di(s, rec);
    return fn;
}
