/* SPDX-License-Identifier: MIT */
/* The string instructions with REP, REPE and REPNE, in every width, at lengths from a few bytes to pages. */
#include "work.h"

#define MOVE(SUFFIX)                                                                               \
    static void move_##SUFFIX(void *to, const void *from, size_t n)                                \
    {                                                                                              \
        __asm__ volatile("rep movs" #SUFFIX : "+D"(to), "+S"(from), "+c"(n) : : "memory");         \
    }
MOVE(b)
MOVE(w)
MOVE(l)

static void fill(void *to, unsigned char value, size_t n)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

static void fill_words(void *to, uint32_t value, size_t n)
{
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

static size_t length(const void *p)
{
    size_t n = (size_t)-1;
    __asm__ volatile("repne scasb" : "+D"(p), "+c"(n) : "a"(0) : "memory", "cc");
    return ~n - 1;
}

static size_t compare(const void *a, const void *b, size_t n)
{
    __asm__ volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(n) : : "memory", "cc");
    return n;
}

static uint32_t load(const void *p, size_t n)
{
    uint32_t x = 0;
    __asm__ volatile("rep lodsl" : "+S"(p), "+c"(n), "+a"(x) : : "memory");
    return x;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 1000);
    static unsigned char a[65536], b[65536];
    static const unsigned short lengths[] = { 3, 8, 17, 40, 64, 100, 256, 700, 2000, 4096, 9000 };
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (unsigned char)(i % 251 + 1);
    for (unsigned long r = 0; r < n; r++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t len = lengths[i], at = (r * 61 + i * 4099) % 40000;
            for (int k = 0; k < 16; k++) {
                move_b(b + at, a + at + k, len);
                move_w(b + at + 64, a + at, len / 2);
                move_l(b + at + 128, a + at + k, len / 4);
                fill(b + at + len, 0, 1);
                sum += length(b + at);
                sum += compare(a + at, b + at + 128, len / 8);
                sum += load(b + at, len / 16);
                fill_words(b + at, (uint32_t)sum, len / 4);
                fill(b + at + len / 2, (unsigned char)k, len / 2);
            }
        }
        sum += b[r * 97 % sizeof b];
    }
    printf("rep: %lu %016llx\n", n, (unsigned long long)sum);
    return 0;
}
