/* SPDX-License-Identifier: MIT */
/*
 * Runs a vector on a bare vCPU and says what differs from the recorded result. Called by play.c;
 * allowed.def holds what may differ. Owns the vCPU.
 */
#pragma once

#include "tests/vectors/allowed.h"
#include "tests/vectors/vector.h"

struct player;

struct player *player_create(void);
void player_destroy(struct player *p);

/*
 * From now on 32- and 64-bit vectors run as translated code. After the instruction comes one that
 * raises #UD, so that all its flags are looked at; with PLAYER_FLAGS_DEAD TEST EAX, EAX comes
 * between, and its status flags are taken to be the recorded ones, and host registers are lent.
 */
enum player_flags { PLAYER_FLAGS_LIVE, PLAYER_FLAGS_DEAD };
void player_translate(struct player *p, enum player_flags flags);

/* After player_translate: run as it would, but interpreted, to see whose a difference is. */
void player_interpret(struct player *p, bool on);

/* Is code of this mode translated at all? */
bool player_translates(enum decode_mode mode);

/* Blocks translated so far. */
uint64_t player_translated(const struct player *p);

/* The bytes of v as an instruction; false if they are none. */
bool player_decode(const struct player *p, const struct vector *v, struct insn *in);

/* Run v from v->before; *got is the state after. Tells the vCPU whether it has the row's feature.
 */
void player_run(struct player *p, const struct vector *v, const struct insn *in, bool has_feature,
                struct vector_state *got);

/*
 * Compare, but for what allowed.def allows a CPU of this vendor; absorbed as in allowed_absorb.
 * Writes "field want got" lines into text (at most size bytes with the final zero; size 0: none).
 * True when equal.
 */
bool player_compare(const struct vector *v, const struct insn *in, const struct vector_state *got,
                    enum vendor vendor, unsigned *absorbed, char *text, size_t size);
