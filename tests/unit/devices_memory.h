/* SPDX-License-Identifier: MIT */
/* Guest memory for tests of bus masters: RAM at 0 of a given size, backed by one host buffer. */
#pragma once

#include <stdlib.h>

#include "mmu/physmem.h"

struct memory {
    uint8_t *host;      /* owned: machine memory, haddr 0 is guest-physical 0 */
    struct physmem *pm; /* owned */
};

/* Every frame's home is where it belongs; nothing is shared. */
UNUSED static int memory_populate(void *opaque, paddr page, haddr *hpa)
{
    (void)opaque;
    *hpa = page;
    return 0;
}

UNUSED static int memory_unshare(void *opaque, paddr page, haddr old, haddr *hpa)
{
    (void)opaque, (void)page;
    *hpa = old;
    return 0;
}

static const struct backing_ops memory_backing = {memory_populate, memory_unshare};

UNUSED static void memory_init(struct memory *m, uint64_t size)
{
    m->host = calloc(1, (size_t)size);
    m->pm = physmem_create(m->host, &memory_backing, m);
    if (!m->host || !m->pm || physmem_add(m->pm, 0, size, 0, false, NULL))
        abort();
}

UNUSED static void memory_fini(struct memory *m)
{
    physmem_destroy(m->pm);
    free(m->host);
}
