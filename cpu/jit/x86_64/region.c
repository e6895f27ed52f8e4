/* SPDX-License-Identifier: MIT */
/* Life of regions: made when a block's code was entered often, killed with any of their parts. */
#include "cpu/jit/x86_64/region.h"

#include "cpu/jit/x86_64/worker.h"

enum {
    KILLS_MAX = 3, /* a block whose regions were killed so often has none again */
    MORE = 16,     /* entries until it is tried again */
};

/* ---- memberships ---- */

static void membership_end(struct membership *m)
{
    if (!m->part)
        return;
    if (m->prev)
        m->prev->next = m->next;
    else
        m->part->memberships = m->next;
    if (m->next)
        m->next->prev = m->prev;
    m->part = NULL;
}

static void membership_begin(struct membership *m, struct jit_block *region, struct jit_block *part)
{
    *m = (struct membership){.region = region, .part = part, .next = part->memberships};
    if (m->next)
        m->next->prev = m;
    part->memberships = m;
}

/* The block of `from` has the code `to` now, and stays a part of what it was. */
static void memberships_move(struct jit_block *from, struct jit_block *to)
{
    to->memberships = from->memberships;
    from->memberships = NULL;
    for (struct membership *m = to->memberships; m; m = m->next)
        m->part = to;
}

/* ---- death ---- */

/* Its first block is interpreted, and counted, again. */
static void kill(struct jit *jit, struct jit_block *t)
{
    struct block *b = t->block;
    uint8_t *kills = &jit->kills[fp_drops(b->pa)];
    *kills = (uint8_t)(*kills + (*kills < KILLS_MAX));
    jit_restore_handlers(t);
    jit_retire(jit, t);
    jit_count_entries(b);
    jit->stats.killed++;
}

bool region_detach(struct jit *jit, struct jit_block *t)
{
    bool is_region = t->region || t->memberships;
    if (t->region)
        for (unsigned i = 0; i < t->region->member_count; i++)
            membership_end(&t->region->member[i]);
    while (t->memberships)
        kill(jit, t->memberships->region);
    return is_region;
}

/* ---- birth ---- */

static void members_add(struct region *r, struct jit_block *t, const struct jit_source *path)
{
    for (unsigned i = 1; i < path->part_count; i++)
        if (path->part[i].home != t->block)
            membership_begin(&r->member[r->member_count++], t, path->part[i].home->jit);
}

/* Computed jumps of this vCPU to its old code need no jump there. */
static void jumps_lead_to(struct vcpu *vcpu, const struct jit_block *old, const struct jit_block *t)
{
    struct mmu_jump *j = &vcpu->jumps.at[mmu_jump_index(vcpu->run.insn_base)];
    if (j->to == (uintptr_t)old->computed)
        j->to = (uintptr_t)t->computed;
}

/* t is the block's code instead of what it has; nothing runs. */
static void replace(struct vcpu *vcpu, struct block *b, struct jit_block *t,
                    const struct jit_source *path)
{
    struct jit *jit = vcpu->run.jit;
    struct jit_block *old = b->jit;
    struct region *r = (struct region *)(void *)chunks_take(&jit->tables, sizeof(*r));
    bool has_place = place_has(jit, b);
    *r = (struct region){.first = old};
    t->region = r;
    t->tails = old->tails; /* of this block's end record */
    jit_restore_handlers(old);
    exits_lead_to(jit, old, t);
    memberships_move(old, t);
    jit_retire(jit, old);
    entry_redirect(jit, old, t);
    jumps_lead_to(vcpu, old, t);
    jit_count_entries(b);
    b->jit = t;
    jit_install(jit, b, vcpu->run.insn_base);
    if (has_place)
        place_set(jit, b);
    members_add(r, t, path);
    jit->stats.regions++;
    jit->stats.parts += path->part_count;
    jit->stats.region_insns += t->insns;
}

/* It is not worth a region: all lead to where it does not count. */
static void count_no_more(const struct jit *jit, struct block *b)
{
    entry_count_no_more(jit, b->jit);
    exits_lead_to(jit, b->jit, b->jit);
    b->code = b->jit->entry;
}

/* Now it cannot be done. */
static void count_more(struct jit_block *t)
{
    t->counts[0] = -(uint32_t)MORE;
}

static bool is_worth_it(const struct jit *jit, const struct jit_source *path)
{
    const struct block *b = path->part[0].home;
    return (path->part_count > 1 || path->loops) && jit->kills[fp_drops(b->pa)] < KILLS_MAX;
}

static bool has_room(struct jit *jit)
{
    return code_memory_has_room(&jit->memory, JIT_BLOCK_ROOM) && jit->tags < MMU_LINKS;
}

/* The block's code has been entered as often as it takes. Nothing runs. */
static COLD void grow(struct vcpu *vcpu, struct block *b)
{
    struct jit *jit = vcpu->run.jit;
    struct jit_source path;
    struct jit_block *t;
    if (jit->worker)
        worker_settle(jit->worker);
    jit_bury_dead(jit);
    if (!has_room(jit)) {
        jit_make_room(jit);
        return;
    }
    b->jit->likely = path_likely(jit, b->jit);
    jit->stats.counted_out++;
    path_choose(vcpu, b, jit->copies, &path);
    code_memory_join(&jit->memory, jit->memory.used + JIT_BLOCK_ROOM);
    if (is_worth_it(jit, &path) && (t = jit_translate(jit, &path)))
        replace(vcpu, b, t, &path);
    else
        count_no_more(jit, b);
}

/* Charged, and so the block is entered in any case: the run loop may count on an instruction. */
int exec_jit_hot(struct vcpu *vcpu, const struct rec *rec, struct jit_start *self)
{
    struct block *b = self->block;
    (void)rec;
    if (vcpu->run.patched)
        count_more(b->jit);
    else
        grow(vcpu, b);
    CHAIN_TO(vcpu, b->rec);
}
