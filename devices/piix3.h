/* SPDX-License-Identifier: MIT */
/*
 * Intel 82371SB (PIIX3) ISA bridge: PIRQ routing to ISA interrupts, the reset control register
 * CF9h, the coprocessor error logic at port F0h; and the power management function of its successor
 * 82371AB (PIIX4), whose configuration space places the PM I/O block. The ELCR is the PIC's, the PM
 * registers are acpi_pm's: here is only their routing. (82371FB/82371SB datasheet, "PIRQRC[A:D]",
 * "RC - Reset Control"; 82371AB datasheet, "PMBASE", "PMREGMISC".)
 */
#pragma once

#include "devices/pci.h"

enum {
    PIIX3_PIRQRCA = 0x60,
    PIIX3_PM_BASE = 0x40,
    PIIX3_PM_DEVACTB = 0x58,
    PIIX3_PM_REGMISC = 0x80
};

/* clang-format off */
#define PIIX3_STATE(ONE, ARR, S)                                    \
    PCI_CONFIG_FIELD(ONE, ARR, S)                                   \
    ONE(S, uint8_t, pirq_level, "PIRQA#-PIRQD# asserted: bits 0-3") \
    ONE(S, uint8_t, rc, "reset control, port CF9h")                 \
    ONE(S, bool, coprocessor_error, "FERR# was asserted and port F0h not written since: IRQ 13")
#define PIIX3_PM_STATE(ONE, ARR, S) PCI_CONFIG_FIELD(ONE, ARR, S)
/* clang-format on */
STATE_STRUCT(piix3_state, PIIX3_STATE);
STATE_STRUCT(piix3_pm_state, PIIX3_PM_STATE);

struct piix3 {
    struct piix3_state s;    /* first: saved, hashed, shown */
    struct pci_function pci; /* 00:01.0, multi-function */
    struct irq_line
        irq[16]; /* wiring: ISA interrupts that PIRQs are routed to (ORed by the board) */
    struct io_region reset_control; /* port CF9h; lies over the PCI bus's CF8h, so has priority */
    struct io_region coprocessor;   /* port F0h: coprocessor error */
    void (*reset)(void *opaque, bool is_hard); /* wiring: RCPU rose; hard: PCIRST# too */
    void *reset_opaque;                        /* of reset */
    void (*ignne)(
        void *opaque);   /* wiring: IGNNE# to processors that assert FERR#, until they don't */
    void *ignne_opaque;  /* of ignne */
    uint16_t irq_driven; /* levels last put on irq[]: bit per ISA interrupt */
};

struct piix3_pm {
    struct piix3_pm_state s; /* first: saved, hashed, shown */
    struct pci_function pci; /* 00:01.3 */
    /* wiring: the PM I/O block is now at base, decoded or not. */
    void (*moved)(void *opaque, uint16_t base, bool is_decoded);
    void *moved_opaque; /* of moved */
};

extern const struct device_ops piix3_ops;
extern const struct device_ops piix3_pm_ops;

void piix3_init(struct piix3 *p);
void piix3_pm_init(struct piix3_pm *p);

/* Listener of struct pci's pirq[n]: an irq_line's set with opaque = struct piix3. */
void piix3_set_pirq(void *opaque, unsigned n, bool level);

/* FERR# of a processor falls: IRQ 13, until port F0h is written. */
void piix3_ferr(struct piix3 *p);

/* What firmware does before a kernel that is booted without one: PM block at base, decoded; SCI on
 * IRQ 9. */
void piix3_pm_enable(struct piix3_pm *p, uint16_t base);
