/* SPDX-License-Identifier: MIT */
/*
 * The 82093AA I/O APIC with 24 pins and the EOI register of version 20h. The board connects pins
 * (levels are "asserted", so polarity is between board and chip), the deliver callback and the EOI
 * broadcast of the LAPICs. Owns its redirection table; never looks at a LAPIC.
 */
#pragma once

#include "devices/apic.h"
#include "devices/device.h"

#define IOAPIC_PINS 24
#define IOAPIC_DEFAULT_BASE UINT64_C(0xfec00000)

#define IOAPIC_STATE(ONE, ARR, S)                                                                  \
    ONE(S, uint8_t, ioregsel, "I/O Register Select")                                               \
    ONE(S, uint8_t, id, "IOAPICID bits 27-24")                                                     \
    ONE(S, uint32_t, lines, "levels of the pins")                                                  \
    ARR(S, uint64_t, redirection, 24, "I/O Redirection Table; bit 14 is remote IRR")
STATE_STRUCT(ioapic_state, IOAPIC_STATE);

struct ioapic {
    struct ioapic_state s; /* first: all the guest can observe */
    bool (*deliver)(void *opaque, const struct apic_message *m); /* wiring: apic_bus_deliver */
    void *deliver_opaque;                                        /* wiring: the apic_bus */
    struct trace *trace;                                         /* wiring: may be NULL */
    struct io_region mmio;                                       /* FEC00000h, 1000h bytes */
};

extern const struct device_ops ioapic_ops;

/* Power on: all pins masked. The board sets deliver and deliver_opaque. */
void ioapic_init(struct ioapic *ioapic, struct trace *trace);

/* Drive pin n, 0-23. A listener for struct irq_line: opaque is the struct ioapic. */
void ioapic_set_irq(void *opaque, unsigned n, bool level);

/* Would any pin, when driven, send what IF = 0 does not hold back? */
bool ioapic_ignores_if(const struct ioapic *ioapic);

/* A LAPIC has finished level interrupt `vector` (lapic_host.eoi_broadcast). opaque is the struct
 * ioapic. */
void ioapic_eoi(void *opaque, uint8_t vector);
