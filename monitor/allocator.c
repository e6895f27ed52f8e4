/* SPDX-License-Identifier: MIT */
#include "monitor/allocator.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SURVEY_PAGES 512 /* asked about at once */

static uint64_t round_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) / to * to;
}

int allocator_init(struct allocator *a, uint64_t size, struct err *err)
{
    size = round_up(size, ALLOCATOR_EXTENT);
    *a = (struct allocator){.size = size, .end = size, .survey = -1};
    if ((size_t)size != size)
        return err_set(err, ENOMEM, "%llu MiB of guest memory do not fit this host's address space",
                       (unsigned long long)(size / MiB));
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        int code = errno;
        err_set(err, code, "cannot reserve %llu MiB of guest memory: %s", (unsigned long long)(size / MiB),
                strerror(code));
        err_hint(err, "try a smaller -m");
        return -code;
    }
    a->host = p;
    a->survey = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return 0;
}

void allocator_fini(struct allocator *a)
{
    if (a->host)
        munmap(a->host, (size_t)a->size);
    if (a->survey >= 0)
        close(a->survey);
    *a = (struct allocator){.survey = -1};
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

/* Is there something behind an address: in memory, or swapped out (Linux, pagemap(5): bits 63 and 62)? */
static bool is_backed(uint64_t entry)
{
    return entry >> 62;
}

/* Frames from `at` on that are all backed, or all not, as far as one question shows. All, where the host does not tell. */
static void find_extent(struct allocator *a, haddr at)
{
    uint64_t entry[SURVEY_PAGES];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)(a->host + at) / page;
    ssize_t n = pread(a->survey, entry, sizeof(entry), (off_t)(first * sizeof(entry[0])));
    size_t have = n > 0 ? (size_t)n / sizeof(entry[0]) : 0, same = 1;
    a->is_data = have == 0 || is_backed(entry[0]);
    while (same < have && is_backed(entry[same]) == a->is_data)
        same++;
    a->data_start = at;
    a->data_end = have == 0 ? a->size : (first + same) * page - (uintptr_t)a->host;
}

bool allocator_is_touched(struct allocator *a, const uint8_t *p)
{
    haddr at = (haddr)(p - a->host) & PAGE_MASK;
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
