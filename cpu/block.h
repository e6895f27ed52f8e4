/* SPDX-License-Identifier: MIT */
/*
 * The block cache: decoded blocks of one VM, shared by its vCPUs, keyed by physical address and mode word. Built on demand,
 * dropped, or laid aside (self_check.h), when their bytes are written. Called by the engine; listens to physmem's code_written. Owns the blocks.
 */
#pragma once

#include "cpu/vcpu.h"

struct block_cache;
struct jit;
struct pieces;

#define BLOCK_HASH_BITS 18
#define BLOCK_RECENT_BITS 14

/* A guess what is at rip, to be checked by pa and mode. Another rip spares looking at a block that is in none of the host's caches. */
struct block_guess {
    uint64_t rip;
    struct block *block; /* never NULL */
};

/* Read inline by exec_goto. */
struct block_table {
    struct block_guess recent[1 << BLOCK_RECENT_BITS]; /* by block_recent */
    struct block *head[1 << BLOCK_HASH_BITS];     /* chains by hash_next */
};

struct block_cache *block_cache_create(struct physmem *pm);
void block_cache_destroy(struct block_cache *c);
struct block_table *block_cache_table(struct block_cache *c);

/*
 * The block at RIP = rip in this vCPU's mode (exact: with MODE_EXACT), decoding it if need be. NULL: run.fault holds the fetch
 * fault (#PF, #GP(0) at the CS limit). Never charges budget. Frees dead blocks: no handler may be running.
 */
struct block *block_find(struct vcpu *vcpu, uint64_t rip, bool exact);

/* The block at target, if there is one that can be chained to now: the fetch array hits, no single-stepping. */
struct block *block_find_chained(struct vcpu *vcpu, uint64_t target);

/* The same, and it is remembered by its RIP if it lies in one page. */
struct block *block_find_recent(struct vcpu *vcpu, uint64_t target);

/* Translate what is hot from now on; jit may be NULL. Borrowed, and to outlive the cache. */
void block_cache_set_jit(struct block_cache *c, struct jit *jit);

/* Physmem's event: bytes [pa, pa + len) of a code page changed. opaque is the cache. */
void block_code_written(void *opaque, paddr pa, size_t len);

/* Forget everything (policy change, --drop-caches); the running block is left at the next boundary. */
void block_cache_drop_all(struct block_cache *c);

/* The vCPU that is inside a handler, or NULL: told to break when its block dies. */
void block_cache_set_running(struct block_cache *c, struct vcpu *vcpu);

/* Where the memory of blocks comes from, before the first is built; NULL: from the host. Borrowed, and to outlive the cache. */
void block_cache_set_pieces(struct block_cache *c, struct pieces *pieces);

/* Memory for a block under construction (build.c). */
struct block_memory *block_cache_memory(struct block_cache *c);

/* Visit every live sensitive site, and get the totals of the dead ones through the fold hook set here. */
void block_cache_set_fold(struct block_cache *c, void (*fold)(void *opaque, const struct site *s, uint32_t mode),
                          void *opaque);
void block_cache_fold_all(struct block_cache *c); /* folds and zeroes the counters of live sites */

struct block_stats {
    uint64_t built;     /* blocks decoded */
    uint64_t dropped;   /* blocks invalidated */
    uint64_t picked_up; /* times that a written block went on, with its bytes or others */
    uint64_t live;      /* blocks now */
    uint64_t bytes;     /* host memory they take */
};
struct block_stats block_cache_stats(const struct block_cache *c);

/* Host memory a cache may take before it starts over, in bytes. */
void block_cache_set_limit(struct block_cache *c, uint64_t bytes);

/* Neighbours in the page stay neighbours in the table. */
ALWAYS_INLINE uint32_t block_hash(paddr pa, uint32_t mode)
{
    uint64_t h = (pa >> PAGE_SHIFT ^ (uint64_t)mode << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> (64 - BLOCK_HASH_BITS)) ^ (uint32_t)(pa & ~PAGE_MASK) >> 3;
}

ALWAYS_INLINE struct block *block_lookup(const struct block_table *t, paddr pa, uint32_t mode)
{
    struct block *b = t->head[block_hash(pa, mode)];
    while (b && (b->pa != pa || b->mode != mode))
        b = b->hash_next;
    return b;
}

/* Where the block at this RIP is remembered: one that may be chained to, and lies in one page. */
ALWAYS_INLINE struct block_guess *block_recent(struct block_table *t, uint64_t rip)
{
    return &t->recent[(rip ^ rip >> BLOCK_RECENT_BITS) & low_mask(BLOCK_RECENT_BITS)];
}
