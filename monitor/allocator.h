/* SPDX-License-Identifier: MIT */
/*
 * The allocator: owner of machine memory (design section 5). Machine memory is one memory object, mapped once, lazily backed by
 * the host; a VM's RAM is carved from it as contiguous home extents aligned to 2 MiB. Called by machine.c and by physmem
 * through `backing`. Never looks inside a frame.
 */
#pragma once

#include "base/err.h"
#include "mmu/physmem.h"

#define ALLOCATOR_EXTENT (2 * MiB)

struct allocator {
    uint8_t *host; /* owned: the mapping; haddr are offsets into it */
    uint64_t size; /* bytes of address space reserved */
    haddr next;    /* first machine address not handed out */
    haddr end;     /* one past the last one */
    haddr data_start; /* allocator_is_touched: extent of the last answer */
    haddr data_end;   /* one past it */
    bool is_data;     /* the answer */
    int fd;        /* owned: the memory object, or -1 for anonymous memory */
};

/* Reserve `size` bytes of machine memory (nothing is touched yet). -ENOMEM. */
int allocator_init(struct allocator *a, uint64_t size, struct err *err);
void allocator_fini(struct allocator *a);

/* Carve `size` bytes (rounded up to whole extents) as home frames. -ENOMEM when machine memory is used up. */
int allocator_carve(struct allocator *a, uint64_t size, haddr *hpa, struct err *err);

/* As allocator_carve, from the end of machine memory: for the monitor's own tables, so that a guest's frames lie where they would
 * without. */
int allocator_carve_end(struct allocator *a, uint64_t size, haddr *hpa, struct err *err);

/*
 * Has the frame at host address p (in machine memory) ever been written? False: it reads as zero, and reading it would only make the
 * host back it. Remembers the last answer's extent, so ascending questions are cheap; allocator_begin_survey forgets it, to be
 * called after the guest has run.
 */
bool allocator_is_touched(struct allocator *a, const uint8_t *p);
void allocator_begin_survey(struct allocator *a);

/* The backing up-call of physmem; opaque is the allocator. */
extern const struct backing_ops allocator_backing;
