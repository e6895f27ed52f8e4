/* SPDX-License-Identifier: MIT */
#include "cpu/build.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/block_memory.h"
#include "cpu/breakpoint.h"
#include "cpu/draft.h"
#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "cpu/self_check.h"

#define BLOCK_GOES_ON 24 /* instructions; a conditional branch among the first ones does not end the block */

/* Operands that are a register by its plain number. */
#define PLAIN_NUMBERS                                                                              \
    (BIT(OPND_SREG) | BIT(OPND_CR) | BIT(OPND_DR) | BIT(OPND_ST) | BIT(OPND_MMX) | BIT(OPND_XMM))

/* REC_NONE too where there is no such operand. */
static uint8_t operand_index(const struct operand *o)
{
    if (o->kind == OPND_GPR)
        return o->size == 1 ? reg8_offset(o->reg, false) : (uint8_t)(REC_GPR + o->reg);
    if (unlikely(o->kind == OPND_GPR_HIGH))
        return reg8_offset(o->reg, true);
    return PLAIN_NUMBERS >> o->kind & 1 ? o->reg : REC_NONE;
}

static uint8_t fast_segment(const struct insn *in)
{
    if (in->seg == SEG_FS || in->seg == SEG_GS)
        return in->seg;
    return in->seg == SEG_SS ? SEG_ZERO_SS : SEG_ZERO;
}

/* base, index, scale, seg, disp of the memory operand. False: a biased displacement would not do either. */
static void fill_memory(struct rec *rec, const struct insn *in, unsigned off, bool mem64)
{
    static const uint8_t biased[] = {[SEG_FS] = SEG_FS_BIASED, [SEG_GS] = SEG_GS_BIASED,
                                     [SEG_ZERO] = SEG_ZERO_BIASED, [SEG_ZERO_SS] = SEG_ZERO_BIASED};
    int64_t disp = in->is_moffs ? (int64_t)in->imm : in->disp;
    rec->base = in->base == REG_NONE ? REC_NONE : in->base == REG_RIP ? REC_RIP : (uint8_t)(REC_GPR + in->base);
    rec->index = in->index == REG_NONE || in->vsib ? REC_NONE : (uint8_t)(REC_GPR + in->index);
    rec->scale = (uint8_t)(mem64 ? in->scale : in->scale | in->addrsize << 4);
    rec->seg = mem64 ? fast_segment(in) : in->seg;
    if (in->base == REG_RIP)
        disp += (int64_t)off + in->len;
    if (mem64 && disp > INT32_MAX && !in->is_moffs) {
        disp -= SEG_BIAS;
        rec->seg = biased[rec->seg];
    }
    rec->disp = (int32_t)disp;
}

static bool is_direct_branch(const struct insn *in)
{
    return in->operand_count > 0 && in->operands[0].kind == OPND_REL;
}

bool record_fill(struct rec *rec, const struct insn *in, uint32_t mode, unsigned off, bool *mem64)
{
    *rec = (struct rec){.len = in->len, .off = (uint8_t)off};
    bool is_64 = mode_code(mode) == DECODE_64;
    *mem64 = is_64 && in->addrsize == 8;
    rec->dst = operand_index(&in->operands[0]);
    rec->src = operand_index(&in->operands[1]);
    if (in->has_mem)
        fill_memory(rec, in, off, *mem64);
    else if (in->seg != SEG_NONE && !is_64)
        rec->seg = in->seg;
    else
        rec->seg = in->seg == SEG_FS || in->seg == SEG_GS ? in->seg : SEG_ZERO_SS;
    int64_t imm = (int64_t)in->imm;
    if (is_direct_branch(in)) {
        imm += off + in->len;
        if (is_64 && (imm > INT32_MAX || imm < INT32_MIN))
            return false;
    }
    rec->imm = (int32_t)imm;
    if (!is_direct_branch(in) && imm != (int32_t)imm && imm != (int64_t)(uint32_t)imm)
        rec->link = in->imm;
    return true;
}

/* ---- decoding ---- */

/* Bytes from `from` after the block's start on, on its first page; how many are there. */
static size_t first_page_bytes(const struct draft *d, unsigned from, const uint8_t **p)
{
    size_t offset = (d->pa & ~PAGE_MASK) + from;
    if (!d->page)
        return 0;
    *p = d->page + offset;
    return PAGE_SIZE - offset;
}

/* Code outside RAM (a device's registers): bytes through the bus. Only the first page's part. */
static size_t bus_bytes(struct draft *d, unsigned from, uint8_t *buf)
{
    laddr la = (d->vcpu->run.seg_base_fast[SEG_CS] + d->rip + from) & d->vcpu->run.la_mask;
    size_t len = (size_t)(PAGE_SIZE - (la & ~PAGE_MASK));
    struct fault ignored;
    if (len > INSN_MAX_LEN)
        len = INSN_MAX_LEN;
    const struct privilege all = {.user = false, .ac = true};
    return mmu_read_as(&d->vcpu->run.mmu, all, la, d->vcpu->run.la_mask, buf, len, &ignored) ? len : 0;
}

enum decode_result draft_decode(const struct draft *d, const uint8_t *p, size_t avail, struct insn *in)
{
    unsigned prefixes = 0;
    enum decode_result result = decoder_decode(d->vcpu->run.decoder, mode_code(d->mode), p, avail, in);
    if (likely(!in->has_vex) || (d->mode & (MODE_PE | MODE_VM)) == MODE_PE)
        return result;
    while ((p[prefixes] & 0xfe) != 0xc4)
        prefixes++;
    in->len = (uint8_t)(prefixes + 2);
    return DECODE_UD;
}

/* The instruction runs into the next page: fetch that too. False: run.fault. */
static bool decode_crossing(struct draft *d, const uint8_t *head, size_t avail, struct insn *in,
                            enum decode_result *result)
{
    struct vcpu *vcpu = d->vcpu;
    uint8_t buf[INSN_MAX_LEN];
    laddr la = (vcpu->run.seg_base_fast[SEG_CS] + d->rip + avail) & vcpu->run.la_mask;
    memcpy(buf, head, avail);
    if (vcpu->run.la_mask == UINT64_MAX && (uint64_t)sext(la, 48) != la) {
        vcpu->run.fault = fault_code(EXC_GP, 0);
        return false;
    }
    if (!mmu_fetch(&vcpu->run.mmu, la, &d->pa2, &vcpu->run.fault))
        return false;
    size_t more = INSN_MAX_LEN - avail;
    if (!physmem_read(vcpu->run.pm, d->pa2, buf + avail, more))
        memset(buf + avail, 0xff, more);
    *result = draft_decode(d, buf, INSN_MAX_LEN, in);
    d->crosses = true;
    return true;
}

/* Would an instruction of len bytes at offset off lie within the CS limit? Always in 64-bit mode. */
static bool within_limit(const struct draft *d, unsigned off, unsigned len)
{
    if (mode_code(d->mode) == DECODE_64)
        return true;
    return d->rip + off + len - 1 <= d->vcpu->arch.seg_limit[SEG_CS];
}

/* A VEX instruction on vectors, or on their state (VZEROUPPER, VLDMXCSR): all but those of BMI1 and BMI2. */
static bool is_avx(const struct insn *in)
{
    if (likely(!in->has_vex))
        return false;
    unsigned feature = insn_rows[in->row].feature;
    return feature != FEAT_BMI1 && feature != FEAT_BMI2;
}

static bool is_executed(const struct draft *d, const struct insn *in)
{
    const bool *features = d->vcpu->run.features;
    return features[insn_rows[in->row].feature] && (!is_avx(in) || features[FEAT_AVX]);
}

static bool is_sensitive(const struct draft *d, const struct insn *in)
{
    return d->vcpu->run.sens && d->vcpu->run.sens[in->op].exec != NULL;
}

/* A repeated string instruction takes budget as it goes and may stop in the middle: it ends its block. */
static bool repeats(const struct insn *in)
{
    switch (in->op) {
    case OP_MOVS:
    case OP_CMPS:
    case OP_STOS:
    case OP_LODS:
    case OP_SCAS:
        return in->prefixes & (PFX_REP | PFX_REPNE);
    default:
        return false;
    }
}

/*
 * A conditional branch that a block goes on after, not taken; taken, it refunds what follows it (rec->disp). Where transfers
 * can't be chained it ends the block like any other. Long blocks would be copies of each other's ends.
 */
static bool falls_through(const struct draft *d, const struct insn *in)
{
    bool chains = mode_code(d->mode) == DECODE_64 || ((d->mode & MODE_FLAT_CS) && in->opsize == 4);
    int64_t rel = (int64_t)in->imm;
    return in->op == OP_JCC && chains && !(d->mode & (MODE_TF | MODE_BREAK)) && d->count < BLOCK_GOES_ON &&
           rel > INT32_MIN + BLOCK_MAX_BYTES && rel < INT32_MAX - BLOCK_MAX_BYTES - INSN_MAX_LEN;
}

/*
 * A block ends before an address that may be a breakpoint's; the one that would begin there only leaves, for the run loop to
 * decide. It goes by the offset in the page, since whoever comes by another linear address may have the same block.
 */
static bool is_at_breakpoint(const struct draft *d)
{
    return unlikely(d->breakpoints != NULL) && breakpoints_may_have(d->breakpoints, d->pa + d->bytes);
}

void draft_add(struct draft *d, enum decode_result result)
{
    struct insn *in = &d->insn[d->count];
    exec_fn *forced = NULL;
    if (is_at_breakpoint(d))
        forced = exec_break;
    else if (result == DECODE_TOO_LONG)
        forced = exec_gp0;
    else if (result == DECODE_UD || !is_executed(d, in))
        forced = exec_ud;
    d->forced[d->count++] = forced;
    d->bytes += in->len;
    if (forced)
        d->is_ended = true;
    else if ((insn_rows[in->row].ends_block || repeats(in)) && !is_sensitive(d, in) &&
             !falls_through(d, in))
        d->is_ended = true;
}

/*
 * The next instruction has len bytes or more. True: it reaches beyond the CS limit, and run.fault is #GP(0) if it would be the
 * first of its block; before any #PF of the bytes beyond. No block is kept of that: the limit is not in its key.
 */
static bool is_beyond_limit(struct draft *d, unsigned len)
{
    if (within_limit(d, d->bytes, len))
        return false;
    if (d->count == 0)
        d->vcpu->run.fault = fault_code(EXC_GP, 0);
    return true;
}

/* Decode the next instruction into the draft. False: the block ends before it, or run.fault if it would be the first. */
static bool decode_next(struct draft *d)
{
    uint8_t bus[INSN_MAX_LEN];
    const uint8_t *p = bus;
    if ((d->pa ^ (d->pa + d->bytes)) & PAGE_MASK)
        return false; /* the last instruction ended with the page */
    if (d->count > 0 && is_at_breakpoint(d))
        return false;
    size_t avail = first_page_bytes(d, d->bytes, &p);
    if (avail == 0)
        avail = bus_bytes(d, d->bytes, bus);
    if (avail == 0)
        return false;
    struct insn *in = &d->insn[d->count];
    enum decode_result result = draft_decode(d, p, avail, in);
    if (result == DECODE_TRUNCATED) {
        if (d->count > 0 || is_beyond_limit(d, (unsigned)avail + 1) || !decode_crossing(d, p, avail, in, &result))
            return false;
    }
    if (is_beyond_limit(d, in->len ? in->len : 1) || (d->count > 0 && d->bytes + in->len > BLOCK_MAX_BYTES))
        return false;
    draft_add(d, result);
    return true;
}

/* ---- flag liveness ---- */

/* x87, FWAIT included: #NM and #MF, also without an operand. */
static bool is_x87(const struct insn *in)
{
    return in->map == 0 && ((in->opcode & 0xf8) == 0xd8 || in->opcode == 0x9b);
}

/* Operands that neither fault nor are anything but general registers and constants. OPND_NONE:
 * there is none. */
#define SILENT_OPERANDS                                                                            \
    (BIT(OPND_NONE) | BIT(OPND_GPR) | BIT(OPND_GPR_HIGH) | BIT(OPND_IMM) | BIT(OPND_ONE))

/* Of those that have no others, which fault or use memory nevertheless. */
static const bool shows_always[OP_COUNT] = {
    [OP_PUSH] = true,  [OP_POP] = true,   [OP_PUSHA] = true, [OP_POPA] = true,
    [OP_ENTER] = true, [OP_LEAVE] = true, [OP_DIV] = true,   [OP_IDIV] = true,
    [OP_AAM] = true,   [OP_XLAT] = true,  [OP_EMMS] = true,
};

/* May it fault, exit or be followed by an event that sees the flags? Anything but plain register work. */
bool draft_shows_flags(const struct draft *d, unsigned i)
{
    const struct insn *in = &d->insn[i];
    const struct operand *o = in->operands;
    static_assert(ARRAY_SIZE(in->operands) == 4, "all are looked at");
    uint64_t kinds = BIT(o[0].kind) | BIT(o[1].kind) | BIT(o[2].kind) | BIT(o[3].kind);
    return (kinds & ~SILENT_OPERANDS) || d->forced[i] || in->has_mem || shows_always[in->op] ||
           is_x87(in) || is_avx(in) || is_sensitive(d, in) || insn_rows[in->row].ends_block;
}

/* Flags that the manual leaves undefined and our rule leaves alone: they are not overwritten. */
static uint32_t kept_flags(const struct insn *in)
{
    bool keeps = in->op == OP_BT || in->op == OP_BTS || in->op == OP_BTR || in->op == OP_BTC;
    return keeps ? insn_rows[in->row].undefined : 0;
}

uint32_t insn_flags_overwritten(const struct insn *in)
{
    const struct insn_desc *row = &insn_rows[in->row];
    uint32_t flags = (row->written | row->undefined) & F_OSZAPC;
    return flags ? flags & ~kept_flags(in) : 0;
}

static void find_live_flags(struct draft *d)
{
    uint32_t live = F_OSZAPC;
    bool exact = d->mode & (MODE_EXACT | MODE_TF | MODE_BREAK);
    for (unsigned i = d->count; i-- > 0;) {
        bool shows = exact || draft_shows_flags(d, i);
        uint32_t writes = insn_flags_overwritten(&d->insn[i]);
        if (shows || (writes & live) || d->forced[i])
            d->live |= BIT(i);
        if (shows)
            live = F_OSZAPC;
        else
            live = (live & ~writes) | (insn_flags_tested(&d->insn[i]) & F_OSZAPC);
    }
}

/* ---- assembling ---- */

static uint8_t width_of(const struct insn *in)
{
    static const uint8_t widths[] = {[2] = WIDTH_16, [4] = WIDTH_32, [8] = WIDTH_64};
    static_assert(WIDTH_8 == 0, "of all other sizes");
    unsigned size = in->operands[0].size;
    if (in->operand_count == 0)
        return WIDTH_32;
    return size < ARRAY_SIZE(widths) ? widths[size] : WIDTH_8;
}

void draft_record(struct draft *d, struct block *b, unsigned i, unsigned off)
{
    const struct insn *in = &d->insn[i];
    struct rec *rec = &b->rec[i];
    struct selection s = {.in = in,
                          .mode = d->mode,
                          .page_offset = (uint16_t)(d->pa & ~PAGE_MASK),
                          .width = width_of(in),
                          .flags_live = d->live >> i & 1,
                          .ends_block = insn_rows[in->row].ends_block};
    bool fits = record_fill(rec, in, d->mode, off, &s.mem64);
    if (in->op == OP_JCC)
        rec->disp = (int32_t)(b->count - i - 1u);
    d->fuse[i].row = FUSE_NONE;
    if (d->forced[i]) {
        rec->fn = d->forced[i];
        return;
    }
    if (is_sensitive(d, in)) {
        d->sites |= BIT(i);
        rec->fn = exec_sensitive;
        return;
    }
    rec->fn = fits ? select_handler(&s, rec) : exec_far_branch;
    if (fits)
        d->fuse[i] = s.fuse;
    if (s.wants_insn || !fits)
        d->wants_insn |= BIT(i);
}

/* Give sensitive records their sites, and the records that asked for it their decoded instruction. */
static void attach_side(const struct draft *d, struct block *b)
{
    if (!d->sites && !d->wants_insn && !d->checks)
        return;
    unsigned sites = (unsigned)__builtin_popcountll(d->sites), insns = (unsigned)__builtin_popcountll(d->wants_insn);
    size_t front = d->checks ? sizeof(struct self_check) : 0;
    uint8_t *side_memory = malloc(front + sites * sizeof(struct site) + insns * sizeof(struct insn));
    assert(side_memory);
    b->sites = (struct site *)(void *)(side_memory + front);
    b->checks = d->checks;
    struct insn *side = (struct insn *)(void *)(b->sites + sites);
    for (uint64_t mask = d->sites | d->wants_insn; mask; mask &= mask - 1) {
        unsigned i = (unsigned)__builtin_ctzll(mask);
        const struct insn *in = &d->insn[i];
        if (d->sites >> i & 1) {
            struct site *site = &b->sites[b->site_count++];
            *site = (struct site){.ops = &d->vcpu->run.sens[in->op], .rip = d->rip + b->rec[i].off, .insn = *in};
            b->rec[i].link = (uintptr_t)site;
        } else {
            struct insn *copy = &side[b->insn_count++];
            *copy = *in;
            b->rec[i].link = (uintptr_t)copy;
        }
    }
}

static exec_fn *end_handler(const struct draft *d)
{
    if (d->crosses)
        return exec_block_end_crossing;
    if (mode_code(d->mode) != DECODE_64 || (d->mode & (MODE_TF | MODE_BREAK)))
        return exec_block_end;
    return (d->pa & ~PAGE_MASK) + d->bytes < PAGE_SIZE ? exec_block_end64 : exec_block_end64_far;
}

/*
 * Exact blocks are left before any record, and single steps before the second; what the translator takes it reads record by
 * record, and one that checks itself makes them anew one by one.
 */
static bool may_fuse(const struct draft *d)
{
    const struct jit *jit = d->vcpu->run.jit;
    return !d->checks && !(d->mode & (MODE_EXACT | MODE_TF | MODE_BREAK)) && !(jit && jit_takes(jit, d->mode));
}

static struct block *assemble(struct draft *d)
{
    struct block_memory *memory = block_cache_memory(d->vcpu->run.blocks);
    struct block *b = block_memory_take(memory, d->count, d->mode, d->crosses);
    unsigned off = 0;
    b->pa = d->pa;
    if (d->crosses)
        b->pa2 = d->pa2 & PAGE_MASK;
    b->bytes = (uint8_t)d->bytes;
    b->count = (uint8_t)d->count;
    for (unsigned i = 0; i < d->count; i++) {
        draft_record(d, b, i, off);
        off += d->insn[i].len;
    }
    b->rec[d->count] = (struct rec){.fn = end_handler(d), .off = (uint8_t)off, .imm = (int32_t)off};
    attach_side(d, b);
    if (d->checks)
        self_check_init(d, b);
    if (may_fuse(d))
        fuse_records(b->rec, d->fuse, d->count);
    return b;
}

void draft_init(struct draft *d, struct vcpu *vcpu, uint64_t rip, paddr pa, uint32_t mode)
{
    memset(d, 0, offsetof(struct draft, insn));
    d->vcpu = vcpu;
    d->rip = rip;
    d->pa = pa;
    d->mode = mode;
    if (!(mode & (MODE_EXACT | MODE_TF | MODE_BREAK)))
        d->breakpoints = vcpu->run.breakpoints;
}

struct block *block_build(struct vcpu *vcpu, uint64_t rip, paddr pa, uint32_t mode, bool checks)
{
    struct draft d;
    unsigned limit = mode & (MODE_TF | MODE_BREAK) ? 1 : BLOCK_MAX_RECORDS;
    draft_init(&d, vcpu, rip, pa, mode);
    d.page = physmem_page(vcpu->run.pm, pa);
    while (d.count < limit && !d.is_ended && !d.crosses && decode_next(&d))
        continue;
    if (d.count == 0)
        return NULL;
    d.checks = checks && !d.crosses && !(mode & MODE_EXACT) && mode_chains(mode);
    find_live_flags(&d);
    struct block *b = assemble(&d);
    trace_point(vcpu->run.trace, TRACE_block_build, NULL, pa, mode, d.count, 0);
    return b;
}
