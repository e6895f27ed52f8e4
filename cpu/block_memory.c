/* SPDX-License-Identifier: MIT */
#include "cpu/block_memory.h"

#include <string.h>

static size_t lines_of(unsigned count)
{
    return (sizeof(struct block) + (count + 1) * sizeof(struct rec) + BLOCK_LINE - 1) / BLOCK_LINE;
}

struct block *block_memory_take(struct block_memory *m, unsigned count, uint32_t mode, bool crosses)
{
    size_t lines = lines_of(count);
    struct block **free = &m->free[block_is_remembered(mode, crosses)][lines];
    struct block *b = *free;
    if (b) {
        *free = b->hash_next;
    } else {
        b = (struct block *)(void *)chunks_take(&m->chunks, lines * BLOCK_LINE);
    }
    memset(b, 0, sizeof(*b)); /* whoever takes it writes the records */
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
    chunks_reset(&m->chunks);
    memset(m->free, 0, sizeof(m->free));
}
