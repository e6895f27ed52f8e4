/* SPDX-License-Identifier: MIT */
#include "cpu/chunk.h"

#include <assert.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define FIRST_BYTES (256 * KiB)
#define HUGE_BYTES (2 * MiB)
#define CHUNK_LINE 64

struct chunk {
    struct chunk *next; /* of the list */
    uint8_t padding[CHUNK_LINE - sizeof(struct chunk *)];
    uint8_t bytes[]; /* aligned to CHUNK_LINE */
};

void chunks_grow(struct chunks *c, size_t bytes)
{
    size_t size = c->list ? HUGE_BYTES : FIRST_BYTES;
    struct chunk *piece = aligned_alloc(c->list ? HUGE_BYTES : CHUNK_LINE, size);
    assert(piece && bytes <= CHUNK_MAX);
    (void)bytes;
#ifdef MADV_HUGEPAGE
    if (c->list)
        madvise(piece, size, MADV_HUGEPAGE); /* or not: nothing but speed depends on it */
#endif
    piece->next = c->list;
    c->list = piece;
    c->next = piece->bytes;
    c->end = (uint8_t *)piece + size;
}

void chunks_reset(struct chunks *c)
{
    while (c->list) {
        struct chunk *piece = c->list;
        c->list = piece->next;
        free(piece);
    }
    *c = (struct chunks){.list = NULL};
}
