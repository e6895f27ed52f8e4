/* SPDX-License-Identifier: MIT */
/* The lab `cli`: what it costs a kernel to switch interrupts off and on, by trap, by hypercall, by translation. */
#include "base/compiler.h"
#include "frontends/lab_calls.h"

enum { EMPTY, BY_INSTRUCTION, BY_HYPERCALL };

static const struct way {
    const char *name;
    struct lab_calls how;
    unsigned experiment; /* of the guest */
    unsigned exits;      /* of a pair, by theory */
} ways[] = {
    {"trap", {.name = "cli", .engine = TRAPLINE_ENGINE_INTERP}, BY_INSTRUCTION, 2},
    {"hypercall", {.name = "cli", .virt = {.policy = TRAPLINE_POLICY_PV}}, BY_HYPERCALL, 2},
    {"translation", {.name = "cli", .translates_at_once = true}, BY_INSTRUCTION, 0},
};

#define WAYS ARRAY_SIZE(ways)

/* Ways into the monitor: where all is interpreted every sensitive instruction, where it is translated what is not done in line. */
static double exits(const struct way *w, const struct lab_probe *p)
{
    bool is_translated = w->how.engine != TRAPLINE_ENGINE_INTERP;
    const uint64_t *flags = is_translated ? p->called : p->executed;
    return (double)(flags[LAB_CLI] + flags[LAB_STI] + p->executed[LAB_VMCALL]);
}

static double cycles(const struct way *w, const struct lab_probe *p, const struct lab_costs *c)
{
    double out = exits(w, p), in_line = (double)(p->executed[LAB_CLI] + p->executed[LAB_STI]) - out;
    if (w->experiment == BY_HYPERCALL)
        return out * (double)(c->exit + c->call);
    return out * (double)(c->exit + c->decode) + (in_line > 0 ? in_line : 0) * (double)c->in_line;
}

static struct lab_row row_of(const struct way *w, const struct lab_calls_result *r, const struct lab_costs *costs)
{
    const struct lab_probe *p = &r->of[w->experiment], *empty = &r->of[EMPTY];
    return (struct lab_row){
        .group = "a pair",
        .label = w->name,
        .measured = lab_per_operation(exits(w, p)),
        .predicted = w->exits,
        .extra = lab_per_operation((double)p->ticks - (double)empty->ticks),
        .cycles = lab_per_operation(cycles(w, p, costs)),
        .host = lab_per_operation(p->host_ns - empty->host_ns),
    };
}

static int run_cli(const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_calls_result r;
    struct lab_row rows[WAYS];
    for (unsigned i = 0; i < WAYS; i++) {
        int status = lab_calls_measure(&ways[i].how, &r);
        if (status)
            return status;
        rows[i] = row_of(&ways[i], &r, costs);
    }
    const struct lab_part part = {
        .title = "A. Interrupts off, interrupts on: what a critical section pays, beyond an empty loop",
        .columns = {"what", "how"},
        .unit = "exits",
        .extra = "instructions",
        .theory =
            "Theory: CLI and STI are privileged, so where the guest kernel is deprivileged each of them traps: two exits a pair. A hypercall is as "
            "much of an exit; it saves the decoding and nothing else, and takes more instructions to say what is wanted, so asking politely for what one "
            "instruction did is no gain: hypercalls pay where one call replaces many traps (lab batching). A translator needs neither: IF is a bit in the "
            "virtual machine's memory, and CLI becomes an AND on it (Adams and Agesen, 2006, have binary translation win exactly here). "
            "What is compared: trap is every CLI and STI by its emulator, as the interpreter does it; hypercall is our SET_INTERRUPTS; translation "
            "is the lowered form, where we count what still called the monitor. The cycles are the model's: on hardware each exit is a world switch. "
            "Host time is this program's own, in which a trap is a call through a slot and no world switch: so here the hypercall is the dearest, which has more to say "
            "and has to be looked up, and has no switch of worlds that it could be worth. What stays true in either time is that code in line is the cheapest. "
            "Hosts without a translator interpret, and then count two.",
        .plots_cycles = true,
        .has_host = true,
        .rows = rows,
        .count = WAYS,
    };
    lab_add(report, &part);
    return 0;
}

const struct lab lab_cli = {"cli", "what do CLI and STI cost by trap, by hypercall, by translation?", run_cli};
