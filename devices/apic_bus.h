/* SPDX-License-Identifier: MIT */
/*
 * What carries messages to local APICs. The board makes one per VM, adds every LAPIC and hands
 * apic_bus_deliver to the IOAPIC, to MSI writes and (as lapic_host.send) to the LAPICs themselves.
 * Stateless: lowest-priority arbitration is a function of the message and the LAPICs' registers.
 */
#pragma once

#include "devices/apic.h"

#define APIC_BUS_MAX 255

struct lapic;

struct apic_bus {
    struct lapic *lapics[APIC_BUS_MAX]; /* borrowed, in order of vCPU number */
    unsigned count;                     /* of lapics[] */
};

/* Add a LAPIC (caller's storage, stays borrowed). */
void apic_bus_add(struct apic_bus *bus, struct lapic *lapic);

/*
 * Deliver m to every LAPIC it matches, or, for APIC_LOWEST, to the one of lowest processor
 * priority; equals share by vector. True if anybody took it. opaque is the struct apic_bus (the
 * shape of ioapic.deliver and lapic_host.send).
 */
bool apic_bus_deliver(void *opaque, const struct apic_message *m);
