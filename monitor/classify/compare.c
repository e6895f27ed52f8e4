/* SPDX-License-Identifier: MIT */
/* What one run changed, and in what two runs differ. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "monitor/classify/evidence.h"

/* ---- one run ---- */

/* Two states, and between which of their bytes all differences are. Most are equal but for a few
 * registers: so most places need no look. */
struct states {
    const struct cpu *a, *b; /* borrowed */
    size_t low, high;        /* [low, high) */
};

/* Up to the counters at the end, which nobody compares. */
static struct states states_of(const struct cpu *a, const struct cpu *b)
{
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    struct states s = {a, b, 0, offsetof(struct cpu, ticks)};
    while (s.low + 64 <= s.high && memcmp(x + s.low, y + s.low, 64) == 0)
        s.low += 64;
    while (s.high >= s.low + 64 && memcmp(x + s.high - 64, y + s.high - 64, 64) == 0)
        s.high -= 64;
    return s;
}

static bool place_changed(const struct place *p, const struct states *s)
{
    const struct cpu *a = s->a, *b = s->b;
    if (p->offset >= s->high || (size_t)p->offset + p->size <= s->low)
        return false;
    if (memcmp((const uint8_t *)a + p->offset, (const uint8_t *)b + p->offset, p->size) == 0)
        return false;
    for (unsigned i = 0; i < p->count; i++)
        if (place_value(p, a, i) != place_value(p, b, i))
            return true;
    return false;
}

/* Memory that belongs to the resource state: which element a changed byte is. */
static unsigned memory_element(unsigned at)
{
    if (at < WORLD_GDT || at >= WORLD_IDT + PAGE_SIZE)
        return ELEMENT_USER;
    return at >= WORLD_IDT ? ELEMENT_IDT : at >= WORLD_TSS ? ELEMENT_TSS_STACK : ELEMENT_DESC_TYPE;
}

void outcome_writes(const struct cpu *before, const struct outcome *out, struct element_set *set)
{
    const struct states s = states_of(before, &out->cpu);
    for (unsigned i = 0; i < place_count; i++)
        if (places[i].element < ELEMENT_COUNT && place_changed(&places[i], &s))
            set_add(set, places[i].element);
    for (unsigned i = 0; i < out->count && i < CHANGES_MAX; i++)
        if (memory_element(out->changes[i].at) < ELEMENT_COUNT)
            set_add(set, memory_element(out->changes[i].at));
    if (out->req.ports)
        set_add(set, ELEMENT_PORTS);
    if (out->req.caches)
        set_add(set, ELEMENT_CACHES);
    if (out->req.tpr)
        set_add(set, ELEMENT_TPR);
    if (out->req.time)
        set_add(set, ELEMENT_TIME);
}

/* ---- two runs ---- */

struct pair {
    const struct cpu *before_a, *before_b; /* borrowed */
    const struct outcome *a, *b;           /* borrowed */
    unsigned element;                      /* in which they began different */
    char *where;                           /* borrowed, or NULL */
    size_t size;                           /* of where */
};

static bool say(const struct pair *p, const char *what, uint64_t a, uint64_t b)
{
    if (p->where)
        snprintf(p->where, p->size, "%s: %" PRIx64 " and %" PRIx64, what, a, b);
    return true;
}

/* Did neither run touch this value of the varied element? */
static bool is_untouched(const struct pair *p, const struct place *place, unsigned i)
{
    return place_value(place, p->before_a, i) == place_value(place, &p->a->cpu, i) &&
           place_value(place, p->before_b, i) == place_value(place, &p->b->cpu, i);
}

static bool place_differs(const struct pair *p, const struct place *place, const struct states *s)
{
    char name[48];
    if (!place_changed(place, s))
        return false;
    for (unsigned i = 0; i < place->count; i++) {
        uint64_t a = place_value(place, &p->a->cpu, i), b = place_value(place, &p->b->cpu, i);
        bool may_differ = place->element == p->element || p->element == OUTCOMES_ANY_ELEMENT;
        if (a != b && !(may_differ && is_untouched(p, place, i)))
            return say(p, place_name(place, i, name, sizeof(name)), a, b);
    }
    return false;
}

static bool state_differs(const struct pair *p)
{
    const struct states s = states_of(&p->a->cpu, &p->b->cpu);
    for (unsigned i = 0; i < place_count; i++)
        if (places[i].element != ELEMENT_UNSEEN && place_differs(p, &places[i], &s))
            return true;
    return false;
}

static bool memory_differs(const struct pair *p)
{
    const struct outcome *a = p->a, *b = p->b;
    char text[48];
    for (unsigned i = 0; i < CHANGES_MAX && (i < a->count || i < b->count); i++) {
        bool has_a = i < a->count, has_b = i < b->count;
        if (has_a && has_b && a->changes[i].at == b->changes[i].at &&
            a->changes[i].is == b->changes[i].is)
            continue;
        bool first_is_a = has_a && (!has_b || a->changes[i].at <= b->changes[i].at);
        unsigned at = first_is_a ? a->changes[i].at : b->changes[i].at;
        bool both = has_a && has_b && a->changes[i].at == b->changes[i].at;
        snprintf(text, sizeof(text), "memory at %x%s", at,
                 both         ? ""
                 : first_is_a ? ", written by the first only"
                              : ", by the second only");
        return say(p, text, has_a ? a->changes[i].is : 0, has_b ? b->changes[i].is : 0);
    }
    return (a->count != b->count || a->rest != b->rest) && say(p, "memory", a->count, b->count);
}

/* TPR is the only answer of the monitor that is also left behind. */
static bool requests_differ(const struct pair *p)
{
    const struct requests *a = &p->a->req, *b = &p->b->req;
    if (a->ports != b->ports || a->port_log != b->port_log)
        return say(p, "accesses to ports", a->ports, b->ports);
    if (a->caches != b->caches)
        return say(p, "cache flushes", a->caches, b->caches);
    if (a->time != b->time)
        return say(p, "writes of the TSC", a->time, b->time);
    return (a->tpr || b->tpr) && a->cr8 != b->cr8 && say(p, "TPR", a->cr8, b->cr8);
}

bool outcomes_differ(const struct cpu *before_a, const struct outcome *a,
                     const struct cpu *before_b, const struct outcome *b, unsigned element,
                     char *where, size_t size)
{
    const struct pair p = {before_a, before_b, a, b, element, where, size};
    return state_differs(&p) || memory_differs(&p) || requests_differ(&p);
}
