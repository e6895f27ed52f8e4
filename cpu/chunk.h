/* SPDX-License-Identifier: MIT */
/*
 * Memory that grows piece by piece and goes as a whole: of blocks, of what belongs to translated
 * code. The first piece is small, the next ones are those of cpu/piece.h: they are filled without
 * gaps and read at random. Owns the pieces.
 */
#pragma once

#include "cpu/piece.h"

#define CHUNK_MAX (256 * KiB - 64) /* what can be taken at once */

struct chunk;

struct chunks {
    struct chunk *list;    /* owned; the first is being filled */
    uint8_t *next;         /* first free byte of it */
    uint8_t *end;          /* its end */
    struct pieces *pieces; /* borrowed: where pieces come from and go to; NULL: the host */
};

/* At least bytes from c->next on: whoever takes them moves it. What is left of the piece before is
 * lost. Never NULL: no memory asserts. */
void chunks_grow(struct chunks *c, size_t bytes);

/* Free everything. */
void chunks_reset(struct chunks *c);

/* The next bytes, aligned as c->next is, not zeroed. */
static inline uint8_t *chunks_take(struct chunks *c, size_t bytes)
{
    if (unlikely((size_t)(c->end - c->next) < bytes))
        chunks_grow(c, bytes);
    uint8_t *p = c->next;
    c->next += bytes;
    return p;
}

/* What was last taken ends at p, in it. */
static inline void chunks_give_back(struct chunks *c, const void *p)
{
    c->next = (uint8_t *)(uintptr_t)p;
}
