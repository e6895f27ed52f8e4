/* SPDX-License-Identifier: MIT */
/* The handler that makes VEX instructions of legacy meanings, and how a handler is chosen. */
#include "cpu/interp/avx.h"

#include "cpu/interp/sse_fp.h"

/* ---- operands ---- */

static bool load_256(struct vcpu *vcpu, const struct rec *rec, struct v256 *s)
{
    uint8_t bytes[32];
    laddr la;
    if (!simd_la(vcpu, rec, ACCESS_READ, &la))
        return false;
    const uint8_t *host = mem_read_host(vcpu, la, 32);
    if (!host && !mem_read_bytes(vcpu, rec, la, bytes, 32))
        return false;
    *s = v256_load(host ? host : bytes);
    return true;
}

bool vex_source(struct vcpu *vcpu, const struct rec *rec, struct v256 *s)
{
    s->lane[1] = v128_make(0, 0);
    if (rec_source(rec) == PLACE_XMM)
        *s = ymm_get(vcpu, rec->src);
    else if (rec_source(rec) == PLACE_MEM && rec_bytes(rec) == 32)
        return load_256(vcpu, rec, s);
    else
        return simd_source(vcpu, rec, &s->lane[0]);
    return true;
}

bool vex_store(struct vcpu *vcpu, const struct rec *rec, const struct v256 *d)
{
    uint8_t bytes[32];
    laddr la;
    if (rec_bytes(rec) < 32)
        return simd_write(vcpu, rec, &d->lane[0]);
    if (!simd_la(vcpu, rec, ACCESS_WRITE, &la))
        return false;
    uint8_t *host = mem_write_host(vcpu, la, 32);
    v256_store(host ? host : bytes, *d);
    return host || mem_write_bytes(vcpu, rec, la, bytes, 32);
}

static bool vex_write(struct vcpu *vcpu, const struct rec *rec, struct v256 *d)
{
    if (rec->imm & VEX_NARROW)
        *d = (struct v256){{v128_make(d->lane[0].q[0], d->lane[1].q[0]), v128_make(0, 0)}};
    else if (!(rec->imm & VEX_256))
        d->lane[1] = v128_make(0, 0);
    if (rec_destination(rec) == PLACE_MEM)
        return vex_store(vcpu, rec, d);
    if (rec_destination(rec) != PLACE_XMM)
        return simd_write(vcpu, rec, &d->lane[0]);
    ymm_set(vcpu, rec->dst, *d);
    return true;
}

/* What of the source belongs to the upper lane. */
static union v128 upper_piece(const struct rec *rec, const struct v256 *s)
{
    switch ((enum vex_step)((unsigned)rec->imm >> VEX_STEP_SHIFT & 7)) {
    case STEP_SAME:
        return s->lane[0];
    case STEP_2:
        return v128_make(s->lane[0].q[0] >> 16, 0);
    case STEP_4:
        return v128_make(s->lane[0].q[0] >> 32, 0);
    case STEP_8:
        return v128_make(s->lane[0].q[1], 0);
    case STEP_16:
        break;
    }
    return s->lane[1];
}

/* ---- the handler ---- */

/* A store that will fault does so before floating-point exceptions are reported. */
static bool can_store(struct vcpu *vcpu, const struct rec *rec)
{
    laddr la;
    if (rec_destination(rec) != PLACE_MEM)
        return true;
    return simd_la(vcpu, rec, ACCESS_WRITE, &la) && mem_probe_write(vcpu, rec, la, rec_bytes(rec));
}

static NOINLINE bool vex_work(struct vcpu *vcpu, const struct rec *rec)
{
    simd_fn *fn = (simd_fn *)(uintptr_t)rec->link;
    unsigned imm = simd_imm8(rec), up = (unsigned)rec->imm >> VEX_IMM_SHIFT & 7;
    struct v256 s, d = {{v128_make(0, 0), v128_make(0, 0)}};
    struct fp_env env;
    if (!vex_source(vcpu, rec, &s))
        return false;
    if (rec->imm & VEX_MERGE)
        d = ymm_get(vcpu, vex_a(rec));
    if (rec->imm & SIMD_FP)
        env = sse_env(vcpu);
    fn(&env, &d.lane[0], &s.lane[0], imm);
    if (rec->imm & VEX_256) {
        union v128 piece = upper_piece(rec, &s);
        fn(&env, &d.lane[1], &piece, imm >> up);
    }
    if ((rec->imm & SIMD_FP) && !(can_store(vcpu, rec) && sse_settle(vcpu, &env)))
        return false;
    return vex_write(vcpu, rec, &d);
}

int exec_vex(struct vcpu *vcpu, const struct rec *rec)
{
    if (unlikely(!vex_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* Registers only, whole lanes, no floating point: the shortest way. */
static NOINLINE void vex_work_r(struct vcpu *vcpu, const struct rec *rec)
{
    simd_fn *fn = (simd_fn *)(uintptr_t)rec->link;
    unsigned imm = simd_imm8(rec), up = (unsigned)rec->imm >> VEX_IMM_SHIFT & 7;
    struct v256 s = ymm_get(vcpu, rec->src), d = ymm_get(vcpu, rec->base);
    fn(NULL, &d.lane[0], &s.lane[0], imm);
    if (rec->imm & VEX_256)
        fn(NULL, &d.lane[1], &s.lane[1], imm >> up);
    else
        d.lane[1] = v128_make(0, 0);
    ymm_set(vcpu, rec->dst, d);
}

EXEC(vex_r)
{
    vex_work_r(vcpu, rec);
    NEXT;
}

/* ---- whole registers ---- */

static NOINLINE bool whole_work(struct vcpu *vcpu, const struct rec *rec)
{
    struct vex_operands x = {.imm = simd_imm8(rec), .lanes = rec->imm & VEX_256 ? 2 : 1};
    if (!vex_source(vcpu, rec, &x.b))
        return false;
    if (rec_destination(rec) == PLACE_XMM || rec_destination(rec) == PLACE_FLAGS)
        x.d = ymm_get(vcpu, rec->dst);
    if (rec->imm & VEX_MERGE)
        x.a = ymm_get(vcpu, vex_a(rec));
    x.mask = ymm_get(vcpu, x.imm >> 4);
    struct v256 d = ((vex_fn *)(uintptr_t)rec->link)(&x);
    return vex_write(vcpu, rec, &d);
}

EXEC(vex_whole)
{
    if (unlikely(!whole_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

exec_fn *vex_select_lanes(const struct selection *s, struct rec *rec, simd_fn *fn, unsigned attr)
{
    vex_prepare(s, rec, fn, attr);
    return exec_vex;
}

exec_fn *vex_select_whole(const struct selection *s, struct rec *rec, vex_fn *fn)
{
    vex_prepare(s, rec, NULL, 0);
    rec->imm &= ~VEX_NARROW; /* VEXTRACTF128: the function says what is left */
    rec->link = (uintptr_t)fn;
    return exec_vex_whole;
}

/* ---- choosing ---- */

bool vex_is_256(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].size == 32)
            return true;
    return false;
}

/* Operands but the immediate and the register in it. */
static unsigned places(const struct insn *in)
{
    unsigned n = in->operand_count;
    return n == 4 || (n > 0 && in->operands[n - 1].kind == OPND_IMM) ? n - 1 : n;
}

static enum vex_step step_of(const struct operand *src, unsigned attr)
{
    if (attr & ROW_COUNT)
        return STEP_SAME;
    return src->size == 32 ? STEP_16 : src->size == 16 ? STEP_8 : src->size == 8 ? STEP_4 : STEP_2;
}

static uint8_t register_index(const struct operand *o)
{
    return o->kind == OPND_GPR ? (uint8_t)(REC_GPR + o->reg) : o->reg;
}

void vex_prepare(const struct selection *s, struct rec *rec, simd_fn *fn, unsigned attr)
{
    const struct insn *in = s->in;
    const struct operand *o = in->operands;
    unsigned n = places(in);
    bool counts = (attr & ROW_COUNT) && n == 2;         /* by an immediate, which is SRC */
    const struct operand *src = &o[counts ? 2 : n - 1]; /* the last source */
    unsigned flags = (s->mem64 ? SIMD_M64 : 0u) | (attr & ROW_FP ? SIMD_FP : 0u) |
                     (attr & ROW_ALIGNED ? SIMD_ALIGNED : 0u) |
                     (attr >> ROW_IMM_UP_SHIFT & 7) << VEX_IMM_SHIFT;
    for (unsigned i = 0; i < n; i++)
        if (o[i].kind == OPND_MEM)
            flags |= simd_log2_bytes(o[i].size) << SIMD_SIZE_SHIFT;
    if (vex_is_256(in))
        flags |= VEX_256 | (unsigned)step_of(src, attr) << VEX_STEP_SHIFT;
    if (o[0].size < 32 && src->size == 32)
        flags |= VEX_NARROW;
    if (counts || n == 3) {
        flags |= VEX_MERGE;
        *(src->kind == OPND_MEM ? &rec->src : &rec->base) = o[1].reg;
    }
    if (src->kind != OPND_MEM)
        rec->src = register_index(src);
    flags |= (unsigned)(o[0].access & ACC_W ? simd_place_of(&o[0]) : PLACE_FLAGS) << SIMD_DST_SHIFT;
    flags |= (unsigned)simd_place_of(src) << SIMD_SRC_SHIFT;
    unsigned imm = in->operand_count == 4 && o[3].kind == OPND_XMM ? (unsigned)o[3].reg << 4
                                                                   : (unsigned)in->imm;
    rec->imm = (int32_t)((imm & SIMD_IMM8) | flags);
    rec->link = (uintptr_t)fn;
}

enum vex_form vex_form_of(const struct selection *s, const struct rec *rec)
{
    unsigned is_256 = rec->imm & VEX_256 ? 1 : 0;
    if (rec_source(rec) == PLACE_MEM)
        return s->mem64 ? VEX_M128 + is_256 : VEX_FORMS;
    return rec_source(rec) == PLACE_XMM ? VEX_R128 + is_256 : VEX_FORMS;
}

/* The legacy instruction that a VEX instruction does to each lane. */
struct vex_row {
    uint16_t legacy; /* enum op */
    uint8_t attr;    /* ROW_COUNT, ROW_IMM_UP */
};

/* clang-format off */
#define SAME(OP) [OP_V##OP] = {OP_##OP, 0}
#define COUNT(OP) [OP_V##OP] = {OP_##OP, ROW_COUNT}
#define IMM_UP(OP, n) [OP_V##OP] = {OP_##OP, ROW_IMM_UP(n)}

static const struct vex_row vex_rows[] = {
    SAME(PADDB), SAME(PADDW), SAME(PADDD), SAME(PADDQ), SAME(PSUBB), SAME(PSUBW), SAME(PSUBD), SAME(PSUBQ),
    SAME(PAND), SAME(PANDN), SAME(POR), SAME(PXOR), SAME(ANDPS), SAME(ANDPD), SAME(ANDNPS), SAME(ANDNPD),
    SAME(ORPS), SAME(ORPD), SAME(XORPS), SAME(XORPD),
    SAME(PCMPEQB), SAME(PCMPEQW), SAME(PCMPEQD), SAME(PCMPEQQ), SAME(PCMPGTB), SAME(PCMPGTW), SAME(PCMPGTD),
    SAME(PCMPGTQ), SAME(PMINUB), SAME(PMINUW), SAME(PMINUD), SAME(PMINSB), SAME(PMINSW), SAME(PMINSD),
    SAME(PMAXUB), SAME(PMAXUW), SAME(PMAXUD), SAME(PMAXSB), SAME(PMAXSW), SAME(PMAXSD), SAME(PAVGB), SAME(PAVGW),
    SAME(PADDUSB), SAME(PADDUSW), SAME(PSUBUSB), SAME(PSUBUSW), SAME(PADDSB), SAME(PADDSW), SAME(PSUBSB),
    SAME(PSUBSW), SAME(PMULLW), SAME(PMULLD), SAME(PMULHW), SAME(PMULHUW), SAME(PMULHRSW), SAME(PMULUDQ),
    SAME(PMULDQ), SAME(PMADDWD), SAME(PMADDUBSW), SAME(PSIGNB), SAME(PSIGNW), SAME(PSIGND), SAME(PABSB),
    SAME(PABSW), SAME(PABSD), SAME(PSADBW), SAME(PHMINPOSUW), IMM_UP(MPSADBW, 3),
    COUNT(PSLLW), COUNT(PSLLD), COUNT(PSLLQ), COUNT(PSRLW), COUNT(PSRLD), COUNT(PSRLQ), COUNT(PSRAW),
    COUNT(PSRAD), COUNT(PSLLDQ), COUNT(PSRLDQ), SAME(PTEST), SAME(PMOVMSKB), SAME(MOVMSKPS), SAME(MOVMSKPD),
    SAME(PUNPCKLBW), SAME(PUNPCKLWD), SAME(PUNPCKLDQ), SAME(PUNPCKLQDQ), SAME(PUNPCKHBW), SAME(PUNPCKHWD),
    SAME(PUNPCKHDQ), SAME(PUNPCKHQDQ), SAME(UNPCKLPS), SAME(UNPCKLPD), SAME(UNPCKHPS), SAME(UNPCKHPD),
    SAME(PACKUSWB), SAME(PACKUSDW), SAME(PACKSSWB), SAME(PACKSSDW), SAME(PHADDW), SAME(PHADDD), SAME(PHADDSW),
    SAME(PHSUBW), SAME(PHSUBD), SAME(PHSUBSW), SAME(PSHUFB), SAME(PSHUFD), SAME(PSHUFLW), SAME(PSHUFHW),
    SAME(SHUFPS), IMM_UP(SHUFPD, 2), SAME(PALIGNR), SAME(MOVSLDUP), SAME(MOVSHDUP), SAME(MOVDDUP),
    IMM_UP(BLENDPS, 4), IMM_UP(BLENDPD, 2), SAME(PBLENDW), [OP_VPBLENDD] = {OP_BLENDPS, ROW_IMM_UP(4)},
    SAME(PINSRB), SAME(PINSRW), SAME(PINSRD), SAME(PINSRQ), SAME(PEXTRB), SAME(PEXTRW), SAME(PEXTRD),
    SAME(PEXTRQ), SAME(EXTRACTPS), SAME(INSERTPS),
    SAME(PMOVSXBW), SAME(PMOVSXBD), SAME(PMOVSXBQ), SAME(PMOVSXWD), SAME(PMOVSXWQ), SAME(PMOVSXDQ),
    SAME(PMOVZXBW), SAME(PMOVZXBD), SAME(PMOVZXBQ), SAME(PMOVZXWD), SAME(PMOVZXWQ), SAME(PMOVZXDQ),
    SAME(AESENC), SAME(AESENCLAST), SAME(AESDEC), SAME(AESDECLAST), SAME(AESIMC), SAME(AESKEYGENASSIST),
    SAME(PCLMULQDQ), SAME(GF2P8MULB), SAME(GF2P8AFFINEQB), SAME(GF2P8AFFINEINVQB),
    SAME(ADDSS), SAME(ADDSD), SAME(ADDPS), SAME(ADDPD), SAME(SUBSS), SAME(SUBSD), SAME(SUBPS), SAME(SUBPD),
    SAME(MULSS), SAME(MULSD), SAME(MULPS), SAME(MULPD), SAME(DIVSS), SAME(DIVSD), SAME(DIVPS), SAME(DIVPD),
    SAME(MINSS), SAME(MINSD), SAME(MINPS), SAME(MINPD), SAME(MAXSS), SAME(MAXSD), SAME(MAXPS), SAME(MAXPD),
    SAME(SQRTSS), SAME(SQRTSD), SAME(SQRTPS), SAME(SQRTPD), SAME(COMISS), SAME(COMISD), SAME(UCOMISS),
    SAME(UCOMISD), SAME(HADDPS), SAME(HADDPD), SAME(HSUBPS), SAME(HSUBPD), SAME(ADDSUBPS), SAME(ADDSUBPD),
    SAME(ROUNDSS), SAME(ROUNDSD), SAME(ROUNDPS), SAME(ROUNDPD), SAME(RCPSS), SAME(RCPPS), SAME(RSQRTSS),
    SAME(RSQRTPS), SAME(CVTSS2SD), SAME(CVTSD2SS), SAME(CVTPS2PD), SAME(CVTPD2PS), SAME(CVTDQ2PS),
    SAME(CVTDQ2PD), SAME(CVTPS2DQ), SAME(CVTTPS2DQ), SAME(CVTPD2DQ), SAME(CVTTPD2DQ),
    SAME(CVTSI2SS), SAME(CVTSI2SD), SAME(CVTSS2SI), SAME(CVTSD2SI), SAME(CVTTSS2SI), SAME(CVTTSD2SI),
    [OP_VCMPSS] = {OP_VCMPSS, 0}, [OP_VCMPSD] = {OP_VCMPSD, 0}, [OP_VCMPPS] = {OP_VCMPPS, 0},
    [OP_VCMPPD] = {OP_VCMPPD, 0},
};
/* clang-format on */

/* Nothing of a vector register is written: the legacy form does it, upper lanes aside. */
static bool is_legacy_shape(const struct insn *in)
{
    const struct operand *o = &in->operands[0];
    return (o->kind != OPND_XMM || !(o->access & ACC_W)) && !vex_is_256(in);
}

static exec_fn *select_row(struct selection *s, struct rec *rec, const struct vex_row *v)
{
    const struct operand *o = s->in->operands;
    const struct simd_row *row = simd_row_find(v->legacy);
    if (is_legacy_shape(s->in))
        return row ? simd_select(row, s, rec) : sse_select_convert_gpr(s, rec, v->legacy);
    if (!row) {
        vex_prepare(s, rec, sse_convert_gpr_meaning(v->legacy, o[2].size == 8), ROW_FP);
        return exec_vex;
    }
    vex_prepare(s, rec, row->fn, row->attr | v->attr);
    if (v->legacy == OP_INSERTPS && s->in->has_mem)
        rec->imm &= ~0xc0;
    exec_fn *hot = row->attr & ROW_FP ? avx_hot_fp(s, rec) : avx_hot_int(s, rec);
    if (hot)
        return hot;
    bool is_plain = !(row->attr & ROW_FP) && rec_source(rec) == PLACE_XMM &&
                    rec_destination(rec) == PLACE_XMM && (rec->imm & VEX_MERGE) &&
                    (!(rec->imm & VEX_256) || s->in->operands[2].size == 32);
    return is_plain ? exec_vex_r : exec_vex;
}

exec_fn *select_avx(struct selection *s, struct rec *rec)
{
    static select_fn *const families[] = {
        avx_select_move,   avx_select_int, avx_select_fp,     avx_select_permute,
        avx_select_masked, avx_select_fma, sse_select_string, sse_select_masked,
    };
    unsigned op = s->in->op, feature = insn_row(s->in->row)->feature;
    if (!s->in->has_vex || feature == FEAT_BMI1 || feature == FEAT_BMI2)
        return NULL;
    exec_fn *fn = simd_unavailable(s);
    for (size_t i = 0; i < ARRAY_SIZE(families) && !fn; i++)
        fn = families[i](s, rec);
    if (!fn && op < ARRAY_SIZE(vex_rows) && vex_rows[op].legacy)
        fn = select_row(s, rec, &vex_rows[op]);
    return fn;
}
