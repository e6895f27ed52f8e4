/* SPDX-License-Identifier: MIT */
/* SYSENTER and SYSEXIT in 32-bit mode. SDM Vol. 2B, "SYSENTER - Fast System Call". */
#include "roms/lib/traps.h"

void sysenter_target(void);
extern uint32_t sysenter_cs, sysenter_ss, sysenter_esp, sysenter_flags;

static uint8_t stack[512] __attribute__((aligned(16)));

static reg_t try_sysenter(reg_t v)
{
    __asm__ volatile(TRY "mov %%esp, %%ecx\n\tmov $77f, %%edx\n\tsysenter" END_TRY
                     : "+a"(v)
                     :
                     : "ecx", "edx", "memory");
    return v;
}

static reg_t segments_after(reg_t v)
{
    reg_t cs = 0, ss = 0;
    v = try_sysenter(v);
    __asm__ volatile("mov %%cs, %0\n\tmov %%ss, %1" : "=r"(cs), "=r"(ss));
    return cs << 16 | (ss & 0xFFFF);
}

static reg_t try_sysexit(reg_t v)
{
    __asm__ volatile(TRY "sysexit" END_TRY : : "c"(v), "d"(v) : "memory");
    return 0;
}

int main(void)
{
    if (!(cpuid(1, 0).d & 1u << 11)) {
        skip("SYSENTER", "the CPU has none");
        return 0;
    }
    write_msr(MSR_SYSENTER_CS, 0);
    ring3(try_sysenter, 0);
    check_fault("SYSENTER with a null IA32_SYSENTER_CS", EXC_GP, 0);
    write_msr(MSR_SYSENTER_CS, SEL_CS0);
    write_msr(MSR_SYSENTER_EIP, (reg_t)sysenter_target);
    write_msr(MSR_SYSENTER_ESP, (reg_t)stack + sizeof(stack));
    check_equal("there and back, a value passed through", 7, ring3(try_sysenter, 5));
    check_no_fault("without a fault");
    check_equal("CS from the MSR", SEL_CS0, sysenter_cs & 0xFFFF);
    check_equal("SS is CS + 8", SEL_DS0, sysenter_ss & 0xFFFF);
    check_equal("ESP from the MSR", (reg_t)stack + sizeof(stack), sysenter_esp);
    check("IF is cleared", !(sysenter_flags & FLAG_IF));
    check_equal("SYSEXIT: CS is MSR + 16, SS is MSR + 24", (reg_t)SEL_CS3_32 << 16 | SEL_DS3,
                ring3(segments_after, 0));
    ring3(try_sysexit, 0);
    check_fault("SYSEXIT at CPL 3", EXC_GP, 0);
    write_msr(MSR_SYSENTER_CS, 0);
    try_sysexit(0);
    check_fault("SYSEXIT with a null IA32_SYSENTER_CS", EXC_GP, 0);
    return checks_result();
}
