/* SPDX-License-Identifier: MIT */
/*
 * -mmu nested: a miss walks the guest's tables, and every guest-physical address on the way, the
 * translation at the end included, walks the monitor's nested tables (AMD APM Vol. 2, "Nested
 * Paging"). A walk of n guest levels costs (n + 1) * (m + 1) - 1 references with m nested levels:
 * 24 for 4 and 4.
 *
 * Nested tables are in the host's paging formats: 4-level, PAE or legacy. They are filled by
 * violations, with the largest page that is RAM throughout, contiguous in machine memory and
 * aligned there. They say where RAM is and not what may be done with it fast: coherence with the
 * guest's tables (which nested paging leaves to the guest) is still the arrays' own (table.c), so
 * that what a guest sees does not depend on the kind of translation.
 */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "mmu/mmu_priv.h"

#define TLB_ENTRIES 64 /* of the nested TLB */

struct nested_tlb {
    paddr page; /* guest-physical; UINT64_MAX: empty */
    haddr hpa;  /* of it */
    bool is_writable;
};

struct nested {
    struct mmu_vm *mv;    /* borrowed */
    unsigned used;        /* frames in use; frame 0 is the root */
    unsigned levels;      /* of the format */
    unsigned index_bits;  /* of an entry in its table */
    unsigned entry_bytes; /* 4 or 8 */
    struct nested_tlb tlb[TLB_ENTRIES];
};

/* Where a walk ended. */
struct nested_at {
    haddr table;    /* of the last entry read */
    uint64_t entry; /* as read */
    unsigned level; /* of the table */
};

static unsigned level_shift(const struct nested *n, unsigned level)
{
    return PAGE_SHIFT + n->index_bits * (level - 1);
}

static uint8_t *entry_at(const struct nested *n, haddr table, unsigned level, paddr gpa)
{
    unsigned index = (unsigned)(gpa >> level_shift(n, level)) & (unsigned)low_mask(n->index_bits);
    const struct mmu_frames *f = &n->mv->config.frames;
    return f->host + (size_t)(table - f->hpa) + (size_t)index * n->entry_bytes;
}

static uint64_t entry_load(const struct nested *n, haddr table, unsigned level, paddr gpa)
{
    return le_load(entry_at(n, table, level, gpa), n->entry_bytes);
}

static void entry_store(struct nested *n, haddr table, unsigned level, paddr gpa, uint64_t e)
{
    le_store(entry_at(n, table, level, gpa), e, n->entry_bytes);
}

static void tlb_clear(struct nested *n)
{
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        n->tlb[i].page = UINT64_MAX;
}

static haddr root_of(const struct nested *n)
{
    return n->mv->config.frames.hpa;
}

static void drop_tables(struct nested *n)
{
    n->used = 1;
    memset(n->mv->config.frames.host, 0, PAGE_SIZE);
    tlb_clear(n);
}

/* ---- the walk ---- */

static bool is_leaf(unsigned level, uint64_t e)
{
    return level == 1 || (e & PTE_PS);
}

/* Follow gpa as far as entries are present; refs counts what is read. True: at a leaf. */
static bool descend(const struct nested *n, paddr gpa, struct nested_at *at, uint64_t *refs)
{
    *at = (struct nested_at){.table = root_of(n), .level = n->levels};
    for (;; at->level--) {
        at->entry = entry_load(n, at->table, at->level, gpa);
        ++*refs;
        if (!(at->entry & PTE_P))
            return false;
        if (is_leaf(at->level, at->entry))
            return true;
        at->table = at->entry & PTE_FRAME;
    }
}

static haddr leaf_hpa(const struct nested *n, const struct nested_at *at, paddr gpa)
{
    uint64_t offset = low_mask(level_shift(n, at->level));
    return (at->entry & PTE_FRAME & ~offset) | (gpa & offset & PAGE_MASK);
}

/* Beyond what the format can address there is no RAM (the monitor sees to that). */
static bool is_in_reach(const struct nested *n, paddr gpa)
{
    return !(gpa >> (n->levels == 4 ? 48 : 32));
}

/* ---- violations ---- */

/* Is [gpa, gpa + size) RAM throughout, at one place of machine memory, which is *hpa? */
static bool is_contiguous(const struct nested *n, paddr gpa, uint64_t size, haddr *hpa)
{
    const struct physmem *pm = n->mv->pm;
    struct page_ref ref;
    if (!physmem_find(pm, gpa, &ref) || ref.r->gpa + ref.r->size - gpa < size || ref.r->is_rom)
        return false;
    *hpa = ref.r->frame[ref.i];
    for (size_t i = 0; i < size >> PAGE_SHIFT; i++)
        if ((ref.r->state[ref.i + i] & (PAGE_ABSENT | PAGE_COW)) ||
            ref.r->frame[ref.i + i] != *hpa + i * PAGE_SIZE)
            return false;
    return !(*hpa & (size - 1));
}

/* The level of the largest page that may map gpa, below a table of level `top`, and where it lies.
 */
static unsigned choose_level(const struct nested *n, paddr gpa, unsigned top, haddr *hpa)
{
    for (unsigned level = top; level > 1; level--) {
        unsigned shift = level_shift(n, level);
        bool has_size = level == 2 || (level == 3 && n->levels == 4);
        if (has_size && shift <= n->mv->config.nested_page_shift &&
            is_contiguous(n, gpa & ~low_mask(shift), BIT(shift), hpa))
            return level;
    }
    const uint8_t *host = physmem_peek_host(n->mv->pm, gpa);
    *hpa = (haddr)(host - n->mv->pm->host);
    return 1;
}

static void count_page(struct mmu_vm *mv, unsigned level)
{
    mv->counters.nested_4k += level == 1;
    mv->counters.nested_2m += level == 2;
    mv->counters.nested_1g += level == 3;
}

/* An empty table; 0: no frame is left. */
static haddr table_make(struct nested *n)
{
    const struct mmu_frames *f = &n->mv->config.frames;
    if (n->used == f->count)
        return 0;
    memset(f->host + (size_t)n->used * PAGE_SIZE, 0, PAGE_SIZE);
    return f->hpa + (haddr)n->used++ * PAGE_SIZE;
}

/* PDPTEs of the PAE format have no rights. */
static uint64_t table_rights(const struct nested *n, unsigned level)
{
    return n->levels == 3 && level == 3 ? PTE_P : PTE_P | PTE_RW | PTE_US | PTE_A;
}

/* Map the page of gpa, whose walk stopped at *at. It is RAM, and has a frame. False: no frame for
 * the tables. */
static bool map(struct nested *n, paddr gpa, struct nested_at at)
{
    const struct physmem *pm = n->mv->pm;
    bool is_writable = !(physmem_state(pm, gpa) & (PAGE_ROM | PAGE_COW));
    haddr hpa;
    unsigned level = choose_level(n, gpa, at.level, &hpa);
    for (; at.level > level; at.level--) {
        haddr table = table_make(n);
        if (!table)
            return false;
        entry_store(n, at.table, at.level, gpa, table | table_rights(n, at.level));
        at.table = table;
    }
    uint64_t large = level > 1 ? PTE_PS : 0, rw = is_writable ? PTE_RW | PTE_D : 0;
    entry_store(n, at.table, level, gpa, hpa | large | rw | PTE_P | PTE_US | PTE_A);
    count_page(n->mv, level);
    return true;
}

/* Bring the frame and map it. False: there is no RAM. */
static bool violation(struct nested *n, paddr gpa, bool is_write, struct nested_at *at)
{
    uint8_t state;
    uint64_t ignored = 0;
    n->mv->counters.violations++;
    if (is_write ? !physmem_begin_write(n->mv->pm, gpa, &state) : !physmem_page(n->mv->pm, gpa))
        return false;
    if (descend(n, gpa, at, &ignored)) /* an entry that does not allow the write */
        entry_store(n, at->table, at->level, gpa, 0);
    if (!map(n, gpa, *at)) {
        n->mv->counters.nested_evicted++;
        drop_tables(n);
        descend(n, gpa, at, &ignored);
        map(n, gpa, *at);
    }
    return descend(n, gpa, at, &ignored);
}

/* The walk of one guest-physical address on behalf of p, and what it comes to: *hpa of its page.
 * False: there is no RAM. */
static bool walk_nested(struct mmu_private *p, paddr gpa, bool is_write, haddr *hpa)
{
    struct nested *n = p->mv->nested;
    struct nested_tlb *t = &n->tlb[gpa >> PAGE_SHIFT & (TLB_ENTRIES - 1)];
    struct nested_at at;
    if (unlikely(!is_in_reach(n, gpa))) {
        p->counters.mmio_faults++;
        return false;
    }
    if (!p->mv->config.no_walk_caches && t->page == (gpa & PAGE_MASK) &&
        (t->is_writable || !is_write)) {
        p->counters.nested_hits++;
        *hpa = t->hpa;
        return true;
    }
    p->counters.nested_walks++;
    bool is_mapped =
        descend(n, gpa, &at, &p->counters.nested_refs) && (!is_write || (at.entry & PTE_RW));
    if (unlikely(!is_mapped) && !violation(n, gpa, is_write, &at)) {
        p->counters.mmio_faults++;
        return false;
    }
    *hpa = leaf_hpa(n, &at, gpa);
    *t =
        (struct nested_tlb){.page = gpa & PAGE_MASK, .hpa = *hpa, .is_writable = at.entry & PTE_RW};
    return true;
}

const uint8_t *nested_frame(struct mmu_private *p, paddr gpa)
{
    haddr hpa;
    return walk_nested(p, gpa, false, &hpa) ? p->pm->host + (size_t)hpa : NULL;
}

/* ---- the interface ---- */

/* APM Vol. 2, "Nested Paging": a PAE guest's PDPTEs are read by every walk, not held in registers.
 * Only the reference is made: what the guest sees is the registers (SDM Vol. 3A, "PDPTE
 * Registers"). */
static void refer_to_pdpte(struct space *s, laddr la)
{
    struct mmu_private *p = s->owner;
    haddr hpa;
    if (!p->mv->config.is_pdpte_in_memory || s->ctx.guest.format != MMU_PAE)
        return;
    walk_nested(p, s->ctx.guest.root + 8 * (la >> 30 & 3), false, &hpa);
    p->counters.pdpte_refs++;
}

static bool nested_miss(struct space *s, unsigned class, laddr la, enum access access,
                        struct translation *t, struct fault *fault)
{
    haddr hpa;
    refer_to_pdpte(s, la);
    if (!direct_miss(s, class, la, access, t, fault))
        return false;
    walk_nested(s->owner, t->pa, access == ACCESS_WRITE, &hpa);
    return true;
}

static bool nested_translate(struct space *s, unsigned class, laddr la, enum access access,
                             paddr *pa, struct fault *fault)
{
    haddr hpa;
    refer_to_pdpte(s, la);
    if (!direct_translation.translate(s, class, la, access, pa, fault))
        return false;
    walk_nested(s->owner, *pa, access == ACCESS_WRITE, &hpa);
    return true;
}

static void nested_drop_all(struct mmu_vm *mv)
{
    drop_tables(mv->nested);
}

/* Take away the entry, of whatever size, that maps the page. */
static void nested_drop_page(struct mmu_vm *mv, paddr page)
{
    struct nested *n = mv->nested;
    struct nested_at at;
    uint64_t ignored = 0;
    if (is_in_reach(n, page) && descend(n, page, &at, &ignored))
        entry_store(n, at.table, at.level, page, 0);
    tlb_clear(n);
}

/* Only a page that is to move before its next write loses its RW. */
static void nested_revoke_write(void *opaque, paddr page)
{
    struct mmu_vm *mv = opaque;
    if (page != UINT64_MAX && (physmem_state(mv->pm, page) & (PAGE_COW | PAGE_ROM)))
        nested_drop_page(mv, page);
    revoke_write(mv, page);
}

static void nested_revoke_all(void *opaque, paddr page)
{
    nested_drop_page(opaque, page);
    revoke_all(opaque, page);
}

struct nested *nested_create(struct mmu_vm *mv)
{
    static const struct {
        uint8_t levels, index_bits, entry_bytes;
    } geometry[] = {[MMU_LEGACY] = {2, 10, 4}, [MMU_PAE] = {3, 9, 8}, [MMU_LEVEL4] = {4, 9, 8}};
    const struct mmu_vm_config *c = &mv->config;
    unsigned format = c->nested_format == MMU_OFF ? MMU_LEVEL4 : c->nested_format;
    struct nested *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->mv = mv;
    n->levels = geometry[format].levels;
    n->index_bits = geometry[format].index_bits;
    n->entry_bytes = geometry[format].entry_bytes;
    drop_tables(n);
    return n;
}

void nested_destroy(struct nested *n)
{
    free(n);
}

static bool visit_table(const struct nested *n, haddr table, unsigned level, paddr base,
                        bool (*visit)(void *, const struct mmu_table_entry *), void *opaque)
{
    for (unsigned i = 0; i < BIT(n->index_bits); i++) {
        paddr gpa = base + ((paddr)i << level_shift(n, level));
        uint64_t e = entry_load(n, table, level, gpa);
        struct mmu_table_entry out = {.level = level,
                                      .base = gpa,
                                      .value = e,
                                      .table = table,
                                      .is_present = true,
                                      .is_leaf = is_leaf(level, e),
                                      .gpa = gpa};
        if (!(e & PTE_P))
            continue;
        if (!visit(opaque, &out) ||
            (!out.is_leaf && !visit_table(n, e & PTE_FRAME, level - 1, gpa, visit, opaque)))
            return false;
    }
    return true;
}

void nested_visit(const struct nested *n, bool (*visit)(void *, const struct mmu_table_entry *),
                  void *opaque)
{
    visit_table(n, root_of(n), n->levels, 0, visit, opaque);
}

const struct translation_ops nested_translation = {
    .name = "nested",
    .miss = nested_miss,
    .translate = nested_translate,
    .release = table_release_space,
    .drop_all = nested_drop_all,
    .drop_page = nested_drop_page,
    .table_written = table_written,
    .revoke_write = nested_revoke_write,
    .revoke_all = nested_revoke_all,
};
