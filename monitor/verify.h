/* SPDX-License-Identifier: MIT */
/*
 * Lock-step: one guest on two machines of the same configuration, one interpreted, one translated, that are compared again and
 * again (design section 10: every engine, same state at any chosen instruction). Called by trapline_verify and by its test.
 *
 * All state but memory is compared every VERIFY_STEP ticks, memory with it every VERIFY_FULL and at the end. The first tick after
 * which they differ is then found by running both from the start again, to ever nearer positions: both are deterministic, so what
 * differed once differs again. What made the wrong state is the block of translated code that ended at that tick.
 */
#pragma once

#include "monitor/trapline_priv.h"

#define VERIFY_STEP 20000    /* ticks between comparisons of all but memory */
#define VERIFY_FULL 1000000  /* of memory too: a multiple of VERIFY_STEP */
#define VERIFY_HISTORY 64    /* instructions before the difference that are known: as many as a block has at most */

struct verify_pair {
    struct trapline_machine *interp; /* owned */
    struct trapline_machine *jit;    /* owned */
    struct trapline_stop stop[2];    /* why they stopped last: interp, jit */
};

/* An instruction that was executed. */
struct verify_insn {
    unsigned vcpu; /* on which */
    uint64_t rip;  /* its address */
    uint32_t mode; /* mode word */
};

struct verify {
    struct trapline_config config; /* what both are made from */
    unsigned sabotage;             /* for the test: jit_sabotage */
    FILE *out;                     /* the report; borrowed */
    bool is_live;                  /* this run's output is the guest's */
    struct verify_pair pair;       /* running */
    struct verify_insn history[VERIFY_HISTORY]; /* the last ones before the difference, oldest first */
    unsigned history_count;        /* of history */
    uint64_t good;                 /* after this tick they agreed */
    uint64_t bad;                  /* after this one they do not: 0 for none found */
};

/* 1: they differ, and out says how; 0: they ran to their end alike, *stop; -errno and err. */
int verify_run(struct verify *v, struct trapline_stop *stop, struct trapline_error *error);

/* verify_report.c: the state of both at v->bad, and the code. */
void verify_report(struct verify *v);

/* Do two machines differ, memory aside? */
bool verify_parts_differ(struct machine *a, struct machine *b);
