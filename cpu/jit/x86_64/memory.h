/* SPDX-License-Identifier: MIT */
/* Memory for code: one memory object mapped twice, to be written and to be run, never both at one
 * address (W^X). Linear; emptied as a whole. Owns the mappings. Table memory is for what is kept
 * of that code, and lives as long: linear too, but that the last piece may be shortened. */
#pragma once

#include "base/types.h"

struct code_memory {
    uint8_t *write; /* owned: mapping that is written */
    uint8_t *run;   /* owned: mapping that is run */
    size_t size;    /* of each, bytes */
    size_t used;    /* from the start */
    size_t fixed;   /* of it, what emptying leaves */
};

/* 0 or negative errno. anonymous: so that perf takes the names of what runs there from its map. */
int code_memory_init(struct code_memory *m, size_t size, bool anonymous);
void code_memory_fini(struct code_memory *m);

struct table_chunk;

struct table_memory {
    struct table_chunk *chunks; /* owned; the first is being filled */
    uint8_t *next;              /* first free byte of it */
    uint8_t *end;               /* its end */
};

/* Aligned for pointers, not zeroed. Never NULL: no memory asserts. */
uint8_t *table_take(struct table_memory *m, size_t bytes);

/* What was last taken ends at p, in it. */
static inline void table_give_back(struct table_memory *m, const void *p)
{
    m->next = (uint8_t *)(uintptr_t)p;
}

void table_reset(struct table_memory *m);
