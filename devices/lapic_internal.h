/* SPDX-License-Identifier: MIT */
/*
 * Shared by the three files of the local APIC: interrupts (lapic.c), registers (lapic_regs.c),
 * timer (lapic_timer.c). Nobody else includes it.
 */
#pragma once

#include "devices/lapic.h"

enum {
    LVT_VECTOR = 0xff,
    LVT_DELIVERY = 0x700,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16,
    LVT_TIMER_MODE = 3 << 17,
    LVT_TIMER_ONE_SHOT = 0 << 17,
    LVT_TIMER_PERIODIC = 1 << 17,
    LVT_TIMER_DEADLINE = 2 << 17,
    SVR_ENABLE = 1 << 8,
    SVR_NO_EOI_BROADCAST = 1 << 12,
    ESR_SEND_ILLEGAL_VECTOR = 1 << 5,
    ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6,
    ESR_ILLEGAL_REGISTER = 1 << 7,
};

ALWAYS_INLINE bool lapic_is_enabled(const struct lapic *l)
{
    return l->s.apic_base & APIC_BASE_EN;
}

ALWAYS_INLINE bool lapic_is_x2apic(const struct lapic *l)
{
    return l->s.apic_base & APIC_BASE_EXTD;
}

/* Recompute `pending` and tell the monitor if there is something to deliver. */
void lapic_update(struct lapic *l);

/* Note an error of the Error Status Register; raises LVT error. */
void lapic_error(struct lapic *l, uint32_t esr_bit);

/* Fire LVT entry `which` once, as its mask and delivery mode say. */
void lapic_fire_lvt(struct lapic *l, enum lapic_lvt which);

/* The level inputs of LINT0 and LINT1 against their LVT entries, after either has changed. */
void lapic_check_lint(struct lapic *l);

/* Write to the EOI register. */
void lapic_eoi(struct lapic *l);

/* Send what the ICR says. */
void lapic_send_icr(struct lapic *l);

/* IA32_APIC_BASE; false: #GP(0). */
bool lapic_write_base(struct lapic *l, uint64_t v);

/* ---- timer ---- */

uint32_t lapic_timer_current(const struct lapic *l);
void lapic_timer_start(struct lapic *l, uint32_t initial);
void lapic_timer_set_divide(struct lapic *l, uint32_t v);

/* LVT timer goes from `old` to its present value. */
void lapic_timer_lvt_changed(struct lapic *l, uint32_t old);

/* IA32_TSC_DEADLINE. */
uint64_t lapic_timer_deadline(const struct lapic *l);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);

/* Arm the event from the state. */
void lapic_timer_arm(struct lapic *l);
void lapic_timer_fire(void *opaque, vtime now);
