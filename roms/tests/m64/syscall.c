/* SPDX-License-Identifier: MIT */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT. SDM Vol. 3A, "Performing Fast Calls to System Procedures". */
#include "roms/lib/traps.h"

void syscall_target(void);
void sysenter_target(void);
extern uint64_t syscall_rcx, syscall_r11, syscall_flags, syscall_cs, syscall_ss, syscall_rsp;
extern uint64_t sysenter_flags, sysenter_cs, sysenter_rsp;

static uint8_t stack[GUEST_PAGE] __attribute__((aligned(16)));

static reg_t try_syscall(reg_t v)
{
    __asm__ volatile(TRY "syscall" END_TRY : "+a"(v) : : "rcx", "r11", "memory");
    return v;
}

static reg_t segments_after(reg_t v)
{
    reg_t cs, ss;
    v = try_syscall(v);
    __asm__ volatile(
        "xor %%eax, %%eax\n\tmov %%cs, %%eax\n\tmov %%rax, %0\n\tmov %%ss, %%eax\n\tmov %%rax, %1"
        : "=r"(cs), "=r"(ss)
        :
        : "rax");
    return cs << 16 | ss;
}

static void syscalls(void)
{
    reg_t v;
    write_msr(MSR_STAR, (uint64_t)SEL_CS3_32 << 48 | (uint64_t)SEL_CS0 << 32);
    write_msr(MSR_LSTAR, (reg_t)syscall_target);
    write_msr(MSR_FMASK, FLAG_DF | FLAG_AC | FLAG_CF);
    ring3_flags = 2 | FLAG_AC;
    v = ring3(try_syscall, 6);
    ring3_flags = 2;
    check_no_fault("SYSCALL from ring 3, and SYSRET");
    check_equal("a value passed through", 7, v);
    check_equal("CS from STAR", SEL_CS0, syscall_cs);
    check_equal("SS is CS + 8", SEL_DS0, syscall_ss);
    check("R11 holds the flags of the caller", (syscall_r11 & FLAG_AC) != 0);
    check("FMASK cleared AC", !(syscall_flags & FLAG_AC));
    check("RCX holds the return address", syscall_rcx > 0x100000 && syscall_rcx < (reg_t)image_end);
    check("RSP is still the user's",
          syscall_rsp > (reg_t)user_stack && syscall_rsp <= (reg_t)user_stack + sizeof(user_stack));
    check_equal("SYSRET: CS is STAR + 16, SS is STAR + 8", (reg_t)SEL_CS3_64 << 16 | SEL_DS3,
                ring3(segments_after, 0));
    write_msr(MSR_EFER, read_msr(MSR_EFER) & ~(uint64_t)EFER_SCE);
    ring3(try_syscall, 0);
    check_fault("SYSCALL without EFER.SCE", EXC_UD, 0);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE);
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_LSTAR), "a"(0), "d"(0x10000) : "memory");
    check_fault("LSTAR must be canonical", EXC_GP, 0);
    __asm__ volatile(TRY "sysretq" END_TRY : : "c"((reg_t)1 << 47) : "memory", "r11");
    /* Intel: checked at CPL 0, before anything changes; AMD loads it and faults in ring 3. */
    check_fault("SYSRET to a non-canonical RCX", EXC_GP, 0);
    check_equal("faults at CPL 0", 0, caught.cs & 3);
}

static reg_t try_sysret(reg_t v)
{
    __asm__ volatile(TRY "sysretq" END_TRY : : "c"(v) : "memory", "r11");
    return 0;
}

static reg_t try_sysexit(reg_t v)
{
    __asm__ volatile(TRY "sysexit" END_TRY : : "c"(v), "d"(v) : "memory");
    return 0;
}

static reg_t try_sysenter(reg_t v)
{
    __asm__ volatile(TRY "mov %%rsp, %%rcx\n\tmov $77f, %%edx\n\tsysenter" END_TRY
                     : "+a"(v)
                     :
                     : "rcx", "rdx", "memory");
    return v;
}

static void sysenters(void)
{
    reg_t v;
    ring3(try_sysret, 0);
    check_fault("SYSRET at CPL 3", EXC_GP, 0);
    ring3(try_sysexit, 0);
    check_fault("SYSEXIT at CPL 3", EXC_GP, 0);
    write_msr(MSR_SYSENTER_CS, 0);
    ring3(try_sysenter, 0);
    check_fault("SYSENTER with a null IA32_SYSENTER_CS", EXC_GP, 0);
    write_msr(MSR_SYSENTER_CS, SEL_CS0);
    write_msr(MSR_SYSENTER_EIP, (reg_t)sysenter_target);
    write_msr(MSR_SYSENTER_ESP, (reg_t)stack + sizeof(stack));
    v = ring3(try_sysenter, 8);
    check_no_fault("SYSENTER from 64-bit mode, and SYSEXIT");
    check_equal("a value passed through", 10, v);
    check_equal("RSP from the MSR", (reg_t)stack + sizeof(stack), sysenter_rsp);
    check_equal("CS from the MSR", SEL_CS0, sysenter_cs);
    check("IF and VM are cleared", !(sysenter_flags & (FLAG_IF | FLAG_VM)));
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_SYSENTER_EIP), "a"(0), "d"(0x8000) : "memory");
    check_fault("IA32_SYSENTER_EIP must be canonical", EXC_GP, 0);
}

int main(void)
{
    syscalls();
    /* SYSENTER is Intel's in all modes; AMD has it in legacy mode only. */
    if (cpuid(0, 0).b == 0x756E6547)
        sysenters();
    else
        skip("SYSENTER in 64-bit mode", "the CPU is not Intel's");
    return checks_result();
}
