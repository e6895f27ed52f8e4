/* SPDX-License-Identifier: MIT */
/* Bytes to struct insn: SDM Vol. 2A, "Instruction Format". */
#include "decoder/lookup.h"
#include "decoder/reader.h"
#include "decoder/vex.h"

/* Prefixes on the way to struct insn. */
struct prefixes {
    uint8_t flags;  /* enum insn_prefix without REX */
    uint8_t rex;    /* REX byte, 0 if none; with VEX what it has of it */
    uint8_t seg;    /* override with effect, or SEG_NONE */
    uint8_t opcode; /* first byte that is no prefix */
};

/* In 64-bit mode overrides of ES, CS, SS and DS are null prefixes (SDM Vol. 2A, "Instruction
 * Prefixes"). */
static void override(struct prefixes *p, uint8_t seg, enum decode_mode mode)
{
    if (mode != DECODE_64 || seg >= SEG_FS)
        p->seg = seg;
}

static const bool is_legacy_prefix[256] = {
    [0x26] = true, [0x2e] = true, [0x36] = true, [0x3e] = true, [0x64] = true, [0x65] = true,
    [0x66] = true, [0x67] = true, [0xf0] = true, [0xf2] = true, [0xf3] = true,
};

/* One legacy prefix byte. The last of F2 and F3 wins, as it does of segments. */
static void legacy_prefix(struct prefixes *p, uint8_t byte, enum decode_mode mode)
{
    switch (byte) {
    case 0x66:
        p->flags |= PFX_OPSIZE;
        break;
    case 0x67:
        p->flags |= PFX_ADDRSIZE;
        break;
    case 0xf0:
        p->flags |= PFX_LOCK;
        break;
    case 0xf2:
        p->flags = (uint8_t)((p->flags & ~PFX_REP) | PFX_REPNE);
        break;
    case 0xf3:
        p->flags = (uint8_t)((p->flags & ~PFX_REPNE) | PFX_REP);
        break;
    case 0x64:
    case 0x65:
        override(p, byte & 7, mode);
        break;
    default:
        override(p, (byte >> 3) & 3, mode);
        break;
    }
}

/* A REX that does not stand right before the opcode is ignored. */
static struct prefixes read_prefixes(struct reader *r, enum decode_mode mode)
{
    struct prefixes p = {.seg = SEG_NONE};
    for (;;) {
        uint8_t byte = read_byte(r);
        if (mode == DECODE_64 && (byte & 0xf0) == 0x40) {
            p.rex = byte;
        } else if (is_legacy_prefix[byte]) {
            legacy_prefix(&p, byte, mode);
            p.rex = 0;
        } else {
            p.opcode = byte;
            return p;
        }
    }
}

static void set_prefixes(struct insn *in, const struct prefixes *p, enum decode_mode mode)
{
    bool opsize = p->flags & PFX_OPSIZE, addrsize = p->flags & PFX_ADDRSIZE;
    in->prefixes = (uint8_t)(p->flags | (p->seg != SEG_NONE ? PFX_SEG : 0) |
                             (p->rex ? PFX_REX : 0) | (p->rex & 8 ? PFX_REX_W : 0));
    in->seg = p->seg != SEG_NONE ? p->seg : SEG_DS;
    in->base = REG_NONE;
    in->index = REG_NONE;
    if (mode == DECODE_64) {
        in->opsize = p->rex & 8 ? 8 : opsize ? 2 : 4;
        in->addrsize = addrsize ? 4 : 8;
    } else {
        bool is_32 = mode == DECODE_32;
        in->opsize = is_32 != opsize ? 4 : 2;
        in->addrsize = is_32 != addrsize ? 4 : 2;
    }
}

static unsigned mandatory_prefix(unsigned flags)
{
    if (flags & PFX_REP)
        return PP_F3;
    if (flags & PFX_REPNE)
        return PP_F2;
    return flags & PFX_OPSIZE ? PP_66 : PP_NONE;
}

/* From the slot of an opcode to that of the row. Reads the ModRM byte where it selects. */
ALWAYS_INLINE unsigned find_in_groups(const struct decoder *d, struct reader *r, struct insn *in,
                                      unsigned slot)
{
    if (!(slot & SLOT_TABLE))
        return slot;
    uint8_t modrm = read_byte(r);
    in->modrm = modrm;
    in->has_modrm = true;
    slot = d->groups[slot & ~SLOT_TABLE][(modrm >= 0xc0 ? 8 : 0) | ((modrm >> 3) & 7)];
    return slot & SLOT_TABLE ? d->rm_tables[slot & ~SLOT_TABLE][modrm & 7] : slot;
}

/* The row of an instruction whose VEX prefix has begun, or 0. SDM Vol. 2A, "VEX and the LOCK
 * prefix", "VEX and the 66H, F2H, and F3H prefixes", "VEX and the REX prefix": #UD with any of
 * them. */
static unsigned find_vex_slot(const struct decoder *d, struct reader *r, struct insn *in,
                              struct prefixes *p, enum decode_mode mode)
{
    bool is_64 = mode == DECODE_64;
    bool clashes = p->rex || (p->flags & (PFX_LOCK | PFX_REP | PFX_REPNE | PFX_OPSIZE));
    struct vex v = vex_read(r->bytes + r->pos, r->limit - r->pos, p->opcode, mode);
    in->has_vex = true;
    r->over |= v.over;
    if (v.over)
        return 0;
    r->pos += v.len;
    in->vex_l = v.l;
    in->vex_v = v.vvvv;
    in->vex_w = v.rex & 8;
    in->opsize = is_64 && (v.rex & 8) ? 8 : 4;
    in->map = v.map;
    p->rex = v.rex;
    in->opcode = read_byte(r);
    if (v.map == MAP_ONE || clashes)
        return 0;
    unsigned variant = (v.rex & 8 ? VEX_W : 0u) | (v.l ? VEX_L : 0u) | (is_64 ? VEX_64 : 0u);
    return find_in_groups(d, r, in, d->vex_cells[variant][v.map - MAP_0F][v.pp][in->opcode]);
}

/* Opcode maps and the row, or 0. */
static unsigned find_slot(const struct decoder *d, struct reader *r, struct insn *in,
                          struct prefixes *p, enum decode_mode mode)
{
    uint8_t opcode = p->opcode;
    if (unlikely(vex_begins(r, opcode, mode)))
        return find_vex_slot(d, r, in, p, mode);
    if (opcode == 0x0f) {
        opcode = read_byte(r);
        in->map = MAP_0F;
        if (opcode == 0x38 || opcode == 0x3a) {
            in->map = opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
            opcode = read_byte(r);
        }
    }
    in->opcode = opcode;
    unsigned variant = mode != DECODE_64 ? VARIANT_LEGACY
                       : p->rex & 8      ? VARIANT_64_W1
                                         : VARIANT_64_W0;
    unsigned slot = d->cells[variant][in->map][mandatory_prefix(p->flags)][opcode];
    slot = find_in_groups(d, r, in, slot);
    if (unlikely(opcode == 0x90) && in->map == MAP_ONE && (p->rex & 1))
        slot = d->xchg_r8; /* opcode 90 is NOP (PAUSE with F3) only for rAX itself */
    return slot;
}

/* SDM Vol. 2A, "16-Bit Addressing Forms with the ModR/M Byte". */
static void address_16(struct insn *in, struct reader *r)
{
    static const uint8_t base[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP,
                                    REG_RSI, REG_RDI, REG_RBP, REG_RBX};
    static const uint8_t index[8] = {REG_RSI,  REG_RDI,  REG_RSI,  REG_RDI,
                                     REG_NONE, REG_NONE, REG_NONE, REG_NONE};
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7;
    if (mod == 0 && rm == 6) {
        in->disp = (int32_t)read_signed(r, 2);
        return;
    }
    in->base = base[rm];
    in->index = index[rm];
    in->disp = (int32_t)read_signed(r, mod);
}

/* SDM Vol. 2A, "32-Bit Addressing Forms with the ModR/M Byte" and "... with the SIB Byte";
 * "RIP-Relative Addressing". */
static void address_32(struct insn *in, struct reader *r, unsigned rex, enum decode_mode mode)
{
    static const uint8_t disp_size[4] = {0, 1, 4, 0};
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7;
    unsigned size = disp_size[mod];
    if (rm == 4) {
        uint8_t sib = read_byte(r);
        unsigned index = ((sib >> 3) & 7u) | (rex & 2 ? 8u : 0);
        in->scale = sib >> 6;
        in->index = index == 4 && !in->vsib ? REG_NONE : (uint8_t)index; /* XMM4 exists */
        if ((sib & 7) == 5 && mod == 0)
            size = 4;
        else
            in->base = (uint8_t)((sib & 7) | (rex & 1 ? 8 : 0));
    } else if (rm == 5 && mod == 0) {
        size = 4;
        in->base = mode == DECODE_64 ? REG_RIP : REG_NONE;
    } else {
        in->base = (uint8_t)(rm | (rex & 1 ? 8 : 0));
    }
    in->disp = (int32_t)read_signed(r, size);
}

/* VSIB: SDM Vol. 2A, "Vector SIB (VSIB) Memory Addressing". False is #UD: no SIB byte, 16-bit
 * addressing. */
static bool vsib_begin(struct insn *in, const struct plan_operand *p, unsigned k)
{
    in->vsib = p->size[k];
    in->vsib_index = p->number;
    return (in->modrm & 7) == 4 && in->addrsize != 2;
}

static void read_address(struct insn *in, struct reader *r, unsigned rex, enum decode_mode mode)
{
    in->has_mem = true;
    if (in->addrsize == 2)
        address_16(in, r);
    else
        address_32(in, r, rex, mode);
    if (!(in->prefixes & PFX_SEG) && (in->base == REG_RSP || in->base == REG_RBP))
        in->seg = SEG_SS;
}

/* Byte registers 4-7 are AH CH DH BH without REX, SPL BPL SIL DIL with one. */
static void operand_gpr(struct operand *o, const struct insn *in, unsigned reg)
{
    o->kind = OPND_GPR;
    o->reg = (uint8_t)reg;
    if (o->size == 1 && reg >= 4 && !(in->prefixes & PFX_REX)) {
        o->kind = OPND_GPR_HIGH;
        o->reg = (uint8_t)(reg - 4);
    }
}

static void operand_imm(struct operand *o, struct insn *in, struct reader *r,
                        const struct plan_operand *p, unsigned k)
{
    if (p->method == M_IMM_SIGNED) {
        o->kind = OPND_IMM;
        in->imm = read_signed(r, p->mem_size[k]);
        if (in->operand_count > 0)
            o->size = in->operands[0].size;
        return;
    }
    bool second = in->operand_count > 0 && in->operands[in->operand_count - 1].kind == OPND_IMM;
    o->kind = second ? OPND_IMM2 : OPND_IMM;
    uint64_t v = read_number(r, p->mem_size[k]);
    if (second)
        in->imm2 = v;
    else
        in->imm = v;
}

/* Registers named by ModRM.reg that do not all exist: false is #UD (SDM Vol. 2B, "MOV" entries). */
static bool operand_special(struct operand *o, const struct plan_operand *p, unsigned reg,
                            unsigned rex)
{
    unsigned extended = reg | (rex & 4 ? 8u : 0);
    switch (p->method) {
    case M_SREG: /* REX.R is ignored; CS cannot be loaded */
        o->kind = OPND_SREG;
        o->reg = (uint8_t)reg;
        return reg <= SEG_GS && !(reg == SEG_CS && (o->access & ACC_W));
    case M_CR: /* 0, 2, 3, 4, 8 */
        o->kind = OPND_CR;
        o->reg = (uint8_t)extended;
        return (0x11du >> extended) & 1;
    default:
        o->kind = OPND_DR;
        o->reg = (uint8_t)extended;
        return extended < 8;
    }
}

/* The operand is a register or memory by ModRM.rm; kind is that of the register. */
static void operand_rm(struct operand *o, const struct insn *in, const struct plan_operand *p,
                       unsigned k, unsigned rex)
{
    unsigned rm = in->modrm & 7, extended = rm | (rex & 1 ? 8u : 0);
    if (in->has_mem) {
        o->kind = OPND_MEM;
        o->size = p->mem_size[k];
        return;
    }
    switch (p->method) {
    case M_E:
    case M_R:
        operand_gpr(o, in, extended);
        return;
    case M_N:
    case M_Q:
        o->kind = OPND_MMX;
        o->reg = (uint8_t)rm;
        return;
    case M_STI:
        o->kind = OPND_ST;
        o->reg = (uint8_t)rm;
        return;
    default:
        o->kind = OPND_XMM;
        o->reg = (uint8_t)extended;
        return;
    }
}

/* Operands that neither ModRM.rm nor an immediate gives. */
static void operand_implied(struct operand *o, const struct plan_operand *p)
{
    static const uint8_t kinds[] = {
        [M_DX] = OPND_PORT_DX,  [M_ONE] = OPND_ONE,   [M_SREG_FIXED] = OPND_SREG,
        [M_FLAGS] = OPND_FLAGS, [M_X] = OPND_STR_SRC, [M_Y] = OPND_STR_DST,
        [M_GPR] = OPND_GPR,     [M_ST0] = OPND_ST,
    };
    o->kind = kinds[p->method];
    o->reg = p->number;
}

static bool fill_operand(struct insn *in, struct reader *r, const struct plan_operand *p,
                         unsigned k, unsigned rex)
{
    struct operand *o = &in->operands[in->operand_count];
    unsigned reg = (in->modrm >> 3) & 7;
    bool exists = true;
    o->size = p->size[k];
    o->access = p->access;
    switch (p->method) {
    case M_E:
    case M_R:
    case M_M:
    case M_STI:
    case M_N:
    case M_Q:
    case M_U:
    case M_W:
    case M_VSIB:
        operand_rm(o, in, p, k, rex);
        break;
    case M_B:
        operand_gpr(o, in, in->vex_v);
        break;
    case M_H:
        o->kind = OPND_XMM;
        o->reg = in->vex_v;
        break;
    case M_L:
        o->kind = OPND_XMM;
        in->imm = read_number(r, 1);
        o->reg = (uint8_t)(in->imm >> 4);
        break;
    case M_G:
        operand_gpr(o, in, reg | (rex & 4 ? 8u : 0));
        break;
    case M_Z:
        operand_gpr(o, in, (in->opcode & 7u) | (rex & 1 ? 8u : 0));
        break;
    case M_P:
        o->kind = OPND_MMX;
        o->reg = (uint8_t)reg;
        break;
    case M_V:
        o->kind = OPND_XMM;
        o->reg = (uint8_t)(reg | (rex & 4 ? 8u : 0));
        break;
    case M_IMM:
    case M_IMM_SIGNED:
        operand_imm(o, in, r, p, k);
        break;
    case M_J:
        o->kind = OPND_REL;
        in->imm = read_signed(r, p->mem_size[k]);
        break;
    case M_A:
        o->kind = OPND_FAR;
        in->imm = read_number(r, p->mem_size[k]);
        in->imm2 = read_number(r, 2);
        break;
    case M_O:
        o->kind = OPND_MOFFS;
        o->size = p->mem_size[k];
        in->has_mem = in->is_moffs = true;
        in->imm = read_number(r, in->addrsize);
        break;
    case M_X:
    case M_Y:
        o->size = p->mem_size[k];
        operand_implied(o, p);
        break;
    case M_SREG:
    case M_CR:
    case M_DR:
        exists = operand_special(o, p, reg, rex);
        break;
    default:
        operand_implied(o, p);
        break;
    }
    in->operand_count++;
    return exists;
}

/* 64-bit mode: SDM Vol. 2, "Default 64-Bit Operand Size", "Forced 64-bit" (superscripts d64, f64 of
 * the opcode map). */
static void adjust_opsize(struct insn *in, unsigned attributes)
{
    if (attributes & A_F64)
        in->opsize = 8;
    else if ((attributes & A_D64) && in->opsize == 4)
        in->opsize = 8;
}

/* Gathers: destination, mask and indices must be three registers (SDM Vol. 2C, "VPGATHERDD"). */
static bool gather_registers_differ(const struct insn *in)
{
    unsigned dest = in->operands[0].reg, mask = in->operands[2].reg;
    return dest != mask && dest != in->index && mask != in->index;
}

/*
 * What is left of an instruction with a VEX prefix; false is #UD. SDM Vol. 2A, "VEX.vvvv": 1111b
 * where it names no operand; elsewhere its high bit, as that of a register in imm8, is ignored
 * outside 64-bit mode.
 */
static bool finish_vex(const struct plan *plan, struct insn *in, enum decode_mode mode)
{
    bool exists = plan->uses_vvvv || in->vex_v == 0;
    if (mode != DECODE_64) {
        in->vex_v &= 7;
        for (unsigned i = 0; i < in->operand_count; i++)
            in->operands[i].reg &= 7;
    }
    return exists && (!in->vsib || gather_registers_differ(in));
}

/* The rest of an instruction whose row is known; false is #UD. */
static bool decode_row(const struct plan *plan, struct insn *in, struct reader *r, unsigned rex,
                       enum decode_mode mode)
{
    bool exists = true;
    if (mode == DECODE_64)
        adjust_opsize(in, plan->attributes);
    unsigned k = size_index(in->opsize, in->vex_l);
    if (plan->has_modrm) {
        if (!in->has_modrm)
            in->modrm = read_byte(r);
        in->has_modrm = true;
        if (unlikely(plan->vsib))
            exists = vsib_begin(in, &plan->operands[plan->vsib - 1], k);
        if (in->modrm < 0xc0 && plan->has_memory)
            read_address(in, r, rex, mode);
    }
    for (unsigned i = 0; i < plan->operand_count; i++)
        exists &= fill_operand(in, r, &plan->operands[i], k, rex);
    if (in->prefixes & PFX_LOCK)
        exists &= (plan->attributes & A_LOCK) && in->has_mem;
    if (unlikely(in->has_vex))
        exists &= finish_vex(plan, in, mode);
    return exists;
}

static void keep_bytes(struct insn *in, const uint8_t *bytes, size_t avail)
{
    if (likely(in->len <= 8 && avail >= 8))
        le64_store(in->bytes, le64_load(bytes) & low_mask(in->len * 8u));
    else
        memcpy(in->bytes, bytes, in->len);
}

enum decode_result decoder_decode(const struct decoder *d, enum decode_mode mode,
                                  const uint8_t *bytes, size_t avail, struct insn *in)
{
    struct reader r = {.bytes = bytes,
                       .limit = avail < INSN_MAX_LEN ? (unsigned)avail : INSN_MAX_LEN};
    *in = (struct insn){0};
    struct prefixes p = read_prefixes(&r, mode);
    set_prefixes(in, &p, mode);
    unsigned slot = find_slot(d, &r, in, &p, mode);
    bool exists = slot != 0;
    if (exists) {
        in->row = (uint16_t)(slot - 1);
        exists = decode_row(&d->plans[slot - 1], in, &r, p.rex, mode);
    }
    if (unlikely(r.over))
        return avail < INSN_MAX_LEN ? DECODE_TRUNCATED : DECODE_TOO_LONG;
    in->len = (uint8_t)r.pos;
    keep_bytes(in, bytes, avail);
    if (!exists)
        return DECODE_UD;
    in->op = d->plans[slot - 1].op;
    return DECODE_OK;
}
