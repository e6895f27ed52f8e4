/* SPDX-License-Identifier: MIT */
/*
 * Address decoding. A chip answers only naturally aligned accesses (relative to its region) of a
 * width it lists; everything else is taken apart here, as bus bridges do with byte enables: halves,
 * low address first, down to something that fits, or a wider register of which a part is used.
 */
#include "devices/device.h"

void io_space_init(struct io_space *s, const char *name, uint64_t limit)
{
    *s = (struct io_space){.name = name, .limit = limit};
}

/* Kept by descending priority, then registration: the first region that contains an address is the
 * answer. */
void io_space_add(struct io_space *s, struct io_region *r)
{
    unsigned at = s->count;
    assert(s->count < IO_SPACE_MAX);
    for (; at > 0 && s->regions[at - 1]->priority < r->priority; at--)
        s->regions[at] = s->regions[at - 1];
    s->regions[at] = r;
    s->count++;
}

static struct io_region *find(const struct io_space *s, uint64_t addr)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct io_region *r = s->regions[i];
        if (addr - r->base < r->size && r->enabled)
            return r;
    }
    return NULL;
}

/* Some region answers in (addr, addr + width). */
static bool touches(const struct io_space *s, uint64_t addr, unsigned width)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct io_region *r = s->regions[i];
        if (r->enabled && (r->base - addr < width || addr - r->base < r->size))
            return true;
    }
    return false;
}

/* The smallest listed width above `width`: plan_access saw that there is one. */
static unsigned wider(const struct io_region *r, unsigned width)
{
    do
        width <<= 1;
    while (!(r->widths & width) && width < W64);
    return width;
}

enum plan { PLAN_DIRECT, PLAN_HALVES, PLAN_WIDEN, PLAN_FLOAT };

static enum plan plan_access(const struct io_space *s, const struct io_region *r, uint64_t addr,
                             unsigned width)
{
    uint64_t offset;
    if (!r)
        return width > 1 && touches(s, addr, width) ? PLAN_HALVES : PLAN_FLOAT;
    offset = addr - r->base;
    if (width > r->size - offset || (offset & (width - 1)))
        return PLAN_HALVES;
    if (r->widths & width)
        return PLAN_DIRECT;
    if (r->widths & (width - 1))
        return PLAN_HALVES;
    return r->widths > width ? PLAN_WIDEN : PLAN_FLOAT;
}

static uint64_t read_part(const struct io_region *r, uint64_t offset, unsigned width)
{
    unsigned wide = wider(r, width);
    unsigned shift = (unsigned)(offset & (wide - 1)) * 8;
    if (!r->read)
        return UINT64_MAX;
    return r->read(r->opaque, offset & ~(uint64_t)(wide - 1), wide) >> shift;
}

/* The containing register keeps its other bytes: they are read first. */
static void write_part(const struct io_region *r, uint64_t offset, unsigned width, uint64_t v)
{
    unsigned wide = wider(r, width);
    unsigned shift = (unsigned)(offset & (wide - 1)) * 8;
    uint64_t at = offset & ~(uint64_t)(wide - 1);
    uint64_t mask = low_mask(width * 8) << shift;
    uint64_t old;
    if (!r->write)
        return;
    old = r->read ? r->read(r->opaque, at, wide) : 0;
    r->write(r->opaque, at, wide, ((old & ~mask) | (v << shift & mask)) & low_mask(wide * 8));
}

static uint64_t read_some(const struct io_space *s, uint64_t addr, unsigned width, bool *hit)
{
    const struct io_region *r = find(s, addr);
    uint64_t lo;
    switch (plan_access(s, r, addr, width)) {
    case PLAN_DIRECT:
        *hit = true;
        return (r->read ? r->read(r->opaque, addr - r->base, width) : UINT64_MAX) &
               low_mask(width * 8);
    case PLAN_WIDEN:
        *hit = true;
        return read_part(r, addr - r->base, width) & low_mask(width * 8);
    case PLAN_HALVES:
        width /= 2;
        lo = read_some(s, addr, width, hit);
        return lo | read_some(s, addr + width, width, hit) << (width * 8);
    default:
        return low_mask(width * 8);
    }
}

static void write_some(const struct io_space *s, uint64_t addr, unsigned width, uint64_t v,
                       bool *hit)
{
    const struct io_region *r = find(s, addr);
    switch (plan_access(s, r, addr, width)) {
    case PLAN_DIRECT:
        *hit = true;
        if (r->write)
            r->write(r->opaque, addr - r->base, width, v & low_mask(width * 8));
        return;
    case PLAN_WIDEN:
        *hit = true;
        write_part(r, addr - r->base, width, v);
        return;
    case PLAN_HALVES:
        width /= 2;
        write_some(s, addr, width, v, hit);
        write_some(s, addr + width, width, v >> (width * 8), hit);
        return;
    default:
        return;
    }
}

uint64_t io_space_read(const struct io_space *s, uint64_t addr, unsigned width, bool *hit)
{
    bool answered = false;
    uint64_t v = read_some(s, addr, width, &answered);
    if (hit)
        *hit = answered;
    return v;
}

void io_space_write(const struct io_space *s, uint64_t addr, unsigned width, uint64_t v, bool *hit)
{
    bool answered = false;
    write_some(s, addr, width, v, &answered);
    if (hit)
        *hit = answered;
}
