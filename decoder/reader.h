/* SPDX-License-Identifier: MIT */
/*
 * The bytes of one instruction, read in order. Reading past `limit` yields zeros and sets `over`;
 * the result is thrown away then. Zero is no prefix, so loops end. Private to decoder/.
 */
#pragma once

#include "base/endian.h"

struct reader {
    const uint8_t *bytes; /* borrowed */
    unsigned limit;       /* readable, at most 15 */
    unsigned pos;         /* bytes consumed */
    bool over;            /* more was wanted */
};

static inline uint8_t read_byte(struct reader *r)
{
    if (unlikely(r->pos >= r->limit)) {
        r->over = true;
        return 0;
    }
    return r->bytes[r->pos++];
}

/* Little-endian, zero-extended; size 1, 2, 4 or 8. */
static inline uint64_t read_number(struct reader *r, unsigned size)
{
    if (unlikely(r->limit - r->pos < size)) {
        r->over = true;
        return 0;
    }
    const uint8_t *p = r->bytes + r->pos;
    r->pos += size;
    switch (size) {
    case 1:
        return *p;
    case 2:
        return le16_load(p);
    case 4:
        return le32_load(p);
    default:
        return le_load(p, size);
    }
}

static inline uint64_t read_signed(struct reader *r, unsigned size)
{
    return size == 0 ? 0 : (uint64_t)sext(read_number(r, size), size * 8);
}
