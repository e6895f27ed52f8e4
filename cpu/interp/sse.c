/* SPDX-License-Identifier: MIT */
/* The handler that executes any MMX or SSE instruction, and how one is chosen. */
#include "cpu/interp/sse.h"

#include "cpu/interp/x87.h"

/* ---- MXCSR ---- */

bool sse_settle(struct vcpu *vcpu, const struct fp_env *env)
{
    unsigned flags = fp_sse_settle(env->flags, env->masks);
    vcpu->arch.mxcsr |= flags;
    if (likely(!(flags & ~(unsigned)env->masks & FP_ALL)))
        return true;
    return raise_fault(vcpu, vcpu->arch.cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/* ---- MMX state ---- */

bool simd_enter_mmx(struct vcpu *vcpu, const struct rec *rec)
{
    return !(rec->imm & SIMD_MMX) || x87_ready(vcpu);
}

/* TOP = 0, all tags valid. SDM Vol. 3A, "Effect of MMX, x87 FPU ... on the x87 FPU Tag Word". */
void simd_commit_mmx(struct vcpu *vcpu)
{
    vcpu->arch.fsw &= (uint16_t)~FSW_TOP;
    vcpu->arch.ftw = 0xff;
}

static void mmx_set(struct vcpu *vcpu, unsigned n, uint64_t v)
{
    vcpu->arch.fp_mant[n] = v;
    vcpu->arch.fp_se[n] = 0xffff;
}

/* ---- operands ---- */

bool simd_la(struct vcpu *vcpu, const struct rec *rec, enum access access, laddr *la)
{
    struct linear at = simd_linear(vcpu, rec, rec_bytes(rec), access);
    *la = at.la;
    if (unlikely(!at.ok))
        return rec->imm & SIMD_ALIGNED ? rec_la_misaligned(vcpu, rec, rec_bytes(rec)) : false;
    if ((rec->imm & SIMD_ALIGNED) && (at.la & (rec_bytes(rec) - 1)))
        return raise_fault_code(vcpu, EXC_GP, 0); /* before #SS(0) for a non-canonical one */
    return at.ok;
}

static bool simd_load(struct vcpu *vcpu, const struct rec *rec, union v128 *s)
{
    uint8_t bytes[16];
    laddr la;
    if (!simd_la(vcpu, rec, ACCESS_READ, &la))
        return false;
    if (rec_bytes(rec) == 16) {
        const uint8_t *host = mem_read_host(vcpu, la, 16);
        if (!host && !mem_read_bytes(vcpu, rec, la, bytes, 16))
            return false;
        *s = v128_load(host ? host : bytes);
        return true;
    }
    struct loaded m = mem_load(vcpu, rec, la, rec_bytes(rec));
    *s = v128_make(m.value, 0);
    return m.ok;
}

static bool simd_store(struct vcpu *vcpu, const struct rec *rec, const union v128 *d)
{
    uint8_t bytes[16];
    laddr la;
    if (!simd_la(vcpu, rec, ACCESS_WRITE, &la))
        return false;
    if (rec_bytes(rec) < 16)
        return mem_store(vcpu, rec, la, rec_bytes(rec), d->q[0]);
    uint8_t *host = mem_write_host(vcpu, la, 16);
    v128_store(host ? host : bytes, *d);
    return host || mem_write_bytes(vcpu, rec, la, bytes, 16);
}

bool simd_source(struct vcpu *vcpu, const struct rec *rec, union v128 *s)
{
    switch (rec_source(rec)) {
    case PLACE_XMM:
        *s = xmm_get(vcpu, rec->src);
        return true;
    case PLACE_MMX:
        *s = v128_make(vcpu->arch.fp_mant[rec->src], 0);
        return true;
    case PLACE_GPR32:
        *s = v128_make((uint32_t)reg_get(vcpu, rec->src), 0);
        return true;
    case PLACE_GPR64:
        *s = v128_make(reg_get(vcpu, rec->src), 0);
        return true;
    case PLACE_MEM:
        return simd_load(vcpu, rec, s);
    case PLACE_IMM:
        *s = v128_make(simd_imm8(rec), 0);
        return true;
    case PLACE_FLAGS:
        break;
    }
    *s = v128_make(0, 0);
    return true;
}

static union v128 simd_old(const struct vcpu *vcpu, const struct rec *rec)
{
    if (rec_destination(rec) == PLACE_MMX)
        return v128_make(vcpu->arch.fp_mant[rec->dst], 0);
    /* COMISD and PTEST read the register that they don't write. */
    if (rec_destination(rec) == PLACE_XMM || rec_destination(rec) == PLACE_FLAGS)
        return xmm_get(vcpu, rec->dst);
    return v128_make(0, 0);
}

bool simd_write(struct vcpu *vcpu, const struct rec *rec, const union v128 *d)
{
    switch (rec_destination(rec)) {
    case PLACE_XMM:
        xmm_set(vcpu, rec->dst, *d);
        return true;
    case PLACE_MMX:
        mmx_set(vcpu, rec->dst, d->q[0]);
        return true;
    case PLACE_GPR32:
        reg_set32(vcpu, rec->dst, d->q[0]);
        return true;
    case PLACE_GPR64:
        reg_set64(vcpu, rec->dst, d->q[0]);
        return true;
    case PLACE_MEM:
        return simd_store(vcpu, rec, d);
    case PLACE_FLAGS:
    case PLACE_IMM:
        break;
    }
    flags_set_status(vcpu, d->q[0]);
    return true;
}

/* ---- the handler ---- */

static NOINLINE bool simd_work(struct vcpu *vcpu, const struct rec *rec)
{
    union v128 s, d = simd_old(vcpu, rec);
    struct fp_env env;
    if (!simd_enter_mmx(vcpu, rec) || !simd_source(vcpu, rec, &s))
        return false;
    if (rec->imm & SIMD_FP)
        env = sse_env(vcpu);
    ((simd_fn *)(uintptr_t)rec->link)(&env, &d, &s, simd_imm8(rec));
    if ((rec->imm & SIMD_FP) && !sse_settle(vcpu, &env))
        return false;
    if (!simd_write(vcpu, rec, &d))
        return false;
    if (rec->imm & SIMD_MMX)
        simd_commit_mmx(vcpu);
    return true;
}

/* XMM := f(XMM, XMM) without floating point: the generic handler's shortest way. */
static NOINLINE void simd_work_r(struct vcpu *vcpu, const struct rec *rec)
{
    union v128 s = xmm_get(vcpu, rec->src), d = xmm_get(vcpu, rec->dst);
    ((simd_fn *)(uintptr_t)rec->link)(NULL, &d, &s, simd_imm8(rec));
    xmm_set(vcpu, rec->dst, d);
}

EXEC(simd_r)
{
    simd_work_r(vcpu, rec);
    NEXT;
}

int exec_simd(struct vcpu *vcpu, const struct rec *rec)
{
    if (unlikely(!simd_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* ---- choosing ---- */

static bool has_kind(const struct insn *in, unsigned kind)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == kind)
            return true;
    return false;
}

bool simd_has_mmx(const struct insn *in)
{
    return has_kind(in, OPND_MMX);
}

exec_fn *simd_unavailable(const struct selection *s)
{
    if (s->in->has_vex && !(s->mode & MODE_AVX))
        return exec_ud;
    if (s->in->has_vex)
        return s->mode & MODE_TS ? exec_nm : NULL;
    if (s->mode & MODE_EM)
        return exec_ud;
    /* CVTPI2PS with a memory operand still has an XMM operand; pure MMX needs no OSFXSR. */
    if (!(s->mode & MODE_OSFXSR) && has_kind(s->in, OPND_XMM))
        return exec_ud;
    return s->mode & MODE_TS ? exec_nm : NULL;
}

enum simd_place simd_place_of(const struct operand *o)
{
    switch (o->kind) {
    case OPND_XMM:
        return PLACE_XMM;
    case OPND_MMX:
        return PLACE_MMX;
    case OPND_GPR:
        return o->size == 8 ? PLACE_GPR64 : PLACE_GPR32;
    case OPND_MEM:
        return PLACE_MEM;
    default:
        return PLACE_IMM;
    }
}

unsigned simd_log2_bytes(unsigned bytes)
{
    return bytes > 16 ? 5 : bytes > 8 ? 4 : bytes > 4 ? 3 : bytes > 2 ? 2 : bytes - 1;
}

void simd_prepare(const struct selection *s, struct rec *rec, simd_fn *fn, unsigned attr)
{
    const struct operand *o = s->in->operands;
    unsigned flags = 0;
    unsigned dst = o[0].access & ACC_W ? simd_place_of(&o[0]) : PLACE_FLAGS;
    unsigned src = simd_place_of(&o[1]);
    for (unsigned i = 0; i < 2; i++) {
        if (o[i].kind != OPND_MEM)
            continue;
        flags |= simd_log2_bytes(o[i].size) << SIMD_SIZE_SHIFT;
        if (o[i].size == 16 && !(attr & ROW_UNALIGNED) && !s->in->has_vex)
            flags |= SIMD_ALIGNED;
    }
    flags |= (s->mem64 ? SIMD_M64 : 0u) | (attr & ROW_FP ? SIMD_FP : 0u);
    /* SDM Vol. 2A, "CVTPI2PS": to MMX state with a memory operand too, unlike "CVTPI2PD"; AMD's
     * parts don't. */
    if (simd_has_mmx(s->in) || s->in->op == OP_CVTPI2PS)
        flags |= SIMD_MMX;
    rec->imm = (int32_t)(((unsigned)rec->imm & SIMD_IMM8) | flags | src << SIMD_SRC_SHIFT |
                         dst << SIMD_DST_SHIFT);
    rec->link = (uintptr_t)fn;
}

const struct simd_row *simd_row_find(unsigned op)
{
    const struct {
        const struct simd_row *rows;
        size_t count;
    } tables[] = {
        {simd_int_rows, simd_int_count},         {simd_shuffle_rows, simd_shuffle_count},
        {simd_fp_rows, simd_fp_count},           {simd_packed_rows, simd_packed_count},
        {simd_convert_rows, simd_convert_count}, {simd_aes_rows, simd_aes_count},
    };
    const struct simd_row *row = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(tables) && !row; i++)
        row = simd_row_of(tables[i].rows, tables[i].count, op);
    return row;
}

exec_fn *simd_select(const struct simd_row *row, struct selection *s, struct rec *rec)
{
    const struct operand *o = s->in->operands;
    bool is_mmx = simd_has_mmx(s->in) && !has_kind(s->in, OPND_XMM);
    simd_fn *fn = is_mmx && row->mmx ? row->mmx : row->fn;
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    simd_prepare(s, rec, fn, row->attr);
    if (o[0].kind != OPND_XMM)
        return exec_simd;
    exec_fn *hot = NULL;
    bool is_plain = (o[0].access & ACC_W) && !(row->attr & ROW_FP);
    if (o[1].kind == OPND_XMM)
        hot = row->hot_r || !is_plain ? row->hot_r : exec_simd_r;
    else if (o[1].kind == OPND_IMM)
        hot = row->hot_i;
    else if (o[1].kind == OPND_MEM && s->mem64)
        hot = row->hot_m;
    return hot ? hot : exec_simd;
}
