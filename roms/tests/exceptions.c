/* SPDX-License-Identifier: MIT */
/* Every exception a guest can raise by itself: vector, error code, and where the saved RIP points.
 * SDM Vol. 3A, "Exception and Interrupt Reference". */
#include "roms/lib/traps.h"

static bool saved_ip_is_at(unsigned opcode)
{
    return *(const volatile uint8_t *)caught.ip == opcode;
}

static void divide_errors(void)
{
    __asm__ volatile(TRY
                     "xor %%edx, %%edx\n\txor %%ecx, %%ecx\n\tmov $1, %%eax\n\tdiv %%ecx" END_TRY
                     :
                     :
                     : "eax", "ecx", "edx", "memory");
    check_fault("DIV by zero: #DE", EXC_DE, 0);
    check("#DE is a fault: RIP at DIV", saved_ip_is_at(0xF7));
    __asm__ volatile(TRY "mov $0x80000000, %%eax\n\tcltd\n\tmov $-1, %%ecx\n\tidiv %%ecx" END_TRY
                     :
                     :
                     : "eax", "ecx", "edx", "memory");
    check_fault("IDIV of the most negative number by -1: #DE", EXC_DE, 0);
    __asm__ volatile(TRY "mov $0x1234, %%eax\n\tmov $1, %%ecx\n\tdiv %%cl" END_TRY
                     :
                     :
                     : "eax", "ecx", "memory");
    check_fault("DIV with a quotient wider than AL: #DE", EXC_DE, 0);
}

static void debug_and_breakpoint(void)
{
    write_dr6(0);
    __asm__ volatile(TRY "pushf\n\torl $0x100, (%%" SP ")\n\tpopf\n\tnop\n\tclc" END_TRY
                     :
                     :
                     : "memory", "cc");
    check_fault("TF: #DB", EXC_DB, 0);
    check("TF traps after the instruction that follows POPF", saved_ip_is_at(0xF8));
    check("DR6.BS says single step", (caught.dr6 & 0x4000) != 0);
    write_dr6(0);
    __asm__ volatile(TRY ".byte 0xF1\n\tclc" END_TRY : : : "memory", "cc");
    check_fault("INT1: #DB", EXC_DB, 0);
    check("INT1 is a trap: RIP after it", saved_ip_is_at(0xF8));
    __asm__ volatile(TRY "int3\n\tclc" END_TRY : : : "memory", "cc");
    check_fault("INT3: #BP", EXC_BP, 0);
    check("#BP is a trap: RIP after INT3", saved_ip_is_at(0xF8));
}

static void invalid_opcodes(void)
{
    __asm__ volatile(TRY "ud2" END_TRY : : : "memory");
    check_fault("UD2: #UD", EXC_UD, 0);
    check("#UD is a fault: RIP at UD2", saved_ip_is_at(0x0F));
    __asm__ volatile(TRY ".byte 0xF0, 0x01, 0xC0" END_TRY : : : "memory", "eax");
    check_fault("LOCK ADD reg, reg: #UD", EXC_UD, 0);
    __asm__ volatile(TRY ".byte 0xF0, 0x90" END_TRY : : : "memory");
    check_fault("LOCK NOP: #UD", EXC_UD, 0);
    __asm__ volatile(TRY ".byte 0x0F, 0x20, 0xC8" END_TRY : : : "memory", "eax");
    check_fault("MOV EAX, CR1: #UD", EXC_UD, 0);
    __asm__ volatile(TRY ".byte 0x8E, 0xC8" END_TRY : : : "memory");
    check_fault("MOV CS, AX: #UD", EXC_UD, 0);
#if defined(__x86_64__)
    __asm__ volatile(TRY ".byte 0x06" END_TRY : : : "memory");
    check_fault("PUSH ES in 64-bit mode: #UD", EXC_UD, 0);
    __asm__ volatile(TRY ".byte 0x27" END_TRY : : : "memory", "eax");
    check_fault("DAA in 64-bit mode: #UD", EXC_UD, 0);
#else
    __asm__ volatile(TRY "mov $0x7F, %%al\n\taddb $1, %%al\n\tinto\n\tclc" END_TRY
                     :
                     :
                     : "eax", "memory", "cc");
    check_fault("INTO with OF = 1: #OF", EXC_OF, 0);
    check("#OF is a trap: RIP after INTO", saved_ip_is_at(0xF8));
    uint32_t bounds[2] = {10, 20};
    __asm__ volatile(TRY "mov $21, %%eax\n\tboundl %%eax, %0" END_TRY
                     :
                     : "m"(bounds)
                     : "eax", "memory");
    check_fault("BOUND above the upper bound: #BR", EXC_BR, 0);
    __asm__ volatile(TRY "mov $20, %%eax\n\tboundl %%eax, %0" END_TRY
                     :
                     : "m"(bounds)
                     : "eax", "memory");
    check_no_fault("BOUND at the upper bound");
#endif
}

static void floating_point(void)
{
    uint16_t control = 0x37B; /* zero divide unmasked */
    reg_t cr0 = read_cr0();
    write_cr0(cr0 | CR0_TS);
    __asm__ volatile(TRY "fninit" END_TRY : : : "memory");
    check_fault("x87 with CR0.TS: #NM", EXC_NM, 0);
    __asm__ volatile(TRY "fwait" END_TRY : : : "memory");
    check_no_fault("WAIT with TS = 1, MP = 0");
    write_cr0(cr0 | CR0_TS | CR0_MP);
    __asm__ volatile(TRY "fwait" END_TRY : : : "memory");
    check_fault("WAIT with TS = 1, MP = 1: #NM", EXC_NM, 0);
    __asm__ volatile("clts");
    check("CLTS clears CR0.TS", !(read_cr0() & CR0_TS));
    write_cr0((cr0 | CR0_EM) & ~(reg_t)CR0_TS);
    __asm__ volatile(TRY "fninit" END_TRY : : : "memory");
    check_fault("x87 with CR0.EM: #NM", EXC_NM, 0);
    write_cr0((cr0 | CR0_NE | CR0_MP) & ~(reg_t)(CR0_TS | CR0_EM));
    __asm__ volatile(TRY "fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp" END_TRY
                     :
                     : "m"(control)
                     : "memory");
    check_no_fault("an unmasked x87 exception is not delivered at once");
    __asm__ volatile(TRY "fwait" END_TRY : : : "memory");
    check_fault("WAIT with one pending: #MF", EXC_MF, 0);
    check("#MF is a fault: RIP at WAIT", saved_ip_is_at(0x9B));
    __asm__ volatile("fnclex\n\tfninit");
}

static void simd(void)
{
    uint32_t mxcsr = 0x1F80 & ~0x200u, safe = 0x1F80, reserved = 0x80000000u; /* ZM clear */
    write_cr4(read_cr4() & ~(reg_t)CR4_OSFXSR);
    __asm__ volatile(TRY "xorps %%xmm0, %%xmm0" END_TRY : : : "memory");
    check_fault("SSE without CR4.OSFXSR: #UD", EXC_UD, 0);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile(TRY "ldmxcsr %0" END_TRY : : "m"(reserved) : "memory");
    check_fault("LDMXCSR with a reserved bit: #GP(0)", EXC_GP, 0);
    __asm__ volatile(TRY "ldmxcsr %0\n\tmov $0x3F800000, %%eax\n\tmovd %%eax, %%xmm0\n\t"
                         "xorps %%xmm1, %%xmm1\n\tdivss %%xmm1, %%xmm0" END_TRY
                     :
                     : "m"(mxcsr)
                     : "eax", "memory");
    check_fault("DIVSS by zero, unmasked: #XM", EXC_XM, 0);
    check("#XM is a fault: RIP at DIVSS", saved_ip_is_at(0xF3));
    write_cr4(read_cr4() & ~(reg_t)CR4_OSXMMEXCPT);
    __asm__ volatile(TRY "divss %%xmm1, %%xmm0" END_TRY : : : "memory");
    check_fault("the same without CR4.OSXMMEXCPT: #UD", EXC_UD, 0);
    write_cr4(read_cr4() | CR4_OSXMMEXCPT);
    __asm__ volatile("ldmxcsr %0" : : "m"(safe));
}

static reg_t misaligned_read(reg_t arg)
{
    __asm__ volatile(TRY "mov 1(%0), %%eax" END_TRY : : "r"(arg) : "eax", "memory");
    return 0;
}

static reg_t privileged_read(reg_t arg)
{
    __asm__ volatile(TRY "mov %%cr0, %0" END_TRY : "+r"(arg) : : "memory");
    return arg;
}

static reg_t software_interrupt(reg_t arg)
{
    __asm__ volatile(TRY "int $0x40" END_TRY : : "r"(arg) : "memory");
    return 0;
}

static void from_ring_3(void)
{
    static uint32_t words[2];
    reg_t cr0 = read_cr0();
    ring3(privileged_read, 0);
    check_fault("MOV from CR0 at CPL 3: #GP(0)", EXC_GP, 0);
    check("the saved CS says ring 3", (caught.cs & 3) == 3);
    ring3(software_interrupt, 0);
    check_fault("INT 40h through a gate with DPL 0: #GP(vector * 8 + 2)", EXC_GP, 0x40 * 8 + 2);
    ring3(misaligned_read, (reg_t)words);
    check_no_fault("a misaligned read with CR0.AM = 0");
    write_cr0(cr0 | CR0_AM);
    ring3(misaligned_read, (reg_t)words);
    check_no_fault("a misaligned read with AC = 0");
    ring3_flags |= FLAG_AC;
    ring3(misaligned_read, (reg_t)words);
    check_fault("a misaligned read at CPL 3 with AM and AC: #AC(0)", EXC_AC, 0);
    ring3_flags &= ~(reg_t)FLAG_AC;
    write_flags(read_flags() | FLAG_AC);
    misaligned_read((reg_t)words);
    write_flags(read_flags() & ~(reg_t)FLAG_AC);
    check_no_fault("the same at CPL 0");
    write_cr0(cr0);
}

static void selectors_and_gates(void)
{
    struct table_register old, small;
    reg_t sel = GDT_ENTRIES * 8 + 8 + 3;
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"((uint32_t)sel) : "memory");
    check_fault("a selector beyond the GDT: #GP(selector, RPL cleared)", EXC_GP,
                (unsigned)(sel & ~(reg_t)3));
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"((uint32_t)(SEL_DS0 | 4)) : "memory");
    check_fault("a selector in a null LDT: #GP with TI", EXC_GP, SEL_DS0 | 4);
    gdt_set(SEL_SPARE, make_segment(0, 0xFFFFF, SEG_DATA & ~0x80, SEG_G | SEG_D));
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"((uint32_t)SEL_SPARE) : "memory");
    check_fault("a data segment not present: #NP(selector)", EXC_NP, SEL_SPARE);
    __asm__ volatile(TRY "mov %0, %%ss" END_TRY : : "r"((uint32_t)SEL_SPARE) : "memory");
    check_fault("a stack segment not present: #SS(selector)", EXC_SS, SEL_SPARE);
    __asm__ volatile(TRY "mov %0, %%ss" END_TRY : : "r"((uint32_t)SEL_CS0) : "memory");
    check_fault("a code segment in SS: #GP(selector)", EXC_GP, SEL_CS0);
    idt_restore(0x41, 0x0E);
    __asm__ volatile(TRY "int $0x41" END_TRY : : : "memory");
    check_fault("INT through a gate not present: #NP(vector * 8 + 2)", EXC_NP, 0x41 * 8 + 2);
    __asm__ volatile("sidt %0" : "=m"(old));
    small = old;
    small.limit = (uint16_t)(0x42 * (IS_64 ? 16 : 8) - 1);
    load_idt(&small);
    __asm__ volatile(TRY "int $0x42" END_TRY : : : "memory");
    load_idt(&old);
    check_fault("INT beyond the IDT: #GP(vector * 8 + 2)", EXC_GP, 0x42 * 8 + 2);
}

static void double_fault(void)
{
    idt_restore(EXC_GP, 0x0E); /* not present: delivering #GP raises #NP, both contributory */
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"((uint32_t)0xFFF8) : "memory");
    idt_restore(EXC_GP, 0x8E);
    check_fault("#NP while #GP is delivered: #DF(0)", EXC_DF, 0);
    idt_restore(EXC_UD, 0x0E); /* benign first: the second is served alone */
    __asm__ volatile(TRY "ud2" END_TRY : : : "memory");
    idt_restore(EXC_UD, 0x8E);
    check_fault("#NP while #UD is delivered: #NP with EXT", EXC_NP, EXC_UD * 8 + 2 + 1);
}

#if defined(__x86_64__)
static void canonical_addresses(void)
{
    reg_t hole = (reg_t)1 << 47;
    __asm__ volatile(TRY "mov (%0), %%eax" END_TRY : : "r"(hole) : "eax", "memory");
    check_fault("a read at a non-canonical address: #GP(0)", EXC_GP, 0);
    __asm__ volatile("mov %%rbp, %%rcx\n\tmov %0, %%rbp\n\t" TRY "mov (%%rbp), %%eax" END_TRY
                     "mov %%rcx, %%rbp"
                     :
                     : "r"(hole)
                     : "eax", "rcx", "memory");
    check_fault("the same through RBP: #SS(0)", EXC_SS, 0);
    __asm__ volatile(TRY "jmp *%0" END_TRY : : "r"(hole) : "memory");
    check_fault("a jump to a non-canonical address: #GP(0)", EXC_GP, 0);
    check("the jump itself faults", caught.ip != hole);
    __asm__ volatile(TRY "mov %0, %%cr3" END_TRY : : "r"((reg_t)1 << 59 | read_cr3()) : "memory");
    check_fault("a reserved bit of CR3: #GP(0)", EXC_GP, 0);
    __asm__ volatile(TRY "mov %0, %%cr0" END_TRY : : "r"(read_cr0() | (reg_t)1 << 32) : "memory");
    check_fault("a reserved upper bit of CR0: #GP(0)", EXC_GP, 0);
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY : : "r"(read_cr4() & ~(reg_t)CR4_PAE) : "memory");
    check_fault("clearing CR4.PAE in IA-32e mode: #GP(0)", EXC_GP, 0);
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_FS_BASE), "a"(0), "d"(0x8000) : "memory");
    check_fault("WRMSR of a non-canonical FS base: #GP(0)", EXC_GP, 0);
}
#else
static void canonical_addresses(void)
{
    __asm__ volatile(TRY "mov %0, %%cr0" END_TRY : : "r"(CR0_PG | CR0_NE) : "memory");
    check_fault("CR0.PG without PE: #GP(0)", EXC_GP, 0);
    __asm__ volatile(TRY "mov %0, %%cr0" END_TRY : : "r"(read_cr0() | CR0_NW) : "memory");
    check_fault("CR0.NW without CD: #GP(0)", EXC_GP, 0);
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY : : "r"(read_cr4() | 1u << 31) : "memory");
    check_fault("a reserved bit of CR4: #GP(0)", EXC_GP, 0);
}
#endif

int main(void)
{
    /* Where qemu-system-x86_64 -accel tcg differs, the SDM is followed: INT1 (#UD there), MXCSR (no
     * exceptions), error codes of 64-bit gates (vector * 16 + 2), EXT, #SS of non-canonical
     * addresses, the RIP of a jump to one, reserved bits of CR0 and CR3. */
    divide_errors();
    debug_and_breakpoint();
    invalid_opcodes();
    floating_point();
    simd();
    selectors_and_gates();
    double_fault();
    from_ring_3();
    canonical_addresses();
    return checks_result();
}
