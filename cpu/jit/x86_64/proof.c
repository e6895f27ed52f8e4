/* SPDX-License-Identifier: MIT */
/*
 * Memory operands through one base register (docs/decisions/0008).
 *
 * Looking ahead from an access [base + disp], the ones behind it through the same base are found,
 * as long as nothing but a constant is added to it. If there are some within PROOF_REACH bytes, the
 * probe asks for the range of all of them: it is in one page, and that page in the array. What the
 * entry adds is kept below the stack pointer, and the others are a load of that and the access
 * itself, which leaves the flags alone.
 *
 * So are operands with the same base, index and scale: what is kept is the host address of their sum
 * (decision 0008, "Operands with an index").
 *
 * An operand with another index is one of them if the block itself has made the index small before: by
 * MOVZX of a byte, AND, or SHR (docs/decisions/0012). Its range is a table's, which may be in two
 * pages, and never whole in the array: then the block is made anew without such.
 *
 * A range that fails raises nothing: the instruction is done by its handler, like any that misses,
 * and asked again; if it still fails (it is in two pages, or in a special one), translated code
 * leaves for the block that begins behind the instruction. So nobody ever relies on a range that
 * was not seen to be whole, and faults are raised by the instruction that is due.
 *
 * An entry may go while a handler runs, and only then: the MMU clears view.kept with the first that
 * goes, and late code that finds it cleared leaves for the next instruction's block too.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* ---- shapes ---- */

/* Of a 64-bit mode operand: registers that may be proved, in a segment without a base. RSP alone is
 * the stack window's; and it must not change while the instruction runs. */
static bool has_shape(const struct unit *u, const struct insn *in)
{
    int32_t change;
    if (!in->has_mem || in->is_moffs || in->vsib || in->seg == SEG_FS || in->seg == SEG_GS ||
        in->addrsize != 8)
        return false;
    if (in->base == REG_RSP || in->base == REG_NONE)
        return in->index != REG_NONE && stack_change(u, in, &change) && !change;
    return true;
}

/* Displacement of instruction i from its base's value. */
static int64_t disp_of(const struct unit *u, unsigned i)
{
    const struct insn *in = &u->insn[i];
    return in->base == REG_RIP ? (int64_t)in->disp + u->path[i].offset + in->len : in->disp;
}

static const struct operand *mem_of(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_MEM)
            return &in->operands[i];
    return NULL;
}

/* ---- what instructions do to a base and an index ---- */

/* base + index * scale of p changes by *delta; false: nobody knows. */
static bool sum_change(const struct unit *u, const struct insn *in, const struct base_proof *p,
                       int32_t *delta)
{
    int32_t index = 0;
    if (!register_change(u, in, p->base, delta) || !register_change(u, in, p->index, &index))
        return false;
    int64_t sum = *delta + (int64_t)index * (1 << p->scale);
    *delta = (int32_t)sum;
    return is_near(sum);
}

/* ---- how large an index can be ---- */

/* The instruction leaves no more than *max in reg, or as much as is in another register, *from. */
static bool is_bound(const struct insn *in, unsigned reg, uint32_t *max, unsigned *from)
{
    const struct operand *o = in->operands;
    *from = REG_NONE;
    if (o[0].kind != OPND_GPR || o[0].reg != reg || o[0].size < 4)
        return false;
    if (in->op == OP_MOV && o[1].kind == OPND_GPR)
        *from = o[1].reg;
    else if (in->op == OP_MOVZX && o[1].size == 1)
        *max = UINT8_MAX;
    else if (in->op == OP_AND && o[1].kind == OPND_IMM && in->imm < PROOF_WIDE)
        *max = (uint32_t)in->imm;
    else if (in->op == OP_SHR && o[1].kind == OPND_IMM && o[0].size == 4 && in->imm >= 20 &&
             in->imm < 32)
        *max = UINT32_MAX >> in->imm;
    else
        return false;
    return true;
}

/* The largest index of instruction i, if the block itself has made it a small one. */
static bool index_max(const struct unit *u, unsigned i, uint32_t *max)
{
    unsigned reg = u->insn[i].index, from;
    int32_t change;
    if (u->from->is_narrow || reg == u->insn[i].base)
        return false;
    while (i-- > 0) {
        const struct insn *in = &u->insn[i];
        if (!record_is_plain(u->path[i].rec))
            return false;
        if (is_bound(in, reg, max, &from)) {
            if (from == REG_NONE)
                return true;
            reg = from;
        } else if (!register_change(u, in, reg, &change) || change) {
            return false;
        }
    }
    return false;
}

/* Can the operand of instruction i be proved as p's are? *span: by how much its own index may move
 * it. */
static bool is_provable(const struct unit *u, unsigned i, const struct base_proof *p, int32_t *span)
{
    const struct insn *in = &u->insn[i];
    uint32_t max;
    *span = 0;
    if (!has_shape(u, in) || in->base != p->base || !is_near(disp_of(u, i)))
        return false;
    if (in->index == p->index)
        return p->index == REG_NONE || in->scale == p->scale;
    if (p->index != REG_NONE || p->base == REG_NONE || !index_max(u, i, &max))
        return false;
    *span = (int32_t)(max << in->scale);
    return true;
}

/* ---- a look ahead ---- */

/* Add the access of instruction i, with the base moved by so much, if it is one through the base
 * that the proof would be good for. A write that is certain to follow makes it one of the write
 * array. */
static bool range_add(const struct unit *u, struct base_proof *p, unsigned i, int32_t moved,
                      bool is_certain)
{
    const struct insn *in = &u->insn[i];
    int32_t span;
    if (!is_provable(u, i, p, &span))
        return false;
    const struct operand *o = mem_of(in);
    bool is_early = o && (o->access & ACC_W) && !p->write;
    if (!o || !o->size || o->access == ACC_ADDR ||
        (is_early && (!is_certain || u->from->is_narrow)))
        return false;
    int32_t at = moved + (int32_t)disp_of(u, i), end = at + span + o->size;
    bool is_wide = p->is_wide || span;
    int32_t low = at < p->low ? at : p->low, high = end > p->high ? end : p->high;
    if (high - low > (is_wide ? PROOF_WIDE : PROOF_REACH))
        return false;
    p->is_wide = is_wide;
    p->is_early |= is_early;
    p->write |= is_early;
    p->low = low;
    p->high = high;
    p->last = (uint8_t)i;
    return true;
}

/* Is base + index * scale the same again at the end of each round of the loop? */
static bool is_same_in(const struct unit *u, const struct base_proof *p, unsigned first,
                       unsigned end)
{
    int64_t moved = 0;
    int32_t change;
    for (unsigned i = first; i < end; i++) {
        if (!record_is_plain(u->path[i].rec) || !sum_change(u, &u->insn[i], p, &change))
            return false;
        moved += change;
    }
    return moved == 0;
}

static bool is_same_in_loop(const struct unit *u, const struct base_proof *p)
{
    return is_same_in(u, p, u->second, u->count);
}

unsigned proofs_in_loop(const struct unit *u, unsigned edge)
{
    unsigned count = 0;
    int32_t span;
    for (unsigned i = 0; i <= edge; i++) {
        const struct insn *in = &u->insn[i];
        const struct operand *o = mem_of(in);
        struct base_proof p = {.base = in->base, .index = REG_NONE};
        if (!o || !o->size || o->access == ACC_ADDR)
            continue;
        bool is_stack = in->base == REG_RSP && in->index == REG_NONE;
        count += (is_stack || is_provable(u, i, &p, &span)) && is_same_in(u, &p, 0, edge + 1);
    }
    return count;
}

void proof_keep_in_loop(struct unit *u)
{
    for (unsigned i = 0; i < PROOFS; i++) {
        struct base_proof *p = &u->proofs.slot[i];
        if (p->last)
            p->last = is_same_in_loop(u, p) ? (uint8_t)u->count : 0;
    }
}

/* The access of this instruction, and those behind it that one proof can cover. last is 0 if it is
 * not worth while: a proof is two or three instructions more, which one access is that saves seven,
 * but every branch in between may halve its chance. A long range is oftener in two pages, which
 * takes a detour. */
static struct base_proof look_ahead(const struct unit *u, const struct mem_access *x, bool by_index)
{
    int32_t disp = x->address.disp, moved = 0, change, span;
    struct base_proof p = {.base = u->in->base,
                           .index = by_index ? u->in->index : (uint8_t)REG_NONE,
                           .scale = by_index ? u->in->scale : 0,
                           .write = x->write};
    if (!is_provable(u, u->i, &p, &span))
        return p;
    p.is_wide = span > 0;
    p.low = disp;
    p.high = disp + span + x->size;
    unsigned chance = 4, gain = 0; /* in quarters of an access */
    bool repeats = u->i < u->second && is_same_in_loop(u, &p);
    for (unsigned i = u->i; i < u->count && is_near(moved); i++) {
        if (i > u->i && range_add(u, &p, i, moved, chance == 4))
            gain += repeats && i >= u->second ? (u->is_loop ? 32 : 16) : chance;
        if (u->insn[i].op == OP_JCC)
            chance /= 2;
        if (!record_is_plain(u->path[i].rec) || !sum_change(u, &u->insn[i], &p, &change))
            break;
        moved += change;
    }
    unsigned length = (unsigned)(p.high - p.low);
    if (gain < 2 + (p.is_wide ? length / 128 : 0) || length > PROOF_WIDE)
        p.last = 0;
    return p;
}

/* ---- using a proof, and making one ---- */

static struct host_mem kept_sum(const struct base_proofs *all, const struct base_proof *p)
{
    return (struct host_mem){VCPU, H_NONE, 0, BELOW_PROOF + 8 * (int32_t)(p - all->slot)};
}

/* T1: what is kept. T0 is used. The base may be elsewhere than it was at the proof (loan.c). */
static struct host_mem proved_operand(struct unit *u, const struct base_proof *p,
                                      const struct mem_access *x)
{
    const struct address *a = &x->address;
    unsigned index = a->index;
    if (p->index != REG_NONE)
        return (struct host_mem){T1, H_NONE, 0, a->disp + p->moved};
    if (!p->has_base && a->base != H_NONE)
        return (struct host_mem){a->base, T1, 0, a->disp};
    if (!p->has_base) {
        emit_load(&u->e, 8, T0, a->part[0]);
        emit_lea(&u->e, 8, T1, (struct host_mem){T1, T0, 0, 0});
        return (struct host_mem){T1, H_NONE, 0, a->disp};
    }
    if (u->in->index != REG_NONE && index == H_NONE) {
        emit_load(&u->e, 8, T0, mem_gpr(u->in->index));
        emit_lea(&u->e, 8, T1, (struct host_mem){T1, T0, a->scale, 0});
    }
    return (struct host_mem){T1, (uint8_t)index, a->scale, a->disp + p->moved};
}

/* Its base, and disp; and the index, if that is p's. */
static struct address address_at(const struct base_proof *p, const struct mem_access *x,
                                 int32_t disp)
{
    struct address a = x->address;
    a.disp = disp;
    if (p->index != REG_NONE)
        return a;
    a.index = H_NONE;
    a.shifted = REG_NONE;
    a.parts = a.base == H_NONE; /* it comes first */
    return a;
}

/* T1: what the entry adds. Keep it, with the base and the index if they are in it. */
static void keep(struct unit *u, const struct base_proof *p, const struct mem_access *x)
{
    struct address sum = address_at(p, x, 0);
    if (p->index != REG_NONE)
        emit_lea(&u->e, 8, T1, host_operand(u, &sum));
    else if (x->address.base == H_NONE)
        emit_alu_rm(&u->e, ALU_ADD, 8, T1, x->address.part[0]);
    else if (p->has_base)
        emit_alu_rr(&u->e, ALU_ADD, 8, T1, x->address.base);
    emit_store(&u->e, 8, T1, kept_sum(&u->proofs, p));
}

static const struct host_mem entry_addend = {T1, H_NONE, 0, offsetof(struct vtlb_entry, addend)};

/* Is the range in one page, and that in the array? If not, a jump. T1 := what to keep. */
static emit_label emit_prove(struct unit *u, const struct base_proof *p, const struct mem_access *x)
{
    struct address a = address_at(p, x, p->low);
    emit_label fails = emit_look(u, &a, (unsigned)(p->high - p->low), p->write);
    emit_load(&u->e, 8, T1, entry_addend);
    keep(u, p, x);
    return fails;
}

/* A look at the byte so far from the base. */
static emit_label emit_look_at(struct unit *u, const struct base_proof *p,
                               const struct mem_access *x, int32_t disp)
{
    struct address a = address_at(p, x, disp);
    return emit_look(u, &a, 1, p->write);
}

/* The same of a range that may be in two pages: what is added has to be the same. */
static unsigned emit_prove_wide(struct unit *u, const struct base_proof *p,
                                const struct mem_access *x, emit_label fails[3])
{
    static_assert(PROOF_WIDE <= PAGE_SIZE, "two pages at most");
    struct emit *e = &u->e;
    fails[0] = emit_look_at(u, p, x, p->low);
    emit_load(e, 8, T0, entry_addend);
    emit_store(e, 8, T0, kept_sum(&u->proofs, p));
    fails[1] = emit_look_at(u, p, x, p->high - 1);
    emit_load(e, 8, T1, entry_addend);
    emit_alu_rm(e, ALU_CMP, 8, T1, kept_sum(&u->proofs, p));
    fails[2] = emit_jump(e, 5);
    keep(u, p, x);
    return 3;
}

static const struct base_proof *find(const struct unit *u, const struct mem_access *x)
{
    int64_t disp = x->address.disp;
    for (unsigned i = 0; i < PROOFS; i++) {
        const struct base_proof *p = &u->proofs.slot[i];
        int32_t span;
        if (p->last && (p->write || !x->write) && disp >= p->low &&
            disp + x->size <= p->high && is_provable(u, u->i, p, &span) &&
            disp + span + x->size <= p->high && (p->is_wide || !span))
            return p;
    }
    return NULL;
}

static struct base_proof *free_slot(struct unit *u)
{
    for (unsigned i = 0; i < PROOFS; i++)
        if (!u->proofs.slot[i].last && !u->stride[i].used)
            return &u->proofs.slot[i];
    return NULL;
}

bool proof_operand(struct unit *u, struct mem_access *x, struct host_mem *m)
{
    if (u->is_32 || x->aligned || x->address.rest || !has_shape(u, u->in))
        return false;
    const struct base_proof *known = find(u, x);
    if (known) {
        if (!u->is_quiet)
            flags_clobber(u);
        emit_load(&u->e, 8, T1, kept_sum(&u->proofs, known));
        *m = proved_operand(u, known, x);
        return true;
    }
    struct base_proof *p = free_slot(u), made = look_ahead(u, x, false);
    if (!made.last && u->in->index != REG_NONE && !u->from->is_narrow)
        made = look_ahead(u, x, true);
    if (!p || !made.last || u->out->exit_count + u->late_count - u->late_first >= u->out->exit_room)
        return false;
    flags_clobber(u);
    *p = made;
    p->has_base = made.is_wide || x->address.base == H_NONE || made.index != REG_NONE;
    late_prove(u, emit_prove(u, p, x), x, (unsigned)(p - u->proofs.slot));
    u->proofs.made++;
    *m = proved_operand(u, p, x);
    return true;
}

void prove_wide(struct unit *u, const struct late *l)
{
    emit_label fails[PROVE_LABELS];
    u->proofs = l->proofs;
    const struct base_proof *p = &u->proofs.slot[l->proves];
    if (!p->is_wide)
        return;
    unsigned count = emit_prove_wide(u, p, &l->access, fails);
    emit_jump_to(&u->e, EMIT_ALWAYS, l->hit);
    for (unsigned i = 0; i < count; i++)
        emit_bind(&u->e, fails[i]);
}

unsigned prove_again(struct unit *u, const struct late *l, emit_label fails[PROVE_LABELS])
{
    u->proofs = l->proofs;
    const struct base_proof *p = &u->proofs.slot[l->proves];
    if (p->is_wide)
        return emit_prove_wide(u, p, &l->access, fails);
    fails[0] = emit_prove(u, p, &l->access);
    return 1;
}

/* ---- how long it holds ---- */

bool proof_any(const struct unit *u)
{
    if (u->strides && u->i >= u->second)
        return true;
    for (unsigned i = 0; i < PROOFS; i++)
        if (u->proofs.slot[i].last)
            return true;
    return false;
}

void proof_forget(struct unit *u)
{
    if (u->strides && u->i >= u->second)
        u->lost |= CARRY_STRIDES;
    for (unsigned i = 0; i < PROOFS; i++)
        u->proofs.slot[i].last = 0;
}

void proof_forget_base(struct unit *u, unsigned base)
{
    for (unsigned i = 0; i < PROOFS; i++)
        if (u->proofs.slot[i].base == base || u->proofs.slot[i].index == base)
            u->proofs.slot[i].last = 0;
}

void proof_after_insn(struct unit *u)
{
    for (unsigned i = 0; i < PROOFS; i++) {
        struct base_proof *p = &u->proofs.slot[i];
        int32_t change;
        if (!p->last)
            continue;
        if (u->i >= p->last || !record_is_plain(u->rec) || !sum_change(u, u->in, p, &change) ||
            !is_near((int64_t)p->moved + change)) {
            p->last = 0;
            continue;
        }
        p->low -= change;
        p->high -= change;
        p->moved += change;
    }
}
