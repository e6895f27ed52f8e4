/* SPDX-License-Identifier: MIT */
/*
 * 82093AA I/O Advanced Programmable Interrupt Controller. Section names are of its data sheet; the
 * EOI register is that of later I/O APICs (version 20h).
 *
 *   memory   register                      indirect   register
 *   00h      IOREGSEL          rw          00h        IOAPICID           rw  0
 *   10h      IOWIN             rw          01h        IOAPICVER          ro  00170020h
 *   40h      EOI               wo          02h        IOAPICARB          ro  0
 *                                          10h-3Fh    IOREDTBL[0-23]     rw  00000000_00010000h
 *
 *   63-56 destination | 16 mask | 15 level trigger | 14 remote IRR | 13 polarity
 *   12 delivery status | 11 logical | 10-8 delivery mode | 7-0 vector
 */
#include "devices/ioapic.h"

#include <errno.h>

enum {
    REG_ID = 0x00,
    REG_VERSION = 0x01,
    REG_ARBITRATION = 0x02,
    REG_REDIRECTION = 0x10,
    VERSION = (IOAPIC_PINS - 1) << 16 | 0x20,
    RTE_LOGICAL = 1 << 11,
    RTE_REMOTE_IRR = 1 << 14,
    RTE_LEVEL = 1 << 15,
    RTE_MASKED = 1 << 16,
};

#define RTE_WRITABLE UINT64_C(0xff0000000001afff)
#define RTE_RESET UINT64_C(0x10000)

/* "NMI is treated as an edge triggered interrupt, even if it is programmed as a level triggered
 * interrupt"; so are INIT, SMI and ExtINT: "Delivery Mode". */
static bool is_level(uint64_t rte)
{
    return rte & RTE_LEVEL && (rte >> 8 & 7) <= APIC_LOWEST;
}

static bool send(struct ioapic *ioapic, unsigned n)
{
    uint64_t rte = ioapic->s.redirection[n];
    struct apic_message m = {
        .dest = apic_dest8((uint32_t)(rte >> 56)),
        .vector = (uint8_t)rte,
        .delivery = rte >> 8 & 7,
        .logical = rte & RTE_LOGICAL,
        .level_trigger = is_level(rte),
        .assert = true,
    };
    return ioapic->deliver && ioapic->deliver(ioapic->deliver_opaque, &m);
}

/* A level pin interrupts while it is high, unmasked and not being served: "Interrupt Mask", "Remote
 * IRR". */
static void check_level(struct ioapic *ioapic, unsigned n)
{
    uint64_t rte = ioapic->s.redirection[n];
    bool is_high = ioapic->s.lines >> n & 1;
    if (!is_high || !is_level(rte) || rte & (RTE_MASKED | RTE_REMOTE_IRR))
        return;
    /* Set first: the processor may finish, and broadcast EOI, within the delivery. */
    ioapic->s.redirection[n] |= RTE_REMOTE_IRR;
    if (!send(ioapic, n))
        ioapic->s.redirection[n] &= ~(uint64_t)RTE_REMOTE_IRR;
}

void ioapic_set_irq(void *opaque, unsigned n, bool level)
{
    struct ioapic *ioapic = opaque;
    if (n >= IOAPIC_PINS)
        return;
    uint32_t bit = UINT32_C(1) << n;
    bool is_edge = level && !(ioapic->s.lines & bit);
    ioapic->s.lines = level ? ioapic->s.lines | bit : ioapic->s.lines & ~bit;
    uint64_t rte = ioapic->s.redirection[n];
    if (is_level(rte))
        check_level(ioapic, n);
    else if (is_edge &&
             !(rte & RTE_MASKED)) /* "Edge-sensitive interrupts on a masked pin are ignored" */
        send(ioapic, n);
}

bool ioapic_ignores_if(const struct ioapic *ioapic)
{
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        uint64_t rte = ioapic->s.redirection[n];
        if (!(rte & RTE_MASKED) && apic_ignores_if(rte >> 8 & 7))
            return true;
    }
    return false;
}

void ioapic_eoi(void *opaque, uint8_t vector)
{
    struct ioapic *ioapic = opaque;
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        uint64_t rte = ioapic->s.redirection[n];
        if (!(rte & RTE_REMOTE_IRR) || (uint8_t)rte != vector)
            continue;
        ioapic->s.redirection[n] &= ~(uint64_t)RTE_REMOTE_IRR;
        check_level(ioapic, n);
    }
}

/* ---- registers ---- */

static uint32_t read_window(const struct ioapic *ioapic)
{
    uint8_t reg = ioapic->s.ioregsel;
    if (reg == REG_ID || reg == REG_ARBITRATION)
        return (uint32_t)ioapic->s.id << 24;
    if (reg == REG_VERSION)
        return VERSION;
    unsigned n = (reg - REG_REDIRECTION) / 2u;
    if (reg < REG_REDIRECTION || n >= IOAPIC_PINS)
        return UINT32_MAX;
    return (uint32_t)(ioapic->s.redirection[n] >> (reg & 1 ? 32 : 0));
}

static void write_redirection(struct ioapic *ioapic, unsigned n, bool is_high, uint32_t v)
{
    uint64_t old = ioapic->s.redirection[n];
    uint64_t mask = is_high ? UINT64_MAX << 32 : UINT32_MAX;
    uint64_t rte = (old & ~mask) | (is_high ? (uint64_t)v << 32 : v);
    rte = (rte & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
    if (!is_level(
            rte)) /* edge has no remote IRR; systems without an EOI register clear it by this */
        rte &= ~(uint64_t)RTE_REMOTE_IRR;
    ioapic->s.redirection[n] = rte;
    check_level(ioapic, n);
}

static void write_window(struct ioapic *ioapic, uint32_t v)
{
    uint8_t reg = ioapic->s.ioregsel;
    unsigned n = (reg - REG_REDIRECTION) / 2u;
    if (reg == REG_ID)
        ioapic->s.id = v >> 24 & 0xf;
    else if (reg >= REG_REDIRECTION && n < IOAPIC_PINS)
        write_redirection(ioapic, n, reg & 1, v);
    else
        guest_error(ioapic->trace, "ioapic", "write to a register that is not there or read-only");
}

static uint64_t mmio_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    const struct ioapic *ioapic = opaque;
    switch (offset & 0xff) {
    case 0x00:
        return ioapic->s.ioregsel;
    case 0x10:
        return read_window(ioapic);
    default:
        return 0;
    }
}

static void mmio_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct ioapic *ioapic = opaque;
    switch (offset & 0xff) {
    case 0x00:
        ioapic->s.ioregsel = (uint8_t)v;
        break;
    case 0x10:
        write_window(ioapic, (uint32_t)v);
        break;
    case 0x40:
        ioapic_eoi(ioapic, (uint8_t)v);
        break;
    default:
        break;
    }
}

/* ---- life ---- */

static void reset(void *opaque)
{
    struct ioapic *ioapic = opaque;
    uint32_t lines = ioapic->s.lines; /* driven by others, who do not reset with us */
    ioapic->s = (struct ioapic_state){.lines = lines};
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        ioapic->s.redirection[n] = RTE_RESET;
}

static int after_load(void *opaque, struct err *err)
{
    struct ioapic *ioapic = opaque;
    if (ioapic->s.lines >> IOAPIC_PINS || ioapic->s.id > 15)
        return err_set(err, EINVAL, "I/O APIC: impossible register value");
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        uint64_t rte = ioapic->s.redirection[n];
        if (rte & ~(RTE_WRITABLE | RTE_REMOTE_IRR) || (rte & RTE_REMOTE_IRR && !is_level(rte)))
            return err_set(err, EINVAL, "I/O APIC: impossible redirection entry %u", n);
    }
    return 0;
}

const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .doc = "Intel 82093AA I/O APIC, 24 pins",
    .size = sizeof(struct ioapic),
    .fields = ioapic_state_fields,
    .version = 1,
    .reset = reset,
    .after_load = after_load,
};

void ioapic_init(struct ioapic *ioapic, struct trace *trace)
{
    *ioapic = (struct ioapic){.trace = trace};
    ioapic->mmio = (struct io_region){.name = "ioapic",
                                      .base = IOAPIC_DEFAULT_BASE,
                                      .size = 0x1000,
                                      .widths = W32,
                                      .read = mmio_read,
                                      .write = mmio_write,
                                      .opaque = ioapic,
                                      .enabled = true};
    reset(ioapic);
}
