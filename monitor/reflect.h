/* SPDX-License-Identifier: MIT */
/*
 * Delivery of exceptions and interrupts into the guest, at rest: between cpu_run and cpu_run.
 * Called by the run loop alone. Knows what a failed delivery becomes (double fault, shutdown); the
 * frame itself is monitor/emulate/deliver.h. Never looks at interrupt controllers: the caller
 * brings the vector. Delivery is a tick: the caller counts it.
 */
#pragma once

#include "monitor/emulate/deliver.h"

/*
 * Deliver an event at arch.rip. Failures along the way are combined as in SDM Vol. 3A, "Interrupt 8
 * - Double Fault Exception". Takes a halted vCPU out of HLT. True: the next instruction is the
 * handler's first. False: shutdown (triple fault); arch.activity says so.
 */
bool reflect_event(struct vcpu *vcpu, const struct event_delivery *e);

/* run.fault, as cpu_run left it with CPU_EXIT_FAULT. CR2, DR6 and RF as the exception has them. */
bool reflect_fault(struct vcpu *vcpu);

/* A maskable interrupt, already acknowledged; the window is open. */
bool reflect_interrupt(struct vcpu *vcpu, uint8_t vector);

/* A non-maskable interrupt: clears arch.nmi_pending, blocks others until IRET. */
bool reflect_nmi(struct vcpu *vcpu);

/* The debug traps collected in arch.pending_db (not 0), as one #DB. */
bool reflect_debug_trap(struct vcpu *vcpu);

/* May a maskable interrupt be delivered now? IF is set and no shadow holds. */
bool reflect_interrupt_window_open(const struct vcpu *vcpu);

/* May an NMI? MOV SS and POP SS hold it off, STI does not. */
bool reflect_nmi_window_open(const struct vcpu *vcpu);

/* May pending_db be delivered? MOV SS and POP SS hold debug traps off too. */
bool reflect_debug_window_open(const struct vcpu *vcpu);
