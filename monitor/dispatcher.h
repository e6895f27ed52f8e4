/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher (Popek and Goldberg's D): it gets every exit that a slot did not settle, decides what comes next and gives
 * vCPUs their turns. Called by the library's public face only.
 */
#pragma once

#include "monitor/machine.h"

/*
 * Run until something stops the machine: a stop reason, or m->stop_at / m->max_ticks in total ticks. The machine is at an
 * instruction boundary of every vCPU, complete and ready to be saved, hashed or run on.
 */
enum stop_reason machine_run(struct machine *m);

/* For groups of machines, between runs. Is a vCPU runnable? */
bool machine_is_runnable(const struct machine *m);

/* None is: let idle time pass, with its events, until one is or the clock says `until`. False: nothing will ever wake one. */
bool machine_idle_until(struct machine *m, vtime until);

/* Let time for which the machine waits for a pcpu pass, with its events, until the clock says `until`. */
void machine_wait_until(struct machine *m, vtime until);

/*
 * Run one vCPU by itself for at most budget > 0 ticks, and count them: nothing is delivered and no event fires. For machine_run and
 * single steps.
 */
enum cpu_exit dispatcher_run_vcpu(struct monitor_vcpu *mv, uint64_t budget);

/* An interrupt is pending that IF = 1 would let in. */
bool dispatcher_has_interrupt(const struct monitor_vcpu *mv);

/* "... until an NMI, SMI, INIT or RESET" (SDM Vol. 3A, "Interrupt 8 - Double Fault Exception"). */
bool dispatcher_ends_shutdown(const struct monitor_vcpu *mv);
