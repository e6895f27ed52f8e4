/* SPDX-License-Identifier: MIT */
/*
 * Intel 82441FX (PMC), host bridge of the 440FX: device 0 of bus 0. What software uses of it:
 * identity, PAM registers (which of C0000h-FFFFFh is RAM or ROM) and SMRAM control. The board does
 * the switching in `pam` and `smram`. (Intel 82441FX datasheet, "PAM - Programmable Attribute Map
 * Registers", "SMRAM - System Management RAM Control".)
 */
#pragma once

#include "devices/pci.h"

enum { I440FX_PAM0 = 0x59, I440FX_SMRAM = 0x72, I440FX_PAM_AREAS = 13 };

/* clang-format off */
#define I440FX_STATE(ONE, ARR, S) PCI_CONFIG_FIELD(ONE, ARR, S)
/* clang-format on */
STATE_STRUCT(i440fx_state, I440FX_STATE);

struct i440fx {
    struct i440fx_state s;   /* first: saved, hashed, shown */
    struct pci_function pci; /* 00:00.0 */
    /* wiring: reads (writes) of [base, base + size) go to RAM, else to ROM or the bus. Called at
     * init for none. */
    void (*pam)(void *opaque, paddr base, uint64_t size, bool reads_ram, bool writes_ram);
    void (*smram)(void *opaque, uint8_t smram); /* wiring: SMRAM register changed; may be NULL */
    void *opaque;                               /* of pam and smram */
    uint8_t pam_seen[I440FX_PAM_AREAS]; /* what pam was last told: bit 0 read, 1 write; FFh never */
};

extern const struct device_ops i440fx_ops;

void i440fx_init(struct i440fx *h);

/* Area i of the PAM: C0000h + 16 KiB each for 0-11, F0000h (64 KiB) for 12; its attribute: bit 0
 * read, 1 write. */
paddr i440fx_pam_base(unsigned i);
uint64_t i440fx_pam_size(unsigned i);
uint8_t i440fx_pam_attribute(const struct i440fx *h, unsigned i);
