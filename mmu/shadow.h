/* SPDX-License-Identifier: MIT */
/*
 * Shadow paging (-mmu shadow): x86-format tables that the monitor keeps for the guest's (design
 * section 5). Inside of mmu/:
 *
 *   shadow.c        the walk of the shadow, and what a shadow page fault does
 *   shadow_pages.c  frames, lookup by {guest table, role}, links, reverse maps, eviction
 *   shadow_trace.c  what a write to a guest table, or a protected page, does
 *
 * A shadow table is in the format of 4-level paging (512 entries of 8 bytes, HPA), whatever the
 * guest's: a guest's table with 1024 entries has two shadows (four at level 2, whose entries map 4
 * MiB). Its key is the guest table's address and its role, so one shadow serves every address space
 * and vCPU that uses that table. Large pages of the guest are split: protection is by 4 KiB.
 * Contexts without four levels hang their level-2 tables below a private table of level 3.
 *
 * An entry is present only while the guest's walk through it would succeed and would change neither
 * A nor D; RW is set in a leaf only while the page may be written without the monitor's knowing. So
 * whatever the shadow allows, the guest allows too. Rights stand in the same entries as the
 * guest's, CR0.WP, SMEP, SMAP and PKRU are the walker's; but a write that the guest is allowed in
 * spite of RW = 0 (CR0.WP = 0) always comes by way of a fault.
 */
#pragma once

#include "base/endian.h"
#include "mmu/mmu_priv.h"

#define SHADOW_ENTRIES 512
#define SHADOW_MMIO BIT(9) /* in a leaf with P = 0: nothing but the bus answers at its gpa */
#define SHADOW_HASH 1024
#define PTE_KEY (UINT64_C(15) << 59)
#define SHADOW_RIGHTS (PTE_RW | PTE_US | PTE_XD | PTE_KEY)

/* The place of an entry: index of its frame * 512 + slot + 1; 0: none. Links entries that map the
 * same thing. */
struct shadow_link {
    uint32_t prev; /* 0: it is the first */
    uint32_t next; /* 0: it is the last */
};

/* What a shadow is of, beside the table's address. */
struct shadow_role {
    uint8_t level;      /* of the shadow: 1..4 */
    uint8_t format;     /* enum mmu_format of the guest's table */
    uint8_t quadrant;   /* which part of a table of 1024 entries */
    uint8_t key;        /* protection key of a split large page */
    uint8_t maxphyaddr; /* of the context */
    bool is_direct; /* part of a large page, or paging is off: `table` is the first byte mapped */
    bool pse, nxe, pge1g; /* of the context: they change what entries mean */
};

struct shadow_page {
    uint32_t index;          /* of its frame */
    struct shadow_role role; /* with table: the key */
    paddr table;             /* the guest's */
    bool is_private;         /* level 3 of one space; in no hash chain */
    bool is_unsync;    /* level 1: not traced, linked nowhere, to be compared before it is used */
    bool has_writable; /* an entry may have RW set */
    bool has_mmio;     /* an entry may be SHADOW_MMIO */
    unsigned writes;   /* traced ones since the last fill through it */
    uint32_t parents;  /* first entry that points here */
    struct space *spaces; /* whose root it is */
    struct shadow_page *hash_next;
    struct shadow_page *gfn_next;      /* in page_note.shadow */
    struct shadow_page *older, *newer; /* by last use */
    uint64_t touched;                  /* clock of the last use */
    struct shadow_link link[SHADOW_ENTRIES];
    paddr gpa[SHADOW_ENTRIES]; /* level 1: what leaves map */
};

struct shadow {
    struct mmu_vm *mv;                     /* borrowed */
    struct shadow_page **page;             /* owned, each owned; by frame, NULL until first used */
    unsigned used;                         /* frames that were ever used */
    struct shadow_page *free;              /* linked by hash_next */
    struct shadow_page *oldest, *newest;   /* in use */
    struct shadow_page *hash[SHADOW_HASH]; /* by key */
    uint64_t clock;                        /* counts faults */
};

/* ---- shadow_pages.c ---- */

ALWAYS_INLINE uint8_t *shadow_frame(const struct shadow *sh, const struct shadow_page *sp)
{
    return sh->mv->config.frames.host + (size_t)sp->index * PAGE_SIZE;
}

ALWAYS_INLINE haddr shadow_hpa(const struct shadow *sh, const struct shadow_page *sp)
{
    return sh->mv->config.frames.hpa + (haddr)sp->index * PAGE_SIZE;
}

ALWAYS_INLINE uint64_t shadow_entry(const struct shadow *sh, const struct shadow_page *sp,
                                    unsigned slot)
{
    return le64_load(shadow_frame(sh, sp) + (size_t)slot * 8);
}

ALWAYS_INLINE void shadow_put(struct shadow *sh, struct shadow_page *sp, unsigned slot, uint64_t e)
{
    le64_store(shadow_frame(sh, sp) + (size_t)slot * 8, e);
}

ALWAYS_INLINE bool shadow_in_use(uint64_t e)
{
    return e & (PTE_P | SHADOW_MMIO);
}

/* log2 of the bytes that an entry of a shadow at this level translates. */
ALWAYS_INLINE unsigned shadow_shift(unsigned level)
{
    return PAGE_SHIFT + 9 * (level - 1);
}

ALWAYS_INLINE unsigned shadow_slot(unsigned level, laddr la)
{
    return (unsigned)(la >> shadow_shift(level)) % SHADOW_ENTRIES;
}

/* The table an entry of level 2 or more points at. */
ALWAYS_INLINE struct shadow_page *shadow_child(const struct shadow *sh, uint64_t e)
{
    return sh->page[((e & PTE_FRAME) - sh->mv->config.frames.hpa) >> PAGE_SHIFT];
}

ALWAYS_INLINE struct shadow_page *shadow_page_of(const struct shadow *sh, uint32_t place)
{
    return sh->page[(place - 1) / SHADOW_ENTRIES];
}

/* The shadow of a guest's table, made or found and up to date; not linked. NULL: no memory. It and
 * every other one touched since shadow_begin stay. */
struct shadow_page *shadow_get(struct shadow *sh, paddr table, const struct shadow_role *role);
struct shadow_page *shadow_get_private(struct shadow *sh);
void shadow_begin(struct shadow *sh);
void shadow_touch(struct shadow *sh, struct shadow_page *sp);

/* Let the entry point to child, or to a page, with these rights; what it held before is zapped. */
void shadow_link_child(struct shadow *sh, struct shadow_page *sp, unsigned slot,
                       struct shadow_page *child, uint64_t rights);
void shadow_map(struct shadow *sh, struct shadow_page *sp, unsigned slot, paddr gpa,
                uint64_t rights);

/* Take an entry away, from the arrays too; the second form leaves them alone. */
void shadow_zap(struct shadow *sh, struct shadow_page *sp, unsigned slot);
void shadow_clear(struct shadow *sh, struct shadow_page *sp, unsigned slot);

/* Unlink sp from all that points to it. */
void shadow_detach(struct shadow *sh, struct shadow_page *sp);
/* ... and give its frame back. */
void shadow_free_page(struct shadow *sh, struct shadow_page *sp);
void shadow_free_all(struct shadow *sh);

/* PAGE_TRACED follows whether a synchronized shadow of the table exists. */
void shadow_update_trace(struct shadow *sh, paddr table);

/* ---- shadow_trace.c ---- */

/* Compare an unsync shadow with the guest's table and trace it again. */
void shadow_sync(struct shadow *sh, struct shadow_page *sp);

void shadow_written(void *mv, paddr pa, size_t len);
void shadow_revoke_write(void *mv, paddr page);
void shadow_revoke_all(void *mv, paddr page);
void shadow_drop_page(struct mmu_vm *mv, paddr page);
