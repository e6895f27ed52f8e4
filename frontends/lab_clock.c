/* SPDX-License-Identifier: MIT */
/* The lab `clock`: what it costs a guest to read the time, and what it sees when time is made coarse for it. */
#include "base/compiler.h"
#include "frontends/lab_calls.h"

static const struct way {
    const char *group, *name;
    enum lab_exit by; /* what gets it out of the guest */
    unsigned exits;   /* of a read, by theory */
    bool is_call;     /* a hypercall: nothing to decode */
} ways[] = {
    {"trap", "RDTSC, if it exits", LAB_RDTSC, 1, false},
    {"trap", "PM timer, a port", LAB_IN, 1, false},
    {"trap", "HPET, memory", LAB_MMIO, 1, false},
    {"call", "GET_TIME", LAB_VMCALL, 1, true},
    {"page", "time page", LAB_VMCALL, 0, true},
    {"page", "kvmclock", LAB_VMCALL, 0, true},
};

#define WAYS ARRAY_SIZE(ways)

/* On hardware that runs the guest's RDTSC and adds the offset itself, all that the pages need. */
static double exits(unsigned i, const struct lab_probe *p)
{
    if (ways[i].exits)
        return (double)p->executed[ways[i].by];
    return (double)(p->executed[LAB_VMCALL] + p->executed[LAB_IN] + p->executed[LAB_MMIO] + p->executed[LAB_WRMSR]);
}

static double cycles(unsigned i, const struct lab_probe *p, const struct lab_costs *c)
{
    double tsc = ways[i].exits ? 0 : (double)p->executed[LAB_RDTSC];
    uint64_t handling = ways[i].is_call ? c->call : c->decode;
    return exits(i, p) * (double)(c->exit + handling) + tsc * (double)c->tsc + (double)p->ticks * (double)c->instruction;
}

static void add_reads(const struct lab_calls_result *r, const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_row rows[WAYS];
    for (unsigned i = 0; i < WAYS; i++) {
        const struct lab_probe *p = &r->of[i];
        rows[i] = (struct lab_row){.group = ways[i].group,
                                   .label = ways[i].name,
                                   .measured = lab_per_operation(exits(i, p)),
                                   .predicted = ways[i].exits,
                                   .extra = lab_per_operation((double)p->ticks),
                                   .cycles = lab_per_operation(cycles(i, p, costs)),
                                   .host = lab_per_operation(p->host_ns)};
    }
    const struct lab_part part = {
        .title = "A. Reading the time; per read",
        .columns = {"by", "what is read"},
        .unit = "exits",
        .extra = "instructions",
        .theory =
            "Theory: time is a resource, and an instruction that shows it is sensitive. A monitor that must answer each read itself takes an exit for each: a port, a "
            "device in memory, RDTSC if it is told to exit, a hypercall. A page that the monitor keeps up to date has the answer in the guest already: a base, a "
            "scale, and the hardware's counter, which does not exit; the sequence number tells a reader that the monitor was just writing. Zero exits, for more instructions. "
            "The counts of exits are those of such hardware; in trapline RDTSC goes through its slot whoever reads it, because every clock of the machine is made of "
            "virtual time, so host time shows the pages dearer than RDTSC alone, by their other instructions, and never as cheap as the cycles say.",
        .plots_cycles = true,
        .has_host = true,
        .rows = rows,
        .count = WAYS,
    };
    lab_add(report, &part);
}

/* ---- time in steps ---- */

static const uint64_t steps[] = {0, 100, 1000, 10000};
static const char *const step_names[] = {"exact", "100 ns", "1000 ns", "10000 ns"};

static int add_steps(const struct lab_calls_result *exact, struct lab_report *report)
{
    struct lab_row rows[ARRAY_SIZE(steps)];
    struct lab_calls_result r = *exact;
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        const struct lab_calls how = {.name = "clock", .virt = {.policy = TRAPLINE_POLICY_PV, .time_step = steps[i]}};
        int status = i == 0 ? 0 : lab_calls_measure(&how, &r);
        if (status)
            return status;
        double values = r.number[0], elapsed = r.number[1];
        rows[i] = (struct lab_row){.group = "steps of",
                                   .label = step_names[i],
                                   .measured = values,
                                   .predicted = steps[i] ? elapsed / (double)steps[i] + 1 : LAB_CALLS_OPERATIONS + 1,
                                   .extra = elapsed / values};
    }
    const struct lab_part part = {
        .title = "B. Time in steps (-virt pv,time-step=NS): how many values 8193 reads of RDTSC see",
        .columns = {"time in", "step"},
        .unit = "values",
        .extra = "ns apart",
        .theory = "Theory: a guest that measures finely learns what others do on the machine. Made to advance in steps of s, its clock shows T/s + 1 values in a time T, however "
                  "often it is read; exact time shows another value at each read. What it waits for comes when it would read that time or a later one, so no guest "
                  "waits for ever, and time is as long as before. It can still count its own instructions in a loop: steps make measuring slower, not impossible.",
        .rows = rows,
        .count = ARRAY_SIZE(steps),
    };
    lab_add(report, &part);
    return 0;
}

static int run_clock(const struct lab_costs *costs, struct lab_report *report)
{
    const struct lab_calls how = {.name = "clock", .virt = {.policy = TRAPLINE_POLICY_PV}};
    struct lab_calls_result r;
    int status = lab_calls_measure(&how, &r);
    if (status)
        return status;
    add_reads(&r, costs, report);
    return add_steps(&r, report);
}

const struct lab lab_clock = {"clock", "what does it cost to read the time by trap, by hypercall, from a page?", run_clock};
