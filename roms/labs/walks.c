/* SPDX-License-Identifier: MIT */
/*
 * The guest of `trapline lab walks`: address translation as work, under legacy or PAE paging (32 bits; the command line says
 * which) or 4-level paging (64 bits). A byte to the debug port stands before and after each experiment:
 *
 *   A  read one word of each of WORKING_SET pages, again and again: more pages than the TLB holds
 *   B  give a page another frame, INVLPG, read it: page-table churn
 *   C  change between two address spaces, reading a few pages in each
 *   .  the end of one
 */
#include "roms/lib/guest.h"

#define BASE ((reg_t)0x40020000) /* its pages do not meet the image's in a TLB of 64 entries */
enum { WORKING_SET = 256, ROUNDS = 64, CHURNS = 4096, SWITCHES = 4096, SWITCH_PAGES = 8, DEBUG_PORT = 0xE9 };

static uint8_t frames[2][GUEST_PAGE] __attribute__((aligned(4096)));

static uint64_t frame(unsigned i)
{
    return (reg_t)frames[i & 1];
}

/* One to one but for BASE, which is 4 KiB pages in a table of its own; twice, as two processes have it. */
#if defined(__x86_64__)
#include "roms/lib/paging.h"

static reg_t roots[2];

static void map(reg_t la, uint64_t pa)
{
    *page_entry(la, 1) = pa | PT_P | PT_W | PT_U;
}

static void spaces_make(void)
{
    uint64_t *copy = page_alloc();
    roots[0] = read_cr3();
    memcpy(copy, (const void *)roots[0], GUEST_PAGE);
    roots[1] = (reg_t)copy;
}
#else
static uint64_t pointers[2][4] __attribute__((aligned(32)));
static uint64_t directories[4][512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));
static uint32_t directory[2][1024] __attribute__((aligned(4096)));
static uint32_t legacy_table[1024] __attribute__((aligned(4096)));
static reg_t roots[2];
static bool is_pae;

static void map(reg_t la, uint64_t pa)
{
    if (is_pae)
        table[la >> 12 & 511] = pa | 7;
    else
        legacy_table[la >> 12 & 1023] = (uint32_t)pa | 7;
}

static void pae_make(void)
{
    for (unsigned i = 0; i < 4 * 512; i++)
        directories[i / 512][i % 512] = (uint64_t)i << 21 | 0x87;
    directories[BASE >> 30][0] = (reg_t)table | 7;
    for (unsigned i = 0; i < 8; i++)
        pointers[i / 4][i % 4] = (reg_t)directories[i % 4] | 1;
    roots[0] = (reg_t)pointers[0], roots[1] = (reg_t)pointers[1];
    write_cr4(read_cr4() | CR4_PAE);
}

static void legacy_make(void)
{
    for (uint32_t i = 0; i < 2048; i++)
        directory[i / 1024][i % 1024] = (i % 1024) << 22 | 0x87;
    directory[0][BASE >> 22] = directory[1][BASE >> 22] = (uint32_t)legacy_table | 7;
    roots[0] = (reg_t)directory[0], roots[1] = (reg_t)directory[1];
    write_cr4(read_cr4() | CR4_PSE);
}

/* Multiboot information: flags bit 2 says that cmdline, at 16, is there. */
static bool command_line_has(const char *word)
{
    const uint32_t *info = (const uint32_t *)boot_info;
    const char *line = info[0] & 4 ? (const char *)info[4] : "";
    size_t n = strlen(word);
    for (; *line; line++)
        if (memcmp(line, word, n) == 0)
            return true;
    return false;
}

static void spaces_make(void)
{
    is_pae = command_line_has("pae");
    if (is_pae)
        pae_make();
    else
        legacy_make();
    write_cr3(roots[0]);
    write_cr0(read_cr0() | CR0_PG);
}
#endif

static void mark(char c)
{
    out8(DEBUG_PORT, (uint8_t)c);
}

static void touch(unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        (void)*(volatile uint32_t *)(BASE + (reg_t)i * GUEST_PAGE);
}

int main(void)
{
    spaces_make();
    for (unsigned i = 0; i < WORKING_SET; i++)
        map(BASE + (reg_t)i * GUEST_PAGE, frame(i));
    write_cr3(roots[0]);
    touch(WORKING_SET);
    mark('A');
    for (unsigned i = 0; i < ROUNDS; i++)
        touch(WORKING_SET);
    mark('.');
    mark('B');
    for (unsigned i = 0; i < CHURNS; i++) {
        map(BASE, frame(i));
        invlpg((void *)BASE);
        touch(1);
    }
    mark('.');
    mark('C');
    for (unsigned i = 0; i < SWITCHES; i++) {
        write_cr3(roots[i & 1]);
        touch(SWITCH_PAGES);
    }
    mark('.');
    check("the last frame is the one that was mapped", *(volatile uint8_t *)BASE == frames[0][0]);
    return checks_result();
}
