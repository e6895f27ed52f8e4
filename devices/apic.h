/* SPDX-License-Identifier: MIT */
/*
 * The words spoken between IOAPIC, local APICs and message-signalled interrupts. Owns nothing.
 * SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)".
 */
#pragma once

#include "base/types.h"

/* Delivery modes: the same numbers in ICR, LVT, IOAPIC redirection entries and MSI data. */
enum apic_delivery {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

/* Delivery modes that IF = 0 does not hold back: they end a HLT whatever the flags say. */
ALWAYS_INLINE bool apic_ignores_if(uint32_t delivery)
{
    return delivery == APIC_SMI || delivery == APIC_NMI || delivery == APIC_INIT;
}

enum apic_shorthand { APIC_DEST, APIC_SELF, APIC_ALL, APIC_OTHERS };

#define APIC_BROADCAST UINT32_C(0xffffffff)

struct apic_message {
    uint32_t dest;      /* APIC ID or logical destination; APIC_BROADCAST: everybody */
    uint32_t source;    /* `apic_id` of the sending local APIC, for the shorthands */
    uint8_t vector;     /* 0-255; start-up page for APIC_STARTUP */
    uint8_t delivery;   /* enum apic_delivery, or the reserved 3 */
    uint8_t shorthand;  /* enum apic_shorthand */
    bool logical;       /* destination mode */
    bool level_trigger; /* trigger mode: sets TMR */
    bool assert;        /* level: false only for INIT level de-assert */
};

/* An 8-bit destination, in which FFh is everybody, as a message's. */
ALWAYS_INLINE uint32_t apic_dest8(uint32_t dest)
{
    return (dest & 0xff) == 0xff ? APIC_BROADCAST : dest & 0xff;
}

/* A DMA write of `data` to FEEx_xxxxh is a message: SDM Vol. 3A, "Message Signalled Interrupts". */
struct apic_message apic_message_from_msi(paddr address, uint32_t data);
