/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/allocator.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t round_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) / to * to;
}

static int open_memory(uint64_t size)
{
    int fd = memfd_create("trapline-memory", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)size) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int allocator_init(struct allocator *a, uint64_t size, struct err *err)
{
    size = round_up(size, ALLOCATOR_EXTENT);
    *a = (struct allocator){.size = size, .end = size, .fd = open_memory(size)};
    if ((size_t)size != size)
        return err_set(err, ENOMEM, "%llu MiB of guest memory do not fit this host's address space",
                       (unsigned long long)(size / MiB));
    int flags = a->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, a->fd, 0);
    if (p == MAP_FAILED) {
        int code = errno;
        if (a->fd >= 0)
            close(a->fd);
        err_set(err, code, "cannot reserve %llu MiB of guest memory: %s", (unsigned long long)(size / MiB),
                strerror(code));
        err_hint(err, "try a smaller -m");
        return -code;
    }
    a->host = p;
    return 0;
}

void allocator_fini(struct allocator *a)
{
    if (a->host)
        munmap(a->host, (size_t)a->size);
    if (a->fd >= 0)
        close(a->fd);
    *a = (struct allocator){.fd = -1};
}

static int check_room(const struct allocator *a, uint64_t size, struct err *err)
{
    if (size <= a->end - a->next)
        return 0;
    return err_set(err, ENOMEM, "machine memory is used up: %llu MiB are asked for, %llu are left",
                   (unsigned long long)(size / MiB), (unsigned long long)((a->end - a->next) / MiB));
}

int allocator_carve(struct allocator *a, uint64_t size, haddr *hpa, struct err *err)
{
    size = round_up(size, ALLOCATOR_EXTENT);
    if (check_room(a, size, err) < 0)
        return -ENOMEM;
    *hpa = a->next;
    a->next += size;
    return 0;
}

int allocator_carve_end(struct allocator *a, uint64_t size, haddr *hpa, struct err *err)
{
    size = round_up(size, ALLOCATOR_EXTENT);
    if (check_room(a, size, err) < 0)
        return -ENOMEM;
    a->end -= size;
    *hpa = a->end;
    return 0;
}

/* The extent of data or hole that holds `at`, as the memory object knows it. */
static void find_extent(struct allocator *a, haddr at)
{
    off_t data = lseek(a->fd, (off_t)at, SEEK_DATA);
    off_t end = data == (off_t)at ? lseek(a->fd, (off_t)at, SEEK_HOLE) : data;
    a->is_data = data == (off_t)at;
    a->data_start = at;
    a->data_end = end < 0 ? a->size : (haddr)end;
}

bool allocator_is_touched(struct allocator *a, const uint8_t *p)
{
    haddr at = (haddr)(p - a->host) & PAGE_MASK;
    if (a->fd < 0)
        return true;
    if (at < a->data_start || at >= a->data_end)
        find_extent(a, at);
    return a->is_data;
}

void allocator_begin_survey(struct allocator *a)
{
    a->data_start = a->data_end = 0;
}

/* Home frames are backed by the host on first touch, so nothing is ever absent or shared yet. */
static int backing_populate(void *opaque, paddr page, haddr *hpa)
{
    (void)opaque;
    (void)page;
    (void)hpa;
    return -ENOMEM;
}

static int backing_unshare(void *opaque, paddr page, haddr old, haddr *hpa)
{
    (void)opaque;
    (void)page;
    (void)old;
    (void)hpa;
    return -ENOMEM;
}

const struct backing_ops allocator_backing = {.populate = backing_populate, .unshare = backing_unshare};
