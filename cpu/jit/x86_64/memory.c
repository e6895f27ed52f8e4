/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1 /* memfd_create */
#include "cpu/jit/x86_64/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t *map(int fd, size_t size, int protection)
{
    void *p = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

int code_memory_init(struct code_memory *m, size_t size)
{
    *m = (struct code_memory){.size = size};
    int fd = memfd_create("trapline-jit", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int status = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
    if (status == 0) {
        m->write = map(fd, size, PROT_READ | PROT_WRITE);
        m->run = map(fd, size, PROT_READ | PROT_EXEC);
        status = m->write && m->run ? 0 : -ENOMEM;
    }
    close(fd);
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
