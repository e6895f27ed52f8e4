/* SPDX-License-Identifier: MIT */
/* What translated code leads to: direct exits are linked, places of computed jumps remembered. */
#include "cpu/jit/x86_64/jit_priv.h"

/* ---- direct exits ---- */

/* Past the storing of flags to the target, or on. */
static void set_skip(const struct emit *e, const struct jit_exit *x, const uint8_t *target)
{
    uint8_t *p = x->charge + 1;
    memcpy(p, exit_no_skip, sizeof(exit_no_skip));
    if (!target)
        return;
    le16_store(p, 0x890f); /* JNS */
    emit_set_target(e, p + 2, target);
}

/* is_blind: what is there wants no flags. */
static void exit_set(const struct jit *jit, struct jit_exit *x, const uint8_t *target,
                     unsigned count, bool is_blind)
{
    const struct emit e = {.delta = jit->memory.run - jit->memory.write};
    assert(!x->is_edge || !x->to || x->to->block == x->block);
    static_assert(BLOCK_MAX_RECORDS <= INT8_MAX, "a charge is a constant of 8 bits");
    emit_set_target(&e, x->jump, target);
    *x->charge = (uint8_t)(count - x->refund);
    x->give_back = count;
    if (x->has_flags)
        set_skip(&e, x, is_blind ? target : NULL);
}

void exit_unlink(const struct jit *jit, struct jit_exit *x)
{
    if (x->prev)
        x->prev->next = x->next;
    else
        x->to->in = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->to = NULL;
    x->prev = x->next = NULL;
    if (x->is_computed)
        expect_nothing(x);
    else if (x->is_return)
        return_set(jit, x, x->miss);
    else
        exit_set(jit, x, x->jump + 4 + (jit->memory.run - jit->memory.write), 0,
                 false);
}

/* With another tag: whoever has seen the frame before must not take that for this one. */
static void exit_set_frame(struct jit *jit, struct jit_exit *x, paddr frame)
{
    x->frames++;
    x->tag_at = (uint32_t)(offsetof(struct vcpu, jumps.link) + jit->tags++ * sizeof(uint64_t));
    le32_store(x->tag, x->tag_at);
    x->frame = frame;
}

void exit_attach(struct jit_exit *x, struct jit_block *to)
{
    x->to = to;
    x->prev = NULL;
    x->next = to->in;
    if (x->next)
        x->next->prev = x;
    to->in = x;
}

static void exit_link(struct jit *jit, struct jit_exit *x, struct jit_block *to)
{
    paddr frame = to->block->pa & PAGE_MASK;
    if (x->tag && x->frame != frame)
        exit_set_frame(jit, x, frame);
    exit_attach(x, to);
    exit_set(jit, x, x->is_edge ? x->hit : to->entry, to->block->count, to->is_flag_blind);
}

void exits_lead_to(const struct jit *jit, struct jit_block *from, struct jit_block *to)
{
    const struct emit e = {.delta = jit->memory.run - jit->memory.write};
    struct jit_exit *last = NULL;
    for (struct jit_exit *x = from->in; x; x = x->next) {
        x->to = to;
        if (x->is_computed || x->is_return)
            emit_set_target(&e, x->jump, to->computed);
        else
            exit_set(jit, x, to->entry, to->block->count, to->is_flag_blind);
        last = x;
    }
    if (!last)
        return;
    last->next = to->in;
    if (to->in)
        to->in->prev = last;
    to->in = from->in;
    from->in = NULL;
}

/* ---- computed jumps ---- */

bool place_has(const struct jit *jit, const struct block *b)
{
    const struct jit_place *p = jit_place_of(jit, b->pa);
    return p->pa == b->pa && p->mode == b->mode;
}

void place_forget(const struct jit *jit, const struct block *b)
{
    if (place_has(jit, b))
        jit_place_of(jit, b->pa)->pa = BLOCK_DEAD;
}

void place_set(const struct jit *jit, const struct block *b)
{
    uint32_t to = (uint32_t)(b->jit->computed - jit->memory.run);
    *jit_place_of(jit, b->pa) = (struct jit_place){.pa = b->pa, .mode = b->mode, .to = to};
}

/* ---- leaving translated code by a transfer ---- */

/*
 * The block that an exit leads to; in the same page one over its end is not yet looked at. There it
 * is remembered until the exit is linked: most exits are taken some times before what they lead to
 * is translated.
 */
static struct block *exit_target(struct vcpu *vcpu, struct jit_exit *x, uint64_t target)
{
    struct block *b = x->to ? NULL : x->guess;
    if (x->tag || !x->charge)
        return block_find_recent(vcpu, target);
    if (b && b->pa == x->pa && b->mode == x->block->mode)
        return b;
    b = block_lookup((struct block_table *)(void *)vcpu->run.blocks, x->pa, x->block->mode);
    if (b && !b->crosses && !x->to)
        x->guess = b;
    return b;
}

/* Not if it has been made for other frames too often. */
static bool exit_may_lead_to(const struct jit *jit, const struct jit_exit *x, const struct block *b)
{
    if (!x->tag || x->frame == (b->pa & PAGE_MASK))
        return true;
    return x->frames < JIT_EXIT_FRAMES && jit->tags < MMU_LINKS;
}

/* The block at the target, or NULL; linked, if it can be. */
static struct block *link_exit(struct vcpu *vcpu, struct jit_exit *x, uint64_t target)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = exit_target(vcpu, x, target);
    if (b && b->jit && x->to != b->jit && x->charge && exit_may_lead_to(jit, x, b)) {
        if (x->to)
            exit_unlink(jit, x);
        exit_link(jit, x, b->jit);
        jit->stats.links++;
    } else {
        jit->stats.unlinked++;
    }
    return b;
}

static uint64_t target_of(const struct vcpu *vcpu, const struct jit_exit *x)
{
    return (vcpu->run.jit_page + (uint64_t)x->target) & vcpu->run.la_mask;
}

int exec_jit_call(struct vcpu *vcpu, const struct rec *rec, struct jit_exit *x)
{
    link_exit(vcpu, x, target_of(vcpu, x));
    return exec_jit_tail(vcpu, rec, fn_from_32(x->fn));
}

int exec_jit_link(struct vcpu *vcpu, const struct rec *rec, struct jit_exit *x)
{
    uint64_t target = target_of(vcpu, x);
    struct block *b = link_exit(vcpu, x, target);
    vcpu->run.budget += x->refund;
    return b && !b->crosses ? exec_goto_block(vcpu, rec, b, target) : exec_goto(vcpu, rec, target);
}

int exec_jit_indirect(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = block_find_recent(vcpu, target);
    jit->stats.indirect++;
    if (!b || b->crosses)
        return exec_goto(vcpu, rec, target);
    if (b->jit)
        place_set(jit, b);
    return exec_goto_block(vcpu, rec, b, target);
}
