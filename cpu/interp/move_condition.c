/* SPDX-License-Identifier: MIT */
/* CMOVcc and SETcc. The condition is in the opcode: one handler each where it is hot, else by
 * rec->imm. */
#include "cpu/interp/integer.h"

#define CONDITIONS(X)                                                                              \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

static NOINLINE bool condition(const struct vcpu *vcpu, unsigned cc)
{
    return flag_condition(vcpu, cc);
}

/* ---- CMOVcc ----  SDM Vol. 2A, "CMOVcc": memory is read and a 32-bit DEST zero-extended whatever
 * the condition */

ALWAYS_INLINE int cmov(struct vcpu *vcpu, const struct rec *rec, unsigned width, bool is_true,
                       uint64_t src)
{
    uint64_t dst = reg_read(vcpu, width, rec->dst);
    reg_write(vcpu, width, rec->dst, is_true ? src : dst);
    NEXT;
}

ALWAYS_INLINE int cmov_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, int cc,
                         enum shape shape, exec_fn *miss)
{
    struct loaded m = operand_load(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    bool is_true =
        cc < 0 ? condition(vcpu, (unsigned)rec->imm) : flag_condition(vcpu, (unsigned)cc);
    return cmov(vcpu, rec, width, is_true, m.value);
}

/* clang-format off */
#define CMOV_ANY(W)                                                                                            \
    EXEC_SLOW(cmov##W) { return cmov_m(vcpu, rec, W, -1, SHAPE_SLOW, exec_fault); }                            \
    EXEC(cmov##W##_any_r)                                                                                      \
    { return cmov(vcpu, rec, W, condition(vcpu, (unsigned)rec->imm), reg_read(vcpu, W, rec->src)); }           \
    EXEC(cmov##W##_any_m64) { return cmov_m(vcpu, rec, W, -1, SHAPE_M64, exec_cmov##W##_slow); }               \
    EXEC(cmov##W##_any_gen) { return cmov_m(vcpu, rec, W, -1, SHAPE_GEN, exec_fault); }

CMOV_ANY(16)
CMOV_ANY(32)
CMOV_ANY(64)

#define CMOV_CC(cc)                                                                                            \
    EXEC(cmov32_##cc##_r) { return cmov(vcpu, rec, 32, flag_condition(vcpu, cc), reg_read(vcpu, 32, rec->src)); } \
    EXEC(cmov64_##cc##_r) { return cmov(vcpu, rec, 64, flag_condition(vcpu, cc), reg_read(vcpu, 64, rec->src)); } \
    EXEC(cmov32_##cc##_m64) { return cmov_m(vcpu, rec, 32, cc, SHAPE_M64, exec_cmov32_slow); }                 \
    EXEC(cmov64_##cc##_m64) { return cmov_m(vcpu, rec, 64, cc, SHAPE_M64, exec_cmov64_slow); }

CONDITIONS(CMOV_CC)

#define CMOV_ROW(cc) {{exec_cmov32_##cc##_r, exec_cmov32_##cc##_m64}, {exec_cmov64_##cc##_r, exec_cmov64_##cc##_m64}},
static exec_fn *const cmov_handlers[16][2][2] = {CONDITIONS(CMOV_ROW)};

static exec_fn *const cmov_any[4][3] = {
    [WIDTH_16] = {exec_cmov16_any_r, exec_cmov16_any_m64, exec_cmov16_any_gen},
    [WIDTH_32] = {exec_cmov32_any_r, exec_cmov32_any_m64, exec_cmov32_any_gen},
    [WIDTH_64] = {exec_cmov64_any_r, exec_cmov64_any_m64, exec_cmov64_any_gen},
};

/* ---- SETcc ----  SDM Vol. 2B, "SETcc" */

#define SET_CC(cc)                                                                                             \
    EXEC(set_##cc) { reg_set8(vcpu, rec->dst, flag_condition(vcpu, cc)); NEXT; }

CONDITIONS(SET_CC)

#define SET_ROW(cc) exec_set_##cc,
static exec_fn *const set_handlers[16] = {CONDITIONS(SET_ROW)};
/* clang-format on */

ALWAYS_INLINE int set_m(struct vcpu *vcpu, const struct rec *rec, enum shape shape)
{
    if (unlikely(!operand_store(vcpu, rec, shape, 8, condition(vcpu, (unsigned)rec->imm))))
        return exec_fault(vcpu, rec);
    NEXT;
}

EXEC(set_m64)
{
    return set_m(vcpu, rec, SHAPE_FULL);
}

EXEC(set_gen)
{
    return set_m(vcpu, rec, SHAPE_GEN);
}

exec_fn *move_select_condition(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    unsigned cc = in->opcode & 15;
    if (in->op == OP_SETCC) {
        rec->imm = (int32_t)cc;
        if (opnd_is_reg(&in->operands[0]))
            return set_handlers[cc];
        return s->mem64 ? exec_set_m64 : exec_set_gen;
    }
    if (in->op != OP_CMOVCC)
        return NULL;
    rec->imm = (int32_t)cc;
    unsigned form = opnd_is_reg(&in->operands[1]) ? 0 : s->mem64 ? 1 : 2;
    if (s->width >= WIDTH_32 && form < 2)
        return cmov_handlers[cc][s->width - WIDTH_32][form];
    return cmov_any[s->width][form];
}
