/* SPDX-License-Identifier: MIT */
/*
 * Coherence of the virtual TLB with the guest's tables: which table pages stand behind cached
 * translations, and what a write to one of them drops.
 *
 * Each space keeps a tree of table_users, a mirror of the used part of its paging structures. A bit
 * in `used` says that something was cached through that entry since it was last written.
 * Invariants:
 *  - a cached translation's path is registered, and the used bits of all its entries are set;
 *  - a child use exists only while its parent's bit for it is set, so a write that drops the bit
 * drops the child;
 *  - a table page with users is PAGE_TRACED; without, it is not.
 * A set bit may be stale (its entries were evicted): then a drop finds nothing.
 */
#include <stdlib.h>

#include "mmu/mmu_priv.h"

#define CHUNK_USERS 128

struct user_chunk {
    struct user_chunk *next;             /* of the pool */
    struct table_user user[CHUNK_USERS]; /* handed out by table_register */
};

/* A page written this often without a fill in between is being built, torn down, or is no table any
 * more: let it go. A page table costs little to trace again; the higher ones have much below them.
 */
static unsigned patience(const struct table_page *t)
{
    return t->level == 1 ? 32 : 512;
}

/* ---- the pool ---- */

static bool pool_grow(struct mmu_vm *mv)
{
    struct user_chunk *chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        return false;
    chunk->next = mv->chunks;
    mv->chunks = chunk;
    for (unsigned i = 0; i < CHUNK_USERS; i++) {
        chunk->user[i].next = mv->free_users;
        mv->free_users = &chunk->user[i];
    }
    return true;
}

void table_free_pool(struct mmu_vm *mv)
{
    while (mv->chunks) {
        struct user_chunk *chunk = mv->chunks;
        mv->chunks = chunk->next;
        free(chunk);
    }
    mv->free_users = NULL;
}

/* ---- linking ---- */

/* The record of a table page, traced; NULL if it can't be had. */
static struct table_page *page_get(struct mmu_vm *mv, paddr page)
{
    struct page_note *note = physmem_note(mv->pm, page);
    if (!note || note->table)
        return note ? note->table : NULL;
    struct table_page *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->page = page;
    note->table = t;
    physmem_set_state(mv->pm, page, PAGE_TRACED);
    return t;
}

static void page_put(struct mmu_vm *mv, struct table_page *t)
{
    if (t->users)
        return;
    struct page_note *note = physmem_note(mv->pm, t->page);
    if (note)
        note->table = NULL;
    physmem_clear_state(mv->pm, t->page, PAGE_TRACED);
    free(t);
}

static void user_link(struct table_user *u, struct table_user *parent, struct table_user **root)
{
    struct table_page *t = u->table;
    u->next = t->users;
    if (t->users)
        t->users->prev = u;
    t->users = u;
    u->parent = parent;
    if (!parent) {
        *root = u;
        return;
    }
    u->sib_next = parent->child;
    if (parent->child)
        parent->child->sib_prev = u;
    parent->child = u;
}

/* With the use below gone, nothing is cached through the parent's entry; unless its slot holds two.
 */
static void clear_parents_bit(const struct table_user *u)
{
    const struct mmu_ctx *ctx = &u->space->ctx;
    unsigned shift = walk_slot_shift(ctx, u->parent->level),
             slot = (unsigned)(u->base >> shift) % 512;
    if (shift == u->span_shift)
        u->parent->used[slot / 64] &= ~BIT(slot % 64);
    if (u->parent->level == 4 && slot == 511)
        system_leave(u->space);
}

static void unlink_from_parent(struct table_user *u)
{
    if (!u->parent) {
        for (unsigned i = 0; i < ARRAY_SIZE(u->space->root); i++)
            if (u->space->root[i] == u)
                u->space->root[i] = NULL;
        return;
    }
    if (u->sib_prev)
        u->sib_prev->sib_next = u->sib_next;
    else
        u->parent->child = u->sib_next;
    if (u->sib_next)
        u->sib_next->sib_prev = u->sib_prev;
    clear_parents_bit(u);
}

/* A childless user goes back to the pool. */
static void user_free(struct table_user *u)
{
    struct mmu_vm *mv = u->space->owner->mv;
    struct table_page *t = u->table;
    assert(!u->child);
    unlink_from_parent(u);
    if (u->prev)
        u->prev->next = u->next;
    else
        t->users = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->space->users--;
    page_put(mv, t);
    *u = (struct table_user){.next = mv->free_users};
    mv->free_users = u;
}

static struct table_user *user_create(struct space *s, struct table_user *parent,
                                      struct table_user **root, const struct walk_step *step,
                                      laddr la)
{
    struct mmu_vm *mv = s->owner->mv;
    if (!mv->free_users && !pool_grow(mv))
        return NULL;
    struct table_page *t = page_get(mv, step->table);
    if (!t)
        return NULL;
    struct table_user *u = mv->free_users;
    mv->free_users = u->next;
    uint8_t span = (uint8_t)walk_entry_shift(&s->ctx, step->level + 1u);
    *u = (struct table_user){
        .table = t, .space = s, .level = step->level, .span_shift = span, .rights = step->rights};
    u->base = step->level == 4 ? 0 : la & ~low_mask(span);
    if (t->level < u->level)
        t->level = u->level;
    user_link(u, parent, root);
    s->users++;
    return u;
}

/* ---- dropping ---- */

static void drop_slot(struct table_user *u, unsigned slot);

/* Drop all that was cached through u, and u itself with everything below it. A root takes its space
 * along. */
static void drop_user(struct table_user *u)
{
    if (u->level == 4) {
        vtlb_reset_space(u->space);
        return;
    }
    for (unsigned w = 0; w < USED_WORDS; w++)
        while (u->used[w])
            drop_slot(u, 64 * w + (unsigned)__builtin_ctzll(u->used[w]));
    user_free(u);
}

/* Drop the children of u in [lo, lo + size); how many. */
static unsigned drop_children(struct table_user *u, laddr lo, uint64_t size)
{
    unsigned count = 0;
    for (struct table_user *c = u->child, *next; c; c = next) {
        next = c->sib_next;
        if (c->base - lo < size) {
            drop_user(c);
            count++;
        }
    }
    return count;
}

/*
 * Drop what was cached through the entries in one 8-byte slot of u's table: a page, a large page,
 * or all that lies below the next table. A slot of the legacy format holds two entries.
 */
static void drop_slot(struct table_user *u, unsigned slot)
{
    const struct mmu_ctx *ctx = &u->space->ctx;
    unsigned shift = walk_slot_shift(ctx, u->level);
    unsigned entries = 1u << (shift - walk_entry_shift(ctx, u->level));
    laddr lo = u->base + ((laddr)slot << shift);
    if (u->level == 4 &&
        slot >= 256) { /* the system's half goes with a dead process: much, in large pages */
        vtlb_reset_space(u->space);
        return;
    }
    u->used[slot / 64] &= ~BIT(slot % 64);
    if (u->level == 4)
        lo = (laddr)sext(lo, 48);
    if (u->level == 1) {
        for (unsigned i = 0; i < entries; i++)
            vtlb_drop_page(u->space, lo + i * PAGE_SIZE);
        return;
    }
    /* Without a child in it the entry was a large page (a PML4E never is). */
    if (drop_children(u, lo, BIT(shift)) < entries && u->level < 4)
        vtlb_drop_range(u->space, lo, BIT(shift));
}

static void release_tree(struct table_user *u)
{
    while (u->child)
        release_tree(u->child);
    user_free(u);
}

void table_release_space(struct space *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->root); i++)
        if (s->root[i])
            release_tree(s->root[i]);
}

/* ---- registering ---- */

static void mark_used(struct table_user *u, const struct walk_step *step)
{
    unsigned slot = step->offset / 8u;
    u->used[slot / 64] |= BIT(slot % 64);
    u->table->any[slot / 64] |= BIT(slot % 64);
    u->table->writes = 0;
}

/* The registered use, below parent (or at the root), of the table of this step. */
static struct table_user *find_use(struct table_user *parent, struct table_user *root,
                                   const struct walk_step *step, laddr la)
{
    struct table_user *u = root;
    if (parent) {
        u = parent->child;
        while (u && (la ^ u->base) >> u->span_shift)
            u = u->sib_next;
    }
    if (u && u->table->page != step->table) { /* someone wrote the table behind physmem's back */
        drop_user(u);
        return NULL;
    }
    return u;
}

bool table_register(struct space *s, struct table_user *from, const struct walk *w, laddr la)
{
    struct table_user **root = &s->root[s->ctx.guest.format == MMU_PAE ? la >> 30 & 3 : 0];
    struct table_user *u = from;
    if (unlikely(s->users > USERS_MAX)) {
        vtlb_reset_space(s);
        return false;
    }
    s->filled = true;
    for (unsigned i = 0; i < w->steps; i++) {
        if (i || !from) {
            struct table_user *parent = i ? u : NULL;
            u = find_use(parent, *root, &w->step[i], la);
            if (!u)
                u = user_create(s, parent, root, &w->step[i], la);
            if (!u)
                return false;
        }
        mark_used(u, &w->step[i]);
    }
    s->slot[la >> 21 & (WALK_SLOTS - 1)] = u;
    return true;
}

/* ---- the event ---- */

/* The part of [first, last] that word w covers, as a mask of its bits. */
static uint64_t word_mask(unsigned w, unsigned first, unsigned last)
{
    uint64_t mask = UINT64_MAX;
    if (w == first / 64)
        mask &= UINT64_MAX << first % 64;
    if (w == last / 64)
        mask &= UINT64_MAX >> (63 - last % 64);
    return mask;
}

/* Drop through all users what depends on the bits of `mask` in word w. False: the table has lost
 * its last user. */
static bool drop_word(struct mmu_vm *mv, const struct page_note *note, unsigned w, uint64_t mask)
{
    struct table_page *t = note->table;
    for (struct table_user *u = t->users; u;) {
        uint64_t hit = u->used[w] & mask;
        bool own = mv->ad_size && mv->ad_size == (u->space->ctx.guest.format == MMU_LEGACY ? 4 : 8);
        if (!hit || own) {
            u = u->next;
            continue;
        }
        bool may_unlink = u->level > 1;
        mmu_mapping_changed(mv);
        drop_slot(u, 64 * w + (unsigned)__builtin_ctzll(hit));
        if (note->table != t)
            return false;
        if (may_unlink) /* a recursive table may have been its own user below */
            u = t->users;
    }
    return true;
}

static void drop_table(const struct page_note *note, struct table_page *t)
{
    while (note->table == t)
        drop_user(t->users);
}

void table_written(void *opaque, paddr pa, size_t len)
{
    struct mmu_vm *mv = opaque;
    const struct page_note *note = physmem_note(mv->pm, pa);
    struct table_page *t = note ? note->table : NULL;
    unsigned first = (unsigned)(pa & ~PAGE_MASK) / 8;
    unsigned last = (unsigned)((pa & ~PAGE_MASK) + len - 1) / 8;
    if (!t)
        return;
    trace_point(mv->trace, TRACE_tlb_trace_hit, "mmu", pa, len, 0, 0);
    if (!mv->ad_size) {
        mv->counters.traced_writes++;
        if (unlikely(++t->writes > patience(t))) {
            mmu_mapping_changed(mv);
            drop_table(note, t);
            return;
        }
    }
    for (unsigned w = first / 64; w <= last / 64 && w < USED_WORDS; w++) {
        uint64_t mask = word_mask(w, first, last);
        if (!(t->any[w] & mask))
            continue;
        if (!drop_word(mv, note, w, mask))
            return;
        if (!mv->ad_size)
            t->any[w] &= ~mask;
    }
}
