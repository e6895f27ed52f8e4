/* SPDX-License-Identifier: MIT */
/* Intel 82441FX PCI and Memory Controller (PMC), "PCI Configuration Space Mapped Registers". */
#include "devices/i440fx.h"

#include <string.h>

enum {
    SMRAM_DOPEN = 0x40,
    SMRAM_DCLS = 0x20,
    SMRAM_DLCK = 0x10,
    SMRAM_SMRAME = 0x08,
    SMRAM_BASE = 0x02
};

#define PAM_NEVER 0xFF

paddr i440fx_pam_base(unsigned i)
{
    return i < 12 ? 0xC0000 + i * 16 * KiB : 0xF0000;
}

uint64_t i440fx_pam_size(unsigned i)
{
    return i < 12 ? 16 * KiB : 64 * KiB;
}

/* PAM0 bits 5:4 are F0000h; PAM1-PAM6 have two areas each, the lower one in bits 1:0. */
uint8_t i440fx_pam_attribute(const struct i440fx *h, unsigned i)
{
    unsigned shift = i == 12 ? 4 : (i & 1) * 4;
    unsigned at = i == 12 ? I440FX_PAM0 : I440FX_PAM0 + 1 + i / 2;
    return h->s.config[at] >> shift & 3;
}

static void update_pam(struct i440fx *h)
{
    for (unsigned i = 0; i < I440FX_PAM_AREAS; i++) {
        uint8_t attribute = i440fx_pam_attribute(h, i);
        if (attribute == h->pam_seen[i])
            continue;
        h->pam_seen[i] = attribute;
        if (h->pam)
            h->pam(h->opaque, i440fx_pam_base(i), i440fx_pam_size(i), attribute & 1, attribute & 2);
    }
}

/* DLCK freezes the register but for DCLS until reset, and closes DOPEN. */
static void update_smram(struct i440fx *h)
{
    uint8_t *smram = &h->s.config[I440FX_SMRAM];
    bool is_locked = *smram & SMRAM_DLCK;
    if (is_locked)
        *smram &= (uint8_t)~SMRAM_DOPEN;
    h->pci.wmask[I440FX_SMRAM] =
        is_locked ? SMRAM_DCLS : SMRAM_DOPEN | SMRAM_DCLS | SMRAM_DLCK | SMRAM_SMRAME;
    if (h->smram)
        h->smram(h->opaque, *smram);
}

static void config_written(void *opaque, unsigned offset, unsigned width)
{
    struct i440fx *h = opaque;
    if (offset <= I440FX_PAM0 + 6 && offset + width > I440FX_PAM0)
        update_pam(h);
    if (offset <= I440FX_SMRAM && offset + width > I440FX_SMRAM)
        update_smram(h);
}

static void i440fx_reset(void *dev)
{
    struct i440fx *h = dev;
    pci_function_reset(&h->pci);
    update_pam(h);
    update_smram(h);
}

static int i440fx_after_load(void *dev, struct err *err)
{
    struct i440fx *h = dev;
    int r;
    h->pci.wmask[I440FX_SMRAM] = SMRAM_DOPEN | SMRAM_DCLS | SMRAM_DLCK | SMRAM_SMRAME;
    r = pci_function_after_load(&h->pci, err);
    if (r)
        return r;
    update_pam(h);
    update_smram(h);
    return 0;
}

void i440fx_init(struct i440fx *h)
{
    struct pci_function *f = &h->pci;
    *h = (struct i440fx){.pam = NULL};
    memset(h->pam_seen, PAM_NEVER, sizeof(h->pam_seen));
    pci_function_init(f, h->s.config, 0x8086, 0x1237, 0x060000, 0x02);
    pci_function_set(f, PCI_COMMAND, 2, 0x0006, 0x0100);
    pci_function_set(f, PCI_STATUS, 2, 0x0280, 0);
    pci_function_set(f, 0x0C, 2, 0, 0xFF00);
    pci_function_set(f, 0x50, 4, 0,
                     0xFFFFFFFF); /* PMCCFG, DETURBO, DBC: nothing here depends on them */
    pci_function_set(f, I440FX_PAM0, 1, 0, 0x30);
    for (unsigned i = 1; i <= 6; i++)
        pci_function_set(f, I440FX_PAM0 + i, 1, 0, 0x33);
    pci_function_set(f, 0x60, 4, 0,
                     0xFFFFFFFF); /* DRB0-7: DRAM row boundaries, for firmware's notes */
    pci_function_set(f, 0x64, 4, 0, 0xFFFFFFFF);
    pci_function_set(f, I440FX_SMRAM, 1, SMRAM_BASE, 0);
    f->written = config_written;
    f->opaque = h;
    i440fx_reset(h);
    memset(h->pam_seen, PAM_NEVER, sizeof(h->pam_seen));
}

const struct device_ops i440fx_ops = {
    .name = "i440fx",
    .doc = "Intel 82441FX host bridge",
    .size = sizeof(struct i440fx),
    .fields = i440fx_state_fields,
    .version = 1,
    .reset = i440fx_reset,
    .after_load = i440fx_after_load,
};
