/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory: GPA to HPA, the page-state byte that every writer of RAM passes, and the dirty logs.
 * One per VM. Used by the page walk and virtual TLB (mmu.h), by DMA (devices), by loaders, gdb, snapshots.
 * Machine memory is the allocator's (monitor/): physmem holds frame numbers and asks `backing` for what is
 * missing. It knows nothing of devices: addresses without RAM answer "not RAM" and the caller takes the bus.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* The page-state byte. Non-zero bits keep the page out of the virtual TLB's write arrays. */
enum page_state {
    PAGE_CODE = 1,    /* decoded blocks live on it: a write checks its 64-byte line */
    PAGE_TRACED = 2,  /* backs cached translations: a write invalidates what depends on it */
    PAGE_WATCHED = 4, /* a debugger wants to see writes */
    PAGE_COW = 8,     /* the frame is shared: ask backing before the first write */
    PAGE_ABSENT = 16, /* no frame yet: ask backing before any access */
    PAGE_ROM = 32,    /* guest writes are dropped (and reported as such) */
    PAGE_CLEAN = 64,  /* some consumer of the dirty log has not seen it dirty yet */
};

/* Consumers of the dirty log: one bit each in every page's dirty byte. */
enum dirty_consumer { DIRTY_HASH, DIRTY_SNAPSHOT, DIRTY_MIGRATION, DIRTY_DISPLAY, DIRTY_CONSUMERS };

/* Up-call "page_event": a write is about to hit (before = true) or has hit a special page. Filled by mmu (TRACED)
 * and cpu (CODE) at VM creation. All called after the bytes changed. */
struct page_event_ops {
    void (*code_written)(void *opaque, paddr pa, size_t len);    /* page has PAGE_CODE */
    void (*traced_written)(void *opaque, paddr pa, size_t len);  /* page has PAGE_TRACED */
    void (*watched_written)(void *opaque, paddr pa, size_t len); /* page has PAGE_WATCHED */
    /* The state byte gained a bit that forbids fast writes: every cached write translation of this frame must go. */
    void (*revoke_write)(void *opaque, paddr page);
    /* The frame moved or vanished: every cached translation of it must go. */
    void (*revoke_all)(void *opaque, paddr page);
};

/* Up-call "backing": the allocator of machine memory. */
struct backing_ops {
    /* Give page a frame (absent) or a private copy (cow). 0 and *hpa, or negative errno. */
    int (*populate)(void *opaque, paddr page, haddr *hpa);
    int (*unshare)(void *opaque, paddr page, haddr old, haddr *hpa);
};

struct physmem;

/* host: the machine memory's mapping, to which haddr are offsets. Borrowed. NULL if out of memory. */
struct physmem *physmem_create(uint8_t *host, const struct backing_ops *backing, void *backing_opaque);
void physmem_destroy(struct physmem *pm);

/* Connect one listener of an event; several vCPUs' TLBs hang behind the VM's one. Unset members keep their old value. */
void physmem_set_events(struct physmem *pm, const struct page_event_ops *ops, void *code_opaque,
                        void *mmu_opaque, void *watch_opaque);

/* Map RAM (or ROM) at [gpa, gpa + size), page aligned, home frames at hpa onwards. -EEXIST if it overlaps. */
int physmem_add(struct physmem *pm, paddr gpa, uint64_t size, haddr hpa, bool is_rom, struct err *err);

/* Is there RAM or ROM at pa? */
bool physmem_is_ram(const struct physmem *pm, paddr pa);

/* The ranges of RAM and ROM, in ascending order, for E820 and snapshots. False past the last. */
struct physmem_range {
    paddr gpa;     /* first byte */
    uint64_t size; /* bytes */
    bool is_rom;   /* guest can't write it */
};
bool physmem_range(const struct physmem *pm, unsigned i, struct physmem_range *out);

/*
 * Host pointer to the page that holds pa (its first byte), populated; NULL if pa is not RAM.
 * For reading only: whoever writes goes through physmem_write or physmem_begin_write.
 */
const uint8_t *physmem_page(struct physmem *pm, paddr pa);

/*
 * Prepare page for fast writes: populate, unshare, log it dirty for every consumer (clears PAGE_CLEAN).
 * Returns the host pointer to the page and its remaining state byte; the caller may cache the pointer for
 * writing only if state is 0. NULL if pa is not RAM.
 */
uint8_t *physmem_begin_write(struct physmem *pm, paddr pa, uint8_t *state);

/* Checked copies, any length, crossing pages; false (and the rest untouched) when some byte is not RAM.
 * Writes pass the page state: events fire, dirty logs are kept. ROM is written only by physmem_load. */
bool physmem_read(struct physmem *pm, paddr pa, void *buf, size_t len);
bool physmem_write(struct physmem *pm, paddr pa, const void *buf, size_t len);
bool physmem_load(struct physmem *pm, paddr pa, const void *buf, size_t len); /* loaders: ROM too */

/* Atomic-looking accesses for page walks: naturally aligned 4 or 8 bytes in RAM. */
bool physmem_read_u64(struct physmem *pm, paddr pa, uint64_t *v);
bool physmem_read_u32(struct physmem *pm, paddr pa, uint32_t *v);

/* Page state. set/clear of bits; setting one that forbids fast writes calls revoke_write. */
uint8_t physmem_state(const struct physmem *pm, paddr pa);
void physmem_set_state(struct physmem *pm, paddr pa, uint8_t bits);
void physmem_clear_state(struct physmem *pm, paddr pa, uint8_t bits);

/*
 * After a fast-path caller stored len bytes at pa through physmem_begin_write's pointer while state was
 * not 0: fire the events of the page.
 */
void physmem_written(struct physmem *pm, paddr pa, size_t len);

/* Store len bytes within the page of pa, which is RAM with code and nothing else: otherwise false, and nothing has happened. */
bool physmem_store_code(struct physmem *pm, paddr pa, const void *buf, size_t len);

/* The code lines of a page: bit i is set when a decoded block covers bytes [64 i, 64 i + 64). */
uint64_t physmem_code_lines(const struct physmem *pm, paddr pa);
void physmem_set_code_lines(struct physmem *pm, paddr pa, uint64_t lines); /* 0 clears PAGE_CODE */

/*
 * Visit (and clear) every page that is dirty for this consumer since the last call, ascending. Pages visited become
 * clean again: cached write translations are revoked (all at once through revoke_write with page = UINT64_MAX).
 * host is NULL for a page that has no frame (all zero).
 */
void physmem_collect_dirty(struct physmem *pm, enum dirty_consumer consumer,
                           void (*visit)(void *opaque, paddr page, const uint8_t *host), void *opaque);

/* Start (all pages dirty) or stop a consumer. Off at creation. */
void physmem_log_dirty(struct physmem *pm, enum dirty_consumer consumer, bool on);
