/* SPDX-License-Identifier: MIT */
/*
 * BMI1, BMI2, ADX, MOVBE and CRC32: the host's own instruction, if it has it. A guest register that
 * is in memory is a memory operand, or goes through scratch. Undefined flags are those of
 * cpu/alu_bmi.h.
 */
#include "cpu/jit/x86_64/vex.h"

/* The source in ModRM.rm. */
struct source {
    struct host_mem m; /* unless it is in a register */
    unsigned reg;      /* or H_NONE */
};

/* A memory operand, or a register. T1 is used for the former. */
static struct source source_of(struct unit *u, const struct operand *o)
{
    struct source s = {.reg = H_NONE};
    if (o->kind == OPND_MEM)
        s.m = probe_operand(u, o->size, false);
    else if (u->regs[o->reg] != H_NONE)
        s.reg = u->regs[o->reg];
    else
        s.m = mem_gpr(o->reg);
    return s;
}

static void emit_vex_source(struct unit *u, struct vex x, unsigned reg, unsigned vvvv,
                            const struct source *s)
{
    if (s->reg != H_NONE)
        emit_vex_rr(&u->e, x, reg, vvvv, s->reg);
    else
        emit_vex_rm(&u->e, x, reg, vvvv, s->m);
}

static void emit_source(struct unit *u, unsigned op, unsigned size, unsigned reg,
                        const struct source *s)
{
    if (s->reg != H_NONE)
        emit_rr(&u->e, op, size, reg, s->reg);
    else
        emit_rm(&u->e, op, size, reg, s->m);
}

/* Where the guest register is made: its own, or scratch that dest_done stores. */
static unsigned dest_of(struct unit *u, unsigned g, unsigned scratch)
{
    flags_before_write(u, u->regs[g]);
    return u->regs[g] != H_NONE ? u->regs[g] : scratch;
}

static void dest_done(struct unit *u, unsigned g, unsigned reg)
{
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, 8, reg, mem_gpr(g));
}

/* ---- flags ---- */

enum { AH_SF = 0x80, AH_AF = 0x10 };

/* The image: SF ZF PF by the register, which may be T0, less those of clear, more those of set; CF
 * as the host's is now, if it counts. OF is 0. */
static void flags_by_result(struct unit *u, unsigned size, unsigned reg, unsigned clear,
                            unsigned set, bool carry)
{
    struct emit *e = &u->e;
    if (carry)
        emit_rr(e, X_0F | 0x92, 1, 0, T1); /* SETC */
    emit_rr(e, 0x85, size, reg, reg);
    emit_mov_rr(e, 8, T0, H_RAX);
    emit_8(e, 0x9f); /* LAHF */
    emit_8(e, 0x80); /* AND AH */
    emit_8(e, 0xe4);
    emit_8(e, ~clear & 0xff);
    if (set) {
        emit_8(e, 0x80); /* OR AH */
        emit_8(e, 0xcc);
        emit_8(e, set);
    }
    if (carry) {
        emit_mov_rr(e, 1, H_RAX, T1);
        emit_8(e, 0x08); /* OR AH, AL */
        emit_8(e, 0xc4);
    }
    emit_8(e, 0xb0); /* MOV AL, 0 */
    emit_8(e, 0);
    emit_store(e, 2, H_RAX, RUN(flag_image));
    emit_mov_rr(e, 8, H_RAX, T0);
    flags_in_image(u);
}

static void bmi_flags(struct unit *u, unsigned size, unsigned reg)
{
    bool extracts = u->in->op == OP_BEXTR, carry = u->in->op != OP_ANDN && !extracts;
    if (u->flags_needed)
        flags_by_result(u, size, reg, extracts ? AH_SF : AH_AF, extracts ? AH_AF : 0, carry);
    else
        flags_unseen(u);
}

/* ---- VEX forms ---- */

/* The operand that stands in VEX.vvvv; 0: none. */
static unsigned other_operand(const struct insn *in)
{
    switch (in->op) {
    case OP_ANDN:
    case OP_PDEP:
    case OP_PEXT:
        return 1;
    case OP_RORX:
        return 0;
    default:
        return 2;
    }
}

/* DEST in ModRM.reg; the other is ModRM.rm. */
static bool lower_two(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    unsigned other = other_operand(in), vvvv = 0;
    struct source s = source_of(u, &o[other == 1 ? 2 : 1]);
    if (other)
        vvvv = gpr_in(u, o[other].reg, T0);
    unsigned dst = dest_of(u, o[0].reg, T0);
    emit_vex_source(u, own_vex(in), dst, vvvv, &s);
    if (in->op == OP_RORX)
        emit_8(&u->e, in->imm & 0xff);
    dest_done(u, o[0].reg, dst);
    if (insn_row(in->row)->written)
        bmi_flags(u, o[0].size, dst);
    return true;
}

/* BLSR, BLSMSK, BLSI: DEST in VEX.vvvv. */
static bool lower_lowest(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct source s = source_of(u, &o[1]);
    unsigned dst = dest_of(u, o[0].reg, T0);
    emit_vex_source(u, own_vex(u->in), u->in->modrm >> 3 & 7, dst, &s);
    dest_done(u, o[0].reg, dst);
    bmi_flags(u, o[0].size, dst);
    return true;
}

/* The high half wins where both are one register. RDX is the host's. */
static bool lower_mulx(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct source s = source_of(u, &o[2]);
    unsigned high = dest_of(u, o[0].reg, T0), low = dest_of(u, o[1].reg, T1);
    emit_vex_source(u, own_vex(u->in), high, low, &s);
    dest_done(u, o[1].reg, low);
    dest_done(u, o[0].reg, high);
    return true;
}

/* ---- others ---- */

/* ADCX, ADOX: one flag in the host's, with all others. */
static bool lower_add(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    struct source s = source_of(u, &o[1]);
    flags_to_host(u);
    unsigned dst = gpr_in(u, o[0].reg, T0);
    flags_before_write(u, u->regs[o[0].reg]);
    emit_source(u, (in->op == OP_ADCX ? X_66 : X_F3) | X_0F38 | 0xf6, o[0].size, dst, &s);
    dest_done(u, o[0].reg, dst);
    u->flags.recipe.op = HOW_IMAGE;
    u->flags.memory = u->flags.memory && !u->flags_needed;
    return true;
}

static bool lower_crc32(struct unit *u)
{
    const struct operand *o = u->in->operands;
    unsigned size = o[1].size, wide = o[0].size == 8 ? 8 : size == 2 ? 2 : 4;
    unsigned op = X_F2 | X_0F38 | (size == 1 ? 0xf0 | X_BYTE : 0xf1);
    if (o[1].kind != OPND_GPR && o[1].kind != OPND_MEM)
        return false;
    struct source s = source_of(u, &o[1]);
    unsigned dst = gpr_in(u, o[0].reg, T0);
    flags_before_write(u, u->regs[o[0].reg]);
    emit_source(u, op, wide, dst, &s);
    dest_done(u, o[0].reg, dst);
    return true;
}

static bool lower_movbe(struct unit *u)
{
    const struct operand *o = u->in->operands;
    bool stores = o[0].kind == OPND_MEM;
    unsigned g = o[stores].reg, size = o[0].size;
    struct host_mem m = probe_operand(u, size, stores);
    if (stores) {
        emit_rm(&u->e, X_0F38 | 0xf1, size, gpr_in(u, g, T0), m);
        return true;
    }
    unsigned dst = dest_of(u, g, T0);
    emit_rm(&u->e, X_0F38 | 0xf0, size, dst, m);
    if (dst == T0)
        emit_store(&u->e, size == 4 ? 8 : size, T0, mem_gpr(g));
    return true;
}

bool lower_bmi(struct unit *u)
{
    const struct insn *in = u->in;
    if (!u->jit->host_has[insn_row(in->row)->feature] || !operand_is_native(u) || !vex_is_native(u))
        return false;
    switch (in->op) {
    case OP_ANDN:
    case OP_BEXTR:
    case OP_BZHI:
    case OP_PDEP:
    case OP_PEXT:
    case OP_SHLX:
    case OP_SHRX:
    case OP_SARX:
    case OP_RORX:
        return lower_two(u);
    case OP_BLSR:
    case OP_BLSMSK:
    case OP_BLSI:
        return lower_lowest(u);
    case OP_MULX:
        return lower_mulx(u);
    case OP_ADCX:
    case OP_ADOX:
        return lower_add(u);
    case OP_CRC32:
        return lower_crc32(u);
    case OP_MOVBE:
        return lower_movbe(u);
    default:
        return false;
    }
}
