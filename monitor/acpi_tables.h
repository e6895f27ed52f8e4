/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of the board "pc", made as bytes at its creation: RSDP, RSDT, XSDT, FADT, FACS,
 * MADT, HPET and a DSDT in AML. Called by the board when no firmware brings its own. (ACPI
 * Specification 6.4, "ACPI Software Programming Model".) Owns nothing; what it describes is fixed
 * in the board's wiring.
 */
#pragma once

#include "base/types.h"

struct acpi_config {
    paddr base;    /* where the bytes will stand; 64-byte aligned. In E0000h-FFFFFh kernels find the
                      RSDP by scanning */
    unsigned cpus; /* LAPIC ids 0 .. cpus - 1, at most 254 */
    uint16_t pm_base; /* PM block (acpi_pm) */
    paddr low_ram;    /* end of RAM below 4 GiB: PCI memory starts above it */
    unsigned uarts;   /* COM ports present, 0..4 */
};

/*
 * Make the tables; RSDP first, at offset 0. *data is a new buffer, which the caller frees; its
 * length is a multiple of the page size. -ENOMEM.
 */
int acpi_tables_build(const struct acpi_config *config, uint8_t **data, size_t *size);
