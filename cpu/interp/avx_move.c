/* SPDX-License-Identifier: MIT */
/* VEX moves between vector registers, memory and general registers; broadcasts; VZEROUPPER. */
#include "cpu/interp/avx.h"

#include "cpu/interp/sse_fp.h"

/* ---- 16 and 32 bytes: VMOVAPS, VMOVUPS, VMOVDQA, VMOVDQU, VLDDQU, VMOVNTxx ---- */

EXEC(vmov_r128)
{
    ymm_set_low(vcpu, rec->dst, xmm_get(vcpu, rec->src));
    NEXT;
}

EXEC(vmov_r256)
{
    ymm_set_lanes(vcpu, rec->dst, ymm_lane(vcpu, rec->src, 0), ymm_lane(vcpu, rec->src, 1));
    NEXT;
}

ALWAYS_INLINE int vmov_load(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                            unsigned size, bool aligned)
{
    struct linear la = operand_la(vcpu, rec, shape, size, ACCESS_READ);
    struct hit at = simd_hit(vcpu, vcpu->run.mmu.view.read, la.la, size, aligned);
    if (unlikely(!la.ok || !at.ok)) /* or a fault, which exec_vex knows */
        return exec_vex(vcpu, rec);
    if (size == 32)
        ymm_set_lanes(vcpu, rec->dst, v128_load(at.host), v128_load(at.host + 16));
    else
        ymm_set_low(vcpu, rec->dst, v128_load(at.host));
    NEXT;
}

ALWAYS_INLINE int vmov_store(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                             unsigned size, bool aligned)
{
    struct linear la = operand_la(vcpu, rec, shape, size, ACCESS_WRITE);
    struct hit at = simd_hit(vcpu, vcpu->run.mmu.view.write, la.la, size, aligned);
    if (unlikely(!la.ok || !at.ok)) /* or a fault, which exec_vex knows */
        return exec_vex(vcpu, rec);
    v128_store(at.host, xmm_get(vcpu, rec->src));
    if (size == 32)
        v128_store(at.host + 16, ymm_lane(vcpu, rec->src, 1));
    NEXT;
}

/* VMOVSS, VMOVSD, VMOVD, VMOVQ from memory: the rest of the register is cleared. */
ALWAYS_INLINE int vmov_scalar(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                              unsigned size)
{
    struct linear la = operand_la(vcpu, rec, shape, size, ACCESS_READ);
    if (unlikely(!la.ok))
        return exec_fault(vcpu, rec);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, la.la, size);
    if (unlikely(!at.ok))
        return exec_vex(vcpu, rec);
    ymm_set_low(vcpu, rec->dst, v128_make(host_load(at.host, size), 0));
    NEXT;
}

/* clang-format off */
#define VMOV_SHAPES(name, call, ...)                                                 \
    EXEC(name##_bd) { return call(vcpu, rec, SHAPE_BD, __VA_ARGS__); }               \
    EXEC(name##_m64) { return call(vcpu, rec, SHAPE_M64, __VA_ARGS__); }             \
    EXEC(name##_gen) { return call(vcpu, rec, SHAPE_GEN, __VA_ARGS__); }             \
    static exec_fn *const name##_handlers[SHAPE_COUNT] = {                           \
        [SHAPE_BD] = exec_##name##_bd, [SHAPE_M64] = exec_##name##_m64, [SHAPE_GEN] = exec_##name##_gen};

VMOV_SHAPES(vload16, vmov_load, 16, false)
VMOV_SHAPES(vload32, vmov_load, 32, false)
VMOV_SHAPES(vload16_aligned, vmov_load, 16, true)
VMOV_SHAPES(vload32_aligned, vmov_load, 32, true)
VMOV_SHAPES(vstore16, vmov_store, 16, false)
VMOV_SHAPES(vstore32, vmov_store, 32, false)
VMOV_SHAPES(vstore16_aligned, vmov_store, 16, true)
VMOV_SHAPES(vstore32_aligned, vmov_store, 32, true)
VMOV_SHAPES(vload_ss, vmov_scalar, 4)
VMOV_SHAPES(vload_sd, vmov_scalar, 8)
/* clang-format on */

/* By store, by alignment, by 256 bits. */
static exec_fn *const *const vmov_handlers[2][2][2] = {
    {{vload16_handlers, vload32_handlers}, {vload16_aligned_handlers, vload32_aligned_handlers}},
    {{vstore16_handlers, vstore32_handlers},
     {vstore16_aligned_handlers, vstore32_aligned_handlers}},
};

static exec_fn *select_full(const struct selection *s, struct rec *rec, bool aligned)
{
    const struct operand *o = s->in->operands;
    bool is_256 = vex_is_256(s->in), is_store = o[0].kind == OPND_MEM;
    vex_prepare(s, rec, simd_copy, aligned ? ROW_ALIGNED : 0);
    if (!s->in->has_mem)
        return is_256 ? exec_vmov_r256 : exec_vmov_r128;
    return vmov_handlers[is_store][aligned][is_256][shape_of(s, rec)];
}

/* ---- scalars and halves ---- */

SIMD_FN(low_f32)
{
    set_f32(d, low_f32(s));
}

EXEC(vmovd_x_r) /* VMOVD xmm, r32 */
{
    ymm_set_low(vcpu, rec->dst, v128_make((uint32_t)reg_get(vcpu, rec->src), 0));
    NEXT;
}

EXEC(vmovq_x_r) /* VMOVQ xmm, r64 */
{
    ymm_set_low(vcpu, rec->dst, v128_make(reg_get(vcpu, rec->src), 0));
    NEXT;
}

/* One mnemonic; the legacy form stores it. */
struct scalar_row {
    uint16_t op;          /* enum op */
    uint16_t legacy;      /* enum op */
    simd_fn *merge;       /* DEST from SRC1 and SRC2, or of the form with two operands */
    exec_fn *const *load; /* XMM := memory, all of it, by shape; NULL: it merges */
};

static const struct scalar_row scalar_rows[] = {
    {OP_VMOVSS, OP_MOVSS, do_low_f32, vload_ss_handlers},
    {OP_VMOVSD, OP_MOVSD_XMM, simd_low_qword, vload_sd_handlers},
    {OP_VMOVD, OP_MOVD, simd_copy, vload_ss_handlers},
    {OP_VMOVQ, OP_MOVQ, simd_movq, vload_sd_handlers},
    {OP_VMOVLPS, OP_MOVLPS, simd_low_qword, NULL},
    {OP_VMOVLPD, OP_MOVLPD, simd_low_qword, NULL},
    {OP_VMOVHPS, OP_MOVHPS, simd_high_qword, NULL},
    {OP_VMOVHPD, OP_MOVHPD, simd_high_qword, NULL},
    {OP_VMOVHLPS, OP_MOVHLPS, simd_high_to_low, NULL},
    {OP_VMOVLHPS, OP_MOVLHPS, simd_high_qword, NULL},
};

static exec_fn *select_scalar(struct selection *s, struct rec *rec)
{
    const struct operand *o = s->in->operands;
    const struct scalar_row *row = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(scalar_rows) && !row; i++)
        if (scalar_rows[i].op == s->in->op)
            row = &scalar_rows[i];
    if (!row)
        return NULL;
    if (o[0].kind != OPND_XMM)
        return sse_select_move(s, rec, row->legacy);
    vex_prepare(s, rec, row->merge, 0);
    if (s->in->has_mem && row->load) {
        rec->link = (uintptr_t)simd_copy;
        return row->load[shape_of(s, rec)];
    }
    if (o[1].kind == OPND_GPR)
        return o[1].size == 8 ? exec_vmovq_x_r : exec_vmovd_x_r;
    return exec_vex;
}

/* ---- broadcasts ---- */

/* clang-format off */
/* One element in every place; `ones` times it is a quadword of them. */
#define BROADCAST(bits, ones)                                                                        \
    ALWAYS_INLINE struct v256 spread_##bits(uint64_t v, bool is_256)                                 \
    {                                                                                                \
        uint64_t q = (uint##bits##_t)v * (ones);                                                     \
        union v128 lane = v128_make(q, q);                                                           \
        return (struct v256){{lane, is_256 ? lane : v128_make(0, 0)}};                               \
    }                                                                                                \
    static struct v256 broadcast##bits(const struct vex_operands *x)                                 \
    {                                                                                                \
        return spread_##bits(x->b.lane[0].q[0], x->lanes == 2);                                      \
    }                                                                                                \
    EXEC(broadcast##bits##_r)                                                                        \
    {                                                                                                \
        ymm_set(vcpu, rec->dst, spread_##bits(xmm_low(vcpu, rec->src), rec->imm & VEX_256));         \
        NEXT;                                                                                        \
    }
BROADCAST(8, UINT64_C(0x0101010101010101))
BROADCAST(16, UINT64_C(0x0001000100010001))
BROADCAST(32, UINT64_C(0x0000000100000001))
BROADCAST(64, UINT64_C(1))
/* clang-format on */

static struct v256 broadcast128(const struct vex_operands *x)
{
    return (struct v256){{x->b.lane[0], x->b.lane[0]}};
}

static exec_fn *select_broadcast(const struct selection *s, struct rec *rec, vex_fn *fn,
                                 exec_fn *hot_r)
{
    exec_fn *any = vex_select_whole(s, rec, fn);
    return s->in->has_mem ? any : hot_r;
}

/* ---- VZEROUPPER, VZEROALL: of the registers that the mode has ---- */

ALWAYS_INLINE void clear_upper(struct vcpu *vcpu, unsigned count)
{
    const union v128 zero = v128_make(0, 0);
    uint64_t *q = vcpu->arch.ymm;
    for (unsigned i = 0; i < 4 * count; i += 16) { /* by four: it ends most string functions */
        memcpy(&q[i + 2], &zero, sizeof(zero));
        memcpy(&q[i + 6], &zero, sizeof(zero));
        memcpy(&q[i + 10], &zero, sizeof(zero));
        memcpy(&q[i + 14], &zero, sizeof(zero));
    }
}

EXEC(vzeroupper_8)
{
    clear_upper(vcpu, 8);
    NEXT;
}

EXEC(vzeroupper_16)
{
    clear_upper(vcpu, 16);
    NEXT;
}

EXEC(vzeroall)
{
    unsigned count = mode_code(vcpu->run.mode) == DECODE_64 ? 16 : 8;
    for (unsigned i = 0; i < 4 * count; i++)
        vcpu->arch.ymm[i] = 0;
    NEXT;
}

/* ---- choosing ---- */

exec_fn *avx_select_move(struct selection *s, struct rec *rec)
{
    switch (s->in->op) {
    case OP_VMOVAPS:
    case OP_VMOVAPD:
    case OP_VMOVDQA:
    case OP_VMOVNTPS:
    case OP_VMOVNTPD:
    case OP_VMOVNTDQ:
    case OP_VMOVNTDQA:
        return select_full(s, rec, true);
    case OP_VMOVUPS:
    case OP_VMOVUPD:
    case OP_VMOVDQU:
    case OP_VLDDQU:
        return select_full(s, rec, false);
    case OP_VPBROADCASTB:
        return select_broadcast(s, rec, broadcast8, exec_broadcast8_r);
    case OP_VPBROADCASTW:
        return select_broadcast(s, rec, broadcast16, exec_broadcast16_r);
    case OP_VPBROADCASTD:
    case OP_VBROADCASTSS:
        return select_broadcast(s, rec, broadcast32, exec_broadcast32_r);
    case OP_VPBROADCASTQ:
    case OP_VBROADCASTSD:
        return select_broadcast(s, rec, broadcast64, exec_broadcast64_r);
    case OP_VBROADCASTF128:
    case OP_VBROADCASTI128:
        return vex_select_whole(s, rec, broadcast128);
    case OP_VZEROUPPER:
        return mode_code(s->mode) == DECODE_64 ? exec_vzeroupper_16 : exec_vzeroupper_8;
    case OP_VZEROALL:
        return exec_vzeroall;
    default:
        return select_scalar(s, rec);
    }
}
