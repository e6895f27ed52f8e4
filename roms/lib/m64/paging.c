/* SPDX-License-Identifier: MIT */
/* SDM Vol. 3A, "4-Level Paging and 5-Level Paging". */
#include "roms/lib/paging.h"

static uint8_t pool[64][GUEST_PAGE] __attribute__((aligned(4096)));
static unsigned pool_used;

void *page_alloc(void)
{
    if (pool_used == COUNT(pool)) {
        print("FAIL the page pool is empty\n");
        guest_exit(2);
    }
    return pool[pool_used++];
}

/* Make a table with the same translation as the large page `entry`, which maps at `level`. */
static uint64_t split(uint64_t entry, unsigned level)
{
    uint64_t *table = page_alloc(), step = UINT64_C(1) << (12 + 9 * (level - 2));
    if (!(entry & PT_P))
        return (reg_t)table | PT_P | PT_W | PT_U;
    if (level == 2)
        entry &= ~(uint64_t)PT_PS; /* bit 7 of a PTE is PAT */
    for (unsigned i = 0; i < 512; i++)
        table[i] = entry + i * step;
    return (reg_t)table | PT_P | PT_W | PT_U;
}

volatile uint64_t *page_entry(reg_t la, unsigned level)
{
    volatile uint64_t *table = (volatile uint64_t *)(read_cr3() & (reg_t)PT_ADDRESS);
    for (unsigned at = 4;; at--) {
        volatile uint64_t *e = &table[(uint64_t)la >> (12 + 9 * (at - 1)) & 511];
        if (at == level)
            return e;
        if (!(*e & PT_P) || *e & PT_PS)
            *e = split(*e, at);
        table = (volatile uint64_t *)(reg_t)(*e & PT_ADDRESS);
    }
}

void page_map(reg_t la, uint64_t pa, uint64_t flags)
{
    *page_entry(la, 1) = pa | flags;
}

void pages_flush(void)
{
    write_cr3(read_cr3());
}
