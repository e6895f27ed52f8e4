/* SPDX-License-Identifier: MIT */
/* What of a vector's result may differ between a recorded CPU and ours, with the reason: one place
 * for all of it. */
#pragma once

#include "tests/vectors/vector.h"

/* How the value of a field is compared. */
enum match {
    MATCH_EXACT,
    MATCH_ANY,      /* not at all */
    MATCH_ULP,      /* x87 register: at most one unit in the last place */
    MATCH_APPROX_4, /* each single of the XMM register within 1.5 * 2^-11 of it */
};

/* Status flags that this instruction, in this state, leaves undefined. */
uint64_t allowed_flags(const struct insn *in, const struct vector_state *before);

/* General registers, x87 registers, XMM registers, and bytes of memory at an offset from the
 * operand. `faults`: a fault is recorded. */
enum match allowed_gpr(const struct insn *in, const struct vector_state *before, bool faults,
                       unsigned reg);
enum match allowed_x87(const struct insn *in);
uint16_t allowed_fsw(const struct insn *in, bool faults); /* bits that may differ */
uint8_t allowed_ftw(const struct insn *in, bool faults);  /* the same */
enum match allowed_xmm(const struct insn *in);
bool allowed_memory(const struct insn *in, const struct vector_state *before, uint64_t offset);
uint64_t allowed_cr2(const struct insn *in); /* bits that may differ */

/* Why a row needs no vector, or NULL. */
const char *allowed_without_vector(unsigned row);

/* Why the engine does not execute a row although it decodes: its feature is in no CPU model. NULL
 * when it does. */
const char *allowed_unimplemented(unsigned feature);
