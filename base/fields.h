/* SPDX-License-Identifier: MIT */
/*
 * State is declared once, in a field list, from which the struct and its table are made. The table drives
 * the snapshot, the state hash, `info` and the docs, so a field that is not described can't exist.
 *
 *   #define RTC_STATE(ONE, ARR, S)                                        \
 *       ONE(S, uint8_t, index, "address latch, written through port 70h") \
 *       ARR(S, uint8_t, ram, 128, "CMOS bytes")
 *   STATE_STRUCT(rtc_state, RTC_STATE);
 *
 * Types: bool and unsigned integers of 1, 2, 4 or 8 bytes. No pointers, no host handles, no caches.
 */
#pragma once

#include "base/types.h"

struct field {
    const char *name; /* NULL ends a table */
    const char *doc;  /* meaning, one line */
    uint32_t offset;  /* bytes from the start of the struct */
    uint32_t count;   /* elements: 1, or the length of the array */
    uint8_t size;     /* bytes per element: 1, 2, 4 or 8 */
    bool is_bool;     /* a load accepts only 0 and 1 */
};

#define FIELD_DECL_ONE(S, type, name, doc) type name;
#define FIELD_DECL_ARR(S, type, name, n, doc) type name[n];
#define FIELD_IS_BOOL(S, name) _Generic(((struct S *)0)->name, bool: true, bool *: true, default: false)
#define FIELD_DESC_ONE(S, type, name, doc)                                                               \
    {#name, doc, offsetof(struct S, name), 1, sizeof(type), FIELD_IS_BOOL(S, name)},
#define FIELD_DESC_ARR(S, type, name, n, doc)                                                            \
    {#name, doc, offsetof(struct S, name), n, sizeof(type), FIELD_IS_BOOL(S, name)},

/* struct tag and tag_fields[]; in a .c file, or in a header whose layout is the interface. */
#define STATE_STRUCT(tag, LIST)                                                                          \
    struct tag {                                                                                         \
        LIST(FIELD_DECL_ONE, FIELD_DECL_ARR, tag)                                                        \
    };                                                                                                   \
    UNUSED static const struct field tag##_fields[] = {                                                  \
        LIST(FIELD_DESC_ONE, FIELD_DESC_ARR, tag){NULL, NULL, 0, 0, 0, false}}

/* Element i of field f of the struct at `base`, zero-extended. */
uint64_t field_get(const struct field *f, const void *base, uint32_t i);

/* Store v into element i; false (and nothing stored) if it does not fit the element's type. */
bool field_set(const struct field *f, void *base, uint32_t i, uint64_t v);

/* The field called name, or NULL. */
const struct field *field_find(const struct field *table, const char *name);

/* Bytes of one field, and of all fields, in canonical little-endian form. */
size_t field_bytes(const struct field *f);
size_t fields_bytes(const struct field *table);

/* Write every field of the struct at `base` in table order, little-endian, to out (fields_bytes() long). */
void fields_store(const struct field *table, const void *base, uint8_t *out);
