/* SPDX-License-Identifier: MIT */
/* The second half of the generator: registers and memory for an instruction. For generate.c only.
 */
#pragma once

#include "tests/vectors/generate.h"

/* Change v->before (and displacements in v->bytes, with *in) so that the instruction is worth
 * running. False: give it up. */
bool generate_state(struct generator *g, struct vector *v, struct insn *in);
