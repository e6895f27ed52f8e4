/* SPDX-License-Identifier: MIT */
/* Packed integers, lane by lane: arithmetic, logic, compares, shifts. XMM and MMX. */
#include "cpu/interp/sse.h"

/* clang-format off */
SIMD_HOT(paddb) SIMD_HOT(paddw) SIMD_HOT(paddd) SIMD_HOT(paddq) SIMD_HOT(psubb) SIMD_HOT(psubw) SIMD_HOT(psubd)
SIMD_HOT(psubq) SIMD_HOT(pand) SIMD_HOT(pandn) SIMD_HOT(por) SIMD_HOT(pxor) SIMD_HOT(pcmpeqb) SIMD_HOT(pcmpeqw)
SIMD_HOT(pcmpeqd) SIMD_HOT(pcmpgtb) SIMD_HOT(pcmpgtw) SIMD_HOT(pcmpgtd) SIMD_HOT(pminub) SIMD_HOT(pmaxub)
SIMD_HOT(pmullw) SIMD_HOT(pmuludq) SIMD_HOT(pmaddwd) SIMD_HOT(pcmpeqq) SIMD_HOT(pcmpgtq) SIMD_HOT(pminuw)
SIMD_HOT(pminud) SIMD_HOT(pminsb) SIMD_HOT(pminsw) SIMD_HOT(pminsd) SIMD_HOT(pmaxuw) SIMD_HOT(pmaxud)
SIMD_HOT(pmaxsb) SIMD_HOT(pmaxsw) SIMD_HOT(pmaxsd) SIMD_HOT(pavgb) SIMD_HOT(pavgw) SIMD_HOT(paddusb)
SIMD_HOT(paddusw) SIMD_HOT(psubusb) SIMD_HOT(psubusw) SIMD_HOT(paddsb) SIMD_HOT(paddsw) SIMD_HOT(psubsb)
SIMD_HOT(psubsw) SIMD_HOT(pmulld) SIMD_HOT(pmulhw) SIMD_HOT(pmulhuw) SIMD_HOT(pmulhrsw) SIMD_HOT(pmuldq)
SIMD_HOT(psignb) SIMD_HOT(psignw) SIMD_HOT(psignd) SIMD_HOT(pabsb) SIMD_HOT(pabsw) SIMD_HOT(pabsd)
SIMD_HOT(pmaddubsw) SIMD_HOT(psadbw)
SIMD_MEANING(paddb) SIMD_MEANING(paddw) SIMD_MEANING(paddd) SIMD_MEANING(paddq) SIMD_MEANING(psubb)
SIMD_MEANING(psubw) SIMD_MEANING(psubd) SIMD_MEANING(psubq) SIMD_MEANING(pand) SIMD_MEANING(pandn)
SIMD_MEANING(por) SIMD_MEANING(pxor) SIMD_MEANING(pcmpeqb) SIMD_MEANING(pcmpeqw) SIMD_MEANING(pcmpeqd)
SIMD_MEANING(pcmpgtb) SIMD_MEANING(pcmpgtw) SIMD_MEANING(pcmpgtd) SIMD_MEANING(pminub) SIMD_MEANING(pmaxub)
SIMD_MEANING(pmullw) SIMD_MEANING(pmuludq) SIMD_MEANING(pmaddwd) SIMD_MEANING(pcmpeqq) SIMD_MEANING(pcmpgtq)
SIMD_MEANING(pminuw) SIMD_MEANING(pminud) SIMD_MEANING(pminsb) SIMD_MEANING(pminsw) SIMD_MEANING(pminsd)
SIMD_MEANING(pmaxuw) SIMD_MEANING(pmaxud) SIMD_MEANING(pmaxsb) SIMD_MEANING(pmaxsw) SIMD_MEANING(pmaxsd)
SIMD_MEANING(pavgb) SIMD_MEANING(pavgw) SIMD_MEANING(paddusb) SIMD_MEANING(paddusw) SIMD_MEANING(psubusb)
SIMD_MEANING(psubusw) SIMD_MEANING(paddsb) SIMD_MEANING(paddsw) SIMD_MEANING(psubsb) SIMD_MEANING(psubsw)
SIMD_MEANING(pmulld) SIMD_MEANING(pmulhw) SIMD_MEANING(pmulhuw) SIMD_MEANING(pmulhrsw) SIMD_MEANING(pmuldq)
SIMD_MEANING(psignb) SIMD_MEANING(psignw) SIMD_MEANING(psignd) SIMD_MEANING(pabsb) SIMD_MEANING(pabsw)
SIMD_MEANING(pabsd) SIMD_MEANING(pmaddubsw) SIMD_MEANING(psadbw)
/* clang-format on */

/* ---- shifts: the count is all 64 low bits of SRC, or the immediate ---- */

/* clang-format off */
#define SHIFT(name)                                                                              \
    SIMD_FN(name) { *d = v_##name(*d, s->q[0]); }                                                \
    EXEC(name##_i)                                                                               \
    {                                                                                            \
        xmm_set(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->dst), simd_imm8(rec)));              \
        NEXT;                                                                                    \
    }                                                                                            \
    EXEC(name##_r)                                                                               \
    {                                                                                            \
        xmm_set(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->dst), xmm_low(vcpu, rec->src)));     \
        NEXT;                                                                                    \
    }
SHIFT(psllw) SHIFT(pslld) SHIFT(psllq) SHIFT(psrlw) SHIFT(psrld) SHIFT(psrlq) SHIFT(psraw) SHIFT(psrad)

#define SHIFT_BYTES(name)                                                                        \
    SIMD_FN(name) { *d = v_##name(*d, (unsigned)s->q[0]); }                                      \
    EXEC(name##_i)                                                                               \
    {                                                                                            \
        xmm_set(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->dst), simd_imm8(rec)));              \
        NEXT;                                                                                    \
    }
SHIFT_BYTES(pslldq) SHIFT_BYTES(psrldq)
    /* clang-format on */

    /* ---- PTEST, PMOVMSKB, MOVMSKPx ---- */

    /* ZF: no common bit; CF: no bit of SRC outside DEST.  SDM Vol. 2B, "PTEST" */
    static inline uint64_t ptest_flags(union v128 d, union v128 s)
{
    bool zf = !((d.q[0] & s.q[0]) | (d.q[1] & s.q[1]));
    bool cf = !((~d.q[0] & s.q[0]) | (~d.q[1] & s.q[1]));
    return (zf ? F_ZF : 0u) | (cf ? F_CF : 0u);
}

SIMD_FN(ptest)
{
    d->q[0] = ptest_flags(*d, *s);
}

EXEC(ptest_r)
{
    flags_set_status(vcpu, ptest_flags(xmm_get(vcpu, rec->dst), xmm_get(vcpu, rec->src)));
    NEXT;
}

SIMD_FN(pmovmskb)
{
    d->q[0] = v_pmovmskb(*s);
}

SIMD_FN(movmskps)
{
    d->q[0] =
        (s->q[0] >> 31 & 1) | (s->q[0] >> 63 << 1) | (s->q[1] >> 31 & 1) << 2 | s->q[1] >> 63 << 3;
}

SIMD_FN(movmskpd)
{
    d->q[0] = s->q[0] >> 63 | s->q[1] >> 63 << 1;
}

EXEC(pmovmskb_r)
{
    reg_set32(vcpu, rec->dst, v_pmovmskb(xmm_get(vcpu, rec->src)));
    NEXT;
}

/* ---- the rest ---- */

/* DEST word i: bytes i..i+3 of DEST against four bytes of SRC.  SDM Vol. 2B, "MPSADBW" */
SIMD_FN(mpsadbw)
{
    union v128 a = *d;
    unsigned from_d = imm & 4, from_s = 4 * (imm & 3);
    for (unsigned i = 0; i < 8; i++) {
        unsigned sum = 0;
        for (unsigned k = 0; k < 4; k++) {
            int diff = a.b[LANE_B(from_d + i + k)] - s->b[LANE_B(from_s + k)];
            sum += (unsigned)(diff < 0 ? -diff : diff);
        }
        d->w[LANE_W(i)] = (uint16_t)sum;
    }
}

/* The smallest word and its first index.  SDM Vol. 2B, "PHMINPOSUW" */
SIMD_FN(phminposuw)
{
    unsigned best = 0;
    for (unsigned i = 1; i < 8; i++)
        if (s->w[LANE_W(i)] < s->w[LANE_W(best)])
            best = i;
    *d = v128_make(s->w[LANE_W(best)] | best << 16, 0);
}

/* ---- table ---- */

/* clang-format off */
#define HOT(OP, name) [OP_##OP] = {.fn = do_##name, .hot_r = exec_##name##_r, .hot_m = exec_##name##_m}
#define HOT_MMX(OP, name) \
    [OP_##OP] = {.fn = do_##name, .mmx = do_##name, .hot_r = exec_##name##_r, .hot_m = exec_##name##_m}
#define ANY(OP, name) [OP_##OP] = {.fn = do_##name}
#define ANY_MMX(OP, name) [OP_##OP] = {.fn = do_##name, .mmx = do_##name}
#define SHIFTED(OP, name) [OP_##OP] = {.fn = do_##name, .mmx = do_##name, .hot_r = exec_##name##_r, .hot_i = exec_##name##_i}

const struct simd_row simd_int_rows[] = {
    HOT_MMX(PADDB, paddb), HOT_MMX(PADDW, paddw), HOT_MMX(PADDD, paddd), HOT_MMX(PADDQ, paddq),
    HOT_MMX(PSUBB, psubb), HOT_MMX(PSUBW, psubw), HOT_MMX(PSUBD, psubd), HOT_MMX(PSUBQ, psubq),
    HOT_MMX(PAND, pand), HOT_MMX(PANDN, pandn), HOT_MMX(POR, por), HOT_MMX(PXOR, pxor),
    HOT_MMX(PCMPEQB, pcmpeqb), HOT_MMX(PCMPEQW, pcmpeqw), HOT_MMX(PCMPEQD, pcmpeqd), HOT_MMX(PCMPGTB, pcmpgtb),
    HOT_MMX(PCMPGTW, pcmpgtw), HOT_MMX(PCMPGTD, pcmpgtd), HOT_MMX(PMINUB, pminub), HOT_MMX(PMAXUB, pmaxub),
    HOT_MMX(PMULLW, pmullw), HOT_MMX(PMULUDQ, pmuludq), HOT_MMX(PMADDWD, pmaddwd), HOT(ANDPS, pand),
    HOT(ANDPD, pand), HOT(ANDNPS, pandn), HOT(ANDNPD, pandn), HOT(ORPS, por), HOT(ORPD, por), HOT(XORPS, pxor),
    HOT(XORPD, pxor), HOT(PCMPEQQ, pcmpeqq), HOT(PCMPGTQ, pcmpgtq), HOT(PMINUW, pminuw), HOT(PMINUD, pminud),
    HOT(PMINSB, pminsb), HOT_MMX(PMINSW, pminsw), HOT(PMINSD, pminsd), HOT(PMAXUW, pmaxuw), HOT(PMAXUD, pmaxud),
    HOT(PMAXSB, pmaxsb), HOT_MMX(PMAXSW, pmaxsw), HOT(PMAXSD, pmaxsd), HOT_MMX(PAVGB, pavgb),
    HOT_MMX(PAVGW, pavgw), HOT_MMX(PADDUSB, paddusb), HOT_MMX(PADDUSW, paddusw), HOT_MMX(PSUBUSB, psubusb),
    HOT_MMX(PSUBUSW, psubusw), HOT_MMX(PADDSB, paddsb), HOT_MMX(PADDSW, paddsw), HOT_MMX(PSUBSB, psubsb),
    HOT_MMX(PSUBSW, psubsw), HOT(PMULLD, pmulld), HOT_MMX(PMULHW, pmulhw), HOT_MMX(PMULHUW, pmulhuw),
    HOT_MMX(PMULHRSW, pmulhrsw), HOT(PMULDQ, pmuldq), HOT_MMX(PSIGNB, psignb), HOT_MMX(PSIGNW, psignw),
    HOT_MMX(PSIGND, psignd), HOT_MMX(PABSB, pabsb), HOT_MMX(PABSW, pabsw), HOT_MMX(PABSD, pabsd),
    HOT_MMX(PMADDUBSW, pmaddubsw), HOT_MMX(PSADBW, psadbw), SHIFTED(PSLLW, psllw), SHIFTED(PSLLD, pslld),
    SHIFTED(PSLLQ, psllq), SHIFTED(PSRLW, psrlw), SHIFTED(PSRLD, psrld), SHIFTED(PSRLQ, psrlq),
    SHIFTED(PSRAW, psraw), SHIFTED(PSRAD, psrad), [OP_PSLLDQ] = {.fn = do_pslldq, .hot_i = exec_pslldq_i},
    [OP_PSRLDQ] = {.fn = do_psrldq, .hot_i = exec_psrldq_i}, [OP_PTEST] = {.fn = do_ptest, .hot_r = exec_ptest_r}, ANY_MMX(PMOVMSKB, pmovmskb),
    ANY(MOVMSKPS, movmskps), ANY(MOVMSKPD, movmskpd), ANY(MPSADBW, mpsadbw), ANY(PHMINPOSUW, phminposuw),
};
/* clang-format on */
const size_t simd_int_count = ARRAY_SIZE(simd_int_rows);

exec_fn *select_sse_int(struct selection *s, struct rec *rec)
{
    unsigned op = s->in->op;
    if (simd_has_mmx(s->in))
        return NULL;
    const struct simd_row *row = simd_row_of(simd_int_rows, simd_int_count, op);
    if (!row)
        row = simd_row_of(simd_shuffle_rows, simd_shuffle_count, op);
    if (!row)
        row = simd_row_of(simd_aes_rows, simd_aes_count, op);
    if (row) {
        exec_fn *fn = simd_select(row, s, rec);
        if (op == OP_INSERTPS && s->in->has_mem)
            rec->imm &= ~0xc0;
        return op == OP_PMOVMSKB && fn == exec_simd ? exec_pmovmskb_r : fn;
    }
    static select_fn *const others[] = {sse_select_string, sse_select_masked, sse_select_sha,
                                        sse_select_sse4a};
    exec_fn *fn = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(others) && !fn; i++)
        fn = others[i](s, rec);
    return fn;
}
