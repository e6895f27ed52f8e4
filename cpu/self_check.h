/* SPDX-License-Identifier: MIT */
/*
 * Blocks that know their bytes, for pages whose code is written again and again. Written to, such a block is not dropped but
 * laid aside: it stays in all tables and its first record's handler looks at memory before the block runs again. What has
 * other bytes then is decoded anew, record by record, if the block keeps its shape. Called by block.c and build.c; owns nothing
 * but what stands before a block's sites (record.h).
 */
#pragma once

#include "cpu/draft.h"

#define SELF_CHECK_TIMES 16

/* Of a block with `checks`: stands before its sites. */
struct self_check {
    exec_fn *first; /* laid aside: the first record's own handler */
    uint64_t live;  /* bit i: flags written by instruction i are live */
    uint64_t shows; /* bit i: somebody may see the flags there */
    uint64_t fixed; /* bit i: record i has something beside it, and is not made anew */
    bool is_ended;  /* its last instruction ends it */
    uint8_t times;  /* it was found with other bytes; SELF_CHECK_TIMES at most */
    uint16_t overwritten[BLOCK_MAX_RECORDS]; /* flags, by instruction */
    uint16_t tested[BLOCK_MAX_RECORDS];      /* the same */
    uint8_t bytes[BLOCK_MAX_BYTES + 1];      /* that it was made of */
};

/* b was assembled from the draft, whose bytes are in memory now. */
void self_check_init(const struct draft *d, struct block *b);

static inline struct self_check *self_check_of(const struct block *b)
{
    return (struct self_check *)(void *)b->sites - 1;
}

/* The handler that stands at the start of a block that is laid aside. */
exec_fn exec_self_check;

static inline bool block_is_aside(const struct block *b)
{
    return b->rec[0].fn == exec_self_check;
}

/* The block is not running, and its records have their own handlers. */
void self_check_lay_aside(struct block *b);

/*
 * It is wanted again: make it what its bytes say, with its own handlers. False: the block has another shape now; it is to be
 * killed.
 */
bool self_check_pick_up(struct vcpu *vcpu, struct block *b);
