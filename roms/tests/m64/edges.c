/* SPDX-License-Identifier: MIT */
/* The edges of the 64-bit address space and of protection: canonical addresses in data, stack and
 * code, implicit supervisor accesses under SMAP, INVPCID and CR3 operands, faults of the second
 * page. SDM Vol. 1, "Canonical Addressing"; Vol. 3A, "Access Rights", "Process-Context
 * Identifiers". */
#include "roms/lib/launch.h"
#include "roms/lib/paging.h"

#define HOLE ((reg_t)1 << 47)        /* first address that is not canonical */
#define HIGH (~(reg_t)0 << 47)       /* first one above the hole */
#define LAST_LOW (HOLE - GUEST_PAGE) /* last page below it */
#define WINDOW ((reg_t)0x40000000)
enum { RWU = PT_P | PT_W | PT_U, RET = 0xC3, NOP = 0x90 };

static uint8_t page_a[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t page_b[GUEST_PAGE] __attribute__((aligned(4096)));

static reg_t read32(reg_t la)
{
    __asm__ volatile(TRY "movl (%0), %%eax" END_TRY : : "D"(la) : "eax", "memory");
    return 0;
}

static reg_t write32(reg_t la)
{
    __asm__ volatile(TRY "movl $0x55, (%0)" END_TRY : : "D"(la) : "memory");
    return 0;
}

static void stack_read(reg_t la)
{
    __asm__ volatile("mov %%rbp, %%rcx\n\tmov %0, %%rbp\n\t" TRY "movl (%%rbp), %%eax" END_TRY
                     "mov %%rcx, %%rbp"
                     :
                     : "r"(la)
                     : "rax", "rcx", "memory");
}

static void data(void)
{
    page_map(LAST_LOW, (reg_t)page_a, RWU);
    page_map(HIGH, (reg_t)page_b, RWU);
    pages_flush();
    read32(HOLE - 4);
    check_no_fault("the last four canonical bytes");
    read32(HOLE - 3);
    check_fault("a read that crosses into the hole", EXC_GP, 0);
    write32(HOLE - 1);
    check_fault("a write that does", EXC_GP, 0);
    read32(HIGH);
    check_no_fault("the first bytes above it");
    read32(HIGH - 1);
    check_fault("a read that crosses out of it", EXC_GP, 0);
    stack_read(HOLE - 3);
    check_fault("the same through RBP", EXC_SS, 0);
    read32(~(reg_t)0 - 1);
    check("the last bytes of all: canonical, not present",
          caught.vector == EXC_PF && caught.cr2 == (~(reg_t)0 - 1));
    *(volatile uint32_t *)(page_a + GUEST_PAGE - 4) = 0x11111111;
    write32(HOLE - 2);
    check_equal("a write that faults leaves the first bytes", 0x11111111,
                *(volatile uint32_t *)(page_a + GUEST_PAGE - 4));
}

/* The same from a handler's frame: RIP, and RSP as it was. */
static void call_code(reg_t la)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY "call *%0" END_TRY "mov %%rbx, %%rsp"
                     :
                     : "r"(la)
                     : "rax", "rbx", "memory");
}

/* The eight bytes that a CALL at la would have pushed upon, at CPL 3: no handler's frame is there.
 */
static reg_t call_call(reg_t la)
{
    reg_t below;
    __asm__ volatile("mov %%rsp, %%rbx\n\tmovq $0x5A5A, -16(%%rsp)\n\t" TRY "call *%1" END_TRY
                     "mov -16(%%rbx), %0\n\tmov %%rbx, %%rsp"
                     : "=&d"(below)
                     : "r"(la)
                     : "rax", "rbx", "memory");
    return below;
}

static void call_into_hole(uint8_t *end)
{
    memcpy(end - 16, "\xE8\x00\x01\x00\x00", 5); /* CALL, 256 bytes on */
    reg_t below = ring3(call_call, HOLE - 16);
    check_fault("a direct CALL into the hole: #GP of the CALL", EXC_GP, 0);
    check_equal("RIP is the CALL", HOLE - 16, caught.ip);
    check_equal("it has pushed nothing", 0x5A5A, below);
}

static void code(void)
{
    uint8_t *end = page_a + GUEST_PAGE;
    memset(page_a, NOP, sizeof(page_a));
    call_code(HOLE - 2);
    check_fault("NOPs up to the hole", EXC_GP, 0);
    check_equal("RIP is the first address in it", HOLE, caught.ip);
    memcpy(end - 2, "\xB8\x01", 2); /* MOV EAX, imm32 */
    call_code(HOLE - 2);
    check_fault("an instruction that crosses into it", EXC_GP, 0);
    check_equal("RIP is the instruction", HOLE - 2, caught.ip);
    memcpy(end - 2, "\xEB\x00", 2); /* JMP to the next */
    call_code(HOLE - 2);
    check_fault("a short JMP into it: #GP of the JMP", EXC_GP, 0);
    check_equal("RIP is the JMP", HOLE - 2, caught.ip);
    end[-1] = RET;
    call_code(HOLE - 1);
    check_no_fault("RET as the last byte");
    memcpy(end - 5, "\x68\x00\x00\x00\x00", 5);
    end[-5] = 0x6A;
    end[-4] = 0;
    end[-3] = 0x58;
    end[-2] = NOP;
    end[-1] = RET;
    call_code(HOLE - 5);
    check_no_fault("PUSH, POP, NOP, RET before it");
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY "push %0\n\tret" END_TRY "mov %%rbx, %%rsp"
                     :
                     : "r"(HOLE)
                     : "rbx", "memory");
    check_fault("RET into the hole: #GP of the RET", EXC_GP, 0);
    check_equal("RIP is the RET", RET, *(const uint8_t *)caught.ip);
    call_into_hole(end);
}

/* ---- the second page ---- */

static void second_page(void)
{
    static const uint8_t long_nop[] = {0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0, RET};
    page_map(WINDOW, (reg_t)page_a, RWU);
    page_map(WINDOW + GUEST_PAGE, (reg_t)page_b, RWU | PT_NX);
    pages_flush();
    for (unsigned n = 1; n < sizeof(long_nop) - 1; n++) {
        reg_t at = WINDOW + GUEST_PAGE - n;
        memcpy((void *)at, long_nop, sizeof(long_nop));
        call_code(at);
        if (caught.vector != EXC_PF || caught.error != (PF_P | PF_I) || caught.ip != at ||
            caught.cr2 != WINDOW + GUEST_PAGE) {
            check_equal("an instruction into an XD page, with this many bytes before it", 0, n);
            return;
        }
    }
    check("an instruction into an XD page at every split: #PF of the second page", true);
    page_map(WINDOW + GUEST_PAGE, (reg_t)page_b, PT_P | PT_W);
    pages_flush();
    read32(WINDOW + GUEST_PAGE - 2);
    check_no_fault("CPL 0 reads across into a supervisor page");
    ring3(read32, WINDOW + GUEST_PAGE - 2);
    check_fault("CPL 3 does not", EXC_PF, PF_P | PF_U);
    check_equal("CR2 is the second page", WINDOW + GUEST_PAGE, caught.cr2);
    page_map(WINDOW, (reg_t)page_a, 0);
    pages_flush();
    ring3(read32, WINDOW + GUEST_PAGE - 2);
    check_fault("both bad: the first one", EXC_PF, PF_U);
    check_equal("CR2 is the address", WINDOW + GUEST_PAGE - 2, caught.cr2);
}

/* ---- SMAP and implicit supervisor accesses ---- */

static reg_t load_gs(reg_t sel)
{
    __asm__ volatile(TRY "mov %0, %%gs" END_TRY : : "r"((uint32_t)sel) : "memory");
    return 0;
}

static void under_smap(reg_t sel)
{
    for (unsigned i = 0; i < 512; i++)
        *page_entry((reg_t)i << 21, 2) &= ~(uint64_t)PT_U;
    *page_entry(WINDOW, 2) |= PT_U;
    page_map(WINDOW, (reg_t)page_a, RWU);
    pages_flush();
    write_cr4(read_cr4() | CR4_SMAP);
    load_gs(sel);
    check_fault("SMAP: a descriptor on a user page, AC 0", EXC_PF, PF_P);
    __asm__ volatile("stac" : : : "memory", "cc");
    load_gs(sel);
    __asm__ volatile("clac" : : : "memory", "cc");
    check_fault("AC 1 does not help", EXC_PF, PF_P);
    check_equal("CR2 is the descriptor", WINDOW + 8, caught.cr2);
    write_cr4(read_cr4() & ~(reg_t)CR4_SMAP);
    for (unsigned i = 0; i < 512; i++)
        *page_entry((reg_t)i << 21, 2) |= PT_U;
    pages_flush();
    load_gs(sel);
    check_no_fault("and without SMAP it loads");
}

/* The LDT on a user page: the processor's own reads of it are supervisor accesses whatever CPL and
 * AC are. */
static void implicit(void)
{
    enum { LDT = SEL_SPARE, FIRST = 8 | 4 };
    uint64_t *ldt = (uint64_t *)(void *)page_a;
    ldt[1] = make_segment(0, 0xFFFFF, SEG_DATA | SEG_DPL3, SEG_G | SEG_D);
    gdt_set(LDT, make_segment((uint32_t)WINDOW, 15, 0x82, 0));
    gdt_set(LDT + 8, 0);
    page_map(WINDOW, (reg_t)page_a, PT_P | PT_W);
    pages_flush();
    load_ldt(LDT);
    ring3(load_gs, FIRST | 3);
    check_no_fault("CPL 3 loads a descriptor from a supervisor page");
    page_map(WINDOW, (reg_t)page_a, 0);
    pages_flush();
    ring3(load_gs, FIRST | 3);
    check_fault("from a page not present: U is 0", EXC_PF, 0);
    if (cpuid(7, 0).b & 1u << 20)
        under_smap(FIRST);
    else
        skip("SMAP", "the CPU has none");
    load_ldt(0);
}

/* ---- INVPCID, CR3, CR4.PCIDE ---- */

static void invpcid_with(const char *name, reg_t type, uint64_t low, uint64_t la, unsigned vector)
{
    struct {
        uint64_t low, la;
    } d = {low, la};
    __asm__ volatile(TRY "invpcid %0, %1" END_TRY : : "m"(d), "r"(type) : "memory");
    if (vector == NO_EXCEPTION)
        check_no_fault(name);
    else
        check_fault(name, vector, 0);
}

static reg_t user_invpcid(reg_t la)
{
    __asm__ volatile(TRY "invpcid (%0), %0" END_TRY : : "r"(la) : "memory");
    return 0;
}

static void invpcid(void)
{
    if (!(cpuid(7, 0).b & 1u << 10)) {
        skip("INVPCID", "the CPU has none");
        return;
    }
    invpcid_with("type 0", 0, 0, WINDOW, NO_EXCEPTION);
    invpcid_with("type 0, an address not canonical", 0, 0, HOLE, EXC_GP);
    invpcid_with("type 0, a PCID while CR4.PCIDE is 0", 0, 1, WINDOW, EXC_GP);
    invpcid_with("type 1, a PCID while CR4.PCIDE is 0", 1, 1, 0, EXC_GP);
    invpcid_with("type 1 ignores the address", 1, 0, HOLE, NO_EXCEPTION);
    invpcid_with("type 2 ignores the PCID", 2, 1, HOLE, NO_EXCEPTION);
    invpcid_with("type 3 too", 3, 0xFFF, HOLE, NO_EXCEPTION);
    for (reg_t type = 0; type < 4; type++)
        invpcid_with("bit 12 of the descriptor is reserved", type, 0x1000, WINDOW, EXC_GP);
    invpcid_with("type 4", 4, 0, 0, EXC_GP);
    invpcid_with("a large type", (reg_t)1 << 32, 0, 0, EXC_GP);
    ring3(user_invpcid, WINDOW);
    check_fault("at CPL 3", EXC_GP, 0);
    __asm__ volatile(TRY "invpcid (%0), %1" END_TRY
                     :
                     : "r"(WINDOW + 0x200000), "r"((reg_t)4)
                     : "memory");
    check("its operand is read before the type is looked at", caught.vector != NO_EXCEPTION);
    __asm__ volatile("invlpg (%0)" : : "r"(HOLE) : "memory");
    check("INVLPG of an address not canonical does nothing", true);
}

static void try_cr3(reg_t v)
{
    __asm__ volatile(TRY "mov %0, %%cr3" END_TRY : : "r"(v) : "memory");
}

static void try_cr4(reg_t v)
{
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY : : "r"(v) : "memory");
}

static void pcid(void)
{
    reg_t root = read_cr3();
    if (!(cpuid(1, 0).c & 1u << 17)) {
        skip("PCID", "the CPU has none");
        return;
    }
    try_cr3(root | (reg_t)1 << 63);
    check_fault("bit 63 of CR3 while CR4.PCIDE is 0", EXC_GP, 0);
    try_cr3(root | (reg_t)1 << 62);
    check_fault("bit 62", EXC_GP, 0);
    try_cr4(read_cr4() | CR4_PCIDE);
    check_no_fault("CR4.PCIDE with CR3[11:0] = 0");
    try_cr3(root | 0xFFF);
    check_no_fault("any PCID");
    check_equal("it reads back", root | 0xFFF, read_cr3());
    try_cr3(root | (reg_t)1 << 63 | 0x123);
    check_no_fault("bit 63 now");
    check_equal("it does not read back", root | 0x123, read_cr3());
    __asm__ volatile(TRY "mov %0, %%cr0" END_TRY : : "r"(read_cr0() & ~(reg_t)CR0_PG) : "memory");
    check_fault("clearing CR0.PG in 64-bit mode", EXC_GP, 0);
    try_cr4(read_cr4() & ~(reg_t)CR4_PCIDE);
    check_no_fault("CR4.PCIDE may be cleared with any PCID");
    write_cr3(root);
    __asm__ volatile(TRY "mov %0, %%cr8" END_TRY : : "r"((reg_t)16) : "memory");
    check_fault("a reserved bit of CR8", EXC_GP, 0);
    __asm__ volatile(TRY "wrmsr" END_TRY
                     :
                     : "c"(MSR_EFER), "a"((uint32_t)read_msr(MSR_EFER) & ~EFER_LME), "d"(0)
                     : "memory");
    check_fault("clearing EFER.LME while paging is on", EXC_GP, 0);
}

int main(void)
{
    data();
    code();
    second_page();
    invpcid();
    pcid();
    implicit();
    return checks_result();
}
