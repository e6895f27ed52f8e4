/* SPDX-License-Identifier: MIT */
/* Map, touch every page, unmap: page faults and invalidated translations. */
#define _GNU_SOURCE
#include "work.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 24), sum = 0;
    const size_t len = 16u << 20;

    for (unsigned long i = 0; i < n; i++) {
        volatile char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return 1;
        madvise((void *)p, len, MADV_NOHUGEPAGE);       /* single pages, whatever the kernel's default */
        for (size_t at = 0; at < len; at += 4096)
            sum += (unsigned long)(p[at] = (char)i);
        munmap((void *)p, len);
    }
    printf("pagefault: %lu %lu\n", n, sum);
    return 0;
}
