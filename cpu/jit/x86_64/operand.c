/* SPDX-License-Identifier: MIT */
/* Guest registers and memory operands as host operands. */
#include "cpu/jit/x86_64/jit_priv.h"

unsigned gpr_in(struct unit *u, unsigned g, unsigned scratch)
{
    if (u->regs[g] != H_NONE)
        return u->regs[g];
    emit_load(&u->e, 8, scratch, mem_gpr(g));
    return scratch;
}

/* ---- linear addresses ---- */

static void add_part(struct address *a, struct host_mem m)
{
    a->part[a->parts++] = m;
}

/* The index, in a host register or not. */
static void set_index(const struct unit *u, struct address *a, unsigned g, unsigned scale)
{
    a->scale = (uint8_t)scale;
    if (u->regs[g] != H_NONE)
        a->index = u->regs[g];
    else if (scale == 0)
        add_part(a, mem_gpr(g));
    else
        a->shifted = (uint8_t)g;
}

static void set_segment(struct address *a, const struct rec *rec)
{
    if (rec->seg == SEG_FS || rec->seg == SEG_FS_BIASED)
        add_part(a, RUN(seg_base_fast[SEG_FS]));
    else if (rec->seg == SEG_GS || rec->seg == SEG_GS_BIASED)
        add_part(a, RUN(seg_base_fast[SEG_GS]));
}

/* In 32-bit code: may the offset in its segment wrap around? */
static bool wraps_around(const struct unit *u)
{
    const struct insn *in = u->in;
    bool is_constant = in->base == REG_NONE && in->index == REG_NONE;
    if (in->base == REG_RSP && in->index == REG_NONE)
        return in->disp > STACK_NEAR_32 || in->disp < -STACK_NEAR_32;
    return u->is_compat || is_constant || (in->base != REG_NONE && in->index != REG_NONE) ||
           in->disp < -0x10000;
}

static struct host_mem seg_base(unsigned seg)
{
    return mem_vcpu(offsetof(struct vcpu, arch.seg_base) + seg * sizeof(uint64_t));
}

static bool seg_is_flat(uint32_t mode, unsigned seg)
{
    switch (seg) {
    case SEG_ES:
        return mode & MODE_FLAT_ES;
    case SEG_SS:
        return mode & MODE_FLAT_SS;
    case SEG_DS:
        return mode & MODE_FLAT_DS;
    default:
        return false;
    }
}

static void set_segment_32(const struct unit *u, struct address *a)
{
    unsigned seg = u->in->seg;
    if (seg_is_flat(u->block->mode, seg))
        return;
    a->seg = (uint8_t)seg;
    a->narrow = true;
    add_part(a, seg_base(seg));
}

bool operand_is_native(const struct unit *u)
{
    const struct insn *in = u->in;
    return !in->has_mem || (in->addrsize == u->word && !(u->is_32 && in->seg == SEG_CS));
}

/* Without the segment's base. */
static struct address offset_of(const struct unit *u)
{
    const struct insn *in = u->in;
    const struct rec *rec = u->rec;
    struct address a = {.base = H_NONE, .index = H_NONE, .shifted = REG_NONE, .seg = SEG_NONE};
    int64_t disp = in->disp;
    if (in->is_moffs) {
        disp = (int64_t)in->imm;
    } else if (in->base == REG_RIP) { /* the whole displacement: no bias here */
        add_part(&a, RUN(jit_page));
        disp += u->offset + rec->off + in->len;
    } else {
        if (in->base != REG_NONE && u->regs[in->base] != H_NONE)
            a.base = u->regs[in->base];
        else if (in->base != REG_NONE)
            add_part(&a, mem_gpr(in->base));
        if (in->index != REG_NONE)
            set_index(u, &a, in->index, in->scale);
    }
    a.disp = (int32_t)disp;
    a.rest = u->is_32 ? 0 : disp - a.disp;
    a.narrow = u->is_32 && wraps_around(u);
    return a;
}

static struct address address_of(const struct unit *u)
{
    struct address a = offset_of(u);
    if (u->is_32)
        set_segment_32(u, &a);
    else
        set_segment(&a, u->rec);
    return a;
}

/* T0 := an index that is in memory, shifted. */
static void load_shifted(struct unit *u, const struct address *a)
{
    emit_load(&u->e, 8, T0, mem_gpr(a->shifted));
    emit_shift_ri(&u->e, 4, 8, T0, a->scale);
}

static void add_constant(struct unit *u, unsigned reg, int64_t v)
{
    emit_mov_ri(&u->e, reg == T0 ? T1 : T0, (uint64_t)v);
    emit_alu_rr(&u->e, ALU_ADD, 8, reg, reg == T0 ? T1 : T0);
}

void emit_address(struct unit *u, const struct address *a)
{
    struct emit *e = &u->e;
    int32_t disp = a->disp;
    unsigned base = a->base, size = a->narrow ? 4 : 8;
    bool some = a->shifted != REG_NONE;
    if (some)
        load_shifted(u, a);
    for (unsigned i = 0; i < a->parts; i++, some = true) {
        if (some)
            emit_alu_rm(e, ALU_ADD, size, T0, a->part[i]);
        else
            emit_load(e, size, T0, a->part[i]);
    }
    if (some && base != H_NONE)
        emit_alu_rr(e, ALU_ADD, size, T0, base);
    if (some)
        base = T0;
    struct host_mem m = {(uint8_t)base, a->index, a->scale, disp};
    if (base == H_NONE && a->index == H_NONE)
        emit_mov_ri(e, T0, a->narrow ? (uint32_t)disp : (uint64_t)(int64_t)disp);
    else if (base != T0 && a->index == H_NONE && !disp && !a->narrow)
        emit_mov_rr(e, 8, T0, base);
    else if (base != T0 || a->index != H_NONE || disp)
        emit_lea(e, size, T0, m);
    if (a->rest)
        add_constant(u, T0, a->rest);
}

struct host_mem host_operand(struct unit *u, const struct address *a)
{
    struct emit *e = &u->e;
    if (a->narrow) {
        emit_address(u, a);
        emit_alu_rr(e, ALU_ADD, 8, T1, T0);
        return (struct host_mem){T1, H_NONE, 0, 0};
    }
    if (a->shifted != REG_NONE) {
        load_shifted(u, a);
        emit_alu_rr(e, ALU_ADD, 8, T1, T0);
    }
    for (unsigned i = 0; i < a->parts; i++)
        emit_alu_rm(e, ALU_ADD, 8, T1, a->part[i]);
    if (a->rest)
        add_constant(u, T1, a->rest);
    if (a->index == H_NONE && a->base != H_NONE)
        return (struct host_mem){a->base, T1, 0, a->disp};
    if (a->base != H_NONE)
        emit_alu_rr(e, ALU_ADD, 8, T1, a->base);
    return (struct host_mem){T1, a->index, a->scale, a->disp};
}

void emit_operand_offset(struct unit *u)
{
    struct address a = offset_of(u);
    a.narrow = u->is_32;
    emit_address(u, &a);
}

/* ---- segments that are not flat ---- */

/* Offsets up to 4 GiB - 1 are within the limit: not what goes on behind it. T0 is used. */
static void check_segment(struct unit *u, const struct mem_access *x)
{
    struct emit *e = &u->e;
    struct host_mem whole = RUN(seg_whole);
    struct address offset = x->address;
    int32_t last = -(int32_t)x->size;
    offset.parts = 0;
    whole.disp += x->address.seg;
    emit_alu_mi(e, ALU_CMP, 1, whole, 0);
    late_handler(u, emit_jump(e, 4));
    if (offset.base == H_NONE && offset.index == H_NONE) {
        if ((uint32_t)offset.disp > (uint32_t)last)
            late_handler(u, emit_jump(e, EMIT_ALWAYS));
    } else if (x->size > 1) {
        emit_address(u, &offset);
        emit_alu_ri(e, ALU_CMP, 4, T0, last);
        late_handler(u, emit_jump(e, 7)); /* above */
    }
}

/* ---- the virtual TLB ---- */

/* Is it nothing but a register's value? */
static bool is_register(const struct address *a)
{
    return a->base != H_NONE && a->index == H_NONE && a->shifted == REG_NONE && !a->parts && !a->disp && !a->rest &&
           !a->narrow;
}

static struct host_mem entry_field(size_t offset)
{
    return (struct host_mem){T1, H_NONE, 0, (int32_t)offset};
}

void emit_shifted(const struct jit *jit, struct emit *e, unsigned dst, unsigned src,
                  unsigned count)
{
    if (jit->host_has[FEAT_BMI2]) {
        emit_rorx(e, dst, src, count);
    } else {
        emit_mov_rr(e, 8, dst, src);
        emit_shift_ri(e, 5, 8, dst, count);
    }
}

/* T1 := the entry in the array of the address, which is in reg. */
static void emit_index(struct unit *u, unsigned reg, bool write)
{
    struct emit *e = &u->e;
    static_assert(sizeof(struct vtlb_entry) == 16, "the byte mask goes with this shift");
    emit_shifted(u->jit, e, T1, reg, PAGE_SHIFT - 4);
    emit_alu_rm(e, ALU_AND, 8, T1, RUN(mmu.view.byte_mask));
    emit_alu_rm(e, ALU_ADD, 8, T1, write ? RUN(mmu.view.write) : RUN(mmu.view.read));
}

emit_label emit_look(struct unit *u, const struct address *a, unsigned size, bool write)
{
    struct emit *e = &u->e;
    struct host_mem tag = entry_field(offsetof(struct vtlb_entry, tag));
    if (is_register(a)) {
        emit_index(u, a->base, write);
        emit_load(e, 8, T0, tag);
        emit_alu_rr(e, ALU_XOR, 8, T0, a->base);
    } else {
        emit_address(u, a);
        emit_index(u, T0, write);
        emit_alu_rm(e, ALU_XOR, 8, T0, tag);
    }
    if (size == 4 || size == 8)
        emit_alu_rm(e, ALU_CMP, 8, T0, size == 4 ? host_room_4 : host_room_8);
    else
        emit_alu_ri(e, ALU_CMP, 8, T0, (int32_t)(PAGE_SIZE - size));
    return emit_jump(e, 7); /* above */
}

/* The same of an access that has to be aligned, and so lies in one page. */
static emit_label emit_look_aligned(struct unit *u, const struct mem_access *x)
{
    struct emit *e = &u->e;
    emit_address(u, &x->address);
    emit_index(u, T0, x->write);
    emit_alu_rm(e, ALU_XOR, 8, T0, entry_field(offsetof(struct vtlb_entry, tag)));
    emit_rr(e, 0xf7, 8, 0, T0); /* TEST */
    emit_number(e, (uint32_t)-(int32_t)PAGE_SIZE | (x->size - 1u), 4);
    return emit_jump(e, 5);
}

void probe_late(struct unit *u, const struct mem_access *x, const uint8_t *hit)
{
    emit_label wide = NULL;
    if (u->is_compat) { /* RSP + disp, not wrapped around */
        emit_address(u, &x->address);
        emit_mov_rr(&u->e, 4, T1, T0);
        emit_alu_rr(&u->e, ALU_CMP, 8, T1, T0);
        wide = emit_jump(&u->e, 5);
    }
    emit_label misses = emit_look(u, &x->address, x->size, x->write);
    emit_load(&u->e, 8, T1, entry_field(offsetof(struct vtlb_entry, addend)));
    emit_jump_to(&u->e, EMIT_ALWAYS, hit);
    emit_bind(&u->e, misses);
    if (wide)
        emit_bind(&u->e, wide);
}

static struct host_mem probe(struct unit *u, struct mem_access *x)
{
    if (stack_reaches(x))
        return probe_window(u, x);
    x->address.narrow |= u->is_compat;
    flags_clobber(u);
    if (x->address.seg != SEG_NONE)
        check_segment(u, x);
    late_handler(u, x->aligned ? emit_look_aligned(u, x)
                               : emit_look(u, &x->address, x->size, x->write));
    emit_load(&u->e, 8, T1, entry_field(offsetof(struct vtlb_entry, addend)));
    return host_operand(u, &x->address);
}

struct host_mem probe_operand(struct unit *u, unsigned size, bool write)
{
    struct mem_access x = {.address = address_of(u), .size = (uint8_t)size, .write = write};
    struct host_mem m;
    return stride_operand(u, &x, &m) || proof_operand(u, &x, &m) ? m : probe(u, &x);
}

/* What is not flat is checked without parts. */
bool operand_takes_spare(const struct unit *u)
{
    struct address a = address_of(u);
    return a.seg == SEG_NONE && a.parts < ARRAY_SIZE(a.part);
}

struct host_mem probe_operand_and_spare(struct unit *u, unsigned size, bool write)
{
    struct mem_access x = {.address = address_of(u), .size = (uint8_t)size, .write = write};
    x.address.narrow |= u->is_32;
    add_part(&x.address, host_spare);
    return probe(u, &x);
}

struct host_mem probe_aligned(struct unit *u, unsigned size, bool write)
{
    struct mem_access x = {
        .address = address_of(u), .size = (uint8_t)size, .write = write, .aligned = true};
    return probe(u, &x);
}

struct host_mem probe_stack(struct unit *u, unsigned base, int32_t disp, unsigned size, bool write)
{
    struct mem_access x = {.address = {.base = (uint8_t)base,
                                       .index = H_NONE,
                                       .shifted = REG_NONE,
                                       .seg = SEG_NONE,
                                       .disp = disp},
                           .size = (uint8_t)size,
                           .write = write};
    return probe(u, &x);
}
