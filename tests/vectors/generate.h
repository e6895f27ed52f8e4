/* SPDX-License-Identifier: MIT */
/*
 * Makes instructions of a row of insn.def, and a state in which they mean something (addresses that
 * are mapped, divisions that do not overflow). For the recorder only.
 */
#pragma once

#include "decoder/encoding.h"
#include "tests/vectors/vector.h"

struct generator {
    const struct decoder *decoder; /* borrowed; has every feature */
    uint64_t seed;                 /* of vector_random */
};

/*
 * Try to make a vector of this row in v->mode: bytes, seed, profile and before are filled, *in is
 * the instruction. *expanded is the state that the seed alone gives (before has overrides). False:
 * try again.
 */
bool generate_vector(struct generator *g, unsigned row, struct vector *v,
                     struct vector_state *expanded, struct insn *in);
