/* SPDX-License-Identifier: MIT */
/* ACPI 6.4, "ACPI System Description Tables"; IA-PC HPET 1.0a, "The ACPI 2.0 HPET Description
 * Table". */
#include "monitor/acpi_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "devices/acpi_pm.h"
#include "monitor/acpi_dsdt.h"

enum {
    HEADER = 36,
    RSDP_BYTES = 36,
    RSDP_V1_BYTES = 20,
    FACS_BYTES = 64,
    FADT_BYTES = 244,
    FADT_REVISION = 3
};
enum { TABLES = 4, ALIGN = 64, APICS_AT = HEADER + 8, RESET_PORT = 0xCF9, RESET_HARD = 0x06 };
enum { SPACE_MEMORY = 0, SPACE_IO = 1, ACCESS_BYTE = 1, ACCESS_WORD = 2, ACCESS_DWORD = 3 };
enum { BOOT_ARCH_LEGACY = 1, BOOT_ARCH_8042 = 2 };
enum { FLAG_WBINVD = 1, FLAG_PROC_C1 = 1 << 2, FLAG_SLP_BUTTON = 1 << 5, FLAG_RESET_REG = 1 << 10 };
enum { ACTIVE_HIGH_LEVEL = 0x0D, NO_LATENCY = 0xFFF };

#define LAPIC_BASE 0xFEE00000u
#define IOAPIC_BASE 0xFEC00000u
#define HPET_BASE 0xFED00000u
#define HPET_ID 0x8086A201u /* its capability register's low half */

/* The whole blob while it grows; addresses are config->base plus offsets. */
struct blob_writer {
    struct aml b;                     /* the bytes: a growing buffer is a growing buffer */
    const struct acpi_config *config; /* borrowed */
    size_t tables[TABLES];            /* offsets of FADT, MADT, HPET, DSDT */
    size_t facs;                      /* its offset */
};

enum { T_FADT, T_MADT, T_HPET, T_DSDT };

static void pad(struct aml *b, size_t align)
{
    static const uint8_t zeros[ALIGN];
    aml_bytes(b, zeros, (align - b->len % align) % align);
}

static void fill(struct aml *b, size_t upto)
{
    while (b->len < upto)
        aml_number(b, 0, 1);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;
    while (n--)
        s = (uint8_t)(s + *p++);
    return s;
}

/* "System Description Table Header"; length and checksum come with end_table. */
static size_t begin_table(struct aml *b, const char *signature, uint8_t revision)
{
    size_t at;
    pad(b, ALIGN);
    at = b->len;
    aml_bytes(b, signature, 4);
    aml_number(b, 0, 4);
    aml_number(b, revision, 1);
    aml_number(b, 0, 1);
    aml_bytes(b, "TRAPLN", 6);
    aml_bytes(b, "TRAPLNPC", 8);
    aml_number(b, 1, 4);
    aml_bytes(b, "TRPL", 4);
    aml_number(b, 1, 4);
    return at;
}

static void end_table(struct aml *b, size_t at)
{
    if (b->failed)
        return;
    le32_store(b->data + at + 4, (uint32_t)(b->len - at));
    b->data[at + 9] = (uint8_t)-sum(b->data + at, b->len - at);
}

/* Generic Address Structure; an address of 0 says "not there". */
static void gas(struct aml *b, uint8_t space, uint8_t bits, uint8_t access, uint64_t address)
{
    aml_number(b, address ? space : 0, 1);
    aml_number(b, address ? bits : 0, 1);
    aml_number(b, 0, 1);
    aml_number(b, address ? access : 0, 1);
    aml_number(b, address, 8);
}

/* ---- the tables ---- */

static void write_facs(struct blob_writer *w)
{
    pad(&w->b, ALIGN);
    w->facs = w->b.len;
    aml_bytes(&w->b, "FACS", 4);
    aml_number(&w->b, FACS_BYTES, 4);
    fill(&w->b, w->facs + 32);
    aml_number(&w->b, 1, 1); /* version */
    fill(&w->b, w->facs + FACS_BYTES);
}

static void write_dsdt(struct blob_writer *w)
{
    size_t at = w->tables[T_DSDT] = begin_table(&w->b, "DSDT", 2);
    acpi_dsdt_write(&w->b, w->config);
    end_table(&w->b, at);
}

/* Bytes 40-115: the fixed registers and features of ACPI 1.0. SMI_CMD 0: the machine is always in
 * ACPI mode. */
static void write_fadt_fixed(struct blob_writer *w, size_t at)
{
    struct aml *b = &w->b;
    uint16_t pm = w->config->pm_base;
    aml_number(b, w->config->base + w->facs, 4);
    aml_number(b, w->config->base + w->tables[T_DSDT], 4);
    aml_number(b, 0, 1);
    aml_number(b, 1, 1); /* preferred profile: desktop */
    aml_number(b, ACPI_SCI_IRQ, 2);
    fill(b, at + 56);
    aml_number(b, pm + ACPI_PM1_STS, 4); /* PM1a_EVT_BLK */
    aml_number(b, 0, 4);
    aml_number(b, pm + ACPI_PM1_CNT, 4); /* PM1a_CNT_BLK */
    fill(b, at + 76);
    aml_number(b, pm + ACPI_PM_TMR, 4);  /* PM_TMR_BLK */
    aml_number(b, ACPI_PM_GPE0_BASE, 4); /* GPE0_BLK */
    fill(b, at + 88);
    aml_number(b, 4, 1); /* PM1_EVT_LEN */
    aml_number(b, 2, 1); /* PM1_CNT_LEN */
    aml_number(b, 0, 1);
    aml_number(b, 4, 1); /* PM_TMR_LEN */
    aml_number(b, 4, 1); /* GPE0_BLK_LEN */
    fill(b, at + 96);
    aml_number(b, NO_LATENCY, 2); /* no C2, no C3 */
    aml_number(b, NO_LATENCY, 2);
    fill(b, at + 108);
    aml_number(b, 0x32, 1); /* CMOS byte of the century */
    aml_number(b, BOOT_ARCH_LEGACY | BOOT_ARCH_8042, 2);
    fill(b, at + 112);
    aml_number(b, FLAG_WBINVD | FLAG_PROC_C1 | FLAG_SLP_BUTTON | FLAG_RESET_REG, 4);
}

static void write_fadt(struct blob_writer *w)
{
    struct aml *b = &w->b;
    uint16_t pm = w->config->pm_base;
    size_t at = w->tables[T_FADT] = begin_table(b, "FACP", FADT_REVISION);
    write_fadt_fixed(w, at);
    gas(b, SPACE_IO, 8, ACCESS_BYTE, RESET_PORT);
    aml_number(b, RESET_HARD, 1);
    fill(b, at + 140); /* X_FIRMWARE_CTRL stays 0: the FACS is below 4 GiB */
    aml_number(b, w->config->base + w->tables[T_DSDT], 8);
    gas(b, SPACE_IO, 32, ACCESS_WORD, (uint64_t)pm + ACPI_PM1_STS);
    gas(b, SPACE_IO, 0, 0, 0);
    gas(b, SPACE_IO, 16, ACCESS_WORD, (uint64_t)pm + ACPI_PM1_CNT);
    gas(b, SPACE_IO, 0, 0, 0);
    gas(b, SPACE_IO, 0, 0, 0);
    gas(b, SPACE_IO, 32, ACCESS_DWORD, (uint64_t)pm + ACPI_PM_TMR);
    gas(b, SPACE_IO, 32, ACCESS_BYTE, ACPI_PM_GPE0_BASE);
    fill(b, at + FADT_BYTES);
    end_table(b, at);
}

/* "Interrupt Source Override Structure": ISA interrupt irq is pin gsi. flags 0: as the ISA bus has
 * it. */
static void override(struct aml *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    aml_number(b, 2, 1);
    aml_number(b, 10, 1);
    aml_number(b, 0, 1);
    aml_number(b, irq, 1);
    aml_number(b, gsi, 4);
    aml_number(b, flags, 2);
}

/*
 * The PIT is on pin 2. The SCI and the interrupts that PIRQs can be routed to are level-triggered,
 * and active high by the time they reach the IOAPIC.
 */
static void write_madt(struct blob_writer *w)
{
    static const uint8_t level[] = {5, ACPI_SCI_IRQ, 10, 11};
    struct aml *b = &w->b;
    size_t at = w->tables[T_MADT] = begin_table(b, "APIC", 3);
    aml_number(b, LAPIC_BASE, 4);
    aml_number(b, 1, 4); /* PCAT_COMPAT: there are 8259s to be masked */
    for (unsigned i = 0; i < w->config->cpus; i++)
        aml_number(b, 0x0800 | (uint64_t)i << 16 | (uint64_t)i << 24 | UINT64_C(1) << 32, 8);
    aml_number(b, 0x0C01, 4); /* IOAPIC, id 0 */
    aml_number(b, IOAPIC_BASE, 4);
    aml_number(b, 0, 4);
    override(b, 0, 2, 0);
    for (unsigned i = 0; i < sizeof(level); i++)
        override(b, level[i], level[i], ACTIVE_HIGH_LEVEL);
    aml_number(b, 0x0000FF0604, 5); /* "Local APIC NMI": LINT1 of all processors */
    aml_number(b, 1, 1);
    end_table(b, at);
}

static void write_hpet(struct blob_writer *w)
{
    size_t at = w->tables[T_HPET] = begin_table(&w->b, "HPET", 1);
    aml_number(&w->b, HPET_ID, 4);
    gas(&w->b, SPACE_MEMORY, 64, 0, HPET_BASE);
    aml_number(&w->b, 0, 1);   /* HPET number */
    aml_number(&w->b, 100, 2); /* minimum tick in periodic mode */
    aml_number(&w->b, 0, 1);
    end_table(&w->b, at);
}

/* RSDT (4-byte pointers) or XSDT (8): FADT, MADT, HPET; the DSDT hangs on the FADT. Returns its
 * offset. */
static size_t write_root(struct blob_writer *w, const char *signature, unsigned pointer)
{
    size_t at = begin_table(&w->b, signature, 1);
    for (unsigned i = 0; i < T_DSDT; i++)
        aml_number(&w->b, w->config->base + w->tables[i], pointer);
    end_table(&w->b, at);
    return at;
}

/* "Root System Description Pointer (RSDP) Structure", revision 2. */
static void write_rsdp(struct blob_writer *w, size_t rsdt, size_t xsdt)
{
    uint8_t *p = w->b.data;
    if (w->b.failed)
        return;
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "TRAPLN", 6);
    p[15] = 2;
    le32_store(p + 16, (uint32_t)(w->config->base + rsdt));
    le32_store(p + 20, RSDP_BYTES);
    le64_store(p + 24, w->config->base + xsdt);
    p[8] = (uint8_t)-sum(p, RSDP_V1_BYTES);
    p[32] = (uint8_t)-sum(p, RSDP_BYTES);
}

int acpi_tables_build(const struct acpi_config *config, uint8_t **data, size_t *size)
{
    struct blob_writer w = {.config = config};
    size_t rsdt, xsdt;
    assert(config->base % ALIGN == 0 && config->cpus <= 254);
    fill(&w.b, RSDP_BYTES);
    write_facs(&w);
    write_dsdt(&w);
    write_fadt(&w);
    write_madt(&w);
    write_hpet(&w);
    rsdt = write_root(&w, "RSDT", 4);
    xsdt = write_root(&w, "XSDT", 8);
    write_rsdp(&w, rsdt, xsdt);
    fill(&w.b, (w.b.len + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1));
    if (w.b.failed) {
        aml_free(&w.b);
        return -ENOMEM;
    }
    *data = w.b.data;
    *size = w.b.len;
    return 0;
}
