/* SPDX-License-Identifier: MIT */
/*
 * Bits, exchanges, division, and what leaves some flags alone. Undefined flags are those of
 * cpu/alu.h: where the host's may differ they are made here, into the image.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* Bits of AH after LAHF. */
enum { AH_NOT_AF = 0xef, AH_ZF_CF = 0x41 };

/* Of run.flag_image. */
enum { IMAGE_CF = 8, IMAGE_ZF = 14 };

static bool is_gpr(const struct operand *o)
{
    return o->kind == OPND_GPR;
}

static bool is_mem(const struct operand *o)
{
    return o->kind == OPND_MEM;
}

static void reg_store(struct unit *u, unsigned g, unsigned size, unsigned reg)
{
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, size == 4 ? 8 : size, reg, mem_gpr(g));
}

static void emit_setcc(struct unit *u, unsigned cc, unsigned reg)
{
    emit_rr(&u->e, X_0F | 0x90 | cc, 1, 0, reg);
}

/* ---- flags by hand ---- */

/* A bit of the image := T1's low byte, 0 or 1. The rest of the flags is there already. All in words: a part that was written
 * alone would make whoever reads the whole wait until it is in the cache. */
static void bit_to_image(struct unit *u, unsigned bit)
{
    struct emit *e = &u->e;
    emit_rr(e, X_0F | 0xb6, 4, T1, T1); /* MOVZX */
    emit_shift_ri(e, 4, 4, T1, bit);
    emit_alu_mi(e, ALU_AND, 2, RUN(flag_image), (int16_t)~(1u << bit));
    emit_alu_mr(e, ALU_OR, 2, RUN(flag_image), T1);
    flags_in_image(u);
}

/* What LAHF gives, less all but `keep`, to the image; AL, that is OF, is 0 or T1's low byte, which
 * then is CF too. Destroys T0. */
static void ahf_to_image(struct unit *u, unsigned keep, bool overflow)
{
    struct emit *e = &u->e;
    emit_mov_rr(e, 8, T0, H_RAX);
    emit_8(e, 0x9f); /* LAHF */
    emit_8(e, 0x80); /* AND AH, keep */
    emit_8(e, 0xe4);
    emit_8(e, keep);
    if (overflow) {
        emit_mov_rr(e, 1, H_RAX, T1);
        emit_8(e, 0x08); /* OR AH, AL */
        emit_8(e, 0xc4);
    } else {
        emit_8(e, 0xb0); /* MOV AL, 0 */
        emit_8(e, 0);
    }
    emit_store(e, 2, H_RAX, RUN(flag_image));
    emit_mov_rr(e, 8, H_RAX, T0);
    flags_in_image(u);
}

void product_flags(struct unit *u, unsigned size, unsigned low)
{
    if (flags_store_is_best(u, true)) {
        emit_rm(&u->e, X_0F | 0x90, 1, 0, RUN(flag_b)); /* SETO */
        flags_store(u, HOW_PRODUCT, size, low, IN_MEMORY, 0);
        flags_stored(u);
        return;
    }
    emit_setcc(u, 0, T1); /* SETO */
    emit_rr(&u->e, size == 1 ? 0x84 : 0x85, size, low, low);
    ahf_to_image(u, AH_NOT_AF, true);
}

/* ---- rotates by a constant, flags wanted: CF, and OF as for a count of 1 ---- */

bool lower_rotate(struct unit *u, unsigned digit, unsigned count)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, bits = 8 * size;
    flags_to_memory(u);
    unsigned reg = gpr_in(u, o[0].reg, T0);
    emit_shift_ri(e, digit, size, reg, count);
    emit_setcc(u, 2, T1); /* SETC */
    reg_store(u, o[0].reg, size, reg);
    emit_rr(e, X_0F | 0xba, size < 4 ? 4 : size, 4, reg); /* BT: the sign, or the bit under it */
    emit_8(e, digit == 0 ? bits - 1 : bits - 2);
    emit_setcc(u, 2, T0);
    emit_alu_rr(e, ALU_XOR, 1, T0, T1);
    emit_lea(e, 4, T1, (struct host_mem){T1, T0, 1, 0});
    emit_store(e, 1, T1, RUN(flag_o));
    flags_over(u);
    return true;
}

/* ---- BT, BTS, BTR, BTC: only CF changes ---- */

static unsigned bit_digit(unsigned op)
{
    return op == OP_BT ? 4 : op == OP_BTS ? 5 : op == OP_BTR ? 6 : 7;
}

/* Host's BT and its kin with a bit offset in a register, of a string of bits in memory: the word that the bit is in, and its number
 * there in T0. */
static bool lower_bit_string(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, digit = bit_digit(u->in->op), log = size == 8 ? 3 : 2;
    if (size < 4 || !operand_takes_spare(u))
        return false;
    flags_to_image(u);
    flags_clobber(u);
    if (size == 8 || u->is_32)
        emit_mov_rr(e, 8, T0, gpr_in(u, o[1].reg, T0));
    else
        emit_rr(e, 0x63, 8, T0, gpr_in(u, o[1].reg, T0)); /* MOVSXD */
    emit_shift_ri(e, 7, size == 8 || !u->is_32 ? 8 : 4, T0, log + 3);
    emit_shift_ri(e, 4, 8, T0, log);
    emit_store(e, 8, T0, host_spare);
    struct host_mem m = probe_operand_and_spare(u, size, u->in->op != OP_BT);
    if (u->in->op == OP_BT) {
        emit_load(e, size, T1, m);
        emit_rr(e, X_0F | 0xa3, size, gpr_in(u, o[1].reg, T0), T1);
    } else {
        emit_mov_rr(e, 4, T0, gpr_in(u, o[1].reg, T0));
        emit_alu_ri(e, ALU_AND, 4, T0, (int32_t)(8 * size - 1));
        emit_rm(e, X_0F | 0x83 | digit << 3, size, T0, m);
    }
    if (!u->flags_needed) {
        flags_unseen(u);
        return true;
    }
    emit_setcc(u, 2, T1);
    bit_to_image(u, IMAGE_CF);
    return true;
}

static bool lower_bit_test(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, digit = bit_digit(u->in->op), by = H_NONE, reg = H_NONE;
    bool writes = u->in->op != OP_BT;
    struct host_mem m = {0};
    if (is_mem(&o[0]) && is_gpr(&o[1]))
        return lower_bit_string(u);
    flags_to_image(u);
    if (is_mem(&o[0]))
        m = probe_operand(u, size, writes);
    else
        reg = gpr_in(u, o[0].reg, T0);
    if (is_gpr(&o[1]))
        by = gpr_in(u, o[1].reg, T1);
    if (is_mem(&o[0]))
        emit_rm(e, X_0F | 0xba, size, digit, m);
    else if (by != H_NONE)
        emit_rr(e, X_0F | 0x83 | digit << 3, size, by, reg);
    else
        emit_rr(e, X_0F | 0xba, size, digit, reg);
    if (by == H_NONE)
        emit_8(e, u->in->imm & 0xff);
    if (u->flags_needed)
        emit_setcc(u, 2, T1);
    if (reg != H_NONE && writes)
        reg_store(u, o[0].reg, size, reg);
    if (u->flags_needed)
        bit_to_image(u, IMAGE_CF);
    else
        flags_unseen(u);
    return true;
}

/* ---- TZCNT, LZCNT, POPCNT ---- */

static bool lower_count(struct unit *u)
{
    const struct operand *o = u->in->operands;
    unsigned size = o[0].size, g = o[0].reg, op = X_F3 | X_0F | u->in->opcode;
    if (size < 4 || !u->jit->host_has[insn_row(u->in->row)->feature])
        return false;
    struct host_mem m = {0};
    if (is_mem(&o[1]))
        m = probe_operand(u, size, false);
    flags_before_write(u, u->regs[g]);
    unsigned dst = u->regs[g] != H_NONE ? u->regs[g] : (unsigned)T0;
    if (is_mem(&o[1]))
        emit_rm(&u->e, op, size, dst, m);
    else
        emit_rr(&u->e, op, size, dst, gpr_in(u, o[1].reg, T1));
    reg_store(u, g, size, dst);
    if (u->flags_needed && u->in->op != OP_POPCNT)
        ahf_to_image(u, AH_ZF_CF, false);
    else
        flags_produced(u, (struct recipe){0}, false);
    return true;
}

/* ---- BSF, BSR: of 0 they leave DEST alone, in the host or not ---- */

/* T1 is the index, or anything where ZF says that SRC is 0: flags as of the index with bit 8 set,
 * or of 0 (cpu/alu.h). */
static void index_flags(struct unit *u)
{
    struct emit *e = &u->e;
    emit_lea(e, 4, T1, (struct host_mem){T1, H_NONE, 0, 0x100});
    emit_rr(e, 0xc7, 4, 0, T0); /* MOV: the flags stay */
    emit_number(e, 0, 4);
    emit_rr(e, X_0F | 0x44, 4, T1, T0); /* CMOVZ */
    emit_rr(e, 0x85, 4, T1, T1);        /* TEST */
}

static bool lower_scan(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, g = o[0].reg;
    if (size < 4)
        return false;
    struct host_mem m = {0};
    if (is_mem(&o[1]))
        m = probe_operand(u, size, false);
    flags_before_write(u, u->regs[g]);
    if (is_mem(&o[1]))
        emit_rm(e, X_0F | u->in->opcode, size, T1, m);
    else
        emit_rr(e, X_0F | u->in->opcode, size, T1, gpr_in(u, o[1].reg, T0));
    unsigned dst = gpr_in(u, g, T0);
    emit_rr(e, X_0F | 0x45, 8, dst, T1); /* CMOVNZ */
    reg_store(u, g, size, dst);
    struct recipe r = {0};
    if (u->flags_needed)
        index_flags(u);
    if (u->flags_needed && flags_wanted(u)) {
        flags_keep_a(u, T1);
        r = (struct recipe){.op = HOW_LOGIC, .size = 4, .a = IN_MEMORY, .b = H_NONE};
    }
    flags_produced(u, r, true);
    return true;
}

/* ---- XADD, CMPXCHG, XCHG: LOCK or not, for one thread runs the machine ---- */

static bool lower_xadd(struct unit *u, bool compares)
{
    const struct operand *o = u->in->operands;
    unsigned size = o[0].size, g = o[1].reg;
    if (!is_mem(&o[0]) || !is_gpr(&o[1]))
        return false;
    struct host_mem m = probe_operand(u, size, true);
    flags_before_write(u, compares ? (unsigned)H_RAX : u->regs[g]);
    unsigned src = gpr_in(u, g, T0);
    emit_rm(&u->e, X_0F | (compares ? 0xb0u : 0xc0u) | (size > 1), size, src, m);
    if (!compares)
        reg_store(u, g, size, src);
    flags_produced(u, (struct recipe){0}, false);
    return true;
}

/* CMPXCHG8B, CMPXCHG16B: the registers are where the host wants them, and only ZF changes. */
static bool lower_compare_pair(struct unit *u)
{
    bool is_wide = u->in->op == OP_CMPXCHG16B;
    if (!u->jit->host_has[insn_row(u->in->row)->feature])
        return false;
    flags_to_image(u);
    struct host_mem m = is_wide ? probe_aligned(u, 16, true) : probe_operand(u, 8, true);
    flags_before_write(u, H_RAX);
    flags_before_write(u, H_RDX);
    emit_rm(&u->e, X_0F | 0xc7, is_wide ? 8 : 4, 1, m);
    if (!u->flags_needed) {
        flags_unseen(u);
        return true;
    }
    emit_setcc(u, 4, T1);
    bit_to_image(u, IMAGE_ZF);
    return true;
}

static bool lower_xchg(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, a = u->regs[o[0].reg & 15], b = u->regs[o[1].reg & 15];
    if (!is_gpr(&o[1]) || b == H_NONE || (is_gpr(&o[0]) && (a == H_NONE || size < 4)) ||
        !(is_gpr(&o[0]) || is_mem(&o[0])))
        return false;
    if (is_mem(&o[0])) {
        struct host_mem m = probe_operand(u, size, true);
        flags_before_write(u, b);
        emit_load(e, size, T0, m);
        emit_store(e, size, b, m);
        emit_mov_rr(e, size, b, T0);
        return true;
    }
    flags_before_write(u, a);
    flags_before_write(u, b);
    emit_mov_rr(e, size, T0, a);
    emit_mov_rr(e, size, a, b);
    emit_mov_rr(e, size, b, T0);
    return true;
}

/* ---- DIV, IDIV of 32 and 64 bits: flags stay; what may raise #DE goes to the handler ---- */

/* The quotient fits if DEST is a sign extension, and SRC neither 0 nor -1. */
static void guard_signed(struct unit *u, unsigned size, unsigned src)
{
    struct emit *e = &u->e;
    emit_mov_rr(e, size, T1, H_RAX);
    emit_shift_ri(e, 7, size, T1, 8 * size - 1);
    emit_alu_rr(e, ALU_CMP, size, T1, H_RDX);
    late_handler(u, emit_jump(e, 5));
    emit_lea(e, size, T1, (struct host_mem){(uint8_t)src, H_NONE, 0, 1});
    emit_alu_ri(e, ALU_CMP, size, T1, 1);
    late_handler(u, emit_jump(e, 6)); /* below or equal */
}

static bool lower_div(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size;
    bool is_signed = u->in->op == OP_IDIV;
    if (size < 4 || !(is_gpr(&o[0]) || is_mem(&o[0])))
        return false;
    flags_to_memory(u);
    flags_before_write(u, H_RAX);
    flags_before_write(u, H_RDX);
    flags_clobber(u);
    unsigned src = T0;
    if (is_mem(&o[0]))
        emit_load(e, size, T0, probe_operand(u, size, false));
    else
        src = gpr_in(u, o[0].reg, T0);
    if (is_signed) {
        guard_signed(u, size, src);
    } else {
        emit_alu_rr(e, ALU_CMP, size, H_RDX, src);
        late_handler(u, emit_jump(e, 3)); /* above or equal; so is anything if SRC is 0 */
    }
    emit_rr(e, 0xf7, size, is_signed ? 7 : 6, src);
    return true;
}

/* ---- AH, CH, DH, BH: host instructions without REX ---- */

/* ALU imm8 (80), TEST imm8 (F6 /0), MOV imm8 (C6 /0) of a high byte. */
static bool lower_high_imm(struct unit *u)
{
    const struct insn *in = u->in;
    unsigned g = in->operands[0].reg, op, digit = in->modrm >> 3 & 7;
    bool is_mov = in->op == OP_MOV, is_logic = in->op == OP_TEST;
    if (is_mov) {
        op = 0xc6;
        digit = 0;
    } else if (is_logic) {
        op = 0xf6;
        digit = 0;
    } else if (in->map == 0 && in->opcode == 0x80 && digit != ALU_ADC && digit != ALU_SBB) {
        op = 0x80;
        is_logic = digit == ALU_OR || digit == ALU_AND || digit == ALU_XOR;
    } else {
        return false;
    }
    if (is_mov)
        flags_before_write(u, u->regs[g]);
    emit_8(&u->e, op);
    emit_8(&u->e, 0xc0 | digit << 3 | (4 + g));
    emit_8(&u->e, in->imm & 0xff);
    if (!is_mov)
        flags_produced(u, (struct recipe){0}, is_logic);
    return true;
}

static bool lower_high(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    struct emit *e = &u->e;
    if (o[0].kind == OPND_GPR_HIGH && o[1].kind == OPND_IMM)
        return lower_high_imm(u);
    if (o[1].kind != OPND_GPR_HIGH)
        return false;
    if (in->op == OP_MOVZX && o[0].size >= 4 && u->regs[o[0].reg] < 8) {
        flags_before_write(u, u->regs[o[0].reg]);
        emit_8(e, 0x0f);
        emit_8(e, 0xb6);
        emit_8(e, 0xc0u | (unsigned)u->regs[o[0].reg] << 3 | (4u + o[1].reg));
        return true;
    }
    if (in->op == OP_MOV && is_mem(&o[0])) {
        struct host_mem m = probe_operand(u, 1, true);
        emit_mov_rr(e, 4, T0, u->regs[o[1].reg]);
        emit_shift_ri(e, 5, 4, T0, 8);
        emit_store(e, 1, T0, m);
        return true;
    }
    return false;
}

bool lower_bit(struct unit *u)
{
    const struct operand *o = u->in->operands;
    if (!operand_is_native(u))
        return false;
    if (u->in->operand_count == 2 && (o[0].kind == OPND_GPR_HIGH || o[1].kind == OPND_GPR_HIGH))
        return lower_high(u);
    switch (u->in->op) {
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        return lower_bit_test(u);
    case OP_TZCNT:
    case OP_LZCNT:
    case OP_POPCNT:
        return lower_count(u);
    case OP_BSF:
    case OP_BSR:
        return lower_scan(u);
    case OP_XADD:
        return lower_xadd(u, false);
    case OP_CMPXCHG:
        return lower_xadd(u, true);
    case OP_CMPXCHG8B:
    case OP_CMPXCHG16B:
        return lower_compare_pair(u);
    case OP_XCHG:
        return lower_xchg(u);
    case OP_DIV:
    case OP_IDIV:
        return lower_div(u);
    case OP_PREFETCHW:
    case OP_PREFETCHNTA:
    case OP_PREFETCHT0:
    case OP_PREFETCHT1:
    case OP_PREFETCHT2:
    case OP_LFENCE: /* one thread runs the machine */
    case OP_MFENCE:
    case OP_SFENCE:
        return true; /* nothing, and no fault */
    default:
        return false;
    }
}
