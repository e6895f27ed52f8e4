/* SPDX-License-Identifier: MIT */
/* Intel 82371FB/82371SB, "PCI to ISA Bridge Registers", and 82371AB, "Power Management Function
 * Registers". */
#include "devices/piix3.h"

#include <errno.h>

#include "base/endian.h"

enum { RC_HARD = 0x02, RC_RCPU = 0x04 };
enum { COPROCESSOR_IRQ = 13 };
enum { PIRQRC_OFF = 0x80, PIRQRC_IRQ = 0x0F };
enum { PM_BASE_MASK = 0xFFC0, PMREGMISC_PMIOSE = 0x01, SCI_IRQ = 9 };
enum { DEVACTB_APMC_EN = 1 << 25 };

/* ---- ISA bridge ---- */

/* IRQs that a PIRQ can be steered to; the rest of the codes are reserved. */
#define ROUTABLE 0xDEF8u

static void update_irqs(struct piix3 *p)
{
    uint16_t levels = 0, changed;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t route = p->s.config[PIIX3_PIRQRCA + i];
        if ((p->s.pirq_level >> i & 1) && !(route & PIRQRC_OFF))
            levels |= (uint16_t)(1u << (route & PIRQRC_IRQ) & ROUTABLE);
    }
    if (p->s.coprocessor_error)
        levels |= 1u << COPROCESSOR_IRQ;
    changed = levels ^ p->irq_driven;
    p->irq_driven = levels;
    for (unsigned n = 0; n < 16; n++)
        if (changed >> n & 1)
            irq_set(&p->irq[n], levels >> n & 1);
}

void piix3_set_pirq(void *opaque, unsigned n, bool level)
{
    struct piix3 *p = opaque;
    uint8_t bit = (uint8_t)(1u << (n & 3));
    p->s.pirq_level = level ? p->s.pirq_level | bit : p->s.pirq_level & (uint8_t)~bit;
    update_irqs(p);
}

static void config_written(void *opaque, unsigned offset, unsigned width)
{
    if (offset <= PIIX3_PIRQRCA + 3 && offset + width > PIIX3_PIRQRCA)
        update_irqs(opaque);
}

static uint64_t rc_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct piix3 *p = opaque;
    (void)offset, (void)width;
    return p->s.rc;
}

/* The reset starts when RCPU goes from 0 to 1, of the kind that bit 1 says. */
static void rc_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct piix3 *p = opaque;
    bool rises = (v & RC_RCPU) && !(p->s.rc & RC_RCPU);
    (void)offset, (void)width;
    p->s.rc = (uint8_t)v & (RC_RCPU | RC_HARD);
    if (rises && p->reset)
        p->reset(p->reset_opaque, v & RC_HARD);
}

/*
 * "Coprocessor Error Register": a write takes IRQ 13 back, and asserts IGNNE# if FERR# is asserted.
 * XBCS bit 5, which turns this logic on, is taken as set: firmware does not always.
 */
static uint64_t coprocessor_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)opaque, (void)offset;
    return low_mask(8 * width);
}

static void coprocessor_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct piix3 *p = opaque;
    (void)offset, (void)width, (void)v;
    p->s.coprocessor_error = false;
    update_irqs(p);
    if (p->ignne)
        p->ignne(p->ignne_opaque);
}

void piix3_ferr(struct piix3 *p)
{
    p->s.coprocessor_error = true;
    update_irqs(p);
}

static void piix3_reset(void *dev)
{
    struct piix3 *p = dev;
    pci_function_reset(&p->pci);
    p->s.rc = 0;
    p->s.pirq_level = 0;
    p->s.coprocessor_error = false;
    update_irqs(p);
}

static int piix3_after_load(void *dev, struct err *err)
{
    struct piix3 *p = dev;
    if (p->s.pirq_level > 0x0F || (p->s.rc & ~(RC_RCPU | RC_HARD)))
        return err_set(err, EINVAL, "piix3: the state holds impossible register values");
    p->irq_driven = 0; /* lines that are low belong to other chips */
    update_irqs(p);
    return pci_function_after_load(&p->pci, err);
}

void piix3_init(struct piix3 *p)
{
    struct pci_function *f = &p->pci;
    *p = (struct piix3){.reset = NULL};
    p->reset_control = (struct io_region){.name = "reset-control",
                                          .base = 0xCF9,
                                          .size = 1,
                                          .widths = W8,
                                          .read = rc_read,
                                          .write = rc_write,
                                          .opaque = p,
                                          .priority = 1,
                                          .enabled = true};
    p->coprocessor = (struct io_region){.name = "coprocessor-error",
                                        .base = 0xF0,
                                        .size = 1,
                                        .widths = W8,
                                        .read = coprocessor_read,
                                        .write = coprocessor_write,
                                        .opaque = p,
                                        .enabled = true};
    pci_function_init(f, p->s.config, 0x8086, 0x7000, 0x060100, 0x00);
    pci_function_set(f, PCI_COMMAND, 2, 0x0007, 0x0108);
    pci_function_set(f, PCI_STATUS, 2, 0x0280, 0);
    pci_function_set(f, PCI_HEADER_TYPE, 1, 0x80, 0);
    pci_function_set(f, 0x4C, 1, 0x4D, 0xFF);     /* IORT: ISA I/O recovery timer */
    pci_function_set(f, 0x4E, 2, 0x0003, 0xFFFF); /* XBCS: X-bus chip selects */
    for (unsigned i = 0; i < 4; i++)
        pci_function_set(f, PIIX3_PIRQRCA + i, 1, PIRQRC_OFF, 0x8F);
    pci_function_set(f, 0x69, 1, 0x02, 0xFF);     /* TOM: top of memory for ISA masters */
    pci_function_set(f, 0x6A, 1, 0x00, 0x03);     /* MSTAT: miscellaneous status */
    pci_function_set(f, 0x70, 1, 0x80, 0xCF);     /* MBIRQ0: motherboard device routing */
    pci_function_set(f, 0x76, 2, 0x0C0C, 0x8F8F); /* MBDMA[1:0] */
    pci_function_set(f, 0x78, 2, 0x0002, 0xFFFF); /* PCSC: programmable chip select */
    pci_function_set(f, 0x82, 1, 0x00, 0x0F);     /* DLC: deterministic latency */
    pci_function_set(f, 0xA0, 1, 0x08, 0x1F);     /* SMICNTL; the SMI block does nothing here */
    pci_function_set(f, 0xA2, 2, 0x0000, 0xFFFF); /* SMIEN */
    pci_function_set(f, 0xA4, 4, 0, 0xFFFFFFFF);  /* SEE: system event enable */
    pci_function_set(f, 0xA8, 1, 0x0F, 0xFF);     /* FTMR: fast off timer */
    f->written = config_written;
    f->opaque = p;
    piix3_reset(p);
}

const struct device_ops piix3_ops = {
    .name = "piix3",
    .doc = "Intel 82371SB PCI to ISA bridge: PIRQ routing, reset control, coprocessor errors",
    .size = sizeof(struct piix3),
    .fields = piix3_state_fields,
    .version = 2,
    .reset = piix3_reset,
    .after_load = piix3_after_load,
};

/* ---- power management function ---- */

static void tell_moved(struct piix3_pm *p)
{
    uint16_t base = le16_load(p->s.config + PIIX3_PM_BASE) & PM_BASE_MASK;
    bool on = (p->s.config[PIIX3_PM_REGMISC] & PMREGMISC_PMIOSE) && base;
    if (p->moved)
        p->moved(p->moved_opaque, base, on);
}

static void pm_config_written(void *opaque, unsigned offset, unsigned width)
{
    bool is_base = offset < PIIX3_PM_BASE + 4 && offset + width > PIIX3_PM_BASE;
    bool is_misc = offset <= PIIX3_PM_REGMISC && offset + width > PIIX3_PM_REGMISC;
    if (is_base || is_misc)
        tell_moved(opaque);
}

static void piix3_pm_reset(void *dev)
{
    struct piix3_pm *p = dev;
    pci_function_reset(&p->pci);
    tell_moved(p);
}

static int piix3_pm_after_load(void *dev, struct err *err)
{
    struct piix3_pm *p = dev;
    int r = pci_function_after_load(&p->pci, err);
    if (!r)
        tell_moved(p);
    return r;
}

void piix3_pm_enable(struct piix3_pm *p, uint16_t base)
{
    pci_config_write(&p->pci, PIIX3_PM_BASE, 4, base);
    pci_config_write(&p->pci, PIIX3_PM_REGMISC, 1, PMREGMISC_PMIOSE);
    pci_config_write(&p->pci, PCI_INTERRUPT_LINE, 1, SCI_IRQ);
}

void piix3_pm_init(struct piix3_pm *p)
{
    struct pci_function *f = &p->pci;
    *p = (struct piix3_pm){.moved = NULL};
    pci_function_init(f, p->s.config, 0x8086, 0x7113, 0x068000, 0x03);
    pci_function_set(f, PCI_COMMAND, 2, 0, 0x0001);
    pci_function_set(f, PCI_STATUS, 2, 0x0280, 0);
    pci_function_set(f, PCI_INTERRUPT_PIN, 1, 1, 0);
    pci_function_set(f, PIIX3_PM_BASE, 4, 0x00000001, PM_BASE_MASK);
    for (unsigned at = 0x44; at < 0x7C;
         at += 4) /* CNTA-DEVRESJ: monitors of devices; nothing traps here */
        pci_function_set(f, at, 4, 0, 0xFFFFFFFF);
    /* There is no SMI here. The APMC enable set from the start tells firmware that somebody has the
     * APM port already, as QEMU does without SMM; else SeaBIOS waits for an SMI that never comes.
     */
    pci_function_set(f, PIIX3_PM_DEVACTB, 4, DEVACTB_APMC_EN, 0xFFFFFFFF);
    pci_function_set(f, PIIX3_PM_REGMISC, 1, 0, PMREGMISC_PMIOSE);
    pci_function_set(f, 0x90, 4, 0x00000001, 0xFFF0); /* SMBBA: the SMBus host is not there */
    f->written = pm_config_written;
    f->opaque = p;
    piix3_pm_reset(p);
}

const struct device_ops piix3_pm_ops = {
    .name = "piix4-pm",
    .doc = "Intel 82371AB power management function: place of the PM block",
    .size = sizeof(struct piix3_pm),
    .fields = piix3_pm_state_fields,
    .version = 1,
    .reset = piix3_pm_reset,
    .after_load = piix3_pm_after_load,
};
