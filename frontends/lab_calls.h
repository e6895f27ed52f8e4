/* SPDX-License-Identifier: MIT */
/*
 * The guest that the labs `cli`, `batching` and `clock` have in common (roms/labs/calls.c): run it, and say what was counted in each of
 * its experiments. Called by these labs only.
 */
#pragma once

#include "frontends/lab.h"
#include "monitor/trapline.h"

enum { LAB_CALLS_OPERATIONS = 8192, LAB_CALLS_EXPERIMENTS = 16, LAB_CALLS_NUMBERS = 2 };

/* What is counted. */
enum lab_exit { LAB_CLI, LAB_STI, LAB_VMCALL, LAB_WRMSR, LAB_RDTSC, LAB_IN, LAB_MMIO, LAB_EXITS };

/* An experiment. */
struct lab_probe {
    uint64_t ticks;               /* instructions of the guest */
    uint64_t executed[LAB_EXITS]; /* instructions that are exits, and accesses by memory */
    uint64_t called[LAB_EXITS];   /* of them, where translated code called the monitor */
    double host_ns;               /* the least of some runs: this process's time */
};

/* How it is run. */
struct lab_calls {
    const char *name;            /* on the guest's command line */
    enum trapline_engine engine; /* AUTO: as is best */
    struct trapline_virt virt;
    bool translates_at_once; /* threshold 1 */
};

struct lab_calls_result {
    struct lab_probe of[LAB_CALLS_EXPERIMENTS]; /* A ... */
    uint32_t number[LAB_CALLS_NUMBERS];         /* that the guest found, in its order */
    bool has[LAB_CALLS_EXPERIMENTS];            /* it made this one */
};

/* 0, or the exit status of an error that was reported. */
int lab_calls_measure(const struct lab_calls *how, struct lab_calls_result *result);

/* Per operation. */
static inline double lab_per_operation(double n)
{
    return n / LAB_CALLS_OPERATIONS;
}
