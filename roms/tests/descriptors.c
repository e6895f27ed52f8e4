/* SPDX-License-Identifier: MIT */
/* Every type of descriptor, present or not, at every privilege: what LAR, LSL, VERR, VERW say,
 * which segment registers, LDTR and TR take it; UMIP and the table registers. SDM Vol. 3A,
 * "Protection", "System Descriptor Types"; Vol. 2, each instruction. */
#include "roms/lib/traps.h"

enum {
    A = SEL_SPARE,
    UPPER = SEL_SPARE + 8,
    LAST = (GDT_ENTRIES - 1) * 8,
    BEYOND = GDT_ENTRIES * 8
};
enum { S = 0x10, P = 0x80, CODE = 8, CONFORMING = 4, RW = 2, LIMIT = 0xABCDE };

/* Sets of system types. */
#define LAR_TYPES (IS_64 ? 0x1A04u : 0x1A3Eu)
#define LSL_TYPES (IS_64 ? 0x0A04u : 0x0A0Eu)
#define LTR_TYPES (IS_64 ? 0x0200u : 0x0202u)
#define CR4_FEATURE_UMIP (1u << 2)

static unsigned access_byte; /* P, DPL, S, type of the descriptor A */

static void define(unsigned byte)
{
    __asm__ volatile("mov %0, %%fs\n\tmov %0, %%gs" : : "r"(0));
    access_byte = byte;
    gdt_set(A, make_segment(0x12345678, LIMIT, byte, SEG_D));
    gdt_set(UPPER, 0);
}

static bool is_segment(void)
{
    return access_byte & S;
}

static bool is_conforming(void)
{
    return (access_byte & (S | CODE | CONFORMING)) == (S | CODE | CONFORMING);
}

static bool is_readable(void)
{
    return is_segment() && (!(access_byte & CODE) || access_byte & RW);
}

static bool is_writable(void)
{
    return (access_byte & (S | CODE | RW)) == (S | RW);
}

static unsigned dpl(void)
{
    return access_byte >> 5 & 3;
}

static bool is_visible(unsigned cpl, unsigned rpl)
{
    return is_conforming() || (cpl <= dpl() && rpl <= dpl());
}

static bool is_type_in(uint32_t set)
{
    return is_segment() || (set >> (access_byte & 15) & 1);
}

/* ---- queries ---- */

/* ZF of LAR, LSL, VERR, VERW in bits 0-3; bit 4: a value is wrong or a register changed. */
static reg_t ask(reg_t sel)
{
    uint32_t lar = 0x11111111, lsl = 0x22222222;
    uint8_t z[4];
    reg_t v;
    __asm__ volatile("lar %2, %0\n\tsetz %1" : "+r"(lar), "=q"(z[0]) : "r"((uint32_t)sel) : "cc");
    __asm__ volatile("lsl %2, %0\n\tsetz %1" : "+r"(lsl), "=q"(z[1]) : "r"((uint32_t)sel) : "cc");
    __asm__ volatile("verr %w1\n\tsetz %0" : "=q"(z[2]) : "r"((uint32_t)sel) : "cc");
    __asm__ volatile("verw %w1\n\tsetz %0" : "=q"(z[3]) : "r"((uint32_t)sel) : "cc");
    v = z[0] | (reg_t)z[1] << 1 | (reg_t)z[2] << 2 | (reg_t)z[3] << 3;
    if (z[0] ? (lar & 0xF0FFFF) != (access_byte << 8 | 0x400000) : lar != 0x11111111)
        v |= 16;
    if (lsl != (z[1] ? (uint32_t)LIMIT : 0x22222222u))
        v |= 16;
    return v;
}

static reg_t answer(unsigned cpl, unsigned rpl)
{
    bool sees = is_visible(cpl, rpl);
    return (sees && is_type_in(LAR_TYPES)) | (reg_t)(sees && is_type_in(LSL_TYPES)) << 1 |
           (reg_t)(sees && is_readable()) << 2 | (reg_t)(sees && is_writable()) << 3;
}

static void queries(void)
{
    unsigned wrong = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        define(byte);
        for (unsigned rpl = 0; rpl < 4; rpl++) {
            access_byte = byte & 0xFF;
            wrong += ask(A | rpl) != answer(0, rpl);
            if ((byte & 0x60) != 0x20 && (byte & 0x60) != 0x40)
                wrong += ring3(ask, A | rpl) != answer(3, rpl);
        }
    }
    check_equal("LAR, LSL, VERR, VERW of all types, DPLs, RPLs at CPL 0 and 3", 0, wrong);
    define(0);
    check_equal("of the null selector", 0, ask(3));
    check_equal("of a selector beyond the GDT", 0, ask(BEYOND));
    check_equal("of one in an absent LDT", 0, ask(A | 4));
    gdt_set(A, make_segment(0, 0xFFFFF, SEG_DATA, SEG_G | SEG_D));
    uint16_t small = 0x5555;
    __asm__ volatile("lsl %1, %0" : "+r"(small) : "r"((uint16_t)A) : "memory", "cc");
    check_equal("LSL with a 16-bit operand", 0xFFFF, small);
    __asm__ volatile("lar %1, %0" : "+r"(small) : "r"((uint16_t)A) : "memory", "cc");
    check_equal("LAR with a 16-bit operand", 0x9300, small);
}

/* ---- segment registers ---- */

static reg_t load_data(reg_t sel)
{
    __asm__ volatile(TRY "mov %0, %%gs" END_TRY : : "r"((uint32_t)sel) : "memory");
    return 0;
}

/* SS is A for the instruction behind the load alone. */
static reg_t load_stack(reg_t sel)
{
    __asm__ volatile("mov %%ss, %%ebx\n\t" TRY "mov %0, %%ss\n\tmov %%ebx, %%ss" END_TRY
                     :
                     : "r"((uint32_t)sel)
                     : "ebx", "memory");
    return 0;
}

static bool faulted_as(unsigned vector)
{
    return caught.vector == vector && (vector == NO_EXCEPTION || caught.error == A);
}

static unsigned data_vector(unsigned cpl, unsigned rpl)
{
    if (!is_readable() || !is_visible(cpl, rpl))
        return EXC_GP;
    return access_byte & P ? NO_EXCEPTION : EXC_NP;
}

static unsigned stack_vector(unsigned cpl, unsigned rpl)
{
    if (!is_writable() || dpl() != cpl || rpl != cpl)
        return EXC_GP;
    return access_byte & P ? NO_EXCEPTION : EXC_SS;
}

static void loads(void)
{
    unsigned wrong_data = 0, wrong_stack = 0;
    for (unsigned byte = 0; byte < 256; byte++)
        for (unsigned rpl = 0; rpl < 4; rpl++) {
            define(byte);
            load_data(A | rpl);
            wrong_data += !faulted_as(data_vector(0, rpl));
            define(byte);
            ring3(load_data, A | rpl);
            wrong_data += !faulted_as(data_vector(3, rpl));
            define(byte);
            load_stack(A | rpl);
            wrong_stack += !faulted_as(stack_vector(0, rpl));
            define(byte);
            ring3(load_stack, A | rpl);
            wrong_stack += !faulted_as(stack_vector(3, rpl));
        }
    check_equal("MOV to GS of all types, DPLs, RPLs at CPL 0 and 3", 0, wrong_data);
    check_equal("MOV to SS", 0, wrong_stack);
    define(0);
    load_stack(0);
#if defined(__x86_64__)
    check_no_fault("a null SS at CPL 0 in 64-bit mode");
    load_stack(1);
    check_fault("with an RPL that is not CPL", EXC_GP, 0);
#else
    check_fault("a null SS", EXC_GP, 0);
#endif
    ring3(load_stack, 3);
    check_fault("a null SS at CPL 3", EXC_GP, 0);
}

/* ---- LDTR and TR ---- */

static reg_t lldt(reg_t sel)
{
    __asm__ volatile(TRY "lldt %w0" END_TRY : : "r"((uint32_t)sel) : "memory");
    return 0;
}

static reg_t ltr(reg_t sel)
{
    __asm__ volatile(TRY "ltr %w0" END_TRY : : "r"((uint32_t)sel) : "memory");
    return 0;
}

static unsigned system_vector(uint32_t types)
{
    if (is_segment() || !(types >> (access_byte & 15) & 1))
        return EXC_GP;
    return access_byte & P ? NO_EXCEPTION : EXC_NP;
}

/* Our own TSS again; what LTR loaded must not stay. */
static void restore_tr(void)
{
    gdt_set(SEL_TSS, gdt[SEL_TSS / 8] & ~((uint64_t)2 << 40));
    load_tr(SEL_TSS);
}

static void system_registers(void)
{
    unsigned wrong_ldt = 0, wrong_tss = 0, not_busy = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        define(byte);
        lldt(A);
        wrong_ldt += !faulted_as(system_vector(1u << 2));
        ltr(A);
        wrong_tss += !faulted_as(system_vector(LTR_TYPES));
        if (caught.vector == NO_EXCEPTION)
            not_busy += !(gdt[A / 8] >> 41 & 1);
        restore_tr();
    }
    load_ldt(0);
    check_equal("LLDT of all types", 0, wrong_ldt);
    check_equal("LTR of all types", 0, wrong_tss);
    check_equal("which makes the TSS busy", 0, not_busy);
    ltr(SEL_TSS);
    check_fault("LTR of a busy TSS", EXC_GP, SEL_TSS);
    ltr(0);
    check_fault("LTR of the null selector", EXC_GP, 0);
    ltr(BEYOND | 1);
    check_fault("LTR beyond the GDT", EXC_GP, BEYOND);
    define(0x89);
    ltr(A | 4);
    check_fault("LTR of a selector with TI", EXC_GP, A | 4);
    lldt(A | 4);
    check_fault("LLDT of a selector with TI", EXC_GP, A | 4);
    lldt(3);
    check_no_fault("LLDT of a null selector");
    ring3(lldt, 0);
    check_fault("LLDT at CPL 3", EXC_GP, 0);
    ring3(ltr, SEL_TSS);
    check_fault("LTR at CPL 3", EXC_GP, 0);
    load_ldt(0);
}

#if defined(__x86_64__)
static void sixteen_bytes(void)
{
    define(0x82);
    gdt_set(UPPER, (uint64_t)1 << 40);
    lldt(A);
    check_fault("the type of the upper half is not 0", EXC_GP, A);
    gdt_set(UPPER, 0x8000);
    lldt(A);
    check_fault("a base that is not canonical", EXC_GP, A);
    gdt_set(UPPER, 0xFFFF8000);
    lldt(A);
    check_no_fault("a canonical one");
    gdt_set(LAST, make_segment(0, 0xFF, 0x82, 0));
    lldt(LAST);
    check_fault("the upper half is beyond the GDT", EXC_GP, LAST);
    gdt_set(LAST, 0);
    load_ldt(0);
}
#else
static void sixteen_bytes(void)
{
    struct table_register old, odd, now;
    __asm__ volatile("sidt %0" : "=m"(old));
    odd = old;
    odd.base |= 0x55000000;
    __asm__ volatile("data16 lidt %1\n\tsidt %0" : "=m"(now) : "m"(odd));
    load_idt(&old);
    check_equal("LIDT with a 16-bit operand loads 24 bits of base", odd.base & 0xFFFFFF, now.base);
    check_equal("and the limit", odd.limit, now.limit);
}
#endif

/* ---- UMIP ---- */

static reg_t try_sgdt(reg_t v)
{
    struct table_register t;
    __asm__ volatile(TRY "sgdt %0" END_TRY : "=m"(t) : : "memory");
    return v;
}

static reg_t try_sidt(reg_t v)
{
    struct table_register t;
    __asm__ volatile(TRY "sidt %0" END_TRY : "=m"(t) : : "memory");
    return v;
}

static reg_t try_sldt(reg_t v)
{
    __asm__ volatile(TRY "sldt %0" END_TRY : "+r"(v) : : "memory");
    return v;
}

static reg_t try_str(reg_t v)
{
    __asm__ volatile(TRY "str %0" END_TRY : "+r"(v) : : "memory");
    return v;
}

static reg_t try_smsw(reg_t v)
{
    __asm__ volatile(TRY "smsw %0" END_TRY : "+r"(v) : : "memory");
    return v;
}

static void user_mode_prevention(void)
{
    static const struct {
        const char *name;
        reg_t (*fn)(reg_t);
    } stores[] = {{"SGDT", try_sgdt},
                  {"SIDT", try_sidt},
                  {"SLDT", try_sldt},
                  {"STR", try_str},
                  {"SMSW", try_smsw}};
    bool has_umip = cpuid(7, 0).c & CR4_FEATURE_UMIP;
    for (unsigned i = 0; i < COUNT(stores); i++) {
        ring3(stores[i].fn, 0);
        check_no_fault(stores[i].name);
        if (!has_umip)
            continue;
        write_cr4(read_cr4() | CR4_UMIP);
        ring3(stores[i].fn, 0);
        check_fault("  with UMIP at CPL 3", EXC_GP, 0);
        stores[i].fn(0);
        check_no_fault("  with UMIP at CPL 0");
        write_cr4(read_cr4() & ~(reg_t)CR4_UMIP);
    }
    check_equal("STR zero-extends into a register", SEL_TSS, try_str(~(reg_t)0));
    check_equal("SMSW gives all of CR0", read_cr0(), try_smsw(0));
    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)read_cr0() & ~CR0_PE));
    check("LMSW does not clear PE", read_cr0() & CR0_PE);
}

int main(void)
{
    queries();
    loads();
    system_registers();
    sixteen_bytes();
    user_mode_prevention();
    return checks_result();
}
