/* SPDX-License-Identifier: MIT */
#include "devices/apic_bus.h"

#include "devices/lapic.h"

struct apic_message apic_message_from_msi(paddr address, uint32_t data)
{
    return (struct apic_message){
        .dest = apic_dest8((uint32_t)(address >> 12)),
        .vector = (uint8_t)data,
        .delivery = (data >> 8) & 7,
        .logical = address & 4,
        .level_trigger = data >> 15 & 1,
        .assert = !(data >> 15 & 1) || data >> 14 & 1,
    };
}

void apic_bus_add(struct apic_bus *bus, struct lapic *lapic)
{
    assert(bus->count < APIC_BUS_MAX);
    bus->lapics[bus->count++] = lapic;
}

/* How many LAPICs that match share the lowest PPR class; *priority is that class. */
static unsigned count_lowest(const struct apic_bus *bus, const struct apic_message *m,
                             unsigned *priority)
{
    unsigned count = 0;
    *priority = 16;
    for (unsigned i = 0; i < bus->count; i++) {
        lapic_settle(bus->lapics[i]);
        if (!lapic_matches(bus->lapics[i], m) || !lapic_is_software_enabled(bus->lapics[i]))
            continue;
        unsigned p = lapic_ppr(bus->lapics[i]) >> 4;
        if (p < *priority) {
            *priority = p;
            count = 0;
        }
        count += p == *priority;
    }
    return count;
}

/*
 * SDM Vol. 3A, "Lowest Priority Delivery Mode": who wins among equals is up to the model; here the
 * vector chooses, so that the load spreads and the answer depends on nothing else.
 */
static bool deliver_lowest(const struct apic_bus *bus, const struct apic_message *m)
{
    unsigned priority;
    unsigned count = count_lowest(bus, m, &priority);
    if (count == 0)
        return false;
    unsigned skip = m->vector % count;
    for (unsigned i = 0; i < bus->count; i++) {
        struct lapic *lapic = bus->lapics[i];
        if (lapic_matches(lapic, m) && lapic_is_software_enabled(lapic) &&
            lapic_ppr(lapic) >> 4 == priority && skip-- == 0)
            return lapic_accept(lapic, m);
    }
    return false;
}

bool apic_bus_deliver(void *opaque, const struct apic_message *m)
{
    const struct apic_bus *bus = opaque;
    if (m->delivery == APIC_LOWEST)
        return deliver_lowest(bus, m);
    bool taken = false;
    for (unsigned i = 0; i < bus->count; i++)
        if (lapic_matches(bus->lapics[i], m))
            taken = lapic_accept(bus->lapics[i], m) || taken;
    return taken;
}
