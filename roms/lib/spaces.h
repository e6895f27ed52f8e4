/* SPDX-License-Identifier: MIT */
/*
 * Two address spaces, one to one but for some megabytes from FROM on, whose pages a test maps as it
 * likes. spaces_make turns paging on, if it is not, and loads the first one.
 */
#pragma once

#include "roms/lib/traps.h"

#define FROM ((reg_t)0x40000000)
static reg_t space[2];

#if defined(__x86_64__)
#include "roms/lib/paging.h"

static volatile uint64_t *entries[2];
#define BIG_PAGE 0x200000

static void *copy_of(const volatile uint64_t *table)
{
    uint64_t *copy = page_alloc();
    for (unsigned i = 0; i < 512; i++)
        copy[i] = table[i];
    return copy;
}

static void spaces_make(void)
{
    (void)page_entry(FROM, 1);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *root = copy_of(page_entry(0, 4));
        uint64_t *pointers = copy_of(page_entry(0, 3));
        uint64_t *directory = copy_of((uint64_t *)(reg_t)(pointers[1] & PT_ADDRESS));
        entries[i] = page_alloc();
        root[0] = (reg_t)pointers | PT_P | PT_W | PT_U;
        pointers[1] = (reg_t)directory | PT_P | PT_W | PT_U;
        directory[0] = (reg_t)entries[i] | PT_P | PT_W | PT_U;
        space[i] = (reg_t)root;
    }
    write_cr3(space[0]);
}
#else
static uint32_t directory[2][1024] __attribute__((aligned(4096)));
static volatile uint32_t entries[2][1024] __attribute__((aligned(4096)));
#define BIG_PAGE 0x400000

static void spaces_make(void)
{
    for (unsigned n = 0; n < 2; n++) {
        for (uint32_t i = 0; i < 1024; i++)
            directory[n][i] = i << 22 | 0x87;
        directory[n][FROM >> 22] = (uint32_t)entries[n] | 7;
        space[n] = (reg_t)directory[n];
    }
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3(space[0]);
    write_cr0(read_cr0() | CR0_PG);
}
#endif

/* Not flushed. */
static void map_in(unsigned n, reg_t la, const void *page)
{
    entries[n][la % BIG_PAGE >> 12] = page ? (reg_t)page | 7 : 0;
}

static void map_page(reg_t la, const void *page)
{
    map_in(0, la, page);
    invlpg((void *)la);
}
