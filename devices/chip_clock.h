/* SPDX-License-Identifier: MIT */
/*
 * Crystals: exact conversion between virtual time and the cycles of a chip's clock. Every clock is
 * derived afresh from vtime, so nothing accumulates and nothing drifts. Called by the timer chips;
 * owns nothing, keeps no state.
 */
#pragma once

#include "base/types.h"

/* a * num / den rounded up; saturates at UINT64_MAX, which as a vtime is VTIME_NEVER. den is not 0.
 */
ALWAYS_INLINE uint64_t muldiv_up_u64(uint64_t a, uint64_t num, uint64_t den)
{
    struct u128 p = mul_u64(a, num);
    if (p.hi >= den)
        return UINT64_MAX;
    uint64_t rem = p.lo % den;
    uint64_t q = p.hi ? div_u128(p.hi, p.lo, den, &rem) : p.lo / den;
    return rem && q != UINT64_MAX ? q + 1 : q;
}

/* a + b, saturating: the end of time is VTIME_NEVER. */
ALWAYS_INLINE uint64_t add_sat_u64(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Whole cycles that a clock of `hz` has made in `t` ns. hz is not 0. */
ALWAYS_INLINE uint64_t clock_cycles(uint64_t hz, vtime t)
{
    return muldiv_u64(t, hz, NS_PER_SECOND);
}

/* The earliest vtime at which clock_cycles() reaches `cycles`; VTIME_NEVER if that is past the end
 * of time. */
ALWAYS_INLINE vtime clock_when(uint64_t hz, uint64_t cycles)
{
    return muldiv_up_u64(cycles, NS_PER_SECOND, hz);
}
