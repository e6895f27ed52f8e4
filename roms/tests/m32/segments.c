/* SPDX-License-Identifier: MIT */
/* Segmentation as the 386 has it: limits, expand-down, types, null selectors, privilege of loads,
 * LAR, LSL, VERR, VERW, ARPL, LDT, 16-bit code. SDM Vol. 3A, "Protection". */
#include "roms/lib/traps.h"

enum { A = SEL_SPARE, B = SEL_SPARE + 8, C = SEL_SPARE + 16, LDT = SEL_SPARE + 24 };
enum { NOT_PRESENT = 0x80 };

static uint8_t block[2 * GUEST_PAGE] __attribute__((aligned(4096)));

/* FS lets go of it first: leaving an exception loads FS again. */
static void define(uint16_t sel, uint64_t descriptor)
{
    __asm__ volatile("mov %0, %%fs" : : "r"(0));
    gdt_set(sel, descriptor);
}

static void load_fs(unsigned sel)
{
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"(sel) : "memory");
}

static uint32_t fs_read(uint32_t offset)
{
    uint32_t v = 0;
    __asm__ volatile(TRY "movl %%fs:(%1), %0" END_TRY : "+r"(v) : "r"(offset) : "memory");
    return v;
}

static void fs_write(uint32_t offset)
{
    __asm__ volatile(TRY "movl $1, %%fs:(%0)" END_TRY : : "r"(offset) : "memory");
}

static void limits(void)
{
    define(A, make_segment((uint32_t)block, 0xFFF, SEG_DATA, SEG_D));
    load_fs(A);
    check_no_fault("load a 4 KiB segment");
    *(uint32_t *)(void *)block = 0x1234;
    check_equal("its base", 0x1234, fs_read(0));
    fs_read(0xFFC);
    check_no_fault("the last four bytes");
    fs_read(0xFFD);
    check_fault("one byte over the limit", EXC_GP, 0);
    fs_read(0xFFFFFFFE);
    check_fault("far over it", EXC_GP, 0);
    define(A, make_segment((uint32_t)block, 1, SEG_DATA, SEG_G | SEG_D));
    load_fs(A);
    fs_read(0x1FFC);
    check_no_fault("with G = 1 limit 1 is 1FFFh");
    fs_read(0x1FFD);
    check_fault("and not more", EXC_GP, 0);
    define(A, make_segment((uint32_t)block, 0xFFF, SEG_DATA | 4, SEG_D));
    load_fs(A);
    fs_read(0xFFF);
    check_fault("expand-down: the limit itself is outside", EXC_GP, 0);
    fs_read(0x1000);
    check_no_fault("expand-down: above it is inside");
    define(A, make_segment((uint32_t)block, 0xFFF, SEG_DATA | 4, 0));
    load_fs(A);
    fs_read(0xFFFE);
    check_fault("expand-down with B = 0 ends at FFFFh", EXC_GP, 0);
    define(A, make_segment(0xFFFFFFF0u, 0xFFFFF, SEG_DATA, SEG_G | SEG_D));
    load_fs(A);
    check_equal("base + offset wraps at 4 GiB", *(uint32_t *)(void *)block,
                fs_read((uint32_t)block + 0x10));
}

static void stack_segment(void)
{
    uint32_t top = (uint32_t)block + sizeof(block);
    define(A, make_segment(0, (top >> 12) - 1, SEG_DATA, SEG_G | SEG_D));
    __asm__ volatile("mov %%esp, %%ebx\n\t" TRY "mov %0, %%ss\n\tmov %1, %%esp\n\tpop %%eax" END_TRY
                     "mov %2, %%ss\n\tmov %%ebx, %%esp"
                     :
                     : "r"(A), "r"(top - 4), "r"(SEL_DS0)
                     : "eax", "ebx", "memory");
    check_no_fault("POP at the end of the stack segment");
    /* The fault is delivered on the same stack: so it must lie inside, and only the operand
     * outside. */
    __asm__ volatile("mov %%esp, %%ebx\n\t" TRY
                     "mov %0, %%ss\n\tmov %1, %%esp\n\tmov %%ss:(%3), %%eax" END_TRY
                     "mov %2, %%ss\n\tmov %%ebx, %%esp"
                     :
                     : "r"(A), "r"(top - 4), "r"(SEL_DS0), "r"(top)
                     : "eax", "ebx", "memory");
    check_fault("a read above the limit of SS: #SS(0)", EXC_SS, 0);
}

static void types(void)
{
    define(A, make_segment((uint32_t)block, 0xFFFFF, 0x90, SEG_G | SEG_D));
    load_fs(A);
    check("loading sets the accessed bit", gdt[A / 8] >> 40 & 1);
    fs_read(0);
    check_no_fault("read a read-only segment");
    fs_write(0);
    check_fault("write a read-only segment", EXC_GP, 0);
    define(A, make_segment((uint32_t)block, 0xFFFFF, 0x98, SEG_G | SEG_D));
    load_fs(A);
    check_fault("load execute-only code into FS", EXC_GP, A);
    load_fs(SEL_CS0);
    check_no_fault("load readable code into FS");
    fs_write((uint32_t)block);
    check_fault("write a code segment", EXC_GP, 0);
    load_fs(SEL_TSS);
    check_fault("load a TSS into FS", EXC_GP, SEL_TSS);
    define(A, make_segment((uint32_t)block, 0xFFFFF, SEG_DATA & ~NOT_PRESENT, SEG_G | SEG_D));
    load_fs(A);
    check_fault("load a segment not present", EXC_NP, A);
    load_fs(0);
    check_no_fault("load a null selector into FS");
    fs_read(0);
    check_fault("use it", EXC_GP, 0);
    load_fs(3);
    check_no_fault("any RPL of the null selector");
    __asm__ volatile(TRY "mov %0, %%ss" END_TRY : : "r"(0) : "memory");
    check_fault("a null selector in SS", EXC_GP, 0);
    define(A, make_segment(0, 0xFFFFF, 0x91, SEG_G | SEG_D));
    __asm__ volatile(TRY "mov %0, %%ss" END_TRY : : "r"(A) : "memory");
    check_fault("a read-only segment in SS", EXC_GP, A);
    __asm__ volatile(TRY "mov %0, %%ss" END_TRY : : "r"(SEL_DS3) : "memory");
    check_fault("RPL of SS is not CPL", EXC_GP, SEL_DS3 & ~3);
}

static reg_t ring3_load(reg_t sel)
{
    reg_t now;
    __asm__ volatile(TRY "mov %1, %%fs" END_TRY "mov %%fs, %0" : "=r"(now) : "r"(sel) : "memory");
    return now & 0xFFFF;
}

static reg_t ring3_fs(reg_t arg)
{
    (void)arg;
    __asm__ volatile("xor %0, %0\n\tmov %%fs, %0" : "=r"(arg));
    return arg & 0xFFFF;
}

static void privileges(void)
{
    load_fs(SEL_DS0 | 3);
    check_fault("RPL 3 weakens CPL 0: DPL 0 is out of reach", EXC_GP, SEL_DS0);
    load_fs(SEL_DS3);
    check_no_fault("CPL 0 loads a DPL 3 segment");
    ring3(ring3_load, SEL_DS0);
    check_fault("CPL 3 loads a DPL 0 segment", EXC_GP, SEL_DS0);
    define(A, make_segment(0, 0xFFFFF, 0x9F, SEG_G | SEG_D)); /* conforming, readable, DPL 0 */
    ring3(ring3_load, A);
    check_no_fault("CPL 3 loads a conforming DPL 0 code segment as data");
    load_fs(SEL_DS0);
    check_equal("IRET to ring 3 nulls a DPL 0 data segment", 0, ring3(ring3_fs, 0));
    load_fs(SEL_DS3);
    check_equal("and leaves a DPL 3 one", SEL_DS3, ring3(ring3_fs, 0));
}

static bool verr(unsigned sel)
{
    uint8_t z;
    __asm__ volatile("verr %w1\n\tsetz %0" : "=q"(z) : "r"(sel) : "cc");
    return z;
}

static bool verw(unsigned sel)
{
    uint8_t z;
    __asm__ volatile("verw %w1\n\tsetz %0" : "=q"(z) : "r"(sel) : "cc");
    return z;
}

static void inquiries(void)
{
    uint32_t v = 0x5555;
    uint8_t z;
    define(A, make_segment(0x12345678, 0x2, SEG_DATA, SEG_G | SEG_D));
    __asm__("lsl %2, %0\n\tsetz %1" : "+r"(v), "=q"(z) : "r"(A) : "cc");
    check("LSL scales the limit by G", z && v == 0x2FFF);
    __asm__("lar %2, %0\n\tsetz %1" : "+r"(v), "=q"(z) : "r"(A) : "cc");
    check_equal("LAR", 0x00C09300, v & 0x00F0FF00);
    v = 0x5555;
    __asm__("lsl %2, %0\n\tsetz %1" : "+r"(v), "=q"(z) : "r"(0xFFF8) : "cc");
    check("LSL beyond the GDT: ZF = 0, register unchanged", !z && v == 0x5555);
    __asm__("lar %2, %0\n\tsetz %1" : "+r"(v), "=q"(z) : "r"(0) : "cc");
    check("LAR of the null selector: ZF = 0", !z);
    check("VERR, VERW of writable data", verr(A) && verw(A));
    check("VERR, not VERW of readable code", verr(SEL_CS0) && !verw(SEL_CS0));
    check("neither of a TSS", !verr(SEL_TSS) && !verw(SEL_TSS));
    check("neither with RPL 3 of DPL 0", !verr(A | 3) && !verw(A | 3));
    v = SEL_DS0;
    __asm__("arpl %w2, %w0\n\tsetz %1" : "+r"(v), "=q"(z) : "r"(3) : "cc");
    check("ARPL raises the RPL", z && v == (SEL_DS0 | 3));
    __asm__("arpl %w2, %w0\n\tsetz %1" : "+r"(v), "=q"(z) : "r"(0) : "cc");
    check("ARPL never lowers it", !z && v == (SEL_DS0 | 3));
}

static void local_table(void)
{
    static uint64_t ldt[2];
    ldt[1] = make_segment((uint32_t)block, 0xFFF, SEG_DATA, SEG_D);
    gdt_set(LDT, make_segment((uint32_t)ldt, sizeof(ldt) - 1, 0x82, 0));
    load_ldt(LDT);
    load_fs(8 | 4);
    check_no_fault("a segment of the LDT");
    *(uint32_t *)(void *)block = 0x4321;
    check_equal("is that segment", 0x4321, fs_read(0));
    load_fs(16 | 4);
    check_fault("beyond the LDT", EXC_GP, 16 | 4);
    __asm__ volatile(TRY "lldt %w0" END_TRY : : "r"(SEL_DS0) : "memory");
    check_fault("LLDT of a data segment", EXC_GP, SEL_DS0);
    load_ldt(0);
}

static void far_transfers(void)
{
    struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) far = {0, 0};
    uint32_t v;
    define(B, make_segment((uint32_t)block, 0xFFF, SEG_CODE, 0)); /* 16-bit */
    memcpy(block, "\xB8\x34\x12\x66\xCB", 5);                     /* MOV AX, 1234h; 66 RETF */
    far.sel = B;
    __asm__ volatile("mov $-1, %%eax\n\tlcall *%1" : "=&a"(v) : "m"(far) : "memory");
    check_equal("a far call into 16-bit code", 0xFFFF1234, v);
    far.sel = SEL_DS0;
    __asm__ volatile(TRY "ljmp *%0" END_TRY : : "m"(far) : "memory");
    check_fault("a far jump to data", EXC_GP, SEL_DS0);
    far.sel = 0;
    __asm__ volatile(TRY "ljmp *%0" END_TRY : : "m"(far) : "memory");
    check_fault("a far jump to the null selector", EXC_GP, 0);
    define(C, make_segment(0, 0xFFFFF, SEG_CODE & ~NOT_PRESENT, SEG_G | SEG_D));
    far.sel = C;
    __asm__ volatile(TRY "ljmp *%0" END_TRY : : "m"(far) : "memory");
    check_fault("a far jump to code not present", EXC_NP, C);
    far.sel = SEL_CS3_32;
    __asm__ volatile(TRY "ljmp *%0" END_TRY : : "m"(far) : "memory");
    check_fault("a far jump to another privilege", EXC_GP, SEL_CS3_32 & ~3);
    far.sel = B;
    far.offset = 0x1000;
    __asm__ volatile(TRY "ljmp *%0" END_TRY : : "m"(far) : "memory");
    check_fault("a far jump beyond the limit of CS", EXC_GP, 0);
    far.sel = SEL_DS3;
    far.offset = 0x77;
    __asm__ volatile("lfs %1, %0" : "=r"(v) : "m"(far));
    check_equal("LFS: the offset", 0x77, v);
    __asm__ volatile("mov %%fs, %0" : "=r"(v));
    check_equal("LFS: the selector", SEL_DS3, v & 0xFFFF);
    __asm__ volatile(TRY "push %1\n\tpush $0\n\tlret" END_TRY "add $8, %%esp"
                     : "=m"(far)
                     : "r"(B | 1)
                     : "memory");
    check_fault("a far return to RPL 1 of DPL 0 code", EXC_GP, B);
}

int main(void)
{
    limits();
    stack_segment();
    types();
    privileges();
    inquiries();
    local_table();
    far_transfers();
    return checks_result();
}
