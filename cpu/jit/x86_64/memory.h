/* SPDX-License-Identifier: MIT */
/* Memory for code: one memory object mapped twice, to be written and to be run, never both at one
 * address (W^X). What is run often grows from its start, what is rarely run fills pieces from its end:
 * lines of the host's instruction cache have one or the other. Emptied as a whole. Owns the mappings. */
#pragma once

#include "base/types.h"

struct code_memory {
    uint8_t *write; /* owned: mapping that is written */
    uint8_t *run;   /* owned: mapping that is run */
    size_t size;    /* of each, bytes */
    size_t used;    /* from the start */
    size_t limit;   /* where the last piece from the end begins */
    size_t late;    /* of that one, what is used, from the start */
    size_t late_end;   /* its end */
    size_t late_used;  /* of all such pieces, bytes */
    size_t fixed;   /* of it, what emptying leaves */
    size_t joined;  /* up to here the host was asked for huge pages */
};

/* The pieces that are asked for in one: a huge page of an x86-64 host. */
#define CODE_PIECE (2 * MiB)

/* 0 or negative errno. anonymous: so that perf takes the names of what runs there from its map. */
int code_memory_init(struct code_memory *m, size_t size, bool anonymous);
void code_memory_fini(struct code_memory *m);

/* Is there room of so many bytes at used, and at late? For late it takes another piece. */
bool code_memory_has_room(struct code_memory *m, size_t room);

void code_memory_empty(struct code_memory *m); /* but for what is fixed */

/* Code is about to be written up to `end`, from the start: its next piece is to be one huge page,
 * if the host can. Nothing but speed depends on it. */
void code_memory_join(struct code_memory *m, size_t end);
