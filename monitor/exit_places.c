/* SPDX-License-Identifier: MIT */
/* Where exits happen: a bounded hash table by address and instruction (or exception). Filled when
 * sites are folded. */
#include <errno.h>
#include <stdlib.h>

#include "monitor/exits.h"

static bool is_same(const struct exit_place *a, const struct exit_place *b)
{
    return a->rip == b->rip && a->what == b->what && a->is_user == b->is_user &&
           a->kind == b->kind;
}

static unsigned slot_of(const struct exit_place *p)
{
    uint64_t h = (p->rip ^ (uint64_t)p->what << 48 ^ (uint64_t)p->kind << 60) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(h >> 32) % EXIT_PLACES;
}

void exit_places_add(struct exit_places *places, const struct exit_place *p)
{
    unsigned i = slot_of(p);
    while (places->at[i].count && !is_same(&places->at[i], p))
        i = (i + 1) % EXIT_PLACES;
    if (places->at[i].count) {
        places->at[i].count += p->count;
    } else if (places->used < EXIT_PLACES / 2) {
        places->at[i] = *p;
        places->used++;
    } else {
        places->elsewhere += p->count;
    }
}

int exits_count_places(struct exit_totals *t)
{
    if (!t->places)
        t->places = calloc(1, sizeof(*t->places));
    return t->places ? 0 : -ENOMEM;
}

void exits_fini(struct exit_totals *t)
{
    free(t->places);
    t->places = NULL;
}

void exits_exception(struct exit_totals *t, uint8_t vector, uint64_t rip, bool is_user)
{
    t->exceptions[vector]++;
    if (t->places)
        exit_places_add(
            t->places,
            &(struct exit_place){
                .rip = rip, .is_user = is_user, .kind = PLACE_EXCEPTION, .what = vector, .count = 1});
}

void exits_at(struct exit_totals *t, enum exit_place_kind kind, uint64_t rip, bool is_user)
{
    if (t->places)
        exit_places_add(
            t->places,
            &(struct exit_place){.rip = rip, .is_user = is_user, .kind = (uint8_t)kind, .count = 1});
}

/* Most frequent first, then by address: the same order on every host. */
static int by_count(const void *a, const void *b)
{
    const struct exit_place *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (x->rip != y->rip)
        return x->rip > y->rip ? 1 : -1;
    if (x->what != y->what)
        return x->what > y->what ? 1 : -1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

struct exit_place *exit_places_sorted(const struct exit_totals *t, unsigned *count)
{
    *count = 0;
    if (!t->places)
        return NULL;
    struct exit_place *out = malloc((t->places->used + 1u) * sizeof(*out));
    for (unsigned i = 0; out && i < EXIT_PLACES; i++)
        if (t->places->at[i].count)
            out[(*count)++] = t->places->at[i];
    if (out)
        qsort(out, *count, sizeof(*out), by_count);
    return out;
}
