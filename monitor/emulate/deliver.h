/* SPDX-License-Identifier: MIT */
/*
 * One attempt at delivering an event through the IVT or IDT (SDM Vol. 3A, "Interrupt and Exception
 * Handling"). Called by monitor/reflect, which decides what a failure means, and by the emulators
 * of INT n, INT3, INTO, INT1.
 */
#pragma once

#include "monitor/emulate/emulate.h"

enum event_kind {
    EVENT_EXCEPTION,     /* found by an instruction, or #DB */
    EVENT_SOFTWARE_INT,  /* INT n */
    EVENT_SOFTWARE_TRAP, /* INT3, INTO: gate DPL checked, no VME redirection */
    EVENT_INT1,          /* INT1: like a hardware exception */
    EVENT_EXTERNAL,      /* maskable interrupt */
    EVENT_NMI,           /* non-maskable interrupt */
};

struct event_delivery {
    uint8_t kind;        /* enum event_kind */
    uint8_t vector;      /* 0-255 */
    bool has_error_code; /* push error_code (never in real mode) */
    bool sets_rf;        /* the pushed flags have RF = 1 (faults) */
    uint32_t error_code; /* as pushed */
    uint64_t rip;        /* pushed: where the handler returns to */
};

/*
 * Deliver: frame pushed, CS:RIP, SS:rSP, CPL and flags changed, cpu_update_mode called; int_shadow
 * cleared. Flags are taken and left as flags_get / flags_set have them. False: run.fault holds what
 * went wrong, with its EXT bit; nothing changed but accessed bits (and all of it after the commit
 * point of a task switch, as the manual has it).
 */
bool event_deliver(struct vcpu *vcpu, const struct event_delivery *e);
