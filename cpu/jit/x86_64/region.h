/* SPDX-License-Identifier: MIT */
/*
 * The second tier. Now and then the run loop looks which block is entered, and follows the guest
 * for some blocks from there. Where it has followed it LOOKS times, the way that was always the
 * same becomes code for that block: a region. Its other blocks are its parts. They keep code of
 * their own, for other ways in; when one of them loses that, the region goes too, for it was made
 * from the same bytes. Whether there are regions is never visible to the guest.
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
        *first;            /* first-tier code of its first block, for its exits: no longer run */
    unsigned member_count; /* of member */
    struct membership member[REGION_PARTS];
};

/* Where the guest went from a block, each time that it was followed; in table memory. */
struct way {
    alignas(uint64_t) uint8_t looks; /* how often that was; tables of numbers lie behind it */
    uint8_t count; /* of at */
    struct step at[REGION_PARTS + 1]; /* the first again: it is the last */
};

enum {
    LOOKS = 3,       /* along a way before it becomes a region */
    LOOKS_DONE = 255 /* it becomes none */
};

/* A copy of a block as a path wants it: with the handlers that its records had. */
struct part_copy {
    alignas(struct block)
        uint8_t bytes[sizeof(struct block) + (BLOCK_MAX_RECORDS + 1) * sizeof(struct rec)];
};

/* The path from the block that goes this way, as far as it is one; copies: REGION_PARTS, used by
 * it. */
void path_choose(const struct vcpu *vcpu, struct block *b, const struct way *way,
                 struct part_copy *copies, struct jit_source *path);

/* The block's way becomes a region, if it is worth one. Nothing runs. rip: of its first byte. */
void region_grow(struct vcpu *vcpu, struct block *b, uint64_t rip);

/* The block's code is going: regions that it is a part of go as well, and what it is a part of, if
 * it is a region. True: something did, or it is one itself, so code of it may be running beside the
 * block that C thinks is. */
bool region_detach(struct jit *jit, struct jit_block *t);
