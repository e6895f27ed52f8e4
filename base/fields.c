/* SPDX-License-Identifier: MIT */
#include "base/fields.h"

#include <string.h>

#include "base/endian.h"

static size_t element_offset(const struct field *f, uint32_t i)
{
    assert(i < f->count);
    return f->offset + (size_t)i * f->size;
}

uint64_t field_get(const struct field *f, const void *base, uint32_t i)
{
    const char *p = (const char *)base + element_offset(f, i);
    uint64_t v64;
    uint32_t v32;
    uint16_t v16;
    switch (f->size) {
    case 8:
        memcpy(&v64, p, 8);
        return v64;
    case 4:
        memcpy(&v32, p, 4);
        return v32;
    case 2:
        memcpy(&v16, p, 2);
        return v16;
    default:
        return *(const uint8_t *)p;
    }
}

bool field_set(const struct field *f, void *base, uint32_t i, uint64_t v)
{
    char *p = (char *)base + element_offset(f, i);
    uint32_t v32 = (uint32_t)v;
    uint16_t v16 = (uint16_t)v;
    if ((f->size < 8 && v >> (8 * f->size)) || (f->is_bool && v > 1))
        return false;
    switch (f->size) {
    case 8:
        memcpy(p, &v, 8);
        return true;
    case 4:
        memcpy(p, &v32, 4);
        return true;
    case 2:
        memcpy(p, &v16, 2);
        return true;
    default:
        *(uint8_t *)p = (uint8_t)v;
        return true;
    }
}

const struct field *field_find(const struct field *table, const char *name)
{
    for (const struct field *f = table; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

size_t field_bytes(const struct field *f)
{
    return (size_t)f->size * f->count;
}

size_t fields_bytes(const struct field *table)
{
    size_t n = 0;
    for (const struct field *f = table; f->name; f++)
        n += field_bytes(f);
    return n;
}

void fields_store(const struct field *table, const void *base, uint8_t *out)
{
    for (const struct field *f = table; f->name; f++)
        for (uint32_t i = 0; i < f->count; i++, out += f->size)
            le_store(out, field_get(f, base, i), f->size);
}
