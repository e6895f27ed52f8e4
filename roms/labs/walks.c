/* SPDX-License-Identifier: MIT */
/*
 * The guest of `trapline lab walks`: address translation as work, under legacy or PAE paging (32
 * bits; the command line says which) or 4-level paging (64 bits). A byte to the debug port stands
 * before and after each experiment:
 *
 *   A  read one word of each of WORKING_SET pages, again and again: more pages than the TLB holds
 *   B  give a page another frame, INVLPG, read it: page-table churn
 *   C  change between two address spaces, reading a few pages in each
 *   D  the same with PCIDs, which keep what was translated (4 levels)
 *   E  fork, copy on write: read and write in the child, then write in the parent (4 levels)
 *   .  the end of one
 */
#include "roms/labs/command_line.h"
#include "roms/lib/traps.h"

#define BASE ((reg_t)0x40020000) /* its pages do not meet the image's in a TLB of 64 entries */
enum {
    WORKING_SET = 256,
    ROUNDS = 64,
    CHURNS = 4096,
    SWITCHES = 4096,
    SWITCH_PAGES = 8,
    FORKS = 64,
    FORK_PAGES = 64,
    FORK_READS = 16,
    FORK_WRITES = 8,
    DEBUG_PORT = 0xE9
};

static uint8_t frames[2][GUEST_PAGE] __attribute__((aligned(4096)));

static uint64_t frame(unsigned i)
{
    return (reg_t)frames[i & 1];
}

static reg_t roots[2];

static void mark(char c)
{
    out8(DEBUG_PORT, (uint8_t)c);
}

static volatile uint32_t *word_of(unsigned page)
{
    return (volatile uint32_t *)(BASE + (reg_t)page * GUEST_PAGE);
}

static void touch(unsigned first, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        (void)*word_of(first + i);
}

/* One to one but for BASE, which is 4 KiB pages in a table of its own; twice, as two processes have
 * it. */
#if defined(__x86_64__)
#include "roms/lib/paging.h"

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

/* The same two address spaces as C, with a PCID each. Bit 63: what it has translated stays. */
static void switch_with_pcids(void)
{
    write_cr4(read_cr4() | CR4_PCIDE);
    mark('D');
    for (reg_t i = 0; i < SWITCHES; i++) {
        write_cr3(roots[i & 1] | (i & 1) | (reg_t)1 << 63);
        touch(0, SWITCH_PAGES);
    }
    mark('.');
    write_cr3(roots[0]);
    write_cr4(read_cr4() & ~(reg_t)CR4_PCIDE);
}

/* ---- fork ---- */

/* The tables of a child, from its root down to the page table of BASE; no frame is used twice, so
 * none has a past. */
static uint64_t child[FORKS][4][512] __attribute__((aligned(4096)));
static uint64_t *tables[4]; /* the parent's, in the same order */
static uint8_t copies[FORK_PAGES][GUEST_PAGE] __attribute__((aligned(4096)));
static uint64_t *running; /* the page table of BASE of the process that runs */

/* #PF, copy on write: the child writes first and gets a copy; then the page is the parent's alone.
 */
static void copy_page(struct frame *f)
{
    reg_t la = read_cr2() & ~(reg_t)(GUEST_PAGE - 1);
    volatile uint64_t *e = &running[la >> 12 & 511];
    uint8_t *copy = copies[(la - BASE) / GUEST_PAGE];
    (void)f;
    if (running != tables[3])
        memcpy(copy, (const void *)la, GUEST_PAGE);
    *e = (running == tables[3] ? *e & PT_ADDRESS : (reg_t)copy) | PT_P | PT_W | PT_U;
}

/* Where a table of the parent is referred to by the one above, the child's own is. */
static void child_make(uint64_t (*t)[512])
{
    static const unsigned shift[] = {39, 30, 21};
    for (unsigned level = 0; level < 4; level++)
        memcpy(t[level], tables[level], GUEST_PAGE);
    for (unsigned level = 0; level < 3; level++)
        t[level][BASE >> shift[level] & 511] = (reg_t)t[level + 1] | PT_P | PT_W | PT_U;
}

static void write_pages(uint32_t v)
{
    for (unsigned i = 0; i < FORK_WRITES; i++)
        *word_of(FORK_READS + i) = v;
}

enum { CHILD = 0xC0, PARENT = 0xA0 }; /* what they write */

static void fork_once(uint64_t (*t)[512])
{
    const unsigned at = BASE >> 12 & 511;
    for (unsigned i = 0; i < FORK_PAGES; i++) { /* what is not writable need not be made so */
        volatile uint64_t *e = &tables[3][at + i];
        if (*e & PT_W)
            *e &= ~(uint64_t)PT_W;
    }
    child_make(t);
    running = t[3];
    write_cr3((reg_t)t[0]);
    touch(0, FORK_READS);
    write_pages(CHILD);
    running = tables[3];
    write_cr3(roots[0]);
    write_pages(PARENT);
}

static void fork_storm(void)
{
    for (unsigned level = 0; level < 4; level++)
        tables[level] = (uint64_t *)((reg_t)page_entry(BASE, 4 - level) & ~(reg_t)0xFFF);
    write_cr0(read_cr0() | CR0_WP);
    trap_set(EXC_PF, copy_page);
    fork_once(child[0]); /* all entries that will stay read-only become it here */
    mark('E');
    for (unsigned i = 1; i < FORKS; i++)
        fork_once(child[i]);
    mark('.');
    trap_set(EXC_PF, NULL);
}
#else
static uint64_t pointers[2][4] __attribute__((aligned(32)));
static uint64_t directories[4][512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));
static uint32_t directory[2][1024] __attribute__((aligned(4096)));
static uint32_t legacy_table[1024] __attribute__((aligned(4096)));
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

int main(void)
{
    spaces_make();
    frames[1][0] = 1;
    for (unsigned i = 0; i < WORKING_SET; i++)
        map(BASE + (reg_t)i * GUEST_PAGE, frame(i));
    write_cr3(roots[0]);
    touch(0, WORKING_SET);
    mark('A');
    for (unsigned i = 0; i < ROUNDS; i++)
        touch(0, WORKING_SET);
    mark('.');
    mark('B');
    for (unsigned i = 0; i < CHURNS; i++) {
        map(BASE, frame(i));
        invlpg((void *)BASE);
        touch(0, 1);
    }
    mark('.');
    mark('C');
    for (unsigned i = 0; i < SWITCHES; i++) {
        write_cr3(roots[i & 1]);
        touch(0, SWITCH_PAGES);
    }
    mark('.');
    check("the last frame is the one that was mapped",
          *(volatile uint8_t *)BASE == frames[(CHURNS - 1) & 1][0]);
#if defined(__x86_64__)
    write_cr3(roots[0]);
    switch_with_pcids();
    fork_storm();
    check("what a child wrote is its own",
          *word_of(FORK_READS) == PARENT && *(volatile uint32_t *)copies[FORK_READS] == CHILD);
#endif
    return checks_result();
}
