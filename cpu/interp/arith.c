/* SPDX-License-Identifier: MIT */
/* ADD OR ADC SBB AND SUB XOR, CMP and TEST: every form, by one line each. */
#include "cpu/interp/integer.h"

enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR };

ALWAYS_INLINE struct alu apply(const struct vcpu *vcpu, enum alu_op op, unsigned width,
                               uint64_t dst, uint64_t src)
{
    switch (op) {
    case ALU_ADD:
        return alu_add(width, dst, src);
    case ALU_OR:
        return alu_or(width, dst, src);
    case ALU_ADC:
        return alu_adc(width, dst, src, flag_cf(vcpu));
    case ALU_SBB:
        return alu_sbb(width, dst, src, flag_cf(vcpu));
    case ALU_AND:
        return alu_and(width, dst, src);
    case ALU_SUB:
        return alu_sub(width, dst, src);
    default:
        return alu_xor(width, dst, src);
    }
}

/* ---- DEST := DEST op SRC ---- */

ALWAYS_INLINE int alu_r_r(struct vcpu *vcpu, const struct rec *rec, enum alu_op op, unsigned width,
                          bool flags)
{
    uint64_t src = reg_read(vcpu, width, rec->src);
    struct alu r = apply(vcpu, op, width, reg_read(vcpu, width, rec->dst), src);
    reg_write(vcpu, width, rec->dst, r.value);
    if (flags)
        flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int alu_r_i(struct vcpu *vcpu, const struct rec *rec, enum alu_op op, unsigned width,
                          bool flags)
{
    struct alu r = apply(vcpu, op, width, reg_read(vcpu, width, rec->dst), rec_imm(rec));
    reg_write(vcpu, width, rec->dst, r.value);
    if (flags)
        flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int alu_r_m(struct vcpu *vcpu, const struct rec *rec, enum alu_op op, unsigned width,
                          enum shape shape, exec_fn *miss)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return miss(vcpu, rec);
    struct alu r = apply(vcpu, op, width, reg_read(vcpu, width, rec->dst), src.value);
    reg_write(vcpu, width, rec->dst, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int alu_m(struct vcpu *vcpu, const struct rec *rec, enum alu_op op, unsigned width,
                        enum shape shape, uint64_t src, exec_fn *miss)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    struct alu r = apply(vcpu, op, width, m.value, src);
    rmw_end(vcpu, rec, m, width, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

/* ---- CMP and TEST: flags alone ---- */

ALWAYS_INLINE int flags_of(struct vcpu *vcpu, const struct rec *rec, enum alu_op op, unsigned width,
                           uint64_t a, uint64_t b)
{
    flags_commit(vcpu, apply(vcpu, op, width, a, b));
    (void)rec;
    NEXT;
}

ALWAYS_INLINE int flags_r_m(struct vcpu *vcpu, const struct rec *rec, enum alu_op op,
                            unsigned width, enum shape shape, exec_fn *miss)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return miss(vcpu, rec);
    return flags_of(vcpu, rec, op, width, reg_read(vcpu, width, rec->dst), src.value);
}

ALWAYS_INLINE int flags_m(struct vcpu *vcpu, const struct rec *rec, enum alu_op op, unsigned width,
                          enum shape shape, uint64_t src, exec_fn *miss)
{
    struct loaded dst = operand_load(vcpu, rec, shape, width);
    if (unlikely(!dst.ok))
        return miss(vcpu, rec);
    return flags_of(vcpu, rec, op, width, dst.value, src);
}

/* ---- handlers ---- */

/* clang-format off */
#define M_FORMS(W, name, OP, R_M, M, shape, SHAPE, MISS)                                                                \
    EXEC(name##W##_r_##shape) { return R_M(vcpu, rec, OP, W, SHAPE, MISS(name##W##_r)); }                              \
    EXEC(name##W##_##shape##_r)                                                                                        \
    { return M(vcpu, rec, OP, W, SHAPE, reg_read(vcpu, W, rec->src), MISS(name##W##_m_r)); }                           \
    EXEC(name##W##_##shape##_i) { return M(vcpu, rec, OP, W, SHAPE, rec_imm(rec), MISS(name##W##_m_i)); }

#define ALL_M_FORMS(W, name, OP, R_M, M)                                                                               \
    EXEC_SLOW(name##W##_r) { return R_M(vcpu, rec, OP, W, SHAPE_SLOW, exec_fault); }                                   \
    EXEC_SLOW(name##W##_m_r)                                                                                           \
    { return M(vcpu, rec, OP, W, SHAPE_SLOW, reg_read(vcpu, W, rec->src), exec_fault); }                               \
    EXEC_SLOW(name##W##_m_i) { return M(vcpu, rec, OP, W, SHAPE_SLOW, rec_imm(rec), exec_fault); }                     \
    M_FORMS(W, name, OP, R_M, M, bd, SHAPE_BD, TO_SLOW)                                                                \
    M_FORMS(W, name, OP, R_M, M, m64, SHAPE_M64, TO_SLOW)                                                              \
    M_FORMS(W, name, OP, R_M, M, gen, SHAPE_GEN, TO_FAULT)

#define ALU_FORMS(W, name, OP)                                                                                         \
    EXEC(name##W##_r_r) { return alu_r_r(vcpu, rec, OP, W, true); }                                                    \
    EXEC(name##W##_r_i) { return alu_r_i(vcpu, rec, OP, W, true); }                                                    \
    ALL_M_FORMS(W, name, OP, alu_r_m, alu_m)

/* No later instruction sees the flags: only register forms, since a memory access may show them. */
#define ALU_QUIET(W, name, OP)                                                                                         \
    EXEC(name##W##_r_r_quiet) { return alu_r_r(vcpu, rec, OP, W, false); }                                             \
    EXEC(name##W##_r_i_quiet) { return alu_r_i(vcpu, rec, OP, W, false); }

#define FLAGS_FORMS(W, name, OP)                                                                                       \
    EXEC(name##W##_r_r)                                                                                                \
    { return flags_of(vcpu, rec, OP, W, reg_read(vcpu, W, rec->dst), reg_read(vcpu, W, rec->src)); }                   \
    EXEC(name##W##_r_i) { return flags_of(vcpu, rec, OP, W, reg_read(vcpu, W, rec->dst), rec_imm(rec)); }              \
    ALL_M_FORMS(W, name, OP, flags_r_m, flags_m)

#define ALU_RW(name, OP) WIDTHS(ALU_FORMS, name, OP) ALU_QUIET(32, name, OP) ALU_QUIET(64, name, OP)

ALU_RW(add, ALU_ADD)
ALU_RW(or, ALU_OR)
ALU_RW(adc, ALU_ADC)
ALU_RW(sbb, ALU_SBB)
ALU_RW(and, ALU_AND)
ALU_RW(sub, ALU_SUB)
ALU_RW(xor, ALU_XOR)
WIDTHS(FLAGS_FORMS, cmp, ALU_SUB)
WIDTHS(FLAGS_FORMS, test, ALU_AND)

#define BY_WIDTH(name, form) {exec_##name##8_##form, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}

#define TABLE(name)                                                                                                    \
    {[FORM_R_R] = BY_WIDTH(name, r_r), [FORM_R_I] = BY_WIDTH(name, r_i),                                               \
     [FORM_R_M + SHAPE_BD] = BY_WIDTH(name, r_bd), [FORM_R_M + SHAPE_M64] = BY_WIDTH(name, r_m64),                     \
     [FORM_R_M + SHAPE_GEN] = BY_WIDTH(name, r_gen),                                                                   \
     [FORM_M_R + SHAPE_BD] = BY_WIDTH(name, bd_r), [FORM_M_R + SHAPE_M64] = BY_WIDTH(name, m64_r),                     \
     [FORM_M_R + SHAPE_GEN] = BY_WIDTH(name, gen_r),                                                                   \
     [FORM_M_I + SHAPE_BD] = BY_WIDTH(name, bd_i), [FORM_M_I + SHAPE_M64] = BY_WIDTH(name, m64_i),                     \
     [FORM_M_I + SHAPE_GEN] = BY_WIDTH(name, gen_i)}

#define QUIET(name)                                                                                                    \
    {{exec_##name##32_r_r_quiet, exec_##name##64_r_r_quiet}, {exec_##name##32_r_i_quiet, exec_##name##64_r_i_quiet}}

enum { CMP_ROW = ALU_XOR + 1, TEST_ROW, ROW_COUNT };

static exec_fn *const handlers[ROW_COUNT][FORM_COUNT][4] = {
    [ALU_ADD] = TABLE(add), [ALU_OR] = TABLE(or), [ALU_ADC] = TABLE(adc), [ALU_SBB] = TABLE(sbb), [ALU_AND] = TABLE(and),
    [ALU_SUB] = TABLE(sub), [ALU_XOR] = TABLE(xor), [CMP_ROW] = TABLE(cmp), [TEST_ROW] = TABLE(test),
};

static exec_fn *const quiet[CMP_ROW][2][2] = {
    [ALU_ADD] = QUIET(add), [ALU_OR] = QUIET(or), [ALU_ADC] = QUIET(adc), [ALU_SBB] = QUIET(sbb), [ALU_AND] = QUIET(and),
    [ALU_SUB] = QUIET(sub), [ALU_XOR] = QUIET(xor),
};
/* clang-format on */

/* XOR r, r of one register: zero, without reading it. */
EXEC(zero64)
{
    reg_set64(vcpu, rec->dst, 0);
    flags_commit(vcpu, (struct alu){0, 0, 0});
    NEXT;
}

static int row_of(unsigned op)
{
    switch (op) {
    case OP_ADD:
        return ALU_ADD;
    case OP_OR:
        return ALU_OR;
    case OP_ADC:
        return ALU_ADC;
    case OP_SBB:
        return ALU_SBB;
    case OP_AND:
        return ALU_AND;
    case OP_SUB:
        return ALU_SUB;
    case OP_XOR:
        return ALU_XOR;
    case OP_CMP:
        return CMP_ROW;
    case OP_TEST:
        return TEST_ROW;
    default:
        return -1;
    }
}

exec_fn *select_arith(struct selection *s, struct rec *rec)
{
    int row = row_of(s->in->op);
    if (row < 0) {
        exec_fn *fn = arith_select_unary(s, rec);
        return fn ? fn : arith_select_exchange(s, rec);
    }
    unsigned form = form_of(s, rec);
    s->fuse = (struct fuse_key){(uint8_t)(FUSE_ADD + row), (uint8_t)form, s->width};
    if (row == ALU_XOR && form == FORM_R_R && rec->dst == rec->src && s->width >= WIDTH_32)
        return exec_zero64;
    if (!s->flags_live && row < CMP_ROW && form <= FORM_R_I && s->width >= WIDTH_32)
        return quiet[row][form][s->width - WIDTH_32];
    return handlers[row][form][s->width];
}
