/* SPDX-License-Identifier: MIT */
/* Arithmetic and logic on general registers and memory: each instruction is the host's own. */
#include "cpu/jit/x86_64/jit_priv.h"

static bool is_gpr(const struct operand *o)
{
    return o->kind == OPND_GPR;
}

static bool is_mem(const struct operand *o)
{
    return o->kind == OPND_MEM;
}

static int alu_of(unsigned op)
{
    static const uint8_t ops[8] = {0};
    (void)ops;
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
        return ALU_CMP;
    default:
        return -1;
    }
}

static bool is_logic(enum host_alu op)
{
    return op == ALU_OR || op == ALU_AND || op == ALU_XOR;
}

/* How the flags of DEST op SRC can be made again, of parts; b is H_NONE for imm. What was added to
 * itself is gone. */
static struct recipe recipe_for(enum host_alu op, unsigned size, unsigned a, unsigned b,
                                int32_t imm)
{
    static const uint8_t hows[8] = {
        [ALU_ADD] = HOW_ADD,   [ALU_OR] = HOW_LOGIC, [ALU_ADC] = HOW_ADC,   [ALU_SBB] = HOW_SBB,
        [ALU_AND] = HOW_LOGIC, [ALU_SUB] = HOW_SUB,  [ALU_XOR] = HOW_LOGIC, [ALU_CMP] = HOW_CMP};
    struct recipe r = {.size = (uint8_t)size, .a = (uint8_t)a, .b = (uint8_t)b, .imm = imm};
    if (is_logic(op))
        r.b = H_NONE;
    if (op == ALU_SBB && a == b) { /* 0 - CF */
        r.b = H_NONE;
        r.imm = 0;
    }
    if (a != r.b || op == ALU_CMP)
        r.op = hows[op];
    return r;
}

static void use_carry(struct unit *u, enum host_alu op)
{
    if (op == ALU_ADC || op == ALU_SBB)
        flags_to_carry(u);
}

/* A destination register: pinned, or loaded into T0. */
static unsigned dest_load(struct unit *u, unsigned g)
{
    return gpr_in(u, g, T0);
}

static void dest_store(struct unit *u, unsigned g, unsigned size, unsigned reg)
{
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, size == 4 ? 8 : size, reg, mem_gpr(g));
}

/* A register as part of a recipe. */
static unsigned part_of(const struct unit *u, unsigned g)
{
    return u->regs[g] != H_NONE ? u->regs[g] : IN_GPR + g;
}

/* Is what is lost of the operands to be kept for a recipe? */
static bool wants_operand(const struct unit *u, enum host_alu op)
{
    return u->flags_needed && op != ALU_ADC && op != ALU_SBB && flags_wanted(u);
}

/* CF for ADC and SBB; it is kept for a recipe, if somebody wants one. */
static bool use_and_keep_carry(struct unit *u, enum host_alu op)
{
    bool keeps = u->flags_needed && flags_wanted(u);
    use_carry(u, op);
    if (keeps && (op == ALU_ADC || op == ALU_SBB))
        flags_keep_carry(u);
    return keeps || !(op == ALU_ADC || op == ALU_SBB);
}

/* An operand in memory that is kept: its own bytes alone would wait for what T1 was. */
static void load_kept(struct unit *u, unsigned size, struct host_mem m)
{
    if (size < 4)
        emit_rm(&u->e, X_0F | (size == 1 ? 0xb6 : 0xb7), 4, T1, m); /* MOVZX */
    else
        emit_load(&u->e, size, T1, m);
}

/* DEST op memory, in a register. */
static void alu_from_mem(struct unit *u, enum host_alu op, unsigned size)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    struct host_mem m = probe_operand(u, size, false);
    bool keeps = wants_operand(u, op);
    use_carry(u, op);
    unsigned dst = dest_load(u, o[0].reg);
    if (keeps && !is_logic(op)) {
        load_kept(u, size, m);
        flags_keep_b(u, T1);
        emit_alu_rr(e, op, size, dst, T1);
    } else {
        emit_alu_rm(e, op, size, dst, m);
    }
    if (op != ALU_CMP)
        dest_store(u, o[0].reg, size, dst);
    struct recipe r = {0};
    if (keeps)
        r = recipe_for(op, size, part_of(u, o[0].reg), IN_MEMORY, 0);
    flags_produced(u, r, is_logic(op));
}

static void alu_into_gpr(struct unit *u, enum host_alu op, unsigned size)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    bool by_imm = !is_gpr(&o[1]), has_recipe = use_and_keep_carry(u, op);
    int32_t imm = by_imm ? (int32_t)u->in->imm : 0;
    unsigned dst = dest_load(u, o[0].reg);
    if (by_imm)
        emit_alu_ri(e, op, size, dst, imm);
    else if (u->regs[o[1].reg] == H_NONE)
        emit_alu_rm(e, op, size, dst, mem_gpr(o[1].reg));
    else
        emit_alu_rr(e, op, size, dst, u->regs[o[1].reg]);
    if (op != ALU_CMP)
        dest_store(u, o[0].reg, size, dst);
    struct recipe r = {0};
    if (has_recipe)
        r = recipe_for(op, size, part_of(u, o[0].reg),
                       by_imm ? (unsigned)H_NONE : part_of(u, o[1].reg), imm);
    flags_produced(u, r, is_logic(op));
}

static void alu_into_mem(struct unit *u, enum host_alu op, unsigned size)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    struct host_mem m = probe_operand(u, size, op != ALU_CMP);
    use_carry(u, op);
    unsigned src = is_gpr(&o[1]) ? gpr_in(u, o[1].reg, T0) : (unsigned)H_NONE;
    int32_t imm = src == H_NONE ? (int32_t)u->in->imm : 0;
    bool keeps = wants_operand(u, op);
    if (keeps && op == ALU_CMP) {
        load_kept(u, size, m);
        flags_keep_a(u, T1);
        if (src == H_NONE)
            emit_alu_ri(e, op, size, T1, imm);
        else
            emit_alu_rr(e, op, size, T1, src);
    } else if (src == H_NONE) {
        emit_alu_mi(e, op, size, m, imm);
    } else {
        emit_alu_mr(e, op, size, m, src);
    }
    if (keeps && op != ALU_CMP) {
        load_kept(u, size, m);
        flags_keep_a(u, T1);
    }
    struct recipe r = {0};
    if (keeps)
        r = recipe_for(op, size, IN_MEMORY, src == H_NONE ? src : part_of(u, o[1].reg), imm);
    flags_produced(u, r, is_logic(op));
}

static bool fits_imm(const struct unit *u)
{
    int64_t imm = (int64_t)u->in->imm;
    return imm == (int32_t)imm;
}

static bool lower_two(struct unit *u, enum host_alu op)
{
    const struct operand *o = u->in->operands;
    bool source = is_gpr(&o[1]) || is_mem(&o[1]) || (o[1].kind == OPND_IMM && fits_imm(u));
    if (!source || !(is_gpr(&o[0]) || is_mem(&o[0])))
        return false;
    if (is_mem(&o[0]))
        alu_into_mem(u, op, o[0].size);
    else if (is_mem(&o[1]))
        alu_from_mem(u, op, o[0].size);
    else
        alu_into_gpr(u, op, o[0].size);
    return true;
}

/* The recipe of a result: its part, or what is kept of it. */
static struct recipe result_recipe(unsigned size, unsigned part)
{
    return recipe_for(ALU_AND, size, part, H_NONE, 0);
}

/* TEST: no destination. */
static bool lower_test(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, wide = size == 1 ? 0 : 1;
    bool is_imm = o[1].kind == OPND_IMM;
    if (!(is_gpr(&o[1]) || (is_imm && fits_imm(u))) || !(is_gpr(&o[0]) || is_mem(&o[0])))
        return false;
    bool itself = is_gpr(&o[0]) && is_gpr(&o[1]) && o[0].reg == o[1].reg;
    bool keeps = !itself && wants_operand(u, ALU_AND);
    unsigned a = T0, b = H_NONE;
    struct host_mem m = {0};
    if (is_mem(&o[0]))
        m = probe_operand(u, size, false);
    else
        a = gpr_in(u, o[0].reg, T0);
    if (is_mem(&o[0]) && keeps) {
        load_kept(u, size, m);
        a = T1;
    }
    if (!is_imm)
        b = itself ? a : gpr_in(u, o[1].reg, is_mem(&o[0]) ? T0 : T1);
    if (keeps) {
        if (a != T0 && a != T1)
            emit_mov_rr(e, 8, T0, a);
        a = a == T1 ? T1 : T0;
        if (is_imm)
            emit_alu_ri(e, ALU_AND, size, a, (int32_t)u->in->imm);
        else
            emit_alu_rr(e, ALU_AND, size, a, b);
        flags_keep_a(u, a);
        flags_produced(u, result_recipe(size, IN_MEMORY), true);
        return true;
    }
    if (is_mem(&o[0]))
        emit_rm(e, is_imm ? 0xf6 | wide : 0x84 | wide, size, is_imm ? 0 : b, m);
    else
        emit_rr(e, is_imm ? 0xf6 | wide : 0x84 | wide, size, is_imm ? 0 : b, a);
    if (is_imm)
        emit_number(e, u->in->imm, size == 1 ? 1 : size == 2 ? 2 : 4);
    flags_produced(u, itself ? result_recipe(size, part_of(u, o[0].reg)) : (struct recipe){0},
                   true);
    return true;
}

/* INC, DEC (they keep CF), NEG, NOT (no flags): group 3 and 5 by their /digit. */
static bool lower_one(struct unit *u, unsigned opcode, unsigned digit)
{
    const struct operand *o = u->in->operands;
    unsigned op = u->in->op, size = o[0].size;
    bool keeps_carry = op == OP_INC || op == OP_DEC;
    if (!is_gpr(&o[0]) && !is_mem(&o[0]))
        return false;
    opcode |= size == 1 ? 0 : 1;
    if (is_mem(&o[0])) {
        struct host_mem m = probe_operand(u, size, true);
        if (keeps_carry && u->flags_needed)
            flags_to_carry(u);
        emit_rm(&u->e, opcode, size, digit, m);
    } else {
        if (keeps_carry && u->flags_needed)
            flags_to_carry(u);
        else if (keeps_carry || op == OP_NOT)
            flags_before_write(u, u->regs[o[0].reg]);
        unsigned reg = dest_load(u, o[0].reg);
        emit_rr(&u->e, opcode, size, digit, reg);
        dest_store(u, o[0].reg, size, reg);
    }
    if (op == OP_NEG || (keeps_carry && u->flags_needed))
        flags_produced(u, (struct recipe){0}, false);
    return true;
}

/* Two and three operands. */
static bool lower_imul(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size;
    if (u->in->operand_count < 2 || !is_gpr(&o[0]))
        return false;
    bool by_imm = u->in->operand_count == 3;
    if (by_imm && !fits_imm(u))
        return false;
    bool small = by_imm && (int64_t)u->in->imm == (int8_t)u->in->imm;
    unsigned opcode = !by_imm ? X_0F | 0xaf : small ? 0x6b : 0x69;
    struct host_mem m = {0};
    if (is_mem(&o[1]))
        m = probe_operand(u, size, false);
    unsigned dst = by_imm ? (u->regs[o[0].reg] != H_NONE ? u->regs[o[0].reg] : (unsigned)T0)
                          : dest_load(u, o[0].reg);
    if (is_mem(&o[1]))
        emit_rm(e, opcode, size, dst, m);
    else
        emit_rr(e, opcode, size, dst, gpr_in(u, o[1].reg, T1));
    if (by_imm)
        emit_number(e, u->in->imm, small ? 1 : size == 2 ? 2 : 4);
    dest_store(u, o[0].reg, size, dst);
    if (u->flags_needed)
        product_flags(u, size, dst);
    else
        flags_produced(u, (struct recipe){0}, false);
    return true;
}

/* One operand, 32 and 64 bits: rDX:rAX are the host's. */
static bool lower_mul(struct unit *u)
{
    const struct operand *o = u->in->operands;
    unsigned size = o[0].size, digit = u->in->op == OP_MUL ? 4 : 5;
    if (size < 4)
        return false;
    if (is_mem(&o[0]))
        emit_rm(&u->e, 0xf7, size, digit, probe_operand(u, size, false));
    else
        emit_rr(&u->e, 0xf7, size, digit, gpr_in(u, o[0].reg, T0));
    if (u->flags_needed)
        product_flags(u, size, H_RAX);
    else
        flags_produced(u, (struct recipe){0}, false);
    return true;
}

bool lower_alu(struct unit *u)
{
    int op = alu_of(u->in->op);
    if (!operand_is_native(u))
        return false;
    if (op >= 0)
        return lower_two(u, (enum host_alu)op);
    switch (u->in->op) {
    case OP_TEST:
        return lower_test(u);
    case OP_INC:
        return lower_one(u, 0xfe, 0);
    case OP_DEC:
        return lower_one(u, 0xfe, 1);
    case OP_NOT:
        return lower_one(u, 0xf6, 2);
    case OP_NEG:
        return lower_one(u, 0xf6, 3);
    case OP_IMUL:
        return u->in->operand_count == 1 ? lower_mul(u) : lower_imul(u);
    case OP_MUL:
        return lower_mul(u);
    default:
        return false;
    }
}

/* ---- shifts ---- */

enum { SHIFT_SHRD = 6 }; /* beside the digits of group 2; SHLD's flags are those of SHL */

/* Image from the host's flags after a shift by more than one, or by CL (not 0): AF is 0, OF is by
 * our rule (cpu/alu.h). */
static void shifted_to_image(struct unit *u, unsigned digit, unsigned size, unsigned result)
{
    struct emit *e = &u->e;
    if (digit == 5 || digit == SHIFT_SHRD)
        emit_mov_rr(e, 8, T1, result);
    emit_mov_rr(e, 8, T0, H_RAX);
    emit_8(e, 0x9f);  /* LAHF */
    if (digit == 4) { /* SHL: OF = CF ^ SF. MOV AL, AH; SHR AL, 7; XOR AL, AH; AND AL, 1 */
        static const uint8_t code[] = {0x88, 0xe0, 0xc0, 0xe8, 7, 0x30, 0xe0, 0x24, 1};
        for (size_t i = 0; i < sizeof(code); i++)
            emit_8(e, code[i]);
    } else if (digit == 5) { /* SHR: OF is the bit under the sign, which is 0 */
        emit_shift_ri(e, 5, size, T1, 8 * size - 2);
        emit_mov_rr(e, 1, H_RAX, T1);
    } else if (digit == SHIFT_SHRD) { /* OF: the two top bits differ */
        emit_shift_ri(e, 5, size, T1, 8 * size - 2);
        emit_mov_rr(e, 1, H_RAX, T1);
        emit_shift_ri(e, 5, 1, H_RAX, 1);
        emit_alu_rr(e, ALU_XOR, 1, H_RAX, T1);
        emit_alu_ri(e, ALU_AND, 1, H_RAX, 1);
    } else { /* MOV AL, 0 */
        emit_8(e, 0xb0);
        emit_8(e, 0);
    }
    emit_8(e, 0x80); /* AND AH, not AF */
    emit_8(e, 0xe4);
    emit_8(e, 0xef);
    emit_store(e, 2, H_RAX, RUN(flag_image));
    emit_mov_rr(e, 8, H_RAX, T0);
    flags_in_image(u);
}

static enum flag_how shift_how(unsigned digit)
{
    return digit == 4 ? HOW_SHL : digit == 5 ? HOW_SHR : HOW_SAR;
}

static bool shift_digit(unsigned op, unsigned *digit)
{
    switch (op) {
    case OP_ROL:
        *digit = 0;
        return true;
    case OP_ROR:
        *digit = 1;
        return true;
    case OP_SHL:
        *digit = 4;
        return true;
    case OP_SHR:
        *digit = 5;
        return true;
    case OP_SAR:
        *digit = 7;
        return true;
    default:
        return false;
    }
}

/* By CL, flags wanted: a count of 0 keeps them, and zero-extends a 32-bit register. */
static bool shift_by_cl(struct unit *u, unsigned digit)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size;
    bool stores = flags_store_is_best(u, true);
    if (stores)
        flags_to_memory(u);
    else
        flags_to_image(u);
    unsigned reg = dest_load(u, o[0].reg);
    emit_rr(e, 0xf6, 1, 0, H_RCX); /* TEST CL, mask */
    emit_8(e, size == 8 ? 63 : 31);
    emit_label keeps = emit_jump(e, 4);
    if (stores)
        flags_store(u, shift_how(digit), size, reg, H_RCX, 0);
    emit_rr(e, 0xd3, size, digit, reg);
    dest_store(u, o[0].reg, size, reg);
    if (stores)
        flags_stored(u);
    else
        shifted_to_image(u, digit, size, reg);
    if (size == 4) {
        emit_label done = emit_jump(e, EMIT_ALWAYS);
        emit_bind(e, keeps);
        emit_mov_rr(e, 4, reg, reg);
        dest_store(u, o[0].reg, size, reg);
        emit_bind(e, done);
    } else {
        emit_bind(e, keeps);
    }
    return true;
}

/* SHLD, SHRD of registers: the host's own, but for the flags. */
static bool lower_double(struct unit *u)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    unsigned size = o[0].size, count = (unsigned)u->in->imm & (size == 8 ? 63 : 31);
    bool by_cl = o[2].kind == OPND_GPR, is_left = u->in->op == OP_SHLD;
    emit_label keeps = NULL;
    if (!is_gpr(&o[0]) || size < 4 || (!by_cl && count == 0))
        return false;
    if (u->flags_needed && by_cl) {
        flags_to_image(u);
        emit_rr(e, 0xf6, 1, 0, H_RCX); /* TEST CL, mask */
        emit_8(e, size == 8 ? 63 : 31);
        keeps = emit_jump(e, 4);
    }
    unsigned src = gpr_in(u, o[1].reg, T1), dst = dest_load(u, o[0].reg);
    emit_rr(e, X_0F | (is_left ? 0xa4u : 0xacu) | by_cl, size, src, dst);
    if (!by_cl)
        emit_8(e, count);
    dest_store(u, o[0].reg, size, dst);
    if (u->flags_needed)
        shifted_to_image(u, is_left ? 4 : SHIFT_SHRD, size, dst);
    else
        flags_produced(u, (struct recipe){0}, true);
    if (!keeps)
        return true;
    emit_label done = emit_jump(e, EMIT_ALWAYS);
    emit_bind(e, keeps);
    dst = dest_load(u, o[0].reg);
    if (size == 4)
        emit_mov_rr(e, 4, dst, dst);
    dest_store(u, o[0].reg, size, dst);
    emit_bind(e, done);
    return true;
}

/* A shift of memory by a constant: whose flags nobody sees, or by 1, where the host's are the guest's. */
static bool shift_memory(struct unit *u, unsigned digit, unsigned count)
{
    unsigned size = u->in->operands[0].size;
    if (digit < 2 || (u->flags_needed && count > 1) || !operand_is_native(u))
        return false;
    struct host_mem m = probe_operand(u, size, true);
    emit_rm(&u->e, size == 1 ? 0xc0 : 0xc1, size, digit, m);
    emit_8(&u->e, count);
    flags_produced(u, (struct recipe){0}, true);
    return true;
}

bool lower_shift(struct unit *u)
{
    const struct operand *o = u->in->operands;
    unsigned digit, size = o[0].size;
    if (u->in->op == OP_SHLD || u->in->op == OP_SHRD)
        return lower_double(u);
    if (!shift_digit(u->in->op, &digit))
        return false;
    bool by_cl = o[1].kind == OPND_GPR, rotates = digit < 2;
    unsigned count = o[1].kind == OPND_ONE ? 1 : (unsigned)u->in->imm & (size == 8 ? 63 : 31);
    if (!by_cl && count == 0)
        return false;
    if (o[0].kind == OPND_MEM && !by_cl)
        return shift_memory(u, digit, count);
    if (!is_gpr(&o[0]))
        return false;
    if (u->flags_needed && (by_cl ? size < 4 || rotates : !rotates && count >= 8 * size))
        return false;
    if (u->flags_needed && by_cl)
        return shift_by_cl(u, digit);
    if (u->flags_needed && rotates)
        return lower_rotate(u, digit, count);
    if (rotates)
        flags_before_write(u, u->regs[o[0].reg]);
    bool stores = u->flags_needed && !rotates && flags_store_is_best(u, false);
    unsigned reg = dest_load(u, o[0].reg);
    if (stores)
        flags_store(u, shift_how(digit), size, reg, H_NONE, (int32_t)count);
    if (by_cl)
        emit_rr(&u->e, size == 1 ? 0xd2 : 0xd3, size, digit, reg);
    else
        emit_shift_ri(&u->e, digit, size, reg, count);
    dest_store(u, o[0].reg, size, reg);
    if (rotates)
        return true;
    if (stores)
        u->flags = (struct flag_state){
            .memory = true, .host = true, .is_logic = true, .is_shift = count > 1};
    else if (u->flags_needed && count > 1)
        shifted_to_image(u, digit, size, reg);
    else
        flags_produced(u, (struct recipe){0}, true);
    return true;
}
