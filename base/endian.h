/* SPDX-License-Identifier: MIT */
/*
 * Guest memory, images and file formats are bytes: these loads and stores are the only way to read them.
 * Any alignment, any host.
 */
#pragma once

#include <string.h>

#include "base/types.h"

#define ENDIAN_SWAP(bits, v) (HOST_BIG_ENDIAN ? __builtin_bswap##bits(v) : (v))

ALWAYS_INLINE uint16_t le16_load(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return ENDIAN_SWAP(16, v);
}

ALWAYS_INLINE uint32_t le32_load(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return ENDIAN_SWAP(32, v);
}

ALWAYS_INLINE uint64_t le64_load(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return ENDIAN_SWAP(64, v);
}

ALWAYS_INLINE void le16_store(void *p, uint16_t v)
{
    v = ENDIAN_SWAP(16, v);
    memcpy(p, &v, sizeof(v));
}

ALWAYS_INLINE void le32_store(void *p, uint32_t v)
{
    v = ENDIAN_SWAP(32, v);
    memcpy(p, &v, sizeof(v));
}

ALWAYS_INLINE void le64_store(void *p, uint64_t v)
{
    v = ENDIAN_SWAP(64, v);
    memcpy(p, &v, sizeof(v));
}

/* A little-endian number of `size` bytes, 1..8. */
ALWAYS_INLINE uint64_t le_load(const void *p, unsigned size)
{
    const uint8_t *b = p;
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)b[i] << (8 * i);
    return v;
}

ALWAYS_INLINE void le_store(void *p, uint64_t v, unsigned size)
{
    uint8_t *b = p;
    for (unsigned i = 0; i < size; i++)
        b[i] = (uint8_t)(v >> (8 * i));
}

ALWAYS_INLINE uint32_t be32_load(const void *p)
{
    return __builtin_bswap32(le32_load(p));
}

ALWAYS_INLINE uint64_t be64_load(const void *p)
{
    return __builtin_bswap64(le64_load(p));
}

ALWAYS_INLINE void be32_store(void *p, uint32_t v)
{
    le32_store(p, __builtin_bswap32(v));
}

ALWAYS_INLINE uint16_t be16_load(const void *p)
{
    return __builtin_bswap16(le16_load(p));
}
