/* SPDX-License-Identifier: MIT */
/*
 * Capstone as a second opinion on what is an instruction and how long it is. Where Capstone 4 and
 * the manual differ, the manual wins, and the difference stands with its reason in the one table of
 * capstone.c. For the decoder's unit test and its fuzz target; owns its Capstone handles, never
 * decides what the program does.
 */
#pragma once

#include "decoder/insn.h"

enum { ORACLE_AGREES = -1, ORACLE_DIFFERS = -2 };

struct oracle;

/* d is borrowed and must outlive the oracle. NULL if out of memory. */
struct oracle *oracle_create(const struct decoder *d);
void oracle_destroy(struct oracle *o);

/* Decode 15 bytes with both: ORACLE_AGREES, the number of a known difference, or ORACLE_DIFFERS. */
int oracle_compare(struct oracle *o, enum decode_mode mode, const uint8_t bytes[INSN_MAX_LEN]);

/* Why known difference i is one; NULL past the last. */
const char *oracle_difference(unsigned i);
#define ORACLE_DIFFERENCES_MAX 64

/* Both answers, on stderr. */
void oracle_print(struct oracle *o, enum decode_mode mode, const uint8_t bytes[INSN_MAX_LEN]);
