/* SPDX-License-Identifier: MIT */
/* SDM Vol. 3A, "Multiple-Processor (MP) Initialization". */
#include "roms/lib/smp.h"

#include "roms/lib/chips.h"

enum { TRAMPOLINE = 0x8000, FW_CFG_SELECT = 0x510, FW_CFG_DATA = 0x511, FW_CFG_NB_CPUS = 5 };

/* What one CPU is asked to do. */
struct job {
    void (*volatile fn)(void *); /* NULL: idle */
    void *volatile arg;          /* its argument */
    volatile uint32_t apic_id;   /* of this CPU */
};

static struct job jobs[SMP_MAX];
static volatile uint32_t present = 1;

extern const uint8_t ap_trampoline[], ap_trampoline_end[];

unsigned cpu_count(void)
{
    unsigned lo;
    out16(FW_CFG_SELECT, FW_CFG_NB_CPUS);
    lo = in8(FW_CFG_DATA);
    return lo | (unsigned)in8(FW_CFG_DATA) << 8;
}

void ap_start(unsigned n)
{
    traps_init_ap(n);
    lapic_enable();
    if (n >= SMP_MAX)
        for (;;)
            __asm__ volatile("cli; hlt");
    jobs[n].apic_id = lapic_read(LAPIC_ID) >> 24;
    __atomic_fetch_add(&present, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        while (!jobs[n].fn)
            pause();
        jobs[n].fn(jobs[n].arg);
        __atomic_store_n(&jobs[n].fn, NULL, __ATOMIC_SEQ_CST);
    }
}

unsigned smp_start(void)
{
    unsigned wanted = cpu_count();
    lapic_enable();
    jobs[0].apic_id = lapic_read(LAPIC_ID) >> 24;
    memcpy((void *)TRAMPOLINE, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    lapic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
    delay_us(10000);
    for (unsigned i = 0; i < 2; i++) {
        lapic_send(0, ICR_STARTUP | ICR_ASSERT | ICR_OTHERS | TRAMPOLINE >> 12);
        delay_us(200);
    }
    for (unsigned ms = 0; present < wanted && ms < 1000; ms++)
        delay_us(1000);
    return present - 1;
}

void smp_run(unsigned n, void (*fn)(void *), void *arg)
{
    jobs[n].arg = arg;
    __atomic_store_n(&jobs[n].fn, fn, __ATOMIC_SEQ_CST);
}

void smp_wait(unsigned n)
{
    while (jobs[n].fn)
        pause();
}

uint32_t smp_apic_id(unsigned n)
{
    return jobs[n].apic_id;
}
