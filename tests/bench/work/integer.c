/* SPDX-License-Identifier: MIT */
/* Straight integer arithmetic: multiply, divide, rotate, shift, little branching. */
#include "work.h"

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 100000000);
    uint64_t a = 0x9e3779b97f4a7c15u, b = 1, c = 0;
    uint32_t d = 0xdeadbeef;

    for (unsigned long i = 1; i <= n; i++) {
        a = (a << 13 | a >> 51) ^ (b * 0xff51afd7ed558ccdu);
        b += a >> 7;
        c ^= (a + i) * (b | 1);
        d = d * 1664525u + 1013904223u;
        d ^= (uint32_t)(c >> 32);
        if ((i & 15) == 0)
            c += a / (d | 1) + b % (i | 3);
    }
    printf("integer: %lu %016llx %08x\n", n, (unsigned long long)(a ^ b ^ c), d);
    return 0;
}
