/* SPDX-License-Identifier: MIT */
/* ROL ROR RCL RCR SHL SHR SAR, SHLD SHRD: by an immediate (or 1) and by CL. */
#include "cpu/interp/integer.h"

enum shift_op {
    SHIFT_ROL,
    SHIFT_ROR,
    SHIFT_RCL,
    SHIFT_RCR,
    SHIFT_SHL,
    SHIFT_SHR,
    SHIFT_SAR,
    SHIFT_COUNT
};

ALWAYS_INLINE struct alu apply(enum shift_op op, unsigned width, struct alu old, uint64_t count)
{
    switch (op) {
    case SHIFT_ROL:
        return alu_rol(width, old, count);
    case SHIFT_ROR:
        return alu_ror(width, old, count);
    case SHIFT_RCL:
        return alu_rcl(width, old, count);
    case SHIFT_RCR:
        return alu_rcr(width, old, count);
    case SHIFT_SHL:
        return alu_shl(width, old, count);
    case SHIFT_SHR:
        return alu_shr(width, old, count);
    default:
        return alu_sar(width, old, count);
    }
}

/* A count of zero still writes DEST: the upper half of a 32-bit one is cleared. */
ALWAYS_INLINE int shift_r(struct vcpu *vcpu, const struct rec *rec, enum shift_op op,
                          unsigned width, uint64_t count, bool flags)
{
    struct alu r = apply(op, width, alu_old(vcpu, reg_read(vcpu, width, rec->dst)), count);
    reg_write(vcpu, width, rec->dst, r.value);
    if (flags)
        flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int shift_m(struct vcpu *vcpu, const struct rec *rec, enum shift_op op,
                          unsigned width, enum shape shape, uint64_t count)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    struct alu r = apply(op, width, alu_old(vcpu, m.value), count);
    rmw_end(vcpu, rec, m, width, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

/* The count, by how it is given: an immediate in rec->imm, or CL. */
#define COUNT_i (rec_imm(rec))
#define COUNT_cl (vcpu->arch.gpr[REG_RCX])

/* clang-format off */
#define SHIFT_BY(W, name, OP, by)                                                                                  \
    EXEC(name##W##_r_##by) { return shift_r(vcpu, rec, OP, W, COUNT_##by, true); }                                 \
    EXEC(name##W##_m64_##by) { return shift_m(vcpu, rec, OP, W, SHAPE_FULL, COUNT_##by); }                         \
    EXEC(name##W##_gen_##by) { return shift_m(vcpu, rec, OP, W, SHAPE_GEN, COUNT_##by); }

#define SHIFT(W, name, OP) SHIFT_BY(W, name, OP, i) SHIFT_BY(W, name, OP, cl)

/* No later instruction sees the flags. */
#define SHIFT_QUIET(W, name, OP) EXEC(name##W##_quiet) { return shift_r(vcpu, rec, OP, W, COUNT_i, false); }

#define SHIFT_ALL(name, OP) WIDTHS(SHIFT, name, OP) SHIFT_QUIET(32, name, OP) SHIFT_QUIET(64, name, OP)

SHIFT_ALL(rol, SHIFT_ROL)
SHIFT_ALL(ror, SHIFT_ROR)
SHIFT_ALL(rcl, SHIFT_RCL)
SHIFT_ALL(rcr, SHIFT_RCR)
SHIFT_ALL(shl, SHIFT_SHL)
SHIFT_ALL(shr, SHIFT_SHR)
SHIFT_ALL(sar, SHIFT_SAR)

enum { PLACE_R, PLACE_M64, PLACE_GEN, PLACE_COUNT };

#define BY_WIDTH(name, form) {exec_##name##8_##form, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}
#define TABLE(name)                                                                                                \
    {{BY_WIDTH(name, r_i), BY_WIDTH(name, m64_i), BY_WIDTH(name, gen_i)},                                          \
     {BY_WIDTH(name, r_cl), BY_WIDTH(name, m64_cl), BY_WIDTH(name, gen_cl)}}

/* By operation, whether by CL, place, width. */
static exec_fn *const handlers[SHIFT_COUNT][2][PLACE_COUNT][4] = {
    TABLE(rol), TABLE(ror), TABLE(rcl), TABLE(rcr), TABLE(shl), TABLE(shr), TABLE(sar),
};

#define QUIET(name) {exec_##name##32_quiet, exec_##name##64_quiet}
static exec_fn *const quiet[SHIFT_COUNT][2] = {
    QUIET(rol), QUIET(ror), QUIET(rcl), QUIET(rcr), QUIET(shl), QUIET(shr), QUIET(sar),
};
/* clang-format on */

/* ---- SHLD, SHRD ---- */

ALWAYS_INLINE struct alu apply_double(bool is_left, unsigned width, struct alu old, uint64_t src,
                                      uint64_t count)
{
    return is_left ? alu_shld(width, old, src, count) : alu_shrd(width, old, src, count);
}

ALWAYS_INLINE int double_r(struct vcpu *vcpu, const struct rec *rec, bool is_left, unsigned width,
                           uint64_t count)
{
    struct alu old = alu_old(vcpu, reg_read(vcpu, width, rec->dst));
    struct alu r = apply_double(is_left, width, old, reg_read(vcpu, width, rec->src), count);
    reg_write(vcpu, width, rec->dst, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int double_m(struct vcpu *vcpu, const struct rec *rec, bool is_left, unsigned width,
                           enum shape shape, uint64_t count)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    struct alu old = alu_old(vcpu, m.value);
    struct alu r = apply_double(is_left, width, old, reg_read(vcpu, width, rec->src), count);
    rmw_end(vcpu, rec, m, width, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

/* clang-format off */
#define DOUBLE_BY(W, name, IS_LEFT, by)                                                                            \
    EXEC(name##W##_r_##by) { return double_r(vcpu, rec, IS_LEFT, W, COUNT_##by); }                                 \
    EXEC(name##W##_m64_##by) { return double_m(vcpu, rec, IS_LEFT, W, SHAPE_FULL, COUNT_##by); }                   \
    EXEC(name##W##_gen_##by) { return double_m(vcpu, rec, IS_LEFT, W, SHAPE_GEN, COUNT_##by); }

#define DOUBLE(W, name, IS_LEFT) DOUBLE_BY(W, name, IS_LEFT, i) DOUBLE_BY(W, name, IS_LEFT, cl)

DOUBLE(16, shld, true) DOUBLE(32, shld, true) DOUBLE(64, shld, true)
DOUBLE(16, shrd, false) DOUBLE(32, shrd, false) DOUBLE(64, shrd, false)

#define WIDE(name, form) {NULL, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}
#define DOUBLE_TABLE(name)                                                                                         \
    {{WIDE(name, r_i), WIDE(name, m64_i), WIDE(name, gen_i)}, {WIDE(name, r_cl), WIDE(name, m64_cl), WIDE(name, gen_cl)}}

static exec_fn *const shld_handlers[2][PLACE_COUNT][4] = DOUBLE_TABLE(shld);
static exec_fn *const shrd_handlers[2][PLACE_COUNT][4] = DOUBLE_TABLE(shrd);
/* clang-format on */

static int op_of(unsigned op)
{
    switch (op) {
    case OP_ROL:
        return SHIFT_ROL;
    case OP_ROR:
        return SHIFT_ROR;
    case OP_RCL:
        return SHIFT_RCL;
    case OP_RCR:
        return SHIFT_RCR;
    case OP_SHL:
        return SHIFT_SHL;
    case OP_SHR:
        return SHIFT_SHR;
    case OP_SAR:
        return SHIFT_SAR;
    default:
        return -1;
    }
}

exec_fn *select_shift(struct selection *s, struct rec *rec)
{
    const struct operand *o = s->in->operands;
    unsigned place = opnd_is_reg(&o[0]) ? PLACE_R : s->mem64 ? PLACE_M64 : PLACE_GEN;
    if (s->in->op == OP_SHLD)
        return shld_handlers[opnd_is_reg(&o[2])][place][s->width];
    if (s->in->op == OP_SHRD)
        return shrd_handlers[opnd_is_reg(&o[2])][place][s->width];
    int op = op_of(s->in->op);
    if (op < 0)
        return NULL;
    bool by_cl = opnd_is_reg(&o[1]);
    if (o[1].kind == OPND_ONE)
        rec->imm = 1;
    if (!s->flags_live && !by_cl && place == PLACE_R && s->width >= WIDTH_32)
        return quiet[op][s->width - WIDTH_32];
    return handlers[op][by_cl][place][s->width];
}
