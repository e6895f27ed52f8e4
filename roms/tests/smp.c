/* SPDX-License-Identifier: MIT */
/* Other CPUs: start-up, locked instructions, IPIs of every kind, TLB shootdown of a sort. Run with
 * -smp 2 or more. SDM Vol. 3A, "Multiple-Processor Management", "Issuing Interprocessor
 * Interrupts". */
#include "roms/lib/smp.h"
#include "roms/lib/chips.h"

enum { IPI_VECTOR = 0x60, HIGH_VECTOR = 0x90, ROUNDS = 2000 };

static volatile uint32_t counter, ipis[SMP_MAX], nmis, order[2], order_count;
static volatile uint32_t spin_lock, guarded, mailbox, reply;

static unsigned my_number(void)
{
    uint32_t id = lapic_read(LAPIC_ID) >> 24;
    for (unsigned n = 0; n < SMP_MAX; n++)
        if (smp_apic_id(n) == id && (n == 0 || id))
            return n;
    return 0;
}

static void on_ipi(struct frame *f)
{
    (void)f;
    __atomic_fetch_add(&ipis[my_number()], 1, __ATOMIC_SEQ_CST);
    lapic_eoi();
}

static void on_nmi(struct frame *f)
{
    (void)f;
    __atomic_fetch_add(&nmis, 1, __ATOMIC_SEQ_CST);
}

static void on_ordered(struct frame *f)
{
    if (order_count < 2)
        order[order_count++] = (uint32_t)f->vector;
    lapic_eoi();
}

static void count_locked(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++)
        __asm__ volatile("lock incl %0" : "+m"(counter) : : "cc");
}

static void count_under_lock(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (__atomic_exchange_n(&spin_lock, 1, __ATOMIC_ACQUIRE))
            pause();
        guarded = guarded + 1;
        __atomic_store_n(&spin_lock, 0, __ATOMIC_RELEASE);
    }
}

static void answer_mail(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i <= 100; i++) {
        while (mailbox != i)
            pause();
        reply = i;
    }
}

/* Idle in HLT with interrupts on until somebody asks it to stop. */
static void halt_for_ipis(void *arg)
{
    volatile uint32_t *stop = arg;
    while (!*stop)
        sti_hlt_cli();
}

static void run_on_all(unsigned others, void (*fn)(void *), void *arg)
{
    for (unsigned n = 1; n <= others; n++)
        smp_run(n, fn, arg);
}

static void wait_all(unsigned others)
{
    for (unsigned n = 1; n <= others; n++)
        smp_wait(n);
}

static void shared_memory(unsigned others)
{
    bool is_in_step = true;
    run_on_all(others, count_locked, NULL);
    count_locked(NULL);
    wait_all(others);
    check_equal("LOCK INC loses nothing", (others + 1) * ROUNDS, counter);
    run_on_all(others, count_under_lock, NULL);
    count_under_lock(NULL);
    wait_all(others);
    check_equal("a spin lock by XCHG holds", (others + 1) * ROUNDS, guarded);
    smp_run(1, answer_mail, NULL);
    for (unsigned i = 1; i <= 100; i++) {
        mailbox = i;
        while (reply != i)
            pause();
        is_in_step = is_in_step && reply == mailbox;
    }
    smp_wait(1);
    check("two CPUs hand a word to and fro", is_in_step);
}

static bool eventually(volatile uint32_t *v, uint32_t want)
{
    for (unsigned ms = 0; *v != want && ms < 500; ms++)
        delay_us(1000);
    if (*v != want)
        print("     want %u, got %u\n", want, *v);
    return *v == want;
}

static void interrupts(unsigned others)
{
    static volatile uint32_t stop;
    trap_set(IPI_VECTOR, on_ipi);
    trap_set(EXC_NMI, on_nmi);
    run_on_all(others, halt_for_ipis, (void *)&stop);
    delay_us(1000);
    lapic_send(smp_apic_id(1), ICR_ASSERT | IPI_VECTOR);
    check("a fixed IPI wakes a halted CPU", eventually(&ipis[1], 1));
    lapic_send(0, ICR_ASSERT | ICR_OTHERS | IPI_VECTOR);
    check("all but self: the target", eventually(&ipis[1], 2));
    if (others > 1)
        check("all but self: another", eventually(&ipis[2], 1));
    sti();
    lapic_send(0, ICR_ASSERT | ICR_ALL | IPI_VECTOR);
    check("all: self too", eventually(&ipis[0], 1));
    check("all: the target", eventually(&ipis[1], 3));
    lapic_send(0, ICR_ASSERT | ICR_SELF | IPI_VECTOR);
    check("self", eventually(&ipis[0], 2));
    cli();
    lapic_send(smp_apic_id(1), ICR_ASSERT | ICR_NMI);
    check("an NMI wakes a halted CPU", eventually(&nmis, 1));
    stop = 1;
    lapic_send(0, ICR_ASSERT | ICR_OTHERS | IPI_VECTOR);
    wait_all(others);
    check("all have left HLT", true);
    trap_set(EXC_NMI, NULL);
}

static void priorities(void)
{
    trap_set(IPI_VECTOR, on_ordered);
    trap_set(HIGH_VECTOR, on_ordered);
    lapic_send(0, ICR_ASSERT | ICR_SELF | IPI_VECTOR);
    lapic_send(0, ICR_ASSERT | ICR_SELF | HIGH_VECTOR);
    check("with IF = 0 both wait in the IRR",
          lapic_read(LAPIC_IRR + 0x10 * (HIGH_VECTOR / 32)) >> (HIGH_VECTOR % 32) & 1);
    sti();
    cli();
    check("the higher vector is served first",
          order_count == 2 && order[0] == HIGH_VECTOR && order[1] == IPI_VECTOR);
    order_count = 0;
    lapic_write(LAPIC_TPR, HIGH_VECTOR & 0xF0);
    lapic_send(0, ICR_ASSERT | ICR_SELF | HIGH_VECTOR);
    sti();
    cli();
    check_equal("the TPR holds its own class back", 0, order_count);
    lapic_write(LAPIC_TPR, 0);
    sti();
    cli();
    check_equal("until it is lowered", 1, order_count);
}

static void x2apic(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE);
    uint32_t id = lapic_read(LAPIC_ID) >> 24;
    if (!(cpuid(1, 0).c & 1u << 21)) {
        skip("x2APIC", "the CPU has none");
        return;
    }
    write_msr(MSR_APIC_BASE, base | 0x400);
    check("x2APIC mode is on", read_msr(MSR_APIC_BASE) & 0x400);
    check_equal("the 32-bit ID", id, read_msr(MSR_X2APIC + 2));
    order_count = 0;
    write_msr(MSR_X2APIC + 0x3F, HIGH_VECTOR);
    trap_set(HIGH_VECTOR, NULL);
    __asm__ volatile(TRY "sti; nop; nop; cli" END_TRY : : : "memory");
    check_fault("SELF IPI arrives", HIGH_VECTOR, 0);
    write_msr(MSR_X2APIC + 0xB, 0); /* EOI */
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_X2APIC + 0xB), "a"(1), "d"(0) : "memory");
    check_fault("EOI takes nothing but 0", EXC_GP, 0);
    __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(MSR_X2APIC + 0xE) : "eax", "edx", "memory");
    check_fault("there is no DFR in x2APIC mode", EXC_GP, 0);
    check_equal("ICR is one 64-bit register", 0, read_msr(MSR_X2APIC + 0x30) >> 32);
    __asm__ volatile(TRY "wrmsr" END_TRY
                     :
                     : "c"(MSR_APIC_BASE), "a"((uint32_t)base), "d"((uint32_t)(base >> 32))
                     : "memory");
    check_fault("back to xAPIC without disabling: #GP", EXC_GP, 0);
    write_msr(MSR_APIC_BASE, base & ~UINT64_C(0xC00));
    write_msr(MSR_APIC_BASE, base);
    check("off and on again: xAPIC", lapic_read(LAPIC_ID) >> 24 == id);
}

int main(void)
{
    unsigned wanted = cpu_count(), others;
    print("%u CPUs\n", wanted);
    if (!check("run with -smp 2 or more", wanted > 1))
        return checks_result();
    others = smp_start();
    if (!check_equal("INIT-SIPI-SIPI starts them all", wanted - 1, others))
        return checks_result();
    check("the boot processor is marked in IA32_APIC_BASE", read_msr(MSR_APIC_BASE) & 0x100);
    check("APIC IDs differ", smp_apic_id(0) != smp_apic_id(1));
    shared_memory(others);
    interrupts(others);
    priorities();
    x2apic();
    return checks_result();
}
