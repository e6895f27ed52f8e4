/* SPDX-License-Identifier: MIT */
/* Hypercalls as a guest uses them, by the client in roms/trapline_pv.c. Run with -smp 2 -virt pv. docs/hypercalls.md; KVM's: Linux,
 * Documentation/virt/kvm/x86/. */
#include "roms/trapline_pv.h"

#include "roms/lib/chips.h"
#include "roms/lib/smp.h"

enum { MSR_STEAL_TIME = 0x4b564d03, MSR_EOI_EN = 0x4b564d04, MSR_TSC_AUX = (int)0xC0000103 };
enum { KVM_HC_KICK_CPU = 5, KVM_HC_SEND_IPI = 10, KVM_HC_SCHED_YIELD = 11 };
enum { VECTOR = 0x41, ROUNDS = 200 };

static volatile uint32_t steal[16] __attribute__((aligned(64))); /* struct kvm_steal_time */
static volatile uint32_t eoi_word __attribute__((aligned(64)));
static struct tpv_time page __attribute__((aligned(64)));
static struct tpv_entry entries[TPV_BATCH_MAX] __attribute__((aligned(64)));
static struct tpv_msr msrs[TPV_BATCH_MAX] __attribute__((aligned(64)));
static volatile unsigned taken;

static void on_vector(struct frame *f)
{
    (void)f;
    taken++;
    lapic_eoi();
}

/* The EOI by memory, if it is on offer: bit 0 is tested and cleared by one instruction. */
static void on_vector_by_memory(struct frame *f)
{
    bool was_offered;
    (void)f;
    taken++;
    __asm__ volatile("btrl $0, %1" : "=@ccc"(was_offered), "+m"(eoi_word));
    if (!was_offered)
        lapic_eoi();
}

static void check_result(const char *name, int64_t want, int64_t got)
{
    check_equal(name, (uint64_t)want, (uint64_t)got);
}

static void let_in(void)
{
    sti();
    cli();
}

/* ---- finding it, and who may call ---- */

static reg_t call_version(reg_t unused)
{
    (void)unused;
    return (reg_t)tpv_call(TPV_GET_VERSION, 0, 0, 0, 0);
}

static void test_detection(void)
{
    uint32_t features = 0;
    check("the interface is found", tpv_detect(&features));
    check_equal("every feature is offered", TPV_FEATURES, features);
    check_result("its version", TPV_VERSION, tpv_call(TPV_GET_VERSION, 0, 0, 0, 0));
    check_result("a call that does not exist", -TPV_ENOSYS, tpv_call(0x1234, 0, 0, 0, 0));
    check_equal("a call from ring 3", (reg_t)0 - TPV_EPERM, ring3(call_version, 0));
    reg_t result;
    __asm__ volatile("vmmcall" : "=a"(result) : "a"((reg_t)TPV_GET_VERSION), "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
    check_equal("VMMCALL is the same", TPV_VERSION, result);
    check_equal("KVM's features: steal time, EOI, unhalt, TLB flush, IPI, yield", 0x2ae0, cpuid(0x40000001, 0).a & 0x3ff0);
}

/* ---- KVM's ---- */

static void write_and_catch(uint32_t msr, reg_t v)
{
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(msr), "a"((uint32_t)v), "d"(0) : "memory");
}

static volatile uint32_t stop_spinning;

static void spin(void *unused)
{
    (void)unused;
    while (!stop_spinning)
        __asm__ volatile("" : : : "memory");
}

static uint64_t stolen(void)
{
    return (uint64_t)steal[1] << 32 | steal[0];
}

static void test_steal_time(void)
{
    write_and_catch(MSR_STEAL_TIME, ((reg_t)steal + 32) | 1);
    check_fault("a steal time record that is not aligned", EXC_GP, 0);
    write_and_catch(MSR_STEAL_TIME, 0xFFF00001);
    check_fault("a steal time record that is not RAM", EXC_GP, 0);
    write_msr(MSR_STEAL_TIME, (reg_t)steal | 1);
    check_equal("the MSR reads as written", (reg_t)steal | 1, read_msr(MSR_STEAL_TIME));
    uint64_t before = stolen();
    stop_spinning = 0;
    smp_run(1, spin, NULL);
    uint64_t begin = read_tsc();
    while (read_tsc() - begin < 200000)
        continue;
    stop_spinning = 1;
    smp_wait(1);
    check("while the other ran, time was stolen", stolen() > before);
    check("and no more than went by", stolen() - before < read_tsc() - begin);
    check("the version is even, and nobody is preempted who can look", steal[2] % 2 == 0 && (steal[4] & 0xff) == 0);
    write_msr(MSR_STEAL_TIME, 0);
}

static void test_eoi(void)
{
    write_and_catch(MSR_EOI_EN, (reg_t)&eoi_word | 2);
    check_fault("reserved bit of the EOI MSR", EXC_GP, 0);
    write_msr(MSR_EOI_EN, (reg_t)&eoi_word | 1);
    trap_set(VECTOR, on_vector_by_memory);
    trap_set(VECTOR + 1, on_vector);
    for (unsigned i = 0; i < 3; i++) {
        taken = 0;
        lapic_send(0, ICR_ASSERT | ICR_SELF | VECTOR);
        let_in();
        check("an interrupt ended by memory", taken == 1 && eoi_word == 0);
        lapic_send(0, ICR_ASSERT | ICR_SELF | (VECTOR + 1));
        let_in();
        check("and the next, ended by the register", taken == 2 && eoi_word == 0);
    }
    check_equal("nothing is left in service", 0, lapic_read(LAPIC_ISR + 0x20));
    write_msr(MSR_EOI_EN, 0);
    trap_set(VECTOR, on_vector);
}

static volatile uint32_t woken;

static void halt_without_interrupts(void *unused)
{
    (void)unused;
    cli();
    woken = 1;
    __asm__ volatile("hlt" : : : "memory");
    woken = 2;
}

static void test_kick_and_ipi(void)
{
    uint32_t other = smp_apic_id(1);
    woken = 0;
    smp_run(1, halt_without_interrupts, NULL);
    while (woken != 1)
        pause();
    (void)tpv_call(KVM_HC_KICK_CPU, 0, other, 0, 0);
    smp_wait(1);
    check_equal("a kick ends a HLT with IF = 0", 2, woken);
    taken = 0;
    check_result("an IPI to itself", 1, tpv_call(KVM_HC_SEND_IPI, 1, 0, 0, VECTOR));
    let_in();
    check_equal("arrives here", 1, taken);
    check_result("a yield to the other", 0, tpv_call(KVM_HC_SCHED_YIELD, other, 0, 0, 0));
}

/* ---- ours ---- */

static void test_timer(void)
{
    taken = 0;
    uint64_t now = (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
    check_result("SET_TIMER", 0, tpv_call(TPV_SET_TIMER, now + 100000, VECTOR, 0, 0));
    while (!taken)
        sti_hlt_cli();
    check("the timer is not early", (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0) >= now + 100000);
    check_result("vector 5", -TPV_EINVAL, tpv_call(TPV_SET_TIMER, now, 5, 0, 0));
    check_result("EOI", 0, tpv_call(TPV_EOI, 0, 0, 0, 0));
    check_result("interrupts were off", 0, tpv_call(TPV_SET_INTERRUPTS, 1, 0, 0, 0));
    check("and are on", read_flags() & FLAG_IF);
    check_result("interrupts were on", 1, tpv_call(TPV_SET_INTERRUPTS, 0, 0, 0, 0));
    check("and are off", !(read_flags() & FLAG_IF));
}

static void test_time_page(void)
{
    uint64_t from_page = 0;
    check_result("TIME_PAGE", 0, tpv_call(TPV_TIME_PAGE, (reg_t)&page, 1, 0, 0));
    bool in_order = true;
    for (unsigned i = 0; i < 50; i++) {
        uint64_t before = (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
        in_order &= tpv_read_time(&page, &from_page) && before <= from_page &&
                    from_page <= (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
    }
    check("the page's time is between two calls'", in_order);
    write_msr(MSR_TSC, read_tsc() + 123456789);
    uint64_t before = (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
    check("also after the TSC was written", tpv_read_time(&page, &from_page) && from_page - before < 10000);
    check_result("off", 0, tpv_call(TPV_TIME_PAGE, 0, 0, 0, 0));
    check("and invalid", !tpv_read_time(&page, &from_page));
}

static void test_batches(void)
{
    for (unsigned i = 0; i < TPV_BATCH_MAX; i++)
        entries[i] = (struct tpv_entry){.number = i % 2 ? TPV_GET_VERSION : TPV_MULTICALL, .result = 1};
    check_result("MULTICALL", TPV_BATCH_MAX, tpv_call(TPV_MULTICALL, (reg_t)entries, TPV_BATCH_MAX, 0, 0));
    bool is_right = true;
    for (unsigned i = 0; i < TPV_BATCH_MAX; i++)
        is_right &= entries[i].result == (i % 2 ? (int64_t)TPV_VERSION : -TPV_ENESTED);
    check("every entry has its result", is_right);
    check_result("one too many", -TPV_E2BIG, tpv_call(TPV_MULTICALL, (reg_t)entries, TPV_BATCH_MAX + 1, 0, 0));
    check_result("not RAM", -TPV_EFAULT, tpv_call(TPV_MULTICALL, 0xFFF00000, 1, 0, 0));
    for (unsigned i = 0; i < 3; i++)
        msrs[i] = (struct tpv_msr){.msr = i < 2 ? (uint32_t)MSR_TSC_AUX : 0x12345678, .value = 40 + i};
    check_result("WRITE_MSRS up to the one that is not there", 2, tpv_call(TPV_WRITE_MSRS, (reg_t)msrs, 3, 0, 0));
    check_equal("the last that was", 41, read_msr((uint32_t)MSR_TSC_AUX));
}

/* ---- a conversation that stops for ever when one wake-up is lost ---- */

static volatile uint32_t ball;
static uint32_t first_id;

static void answer(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        tpv_wait_while(&ball, 2 * i);
        ball = 2 * i + 2;
        tpv_wake(first_id);
    }
}

static void test_sleep(void)
{
    uint32_t other = smp_apic_id(1);
    ball = 0;
    first_id = cpuid(1, 0).b >> 24;
    smp_run(1, answer, NULL);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        ball = 2 * i + 1;
        tpv_wake(other);
        tpv_wait_while(&ball, 2 * i + 1);
    }
    smp_wait(1);
    check_equal("a ball goes back and forth", 2 * ROUNDS, ball);
    uint64_t now = (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
    check_result("CHECK_AND_SLEEP with a latest time", TPV_SLEPT,
                tpv_call(TPV_CHECK_AND_SLEEP, (reg_t)&ball, ball, now + 50000, 0));
    check_result("again, so that no old kick counts", TPV_SLEPT,
                tpv_call(TPV_CHECK_AND_SLEEP, (reg_t)&ball, ball, now + 50000, 0));
    check("ends then", (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0) >= now + 50000);
    check_result("another value", TPV_CHANGED, tpv_call(TPV_CHECK_AND_SLEEP, (reg_t)&ball, 1, TPV_NEVER, 0));
    check_result("YIELD_TO", 0, tpv_call(TPV_YIELD_TO, other, 0, 0, 0));
    check_result("a kick for nobody", -TPV_ESRCH, tpv_call(TPV_KICK, 99, 0, 0, 0));
}

int main(void)
{
    lapic_enable();
    pic_off();
    trap_set(VECTOR, on_vector);
    check_equal("the other CPU comes", 1, smp_start());
    test_detection();
    test_steal_time();
    test_eoi();
    test_kick_and_ipi();
    test_timer();
    test_time_page();
    test_batches();
    test_sleep();
    return checks_result();
}
