/* SPDX-License-Identifier: MIT */
/*
 * An interrupt wire. A chip drives its line and never knows who listens; the board connects them.
 * Levels are state of the listener, never of the wire, so a wire needs no snapshot.
 */
#pragma once

#include "base/compiler.h"

struct irq_line {
    void (*set)(void *opaque, unsigned n, bool level); /* the listener's input; NULL: not connected */
    void *opaque;                                      /* borrowed: the listener */
    unsigned n;                                        /* which of the listener's pins */
};

ALWAYS_INLINE void irq_set(const struct irq_line *line, bool level)
{
    if (line && line->set)
        line->set(line->opaque, line->n, level);
}
