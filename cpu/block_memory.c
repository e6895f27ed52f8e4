/* SPDX-License-Identifier: MIT */
#include "cpu/block_memory.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256 * KiB)

struct block_chunk {
    struct block_chunk *next; /* of the memory */
    uint8_t bytes[];          /* blocks, from the first multiple of BLOCK_LINE on */
};

static size_t lines_of(unsigned count)
{
    return (sizeof(struct block) + (count + 1) * sizeof(struct rec) + BLOCK_LINE - 1) / BLOCK_LINE;
}

static void chunk_add(struct block_memory *m)
{
    struct block_chunk *c = malloc(sizeof(*c) + CHUNK_BYTES);
    assert(c);
    c->next = m->chunks;
    m->chunks = c;
    m->next = c->bytes + (0 - (uintptr_t)c->bytes) % BLOCK_LINE;
    m->end = c->bytes + CHUNK_BYTES;
    m->bytes += sizeof(*c) + CHUNK_BYTES;
}

struct block *block_memory_take(struct block_memory *m, unsigned count, uint32_t mode, bool crosses)
{
    size_t lines = lines_of(count);
    struct block **free = &m->free[block_is_remembered(mode, crosses)][lines];
    struct block *b = *free;
    if (b) {
        *free = b->hash_next;
    } else {
        if ((size_t)(m->end - m->next) < lines * BLOCK_LINE)
            chunk_add(m);
        b = (struct block *)(void *)m->next;
        m->next += lines * BLOCK_LINE;
    }
    memset(b, 0, lines * BLOCK_LINE);
    b->mode = mode;
    b->crosses = crosses;
    return b;
}

void block_memory_give(struct block_memory *m, struct block *b)
{
    struct block **free = &m->free[block_is_remembered(b->mode, b->crosses)][lines_of(b->count)];
    b->hash_next = *free;
    *free = b;
}

void block_memory_reset(struct block_memory *m)
{
    while (m->chunks) {
        struct block_chunk *c = m->chunks;
        m->chunks = c->next;
        free(c);
    }
    *m = (struct block_memory){.chunks = NULL};
}
