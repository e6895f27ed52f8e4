/* SPDX-License-Identifier: MIT */
/*
 * The scalars everybody speaks: addresses, time, 128-bit products. Owns nothing.
 */
#pragma once

#include "base/compiler.h"

typedef uint64_t laddr; /* linear address; canonical in 64-bit mode, below 2^32 otherwise */
typedef uint64_t paddr; /* guest-physical address */
typedef uint64_t haddr; /* machine ("host-physical") address: offset into struct machine's memory */
typedef uint64_t vtime; /* virtual time in ns since the machine was created */

#define VTIME_NEVER UINT64_MAX
#define NS_PER_SECOND UINT64_C(1000000000)

#define PAGE_SHIFT 12
#define PAGE_SIZE UINT64_C(4096)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define KiB (UINT64_C(1) << 10)
#define MiB (UINT64_C(1) << 20)
#define GiB (UINT64_C(1) << 30)

#define BIT(n) (UINT64_C(1) << (n))

/* Sign-extend the low `bits` (1..64) of v. */
ALWAYS_INLINE int64_t sext(uint64_t v, unsigned bits)
{
    return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

/* The low `bits` (1..64) set. */
ALWAYS_INLINE uint64_t low_mask(unsigned bits)
{
    return UINT64_MAX >> (64 - bits);
}

struct u128 {
    uint64_t lo; /* bits 0-63 */
    uint64_t hi; /* bits 64-127 */
};

/* a * b, 64 x 64 -> 128 bits, unsigned; on every host. */
ALWAYS_INLINE struct u128 mul_u64(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128 p = (unsigned __int128)a * b;
    return (struct u128){(uint64_t)p, (uint64_t)(p >> 64)};
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    uint64_t mid = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    return (struct u128){(mid << 32) | (uint32_t)ll, hh + (lh >> 32) + (hl >> 32) + (mid >> 32)};
#endif
}

/* a * num / den with a 128-bit intermediate, rounded down; saturates at UINT64_MAX. den is not 0. */
uint64_t muldiv_u64(uint64_t a, uint64_t num, uint64_t den);

/* (hi:lo) / den -> quotient and remainder. Requires hi < den. */
uint64_t div_u128(uint64_t hi, uint64_t lo, uint64_t den, uint64_t *rem);
