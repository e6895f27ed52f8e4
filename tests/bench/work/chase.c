/* SPDX-License-Identifier: MIT */
/* Loads that depend on each other, over one random cycle through 8 MiB: misses in any translation cache. */
#include "work.h"

struct cell {
    uint32_t next;          /* index of the next cell of the cycle */
    uint32_t pad[15];       /* one cell per cache line */
};

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 6000000);
    size_t cells = (8u << 20) / sizeof(struct cell);
    struct cell *c = malloc(cells * sizeof *c);
    uint32_t s = 12345, at = 0;

    if (!c)
        return 1;
    for (size_t i = 0; i < cells; i++)
        c[i].next = (uint32_t)i;
    for (size_t i = cells - 1; i > 0; i--) {    /* Sattolo: a single cycle */
        size_t j = next_random(&s) % i;
        uint32_t t = c[i].next;
        c[i].next = c[j].next;
        c[j].next = t;
    }
    for (unsigned long i = 0; i < n; i++)
        at = c[at].next;
    printf("chase: %lu %u\n", n, at);
    return 0;
}
