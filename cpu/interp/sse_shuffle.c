/* SPDX-License-Identifier: MIT */
/* Between lanes: unpack, pack, shuffle, blend, insert, extract, extend. XMM and MMX. */
#include "cpu/interp/sse.h"

/* clang-format off */
SIMD_HOT(punpcklbw) SIMD_HOT(punpckhbw) SIMD_HOT(punpcklwd) SIMD_HOT(punpckhwd) SIMD_HOT(punpckldq)
SIMD_HOT(punpckhdq) SIMD_HOT(punpcklqdq) SIMD_HOT(punpckhqdq) SIMD_HOT(packuswb) SIMD_HOT(packssdw)
SIMD_HOT(packsswb) SIMD_HOT(packusdw) SIMD_HOT(phaddw) SIMD_HOT(phaddd) SIMD_HOT(phaddsw) SIMD_HOT(phsubw)
SIMD_HOT(phsubd) SIMD_HOT(phsubsw)
SIMD_MEANING(punpcklbw) SIMD_MEANING(punpckhbw) SIMD_MEANING(punpcklwd) SIMD_MEANING(punpckhwd)
SIMD_MEANING(punpckldq) SIMD_MEANING(punpckhdq) SIMD_MEANING(punpcklqdq) SIMD_MEANING(punpckhqdq)
SIMD_MEANING(packuswb) SIMD_MEANING(packssdw) SIMD_MEANING(packsswb) SIMD_MEANING(packusdw)
SIMD_MEANING(phaddw) SIMD_MEANING(phaddd) SIMD_MEANING(phaddsw) SIMD_MEANING(phsubw) SIMD_MEANING(phsubd)
SIMD_MEANING(phsubsw)

/*
 * On MMX registers by the meaning on XMM: packs and horizontal sums see DEST and SRC as one value; the high half of two
 * MMX registers is the upper quadword of the unpacked low half.
 */
#define MMX_JOINED(name)                                                                \
    SIMD_FN(name##_mmx) { *d = v_##name(v128_make(d->q[0], s->q[0]), v128_make(0, 0)); }
#define MMX_HIGH(high, low)                                                             \
    SIMD_FN(high##_mmx) { d->q[0] = v_##low(*d, *s).q[1]; }
MMX_JOINED(packsswb) MMX_JOINED(packuswb) MMX_JOINED(packssdw) MMX_JOINED(phaddw) MMX_JOINED(phaddd)
MMX_JOINED(phaddsw) MMX_JOINED(phsubw) MMX_JOINED(phsubd) MMX_JOINED(phsubsw)
MMX_HIGH(punpckhbw, punpcklbw) MMX_HIGH(punpckhwd, punpcklwd) MMX_HIGH(punpckhdq, punpckldq)
    /* clang-format on */

    /* ---- shuffles ---- */

    SIMD_MEANING_IMM(pshufd)

        SIMD_FN(shufps)
{
    *d = v_shufps(*d, *s, imm);
}

SIMD_FN(shufpd)
{
    *d = v128_make(d->q[imm & 1], s->q[imm >> 1 & 1]);
}

SIMD_FN(pshuflw)
{
    *d = v128_make(simd_shuffle_words(s->q[0], imm), s->q[1]);
}

SIMD_FN(pshufhw)
{
    *d = v128_make(s->q[0], simd_shuffle_words(s->q[1], imm));
}

SIMD_FN(pshufb)
{
    *d = v_pshufb(*d, *s);
}

SIMD_FN(pshufb_mmx) /* three bits of index */
{
    *d = v_pshufb(*d, v128_make(s->q[0] & UINT64_C(0x8787878787878787), 0));
}

SIMD_FN(palignr)
{
    *d = v_palignr(*d, *s, imm);
}

SIMD_FN(palignr_mmx)
{
    *d = v_psrldq(v128_make(s->q[0], d->q[0]), imm);
}

SIMD_FN(movsldup)
{
    *d = v_shufps(*s, *s, 0xa0);
}

SIMD_FN(movshdup)
{
    *d = v_shufps(*s, *s, 0xf5);
}

SIMD_FN(movddup)
{
    *d = v128_make(s->q[0], s->q[0]);
}

EXEC(pshufd_r)
{
    xmm_set(vcpu, rec->dst, v_pshufd(xmm_get(vcpu, rec->src), simd_imm8(rec)));
    NEXT;
}

EXEC(shufps_r)
{
    xmm_set(vcpu, rec->dst,
            v_shufps(xmm_get(vcpu, rec->dst), xmm_get(vcpu, rec->src), simd_imm8(rec)));
    NEXT;
}

EXEC(pshufb_r)
{
    xmm_set(vcpu, rec->dst, v_pshufb(xmm_get(vcpu, rec->dst), xmm_get(vcpu, rec->src)));
    NEXT;
}

EXEC(palignr_r)
{
    xmm_set(vcpu, rec->dst,
            v_palignr(xmm_get(vcpu, rec->dst), xmm_get(vcpu, rec->src), simd_imm8(rec)));
    NEXT;
}

/* ---- blends by immediate ---- */

SIMD_FN(blendps)
{
    for (unsigned i = 0; i < 4; i++)
        if (imm >> i & 1)
            d->d[LANE_D(i)] = s->d[LANE_D(i)];
}

SIMD_FN(blendpd)
{
    for (unsigned i = 0; i < 2; i++)
        if (imm >> i & 1)
            d->q[i] = s->q[i];
}

SIMD_FN(pblendw)
{
    for (unsigned i = 0; i < 8; i++)
        if (imm >> i & 1)
            d->w[LANE_W(i)] = s->w[LANE_W(i)];
}

/* ---- one lane ---- */

SIMD_FN(pinsrb)
{
    d->b[LANE_B(imm & 15)] = (uint8_t)s->q[0];
}

SIMD_FN(pinsrw)
{
    d->w[LANE_W(imm & 7)] = (uint16_t)s->q[0];
}

SIMD_FN(pinsrw_mmx)
{
    d->w[LANE_W(imm & 3)] = (uint16_t)s->q[0];
}

SIMD_FN(pinsrd)
{
    d->d[LANE_D(imm & 3)] = (uint32_t)s->q[0];
}

SIMD_FN(pinsrq)
{
    d->q[imm & 1] = s->q[0];
}

SIMD_FN(pextrb)
{
    d->q[0] = s->b[LANE_B(imm & 15)];
}

SIMD_FN(pextrw)
{
    d->q[0] = s->w[LANE_W(imm & 7)];
}

SIMD_FN(pextrw_mmx)
{
    d->q[0] = s->w[LANE_W(imm & 3)];
}

SIMD_FN(pextrd) /* and EXTRACTPS */
{
    d->q[0] = s->d[LANE_D(imm & 3)];
}

SIMD_FN(pextrq)
{
    d->q[0] = s->q[imm & 1];
}

/* imm: 7:6 lane of SRC (the selection clears it for memory), 5:4 lane of DEST, 3:0 lanes to clear.
 * "INSERTPS" */
SIMD_FN(insertps)
{
    d->d[LANE_D(imm >> 4 & 3)] = s->d[LANE_D(imm >> 6 & 3)];
    for (unsigned i = 0; i < 4; i++)
        if (imm >> i & 1)
            d->d[LANE_D(i)] = 0;
}

/* ---- extensions ---- */

/* clang-format off */
/* SDM Vol. 2B, "PMOVSX", "PMOVZX": lanes of the low part of SRC, sign- or zero-extended. */
#define EXTEND_LANES(name, to, LANE_TO, count, utype, from, LANE_FROM, type)        \
    SIMD_FN(name)                                                                   \
    {                                                                               \
        for (unsigned i = 0; i < (count); i++)                                      \
            d->to[LANE_TO(i)] = (utype)(type)s->from[LANE_FROM(i)];                 \
    }
#define LANE_Q(i) (i)
EXTEND_LANES(pmovsxbw, w, LANE_W, 8, uint16_t, b, LANE_B, int8_t)
EXTEND_LANES(pmovsxbd, d, LANE_D, 4, uint32_t, b, LANE_B, int8_t)
EXTEND_LANES(pmovsxbq, q, LANE_Q, 2, uint64_t, b, LANE_B, int8_t)
EXTEND_LANES(pmovsxwd, d, LANE_D, 4, uint32_t, w, LANE_W, int16_t)
EXTEND_LANES(pmovsxwq, q, LANE_Q, 2, uint64_t, w, LANE_W, int16_t)
EXTEND_LANES(pmovsxdq, q, LANE_Q, 2, uint64_t, d, LANE_D, int32_t)
EXTEND_LANES(pmovzxbw, w, LANE_W, 8, uint16_t, b, LANE_B, uint8_t)
EXTEND_LANES(pmovzxbd, d, LANE_D, 4, uint32_t, b, LANE_B, uint8_t)
EXTEND_LANES(pmovzxbq, q, LANE_Q, 2, uint64_t, b, LANE_B, uint8_t)
EXTEND_LANES(pmovzxwd, d, LANE_D, 4, uint32_t, w, LANE_W, uint16_t)
EXTEND_LANES(pmovzxwq, q, LANE_Q, 2, uint64_t, w, LANE_W, uint16_t)
EXTEND_LANES(pmovzxdq, q, LANE_Q, 2, uint64_t, d, LANE_D, uint32_t)

/* ---- table ---- */

#define HOT(OP, name) [OP_##OP] = {.fn = do_##name, .hot_r = exec_##name##_r, .hot_m = exec_##name##_m}
#define HOT_MMX(OP, name, mmx_name)                                                                  \
    [OP_##OP] = {.fn = do_##name, .mmx = do_##mmx_name, .hot_r = exec_##name##_r, .hot_m = exec_##name##_m}
#define ANY(OP, name) [OP_##OP] = {.fn = do_##name}
#define ANY_MMX(OP, name, mmx_name) [OP_##OP] = {.fn = do_##name, .mmx = do_##mmx_name}
#define HOT_REG(OP, name) [OP_##OP] = {.fn = do_##name, .hot_r = exec_##name##_r}

const struct simd_row simd_shuffle_rows[] = {
    HOT_MMX(PUNPCKLBW, punpcklbw, punpcklbw), HOT_MMX(PUNPCKLWD, punpcklwd, punpcklwd),
    HOT_MMX(PUNPCKLDQ, punpckldq, punpckldq), HOT_MMX(PUNPCKHBW, punpckhbw, punpckhbw_mmx),
    HOT_MMX(PUNPCKHWD, punpckhwd, punpckhwd_mmx), HOT_MMX(PUNPCKHDQ, punpckhdq, punpckhdq_mmx),
    HOT_MMX(PACKUSWB, packuswb, packuswb_mmx), HOT_MMX(PACKSSDW, packssdw, packssdw_mmx),
    HOT_MMX(PACKSSWB, packsswb, packsswb_mmx), HOT_MMX(PHADDW, phaddw, phaddw_mmx),
    HOT_MMX(PHADDD, phaddd, phaddd_mmx), HOT_MMX(PHADDSW, phaddsw, phaddsw_mmx),
    HOT_MMX(PHSUBW, phsubw, phsubw_mmx), HOT_MMX(PHSUBD, phsubd, phsubd_mmx),
    HOT_MMX(PHSUBSW, phsubsw, phsubsw_mmx), HOT(PACKUSDW, packusdw), HOT(PUNPCKLQDQ, punpcklqdq),
    HOT(PUNPCKHQDQ, punpckhqdq), HOT(UNPCKLPS, punpckldq), HOT(UNPCKHPS, punpckhdq), HOT(UNPCKLPD, punpcklqdq),
    HOT(UNPCKHPD, punpckhqdq), HOT_REG(PSHUFD, pshufd), HOT_REG(SHUFPS, shufps), ANY(SHUFPD, shufpd),
    ANY(PSHUFLW, pshuflw), ANY(PSHUFHW, pshufhw), ANY_MMX(PSHUFW, pshuflw, pshuflw),
    [OP_PSHUFB] = {.fn = do_pshufb, .mmx = do_pshufb_mmx, .hot_r = exec_pshufb_r},
    [OP_PALIGNR] = {.fn = do_palignr, .mmx = do_palignr_mmx, .hot_r = exec_palignr_r}, ANY(MOVSLDUP, movsldup),
    ANY(MOVSHDUP, movshdup), ANY(MOVDDUP, movddup), ANY(BLENDPS, blendps), ANY(BLENDPD, blendpd),
    ANY(PBLENDW, pblendw), ANY(PINSRB, pinsrb), ANY_MMX(PINSRW, pinsrw, pinsrw_mmx), ANY(PINSRD, pinsrd),
    ANY(PINSRQ, pinsrq), ANY(PEXTRB, pextrb), ANY_MMX(PEXTRW, pextrw, pextrw_mmx), ANY(PEXTRD, pextrd),
    ANY(PEXTRQ, pextrq), ANY(EXTRACTPS, pextrd), ANY(INSERTPS, insertps), ANY(PMOVSXBW, pmovsxbw),
    ANY(PMOVZXBW, pmovzxbw), ANY(PMOVSXBD, pmovsxbd), ANY(PMOVZXBD, pmovzxbd), ANY(PMOVSXBQ, pmovsxbq),
    ANY(PMOVZXBQ, pmovzxbq), ANY(PMOVSXWD, pmovsxwd), ANY(PMOVZXWD, pmovzxwd), ANY(PMOVSXWQ, pmovsxwq),
    ANY(PMOVZXWQ, pmovzxwq), ANY(PMOVSXDQ, pmovsxdq), ANY(PMOVZXDQ, pmovzxdq),
};
/* clang-format on */
const size_t simd_shuffle_count = ARRAY_SIZE(simd_shuffle_rows);
