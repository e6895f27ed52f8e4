/* SPDX-License-Identifier: MIT */
/*
 * IA-PC HPET, revision 1.0a: a 64-bit main counter at 100 MHz and three comparators, each
 * periodic-capable. The board connects IOAPIC pins, the two legacy lines, the legacy enable (which
 * disconnects PIT and RTC) and, if wanted, a writer of MSIs. Owns the block at FED00000h; never
 * decides the routing of what it replaces.
 */
#pragma once

#include "devices/device.h"

#define HPET_DEFAULT_BASE UINT64_C(0xfed00000)
#define HPET_PERIOD_FS UINT64_C(10000000) /* of the main counter, 100 MHz */
#define HPET_TIMERS 3
#define HPET_PINS 24
/* IOAPIC pins a timer may use: 20-23, which no ISA or PCI line shares. */
#define HPET_ROUTES UINT32_C(0x00f00000)

#define HPET_STATE(ONE, ARR, S)                                                                    \
    ONE(S, uint64_t, config, "General Configuration: ENABLE_CNF, LEG_RT_CNF")                      \
    ONE(S, uint64_t, status, "General Interrupt Status")                                           \
    ONE(S, uint64_t, counter, "main counter at counter_start, or now if disabled")                 \
    ONE(S, uint64_t, counter_start, "100 MHz cycle of virtual time at which it was enabled")       \
    ARR(S, uint64_t, timer_config, 3, "Timer N Configuration, writable bits")                      \
    ARR(S, uint64_t, comparator, 3, "Timer N Comparator Value")                                    \
    ARR(S, uint64_t, period, 3, "last value written to a periodic comparator")                     \
    ARR(S, uint64_t, fsb, 3, "Timer N FSB Interrupt Route: address:value")                         \
    ARR(S, bool, irq_level, 3, "the timer's line as last driven")
STATE_STRUCT(hpet_state, HPET_STATE);

struct hpet_match {
    struct hpet *hpet; /* whose */
    unsigned n;        /* timer, 0-2 */
};

struct hpet {
    struct hpet_state s;            /* first: all the guest can observe */
    struct irq_line pin[HPET_PINS]; /* wiring: IOAPIC pins, of HPET_ROUTES */
    struct irq_line legacy[2];      /* wiring: IRQ 0 and IRQ 8 in legacy mode */
    struct irq_line legacy_enable;  /* wiring: level is LEG_RT_CNF */
    void (*msi)(void *opaque, paddr address, uint32_t data); /* wiring: NULL: no FSB delivery */
    void *msi_opaque;                                        /* wiring: of msi */
    struct event_queue *queue;                               /* wiring: borrowed */
    struct event match[HPET_TIMERS];                         /* wiring: next comparator match */
    struct hpet_match of[HPET_TIMERS];                       /* wiring: opaque of match[] */
    struct trace *trace;                                     /* wiring: may be NULL */
    struct io_region mmio;                                   /* FED00000h, 400h bytes */
};

extern const struct device_ops hpet_ops;

/* Power on: counter stopped at 0. The board sets the lines afterwards; msi too if wanted, before
 * the guest runs. */
void hpet_init(struct hpet *hpet, struct event_queue *queue, struct trace *trace);

/* Would any timer send a message that IF = 0 does not hold back? */
bool hpet_ignores_if(const struct hpet *hpet);

/* Is LEG_RT_CNF set: do timers 0 and 1 own IRQ 0 and IRQ 8? */
bool hpet_is_legacy(const struct hpet *hpet);
