/* SPDX-License-Identifier: MIT */
/*
 * `trapline lab`: experiments on real guests that print what theory predicts beside what was
 * counted. One file per lab, lab_NAME.c; lab.c has the list. Counts are exact and the same on every
 * host; seconds are the host's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What events cost on hardware: the model that turns counts into cycles. Set by -cost. */
struct lab_costs {
    uint64_t reference; /* an entry of a paging structure read, by the walker */
    uint64_t exit;      /* out of the guest and back */
};

#define LAB_COSTS_INIT                                                                             \
    {                                                                                              \
        .reference = 10, .exit = 1500                                                              \
    }

struct lab {
    const char *name;
    const char *question;                      /* one line */
    int (*run)(const struct lab_costs *costs); /* prints; the exit status */
};

extern const struct lab lab_walks;

/* The verb. */
int verb_lab(int count, char *const words[]);
