/* SPDX-License-Identifier: MIT */
/*
 * Compare and branch: CMP, TEST, SUB, ADD, AND, INC, DEC, and the Jcc behind it. The flags are set
 * as ever, and the condition is found from the operands where that takes less.
 */
#include "cpu/interp/branch.h"
#include "cpu/interp/fuse.h"

/* Operands of the first instruction. */
struct compared {
    uint64_t a; /* DEST, truncated to the width */
    uint64_t b; /* SRC, the same */
    bool ok;    /* false: a miss */
};

ALWAYS_INLINE struct compared compared_load(struct vcpu *vcpu, const struct rec *rec, unsigned form,
                                            unsigned width)
{
    unsigned shape = (form - FORM_R_M) % SHAPE_COUNT;
    struct loaded m = operand_load(vcpu, rec, (enum shape)shape, width);
    if (form < FORM_M_R)
        return (struct compared){reg_read(vcpu, width, rec->dst), m.value, m.ok};
    if (form < FORM_M_I)
        return (struct compared){m.value, reg_read(vcpu, width, rec->src), m.ok};
    return (struct compared){m.value, rec_imm(rec) & low_mask(width), m.ok};
}

ALWAYS_INLINE struct compared compared_get(struct vcpu *vcpu, const struct rec *rec, unsigned form,
                                           unsigned width)
{
    if (form >= FORM_R_M)
        return compared_load(vcpu, rec, form, width);
    uint64_t b =
        form == FORM_R_R ? reg_read(vcpu, width, rec->src) : rec_imm(rec) & low_mask(width);
    return (struct compared){reg_read(vcpu, width, rec->dst), b, true};
}

ALWAYS_INLINE struct alu apply(const struct vcpu *vcpu, enum fuse_row row, unsigned width,
                               struct compared o)
{
    switch (row) {
    case FUSE_ADD:
        return alu_add(width, o.a, o.b);
    case FUSE_AND:
    case FUSE_TEST:
        return alu_and(width, o.a, o.b);
    case FUSE_INC:
        return alu_inc(width, alu_old(vcpu, o.a));
    case FUSE_DEC:
        return alu_dec(width, alu_old(vcpu, o.a));
    default:
        return alu_sub(width, o.a, o.b);
    }
}

/* Condition cc after the operation, whose flags have been committed. */
ALWAYS_INLINE bool is_met(const struct vcpu *vcpu, enum fuse_row row, unsigned width, unsigned cc,
                          struct compared o)
{
    bool is_not = cc & 1;
    if (row != FUSE_CMP && row != FUSE_SUB)
        return flag_condition(vcpu, cc);
    switch (cc >> 1) {
    case 1:
        return (o.a < o.b) != is_not;
    case 2:
        return (o.a == o.b) != is_not;
    case 3:
        return (o.a <= o.b) != is_not;
    case 6:
        return (sext(o.a, width) < sext(o.b, width)) != is_not;
    case 7:
        return (sext(o.a, width) <= sext(o.b, width)) != is_not;
    default:
        return flag_condition(vcpu, cc);
    }
}

/* Taken, and not to the same page of 64-bit code. */
static NOINLINE int take_other(struct vcpu *vcpu, const struct rec *jcc)
{
    enum branch_shape shape = (enum branch_shape)jcc->base;
    if (shape == BRANCH_FLAT)
        return branch_goto(vcpu, jcc, BRANCH_FLAT, branch_target(vcpu, jcc, BRANCH_FLAT),
                           jcc->disp);
    return branch_goto(vcpu, jcc, BRANCH_64_FAR, branch_target(vcpu, jcc, BRANCH_64_FAR),
                       jcc->disp);
}

ALWAYS_INLINE int compare_jump(struct vcpu *vcpu, const struct rec *rec, enum fuse_row row,
                               unsigned form, unsigned width, unsigned cc)
{
    const struct rec *jcc = rec + 1;
    struct compared o = compared_get(vcpu, rec, form, width);
    if (unlikely(!o.ok))
        FUSE_OWN(vcpu, rec);
    struct alu r = apply(vcpu, row, width, o);
    if (row != FUSE_CMP && row != FUSE_TEST)
        reg_write(vcpu, width, rec->dst, r.value);
    flags_commit(vcpu, r);
    if (!is_met(vcpu, row, width, cc, o))
        CHAIN_TO(vcpu, rec + 2);
    if (unlikely(jcc->base != BRANCH_64))
        return take_other(vcpu, jcc);
    return branch_goto(vcpu, jcc, BRANCH_64, branch_target(vcpu, jcc, BRANCH_64), jcc->disp);
}

/* clang-format off */
/* The conditions that follow a subtraction, a comparison; those that follow the rest. */
#define AFTER_SUB(X, ...) \
    X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(6, __VA_ARGS__) X(7, __VA_ARGS__) AFTER_ANY(X, __VA_ARGS__)
#define AFTER_ANY(X, ...) \
    X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(8, __VA_ARGS__) X(9, __VA_ARGS__) \
    X(12, __VA_ARGS__) X(13, __VA_ARGS__) X(14, __VA_ARGS__) X(15, __VA_ARGS__)

/* name, row, form, width, conditions */
#define FIRSTS(X)                                                                       \
    X(cmp8_r_r, FUSE_CMP, FORM_R_R, 8, AFTER_SUB)                                       \
    X(cmp8_r_i, FUSE_CMP, FORM_R_I, 8, AFTER_SUB)                                       \
    X(cmp8_r_bd, FUSE_CMP, FORM_R_M + SHAPE_BD, 8, AFTER_SUB)                           \
    X(cmp8_r_m64, FUSE_CMP, FORM_R_M + SHAPE_M64, 8, AFTER_SUB)                         \
    X(cmp8_bd_r, FUSE_CMP, FORM_M_R + SHAPE_BD, 8, AFTER_SUB)                           \
    X(cmp8_m64_r, FUSE_CMP, FORM_M_R + SHAPE_M64, 8, AFTER_SUB)                         \
    X(cmp8_bd_i, FUSE_CMP, FORM_M_I + SHAPE_BD, 8, AFTER_SUB)                           \
    X(cmp8_m64_i, FUSE_CMP, FORM_M_I + SHAPE_M64, 8, AFTER_SUB)                         \
    X(cmp16_r_i, FUSE_CMP, FORM_R_I, 16, AFTER_SUB)                                     \
    X(cmp32_r_r, FUSE_CMP, FORM_R_R, 32, AFTER_SUB)                                     \
    X(cmp32_r_i, FUSE_CMP, FORM_R_I, 32, AFTER_SUB)                                     \
    X(cmp32_r_bd, FUSE_CMP, FORM_R_M + SHAPE_BD, 32, AFTER_SUB)                         \
    X(cmp32_r_m64, FUSE_CMP, FORM_R_M + SHAPE_M64, 32, AFTER_SUB)                       \
    X(cmp32_bd_r, FUSE_CMP, FORM_M_R + SHAPE_BD, 32, AFTER_SUB)                         \
    X(cmp32_m64_r, FUSE_CMP, FORM_M_R + SHAPE_M64, 32, AFTER_SUB)                       \
    X(cmp32_bd_i, FUSE_CMP, FORM_M_I + SHAPE_BD, 32, AFTER_SUB)                         \
    X(cmp32_m64_i, FUSE_CMP, FORM_M_I + SHAPE_M64, 32, AFTER_SUB)                       \
    X(cmp64_r_r, FUSE_CMP, FORM_R_R, 64, AFTER_SUB)                                     \
    X(cmp64_r_i, FUSE_CMP, FORM_R_I, 64, AFTER_SUB)                                     \
    X(cmp64_r_bd, FUSE_CMP, FORM_R_M + SHAPE_BD, 64, AFTER_SUB)                         \
    X(cmp64_r_m64, FUSE_CMP, FORM_R_M + SHAPE_M64, 64, AFTER_SUB)                       \
    X(cmp64_bd_r, FUSE_CMP, FORM_M_R + SHAPE_BD, 64, AFTER_SUB)                         \
    X(cmp64_m64_r, FUSE_CMP, FORM_M_R + SHAPE_M64, 64, AFTER_SUB)                       \
    X(cmp64_bd_i, FUSE_CMP, FORM_M_I + SHAPE_BD, 64, AFTER_SUB)                         \
    X(cmp64_m64_i, FUSE_CMP, FORM_M_I + SHAPE_M64, 64, AFTER_SUB)                       \
    X(test8_r_r, FUSE_TEST, FORM_R_R, 8, AFTER_ANY)                                     \
    X(test8_r_i, FUSE_TEST, FORM_R_I, 8, AFTER_ANY)                                     \
    X(test8_bd_i, FUSE_TEST, FORM_M_I + SHAPE_BD, 8, AFTER_ANY)                         \
    X(test8_m64_i, FUSE_TEST, FORM_M_I + SHAPE_M64, 8, AFTER_ANY)                       \
    X(test32_r_r, FUSE_TEST, FORM_R_R, 32, AFTER_ANY)                                   \
    X(test32_r_i, FUSE_TEST, FORM_R_I, 32, AFTER_ANY)                                   \
    X(test64_r_r, FUSE_TEST, FORM_R_R, 64, AFTER_ANY)                                   \
    X(sub32_r_r, FUSE_SUB, FORM_R_R, 32, AFTER_SUB)                                     \
    X(sub32_r_i, FUSE_SUB, FORM_R_I, 32, AFTER_SUB)                                     \
    X(sub64_r_r, FUSE_SUB, FORM_R_R, 64, AFTER_SUB)                                     \
    X(sub64_r_i, FUSE_SUB, FORM_R_I, 64, AFTER_SUB)                                     \
    X(add32_r_r, FUSE_ADD, FORM_R_R, 32, AFTER_ANY)                                     \
    X(add32_r_i, FUSE_ADD, FORM_R_I, 32, AFTER_ANY)                                     \
    X(add64_r_r, FUSE_ADD, FORM_R_R, 64, AFTER_ANY)                                     \
    X(add64_r_i, FUSE_ADD, FORM_R_I, 64, AFTER_ANY)                                     \
    X(and32_r_r, FUSE_AND, FORM_R_R, 32, AFTER_ANY)                                     \
    X(and32_r_i, FUSE_AND, FORM_R_I, 32, AFTER_ANY)                                     \
    X(and64_r_i, FUSE_AND, FORM_R_I, 64, AFTER_ANY)                                     \
    X(inc32, FUSE_INC, FORM_R_I, 32, AFTER_ANY)                                         \
    X(dec32, FUSE_DEC, FORM_R_I, 32, AFTER_ANY)                                         \
    X(dec64, FUSE_DEC, FORM_R_I, 64, AFTER_ANY)

#define HANDLER(cc, name, row, form, width) \
    EXEC(name##_j##cc) { return compare_jump(vcpu, rec, row, form, width, cc); }
#define HANDLERS(name, row, form, width, AFTER) AFTER(HANDLER, name, row, form, width)
FIRSTS(HANDLERS)

#define ENTRY(cc, name) [cc] = exec_##name##_j##cc,
#define ENTRIES(name, row, form, width, AFTER) static exec_fn *const name##_jumps[16] = {AFTER(ENTRY, name)};
FIRSTS(ENTRIES)

#define INDEX_8 WIDTH_8
#define INDEX_16 WIDTH_16
#define INDEX_32 WIDTH_32
#define INDEX_64 WIDTH_64
#define PLACE(name, row, form, width, AFTER) [row][form][INDEX_##width] = name##_jumps,
/* By condition, of a first instruction; NULL: none. */
static exec_fn *const *const jumps[FUSE_JCC][FORM_COUNT][4] = {FIRSTS(PLACE)};
/* clang-format on */

exec_fn *fuse_branch(const struct fuse_key *keys, unsigned left)
{
    const struct fuse_key *k = &keys[0];
    if (left < 2 || keys[1].row != FUSE_JCC || k->row >= FUSE_JCC) /* whose form is no enum form */
        return NULL;
    exec_fn *const *by_condition = jumps[k->row][k->form][k->width];
    return by_condition ? by_condition[keys[1].form] : NULL;
}
