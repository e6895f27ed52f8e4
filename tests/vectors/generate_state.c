/* SPDX-License-Identifier: MIT */
/* Addresses that are mapped (or are not, on purpose), counts, divisors, images that can be loaded.
 */
#include "tests/vectors/generate_state.h"

#include <string.h>

#include "base/endian.h"
#include "cpu/state.h"
#include "tests/vectors/segments.h"

struct pins {
    struct generator *g; /* borrowed */
    struct vector *v;    /* borrowed */
    unsigned taken;      /* registers that have their value for good */
};

static unsigned pick(struct generator *g, unsigned n)
{
    return (unsigned)(vector_random(&g->seed) >> 20) % n;
}

static bool chance(struct generator *g, unsigned percent)
{
    return pick(g, 100) < percent;
}

/* Give a register its value; false if it already has another one. */
static bool pin(struct pins *p, unsigned reg, uint64_t value)
{
    uint64_t *r = &p->v->before.gpr[reg];
    if (p->v->mode != DECODE_64)
        value = (uint32_t)value;
    if (p->taken >> reg & 1)
        return *r == value;
    p->taken |= 1u << reg;
    *r = value;
    return true;
}

static uint8_t *memory(struct vector *v, uint64_t address, unsigned size)
{
    address -= v->base;
    if (v->mode != DECODE_64)
        address = (uint32_t)address;
    if (address >= VECTOR_MEM + VECTOR_ALIAS)
        address -= VECTOR_ALIAS;
    if (address < VECTOR_MEM || address + size > VECTOR_DATA_END || address > VECTOR_DATA_END)
        return NULL;
    return v->before.mem + (address - VECTOR_MEM);
}

/* ---- addresses ---- */

static unsigned image_size(unsigned op)
{
    switch (op) {
    case OP_FXSAVE:
    case OP_FXRSTOR:
        return 512;
    case OP_XSAVE:
    case OP_XRSTOR:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
        return 1024;
    case OP_FRSTOR:
    case OP_FNSAVE:
        return 108;
    case OP_FLDENV:
    case OP_FNSTENV:
        return 28;
    default:
        return 0;
    }
}

static unsigned alignment(struct generator *g, const struct insn *in, unsigned size)
{
    if (image_size(in->op) >= 512)
        return chance(g, 90) ? 64 : 16;
    if ((in->prefixes & PFX_LOCK) || in->op == OP_XCHG)
        return size;
    if (size >= 16)
        return chance(g, 80) ? size : 1;
    return chance(g, 50) && size != 0 && size != 10 ? size : 1;
}

/* A linear address for an access of size bytes. */
static uint64_t target(struct generator *g, const struct vector *v, unsigned size, unsigned align)
{
    unsigned kind = pick(g, 100);
    uint64_t at = VECTOR_DATA + 64 + pick(g, VECTOR_DATA_END - VECTOR_DATA - size - 128);
    if (kind < 4)
        at = VECTOR_DATA_END - pick(g, size + 8u);
    else if (kind < 7)
        at = VECTOR_DATA - pick(g, size + 16u);
    else if (kind < 8)
        at = VECTOR_DATA_END + pick(g, 4096);
    else if (kind < 10 && v->mode == DECODE_64)
        at = UINT64_C(0x8000000000000000) | vector_random(&g->seed) >> 8;
    if (align != 1 && align != 2 && align != 4 && align != 8 && align != 16 && align != 32 &&
        align != 64)
        align = 1;
    return (at & ~(uint64_t)(align - 1)) + (at >> 63 ? 0 : v->base);
}

/* Offset in a segment of a linear address: some address of the segment's end instead, now and then.
 */
static uint64_t offset_of(struct generator *g, const struct vector *v, unsigned seg, uint64_t at,
                          unsigned size)
{
    const struct vector_segment *s = vector_segment(v->before.sel[seg]);
    uint64_t offset = at - vector_segment_base(v, seg);
    if (v->mode == DECODE_64)
        return offset;
    if (s != NULL && chance(g, 8)) {
        uint64_t end = chance(g, 60) ? s->limit : chance(g, 80) ? 0xffff : UINT32_MAX;
        return (uint32_t)(end + 1 + pick(g, size + 2u) - size);
    }
    offset = (uint32_t)offset;
    if (s != NULL && offset > 0xffff && chance(g, 95))
        offset = (uint32_t)(offset + VECTOR_ALIAS);
    return offset;
}

/* A 16-bit stack uses SP only. */
static unsigned stack_width(const struct vector *v)
{
    const struct vector_segment *s = vector_segment(v->before.sel[SEG_SS]);
    return v->mode == DECODE_64 ? 8 : s != NULL && !(s->attr & ATTR_DB) ? 2 : 4;
}

/* Offset of the displacement: after ModRM and SIB. */
static unsigned displacement_at(const struct vector *v, const struct insn *in)
{
    unsigned at = 0;
    while (in->has_vex && (v->bytes[at] & 0xfe) != 0xc4)
        at++;
    if (in->has_vex)
        at += v->bytes[at] == 0xc4 ? 3 : 2;
    while (at + 1u < v->len && (v->bytes[at] != in->opcode || v->bytes[at + 1] != in->modrm))
        at++;
    bool has_sib = in->addrsize != 2 && (in->modrm & 7) == 4;
    return at + 2 + has_sib;
}

static bool place_without_registers(struct vector *v, struct insn *in, uint64_t offset)
{
    unsigned at = displacement_at(v, in);
    if (in->base == REG_RIP)
        offset -= v->before.rip + v->len;
    if (in->addrsize == 2)
        le16_store(v->bytes + at, (uint16_t)offset);
    else if (at + 4u <= v->len && sext(offset, 32) == (int64_t)offset)
        le32_store(v->bytes + at, (uint32_t)offset);
    else
        return false;
    in->disp = (int32_t)offset;
    return true;
}

/* Make the effective address come out as offset. */
static bool place(struct pins *p, struct insn *in, uint64_t offset)
{
    struct vector *v = p->v;
    uint64_t mask = low_mask(in->addrsize * 8u), index = 0;
    if (in->is_moffs) {
        memcpy(v->bytes + v->len - in->addrsize, &offset, in->addrsize);
        in->imm = offset & mask;
        return true;
    }
    if (in->base == REG_RIP || (in->base == REG_NONE && in->index == REG_NONE))
        return place_without_registers(v, in, offset);
    offset -= (uint64_t)(int64_t)in->disp;
    if (in->base == REG_NONE) {
        return pin(p, in->index,
                   (v->before.gpr[in->index] & ~mask) | ((offset & mask) >> in->scale));
    }
    if (in->index != REG_NONE) {
        if (in->index == in->base || (in->index == REG_RSP))
            return false;
        if (chance(p->g, 60))
            pin(p, in->index, pick(p->g, 256));
        p->taken |= 1u << in->index;
        index = v->before.gpr[in->index] << in->scale;
    }
    return pin(p, in->base, (v->before.gpr[in->base] & ~mask) | ((offset - index) & mask));
}

/* Effective address, base of the segment added, as linear. */
static uint64_t operand_address(const struct vector *v, const struct insn *in)
{
    uint64_t ea = (uint64_t)(int64_t)in->disp;
    if (in->is_moffs)
        ea = in->imm;
    else if (in->base == REG_RIP)
        ea += v->before.rip + v->len;
    else if (in->base != REG_NONE)
        ea += v->before.gpr[in->base];
    if (!in->is_moffs && in->index != REG_NONE)
        ea += v->before.gpr[in->index] << in->scale;
    ea = (ea & low_mask(in->addrsize * 8u)) + vector_segment_base(v, in->seg);
    return v->mode == DECODE_64 ? ea : (uint32_t)ea;
}

static bool is_bit_string(const struct insn *in)
{
    return (in->op == OP_BT || in->op == OP_BTS || in->op == OP_BTR || in->op == OP_BTC) &&
           in->operands[1].kind == OPND_GPR;
}

static uint64_t *vector_quadword(struct vector *v, unsigned reg, unsigned i)
{
    return i < 2 ? &v->before.xmm[reg][i] : &v->before.ymm_high[reg][i - 2];
}

/* Indices of a gather: within 2 KiB around the address that it has without them, but for a few. */
static void place_indices(struct pins *p, const struct insn *in)
{
    for (unsigned i = 0; i < in->vsib / 8u; i++) {
        uint64_t q = 0;
        for (unsigned bits = 0; bits < 64; bits += in->vsib_index * 8u) {
            int64_t index = (int64_t)pick(p->g, 4096) - 2048;
            uint64_t e =
                chance(p->g, 3) ? vector_random(&p->g->seed) : (uint64_t)(index >> in->scale);
            q |= (e & low_mask(in->vsib_index * 8u)) << bits;
        }
        *vector_quadword(p->v, in->index, i) = q;
    }
}

/* The address that a gather has without indices. */
static bool place_gather(struct pins *p, struct insn *in)
{
    uint64_t at = VECTOR_DATA + p->v->base + 2048 + pick(p->g, 4096);
    at = offset_of(p->g, p->v, in->seg, at, 8);
    struct insn plain = *in;
    if (in->addrsize < 8 && at >> (in->addrsize * 8u) != 0)
        return false;
    place_indices(p, in);
    plain.index = REG_NONE;
    bool ok = place(p, &plain, at);
    in->disp = plain.disp;
    return ok;
}

static bool place_memory(struct pins *p, struct insn *in)
{
    struct vector *v = p->v;
    if (in->vsib)
        return place_gather(p, in);
    unsigned size = image_size(in->op);
    for (unsigned i = 0; i < in->operand_count; i++)
        if ((in->operands[i].kind == OPND_MEM || in->operands[i].kind == OPND_MOFFS) &&
            in->operands[i].size > size)
            size = in->operands[i].size;
    uint64_t at = target(p->g, v, size, alignment(p->g, in, size));
    if (is_bit_string(in)) {
        uint64_t bit = (uint64_t)((int64_t)pick(p->g, 1400) - 700);
        if (!pin(p, in->operands[1].reg,
                 chance(p->g, 90) ? bit : v->before.gpr[in->operands[1].reg]))
            return false;
        if (at > VECTOR_DATA + v->base && at < VECTOR_DATA_END + v->base)
            at = VECTOR_DATA + v->base + 256 + (at & 0xfff);
        if (in->prefixes & PFX_LOCK)
            at &= ~UINT64_C(7);
    }
    at = offset_of(p->g, v, in->seg, at, size);
    if (in->addrsize < 8 && at >> (in->addrsize * 8u) != 0)
        return false;
    return place(p, in, at);
}

/* ---- implied registers ---- */

static uint64_t with_low(uint64_t old, uint64_t low, unsigned size)
{
    return size >= 8 ? low : (old & ~low_mask(size * 8u)) | (low & low_mask(size * 8u));
}

static bool place_strings(struct pins *p, const struct insn *in)
{
    struct vector *v = p->v;
    bool ok = true, any = false;
    for (unsigned i = 0; i < in->operand_count; i++) {
        unsigned kind = in->operands[i].kind, size = in->operands[i].size;
        if (kind != OPND_STR_SRC && kind != OPND_STR_DST)
            continue;
        unsigned reg = kind == OPND_STR_SRC ? REG_RSI : REG_RDI;
        uint64_t at = target(p->g, v, 64, chance(p->g, 50) ? size : 1);
        if (kind == OPND_STR_SRC || v->segmented)
            at = offset_of(p->g, v, kind == OPND_STR_SRC ? in->seg : SEG_ES, at, size);
        any = true;
        ok = ok && pin(p, reg, with_low(v->before.gpr[reg], at, in->addrsize));
    }
    if (any && (in->prefixes & (PFX_REP | PFX_REPNE)))
        ok = ok && pin(p, REG_RCX, with_low(v->before.gpr[REG_RCX], pick(p->g, 9), in->addrsize));
    return ok;
}

static bool place_stack(struct pins *p)
{
    struct vector *v = p->v;
    uint64_t at = target(p->g, v, 64, chance(p->g, 85) ? 8 : 1);
    at = offset_of(p->g, v, SEG_SS, at, 8);
    return pin(p, REG_RSP, with_low(v->before.gpr[REG_RSP], at, stack_width(v)));
}

static bool place_frame(struct pins *p)
{
    struct vector *v = p->v;
    uint64_t at = offset_of(p->g, v, SEG_SS, target(p->g, v, 64, 8), 8);
    return pin(p, REG_RBP, with_low(v->before.gpr[REG_RBP], at, stack_width(v)));
}

static uint64_t some_target(struct pins *p)
{
    const struct vector *v = p->v;
    uint64_t code = VECTOR_CODE + v->base - (v->segmented ? vector_segment_base(v, SEG_CS) : 0);
    return chance(p->g, 50) ? code + pick(p->g, 4096)
                            : vector_random(&p->g->seed) >> (p->v->mode == DECODE_64 ? 18 : 33);
}

static bool place_return(struct pins *p)
{
    uint64_t sp = p->v->before.gpr[REG_RSP] & low_mask(stack_width(p->v) * 8);
    if (p->v->mode != DECODE_64)
        sp += vector_segment_base(p->v, SEG_SS);
    uint8_t *m = memory(p->v, sp, 8);
    if (m != NULL && chance(p->g, 70))
        le64_store(m, some_target(p));
    return true;
}

static bool place_indirect(struct pins *p, const struct insn *in)
{
    if (chance(p->g, 30))
        return true;
    if (in->operands[0].kind == OPND_GPR)
        return pin(p, in->operands[0].reg, some_target(p)) || true;
    uint8_t *m = memory(p->v, operand_address(p->v, in), 8);
    if (m != NULL)
        le64_store(m, some_target(p));
    return true;
}

static bool place_dividend(struct pins *p, const struct insn *in)
{
    uint64_t *rax = &p->v->before.gpr[REG_RAX], *rdx = &p->v->before.gpr[REG_RDX];
    unsigned bits = in->operands[in->operand_count - 1].size * 8u;
    if (chance(p->g, 25))
        return true;
    uint64_t high = in->op == OP_IDIV ? (uint64_t)(sext(*rax, bits) >> 63) : pick(p->g, 4);
    if (bits == 8)
        *rax = (*rax & ~UINT64_C(0xff00)) | (high & 0xff) << 8;
    else if (!(p->taken >> REG_RDX & 1))
        *rdx = p->v->mode == DECODE_64 ? high : (uint32_t)high;
    return true;
}

/* Half of the time the comparison is to succeed. */
static bool place_comparand(struct pins *p, const struct insn *in)
{
    const struct operand *o = &in->operands[0];
    struct vector_state *t = &p->v->before;
    uint8_t *m = o->kind == OPND_MEM ? memory(p->v, operand_address(p->v, in), 16) : NULL;
    if (chance(p->g, 50))
        return true;
    if (o->kind == OPND_GPR)
        return pin(p, REG_RAX, t->gpr[o->reg]) || true;
    if (m == NULL || (p->taken & (1u << REG_RAX | 1u << REG_RDX)))
        return true;
    if (in->op == OP_CMPXCHG16B || in->op == OP_CMPXCHG8B) {
        bool wide = in->op == OP_CMPXCHG16B;
        pin(p, REG_RAX, wide ? le64_load(m) : le32_load(m));
        return pin(p, REG_RDX, wide ? le64_load(m + 8) : le32_load(m + 4));
    }
    return pin(p, REG_RAX, le64_load(m));
}

/* ---- images ---- */

static bool place_image(struct pins *p, const struct insn *in)
{
    uint8_t *m = memory(p->v, operand_address(p->v, in), 1024);
    if (m == NULL || chance(p->g, 10))
        return true;
    if (in->op == OP_LDMXCSR || in->op == OP_VLDMXCSR) {
        le32_store(m, le32_load(m) & 0xffff);
        return true;
    }
    le32_store(m + 24, le32_load(m + 24) & 0xffff);
    if (in->op == OP_XRSTOR) {
        memset(m + 512, 0, 64);
        m[512] = (uint8_t)pick(p->g, 8);
    }
    return true;
}

static bool place_components(struct pins *p)
{
    return pin(p, REG_RAX, pick(p->g, 8)) && pin(p, REG_RDX, 0);
}

static bool is_out_of_range(const struct vector *v, const struct insn *in)
{
    unsigned st0 = vector_st(&v->before, 0);
    unsigned exponent = v->before.fp_se[st0] & 0x7fff;
    if (exponent == 0x7fff)
        return false;
    return (in->op == OP_F2XM1 && exponent >= 0x3fff) ||
           (in->op == OP_FYL2XP1 && exponent >= 0x3ffd);
}

/* Of the local descriptor table, or just beyond its end; null; RPL 3 for the most part. */
static unsigned some_selector(struct pins *p)
{
    unsigned rpl = chance(p->g, 85) ? 3 : pick(p->g, 4);
    if (chance(p->g, 8))
        return rpl;
    return pick(p->g, VECTOR_LDT_COUNT + (chance(p->g, 5) ? 2u : 0u)) << 3 | 4 | rpl;
}

/* The selector that the instruction reads: the operand, behind it in a far pointer, or on the
 * stack. */
static bool place_selector(struct pins *p, const struct insn *in)
{
    bool is_far = in->op == OP_LDS || in->op == OP_LES || in->op == OP_LFS || in->op == OP_LGS ||
                  in->op == OP_LSS;
    const struct operand *o = &in->operands[in->operand_count - 1];
    struct vector *v = p->v;
    uint64_t at = operand_address(v, in) + (is_far ? in->opsize : 0u);
    if (in->op == OP_POP_SREG)
        at = (v->before.gpr[REG_RSP] & low_mask(stack_width(v) * 8)) +
             vector_segment_base(v, SEG_SS);
    else if (o->kind == OPND_GPR)
        return pin(p, o->reg, with_low(v->before.gpr[o->reg], some_selector(p), 2));
    uint8_t *m = memory(v, at, 2);
    if (m != NULL)
        le16_store(m, (uint16_t)some_selector(p));
    return true;
}

static bool place_special(struct pins *p, struct insn *in)
{
    switch (in->op) {
    case OP_MOV_SREG:
    case OP_POP_SREG:
    case OP_LDS:
    case OP_LES:
    case OP_LFS:
    case OP_LGS:
    case OP_LSS:
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
        return place_selector(p, in);
    case OP_XLAT:
        return pin(
            p, REG_RBX,
            with_low(p->v->before.gpr[REG_RBX],
                     offset_of(p->g, p->v, in->seg, VECTOR_DATA + p->v->base + pick(p->g, 4096), 1),
                     in->addrsize));
    case OP_MASKMOVQ:
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
        return pin(p, REG_RDI,
                   with_low(p->v->before.gpr[REG_RDI],
                            offset_of(p->g, p->v, in->seg, target(p->g, p->v, 16, 1), 16),
                            in->addrsize));
    case OP_DIV:
    case OP_IDIV:
        return place_dividend(p, in);
    case OP_CMPXCHG:
    case OP_CMPXCHG8B:
    case OP_CMPXCHG16B:
        return place_comparand(p, in);
    case OP_PCMPESTRI:
    case OP_PCMPESTRM:
    case OP_VPCMPESTRI:
    case OP_VPCMPESTRM:
        if (chance(p->g, 60)) {
            pin(p, REG_RAX, (uint64_t)((int64_t)pick(p->g, 40) - 20));
            pin(p, REG_RDX, (uint64_t)((int64_t)pick(p->g, 40) - 20));
        }
        return true;
    case OP_LDMXCSR:
    case OP_VLDMXCSR:
    case OP_FXRSTOR:
        return place_image(p, in);
    case OP_XRSTOR:
        return place_components(p) && place_image(p, in);
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
        return place_components(p);
    case OP_WRFSBASE:
    case OP_WRGSBASE:
        return chance(p->g, 40) || pin(p, in->operands[0].reg, vector_random(&p->g->seed) >> 17);
    case OP_JMP_NEAR_IND:
    case OP_CALL_NEAR_IND:
        return place_indirect(p, in);
    case OP_RET_NEAR:
        return place_return(p);
    case OP_LOOP:
    case OP_LOOPE:
    case OP_LOOPNE:
    case OP_JRCXZ:
        return chance(p->g, 40) ||
               pin(p, REG_RCX, with_low(p->v->before.gpr[REG_RCX], pick(p->g, 2), in->addrsize));
    case OP_F2XM1:
    case OP_FYL2XP1:
        return !is_out_of_range(p->v, in);
    default:
        return true;
    }
}

static bool uses_stack(unsigned op)
{
    switch (op) {
    case OP_PUSH:
    case OP_POP:
    case OP_PUSHA:
    case OP_POPA:
    case OP_ENTER:
    case OP_LEAVE:
    case OP_CALL_NEAR:
    case OP_CALL_NEAR_IND:
    case OP_RET_NEAR:
    case OP_PUSH_SREG:
    case OP_POP_SREG:
        return true;
    default:
        return false;
    }
}

/* Segments of all kinds, most of the time ones with which much is possible. */
static void choose_segments(struct generator *g, struct vector *v)
{
    static const uint8_t data[] = {3, 3, 3, 4, 4, 4, 5, 6, 7, 8, 9, 11, 13};
    static const uint8_t stack[] = {3, 3, 4, 4, 5, 7, 8, 9};
    uint16_t *sel = v->before.sel;
    if (!v->segmented)
        return;
    for (unsigned i = 0; i < 6; i++) {
        if (i == SEG_SS)
            sel[i] = VECTOR_SELECTOR(stack[pick(g, sizeof stack)]);
        else if (i != SEG_CS)
            sel[i] = (uint16_t)(chance(g, 3) ? 0 : VECTOR_SELECTOR(data[pick(g, sizeof data)]));
    }
    if (chance(g, 30)) {
        uint64_t linear = v->before.rip + vector_segment_base(v, SEG_CS);
        sel[SEG_CS] =
            VECTOR_SELECTOR(v->mode == DECODE_16 ? VECTOR_LDT_CODE16_HIGH : VECTOR_LDT_CODE32_FLAT);
        v->before.rip = (uint32_t)(linear - vector_segment_base(v, SEG_CS));
    }
}

/* The instruction, or only its first bytes, at the end of the code page. */
static void move_to_end(struct generator *g, struct vector *v)
{
    unsigned cut = v->len > 1 && chance(g, 40) ? 1 + (chance(g, 70) ? 0 : pick(g, v->len - 1u)) : 0;
    v->before.rip += VECTOR_CODE + 4096 - VECTOR_INSN - (v->len - cut);
}

bool generate_state(struct generator *g, struct vector *v, struct insn *in)
{
    struct pins p = {.g = g, .v = v, .taken = 0};
    if (g->is_wild) {
        choose_segments(g, v);
        if (chance(g, 8) && insn_row(in->row)->sensitivity == SENS_NONE)
            move_to_end(g, v); /* the fault behind it would make null selectors 0 */
    }
    if (uses_stack(in->op) && !place_stack(&p))
        return false;
    if ((in->op == OP_LEAVE || in->op == OP_ENTER) && !place_frame(&p))
        return false;
    if (in->op == OP_ENTER && chance(g, 80)) {
        v->bytes[v->len - 2] &= 7;
        v->bytes[v->len - 1] &= 0x0f;
    }
    if ((in->has_mem || in->is_moffs) && !(in->op == OP_LEA && chance(g, 50)) &&
        !place_memory(&p, in))
        return false;
    return place_strings(&p, in) && place_special(&p, in);
}
