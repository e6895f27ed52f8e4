/* SPDX-License-Identifier: MIT */
/* The two older formats: 32-bit paging with 4 MiB pages, and PAE. SDM Vol. 3A, "32-Bit Paging",
 * "PAE Paging", "PDPTE Registers". */
#include "roms/lib/traps.h"

#define WINDOW ((reg_t)0x40000000)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX (UINT64_C(1) << 63)

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[4] __attribute__((aligned(32)));
static uint64_t pd[4][512] __attribute__((aligned(4096)));
static uint64_t pt[512] __attribute__((aligned(4096)));
static uint8_t page_a[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t page_b[GUEST_PAGE] __attribute__((aligned(4096)));

static volatile uint32_t *at(reg_t la)
{
    return (volatile uint32_t *)la;
}

static reg_t try_read(reg_t la)
{
    reg_t v = 0;
    __asm__ volatile(TRY "movl (%1), %0" END_TRY : "+r"(v) : "r"(la) : "memory");
    return v;
}

static reg_t try_write(reg_t la)
{
    __asm__ volatile(TRY "movl $0x55, (%0)" END_TRY : : "r"(la) : "memory");
    return 0;
}

static void legacy_on(void)
{
    for (unsigned i = 0; i < 1024; i++)
        directory[i] = i << 22 | P | W | U | PS;
    directory[WINDOW >> 22] = (uint32_t)table | P | W | U;
    write_cr4((read_cr4() | CR4_PSE) & ~(reg_t)CR4_PAE);
    write_cr3((reg_t)directory);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

static void legacy(void)
{
    uint32_t far_page = (uint32_t)page_b & ~0x3FFFFFu;
    legacy_on();
    try_read(WINDOW);
    check_fault("32-bit paging: not present", EXC_PF, 0);
    table[0] = (uint32_t)page_a | P | W | U;
    *(uint32_t *)(void *)page_a = 0xAAAA;
    check_equal("a 4 KiB page", 0xAAAA, try_read(WINDOW));
    check("A in PTE and PDE, D in neither",
          (table[0] & (A | D)) == A && (directory[WINDOW >> 22] & A));
    try_write(WINDOW);
    check("D by a write", table[0] & D);
    table[0] = (uint32_t)page_a | P;
    invlpg(at(WINDOW));
    ring3(try_read, WINDOW);
    check_fault("CPL 3 reads a supervisor page", EXC_PF, PF_P | PF_U);
    try_write(WINDOW);
    check_fault("CPL 0 writes a read-only page, WP = 1", EXC_PF, PF_P | PF_W);
    directory[0x200] = far_page | P | W | U | PS;
    write_cr3((reg_t)directory);
    *(volatile uint32_t *)(void *)page_b = 0xBBBB;
    check_equal("a 4 MiB page", 0xBBBB, try_read((0x200u << 22) + ((uint32_t)page_b - far_page)));
    try_write((0x200u << 22) + ((uint32_t)page_b - far_page));
    check("A and D in its PDE", (directory[0x200] & (A | D)) == (A | D));
    /* PSE-36: bits 20:13 of the PDE are address bits 39:32, as MAXPHYADDR allows; 21 is reserved.
     */
    directory[0x200] = far_page | P | W | U | PS | 1u << 21;
    invlpg(at(0x200u << 22));
    try_read(0x200u << 22);
    check_fault("bit 21 of a 4 MiB PDE is reserved", EXC_PF, PF_P | PF_RSVD);
    directory[0x200] = 0;
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
}

static void pae_on(bool has_nx)
{
    for (uint32_t i = 0; i < 2048; i++)
        pd[i / 512][i % 512] = (uint64_t)i << 21 | P | W | U | PS;
    pd[1][0] = (uint32_t)pt | P | W | U;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (uint32_t)pd[i] | P;
    write_cr4(read_cr4() | CR4_PAE);
    if (has_nx)
        write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    write_cr3((reg_t)pdpt);
    write_cr0(read_cr0() | CR0_PG);
}

static void no_execute(void)
{
    page_a[0] = 0xC3;
    pt[0] = (uint32_t)page_a | P | W | U | NX;
    invlpg(at(WINDOW));
    __asm__ volatile("mov %%esp, %%ebx\n\t" TRY "call *%0" END_TRY "mov %%ebx, %%esp"
                     :
                     : "r"(WINDOW)
                     : "ebx", "memory");
    check_fault("PAE: a fetch from an XD page", EXC_PF, PF_P | PF_I);
    pt[0] = (uint32_t)page_a | P | W | U;
    invlpg(at(WINDOW));
    __asm__ volatile(TRY "call *%0" END_TRY : : "r"(WINDOW) : "memory");
    check_no_fault("PAE: a fetch from an executable one");
}

static void pae(void)
{
    bool has_nx = cpuid(0x80000000, 0).a > 0x80000000 && cpuid(0x80000001, 0).d & 1u << 20;
    pae_on(has_nx);
    try_read(WINDOW);
    check_fault("PAE: not present", EXC_PF, 0);
    pt[0] = (uint32_t)page_a | P | W | U;
    *(uint32_t *)(void *)page_a = 0xCCCC;
    check_equal("PAE: a 4 KiB page", 0xCCCC, try_read(WINDOW));
    try_write(WINDOW);
    check("PAE: A and D", (pt[0] & (A | D)) == (A | D));
    pt[0] = (uint32_t)page_a | P | UINT64_C(1) << 62;
    invlpg(at(WINDOW));
    try_read(WINDOW);
    check_fault("PAE: bit 62 is reserved", EXC_PF, PF_P | PF_RSVD);
    pd[1][1] = ((uint32_t)page_b & ~0x1FFFFFu) | P | W | U | PS;
    invlpg(at(WINDOW + 0x200000));
    *(volatile uint32_t *)(void *)page_b = 0xDDDD;
    check_equal("PAE: a 2 MiB page", 0xDDDD,
                try_read(WINDOW + 0x200000 + ((uint32_t)page_b & 0x1FFFFF)));
    if (has_nx)
        no_execute();
    else
        skip("PAE: XD", "the CPU has none");
}

/* Page size extension: what PS means by CR4.PSE, and where bits 20:13 lead. */
static void large_pages(void)
{
    uint32_t la = 0x200u << 22, page = (uint32_t)page_b & ~0x3FFFFFu, off = (uint32_t)page_b - page;
    static uint32_t as_table[1024] __attribute__((aligned(4096)));
    legacy_on();
    *(volatile uint32_t *)(void *)page_b = 0xBBBB;
    directory[0x200] = page | P | W | U | PS | 1u << 13;
    invlpg(at(la));
    check("PSE-36: bit 13 is address bit 32", try_read(la + off) != 0xBBBB);
    directory[0x200] = page | P | W | U | PS | 1u << 12;
    invlpg(at(la));
    check_equal("bit 12 is PAT, not address", 0xBBBB, try_read(la + off));
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
    write_cr4(read_cr4() & ~(reg_t)CR4_PSE);
    for (uint32_t i = 0; i < 1024; i++)
        as_table[i] = i << 12 | P | W | U;
    directory[0] = (uint32_t)as_table | P | W | U; /* where this code is: the low 4 MiB */
    directory[0x201] = (uint32_t)table | P | W | U | PS;
    table[5] = (uint32_t)page_b | P;
    write_cr0(read_cr0() | CR0_PG);
    check_equal("CR4.PSE = 0: PS is ignored, the entry names a table", 0xBBBB,
                try_read((0x201u << 22) + (5 << 12)));
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
    directory[0x200] = directory[0x201] = 0;
}

static void expect_reserved(const char *name, volatile uint64_t *entry, unsigned bit, reg_t la)
{
    uint64_t old = *entry;
    *entry = old | UINT64_C(1) << bit;
    write_cr3((reg_t)pdpt);
    try_read(la);
    if (caught.vector != EXC_PF || caught.error != (PF_P | PF_RSVD) || caught.cr2 != la)
        check_equal(name, 0, bit);
    *entry = old;
    write_cr3((reg_t)pdpt);
}

static void pae_reserved_bits(void)
{
    unsigned width = cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a & 0xFF : 36;
    bool has_nxe = cpuid(0x80000001, 0).d & 1u << 20 && read_msr(MSR_EFER) & EFER_NXE;
    pt[0] = (uint32_t)page_a | P | W | U;
    pd[1][1] = ((uint32_t)page_b & ~0x1FFFFFu) | P | W | U | PS;
    for (unsigned bit = width; bit < (has_nxe ? 63 : 64); bit++) {
        expect_reserved("PTE bit", &pt[0], bit, WINDOW);
        expect_reserved("PDE bit", &pd[1][0], bit, WINDOW);
        expect_reserved("2 MiB PDE bit", &pd[1][1], bit, WINDOW + 0x200000);
    }
    for (unsigned bit = 13; bit < 21; bit++)
        expect_reserved("2 MiB PDE bit", &pd[1][1], bit, WINDOW + 0x200000);
    check("PAE: every reserved bit of PDE and PTE was tried", true);
    for (unsigned bit = 1; bit < 64; bit++) {
        bool is_reserved = (bit <= 2) || (bit >= 5 && bit <= 8) || bit >= width;
        uint64_t old = pdpt[3];
        *(volatile uint64_t *)&pdpt[3] = old | UINT64_C(1) << bit;
        if (bit < 9 || bit >= width)
            __asm__ volatile(TRY "mov %0, %%cr3" END_TRY : : "r"(pdpt) : "memory");
        else
            caught.vector = NO_EXCEPTION;
        if ((caught.vector == EXC_GP) != is_reserved)
            check_equal("PDPTE bit", 0, bit);
        *(volatile uint64_t *)&pdpt[3] = UINT64_C(1) << bit & ~UINT64_C(1);
        __asm__ volatile(TRY "mov %0, %%cr3" END_TRY : : "r"(pdpt) : "memory");
        if (caught.vector != NO_EXCEPTION)
            check_equal("PDPTE bit with P = 0", 0, bit);
        *(volatile uint64_t *)&pdpt[3] = old;
        write_cr3((reg_t)pdpt);
    }
    check("PAE: every bit of a PDPTE was tried", true);
}

/* "MOV to CR0 or CR4" that change certain bits load the PDPTEs too. */
static void pdpte_loads(void)
{
    static const struct {
        const char *name;
        bool is_cr4, loads;
        uint32_t bit;
    } writes[] = {
        {"CR0.CD", false, true, CR0_CD},  {"CR0.WP", false, false, CR0_WP},
        {"CR0.TS", false, false, CR0_TS}, {"CR4.PGE", true, true, CR4_PGE},
        {"CR4.PSE", true, true, CR4_PSE}, {"CR4.TSD", true, false, CR4_TSD},
        {"CR4.DE", true, false, CR4_DE},
    };
    for (unsigned i = 0; i < COUNT(writes); i++) {
        *(volatile uint64_t *)&pdpt[1] = 0;
        if (writes[i].is_cr4)
            write_cr4(read_cr4() ^ writes[i].bit);
        else
            write_cr0(read_cr0() ^ writes[i].bit);
        try_read(WINDOW);
        check(writes[i].name, (caught.vector == EXC_PF) == writes[i].loads);
        *(volatile uint64_t *)&pdpt[1] = (uint32_t)pd[1] | P;
        if (writes[i].is_cr4)
            write_cr4(read_cr4() ^ writes[i].bit);
        else
            write_cr0(read_cr0() ^ writes[i].bit);
        write_cr3((reg_t)pdpt);
    }
}

static void pdpte_registers(void)
{
    pt[0] = (uint32_t)page_a | P | W | U;
    *(volatile uint64_t *)&pdpt[1] = 0;
    invlpg(at(WINDOW));
    try_read(WINDOW);
    /* "the logical processor does not consult the PDPTEs in memory" */
    check_no_fault("PDPTEs live in registers: memory is not looked at");
    write_cr3((reg_t)pdpt);
    try_read(WINDOW);
    check_fault("until CR3 is written", EXC_PF, 0);
    *(volatile uint64_t *)&pdpt[1] = (uint32_t)pd[1] | P | W;
    __asm__ volatile(TRY "mov %0, %%cr3" END_TRY : : "r"(pdpt) : "memory");
    check_fault("a reserved bit in a PDPTE: #GP by the write of CR3", EXC_GP, 0);
    *(volatile uint64_t *)&pdpt[1] = (uint32_t)pd[1] | P;
    write_cr3((reg_t)pdpt);
    try_read(WINDOW);
    check_no_fault("and good again");
    write_cr0(read_cr0() & ~(reg_t)CR0_PG);
}

int main(void)
{
    legacy();
    large_pages();
    pae();
    pae_reserved_bits();
    pdpte_loads();
    pdpte_registers();
    return checks_result();
}
