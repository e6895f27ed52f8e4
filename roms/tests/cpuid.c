/* SPDX-License-Identifier: MIT */
/* What CPUID says, and whether it is true: a feature that is shown works, one that is hidden raises
 * #UD; control bits follow. MSRs: what can be read, written, and what cannot. */
#include "roms/lib/chips.h"

static void leaves(void)
{
    struct cpuid zero = cpuid(0, 0), beyond, ext = cpuid(0x80000000, 0);
    char name[13] = {0};
    memcpy(name, &zero.b, 4);
    memcpy(name + 4, &zero.d, 4);
    memcpy(name + 8, &zero.c, 4);
    print("     %s, leaves to %x and %x\n", name, zero.a, ext.a);
    check("basic leaves at least to 1", zero.a >= 1);
    check("extended leaves at least to 80000008h", ext.a >= 0x80000008);
    if (!memcmp(name, "GenuineIntel", 12)) {
        beyond = cpuid(0x2FFFFFFF, 0);
        zero = cpuid(zero.a, 0);
        check("Intel: a leaf beyond the last repeats the last",
              beyond.a == zero.a && beyond.b == zero.b);
    }
    write_flags(read_flags() | FLAG_ID);
    check("ID = 1 sticks", read_flags() & FLAG_ID);
    write_flags(read_flags() & ~(reg_t)FLAG_ID);
    check("ID = 0 sticks", !(read_flags() & FLAG_ID));
}

static void shown_features(void)
{
    struct cpuid one = cpuid(1, 0), ext = cpuid(0x80000001, 0);
    check("FPU, TSC, MSR, PAE, CX8, APIC, SEP, PGE, CMOV, PAT, FXSR",
          (one.d & 0x0101AB71) == 0x0101AB71);
    check("SSE, SSE2", (one.d >> 25 & 3) == 3);
    check("long mode, SYSCALL, NX", ext.d & 1u << 29 && ext.d & 1u << 20);
    check_equal("the initial APIC ID", lapic_read(LAPIC_ID) >> 24, one.b >> 24);
    check_equal("OSXSAVE follows CR4", !!(read_cr4() & CR4_OSXSAVE), one.c >> 27 & 1);
    if (one.c & 1u << 26) {
        write_cr4(read_cr4() | CR4_OSXSAVE);
        check("and is set with it", cpuid(1, 0).c & 1u << 27);
        write_cr4(read_cr4() & ~(reg_t)CR4_OSXSAVE);
    }
    check("addresses: 32 to 52 physical bits",
          (cpuid(0x80000008, 0).a & 0xFF) >= 32 && (cpuid(0x80000008, 0).a & 0xFF) <= 52);
}

/* A claim and an instruction that must agree. */
static void agree(const char *name, bool is_shown)
{
    bool is_ud = caught.vector == EXC_UD;
    if (!check(name, is_shown == !is_ud))
        print("     CPUID shows it: %u, #UD: %u\n", is_shown, is_ud);
}

static void hidden_features(void)
{
    struct cpuid one = cpuid(1, 0), seven = cpuid(7, 0);
    static uint8_t block[16] __attribute__((aligned(16)));
    write_cr0((read_cr0() | CR0_MP) & ~(reg_t)(CR0_EM | CR0_TS));
    write_cr4(read_cr4() | CR4_OSFXSR);
    __asm__ volatile(TRY "popcnt %%eax, %%ecx" END_TRY : : : "ecx", "memory", "cc");
    agree("POPCNT", one.c >> 23 & 1);
    __asm__ volatile(TRY "movbe %0, %%ecx" END_TRY : : "m"(block) : "ecx", "memory");
    agree("MOVBE", one.c >> 22 & 1);
    __asm__ volatile(TRY "rdrand %%ecx" END_TRY : : : "ecx", "memory", "cc");
    agree("RDRAND", one.c >> 30 & 1);
    __asm__ volatile(TRY "rdseed %%ecx" END_TRY : : : "ecx", "memory", "cc");
    agree("RDSEED", seven.b >> 18 & 1);
    __asm__ volatile(TRY "pabsb %%xmm0, %%xmm0" END_TRY : : : "memory");
    agree("SSSE3", one.c >> 9 & 1);
    __asm__ volatile(TRY "ptest %%xmm0, %%xmm0" END_TRY : : : "memory", "cc");
    agree("SSE4.1", one.c >> 19 & 1);
    __asm__ volatile(TRY "crc32b %%al, %%ecx" END_TRY : : : "ecx", "memory");
    agree("SSE4.2", one.c >> 20 & 1);
    __asm__ volatile(TRY "aesenc %%xmm0, %%xmm0" END_TRY : : : "memory");
    agree("AES", one.c >> 25 & 1);
    __asm__ volatile(TRY "pclmulqdq $0, %%xmm0, %%xmm0" END_TRY : : : "memory");
    agree("PCLMULQDQ", one.c >> 1 & 1);
    __asm__ volatile(TRY ".byte 0xC5, 0xF8, 0x77" END_TRY : : : "memory"); /* VZEROUPPER */
    check_fault("AVX without CR4.OSXSAVE", EXC_UD, 0);
    __asm__ volatile(TRY ".byte 0x0F, 0x01, 0xC1" END_TRY : : "a"(0xFFFF) : "memory"); /* VMCALL */
    check("VMCALL: a hypercall or #UD", caught.vector == EXC_UD || caught.vector == NO_EXCEPTION);
    __asm__ volatile(TRY "clac" END_TRY : : : "memory", "cc");
    agree("SMAP", seven.b >> 20 & 1);
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY "mov %1, %%cr4"
                     :
                     : "r"(read_cr4() | CR4_UMIP), "r"(read_cr4())
                     : "memory");
    check("CR4.UMIP can be set only if CPUID shows it",
          (seven.c >> 2 & 1) == (caught.vector == NO_EXCEPTION));
}

/* Only without paging: our pages are user pages in 64-bit mode, and SMEP would end the run. */
static void smep_bit(void)
{
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY "mov %1, %%cr4"
                     :
                     : "r"(read_cr4() | CR4_SMEP), "r"(read_cr4())
                     : "memory");
    check("CR4.SMEP can be set only if CPUID shows it",
          (cpuid(7, 0).b >> 7 & 1) == (caught.vector == NO_EXCEPTION));
}

static void msrs(void)
{
    uint64_t v = read_msr(MSR_PAT), t;
    check("the PAT after reset", v == UINT64_C(0x0007040600070406));
    write_msr(MSR_PAT, UINT64_C(0x0007040600070401));
    check_equal("PAT keeps a legal value", UINT64_C(0x0007040600070401), read_msr(MSR_PAT));
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_PAT), "a"(0x02), "d"(0) : "memory");
    check_fault("memory type 2 is reserved in the PAT", EXC_GP, 0);
    write_msr(MSR_PAT, v);
    __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(0xDEADBEEF) : "eax", "edx", "memory");
    check_fault("RDMSR of an MSR that is not there", EXC_GP, 0);
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_EFER), "a"(0x80000000u), "d"(0) : "memory");
    check_fault("a reserved bit of EFER", EXC_GP, 0);
    t = read_msr(MSR_TSC);
    check("IA32_TIME_STAMP_COUNTER is the TSC", read_tsc() >= t && read_tsc() - t < 100000000);
    write_msr(MSR_TSC, 0x1000);
    check("it can be written", read_tsc() < UINT64_C(1) << 32);
    v = read_msr(MSR_APIC_BASE);
    check("the APIC is where it is, enabled, on the boot processor",
          (v & 0xFFFFF000) == 0xFEE00000u && (v & 0x900) == 0x900);
    write_msr(MSR_SYSENTER_EIP, 0x12345678);
    check_equal("IA32_SYSENTER_EIP keeps a value", 0x12345678, read_msr(MSR_SYSENTER_EIP));
}

static reg_t ring3_rdtsc(reg_t v)
{
    __asm__ volatile(TRY "rdtsc" END_TRY : : : "eax", "edx", "memory");
    return v;
}

static reg_t ring3_sgdt(reg_t v)
{
    struct table_register t;
    __asm__ volatile(TRY "sgdt %0" END_TRY : "=m"(t) : : "memory");
    return v;
}

static void control_bits(void)
{
    ring3(ring3_rdtsc, 0);
    check_no_fault("RDTSC at CPL 3");
    write_cr4(read_cr4() | CR4_TSD);
    ring3(ring3_rdtsc, 0);
    check_fault("RDTSC at CPL 3 with CR4.TSD", EXC_GP, 0);
    write_cr4(read_cr4() & ~(reg_t)CR4_TSD);
    ring3(ring3_sgdt, 0);
    check_no_fault("SGDT at CPL 3: the hole in the 386");
    if (!(cpuid(7, 0).c & 4)) {
        skip("UMIP", "the CPU has none");
        return;
    }
    write_cr4(read_cr4() | CR4_UMIP);
    ring3(ring3_sgdt, 0);
    check_fault("SGDT at CPL 3 with CR4.UMIP", EXC_GP, 0);
    write_cr4(read_cr4() & ~(reg_t)CR4_UMIP);
}

int main(void)
{
    leaves();
    shown_features();
    hidden_features();
    if (!IS_64)
        smep_bit();
    msrs();
    control_bits();
    return checks_result();
}
