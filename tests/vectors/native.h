/* SPDX-License-Identifier: MIT */
/*
 * One instruction on the CPU this program runs on (x86-64 Linux), two ways: native_run puts the state
 * into a signal frame, sigreturn loads it, the trap flag brings it back; native_run_direct jumps into
 * the instruction and out of it (native_code.h), many times quicker, for what goes on with the next
 * instruction. A fault comes back as a signal either way.
 */
#pragma once

#include "tests/vectors/vector.h"

struct native_host {
    uint32_t base;     /* vector.base that can be mapped: 0, or 1 MiB for an ordinary user */
    bool has_segments; /* vector.segmented works */
    bool has_avx;      /* this CPU and its system keep YMM registers */
};

/* Map the vector's memory, install the signal handlers. False: *why says why there is no oracle. The
 * memory is shared with children, so each process that runs anything calls this itself. */
bool native_init(struct native_host *host, const char **why);

/* Run v's instruction from v->before; fills v->after. is_rep: step on while RIP stays. False: it
 * could not be recorded. */
bool native_run(struct vector *v, bool is_rep);

/*
 * The same for an instruction that is not a branch. size: how many of its bytes are there, less than
 * v->len only at the end of the code page, behind which there is nothing.
 */
bool native_run_direct(struct vector *v, unsigned size);

/* How many bytes of v's instruction are in the code page. */
unsigned native_size(const struct vector *v);

/* Does v's instruction end with the code page, or reach beyond? */
bool native_is_at_end(const struct vector *v);

/* Has this very process something at a linear address that a vector calls not present? */
bool native_is_taken(const struct vector *v, uint64_t address);
