/* SPDX-License-Identifier: MIT */
/*
 * Copying and filling: with 64-bit moves, with REP MOVS and STOS, with the C library's
 * own routines (SSE), at sizes from a cache line to pages.
 */
#include "work.h"

static void words(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        __asm__ volatile("" ::: "memory");      /* or it becomes a call of memcpy */
    }
}

static void rep(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 1000);
    static uint64_t a[65536], b[65536];
    uint64_t sum = 0;

    for (size_t i = 0; i < 65536; i++)
        a[i] = i * 0x9e3779b97f4a7c15u;
    for (unsigned long r = 0; r < n; r++) {
        words(b, a, 65536);
        rep(a + 1, b, 200000);
        for (size_t at = 0; at + 64 <= sizeof a; at += 64)
            memcpy((char *)b + at, (char *)a + (at ^ 4096), 64);
        memmove(b + 3, b, sizeof b - 24);
        memset((char *)a + r * 64, (int)r, 40000);
        sum += a[r * 97 % 65536] ^ b[r * 89 % 65536];
    }
    printf("memcpy: %lu %016llx\n", n, (unsigned long long)sum);
    return 0;
}
