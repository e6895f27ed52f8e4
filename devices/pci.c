/* SPDX-License-Identifier: MIT */
/* PCI Local Bus Specification 3.0, "Configuration Space", and configuration mechanism #1. */
#include "devices/pci.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"

enum { ADDRESS_ENABLE_SHIFT = 31, CAP_FIRST = 0x40, BAR_IO_MASK = 3, BAR_MEM_MASK = 15 };

#define ADDRESS_WRITABLE 0x80FFFFFCu /* CONFIG_ADDRESS: enable, bus, device, function, register */

/* ---- one function ---- */

void pci_function_set(struct pci_function *f, unsigned offset, unsigned width, uint32_t reset,
                      uint32_t wmask)
{
    assert(offset + width <= PCI_CONFIG_SIZE);
    le_store(f->reset + offset, reset, width);
    le_store(f->wmask + offset, wmask, width);
}

void pci_function_init(struct pci_function *f, uint8_t *config, uint16_t vendor, uint16_t device,
                       uint32_t class_code, uint8_t revision)
{
    *f = (struct pci_function){.config = config};
    pci_function_set(f, PCI_VENDOR_ID, 2, vendor, 0);
    pci_function_set(f, PCI_DEVICE_ID, 2, device, 0);
    pci_function_set(f, PCI_COMMAND, 2, 0,
                     0x0547); /* I/O, memory, master, parity, SERR#, INTx off */
    pci_function_set(f, PCI_REVISION, 1, revision, 0);
    pci_function_set(f, PCI_CLASS, 3, class_code, 0);
    pci_function_set(f, 0x0C, 2, 0, 0xFFFF); /* cache line size, latency timer */
    pci_function_set(f, PCI_INTERRUPT_LINE, 1, 0, 0xFF);
    f->w1c[PCI_STATUS + 1] = 0xF9; /* the error bits */
}

void pci_function_bar(struct pci_function *f, unsigned n, struct io_region *region, uint8_t flags)
{
    uint64_t mask = ~(region->size - 1);
    assert(n < PCI_BARS && (region->size & (region->size - 1)) == 0);
    f->bars[n] = (struct pci_bar){.region = region, .flags = flags};
    pci_function_set(f, PCI_BAR0 + 4 * n, 4, flags, (uint32_t)mask);
    if (flags & PCI_BAR_64)
        pci_function_set(f, PCI_BAR0 + 4 * n + 4, 4, 0, (uint32_t)(mask >> 32));
    region->enabled = false;
}

uint8_t pci_function_capability(struct pci_function *f, uint8_t id, unsigned len)
{
    unsigned at = f->cap_next ? f->cap_next : CAP_FIRST;
    if (at + len > PCI_CONFIG_SIZE - 4)
        return 0;
    f->reset[at] = id;
    f->reset[at + 1] = f->reset[PCI_CAPABILITIES];
    f->reset[PCI_CAPABILITIES] = (uint8_t)at;
    f->reset[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    f->cap_next = (uint8_t)((at + len + 3) & ~3u);
    return (uint8_t)at;
}

/*
 * A BAR decodes when Command allows its space and software has given it an address; 0 is none
 * ("Base Addresses").
 */
static void update_bar(struct pci_function *f, unsigned n)
{
    const struct pci_bar *bar = &f->bars[n];
    uint8_t command = f->config[PCI_COMMAND];
    uint64_t base = le32_load(f->config + PCI_BAR0 + 4 * n);
    if (bar->flags & PCI_BAR_IO) {
        base &= ~(uint64_t)BAR_IO_MASK;
        bar->region->enabled = (command & PCI_COMMAND_IO) && base && base < 0x10000;
    } else {
        base &= ~(uint64_t)BAR_MEM_MASK;
        if (bar->flags & PCI_BAR_64)
            base |= (uint64_t)le32_load(f->config + PCI_BAR0 + 4 * n + 4) << 32;
        bar->region->enabled = (command & PCI_COMMAND_MEMORY) && base;
    }
    bar->region->base = base;
}

static void update_bars(struct pci_function *f)
{
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (f->bars[n].region)
            update_bar(f, n);
}

void pci_function_reset(struct pci_function *f)
{
    memcpy(f->config, f->reset, PCI_CONFIG_SIZE);
    update_bars(f);
    if (f->bus)
        pci_set_irq(f, false);
}

int pci_function_after_load(struct pci_function *f, struct err *err)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t fixed = (uint8_t) ~(f->wmask[i] | f->w1c[i]);
        if (i == PCI_STATUS)
            fixed &= (uint8_t)~PCI_STATUS_INTERRUPT;
        if ((f->config[i] ^ f->reset[i]) & fixed)
            return err_set(
                err, EINVAL,
                "pci: byte %02Xh of configuration space %02x:%x is read-only and differs", i,
                f->devfn >> 3, f->devfn & 7u);
    }
    update_bars(f);
    return 0;
}

uint32_t pci_config_read(const struct pci_function *f, unsigned offset, unsigned width)
{
    if (!f || offset >= PCI_CONFIG_SIZE || width > PCI_CONFIG_SIZE - offset)
        return (uint32_t)low_mask(width * 8);
    return (uint32_t)le_load(f->config + offset, width);
}

void pci_config_write(struct pci_function *f, unsigned offset, unsigned width, uint32_t v)
{
    if (!f || offset >= PCI_CONFIG_SIZE || width > PCI_CONFIG_SIZE - offset)
        return;
    for (unsigned i = offset; i < offset + width; i++, v >>= 8) {
        uint8_t byte = (uint8_t)v;
        uint8_t kept = f->config[i] & (uint8_t) ~(f->wmask[i] | (f->w1c[i] & byte));
        f->config[i] = kept | (byte & f->wmask[i]);
    }
    if (offset < PCI_BAR0 + 4 * PCI_BARS)
        update_bars(f);
    if (f->written)
        f->written(f->opaque, offset, width);
}

/* ---- interrupts ---- */

/* Mainboard wiring of the 440FX boards: INTA# of device 1 is PIRQA#, and each next device or pin is
 * one further. */
static unsigned pirq_of(unsigned slot, unsigned pin)
{
    return (slot - 1 + pin) & 3;
}

static void update_pirqs(const struct pci *p)
{
    bool level[4] = {false, false, false, false};
    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned bit = 0; bit < 32 && p->s.intx[slot]; bit++)
            if (p->s.intx[slot] >> bit & 1)
                level[pirq_of(slot, bit & 3)] = true;
    for (unsigned i = 0; i < 4; i++)
        irq_set(&p->pirq[i], level[i]);
}

void pci_set_irq(struct pci_function *f, bool level)
{
    struct pci *p = f->bus;
    uint8_t pin = f->config[PCI_INTERRUPT_PIN];
    bool off = le16_load(f->config + PCI_COMMAND) & PCI_COMMAND_INTX_OFF;
    uint32_t bit;
    if (!pin || pin > 4 || !p)
        return;
    f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
    f->config[PCI_STATUS] |= level ? PCI_STATUS_INTERRUPT : 0;
    bit = UINT32_C(1) << (4 * (f->devfn & 7u) + pin - 1u);
    if (level && !off)
        p->s.intx[f->devfn >> 3] |= bit;
    else
        p->s.intx[f->devfn >> 3] &= ~bit;
    update_pirqs(p);
}

/* ---- the bus ---- */

void pci_attach(struct pci *p, struct pci_function *f, unsigned slot, unsigned function)
{
    assert(slot < 32 && function < 8 && !p->functions[PCI_DEVFN(slot, function)]);
    f->bus = p;
    f->devfn = PCI_DEVFN(slot, function);
    p->functions[f->devfn] = f;
}

/* Only bus 0 exists; type 1 accesses to others end in master abort: reads give all ones. */
static struct pci_function *addressed(const struct pci *p)
{
    uint32_t a = p->s.address;
    if (!(a >> ADDRESS_ENABLE_SHIFT) || (a >> 16 & 0xFF))
        return NULL;
    return p->functions[a >> 8 & 0xFF];
}

/* CONFIG_ADDRESS is a dword register; narrower accesses at CF8h are ordinary I/O and find nothing
 * here. */
static uint64_t address_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct pci *p = opaque;
    return width == 4 && offset == 0 ? p->s.address : UINT64_MAX;
}

static void address_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct pci *p = opaque;
    if (width == 4 && offset == 0)
        p->s.address = (uint32_t)v & ADDRESS_WRITABLE;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct pci *p = opaque;
    return pci_config_read(addressed(p), (p->s.address & 0xFC) + (unsigned)offset, width);
}

static void data_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    const struct pci *p = opaque;
    struct pci_function *f = addressed(p);
    uint16_t before = f ? le16_load(f->config + PCI_COMMAND) : 0;
    pci_config_write(f, (p->s.address & 0xFC) + (unsigned)offset, width, (uint32_t)v);
    if (f && ((before ^ le16_load(f->config + PCI_COMMAND)) & PCI_COMMAND_INTX_OFF))
        pci_set_irq(f, f->config[PCI_STATUS] & PCI_STATUS_INTERRUPT);
}

static void pci_reset(void *dev)
{
    struct pci *p = dev;
    memset(&p->s, 0, sizeof(p->s));
    update_pirqs(p);
}

static int pci_after_load(void *dev, struct err *err)
{
    struct pci *p = dev;
    if (p->s.address & ~ADDRESS_WRITABLE)
        return err_set(err, EINVAL, "pci: CONFIG_ADDRESS holds reserved bits");
    update_pirqs(p);
    return 0;
}

void pci_init(struct pci *p, struct trace *trace)
{
    *p = (struct pci){.trace = trace};
    p->address = (struct io_region){.name = "pci-address",
                                    .base = 0xCF8,
                                    .size = 4,
                                    .widths = W8 | W16 | W32,
                                    .read = address_read,
                                    .write = address_write,
                                    .opaque = p,
                                    .enabled = true};
    p->data = (struct io_region){.name = "pci-data",
                                 .base = 0xCFC,
                                 .size = 4,
                                 .widths = W8 | W16 | W32,
                                 .read = data_read,
                                 .write = data_write,
                                 .opaque = p,
                                 .enabled = true};
    pci_reset(p);
}

const struct device_ops pci_ops = {
    .name = "pci",
    .doc = "PCI bus 0, configuration mechanism #1",
    .size = sizeof(struct pci),
    .fields = pci_state_fields,
    .version = 1,
    .reset = pci_reset,
    .after_load = pci_after_load,
};
