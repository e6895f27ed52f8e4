/* SPDX-License-Identifier: MIT */
/*
 * From bytes to a block: decode, flag liveness, handlers. Called by block.c on a miss; owns nothing that outlives the call but
 * the block it returns.
 */
#pragma once

#include "cpu/block.h"
#include "cpu/select.h"

/* Fill rec's operands from in by the conventions of record.h; false when a displacement can't be made relative to the
 * block (the caller starts a new block there). off: of the instruction in the block. */
bool record_fill(struct rec *rec, const struct insn *in, uint32_t mode, unsigned off, bool *mem64);

/*
 * Decode a block at rip, whose first byte is at pa, for mode. NULL: run.fault (the fetch of a second page faulted) or no
 * memory, which asserts. The block is not entered in any table. checks: it is to know its bytes (self_check.h), if it is of a
 * kind that can.
 */
struct block *block_build(struct vcpu *vcpu, uint64_t rip, paddr pa, uint32_t mode, bool checks);

/* Status flags that the instruction leaves with a value of its own, defined or by our rule. */
uint32_t insn_flags_overwritten(const struct insn *in);
