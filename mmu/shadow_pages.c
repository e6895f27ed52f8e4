/* SPDX-License-Identifier: MIT */
/*
 * The shadow's tables: frames, lookup, links upwards and reverse maps, eviction.
 *
 * Every entry in use is in one list: of its child's parents, or of the RAM page that it maps
 * (page_note.rmap). The links stand beside the frame, one per entry, so that taking any entry out
 * of its list is immediate, however long a hostile guest makes it.
 */
#include <stdlib.h>
#include <string.h>

#include "mmu/shadow.h"

#define PATHS_MAX 4096 /* ways up from an entry: beyond, the arrays are flushed instead */

/* ---- lists of entries ---- */

static uint32_t place_of(const struct shadow_page *sp, unsigned slot)
{
    return sp->index * SHADOW_ENTRIES + slot + 1;
}

static struct shadow_link *link_at(const struct shadow *sh, uint32_t place)
{
    return &shadow_page_of(sh, place)->link[(place - 1) % SHADOW_ENTRIES];
}

/* The list that an entry belongs to; NULL: none, there is no RAM. */
static uint32_t *list_of(const struct shadow *sh, const struct shadow_page *sp, unsigned slot,
                         uint64_t e)
{
    if (sp->role.level > 1)
        return &shadow_child(sh, e)->parents;
    return e & PTE_P ? &physmem_note(sh->mv->pm, sp->gpa[slot])->rmap : NULL;
}

static void list_add(struct shadow *sh, struct shadow_page *sp, unsigned slot, uint32_t *list)
{
    if (!list)
        return;
    sp->link[slot] = (struct shadow_link){.next = *list};
    if (*list)
        link_at(sh, *list)->prev = place_of(sp, slot);
    *list = place_of(sp, slot);
}

static void list_remove(struct shadow *sh, struct shadow_page *sp, unsigned slot, uint32_t *list)
{
    if (!list)
        return;
    const struct shadow_link *at = &sp->link[slot];
    if (at->prev)
        link_at(sh, at->prev)->next = at->next;
    else
        *list = at->next;
    if (at->next)
        link_at(sh, at->next)->prev = at->prev;
}

/* ---- the arrays ---- */

static void flush_all(struct mmu_vm *mv)
{
    for (struct mmu_private *p = mv->vcpus; p; p = p->next)
        for (unsigned i = 0; i < p->spaces; i++)
            if (p->space[i].filled)
                vtlb_flush_space(&p->space[i]);
}

/* Drop [lo, lo + size) of what sp translates, in every space that reaches it. False: too many ways.
 */
static bool drop_upwards(struct shadow *sh, const struct shadow_page *sp, laddr lo, uint64_t size,
                         unsigned *paths)
{
    if (++*paths > PATHS_MAX)
        return false;
    for (struct space *s = sp->spaces; s; s = s->shadow_next) {
        laddr la = sp->role.level == 4 ? (laddr)sext(lo, 48) : lo;
        if (size == PAGE_SIZE)
            vtlb_drop_page(s, la);
        else
            vtlb_drop_range(s, la, size);
    }
    for (uint32_t at = sp->parents; at; at = link_at(sh, at)->next) {
        const struct shadow_page *up = shadow_page_of(sh, at);
        laddr base = (laddr)((at - 1) % SHADOW_ENTRIES) << shadow_shift(up->role.level);
        if (!drop_upwards(sh, up, base + lo, size, paths))
            return false;
    }
    return true;
}

static void drop_entry(struct shadow *sh, const struct shadow_page *sp, unsigned slot)
{
    unsigned shift = shadow_shift(sp->role.level), paths = 0;
    mmu_mapping_changed(sh->mv);
    if (!drop_upwards(sh, sp, (laddr)slot << shift, BIT(shift), &paths))
        flush_all(sh->mv);
}

/* ---- entries ---- */

void shadow_clear(struct shadow *sh, struct shadow_page *sp, unsigned slot)
{
    uint64_t e = shadow_entry(sh, sp, slot);
    if (!shadow_in_use(e))
        return;
    list_remove(sh, sp, slot, list_of(sh, sp, slot, e));
    shadow_put(sh, sp, slot, 0);
    sh->mv->counters.shadow_zapped++;
}

void shadow_zap(struct shadow *sh, struct shadow_page *sp, unsigned slot)
{
    if (!shadow_in_use(shadow_entry(sh, sp, slot)))
        return;
    drop_entry(sh, sp, slot);
    shadow_clear(sh, sp, slot);
}

void shadow_link_child(struct shadow *sh, struct shadow_page *sp, unsigned slot,
                       struct shadow_page *child, uint64_t rights)
{
    uint64_t old = shadow_entry(sh, sp, slot);
    uint64_t e = shadow_hpa(sh, child) | rights | PTE_P | PTE_A;
    if (old == e)
        return;
    bool is_same = (old & PTE_P) && shadow_child(sh, old) == child;
    if (!is_same)
        shadow_zap(sh, sp, slot);
    shadow_put(sh, sp, slot, e);
    if (!is_same)
        list_add(sh, sp, slot, &child->parents);
}

/* RAM's page in machine memory, or what says that there is none; the page of a write was prepared
 * before. */
static uint64_t leaf_entry(const struct shadow *sh, paddr gpa, uint64_t rights)
{
    const struct physmem *pm = sh->mv->pm;
    const uint8_t *host = physmem_peek_host(pm, gpa);
    if (!host)
        return rights | SHADOW_MMIO;
    bool is_plain = !physmem_state(pm, gpa);
    uint64_t dirty = is_plain && (rights & PTE_RW) ? PTE_D : 0;
    return (uint64_t)(host - pm->host) | (is_plain ? rights : rights & ~PTE_RW) | dirty | PTE_P |
           PTE_A;
}

void shadow_map(struct shadow *sh, struct shadow_page *sp, unsigned slot, paddr gpa,
                uint64_t rights)
{
    uint64_t e = leaf_entry(sh, gpa, rights), old = shadow_entry(sh, sp, slot);
    bool is_same = shadow_in_use(old) && sp->gpa[slot] == gpa &&
                   !((old ^ e) & (PTE_P | PTE_FRAME | SHADOW_MMIO));
    if (!is_same)
        shadow_zap(sh, sp, slot);
    shadow_put(sh, sp, slot, e);
    sp->gpa[slot] = gpa;
    sp->has_writable |= (e & PTE_RW) != 0;
    sp->has_mmio |= (e & SHADOW_MMIO) != 0;
    if (!is_same)
        list_add(sh, sp, slot, list_of(sh, sp, slot, e));
}

/* ---- order of use ---- */

static void age_unlink(struct shadow *sh, struct shadow_page *sp)
{
    if (sp->older)
        sp->older->newer = sp->newer;
    else
        sh->oldest = sp->newer;
    if (sp->newer)
        sp->newer->older = sp->older;
    else
        sh->newest = sp->older;
}

static void age_append(struct shadow *sh, struct shadow_page *sp)
{
    sp->older = sh->newest;
    sp->newer = NULL;
    if (sh->newest)
        sh->newest->newer = sp;
    else
        sh->oldest = sp;
    sh->newest = sp;
    sp->touched = sh->clock;
}

void shadow_touch(struct shadow *sh, struct shadow_page *sp)
{
    age_unlink(sh, sp);
    age_append(sh, sp);
}

void shadow_begin(struct shadow *sh)
{
    sh->clock++;
}

/* ---- finding ---- */

static bool role_is_same(const struct shadow_role *a, const struct shadow_role *b)
{
    return a->level == b->level && a->format == b->format && a->quadrant == b->quadrant &&
           a->key == b->key && a->maxphyaddr == b->maxphyaddr && a->is_direct == b->is_direct &&
           a->pse == b->pse && a->nxe == b->nxe && a->pge1g == b->pge1g;
}

static struct shadow_page **bucket(struct shadow *sh, paddr table, const struct shadow_role *role)
{
    uint64_t h = (table >> PAGE_SHIFT) * 8 + role->level * 2u + role->quadrant;
    return &sh->hash[(h ^ h >> 10 ^ h >> 20) % SHADOW_HASH];
}

void shadow_update_trace(struct shadow *sh, paddr table)
{
    struct page_note *note = physmem_note(sh->mv->pm, table);
    const struct shadow_page *sp = note ? note->shadow : NULL;
    while (sp && sp->is_unsync)
        sp = sp->gfn_next;
    if (sp)
        physmem_set_state(sh->mv->pm, table, PAGE_TRACED);
    else
        physmem_clear_state(sh->mv->pm, table, PAGE_TRACED);
}

static void note_add(struct shadow *sh, struct shadow_page *sp)
{
    struct page_note *note = physmem_note(sh->mv->pm, sp->table);
    sp->gfn_next = note->shadow;
    note->shadow = sp;
    shadow_update_trace(sh, sp->table);
}

static void note_remove(struct shadow *sh, struct shadow_page *sp)
{
    struct shadow_page **at = &physmem_note(sh->mv->pm, sp->table)->shadow;
    while (*at != sp)
        at = &(*at)->gfn_next;
    *at = sp->gfn_next;
    shadow_update_trace(sh, sp->table);
}

static void hash_remove(struct shadow *sh, struct shadow_page *sp)
{
    struct shadow_page **at = bucket(sh, sp->table, &sp->role);
    while (*at != sp)
        at = &(*at)->hash_next;
    *at = sp->hash_next;
}

/* ---- frames ---- */

/* A page with an empty frame, in no list. NULL: no memory. */
static struct shadow_page *frame_get(struct shadow *sh)
{
    if (!sh->free && sh->used == sh->mv->config.frames.count) {
        if (!sh->oldest || sh->oldest->touched == sh->clock)
            return NULL;
        sh->mv->counters.shadow_evicted++;
        shadow_free_page(sh, sh->oldest);
    }
    struct shadow_page *sp = sh->free;
    if (sp) {
        sh->free = sp->hash_next;
        *sp = (struct shadow_page){.index = sp->index};
        memset(shadow_frame(sh, sp), 0, PAGE_SIZE);
        return sp;
    }
    sp = calloc(1, sizeof(*sp));
    if (!sp)
        return NULL;
    sp->index = sh->used;
    sh->page[sh->used++] = sp;
    memset(shadow_frame(sh, sp), 0, PAGE_SIZE);
    return sp;
}

struct shadow_page *shadow_get(struct shadow *sh, paddr table, const struct shadow_role *role)
{
    struct shadow_page **head = bucket(sh, table, role);
    for (struct shadow_page *sp = *head; sp; sp = sp->hash_next) {
        if (sp->table != table || !role_is_same(&sp->role, role))
            continue;
        shadow_touch(sh, sp);
        if (sp->is_unsync)
            shadow_sync(sh, sp);
        else if (!sp->parents && !sp->spaces)
            sh->mv->counters.shadow_reused++;
        return sp;
    }
    struct shadow_page *sp = frame_get(sh);
    if (!sp)
        return NULL;
    sp->table = table;
    sp->role = *role;
    sp->hash_next = *head;
    *head = sp;
    age_append(sh, sp);
    if (!role->is_direct)
        note_add(sh, sp);
    sh->mv->counters.shadow_pages++;
    return sp;
}

struct shadow_page *shadow_get_private(struct shadow *sh)
{
    struct shadow_page *sp = frame_get(sh);
    if (!sp)
        return NULL;
    sp->is_private = true;
    sp->role = (struct shadow_role){.level = 3};
    age_append(sh, sp);
    sh->mv->counters.shadow_pages++;
    return sp;
}

void shadow_detach(struct shadow *sh, struct shadow_page *sp)
{
    mmu_mapping_changed(sh->mv);
    while (sp->parents)
        shadow_zap(sh, shadow_page_of(sh, sp->parents), (sp->parents - 1) % SHADOW_ENTRIES);
    while (sp->spaces) {
        struct space *s = sp->spaces;
        sp->spaces = s->shadow_next;
        s->shadow = NULL;
        s->shadow_next = NULL;
        vtlb_flush_space(s);
    }
}

void shadow_free_page(struct shadow *sh, struct shadow_page *sp)
{
    shadow_detach(sh, sp);
    for (unsigned i = 0; i < SHADOW_ENTRIES; i++)
        shadow_clear(sh, sp, i);
    age_unlink(sh, sp);
    if (!sp->is_private)
        hash_remove(sh, sp);
    if (!sp->is_private && !sp->role.is_direct)
        note_remove(sh, sp);
    sp->hash_next = sh->free;
    sh->free = sp;
}

void shadow_free_all(struct shadow *sh)
{
    while (sh->oldest)
        shadow_free_page(sh, sh->oldest);
}

struct shadow *shadow_create(struct mmu_vm *mv)
{
    struct shadow *sh = calloc(1, sizeof(*sh));
    if (!sh)
        return NULL;
    sh->mv = mv;
    sh->page = calloc(mv->config.frames.count, sizeof(*sh->page));
    if (!sh->page) {
        free(sh);
        return NULL;
    }
    return sh;
}

void shadow_destroy(struct shadow *sh)
{
    if (!sh)
        return;
    shadow_free_all(sh);
    for (unsigned i = 0; i < sh->used; i++)
        free(sh->page[i]);
    free(sh->page);
    free(sh);
}
