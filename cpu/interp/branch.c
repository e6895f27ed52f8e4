/* SPDX-License-Identifier: MIT */
/*
 * Jcc, JMP rel, LOOPcc, JrCXZ and BOUND; calls, returns and indirect jumps are in branch_call.c. A
 * direct target is the block's RIP + rec->imm. Where CS is flat the target can be linked
 * (exec_goto_direct); elsewhere every transfer is checked against the limit, out of line.
 */
#include "cpu/interp/branch.h"

#define CONDITIONS(X)                                                                              \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

ALWAYS_INLINE int jump_if(struct vcpu *vcpu, const struct rec *rec, enum branch_shape shape,
                          bool is_taken, int32_t refund)
{
    if (is_taken)
        return branch_goto(vcpu, rec, shape, branch_target(vcpu, rec, shape), refund);
    NEXT;
}

/* clang-format off */
#define JCC(cc)                                                                                                  \
    EXEC(j64_##cc) { return jump_if(vcpu, rec, BRANCH_64, flag_condition(vcpu, cc), rec->disp); }                           \
    EXEC(j64_far_##cc) { return jump_if(vcpu, rec, BRANCH_64_FAR, flag_condition(vcpu, cc), rec->disp); }                   \
    EXEC(j32_##cc) { return jump_if(vcpu, rec, BRANCH_FLAT, flag_condition(vcpu, cc), rec->disp); }                         \
    EXEC(jany_##cc) { return jump_if(vcpu, rec, BRANCH_ANY, flag_condition(vcpu, cc), rec->disp); }

CONDITIONS(JCC)

#define JCC_ROW(cc) {exec_j64_##cc, exec_j32_##cc, exec_jany_##cc, exec_j64_far_##cc},
static exec_fn *const jcc_handlers[16][BRANCH_SHAPES] = {CONDITIONS(JCC_ROW)};

EXEC(jmp64) { return jump_if(vcpu, rec, BRANCH_64, true, 0); }
EXEC(jmp64_far) { return jump_if(vcpu, rec, BRANCH_64_FAR, true, 0); }
EXEC(jmp32) { return jump_if(vcpu, rec, BRANCH_FLAT, true, 0); }
EXEC(jmpany) { return jump_if(vcpu, rec, BRANCH_ANY, true, 0); }
/* clang-format on */

static exec_fn *const jmp_handlers[BRANCH_SHAPES] = {exec_jmp64, exec_jmp32, exec_jmpany,
                                                     exec_jmp64_far};

/*
 * ---- LOOP, LOOPE, LOOPNE, JrCXZ ----  SDM Vol. 2A, "LOOP/LOOPcc"; "Jcc"
 * The counter has the address size (rec->dst, in bits). A target beyond the limit is #GP(0) before
 * the counter changes.
 */

enum loop_op { LOOP_ALWAYS, LOOP_EQUAL, LOOP_NOT_EQUAL, LOOP_ZERO };

ALWAYS_INLINE bool loop_continues(const struct vcpu *vcpu, enum loop_op op, uint64_t count)
{
    switch (op) {
    case LOOP_ALWAYS:
        return count != 0;
    case LOOP_EQUAL:
        return count != 0 && flag_zf(vcpu);
    case LOOP_NOT_EQUAL:
        return count != 0 && !flag_zf(vcpu);
    default:
        return count == 0;
    }
}

ALWAYS_INLINE int loop(struct vcpu *vcpu, const struct rec *rec, enum branch_shape shape,
                       enum loop_op op)
{
    uint64_t count = vcpu->arch.gpr[REG_RCX] - (op != LOOP_ZERO);
    bool is_taken = loop_continues(vcpu, op, count & low_mask(rec->dst));
    if (is_taken && unlikely(!branch_is_valid(vcpu, shape, branch_target(vcpu, rec, shape))))
        return exec_fault(vcpu, rec);
    if (op != LOOP_ZERO)
        reg_write(vcpu, rec->dst, REC_GPR + REG_RCX, count);
    return jump_if(vcpu, rec, shape, is_taken, 0);
}

/* clang-format off */
#define LOOP(name, OP)                                                             \
    EXEC(name##64) { return loop(vcpu, rec, BRANCH_64, OP); }                      \
    EXEC(name##32) { return loop(vcpu, rec, BRANCH_FLAT, OP); }                    \
    EXEC(name##any) { return loop(vcpu, rec, BRANCH_ANY, OP); }

LOOP(loop, LOOP_ALWAYS)
LOOP(loope, LOOP_EQUAL)
LOOP(loopne, LOOP_NOT_EQUAL)
LOOP(jrcxz, LOOP_ZERO)

#define LOOP_ROW(name) {exec_##name##64, exec_##name##32, exec_##name##any, NULL}
static exec_fn *const loop_handlers[4][BRANCH_SHAPES] = {
    [LOOP_ALWAYS] = LOOP_ROW(loop), [LOOP_EQUAL] = LOOP_ROW(loope), [LOOP_NOT_EQUAL] = LOOP_ROW(loopne), [LOOP_ZERO] = LOOP_ROW(jrcxz),
};
/* clang-format on */

static exec_fn *select_loop(const struct selection *s, struct rec *rec, enum loop_op op)
{
    rec->dst = (uint8_t)(s->in->addrsize * 8);
    return loop_handlers[op][branch_shape_of(s)];
}

/* ---- BOUND: signed index within [lower, upper], else #BR; never in 64-bit mode.  SDM Vol. 2A,
 * "BOUND" ---- */

/* One of the two bounds: each is an access of its own, so the second one's offset wraps around too. */
static NOINLINE struct loaded load_bound(struct vcpu *vcpu, const struct rec *rec, unsigned size,
                                         unsigned at)
{
    uint64_t off = (rec_ea(vcpu, rec) + at) & low_mask((rec->scale >> 4) * 8u);
    laddr la = 0;
    vcpu->run.rec = rec;
    if (!seg_linear(vcpu, rec->seg, off, size, ACCESS_READ, &la))
        return (struct loaded){0, false};
    return mem_load(vcpu, rec, la, size);
}

ALWAYS_INLINE int bound(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    struct loaded lower = load_bound(vcpu, rec, width / 8, 0);
    if (unlikely(!lower.ok))
        return exec_fault(vcpu, rec);
    struct loaded upper = load_bound(vcpu, rec, width / 8, width / 8);
    if (unlikely(!upper.ok))
        return exec_fault(vcpu, rec);
    int64_t index = sext(reg_get(vcpu, rec->dst), width);
    if (index < sext(lower.value, width) || index > sext(upper.value, width))
        return exec_raise(vcpu, rec, EXC_BR);
    NEXT;
}

EXEC(bound16)
{
    return bound(vcpu, rec, 16);
}

EXEC(bound32)
{
    return bound(vcpu, rec, 32);
}

exec_fn *select_branch(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    rec->scale = in->has_mem ? rec->scale : in->opsize;
    switch (in->op) {
    case OP_JCC:
        rec->base = (uint8_t)branch_shape_direct(s, rec);
        if (rec->base != BRANCH_ANY)
            s->fuse = (struct fuse_key){.row = FUSE_JCC, .form = in->opcode & 15};
        return jcc_handlers[in->opcode & 15][rec->base];
    case OP_JMP_NEAR:
        return jmp_handlers[branch_shape_direct(s, rec)];
    case OP_LOOP:
        return select_loop(s, rec, LOOP_ALWAYS);
    case OP_LOOPE:
        return select_loop(s, rec, LOOP_EQUAL);
    case OP_LOOPNE:
        return select_loop(s, rec, LOOP_NOT_EQUAL);
    case OP_JRCXZ:
        return select_loop(s, rec, LOOP_ZERO);
    case OP_BOUND:
        return in->opsize == 2 ? exec_bound16 : exec_bound32;
    default:
        return branch_select_call(s, rec);
    }
}
