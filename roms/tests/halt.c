/* SPDX-License-Identifier: MIT */
/*
 * HLT with IF = 0: timers that interrupt do not end it, those that send an NMI do; and when none is
 * left that could, the machine is dead though its clocks tick. SDM Vol. 2A, "HLT". The last HLT
 * ends the run: the test wants the exit status of a dead halt.
 */
#include "roms/lib/chips.h"

enum { TIMER_VECTOR = 0x50, PIT_PIN = 2, PIT_COUNT = 1193 };
#define HPET_AT ((reg_t)0xFED00000u)

static volatile unsigned nmis, interrupts;

static void on_nmi(struct frame *f)
{
    (void)f;
    nmis++;
}

static void on_timer(struct frame *f)
{
    (void)f;
    interrupts++;
    lapic_eoi();
}

static void halt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

/* The timer of the local APIC ticks every 10,000 bus cycles from now on. */
static void start_lapic_timer(void)
{
    trap_set(TIMER_VECTOR, on_timer);
    lapic_enable();
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER, LVT_PERIODIC | TIMER_VECTOR);
    lapic_write(LAPIC_TIMER_INITIAL, 10000);
}

static void nmi_by_ioapic(void)
{
    nmis = 0;
    ioapic_route(PIT_PIN, ICR_NMI);
    halt();
    ioapic_route(PIT_PIN, IOAPIC_MASKED);
    check_equal("an NMI by the I/O APIC ends it", 1, nmis);
}

static void nmi_by_lint0(void)
{
    pic_init();
    pic_mask(0xFFFE);
    nmis = 0;
    lapic_write(LAPIC_LINT0, ICR_NMI);
    halt();
    lapic_write(LAPIC_LINT0, LVT_MASKED);
    check_equal("an NMI by LINT0 ends it", 1, nmis);
    pic_off();
}

static volatile uint32_t *hpet(unsigned reg)
{
    return (volatile uint32_t *)(HPET_AT + reg);
}

static void nmi_by_hpet_message(void)
{
    if (*hpet(0) == 0xFFFFFFFF || !(*hpet(0x100) & 1 << 15)) {
        skip("an NMI by a message of the HPET ends it", "no FSB delivery");
        return;
    }
    nmis = 0;
    *hpet(0x10) = 0;
    *hpet(0xF0) = 0;
    *hpet(0xF4) = 0;
    *hpet(0x110) = ICR_NMI;
    *hpet(0x114) = 0xFEE00000u;
    *hpet(0x100) = 1 << 14 | 1 << 2;
    *hpet(0x108) = 10000;
    *hpet(0x10C) = 0;
    *hpet(0x10) = 1;
    halt();
    *hpet(0x10) = 0;
    *hpet(0x100) = 0;
    check_equal("an NMI by a message of the HPET ends it", 1, nmis);
}

int main(void)
{
    trap_set(EXC_NMI, on_nmi);
    start_lapic_timer();
    pit_start(2, PIT_COUNT);
    nmi_by_ioapic();
    nmi_by_lint0();
    nmi_by_hpet_message();
    check_equal("the timer's interrupts waited", 0, interrupts);
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    check("with IF = 1 they end it", interrupts > 0);
    if (checks_result() == 0)
        halt();
    return 1;
}
