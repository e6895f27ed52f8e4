/* SPDX-License-Identifier: MIT */
#include "monitor/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "monitor/timeline/parts.h"
#include "monitor/timeline/timeline.h"

/* ---- machines ---- */

/* Nothing of the world reaches a guest that is run twice; what it says is heard once. */
static struct trapline_config one_config(const struct verify *v, enum trapline_engine engine, bool is_heard)
{
    struct trapline_config c = v->config;
    c.engine = engine;
    c.is_interactive = false;
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        c.serial[i].fd = -1;
        c.serial[i].stays_open = false;
        c.serial[i].filter = NULL;
        if (!is_heard)
            c.serial[i].put = NULL;
    }
    if (!is_heard) {
        c.debugcon = NULL;
        c.flush = NULL;
        c.trace = NULL;
        c.translated = NULL;
        c.progress = NULL;
    }
    return c;
}

static void pair_destroy(struct verify_pair *p)
{
    trapline_destroy(p->interp);
    trapline_destroy(p->jit);
    *p = (struct verify_pair){0};
}

static int pair_create(struct verify *v, struct trapline_error *error)
{
    struct trapline_config interp = one_config(v, TRAPLINE_ENGINE_INTERP, false);
    struct trapline_config jit = one_config(v, TRAPLINE_ENGINE_JIT, v->is_live);
    pair_destroy(&v->pair);
    int rc = trapline_create(&jit, &v->pair.jit, error);
    if (rc == 0)
        rc = trapline_create(&interp, &v->pair.interp, error);
    if (rc == 0 && v->sabotage)
        jit_sabotage(v->pair.jit->m->jit, v->sabotage);
    return rc;
}

/* ---- comparing ---- */

static bool part_differs(const struct part *a, const struct part *b)
{
    for (const struct field *f = a->fields; f->name; f++) {
        const uint8_t *x = (const uint8_t *)a->base + f->offset, *y = (const uint8_t *)b->base + f->offset;
        if (memcmp(x, y, (size_t)f->count * f->size) != 0)
            return true;
    }
    return false;
}

bool verify_parts_differ(struct machine *a, struct machine *b)
{
    for (unsigned i = 0; i < part_count(a); i++) {
        struct part x = part_get(a, i), y = part_get(b, i);
        if (part_differs(&x, &y))
            return true;
    }
    return false;
}

static bool memory_differs(struct verify *v)
{
    uint8_t a[HASH_BYTES], b[HASH_BYTES];
    return timeline_hash(v->pair.interp->m, a) < 0 || timeline_hash(v->pair.jit->m, b) < 0 ||
           memcmp(a, b, sizeof a) != 0;
}

static bool differs(struct verify *v, bool with_memory)
{
    const struct trapline_stop *s = v->pair.stop;
    return s[0].reason != s[1].reason || s[0].code != s[1].code ||
           verify_parts_differ(v->pair.interp->m, v->pair.jit->m) || (with_memory && memory_differs(v));
}

/* ---- running ---- */

/* Both to a position. True: the guest goes on. */
static bool run_both(struct verify *v, uint64_t until)
{
    v->pair.stop[0] = v->pair.stop[1] = (struct trapline_stop)TRAPLINE_STOP_INIT;
    trapline_run(v->pair.jit, until, &v->pair.stop[1]);
    trapline_run(v->pair.interp, until, &v->pair.stop[0]);
    return v->pair.stop[0].reason == TRAPLINE_STOP_POSITION && v->pair.stop[1].reason == TRAPLINE_STOP_POSITION;
}

static bool is_interrupted(const struct verify *v)
{
    return v->config.interrupted && *v->config.interrupted;
}

static uint64_t next_step(uint64_t ticks)
{
    return ticks - ticks % VERIFY_STEP + VERIFY_STEP;
}

/* From the start, as the first time, to a position. */
static int run_again(struct verify *v, uint64_t to, struct trapline_error *error)
{
    int rc = pair_create(v, error);
    bool goes_on = rc == 0;
    for (uint64_t at = 0; goes_on && at < to;) {
        uint64_t next = next_step(at);
        at = next < to ? next : to;
        goes_on = run_both(v, at);
        if (at % VERIFY_FULL == 0 && at <= v->good)
            memory_differs(v); /* what a hash does to the caches */
    }
    return rc;
}

/* Halve what lies between good and bad until it is one tick. */
static int narrow(struct verify *v, struct trapline_error *error)
{
    while (v->bad - v->good > 1 && !is_interrupted(v)) {
        uint64_t middle = v->good + (v->bad - v->good) / 2, step = middle - middle % VERIFY_STEP;
        if (step > v->good) /* where the first run stopped, too */
            middle = step;
        int rc = run_again(v, middle, error);
        if (rc < 0)
            return rc;
        if (differs(v, true))
            v->bad = middle;
        else
            v->good = middle;
    }
    return 0;
}

/* What the interpreter executes up to the difference, one by one. */
static int record_history(struct verify *v, struct trapline_error *error)
{
    uint64_t from = v->bad > VERIFY_HISTORY ? v->bad - VERIFY_HISTORY : 0;
    int rc = run_again(v, from, error);
    if (rc < 0)
        return rc;
    const struct machine *m = v->pair.interp->m;
    v->history_count = 0;
    for (uint64_t at = from; at < v->bad; at++) {
        const struct vcpu *vcpu = m->vm->vcpus[m->s.turn_vcpu].vcpu;
        v->history[v->history_count++] = (struct verify_insn){m->s.turn_vcpu, vcpu->arch.rip, vcpu->run.mode};
        trapline_run(v->pair.interp, at + 1, &v->pair.stop[0]);
    }
    return 0;
}

static int find_and_report(struct verify *v, struct trapline_error *error)
{
    v->is_live = false;
    fprintf(v->out, "trapline: interpreter and translator differ between ticks %" PRIu64 " and %" PRIu64
                    "; looking for the place\n", v->good, v->bad);
    fflush(v->out);
    int rc = narrow(v, error);
    if (rc == 0)
        rc = record_history(v, error);
    if (rc == 0)
        rc = run_again(v, v->bad, error);
    if (rc < 0)
        return rc;
    verify_report(v);
    return 1;
}

/* To the end of the guest, or the first difference: then true, and good and bad are around it. */
static bool run_until_different(struct verify *v)
{
    for (;;) {
        uint64_t at = next_step(trapline_ticks(v->pair.jit));
        bool goes_on = run_both(v, at);
        if (is_interrupted(v))
            return false;
        bool is_full = !goes_on || at % VERIFY_FULL == 0;
        if (differs(v, is_full)) { /* v->good stays: memory may have differed since */
            v->bad = at;
            return true;
        }
        if (is_full)
            v->good = at;
        if (!goes_on)
            return false;
    }
}

int verify_run(struct verify *v, struct trapline_stop *stop, struct trapline_error *error)
{
    v->is_live = true;
    v->good = v->bad = 0;
    int rc = pair_create(v, error);
    if (rc == 0) {
        bool different = run_until_different(v);
        *stop = v->pair.stop[1];
        if (different)
            rc = find_and_report(v, error);
    }
    pair_destroy(&v->pair);
    return rc;
}

int trapline_verify(const struct trapline_config *config, FILE *out, struct trapline_stop *stop,
                    struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    if (!jit_is_available()) {
        err_set(&err, ENOTSUP, "there is no translator for this host to verify");
        return trapline_fail(error, &err, -ENOTSUP);
    }
    struct verify v = {.config = *config, .out = out};
    return verify_run(&v, stop, error);
}
