/* SPDX-License-Identifier: MIT */
/*
 * How a bus master reaches memory: DMA goes to RAM only, through checked copies; a write to the interrupt window
 * (FEE00000h-FEEFFFFFh) is a message-signalled interrupt. The translate hook is where an IOMMU will stand.
 */
#pragma once

#include "mmu/physmem.h"

struct dma_space {
    struct physmem *pm;     /* borrowed: the VM's memory */
    uint16_t requester;     /* bus << 8 | device << 3 | function */
    /* Device address to guest-physical; NULL: identity. False: blocked, *pa untouched. */
    bool (*translate)(void *opaque, uint16_t requester, uint64_t iova, bool is_write, paddr *pa);
    void *translate_opaque;
    void (*msi)(void *opaque, uint16_t requester, uint64_t addr, uint32_t data); /* set by the board */
    void *msi_opaque;
};

/* Copy len bytes. False if some byte is not RAM (what was copied before it stays). */
bool dma_read(const struct dma_space *d, uint64_t addr, void *buf, size_t len);
bool dma_write(const struct dma_space *d, uint64_t addr, const void *buf, size_t len);
