/* SPDX-License-Identifier: MIT */
/*
 * Makes instructions of a row of insn.def, and a state in which they mean something (addresses that
 * are mapped, divisions that do not overflow). For the recorder and the silicon test.
 */
#pragma once

#include "decoder/encoding.h"
#include "tests/vectors/vector.h"

enum { POOL_PROFILES = 5, POOL_STATES = 4 };

/* Expanded states, to be varied: expanding one takes longer than running it. One mode. */
struct pool {
    struct vector states[POOL_PROFILES][POOL_STATES];
};

struct generator {
    const struct decoder *decoder; /* borrowed; has every feature */
    uint64_t seed;                 /* of vector_random */
    const struct pool *pool;       /* borrowed; NULL: every state is expanded */
    bool is_wild; /* useless prefixes, both vendors' branches, ends of the code page */
};

/* Fill the pool for a mode and an address of the pages. */
void pool_fill(struct pool *pool, enum decode_mode mode, bool segmented, uint32_t base,
               uint64_t *seed);

/* Try to make an instruction of this row in v->mode (and v->segmented): v->bytes, v->len and *in.
 * False: try again. */
bool generate_bytes(struct generator *g, unsigned row, struct vector *v, struct insn *in);

/*
 * Try to make a vector of this row in v->mode (and v->segmented, v->base): bytes, seed, profile and
 * before are filled, *in is the instruction. *expanded (may be NULL) is the state that the seed
 * alone gives (before has overrides). False: try again.
 */
bool generate_vector(struct generator *g, unsigned row, struct vector *v,
                     struct vector_state *expanded, struct insn *in);
