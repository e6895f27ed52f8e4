/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1 /* memfd_create, mremap */
#include "cpu/jit/x86_64/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t *map(int fd, size_t size, int protection)
{
    void *p = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Of a memory object without a file. */
static int map_twice(struct code_memory *m)
{
    int fd = memfd_create("trapline-jit", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int status = ftruncate(fd, (off_t)m->size) < 0 ? -errno : 0;
    if (status == 0) {
        m->write = map(fd, m->size, PROT_READ | PROT_WRITE);
        m->run = map(fd, m->size, PROT_READ | PROT_EXEC);
        status = m->write && m->run ? 0 : -ENOMEM;
    }
    close(fd);
    return status;
}

/* Of anonymous memory, which is where perf looks its own map up: mremap of no bytes makes a second
 * mapping of it. */
static int map_twice_anonymously(struct code_memory *m)
{
    void *p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    m->write = p;
    p = mremap(m->write, 0, m->size, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return -ENOMEM;
    m->run = p;
    return mprotect(m->run, m->size, PROT_READ | PROT_EXEC) < 0 ? -errno : 0;
}

int code_memory_init(struct code_memory *m, size_t size, bool anonymous)
{
    *m = (struct code_memory){.size = size};
    int status = anonymous ? map_twice_anonymously(m) : map_twice(m);
    if (status < 0)
        code_memory_fini(m);
    return status;
}

void code_memory_fini(struct code_memory *m)
{
    if (m->write)
        munmap(m->write, m->size);
    if (m->run)
        munmap(m->run, m->size);
    *m = (struct code_memory){0};
}
