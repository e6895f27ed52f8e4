/* SPDX-License-Identifier: MIT */
/* Calls and returns: plain recursion, and calls through a table of functions. */
#include "work.h"

static __attribute__((noinline)) uint32_t fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static __attribute__((noinline)) uint32_t add(uint32_t x)
{
    return x + 3;
}

static __attribute__((noinline)) uint32_t swap(uint32_t x)
{
    return __builtin_bswap32(x);
}

static __attribute__((noinline)) uint32_t turn(uint32_t x)
{
    return x << 5 | x >> 27;
}

static __attribute__((noinline)) uint32_t flip(uint32_t x)
{
    return ~x;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 20);
    uint32_t (*volatile table[4])(uint32_t) = { add, swap, turn, flip };
    uint32_t s = 1, x = 0, f = 0;

    for (unsigned long r = 0; r < n; r++) {
        f += fibonacci(27);
        for (int i = 0; i < 1000000; i++)
            x = table[(s = s * 5 + 1) >> 30](x);
    }
    printf("call: %lu %u %08x\n", n, f, x);
    return 0;
}
