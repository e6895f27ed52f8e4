/* SPDX-License-Identifier: MIT */
/*
 * Seeded states: from the number of a row of insn.def and the number of a try, an instruction of
 * that row and a state around it in which it is likely to mean something: registers and memory
 * hold selectors, addresses, numbers of MSRs, flags and control-register values as well as noise.
 * A function of its arguments alone, so that a witness can be made again. Knows no instruction.
 */
#pragma once

#include "monitor/classify/world.h"

struct seeded {
    struct insn in; /* the instruction */
    struct cpu cpu; /* the state at CPL 0 */
};

/*
 * State number `number` of a row. cr4_set: control bits that are set in all states. Memory of w is
 * part of the state: it holds the last one made. False: no instruction in this mode.
 */
bool seed_state(struct world *w, unsigned row, unsigned number, uint64_t cr4_set,
                struct seeded *out);

/* xorshift64*: the next number of a stream, whose state is not 0. */
uint64_t seed_random(uint64_t *state);

/* ---- for seed.c: seed_bytes.c ---- */

/* Bytes of an instruction of the row, decoded into *in. address: of its memory operand. False: try
 * again. */
bool seed_bytes(const struct world *w, unsigned row, uint32_t address, uint64_t *random,
                uint8_t bytes[INSN_MAX_LEN], struct insn *in);

/* A selector worth trying. */
uint16_t seed_selector(uint64_t *random);
