/* SPDX-License-Identifier: MIT */
/*
 * Memory operands of a loop's second round whose address moves by a constant from round to round
 * (docs/decisions/0021). Where the second rounds begin, each range of them is looked up once, and
 * it is computed for how many rounds the nearest to its page's end stays in its page. The
 * rounds are counted; where none is left, or a range is in two pages or in none that the array has,
 * the first round's code does one round by probes, and its end is where they are looked up again.
 *
 * As with proofs of bases (proof.c) what was found can only cease to hold while C runs, and late
 * code looks whether it has.
 */
#include "cpu/jit/x86_64/jit_priv.h"

enum { STEP_MAX = 512 };

static const struct operand *access_of(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_MEM)
            return in->operands[i].size && in->operands[i].access != ACC_ADDR ? &in->operands[i]
                                                                              : NULL;
    return NULL;
}

/* Of the instructions from `first` up to `end`: how much is added to the register. False: nobody
 * knows. */
static bool change_of(const struct unit *u, unsigned g, unsigned first, unsigned end, int32_t *sum)
{
    int32_t change;
    *sum = 0;
    for (unsigned i = first; g != REG_NONE && i < end; i++) {
        const struct insn *in = &u->insn[i];
        if (!register_change(u, in, g, &change) || !record_is_plain(u->path[i].rec) ||
            !is_near((int64_t)*sum + change))
            return false;
        *sum += change;
    }
    return true;
}

/* [RSP + disp] has the stack window; others through RSP are not to be of what changes it. */
static bool is_suited(const struct unit *u, const struct insn *in)
{
    int32_t change;
    if (!in->has_mem || in->is_moffs || in->vsib || in->seg == SEG_FS || in->seg == SEG_GS ||
        in->addrsize != 8 || in->base == REG_NONE || in->base == REG_RIP)
        return false;
    return in->base != REG_RSP ||
           (in->index != REG_NONE && stack_change(u, in, &change) && !change);
}

/* The access of instruction i as a range of its own; first, end: of the round. False: it is no
 * such. */
static bool stride_make(const struct unit *u, unsigned i, unsigned first, unsigned end,
                        struct stride *s)
{
    const struct insn *in = &u->insn[i];
    const struct operand *o = in->has_mem ? access_of(in) : NULL;
    int32_t base, index, step_base, step_index;
    if (!o || !is_suited(u, in) || !is_near(in->disp) || u->is_32)
        return false;
    if (!change_of(u, in->base, first, i, &base) || !change_of(u, in->index, first, i, &index) ||
        !change_of(u, in->base, first, end, &step_base) ||
        !change_of(u, in->index, first, end, &step_index))
        return false;
    int64_t step = step_base + (int64_t)step_index * (1 << in->scale);
    int64_t at = in->disp + base + (int64_t)index * (1 << in->scale);
    if (step > STEP_MAX || step < -STEP_MAX || !is_near(at))
        return false;
    *s = (struct stride){.base = in->base,
                         .index = in->index,
                         .scale = in->scale,
                         .write = o->access & ACC_W,
                         .has_base = !step_base && !base,
                         .step = (int32_t)step,
                         .low = (int32_t)at,
                         .high = (int32_t)at + o->size};
    return true;
}

unsigned strides_in_loop(const struct unit *u, unsigned edge)
{
    unsigned count = 0;
    struct stride s;
    for (unsigned i = 0; i <= edge; i++)
        count += stride_make(u, i, 0, edge + 1, &s) && s.step;
    return count;
}

static bool is_same(const struct stride *a, const struct stride *b)
{
    return a->base == b->base && a->index == b->index && a->scale == b->scale &&
           a->write == b->write;
}

/* As part of a range that is there, or one more. */
static void stride_add(struct unit *u, const struct stride *s)
{
    for (unsigned k = 0; k < PROOFS; k++) {
        struct stride *t = &u->stride[k];
        if (!t->used || !is_same(s, t))
            continue;
        int32_t low = s->low < t->low ? s->low : t->low;
        int32_t high = s->high > t->high ? s->high : t->high;
        if (high - low > PROOF_REACH)
            continue;
        t->low = low;
        t->high = high;
        t->has_base &= s->has_base;
        return;
    }
    for (unsigned k = 0; k < PROOFS; k++)
        if (!u->stride[k].used && !u->proofs.slot[k].last) {
            u->stride[k] = *s;
            u->stride[k].used = true;
            u->strides = true;
            return;
        }
}

static struct host_mem kept_sum(unsigned k)
{
    return (struct host_mem){VCPU, H_NONE, 0, BELOW_PROOF + 8 * (int32_t)k};
}

/* T0: offset of the range in its page. T0 := rounds that stay in it, this one too. */
static void emit_rounds(struct unit *u, const struct stride *s)
{
    struct emit *e = &u->e;
    int32_t step = s->step < 0 ? -s->step : s->step;
    unsigned shift = 0;
    while (1 << shift < step)
        shift++;
    int32_t room = 1 << shift;
    if (s->step > 0) {
        emit_rr(e, 0xf7, 8, 3, T0); /* NEG */
        room += (int32_t)PAGE_SIZE - (s->high - s->low);
    }
    emit_alu_ri(e, ALU_ADD, 8, T0, room);
    if (shift)
        emit_shift_ri(e, 5, 8, T0, shift);
}

/* One range: T1: its entry. */
static void emit_range(struct unit *u, unsigned k, bool *counts)
{
    struct emit *e = &u->e;
    const struct stride *s = &u->stride[k];
    emit_load(e, 8, T1, (struct host_mem){T1, H_NONE, 0, offsetof(struct vtlb_entry, addend)});
    if (s->has_base)
        emit_alu_rr(e, ALU_ADD, 8, T1, u->regs[s->base]);
    emit_store(e, 8, T1, kept_sum(k));
    if (!s->step)
        return;
    emit_rounds(u, s);
    if (*counts) {
        emit_alu_rm(e, ALU_CMP, 4, T0, RUN(loop_left));
        emit_rm(e, X_0F | 0x47, 4, T0, RUN(loop_left)); /* CMOVA */
    }
    emit_store(e, 4, T0, RUN(loop_left));
    *counts = true;
}

void strides_begin(struct unit *u)
{
    struct stride s;
    bool counts = false;
    for (unsigned i = u->second; i < u->count; i++)
        if (stride_make(u, i, u->second, u->count, &s) && u->regs[s.base] != H_NONE &&
            (s.index == REG_NONE || u->regs[s.index] != H_NONE))
            stride_add(u, &s);
    for (unsigned k = 0; k < PROOFS; k++) {
        const struct stride *t = &u->stride[k];
        if (!t->used)
            continue;
        struct address a = {.base = u->regs[t->base],
                            .index = t->index == REG_NONE ? H_NONE : u->regs[t->index],
                            .shifted = REG_NONE,
                            .seg = SEG_NONE,
                            .scale = t->scale,
                            .disp = t->low};
        late_again(u, emit_look(u, &a, (unsigned)(t->high - t->low), t->write));
        emit_range(u, k, &counts);
    }
    u->stride_counts = counts;
}

void strides_count(struct unit *u)
{
    if (!u->stride_counts)
        return;
    emit_alu_mi(&u->e, ALU_SUB, 4, RUN(loop_left), 1);
    late_again(u, emit_jump(&u->e, 8));
}

bool stride_operand(struct unit *u, const struct mem_access *x, struct host_mem *m)
{
    struct stride s;
    const struct address *a = &x->address;
    if (!u->strides || u->i < u->second || x->aligned || a->rest ||
        !stride_make(u, u->i, u->second, u->count, &s))
        return false;
    s.high = s.low + x->size;
    for (unsigned k = 0; k < PROOFS; k++) {
        const struct stride *t = &u->stride[k];
        if (!t->used || !is_same(&s, t) || s.low < t->low || s.high > t->high ||
            x->write != t->write || a->base == H_NONE)
            continue;
        if (!u->is_quiet)
            flags_clobber(u);
        emit_load(&u->e, 8, T1, kept_sum(k));
        if (t->has_base) {
            *m = (struct host_mem){T1, a->index, a->scale, a->disp};
        } else if (a->index == H_NONE) {
            *m = (struct host_mem){a->base, T1, 0, a->disp};
        } else {
            emit_lea(&u->e, 8, T1, (struct host_mem){T1, a->base, 0, 0});
            *m = (struct host_mem){T1, a->index, a->scale, a->disp};
        }
        return true;
    }
    return false;
}
