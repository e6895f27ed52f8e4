/* SPDX-License-Identifier: MIT */
/* Turns of vCPUs and what was stolen from each: numbers, `-d turns`, `info turns`. */
#include <inttypes.h>
#include <string.h>

#include "monitor/scheduler.h"
#include "monitor/trapline_priv.h"

uint64_t trapline_stolen_ns(const struct trapline_machine *t, unsigned vcpu)
{
    return vcpu < t->m->vm->vcpu_count ? scheduler_stolen_ns(&t->m->vm->vcpus[vcpu]) : 0;
}

uint64_t trapline_vcpu_ticks(const struct trapline_machine *t, unsigned vcpu)
{
    return vcpu < t->m->vm->vcpu_count ? t->m->vm->vcpus[vcpu].vcpu->arch.ticks : 0;
}

void trapline_turns(const struct trapline_machine *t, struct trapline_turns *out)
{
    const struct scheduler_counters *c = &t->m->scheduling;
    const struct trapline_turns all = {.size = out->size,
                                       .turns = c->turns,
                                       .pauses = c->pauses,
                                       .pause_yields = c->pause_yields,
                                       .ipi_yields = c->ipi_yields,
                                       .yields = c->yields,
                                       .directed_yields = c->directed_yields,
                                       .kicks = c->kicks};
    memcpy(out, &all, out->size < sizeof(all) ? out->size : sizeof(all));
}

static const char *state_of(const struct monitor_vcpu *mv)
{
    if (mv == scheduler_current(mv->vm->machine))
        return scheduler_is_runnable(mv) ? "has the turn" : "had the last turn, is halted";
    return scheduler_is_waiting(mv) ? "waits" : "halted";
}

static void print_rules(const struct machine_state *s, FILE *out)
{
    fprintf(out, "a turn has %" PRIu64 " ticks; ", s->quantum);
    if (s->pause_exiting == PAUSE_LOOP_EXITS)
        fprintf(out, "a loop of PAUSEs ends it after %" PRIu32 ", gaps of at most %" PRIu32 "\n", s->pause_window, s->pause_gap);
    else
        fprintf(out, "PAUSE %s it\n", s->pause_exiting == PAUSE_EXITS ? "ends" : "does not end");
}

void trapline_print_turns(const struct trapline_machine *t, FILE *out)
{
    const struct machine *m = t->m;
    const struct scheduler_counters *c = &m->scheduling;
    fprintf(out, "\nTURNS: ");
    print_rules(&m->s, out);
    fprintf(out, "%-6s %16s %16s  %s\n", "vCPU", "executed ticks", "stolen ns", "now");
    for (unsigned i = 0; i < m->vm->vcpu_count; i++)
        fprintf(out, "%-6u %16" PRIu64 " %16" PRIu64 "  %s\n", i, trapline_vcpu_ticks(t, i), trapline_stolen_ns(t, i),
                state_of(&m->vm->vcpus[i]));
    fprintf(out, "the clock: %" PRIu64 " ns, of them idle %" PRIu64 ", without a pcpu %" PRIu64 "\n", machine_now(m), m->s.idle_ns,
            m->s.waited_ns);
    fprintf(out, "turns %" PRIu64 "; ended by PAUSE %" PRIu64 " (of %" PRIu64 "), an IPI %" PRIu64 ", a yield %" PRIu64
                 ", a directed yield %" PRIu64 "; kicks %" PRIu64 "\n",
            c->turns, c->pause_yields, c->pauses, c->ipi_yields, c->yields, c->directed_yields, c->kicks);
}
