/* SPDX-License-Identifier: MIT */
/*
 * One function per privileged or special instruction, for the guests in roms/. Each is the bare
 * instruction and nothing else: no check, no state. Only for code compiled for x86.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef uintptr_t reg_t; /* a general register of the mode the guest is compiled for */

enum {
    FLAG_CF = 1 << 0,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9,
    FLAG_DF = 1 << 10,
    FLAG_OF = 1 << 11,
    FLAG_IOPL = 3 << 12,
    FLAG_NT = 1 << 14,
    FLAG_RF = 1 << 16,
    FLAG_VM = 1 << 17,
    FLAG_AC = 1 << 18,
    FLAG_VIF = 1 << 19,
    FLAG_VIP = 1 << 20,
    FLAG_ID = 1 << 21
};

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_PCIDE 0x20000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define CR4_PKE 0x400000u

#define MSR_APIC_BASE 0x1Bu
#define MSR_TSC 0x10u
#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_DEBUGCTL 0x1D9u
#define MSR_PAT 0x277u
#define MSR_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC 0x800u
#define MSR_XSS 0xDA0u
#define MSR_EFER 0xC0000080u
#define MSR_STAR 0xC0000081u
#define MSR_LSTAR 0xC0000082u
#define MSR_CSTAR 0xC0000083u
#define MSR_FMASK 0xC0000084u
#define MSR_FS_BASE 0xC0000100u
#define MSR_GS_BASE 0xC0000101u
#define MSR_KERNEL_GS_BASE 0xC0000102u

#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

/* What CPUID leaves in EAX, EBX, ECX, EDX. */
struct cpuid {
    uint32_t a; /* EAX */
    uint32_t b; /* EBX */
    uint32_t c; /* ECX */
    uint32_t d; /* EDX */
};

/* Operand of LGDT, LIDT, SGDT, SIDT. */
struct table_register {
    uint16_t limit; /* bytes less one */
    reg_t base;     /* linear address */
} __attribute__((packed));

#if defined(__i386__) || defined(__x86_64__)

static inline void out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint16_t in16(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline reg_t read_cr0(void)
{
    reg_t v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v) : : "memory");
    return v;
}

static inline void write_cr0(reg_t v)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static inline reg_t read_cr2(void)
{
    reg_t v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v) : : "memory");
    return v;
}

static inline void write_cr2(reg_t v)
{
    __asm__ volatile("mov %0, %%cr2" : : "r"(v) : "memory");
}

static inline reg_t read_cr3(void)
{
    reg_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v) : : "memory");
    return v;
}

static inline void write_cr3(reg_t v)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static inline reg_t read_cr4(void)
{
    reg_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v) : : "memory");
    return v;
}

static inline void write_cr4(reg_t v)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

static inline reg_t read_dr6(void)
{
    reg_t v;
    __asm__ volatile("mov %%dr6, %0" : "=r"(v));
    return v;
}

static inline void write_dr6(reg_t v)
{
    __asm__ volatile("mov %0, %%dr6" : : "r"(v));
}

static inline reg_t read_dr7(void)
{
    reg_t v;
    __asm__ volatile("mov %%dr7, %0" : "=r"(v));
    return v;
}

static inline void write_dr7(reg_t v)
{
    __asm__ volatile("mov %0, %%dr7" : : "r"(v));
}

static inline void write_dr0(reg_t v)
{
    __asm__ volatile("mov %0, %%dr0" : : "r"(v));
}

static inline void write_dr1(reg_t v)
{
    __asm__ volatile("mov %0, %%dr1" : : "r"(v));
}

static inline void write_dr2(reg_t v)
{
    __asm__ volatile("mov %0, %%dr2" : : "r"(v));
}

static inline void write_dr3(reg_t v)
{
    __asm__ volatile("mov %0, %%dr3" : : "r"(v));
}

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return (uint64_t)hi << 32 | lo;
}

static inline void write_msr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid"
                     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t read_tsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

static inline reg_t read_flags(void)
{
    reg_t v;
    __asm__ volatile("pushf; pop %0" : "=r"(v) : : "memory");
    return v;
}

static inline void write_flags(reg_t v)
{
    __asm__ volatile("push %0; popf" : : "r"(v) : "memory", "cc");
}

static inline void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
    __asm__ volatile("sti; nop" : : : "memory");
}

/* Wait for one interrupt: STI's shadow keeps it from slipping in before HLT. */
static inline void sti_hlt_cli(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static inline void invlpg(const volatile void *la)
{
    __asm__ volatile("invlpg (%0)" : : "r"(la) : "memory");
}

static inline void load_gdt(const struct table_register *t)
{
    __asm__ volatile("lgdt %0" : : "m"(*t) : "memory");
}

static inline void load_idt(const struct table_register *t)
{
    __asm__ volatile("lidt %0" : : "m"(*t) : "memory");
}

static inline void load_tr(uint16_t sel)
{
    __asm__ volatile("ltr %0" : : "r"(sel) : "memory");
}

static inline void load_ldt(uint16_t sel)
{
    __asm__ volatile("lldt %0" : : "r"(sel) : "memory");
}

#endif
