/* SPDX-License-Identifier: MIT */
/*
 * The silicon test: instructions made from insn.def, run on the host's CPU and on ours, compared.
 * Case n of a seed and a mode is a function of the three alone. Workers are child processes that
 * count in shared memory; see docs/testing.md, "Silicon".
 */
#pragma once

#include <stdatomic.h>

#include "tests/vectors/generate.h"
#include "tests/vectors/native.h"
#include "tests/vectors/player.h"

enum { SILICON_ROWS_MAX = 4096, SILICON_ALLOWED_MAX = 256, SILICON_JOBS_MAX = 64 };
enum { CHUNK = 2048, EXIT_SKIPPED = 77 };

struct options {
    uint64_t seed;  /* of all */
    uint64_t first; /* number of the first case */
    uint64_t cases; /* in each mode */
    unsigned modes; /* bits: 1 << enum decode_mode */
    unsigned jobs;  /* workers */
    const char *op; /* mnemonic, or NULL for all */
    bool print;     /* every case as a vector */
    bool translates; /* ours is translated code, not the interpreter */
};

/* Rows of insn.def that can run on both. */
struct row_set {
    unsigned count;
    uint16_t rows[SILICON_ROWS_MAX];
};

/* What one worker has seen of one mode; in shared memory, read by the parent when all are done. */
struct worker {
    uint64_t current;     /* case being run */
    uint64_t cases;       /* run and compared */
    uint64_t translated;  /* blocks that were made host code for them */
    uint64_t faults;      /* of them, with a fault */
    uint64_t direct;      /* of them, run without a signal */
    uint64_t ungenerated; /* no instruction could be made */
    uint64_t taken;       /* not counted: they met the test's own memory */
    uint64_t unstable;    /* differed only by the direct way */
    uint64_t differ;      /* unexplained differences */
    uint64_t lengths;     /* Capstone asked for the length */
    uint64_t disagree;    /* of them, not the length that silicon confirmed */
    uint32_t per_row[SILICON_ROWS_MAX];
    uint32_t differ_row[SILICON_ROWS_MAX];
    unsigned absorbed[SILICON_ALLOWED_MAX];
};

struct shared {
    struct native_host host; /* what a worker can do */
    char why[128];           /* or why it can do nothing */
    atomic_ullong next;      /* chunk to take */
    struct worker workers[SILICON_JOBS_MAX];
};

/* The rows for a mode on this host; prints how many, and how many not. has_segments: of the mode.
 */
void rows_select(struct row_set *set, enum decode_mode mode, const struct options *o,
                 bool has_segments);

/* Is a row to be run only in segments of the local descriptor table? */
bool row_needs_segments(unsigned row);

/* The host: vendor, and its name for people. */
enum vendor host_vendor(char *text, size_t size);

/* Run chunks until none is left. native_init has been called in this process. */
void run_worker(const struct options *o, enum decode_mode mode, const struct row_set *set,
                struct shared *shared, unsigned number);

/* One vector on both. True: equal but for what is allowed. text: the differences. */
bool run_again(struct player *p, struct vector *v, const struct insn *in, enum vendor vendor,
               char *text, size_t size);

/* Make v's state as plain as it can be while it still differs; v->after is the result then. */
void shrink(struct player *p, struct vector *v, struct insn *in, enum vendor vendor);
