/* SPDX-License-Identifier: MIT */
/* PUSH POP PUSHA POPA ENTER LEAVE.  SDM Vol. 1, "Stack" and "Procedure Calls for Block-Structured
 * Languages". */
#include "cpu/interp/stack.h"

/* Never inlined: the address of la escapes. */
NOINLINE struct loaded stack_load_any(struct vcpu *vcpu, const struct rec *rec, uint64_t off,
                                      unsigned size)
{
    laddr la = 0;
    vcpu->run.rec = rec;
    if (!seg_linear(vcpu, SEG_SS, off, size, ACCESS_READ, &la))
        return (struct loaded){0, false};
    return mem_load(vcpu, rec, la, size);
}

NOINLINE bool stack_store_any(struct vcpu *vcpu, const struct rec *rec, uint64_t off, unsigned size,
                              uint64_t v)
{
    laddr la = 0;
    vcpu->run.rec = rec;
    return seg_linear(vcpu, SEG_SS, off, size, ACCESS_WRITE, &la) &&
           mem_store(vcpu, rec, la, size, v);
}

/* ---- PUSH: the operand is read before rSP moves, so PUSH rSP stores the old value ---- */

ALWAYS_INLINE int push_value(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                             unsigned width, uint64_t v, exec_fn *miss)
{
    if (unlikely(!push(vcpu, rec, stack, width, v)))
        return miss(vcpu, rec);
    NEXT;
}

ALWAYS_INLINE int push_m(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                         unsigned width, enum shape shape, exec_fn *miss)
{
    struct loaded m = operand_load(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    return push_value(vcpu, rec, stack, width, m.value, miss);
}

/* ---- POP: rSP moves before DEST is written, so POP rSP leaves what was popped ---- */

ALWAYS_INLINE int pop_r(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                        unsigned width, exec_fn *miss)
{
    uint64_t sp = sp_get(vcpu, stack);
    struct loaded m = stack_load(vcpu, rec, stack, sp, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    sp_set(vcpu, stack, sp + width / 8);
    reg_write(vcpu, width, rec->dst, m.value);
    NEXT;
}

/* "If the ESP register is used as a base register for addressing a destination operand in memory,
 * the POP instruction computes the effective address of the operand after it increments the ESP
 * register."  SDM Vol. 2B, "POP". */
ALWAYS_INLINE int pop_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, enum shape shape)
{
    uint64_t old = vcpu->arch.gpr[REG_RSP], sp = sp_get(vcpu, STACK_ANY);
    struct loaded m = stack_load(vcpu, rec, STACK_ANY, sp, width);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    sp_set(vcpu, STACK_ANY, sp + width / 8);
    if (unlikely(!operand_store(vcpu, rec, shape, width, m.value))) {
        vcpu->arch.gpr[REG_RSP] = old;
        return exec_fault(vcpu, rec);
    }
    NEXT;
}

/* LEAVE: rSP := rBP; rBP := pop.  SDM Vol. 2A, "LEAVE". */
ALWAYS_INLINE int leave(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                        unsigned width, exec_fn *miss)
{
    uint64_t sp = sp_wrap(vcpu, stack, vcpu->arch.gpr[REG_RBP]);
    struct loaded m = stack_load(vcpu, rec, stack, sp, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    sp_set(vcpu, stack, sp + width / 8);
    gpr_write(vcpu, width, REG_RBP, m.value);
    NEXT;
}

/* clang-format off */
#define ANY_FORMS(W, name)                                                                                             \
    EXEC(push##W##_r_any) { return push_value(vcpu, rec, STACK_ANY, W, reg_read(vcpu, W, rec->src), exec_fault); }     \
    EXEC(push##W##_i_any) { return push_value(vcpu, rec, STACK_ANY, W, rec_imm(rec), exec_fault); }                    \
    EXEC(push##W##_m64_any) { return push_m(vcpu, rec, STACK_ANY, W, SHAPE_SLOW, exec_fault); }                        \
    EXEC(push##W##_gen_any) { return push_m(vcpu, rec, STACK_ANY, W, SHAPE_GEN, exec_fault); }                         \
    EXEC(pop##W##_r_any) { return pop_r(vcpu, rec, STACK_ANY, W, exec_fault); }                                        \
    EXEC(pop##W##_m64_any) { return pop_m(vcpu, rec, W, SHAPE_SLOW); }                                                 \
    EXEC(pop##W##_gen_any) { return pop_m(vcpu, rec, W, SHAPE_GEN); }                                                  \
    EXEC(leave##W##_any) { return leave(vcpu, rec, STACK_ANY, W, exec_fault); }

ANY_FORMS(16, any)
ANY_FORMS(32, any)
ANY_FORMS(64, any)

#define FAST_FORMS(W, STACK)                                                                                           \
    EXEC(push##W##_r) { return push_value(vcpu, rec, STACK, W, reg_read(vcpu, W, rec->src), exec_push##W##_r_any); }   \
    EXEC(push##W##_i) { return push_value(vcpu, rec, STACK, W, rec_imm(rec), exec_push##W##_i_any); }                  \
    EXEC(pop##W##_r) { return pop_r(vcpu, rec, STACK, W, exec_pop##W##_r_any); }                                       \
    EXEC(leave##W) { return leave(vcpu, rec, STACK, W, exec_leave##W##_any); }

FAST_FORMS(32, STACK_FAST_32)
FAST_FORMS(64, STACK_FAST_64)

EXEC(push64_m64) { return push_m(vcpu, rec, STACK_FAST_64, 64, SHAPE_M64, exec_push64_m64_any); }

#define ANY_ROW(name) {NULL, exec_##name##16, exec_##name##32, exec_##name##64}
#define BY_WIDTH(name, form) {NULL, exec_##name##16##_##form, exec_##name##32##_##form, exec_##name##64##_##form}
/* By form, then operand width: what works in every mode. */
static exec_fn *const any_handlers[][4] = {
    BY_WIDTH(push, r_any), BY_WIDTH(push, i_any), BY_WIDTH(push, m64_any), BY_WIDTH(push, gen_any),
    BY_WIDTH(pop, r_any), BY_WIDTH(pop, m64_any), BY_WIDTH(pop, gen_any), BY_WIDTH(leave, any),
};
enum { PUSH_R, PUSH_I, PUSH_M64, PUSH_GEN, POP_R, POP_M64, POP_GEN, LEAVE_FORM, STACK_FORMS };

/* Where there is something faster: with a 32-bit operand on a FAST_32 stack, 64-bit on FAST_64. */
static exec_fn *const fast_handlers[2][STACK_FORMS] = {
    [STACK_FAST_64] = {[PUSH_R] = exec_push64_r, [PUSH_I] = exec_push64_i, [PUSH_M64] = exec_push64_m64, [POP_R] = exec_pop64_r,
                       [LEAVE_FORM] = exec_leave64},
    [STACK_FAST_32] = {[PUSH_R] = exec_push32_r, [PUSH_I] = exec_push32_i, [POP_R] = exec_pop32_r, [LEAVE_FORM] = exec_leave32},
};
/* clang-format on */

/* ---- PUSHA, POPA: nothing changes unless all eight accesses can be made ---- */

/* Bytes of rec->scale: 2 or 4. False: run.fault. The stores below the first are probed in order,
 * highest address first. */
static NOINLINE bool pusha(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = rec->scale;
    uint64_t *gpr = vcpu->arch.gpr;
    laddr la[8];
    for (unsigned i = 0; i < 8; i++) {
        uint64_t off = sp_wrap(vcpu, STACK_ANY, gpr[REG_RSP] - (i + 1) * size);
        if (!seg_linear(vcpu, SEG_SS, off, size, ACCESS_WRITE, &la[i]) ||
            !mem_rmw_slow(vcpu, rec, la[i], size).ok)
            return false;
    }
    for (unsigned i = 0; i < 8; i++)
        if (!mem_store(vcpu, rec, la[i], size, gpr[i]))
            return false;
    sp_set(vcpu, STACK_ANY, gpr[REG_RSP] - 8 * size);
    return true;
}

static NOINLINE bool popa(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = rec->scale;
    uint64_t *gpr = vcpu->arch.gpr, v[8];
    for (unsigned i = 0; i < 8; i++) {
        struct loaded m =
            stack_load_any(vcpu, rec, sp_wrap(vcpu, STACK_ANY, gpr[REG_RSP] + i * size), size);
        if (!m.ok)
            return false;
        v[7 - i] = m.value;
    }
    sp_set(vcpu, STACK_ANY, gpr[REG_RSP] + 8 * size);
    for (unsigned r = 0; r < 8; r++)
        if (r != REG_RSP)
            gpr_write(vcpu, size == 2 ? 16 : 32, r, v[r]);
    return true;
}

/*
 * ENTER size, level: push rBP, copy level - 1 frame pointers, push the new one, make room.  SDM
 * Vol. 2A, "ENTER". rec->imm is the size, rec->src the level, rec->scale the operand size in bytes.
 * The last check is a write probe at the final rSP, as the manual's pseudo-code; alignment is
 * checked there too.
 */
static bool enter_copy(struct vcpu *vcpu, const struct rec *rec, uint64_t frame, uint64_t *sp)
{
    unsigned size = rec->scale, level = rec->src;
    uint64_t bp = vcpu->arch.gpr[REG_RBP];
    for (unsigned i = 1; i < level; i++) {
        bp -= size;
        *sp -= size;
        struct loaded m = stack_load_any(vcpu, rec, sp_wrap(vcpu, STACK_ANY, bp), size);
        if (!m.ok || !stack_store_any(vcpu, rec, sp_wrap(vcpu, STACK_ANY, *sp), size, m.value))
            return false;
    }
    *sp -= size;
    return stack_store_any(vcpu, rec, sp_wrap(vcpu, STACK_ANY, *sp), size, frame);
}

static NOINLINE bool enter(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = rec->scale;
    uint64_t *gpr = vcpu->arch.gpr;
    uint64_t sp = gpr[REG_RSP] - size;
    uint64_t mask = stack_mask(vcpu);
    uint64_t frame = (gpr[REG_RSP] & ~mask) | (sp & mask); /* of ESP, whatever the stack's size */
    laddr la = 0;
    if (!stack_store_any(vcpu, rec, sp & mask, size, gpr[REG_RBP]))
        return false;
    if (rec->src > 0 && !enter_copy(vcpu, rec, frame, &sp))
        return false;
    sp -= (uint32_t)rec->imm;
    if (!seg_linear(vcpu, SEG_SS, sp_wrap(vcpu, STACK_ANY, sp), size, ACCESS_WRITE, &la))
        return false;
    if ((vcpu->run.mode & MODE_ALIGN) && (la & (size - 1)))
        return raise_fault_code(vcpu, EXC_AC, 0);
    if (!mmu_probe(&vcpu->run.mmu, la, vcpu->run.la_mask, size, ACCESS_WRITE, &vcpu->run.fault))
        return false;
    gpr_write(vcpu, size * 8, REG_RBP, frame);
    sp_set(vcpu, STACK_ANY, sp);
    return true;
}

/* clang-format off */
#define WHOLE(name)                                        \
    EXEC(name)                                             \
    {                                                      \
        if (unlikely(!name(vcpu, rec)))                    \
            return exec_fault(vcpu, rec);                  \
        NEXT;                                              \
    }
WHOLE(pusha)
WHOLE(popa)
WHOLE(enter)
/* clang-format on */

static exec_fn *choose(struct selection *s, unsigned form)
{
    unsigned width = width_index(s->in->opsize);
    enum stack_shape stack = stack_shape_of(s->mode);
    bool is_native =
        stack == STACK_FAST_64 ? width == WIDTH_64 : stack == STACK_FAST_32 && width == WIDTH_32;
    if (is_native && (form == PUSH_R || form == POP_R) && s->in->operands[0].reg != REG_RSP)
        s->fuse = (struct fuse_key){form == PUSH_R ? FUSE_PUSH : FUSE_POP, 0, (uint8_t)width};
    if (is_native && fast_handlers[stack][form])
        return fast_handlers[stack][form];
    return any_handlers[form][width];
}

exec_fn *select_stack(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    const struct operand *o = &in->operands[0];
    switch (in->op) {
    case OP_PUSH:
        rec->src = rec->dst;
        if (opnd_is_mem(o))
            return choose(s, s->mem64 ? PUSH_M64 : PUSH_GEN);
        return choose(s, opnd_is_reg(o) ? PUSH_R : PUSH_I);
    case OP_POP:
        if (opnd_is_mem(o))
            return choose(s, s->mem64 ? POP_M64 : POP_GEN);
        return choose(s, POP_R);
    case OP_LEAVE:
        return choose(s, LEAVE_FORM);
    case OP_PUSHA:
        rec->scale = in->opsize;
        return exec_pusha;
    case OP_POPA:
        rec->scale = in->opsize;
        return exec_popa;
    case OP_ENTER:
        rec->scale = in->opsize;
        rec->imm = (int32_t)(in->imm & 0xffff);
        rec->src = in->imm2 & 31;
        return exec_enter;
    default:
        return NULL;
    }
}
