/* SPDX-License-Identifier: MIT */
/* A small machine for directed MMU tests: 64 pages of RAM at 0, tables made by hand, one or two
 * vCPUs. */
#pragma once

#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "mmu/mmu.h"

#define BENCH_PAGES 2048u
#define BENCH_FRAMES 64u /* behind them, for shadow or nested tables */

struct bench {
    uint8_t *host;         /* machine memory: RAM at 0 */
    struct physmem *pm;    /* 8 MiB of RAM at 0 */
    struct mmu_vm *mv;     /* of pm */
    struct mmu mmu[2];     /* two vCPUs */
    struct fault fault;    /* of the last failure */
    uint64_t bus_written;  /* last value written to the bus */
    unsigned bus_writes;   /* how many */
    unsigned bus_sizes[4]; /* sizes of the last four bus accesses, newest first */
};

static inline void bench_bus_note(struct bench *b, unsigned size)
{
    memmove(&b->bus_sizes[1], &b->bus_sizes[0], 3 * sizeof(b->bus_sizes[0]));
    b->bus_sizes[0] = size;
}

static inline uint64_t bench_bus_read(void *opaque, paddr pa, unsigned size)
{
    bench_bus_note(opaque, size);
    return pa;
}

static inline void bench_bus_write(void *opaque, paddr pa, unsigned size, uint64_t v)
{
    struct bench *b = opaque;
    (void)pa;
    bench_bus_note(b, size);
    b->bus_written = v;
    b->bus_writes++;
}

static const struct bus_ops bench_bus = {bench_bus_read, bench_bus_write};

/* config: NULL, or how to translate; its frames are the bench's. */
static inline void bench_open_as(struct bench *b, const struct mmu_vm_config *config)
{
    struct mmu_vm_config full = config ? *config : (struct mmu_vm_config){.kind = MMU_DIRECT};
    haddr tables = (haddr)BENCH_PAGES * PAGE_SIZE;
    *b = (struct bench){.host = calloc(BENCH_PAGES + BENCH_FRAMES, PAGE_SIZE)};
    full.frames = (struct mmu_frames){b->host + tables, tables, BENCH_FRAMES};
    b->pm = physmem_create(b->host, NULL, NULL);
    EXPECT_EQ(0, physmem_add(b->pm, 0, BENCH_PAGES * PAGE_SIZE, 0, false, NULL));
    b->mv = mmu_vm_create(b->pm, &full, NULL);
    EXPECT(b->mv != NULL);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(0, mmu_init(&b->mmu[i], b->mv, &(struct mmu_config){64, 4}, &bench_bus, b));
}

static inline void bench_open(struct bench *b)
{
    bench_open_as(b, NULL);
}

static inline void bench_close(struct bench *b)
{
    mmu_fini(&b->mmu[0]);
    mmu_fini(&b->mmu[1]);
    mmu_vm_destroy(b->mv);
    physmem_destroy(b->pm);
    free(b->host);
}

static inline void poke64(struct bench *b, paddr pa, uint64_t v)
{
    uint8_t e[8];
    le64_store(e, v);
    EXPECT(physmem_write(b->pm, pa, e, 8));
}

static inline void poke32(struct bench *b, paddr pa, uint32_t v)
{
    uint8_t e[4];
    le32_store(e, v);
    EXPECT(physmem_write(b->pm, pa, e, 4));
}

static inline uint64_t peek64(struct bench *b, paddr pa)
{
    uint64_t v = 0;
    EXPECT(physmem_read_u64(b->pm, pa, &v));
    return v;
}

/* 4-level tables at 1000h, 2000h, 3000h, 4000h: each entry 0 leads to the next, all rights. The PT
 * is at 4000h. */
static inline void bench_long_tables(struct bench *b)
{
    poke64(b, 0x1000, 0x2007);
    poke64(b, 0x2000, 0x3007);
    poke64(b, 0x3000, 0x4007);
}

static inline struct mmu_ctx bench_long_ctx(void)
{
    return (struct mmu_ctx){.guest = {.root = 0x1000, .format = MMU_LEVEL4},
                            .wp = true,
                            .nxe = true,
                            .pge1g = true,
                            .maxphyaddr = 40};
}

static const struct privilege SUPERVISOR = {false, false}, SUPERVISOR_AC = {false, true},
                              USER = {true, false};
