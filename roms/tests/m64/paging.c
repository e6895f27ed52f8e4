/* SPDX-License-Identifier: MIT */
/* 4-level paging: faults and their error codes, protection keys of the old kind (WP, SMEP, SMAP,
 * NX), page sizes, accessed and dirty bits. SDM Vol. 3A, "Paging". */
#include "roms/lib/paging.h"

#define WINDOW ((reg_t)0x40000000) /* 1 GiB: where nothing else lives */
enum { RET = 0xC3 };

static uint8_t page_a[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t page_b[GUEST_PAGE] __attribute__((aligned(4096)));

static volatile uint32_t *window(reg_t offset)
{
    return (volatile uint32_t *)(WINDOW + offset);
}

static void map(uint64_t flags)
{
    page_map(WINDOW, (reg_t)page_a, flags);
    invlpg(window(0));
}

static reg_t try_read(reg_t la)
{
    reg_t v = 0;
    __asm__ volatile(TRY "movl (%1), %k0" END_TRY : "+r"(v) : "r"(la) : "memory");
    return v;
}

static reg_t try_write(reg_t la)
{
    __asm__ volatile(TRY "movl $0x55, (%0)" END_TRY : : "r"(la) : "memory");
    return 0;
}

/* The page holds RET. A fault at the target leaves the return address behind: hence RBX. */
static reg_t try_call(reg_t la)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY "call *%0" END_TRY "mov %%rbx, %%rsp"
                     :
                     : "r"(la)
                     : "rbx", "memory");
    return 0;
}

static void expect_pf(const char *name, unsigned error, reg_t la)
{
    if (check_fault(name, EXC_PF, error) && caught.cr2 != la)
        check_equal("CR2", la, caught.cr2);
}

static void not_present(void)
{
    map(0);
    try_read(WINDOW + 8);
    expect_pf("read, not present, CPL 0", 0, WINDOW + 8);
    try_write(WINDOW + 12);
    expect_pf("write, not present, CPL 0", PF_W, WINDOW + 12);
    ring3(try_read, WINDOW + 8);
    expect_pf("read, not present, CPL 3", PF_U, WINDOW + 8);
    ring3(try_write, WINDOW + 8);
    expect_pf("write, not present, CPL 3", PF_U | PF_W, WINDOW + 8);
    try_call(WINDOW);
    expect_pf("fetch, not present, CPL 0 (NXE = 1)", PF_I, WINDOW);
    map(PT_P | PT_W | PT_U);
    map(0);
    try_read(WINDOW);
    expect_pf("read after the entry was cleared and INVLPG", 0, WINDOW);
}

static void protection(void)
{
    map(PT_P | PT_W);
    ring3(try_read, WINDOW);
    expect_pf("CPL 3 reads a supervisor page", PF_P | PF_U, WINDOW);
    ring3(try_write, WINDOW);
    expect_pf("CPL 3 writes a supervisor page", PF_P | PF_U | PF_W, WINDOW);
    map(PT_P | PT_U);
    ring3(try_write, WINDOW);
    expect_pf("CPL 3 writes a read-only page", PF_P | PF_U | PF_W, WINDOW);
    write_cr0(read_cr0() & ~(reg_t)CR0_WP);
    try_write(WINDOW);
    check_no_fault("CPL 0 writes a read-only page, WP = 0");
    ring3(try_write, WINDOW);
    expect_pf("CPL 3 does not, WP = 0", PF_P | PF_U | PF_W, WINDOW);
    write_cr0(read_cr0() | CR0_WP);
    try_write(WINDOW);
    expect_pf("CPL 0 writes a read-only page, WP = 1", PF_P | PF_W, WINDOW);
    *page_entry(WINDOW, 2) &= ~(uint64_t)PT_W;
    map(PT_P | PT_W | PT_U);
    try_write(WINDOW);
    expect_pf("the page directory entry is read-only", PF_P | PF_W, WINDOW);
    *page_entry(WINDOW, 2) |= PT_W;
    *page_entry(WINDOW, 3) &= ~(uint64_t)PT_U;
    invlpg(window(0));
    ring3(try_read, WINDOW);
    expect_pf("the PDPT entry is supervisor", PF_P | PF_U, WINDOW);
    *page_entry(WINDOW, 3) |= PT_U;
    invlpg(window(0));
    ring3(try_write, WINDOW);
    check_no_fault("CPL 3 writes a writable user page");
}

static void no_execute(void)
{
    page_a[0] = RET;
    map(PT_P | PT_W | PT_U);
    try_call(WINDOW);
    check_no_fault("a fetch from an executable page");
    map(PT_P | PT_W | PT_U | PT_NX);
    try_call(WINDOW);
    expect_pf("a fetch from an XD page, CPL 0", PF_P | PF_I, WINDOW);
    check_equal("its saved RIP is the target", WINDOW, caught.ip);
    ring3(try_call, WINDOW);
    expect_pf("a fetch from an XD page, CPL 3", PF_P | PF_I | PF_U, WINDOW);
    try_read(WINDOW);
    check_no_fault("a read from an XD page");
    write_msr(MSR_EFER, read_msr(MSR_EFER) & ~(uint64_t)EFER_NXE);
    pages_flush();
    try_read(WINDOW);
    expect_pf("bit 63 is reserved when NXE = 0", PF_P | PF_RSVD, WINDOW);
    map(0);
    try_call(WINDOW);
    expect_pf("without NXE and SMEP a fetch does not set I/D", 0, WINDOW);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
}

static void reserved_bits(void)
{
    unsigned width = cpuid(0x80000008, 0).a & 0xFF;
    if (width < 52) {
        map(PT_P | PT_W | PT_U | UINT64_C(1) << 51);
        try_read(WINDOW);
        expect_pf("an address bit above MAXPHYADDR in a PTE", PF_P | PF_RSVD, WINDOW);
        ring3(try_write, WINDOW);
        expect_pf("the same by a write at CPL 3", PF_P | PF_RSVD | PF_U | PF_W, WINDOW);
    }
    /* PS is reserved in a PML4E; one that serves nothing else. */
    *page_entry((reg_t)1 << 39, 4) = PT_P | PT_W | PT_U | PT_PS;
    try_read((reg_t)1 << 39);
    expect_pf("PS in a PML4E", PF_P | PF_RSVD, (reg_t)1 << 39);
    *page_entry((reg_t)1 << 39, 4) = 0;
}

static void supervisor_modes(bool has_smep, bool has_smap)
{
    page_a[0] = RET;
    map(PT_P | PT_W | PT_U);
    /* The runtime's own pages must be supervisor pages first. */
    for (unsigned i = 0; i < 512; i++)
        *page_entry((reg_t)i << 21, 2) &= ~(uint64_t)PT_U;
    pages_flush();
    if (has_smep) {
        write_cr4(read_cr4() | CR4_SMEP);
        try_call(WINDOW);
        expect_pf("SMEP: CPL 0 fetches from a user page", PF_P | PF_I, WINDOW);
        write_cr4(read_cr4() & ~(reg_t)CR4_SMEP);
        try_call(WINDOW);
        check_no_fault("the same without SMEP");
    }
    if (has_smap) {
        write_cr4(read_cr4() | CR4_SMAP);
        try_read(WINDOW);
        expect_pf("SMAP: CPL 0 reads a user page, AC = 0", PF_P, WINDOW);
        try_write(WINDOW);
        expect_pf("SMAP: CPL 0 writes a user page, AC = 0", PF_P | PF_W, WINDOW);
        __asm__ volatile("stac" : : : "memory", "cc");
        try_read(WINDOW);
        check_no_fault("STAC lets it through");
        __asm__ volatile("clac" : : : "memory", "cc");
        try_read(WINDOW);
        expect_pf("CLAC does not", PF_P, WINDOW);
        try_call(WINDOW);
        check_no_fault("SMAP does not concern fetches");
        write_cr4(read_cr4() & ~(reg_t)CR4_SMAP);
    }
    for (unsigned i = 0; i < 512; i++)
        *page_entry((reg_t)i << 21, 2) |= PT_U;
    pages_flush();
}

static void accessed_and_dirty(void)
{
    volatile uint64_t *pte = page_entry(WINDOW, 1), *pde = page_entry(WINDOW, 2);
    map(PT_P | PT_W | PT_U);
    *pde &= ~(uint64_t)PT_A;
    pages_flush();
    try_read(WINDOW);
    check("a read sets A in the PTE, not D", (*pte & (PT_A | PT_D)) == PT_A);
    check("and A in the PDE", *pde & PT_A);
    try_write(WINDOW);
    check("a write sets D", (*pte & (PT_A | PT_D)) == (PT_A | PT_D));
    *pte &= ~(uint64_t)(PT_A | PT_D);
    invlpg(window(0));
    try_write(WINDOW);
    check("after clearing and INVLPG a write sets both again",
          (*pte & (PT_A | PT_D)) == (PT_A | PT_D));
    map(PT_P | PT_U);
    try_write(WINDOW);
    check("a write that faults sets no D", !(*pte & PT_D));
    map(PT_P | PT_W);
    ring3(try_write, WINDOW);
    check("a user write that faults sets no D", !(*pte & PT_D));
    map(PT_P | PT_W | PT_U);
    __asm__ volatile("lock cmpxchgl %1, (%0)"
                     :
                     : "r"(WINDOW), "r"(1), "a"(0x7777)
                     : "memory", "cc");
    check("CMPXCHG that does not match still sets D", *pte & PT_D);
}

static void large_pages(void)
{
    volatile uint64_t *pde, *pdpte;
    reg_t big = (reg_t)0x80000000;
    pde = page_entry(big, 2);
    *pde = ((reg_t)page_a & ~(reg_t)0x1FFFFF) | PT_P | PT_W | PT_U | PT_PS;
    pages_flush();
    *(volatile uint32_t *)page_a = 0x12345678;
    check_equal("a 2 MiB page", 0x12345678, try_read(big + ((reg_t)page_a & 0x1FFFFF)));
    try_write(big + ((reg_t)page_a & 0x1FFFFF));
    check("its PDE has A and D", (*pde & (PT_A | PT_D)) == (PT_A | PT_D));
    *pde |= 0x2000;
    pages_flush();
    try_read(big);
    expect_pf("a reserved bit in a 2 MiB PDE", PF_P | PF_RSVD, big);
    *pde = 0;
    if (!(cpuid(0x80000001, 0).d & 1u << 26)) {
        skip("1 GiB pages", "the CPU has none");
        return;
    }
    big = (reg_t)0x8000000000; /* another PML4E */
    pdpte = page_entry(big, 3);
    *pdpte = PT_P | PT_W | PT_U | PT_PS;
    pages_flush();
    *(volatile uint32_t *)page_a = 0x9ABCDEF0;
    check_equal("a 1 GiB page", 0x9ABCDEF0, try_read(big + (reg_t)page_a));
    try_write(big + (reg_t)page_a);
    check("its PDPTE has A and D", (*pdpte & (PT_A | PT_D)) == (PT_A | PT_D));
}

/* A write that crosses into a bad page changes nothing in the good one. */
static void crossing(void)
{
    page_map(WINDOW, (reg_t)page_a, PT_P | PT_W | PT_U);
    page_map(WINDOW + GUEST_PAGE, (reg_t)page_b, PT_P | PT_U);
    pages_flush();
    *window(GUEST_PAGE - 4) = 0x11111111;
    try_write(WINDOW + GUEST_PAGE - 2);
    expect_pf("a write that crosses into a read-only page", PF_P | PF_W, WINDOW + GUEST_PAGE);
    check_equal("the first page is as before", 0x11111111, *window(GUEST_PAGE - 4));
    page_map(WINDOW + GUEST_PAGE, (reg_t)page_b, PT_P | PT_W | PT_U);
    pages_flush();
    try_write(WINDOW + GUEST_PAGE - 2);
    check_equal("a write across two good pages, low half", 0x00551111, *window(GUEST_PAGE - 4));
    check_equal("high half", 0, *(volatile uint16_t *)page_b);
}

int main(void)
{
    struct cpuid c7 = cpuid(7, 0);
    not_present();
    protection();
    no_execute();
    reserved_bits();
    supervisor_modes(c7.b & 1u << 7, c7.b & 1u << 20);
    accessed_and_dirty();
    large_pages();
    crossing();
    return checks_result();
}
