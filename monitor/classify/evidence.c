/* SPDX-License-Identifier: MIT */
#include "monitor/classify/evidence.h"

#include <string.h>

#include "decoder/encoding.h"

enum {
    TRIES = 192,       /* of a row of which no state tells anything */
    CLOSED_TRIES = 16, /* of them, those in which control bits are turned round */
    PATIENCE = 4,      /* tries for every state that tells something */
    CLOSE_STATES = 2,  /* states in which every element is varied alone, whatever they show */
};

/* Is there this instruction on the CPU? */
static bool is_present(const struct world *w, unsigned row)
{
    bool is_vector = insn_form(row)->encoding.vex && insn_row(row)->name[0] == 'V';
    return w->vcpu->run.features[insn_row(row)->feature] &&
           (!is_vector || w->vcpu->run.features[FEAT_AVX]);
}

struct trial {
    struct cpu before;  /* the state */
    struct outcome out; /* what came of it */
};

/* One state: its base runs, and what a variation is compared with. */
struct bench {
    const struct experiment *x;  /* borrowed */
    struct evidence *e;          /* borrowed */
    struct seeded seeded;        /* the state */
    unsigned number;             /* of the state */
    unsigned told;               /* states before it that told something */
    struct trial base[LEVELS];   /* nothing varied */
    struct trial varied[LEVELS]; /* one element varied */
};

bool experiment_step(struct world *w, const struct seeded *s, unsigned level, unsigned element,
                     struct cpu *cpu, struct outcome *out)
{
    bool has_other = true;
    *cpu = s->cpu;
    if (level == AT_3)
        world_set_cpl(w, cpu, 3);
    if (element < ELEMENT_COUNT)
        has_other = world_vary(w, cpu, element);
    if (!has_other)
        return false;
    world_run(w, cpu, out);
    if (element < ELEMENT_COUNT && elements[element].vary) {
        struct cpu other = *cpu;
        world_vary(w, &other, element); /* what is not in cpu comes back */
    }
    return true;
}

static bool step(struct bench *b, unsigned level, unsigned element, struct trial *r)
{
    return experiment_step(b->x->world, &b->seeded, level, element, &r->before, &r->out);
}

static void note(struct element_set *set, uint16_t *state, unsigned element, unsigned number)
{
    if (!set_has(set, element))
        state[element] = (uint16_t)number;
    set_add(set, element);
}

static void note_writes(struct bench *b, unsigned level, const struct trial *r)
{
    struct element_set now = {{0}};
    outcome_writes(&r->before, &r->out, &now);
    for (unsigned e = 0; e < ELEMENT_COUNT; e++)
        if (set_has(&now, e))
            note(&b->e->writes[level], b->e->writes_state[level], e, b->number);
}

/*
 * Elements that may go together when it is only asked whether any of them matters. Not those whose
 * effects could cancel (parts of one descriptor), nor control bits that bar whole families.
 */
enum together { APART, PLAIN, BITS, ALONE };

static enum together together(unsigned e)
{
    if (e == ELEMENT_CPL || element_is_held(e))
        return APART;
    if (e == ELEMENT_DESC_AVL || e == ELEMENT_DESC_LIMIT || e == ELEMENT_DESC_TYPE ||
        e == ELEMENT_DESC_DPL || e == ELEMENT_XCR0 || e == ELEMENT_OSXSAVE || e == ELEMENT_TS)
        return ALONE;
    return elements[e].is_bit ? BITS : PLAIN;
}

/* All of a kind, or the one alone. */
static void vary_those(struct world *w, struct cpu *cpu, enum together kind, unsigned alone)
{
    for (unsigned e = 0; e < ELEMENT_COUNT; e++)
        if (kind == ALONE ? e == alone : together(e) == kind)
            world_vary(w, cpu, e);
}

/* ---- pairs ---- */

static void compare_levels(struct bench *b)
{
    struct trial *r0 = &b->base[AT_0], *r3 = &b->base[AT_3];
    bool ok0 = !r0->out.has_fault, ok3 = !r3->out.has_fault;
    for (unsigned level = 0; level < LEVELS; level++) {
        bool ok = level == AT_0 ? ok0 : ok3;
        b->e->completed[level] += ok;
        b->e->trapped[level] += !ok;
        if (ok)
            note_writes(b, level, &b->base[level]);
    }
    if (ok0 && !ok3 && b->e->trapped[AT_3] == 1)
        b->e->privileged_state = (uint16_t)b->number;
    if (ok0 && ok3 && !b->e->by_mode &&
        outcomes_differ(&r0->before, &r0->out, &r3->before, &r3->out, ELEMENT_CPL, NULL, 0)) {
        b->e->by_mode = true;
        b->e->mode_state = (uint16_t)b->number;
    }
}

/* The element alone differs between base and varied. */
static void compare_element(struct bench *b, unsigned element)
{
    bool ok[LEVELS], other[LEVELS];
    for (unsigned level = 0; level < LEVELS; level++) {
        struct trial *base = &b->base[level], *varied = &b->varied[level];
        if (!step(b, level, element, varied))
            return;
        ok[level] = !base->out.has_fault;
        other[level] = !varied->out.has_fault;
        if (!ok[level] || !other[level])
            continue;
        note_writes(b, level, varied);
        if (!set_has(&b->e->reads[level], element) &&
            outcomes_differ(&base->before, &base->out, &varied->before, &varied->out, element, NULL,
                            0))
            note(&b->e->reads[level], b->e->reads_state[level], element, b->number);
    }
    if (ok[AT_0] && ok[AT_3] && other[AT_0] && !other[AT_3])
        note(&b->e->traps, b->e->traps_state, element, b->number);
    if (ok[AT_0] && !ok[AT_3] && other[AT_0] && other[AT_3])
        note(&b->e->allows, b->e->traps_state, element, b->number);
    if (!ok[AT_0] && !ok[AT_3] && (other[AT_0] || other[AT_3]))
        note(&b->e->opens, b->e->traps_state, element, b->number);
}

static void compare_elements(struct bench *b, bool only_bits)
{
    for (unsigned e = ELEMENT_CPL + 1; e < ELEMENT_COUNT; e++)
        if (!element_is_held(e) && (!only_bits || elements[e].is_bit))
            compare_element(b, e);
}

/* So varied, do both levels do as in the base runs? A control bit may make them trap: that is
 * looked at in the states that are looked at closely. */
static bool makes_no_difference(struct bench *b, enum together kind, unsigned alone)
{
    bool may_trap = kind == BITS || (kind == ALONE && elements[alone].is_bit);
    for (unsigned level = 0; level < LEVELS; level++) {
        struct trial *base = &b->base[level], *t = &b->varied[level];
        if (base->out.has_fault)
            continue;
        t->before = base->before;
        vary_those(b->x->world, &t->before, kind, alone);
        world_run(b->x->world, &t->before, &t->out);
        struct cpu other = t->before;
        vary_those(b->x->world, &other, kind, alone);
        if (t->out.has_fault && may_trap)
            continue;
        if (t->out.has_fault || outcomes_differ(&base->before, &base->out, &t->before, &t->out,
                                                OUTCOMES_ANY_ELEMENT, NULL, 0))
            return false;
    }
    return true;
}

/* Many elements at their other values at once make no difference: then none of them does alone, and
 * the state need not be looked at closely. */
static bool is_indifferent(struct bench *b)
{
    if (!makes_no_difference(b, PLAIN, 0) || !makes_no_difference(b, BITS, 0))
        return false;
    for (unsigned e = 0; e < ELEMENT_COUNT; e++)
        if (together(e) == ALONE && !makes_no_difference(b, ALONE, e))
            return false;
    return true;
}

/* ---- a row ---- */

/* Does a row need a closer look? */
static bool shows_something(const struct evidence *e)
{
    for (unsigned level = 0; level < LEVELS; level++)
        if (!set_is_empty(&e->reads[level]) || !set_is_empty(&e->writes[level]))
            return true;
    return e->by_mode || !set_is_empty(&e->traps) || e->completed[AT_0] != e->completed[AT_3];
}

/* True: the state tells something, some run completed. */
static bool try_state(struct bench *b, unsigned row, unsigned number)
{
    b->number = number;
    if (!seed_state(b->x->world, row, number, b->x->cr4_set, &b->seeded))
        return false;
    b->e->states++;
    step(b, AT_0, ELEMENT_COUNT, &b->base[AT_0]);
    step(b, AT_3, ELEMENT_COUNT, &b->base[AT_3]);
    if (b->base[AT_0].out.has_fault && b->base[AT_3].out.has_fault) {
        if (b->e->completed[AT_0] + b->e->completed[AT_3] == 0 && number < CLOSED_TRIES)
            compare_elements(b, true);
        return false;
    }
    compare_levels(b);
    if (b->told >= CLOSE_STATES && !shows_something(b->e) && is_indifferent(b))
        return true;
    compare_elements(b, false);
    return true;
}

void experiment_run(const struct experiment *x, unsigned row, struct evidence *out)
{
    struct bench b = {.x = x, .e = out};
    memset(out, 0, sizeof(*out));
    out->is_absent = !is_present(x->world, row);
    if (out->is_absent)
        return;
    for (unsigned n = 0;; n++) {
        unsigned wanted = shows_something(out) ? x->states_many : x->states_few;
        unsigned tries = b.told == 0 ? TRIES : wanted * PATIENCE + TRIES;
        if (b.told >= wanted || n >= tries)
            break;
        b.told += try_state(&b, row, n);
    }
    out->is_closed = b.told == 0;
}
