/* SPDX-License-Identifier: MIT */
/* ACPI 6.4, "AML Grammar Definition": the opcodes below have its names. */
#include "monitor/aml.h"

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

enum {
    ZERO_OP = 0x00,
    ONE_OP = 0x01,
    NAME_OP = 0x08,
    BYTE_PREFIX = 0x0A,
    WORD_PREFIX = 0x0B,
    DWORD_PREFIX = 0x0C,
    STRING_PREFIX = 0x0D,
    QWORD_PREFIX = 0x0E,
    SCOPE_OP = 0x10,
    BUFFER_OP = 0x11,
    PACKAGE_OP = 0x12,
    METHOD_OP = 0x14,
    DUAL_NAME_PREFIX = 0x2E,
    MULTI_NAME_PREFIX = 0x2F,
    EXT_OP_PREFIX = 0x5B,
    OP_REGION_OP = 0x80,
    FIELD_OP = 0x81,
    DEVICE_OP = 0x82,
    IF_OP = 0xA0,
};
enum { SERIALIZED = 8, REGION_PCI_CONFIG = 2, FIELD_BYTE_ACCESS = 1, NAME_SEG = 4 };

void aml_free(struct aml *a)
{
    free(a->data);
    *a = (struct aml){.data = NULL};
}

/* Space for n more bytes; false once memory has run out. */
static bool reserve(struct aml *a, size_t n)
{
    size_t capacity = a->capacity ? a->capacity : 256;
    uint8_t *p;
    if (a->failed)
        return false;
    while (capacity - a->len < n)
        capacity *= 2;
    if (capacity == a->capacity)
        return true;
    p = realloc(a->data, capacity);
    if (!p) {
        a->failed = true;
        return false;
    }
    a->data = p;
    a->capacity = capacity;
    return true;
}

void aml_bytes(struct aml *a, const void *bytes, size_t n)
{
    if (reserve(a, n))
        memcpy(a->data + a->len, bytes, n);
    a->len += n;
}

void aml_number(struct aml *a, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    le_store(bytes, v, size);
    aml_bytes(a, bytes, size);
}

static void put(struct aml *a, uint8_t v)
{
    aml_bytes(a, &v, 1);
}

void aml_path(struct aml *a, const char *path)
{
    size_t n;
    if (*path == '\\')
        put(a, (uint8_t)*path++);
    n = (strlen(path) + 1) / (NAME_SEG + 1);
    if (n == 2)
        put(a, DUAL_NAME_PREFIX);
    if (n > 2) {
        put(a, MULTI_NAME_PREFIX);
        put(a, (uint8_t)n);
    }
    for (size_t i = 0; i < n; i++)
        aml_bytes(a, path + i * (NAME_SEG + 1), NAME_SEG);
}

void aml_integer(struct aml *a, uint64_t v)
{
    if (v <= 1) {
        put(a, v ? ONE_OP : ZERO_OP);
    } else if (v <= UINT8_MAX) {
        put(a, BYTE_PREFIX);
        aml_number(a, v, 1);
    } else if (v <= UINT16_MAX) {
        put(a, WORD_PREFIX);
        aml_number(a, v, 2);
    } else if (v <= UINT32_MAX) {
        put(a, DWORD_PREFIX);
        aml_number(a, v, 4);
    } else {
        put(a, QWORD_PREFIX);
        aml_number(a, v, 8);
    }
}

void aml_string(struct aml *a, const char *s)
{
    put(a, STRING_PREFIX);
    aml_bytes(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Three letters of five bits each and four hexadecimal digits, in big-endian order ("EISAID"). */
void aml_eisa_id(struct aml *a, const char *id)
{
    uint32_t v = 0;
    uint8_t be[4];
    for (unsigned i = 0; i < 3; i++)
        v = v << 5 | ((unsigned)(id[i] - '@') & 0x1F);
    for (unsigned i = 3; i < 7; i++)
        v = v << 4 | hex_digit(id[i]);
    be32_store(be, v);
    aml_integer(a, le32_load(be));
}

void aml_name(struct aml *a, const char *path)
{
    put(a, NAME_OP);
    aml_path(a, path);
}

/* ---- packages ---- */

aml_mark aml_begin_scope(struct aml *a, const char *path)
{
    aml_mark m;
    put(a, SCOPE_OP);
    m = a->len;
    aml_path(a, path);
    return m;
}

aml_mark aml_begin_device(struct aml *a, const char *name)
{
    aml_mark m;
    put(a, EXT_OP_PREFIX);
    put(a, DEVICE_OP);
    m = a->len;
    aml_path(a, name);
    return m;
}

aml_mark aml_begin_method(struct aml *a, const char *name, unsigned args, bool is_serialized)
{
    aml_mark m;
    put(a, METHOD_OP);
    m = a->len;
    aml_path(a, name);
    put(a, (uint8_t)(args | (is_serialized ? SERIALIZED : 0)));
    return m;
}

aml_mark aml_begin_package(struct aml *a, uint8_t elements)
{
    aml_mark m;
    put(a, PACKAGE_OP);
    m = a->len;
    put(a, elements);
    return m;
}

aml_mark aml_begin_if(struct aml *a)
{
    put(a, IF_OP);
    return a->len;
}

/*
 * PkgLength counts itself: one byte up to 63, else the low nibble and the number of bytes that
 * follow go first
 * ("Package Length Encoding"). The contents move up to make room for it.
 */
void aml_end(struct aml *a, aml_mark mark)
{
    size_t body = a->len - mark;
    uint8_t bytes[4];
    unsigned n = 1;
    if (body + 1 > 0x3F)
        for (n = 2; n < 4 && body + n >= (size_t)1 << (4 + 8 * (n - 1)); n++)
            ;
    body += n;
    bytes[0] = n == 1 ? (uint8_t)body : (uint8_t)((n - 1) << 6 | (body & 0x0F));
    for (unsigned i = 1; i < n; i++)
        bytes[i] = (uint8_t)(body >> (4 + 8 * (i - 1)));
    if (reserve(a, n)) {
        memmove(a->data + mark + n, a->data + mark, a->len - mark);
        memcpy(a->data + mark, bytes, n);
    }
    a->len += n;
}

void aml_pci_bytes(struct aml *a, const char *region, uint8_t offset, const char *const names[],
                   unsigned count)
{
    aml_mark m;
    put(a, EXT_OP_PREFIX);
    put(a, OP_REGION_OP);
    aml_path(a, region);
    put(a, REGION_PCI_CONFIG);
    aml_integer(a, offset);
    aml_integer(a, count);
    put(a, EXT_OP_PREFIX);
    put(a, FIELD_OP);
    m = a->len;
    aml_path(a, region);
    put(a, FIELD_BYTE_ACCESS);
    for (unsigned i = 0; i < count; i++) {
        aml_path(a, names[i]);
        put(a, 8); /* bits */
    }
    aml_end(a, m);
}

/* ---- resources ---- */

enum { SMALL_IRQ = 0x22, SMALL_IO = 0x47, SMALL_END = 0x79 };
enum { LARGE_MEMORY32_FIXED = 0x86, LARGE_DWORD = 0x87, LARGE_WORD = 0x88, LARGE_INTERRUPT = 0x89 };
enum { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_BUS = 2 };
enum { FIXED_RANGE = 0x0C, DECODE_16 = 1, ENTIRE_RANGE = 3, MEMORY_RW = 1, MEMORY_CACHEABLE = 2 };
enum { INT_CONSUMER = 1, INT_SHARED = 8 };

void aml_resources(struct aml *a, struct aml *r)
{
    aml_mark m;
    put(r, SMALL_END);
    put(r, 0); /* checksum: 0 is always right */
    put(a, BUFFER_OP);
    m = a->len;
    aml_integer(a, r->len);
    if (r->failed)
        a->failed = true;
    else
        aml_bytes(a, r->data, r->len);
    aml_end(a, m);
    aml_free(r);
}

void aml_io(struct aml *r, uint16_t base, uint8_t align, uint8_t size)
{
    put(r, SMALL_IO);
    put(r, DECODE_16);
    aml_number(r, base, 2);
    aml_number(r, base, 2);
    put(r, align);
    put(r, size);
}

void aml_irq(struct aml *r, unsigned irq)
{
    put(r, SMALL_IRQ);
    aml_number(r, UINT64_C(1) << irq, 2);
}

void aml_interrupts(struct aml *r, const uint32_t *gsi, unsigned count)
{
    put(r, LARGE_INTERRUPT);
    aml_number(r, 2 + 4 * count, 2);
    put(r, INT_CONSUMER | INT_SHARED);
    put(r, (uint8_t)count);
    for (unsigned i = 0; i < count; i++)
        aml_number(r, gsi[i], 4);
}

void aml_memory32(struct aml *r, uint32_t base, uint32_t size)
{
    put(r, LARGE_MEMORY32_FIXED);
    aml_number(r, 9, 2);
    put(r, MEMORY_RW);
    aml_number(r, base, 4);
    aml_number(r, size, 4);
}

/* A window in which nothing is to be moved: granularity, minimum, maximum, translation, length. */
static void window(struct aml *r, uint8_t tag, uint8_t space, uint8_t flags, uint32_t first,
                   uint32_t last)
{
    unsigned size = tag == LARGE_WORD ? 2 : 4;
    put(r, tag);
    aml_number(r, 3 + 5 * size, 2);
    put(r, space);
    put(r, FIXED_RANGE);
    put(r, flags);
    aml_number(r, 0, size);
    aml_number(r, first, size);
    aml_number(r, last, size);
    aml_number(r, 0, size);
    aml_number(r, (uint64_t)last - first + 1, size);
}

void aml_bus_numbers(struct aml *r, uint16_t first, uint16_t last)
{
    window(r, LARGE_WORD, SPACE_BUS, 0, first, last);
}

void aml_io_window(struct aml *r, uint16_t first, uint16_t last)
{
    window(r, LARGE_WORD, SPACE_IO, ENTIRE_RANGE, first, last);
}

void aml_memory_window(struct aml *r, uint32_t first, uint32_t last, bool is_cacheable)
{
    window(r, LARGE_DWORD, SPACE_MEMORY, MEMORY_RW | (is_cacheable ? MEMORY_CACHEABLE : 0), first,
           last);
}
