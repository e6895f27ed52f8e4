/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints of a debugger outside: linear addresses before whose instruction cpu_run returns CPU_EXIT_STOP. The guest cannot
 * tell, for nothing of them is in its state (its own are in DR0-DR7: cpu/debug.h). block_build ends blocks before them, so that
 * the run loop gets to see them; the set is the VM's, and a change of it drops all blocks.
 */
#pragma once

#include "base/types.h"

#define BREAKPOINTS_MAX 64

struct breakpoints {
    unsigned count;
    laddr at[BREAKPOINTS_MAX]; /* count of them, in no order */
};

static inline bool breakpoints_have(const struct breakpoints *b, laddr la)
{
    for (unsigned i = 0; i < b->count; i++)
        if (b->at[i] == la)
            return true;
    return false;
}

/* One that this address may be, by its offset in the page: blocks are known by physical addresses. */
static inline bool breakpoints_may_have(const struct breakpoints *b, uint64_t address)
{
    for (unsigned i = 0; i < b->count; i++)
        if (!((b->at[i] ^ address) & low_mask(PAGE_SHIFT)))
            return true;
    return false;
}
