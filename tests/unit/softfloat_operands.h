/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Operands for the softfloat tests: random numbers mixed with every kind of special one, with few
 * or many significant bits, close to or far from each other. Seeded; the tests print their seed.
 */

#include <stddef.h>
#include <stdint.h>

#include "cpu/softfloat/softfloat.h"

/* splitmix64 */
static inline uint64_t prng(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A significand of the given width: random, a run of ones, a run of zeros, or few bits. */
static inline uint64_t random_fraction(uint64_t *seed, unsigned width)
{
    uint64_t kind = prng(seed), v = prng(seed);
    unsigned shift = (unsigned)(kind >> 8) % width;
    uint64_t all = (UINT64_C(1) << (width - 1) << 1) - 1;
    switch (kind % 6) {
    case 0:
        return all << shift & all;
    case 1:
        return all >> shift;
    case 2:
        return UINT64_C(1) << shift;
    case 3:
        return v << shift & all;
    default:
        return v & all;
    }
}

/* An exponent field up to special: the ends, the middle, integers' range, close to near, or any. */
static inline uint32_t random_exponent(uint64_t *seed, uint32_t special, uint32_t near)
{
    uint64_t v = prng(seed);
    uint32_t r = (uint32_t)(v >> 16), spread = r % 70;
    uint32_t e;
    switch (v % 9) {
    case 0:
        e = r % 3;
        break;
    case 1:
        e = special - r % 3;
        break;
    case 2:
    case 3:
        e = special / 2 + spread;
        break;
    case 4:
        e = special / 2 - spread / 4;
        break;
    case 5:
    case 6:
        e = near + spread / 2 - 17;
        break;
    case 7:
        e = special / 2 + special / 2 - near + spread / 2 -
            17; /* products and quotients near the ends */
        break;
    default:
        e = r;
    }
    return e > special ? r % special : e;
}

static inline uint32_t operand_f32(uint64_t *seed, uint32_t near)
{
    uint64_t v = prng(seed);
    uint32_t sign = (uint32_t)(v & 1) << 31;
    uint32_t e = random_exponent(seed, 0xff, near >> 23 & 0xff);
    uint32_t f = (v >> 8) % 5 == 0 ? 0 : (uint32_t)random_fraction(seed, 23);
    return sign | e << 23 | f;
}

static inline uint64_t operand_f64(uint64_t *seed, uint64_t near)
{
    uint64_t v = prng(seed);
    uint64_t e = random_exponent(seed, 0x7ff, (uint32_t)(near >> 52) & 0x7ff);
    uint64_t f = (v >> 8) % 5 == 0 ? 0 : random_fraction(seed, 52);
    if ((v >> 16) % 16 == 0) /* around the smallest and largest single */
        e = ((v >> 32 & 1) != 0 ? 0x3ff - 0x7f - 24 : 0x3ff + 0x7f - 2) + (v >> 33 & 31);
    return v << 63 | e << 52 | f;
}

/* Also the unsupported formats, pseudo-denormals, and the ends of the narrower formats. */
static inline struct f80 operand_f80(uint64_t *seed, struct f80 near)
{
    uint64_t v = prng(seed);
    uint32_t e = random_exponent(seed, 0x7fff, near.se & 0x7fff);
    struct f80 r;
    if ((v >> 16) % 8 == 0) {
        static const uint16_t ends[] = {0x3fff - 127 - 26, 0x3fff + 126, 0x3fff - 1023 - 55,
                                        0x3fff + 1022,     0x3fff - 66,  0x3fff + 58};
        e = ends[(v >> 20) % 6] + (uint32_t)(v >> 32 & 31);
    }
    r.se = (uint16_t)((v & 1) << 15 | e);
    r.mant = (v >> 8) % 5 == 0 ? 0 : random_fraction(seed, 63);
    if (e != 0 || (v >> 40) % 4 == 0)
        r.mant |= UINT64_C(1) << 63;
    if ((v >> 44) % 32 == 0)
        r.mant ^= UINT64_C(1) << 63;
    return r;
}

static inline uint64_t operand_integer(uint64_t *seed)
{
    uint64_t v = prng(seed);
    uint64_t f = random_fraction(seed, 64);
    return (v & 3) == 0 ? 0 - (f >> (v >> 8 & 63)) : (v & 3) == 1 ? f >> (v >> 8 & 63) : f;
}
