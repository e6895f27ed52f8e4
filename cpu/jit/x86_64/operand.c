/* SPDX-License-Identifier: MIT */
/* Guest registers and memory operands as host operands. */
#include "cpu/jit/x86_64/jit_priv.h"

unsigned gpr_in(struct unit *u, unsigned g, unsigned scratch)
{
    if (pinned[g] != H_NONE)
        return pinned[g];
    emit_load(&u->e, 8, scratch, mem_gpr(g));
    return scratch;
}

/* ---- linear addresses ---- */

static bool has_segment_base(const struct rec *rec)
{
    return rec->seg != SEG_ZERO && rec->seg != SEG_ZERO_SS;
}

/* Can it be written as one host operand? Guest registers that are not pinned, RIP and bases need
 * instructions. */
static bool is_plain(const struct unit *u, struct host_mem *m)
{
    const struct insn *in = u->in;
    const struct rec *rec = &u->block->rec[u->i];
    if (has_segment_base(rec) || in->is_moffs || in->base == REG_RIP || in->base == REG_NONE)
        return false;
    if (pinned[in->base] == H_NONE || (in->index != REG_NONE && pinned[in->index] == H_NONE))
        return false;
    *m = (struct host_mem){pinned[in->base], in->index == REG_NONE ? H_NONE : pinned[in->index],
                           in->scale, in->disp};
    return true;
}

static void add_segment_base(struct unit *u, unsigned reg)
{
    const struct rec *rec = &u->block->rec[u->i];
    if (rec->seg == SEG_FS || rec->seg == SEG_FS_BIASED)
        emit_alu_rm(&u->e, ALU_ADD, 8, reg, RUN(seg_base_fast[SEG_FS]));
    else if (rec->seg == SEG_GS || rec->seg == SEG_GS_BIASED)
        emit_alu_rm(&u->e, ALU_ADD, 8, reg, RUN(seg_base_fast[SEG_GS]));
}

/* reg := base + index << scale + disp, by instructions. */
static void emit_effective(struct unit *u, unsigned reg)
{
    struct emit *e = &u->e;
    const struct insn *in = u->in;
    const struct rec *rec = &u->block->rec[u->i];
    if (in->is_moffs) {
        emit_mov_ri(e, reg, in->imm);
        return;
    }
    if (in->base == REG_RIP) { /* the whole displacement: no bias here */
        emit_load(e, 8, reg, RUN(jit_page));
        int64_t disp = (int64_t)in->disp + u->offset + rec->off + in->len;
        emit_lea(e, 8, reg, (struct host_mem){(uint8_t)reg, H_NONE, 0, (int32_t)disp});
        return;
    }
    if (in->index != REG_NONE) {
        unsigned index = gpr_in(u, in->index, reg);
        if (in->scale == 0 && in->base != REG_NONE && pinned[in->base] != H_NONE) {
            emit_lea(e, 8, reg, (struct host_mem){pinned[in->base], (uint8_t)index, 0, in->disp});
            return;
        }
        emit_mov_rr(e, 8, reg, index);
        if (in->scale)
            emit_shift_ri(e, 4, 8, reg, in->scale);
        if (in->base != REG_NONE && pinned[in->base] != H_NONE) {
            emit_lea(e, 8, reg, (struct host_mem){(uint8_t)reg, pinned[in->base], 0, in->disp});
            return;
        }
        if (in->base != REG_NONE)
            emit_alu_rm(e, ALU_ADD, 8, reg, mem_gpr(in->base));
    } else if (in->base != REG_NONE) {
        emit_lea(e, 8, reg,
                 (struct host_mem){(uint8_t)gpr_in(u, in->base, reg), H_NONE, 0, in->disp});
        return;
    } else {
        emit_mov_ri(e, reg, (uint64_t)(int64_t)in->disp);
        return;
    }
    if (in->disp)
        emit_lea(e, 8, reg, (struct host_mem){(uint8_t)reg, H_NONE, 0, in->disp});
}

void emit_operand_la(struct unit *u, unsigned reg)
{
    struct host_mem m;
    if (is_plain(u, &m)) {
        emit_lea(&u->e, 8, reg, m);
        return;
    }
    emit_effective(u, reg);
    add_segment_base(u, reg);
}

/* ---- the virtual TLB ---- */

static struct host_mem entry_field(size_t offset)
{
    return (struct host_mem){T1, H_NONE, 0, (int32_t)offset};
}

/* T0: linear address. T1 := its entry in the array. */
static void emit_index(struct unit *u, bool write)
{
    struct emit *e = &u->e;
    emit_mov_rr(e, 8, T1, T0);
    emit_shift_ri(e, 5, 8, T1, PAGE_SHIFT - 4);
    emit_alu_rm(e, ALU_AND, 8, T1, RUN(mmu.view.byte_mask));
    emit_alu_rm(e, ALU_ADD, 8, T1, write ? RUN(mmu.view.write) : RUN(mmu.view.read));
}

/* An access: last is what is added to its address to be sure of its page; the bits of odd are to be
 * 0 in the sum. */
struct access_shape {
    int32_t last; /* size - 1; 0 if it is aligned */
    int32_t odd;  /* size - 1 if it has to be aligned */
    bool write;   /* or read */
};

static struct access_shape shape_of(unsigned size, bool write, bool aligned)
{
    int32_t last = (int32_t)size - 1;
    return (struct access_shape){aligned ? 0 : last, aligned ? last : 0, write};
}

/* T0: la + last, destroyed. A miss goes to the handler; so does what is not aligned. */
static void emit_compare(struct unit *u, struct access_shape s)
{
    struct emit *e = &u->e;
    emit_alu_ri(e, ALU_AND, 8, T0, -(int32_t)PAGE_SIZE | s.odd);
    emit_alu_rm(e, ALU_CMP, 8, T0, entry_field(offsetof(struct vtlb_entry, tag)));
    late_handler(u, emit_jump(e, 5));
}

/* A host operand in guest registers: T0 is computed twice rather than kept. */
static struct host_mem probe_plain(struct unit *u, struct host_mem m, struct access_shape s)
{
    struct emit *e = &u->e;
    struct host_mem last = m;
    bool fits = m.disp <= INT32_MAX - 63;
    emit_lea(e, 8, T0, m);
    emit_index(u, s.write);
    if (s.last) {
        last.disp += fits ? s.last : 0;
        emit_lea(e, 8, T0, last);
        if (!fits)
            emit_alu_ri(e, ALU_ADD, 8, T0, s.last);
    }
    emit_compare(u, s);
    emit_load(e, 8, T1, entry_field(offsetof(struct vtlb_entry, addend)));
    if (m.index == H_NONE)
        return (struct host_mem){m.base, T1, 0, m.disp};
    if (m.scale == 0) {
        emit_alu_rr(e, ALU_ADD, 8, T1, m.base);
        return (struct host_mem){T1, m.index, 0, m.disp};
    }
    emit_alu_rr(e, ALU_ADD, 8, T1, m.base);
    return (struct host_mem){T1, m.index, m.scale, m.disp};
}

static struct host_mem probe(struct unit *u, struct access_shape s)
{
    struct emit *e = &u->e;
    struct host_mem m;
    flags_clobber(u);
    if (is_plain(u, &m))
        return probe_plain(u, m, s);
    emit_operand_la(u, T0);
    emit_index(u, s.write);
    emit_store(e, 8, T0, RUN(jit_la));
    if (s.last)
        emit_lea(e, 8, T0, (struct host_mem){T0, H_NONE, 0, s.last});
    emit_compare(u, s);
    emit_load(e, 8, T1, entry_field(offsetof(struct vtlb_entry, addend)));
    emit_alu_rm(e, ALU_ADD, 8, T1, RUN(jit_la));
    return (struct host_mem){T1, H_NONE, 0, 0};
}

struct host_mem probe_operand(struct unit *u, unsigned size, bool write)
{
    return probe(u, shape_of(size, write, false));
}

struct host_mem probe_aligned(struct unit *u, unsigned size, bool write)
{
    return probe(u, shape_of(size, write, true));
}

struct host_mem probe_stack(struct unit *u, unsigned base, int32_t disp, unsigned size, bool write)
{
    flags_clobber(u);
    return probe_plain(u, (struct host_mem){(uint8_t)base, H_NONE, 0, disp},
                       shape_of(size, write, false));
}
