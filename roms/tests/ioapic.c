/* SPDX-License-Identifier: MIT */
/* The I/O APIC: edges, levels, masks, remote IRR; lines driven by pc-testdev. 82093AA, "IOREDTBL".
 */
#include "roms/lib/chips.h"

enum { PIN = 5, OTHER_PIN = 10, VECTOR = 0x65, OTHER_VECTOR = 0x95 };

static volatile unsigned hits, other_hits;
static volatile bool is_level_kept;

static void on_edge(struct frame *f)
{
    if (f->vector == VECTOR)
        hits++;
    else
        other_hits++;
    lapic_eoi();
}

static void on_level(struct frame *f)
{
    (void)f;
    hits++;
    if (!is_level_kept || hits >= 3)
        testdev_line(PIN, false);
    lapic_eoi();
}

static void let_in(void)
{
    sti();
    cli();
}

static void registers(void)
{
    uint32_t version = ioapic_read(1), pins = (version >> 16 & 0xFF) + 1;
    check("24 pins", pins == 24);
    check("version 11h or 20h", (version & 0xFF) == 0x11 || (version & 0xFF) == 0x20);
    ioapic_route(PIN, (uint64_t)1 << 56 | IOAPIC_MASKED | IOAPIC_LEVEL | VECTOR);
    check_equal("an entry reads back", (uint64_t)1 << 56 | IOAPIC_MASKED | IOAPIC_LEVEL | VECTOR,
                ioapic_entry(PIN));
}

static void edges(void)
{
    trap_set(VECTOR, on_edge);
    testdev_line(PIN, false);
    ioapic_route(PIN, VECTOR);
    hits = 0;
    testdev_line(PIN, true);
    let_in();
    check_equal("a rising edge interrupts", 1, hits);
    testdev_line(PIN, true);
    let_in();
    check_equal("a line that stays high does not", 1, hits);
    testdev_line(PIN, false);
    testdev_line(PIN, true);
    testdev_line(PIN, false);
    let_in();
    check_equal("a pulse is kept by the local APIC", 2, hits);
    ioapic_route(PIN, IOAPIC_MASKED | VECTOR);
    testdev_line(PIN, true);
    testdev_line(PIN, false);
    let_in();
    check_equal("masked, an edge is lost", 2, hits);
    ioapic_route(PIN, VECTOR);
    let_in();
    check_equal("unmasking does not bring it back", 2, hits);
}

static void levels(void)
{
    trap_set(VECTOR, on_level);
    ioapic_route(PIN, IOAPIC_LEVEL | VECTOR);
    hits = 0;
    is_level_kept = false;
    testdev_line(PIN, true);
    check("remote IRR is set once the local APIC took it", ioapic_entry(PIN) & IOAPIC_IRR);
    let_in();
    check_equal("a high level interrupts", 1, hits);
    check("EOI clears remote IRR", !(ioapic_entry(PIN) & IOAPIC_IRR));
    hits = 0;
    is_level_kept = true;
    testdev_line(PIN, true);
    for (unsigned i = 0; i < 10; i++)
        let_in();
    check_equal("a level still high after EOI interrupts again", 3, hits);
    hits = 0;
    is_level_kept = false;
    ioapic_route(PIN, IOAPIC_MASKED | IOAPIC_LEVEL | VECTOR);
    testdev_line(PIN, true);
    let_in();
    check_equal("masked, it waits", 0, hits);
    ioapic_route(PIN, IOAPIC_LEVEL | VECTOR);
    let_in();
    check_equal("and comes when unmasked", 1, hits);
}

static void two_lines(void)
{
    trap_set(VECTOR, on_edge);
    trap_set(OTHER_VECTOR, on_edge);
    ioapic_route(PIN, VECTOR);
    ioapic_route(OTHER_PIN, OTHER_VECTOR);
    hits = other_hits = 0;
    testdev_line(PIN, true);
    testdev_line(OTHER_PIN, true);
    check("both are requested",
          lapic_read(LAPIC_IRR + 0x10 * (VECTOR / 32)) >> (VECTOR % 32) & 1 &&
              lapic_read(LAPIC_IRR + 0x10 * (OTHER_VECTOR / 32)) >> (OTHER_VECTOR % 32) & 1);
    let_in();
    check("both are served", hits == 1 && other_hits == 1);
    testdev_line(PIN, false);
    testdev_line(OTHER_PIN, false);
    ioapic_route(PIN, IOAPIC_MASKED);
    ioapic_route(OTHER_PIN, IOAPIC_MASKED);
}

/* The PIT is on pin 2 in the APIC world. */
static void timer_pin(void)
{
    trap_set(VECTOR, on_edge);
    hits = 0;
    pit_start(0, 2000);
    ioapic_route(2, VECTOR);
    while (!hits)
        sti_hlt_cli();
    check("the PIT interrupts through pin 2", hits == 1);
    ioapic_route(2, IOAPIC_MASKED);
}

int main(void)
{
    pic_off();
    lapic_enable();
    if (!check("run with -device pc-testdev", testdev_is_present()))
        return checks_result();
    registers();
    edges();
    levels();
    two_lines();
    timer_pin();
    return checks_result();
}
