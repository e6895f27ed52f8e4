/* SPDX-License-Identifier: MIT */
/* The lab `batching`: the cost of an operation against how many share a hypercall, beside H/k + c. */
#include <stdio.h>

#include "base/compiler.h"
#include "frontends/lab_calls.h"

enum { SERIES = 2, SIZES = 8 }; /* each operation by itself, then batches of 1, 2, 4 ... 64 */

static const char *const series_names[SERIES] = {"timer", "MSR"}, *const size_names[SIZES] = {"one by one", "k = 1",  "k = 2",  "k = 4",
                                                                                              "k = 8",      "k = 16", "k = 32", "k = 64"};

static unsigned size_of(unsigned i)
{
    return i == 0 ? 1 : 1u << (i - 1);
}

static const struct lab_probe *probe(const struct lab_calls_result *r, unsigned series, unsigned i)
{
    return &r->of[series * SIZES + i];
}

/* WRMSR by itself is a trapped instruction. */
static double exits(const struct lab_probe *p)
{
    return lab_per_operation((double)(p->executed[LAB_VMCALL] + p->executed[LAB_WRMSR]));
}

static double cycles(const struct lab_probe *p, const struct lab_costs *c)
{
    double traps = lab_per_operation((double)p->executed[LAB_WRMSR]);
    return exits(p) * (double)c->exit + traps * (double)c->decode + (1 - traps) * (double)c->call;
}

static double host(const struct lab_probe *p)
{
    return lab_per_operation(p->host_ns);
}

static void add_counts(const struct lab_calls_result *r, const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_row rows[SERIES * SIZES];
    struct lab_part part = {
        .title = "A. An operation, when k of them share a hypercall: timers by SET_TIMER and MULTICALL, MSRs by WRMSR and WRITE_MSRS",
        .columns = {"operation", "batch"},
        .unit = "exits",
        .extra = "instructions",
        .theory = "Theory: a hypercall costs H to get there and back, and c for each operation that it asks for: H/k + c for one of k. Exits are 1/k, to the last one. "
                  "Most of what there is to gain is gained early: k = 8 saves seven eighths of H, k = 64 seven eighths of what is left. The price is latency (the first operation waits "
                  "until the last is known) and code that knows what may wait. A WRMSR by itself is a trap: H, and decoding instead of c. Instructions are the guest's own: filling in the entries.",
        .digits = 6,
        .plots_cycles = true,
        .rows = rows};
    for (unsigned s = 0; s < SERIES; s++) {
        for (unsigned i = 0; i < SIZES; i++) {
            const struct lab_probe *p = probe(r, s, i);
            rows[part.count++] = (struct lab_row){.group = series_names[s],
                                                  .label = size_names[i],
                                                  .measured = exits(p),
                                                  .predicted = 1.0 / size_of(i),
                                                  .extra = lab_per_operation((double)p->ticks),
                                                  .cycles = cycles(p, costs)};
        }
    }
    lab_add(report, &part);
}

/* The line through the batches' host times against 1/k, by least squares: its slope is H, where it begins is c. */
static void fit(const struct lab_calls_result *r, unsigned series, double *h, double *c)
{
    double n = SIZES - 1, x = 0, y = 0, xx = 0, xy = 0;
    for (unsigned i = 1; i < SIZES; i++) {
        double a = 1.0 / size_of(i), b = host(probe(r, series, i));
        x += a, y += b, xx += a * a, xy += a * b;
    }
    *h = (n * xy - x * y) / (n * xx - x * x);
    *c = (y - *h * x) / n;
}

static void add_host(const struct lab_calls_result *r, const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_row rows[SERIES * SIZES];
    double h[SERIES], c[SERIES];
    char text[900];
    unsigned count = 0;
    for (unsigned s = 0; s < SERIES; s++) {
        fit(r, s, &h[s], &c[s]);
        for (unsigned i = 1; i < SIZES; i++) {
            const struct lab_probe *p = probe(r, s, i);
            rows[count++] = (struct lab_row){.group = series_names[s],
                                             .label = size_names[i],
                                             .measured = host(p),
                                             .predicted = h[s] / size_of(i) + c[s],
                                             .extra = exits(p),
                                             .cycles = cycles(p, costs)};
        }
    }
    snprintf(text, sizeof(text),
             "The same in time of this host, which differs from run to run: the prediction is H/k + c with H and c fitted to these times. timer: H = %.0f ns, c = %.0f ns; "
             "MSR: H = %.0f ns, c = %.0f ns. H is small here because our monitor is the processor as well: VMCALL is a call through a slot, where hardware saves one "
             "world and loads another. c holds the guest's own instructions and the checks of each entry, so c is the larger part; the shape is that of the model all "
             "the same. Where single points lie off the line it is the host's noise: each is the least of five runs.",
             h[0], c[0], h[1], c[1]);
    const struct lab_part part = {.title = "B. The same by this host's clock, per operation",
                                  .columns = {"operation", "batch"},
                                  .unit = "ns",
                                  .extra = "exits",
                                  .theory = text,
                                  .rows = rows,
                                  .count = count};
    lab_add(report, &part);
}

static int run_batching(const struct lab_costs *costs, struct lab_report *report)
{
    const struct lab_calls how = {.name = "batching", .virt = {.policy = TRAPLINE_POLICY_PV}};
    struct lab_calls_result r;
    int status = lab_calls_measure(&how, &r);
    if (status)
        return status;
    add_counts(&r, costs, report);
    add_host(&r, costs, report);
    return 0;
}

const struct lab lab_batching = {"batching", "what does an operation cost when k of them share a hypercall?", run_batching};
