/* SPDX-License-Identifier: MIT */
/*
 * Inside of physmem, shared by physmem.c, physmem_dirty.c and the virtual TLB's coherence (table.c,
 * revoke.c), which keeps one small record per physical page here because the page index is found
 * here. Nobody outside mmu/ includes it.
 */
#pragma once

#include "mmu/physmem.h"

#define PHYS_RANGES 32

struct table_page;
struct shadow_page;

/* What the virtual TLB remembers of a physical page (owned by table.c and revoke.c, zero at
 * creation). */
struct page_note {
    union {
        struct table_page *table;   /* owned by the mmu_vm: users of the page as a paging structure, or NULL */
        struct shadow_page *shadow; /* with MMU_SHADOW: its shadows, linked by gfn_next */
    };
    uint32_t rmap;       /* with MMU_SHADOW: first shadow entry that maps the page (shadow.h), 0: none */
    uint64_t write_hint; /* four 16-bit slots: where write arrays may hold this page (revoke.c) */
};

struct phys_range {
    paddr gpa;       /* first byte */
    uint64_t size;   /* bytes, whole pages */
    bool is_rom;     /* as given to physmem_add */
    haddr *frame;    /* owned; per page: where it lives in machine memory, if not PAGE_ABSENT */
    uint64_t *lines; /* owned; per page: 64-byte lines covered by decoded blocks */
    struct page_note *note; /* owned; per page */
    uint8_t *state;         /* owned; per page: enum page_state bits */
    uint8_t *dirty;         /* owned; per page: BIT(enum dirty_consumer) */
};

/* The pages that became dirty since a consumer's last collection. */
struct dirty_list {
    uint64_t *page; /* owned; page numbers (pa >> PAGE_SHIFT), each once, unsorted */
    uint64_t
        *spare;   /* owned; the buffer of the previous collection, of the same capacity, or NULL */
    size_t count; /* used entries of page */
    size_t capacity; /* allocated entries of page */
    bool scan;       /* the list is not complete: look at every page's dirty byte */
};

struct physmem {
    uint8_t *host;                     /* borrowed: machine memory; haddr are offsets */
    const struct backing_ops *backing; /* borrowed; NULL when nothing is ever absent or shared */
    void *backing_opaque;              /* of backing */
    struct page_event_ops events;      /* never NULL members */
    void *code_opaque;                 /* of events.code_written */
    void *mmu_opaque;                  /* of traced_written, revoke_write, revoke_all */
    void *watch_opaque;                /* of watched_written */
    unsigned count;                    /* used entries of range and by_size */
    struct phys_range *range[PHYS_RANGES];   /* owned; ascending */
    struct phys_range *by_size[PHYS_RANGES]; /* the same, biggest first: the order of lookup */
    uint8_t consumers;                       /* BIT(enum dirty_consumer) of those that are on */
    struct dirty_list log[DIRTY_CONSUMERS];  /* per consumer */
};

/* A page, found. */
struct page_ref {
    struct phys_range *r; /* its range */
    size_t i;             /* its index there */
};

/* Two or three ranges, the biggest first: cheaper than any index. */
ALWAYS_INLINE bool physmem_find(const struct physmem *pm, paddr pa, struct page_ref *ref)
{
    for (unsigned k = 0; k < pm->count; k++) {
        struct phys_range *r = pm->by_size[k];
        if (likely(pa - r->gpa < r->size)) {
            *ref = (struct page_ref){r, (size_t)((pa - r->gpa) >> PAGE_SHIFT)};
            return true;
        }
    }
    return false;
}

/* The virtual TLB's note on the page of pa; NULL if pa is not RAM. */
ALWAYS_INLINE struct page_note *physmem_note(const struct physmem *pm, paddr pa)
{
    struct page_ref ref;
    return physmem_find(pm, pa, &ref) ? &ref.r->note[ref.i] : NULL;
}

/* The host address of the page of pa as it is now; NULL if pa is not RAM or has no frame. Asks
 * nobody. */
ALWAYS_INLINE uint8_t *physmem_peek_host(const struct physmem *pm, paddr pa)
{
    struct page_ref ref;
    if (!physmem_find(pm, pa, &ref) || (ref.r->state[ref.i] & PAGE_ABSENT))
        return NULL;
    return pm->host + (size_t)ref.r->frame[ref.i];
}

/* Log the page dirty for every consumer that is on, and clear PAGE_CLEAN. */
void physmem_mark_dirty(struct physmem *pm, struct page_ref ref);

/* A new range: everything in it is dirty for every consumer that is on. */
void physmem_dirty_range(struct physmem *pm, struct phys_range *r);
