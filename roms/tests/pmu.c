/* SPDX-License-Identifier: MIT */
/* Performance counters: exact counts of instructions, privilege filters, overflow to the very
 * instruction, freezing. SDM Vol. 3B, "Architectural Performance Monitoring Version 2". */
#include "roms/lib/chips.h"

enum {
    PMC0 = 0xC1,
    EVENTSEL0 = 0x186,
    FIXED0 = 0x309,
    CAPABILITIES = 0x345,
    FIXED_CTRL = 0x38D,
    STATUS = 0x38E,
    GLOBAL = 0x38F,
    OVF_CTRL = 0x390,
    A_PMC0 = 0x4C1,
    DEBUGCTL = 0x1D9,
    LVT_PMC = 0x340,
    PMI_VECTOR = 0x71
};
enum { USR = 1 << 16, OS = 1 << 17, INT = 1 << 20, EN = 1 << 22, INV = 1 << 23, CMASK = 1 << 24 };
enum { CYCLES = 0x3C, RETIRED = 0xC0, REF = 0x13C };
#define SI IF_64("rsi", "esi")
#define CX IF_64("rcx", "ecx")
#define CR4_PCE 0x100u
#define FIXED_BIT(n) (UINT64_C(1) << (32 + (n)))
#define WIDTH_MASK ((UINT64_C(1) << 48) - 1)

static volatile unsigned pmis;
static volatile reg_t pmi_ip;
static volatile uint32_t lvt_in_handler;
static volatile uint64_t count_in_handler;

static uint64_t rdpmc(uint32_t n)
{
    uint32_t lo, hi;
    __asm__ volatile("rdpmc" : "=a"(lo), "=d"(hi) : "c"(n) : "memory");
    return (uint64_t)hi << 32 | lo;
}

static void stop_all(void)
{
    write_msr(GLOBAL, 0);
    for (unsigned i = 0; i < 4; i++) {
        write_msr(EVENTSEL0 + i, 0);
        write_msr(A_PMC0 + i, 0);
    }
    for (unsigned i = 0; i < 3; i++)
        write_msr(FIXED0 + i, 0);
    write_msr(FIXED_CTRL, 0);
    write_msr(OVF_CTRL, read_msr(STATUS));
}

static void cpuid_leaf(void)
{
    struct cpuid r = cpuid(0xA, 0);
    check_equal("version 2, 4 counters of 48 bits, 7 events", 0x07300402, r.a);
    check_equal("cycles, instructions, reference cycles", 0x78, r.b);
    check_equal("3 fixed counters of 48 bits", 3 | 48 << 5, r.d);
    check("PDCM: IA32_PERF_CAPABILITIES", cpuid(1, 0).c >> 15 & 1);
    check_equal("full-width writes, nothing else", 1 << 13, read_msr(CAPABILITIES));
    check("IA32_MISC_ENABLE says so too", read_msr(0x1A0) >> 7 & 1);
    check_equal("after reset the general counters are enabled", 0xF, read_msr(GLOBAL));
}

static bool refuses(uint32_t msr, uint64_t v)
{
    __asm__ volatile(TRY "wrmsr" END_TRY
                     :
                     : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : "memory");
    return caught.vector == EXC_GP && caught.error == 0;
}

static void registers(void)
{
    write_msr(PMC0, 0x80000000);
    check_equal("a short write is sign-extended", WIDTH_MASK & ~UINT64_C(0x7FFFFFFF),
                read_msr(PMC0));
    write_msr(A_PMC0 + 3, 0x123456789ABC);
    check_equal("a full-width write is not", 0x123456789ABC, read_msr(PMC0 + 3));
    check("bits above the width: #GP",
          refuses(A_PMC0, WIDTH_MASK + 1) && refuses(FIXED0, WIDTH_MASK + 1));
    check("AnyThread is of version 3: #GP",
          refuses(EVENTSEL0, 1 << 21) && refuses(FIXED_CTRL, 1 << 2));
    check("no fourth fixed counter", refuses(FIXED_CTRL, 1 << 12) && refuses(GLOBAL, FIXED_BIT(3)));
    check("no fifth general counter", refuses(GLOBAL, 1 << 4));
    check("the status is read-only", refuses(STATUS, 0));
    check("reserved bits of the overflow control", refuses(OVF_CTRL, 1 << 4));
    check_equal("which reads as 0", 0, read_msr(OVF_CTRL));
    stop_all();
}

/* Between the WRMSR that starts and the one that stops: 3 + 3 * n instructions. */
static void counted_loop(reg_t n)
{
    uint32_t a = 1, d = 7;
    __asm__ volatile("wrmsr\n\tmov %3, %%" SI "\n"
                     "1:\tnop\n\tdec %%" SI "\n\tjnz 1b\n\t"
                     "xor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr"
                     : "+a"(a), "+d"(d)
                     : "c"(GLOBAL), "r"(n)
                     : "esi", "memory", "cc");
}

static void loops(void)
{
    static const uint16_t n[] = {1, 10, 63, 64, 65, 1000, 50000};
    bool is_right = true, is_cycle = true;
    for (unsigned i = 0; i < COUNT(n); i++) {
        stop_all();
        write_msr(EVENTSEL0, EN | OS | RETIRED);
        write_msr(FIXED_CTRL, 0x111);
        counted_loop(n[i]);
        is_right = is_right && read_msr(PMC0) == 3 + 3u * n[i] && read_msr(FIXED0) == 3 + 3u * n[i];
        is_cycle = is_cycle && read_msr(FIXED0 + 1) == read_msr(FIXED0);
    }
    check("a loop retires the instructions it has, at any length", is_right);
    check("and takes a cycle for each", is_cycle);
    check_equal("reference cycles are the TSC's", read_msr(FIXED0 + 1), read_msr(FIXED0 + 2));
}

static void by_rdpmc(void)
{
    uint32_t a, b;
    stop_all();
    write_msr(EVENTSEL0, EN | OS | RETIRED);
    write_msr(GLOBAL, 1);
    __asm__ volatile("xor %%ecx, %%ecx\n\trdpmc\n\tmov %%eax, %0\n\tnop\n\tnop\n\tnop\n\trdpmc"
                     : "=&S"(a), "=a"(b)
                     :
                     : "ecx", "edx", "memory", "cc");
    check_equal("from one RDPMC to the next", 5, b - a);
    write_msr(GLOBAL, 0);
    check_equal("the fixed ones have bit 30", read_msr(FIXED0), rdpmc(1u << 30));
    __asm__ volatile(TRY "rdpmc" END_TRY : : "c"(4) : "eax", "edx", "memory");
    check_fault("RDPMC of a counter that is not there", EXC_GP, 0);
    __asm__ volatile(TRY "rdpmc" END_TRY : : "c"((1u << 30) + 3) : "eax", "edx", "memory");
    check_fault("nor is there a fourth fixed one", EXC_GP, 0);
}

static void repeats(void)
{
    static uint8_t buffer[512];
    reg_t n = 300, a = 3, c = GLOBAL;
    void *at = buffer;
    stop_all();
    write_msr(EVENTSEL0, EN | OS | RETIRED);
    write_msr(EVENTSEL0 + 1, EN | OS | CYCLES);
    __asm__ volatile("wrmsr\n\tmov %4, %%eax\n\txchg %%" CX ", %0\n\trep stosb\n\t"
                     "mov %5, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr"
                     : "+S"(n), "+D"(at), "+a"(a), "+c"(c)
                     : "i"(0x55), "i"(GLOBAL), "d"(0)
                     : "memory", "cc");
    check_equal("REP STOSB is one instruction", 6, read_msr(PMC0));
    check_equal("and a cycle for each byte", 6 - 1 + 300, read_msr(PMC0 + 1));
}

static reg_t spin_user(reg_t n)
{
    __asm__ volatile("1:\tdec %0\n\tjnz 1b" : "+r"(n) : : "cc");
    return 0;
}

static reg_t try_rdpmc(reg_t n)
{
    (void)n;
    __asm__ volatile(TRY "rdpmc" END_TRY : : "c"(0) : "eax", "edx", "memory");
    return 0;
}

/* The same code each time, whatever the compiler makes of it. */
static __attribute__((noinline)) void count_rounds(uint64_t enable, reg_t rounds)
{
    write_msr(GLOBAL, enable);
    ring3(spin_user, rounds);
    write_msr(GLOBAL, 0);
}

static void privilege(void)
{
    uint64_t user, kernel, all, longer;
    stop_all();
    write_msr(EVENTSEL0, EN | USR | RETIRED);
    write_msr(EVENTSEL0 + 1, EN | OS | RETIRED);
    write_msr(EVENTSEL0 + 2, EN | OS | USR | RETIRED);
    count_rounds(7, 100);
    user = read_msr(PMC0), kernel = read_msr(PMC0 + 1), all = read_msr(PMC0 + 2);
    check("user and supervisor counts add up", user && kernel && user + kernel == all);
    write_msr(A_PMC0, 0);
    write_msr(A_PMC0 + 1, 0);
    count_rounds(3, 1100);
    longer = read_msr(PMC0);
    check_equal("1000 more rounds at CPL 3 are 2000 instructions there", 2000, longer - user);
    check_equal("and none at CPL 0", kernel, read_msr(PMC0 + 1));
    ring3(try_rdpmc, 0);
    check_fault("RDPMC at CPL 3 without CR4.PCE", EXC_GP, 0);
    write_cr4(read_cr4() | CR4_PCE);
    ring3(try_rdpmc, 0);
    check_no_fault("with CR4.PCE it may");
    write_cr4(read_cr4() & ~(reg_t)CR4_PCE);
}

static volatile unsigned timer_hits;

static void on_timer(struct frame *f)
{
    (void)f;
    timer_hits++;
    lapic_eoi();
}

static void count_user(uint64_t *instructions, uint64_t *cycles)
{
    stop_all();
    write_msr(FIXED_CTRL, 0x22);
    write_msr(GLOBAL, FIXED_BIT(0) | FIXED_BIT(1));
    ring3(spin_user, 20000);
    write_msr(GLOBAL, 0);
    *instructions = read_msr(FIXED0);
    *cycles = read_msr(FIXED0 + 1);
}

/* Deliveries and handlers are the kernel's. */
static void interrupted(void)
{
    uint64_t a[2], b[2];
    count_user(&a[0], &a[1]);
    trap_set(PMI_VECTOR, on_timer);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER, LVT_PERIODIC | PMI_VECTOR);
    lapic_write(LAPIC_TIMER_INITIAL, 1009);
    ring3_flags |= FLAG_IF;
    count_user(&b[0], &b[1]);
    ring3_flags &= ~(reg_t)FLAG_IF;
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    check("a program in ring 3 is interrupted again and again", timer_hits > 10);
    check_equal("and uses the same instructions", a[0], b[0]);
    check_equal("and cycles", a[1], b[1]);
    sti();
    cli();
    trap_set(PMI_VECTOR, NULL);
}

static void masks(void)
{
    uint32_t a = 15;
    stop_all();
    write_msr(EVENTSEL0, EN | OS | RETIRED | CMASK);
    write_msr(EVENTSEL0 + 1, EN | OS | RETIRED | 2 * CMASK);
    write_msr(EVENTSEL0 + 2, EN | OS | RETIRED | 2 * CMASK | INV);
    write_msr(EVENTSEL0 + 3, EN | OS | 0xC4); /* branches: CPUID says there are none */
    __asm__ volatile("wrmsr\n\tnop\n\tnop\n\txor %%eax, %%eax\n\twrmsr"
                     : "+a"(a)
                     : "c"(GLOBAL), "d"(0)
                     : "memory", "cc");
    check_equal("mask 1: cycles with an instruction", 3, read_msr(PMC0));
    check_equal("mask 2: never two in one", 0, read_msr(PMC0 + 1));
    check_equal("inverted: always fewer", 3, read_msr(PMC0 + 2));
    check_equal("an event that is not offered counts nothing", 0, read_msr(PMC0 + 3));
}

static void on_pmi(struct frame *f)
{
    pmis++;
    pmi_ip = f->ip;
    lvt_in_handler = lapic_read(LVT_PMC);
    count_in_handler = read_msr(PMC0);
    write_msr(GLOBAL, 0);
    if (f->vector != EXC_NMI)
        lapic_eoi();
}

/* Counter 0 overflows with its n-th instruction from the STI on; where that was, in NOPs. */
static long run_to_overflow(unsigned n)
{
    reg_t start;
    stop_all();
    pmis = 0;
    pmi_ip = 0;
    lapic_write(LVT_PMC, PMI_VECTOR);
    write_msr(A_PMC0, WIDTH_MASK + 1 - n);
    write_msr(EVENTSEL0, EN | OS | INT | RETIRED);
    __asm__ volatile(IF_64("lea 1f(%%rip), %0",
                           "mov $1f, %0") "\n\tsti\n\twrmsr\n1:\t.rept 200\n\tnop\n\t.endr\n\tcli"
                     : "=&r"(start)
                     : "c"(GLOBAL), "a"(1), "d"(0)
                     : "memory", "cc");
    write_msr(GLOBAL, 0);
    return (long)(pmi_ip - start);
}

static void overflows(void)
{
    bool is_exact = true;
    trap_set(PMI_VECTOR, on_pmi);
    for (unsigned n = 1; n < 190; n++) {
        long at = run_to_overflow(n);
        if (pmis != 1 || at != (long)n) {
            print("     %u: %u interrupts, at %d\n", n, pmis, (int)at);
            is_exact = false;
            break;
        }
    }
    check("each overflow interrupts behind its very instruction", is_exact);
    check("the status says which", read_msr(STATUS) == 1);
    check("delivery masks the LVT entry", lvt_in_handler & LVT_MASKED);
    write_msr(OVF_CTRL, 1);
    check_equal("the overflow control clears it", 0, read_msr(STATUS));
    lapic_write(LVT_PMC, LVT_MASKED | PMI_VECTOR);
    trap_set(PMI_VECTOR, NULL);
}

static void by_nmi(void)
{
    trap_set(EXC_NMI, on_pmi);
    stop_all();
    pmis = 0;
    lapic_write(LVT_PMC, ICR_NMI);
    write_msr(FIXED0 + 1, WIDTH_MASK - 9);
    write_msr(FIXED_CTRL, 0x90); /* cycles at CPL 0, PMI */
    write_msr(GLOBAL, FIXED_BIT(1));
    for (volatile unsigned i = 0; i < 50; i++) {
    }
    write_msr(GLOBAL, 0);
    check_equal("a fixed counter, with interrupts off, as an NMI", 1, pmis);
    check_equal("its status bit is 33", FIXED_BIT(1), read_msr(STATUS));
    trap_set(EXC_NMI, NULL);
}

static void user_overflow(void)
{
    trap_set(EXC_NMI, on_pmi);
    stop_all();
    pmis = 0;
    lapic_write(LVT_PMC, ICR_NMI);
    write_msr(A_PMC0, WIDTH_MASK - 19);
    write_msr(EVENTSEL0, EN | USR | INT | RETIRED);
    write_msr(GLOBAL, 1);
    for (volatile unsigned i = 0; i < 50; i++) {
    }
    check_equal("what CPL 0 does is not counted", WIDTH_MASK - 19, read_msr(PMC0));
    ring3(spin_user, 1000);
    check_equal("at CPL 3 it overflows", 1, pmis);
    check_equal("at its 20th instruction", 0, count_in_handler);
    stop_all();
    trap_set(EXC_NMI, NULL);
}

static void freezing(void)
{
    trap_set(PMI_VECTOR, on_pmi);
    check("IA32_DEBUGCTL has FREEZE_PERFMON_ON_PMI", !refuses(DEBUGCTL, 1 << 12));
    stop_all();
    pmis = 0;
    lapic_write(LVT_PMC, PMI_VECTOR);
    write_msr(A_PMC0, WIDTH_MASK);
    write_msr(EVENTSEL0, EN | OS | INT | RETIRED);
    write_msr(EVENTSEL0 + 1, EN | OS | RETIRED);
    write_msr(GLOBAL, 3);
    for (volatile unsigned i = 0; i < 50; i++) {
    }
    check_equal("an overflow clears the enable bits", 0, read_msr(GLOBAL));
    check_equal("nothing counts after it", 1, read_msr(PMC0 + 1));
    check_equal("the interrupt waits", 0, pmis);
    sti();
    cli();
    check_equal("for IF", 1, pmis);
    write_msr(DEBUGCTL, 0);
    check("reserved bits of IA32_DEBUGCTL",
          refuses(DEBUGCTL, 1 << 13) && refuses(DEBUGCTL, 1 << 5));
    trap_set(PMI_VECTOR, NULL);
}

static void halted(void)
{
    uint64_t cycles, tsc;
    stop_all();
    trap_set(PMI_VECTOR, on_pmi);
    lapic_write(LAPIC_TIMER_DIVIDE, 0xB);
    lapic_write(LAPIC_TIMER, PMI_VECTOR);
    write_msr(FIXED_CTRL, 0x10);
    tsc = read_tsc();
    write_msr(GLOBAL, FIXED_BIT(1));
    lapic_write(LAPIC_TIMER_INITIAL, 1000000);
    sti_hlt_cli();
    cycles = read_msr(FIXED0 + 1);
    tsc = read_tsc() - tsc;
    stop_all();
    check("HLT takes no cycles", tsc > 900000 && cycles < 1000);
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    trap_set(PMI_VECTOR, NULL);
}

int main(void)
{
    pic_off();
    lapic_enable();
    cpuid_leaf();
    registers();
    loops();
    by_rdpmc();
    repeats();
    privilege();
    interrupted();
    masks();
    overflows();
    by_nmi();
    user_overflow();
    freezing();
    halted();
    return checks_result();
}
