/* SPDX-License-Identifier: MIT */
/* -smp, -scheduler: processors, and how they take turns. */
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/options.h"
#include "frontends/values.h"

/* The clock of a machine advances by what one vCPU after the other executes. Two at once would have to read two clocks, and see the
 * other's behind its own. */
static int check_pcpus(const char *text, struct err *err)
{
    uint64_t n;
    if (parse_number(text, &n) && n == 1)
        return 0;
    err_set(err, EINVAL, "the processors of a machine take turns on one physical CPU and one clock: they cannot have '%s'", text);
    err_hint(err, "pcpus=1; several machines run side by side on several: trapline lab steal");
    return -EINVAL;
}

int option_smp(struct options *o, const char *argument, struct err *err)
{
    static const char hint[] = "a number of processors from 1 to 64: -smp 4";
    const char *rest = argument;
    uint64_t n = 0, max;
    struct piece p;
    while (next_piece(&rest, &p)) {
        if (strcmp(p.key, "pcpus") == 0) {
            int rc = check_pcpus(p.value, err);
            if (rc < 0)
                return rc;
            continue;
        }
        bool is_count = !p.has_value || strcmp(p.key, "cpus") == 0;
        if (is_count && !parse_number(p.has_value ? p.value : p.key, &n))
            return bad_value(err, argument, hint);
        if (!is_count &&
            !(strcmp(p.key, "maxcpus") == 0 && parse_number(p.value, &max) && max == n))
            return bad_value(err, p.key, "the processors have no further topology: -smp N");
    }
    if (n < 1 || n > 64)
        return bad_value(err, argument, hint);
    o->config.vcpus = (unsigned)n;
    return 0;
}

#define SCHEDULER_HINT \
    "quantum=N (ticks, 100 or more), pause=always|never|loop, and for loop window=N, gap=N: -scheduler quantum=50000,window=4096"

/* window=N, gap=N: ticks, and what they are for. */
static bool pause_number(struct trapline_scheduling *s, const struct piece *p)
{
    uint64_t n;
    bool is_gap = strcmp(p->key, "gap") == 0;
    if ((!is_gap && strcmp(p->key, "window") != 0) || !parse_number(p->value, &n) || n < 1 || n > UINT32_MAX)
        return false;
    *(is_gap ? &s->pause_gap : &s->pause_window) = (uint32_t)n;
    s->pause = TRAPLINE_PAUSE_LOOP;
    return true;
}

int option_scheduler(struct options *o, const char *argument, struct err *err)
{
    static const char *const pauses[] = {"always", "never", "loop"};
    struct trapline_scheduling *s = &o->config.scheduling;
    const char *rest = argument;
    struct piece p;
    while (next_piece(&rest, &p)) {
        bool is_known = p.has_value && pause_number(s, &p);
        for (unsigned i = 0; i < ARRAY_SIZE(pauses) && !is_known; i++) {
            is_known = piece_is(&p, "pause", pauses[i]);
            if (is_known)
                s->pause = (enum trapline_pause)i;
        }
        if (!is_known && strcmp(p.key, "quantum") == 0 && parse_number(p.value, &s->quantum))
            is_known = s->quantum >= TRAPLINE_QUANTUM_MIN && s->quantum <= TRAPLINE_QUANTUM_MAX;
        if (!is_known)
            return bad_value(err, argument, SCHEDULER_HINT);
    }
    return 0;
}
