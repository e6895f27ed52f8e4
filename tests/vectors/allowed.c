/* SPDX-License-Identifier: MIT */
#include "tests/vectors/allowed.h"

#include <string.h>

#include "base/endian.h"
#include "cpu/state.h"
#include "decoder/encoding.h"
#include "tests/vectors/segments.h"

/* Fields of a result, as rows name them. */
enum {
    FIELD_FLAGS = 1 << 0,
    FIELD_RESULT = 1 << 1, /* flags, the destination: a register or memory */
    FIELD_GPR = 1 << 2,
    FIELD_FSW = 1 << 3,
    FIELD_FTW = 1 << 4,
    FIELD_ST_ULP = 1 << 5,
    FIELD_SIMD_CLOSE = 1 << 6,
    FIELD_POINTERS = 1 << 7, /* FIP, FDP, FOP */
    FIELD_MEM = 1 << 8,
    FIELD_CR2 = 1 << 9,
    FIELD_ANY_MEM = 1 << 10,
    FIELD_ALL = 1 << 11,
};

#define OP_ANY OP_INVALID

/* The memory operand in its segment. */
static uint64_t operand_offset(const struct vector *v, const struct insn *in)
{
    uint64_t ea = (uint64_t)(int64_t)in->disp;
    if (in->is_moffs)
        ea = in->imm;
    else if (in->base == REG_RIP)
        ea += v->before.rip + v->len;
    else if (in->base < 16)
        ea += v->before.gpr[in->base];
    if (!in->is_moffs && in->index < 16)
        ea += v->before.gpr[in->index] << in->scale;
    return ea & low_mask(in->addrsize * 8u);
}

/* ---- masks ---- */

/*
 * Undefined flags: the row's `undef` column, narrowed by the count of shifts: 0 changes no flag,
 * and OF is defined for 1. SDM Vol. 2B, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD".
 */
static bool is_shift(unsigned op)
{
    switch (op) {
    case OP_ROL:
    case OP_ROR:
    case OP_RCL:
    case OP_RCR:
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_SHLD:
    case OP_SHRD:
        return true;
    default:
        return false;
    }
}

static unsigned shift_count(const struct insn *in, const struct vector_state *before)
{
    const struct operand *o = &in->operands[in->operand_count - 1];
    unsigned count =
        o->kind == OPND_ONE ? 1 : (unsigned)(o->kind == OPND_IMM ? in->imm : before->gpr[REG_RCX]);
    return count & (in->operands[0].size == 8 ? 63 : 31);
}

static uint64_t beyond_operand(const struct vector *v, const struct insn *in)
{
    bool is_double = in->op == OP_SHLD || in->op == OP_SHRD;
    return is_double && shift_count(in, &v->before) > in->operands[0].size * 8u ? F_OSZAPC : 0;
}

static uint64_t undefined_flags(const struct vector *v, const struct insn *in)
{
    uint64_t undefined = insn_row(in->row)->undefined;
    if (v->after.fault != VECTOR_NO_FAULT)
        return 0;
    if (!is_shift(in->op))
        return undefined;
    unsigned count = shift_count(in, &v->before), bits = in->operands[0].size * 8u;
    bool is_shl = in->op == OP_SHL || in->op == OP_SHR;
    if (count == 0)
        return 0;
    if (count == 1)
        undefined &= ~(uint64_t)F_OF;
    if (is_shl && count >= bits)
        undefined |=
            F_CF; /* "the CF flag is undefined for SHL and SHR where the count is >= the size" */
    return undefined;
}

static bool faults(const struct vector *v)
{
    return v->after.fault != VECTOR_NO_FAULT;
}

static uint64_t always(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return UINT64_MAX;
}

static uint64_t if_it_faults(const struct vector *v, const struct insn *in)
{
    (void)in;
    return faults(v) ? UINT64_MAX : 0;
}

static uint64_t memory_or_fault(const struct vector *v, const struct insn *in)
{
    return in->has_mem || faults(v) ? UINT64_MAX : 0;
}

static uint64_t memory_fault(const struct vector *v, const struct insn *in)
{
    unsigned f = v->after.fault;
    (void)in;
    return f == 12 || f == 14 || f == 17 ? UINT64_MAX : 0;
}

static uint64_t inexact_bits(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return 0x0230; /* C1, PE, UE */
}

static uint64_t c1(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return 0x0200;
}

static uint64_t precision_unmasked(const struct vector *v, const struct insn *in)
{
    (void)in;
    return v->before.fcw & 0x20 ? 0 : UINT64_MAX;
}

static uint64_t no_error_summary(const struct vector *v, const struct insn *in)
{
    (void)in;
    return v->after.fsw & 0x80 ? 0 : UINT64_MAX;
}

/* Not all of it is in the code page, and the processor did not mind. */
static uint64_t cut_short(const struct vector *v, const struct insn *in)
{
    uint64_t base = v->mode == DECODE_64 ? 0 : vector_segment_base(v, SEG_CS);
    uint64_t end = (v->before.rip + v->len + base - v->base) & UINT32_MAX;
    (void)in;
    return v->after.fault == 6 && end > VECTOR_CODE + PAGE_SIZE ? UINT64_MAX : 0;
}

static uint64_t pushes_four_bytes(const struct vector *v, const struct insn *in)
{
    (void)v;
    return in->opsize == 4 ? UINT64_MAX : 0;
}

static uint64_t repeat_prefix(const struct vector *v, const struct insn *in)
{
    (void)v;
    return in->prefixes & (PFX_REP | PFX_REPNE) ? UINT64_MAX : 0;
}

static uint64_t operand_size_16(const struct vector *v, const struct insn *in)
{
    return v->mode == DECODE_64 && (in->prefixes & PFX_OPSIZE) ? UINT64_MAX : 0;
}

static uint64_t prefetch_register(const struct vector *v, const struct insn *in)
{
    (void)v;
    return in->map == 1 && in->opcode == 0x0d && !in->has_mem ? UINT64_MAX : 0;
}

static uint64_t above_bit_47(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return UINT64_MAX << 47;
}

static uint64_t pending_and_memory(const struct vector *v, const struct insn *in)
{
    return in->has_mem && (v->before.fsw & 0x80) ? UINT64_MAX : 0;
}

static uint64_t range(uint64_t from, uint64_t to)
{
    return from | to << 32;
}

static uint64_t pointers_in_env(const struct vector *v, const struct insn *in)
{
    (void)v;
    return in->opsize == 2 ? range(6, 14) : range(12, 28);
}

static uint64_t pointers_in_fxsave(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return range(6, 24);
}

static uint64_t mxcsr_mask(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return range(28, 32);
}

static uint64_t in_the_image(const struct vector *v, const struct insn *in)
{
    (void)v, (void)in;
    return 4 * PAGE_SIZE - 1;
}

/* The memory operand as an index into memory. */
static uint64_t operand_index(const struct vector *v, const struct insn *in)
{
    uint64_t ea = operand_offset(v, in);
    ea += vector_segment_base(v, in->seg);
    if (v->mode != DECODE_64)
        ea &= UINT32_MAX;
    ea -= v->base;
    return ea - VECTOR_MEM - (ea >= VECTOR_MEM + VECTOR_ALIAS ? VECTOR_ALIAS : 0);
}

static uint64_t misaligned16(const struct vector *v, const struct insn *in)
{
    return in->has_mem && (operand_index(v, in) & 15) ? UINT64_MAX : 0;
}

static uint64_t alignment_check(const struct vector *v, const struct insn *in)
{
    (void)in;
    return v->after.fault == 17 ? UINT64_MAX : 0;
}

static uint64_t misaligned_mode(const struct vector *v, const struct insn *in)
{
    (void)in;
    return v->after.mxcsr & ~0xffffu ? UINT64_MAX : 0;
}

static unsigned image_size(const struct insn *in)
{
    switch (in->op) {
    case OP_FLDENV:
    case OP_FNSTENV:
        return in->opsize == 2 ? 14 : 28;
    case OP_FRSTOR:
    case OP_FNSAVE:
        return in->opsize == 2 ? 94 : 108;
    case OP_FXSAVE:
    case OP_FXRSTOR:
        return 512;
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
    case OP_XRSTOR:
        return 576 + 256;
    case OP_MASKMOVQ:
        return 8;
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
        return 16;
    default:
        break;
    }
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_MEM)
            return in->operands[i].size;
    return 0;
}

/* Some byte of the operand is not in its segment, some other may be. */
static uint64_t beyond_segment(const struct vector *v, const struct insn *in)
{
    bool is_mask_move =
        in->op == OP_MASKMOVQ || in->op == OP_MASKMOVDQU || in->op == OP_VMASKMOVDQU;
    uint64_t mask = low_mask(in->addrsize * 8u), size = image_size(in);
    uint64_t from = is_mask_move ? v->before.gpr[REG_RDI] & mask : operand_offset(v, in);
    const struct vector_segment *s = vector_segment(v->before.sel[in->seg]);
    uint64_t limit = s == NULL ? UINT32_MAX : s->attr & ATTR_G ? s->limit << 12 | 0xfffu : s->limit;
    if (v->mode == DECODE_64 || size <= 4)
        return 0;
    if (s != NULL && (s->attr & (ATTR_CODE | ATTR_DC)) == ATTR_DC) {
        uint64_t top = s->attr & ATTR_DB ? UINT32_MAX : 0xffff;
        return from <= limit || from + size - 1 > (top < mask ? top : mask) ? UINT64_MAX : 0;
    }
    return from + size - 1 > (limit < mask ? limit : mask) ? UINT64_MAX : 0;
}

/* #PF at the part of an XSAVE area that only 64-bit code uses. */
static uint64_t upper_ymm_area(const struct vector *v, const struct insn *in)
{
    enum { YMM8 = 576 + 128, END = 576 + 256 };
    uint64_t at = (uint32_t)(v->after.fault_address - vector_segment_base(v, in->seg)) -
                  operand_offset(v, in);
    return v->mode != DECODE_64 && v->after.fault == 14 && at >= YMM8 && at < END ? UINT64_MAX : 0;
}

/* #GP(0), and the next instruction would not be in CS. */
static uint64_t ends_with_segment(const struct vector *v, const struct insn *in)
{
    const struct vector_segment *s = vector_segment(v->before.sel[SEG_CS]);
    (void)in;
    return s != NULL && v->after.fault == 13 && v->before.rip + v->len == s->limit + UINT64_C(1)
               ? UINT64_MAX
               : 0;
}

/* ---- the table ---- */

struct allow {
    uint16_t op;
    uint16_t fields;
    uint64_t (*mask)(const struct vector *v, const struct insn *in);
    uint8_t vendor;
    const char *fields_text;
    const char *source;
};

static const struct allow rows[] = {
#define ALLOW(op, fields, mask, vendor, source)                                                    \
    {OP_##op, fields, mask, VENDOR_##vendor, #fields, source},
#include "tests/vectors/allowed.def"
#undef ALLOW
};

unsigned allowed_row_count(void)
{
    return ARRAY_SIZE(rows);
}

struct allowed_row allowed_row(unsigned i)
{
    static const char *const vendors[] = {"any", "Intel", "AMD"};
    const struct allow *r = &rows[i];
    return (struct allowed_row){.op = r->op == OP_ANY ? "*" : op_name(r->op),
                                .fields = r->fields_text,
                                .vendor = vendors[r->vendor],
                                .source = r->source};
}

/* ---- what differs ---- */

static bool within_one_ulp(uint64_t am, uint16_t as, uint64_t bm, uint16_t bs)
{
    if (as == bs)
        return am - bm + 1 <= 2;
    if (((as ^ bs) & 0x8000) == 0 && (as + 1 == bs || bs + 1 == as))
        return (am << 1) + 2 <= 2 || (bm << 1) + 2 <= 2;
    return false;
}

static bool approximates(const uint64_t want[2], const uint64_t got[2])
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t w = (uint32_t)(want[i / 2] >> (i & 1) * 32);
        uint32_t g = (uint32_t)(got[i / 2] >> (i & 1) * 32);
        uint32_t distance = w > g ? w - g : g - w;
        if (distance > 3u << 12) /* twice 1.5 * 2^-12, in units of 2^-23 and a bit for the
                                    significand's range */
            return false;
    }
    return true;
}

static void compare_registers(struct difference *d, const struct vector_state *w,
                              const struct vector_state *g)
{
    for (unsigned i = 0; i < 16; i++) {
        d->gpr |= (uint16_t)((w->gpr[i] != g->gpr[i]) << i);
        bool low = memcmp(w->xmm[i], g->xmm[i], 16) != 0;
        bool high = memcmp(w->ymm_high[i], g->ymm_high[i], 16) != 0;
        if (!low && !high)
            continue;
        d->simd |= (uint16_t)(1u << i);
        if (approximates(w->xmm[i], g->xmm[i]) && approximates(w->ymm_high[i], g->ymm_high[i]))
            d->simd_close |= (uint16_t)(1u << i);
    }
    for (unsigned i = 0; i < 6; i++)
        d->segments |= (uint8_t)((w->sel[i] != g->sel[i]) << i);
    for (unsigned i = 0; i < 2; i++)
        d->segments |= (uint8_t)((w->seg_base[i] != g->seg_base[i]) << (6 + i));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t wm = w->fp_mant[i], gm = g->fp_mant[i];
        uint16_t ws = w->fp_se[i], gs = g->fp_se[i];
        if (wm == gm && ws == gs)
            continue;
        d->st |= (uint8_t)(1u << i);
        d->st_ulp |= (uint8_t)(within_one_ulp(wm, ws, gm, gs) << i);
    }
}

static void find_memory(struct difference *d)
{
    while (d->mem_from < d->mem_to && d->mem[0][d->mem_from] == d->mem[1][d->mem_from])
        d->mem_from++;
    while (d->mem_from < d->mem_to && d->mem[0][d->mem_to - 1] == d->mem[1][d->mem_to - 1])
        d->mem_to--;
}

static void summarize(struct difference *d)
{
    d->any = d->gpr | d->rip | d->flags | d->segments | d->fcw | d->fsw | d->ftw | d->fop | d->fip |
             d->fdp | d->st | d->mxcsr | d->simd | d->fault | d->code | d->cr2 |
             (d->mem_from < d->mem_to);
}

struct difference difference_between(const struct vector_state *w, const struct vector_state *g)
{
    struct difference d = {.any = false};
    compare_registers(&d, w, g);
    d.rip = w->rip ^ g->rip;
    d.flags = (w->rflags ^ g->rflags) & (F_OSZAPC | F_DF | F_AC);
    d.fcw = w->fcw ^ g->fcw;
    d.fsw = w->fsw ^ g->fsw;
    d.ftw = w->ftw ^ g->ftw;
    d.fop = w->fop ^ g->fop;
    d.fip = w->fip ^ g->fip;
    d.fdp = w->fdp ^ g->fdp;
    d.mxcsr = w->mxcsr ^ g->mxcsr;
    d.fault = w->fault ^ g->fault;
    d.code = w->fault_code ^ g->fault_code;
    d.cr2 = w->fault_address ^ g->fault_address;
    d.mem[0] = w->mem;
    d.mem[1] = g->mem;
    if (memcmp(w->mem, g->mem, VECTOR_MEM_SIZE) != 0) {
        d.mem_to = VECTOR_MEM_SIZE;
        find_memory(&d);
    }
    summarize(&d);
    return d;
}

/* ---- what may ---- */

static void absorb_memory(const struct vector *v, const struct insn *in, uint64_t mask,
                          struct difference *d)
{
    uint64_t at = operand_index(v, in), from = at + (uint32_t)mask, to = at + (mask >> 32);
    /* Bytes at both ends; what is between stays if there is more of it. */
    while (d->mem_from < d->mem_to && d->mem_from >= from && d->mem_from < to)
        d->mem_from++;
    find_memory(d);
    while (d->mem_from < d->mem_to && d->mem_to > from && d->mem_to <= to)
        d->mem_to--;
    find_memory(d);
}

static void absorb_result(const struct vector *v, const struct insn *in, struct difference *d)
{
    const struct operand *o = &in->operands[0];
    d->flags &= ~(uint64_t)F_OSZAPC;
    if (o->kind == OPND_GPR)
        d->gpr &= (uint16_t) ~(1u << o->reg);
    else
        absorb_memory(v, in, range(0, o->size), d);
}

static void absorb_bits(unsigned fields, uint64_t mask, struct difference *d)
{
    if (fields & FIELD_FLAGS)
        d->flags &= ~mask;
    if (fields & FIELD_GPR)
        d->gpr &= (uint16_t)~mask;
    if (fields & FIELD_FSW)
        d->fsw &= (uint16_t) ~(mask == UINT64_MAX ? 0x3800 : mask);
    if (fields & FIELD_FTW)
        d->ftw &= (uint8_t)~mask;
    if (fields & FIELD_ST_ULP)
        d->st &= (uint8_t)~d->st_ulp;
    if (fields & FIELD_SIMD_CLOSE)
        d->simd &= (uint16_t)~d->simd_close;
    if (fields & FIELD_ANY_MEM)
        d->mem_from = d->mem_to = 0;
    if (fields & FIELD_CR2)
        d->cr2 &= ~mask;
    if (fields & FIELD_POINTERS) {
        d->fop &= (uint16_t)~mask;
        d->fip &= ~mask;
        d->fdp &= ~mask;
    }
}

void allowed_absorb(const struct vector *v, const struct insn *in, enum vendor vendor,
                    struct difference *d, unsigned *count)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows) && d->any; i++) {
        const struct allow *r = &rows[i];
        if ((r->op != OP_ANY && r->op != in->op) ||
            (r->vendor != VENDOR_ANY && r->vendor != vendor))
            continue;
        struct difference old = *d;
        uint64_t mask = r->mask(v, in);
        if (mask == 0)
            continue;
        if (r->fields & FIELD_ALL)
            *d = (struct difference){.any = false};
        else if (r->fields & FIELD_RESULT)
            absorb_result(v, in, d);
        else if (r->fields & FIELD_MEM)
            absorb_memory(v, in, mask, d);
        else
            absorb_bits(r->fields, mask, d);
        summarize(d);
        if (count != NULL && memcmp(&old, d, sizeof old) != 0)
            count[i]++;
    }
}

bool allowed_differs_by_vendor(const struct vector *v, const struct insn *in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].op == in->op && (rows[i].fields & FIELD_ALL) && rows[i].mask(v, in) != 0)
            return true;
    return false;
}

/* ---- rows without ---- */

const char *allowed_to_only_fault(unsigned row)
{
    static const struct {
        uint16_t op;
        const char *reason;
    } only[] = {
        {OP_UD0, "all it does is to fault"},
        {OP_UD1, "all it does is to fault"},
        {OP_UD2, "all it does is to fault"},
        {OP_RSM, "#UD outside system-management mode, which no machine of ours enters"},
        {OP_GETSEC, "#UD while CR4.SMXE is 0, and no CPU model has SMX"},
        {OP_MONITOR, "no CPU model has it; tests/unit/monitor_emulate_idle.c has its meaning"},
        {OP_MWAIT, "no CPU model has it; tests/unit/monitor_emulate_idle.c has its meaning"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(only); i++)
        if (insn_row(row)->op == only[i].op)
            return only[i].reason;
    return NULL;
}

const char *allowed_unimplemented(unsigned feature)
{
    static const struct {
        uint8_t feature;
        const char *reason;
    } features[] = {
        {FEATURE_COUNT, NULL}, /* none at present */
    };
    for (size_t i = 0; i < ARRAY_SIZE(features); i++)
        if (features[i].feature == feature)
            return features[i].reason;
    return NULL;
}
