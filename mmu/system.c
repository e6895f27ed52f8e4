/* SPDX-License-Identifier: MIT */
/*
 * The system's part of address spaces: what the last entry of the highest table translates, the top
 * 512 GiB with four levels of tables, the top GiB with PAE. Systems keep their code there, and give
 * every process the same tables for it. Spaces in which that entry is the same are served by one
 * fetch array with an epoch of its own, so what an engine remembers of the system's code outlives a
 * load of CR3 (decision 0020).
 *
 * The array belongs to a space that is never current. Its tree (table.c) begins with the table that
 * the entry leads to, and needs no space that it serves. A space is served only while a write to
 * its own entry would be noticed, which ends it; PDPTE registers are part of a space's key anyway.
 */
#include "base/endian.h"
#include "mmu/mmu_priv.h"

#define LAST_ENTRY 511u
#define SYSTEM_LEVEL4 UINT64_C(0xffffff8000000000)
#define SYSTEM_PAE UINT64_C(0xc0000000)

bool system_covers(const struct mmu_ctx *ctx, laddr la)
{
    if (ctx->guest.format == MMU_PAE)
        return la >= SYSTEM_PAE && la <= UINT32_MAX;
    return ctx->guest.format == MMU_LEVEL4 && la >= SYSTEM_LEVEL4;
}

/*
 * The entry of s that leads to the system's part. False: a write to it might not be noticed. Where
 * it would be, something was translated by it: it is present, and its A is set.
 */
static bool top_entry(const struct space *s, uint64_t *entry)
{
    const struct table_user *u = s->root[0];
    if (s->ctx.guest.format == MMU_PAE) {
        *entry = s->ctx.guest.pdpte[3];
        return true;
    }
    if (!u || !(u->used[LAST_ENTRY / 64] & BIT(LAST_ENTRY % 64)))
        return false;
    const uint8_t *page = physmem_page(s->owner->pm, u->table->page);
    if (!page)
        return false;
    *entry = le64_load(page + 8 * LAST_ENTRY);
    return true;
}

void system_leave(struct space *s)
{
    if (!s->system)
        return;
    s->system = NULL;
    if (s == s->owner->current)
        view_update(s->owner);
}

/* The system of s: a known one, or the one that nobody has joined for longest made anew. */
static struct space *system_for(struct mmu_private *p, const struct space *s, uint64_t top)
{
    struct space *oldest = p->system;
    for (struct space *y = p->system; y < p->system + SYSTEMS; y++) {
        if (y->last_use && y->top == top && ctx_is_alike(&y->ctx, &s->ctx))
            return y;
        if (y->last_use < oldest->last_use)
            oldest = y;
    }
    for (struct space *o = p->space; o < p->system; o++)
        if (o->system == oldest)
            system_leave(o);
    vtlb_reset_space(oldest);
    oldest->ctx = s->ctx;
    oldest->reserved = s->reserved;
    oldest->top = top;
    return oldest;
}

void system_join(struct mmu_private *p, laddr la)
{
    const struct mmu_vm_config *config = &p->mv->config;
    struct space *s = p->current;
    uint64_t top;
    bool has_one = config->kind == MMU_DIRECT && !config->is_untagged && !config->no_walk_caches;
    if (!has_one || s->wanders || !s->filled || !system_covers(&s->ctx, la) || !top_entry(s, &top))
        return;
    s->system = system_for(p, s, top);
    s->system->last_use = ++p->clock;
    view_update(p);
}

void system_wander(struct mmu_private *p)
{
    p->current->wanders = true;
    system_leave(p->current);
}

/* The walk of y for la from the current space's root, but for the step there. */
static bool walk_from_top(struct space *y, laddr la, struct walk *w, struct fault *fault)
{
    if (y->ctx.guest.format == MMU_PAE)
        return walk_tables(y, CLASS_S, la, ACCESS_FETCH, NULL, w, fault);
    if (!walk_tables(y->owner->current, CLASS_S, la, ACCESS_FETCH, NULL, w, fault))
        return false;
    w->steps--;
    for (unsigned i = 0; i < w->steps; i++)
        w->step[i] = w->step[i + 1];
    return true;
}

bool system_miss(struct space *y, laddr la, struct translation *t, struct fault *fault)
{
    struct walk w;
    struct table_user *from = table_resume(y, la);
    if (!from && y->ctx.guest.format == MMU_LEVEL4)
        from = y->root[0];
    if (from ? !walk_tables(y, CLASS_S, la, ACCESS_FETCH, from, &w, fault)
             : !walk_from_top(y, la, &w, fault))
        return false;
    *t = (struct translation){.pa = w.pa, .cacheable = w.cacheable};
    /* The first try may have started y anew. */
    if (w.cacheable && unlikely(!table_register(y, from, &w, la)))
        t->cacheable = walk_from_top(y, la, &w, fault) && table_register(y, NULL, &w, la);
    return true;
}
