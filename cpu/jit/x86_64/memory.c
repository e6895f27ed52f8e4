/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1 /* memfd_create, mremap */
#include "cpu/jit/x86_64/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Since Linux 6.1; a C library may be older. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HOST_PAGE 4096

/* Addresses, a multiple of CODE_PIECE, where something of that size will be mapped. */
static uint8_t *find_place(size_t size)
{
    uint8_t *p = mmap(NULL, size + CODE_PIECE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)p & (CODE_PIECE - 1);
    if (before)
        munmap(p, before);
    munmap(p + before + size, CODE_PIECE - before);
    return p + before;
}

static uint8_t *map(int fd, size_t size, int protection)
{
    int flags = MAP_SHARED | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0);
    uint8_t *place = find_place(size);
    if (!place)
        return NULL;
    if (mmap(place, size, protection, flags, fd, 0) != MAP_FAILED)
        return place;
    munmap(place, size);
    return NULL;
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
    m->write = map(-1, m->size, PROT_READ | PROT_WRITE);
    m->run = m->write ? find_place(m->size) : NULL;
    if (!m->run ||
        mremap(m->write, 0, m->size, MREMAP_MAYMOVE | MREMAP_FIXED, m->run) == MAP_FAILED)
        return -ENOMEM;
    return mprotect(m->run, m->size, PROT_READ | PROT_EXEC) < 0 ? -errno : 0;
}

int code_memory_init(struct code_memory *m, size_t size, bool anonymous)
{
    size = (size + HOST_PAGE - 1) & ~(size_t)(HOST_PAGE - 1);
    *m = (struct code_memory){.size = size, .limit = size};
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

/* The host has no huge page at hand, or some page is busy: the next piece may be luckier. */
static bool is_for_now(int error)
{
    return error == EAGAIN || error == EBUSY || error == ENOMEM;
}

/*
 * Pages of a memory object are small, whatever its flags, where the administrator has not said
 * otherwise; MADV_COLLAPSE (madvise(2)) is asked for by the process alone. It takes what has at
 * least one page. Code then needs one entry of the host's TLB for 2 MiB, and one page fault instead
 * of 512.
 */
static bool join_piece(const struct code_memory *m, size_t from)
{
    volatile uint8_t *first = m->write + from;
    *first |= 0;
    return madvise(m->write + from, CODE_PIECE, MADV_COLLAPSE) == 0 || is_for_now(errno);
}

void code_memory_join(struct code_memory *m, size_t end)
{
    if (end <= m->joined)
        return;
    size_t from = m->joined;
    m->joined = m->size; /* where the host can't: it is not asked again */
    if (m->size - from >= CODE_PIECE && join_piece(m, from))
        m->joined = from + CODE_PIECE;
}

bool code_memory_has_room(struct code_memory *m, size_t room)
{
    size_t piece = m->size / 2 < CODE_PIECE ? m->size / 2 : CODE_PIECE;
    if (m->limit - m->used < room)
        return false;
    if (m->late_end - m->late >= room)
        return true;
    if (m->limit - m->used < room + piece)
        return false;
    m->limit -= piece;
    m->late = m->limit;
    m->late_end = m->limit + piece;
    if (piece == CODE_PIECE && m->joined < m->size)
        join_piece(m, m->limit);
    return true;
}

void code_memory_empty(struct code_memory *m)
{
    m->used = m->fixed;
    m->limit = m->size;
    m->late = m->late_end = m->late_used = 0;
}
