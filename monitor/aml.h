/* SPDX-License-Identifier: MIT */
/*
 * Writing AML, ACPI's machine language, byte by byte: names, integers, packages, devices, methods,
 * resources. Called by acpi_dsdt.c alone. Owns its buffer; running out of memory is remembered and
 * asked for once, at the end. (ACPI Specification 6.4, "ACPI Machine Language (AML) Specification"
 * and "Resource Data Types for ACPI".)
 */
#pragma once

#include "base/types.h"

struct aml {
    uint8_t *data;   /* owned */
    size_t len;      /* bytes written */
    size_t capacity; /* of data */
    bool failed;     /* memory ran out: len is right, the bytes are not */
};

/* Where a PkgLength stands; what follows up to aml_end belongs to it. */
typedef size_t aml_mark;

void aml_free(struct aml *a);

/* Raw bytes and little-endian numbers. */
void aml_bytes(struct aml *a, const void *bytes, size_t n);
void aml_number(struct aml *a, uint64_t v, unsigned size);

/* NameString: "PCI0", "_SB_.LNKA", "\\_SB_.PCI0"; every segment has four characters. */
void aml_path(struct aml *a, const char *path);

/* Integer, string and EISA id ("PNP0A03") as data objects. */
void aml_integer(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
void aml_eisa_id(struct aml *a, const char *id);

/* DefName's beginning; the object follows. */
void aml_name(struct aml *a, const char *path);

/* Things with a PkgLength: begin, contents, aml_end. */
aml_mark aml_begin_scope(struct aml *a, const char *path);
aml_mark aml_begin_device(struct aml *a, const char *name);
aml_mark aml_begin_method(struct aml *a, const char *name, unsigned args, bool is_serialized);
aml_mark aml_begin_package(struct aml *a, uint8_t elements);
aml_mark aml_begin_if(struct aml *a); /* the predicate follows, then the statements */
void aml_end(struct aml *a, aml_mark mark);

/* Byte-wide fields of PCI configuration space from `offset`: an OperationRegion and a Field with
 * `count` names. */
void aml_pci_bytes(struct aml *a, const char *region, uint8_t offset, const char *const names[],
                   unsigned count);

/* A Buffer object with the bytes of r and the end tag; r is freed. */
void aml_resources(struct aml *a, struct aml *r);

/* Resource descriptors, to be collected in an aml of their own. */
void aml_io(struct aml *r, uint16_t base, uint8_t align, uint8_t size);
void aml_irq(struct aml *r, unsigned irq);                               /* edge, high, exclusive */
void aml_interrupts(struct aml *r, const uint32_t *gsi, unsigned count); /* level, high, shared */
void aml_memory32(struct aml *r, uint32_t base, uint32_t size);          /* fixed, read-write */
void aml_bus_numbers(struct aml *r, uint16_t first, uint16_t last);      /* produced */
void aml_io_window(struct aml *r, uint16_t first, uint16_t last);        /* produced */
void aml_memory_window(struct aml *r, uint32_t first, uint32_t last,
                       bool is_cacheable); /* produced */
