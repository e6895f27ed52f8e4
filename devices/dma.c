/* SPDX-License-Identifier: MIT */
/*
 * Bus masters' copies. The translate hook works on pages, as an IOMMU does; the interrupt window is
 * decoded by the host bridge before memory (SDM Vol. 3A, "Message Signalled Interrupts": a dword
 * write).
 */
#include "devices/dma.h"

#include "base/endian.h"

#define MSI_WINDOW_BASE UINT64_C(0xFEE00000)
#define MSI_WINDOW_SIZE UINT64_C(0x100000)

static bool translate(const struct dma_space *d, uint64_t addr, bool is_write, paddr *pa)
{
    if (d->translate)
        return d->translate(d->translate_opaque, d->requester, addr, is_write, pa);
    *pa = addr;
    return true;
}

/* Bytes from addr to the end of its page, at most len. */
static size_t chunk(uint64_t addr, size_t len)
{
    uint64_t room = PAGE_SIZE - (addr & (PAGE_SIZE - 1));
    return len < room ? len : (size_t)room;
}

static bool in_msi_window(paddr pa)
{
    return pa - MSI_WINDOW_BASE < MSI_WINDOW_SIZE;
}

bool dma_read(const struct dma_space *d, uint64_t addr, void *buf, size_t len)
{
    uint8_t *p = buf;
    while (len) {
        size_t n = chunk(addr, len);
        paddr pa;
        if (!translate(d, addr, false, &pa) || in_msi_window(pa) || !physmem_read(d->pm, pa, p, n))
            return false;
        addr += n;
        p += n;
        len -= n;
    }
    return true;
}

bool dma_write(const struct dma_space *d, uint64_t addr, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    while (len) {
        size_t n = chunk(addr, len);
        paddr pa;
        if (!translate(d, addr, true, &pa))
            return false;
        if (in_msi_window(pa)) {
            if (n != 4 || !d->msi)
                return false;
            d->msi(d->msi_opaque, d->requester, pa, le32_load(p));
        } else if (!physmem_write(d->pm, pa, p, n)) {
            return false;
        }
        addr += n;
        p += n;
        len -= n;
    }
    return true;
}
