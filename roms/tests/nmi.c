/* SPDX-License-Identifier: MIT */
/* Non-maskable interrupts and their blocking, INIT and start-up IPIs. Run with -smp 2. SDM Vol. 3A,
 * "Nonmaskable Interrupt (NMI)", "Handling Multiple NMIs", "MP Initialization Protocol Algorithm".
 */
#include "roms/lib/chips.h"
#include "roms/lib/smp.h"

enum { IRQ_VECTOR = 0x57 };
#define HPET ((reg_t)0xFED00000u)

static volatile unsigned nmis, irqs, depth, deepest, faults;
static volatile unsigned first; /* vector of the first event after `arm` */
static volatile unsigned more;  /* NMIs that the handler sends to itself */
static volatile int early;      /* how the handler ends the blocking before its end */
static volatile unsigned nmis_before_end;
static volatile reg_t nmi_ip;

enum { NOT_EARLY, BY_IRET, BY_FAULTING_IRET };

static void send_nmi(void)
{
    lapic_send(lapic_read(LAPIC_ID) >> 24, ICR_ASSERT | ICR_NMI);
}

/* An IRET to the next instruction. */
static void plain_iret(void)
{
#if defined(__x86_64__)
    __asm__ volatile("mov %%rsp, %%rax\n\tpush $0x10\n\tpush %%rax\n\tpushf\n\tpush $0x08\n\t"
                     "lea 1f(%%rip), %%rax\n\tpush %%rax\n\tiretq\n1:"
                     :
                     :
                     : "rax", "memory", "cc");
#else
    __asm__ volatile("pushf\n\tpush %%cs\n\tpush $1f\n\tiret\n1:" : : : "memory", "cc");
#endif
}

/* An IRET whose CS is beyond the GDT. */
static void faulting_iret(void)
{
#if defined(__x86_64__)
    __asm__ volatile(
        "mov %%rsp, %%rbx\n\tpush $0x10\n\tpush %%rbx\n\tpushf\n\tpush $0x7F8\n\tpush $0\n\t" TRY
        "iretq" END_TRY "mov %%rbx, %%rsp"
        :
        :
        : "rbx", "memory", "cc");
#else
    __asm__ volatile("mov %%esp, %%ebx\n\tpushf\n\tpush $0x7F8\n\tpush $0\n\t" TRY "iret" END_TRY
                     "mov %%ebx, %%esp"
                     :
                     :
                     : "ebx", "memory", "cc");
#endif
    faults += caught.vector == EXC_GP;
}

static void on_nmi(struct frame *f)
{
    unsigned now = ++depth;
    nmi_ip = f->ip;
    if (!first)
        first = EXC_NMI;
    deepest = now > deepest ? now : deepest;
    nmis++;
    while (more) {
        more--;
        send_nmi();
    }
    if (early == BY_IRET) {
        early = NOT_EARLY;
        plain_iret();
    } else if (early == BY_FAULTING_IRET) {
        early = NOT_EARLY;
        faulting_iret();
    }
    if (!nmis_before_end)
        nmis_before_end = nmis;
    depth--;
}

static void on_irq(struct frame *f)
{
    (void)f;
    if (!first)
        first = IRQ_VECTOR;
    irqs++;
    lapic_eoi();
}

static void arm(unsigned extra, int how)
{
    nmis = irqs = deepest = first = faults = nmis_before_end = 0;
    more = extra;
    early = how;
}

static void blocking(void)
{
    arm(0, NOT_EARLY);
    send_nmi();
    check_equal("an NMI with interrupts off", 1, nmis);
    arm(1, NOT_EARLY);
    send_nmi();
    check("another in its handler waits for IRET",
          nmis == 2 && nmis_before_end == 1 && deepest == 1);
    arm(3, NOT_EARLY);
    send_nmi();
    check_equal("one is kept, not three", 2, nmis);
    arm(1, BY_IRET);
    send_nmi();
    check("any IRET ends the blocking", nmis == 2 && deepest == 2);
    arm(1, BY_FAULTING_IRET);
    send_nmi();
    check("even one that faults", faults == 1 && nmis == 2 && deepest == 2);
    arm(0, NOT_EARLY);
    send_nmi();
    check_equal("afterwards all is as before", 1, nmis);
}

static void order(void)
{
    trap_set(IRQ_VECTOR, on_irq);
    arm(0, NOT_EARLY);
    lapic_send(0, ICR_ASSERT | ICR_SELF | IRQ_VECTOR);
    __asm__ volatile("sti" : : : "memory");
    send_nmi(); /* the interrupt comes before: behind the shadow */
    cli();
    check("both come", nmis == 1 && irqs == 1);
    /* Both at one boundary: the NMI arrives while MOV SS holds everything back, the interrupt waits
     * for IF. */
    arm(0, NOT_EARLY);
    lapic_send(0, ICR_ASSERT | ICR_SELF | IRQ_VECTOR);
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    __asm__ volatile("sti\n\tmovl %0, (%1)\n\tnop\n\tcli"
                     :
                     : "r"(ICR_ASSERT | ICR_NMI), "r"((reg_t)0xFEE00300u)
                     : "memory");
    check_equal("NMI before interrupt", EXC_NMI, first);
    check("and both were taken", nmis == 1 && irqs == 1);
}

/* The instruction after MOV SS runs before the NMI. */
static void shadow(void)
{
    reg_t at;
    arm(0, NOT_EARLY);
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    __asm__ volatile(
        IF_64("lea 1f(%%rip), %0", "mov $1f, %0") "\n\tmov %%ss, %%ecx\n\tmovl %1, (%2)\n1:\tnop"
        : "=&r"(at)
        : "r"(ICR_ASSERT | ICR_NMI), "r"((reg_t)0xFEE00300u)
        : "ecx", "memory");
    check_equal("an NMI comes at the boundary behind the write of the ICR", at, nmi_ip);
    arm(0, NOT_EARLY);
    /* MOV SS from memory cannot send one; the timer sweep of the guest sweep looks into this
     * shadow. */
    send_nmi();
    check_equal("another one", 1, nmis);
}

static void sources(void)
{
    volatile uint32_t *hpet = (volatile uint32_t *)HPET;
    arm(0, NOT_EARLY);
    pit_start(0, 2000);
    ioapic_route(2, ICR_NMI);
    __asm__ volatile("hlt" : : : "memory");
    check_equal("by the I/O APIC, out of HLT with IF = 0", 1, nmis);
    ioapic_route(2, IOAPIC_MASKED);
    if (!(hpet[0x100 / 4] & 1 << 15)) {
        skip("NMI by MSI", "the HPET has no FSB delivery");
        return;
    }
    arm(0, NOT_EARLY);
    hpet[0x10 / 4] = 1;
    hpet[0x110 / 4] = ICR_NMI;
    hpet[0x114 / 4] = 0xFEE00000u | (lapic_read(LAPIC_ID) >> 24) << 12;
    hpet[0x108 / 4] = hpet[0xF0 / 4] + 5000;
    hpet[0x100 / 4] = 1 << 14 | 1 << 8 | 1 << 2;
    __asm__ volatile("hlt" : : : "memory");
    check_equal("by a message of the HPET", 1, nmis);
    hpet[0x100 / 4] = 0;
}

/* ---- INIT and SIPI ---- */

extern volatile uint32_t ap_next; /* the number that the next CPU to start will get */
static volatile uint32_t beats;

static void beat(void *arg)
{
    (void)arg;
    for (;;)
        beats = beats + 1;
}

static bool is_beating(void)
{
    uint32_t before;
    delay_us(100);
    before = beats;
    delay_us(200);
    return beats != before;
}

static void init_sipi(void)
{
    uint32_t id = smp_apic_id(1), started;
    smp_run(1, beat, NULL);
    check("the other CPU runs", is_beating());
    started = ap_next;
    lapic_send(id, ICR_ASSERT | ICR_STARTUP | 8);
    delay_us(500);
    check("a SIPI to a CPU that runs is ignored", is_beating() && ap_next == started);
    lapic_send(id, ICR_INIT | ICR_LEVEL);
    check("INIT level de-assert is no INIT", is_beating());
    lapic_send(id, ICR_INIT | ICR_ASSERT);
    check("INIT stops it", !is_beating());
    lapic_send(id, ICR_ASSERT | IRQ_VECTOR);
    lapic_send(id, ICR_INIT | ICR_ASSERT);
    check("INIT again and interrupts do not start it", !is_beating() && ap_next == started);
    lapic_send(id, ICR_ASSERT | ICR_STARTUP | 8);
    for (unsigned ms = 0; ap_next == started && ms < 100; ms++)
        delay_us(1000);
    check_equal("a SIPI does", started + 1, ap_next);
    lapic_send(id, ICR_ASSERT | ICR_STARTUP | 8);
    delay_us(500);
    check_equal("and a second one is ignored", started + 1, ap_next);
}

int main(void)
{
    pic_off();
    lapic_enable();
    trap_set(EXC_NMI, on_nmi);
    blocking();
    order();
    shadow();
    sources();
    if (check("run with -smp 2", cpu_count() > 1) &&
        check("the other CPU starts", smp_start() >= 1))
        init_sipi();
    return checks_result();
}
