/* SPDX-License-Identifier: MIT */
#include "monitor/scheduler.h"

#include "monitor/dispatcher.h"
#include "monitor/reflect.h"

struct monitor_vcpu *scheduler_current(const struct machine *m)
{
    return &m->vm->vcpus[m->s.turn_vcpu];
}

bool scheduler_is_runnable(const struct monitor_vcpu *mv)
{
    const struct cpu *cpu = &mv->vcpu->arch;
    switch (cpu->activity) {
    case ACTIVITY_ACTIVE:
        return true;
    case ACTIVITY_HLT:
        return (cpu->nmi_pending && !cpu->nmi_blocked) || cpu->init_pending || cpu->pending_db || mv->s.is_kicked ||
               ((cpu->rflags & F_IF) && dispatcher_has_interrupt(mv));
    case ACTIVITY_WAIT_SIPI:
        return mv->s.sipi_pending || cpu->init_pending;
    default:
        return cpu->init_pending || dispatcher_ends_shutdown(mv);
    }
}

/* ---- stolen time ---- */

bool scheduler_is_waiting(const struct monitor_vcpu *mv)
{
    return mv->s.is_waiting;
}

uint64_t scheduler_stolen_ns(const struct monitor_vcpu *mv)
{
    uint64_t since = mv->s.is_waiting ? machine_now(mv->vm->machine) - mv->s.waiting_since : 0;
    return mv->s.stolen_ns + since;
}

static void begin_waiting(struct monitor_vcpu *mv)
{
    if (mv->s.is_waiting)
        return;
    mv->s.is_waiting = true;
    mv->s.waiting_since = machine_now(mv->vm->machine);
}

static void end_waiting(struct monitor_vcpu *mv)
{
    mv->s.stolen_ns = scheduler_stolen_ns(mv);
    mv->s.is_waiting = false;
    mv->s.waiting_since = 0;
}

/* The vCPU whose turn it is does not wait, unless the whole machine does. */
static bool has_pcpu(const struct monitor_vcpu *mv)
{
    const struct machine *m = mv->vm->machine;
    return mv == scheduler_current(m) && !m->is_suspended;
}

void scheduler_woken(struct monitor_vcpu *mv)
{
    if (!mv->s.is_waiting && !has_pcpu(mv) && scheduler_is_runnable(mv))
        begin_waiting(mv);
}

void scheduler_refresh(struct machine *m)
{
    for (unsigned i = 0; i < m->vm->vcpu_count; i++) {
        struct monitor_vcpu *mv = &m->vm->vcpus[i];
        bool waits = !has_pcpu(mv) && scheduler_is_runnable(mv);
        if (waits)
            begin_waiting(mv);
        else if (mv->s.is_waiting)
            end_waiting(mv);
    }
}

static void add_stolen(struct monitor_vcpu *mv, uint64_t ns)
{
    if (mv->s.is_waiting)
        return; /* the clock counts for it */
    if (scheduler_is_runnable(mv))
        mv->s.stolen_ns += ns;
}

void scheduler_spend_alone(struct monitor_vcpu *mv, uint64_t ticks)
{
    struct machine *m = mv->vm->machine;
    uint64_t ns = ticks * m->s.ns_per_tick;
    m->s.turn_left -= ticks < m->s.turn_left ? ticks : m->s.turn_left;
    if (mv == scheduler_current(m))
        return;
    if (mv->s.is_waiting)
        mv->s.waiting_since += ns;
    add_stolen(scheduler_current(m), ns);
}

/* ---- turns ---- */

static void begin_turn(struct monitor_vcpu *mv)
{
    const struct scheduler_hooks *hooks = mv->vm->machine->turn_hooks;
    if (mv->s.is_waiting)
        end_waiting(mv);
    mv->s.is_pausing = false;
    trace_point(&mv->vm->machine->trace, TRACE_turn, NULL, mv->vcpu->run.index, mv->s.stolen_ns, 0, 0);
    if (hooks)
        hooks->turn_begins(mv);
}

static void finish_turn(struct monitor_vcpu *mv)
{
    const struct scheduler_hooks *hooks = mv->vm->machine->turn_hooks;
    if (scheduler_is_runnable(mv))
        begin_waiting(mv);
    if (hooks)
        hooks->turn_ends(mv);
}

/* The one that a directed yield named, or the next in order. False: nobody is runnable. */
static bool choose(const struct machine *m, unsigned *next)
{
    const struct vm *vm = m->vm;
    if (m->s.yield_to != 0 && scheduler_is_runnable(&vm->vcpus[m->s.yield_to - 1])) {
        *next = m->s.yield_to - 1;
        return true;
    }
    for (unsigned i = 1; i <= vm->vcpu_count; i++) {
        *next = (m->s.turn_vcpu + i) % vm->vcpu_count;
        if (scheduler_is_runnable(&vm->vcpus[*next]))
            return true;
    }
    return false;
}

bool scheduler_next_turn(struct machine *m)
{
    unsigned next;
    if (m->vm->vcpu_count > 1)
        scheduler_refresh(m);
    bool found = choose(m, &next);
    m->s.yield_to = 0;
    if (!found)
        return false;
    m->scheduling.turns++;
    if (next != m->s.turn_vcpu) {
        finish_turn(scheduler_current(m));
        m->s.turn_vcpu = next;
        begin_turn(scheduler_current(m));
    }
    m->s.turn_left = m->s.quantum;
    return true;
}

uint64_t scheduler_budget(const struct machine *m)
{
    if (m->vm->vcpu_count > 1)
        return m->s.turn_left;
    return m->s.turn_left + (uint64_t)(SCHEDULER_POLL_TURNS - 1 - m->turns % SCHEDULER_POLL_TURNS) * m->s.quantum;
}

void scheduler_spend(struct machine *m, uint64_t ticks, bool is_begun)
{
    while (ticks + is_begun > m->s.turn_left && m->vm->vcpu_count == 1) {
        ticks -= m->s.turn_left;
        m->s.turn_left = m->s.quantum;
        m->turns++;
    }
    m->s.turn_left -= ticks < m->s.turn_left ? ticks : m->s.turn_left;
}

void scheduler_end_turn(struct machine *m)
{
    if (!m->turn_ended)
        return;
    m->turn_ended = false;
    m->s.turn_left = 0;
}

/* ---- giving it up ---- */

void scheduler_yield(struct machine *m)
{
    m->scheduling.yields++;
    m->turn_ended = true;
}

void scheduler_yield_to(struct machine *m, unsigned vcpu)
{
    m->scheduling.directed_yields++;
    m->turn_ended = true;
    m->s.yield_to = vcpu < m->vm->vcpu_count && vcpu != m->s.turn_vcpu ? vcpu + 1 : 0;
}

void scheduler_sent_ipi(struct machine *m)
{
    if (m->vm->vcpu_count < 2)
        return;
    m->scheduling.ipi_yields++;
    m->turn_ended = true;
}

void scheduler_kick(struct monitor_vcpu *mv)
{
    mv->vm->machine->scheduling.kicks++;
    mv->s.is_kicked = true;
    monitor_vcpu_kick(mv);
}

/* "PAUSE-Loop Exiting" (SDM Vol. 3C): is this PAUSE in a loop, and has the loop lasted longer than the window? */
static bool is_long_loop(struct monitor_vcpu *mv)
{
    const struct machine_state *s = &mv->vm->machine->s;
    uint64_t now = cpu_ticks_now(mv->vcpu);
    if (mv->vcpu->arch.cpl != 0)
        return false;
    if (!mv->s.is_pausing || now - mv->s.pause_last > s->pause_gap)
        mv->s.pause_first = now;
    mv->s.is_pausing = true;
    mv->s.pause_last = now;
    return now - mv->s.pause_first > s->pause_window;
}

static bool is_another_active(const struct monitor_vcpu *mv)
{
    const struct vm *vm = mv->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (&vm->vcpus[i] != mv && vm->vcpus[i].vcpu->arch.activity == ACTIVITY_ACTIVE)
            return true;
    return false;
}

bool scheduler_ignores_pause(const struct monitor_vcpu *mv)
{
    switch (mv->vm->machine->s.pause_exiting) {
    case PAUSE_NEVER_EXITS:
        return true;
    case PAUSE_EXITS:
        return mv->vm->vcpu_count == 1 && !mv->s.is_pausing;
    default:
        return false;
    }
}

bool scheduler_pause(struct monitor_vcpu *mv)
{
    struct machine *m = mv->vm->machine;
    m->scheduling.pauses++;
    if (m->s.pause_exiting == PAUSE_NEVER_EXITS || (m->s.pause_exiting == PAUSE_LOOP_EXITS && !is_long_loop(mv)))
        return false;
    mv->s.is_pausing = false; /* "the first execution of PAUSE ... after VM entry" begins a loop */
    if (!is_another_active(mv))
        return false;
    m->scheduling.pause_yields++;
    return m->turn_ended = true;
}

/* ---- a machine among others ---- */

void scheduler_suspend(struct machine *m)
{
    m->is_suspended = true;
    finish_turn(scheduler_current(m));
}

void scheduler_resume(struct machine *m)
{
    m->is_suspended = false;
    begin_turn(scheduler_current(m));
}

bool scheduler_is_possible(const struct machine *m)
{
    const struct machine_state *s = &m->s;
    bool is_sane = s->turn_vcpu < m->vm->vcpu_count && s->turn_left <= s->quantum && s->yield_to <= m->vm->vcpu_count &&
                   s->quantum >= SCHEDULER_QUANTUM_MIN && s->quantum <= SCHEDULER_QUANTUM_MAX &&
                   s->pause_exiting <= PAUSE_LOOP_EXITS;
    for (unsigned i = 0; is_sane && i < m->vm->vcpu_count; i++) {
        const struct monitor_vcpu *mv = &m->vm->vcpus[i];
        vtime now = machine_now(m);
        is_sane = mv->s.waiting_since <= now && mv->s.stolen_ns <= now && scheduler_stolen_ns(mv) <= now;
    }
    return is_sane;
}
