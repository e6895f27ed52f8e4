/* SPDX-License-Identifier: MIT */
/*
 * CALL and RET near, JMP through register or memory. A target that is not canonical, or beyond the
 * CS limit, is #GP(0) of the transfer itself, before the stack changes.  SDM Vol. 2A, "CALL"; Vol.
 * 2B, "RET"; Vol. 2A, "JMP".
 *
 * Fast handlers give up (go to their `any` twin) on everything rare: a miss, or such a target.
 */
#include "cpu/interp/branch.h"
#include "cpu/interp/stack.h"

/* Has the fast shape no doubt about this target? ANY has asked rip_is_valid. */
ALWAYS_INLINE bool target_is_plain(struct vcpu *vcpu, enum stack_shape stack, uint64_t target)
{
    if (stack == STACK_FAST_32)
        return true;
    return stack == STACK_FAST_64 ? likely(is_canonical(target)) : rip_is_valid(vcpu, target);
}

/* ---- CALL rel ---- */

ALWAYS_INLINE int call_direct(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                              enum branch_shape shape, unsigned width, exec_fn *miss)
{
    uint64_t target = branch_target(vcpu, rec, shape);
    if (unlikely(!target_is_plain(vcpu, stack, target)))
        return miss(vcpu, rec);
    uint64_t back = vcpu->run.insn_base + rec->off + rec->len;
    if (unlikely(!push(vcpu, rec, stack, width, back)))
        return miss(vcpu, rec);
    return branch_goto(vcpu, rec, shape, target, 0);
}

/* ---- CALL r/m ---- */

ALWAYS_INLINE int call_to(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                          unsigned width, uint64_t target, exec_fn *miss)
{
    if (unlikely(!target_is_plain(vcpu, stack, target)))
        return miss(vcpu, rec);
    uint64_t back = vcpu->run.insn_base + rec->off + rec->len;
    if (unlikely(!push(vcpu, rec, stack, width, back)))
        return miss(vcpu, rec);
    return exec_goto(vcpu, rec, target);
}

ALWAYS_INLINE int call_m(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                         unsigned width, enum shape mem, exec_fn *miss)
{
    struct loaded m = operand_load(vcpu, rec, mem, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    return call_to(vcpu, rec, stack, width, m.value, miss);
}

/* ---- JMP r/m ---- */

ALWAYS_INLINE int jmp_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, enum shape mem,
                        exec_fn *miss)
{
    struct loaded m = operand_load(vcpu, rec, mem, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    return exec_goto(vcpu, rec, m.value);
}

/* ---- RET, RET imm16 (rec->imm, 0 for RET) ---- */

ALWAYS_INLINE int ret(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                      unsigned width, exec_fn *miss)
{
    uint64_t sp = sp_get(vcpu, stack);
    struct loaded m = stack_load(vcpu, rec, stack, sp, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    if (unlikely(!target_is_plain(vcpu, stack, m.value)))
        return miss(vcpu, rec);
    sp_set(vcpu, stack, sp + width / 8 + (uint32_t)rec->imm);
    return exec_goto(vcpu, rec, m.value);
}

/* clang-format off */
/* The ANY stack; NAME is the shape of the branch. */
#define ANY_FORMS(NAME, W, SHAPE)                                                                                          \
    EXEC(call_##NAME) { return call_direct(vcpu, rec, STACK_ANY, SHAPE, W, exec_fault); }                                  \
    EXEC(call_r_##NAME)                                                                                                    \
    { return call_to(vcpu, rec, STACK_ANY, W, reg_read(vcpu, W, rec->dst), exec_fault); }                           \
    EXEC(call_gen_##NAME) { return call_m(vcpu, rec, STACK_ANY, W, SHAPE_GEN, exec_fault); }                        \
    EXEC(jmp_r_##NAME) { return exec_goto(vcpu, rec, reg_read(vcpu, W, rec->dst)); }                            \
    EXEC(jmp_gen_##NAME) { return jmp_m(vcpu, rec, W, SHAPE_GEN, exec_fault); }                                     \
    EXEC(ret_##NAME) { return ret(vcpu, rec, STACK_ANY, W, exec_fault); }

ANY_FORMS(any16, 16, BRANCH_ANY)
ANY_FORMS(any32, 32, BRANCH_ANY)
ANY_FORMS(flat, 32, BRANCH_FLAT)
ANY_FORMS(long, 64, BRANCH_64)

#define FAST_FORMS(NAME, ANY, W, STACK, SHAPE)                                                                             \
    EXEC(call_##NAME) { return call_direct(vcpu, rec, STACK, SHAPE, W, exec_call_##ANY); }                                 \
    EXEC(call_r_##NAME)                                                                                                    \
    { return call_to(vcpu, rec, STACK, W, reg_read(vcpu, W, rec->dst), exec_call_r_##ANY); }                        \
    EXEC(ret_##NAME) { return ret(vcpu, rec, STACK, W, exec_ret_##ANY); }

FAST_FORMS(fast64, long, 64, STACK_FAST_64, BRANCH_64)
EXEC(call_long_far) { return call_direct(vcpu, rec, STACK_ANY, BRANCH_64_FAR, 64, exec_fault); }
EXEC(call_fast64_far) { return call_direct(vcpu, rec, STACK_FAST_64, BRANCH_64_FAR, 64, exec_call_long_far); }
FAST_FORMS(fast32, flat, 32, STACK_FAST_32, BRANCH_FLAT)

EXEC_SLOW(call_m64) { return call_m(vcpu, rec, STACK_ANY, 64, SHAPE_SLOW, exec_fault); }
EXEC(call_m64) { return call_m(vcpu, rec, STACK_FAST_64, 64, SHAPE_M64, exec_call_m64_slow); }
EXEC_SLOW(jmp_m64) { return jmp_m(vcpu, rec, 64, SHAPE_SLOW, exec_fault); }
EXEC(jmp_m64) { return jmp_m(vcpu, rec, 64, SHAPE_M64, exec_jmp_m64_slow); }

/* How a mode transfers: the fast stacks, then the four shapes with any stack. */
enum { FAST64, FAST32, LONG, FLAT, ANY16, ANY32, WAY_COUNT };
enum { CALL_DIRECT, CALL_R, CALL_GEN, JMP_R, JMP_GEN, RET, CALL_FORMS };

#define ANY_ROW(NAME)                                                                                                      \
    {exec_call_##NAME, exec_call_r_##NAME, exec_call_gen_##NAME, exec_jmp_r_##NAME, exec_jmp_gen_##NAME, exec_ret_##NAME}
#define FAST_ROW(NAME, ANY)                                                                                                \
    {exec_call_##NAME, exec_call_r_##NAME, exec_call_gen_##ANY, exec_jmp_r_##ANY, exec_jmp_gen_##ANY, exec_ret_##NAME}

static exec_fn *const handlers[WAY_COUNT][CALL_FORMS] = {
    [FAST64] = FAST_ROW(fast64, long), [FAST32] = FAST_ROW(fast32, flat), [LONG] = ANY_ROW(long),
    [FLAT] = ANY_ROW(flat), [ANY16] = ANY_ROW(any16), [ANY32] = ANY_ROW(any32),
};
/* clang-format on */

static unsigned way_of(const struct selection *s)
{
    switch (branch_shape_of(s)) {
    case BRANCH_64:
        return FAST64;
    case BRANCH_FLAT:
        return stack_shape_of(s->mode) == STACK_FAST_32 ? FAST32 : FLAT;
    default:
        return s->in->opsize == 2 ? ANY16 : ANY32;
    }
}

exec_fn *branch_select_call(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    exec_fn *const *row = handlers[way_of(s)];
    bool is_mem = in->has_mem;
    switch (in->op) {
    case OP_CALL_NEAR:
        return branch_shape_direct(s, rec) == BRANCH_64_FAR ? exec_call_fast64_far
                                                            : row[CALL_DIRECT];
    case OP_CALL_NEAR_IND:
        if (is_mem && s->mem64)
            return exec_call_m64;
        return row[is_mem ? CALL_GEN : CALL_R];
    case OP_JMP_NEAR_IND:
        if (is_mem && s->mem64)
            return exec_jmp_m64;
        return row[is_mem ? JMP_GEN : JMP_R];
    case OP_RET_NEAR:
        rec->imm = in->operand_count ? (int32_t)(in->imm & 0xffff) : 0;
        if (rec->imm == 0 && way_of(s) == FAST64)
            s->fuse.row = FUSE_RET;
        return row[RET];
    default:
        return NULL;
    }
}
