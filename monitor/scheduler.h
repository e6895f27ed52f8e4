/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of one machine: its vCPUs take turns on one physical CPU ("pcpu"), and this file says whose turn it is, when a turn
 * ends, and for how long each vCPU was kept waiting (docs/scheduling.md). The dispatcher runs the turns; the emulators of PAUSE, of
 * IPIs and of hypercalls end them. It owns the fields of struct machine_state and struct monitor_vcpu_state that speak of turns,
 * pauses and waiting, and never looks at the host.
 *
 * Time is exact. The one clock of the machine advances by what the vCPU whose turn it is executes, by idle time that is skipped, and
 * by what the machine waits for its pcpu while other machines have it (monitor/group.h). A vCPU that is runnable meanwhile and does
 * not have the turn is stolen from: the sum of executed and stolen time of a vCPU, and of the time for which it was not runnable,
 * is the time on the clock.
 */
#pragma once

#include "monitor/machine.h"

#define SCHEDULER_POLL_TURNS 16 /* turns between looks through the one door */
#define SCHEDULER_QUANTUM 20000 /* ticks of a turn, by default */
#define SCHEDULER_QUANTUM_MIN 100
#define SCHEDULER_QUANTUM_MAX (UINT64_C(1) << 40)

/* When PAUSE ends a turn: the values of machine_state.pause_exiting. */
enum pause_exiting {
    PAUSE_EXITS,      /* always, if another vCPU is active: "PAUSE exiting" (SDM Vol. 3C) */
    PAUSE_NEVER_EXITS,
    PAUSE_LOOP_EXITS, /* "PAUSE-loop exiting": at CPL 0, in a loop of PAUSEs not pause_gap apart for more than pause_window ticks */
};

/* Who wants to know of turns, NULL: nobody; called at deterministic positions, outside cpu_run. They may write guest memory. */
struct scheduler_hooks {
    void (*turn_begins)(struct monitor_vcpu *mv); /* it runs next; scheduler_stolen_ns is up to date */
    void (*turn_ends)(struct monitor_vcpu *mv);   /* scheduler_is_waiting(mv): it was preempted; else it halted */
};

/* ---- for the paravirtual interfaces and emulators ---- */

/*
 * Virtual ns for which this vCPU was runnable and did not run, until this very instruction. It never decreases but by a saved
 * state. KVM's steal time: Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME.
 */
uint64_t scheduler_stolen_ns(const struct monitor_vcpu *mv);

/* Runnable, and somebody else has the pcpu. */
bool scheduler_is_waiting(const struct monitor_vcpu *mv);

/* May it execute, or would it wake from HLT? */
bool scheduler_is_runnable(const struct monitor_vcpu *mv);

/* The vCPU that runs ends its turn after this instruction. The caller's slot leaves the block (SENS_LEAVE). */
void scheduler_yield(struct machine *m);

/*
 * The same, and vCPU number `vcpu` has the next turn if it is runnable by then; else the next in order. A number that the machine
 * does not have, or the running vCPU's own: a plain yield.
 */
void scheduler_yield_to(struct machine *m, unsigned vcpu);

/*
 * Latch a kick: the HLT that the vCPU is in ends, whatever its IF, or else its next one does at once. Nothing is delivered. As KVM's
 * PV unhalt; the latch is gone once it left a HLT for any reason.
 */
void scheduler_kick(struct monitor_vcpu *mv);

/* PAUSE is executed: true if it ends the turn. */
bool scheduler_pause(struct monitor_vcpu *mv);

/* As long as this vCPU runs scheduler_pause only counts. */
bool scheduler_ignores_pause(const struct monitor_vcpu *mv);

/* An IPI was sent: the target may be waited for. */
void scheduler_sent_ipi(struct machine *m);

/* ---- for the machine and the dispatcher ---- */

/* The vCPU whose turn it is. */
struct monitor_vcpu *scheduler_current(const struct machine *m);

/* It has something new to look at, and may have become runnable by it. */
void scheduler_woken(struct monitor_vcpu *mv);

/* vCPUs were reset or changed from outside: take note of who is runnable. */
void scheduler_refresh(struct machine *m);

/* Give the turn to the next runnable vCPU; false if there is none. */
bool scheduler_next_turn(struct machine *m);

/* Ticks until the turn ends; with one vCPU, which takes them all, until the door is looked through. */
uint64_t scheduler_budget(const struct machine *m);

/* Take executed ticks from the turn, and from those that began meanwhile; with is_begun the next instruction was begun. */
void scheduler_spend(struct machine *m, uint64_t ticks, bool is_begun);

/* mv executed ticks by itself, whoever's turn it is. */
void scheduler_spend_alone(struct monitor_vcpu *mv, uint64_t ticks);

/* If the vCPU asked for it meanwhile, its turn ends now. */
void scheduler_end_turn(struct machine *m);

/* ---- for several machines on few pcpus (monitor/group.c) ---- */

/* The machine has lost its pcpu, and has one again. Between the two its clock may go on, and its events be run. */
void scheduler_suspend(struct machine *m);
void scheduler_resume(struct machine *m);

/* Could a loaded machine be in this state? */
bool scheduler_is_possible(const struct machine *m);
