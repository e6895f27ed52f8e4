/* SPDX-License-Identifier: MIT */
/* The 8259A pair in every mode, its lines driven by pc-testdev, through LINT0 and without a local
 * APIC. Sections of Intel's 8259A data sheet; ELCR of the PIIX. */
#include "roms/lib/chips.h"

enum {
    ELCR = 0x4D0,
    OCW3_IRR = 0x0A,
    OCW3_ISR = 0x0B,
    OCW3_POLL = 0x0C,
    EOI = 0x20,
    A = 3,
    B = 5,
    SLAVE = 10
};

static volatile uint8_t order[16];
static volatile unsigned taken, lower_at;
static volatile bool eoi_in_handler, nest;

static void on_irq(struct frame *f)
{
    unsigned irq = (unsigned)f->vector - PIC_BASE;
    if (taken < COUNT(order))
        order[taken++] = (uint8_t)irq;
    if (nest && irq == B) {
        testdev_line(A, true);
        testdev_line(7, true);
        sti();
        cli();
        nest = false;
        order[taken++] = 0xEE;
    }
    if (taken == lower_at)
        testdev_line(irq, false);
    if (eoi_in_handler)
        pic_eoi(irq);
}

static void let_in(void)
{
    sti();
    cli();
}

static void lines_down(void)
{
    for (unsigned i = 3; i < 16; i++)
        if (i != 8 && i != 13)
            testdev_line(i, false);
}

static void start(void)
{
    lines_down();
    pic_init();
    out8(ELCR, 0);
    out8(ELCR + 1, 0);
    pic_mask((uint16_t) ~(1u << A | 1u << B | 1u << 7 | 1u << SLAVE | 1u << 11 | 1u << 2));
    taken = 0;
    eoi_in_handler = true;
    nest = false;
}

static uint8_t reg(uint16_t port, uint8_t ocw3)
{
    out8(port, ocw3);
    return in8(port);
}

static bool was(unsigned n, uint8_t a, uint8_t b, uint8_t c)
{
    bool is_right = taken == n && (n < 1 || order[0] == a) && (n < 2 || order[1] == b) &&
                    (n < 3 || order[2] == c);
    if (!is_right)
        print("     %u taken: %u %u %u %u\n", taken, order[0], order[1], order[2], order[3]);
    return is_right;
}

static void priority(void)
{
    start();
    testdev_line(B, true);
    testdev_line(A, true);
    testdev_line(SLAVE, true);
    check_equal("the IRR shows what waits", 1 << A | 1 << B | 1 << 2,
                reg(PIC_MASTER, OCW3_IRR) & 0xFC);
    check_equal("and the slave's", 1 << (SLAVE - 8), reg(PIC_SLAVE, OCW3_IRR) & 0xFE);
    let_in();
    let_in();
    let_in();
    check("the slave's come at input 2: before 3 and 5", was(3, SLAVE, A, B));
    start();
    nest = true;
    testdev_line(B, true);
    let_in();
    let_in();
    check("fully nested: 3 interrupts 5, 7 waits",
          taken == 4 && was(4, B, A, 0xEE) && order[3] == 7);
    start();
    eoi_in_handler = false;
    testdev_line(B, true);
    let_in();
    check_equal("in service without EOI", 1 << B, reg(PIC_MASTER, OCW3_ISR));
    testdev_line(7, true);
    let_in();
    check_equal("lower ones wait", 1, taken);
    out8(PIC_MASTER, 0x60 | 4);
    check_equal("a specific EOI of another clears nothing", 1 << B, reg(PIC_MASTER, OCW3_ISR));
    out8(PIC_MASTER, 0x60 | B);
    check_equal("that of its own does", 0, reg(PIC_MASTER, OCW3_ISR));
    let_in();
    check("and the next comes", was(2, B, 7, 0));
    out8(PIC_MASTER, EOI);
}

static void rotation(void)
{
    start();
    out8(PIC_MASTER, 0xC0 | A);
    testdev_line(A, true);
    testdev_line(B, true);
    let_in();
    let_in();
    check("set priority: 3 is lowest, so 5 is before it", was(2, B, A, 0));
    start();
    eoi_in_handler = false;
    testdev_line(A, true);
    let_in();
    out8(PIC_MASTER, 0xA0);
    testdev_line(A, false);
    eoi_in_handler = true;
    taken = 0;
    testdev_line(A, true);
    testdev_line(B, true);
    let_in();
    let_in();
    check("rotate on EOI: who was served is lowest", was(2, B, A, 0));
}

static void special_mask(void)
{
    start();
    eoi_in_handler = false;
    testdev_line(A, true);
    let_in();
    testdev_line(B, true);
    let_in();
    check_equal("3 in service holds 5 back", 1, taken);
    out8(PIC_MASTER + 1, in8(PIC_MASTER + 1) | 1 << A);
    let_in();
    check_equal("also when 3 is masked", 1, taken);
    out8(PIC_MASTER, 0x68);
    let_in();
    check("special mask mode lets 5 through", was(2, A, B, 0));
    out8(PIC_MASTER, EOI);
    check_equal("a non-specific EOI spares the masked one", 1 << A, reg(PIC_MASTER, OCW3_ISR));
    out8(PIC_MASTER, 0x60 | A);
    out8(PIC_MASTER, 0x48);
    check_equal("a specific one does not", 0, reg(PIC_MASTER, OCW3_ISR));
}

static void polling(void)
{
    start();
    check_equal("poll with nothing there", 0, reg(PIC_MASTER, OCW3_POLL) & 0x80);
    testdev_line(B, true);
    check_equal("poll answers and acknowledges", 0x80 | B, reg(PIC_MASTER, OCW3_POLL));
    check_equal("it is in service", 1 << B, reg(PIC_MASTER, OCW3_ISR));
    check_equal("only one read is a poll", 1 << B, in8(PIC_MASTER));
    let_in();
    check_equal("and interrupts no more", 0, taken);
    out8(PIC_MASTER, EOI);
}

static void automatic_eoi(void)
{
    start();
    out8(PIC_MASTER, 0x11);
    out8(PIC_MASTER + 1, PIC_BASE);
    out8(PIC_MASTER + 1, 4);
    out8(PIC_MASTER + 1, 3); /* AEOI */
    check_equal("ICW1 clears the mask", 0, in8(PIC_MASTER + 1));
    pic_mask((uint16_t) ~(1u << A | 1u << B));
    eoi_in_handler = false;
    testdev_line(A, true);
    let_in();
    check("automatic EOI: nothing stays in service", taken == 1 && reg(PIC_MASTER, OCW3_ISR) == 0);
    testdev_line(A, false);
    out8(PIC_MASTER, 0x80); /* rotate in AEOI mode */
    testdev_line(A, true);
    let_in();
    testdev_line(A, false);
    taken = 0;
    testdev_line(A, true);
    testdev_line(B, true);
    let_in();
    let_in();
    check("and with rotation", was(2, B, A, 0));
}

static void triggers(void)
{
    start();
    testdev_line(B, true);
    testdev_line(B, false);
    let_in();
    check_equal("an edge that is gone before the acknowledge is no request", 0, taken);
    testdev_line(B, true);
    let_in();
    let_in();
    check_equal("an edge is one interrupt, though the line stays", 1, taken);
    out8(PIC_MASTER, 0x11); /* ICW1 resets the edge sense */
    out8(PIC_MASTER + 1, PIC_BASE);
    out8(PIC_MASTER + 1, 4);
    out8(PIC_MASTER + 1, 1);
    let_in();
    check_equal("after ICW1 a line that is high must rise again", 1, taken);
    start();
    out8(ELCR, 1 << B);
    check_equal("the ELCR reads back", 1 << B, in8(ELCR));
    out8(ELCR, 0xFF);
    check_equal("0, 1 and 2 are always edge", 0xF8, in8(ELCR));
    out8(ELCR + 1, 0xFF);
    check_equal("so are 8 and 13", 0xDE, in8(ELCR + 1));
    out8(ELCR + 1, 0);
    out8(ELCR, 1 << B);
    lower_at = 4;
    testdev_line(B, true);
    let_in();
    check_equal("a level interrupts until it is gone", 4, taken);
    lower_at = 0;
    testdev_line(B, true);
    testdev_line(B, false);
    let_in();
    check_equal("and one that is gone before leaves no trace", 4, taken);
    out8(ELCR, 0);
}

static void nested_slave(void)
{
    start();
    eoi_in_handler = false;
    testdev_line(11, true);
    let_in();
    testdev_line(SLAVE, true);
    let_in();
    check_equal("a slave in service holds its own higher request back", 1, taken);
    out8(PIC_SLAVE, EOI);
    out8(PIC_MASTER, EOI);
    let_in();
    check("until the master's EOI", was(2, 11, SLAVE, 0));
    out8(PIC_SLAVE, EOI);
    out8(PIC_MASTER, EOI);
    start();
    out8(PIC_MASTER, 0x11);
    out8(PIC_MASTER + 1, PIC_BASE);
    out8(PIC_MASTER + 1, 4);
    out8(PIC_MASTER + 1, 0x11); /* SFNM */
    pic_mask((uint16_t) ~(1u << SLAVE | 1u << 11 | 1u << 2));
    eoi_in_handler = false;
    testdev_line(11, true);
    let_in();
    testdev_line(SLAVE, true);
    let_in();
    check("special fully nested mode lets it through", was(2, 11, SLAVE, 0));
    out8(PIC_SLAVE, EOI);
    out8(PIC_SLAVE, EOI);
    out8(PIC_MASTER, EOI);
}

static void wires(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE);
    start();
    lapic_write(LAPIC_LINT0, LVT_EXTINT | LVT_MASKED);
    testdev_line(B, true);
    let_in();
    check_equal("LINT0 masked: INTR does not reach the processor", 0, taken);
    lapic_write(LAPIC_LINT0, LVT_EXTINT);
    let_in();
    check_equal("virtual wire: LINT0 as ExtINT", 1, taken);
    testdev_line(B, false);
    lapic_write(LAPIC_TPR, 0xFF);
    testdev_line(B, true);
    let_in();
    check_equal("ExtINT knows no TPR", 2, taken);
    lapic_write(LAPIC_TPR, 0);
    testdev_line(B, false);
    lapic_write(LAPIC_LINT0, LVT_MASKED);
    write_msr(MSR_APIC_BASE, base & ~UINT64_C(0x800));
    testdev_line(B, true);
    let_in();
    check_equal("local APIC off: INTR goes straight in", 3, taken);
    testdev_line(B, false);
    write_msr(MSR_APIC_BASE, base);
    lapic_enable();
    lapic_write(LAPIC_LINT0, LVT_MASKED);
    ioapic_route(4, LVT_EXTINT);
    testdev_line(B, true);
    let_in();
    check_equal("LINT0 closed again", 3, taken);
    testdev_line(4, true);
    let_in();
    check_equal("an ExtINT message asks the 8259A for the vector", 4, taken);
    testdev_line(4, false);
    ioapic_route(4, IOAPIC_MASKED);
}

int main(void)
{
    if (!check("run with -device pc-testdev", testdev_is_present()))
        return checks_result();
    for (unsigned i = 0; i < 16; i++)
        trap_set(PIC_BASE + i, on_irq);
    priority();
    rotation();
    special_mask();
    polling();
    automatic_eoi();
    triggers();
    nested_slave();
    wires();
    lines_down();
    pic_off();
    return checks_result();
}
