/* SPDX-License-Identifier: MIT */
/*
 * Memory of blocks: taken in the order they are built, so that code that is built together lies
 * together, and recycled by size and kind. So a place that held a block's header holds one for ever
 * (until the reset), which is what lets a stale pointer to a block be checked instead of hunted
 * down; and a block that pointers are kept to (block_is_remembered) only gives way to another such,
 * for whoever has checked pa and mode enters it. Called by block.c and build.c; owns the chunks,
 * never what a block points to.
 */
#pragma once

#include "cpu/chunk.h"
#include "cpu/mode.h"
#include "cpu/record.h"

#define BLOCK_LINE 64 /* alignment of a header, and the step of sizes */
#define BLOCK_SIZES                                                                                \
    ((sizeof(struct block) + (BLOCK_MAX_RECORDS + 1) * sizeof(struct rec)) / BLOCK_LINE + 2)

struct block_memory {
    struct chunks chunks;               /* owned; each block a multiple of BLOCK_LINE */
    struct block *free[2][BLOCK_SIZES]; /* to be recycled: [is remembered][size in lines]; chained
                                           by hash_next */
};

/* May pointers to such a block be kept from one entry to the next? Not to one whose second page is
 * looked at each time, nor where the run loop has to find each block. */
static inline bool block_is_remembered(uint32_t mode, bool crosses)
{
    return mode_chains(mode) && !crosses;
}

/* A block with room for count records and the end record, which are still to be written; before them
 * all is zero but mode and crosses. Never NULL: no memory asserts. */
struct block *block_memory_take(struct block_memory *m, unsigned count, uint32_t mode,
                                bool crosses);

/* b->count, mode and crosses tell its kind. Its pa is to be BLOCK_DEAD. */
void block_memory_give(struct block_memory *m, struct block *b);

/* Free everything: no block may be pointed to any more. */
void block_memory_reset(struct block_memory *m);
