/* SPDX-License-Identifier: MIT */
/*
 * The shadow and its guest tables: trace faults, and page tables that run unsynchronized.
 *
 * A guest's table is write-protected (PAGE_TRACED) while a synchronized shadow of it exists: a
 * write to it comes here, and zaps the entries that mirror what was written. A page table that is
 * written again and again without a fill is let go instead: its shadow is unlinked (so nothing can
 * be reached through it), the protection goes, and writes cost nothing until the next hidden fault
 * there compares the two and links it again. Elsewhere an unsync shadow stays in use, and stale,
 * until the guest flushes the TLB; x86 allows that but does not ask for it, and here what a guest
 * sees must not depend on the kind of translation.
 */
#include "mmu/shadow.h"

/* Higher tables have much below them, and are given up only when they are no tables any more. */
#define PATIENCE_HIGHER 512

static unsigned entry_size(const struct shadow_page *sp)
{
    return sp->role.format == MMU_LEGACY ? 4 : 8;
}

static struct mmu_ctx context_of(const struct shadow_role *role)
{
    return (struct mmu_ctx){.guest = {.format = role->format},
                            .pse = role->pse,
                            .nxe = role->nxe,
                            .pge1g = role->pge1g,
                            .maxphyaddr = role->maxphyaddr};
}

/* ---- unsync ---- */

static void unsync(struct shadow *sh, struct shadow_page *sp)
{
    if (!sp->parents) { /* nobody has used it since it was unlinked: no more than memory */
        shadow_free_page(sh, sp);
        return;
    }
    shadow_detach(sh, sp);
    sp->is_unsync = true;
    sp->writes = 0;
    sh->mv->counters.unsynced++;
    shadow_update_trace(sh, sp->table);
}

/* What the guest's entry allows a leaf that was made from it; 0: nothing any more. */
static uint64_t leaf_now(const struct shadow *sh, const struct shadow_page *sp, unsigned slot,
                         const uint8_t *table)
{
    struct mmu_ctx ctx = context_of(&sp->role);
    size_t index = (size_t)sp->role.quadrant * SHADOW_ENTRIES + slot;
    uint64_t e = entry_size(sp) == 4 ? le32_load(table + index * 4) : le64_load(table + index * 8);
    bool is_same_page = ((e & PTE_FRAME) & ~sh->mv->a20_off) == sp->gpa[slot];
    if (!(e & PTE_P) || !(e & PTE_A) || (e & walk_reserved_bits(&ctx)) || !is_same_page)
        return 0;
    uint64_t rights = e & SHADOW_RIGHTS;
    return (e & PTE_D ? rights : rights & ~PTE_RW) | PTE_P;
}

/* RW may go, and come back by a fault; the rest is the guest's. */
static void sync_leaf(struct shadow *sh, struct shadow_page *sp, unsigned slot,
                      const uint8_t *table)
{
    uint64_t e = shadow_entry(sh, sp, slot);
    if (!shadow_in_use(e))
        return;
    uint64_t now = leaf_now(sh, sp, slot, table);
    if (!now) {
        shadow_clear(sh, sp, slot);
        return;
    }
    uint64_t rw = e & SHADOW_MMIO ? now & PTE_RW : e & now & PTE_RW;
    shadow_put(sh, sp, slot, (e & ~SHADOW_RIGHTS) | (now & SHADOW_RIGHTS & ~PTE_RW) | rw);
}

void shadow_sync(struct shadow *sh, struct shadow_page *sp)
{
    const uint8_t *table = physmem_page(sh->mv->pm, sp->table);
    for (unsigned i = 0; i < SHADOW_ENTRIES; i++)
        sync_leaf(sh, sp, i, table);
    sp->is_unsync = false;
    sh->mv->counters.resynced++;
    shadow_update_trace(sh, sp->table);
}

/* ---- trace faults ---- */

/* The shadow entries that mirror the guest's entry: one, or the two halves of 4 MiB. */
static void zap_mirror(struct shadow *sh, struct shadow_page *sp, unsigned index)
{
    unsigned per = sp->role.format == MMU_LEGACY && sp->role.level == 2 ? 2 : 1;
    unsigned first = index * per;
    if (first / SHADOW_ENTRIES != sp->role.quadrant)
        return;
    for (unsigned i = 0; i < per; i++)
        shadow_zap(sh, sp, first % SHADOW_ENTRIES + i);
}

/* False: sp is gone, or traced no more. */
static bool lose_patience(struct shadow *sh, struct shadow_page *sp)
{
    unsigned limit = sp->role.level == 1 ? sh->mv->config.unsync_writes : PATIENCE_HIGHER;
    if (++sp->writes <= limit || !limit)
        return true;
    if (sp->role.level == 1)
        unsync(sh, sp);
    else
        shadow_free_page(sh, sp);
    return false;
}

void shadow_written(void *opaque, paddr pa, size_t len)
{
    struct mmu_vm *mv = opaque;
    struct shadow *sh = mv->shadow;
    const struct page_note *note = physmem_note(mv->pm, pa);
    unsigned first = (unsigned)(pa & ~PAGE_MASK), last = first + (unsigned)len - 1;
    trace_point(mv->trace, TRACE_tlb_trace_hit, "mmu", pa, len, 0, 0);
    if (!mv->ad_size)
        mv->counters.traced_writes++;
    for (struct shadow_page *sp = note ? note->shadow : NULL, *next; sp; sp = next) {
        unsigned size = entry_size(sp);
        next = sp->gfn_next;
        if (sp->is_unsync || mv->ad_size == size || (!mv->ad_size && !lose_patience(sh, sp)))
            continue;
        for (unsigned i = first / size; i <= last / size && i < PAGE_SIZE / size; i++)
            zap_mirror(sh, sp, i);
    }
}

/* ---- protection of what is mapped ---- */

static void drop_all_rw(struct shadow *sh)
{
    for (unsigned i = 0; i < sh->used; i++) {
        struct shadow_page *sp = sh->page[i];
        if (sp->role.level != 1 || !sp->has_writable)
            continue;
        for (unsigned k = 0; k < SHADOW_ENTRIES; k++) {
            uint64_t e = shadow_entry(sh, sp, k);
            if (e & PTE_P)
                shadow_put(sh, sp, k, e & ~PTE_RW);
        }
        sp->has_writable = false;
    }
}

/* The arrays' fast writes are revoked as ever; the shadow must not give them back. */
void shadow_revoke_write(void *opaque, paddr page)
{
    struct mmu_vm *mv = opaque;
    struct shadow *sh = mv->shadow;
    const struct page_note *note = page == UINT64_MAX ? NULL : physmem_note(mv->pm, page);
    if (page == UINT64_MAX)
        drop_all_rw(sh);
    for (uint32_t at = note ? note->rmap : 0; at;) {
        struct shadow_page *sp = shadow_page_of(sh, at);
        unsigned slot = (at - 1) % SHADOW_ENTRIES;
        shadow_put(sh, sp, slot, shadow_entry(sh, sp, slot) & ~PTE_RW);
        at = sp->link[slot].next;
    }
    revoke_write(mv, page);
}

/* The frame moves: every entry that maps the page goes, by the reverse map. */
void shadow_revoke_all(void *opaque, paddr page)
{
    struct mmu_vm *mv = opaque;
    struct shadow *sh = mv->shadow;
    const struct page_note *note = physmem_note(mv->pm, page);
    while (note && note->rmap)
        shadow_zap(sh, shadow_page_of(sh, note->rmap), (note->rmap - 1) % SHADOW_ENTRIES);
}

/* Entries that only remember a place without RAM are in no list. */
static void zap_mmio(struct shadow *sh, paddr page)
{
    for (unsigned i = 0; i < sh->used; i++) {
        struct shadow_page *sp = sh->page[i];
        for (unsigned k = 0; sp->has_mmio && k < SHADOW_ENTRIES; k++)
            if ((shadow_entry(sh, sp, k) & SHADOW_MMIO) && sp->gpa[k] == page)
                shadow_zap(sh, sp, k);
    }
}

void shadow_drop_page(struct mmu_vm *mv, paddr page)
{
    shadow_revoke_all(mv, page);
    zap_mmio(mv->shadow, page);
}
