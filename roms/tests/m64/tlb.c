/* SPDX-License-Identifier: MIT */
/* Translations and the tables they come from, edited in every way that software edits them. Each
 * edit is followed by the flush that SDM Vol. 3A, "Operations that Invalidate TLBs and
 * Paging-Structure Caches" asks for; where it allows the old or the new translation, nothing is
 * checked. */
#include "roms/lib/paging.h"

#define WINDOW ((reg_t)0x40000000)
#define ALIAS ((reg_t)0x48000000)
#define CR3_NO_FLUSH ((reg_t)1 << 63)
enum { RWU = PT_P | PT_W | PT_U };

static uint8_t a[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t b[GUEST_PAGE] __attribute__((aligned(4096)));

static volatile uint32_t *at(reg_t la)
{
    return (volatile uint32_t *)la;
}

static void set_pages(void)
{
    *(uint32_t *)(void *)a = 0xAAAAAAAA;
    *(uint32_t *)(void *)b = 0xBBBBBBBB;
    /* MOV EAX, 1 or 2; RET */
    memcpy(a + 16, "\xB8\x01\x00\x00\x00\xC3", 6);
    memcpy(b + 16, "\xB8\x02\x00\x00\x00\xC3", 6);
}

static uint32_t call(reg_t la)
{
    return ((uint32_t(*)(void))la)();
}

static void one_entry(void)
{
    volatile uint64_t *pte = page_entry(WINDOW, 1);
    bool is_right = true;
    for (unsigned i = 0; i < 100; i++) {
        uint8_t *page = i & 1 ? b : a;
        *pte = (reg_t)page | RWU;
        invlpg(at(WINDOW));
        is_right = is_right && *at(WINDOW) == *(uint32_t *)(void *)page &&
                   call(WINDOW + 16) == 1 + (i & 1);
        *at(WINDOW + 64) = i;
        is_right = is_right && *(volatile uint32_t *)(void *)(page + 64) == i;
    }
    check("read, write and fetch follow the PTE after INVLPG", is_right);
}

static void edited_by_bytes(void)
{
    volatile uint64_t *pte = page_entry(WINDOW, 1);
    uint64_t to_b = (reg_t)b | RWU | PT_A | PT_D;
    *pte = (reg_t)a | RWU;
    invlpg(at(WINDOW));
    check_equal("before", 0xAAAAAAAA, *at(WINDOW));
    for (unsigned i = 0; i < 8; i++)
        ((volatile uint8_t *)pte)[i] = (uint8_t)(to_b >> 8 * i);
    invlpg(at(WINDOW));
    check_equal("a PTE written byte by byte", 0xBBBBBBBB, *at(WINDOW));
    __atomic_store_n(pte, (reg_t)a | RWU, __ATOMIC_SEQ_CST);
    invlpg(at(WINDOW));
    check_equal("by XCHG", 0xAAAAAAAA, *at(WINDOW));
    memcpy((void *)(reg_t)pte, &to_b, 8);
    invlpg(at(WINDOW));
    check_equal("by REP MOVSB", 0xBBBBBBBB, *at(WINDOW));
    __asm__ volatile("lock btrl $0, %0" : "+m"(*pte) : : "cc");
    invlpg(at(WINDOW));
    __asm__ volatile(TRY "mov (%0), %%eax" END_TRY : : "r"(WINDOW) : "eax", "memory");
    check_fault("present cleared by LOCK BTR", EXC_PF, 0);
    *pte = (reg_t)a | RWU;
    check_equal("not-present is never cached: no flush needed", 0xAAAAAAAA, *at(WINDOW));
}

static void through_an_alias(void)
{
    reg_t table = (reg_t)page_entry(WINDOW, 1) & ~(reg_t)0xFFF;
    volatile uint64_t *pte;
    page_map(ALIAS, table, RWU);
    invlpg(at(ALIAS));
    pte = (volatile uint64_t *)(ALIAS + ((reg_t)page_entry(WINDOW, 1) & 0xFFF));
    *page_entry(WINDOW, 1) = (reg_t)a | RWU;
    invlpg(at(WINDOW));
    check_equal("before", 0xAAAAAAAA, *at(WINDOW));
    *pte = (reg_t)b | RWU;
    invlpg(at(WINDOW));
    check_equal("a table edited through another linear address", 0xBBBBBBBB, *at(WINDOW));
}

static void higher_levels(void)
{
    volatile uint64_t *pde = page_entry(WINDOW, 2), *pdpte = page_entry(WINDOW, 3);
    uint64_t old_pde = *pde, old_pdpte = *pdpte;
    uint64_t *table = page_alloc(), *directory = page_alloc();
    *page_entry(WINDOW, 1) = (reg_t)a | RWU;
    pages_flush();
    check_equal("before", 0xAAAAAAAA, *at(WINDOW));
    table[0] = (reg_t)b | RWU;
    *pde = (reg_t)table | RWU;
    invlpg(at(WINDOW));
    check_equal("another table under the PDE", 0xBBBBBBBB, *at(WINDOW));
    *pde = old_pde;
    invlpg(at(WINDOW));
    check_equal("and back", 0xAAAAAAAA, *at(WINDOW));
    directory[0] = (reg_t)table | RWU;
    *pdpte = (reg_t)directory | RWU;
    pages_flush();
    check_equal("another directory under the PDPTE", 0xBBBBBBBB, *at(WINDOW));
    table[0] = (reg_t)a | RWU;
    invlpg(at(WINDOW));
    check_equal("its table is live", 0xAAAAAAAA, *at(WINDOW));
    *pdpte = old_pdpte;
    pages_flush();
    /* The two pages stop being tables: stores there must harm nobody. */
    for (unsigned i = 0; i < 512; i++)
        table[i] = directory[i] = 0x0123456789ABCDEF;
    check_equal("old tables as data", 0xAAAAAAAA, *at(WINDOW));
}

static void access_rights(void)
{
    volatile uint64_t *pte = page_entry(WINDOW, 1);
    *pte = (reg_t)a | RWU;
    invlpg(at(WINDOW));
    *at(WINDOW + 128) = 1;
    *pte &= ~(uint64_t)PT_W;
    invlpg(at(WINDOW));
    __asm__ volatile(TRY "movl $2, (%0)" END_TRY : : "r"(WINDOW + 128) : "memory");
    check_fault("a page made read-only", EXC_PF, PF_P | PF_W);
    check_equal("still readable and unchanged", 1, *at(WINDOW + 128));
    *pte |= PT_NX;
    invlpg(at(WINDOW));
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY "call *%0" END_TRY "mov %%rbx, %%rsp"
                     :
                     : "r"(WINDOW + 16)
                     : "rbx", "rax", "memory");
    check_fault("a page made XD after it was executed", EXC_PF, PF_P | PF_I);
    *pte = (reg_t)a | RWU;
    invlpg(at(WINDOW));
    check_equal("and executable again", 1, call(WINDOW + 16));
}

/* Two address spaces that differ in one page. */
static void two_roots(bool has_pcid)
{
    static uint64_t other[512] __attribute__((aligned(4096)));
    uint64_t *pdpt = page_alloc(), *pd = page_alloc(), *pt = page_alloc();
    reg_t first = read_cr3();
    bool is_right = true;
    memcpy(other, (void *)first, GUEST_PAGE);
    memcpy(pdpt, (void *)(reg_t)(other[0] & PT_ADDRESS), GUEST_PAGE);
    other[0] = (reg_t)pdpt | RWU;
    pdpt[1] = (reg_t)pd | RWU;
    pd[0] = (reg_t)pt | RWU;
    pt[0] = (reg_t)b | RWU;
    *page_entry(WINDOW, 1) = (reg_t)a | RWU;
    for (unsigned i = 0; i < 100; i++) {
        write_cr3(i & 1 ? (reg_t)other : first);
        is_right = is_right && *at(WINDOW) == (i & 1 ? 0xBBBBBBBB : 0xAAAAAAAA);
    }
    check("two roots in turn", is_right);
    write_cr3(first);
    if (!has_pcid) {
        skip("PCID", "the CPU has none");
        return;
    }
    write_cr4(read_cr4() | CR4_PCIDE);
    for (unsigned i = 0; i < 100; i++) {
        write_cr3((i & 1 ? (reg_t)other | 2 : first | 1) | (i > 2 ? CR3_NO_FLUSH : 0));
        is_right = is_right && *at(WINDOW) == (i & 1 ? 0xBBBBBBBB : 0xAAAAAAAA);
    }
    check("two roots with PCIDs and no flush", is_right);
    check_equal("bit 63 of CR3 does not read back", (reg_t)other | 2, read_cr3());
    pt[0] = (reg_t)a | RWU;
    write_cr3((reg_t)other | 2); /* flushes PCID 2 */
    check_equal("a CR3 write that flushes", 0xAAAAAAAA, *at(WINDOW));
    write_cr3(first);
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY : : "r"(read_cr4() & ~(reg_t)CR4_PAE) : "memory");
    check_fault("PAE cannot be cleared", EXC_GP, 0);
    write_cr4(read_cr4() & ~(reg_t)CR4_PCIDE);
    write_cr3(first | 8); /* PWT; with PCIDE = 0 bits 11:0 but PWT and PCD are ignored */
    __asm__ volatile(TRY "mov %0, %%cr4" END_TRY : : "r"(read_cr4() | CR4_PCIDE) : "memory");
    check_fault("PCIDE while CR3[11:0] is not 0", EXC_GP, 0);
    write_cr3(first);
}

static void invpcid(bool has_invpcid)
{
    struct {
        uint64_t pcid;
        uint64_t la;
    } d = {0, WINDOW};
    volatile uint64_t *pte = page_entry(WINDOW, 1);
    if (!has_invpcid) {
        skip("INVPCID", "the CPU has none");
        return;
    }
    for (reg_t type = 0; type < 4; type++) {
        *pte = (reg_t)a | RWU;
        invlpg(at(WINDOW));
        check_equal("before", 0xAAAAAAAA, *at(WINDOW));
        *pte = (reg_t)b | RWU;
        __asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
        check_equal("INVPCID", 0xBBBBBBBB, *at(WINDOW));
    }
    __asm__ volatile(TRY "invpcid %0, %1" END_TRY : : "m"(d), "r"((reg_t)4) : "memory");
    check_fault("INVPCID of an unknown type", EXC_GP, 0);
}

int main(void)
{
    set_pages();
    one_entry();
    edited_by_bytes();
    through_an_alias();
    higher_levels();
    access_rights();
    two_roots(cpuid(1, 0).c & 1u << 17);
    invpcid(cpuid(7, 0).b & 1u << 10);
    return checks_result();
}
