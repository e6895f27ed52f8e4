/* SPDX-License-Identifier: MIT */
/* Life of regions: made where the guest was often, killed with any of their parts. */
#include "cpu/jit/x86_64/region.h"

#include "cpu/jit/x86_64/worker.h"

enum {
    KILLS_MAX = 3, /* a block whose regions were killed so often has none again */
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

/* Its first block is interpreted again. */
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
static void jumps_lead_to(struct vcpu *vcpu, uint64_t rip, const struct jit_block *old,
                          const struct jit_block *t)
{
    struct mmu_jump *j = &vcpu->jumps.at[mmu_jump_index(rip)];
    if (j->to == (uintptr_t)old->computed)
        j->to = (uintptr_t)t->computed;
}

/* Only the code's own loop comes in behind its loans. */
static void unlink_edges(struct jit *jit, struct jit_block *t)
{
    for (unsigned i = 0; i < t->exit_count; i++)
        if (t->exits[i].is_edge && t->exits[i].to)
            exit_unlink(jit, &t->exits[i]);
}

/* t is the block's code instead of what it has; nothing runs. */
static void replace(struct vcpu *vcpu, struct block *b, uint64_t rip, struct jit_block *t,
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
    unlink_edges(jit, old);
    exits_lead_to(jit, old, t);
    memberships_move(old, t);
    jit_retire(jit, old);
    entry_redirect(jit, old, t);
    jumps_lead_to(vcpu, rip, old, t);
    jit_count_entries(b);
    b->jit = t;
    jit_install(jit, b, rip);
    if (has_place)
        place_set(jit, b);
    members_add(r, t, path);
    jit->stats.regions++;
    jit->stats.parts += path->part_count;
    jit->stats.region_insns += t->insns;
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

COLD void region_grow(struct vcpu *vcpu, struct block *b, uint64_t rip)
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
    b->jit->way->looks = LOOKS_DONE;
    jit->stats.ways++;
    path_choose(vcpu, b, b->jit->way, jit->copies, &path);
    code_memory_join(&jit->memory, jit->memory.used + JIT_BLOCK_ROOM);
    if (is_worth_it(jit, &path) && (t = jit_translate(jit, &path)))
        replace(vcpu, b, rip, t, &path);
}
