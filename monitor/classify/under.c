/* SPDX-License-Identifier: MIT */
/* An instruction bare and under the monitor, from the same states. */
#include <stdio.h>
#include <string.h>

#include "monitor/classify/evidence.h"

enum { UNDER_TRIES = 4 };

struct sides {
    struct outcome bare; /* interpreted alone */
    struct outcome vmm;  /* in a block, translated */
};

static bool faults_differ(const struct fault *a, const struct fault *b)
{
    return a->vector != b->vector || a->has_error_code != b->has_error_code ||
           (a->has_error_code && a->error_code != b->error_code);
}

/* What the guest can see. */
static bool sides_differ(const struct cpu *before, const struct sides *s, char *where, size_t size)
{
    const struct outcome *a = &s->bare, *b = &s->vmm;
    if (a->has_fault != b->has_fault || (a->has_fault && faults_differ(&a->fault, &b->fault))) {
        snprintf(where, size, "exceptions: %d and %d", a->has_fault ? (int)a->fault.vector : -1,
                 b->has_fault ? (int)b->fault.vector : -1);
        return true;
    }
    return outcomes_differ(before, a, before, b, ELEMENT_UNSEEN, where, size);
}

static bool try_level(const struct experiment *x, struct world *vmm, const struct seeded *seeded,
                      unsigned row, unsigned level, struct under *out)
{
    struct sides sides;
    struct cpu before;
    char where[sizeof(out->where)];
    uint64_t exits;
    experiment_step(x->world, seeded, level, ELEMENT_COUNT, &before, &sides.bare);
    if (!world_run_block(vmm, &before, row, &sides.vmm, &exits))
        return false;
    out->runs++;
    out->reached += exits > 0;
    if (!sides_differ(&before, &sides, where, sizeof(where)))
        return true;
    if (out->differ++ == 0)
        memcpy(out->where, where, sizeof(where));
    return true;
}

void experiment_under(const struct experiment *x, struct world *vmm, unsigned row, unsigned states,
                      struct under *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned n = 0; n < states * UNDER_TRIES && out->runs < 2 * states; n++) {
        struct seeded bare, same;
        if (!seed_state(x->world, row, n, x->cr4_set, &bare) ||
            !seed_state(vmm, row, n, x->cr4_set, &same))
            continue;
        for (unsigned level = 0; level < LEVELS; level++) {
            unsigned differed = out->differ;
            try_level(x, vmm, &bare, row, level, out);
            if (out->differ == 1 && differed == 0) {
                out->state = n;
                out->level = level;
            }
        }
    }
}
