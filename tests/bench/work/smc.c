/* SPDX-License-Identifier: MIT */
/*
 * Code that is written while it runs: an operand in a loop patched before each turn, small
 * functions made, called and thrown away as a just-in-time compiler does, and data that
 * lives in the same page as the code that changes it.
 */
#define _GNU_SOURCE
#include "work.h"
#include <sys/mman.h>

typedef uint32_t (*code_fn)(uint32_t);

static unsigned char *emit32(unsigned char *p, unsigned char op, uint32_t value)
{
    *p++ = op;
    memcpy(p, &value, 4);
    return p + 4;
}

/* eax := the argument. */
static unsigned char *begin(unsigned char *p)
{
#ifdef __x86_64__
    memcpy(p, "\x89\xf8", 2);           /* mov eax, edi */
    return p + 2;
#else
    memcpy(p, "\x8b\x44\x24\x04", 4);   /* mov eax, [esp + 4] */
    return p + 4;
#endif
}

/* A function of a few operations on eax, which depend on s. */
static void compile(unsigned char *p, uint32_t *s)
{
    p = begin(p);
    for (int i = 0; i < 12; i++) {
        uint32_t x = next_random(s);
        p = emit32(p, x & 1 ? 0x05 : 0x35, x);      /* add or xor eax, imm32 */
        memcpy(p, "\xc1\xc0\x05", 3);               /* rol eax, 5 */
        p += 3;
    }
    *p = 0xc3;
}

/* eax := argument + 1 + 1 + ... with the number at [1] written anew each turn. */
static uint32_t patched(unsigned char *page, unsigned turns, uint32_t acc)
{
    unsigned char *p = begin(page), *operand = p + 1;

    p = emit32(p, 0x05, 1);
    *p = 0xc3;
    for (unsigned i = 0; i < turns; i++) {
        memcpy(operand, &i, 4);
        acc = ((code_fn)(uintptr_t)page)(acc);
    }
    return acc;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 60);
    unsigned char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t s = 5, acc = 1;

    if (page == MAP_FAILED)
        return 1;
    for (unsigned long r = 0; r < n; r++) {
        acc = patched(page, 4000, acc);
        for (int i = 0; i < 500; i++) {
            unsigned char *f = page + 4096 + i % 64 * 128;
            compile(f, &s);
            for (int k = 0; k < 20; k++)
                acc = ((code_fn)(uintptr_t)f)(acc);
        }
        for (int i = 0; i < 4000; i++) {
            acc = ((code_fn)(uintptr_t)(page + 4096))(acc);
            page[4096 + 3072 * 4 + i % 512] = (unsigned char)acc;      /* another page of code */
            page[4096 + 120] = (unsigned char)acc;                     /* beside the code */
        }
    }
    printf("smc: %lu %08x\n", n, acc);
    return 0;
}
