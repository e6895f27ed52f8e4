/* SPDX-License-Identifier: MIT */
/* Moves, extensions, LEA, and what goes by a condition. None changes a flag. */
#include "cpu/jit/x86_64/jit_priv.h"

static bool is_mem(const struct operand *o)
{
    return o->kind == OPND_MEM || o->kind == OPND_MOFFS;
}

/* Where the value for guest register g is made. */
static unsigned dest_reg(const struct unit *u, unsigned g)
{
    return u->regs[g] != H_NONE ? u->regs[g] : (unsigned)T0;
}

/* reg to guest register g, if it is not there already; a 32-bit value is zero-extended in reg. */
static void dest_store(struct unit *u, unsigned g, unsigned size, unsigned reg)
{
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, size == 4 ? 8 : size, reg, mem_gpr(g));
}

static bool mov_to_gpr(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, g = o[0].reg, dst = dest_reg(u, g);
    if (is_mem(&o[1])) {
        struct host_mem m = probe_operand(u, size, false);
        flags_before_write(u, u->regs[g]);
        emit_load(e, size, dst, m);
    } else if (o[1].kind == OPND_GPR) {
        flags_before_write(u, u->regs[g]);
        if (u->regs[g] == H_NONE && u->regs[o[1].reg] == H_NONE)
            emit_load(e, size == 4 ? 4 : 8, dst, mem_gpr(o[1].reg));
        else if (u->regs[g] == H_NONE)
            dst = u->regs[o[1].reg];
        else if (u->regs[o[1].reg] != H_NONE)
            emit_mov_rr(e, size, dst, u->regs[o[1].reg]);
        else
            emit_load(e, size, dst, mem_gpr(o[1].reg));
        if (u->regs[g] == H_NONE && size == 4 && dst != T0) {
            emit_mov_rr(e, 4, T0, dst);
            dst = T0;
        }
    } else if (o[1].kind == OPND_IMM) {
        flags_before_write(u, u->regs[g]);
        if (size >= 4) {
            emit_mov_ri(e, dst, size == 4 ? (uint32_t)u->in->imm : u->in->imm);
        } else {
            emit_rr(e, size == 1 ? 0xc6 : 0xc7, size, 0, dst);
            emit_number(e, u->in->imm, size);
        }
    } else {
        return false;
    }
    dest_store(u, g, size, dst);
    return true;
}

static bool mov_to_mem(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size;
    int64_t imm = (int64_t)u->in->imm;
    if (o[1].kind == OPND_GPR) {
        struct host_mem m = probe_operand(u, size, true);
        emit_store(e, size, gpr_in(u, o[1].reg, T0), m);
        return true;
    }
    if (o[1].kind != OPND_IMM || (size == 8 && imm != (int32_t)imm))
        return false;
    struct host_mem m = probe_operand(u, size, true);
    emit_rm(e, size == 1 ? 0xc6 : 0xc7, size, 0, m);
    emit_number(e, u->in->imm, size == 8 ? 4 : size);
    return true;
}

static bool lower_mov(struct unit *u)
{
    const struct operand *o = u->in->operands;
    if (is_mem(&o[0]))
        return mov_to_mem(u);
    return o[0].kind == OPND_GPR && mov_to_gpr(u);
}

/* MOVZX, MOVSX, MOVSXD */
static bool lower_extend(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned from = o[1].size, size = o[0].size, g = o[0].reg, dst = dest_reg(u, g), op;
    if (o[0].kind != OPND_GPR || (o[1].kind != OPND_GPR && !is_mem(&o[1])) || size < 4)
        return false;
    if (from == 4 && size == 4)
        return false;
    if (u->in->op == OP_MOVZX)
        op = X_0F | (from == 1 ? 0xb6 : 0xb7);
    else
        op = from == 4 ? 0x63 : X_0F | (from == 1 ? 0xbe : 0xbf);
    if (from == 1)
        op |= X_BYTE;
    if (is_mem(&o[1])) {
        struct host_mem m = probe_operand(u, from, false);
        flags_before_write(u, u->regs[g]);
        emit_rm(e, op, size, dst, m);
    } else {
        flags_before_write(u, u->regs[g]);
        emit_rr(e, op, size, dst, gpr_in(u, o[1].reg, T0));
    }
    dest_store(u, g, size, dst);
    return true;
}

static bool lower_lea(struct unit *u)
{
    const struct insn *in = u->in;
    const struct rec *rec = u->rec;
    struct emit *e = &u->e;
    unsigned size = in->operands[0].size, g = in->operands[0].reg, dst = dest_reg(u, g);
    if (in->addrsize != u->word)
        return false;
    flags_before_write(u, u->regs[g]);
    if (in->base == REG_RIP) {
        int64_t disp = (int64_t)in->disp + u->offset + rec->off + in->len;
        emit_load(e, 8, T0, RUN(jit_page));
        emit_lea(e, size, dst, (struct host_mem){T0, H_NONE, 0, (int32_t)disp});
    } else if (in->base == REG_NONE && in->index == REG_NONE) {
        emit_mov_ri(e, T0, (uint64_t)(int64_t)in->disp);
        emit_mov_rr(e, size, dst, T0);
    } else {
        unsigned index = in->index == REG_NONE ? H_NONE : gpr_in(u, in->index, T1);
        unsigned base = in->base == REG_NONE ? T0 : gpr_in(u, in->base, T0);
        if (in->base == REG_NONE)
            emit_mov_ri(e, T0, 0);
        if (base == index && index == T1)
            return false;
        emit_lea(e, size, dst,
                 (struct host_mem){(uint8_t)base, (uint8_t)index, in->scale, in->disp});
    }
    dest_store(u, g, size, dst);
    return true;
}

static bool lower_cmov(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, g = o[0].reg;
    struct host_mem m = {0};
    if (is_mem(&o[1]))
        m = probe_operand(u, size, false);
    unsigned cc = flags_condition(u, u->in->opcode & 15);
    flags_before_write(u, u->regs[g]);
    unsigned dst = gpr_in(u, g, T0);
    if (is_mem(&o[1]))
        emit_rm(e, X_0F | 0x40 | cc, size, dst, m);
    else if (u->regs[o[1].reg] != H_NONE)
        emit_rr(e, X_0F | 0x40 | cc, size, dst, u->regs[o[1].reg]);
    else
        emit_rm(e, X_0F | 0x40 | cc, size, dst, mem_gpr(o[1].reg));
    dest_store(u, g, size, dst);
    return true;
}

static bool lower_setcc(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    if (o[0].kind == OPND_GPR_HIGH)
        return false;
    struct host_mem m = {0};
    if (is_mem(&o[0]))
        m = probe_operand(u, 1, true);
    unsigned cc = flags_condition(u, u->in->opcode & 15);
    unsigned op = X_0F | 0x90 | cc;
    if (is_mem(&o[0])) {
        emit_rm(e, op, 1, 0, m);
        return true;
    }
    flags_before_write(u, u->regs[o[0].reg]);
    if (u->regs[o[0].reg] != H_NONE)
        emit_rr(e, op, 1, 0, u->regs[o[0].reg]);
    else
        emit_rm(e, op, 1, 0, mem_gpr(o[0].reg));
    return true;
}

static bool lower_bswap(struct unit *u)
{
    const struct operand *o = u->in->operands;
    unsigned size = o[0].size, g = o[0].reg;
    if (size < 4)
        return false;
    flags_before_write(u, u->regs[g]);
    unsigned reg = gpr_in(u, g, T0);
    emit_opcode(&u->e, X_0F | 0xc8 | (reg & 7), size, 0, H_NONE, reg, false);
    dest_store(u, g, size, reg);
    return true;
}

/* CBW CWDE CDQE, CWD CDQ CQO: the host's own. */
static bool lower_convert(struct unit *u, unsigned opcode, unsigned writes)
{
    flags_before_write(u, writes);
    emit_opcode(&u->e, opcode, u->in->opsize, 0, H_NONE, 0, false);
    return true;
}

bool lower_move(struct unit *u)
{
    if (!operand_is_native(u))
        return false;
    switch (u->in->op) {
    case OP_MOV:
        return lower_mov(u);
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
        return lower_extend(u);
    case OP_LEA:
        return lower_lea(u);
    case OP_CMOVCC:
        return lower_cmov(u);
    case OP_SETCC:
        return lower_setcc(u);
    case OP_BSWAP:
        return lower_bswap(u);
    case OP_NOP:
        return true;
    case OP_CBW:
        return lower_convert(u, 0x98, H_RAX);
    case OP_CWD:
        return lower_convert(u, 0x99, H_RDX);
    default:
        return false;
    }
}

/* ---- the stack ---- */

static void push_from(struct unit *u, unsigned reg)
{
    int32_t word = (int32_t)u->word;
    struct host_mem m = probe_stack(u, H_R12, -word, u->word, true);
    if (reg == H_NONE) {
        emit_load(&u->e, 8, T0, host_target);
        reg = T0;
    }
    emit_store(&u->e, u->word, reg, m);
    flags_before_write(u, H_R12);
    emit_lea(&u->e, u->word, H_R12, (struct host_mem){H_R12, H_NONE, 0, -word});
}

static bool lower_push(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    int32_t word = (int32_t)u->word;
    if (o[0].kind == OPND_GPR) {
        struct host_mem m = run_access(u, -word, true);
        emit_store(e, u->word, gpr_in(u, o[0].reg, T0), m);
        flags_before_write(u, H_R12);
        run_move(u, -word);
        return true;
    } else if (o[0].kind == OPND_IMM && (u->is_32 || (int64_t)u->in->imm == (int32_t)u->in->imm)) {
        struct host_mem m = probe_stack(u, H_R12, -word, u->word, true);
        emit_rm(e, 0xc7, u->word, 0, m);
        emit_number(e, u->in->imm, 4);
    } else if (o[0].kind == OPND_MEM && o[0].size == u->word) {
        struct host_mem m = probe_operand(u, u->word, false);
        emit_load(e, u->word, T0, m);
        emit_store(e, 8, T0, host_target);
        push_from(u, H_NONE);
        return true;
    } else {
        return false;
    }
    flags_before_write(u, H_R12);
    emit_lea(e, u->word, H_R12, (struct host_mem){H_R12, H_NONE, 0, -word});
    return true;
}

static bool lower_pop(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    if (o[0].kind != OPND_GPR)
        return false;
    unsigned g = o[0].reg, dst = dest_reg(u, g);
    struct host_mem m = run_access(u, 0, false);
    flags_before_write(u, u->regs[g]);
    flags_before_write(u, H_R12);
    emit_load(e, u->word, dst, m);
    dest_store(u, g, 8, dst);
    if (g != REG_RSP)
        run_move(u, (int32_t)u->word);
    return true;
}

static bool lower_leave(struct unit *u)
{
    struct emit *e = &u->e;
    struct host_mem m = probe_stack(u, H_RBP, 0, u->word, false);
    flags_before_write(u, H_RBP);
    flags_before_write(u, H_R12);
    emit_load(e, u->word, T0, m);
    emit_lea(e, u->word, H_R12, (struct host_mem){H_RBP, H_NONE, 0, (int32_t)u->word});
    emit_mov_rr(e, 8, H_RBP, T0);
    return true;
}

bool lower_stack(struct unit *u)
{
    if (!operand_is_native(u) || !u->has_stack || u->in->opsize != u->word)
        return false;
    switch (u->in->op) {
    case OP_PUSH:
        return lower_push(u);
    case OP_POP:
        return lower_pop(u);
    case OP_LEAVE:
        return lower_leave(u);
    default:
        return false;
    }
}
