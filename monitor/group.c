/* SPDX-License-Identifier: MIT */
#include "monitor/group.h"

#include <string.h>

#include "monitor/dispatcher.h"
#include "monitor/scheduler.h"

#define PASS_BITS 6 /* of a pass, behind the point */

void group_init(struct group *g, unsigned pcpus, uint64_t slice_ns)
{
    memset(g, 0, sizeof(*g));
    g->pcpu_count = pcpus;
    g->slice_ns = slice_ns;
    for (unsigned i = 0; i < pcpus; i++)
        g->pcpus[i].member = -1;
}

/* The machine's clock, as the group's. */
static vtime clock_of(const struct group_member *k)
{
    return machine_now(k->m) + k->added;
}

static bool is_active(const struct group_member *k)
{
    return k->state == MEMBER_READY || k->state == MEMBER_RUNNING;
}

/* ---- shares ---- */

/* The active member of largest weight that is not in `taken`, or NULL. */
static struct group_member *heaviest(struct group *g, uint64_t taken)
{
    struct group_member *best = NULL;
    for (unsigned i = 0; i < g->member_count; i++) {
        struct group_member *k = &g->members[i];
        if (is_active(k) && !(taken >> i & 1) && (!best || k->weight > best->weight))
            best = k;
    }
    return best;
}

/* Those whose weight would get them more than a pcpu, in a set: w / sum of P pcpus is more than one, and so on for the others. */
static uint64_t find_whole(struct group *g)
{
    uint64_t taken = 0;
    uint32_t sum = 0, left = g->pcpu_count;
    struct group_member *k;
    for (unsigned i = 0; i < g->member_count; i++)
        sum += is_active(&g->members[i]) ? g->members[i].weight : 0;
    while (left > 1 && (k = heaviest(g, taken)) && (uint64_t)k->weight * left > sum) {
        taken |= UINT64_C(1) << (k - g->members);
        sum -= k->weight;
        left--;
    }
    return taken;
}

static void charge(struct group *g, struct group_pcpu *p, vtime until)
{
    struct group_member *k = &g->members[p->member];
    uint64_t work = ((until - p->charged) << PASS_BITS) + k->rest;
    p->charged = until;
    if (k->is_whole)
        return;
    k->pass += work / k->weight;
    k->rest = work % k->weight;
}

static void charge_running(struct group *g)
{
    for (unsigned i = 0; i < g->pcpu_count; i++)
        if (g->pcpus[i].member >= 0 && g->pcpus[i].charged < g->now)
            charge(g, &g->pcpus[i], g->now);
}

static bool shares(const struct group_member *k)
{
    return is_active(k) && !k->is_whole;
}

/* The pass that all who share would have, had they run side by side: the mean of theirs, by weight. The last one if nobody does. */
static uint64_t virtual_time(struct group *g)
{
    uint64_t least = UINT64_MAX, sum = 0, weights = 0;
    charge_running(g);
    for (unsigned i = 0; i < g->member_count; i++)
        if (shares(&g->members[i]) && g->members[i].pass < least)
            least = g->members[i].pass;
    for (unsigned i = 0; i < g->member_count; i++) {
        const struct group_member *k = &g->members[i];
        if (!shares(k))
            continue;
        sum += k->weight * (k->pass - least);
        weights += k->weight;
    }
    if (weights > 0)
        g->virtual_time = least + sum / weights;
    return g->virtual_time;
}

/* Who is active has changed. One that has to share again begins without credit or debt. */
static void adjust(struct group *g)
{
    uint64_t now = virtual_time(g), whole = find_whole(g);
    for (unsigned i = 0; i < g->member_count; i++) {
        struct group_member *k = &g->members[i];
        bool was_whole = k->is_whole;
        k->is_whole = whole >> i & 1;
        if (was_whole && !k->is_whole)
            k->pass = now;
    }
}

/* It becomes active. */
static void join(struct group *g, struct group_member *k)
{
    uint64_t now = virtual_time(g);
    if (k->pass < now)
        k->pass = now;
    k->state = MEMBER_READY;
    adjust(g);
}

/*
 * Who has the next free pcpu: one that has a right to a whole one; else of those whose pass is not ahead of the virtual time the one
 * that would be first to be ahead by a slice; else (the others of these have pcpus) of all. NULL: nobody is ready.
 */
static struct group_member *choose(struct group *g)
{
    uint64_t now = virtual_time(g), best_rank = UINT64_MAX;
    struct group_member *best = NULL;
    for (unsigned i = 0; i < g->member_count; i++) {
        struct group_member *k = &g->members[i];
        if (k->state != MEMBER_READY)
            continue;
        uint64_t rank = k->is_whole ? 0 : k->pass + (g->slice_ns << PASS_BITS) / k->weight;
        if (!k->is_whole && k->pass > now)
            rank |= UINT64_C(1) << 63;
        if (!best || rank < best_rank) {
            best = k;
            best_rank = rank;
        }
    }
    return best;
}

/* ---- one member ---- */

static void end_member(struct group *g, struct group_member *k, enum stop_reason why)
{
    k->state = MEMBER_OVER;
    k->stop = why;
    adjust(g);
}

/* Bring the clock of one that sleeps to `until`, or to when it wakes. False: it never will. */
static bool sleep_until(struct group_member *k, vtime until)
{
    vtime before = machine_now(k->m);
    bool can_wake = machine_idle_until(k->m, until - k->added);
    k->idle_ns += machine_now(k->m) - before;
    return can_wake;
}

static bool is_awake(const struct group_member *k)
{
    return machine_is_runnable(k->m) || k->m->stop != STOP_NONE || k->m->reset_requested;
}

static void wait_until(struct group_member *k, vtime until)
{
    vtime before = machine_now(k->m);
    machine_wait_until(k->m, until - k->added);
    k->waited_ns += machine_now(k->m) - before;
}

/* Run the member that has the pcpu to the end of its slice, or as far as `until`. False: a person wishes to stop. */
static bool run_slice(struct group *g, struct group_pcpu *p, vtime until)
{
    struct group_member *k = &g->members[p->member];
    struct machine *m = k->m;
    vtime end = (p->slice_end < until ? p->slice_end : until), before = clock_of(k);
    if (p->is_done || before >= end)
        return true;
    m->stop_at = m->s.ticks + (end - before + m->s.ns_per_tick - 1) / m->s.ns_per_tick;
    m->returns_idle = true;
    enum stop_reason why = machine_run(m);
    m->returns_idle = false;
    m->stop_at = UINT64_MAX;
    p->reached = clock_of(k);
    k->run_ns += p->reached - before;
    p->busy_ns += p->reached - before;
    p->is_done = p->reached >= p->slice_end || (why != STOP_POSITION && why != STOP_USER);
    return why != STOP_USER;
}

static void dispatch(struct group *g, struct group_pcpu *p, struct group_member *k)
{
    wait_until(k, g->now);
    p->idle_ns += g->now - p->idle_since;
    p->member = (int)(k - g->members);
    p->charged = p->reached = clock_of(k);
    p->slice_end = p->reached + g->slice_ns;
    p->is_done = k->m->stop != STOP_NONE; /* an event of the wait ended it */
    k->state = MEMBER_RUNNING;
    k->slices++;
    scheduler_resume(k->m);
}

/* The slice is over: who had the pcpu waits, sleeps or is done. */
static void release(struct group *g, struct group_pcpu *p)
{
    struct group_member *k = &g->members[p->member];
    enum stop_reason why = k->m->stop;
    charge(g, p, p->reached);
    p->member = -1;
    p->idle_since = p->reached;
    scheduler_suspend(k->m);
    if (why != STOP_IDLE && why != STOP_POSITION && why != STOP_NONE) {
        end_member(g, k, why);
        return;
    }
    k->m->stop = STOP_NONE;
    k->state = is_awake(k) ? MEMBER_READY : MEMBER_ASLEEP;
    adjust(g);
}

/* ---- all ---- */

static void release_all(struct group *g)
{
    for (unsigned i = 0; i < g->pcpu_count; i++) {
        struct group_pcpu *p = &g->pcpus[i];
        if (p->member >= 0 && p->is_done && p->reached <= g->now)
            release(g, p);
    }
}

static void wake_all(struct group *g)
{
    for (unsigned i = 0; i < g->member_count; i++) {
        struct group_member *k = &g->members[i];
        if (k->state != MEMBER_ASLEEP || clock_of(k) > g->now)
            continue;
        if (k->m->stop != STOP_NONE)
            end_member(g, k, k->m->stop);
        else if (is_awake(k))
            join(g, k);
    }
}

/* False: a person wishes to stop. */
static bool dispatch_all(struct group *g, vtime until)
{
    bool goes_on = true;
    for (unsigned i = 0; i < g->pcpu_count; i++) {
        struct group_pcpu *p = &g->pcpus[i];
        struct group_member *k = p->member < 0 ? choose(g) : NULL;
        if (k)
            dispatch(g, p, k);
        if (p->member >= 0)
            goes_on &= run_slice(g, p, until);
    }
    for (unsigned i = 0; i < g->member_count; i++) {
        struct group_member *k = &g->members[i];
        if (k->state == MEMBER_ASLEEP && clock_of(k) < until && !is_awake(k) && !sleep_until(k, until))
            end_member(g, k, STOP_DEAD_HALT);
    }
    return goes_on;
}

static vtime sooner(vtime a, vtime b)
{
    return a < b ? a : b;
}

/* When something is next to be decided, as far as is known: a slice ends, somebody wakes. */
static vtime next_decision(const struct group *g)
{
    vtime next = VTIME_NEVER;
    for (unsigned i = 0; i < g->pcpu_count; i++)
        if (g->pcpus[i].member >= 0)
            next = sooner(next, g->pcpus[i].reached);
    for (unsigned i = 0; i < g->member_count; i++)
        if (g->members[i].state == MEMBER_ASLEEP && is_awake(&g->members[i]))
            next = sooner(next, clock_of(&g->members[i]));
    return next;
}

static void settle(struct group *g)
{
    for (unsigned i = 0; i < g->member_count; i++)
        if (g->members[i].state == MEMBER_READY)
            wait_until(&g->members[i], g->now);
    for (unsigned i = 0; i < g->pcpu_count; i++) {
        struct group_pcpu *p = &g->pcpus[i];
        if (p->member >= 0 || p->idle_since >= g->now)
            continue;
        p->idle_ns += g->now - p->idle_since;
        p->idle_since = g->now;
    }
}

bool group_run(struct group *g, vtime until)
{
    bool goes_on = true;
    while (goes_on && g->now < until && group_alive(g) > 0) {
        release_all(g);
        wake_all(g);
        goes_on = dispatch_all(g, until);
        vtime next = sooner(next_decision(g), until);
        if (goes_on && next > g->now)
            g->now = next;
    }
    if (goes_on)
        settle(g);
    return goes_on;
}

unsigned group_alive(const struct group *g)
{
    unsigned n = 0;
    for (unsigned i = 0; i < g->member_count; i++)
        n += g->members[i].state != MEMBER_OVER;
    return n;
}

unsigned group_add(struct group *g, struct machine *m, uint32_t weight)
{
    struct group_member *k = &g->members[g->member_count++];
    *k = (struct group_member){.m = m, .weight = weight, .state = MEMBER_ASLEEP, .added = g->now - machine_now(m)};
    m->stop = STOP_NONE;
    scheduler_suspend(m);
    return g->member_count - 1;
}

void group_fini(struct group *g)
{
    for (unsigned i = 0; i < g->member_count; i++)
        if (g->members[i].m->is_suspended)
            scheduler_resume(g->members[i].m);
    g->member_count = 0;
}
