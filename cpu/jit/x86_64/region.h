/* SPDX-License-Identifier: MIT */
/*
 * The second tier. First-tier code, of one block each, counts how often it is entered and which of
 * its exits are taken. When it has been entered often, the likeliest path from there becomes code
 * for that block: a region. Its other blocks are its parts. They keep code of their own, for other
 * ways in; when one of them loses that, the region goes too, for it was made from the same bytes.
 * Whether there are regions is never visible to the guest.
 */
#pragma once

#include <stdalign.h>

#include "cpu/jit/x86_64/jit_priv.h"

/* That a region has a block as a part: in a list of that block's code. */
struct membership {
    struct jit_block *region;
    struct jit_block *part;  /* whose list it is in; NULL: in none */
    struct membership *prev; /* in the list */
    struct membership *next; /* in the list */
};

/* What a region has beside its code; in table memory. */
struct region {
    const struct jit_block
        *first; /* first-tier code of its first block, for what it counted: no longer run */
    unsigned member_count; /* of member */
    struct membership member[REGION_PARTS];
};

/* A copy of a block as a path wants it: with the handlers that its records had. */
struct part_copy {
    alignas(struct block)
        uint8_t bytes[sizeof(struct block) + (BLOCK_MAX_RECORDS + 1) * sizeof(struct rec)];
};

/* The likeliest path from the block, which has counted code; copies: REGION_PARTS, used by it. */
void path_choose(const struct vcpu *vcpu, struct block *b, struct part_copy *copies,
                 struct jit_source *path);

/* What leaves counted code most often, from what it has counted until now. */
struct likely path_likely(const struct jit *jit, const struct jit_block *t);

/* The block's code is going: regions that it is a part of go as well, and what it is a part of, if
 * it is a region. True: something did, or it is one itself, so code of it may be running beside the
 * block that C thinks is. */
bool region_detach(struct jit *jit, struct jit_block *t);
