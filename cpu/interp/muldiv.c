/* SPDX-License-Identifier: MIT */
/* MUL IMUL DIV IDIV, and the decimal adjustments of 16- and 32-bit code. */
#include "cpu/interp/integer.h"

/* ---- rDX:rAX (AX) := rAX (AL) * SRC ---- */

ALWAYS_INLINE int multiply(struct vcpu *vcpu, const struct rec *rec, bool is_signed, unsigned width,
                           uint64_t src)
{
    uint64_t acc = gpr_read(vcpu, width, REG_RAX);
    struct product p = is_signed ? alu_imul(width, acc, src) : alu_mul(width, acc, src);
    if (width == 8) {
        gpr_write(vcpu, 16, REG_RAX, p.hi << 8 | p.lo);
    } else {
        gpr_write(vcpu, width, REG_RAX, p.lo);
        gpr_write(vcpu, width, REG_RDX, p.hi);
    }
    vcpu->run.flag_result = p.result;
    vcpu->run.flag_carry = p.carry;
    NEXT;
}

ALWAYS_INLINE int multiply_m(struct vcpu *vcpu, const struct rec *rec, bool is_signed,
                             unsigned width, enum shape shape)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return exec_fault(vcpu, rec);
    return multiply(vcpu, rec, is_signed, width, src.value);
}

/* ---- IMUL with two and three operands: DEST := a * b, truncated ---- */

ALWAYS_INLINE int imul_into(struct vcpu *vcpu, const struct rec *rec, unsigned width, uint64_t a,
                            uint64_t b, bool flags)
{
    struct product p = alu_imul(width, a, b);
    reg_write(vcpu, width, rec->dst, p.lo);
    if (flags) {
        vcpu->run.flag_result = p.result;
        vcpu->run.flag_carry = p.carry;
    }
    NEXT;
}

ALWAYS_INLINE int imul_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, enum shape shape,
                         bool by_imm, exec_fn *miss)
{
    struct loaded m = operand_load(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    return imul_into(vcpu, rec, width, m.value,
                     by_imm ? rec_imm(rec) : reg_read(vcpu, width, rec->dst), true);
}

/* ---- rAX := quotient, rDX := remainder (AL, AH) of rDX:rAX (AX) / SRC ---- */

ALWAYS_INLINE bool divide(struct vcpu *vcpu, bool is_signed, unsigned width, uint64_t src)
{
    uint64_t lo = gpr_read(vcpu, width, REG_RAX);
    uint64_t hi = width == 8 ? vcpu->arch.gpr[REG_RAX] >> 8 : gpr_read(vcpu, width, REG_RDX);
    struct quotient q = is_signed ? alu_idiv(width, hi, lo, src) : alu_div(width, hi, lo, src);
    if (!q.ok)
        return false;
    if (width == 8) {
        gpr_write(vcpu, 16, REG_RAX, q.remainder << 8 | q.quotient);
    } else {
        gpr_write(vcpu, width, REG_RAX, q.quotient);
        gpr_write(vcpu, width, REG_RDX, q.remainder);
    }
    return true;
}

ALWAYS_INLINE int divided(struct vcpu *vcpu, const struct rec *rec, bool ok)
{
    if (unlikely(!ok))
        return exec_raise(vcpu, rec, EXC_DE);
    NEXT;
}

/* clang-format off */
#define MULTIPLY(W, name, IS_SIGNED)                                                                               \
    EXEC(name##W##_r) { return multiply(vcpu, rec, IS_SIGNED, W, reg_read(vcpu, W, rec->dst)); }                   \
    EXEC(name##W##_m64) { return multiply_m(vcpu, rec, IS_SIGNED, W, SHAPE_FULL); }                                \
    EXEC(name##W##_gen) { return multiply_m(vcpu, rec, IS_SIGNED, W, SHAPE_GEN); }

/* The division itself out of line: it needs the address of a local for the 128-bit remainder. */
#define DIVIDE(W, name, IS_SIGNED)                                                                                 \
    static NOINLINE bool name##W(struct vcpu *vcpu, uint64_t src) { return divide(vcpu, IS_SIGNED, W, src); }      \
    EXEC(name##W##_r) { return divided(vcpu, rec, name##W(vcpu, reg_read(vcpu, W, rec->dst))); }                   \
    DIVIDE_M(W, name, m64, SHAPE_FULL)                                                                             \
    DIVIDE_M(W, name, gen, SHAPE_GEN)

#define DIVIDE_M(W, name, shape, SHAPE)                                                                            \
    EXEC(name##W##_##shape)                                                                                        \
    {                                                                                                              \
        struct loaded src = operand_load(vcpu, rec, SHAPE, W);                                                     \
        if (unlikely(!src.ok))                                                                                     \
            return exec_fault(vcpu, rec);                                                                          \
        return divided(vcpu, rec, name##W(vcpu, src.value));                                                       \
    }

WIDTHS(MULTIPLY, mul, false)
WIDTHS(MULTIPLY, imul, true)
WIDTHS(DIVIDE, div, false)
WIDTHS(DIVIDE, idiv, true)

#define IMUL_FORMS(W, FLAGS, suffix)                                                                               \
    EXEC(imul##W##_r_r##suffix)                                                                                    \
    { return imul_into(vcpu, rec, W, reg_read(vcpu, W, rec->dst), reg_read(vcpu, W, rec->src), FLAGS); }           \
    EXEC(imul##W##_r_r_i##suffix) { return imul_into(vcpu, rec, W, reg_read(vcpu, W, rec->src), rec_imm(rec), FLAGS); }

#define IMUL_M(W)                                                                                                  \
    EXEC_SLOW(imul##W##_r) { return imul_m(vcpu, rec, W, SHAPE_SLOW, false, exec_fault); }                         \
    EXEC(imul##W##_r_m64) { return imul_m(vcpu, rec, W, SHAPE_M64, false, exec_imul##W##_r_slow); }                \
    EXEC(imul##W##_r_gen) { return imul_m(vcpu, rec, W, SHAPE_GEN, false, exec_fault); }                           \
    EXEC(imul##W##_r_m64_i) { return imul_m(vcpu, rec, W, SHAPE_FULL, true, exec_fault); }                         \
    EXEC(imul##W##_r_gen_i) { return imul_m(vcpu, rec, W, SHAPE_GEN, true, exec_fault); }

IMUL_FORMS(16, true, ) IMUL_FORMS(32, true, ) IMUL_FORMS(64, true, )
IMUL_FORMS(32, false, _quiet) IMUL_FORMS(64, false, _quiet)
IMUL_M(16) IMUL_M(32) IMUL_M(64)

enum { PLACE_R, PLACE_M64, PLACE_GEN, PLACE_COUNT };

#define BY_WIDTH(name, form) {exec_##name##8_##form, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}
#define TABLE(name) {BY_WIDTH(name, r), BY_WIDTH(name, m64), BY_WIDTH(name, gen)}

static exec_fn *const mul_handlers[PLACE_COUNT][4] = TABLE(mul);
static exec_fn *const imul1_handlers[PLACE_COUNT][4] = TABLE(imul);
static exec_fn *const div_handlers[PLACE_COUNT][4] = TABLE(div);
static exec_fn *const idiv_handlers[PLACE_COUNT][4] = TABLE(idiv);

#define WIDE(form) {NULL, exec_imul16_##form, exec_imul32_##form, exec_imul64_##form}
/* By whether there is an immediate, then the place of SRC. */
static exec_fn *const imul_handlers[2][PLACE_COUNT][4] = {
    {WIDE(r_r), WIDE(r_m64), WIDE(r_gen)}, {WIDE(r_r_i), WIDE(r_m64_i), WIDE(r_gen_i)},
};
static exec_fn *const imul_quiet[2][2] = {
    {exec_imul32_r_r_quiet, exec_imul64_r_r_quiet}, {exec_imul32_r_r_i_quiet, exec_imul64_r_r_i_quiet},
};

/* ---- decimal ---- */

/* What the meanings need: AX, CF, AF and, for AAM and AAD, the base in rec->imm. */
#define DECIMAL(name, EXPR)                                                                                        \
    EXEC(name)                                                                                                     \
    {                                                                                                              \
        struct alu r = EXPR;                                                                                       \
        gpr_write(vcpu, 16, REG_RAX, r.value);                                                                     \
        flags_commit(vcpu, r);                                                                                     \
        NEXT;                                                                                                      \
    }
#define AX (vcpu->arch.gpr[REG_RAX] & 0xffff)

DECIMAL(daa, alu_daa(AX, flag_cf(vcpu), flag_af(vcpu)))
DECIMAL(das, alu_das(AX, flag_cf(vcpu), flag_af(vcpu)))
DECIMAL(aaa, alu_aaa(AX, flag_af(vcpu)))
DECIMAL(aas, alu_aas(AX, flag_af(vcpu)))
DECIMAL(aam, alu_aam(AX, (uint8_t)rec->imm))
DECIMAL(aad, alu_aad(AX, (uint8_t)rec->imm))
/* clang-format on */

/* AAM with base 0. */
EXEC(de)
{
    return exec_raise(vcpu, rec, EXC_DE);
}

static exec_fn *select_decimal(const struct selection *s, struct rec *rec)
{
    switch (s->in->op) {
    case OP_DAA:
        return exec_daa;
    case OP_DAS:
        return exec_das;
    case OP_AAA:
        return exec_aaa;
    case OP_AAS:
        return exec_aas;
    case OP_AAM:
        rec->imm = (int32_t)(s->in->imm & 0xff);
        return rec->imm ? exec_aam : exec_de;
    case OP_AAD:
        rec->imm = (int32_t)(s->in->imm & 0xff);
        return exec_aad;
    default:
        return NULL;
    }
}

static unsigned place_of(const struct selection *s, unsigned operand)
{
    return opnd_is_reg(&s->in->operands[operand]) ? PLACE_R : s->mem64 ? PLACE_M64 : PLACE_GEN;
}

static exec_fn *select_imul(const struct selection *s)
{
    if (s->in->operand_count == 1)
        return imul1_handlers[place_of(s, 0)][s->width];
    bool by_imm = s->in->operand_count == 3;
    unsigned place = place_of(s, 1);
    if (!s->flags_live && place == PLACE_R && s->width >= WIDTH_32)
        return imul_quiet[by_imm][s->width - WIDTH_32];
    return imul_handlers[by_imm][place][s->width];
}

exec_fn *select_muldiv(struct selection *s, struct rec *rec)
{
    switch (s->in->op) {
    case OP_MUL:
        return mul_handlers[place_of(s, 0)][s->width];
    case OP_IMUL:
        return select_imul(s);
    case OP_DIV:
        return div_handlers[place_of(s, 0)][s->width];
    case OP_IDIV:
        return idiv_handlers[place_of(s, 0)][s->width];
    default:
        return select_decimal(s, rec);
    }
}
