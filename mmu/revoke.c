/* SPDX-License-Identifier: MIT */
/*
 * Taking cached host addresses away: of a page that may no longer be written fast, that moved, or
 * that answers differently now.
 *
 * Fast writes are revoked often (each new table or code page), so every page remembers where write
 * arrays may hold it: four slots of {valid, la >> 12 & 7FFFh}. A fifth address takes the oldest
 * one's entries away, so the four are always complete and a revocation never searches the arrays.
 * Revoked entries become VTLB_SLOW ones: the translation is still good.
 */
#include "mmu/mmu_priv.h"

#define HINT_VALID 0x8000u
#define HINT_MASK 0x7fffu
#define HINTS 4

static uint64_t host_number(const uint8_t *host)
{
    return (uint64_t)(uintptr_t)host;
}

/* Is e a fast entry (read or write) that leads to this host page? */
static bool leads_to(const struct vtlb_entry *e, uint64_t host)
{
    return vtlb_is_fast(e) && e->tag + e->addend == host;
}

/* Make the fast write entries slow which a space has for page at one hint. */
static void space_revoke_hint(struct space *s, unsigned hint, paddr page, uint64_t host)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        size_t entries = s->entries[c];
        struct vtlb_entry *a = s->array[c][ACCESS_WRITE];
        for (size_t i = hint & HINT_MASK & (entries - 1); a && i < entries; i += HINT_MASK + 1) {
            struct vtlb_entry *e = &a[i];
            if (leads_to(e, host)) {
                *e = (struct vtlb_entry){.tag = vtlb_slow_tag(e->tag), .addend = page - e->tag};
                s->owner->counters.dropped++;
            }
        }
    }
}

static void revoke_hint(struct mmu_vm *mv, unsigned hint, paddr page, uint64_t host)
{
    for (struct mmu_private *p = mv->vcpus; p; p = p->next) {
        mmu_close_window(p);
        for (unsigned i = 0; i < p->spaces; i++)
            if (p->space[i].filled)
                space_revoke_hint(&p->space[i], hint, page, host);
    }
}

void revoke_note_fill(struct mmu_vm *mv, paddr page, const uint8_t *host, laddr la)
{
    struct page_note *note = physmem_note(mv->pm, page);
    uint64_t hint = HINT_VALID | (la >> PAGE_SHIFT & HINT_MASK);
    if (!note)
        return;
    for (unsigned i = 0; i < HINTS; i++) {
        uint64_t have = note->write_hint >> 16 * i & 0xffff;
        if (have == hint)
            return;
        if (!have) {
            note->write_hint |= hint << 16 * i;
            return;
        }
    }
    revoke_hint(mv, (unsigned)note->write_hint & 0xffff, page, host_number(host));
    note->write_hint = note->write_hint >> 16 | hint << 48;
}

/* All pages at once (a dirty log was collected): current spaces now, the others before they are
 * next used. */
static void revoke_all_writes(struct mmu_vm *mv)
{
    for (struct mmu_private *p = mv->vcpus; p; p = p->next) {
        for (unsigned i = 0; i < p->spaces; i++)
            p->space[i].writes_stale = p->space[i].filled;
        vtlb_drop_writes(p->current);
    }
}

void revoke_write(void *opaque, paddr page)
{
    struct mmu_vm *mv = opaque;
    for (struct mmu_private *p = mv->vcpus; p; p = p->next)
        mmu_close_window(p);
    if (page == UINT64_MAX) {
        revoke_all_writes(mv);
        return;
    }
    struct page_note *note = physmem_note(mv->pm, page);
    const uint8_t *host = physmem_peek_host(mv->pm, page);
    if (!note || !host)
        return;
    for (uint64_t hints = note->write_hint; hints; hints >>= 16)
        revoke_hint(mv, hints & 0xffff, page, host_number(host));
    note->write_hint = 0;
}

/* Drop the fast entries that lead to host; with is_all also what leads to the physical page by
 * other arrays. */
static void space_drop_frame(struct space *s, uint64_t host, paddr page, bool is_all)
{
    mmu_close_window(s->owner);
    for (unsigned c = 0; c < CLASSES; c++) {
        if (is_all)
            vtlb_fetch_dropped(s, c, 0, 0);
        for (unsigned k = 0; k < ARRAYS && s->array[c][0]; k++) {
            struct vtlb_entry *e = s->array[c][k];
            for (size_t i = 0; i < s->entries[c]; i++) {
                bool is_host = k != ACCESS_FETCH && host && leads_to(&e[i], host);
                bool is_slow = (k == ACCESS_FETCH) != !!(e[i].tag & VTLB_SLOW);
                bool is_pa = is_all && is_slow && vtlb_holds(&e[i]) &&
                             vtlb_page(&e[i]) + e[i].addend == page;
                if (is_host || is_pa) {
                    vtlb_drop(&e[i]);
                    s->owner->counters.dropped++;
                    if (k == ACCESS_FETCH)
                        vtlb_fetch_left(s, c);
                }
            }
        }
    }
}

static void drop_frame(struct mmu_vm *mv, paddr page, bool is_all)
{
    uint64_t host = host_number(physmem_peek_host(mv->pm, page));
    for (struct mmu_private *p = mv->vcpus; p; p = p->next)
        for (unsigned i = 0; i < p->spaces; i++)
            if (p->space[i].filled)
                space_drop_frame(&p->space[i], host, page & PAGE_MASK, is_all);
}

/* The frame moves: translations to the physical page (fetches, slow entries) stay right. Rare, so a
 * search. */
void revoke_all(void *opaque, paddr page)
{
    drop_frame(opaque, page, false);
}

void revoke_page(struct mmu_vm *mv, paddr page)
{
    drop_frame(mv, page, true);
}
