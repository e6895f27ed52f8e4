/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * 128-bit integers for the softfloat, in two halves: the compiler's own type does not exist on
 * 32-bit hosts, and one code path that is tested everywhere beats two. Pure functions, no state.
 */

#include <stdbool.h>
#include <stdint.h>

struct u128 {
    uint64_t hi; /* bits 127-64 */
    uint64_t lo; /* bits 63-0 */
};

static inline struct u128 u128_add(struct u128 a, struct u128 b)
{
    struct u128 r = {a.hi + b.hi, a.lo + b.lo};
    r.hi += r.lo < a.lo;
    return r;
}

static inline struct u128 u128_sub(struct u128 a, struct u128 b)
{
    struct u128 r = {a.hi - b.hi, a.lo - b.lo};
    r.hi -= a.lo < b.lo;
    return r;
}

static inline bool u128_less(struct u128 a, struct u128 b)
{
    return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}

/* Shift left by 0 to 127. */
static inline struct u128 u128_shl(struct u128 a, unsigned n)
{
    if (n == 0)
        return a;
    if (n >= 64)
        return (struct u128){a.lo << (n - 64), 0};
    return (struct u128){a.hi << n | a.lo >> (64 - n), a.lo << n};
}

/* Shift right by any amount; bit 0 of the result keeps whether any 1 was lost ("sticky"). */
static inline struct u128 u128_shr_sticky(struct u128 a, uint32_t n)
{
    if (n == 0)
        return a;
    if (n >= 128)
        return (struct u128){0, (a.hi | a.lo) != 0};
    if (n == 64)
        return (struct u128){0, a.hi | (a.lo != 0)};
    if (n > 64)
        return (struct u128){0, a.hi >> (n - 64) | (a.hi << (128 - n) != 0 || a.lo != 0)};
    return (struct u128){a.hi >> n, a.hi << (64 - n) | a.lo >> n | (a.lo << (64 - n) != 0)};
}

/* Leading zeros of a nonzero value. */
static inline unsigned u64_clz(uint64_t v)
{
    return (unsigned)__builtin_clzll(v);
}

/* Full product of two 64-bit numbers. */
static inline struct u128 u64_mul(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    uint64_t mid = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    return (struct u128){hh + (lh >> 32) + (hl >> 32) + (mid >> 32), mid << 32 | (uint32_t)ll};
}

/* One 32-bit digit of a quotient: rem:digit / d with rem < d, d normalised (Knuth, algorithm D). */
static inline uint64_t u64_div_digit(uint64_t *rem, uint32_t digit, uint64_t d)
{
    uint64_t dh = d >> 32, dl = (uint32_t)d;
    uint64_t q = *rem / dh, r = *rem % dh;
    while (q >> 32 != 0 || q * dl > (r << 32 | digit)) {
        q--;
        r += dh;
        if (r >> 32 != 0)
            break;
    }
    *rem = (*rem << 32 | digit) - q * d;
    return q;
}

/* Quotient of n / d where n.hi < d and bit 63 of d is set; *rem gets the remainder. */
static inline uint64_t u128_div(struct u128 n, uint64_t d, uint64_t *rem)
{
    uint64_t r = n.hi;
    uint64_t q1 = u64_div_digit(&r, (uint32_t)(n.lo >> 32), d);
    uint64_t q0 = u64_div_digit(&r, (uint32_t)n.lo, d);
    *rem = r;
    return q1 << 32 | q0;
}
