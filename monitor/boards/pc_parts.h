/* SPDX-License-Identifier: MIT */
/*
 * The parts list of the board "pc": shared by pc.c (wiring) and pc_boot.c (what stands in memory at power on). Nobody else
 * includes it.
 */
#pragma once

#include "devices/acpi_pm.h"
#include "devices/apic_bus.h"
#include "devices/debug_ports.h"
#include "devices/dma.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pc_testdev.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/piix3.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/uart.h"
#include "monitor/boards/pc.h"

/* Who may pull an ISA interrupt: bit numbers in irq_router.sources[]. */
enum irq_source { SOURCE_CHIP, SOURCE_HPET, SOURCE_PIRQ, SOURCE_TEST, SOURCE_COM34 };

#define IRQ_ROUTER_STATE(ONE, ARR, S)                                                                    \
    ARR(S, uint32_t, sources, 16, "bit per source that asserts the ISA interrupt")
STATE_STRUCT(irq_router_state, IRQ_ROUTER_STATE);

struct irq_router {
    struct irq_router_state s; /* first: saved, hashed, shown */
};

struct pc {
    struct vm *vm;                 /* borrowed */
    struct irq_router router;      /* wired-or of ISA interrupts */
    struct pic pic;
    struct ioapic ioapic;
    struct apic_bus apic_bus;
    struct lapic lapics[MAX_VCPUS];
    struct pit pit;
    struct rtc rtc;
    struct hpet hpet;
    struct acpi_pm acpi_pm;
    struct pci pci;
    struct i440fx i440fx;
    struct piix3 piix3;
    struct piix3_pm piix3_pm;
    struct uart uart[PC_UARTS];
    unsigned uarts;                /* of uart[] */
    struct i8042 i8042;
    struct debug_ports debug_ports;
    struct debug_exit debug_exit;
    struct pc_testdev testdev;
    struct fw_cfg fw_cfg;
    struct dma_space dma;          /* of the chipset's own masters (fw_cfg) */
    paddr low_ram;                 /* end of RAM below 4 GiB */
    bool has_bios;                 /* firmware runs first */
    const uint8_t *bios;           /* borrowed: the -bios image */
    size_t bios_size;              /* bytes */
    struct boot_info boot;         /* what to load at every power on */
    struct entry_state entry;      /* where vCPU 0 starts */
    struct e820_entry e820[E820_MAX]; /* memory map */
    unsigned e820_count;           /* of e820[] */
    uint8_t *acpi;                 /* owned: ACPI tables as they stand at acpi_base */
    size_t acpi_size;              /* bytes */
};

ALWAYS_INLINE struct pc *pc_of(struct vm *vm)
{
    return (struct pc *)(void *)vm->board;
}
