/* SPDX-License-Identifier: MIT */
/* Registers of the interrupt controllers and timers; see chips.h. */
#include "roms/lib/chips.h"

enum {
    PIT_CH0 = 0x40,
    PIT_CONTROL = 0x43,
    PM_TIMER = 0x608,
    CMOS = 0x70,
    TESTDEV = 0x2000,
    SCRATCH = 0xE0
};
#define LAPIC_BASE 0xFEE00000u
#define IOAPIC_BASE 0xFEC00000u

static volatile uint32_t *mmio(uint32_t at)
{
    return (volatile uint32_t *)(reg_t)at;
}

uint32_t lapic_read(unsigned reg)
{
    return *mmio(LAPIC_BASE + reg);
}

void lapic_write(unsigned reg, uint32_t v)
{
    *mmio(LAPIC_BASE + reg) = v;
}

void lapic_enable(void)
{
    lapic_write(LAPIC_SVR, 0x100 | LAPIC_SPURIOUS);
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_TIMER, LVT_MASKED);
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

void lapic_send(uint32_t apic_id, uint32_t icr)
{
    lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
    lapic_write(LAPIC_ICR, icr);
    while (lapic_read(LAPIC_ICR) & ICR_PENDING)
        pause();
}

void pic_init(void)
{
    out8(PIC_MASTER, 0x11); /* ICW1: cascade, ICW4 follows */
    out8(PIC_SLAVE, 0x11);
    out8(PIC_MASTER + 1, PIC_BASE);
    out8(PIC_SLAVE + 1, PIC_BASE + 8);
    out8(PIC_MASTER + 1, 4); /* ICW3: the slave is on line 2 */
    out8(PIC_SLAVE + 1, 2);
    out8(PIC_MASTER + 1, 1); /* ICW4: 8086 mode, EOI by hand */
    out8(PIC_SLAVE + 1, 1);
    pic_mask(0xFFFF);
    lapic_enable();
    lapic_write(LAPIC_LINT0, LVT_EXTINT);
}

void pic_mask(uint16_t masks)
{
    out8(PIC_MASTER + 1, (uint8_t)masks);
    out8(PIC_SLAVE + 1, (uint8_t)(masks >> 8));
}

void pic_eoi(unsigned irq)
{
    if (irq >= 8)
        out8(PIC_SLAVE, 0x20);
    out8(PIC_MASTER, 0x20);
}

void pic_off(void)
{
    pic_mask(0xFFFF);
    lapic_write(LAPIC_LINT0, LVT_MASKED);
}

void pit_start(unsigned mode, uint16_t count)
{
    out8(PIT_CONTROL, (uint8_t)(0x30 | mode << 1));
    out8(PIT_CH0, (uint8_t)count);
    out8(PIT_CH0, (uint8_t)(count >> 8));
}

uint16_t pit_read(void)
{
    uint8_t lo, hi;
    out8(PIT_CONTROL, 0); /* latch channel 0 */
    lo = in8(PIT_CH0);
    hi = in8(PIT_CH0);
    return (uint16_t)(hi << 8 | lo);
}

uint32_t ioapic_read(unsigned reg)
{
    *mmio(IOAPIC_BASE) = reg;
    return *mmio(IOAPIC_BASE + 0x10);
}

void ioapic_write(unsigned reg, uint32_t v)
{
    *mmio(IOAPIC_BASE) = reg;
    *mmio(IOAPIC_BASE + 0x10) = v;
}

void ioapic_route(unsigned pin, uint64_t entry)
{
    ioapic_write(0x10 + 2 * pin, IOAPIC_MASKED);
    ioapic_write(0x11 + 2 * pin, (uint32_t)(entry >> 32));
    ioapic_write(0x10 + 2 * pin, (uint32_t)entry);
}

uint64_t ioapic_entry(unsigned pin)
{
    return (uint64_t)ioapic_read(0x11 + 2 * pin) << 32 | ioapic_read(0x10 + 2 * pin);
}

uint32_t pm_timer(void)
{
    return in32(PM_TIMER);
}

void delay_us(uint32_t us)
{
    uint32_t start = pm_timer(), cycles = us * 3 + us / 2 + us / 8;
    while (((pm_timer() - start) & 0xFFFFFF) < cycles)
        pause();
}

uint8_t cmos_read(uint8_t index)
{
    out8(CMOS, index);
    return in8(CMOS + 1);
}

void cmos_write(uint8_t index, uint8_t v)
{
    out8(CMOS, index);
    out8(CMOS + 1, v);
}

void testdev_line(unsigned line, bool level)
{
    out8((uint16_t)(TESTDEV + line), level);
}

bool testdev_is_present(void)
{
    out8(SCRATCH, 0x5A);
    return in8(SCRATCH) == 0x5A;
}
