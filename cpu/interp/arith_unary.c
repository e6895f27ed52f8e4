/* SPDX-License-Identifier: MIT */
/* INC DEC NEG NOT. */
#include "cpu/interp/integer.h"

enum unary_op { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, UNARY_COUNT };

/* NOT changes no flag: its old ones are committed again.  SDM Vol. 2B, "NOT". */
ALWAYS_INLINE struct alu apply(const struct vcpu *vcpu, enum unary_op op, unsigned width,
                               uint64_t dst)
{
    struct alu old = alu_old(vcpu, dst);
    switch (op) {
    case UNARY_INC:
        return alu_inc(width, old);
    case UNARY_DEC:
        return alu_dec(width, old);
    case UNARY_NEG:
        return alu_neg(width, dst);
    default:
        old.value = ~dst;
        return old;
    }
}

ALWAYS_INLINE int unary_r(struct vcpu *vcpu, const struct rec *rec, enum unary_op op,
                          unsigned width, bool flags)
{
    struct alu r = apply(vcpu, op, width, reg_read(vcpu, width, rec->dst));
    reg_write(vcpu, width, rec->dst, r.value);
    if (flags && op != UNARY_NOT)
        flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int unary_m(struct vcpu *vcpu, const struct rec *rec, enum unary_op op,
                          unsigned width, enum shape shape, exec_fn *miss)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    struct alu r = apply(vcpu, op, width, m.value);
    rmw_end(vcpu, rec, m, width, r.value);
    if (op != UNARY_NOT)
        flags_commit(vcpu, r);
    NEXT;
}

/* clang-format off */
#define UNARY(W, name, OP)                                                             \
    EXEC(name##W##_r) { return unary_r(vcpu, rec, OP, W, true); }                      \
    EXEC_SLOW(name##W) { return unary_m(vcpu, rec, OP, W, SHAPE_SLOW, exec_fault); }                \
    EXEC(name##W##_bd) { return unary_m(vcpu, rec, OP, W, SHAPE_BD, exec_##name##W##_slow); }       \
    EXEC(name##W##_m64) { return unary_m(vcpu, rec, OP, W, SHAPE_M64, exec_##name##W##_slow); }     \
    EXEC(name##W##_gen) { return unary_m(vcpu, rec, OP, W, SHAPE_GEN, exec_fault); }

#define UNARY_QUIET(name, OP)                                                          \
    EXEC(name##32_r_quiet) { return unary_r(vcpu, rec, OP, 32, false); }               \
    EXEC(name##64_r_quiet) { return unary_r(vcpu, rec, OP, 64, false); }

WIDTHS(UNARY, inc, UNARY_INC)
WIDTHS(UNARY, dec, UNARY_DEC)
WIDTHS(UNARY, neg, UNARY_NEG)
WIDTHS(UNARY, not, UNARY_NOT)
UNARY_QUIET(inc, UNARY_INC)
UNARY_QUIET(dec, UNARY_DEC)
UNARY_QUIET(neg, UNARY_NEG)

#define BY_WIDTH(name, form) {exec_##name##8_##form, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}
#define TABLE(name) {BY_WIDTH(name, r), BY_WIDTH(name, bd), BY_WIDTH(name, m64), BY_WIDTH(name, gen)}

static exec_fn *const handlers[UNARY_COUNT][FORM1_COUNT][4] = {TABLE(inc), TABLE(dec), TABLE(neg), TABLE(not)};

static exec_fn *const quiet[UNARY_NOT][2] = {
    {exec_inc32_r_quiet, exec_inc64_r_quiet}, {exec_dec32_r_quiet, exec_dec64_r_quiet},
    {exec_neg32_r_quiet, exec_neg64_r_quiet},
};
/* clang-format on */

exec_fn *arith_select_unary(struct selection *s, struct rec *rec)
{
    enum unary_op op;
    switch (s->in->op) {
    case OP_INC:
        op = UNARY_INC;
        break;
    case OP_DEC:
        op = UNARY_DEC;
        break;
    case OP_NEG:
        op = UNARY_NEG;
        break;
    case OP_NOT:
        op = UNARY_NOT;
        break;
    default:
        return NULL;
    }
    unsigned form = form1_of(s, rec, 0);
    if (form == FORM1_R && op <= UNARY_DEC)
        s->fuse = (struct fuse_key){(uint8_t)(FUSE_INC + op), FORM_R_I, s->width};
    if (!s->flags_live && op != UNARY_NOT && form == FORM1_R && s->width >= WIDTH_32)
        return quiet[op][s->width - WIDTH_32];
    return handlers[op][form][s->width];
}
