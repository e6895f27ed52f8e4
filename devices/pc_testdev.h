/* SPDX-License-Identifier: MIT */
/*
 * The device bare-metal test kernels expect of a test machine ("pc-testdev"): a scratch port, a
 * page flush, hands on the interrupt lines, and a piece of I/O memory that behaves like memory.
 * Registers: E0h-E3h      R/W 8/16/32  scratch E4h-E7h      W 32         physical address: drop
 * every cached translation of that page 2000h-2017h  W 8          level of interrupt line n = port
 * - 2000h FF000000h    R/W          64 KiB of I/O memory, any width
 */
#pragma once

#include "devices/device.h"

#define PC_TESTDEV_IRQS 24
#define PC_TESTDEV_IOMEM 65536

/* clang-format off */
#define PC_TESTDEV_STATE(ONE, ARR, S)                             \
    ONE(S, uint32_t, scratch, "ports E0h-E3h, little-endian")     \
    ONE(S, uint32_t, irq_levels, "lines driven high: bit per line") \
    ARR(S, uint8_t, iomem, PC_TESTDEV_IOMEM, "I/O memory")
/* clang-format on */
STATE_STRUCT(pc_testdev_state, PC_TESTDEV_STATE);

struct pc_testdev {
    struct pc_testdev_state s;            /* first: saved, hashed, shown */
    struct irq_line irq[PC_TESTDEV_IRQS]; /* wiring: the global interrupts */
    void (*flush_page)(void *opaque,
                       paddr page); /* wiring: drop translations; NULL: nothing to drop */
    void *flush_opaque;             /* of flush_page */
    struct io_region scratch;       /* ports E0h-E3h */
    struct io_region flush;         /* ports E4h-E7h */
    struct io_region irqs;          /* ports 2000h-2017h */
    struct io_region iomem;         /* FF000000h; goes to the memory-mapped space */
};

extern const struct device_ops pc_testdev_ops;

void pc_testdev_init(struct pc_testdev *t);
