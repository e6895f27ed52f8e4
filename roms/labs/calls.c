/* SPDX-License-Identifier: MIT */
/*
 * The guest of the labs `cli`, `batching` and `clock`; its command line says which. A letter to the debug port stands before each
 * experiment and a point after it; `#` and eight hexadecimal digits are a number that it found.
 *
 *   cli       A an empty loop; B CLI and STI; C the same by hypercall, where there are any
 *   batching  A each call by itself, B-H in a MULTICALL of 1, 2, 4 ... 64; I each WRMSR by itself, J-P in a WRITE_MSRS
 *   clock     A RDTSC, B PM timer, C HPET, D hypercall, E time page, F kvmclock's page; G how often RDTSC shows another value
 */
#include "roms/labs/command_line.h"
#include "roms/lib/chips.h"
#include "roms/lib/guest.h"
#include "roms/trapline_pv.h"

enum { DEBUG_PORT = 0xE9, OPERATIONS = 8192, MSR_TSC_AUX = (int)0xC0000103, MSR_SYSTEM_TIME = 0x4b564d01 };
#define HPET_COUNTER ((volatile uint64_t *)0xFED000F0)

static struct tpv_entry entries[TPV_BATCH_MAX] __attribute__((aligned(64)));
static struct tpv_msr msrs[TPV_BATCH_MAX] __attribute__((aligned(64)));
static struct tpv_time page __attribute__((aligned(64)));
static volatile uint32_t kvmclock[8] __attribute__((aligned(64))); /* struct pvclock_vcpu_time_info */
static volatile uint64_t sink;

static void put(char c)
{
    out8(DEBUG_PORT, (uint8_t)c);
}

static void put_number(uint32_t v)
{
    put('#');
    for (int i = 28; i >= 0; i -= 4)
        put("0123456789abcdef"[v >> i & 15]);
}

/* ---- cli ---- */

static __attribute__((noinline)) void by_nothing(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++)
        __asm__ volatile("nop; nop" : : : "memory");
}

static __attribute__((noinline)) void by_instruction(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++)
        __asm__ volatile("cli; nop; sti; nop" : : : "memory");
}

static __attribute__((noinline)) void by_hypercall(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        (void)tpv_call(TPV_SET_INTERRUPTS, 0, 0, 0, 0);
        (void)tpv_call(TPV_SET_INTERRUPTS, 1, 0, 0, 0);
    }
}

/* Once before, so that what is measured has been translated. */
static void measure(char letter, void (*f)(void))
{
    f();
    put(letter);
    f();
    put('.');
}

static void lab_cli(bool has_calls)
{
    measure('A', by_nothing);
    measure('B', by_instruction);
    if (has_calls)
        measure('C', by_hypercall);
    cli();
}

/* ---- batching ---- */

static unsigned batch; /* operations of a call; 0: no batch */

static __attribute__((noinline)) void call_timers(void)
{
    for (unsigned i = 0; batch == 0 && i < OPERATIONS; i++)
        (void)tpv_call(TPV_SET_TIMER, TPV_NEVER, 0, 0, 0);
    for (unsigned i = 0; batch && i < OPERATIONS; i += batch) {
        for (unsigned k = 0; k < batch; k++) {
            entries[k].number = TPV_SET_TIMER;
            entries[k].args[0] = TPV_NEVER;
        }
        (void)tpv_call(TPV_MULTICALL, (reg_t)entries, batch, 0, 0);
    }
}

static __attribute__((noinline)) void write_msrs(void)
{
    for (unsigned i = 0; batch == 0 && i < OPERATIONS; i++)
        write_msr((uint32_t)MSR_TSC_AUX, i);
    for (unsigned i = 0; batch && i < OPERATIONS; i += batch) {
        for (unsigned k = 0; k < batch; k++) {
            msrs[k].msr = (uint32_t)MSR_TSC_AUX;
            msrs[k].value = i + k;
        }
        (void)tpv_call(TPV_WRITE_MSRS, (reg_t)msrs, batch, 0, 0);
    }
}

static void lab_batching(void)
{
    char letter = 'A';
    for (batch = 0; batch <= TPV_BATCH_MAX; batch = batch ? 2 * batch : 1)
        measure(letter++, call_timers);
    check_equal("each call of the last batch succeeded", 0, (uint64_t)entries[TPV_BATCH_MAX - 1].result);
    for (batch = 0; batch <= TPV_BATCH_MAX; batch = batch ? 2 * batch : 1)
        measure(letter++, write_msrs);
    check_equal("the last MSR write arrived", OPERATIONS - 1, read_msr((uint32_t)MSR_TSC_AUX));
}

/* ---- clock ---- */

static __attribute__((noinline)) void read_by_tsc(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++)
        sink = read_tsc();
}

static __attribute__((noinline)) void read_pm_timer(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++)
        sink = pm_timer();
}

static __attribute__((noinline)) void read_hpet(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++)
        sink = *HPET_COUNTER;
}

static __attribute__((noinline)) void read_by_call(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++)
        sink = (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
}

static __attribute__((noinline)) void read_page(void)
{
    uint64_t ns = 0;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        (void)tpv_read_time(&page, &ns);
        sink = ns;
    }
}

/* As Linux's Documentation/virt/kvm/x86/msr.rst says. */
static __attribute__((noinline)) void read_kvmclock(void)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint32_t version;
        uint64_t ns;
        do {
            version = kvmclock[0];
            uint64_t passed = read_tsc() - ((uint64_t)kvmclock[3] << 32 | kvmclock[2]);
            int8_t shift = (int8_t)(kvmclock[7] & 0xff);
            passed = shift >= 0 ? passed << shift : passed >> -shift;
            ns = ((uint64_t)kvmclock[5] << 32 | kvmclock[4]) + (passed >> 32) * kvmclock[6] +
                 ((passed & UINT32_MAX) * kvmclock[6] >> 32);
        } while ((version & 1) || version != kvmclock[0]);
        sink = ns;
    }
}

/* How many values do so many reads see? */
static void count_values(void)
{
    uint64_t last = read_tsc(), first = last;
    uint32_t values = 1;
    put('G');
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint64_t now = read_tsc();
        values += now != last;
        last = now;
    }
    put('.');
    put_number(values);
    put_number((uint32_t)(last - first));
}

static void lab_clock(void)
{
    uint64_t before = 0, after = 0;
    measure('A', read_by_tsc);
    measure('B', read_pm_timer);
    measure('C', read_hpet);
    measure('D', read_by_call);
    check_equal("the time page is taken", 0, (uint64_t)tpv_call(TPV_TIME_PAGE, (reg_t)&page, 1, 0, 0));
    measure('E', read_page);
    write_msr(MSR_SYSTEM_TIME, (reg_t)kvmclock | 1);
    measure('F', read_kvmclock);
    check("page is valid", tpv_read_time(&page, &before));
    uint64_t between = (uint64_t)tpv_call(TPV_GET_TIME, 0, 0, 0, 0);
    check("page is valid still", tpv_read_time(&page, &after));
    check("page, call and page again are in order", before <= between && between <= after);
    count_values();
}

int main(void)
{
    bool has_calls = tpv_detect(NULL);
    if (command_line_has("cli")) {
        lab_cli(has_calls);
        return 0;
    }
    if (!check("hypercalls are offered", has_calls))
        return 1;
    if (command_line_has("batching"))
        lab_batching();
    else
        lab_clock();
    return checks_result();
}
