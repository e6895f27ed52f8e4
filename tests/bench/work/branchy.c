/* SPDX-License-Identifier: MIT */
/*
 * Short basic blocks with branches that depend on data: a small byte-code machine
 * (indirect jumps), binary search, and Collatz sequences.
 */
#include "work.h"

/* One pass of a toy byte code; the switch becomes an indirect jump. */
static uint32_t interpret(const uint8_t *code, size_t len, uint32_t acc)
{
    for (size_t pc = 0; pc < len; pc++) {
        switch (code[pc] & 7) {
        case 0: acc += pc; break;
        case 1: acc ^= acc >> 3; break;
        case 2: acc = acc * 5 + 1; break;
        case 3: if (acc & 1) pc++; break;
        case 4: acc -= code[pc]; break;
        case 5: acc = ~acc; break;
        case 6: if (acc & 16) acc >>= 1; else acc += 77; break;
        default: acc = acc << 3 | acc >> 29; break;
        }
    }
    return acc;
}

static size_t search(const uint32_t *v, size_t len, uint32_t key)
{
    size_t lo = 0, hi = len;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (v[mid] < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 500);
    static uint8_t code[20000];
    static uint32_t sorted[4096];
    uint32_t s = 2024, acc = 1;
    unsigned long steps = 0, found = 0;

    for (size_t i = 0; i < sizeof code; i++)
        code[i] = (uint8_t)next_random(&s);
    for (size_t i = 0; i < 4096; i++)
        sorted[i] = (uint32_t)i * 1048573u;
    for (unsigned long r = 0; r < n; r++) {
        acc = interpret(code, sizeof code, acc);
        for (int i = 0; i < 3000; i++)
            found += search(sorted, 4096, next_random(&s));
        for (uint32_t i = 1; i < 300; i++)
            for (uint64_t x = i + r; x > 1; steps++)
                x = x & 1 ? 3 * x + 1 : x / 2;
    }
    printf("branchy: %lu %08x %lu %lu\n", n, acc, steps, found);
    return 0;
}
