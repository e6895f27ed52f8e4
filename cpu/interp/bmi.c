/* SPDX-License-Identifier: MIT */
/*
 * BMI1 and BMI2: ANDN BLSR BLSMSK BLSI BEXTR BZHI PDEP PEXT MULX SHLX SHRX SARX RORX. TZCNT is in
 * bit.c. In these records src is the operand in ModRM.rm, if it is a register, and imm the register
 * file index of the third operand (of MULX: of the second destination), or RORX's count.
 */
#include "cpu/alu_bmi.h"
#include "cpu/interp/integer.h"

enum bmi_op {
    BMI_ANDN,
    BMI_BLSR,
    BMI_BLSMSK,
    BMI_BLSI,
    BMI_BEXTR,
    BMI_BZHI,
    BMI_PDEP,
    BMI_PEXT,
    BMI_MULX,
    BMI_SHLX,
    BMI_SHRX,
    BMI_SARX,
    BMI_RORX,
    BMI_OPS
};

/* Those that write flags. */
ALWAYS_INLINE struct alu apply(enum bmi_op op, unsigned width, uint64_t src, uint64_t other)
{
    switch (op) {
    case BMI_ANDN:
        return alu_andn(width, src, other);
    case BMI_BLSR:
        return alu_blsr(width, src);
    case BMI_BLSMSK:
        return alu_blsmsk(width, src);
    case BMI_BLSI:
        return alu_blsi(width, src);
    case BMI_BEXTR:
        return alu_bextr(width, src, other);
    default:
        return alu_bzhi(width, src, other);
    }
}

/* Those that do not. PDEP and PEXT have the mask in ModRM.rm. */
ALWAYS_INLINE uint64_t apply_quiet(enum bmi_op op, unsigned width, uint64_t src, uint64_t other)
{
    switch (op) {
    case BMI_PDEP:
        return alu_pdep(width, other, src);
    case BMI_PEXT:
        return alu_pext(width, other, src);
    case BMI_SHLX:
        return alu_shlx(width, src, other);
    case BMI_SHRX:
        return alu_shrx(width, src, other);
    case BMI_SARX:
        return alu_sarx(width, src, other);
    default:
        return alu_rorx(width, src, other);
    }
}

/* DEST2:= low half, then DEST1 := high half of rDX * SRC, so that the high half stays where they
 * are the same register. */
ALWAYS_INLINE void mulx(struct vcpu *vcpu, const struct rec *rec, unsigned width, uint64_t src)
{
    struct product p = alu_mul(width, gpr_read(vcpu, width, REG_RDX), src);
    reg_write(vcpu, width, (unsigned)rec->imm, p.lo);
    reg_write(vcpu, width, rec->dst, p.hi);
}

ALWAYS_INLINE int bmi(struct vcpu *vcpu, const struct rec *rec, enum bmi_op op, unsigned width,
                      uint64_t src)
{
    if (op == BMI_MULX) {
        mulx(vcpu, rec, width, src);
        NEXT;
    }
    uint64_t other = op == BMI_RORX ? rec_imm(rec) : reg_get(vcpu, (unsigned)rec->imm);
    if (op > BMI_BZHI) {
        reg_write(vcpu, width, rec->dst, apply_quiet(op, width, src, other));
        NEXT;
    }
    struct alu r = apply(op, width, src, other);
    reg_write(vcpu, width, rec->dst, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int bmi_m(struct vcpu *vcpu, const struct rec *rec, enum bmi_op op, unsigned width,
                        enum shape shape)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return exec_fault(vcpu, rec);
    return bmi(vcpu, rec, op, width, src.value);
}

/* clang-format off */
#define BMI(W, name, OP)                                                                             \
    EXEC(name##W##_r) { return bmi(vcpu, rec, OP, W, reg_read(vcpu, W, rec->src)); }                 \
    EXEC(name##W##_m64) { return bmi_m(vcpu, rec, OP, W, SHAPE_FULL); }                              \
    EXEC(name##W##_gen) { return bmi_m(vcpu, rec, OP, W, SHAPE_GEN); }

#define BMI_BOTH(name, OP) BMI(32, name, OP) BMI(64, name, OP)

BMI_BOTH(andn, BMI_ANDN)
BMI_BOTH(blsr, BMI_BLSR)
BMI_BOTH(blsmsk, BMI_BLSMSK)
BMI_BOTH(blsi, BMI_BLSI)
BMI_BOTH(bextr, BMI_BEXTR)
BMI_BOTH(bzhi, BMI_BZHI)
BMI_BOTH(pdep, BMI_PDEP)
BMI_BOTH(pext, BMI_PEXT)
BMI_BOTH(mulx, BMI_MULX)
BMI_BOTH(shlx, BMI_SHLX)
BMI_BOTH(shrx, BMI_SHRX)
BMI_BOTH(sarx, BMI_SARX)
BMI_BOTH(rorx, BMI_RORX)

enum { PLACE_R, PLACE_M64, PLACE_GEN, PLACE_COUNT };

#define PLACES(name, W) {exec_##name##W##_r, exec_##name##W##_m64, exec_##name##W##_gen}
#define ROW(OP, op, name) [OP] = {op, {PLACES(name, 32), PLACES(name, 64)}}
static const struct {
    uint16_t op;                      /* enum op */
    exec_fn *handlers[2][PLACE_COUNT]; /* by operand size 4, 8 */
} rows[BMI_OPS] = {
    ROW(BMI_ANDN, OP_ANDN, andn),    ROW(BMI_BLSR, OP_BLSR, blsr),    ROW(BMI_BLSMSK, OP_BLSMSK, blsmsk),
    ROW(BMI_BLSI, OP_BLSI, blsi),    ROW(BMI_BEXTR, OP_BEXTR, bextr), ROW(BMI_BZHI, OP_BZHI, bzhi),
    ROW(BMI_PDEP, OP_PDEP, pdep),    ROW(BMI_PEXT, OP_PEXT, pext),    ROW(BMI_MULX, OP_MULX, mulx),
    ROW(BMI_SHLX, OP_SHLX, shlx),    ROW(BMI_SHRX, OP_SHRX, shrx),    ROW(BMI_SARX, OP_SARX, sarx),
    ROW(BMI_RORX, OP_RORX, rorx),
};
/* clang-format on */

/* Which operand is in ModRM.rm: the last one of ANDN, PDEP, PEXT, MULX and the BLS family, else the
 * second. */
static unsigned rm_operand(const struct insn *in)
{
    switch (in->op) {
    case OP_ANDN:
    case OP_PDEP:
    case OP_PEXT:
    case OP_MULX:
        return 2;
    default:
        return 1;
    }
}

exec_fn *select_bmi(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    size_t i = in->has_vex ? 0 : BMI_OPS;
    while (i < BMI_OPS && rows[i].op != in->op)
        i++;
    if (i == BMI_OPS)
        return NULL;
    unsigned rm = rm_operand(in);
    rec->src = (uint8_t)(REC_GPR + in->operands[rm].reg);
    if (i != BMI_RORX)
        rec->imm = in->operand_count == 3 ? REC_GPR + in->operands[3 - rm].reg : REC_NONE;
    unsigned place = opnd_is_reg(&in->operands[rm]) ? PLACE_R : s->mem64 ? PLACE_M64 : PLACE_GEN;
    return rows[i].handlers[in->opsize == 8][place];
}
