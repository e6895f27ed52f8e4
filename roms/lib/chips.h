/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controllers and timers of a PC, as far as a test wants them. Nothing here waits but
 * delay_us(), which reads the ACPI PM timer. 8259A, 8254, "Advanced Programmable Interrupt
 * Controller (APIC)", 82093AA.
 */
#pragma once

#include "roms/lib/traps.h"

enum {
    LAPIC_ID = 0x20,
    LAPIC_VERSION = 0x30,
    LAPIC_TPR = 0x80,
    LAPIC_EOI = 0xB0,
    LAPIC_SVR = 0xF0,
    LAPIC_ISR = 0x100,
    LAPIC_IRR = 0x200,
    LAPIC_ESR = 0x280,
    LAPIC_ICR = 0x300,
    LAPIC_ICR_HIGH = 0x310,
    LAPIC_TIMER = 0x320,
    LAPIC_LINT0 = 0x350,
    LAPIC_LINT1 = 0x360,
    LAPIC_TIMER_INITIAL = 0x380,
    LAPIC_TIMER_CURRENT = 0x390,
    LAPIC_TIMER_DIVIDE = 0x3E0,
    LAPIC_SPURIOUS = 0xFF
};
enum {
    ICR_FIXED = 0,
    ICR_NMI = 0x400,
    ICR_INIT = 0x500,
    ICR_STARTUP = 0x600,
    ICR_PENDING = 0x1000
};
enum {
    ICR_ASSERT = 0x4000,
    ICR_LEVEL = 0x8000,
    ICR_SELF = 0x40000,
    ICR_ALL = 0x80000,
    ICR_OTHERS = 0xC0000
};
enum { LVT_MASKED = 0x10000, LVT_PERIODIC = 0x20000, LVT_DEADLINE = 0x40000, LVT_EXTINT = 0x700 };

uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t v);
void lapic_enable(void); /* SVR: on, spurious vector FFh; timer masked */
void lapic_eoi(void);
void lapic_send(uint32_t apic_id, uint32_t icr); /* waits until delivered */

enum { PIC_BASE = 0x20, PIC_MASTER = 0x20, PIC_SLAVE = 0xA0 };
void pic_init(void);           /* vectors 20h-2Fh, all masked; LINT0 passes the PIC's INTR on */
void pic_mask(uint16_t masks); /* bit per line, 1 = masked */
void pic_eoi(unsigned irq);
void pic_off(void); /* all masked, LINT0 too */

enum { PIT_HZ = 1193182 };
void pit_start(unsigned mode, uint16_t count); /* channel 0; mode 0 one-shot, 2 or 3 periodic */
uint16_t pit_read(void);                       /* channel 0, latched */

uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t v);
void ioapic_route(unsigned pin, uint64_t entry); /* redirection table entry */
uint64_t ioapic_entry(unsigned pin);
enum {
    IOAPIC_MASKED = 1 << 16,
    IOAPIC_LEVEL = 1 << 15,
    IOAPIC_LOW = 1 << 13,
    IOAPIC_IRR = 1 << 14
};

/* The PM timer, 3.579545 MHz, 24 or 32 bits at port 608h. */
uint32_t pm_timer(void);
void delay_us(uint32_t us);

uint8_t cmos_read(uint8_t index);
void cmos_write(uint8_t index, uint8_t v);

/* pc-testdev: drive a global interrupt line by hand. */
void testdev_line(unsigned line, bool level);
bool testdev_is_present(void);
