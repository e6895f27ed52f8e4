/* SPDX-License-Identifier: MIT */
/*
 * What fused handlers are written with. Included by fuse*.c alone; owns nothing.
 *
 * A fused handler keeps the rules of fuse.h: what its first part can't do in line it leaves,
 * undone, to the record's own handler (FUSE_OWN); what a later part can't, to that record
 * (CHAIN_TO).
 */
#pragma once

#include "cpu/interp/integer.h"

/* The record's own handler, kept where the instruction needs nothing: it has no link. */
ALWAYS_INLINE exec_fn *fuse_own(const struct rec *rec)
{
    return (exec_fn *)(uintptr_t)rec->link;
}

#define FUSE_OWN(vcpu, rec) return fuse_own(rec)((vcpu), (rec))

/*
 * A fused handler for the first of `left` records, or NULL; keys[0] is of the first one, and each
 * file knows its own.
 */
typedef exec_fn *fuse_fn(const struct fuse_key *keys, unsigned left);

fuse_fn fuse_branch; /* compare and branch */
fuse_fn fuse_stack;  /* runs of pushes, and of pops with a return behind them */
