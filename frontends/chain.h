/* SPDX-License-Identifier: MIT */
/*
 * The file of --hash-file: one line "ticks vtime link" for every N ticks. After --load an existing
 * file is continued: lines behind the loaded position are cut off, and the chain goes on from the
 * last one left. Called by run.c.
 */
#pragma once

#include "base/err.h"
#include "monitor/trapline.h"

struct chain {
    FILE *out;                         /* NULL: no chain */
    const char *path;                  /* NULL: standard error */
    uint64_t every;                    /* ticks between two links */
    uint64_t next;                     /* position of the next link; UINT64_MAX: none */
    uint8_t link[TRAPLINE_HASH_BYTES]; /* the last one */
};

/* Open path (NULL: standard error) for a machine that stands at `ticks`; every 0: no chain. -errno
 * and err. */
int chain_open(struct chain *c, uint64_t every, const char *path, uint64_t ticks, bool continues,
               struct err *err);

/* The machine stands at c->next: write the link. */
int chain_add(struct chain *c, struct trapline_machine *m, struct err *err);

/* Close the file; -errno and err when something could not be written. */
int chain_close(struct chain *c, struct err *err);
