/* SPDX-License-Identifier: MIT */
/*
 * The guest's status flags on their way from producer to consumer: in the host's flags as long as
 * nothing destroys them, made again from registers that still hold the operands, or in
 * run.flag_image.
 */
#include "cpu/build.h"
#include "cpu/jit/x86_64/jit_priv.h"

/* Without a constant in it the lowest byte is all. */
static void store_how(struct unit *u, uint32_t how)
{
    if (!(how & HOW_IMM)) {
        emit_rm(&u->e, 0xc6, 1, 0, RUN(flag_how));
        emit_8(&u->e, how);
        return;
    }
    emit_rm(&u->e, 0xc7, 4, 0, RUN(flag_how));
    emit_number(&u->e, how, 4);
}

/* The host's flags to the image. LAHF and SETO need RAX; moves leave flags alone. */
static void save_host(struct unit *u)
{
    struct emit *e = &u->e;
    emit_mov_rr(e, 8, T0, H_RAX);
    emit_8(e, 0x9f);                      /* LAHF */
    emit_rr(e, X_0F | 0x90, 1, 0, H_RAX); /* SETO AL */
    if (u->flags.is_logic) {
        emit_8(e, 0x80); /* AND AH, not AF */
        emit_8(e, 0xe4);
        emit_8(e, 0xef);
        u->flags.host = false;
    }
    emit_store(e, 2, H_RAX, RUN(flag_image));
    emit_mov_rr(e, 8, H_RAX, T0);
    if (!u->flags.plain)
        store_how(u, HOW_IMAGE);
    u->flags.memory = u->flags.plain = true;
}

/* ---- in memory ---- */

static bool fits_how(int32_t imm)
{
    return imm >= -(1 << 23) && imm < 1 << 23;
}

/* A part of a recipe to its place in memory. */
static void keep(struct unit *u, unsigned part, struct host_mem to)
{
    if (part == IN_MEMORY)
        return;
    if (part >= IN_GPR) {
        emit_load(&u->e, 8, T0, mem_gpr(part - IN_GPR));
        part = T0;
    }
    emit_store(&u->e, 8, part, to);
}

void flags_keep_a(struct unit *u, unsigned reg)
{
    keep(u, reg, RUN(flag_a));
}

void flags_keep_b(struct unit *u, unsigned reg)
{
    keep(u, reg, RUN(flag_b));
}

void flags_keep_carry(struct unit *u)
{
    emit_rm(&u->e, X_0F | 0x92, 1, 0, RUN(flag_c)); /* SETC */
}

void flags_store(struct unit *u, enum flag_how kind, unsigned size, unsigned a, unsigned b,
                 int32_t imm)
{
    struct emit *e = &u->e;
    uint32_t how = (uint32_t)kind;
    how |= (size == 8 ? 3u : size >> 1) << HOW_SIZE_SHIFT;
    keep(u, a, RUN(flag_a));
    if (b != H_NONE) {
        keep(u, b, RUN(flag_b));
    } else if (fits_how(imm)) { /* there is no second operand of LOGIC */
        how |= kind == HOW_LOGIC ? 0 : HOW_IMM | (uint32_t)imm << HOW_IMM_SHIFT;
    } else {
        emit_rm(e, 0xc7, 8, 0, RUN(flag_b));
        emit_number(e, (uint32_t)imm, 4);
    }
    store_how(u, how);
    u->flags.memory = true;
    u->flags.plain = false;
}

static void store_recipe(struct unit *u)
{
    const struct recipe *r = &u->flags.recipe;
    flags_store(u, (enum flag_how)r->op, r->size, r->a, r->b, r->op == HOW_LOGIC ? 0 : r->imm);
}

void flags_to_memory(struct unit *u)
{
    if (u->flags.memory)
        return;
    if (u->flags.recipe.op != HOW_IMAGE)
        store_recipe(u);
    else
        save_host(u);
}

void flags_to_image(struct unit *u)
{
    bool has = u->flags.host && !u->flags.is_shift;
    if (!u->flags.memory || (has && !u->flags.plain)) {
        if (!has)
            recipe_cook(u);
        save_host(u);
    } else if (!u->flags.plain) {
        emit_alu_mi(&u->e, ALU_CMP, 1, RUN(flag_how), 0);
        late_plain(u, emit_jump(&u->e, 5));
        u->flags.plain = true;
        u->flags.host = false;
    }
}

void flags_stored(struct unit *u)
{
    u->flags = (struct flag_state){.memory = true};
}

void flags_in_image(struct unit *u)
{
    if (!u->flags.plain)
        store_how(u, HOW_IMAGE);
    u->flags = (struct flag_state){.memory = true, .plain = true};
}

void flags_over(struct unit *u)
{
    emit_alu_mi(&u->e, ALU_OR, 1, RUN(flag_how), (int8_t)HOW_OVER);
    u->flags = (struct flag_state){.memory = true};
}

void flags_unseen(struct unit *u)
{
    u->flags = (struct flag_state){.memory = true, .plain = u->flags.plain};
}

/* AH := SF ZF AF PF CF, AL := OF, SAHF after an addition that makes OF. */
static void load_image(struct unit *u)
{
    struct emit *e = &u->e;
    flags_to_image(u);
    emit_mov_rr(e, 8, T0, H_RAX);
    emit_rm(e, X_0F | 0xb7, 4, H_RAX, RUN(flag_image)); /* MOVZX EAX, word */
    emit_alu_ri(e, ALU_ADD, 1, H_RAX, 0x7f);
    emit_8(e, 0x9e); /* SAHF */
    emit_mov_rr(e, 8, H_RAX, T0);
    u->flags.host = true;
    u->flags.is_logic = u->flags.is_shift = false;
}

void flags_to_host(struct unit *u)
{
    if (u->flags.host && !u->flags.is_shift)
        return;
    u->flags.host = false;
    if (u->flags.recipe.op != HOW_IMAGE)
        recipe_cook(u);
    else
        load_image(u);
}

void flags_to_carry(struct unit *u)
{
    if (u->flags.host)
        return;
    if (u->flags.recipe.op != HOW_IMAGE) {
        recipe_carry(u);
        return;
    }
    flags_to_image(u);
    emit_rm(&u->e, X_0F | 0xba, 2, 4, RUN(flag_image)); /* BT m16, 8: as wide as the store */
    emit_8(&u->e, 8);
}

void flags_clobber(struct unit *u)
{
    if (!u->flags.memory && u->flags.recipe.op == HOW_IMAGE)
        save_host(u);
    u->flags.host = false;
}

/* What stands in place `part` is about to change; shows: before that somebody may look. */
static void part_changes(struct unit *u, unsigned part, bool shows)
{
    struct recipe *r = &u->flags.recipe;
    if (r->op == HOW_IMAGE || (r->a != part && r->b != part))
        return;
    if (u->is_quiet && !u->flags_shown && !shows)
        u->flags.memory = true; /* its late code has them as they stand */
    if (u->flags.memory || (u->flags.host && !flags_wanted(u))) {
        r->op = HOW_IMAGE;
        return;
    }
    if (r->a == part) {
        keep(u, part, RUN(flag_a));
        r->a = IN_MEMORY;
    }
    if (r->b == part) {
        keep(u, part, RUN(flag_b));
        r->b = IN_MEMORY;
    }
}

void flags_before_write(struct unit *u, unsigned host)
{
    if (host != H_NONE)
        part_changes(u, host, false);
}

/* May the instruction change its operand i, a register? */
static bool may_write(const struct insn *in, unsigned i)
{
    switch (in->op) {
    case OP_PUSH:
    case OP_CMP:
    case OP_TEST:
        return false;
    case OP_XCHG:
    case OP_XADD:
    case OP_MULX:
        return true;
    default:
        return i == 0;
    }
}

void flags_before_insn(struct unit *u)
{
    if (u->flags.recipe.op == HOW_IMAGE || insn_flags_overwritten(u->in) == F_OSZAPC)
        return;
    for (unsigned i = 0; i < u->in->operand_count; i++) {
        const struct operand *o = &u->in->operands[i];
        if (o->kind == OPND_GPR && may_write(u->in, i))
            part_changes(u, IN_GPR + o->reg, true);
    }
}

void flags_produced(struct unit *u, struct recipe r, bool is_logic)
{
    u->flags = (struct flag_state){.host = true,
                                   .is_logic = is_logic,
                                   .by = (uint16_t)(u->i + 1),
                                   .recipe = r,
                                   .memory = !u->flags_needed,
                                   .plain = u->flags.plain};
}

/* Conditions that are one bit, or any of several, of the image's upper byte: the mask, or 0. */
static unsigned image_mask(unsigned cc)
{
    static const uint8_t masks[8] = {0, 0x01, 0x40, 0x41, 0x80, 0x04, 0, 0};
    return masks[cc >> 1];
}

unsigned flags_condition(struct unit *u, unsigned cc)
{
    unsigned mask = image_mask(cc);
    if (u->flags.host && mask)
        return cc;
    if (u->flags.recipe.op != HOW_IMAGE && (cc >> 1 == 2 || cc >> 1 == 4 || cc >> 1 == 5)) {
        recipe_result(u);
        return cc;
    }
    if (u->flags.recipe.op != HOW_IMAGE && cc >> 1 == 1) {
        recipe_carry(u);
        return cc;
    }
    if (u->flags.recipe.op != HOW_IMAGE || !mask) {
        flags_to_host(u);
        return cc;
    }
    flags_to_image(u);
    struct host_mem high = RUN(flag_image);
    high.disp++;
    emit_rm(&u->e, 0xf6, 1, 0, high); /* TEST m8, mask */
    emit_8(&u->e, mask);
    return cc & 1 ? 4 : 5; /* condition holds: some bit set, JNZ; its opposite: JZ */
}

/* ---- which flags are looked at ---- */

/* May it fault, or end in C, so that somebody sees the flags of before? */
static bool shows(const struct unit *u, unsigned i)
{
    const struct rec *rec = u->path[i].rec;
    const struct insn *in = &u->insn[i];
    bool accesses = in->has_mem && in->op != OP_LEA && in->op != OP_NOP;
    if (!record_is_plain(rec) || accesses || insn_row(in->row)->ends_block ||
        insn_row(in->row)->sensitivity != SENS_NONE || in->op == OP_JCC)
        return true;
    switch (in->op) {
    case OP_ADD:
    case OP_OR:
    case OP_ADC:
    case OP_SBB:
    case OP_AND:
    case OP_SUB:
    case OP_XOR:
    case OP_CMP:
    case OP_TEST:
    case OP_INC:
    case OP_DEC:
    case OP_NEG:
    case OP_NOT:
    case OP_MOV:
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
    case OP_LEA:
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_SHLD:
    case OP_SHRD:
    case OP_IMUL:
    case OP_NOP:
    case OP_CMOVCC:
    case OP_SETCC:
    case OP_ROL:
    case OP_ROR:
    case OP_BSWAP:
    case OP_BSF:
    case OP_BSR:
    case OP_XCHG:
    case OP_ANDN:
    case OP_BEXTR:
    case OP_BLSI:
    case OP_BLSMSK:
    case OP_BLSR:
    case OP_BZHI:
    case OP_MULX:
    case OP_PDEP:
    case OP_PEXT:
    case OP_RORX:
    case OP_SARX:
    case OP_SHLX:
    case OP_SHRX:
    case OP_ADCX:
    case OP_ADOX:
        return false;
    default:
        return !sse_is_silent(in);
    }
}

/* Which flags it reads, if those of live are looked at behind it. A shift does no more than keep
 * them, by a count of 0. */
static uint32_t flags_read(const struct insn *in, uint32_t live)
{
    switch (in->op) {
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_SHLD:
    case OP_SHRD:
        return live & insn_flags_tested(in);
    default:
        return insn_flags_tested(in) & F_OSZAPC;
    }
}

/* Does its lowering leave the host's flags as they are? */
static bool keeps_host(const struct insn *in)
{
    if (in->has_mem && in->op != OP_LEA)
        return false;
    switch (in->op) {
    case OP_MOV:
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
        return in->operands[0].kind == OPND_GPR && in->operands[1].kind != OPND_GPR_HIGH;
    case OP_LEA:
    case OP_CMOVCC:
    case OP_SETCC:
    case OP_NOP:
    case OP_BSWAP:
    case OP_JCC:
    case OP_JMP_NEAR:
        return true;
    default:
        return false;
    }
}

bool flags_store_is_best(const struct unit *u, bool reads)
{
    bool clobbered = reads;
    for (unsigned i = u->i + 1; i < u->count; i++) {
        const struct insn *in = &u->insn[i];
        if (insn_flags_tested(in) & F_OSZAPC && clobbered)
            return false;
        if (insn_flags_overwritten(in) == F_OSZAPC)
            return true;
        clobbered |= !keeps_host(in);
    }
    return true;
}

bool flags_wanted(const struct unit *u)
{
    bool clobbered = false;
    for (unsigned i = u->i + 1; i < u->count; i++) {
        const struct insn *in = &u->insn[i];
        if (is_behind_seam(u, i) || shows(u, i) || (clobbered && insn_flags_tested(in) & F_OSZAPC))
            return true;
        if (insn_flags_overwritten(in) == F_OSZAPC)
            return false;
        clobbered |= !keeps_host(in);
    }
    return true;
}

void find_needed_flags(struct unit *u)
{
    uint32_t live = F_OSZAPC;
    for (unsigned i = u->count; i-- > 0;) {
        const struct insn *in = &u->insn[i];
        uint32_t writes = insn_flags_overwritten(in), tested = flags_read(in, live);
        if (writes & live)
            u->path[i].flags_needed = true;
        u->path[i].flags_shown = live;
        live = shows(u, i) || is_behind_seam(u, i) ? F_OSZAPC : (live & ~writes) | tested;
    }
    u->shows_entry = live;
}
