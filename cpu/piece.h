/* SPDX-License-Identifier: MIT */
/*
 * Host memory in pieces of a host's huge page, of which some are kept for the next taker. A host
 * clears all that it gives out and looks for it first, which costs more than filling it; memory
 * that was touched for one thing is used for the next one instead. Owns what is kept. Not for
 * several threads at once.
 */
#pragma once

#include "base/types.h"

#define PIECE_BYTES ((size_t)(2 * MiB))
#define PIECES_KEPT 24       /* usually, at most */
#define PIECES_KEPT_LARGE 96 /* of a machine whose files alone are larger than those */

struct piece;

struct pieces {
    struct piece *kept; /* owned: a list */
    unsigned count;     /* of kept */
    unsigned more;      /* that may be kept beyond PIECES_KEPT */
};

/* So many contiguous pieces from the host, aligned to their size; huge pages are asked for. NULL:
 * no memory. */
uint8_t *pieces_map(size_t count);

/* A kept piece, or one from the host: with anything in it. p may be NULL: nothing is kept. NULL: no
 * memory. */
uint8_t *pieces_take(struct pieces *p);

/* Contiguous pieces, of pieces_map or pieces_take: kept, or the host's again. p may be NULL. */
void pieces_give(struct pieces *p, uint8_t *memory, size_t count);

/* All that is kept is the host's again. */
void pieces_release(struct pieces *p);
