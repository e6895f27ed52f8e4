/* SPDX-License-Identifier: MIT */
/* The local APIC in detail: priorities, errors, destinations, EOI, the timer's modes and dividers.
 * Run with -smp 2. SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)". */
#include "roms/lib/chips.h"
#include "roms/lib/smp.h"

enum {
    LAPIC_PPR = 0xA0,
    LAPIC_LDR = 0xD0,
    LAPIC_DFR = 0xE0,
    LAPIC_TMR = 0x180,
    LAPIC_LVT_PMC = 0x340,
    LAPIC_LVT_ERROR = 0x370,
    ICR_LOWEST = 0x100,
    ICR_SMI = 0x200,
    ICR_LOGICAL = 0x800,
    SVR_ON = 0x100,
    SVR_NO_BROADCAST = 0x1000,
    ESR_SEND_VECTOR = 0x20,
    ESR_RECEIVE_VECTOR = 0x40,
    ESR_REGISTER = 0x80,
    ERROR_VECTOR = 0x3F,
    PIN = 5
};

static volatile unsigned count_of[256];
static volatile uint8_t order[8];
static volatile unsigned ordered;
static volatile uint32_t taken_by[4], ppr_seen;

static void on_any(struct frame *f)
{
    count_of[f->vector & 255]++;
    if (ordered < COUNT(order))
        order[ordered++] = (uint8_t)f->vector;
    lapic_eoi();
}

static void let_in(void)
{
    sti();
    cli();
}

static void self(unsigned vector)
{
    lapic_send(0, ICR_ASSERT | ICR_SELF | vector);
}

static bool bit_of(unsigned reg, unsigned vector)
{
    return lapic_read(reg + 0x10 * (vector / 32)) >> (vector % 32) & 1;
}

static uint32_t errors(void)
{
    lapic_write(LAPIC_ESR, 0);
    return lapic_read(LAPIC_ESR);
}

/* ---- priority ---- */

static void on_nested(struct frame *f)
{
    order[ordered++] = (uint8_t)f->vector;
    ppr_seen = lapic_read(LAPIC_PPR);
    if (f->vector == 0x55) {
        self(0x51); /* same class: waits */
        self(0x61); /* higher class: at once */
        self(0x45); /* lower: waits */
        let_in();
        order[ordered++] = 0xFF;
    }
    lapic_eoi();
}

static void priorities(void)
{
    static const uint8_t want[] = {0x55, 0x61, 0xFF, 0x51, 0x45};
    bool is_right = true;
    for (unsigned i = 0; i < COUNT(want); i++)
        trap_set(want[i], want[i] == 0xFF ? NULL : on_nested);
    ordered = 0;
    self(0x55);
    let_in();
    let_in();
    for (unsigned i = 0; i < COUNT(want); i++)
        is_right = is_right && order[i] == want[i];
    check("a handler is interrupted by a higher class only", ordered == 5 && is_right);
    trap_set(0x5F, on_nested);
    lapic_write(LAPIC_TPR, 0x53);
    check_equal("PPR is TPR when nothing is served", 0x53, lapic_read(LAPIC_PPR));
    self(0x5F);
    let_in();
    check("TPR holds its class back, whatever its low bits", bit_of(LAPIC_IRR, 0x5F));
    lapic_write(LAPIC_TPR, 0x4F);
    let_in();
    check_equal("served, PPR is the vector's class", 0x50, ppr_seen);
    check_equal("and then TPR again", 0x4F, lapic_read(LAPIC_PPR));
    lapic_write(LAPIC_TPR, 0);
#if defined(__x86_64__)
    reg_t cr8;
    __asm__ volatile("mov %0, %%cr8" : : "r"((reg_t)6));
    check_equal("CR8 is TPR bits 7-4", 0x60, lapic_read(LAPIC_TPR));
    lapic_write(LAPIC_TPR, 0x3A);
    __asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
    check_equal("and reads them", 3, cr8);
    __asm__ volatile("mov %0, %%cr8" : : "r"((reg_t)3));
    check_equal("written, the low bits become 0", 0x30, lapic_read(LAPIC_TPR));
    __asm__ volatile(TRY "mov %0, %%cr8" END_TRY : : "r"((reg_t)16) : "memory");
    check_fault("CR8 has four bits", EXC_GP, 0);
    lapic_write(LAPIC_TPR, 0);
#endif
}

static void one_request_per_vector(void)
{
    trap_set(0x70, on_any);
    count_of[0x70] = 0;
    self(0x70);
    self(0x70);
    self(0x70);
    let_in();
    let_in();
    check_equal("three requests of a vector that waits are one", 1, count_of[0x70]);
    lapic_eoi();
    check("EOI with nothing in service does nothing", !bit_of(LAPIC_ISR, 0x70));
}

/* ---- errors ---- */

static void illegal_vectors(void)
{
    trap_set(ERROR_VECTOR, on_any);
    errors();
    lapic_write(LAPIC_LVT_ERROR, ERROR_VECTOR);
    count_of[ERROR_VECTOR] = 0;
    self(15);
    check_equal("the ESR shows nothing before it is written", 0, lapic_read(LAPIC_ESR));
    check_equal("a vector below 16: send illegal vector", ESR_SEND_VECTOR, errors());
    check_equal("and the next write clears it", 0, errors());
    let_in();
    check_equal("LVT error interrupts once", 1, count_of[ERROR_VECTOR]);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER, 7);
    lapic_write(LAPIC_TIMER_INITIAL, 1);
    for (volatile unsigned i = 0; i < 10; i++) {
    }
    check_equal("an illegal vector of the timer: receive illegal vector", ESR_RECEIVE_VECTOR,
                errors());
    check("no IRR bit below 16", !(lapic_read(LAPIC_IRR) & 0xFFFF));
    (void)lapic_read(0x3F0);
    check_equal("a register that is not there", ESR_REGISTER, errors());
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED | ERROR_VECTOR);
    let_in();
    trap_set(ERROR_VECTOR, NULL);
}

static void registers(void)
{
    check_equal("version 14h, six LVT entries, EOI suppression", 0x01050014,
                lapic_read(LAPIC_VERSION));
    lapic_write(LAPIC_LVT_PMC, 0xFFFFFFFF);
    check_equal("bits of LVT PMC", 0x000107FF, lapic_read(LAPIC_LVT_PMC));
    lapic_write(LAPIC_LVT_PMC, LVT_MASKED);
    lapic_write(LAPIC_LVT_ERROR, 0xFFFFFFFF);
    check_equal("bits of LVT error", 0x000100FF, lapic_read(LAPIC_LVT_ERROR));
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
    lapic_write(LAPIC_LINT1, 0xFFFFFFFF & ~0x700u);
    check_equal("bits of LVT LINT1", 0x0001A0FF, lapic_read(LAPIC_LINT1));
    lapic_write(LAPIC_LINT1, LVT_MASKED);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xFFFFFFFF);
    check_equal("bits of the divide configuration", 0xB, lapic_read(LAPIC_TIMER_DIVIDE));
    lapic_write(LAPIC_DFR, 0x12345678);
    check_equal("DFR keeps bits 31-28, the rest are ones", 0x1FFFFFFF, lapic_read(LAPIC_DFR));
    lapic_write(LAPIC_DFR, 0xFFFFFFFF);
    lapic_write(LAPIC_LDR, 0xAB123456);
    check_equal("LDR has bits 31-24", 0xAB000000, lapic_read(LAPIC_LDR));
    lapic_write(LAPIC_SVR, 0xFFFFFFFF);
    check_equal("bits of the SVR: no focus checking", 0x11FF, lapic_read(LAPIC_SVR));
    lapic_write(LAPIC_SVR, LAPIC_SPURIOUS);
    lapic_write(LAPIC_TIMER, 0x50);
    check("software-disabled, mask bits are stuck at 1", lapic_read(LAPIC_TIMER) & LVT_MASKED);
    trap_set(0x70, on_any);
    count_of[0x70] = 0;
    self(0x70);
    check("and a vector is refused", !bit_of(LAPIC_IRR, 0x70));
    lapic_enable();
}

/* ---- EOI of level interrupts ---- */

static void eoi(void)
{
    if (!testdev_is_present()) {
        skip("EOI broadcast", "needs pc-testdev");
        return;
    }
    ioapic_route(PIN, IOAPIC_LEVEL | 0x66);
    trap_set(0x66, on_any);
    lapic_write(LAPIC_SVR, SVR_ON | SVR_NO_BROADCAST | LAPIC_SPURIOUS);
    testdev_line(PIN, true);
    check("TMR says level", bit_of(LAPIC_TMR, 0x66));
    testdev_line(PIN, false);
    count_of[0x66] = 0;
    let_in();
    check_equal("it is served once", 1, count_of[0x66]);
    check("without the broadcast remote IRR stays", ioapic_entry(PIN) & IOAPIC_IRR);
    *(volatile uint32_t *)0xFEC00040u = 0x65;
    check("the I/O APIC's EOI of another vector changes nothing", ioapic_entry(PIN) & IOAPIC_IRR);
    *(volatile uint32_t *)0xFEC00040u = 0x66;
    check("that of its own clears it", !(ioapic_entry(PIN) & IOAPIC_IRR));
    lapic_enable();
    ioapic_route(PIN, 0x66);
    testdev_line(PIN, true);
    check("an edge of the same vector: TMR is cleared", !bit_of(LAPIC_TMR, 0x66));
    let_in();
    testdev_line(PIN, false);
    ioapic_route(PIN, IOAPIC_MASKED);
}

/* An NMI is an edge, even where the entry says level: 82093AA, "Delivery Mode". */
static void nmi_pin(void)
{
    trap_set(EXC_NMI, on_any);
    count_of[EXC_NMI] = 0;
    ioapic_route(PIN, IOAPIC_LEVEL | ICR_NMI);
    testdev_line(PIN, true);
    testdev_line(PIN, false);
    check("NMI by a level pin: no remote IRR", !(ioapic_entry(PIN) & IOAPIC_IRR));
    testdev_line(PIN, true);
    testdev_line(PIN, false);
    check_equal("each edge is one", 2, count_of[EXC_NMI]);
    ioapic_route(PIN, IOAPIC_MASKED);
    testdev_line(PIN, true);
    ioapic_route(PIN, ICR_NMI);
    check_equal("a masked edge is lost", 2, count_of[EXC_NMI]);
    testdev_line(PIN, false);
    ioapic_route(PIN, IOAPIC_MASKED);
    trap_set(EXC_NMI, NULL);
}

/* ---- destinations ---- */

static volatile uint32_t listening, leave;

static void on_taken(struct frame *f)
{
    (void)f;
    __atomic_fetch_add(&taken_by[lapic_read(LAPIC_ID) >> 24 & 3], 1, __ATOMIC_SEQ_CST);
    lapic_eoi();
}

/* The other CPU: logical ID and TPR as told, then interrupts in HLT. */
static void listen(void *arg)
{
    (void)arg;
    lapic_write(LAPIC_DFR, 0xFFFFFFFF);
    lapic_write(LAPIC_LDR, 2u << 24);
    lapic_write(LAPIC_TPR, 0x20);
    listening = 1;
    while (!leave)
        sti_hlt_cli();
    lapic_write(LAPIC_TPR, 0);
    listening = 0;
}

static uint32_t taken(uint32_t dest, uint32_t icr)
{
    taken_by[0] = taken_by[1] = 0;
    lapic_send(dest, ICR_ASSERT | 0x68 | icr);
    let_in();
    for (unsigned i = 0; i < 20; i++)
        delay_us(10);
    return taken_by[0] << 4 | taken_by[1];
}

static void destinations(void)
{
    trap_set(0x68, on_taken);
    lapic_write(LAPIC_DFR, 0xFFFFFFFF);
    lapic_write(LAPIC_LDR, 1u << 24);
    smp_run(1, listen, NULL);
    while (!listening)
        pause();
    check_equal("physical: CPU 1", 0x01, taken(1, 0));
    check_equal("physical: nobody has this ID", 0, taken(0x77, 0));
    check_equal("physical FFh: both", 0x11, taken(0xFF, 0));
    check_equal("flat: bit 0", 0x10, taken(1, ICR_LOGICAL));
    check_equal("flat: bit 1", 0x01, taken(2, ICR_LOGICAL));
    check_equal("flat: both bits", 0x11, taken(3, ICR_LOGICAL));
    check_equal("flat: neither", 0, taken(4, ICR_LOGICAL));
    check_equal("lowest priority: the lower TPR", 0x10, taken(3, ICR_LOGICAL | ICR_LOWEST));
    lapic_write(LAPIC_TPR, 0x30);
    check_equal("which is now the other's", 0x01, taken(3, ICR_LOGICAL | ICR_LOWEST));
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_DFR, 0x0FFFFFFF);
    lapic_write(LAPIC_LDR, 0x31u << 24);
    check_equal("cluster 3, member 0", 0x10, taken(0x31, ICR_LOGICAL) & 0xF0);
    check_equal("not of cluster 4", 0, taken(0x41, ICR_LOGICAL) & 0xF0);
    check_equal("not member 1", 0, taken(0x32, ICR_LOGICAL) & 0xF0);
    lapic_write(LAPIC_DFR, 0xFFFFFFFF);
    check_equal("an SMI reaches a processor that has none", 0, taken(0xFF, ICR_SMI));
    leave = 1;
    lapic_send(1, ICR_ASSERT | 0x68);
    smp_wait(1);
}

/* ---- timer ---- */

static void dividers(void)
{
    static const uint8_t codes[] = {0xB, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xA};
    bool is_right = true;
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    for (unsigned i = 0; i < COUNT(codes); i++) {
        uint64_t t0, t1;
        uint32_t c0, c1;
        lapic_write(LAPIC_TIMER_DIVIDE, codes[i]);
        lapic_write(LAPIC_TIMER_INITIAL, 0x1000000);
        t0 = read_tsc();
        c0 = lapic_read(LAPIC_TIMER_CURRENT);
        for (volatile unsigned n = 0; n < 2000; n++) {
        }
        t1 = read_tsc();
        c1 = lapic_read(LAPIC_TIMER_CURRENT);
        uint32_t want = (uint32_t)(t1 - t0) >> i, got = c0 - c1;
        if (got + 2 < want || got > want + 2) {
            print("     divide by %u: want %u, got %u\n", 1u << i, want, got);
            is_right = false;
        }
    }
    check("divide by 1, 2, 4 ... 128", is_right);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER_INITIAL, 1000000);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xA); /* by 128 */
    check("a new divider goes on from the count", lapic_read(LAPIC_TIMER_CURRENT) > 999000);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
}

static uint32_t spin(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++) {
    }
    return lapic_read(LAPIC_TIMER_CURRENT);
}

static void timer_changes(void)
{
    trap_set(0x58, on_any);
    count_of[0x58] = 0;
    lapic_write(LAPIC_TIMER, LVT_MASKED | 0x58);
    lapic_write(LAPIC_TIMER_INITIAL, 2000);
    check_equal("one-shot, masked: it counts to 0", 0, spin(1000));
    lapic_write(LAPIC_TIMER, 0x58);
    let_in();
    check_equal("unmasking later does not bring the interrupt", 0, count_of[0x58]);
    lapic_write(LAPIC_TIMER_INITIAL, 1000000);
    lapic_write(LAPIC_TIMER, LVT_PERIODIC | 0x58);
    check("to periodic while running: the count goes on", spin(10) > 990000);
    lapic_write(LAPIC_TIMER_INITIAL, 3000);
    sti();
    spin(5000);
    cli();
    check("periodic: again and again", count_of[0x58] > 5);
    lapic_write(LAPIC_TIMER, 0x58);
    let_in();
    count_of[0x58] = 0;
    sti();
    spin(5000);
    cli();
    check_equal("to one-shot while running: once more", 1, count_of[0x58]);
    lapic_write(LAPIC_TIMER_INITIAL, 100000);
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | 0x58);
    check_equal("to TSC deadline: disarmed, counts 0", 0, lapic_read(LAPIC_TIMER_CURRENT));
    lapic_write(LAPIC_TIMER_INITIAL, 5000);
    check_equal("the initial count is ignored", 0, lapic_read(LAPIC_TIMER_CURRENT));
    count_of[0x58] = 0;
    write_msr(MSR_TSC_DEADLINE, read_tsc() + 3000);
    write_msr(MSR_TSC_DEADLINE, 0);
    sti();
    spin(3000);
    cli();
    check_equal("a deadline of 0 disarms", 0, count_of[0x58]);
    write_msr(MSR_TSC_DEADLINE, read_tsc() + 1000000);
    write_msr(MSR_TSC, read_tsc() + 2000000);
    let_in();
    check_equal("a TSC moved past the deadline fires it", 1, count_of[0x58]);
    write_msr(MSR_TSC_DEADLINE, read_tsc() + 3000);
    lapic_write(LAPIC_TIMER, 0x58);
    sti();
    spin(3000);
    cli();
    check_equal("from deadline to one-shot: disarmed", 1, count_of[0x58]);
    write_msr(MSR_TSC_DEADLINE, read_tsc() + 3000);
    check_equal("outside its mode the deadline is not kept", 0, read_msr(MSR_TSC_DEADLINE));
    lapic_write(LAPIC_TIMER, LVT_MASKED);
}

/* ---- x2APIC ---- */

static bool x2_refuses(unsigned n, uint64_t v)
{
    __asm__ volatile(TRY "wrmsr" END_TRY
                     :
                     : "c"(MSR_X2APIC + n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : "memory");
    return caught.vector == EXC_GP;
}

static bool x2_unreadable(unsigned n)
{
    __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(MSR_X2APIC + n) : "eax", "edx", "memory");
    return caught.vector == EXC_GP;
}

static void x2apic(void)
{
    static const uint8_t read_only[] = {0x02, 0x03, 0x0A, 0x0D, 0x10, 0x18, 0x20, 0x39};
    static const uint8_t absent[] = {0x00, 0x01, 0x09, 0x0C, 0x0E, 0x29, 0x2F, 0x31, 0x3A, 0x3D};
    uint64_t base = read_msr(MSR_APIC_BASE);
    bool is_right = true;
    check("in xAPIC mode the x2APIC registers are #GP", x2_unreadable(2) && x2_refuses(8, 0));
    write_msr(MSR_APIC_BASE, base | 0x400);
    for (unsigned i = 0; i < COUNT(read_only); i++)
        is_right = is_right && x2_refuses(read_only[i], 0) && !x2_unreadable(read_only[i]);
    check("read-only registers", is_right);
    for (unsigned i = 0; i < COUNT(absent); i++)
        is_right = is_right && x2_refuses(absent[i], 0) && x2_unreadable(absent[i]);
    check("registers that do not exist", is_right);
    check("write-only registers", x2_unreadable(0x0B) && x2_unreadable(0x3F));
    check("reserved bits: TPR, SVR, ESR",
          x2_refuses(0x08, 0x100) && x2_refuses(0x0F, 0x200) && x2_refuses(0x28, 1));
    check("reserved bits: LVT, divider, self IPI",
          x2_refuses(0x32, 1 << 19) && x2_refuses(0x34, 1 << 11) && x2_refuses(0x3E, 4) &&
              x2_refuses(0x3F, 0x100));
    check("reserved bits: ICR", x2_refuses(0x30, 1 << 13) && x2_refuses(0x30, 1 << 20));
    check_equal("the logical ID follows from the ID", 1, read_msr(MSR_X2APIC + 0xD));
    trap_set(0x69, on_any);
    count_of[0x69] = 0;
    write_msr(MSR_X2APIC + 0x30, ICR_LOGICAL | 0x69 | UINT64_C(1) << 32);
    lapic_write(LAPIC_TPR, 0x50); /* memory, no register now */
    check_equal("the page is memory like any other nobody answers for", 0,
                read_msr(MSR_X2APIC + 8));
    __asm__ volatile("sti; nop; cli" : : : "memory");
    check_equal("logical destination by ICR", 1, count_of[0x69]);
    write_msr(MSR_X2APIC + 0xB, 0);
    write_msr(MSR_APIC_BASE, base & ~UINT64_C(0xC00));
    check("globally disabled, CPUID shows no APIC", !(cpuid(1, 0).d & 1 << 9));
    write_msr(MSR_APIC_BASE, base);
    check("enabled, it does", cpuid(1, 0).d & 1 << 9);
}

int main(void)
{
    pic_off();
    lapic_enable();
    registers();
    priorities();
    one_request_per_vector();
    illegal_vectors();
    eoi();
    nmi_pin();
    dividers();
    timer_changes();
    if (check("run with -smp 2", cpu_count() > 1) &&
        check("the other CPU starts", smp_start() >= 1))
        destinations();
    x2apic();
    return checks_result();
}
