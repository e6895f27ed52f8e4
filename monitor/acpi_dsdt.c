/* SPDX-License-Identifier: MIT */
/*
 * The name space of the board "pc". Comments show the ASL that the bytes stand for. ACPI 6.4, "ACPI
 * Namespace" and "Device Configuration"; PIRQ routing as in the PIIX3 (devices/piix3.h) and the
 * slots' wiring (devices/pci.c).
 */
#include "monitor/acpi_dsdt.h"

#include "devices/piix3.h"

enum {
    OR_OP = 0x7D,
    AND_OP = 0x7B,
    STORE_OP = 0x70,
    RETURN_OP = 0xA4,
    LLESS_OP = 0x95,
    ARG0_OP = 0x68
};
enum {
    CREATE_DWORD_FIELD_OP = 0x8A,
    NO_TARGET = 0x00,
    PIRQ_DISABLED = 0x80,
    STA_THERE = 0x0B,
    STA_DISABLED = 0x09
};
enum { INTERRUPT_NUMBER_AT = 5, SCI = 9 };

static const uint32_t pirq_choices[] = {5, 10, 11};
static const uint32_t sci_choice[] = {SCI};
static const char *const link_names[4] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const pirq_fields[4] = {"PRQ0", "PRQ1", "PRQ2", "PRQ3"};
static const char *const pirq_paths[4] = {"\\_SB_.PCI0.ISA_.PRQ0", "\\_SB_.PCI0.ISA_.PRQ1",
                                          "\\_SB_.PCI0.ISA_.PRQ2", "\\_SB_.PCI0.ISA_.PRQ3"};

static void op(struct aml *a, uint8_t code)
{
    aml_bytes(a, &code, 1);
}

/* Device (name) { Name (_HID, EisaId (hid))  Name (_UID, uid) ... */
static aml_mark begin_device(struct aml *a, const char *name, const char *hid, uint64_t uid)
{
    aml_mark m = aml_begin_device(a, name);
    aml_name(a, "_HID");
    aml_eisa_id(a, hid);
    aml_name(a, "_UID");
    aml_integer(a, uid);
    return m;
}

static void resources(struct aml *a, const char *name, struct aml *r)
{
    aml_name(a, name);
    aml_resources(a, r);
}

/* Name (_S5, Package () { 0, 0, 0, 0 }): SLP_TYP 0 is soft off. */
static void sleep_states(struct aml *a)
{
    aml_mark m;
    aml_name(a, "\\_S5_");
    m = aml_begin_package(a, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_integer(a, 0);
    aml_end(a, m);
}

/* Device (Cnnn) { Name (_HID, "ACPI0007")  Name (_UID, n) }: n is the processor UID of the MADT. */
static void processors(struct aml *a, unsigned cpus)
{
    static const char digits[] = "0123456789ABCDEF";
    for (unsigned n = 0; n < cpus; n++) {
        const char name[5] = {'C', digits[n >> 8 & 15], digits[n >> 4 & 15], digits[n & 15], 0};
        aml_mark m = aml_begin_device(a, name);
        aml_name(a, "_HID");
        aml_string(a, "ACPI0007");
        aml_name(a, "_UID");
        aml_integer(a, n);
        aml_end(a, m);
    }
}

/* ---- interrupt links ---- */

/* Method (_STA) { If (And (PRQn, 0x80)) { Return (9) }  Return (0x0B) } */
static void link_status(struct aml *a, const char *pirq)
{
    aml_mark m = aml_begin_method(a, "_STA", 0, false), branch;
    branch = aml_begin_if(a);
    op(a, AND_OP);
    aml_path(a, pirq);
    aml_integer(a, PIRQ_DISABLED);
    op(a, NO_TARGET);
    op(a, RETURN_OP);
    aml_integer(a, STA_DISABLED);
    aml_end(a, branch);
    op(a, RETURN_OP);
    aml_integer(a, STA_THERE);
    aml_end(a, m);
}

/* Method (_DIS) { Or (PRQn, 0x80, PRQn) } */
static void link_disable(struct aml *a, const char *pirq)
{
    aml_mark m = aml_begin_method(a, "_DIS", 0, false);
    op(a, OR_OP);
    aml_path(a, pirq);
    aml_integer(a, PIRQ_DISABLED);
    aml_path(a, pirq);
    aml_end(a, m);
}

/* Name (BUFF, ...)  CreateDWordField (BUFF, 5, INTN)
 * Method (_CRS) { If (LLess (PRQn, 0x80)) { Store (PRQn, INTN) }  Return (BUFF) } */
static void link_current(struct aml *a, const char *pirq)
{
    static const uint32_t none[] = {0};
    struct aml r = {.data = NULL};
    aml_mark m, branch;
    aml_interrupts(&r, none, 1);
    resources(a, "BUFF", &r);
    op(a, CREATE_DWORD_FIELD_OP);
    aml_path(a, "BUFF");
    aml_integer(a, INTERRUPT_NUMBER_AT);
    aml_path(a, "INTN");
    m = aml_begin_method(a, "_CRS", 0, false);
    branch = aml_begin_if(a);
    op(a, LLESS_OP);
    aml_path(a, pirq);
    aml_integer(a, PIRQ_DISABLED);
    op(a, STORE_OP);
    aml_path(a, pirq);
    aml_path(a, "INTN");
    aml_end(a, branch);
    op(a, RETURN_OP);
    aml_path(a, "BUFF");
    aml_end(a, m);
}

/* Method (_SRS, 1, Serialized) { CreateDWordField (Arg0, 5, WANT)  Store (WANT, PRQn) } */
static void link_set(struct aml *a, const char *pirq)
{
    aml_mark m = aml_begin_method(a, "_SRS", 1, true);
    op(a, CREATE_DWORD_FIELD_OP);
    op(a, ARG0_OP);
    aml_integer(a, INTERRUPT_NUMBER_AT);
    aml_path(a, "WANT");
    op(a, STORE_OP);
    aml_path(a, "WANT");
    aml_path(a, pirq);
    aml_end(a, m);
}

static void links(struct aml *a)
{
    for (unsigned i = 0; i < 4; i++) {
        struct aml r = {.data = NULL};
        aml_mark m = begin_device(a, link_names[i], "PNP0C0F", i);
        aml_interrupts(&r, pirq_choices, ARRAY_SIZE(pirq_choices));
        resources(a, "_PRS", &r);
        link_status(a, pirq_paths[i]);
        link_disable(a, pirq_paths[i]);
        link_current(a, pirq_paths[i]);
        link_set(a, pirq_paths[i]);
        aml_end(a, m);
    }
}

/* LNKS: the PM function's interrupt is the SCI whatever the PIRQs do; _SRS and _DIS are empty
 * methods. */
static void sci_link(struct aml *a)
{
    struct aml r = {.data = NULL}, now = {.data = NULL};
    aml_mark m = begin_device(a, "LNKS", "PNP0C0F", 4);
    aml_interrupts(&r, sci_choice, 1);
    resources(a, "_PRS", &r);
    aml_interrupts(&now, sci_choice, 1);
    resources(a, "_CRS", &now);
    aml_name(a, "_STA");
    aml_integer(a, STA_THERE);
    aml_end(a, aml_begin_method(a, "_DIS", 0, false));
    aml_end(a, aml_begin_method(a, "_SRS", 1, false));
    aml_end(a, m);
}

/* Package () { slot << 16 | 0xFFFF, pin, \_SB.LNKx, 0 } for each pin of the slots 1-31. */
static void routing_table(struct aml *a)
{
    aml_mark table, entry;
    aml_name(a, "_PRT");
    table = aml_begin_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            bool is_pm = slot == 1 && pin == 0;
            entry = aml_begin_package(a, 4);
            aml_integer(a, (uint64_t)slot << 16 | 0xFFFF);
            aml_integer(a, pin);
            aml_path(a, is_pm ? "LNKS" : link_names[(slot - 1 + pin) & 3]);
            aml_integer(a, 0);
            aml_end(a, entry);
        }
    }
    aml_end(a, table);
}

/* ---- the bus and its devices ---- */

static void host_bridge_windows(struct aml *a, paddr low_ram)
{
    struct aml r = {.data = NULL};
    uint32_t first = low_ram < 0xC0000000 ? (uint32_t)low_ram : 0xC0000000;
    aml_bus_numbers(&r, 0, 0xFF);
    aml_io(&r, 0xCF8, 1, 8);
    aml_io_window(&r, 0x0000, 0x0CF7);
    aml_io_window(&r, 0x0D00, 0xFFFF);
    aml_memory_window(&r, 0x000A0000, 0x000BFFFF, true);
    aml_memory_window(&r, first, 0xFEBFFFFF, false);
    resources(a, "_CRS", &r);
}

static void isa_device(struct aml *a, const char *name, const char *hid, uint16_t port,
                       uint8_t ports, uint16_t port_2, unsigned irq)
{
    struct aml r = {.data = NULL};
    aml_mark m = begin_device(a, name, hid, 0);
    if (port)
        aml_io(&r, port, 1, ports);
    if (port_2)
        aml_io(&r, port_2, 1, ports);
    aml_irq(&r, irq);
    resources(a, "_CRS", &r);
    aml_end(a, m);
}

static void serial_ports(struct aml *a, unsigned count)
{
    static const uint16_t port[4] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
    static const uint8_t irq[4] = {4, 3, 4, 3};
    static const char *const name[4] = {"COM1", "COM2", "COM3", "COM4"};
    for (unsigned i = 0; i < count && i < 4; i++) {
        struct aml r = {.data = NULL};
        aml_mark m = begin_device(a, name[i], "PNP0501", i + 1);
        aml_io(&r, port[i], 8, 8);
        aml_irq(&r, irq[i]);
        resources(a, "_CRS", &r);
        aml_end(a, m);
    }
}

/* The ISA bridge at 1.0: the PIRQ route registers and what hangs on its bus. */
static void isa_bridge(struct aml *a, const struct acpi_config *config)
{
    aml_mark m = aml_begin_device(a, "ISA_");
    aml_name(a, "_ADR");
    aml_integer(a, 0x00010000);
    aml_pci_bytes(a, "P40C", PIIX3_PIRQRCA, pirq_fields, 4);
    isa_device(a, "RTC_", "PNP0B00", 0x70, 2, 0, 8);
    isa_device(a, "KBD_", "PNP0303", 0x60, 1, 0x64, 1);
    isa_device(a, "MOU_", "PNP0F13", 0, 0, 0, 12);
    serial_ports(a, config->uarts);
    aml_end(a, m);
}

static void hpet(struct aml *a)
{
    struct aml r = {.data = NULL};
    aml_mark m = begin_device(a, "HPET", "PNP0103", 0);
    aml_memory32(&r, 0xFED00000, 0x400);
    resources(a, "_CRS", &r);
    aml_end(a, m);
}

/* PNP0C02: ports that belong to the mainboard and are not to be given away. */
static void mainboard(struct aml *a, const struct acpi_config *config)
{
    struct aml r = {.data = NULL};
    aml_mark m = begin_device(a, "MBRD", "PNP0C02", 0);
    aml_io(&r, config->pm_base, 1, 0x40);
    aml_io(&r, 0xAFE0, 1, 4);
    aml_io(&r, 0xB2, 1, 2);
    resources(a, "_CRS", &r);
    aml_end(a, m);
}

void acpi_dsdt_write(struct aml *a, const struct acpi_config *config)
{
    aml_mark sb, pci;
    sleep_states(a);
    sb = aml_begin_scope(a, "\\_SB_");
    processors(a, config->cpus);
    links(a);
    sci_link(a);
    pci = begin_device(a, "PCI0", "PNP0A03", 0);
    host_bridge_windows(a, config->low_ram);
    routing_table(a);
    isa_bridge(a, config);
    aml_end(a, pci);
    hpet(a);
    mainboard(a, config);
    aml_end(a, sb);
}
