/* SPDX-License-Identifier: MIT */
#include "monitor/dispatcher.h"

#include "cpu/cpuid.h"
#include "devices/lapic.h"
#include "monitor/reflect.h"
#include "monitor/scheduler.h"
#include "monitor/trace/tracer.h"

/* ---- what a vCPU has waiting ---- */

static int pending_vector(const struct monitor_vcpu *mv)
{
    return mv->lapic ? lapic_highest_pending(mv->lapic) : -1;
}

static bool pending_extint(const struct monitor_vcpu *mv)
{
    const struct vm *vm = mv->vm;
    return vm->board_ops && vm->board_ops->intr && mv->lapic && lapic_accepts_extint(mv->lapic) &&
           vm->board_ops->intr(mv->vm);
}

bool dispatcher_has_interrupt(const struct monitor_vcpu *mv)
{
    return pending_vector(mv) >= 0 || pending_extint(mv);
}

/* Anything that a change of IF, shadow or TPR could make deliverable, or that is due now. */
static bool has_attention(const struct monitor_vcpu *mv)
{
    const struct cpu *cpu = &mv->vcpu->arch;
    return cpu->nmi_pending || cpu->init_pending || mv->s.sipi_pending || cpu->pending_db || dispatcher_has_interrupt(mv);
}

/* "... until an NMI, SMI, INIT or RESET" (SDM Vol. 3A, "Interrupt 8 - Double Fault Exception"). */
bool dispatcher_ends_shutdown(const struct monitor_vcpu *mv)
{
    return mv->vcpu->arch.nmi_pending && reflect_nmi_window_open(mv->vcpu);
}

/* ---- performance counters ---- */

/* Ticks have passed: an overflow that wants an interrupt gets it here, at its very instruction. */
static void check_counters(struct monitor_vcpu *mv)
{
    struct vcpu *vcpu = mv->vcpu;
    pmu_settle(vcpu);
    if (likely(!vcpu->run.pmu.has_interrupt))
        return;
    vcpu->run.pmu.has_interrupt = false;
    if (mv->lapic)
        lapic_local_interrupt(mv->lapic, LVT_PMC);
}

/* ---- delivery ---- */

static void take_tick(struct monitor_vcpu *mv)
{
    struct machine *m = mv->vm->machine;
    mv->vcpu->arch.ticks++;
    m->s.ticks++;
    m->s.turn_left -= m->s.turn_left > 0;
}

static void shut_down(struct monitor_vcpu *mv)
{
    mv->vcpu->arch.activity = ACTIVITY_SHUTDOWN;
    if (mv->vm->board_ops && !mv->vm->machine->no_reboot)
        mv->vm->machine->reset_requested = true;
    else
        machine_stop(mv->vm->machine, STOP_TRIPLE_FAULT, mv->vcpu->run.index);
}

/* The tracer, or NULL. */
static struct tracer *tracer_of(const struct monitor_vcpu *mv)
{
    return TRACE_POINTS ? mv->vm->machine->tracer : NULL;
}

/* An event goes into the guest: a tick of its own. */
static void note_delivery(struct monitor_vcpu *mv, enum trapline_step_kind kind, uint8_t vector, uint32_t error_code)
{
    if (unlikely(tracer_of(mv)))
        tracer_deliver(tracer_of(mv), mv, kind, vector);
    trace_point(&mv->vm->machine->trace, TRACE_event_deliver, NULL, vector, error_code, mv->vcpu->arch.rip, 0);
    take_tick(mv);
}

/* It has gone in, or could not. Its tick is counted only now: it belongs to the handler's CPL. */
static void end_delivery(struct monitor_vcpu *mv, bool ok)
{
    if (unlikely(tracer_of(mv)))
        tracer_delivered(tracer_of(mv), mv);
    if (!ok)
        shut_down(mv);
    check_counters(mv);
}

static void deliver_fault(struct monitor_vcpu *mv)
{
    const struct fault *f = &mv->vcpu->run.fault;
    exits_exception(&mv->vm->exits, f->vector & 31, mv->vcpu->arch.rip, mv->vcpu->arch.cpl == 3);
    note_delivery(mv, TRAPLINE_STEP_EXCEPTION, f->vector, f->has_error_code ? f->error_code : 0);
    end_delivery(mv, reflect_fault(mv->vcpu));
}

static void deliver_debug_trap(struct monitor_vcpu *mv)
{
    exits_exception(&mv->vm->exits, EXC_DB, mv->vcpu->arch.rip, mv->vcpu->arch.cpl == 3);
    note_delivery(mv, TRAPLINE_STEP_EXCEPTION, EXC_DB, 0);
    end_delivery(mv, reflect_debug_trap(mv->vcpu));
}

static void deliver_nmi(struct monitor_vcpu *mv)
{
    mv->vm->exits.nmis++;
    exits_at(&mv->vm->exits, PLACE_NMI, mv->vcpu->arch.rip, mv->vcpu->arch.cpl == 3);
    note_delivery(mv, TRAPLINE_STEP_NMI, EXC_NMI, 0);
    end_delivery(mv, reflect_nmi(mv->vcpu));
}

static void deliver_interrupt(struct monitor_vcpu *mv)
{
    int vector = pending_vector(mv);
    if (vector >= 0) {
        lapic_acknowledge(mv->lapic, (uint8_t)vector);
    } else {
        lapic_extint_acknowledge(mv->lapic);
        vector = mv->vm->board_ops->intr_acknowledge(mv->vm);
    }
    mv->vm->exits.interrupts++;
    exits_at(&mv->vm->exits, PLACE_INTERRUPT, mv->vcpu->arch.rip, mv->vcpu->arch.cpl == 3);
    note_delivery(mv, TRAPLINE_STEP_INTERRUPT, (uint8_t)vector, 0);
    end_delivery(mv, reflect_interrupt(mv->vcpu, (uint8_t)vector));
}

static void take_init(struct monitor_vcpu *mv)
{
    struct vcpu *vcpu = mv->vcpu;
    cpu_reset(vcpu, true, mv->vm->model.signature);
    lapic_init_reset(mv->lapic);
    pv_vcpu_reset(mv);
    mv->s.sipi_pending = mv->s.is_kicked = false;
    if (vcpu->run.index != 0)
        vcpu->arch.activity = ACTIVITY_WAIT_SIPI;
    trace_point(&mv->vm->machine->trace, TRACE_cpu_reset, NULL, vcpu->run.index, 0, 0, 0);
}

/* SDM Vol. 3A, "MP Initialization Protocol Algorithm": CS = VV00h, base VV000h, IP = 0. */
static void take_sipi(struct monitor_vcpu *mv)
{
    struct cpu *cpu = &mv->vcpu->arch;
    mv->s.sipi_pending = false;
    cpu->seg_sel[SEG_CS] = (uint16_t)(mv->s.sipi_vector << 8);
    cpu->seg_base[SEG_CS] = (uint64_t)mv->s.sipi_vector << 12;
    cpu->rip = 0;
    cpu->activity = ACTIVITY_ACTIVE;
    cpu_update_mode(mv->vcpu);
    trace_point(&mv->vm->machine->trace, TRACE_sipi, NULL, mv->vcpu->run.index, mv->s.sipi_vector, 0, 0);
}

/* One event, in the order of SDM Vol. 3A, "Priority Among Concurrent Events". False: nothing is due. */
static bool deliver_one(struct monitor_vcpu *mv)
{
    if (mv->vcpu->arch.pending_db && reflect_debug_window_open(mv->vcpu))
        deliver_debug_trap(mv);
    else if (mv->vcpu->arch.nmi_pending && reflect_nmi_window_open(mv->vcpu))
        deliver_nmi(mv);
    else if (reflect_interrupt_window_open(mv->vcpu) && dispatcher_has_interrupt(mv))
        deliver_interrupt(mv);
    else
        return false;
    return true;
}

/*
 * Deliver what is due at this boundary. True if the vCPU may go on executing: not after an event while more waits, which may be
 * due before the first instruction of its handler (an NMI behind a debug trap, a breakpoint on the stack it was pushed to).
 */
static bool deliver_pending(struct monitor_vcpu *mv)
{
    struct cpu *cpu = &mv->vcpu->arch;
    if (cpu->init_pending) {
        cpu->init_pending = false;
        take_init(mv);
    }
    if (cpu->activity == ACTIVITY_WAIT_SIPI && mv->s.sipi_pending)
        take_sipi(mv);
    if (cpu->activity == ACTIVITY_SHUTDOWN && dispatcher_ends_shutdown(mv))
        cpu->activity = ACTIVITY_ACTIVE;
    if (cpu->activity == ACTIVITY_WAIT_SIPI || cpu->activity == ACTIVITY_SHUTDOWN)
        return false;
    bool is_delivered = deliver_one(mv);
    mv->vcpu->run.attention = has_attention(mv);
    return cpu->activity == ACTIVITY_ACTIVE && !(is_delivered && mv->vcpu->run.attention);
}

/* ---- running ---- */

static uint64_t ticks_until(const struct machine *m, vtime when)
{
    vtime now = machine_now(m);
    if (when == VTIME_NEVER)
        return UINT64_MAX;
    if (when <= now)
        return 0;
    return (when - now + m->s.ns_per_tick - 1) / m->s.ns_per_tick;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Ticks that may be executed before anybody else must look. */
static uint64_t next_budget(const struct machine *m)
{
    uint64_t budget = smaller(scheduler_budget(m), ticks_until(m, m->events.next));
    budget = smaller(budget, m->stop_at - m->s.ticks);
    return smaller(budget, m->max_ticks - m->s.ticks);
}

/*
 * CR0.NE = 0 and an x87 exception: FERR#, and the processor stops before the instruction that waits "until an external interrupt
 * is recognized" (SDM Vol. 1, "MS-DOS Compatibility Sub-mode"), which is HLT with RIP where it is.
 */
static void stop_for_ferr(struct monitor_vcpu *mv)
{
    const struct board_ops *board = mv->vm->board_ops;
    mv->vcpu->arch.activity = ACTIVITY_HLT;
    mv->vcpu->arch.int_shadow = SHADOW_NONE;
    if (board && board->ferr)
        board->ferr(mv->vm);
}

/* What translated code may do by itself until cpu_run comes back: host_tsc_base, scheduler_pause. */
static void tell_simple(const struct monitor_vcpu *mv)
{
    const struct machine *m = mv->vm->machine;
    struct aside *aside = &mv->vcpu->aside;
    bool is_even = m->s.tsc_hz == NS_PER_SECOND && !mv->vm->pv.s.time_step && !mv->vm->pv.s.time_reads;
    aside->tsc_per_tick = is_even ? m->s.ns_per_tick : 0;
    aside->tsc_start = machine_now(m) + mv->vcpu->arch.tsc_offset;
    aside->pause_is_nothing = scheduler_ignores_pause(mv);
}

/* *done: ticks it took. */
static enum cpu_exit run_vcpu(struct monitor_vcpu *mv, uint64_t budget, uint64_t *done)
{
    struct machine *m = mv->vm->machine;
    struct vcpu *vcpu = mv->vcpu;
    uint64_t before = vcpu->arch.ticks;
    if (unlikely(tracer_of(mv)))
        budget = tracer_begin(tracer_of(mv), mv, budget);
    vcpu->run.budget = (int64_t)budget;
    tell_simple(mv);
    m->running = mv;
    m->running_since = before;
    enum cpu_exit why = cpu_run(vcpu);
    m->running = NULL;
    m->scheduling.pauses += vcpu->aside.pauses;
    vcpu->aside.pauses = 0;
    *done = vcpu->arch.ticks - before;
    if (unlikely(tracer_of(mv)))
        tracer_end(tracer_of(mv), mv, *done);
    m->s.ticks += *done;
    check_counters(mv);
    if (why == CPU_EXIT_FAULT && unlikely(vcpu->run.fault.vector == FAULT_FERR)) {
        stop_for_ferr(mv);
        return CPU_EXIT_LEAVE;
    }
    return why;
}

enum cpu_exit dispatcher_run_vcpu(struct monitor_vcpu *mv, uint64_t budget)
{
    uint64_t done;
    enum cpu_exit why = run_vcpu(mv, budget, &done);
    scheduler_spend_alone(mv, done);
    return why;
}

/* One stretch of the vCPU whose turn it is. */
static void step_vcpu(struct monitor_vcpu *mv)
{
    struct machine *m = mv->vm->machine;
    struct cpu *cpu = &mv->vcpu->arch;
    if (cpu->activity == ACTIVITY_HLT && scheduler_is_runnable(mv)) {
        cpu->activity = ACTIVITY_ACTIVE;
        mv->s.is_kicked = false;
        pv_woken(mv);
    }
    if (unlikely(mv->vcpu->run.attention || cpu->activity != ACTIVITY_ACTIVE) && !deliver_pending(mv))
        return;
    uint64_t budget = next_budget(m);
    if (unlikely(mv->vcpu->run.pmu.is_on))
        budget = smaller(budget, pmu_budget(mv->vcpu));
    if (budget == 0 || m->stop || m->reset_requested)
        return;
    uint64_t done;
    enum cpu_exit why = run_vcpu(mv, budget, &done);
    scheduler_spend(m, done, why == CPU_EXIT_FAULT);
    if (why == CPU_EXIT_FAULT)
        deliver_fault(mv);
    else if (why == CPU_EXIT_STOP)
        machine_stop(m, STOP_BREAKPOINT, mv->vcpu->run.index);
    scheduler_end_turn(m);
}

/* ---- between turns ---- */

/* Halted for good: with IF = 0 only an NMI, SMI or INIT ends a HLT (SDM Vol. 2A, "HLT"), and nobody is there to send one. */
static bool is_dead(const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct cpu *cpu = &vm->vcpus[i].vcpu->arch;
        if (cpu->activity == ACTIVITY_HLT && cpu->rflags & F_IF)
            return false;
    }
    return vm->board_ops && !vm->board_ops->ignores_if(vm);
}

static void skip(struct machine *m, vtime duration)
{
    m->s.idle_ns += duration;
    if (TRACE_POINTS && m->tracer)
        tracer_idle(m->tracer, duration);
}

/*
 * Every vCPU is halted: skip to what comes next, sleeping if a person is waiting. When the machine is dead, time
 * passes only until the person has seen its last words: they end it, always at the same position.
 */
static void idle(struct machine *m)
{
    vtime now = machine_now(m), until = m->events.next;
    m->vm->exits.halts++;
    bool is_quiet = until == VTIME_NEVER;
    if (is_dead(m->vm) && (!door_is_open(&m->door) || !m->vm->board_ops->has_output(m->vm)))
        is_quiet = true;
    if (is_quiet && !door_is_open(&m->door)) {
        machine_stop(m, STOP_DEAD_HALT, 0);
        return;
    }
    vtime reached = door_wait(&m->door, now, is_quiet ? VTIME_NEVER : until);
    if (reached > now)
        skip(m, reached - now);
    if (m->door.interrupted && *m->door.interrupted)
        machine_stop(m, STOP_USER, 0);
}

bool machine_is_runnable(const struct machine *m)
{
    for (unsigned i = 0; i < m->vm->vcpu_count; i++)
        if (scheduler_is_runnable(&m->vm->vcpus[i]))
            return true;
    return false;
}

/* The clock goes on to `until` and to no later than the next event, by time of the kind that *counter counts. */
static void let_pass(struct machine *m, uint64_t *counter, vtime until)
{
    vtime now = machine_now(m), next = m->events.next < until ? m->events.next : until;
    if (next > now)
        *counter += next - now;
    if (m->events.next <= machine_now(m))
        event_queue_run(&m->events, machine_now(m));
}

bool machine_idle_until(struct machine *m, vtime until)
{
    while (machine_now(m) < until && !machine_is_runnable(m) && m->stop == STOP_NONE && !m->reset_requested) {
        if (m->events.next == VTIME_NEVER || is_dead(m->vm))
            return false;
        let_pass(m, &m->s.idle_ns, until);
    }
    return true;
}

void machine_wait_until(struct machine *m, vtime until)
{
    while (machine_now(m) < until)
        let_pass(m, &m->s.waited_ns, until);
}

static void reset(struct machine *m)
{
    m->reset_requested = false;
    if (m->no_reboot) {
        machine_stop(m, STOP_RESET, 0);
        return;
    }
    m->vm->board_ops->reset(m->vm);
    scheduler_refresh(m);
}

/* The boundary between turns: the one door, signals. */
static void between_turns(struct machine *m)
{
    if (++m->turns % SCHEDULER_POLL_TURNS == 0)
        door_poll(&m->door);
    if (m->door.interrupted && *m->door.interrupted)
        machine_stop(m, STOP_USER, 0);
}

static bool limit_reached(struct machine *m)
{
    if (m->s.ticks >= m->max_ticks)
        machine_stop(m, STOP_TICK_LIMIT, 0);
    else if (m->s.ticks >= m->stop_at)
        machine_stop(m, STOP_POSITION, 0);
    return m->stop != STOP_NONE;
}

/* The guest itself will do no more: not a limit or a person's wish, after which it may go on. */
static bool is_over(enum stop_reason stop)
{
    return stop == STOP_POWER_OFF || stop == STOP_DEBUG_EXIT || stop == STOP_RESET ||
           stop == STOP_TRIPLE_FAULT || stop == STOP_DEAD_HALT || stop == STOP_LONG_MODE;
}

/* classic: a loader has begun in long mode. */
static void check_long_mode(struct machine *m)
{
    for (unsigned i = 0; m->policy.policy == POLICY_CLASSIC && i < m->vm->vcpu_count; i++)
        if (m->vm->vcpus[i].vcpu->arch.efer & EFER_LMA)
            machine_stop(m, STOP_LONG_MODE, i);
}

enum stop_reason machine_run(struct machine *m)
{
    m->turns = 0;
    m->stop = STOP_NONE;
    check_long_mode(m);
    if (unlikely(m->is_suspended || scheduler_is_waiting(scheduler_current(m))))
        scheduler_resume(m); /* it was saved, or left a group, while it waited for a pcpu */
    for (;;) {
        /* First, so that a state saved at a limit never has a reset half asked for. */
        if (unlikely(m->reset_requested))
            reset(m);
        if (limit_reached(m))
            break;
        if (m->events.next <= machine_now(m))
            event_queue_run(&m->events, machine_now(m));
        struct monitor_vcpu *mv = scheduler_current(m);
        if (m->s.turn_left == 0 || !scheduler_is_runnable(mv)) {
            between_turns(m);
            if (!scheduler_next_turn(m)) {
                if (m->returns_idle)
                    machine_stop(m, STOP_IDLE, 0);
                else
                    idle(m);
                continue;
            }
            mv = scheduler_current(m);
        }
        step_vcpu(mv);
    }
    if (is_over(m->stop) && m->vm->board_ops)
        m->vm->board_ops->ended(m->vm);
    return m->stop;
}
