/* SPDX-License-Identifier: MIT */
/*
 * The monitor prompt (`trapline monitor`, Ctrl-A c): commands, with QEMU's names where it has them,
 * to look at a stopped machine and to run it on. Called by run.c between two runs; the guest does
 * not notice. Reads standard input, a line at a time; writes to standard output.
 */
#pragma once

#include "frontends/options.h"
#include "frontends/symbols.h"

struct monitor {
    unsigned vcpu;                 /* that is looked at */
    const struct symbols *symbols; /* borrowed; NULL: none */
};

enum monitor_answer {
    MONITOR_GO,   /* run to *until */
    MONITOR_QUIT, /* end the run; also at the end of standard input */
};

/* Say where a breakpoint stopped the machine, and look at its vCPU from here on. */
void monitor_stopped(struct monitor *mon, const struct trapline_stop *stop);

/* Commands until one that says how to go on. *until: ticks, UINT64_MAX: no end. */
enum monitor_answer monitor_prompt(struct monitor *mon, struct trapline_machine *m,
                                   uint64_t *until);

/* One command; true: it says how to go on, *answer and *until. Text that is none is reported on
 * standard output. */
bool monitor_command(struct monitor *mon, struct trapline_machine *m, const char *line,
                     enum monitor_answer *answer, uint64_t *until);
