/* SPDX-License-Identifier: MIT */
#include "cpu/chunk.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_BYTES (256 * KiB)
#define CHUNK_LINE 64

struct chunk {
    struct chunk *next; /* of the list; NULL: the first piece, which is small */
    uint8_t padding[CHUNK_LINE - sizeof(struct chunk *)];
    uint8_t bytes[]; /* aligned to CHUNK_LINE */
};

void chunks_grow(struct chunks *c, size_t bytes)
{
    void *memory = c->list ? pieces_take(c->pieces) : aligned_alloc(CHUNK_LINE, FIRST_BYTES);
    struct chunk *piece = memory;
    assert(piece && bytes <= CHUNK_MAX);
    (void)bytes;
    c->end = (uint8_t *)memory + (c->list ? PIECE_BYTES : FIRST_BYTES);
    c->next = piece->bytes;
    piece->next = c->list;
    c->list = piece;
}

void chunks_reset(struct chunks *c)
{
    while (c->list) {
        struct chunk *piece = c->list;
        c->list = piece->next;
        if (c->list)
            pieces_give(c->pieces, (uint8_t *)piece, 1);
        else
            free(piece);
    }
    *c = (struct chunks){.pieces = c->pieces};
}
