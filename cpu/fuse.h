/* SPDX-License-Identifier: MIT */
/*
 * Fusion: the handler of a record does the work of the following records as well and goes on behind
 * them, so that a block takes fewer jumps. Which instructions follow each other often enough was
 * measured; docs/decisions/0006 has the figures and the rules.
 *
 * Every record keeps its own handler's meaning: whoever starts at a record in the middle of a fused
 * pair executes that record and what follows. A fused handler keeps its record's own handler in
 * rec->link and jumps to it when the first part needs anything out of line: whoever asks for a
 * break there finds the next record untouched. When a later part does, it jumps to that record.
 *
 * Called by the block builder; families say in selection.fuse what they have chosen. Owns nothing.
 */
#pragma once

#include "cpu/record.h"

/* What an instruction does. The numbers of ADD..TEST are those of the family's tables, plus 1. */
enum fuse_row {
    FUSE_NONE,
    FUSE_ADD,
    FUSE_OR,
    FUSE_ADC,
    FUSE_SBB,
    FUSE_AND,
    FUSE_SUB,
    FUSE_XOR,
    FUSE_CMP,
    FUSE_TEST,
    FUSE_INC,
    FUSE_DEC,
    FUSE_JCC,  /* form: condition code */
    FUSE_PUSH, /* of a general register, to a stack that has a fast handler */
    FUSE_POP,
    FUSE_RET, /* 64-bit, without an immediate */
    FUSE_ROWS,
};

/* What can be said of a record; row FUSE_NONE: nothing. */
struct fuse_key {
    uint8_t row;   /* enum fuse_row */
    uint8_t form;  /* enum form of integer.h, or as the row says */
    uint8_t width; /* WIDTH_* */
};

/* Choose fused handlers for the records of a block, which have their own ones; keys[i] is of
 * rec[i]. */
void fuse_records(struct rec *rec, const struct fuse_key *keys, unsigned count);
