/* SPDX-License-Identifier: MIT */
/* The lab `steal`: several machines on few physical CPUs; their shares beside their weights, and what a guest sees of it. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "frontends/html.h"
#include "frontends/lab.h"
#include "frontends/lab_guest.h"
#include "frontends/run.h"

enum { MACHINES = 6, SLICE = 100000, LENGTH = 50000000, PERIOD = 1000000 }; /* ns */

/* What a guest wants: a part of a physical CPU, in percent. */
struct wish {
    unsigned weight, demand;
};

static const struct experiment {
    const char *name;
    unsigned pcpus, count;
    struct wish wish[MACHINES];
} experiments[] = {
    {"all busy", 1, 4, {{1, 100}, {2, 100}, {3, 100}, {4, 100}}},
    {"half-idle", 1, 4, {{1, 100}, {2, 100}, {2, 20}, {5, 0}}},
    {"modest", 1, 3, {{1, 25}, {1, 30}, {8, 10}}},
    {"two pcpus", 2, 4, {{6, 100}, {1, 100}, {1, 100}, {1, 100}}},
    {"two, mixed", 2, 5, {{1, 100}, {1, 100}, {2, 100}, {4, 50}, {4, 0}}},
};

/* A machine: what it announced, and what became of it. */
struct guest {
    struct trapline_machine *m;
    unsigned announced;                 /* bytes of the announcement so far */
    uint32_t page;                      /* guest-physical address of its struct page */
    struct trapline_group_member share; /* what the scheduler counted */
    double seen;                        /* ns stolen, by its steal time record */
    double gaps;                        /* ns missing, by its clock */
    double stolen;                      /* ns, by the scheduler, when it ran last */
};

enum { CELL = 50000, CELLS = 84, SETTLE = 20000000 }; /* of the picture, ns */

struct results {
    struct guest of[ARRAY_SIZE(experiments)][MACHINES];
    char cells[ARRAY_SIZE(experiments)][MACHINES][CELLS + 1];
    double host; /* ns of host time, all experiments */
};

static void on_byte(void *opaque, uint8_t byte)
{
    struct guest *g = opaque;
    if (g->announced > 0 && g->announced < 5)
        g->page |= (uint32_t)byte << 8 * (g->announced - 1);
    g->announced += g->announced > 0 || byte == 'A';
}

static int make(const struct wish *w, struct guest *g)
{
    struct trapline_config config = lab_guest_config(lab_steal64, lab_steal64_size, on_byte, g);
    char append[64] = "";
    if (w->demand < 100)
        snprintf(append, sizeof(append), "part %u %u", PERIOD / 100 * w->demand, PERIOD);
    config.memory = 4 << 20;
    config.append = append;
    config.virt.policy = TRAPLINE_POLICY_PV;
    config.max_ticks = UINT64_MAX;
    *g = (struct guest){.share = TRAPLINE_GROUP_MEMBER_INIT};
    return lab_guest_create(&config, &g->m);
}

/* roms/labs/steal.c, struct page. */
static int look(struct guest *g)
{
    enum { STEAL = 0, GAPS = 72 };
    uint8_t page[88];
    struct trapline_error e;
    if (g->announced < 5 || g->share.is_over)
        return lab_guest_failed(&g->share.stop, g->share.is_over ? "" : "it did not say where its page is");
    if (trapline_read(g->m, g->page, page, sizeof(page), &e) < 0)
        return report_error(e.text, e.hint);
    g->seen = (double)le64_load(page + STEAL);
    g->gaps = (double)le64_load(page + GAPS);
    g->stolen = (double)trapline_stolen_ns(g->m, 0);
    return 0;
}

/* ---- the picture ---- */

static const struct html_state states[] = {
    {'#', "#3b6ea5", "has a physical CPU"},
    {'.', "#f0c9c4", "runnable, waits for one: stolen"},
    {' ', "#ffffff", "idle (blank)"},
};

static char mark_of(const struct trapline_group_member *was, const struct trapline_group_member *is)
{
    uint64_t ran = is->run_ns - was->run_ns, waited = is->waited_ns - was->waited_ns;
    if (ran >= CELL / 2)
        return '#';
    return waited >= CELL / 2 ? '.' : ' ';
}

static void draw(const struct experiment *x, struct trapline_group *group, char cells[MACHINES][CELLS + 1])
{
    trapline_group_run(group, SETTLE);
    for (unsigned c = 0; c < CELLS; c++) {
        struct trapline_group_member was[MACHINES];
        for (unsigned i = 0; i < x->count; i++) {
            was[i] = (struct trapline_group_member)TRAPLINE_GROUP_MEMBER_INIT;
            trapline_group_member(group, i, &was[i]);
        }
        trapline_group_run(group, SETTLE + (uint64_t)(c + 1) * CELL);
        for (unsigned i = 0; i < x->count; i++) {
            struct trapline_group_member is = TRAPLINE_GROUP_MEMBER_INIT;
            trapline_group_member(group, i, &is);
            cells[i][c] = mark_of(&was[i], &is);
        }
    }
}

/* ---- the runs ---- */

static int run_group(const struct experiment *x, struct guest *guests, struct trapline_group *group, char cells[MACHINES][CELLS + 1])
{
    int status = 0;
    struct trapline_error e;
    for (unsigned i = 0; i < x->count && status == 0; i++) {
        status = make(&x->wish[i], &guests[i]);
        if (status == 0 && trapline_group_add(group, guests[i].m, x->wish[i].weight, &e) < 0)
            status = report_error(e.text, e.hint);
    }
    if (status == 0)
        draw(x, group, cells);
    if (status == 0 && trapline_group_run(group, LENGTH) < 0)
        status = report_error("interrupted", "");
    for (unsigned i = 0; i < x->count && status == 0; i++) {
        trapline_group_member(group, i, &guests[i].share);
        status = look(&guests[i]);
    }
    return status;
}

static int measure(const struct experiment *x, struct guest *guests, char cells[MACHINES][CELLS + 1])
{
    struct trapline_group_config config = TRAPLINE_GROUP_CONFIG_INIT;
    struct trapline_group *group;
    struct trapline_error e;
    config.pcpus = x->pcpus;
    config.slice_ns = SLICE;
    if (trapline_group_create(&config, &group, &e) < 0)
        return report_error(e.text, e.hint);
    int status = run_group(x, guests, group, cells);
    trapline_group_destroy(group);
    for (unsigned i = 0; i < x->count; i++)
        trapline_destroy(guests[i].m);
    return status;
}

/* ---- theory ---- */

/* Pour the pcpus' time over the machines by weight; who is full, of its demand or of a whole pcpu, takes no more. In percent. */
static void predict(const struct experiment *x, double share[MACHINES])
{
    double left = 100.0 * x->pcpus;
    bool is_full[MACHINES] = {false}, changed = true;
    while (changed) {
        double weights = 0, poured = left;
        changed = false;
        for (unsigned i = 0; i < x->count; i++)
            weights += is_full[i] ? 0 : x->wish[i].weight;
        for (unsigned i = 0; i < x->count; i++) {
            if (is_full[i])
                continue;
            share[i] = poured * x->wish[i].weight / weights;
            if (share[i] < x->wish[i].demand)
                continue;
            share[i] = x->wish[i].demand;
            left -= share[i];
            is_full[i] = changed = true;
        }
    }
}

/* ---- the parts ---- */

static double percent(double ns)
{
    return 100 * ns / LENGTH;
}

static void label_of(const struct wish *w, char text[32])
{
    if (w->demand == 100)
        snprintf(text, 32, "weight %u, busy", w->weight);
    else
        snprintf(text, 32, "weight %u, wants %u %%", w->weight, w->demand);
}

static unsigned all_rows(struct lab_row *rows, char labels[][32])
{
    unsigned n = 0;
    for (unsigned x = 0; x < ARRAY_SIZE(experiments); x++) {
        for (unsigned i = 0; i < experiments[x].count; i++, n++) {
            label_of(&experiments[x].wish[i], labels[n]);
            rows[n] = (struct lab_row){.group = experiments[x].name, .label = labels[n]};
        }
    }
    return n;
}

static void add_shares(const struct results *r, const struct lab_costs *costs,
                       struct lab_report *report)
{
    struct lab_row rows[ARRAY_SIZE(experiments) * MACHINES];
    char labels[ARRAY_SIZE(rows)][32];
    char theory[1024];
    unsigned n = 0, count = all_rows(rows, labels);
    double slices = 0;
    for (unsigned x = 0; x < ARRAY_SIZE(experiments); x++) {
        double share[MACHINES];
        predict(&experiments[x], share);
        for (unsigned i = 0; i < experiments[x].count; i++, n++) {
            const struct trapline_group_member *k = &r->of[x][i].share;
            slices += (double)k->slices;
            rows[n].measured = percent((double)k->run_ns);
            rows[n].predicted = share[i];
            rows[n].extra = percent((double)k->waited_ns);
            rows[n].cycles = (double)(k->slices * (costs->exit + costs->call));
        }
    }
    snprintf(theory, sizeof(theory),
             "Theory: proportional share, work-conserving. Time is poured over the machines in "
             "proportion to weight; who has "
             "what it wants takes no more, and the rest is poured over the others, in the same "
             "proportion. No machine "
             "with one processor takes more than one physical CPU: on two, weight 6 of 9 gets 100 "
             "%%, not 133 %%. Nobody who "
             "stays runnable is ever more than a slice (0.2 %% of 50 ms) ahead or behind. Those "
             "that sleep come out a little "
             "lower: they first have to boot, and the end cuts off their last period. Cycles: one "
             "exit and one small request for each slice. "
             "On this host a slice took %.0f us of the processor's time, the work of the guests "
             "and their making included.",
             r->host / slices / 1000);
    lab_add(report, &(struct lab_part){.title = "A. Shares: machines on one and two physical CPUs "
                                                "for 50 ms, in slices of 100 us; percent of one",
                                       .columns = {"pcpus", "machine"},
                                       .unit = "% of a pcpu",
                                       .extra = "% waiting",
                                       .theory = theory,
                                       .rows = rows,
                                       .count = count});
}

static void add_seen(const struct results *r, const struct lab_costs *costs,
                     struct lab_report *report)
{
    struct lab_row rows[ARRAY_SIZE(experiments) * MACHINES];
    char labels[ARRAY_SIZE(rows)][32];
    unsigned n = 0, count = all_rows(rows, labels);
    for (unsigned x = 0; x < ARRAY_SIZE(experiments); x++) {
        for (unsigned i = 0; i < experiments[x].count; i++, n++) {
            const struct guest *g = &r->of[x][i];
            rows[n].measured = g->seen / 1000;
            rows[n].predicted = g->stolen / 1000;
            rows[n].extra = g->gaps / 1000;
            rows[n].cycles = (double)(g->share.slices * (costs->exit + costs->call));
        }
    }
    lab_add(report,
            &(struct lab_part){
                .title = "B. Stolen time, in us: as the guest reads it (KVM's steal time), as the scheduler counts it, and as the guest could "
                         "have guessed",
                .columns = {"pcpus", "machine"},
                .unit = "us, guest",
                .extra = "us, guessed",
                .theory = "Theory: stolen is the time for which a machine was runnable and did not run. The guest's record is written when it "
                          "gets a physical CPU, so one that waits right now has not been told of this last wait, and is behind the "
                          "scheduler's count by it: up to a few slices. Without the record a guest can only see its clock jump during work "
                          "of known length. That misses the waits between an interrupt that wakes it and its first instruction, which is "
                          "why a machine that sleeps guesses too little.",
                .rows = rows,
                .count = count});
}

static void add_pictures(const struct results *r, struct lab_report *report)
{
    enum { COUNT = ARRAY_SIZE(experiments) };
    struct html_strip strips[COUNT];
    struct lab_row rows[COUNT * MACHINES];
    char labels[ARRAY_SIZE(rows)][32];
    const char *names[COUNT][MACHINES], *tracks[COUNT][MACHINES];
    unsigned n = 0;
    all_rows(rows, labels);
    for (unsigned x = 0; x < COUNT; x++) {
        for (unsigned i = 0; i < experiments[x].count; i++) {
            names[x][i] = labels[n++];
            tracks[x][i] = r->cells[x][i];
        }
        strips[x] = (struct html_strip){experiments[x].name, names[x], tracks[x], experiments[x].count, states, ARRAY_SIZE(states)};
    }
    lab_add_strips(report,
                   &(struct lab_strips){
                       .title = "What it looks like: 4.2 ms from the middle",
                       .cell = "50 us, half a slice",
                       .text = "Each column is a moment. As many machines have a physical CPU as there are, whenever so many want one: that "
                               "is work conservation. A machine that wakes waits for the end of somebody's slice.",
                       .strips = strips,
                       .count = COUNT});
}

static int run_steal(const struct lab_costs *costs, struct lab_report *report)
{
    static struct results r;
    int status = lab_guests_check();
    double began = lab_host_clock();
    for (unsigned x = 0; x < ARRAY_SIZE(experiments) && status == 0; x++)
        status = measure(&experiments[x], r.of[x], r.cells[x]);
    if (status)
        return status;
    r.host = lab_host_clock() - began;
    add_shares(&r, costs, report);
    add_seen(&r, costs, report);
    add_pictures(&r, report);
    return 0;
}

const struct lab lab_steal = {"steal", "who gets how much of few physical CPUs, and what does a guest see of it?", run_steal};
