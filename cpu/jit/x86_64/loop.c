/* SPDX-License-Identifier: MIT */
/*
 * A block that comes back to its own start: the edge leads behind what borrows registers, which
 * goes on as it is. Flags that the block makes anew before anybody can look are stored where the
 * edge is not taken: the budget does not reach, or the block is no more. It is an exit like others,
 * so whatever ends the block's life unlinks it.
 *
 * A path that comes back to its head, translated twice over: the first round proves, loads and
 * brings what the second one uses, and the second one leads to its own start as long as all that is
 * known there is known again at its end. So pages that do not change from round to round are looked
 * at once. What turns out to be lost on the way is not carried: the path is translated again
 * without it (jit_translate), and but once if nothing is left. Regions are such paths, and blocks of
 * the first tier (unit.is_loop), whose second round also has stride.c.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* Not of a path of several blocks. */
bool loop_has_edge(const struct unit *u, int64_t target)
{
    const struct jit_source *from = u->from;
    return from->part_count == 1 && !from->loops && !u->second && !u->block->crosses &&
           target == (int64_t)u->offset;
}

/* The charge of the next round, and on to `to`, in the same block; flags are as they are to be
 * there. */
static void emit_edge(struct unit *u, int64_t refund, const uint8_t *to)
{
    struct emit *e = &u->e;
    struct jit_exit *x = exit_make(u, u->path[0].offset, refund);
    x->is_edge = true;
    flags_clobber(u);
    exit_charge(u, x);
    x->jump = emit_jump(e, 9);
    emit_bind(e, x->jump);
    late_edge(u, emit_jump(e, EMIT_ALWAYS), x);
    x->hit = to ? to : emit_here(e);
}

void loop_edge(struct unit *u, unsigned cc, int64_t refund)
{
    struct emit *e = &u->e;
    struct flag_state flags = u->flags;
    struct fp_state fp = u->fp;
    emit_label skip = cc < EMIT_ALWAYS ? emit_jump(e, cc ^ 1) : NULL;
    if (u->shows_entry)
        flags_to_memory(u);
    fp_settle(u);
    emit_edge(u, refund, u->start);
    if (skip)
        emit_bind(e, skip);
    u->flags = flags;
    u->fp = fp;
}

/* A second round costs code, and where it is left an exit. */
bool loop_is_worth_while(const struct unit *u, unsigned edge)
{
    return proofs_in_loop(u, edge) + strides_in_loop(u, edge) >= 2;
}

static bool knows_proofs(const struct base_proofs *proofs)
{
    for (unsigned i = 0; i < PROOFS; i++)
        if (proofs->slot[i].last)
            return true;
    return false;
}

/* Is it worth a second round? */
static bool knows_something(const struct unit *u)
{
    const struct loop_head *h = &u->head;
    if (u->is_loop)
        return h->stack.proof || knows_proofs(&h->proofs) || u->strides;
    return h->flags.recipe.op != HOW_IMAGE || h->stack.proof || knows_proofs(&h->proofs) ||
           h->xmm || h->fp.mxcsr || h->fp.x87;
}

void loop_begin(struct unit *u)
{
    struct loop_head *h = &u->head;
    bool dead = u->is_loop && !u->shows_entry;
    if (dead) {
        u->carry &= ~(unsigned)CARRY_FLAGS;
    } else if (!(u->carry & CARRY_FLAGS) || u->flags.recipe.op == HOW_IMAGE) {
        flags_to_memory(u);
        u->flags = (struct flag_state){.memory = true};
    }
    fp_settle(u);
    if (u->is_loop)
        emit_edge(u, refund_before(u, u->second), NULL);
    if (dead)
        u->flags = (struct flag_state){.memory = true};
    u->flags.plain = u->flags.host = false;
    if (!(u->carry & CARRY_STACK))
        stack_forget(u);
    if (!(u->carry & CARRY_PROOFS))
        proof_forget(u);
    proof_keep_in_loop(u);
    if (!(u->carry & CARRY_UNITS)) {
        u->xmm = 0;
        u->fp.mxcsr = u->fp.x87 = false;
    }
    if (u->is_loop && u->carry & CARRY_STRIDES)
        strides_begin(u);
    h->code = emit_here(&u->e);
    strides_count(u);
    h->flags = u->flags;
    h->stack = u->stack;
    h->proofs = u->proofs;
    h->xmm = u->xmm;
    h->fp = u->fp;
    if (!knows_something(u))
        u->lost = CARRY_ALL;
}

static bool same_recipe(const struct recipe *a, const struct recipe *b)
{
    return a->op == b->op && a->size == b->size && a->a == b->a && a->b == b->b && a->imm == b->imm;
}

static bool same_stack(const struct stack_proof *a, const struct stack_proof *b)
{
    return !a->proof || (b->proof && b->low - b->delta <= a->low - a->delta &&
                         b->high - b->delta >= a->high - a->delta);
}

static bool same_proof(const struct base_proof *a, const struct base_proof *b)
{
    return !a->last || (b->last && a->base == b->base && a->index == b->index &&
                        a->scale == b->scale && a->write == b->write &&
                        a->is_wide == b->is_wide && a->has_base == b->has_base &&
                        a->low == b->low && a->high == b->high && a->moved == b->moved);
}

static bool same_proofs(const struct base_proofs *a, const struct base_proofs *b)
{
    for (unsigned i = 0; i < PROOFS; i++)
        if (!same_proof(&a->slot[i], &b->slot[i]))
            return false;
    return true;
}

static bool same_units(const struct fp_state *a, const struct fp_state *b)
{
    bool same_x87 =
        b->x87 && a->top == b->top && a->count == b->count && a->stored == b->stored && b->is_known;
    return (!a->mxcsr || b->mxcsr) && (!a->x87 || same_x87);
}

/* What was known at the head and is not here: nothing, or it is to be translated without. */
static unsigned lost(const struct unit *u)
{
    const struct loop_head *h = &u->head;
    bool same_flags =
        h->flags.recipe.op == HOW_IMAGE || same_recipe(&h->flags.recipe, &u->flags.recipe);
    same_flags = same_flags && (!h->flags.memory || u->flags.memory);
    return (same_flags ? 0 : CARRY_FLAGS) | (same_stack(&h->stack, &u->stack) ? 0 : CARRY_STACK) |
           (same_proofs(&h->proofs, &u->proofs) ? 0 : CARRY_PROOFS) |
           (same_units(&h->fp, &u->fp) ? 0 : CARRY_UNITS);
}

void loop_end(struct unit *u)
{
    bool dead = u->is_loop && !u->shows_entry;
    if (u->head.flags.recipe.op == HOW_IMAGE && !dead)
        flags_to_memory(u);
    fp_settle(u);
    if (u->is_loop) {
        sse_reload(u, u->head.xmm & ~u->xmm, &u->fp);
        emit_edge(u, refund_before(u, u->count), u->head.code);
        if (dead)
            u->flags = (struct flag_state){.memory = true};
    } else {
        emit_seam(u);
        sse_reload(u, u->head.xmm & ~u->xmm, &u->fp);
        emit_jump_to(&u->e, EMIT_ALWAYS, u->head.code);
    }
    u->lost |= lost(u);
    loans_given(u);
}
