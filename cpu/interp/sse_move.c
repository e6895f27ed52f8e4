/* SPDX-License-Identifier: MIT */
/* Moves between XMM registers, memory and general registers. No flags, no MXCSR. */
#include "cpu/interp/sse.h"

/* ---- meanings ---- */

/* clang-format off */
#define MEANING(name) \
    void name(struct fp_env *env UNUSED, union v128 *d, const union v128 *s, unsigned imm UNUSED)
MEANING(simd_copy) { *d = *s; }
MEANING(simd_movq) { *d = v128_make(s->q[0], 0); }
MEANING(simd_low_qword) { d->q[0] = s->q[0]; }
MEANING(simd_high_qword) { d->q[1] = s->q[0]; }
MEANING(simd_high_to_low) { d->q[0] = s->q[1]; }
/* clang-format on */

/* ---- sixteen bytes: MOVAPS, MOVUPS, MOVDQA, MOVDQU, LDDQU, MOVNTxx ---- */

EXEC(mov128_r_r)
{
    xmm_set(vcpu, rec->dst, xmm_get(vcpu, rec->src));
    NEXT;
}

ALWAYS_INLINE int mov128_r_m(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                             bool aligned)
{
    struct linear la = operand_la(vcpu, rec, shape, 16, ACCESS_READ);
    struct hit at = simd_hit16(vcpu, vcpu->run.mmu.view.read, la.la, aligned);
    if (unlikely(!la.ok || !at.ok)) /* or a fault, which exec_simd knows */
        return exec_simd(vcpu, rec);
    xmm_set(vcpu, rec->dst, v128_load(at.host));
    NEXT;
}

ALWAYS_INLINE int mov128_m_r(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                             bool aligned)
{
    struct linear la = operand_la(vcpu, rec, shape, 16, ACCESS_WRITE);
    struct hit at = simd_hit16(vcpu, vcpu->run.mmu.view.write, la.la, aligned);
    if (unlikely(!la.ok || !at.ok)) /* or a fault, which exec_simd knows */
        return exec_simd(vcpu, rec);
    v128_store(at.host, xmm_get(vcpu, rec->src));
    NEXT;
}

/* ---- four and eight bytes ---- */

/* What a load leaves of DEST. */
enum keep { KEEP_NOTHING, KEEP_HIGH, KEEP_LOW };

ALWAYS_INLINE int load_scalar(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                              unsigned width, enum keep keep)
{
    struct linear la = operand_la(vcpu, rec, shape, width / 8, ACCESS_READ);
    if (unlikely(!la.ok))
        return exec_fault(vcpu, rec);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, la.la, width / 8);
    if (unlikely(!at.ok))
        return exec_simd(vcpu, rec);
    uint64_t v = host_load(at.host, width / 8);
    if (keep == KEEP_NOTHING)
        xmm_set(vcpu, rec->dst, v128_make(v, 0));
    else
        vcpu->arch.ymm[4 * rec->dst + (keep == KEEP_LOW)] = v;
    NEXT;
}

ALWAYS_INLINE int store_scalar(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                               unsigned width, unsigned half)
{
    struct linear la = operand_la(vcpu, rec, shape, width / 8, ACCESS_WRITE);
    if (unlikely(!la.ok))
        return exec_fault(vcpu, rec);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.write, la.la, width / 8);
    if (unlikely(!at.ok))
        return exec_simd(vcpu, rec);
    host_store(at.host, width / 8, vcpu->arch.ymm[4 * rec->src + half]);
    NEXT;
}

/* clang-format off */
#define MOVE_SHAPES(name, call, ...)                                                 \
    EXEC(name##_bd) { return call(vcpu, rec, SHAPE_BD, __VA_ARGS__); }               \
    EXEC(name##_m64) { return call(vcpu, rec, SHAPE_M64, __VA_ARGS__); }             \
    EXEC(name##_gen) { return call(vcpu, rec, SHAPE_GEN, __VA_ARGS__); }             \
    static exec_fn *const name##_handlers[SHAPE_COUNT] = {                           \
        [SHAPE_BD] = exec_##name##_bd, [SHAPE_M64] = exec_##name##_m64, [SHAPE_GEN] = exec_##name##_gen};

MOVE_SHAPES(load_aligned, mov128_r_m, true)
MOVE_SHAPES(load_unaligned, mov128_r_m, false)
MOVE_SHAPES(store_aligned, mov128_m_r, true)
MOVE_SHAPES(store_unaligned, mov128_m_r, false)
MOVE_SHAPES(load32, load_scalar, 32, KEEP_NOTHING)
MOVE_SHAPES(load64, load_scalar, 64, KEEP_NOTHING)
MOVE_SHAPES(load_low, load_scalar, 64, KEEP_HIGH)
MOVE_SHAPES(load_high, load_scalar, 64, KEEP_LOW)
MOVE_SHAPES(store32, store_scalar, 32, 0)
MOVE_SHAPES(store64, store_scalar, 64, 0)
MOVE_SHAPES(store_high, store_scalar, 64, 1)
/* clang-format on */

/* ---- between registers ---- */

EXEC(movq_r_r) /* MOVQ xmm, xmm */
{
    xmm_set(vcpu, rec->dst, v128_make(xmm_low(vcpu, rec->src), 0));
    NEXT;
}

EXEC(movss_r_r) /* bits 127:32 stay */
{
    xmm_set_low32(vcpu, rec->dst, xmm_low32(vcpu, rec->src));
    NEXT;
}

EXEC(movsd_r_r) /* bits 127:64 stay */
{
    xmm_set_low(vcpu, rec->dst, xmm_low(vcpu, rec->src));
    NEXT;
}

EXEC(movhlps_r_r)
{
    vcpu->arch.ymm[4 * rec->dst] = vcpu->arch.ymm[4 * rec->src + 1];
    NEXT;
}

EXEC(movlhps_r_r)
{
    vcpu->arch.ymm[4 * rec->dst + 1] = vcpu->arch.ymm[4 * rec->src];
    NEXT;
}

EXEC(movd_x_r) /* MOVD xmm, r32 */
{
    xmm_set(vcpu, rec->dst, v128_make((uint32_t)reg_get(vcpu, rec->src), 0));
    NEXT;
}

EXEC(movq_x_r) /* MOVQ xmm, r64 */
{
    xmm_set(vcpu, rec->dst, v128_make(reg_get(vcpu, rec->src), 0));
    NEXT;
}

EXEC(movd_r_x) /* MOVD r32, xmm */
{
    reg_set32(vcpu, rec->dst, xmm_low(vcpu, rec->src));
    NEXT;
}

EXEC(movq_r_x) /* MOVQ r64, xmm */
{
    reg_set64(vcpu, rec->dst, xmm_low(vcpu, rec->src));
    NEXT;
}

/* ---- choosing ---- */

/* One mnemonic: handlers and meanings by form; NULL where there is no such form. */
struct move_row {
    exec_fn *const *load;  /* XMM from memory, by shape */
    exec_fn *const *store; /* memory from XMM, by shape */
    exec_fn *reg;          /* XMM from XMM */
    simd_fn *load_fn;      /* meaning of a load */
    simd_fn *store_fn;     /* of a store */
    unsigned attr;         /* ROW_* */
};

static const struct move_row move_aligned = {
    load_aligned_handlers, store_aligned_handlers, exec_mov128_r_r, simd_copy, simd_copy, 0};
static const struct move_row move_unaligned = {load_unaligned_handlers,
                                               store_unaligned_handlers,
                                               exec_mov128_r_r,
                                               simd_copy,
                                               simd_copy,
                                               ROW_UNALIGNED};
static const struct move_row move_movd = {load32_handlers, store32_handlers, NULL,
                                          simd_copy,       simd_copy,        0};
static const struct move_row move_movq = {load64_handlers, store64_handlers, exec_movq_r_r,
                                          simd_movq,       simd_movq,        0};
static const struct move_row move_movss = {load32_handlers, store32_handlers, exec_movss_r_r,
                                           simd_copy,       simd_copy,        0};
static const struct move_row move_movsd = {load64_handlers, store64_handlers, exec_movsd_r_r,
                                           simd_copy,       simd_copy,        0};
static const struct move_row move_low = {load_low_handlers, store64_handlers, exec_movhlps_r_r,
                                         simd_low_qword,    simd_copy,        0};
static const struct move_row move_high = {load_high_handlers, store_high_handlers, exec_movlhps_r_r,
                                          simd_high_qword,    simd_high_to_low,    0};

static const struct move_row *row_of(unsigned op)
{
    switch (op) {
    case OP_MOVAPS:
    case OP_MOVAPD:
    case OP_MOVDQA:
    case OP_MOVNTPS:
    case OP_MOVNTPD:
    case OP_MOVNTDQ:
    case OP_MOVNTDQA:
        return &move_aligned;
    case OP_MOVUPS:
    case OP_MOVUPD:
    case OP_MOVDQU:
    case OP_LDDQU:
        return &move_unaligned;
    case OP_MOVD:
        return &move_movd;
    case OP_MOVQ:
        return &move_movq;
    case OP_MOVSS:
    case OP_MOVNTSS:
        return &move_movss;
    case OP_MOVSD_XMM:
    case OP_MOVNTSD:
        return &move_movsd;
    case OP_MOVLPS:
    case OP_MOVLPD:
    case OP_MOVHLPS:
        return &move_low;
    case OP_MOVHPS:
    case OP_MOVHPD:
    case OP_MOVLHPS:
        return &move_high;
    default:
        return NULL;
    }
}

/* MOVD and MOVQ with a general register. */
static exec_fn *select_gpr(const struct operand *o)
{
    if (o[0].kind == OPND_GPR)
        return o[0].size == 8 ? exec_movq_r_x : exec_movd_r_x;
    return o[1].size == 8 ? exec_movq_x_r : exec_movd_x_r;
}

exec_fn *sse_select_move(struct selection *s, struct rec *rec, unsigned op)
{
    const struct operand *o = s->in->operands;
    const struct move_row *row = row_of(op);
    if (!row || simd_has_mmx(s->in))
        return NULL;
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    if (o[0].kind == OPND_GPR || o[1].kind == OPND_GPR)
        return select_gpr(o);
    if (o[0].kind == OPND_XMM && o[1].kind == OPND_XMM)
        return row->reg;
    bool is_store = o[0].kind == OPND_MEM;
    simd_prepare(s, rec, is_store ? row->store_fn : row->load_fn, row->attr);
    return (is_store ? row->store : row->load)[shape_of(s, rec)];
}

exec_fn *select_sse_move(struct selection *s, struct rec *rec)
{
    return sse_select_move(s, rec, s->in->op);
}
