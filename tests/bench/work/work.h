/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the benchmark's programs share.  Each does a fixed amount of work, scaled by
 * its optional argument, and prints one line whose value depends on the work alone:
 * a wrong machine shows as a different line.  None asks for the time: the guest's
 * clock may count instructions, so the host takes it (tests/bench/run).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The amount of work: the argument, or the usual amount. */
static inline unsigned long amount(int argc, char **argv, unsigned long usual)
{
    return argc > 1 ? strtoul(argv[1], NULL, 0) : usual;
}

/* Marsaglia's xorshift: the same numbers everywhere. */
static inline uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}
