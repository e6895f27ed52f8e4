/* SPDX-License-Identifier: MIT */
/* Protection keys: PKRU, its instructions, and what it lets through. SDM Vol. 3A, "Protection
 * Keys". */
#include "roms/lib/paging.h"

#define WINDOW ((reg_t)0x40000000)
#define KEY(k) ((uint64_t)(k) << 59)
#define NO_ACCESS(k) (1u << 2 * (k))
#define NO_WRITE(k) (2u << 2 * (k))
enum { RET = 0xC3 };

static uint8_t page_a[GUEST_PAGE] __attribute__((aligned(4096)));

static void map(uint64_t flags)
{
    page_map(WINDOW, (reg_t)page_a, flags);
    invlpg((volatile void *)WINDOW);
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

static reg_t try_call(reg_t la)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRY "call *%0" END_TRY "mov %%rbx, %%rsp"
                     :
                     : "r"(la)
                     : "rbx", "memory");
    return 0;
}

static void wrpkru(uint32_t a, uint32_t c, uint32_t d)
{
    __asm__ volatile(TRY ".byte 0x0f, 0x01, 0xef" END_TRY : : "a"(a), "c"(c), "d"(d) : "memory");
}

static uint32_t rdpkru(uint32_t c, uint32_t *d)
{
    uint32_t a = 0;
    *d = ~0u;
    __asm__ volatile(TRY ".byte 0x0f, 0x01, 0xee" END_TRY : "+a"(a), "+d"(*d) : "c"(c));
    return a;
}

static reg_t ring3_write_pkru(reg_t v)
{
    wrpkru((uint32_t)v, 0, 0);
    return 0;
}

static void expect_pf(const char *name, unsigned error, reg_t la)
{
    if (check_fault(name, EXC_PF, error) && caught.cr2 != la)
        check_equal("CR2", la, caught.cr2);
}

static void instructions(void)
{
    uint32_t d;
    rdpkru(0, &d);
    check_fault("RDPKRU, CR4.PKE = 0", EXC_UD, 0);
    wrpkru(0, 0, 0);
    check_fault("WRPKRU, CR4.PKE = 0", EXC_UD, 0);
    check("OSPKE is 0", !(cpuid(7, 0).c & 1u << 4));
    write_cr4(read_cr4() | CR4_PKE);
    check("OSPKE follows CR4.PKE", cpuid(7, 0).c & 1u << 4);
    wrpkru(0x12345670, 0, 0);
    check_no_fault("WRPKRU");
    check_equal("RDPKRU", 0x12345670, rdpkru(0, &d));
    check_equal("EDX of RDPKRU", 0, d);
    rdpkru(1, &d);
    check_fault("RDPKRU, ECX not 0", EXC_GP, 0);
    wrpkru(0, 1, 0);
    check_fault("WRPKRU, ECX not 0", EXC_GP, 0);
    wrpkru(0, 0, 1);
    check_fault("WRPKRU, EDX not 0", EXC_GP, 0);
    ring3(ring3_write_pkru, NO_WRITE(15));
    check_no_fault("WRPKRU at CPL 3");
    check_equal("takes effect", NO_WRITE(15), rdpkru(0, &d));
    wrpkru(0, 0, 0);
}

static void data(void)
{
    map(PT_P | PT_W | PT_U | KEY(9));
    wrpkru(NO_ACCESS(9), 0, 0);
    ring3(try_read, WINDOW + 8);
    expect_pf("AD: CPL 3 reads", PF_P | PF_U | PF_K, WINDOW + 8);
    ring3(try_write, WINDOW + 8);
    expect_pf("AD: CPL 3 writes", PF_P | PF_U | PF_W | PF_K, WINDOW + 8);
    try_read(WINDOW);
    expect_pf("AD: CPL 0 reads a user page", PF_P | PF_K, WINDOW);
    try_write(WINDOW);
    expect_pf("AD: CPL 0 writes a user page", PF_P | PF_W | PF_K, WINDOW);
    wrpkru(0, 0, 0);
    try_write(WINDOW);
    check_no_fault("PKRU = 0 lets it through at once");
    wrpkru(NO_WRITE(9), 0, 0);
    try_read(WINDOW);
    check_no_fault("WD: CPL 0 reads");
    try_write(WINDOW);
    expect_pf("WD: CPL 0 writes, WP = 1", PF_P | PF_W | PF_K, WINDOW);
    ring3(try_write, WINDOW);
    expect_pf("WD: CPL 3 writes", PF_P | PF_U | PF_W | PF_K, WINDOW);
    write_cr0(read_cr0() & ~(reg_t)CR0_WP);
    try_write(WINDOW);
    check_no_fault("WD: CPL 0 writes, WP = 0");
    ring3(try_write, WINDOW);
    expect_pf("WD: CPL 3 writes, WP = 0", PF_P | PF_U | PF_W | PF_K, WINDOW);
    write_cr0(read_cr0() | CR0_WP);
    wrpkru(~(NO_ACCESS(9) | NO_WRITE(9) | NO_ACCESS(0) | NO_WRITE(0)), 0, 0);
    ring3(try_write, WINDOW);
    check_no_fault("the bits of other keys don't matter");
}

static void others(void)
{
    page_a[0] = RET;
    map(PT_P | PT_W | PT_U | KEY(3));
    wrpkru(NO_ACCESS(3) | NO_WRITE(3), 0, 0);
    ring3(try_call, WINDOW);
    check_no_fault("fetches have no key");
    map(PT_P | PT_W | KEY(3));
    try_write(WINDOW);
    check_no_fault("a supervisor page has no key");
    map(PT_P | PT_U | KEY(3));
    ring3(try_write, WINDOW);
    expect_pf("read-only and WD: the PK flag is set too", PF_P | PF_U | PF_W | PF_K, WINDOW);
    wrpkru(0, 0, 0);
    ring3(try_write, WINDOW);
    expect_pf("read-only alone: it is not", PF_P | PF_U | PF_W, WINDOW);
    map(KEY(3));
    wrpkru(NO_ACCESS(3), 0, 0);
    ring3(try_read, WINDOW);
    expect_pf("not present: it is not", PF_U, WINDOW);
    map(PT_P | PT_W | PT_U | KEY(4));
    ring3(try_read, WINDOW);
    check_no_fault("another key in the entry");
    *page_entry(WINDOW, 1) ^= KEY(4) ^ KEY(3);
    invlpg((volatile void *)WINDOW);
    ring3(try_read, WINDOW);
    expect_pf("and back", PF_P | PF_U | PF_K, WINDOW);
    write_cr4(read_cr4() & ~(reg_t)CR4_PKE);
    ring3(try_read, WINDOW);
    check_no_fault("CR4.PKE = 0: PKRU is not asked");
    write_cr4(read_cr4() | CR4_PKE);
    ring3(try_read, WINDOW);
    expect_pf("CR4.PKE = 1: PKRU is as it was", PF_P | PF_U | PF_K, WINDOW);
    wrpkru(0, 0, 0);
}

int main(void)
{
    if (!(cpuid(7, 0).c & 1u << 3)) {
        skip("protection keys", "the CPU has none");
        check("nothing", true);
        return checks_result();
    }
    instructions();
    data();
    others();
    return checks_result();
}
