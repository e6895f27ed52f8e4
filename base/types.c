/* SPDX-License-Identifier: MIT */
#include "base/types.h"

uint64_t div_u128(uint64_t hi, uint64_t lo, uint64_t den, uint64_t *rem)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128 n = (unsigned __int128)hi << 64 | lo;
    *rem = (uint64_t)(n % den);
    return (uint64_t)(n / den);
#else
    uint64_t q = 0;
    for (int i = 0; i < 64; i++) {
        bool carry = hi >> 63;
        hi = (hi << 1) | (lo >> 63);
        lo <<= 1;
        q <<= 1;
        if (carry || hi >= den) {
            hi -= den;
            q |= 1;
        }
    }
    *rem = hi;
    return q;
#endif
}

uint64_t muldiv_u64(uint64_t a, uint64_t num, uint64_t den)
{
    struct u128 p = mul_u64(a, num);
    if (p.hi == 0)
        return p.lo / den;
    if (p.hi >= den)
        return UINT64_MAX;
    uint64_t rem;
    return div_u128(p.hi, p.lo, den, &rem);
}
