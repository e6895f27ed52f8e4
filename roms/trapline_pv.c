/* SPDX-License-Identifier: MIT */
#include "roms/trapline_pv.h"

#include "roms/lib/x86.h"

static uint32_t chars(const char *s)
{
    return (uint32_t)(uint8_t)s[0] | (uint32_t)(uint8_t)s[1] << 8 | (uint32_t)(uint8_t)s[2] << 16 |
           (uint32_t)(uint8_t)s[3] << 24;
}

bool tpv_detect(uint32_t *features)
{
    static const char signature[] = TPV_SIGNATURE;
    struct cpuid base = cpuid(TPV_CPUID_BASE, 0);
    bool is_hypervisor = cpuid(1, 0).c >> 31;
    if (!is_hypervisor || base.a < TPV_CPUID_FEATURES || base.a > TPV_CPUID_BASE + 0xff || base.b != chars(signature) ||
        base.c != chars(&signature[4]) || base.d != chars(&signature[8]) ||
        cpuid(TPV_CPUID_VERSION, 0).a >> 16 != TPV_VERSION >> 16)
        return false;
    if (features)
        *features = cpuid(TPV_CPUID_FEATURES, 0).a;
    return true;
}

#if defined(__x86_64__)
int64_t tpv_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    int64_t result;
    __asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return result;
}
#else
int64_t tpv_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint32_t result, high = (uint32_t)c;
    if (number == TPV_SET_TIMER)
        high = (uint32_t)(a >> 32);
    if (number == TPV_CHECK_AND_SLEEP)
        d = c >> 32;
    __asm__ volatile("vmcall"
                     : "=a"(result), "+d"(high)
                     : "a"((uint32_t)number), "b"((uint32_t)a), "c"((uint32_t)b), "S"((uint32_t)d)
                     : "memory");
    if (number == TPV_GET_TIME && (int32_t)high >= 0)
        return (int64_t)((uint64_t)high << 32 | result);
    return (int32_t)result;
}
#endif

/* v * m >> 32, where the product may need 96 bits. */
static uint64_t scaled(uint64_t v, uint32_t m)
{
    return (v >> 32) * m + ((v & UINT32_MAX) * m >> 32);
}

bool tpv_read_time(const volatile struct tpv_time *page, uint64_t *ns)
{
    uint32_t sequence, flags;
    do {
        sequence = page->sequence;
        flags = page->flags;
        uint64_t passed = read_tsc() - page->tsc;
        int shift = page->shift;
        passed = shift >= 0 ? passed << shift : passed >> -shift;
        *ns = page->time + scaled(passed, page->multiplier);
    } while ((sequence & 1) || page->sequence != sequence);
    return flags & TPV_TIME_VALID;
}

void tpv_wait_while(const volatile uint32_t *word, uint32_t value)
{
    while (*word == value)
        (void)tpv_call(TPV_CHECK_AND_SLEEP, (uintptr_t)word, value, TPV_NEVER, 0);
}

void tpv_wake(uint32_t apic_id)
{
    (void)tpv_call(TPV_KICK, apic_id, 0, 0, 0);
}
