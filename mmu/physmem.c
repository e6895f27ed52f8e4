/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory: ranges, frames, page states, checked copies and page events. The dirty
 * logs are in physmem_dirty.c. A page costs about 42 bytes of bookkeeping, most of it never touched
 * and so never committed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "mmu/physmem_priv.h"

/* Bits whose appearance takes away fast writes but not the frame. */
#define STOPS_WRITES (PAGE_CODE | PAGE_TRACED | PAGE_WATCHED | PAGE_COW | PAGE_ROM)

/* ---- creation ---- */

static void written_nowhere(void *opaque, paddr pa, size_t len)
{
    (void)opaque, (void)pa, (void)len;
}

static void revoked_nowhere(void *opaque, paddr page)
{
    (void)opaque, (void)page;
}

struct physmem *physmem_create(uint8_t *host, const struct backing_ops *backing,
                               void *backing_opaque)
{
    struct physmem *pm = calloc(1, sizeof(*pm));
    if (!pm)
        return NULL;
    pm->host = host;
    pm->backing = backing;
    pm->backing_opaque = backing_opaque;
    pm->events = (struct page_event_ops){written_nowhere, written_nowhere, written_nowhere,
                                         revoked_nowhere, revoked_nowhere};
    return pm;
}

static void range_free(struct phys_range *r)
{
    if (!r)
        return;
    free(r->frame);
    free(r->lines);
    free(r->note);
    free(r->state);
    free(r->dirty);
    free(r);
}

void physmem_destroy(struct physmem *pm)
{
    if (!pm)
        return;
    for (unsigned i = 0; i < pm->count; i++)
        range_free(pm->range[i]);
    for (unsigned c = 0; c < DIRTY_CONSUMERS; c++) {
        free(pm->log[c].page);
        free(pm->log[c].spare);
    }
    free(pm);
}

void physmem_set_events(struct physmem *pm, const struct page_event_ops *ops, void *code_opaque,
                        void *mmu_opaque, void *watch_opaque)
{
    struct page_event_ops *e = &pm->events;
    if (ops->code_written) {
        e->code_written = ops->code_written;
        pm->code_opaque = code_opaque;
    }
    if (ops->watched_written) {
        e->watched_written = ops->watched_written;
        pm->watch_opaque = watch_opaque;
    }
    if (ops->traced_written)
        e->traced_written = ops->traced_written;
    if (ops->revoke_write)
        e->revoke_write = ops->revoke_write;
    if (ops->revoke_all)
        e->revoke_all = ops->revoke_all;
    if (ops->traced_written || ops->revoke_write || ops->revoke_all)
        pm->mmu_opaque = mmu_opaque;
}

static struct phys_range *range_create(paddr gpa, uint64_t size, haddr hpa, bool is_rom)
{
    struct phys_range *r = calloc(1, sizeof(*r));
    size_t pages = (size_t)(size >> PAGE_SHIFT);
    if (!r)
        return NULL;
    r->gpa = gpa;
    r->size = size;
    r->is_rom = is_rom;
    r->frame = calloc(pages, sizeof(*r->frame));
    r->lines = calloc(pages, sizeof(*r->lines));
    r->note = calloc(pages, sizeof(*r->note));
    r->state = calloc(pages, 1);
    r->dirty = calloc(pages, 1);
    if (!r->frame || !r->lines || !r->note || !r->state || !r->dirty) {
        range_free(r);
        return NULL;
    }
    for (size_t i = 0; i < pages; i++)
        r->frame[i] = hpa + ((haddr)i << PAGE_SHIFT);
    if (is_rom)
        memset(r->state, PAGE_ROM, pages);
    return r;
}

/* Put r into both orders of the range table. */
static void range_insert(struct physmem *pm, struct phys_range *r)
{
    unsigned i = pm->count, k = pm->count;
    for (; i && pm->range[i - 1]->gpa > r->gpa; i--)
        pm->range[i] = pm->range[i - 1];
    pm->range[i] = r;
    for (; k && pm->by_size[k - 1]->size < r->size; k--)
        pm->by_size[k] = pm->by_size[k - 1];
    pm->by_size[k] = r;
    pm->count++;
}

int physmem_add(struct physmem *pm, paddr gpa, uint64_t size, haddr hpa, bool is_rom,
                struct err *err)
{
    if (!size || ((gpa | size | hpa) & ~PAGE_MASK) || gpa + size - 1 < gpa ||
        size >> PAGE_SHIFT > SIZE_MAX / sizeof(struct page_note))
        return err_set(err, EINVAL, "memory range %#llx + %#llx is not made of whole pages",
                       (unsigned long long)gpa, (unsigned long long)size);
    for (unsigned i = 0; i < pm->count; i++) {
        const struct phys_range *o = pm->range[i];
        if (gpa <= o->gpa + (o->size - 1) && o->gpa <= gpa + (size - 1))
            return err_set(err, EEXIST, "memory range %#llx + %#llx overlaps the one at %#llx",
                           (unsigned long long)gpa, (unsigned long long)size,
                           (unsigned long long)o->gpa);
    }
    if (pm->count == PHYS_RANGES)
        return err_set(err, ENOSPC, "more than %d ranges of memory", PHYS_RANGES);
    struct phys_range *r = range_create(gpa, size, hpa, is_rom);
    if (!r)
        return err_set(err, ENOMEM, "no memory for the page records of %#llx bytes of guest memory",
                       (unsigned long long)size);
    range_insert(pm, r);
    physmem_dirty_range(pm, r);
    return 0;
}

bool physmem_is_ram(const struct physmem *pm, paddr pa)
{
    struct page_ref ref;
    return physmem_find(pm, pa, &ref);
}

bool physmem_range(const struct physmem *pm, unsigned i, struct physmem_range *out)
{
    if (i >= pm->count)
        return false;
    const struct phys_range *r = pm->range[i];
    *out = (struct physmem_range){.gpa = r->gpa, .size = r->size, .is_rom = r->is_rom};
    return true;
}

/* ---- frames ---- */

static paddr ref_page(struct page_ref ref)
{
    return ref.r->gpa + ((paddr)ref.i << PAGE_SHIFT);
}

static uint8_t *ref_host(const struct physmem *pm, struct page_ref ref)
{
    return pm->host + (size_t)ref.r->frame[ref.i];
}

/* Nothing has an absent page cached, so nothing is revoked. */
static COLD bool populate(struct physmem *pm, struct page_ref ref)
{
    haddr hpa;
    if (!pm->backing || pm->backing->populate(pm->backing_opaque, ref_page(ref), &hpa) < 0)
        return false;
    ref.r->frame[ref.i] = hpa;
    ref.r->state[ref.i] &= (uint8_t)~PAGE_ABSENT;
    return true;
}

/* Readers of the shared frame move over to the private copy. */
static COLD bool unshare(struct physmem *pm, struct page_ref ref)
{
    haddr old = ref.r->frame[ref.i], hpa = old;
    if (!pm->backing || pm->backing->unshare(pm->backing_opaque, ref_page(ref), old, &hpa) < 0)
        return false;
    if (hpa != old)
        pm->events.revoke_all(pm->mmu_opaque, ref_page(ref));
    ref.r->frame[ref.i] = hpa;
    ref.r->state[ref.i] &= (uint8_t)~PAGE_COW;
    return true;
}

const uint8_t *physmem_page(struct physmem *pm, paddr pa)
{
    struct page_ref ref;
    if (!physmem_find(pm, pa, &ref))
        return NULL;
    if (unlikely(ref.r->state[ref.i] & PAGE_ABSENT) && !populate(pm, ref))
        return NULL;
    return ref_host(pm, ref);
}

/* A frame of its own, logged dirty: the page may be written. False: the host has no memory left. */
static bool make_writable(struct physmem *pm, struct page_ref ref)
{
    const uint8_t *state = &ref.r->state[ref.i];
    if ((*state & PAGE_ABSENT) && !populate(pm, ref))
        return false;
    if ((*state & PAGE_COW) && !unshare(pm, ref))
        return false;
    if (*state & PAGE_CLEAN)
        physmem_mark_dirty(pm, ref);
    return true;
}

uint8_t *physmem_begin_write(struct physmem *pm, paddr pa, uint8_t *state)
{
    struct page_ref ref;
    if (!physmem_find(pm, pa, &ref))
        return NULL;
    const uint8_t *s = &ref.r->state[ref.i];
    if (unlikely(*s & PAGE_ROM)) { /* it won't be written: only a frame to look at */
        if ((*s & PAGE_ABSENT) && !populate(pm, ref))
            return NULL;
    } else if (unlikely(*s & (PAGE_ABSENT | PAGE_COW | PAGE_CLEAN)) && !make_writable(pm, ref)) {
        return NULL;
    }
    *state = *s;
    return ref_host(pm, ref);
}

/* ---- copies ---- */

/* The part of [pa, pa + len) that lies in the first page. */
static size_t page_part(paddr pa, size_t len)
{
    size_t room = (size_t)(PAGE_SIZE - (pa & ~PAGE_MASK));
    return len < room ? len : room;
}

bool physmem_read(struct physmem *pm, paddr pa, void *buf, size_t len)
{
    uint8_t *to = buf;
    while (len) {
        size_t n = page_part(pa, len);
        const uint8_t *page = physmem_page(pm, pa);
        if (!page)
            return false;
        memcpy(to, page + (pa & ~PAGE_MASK), n);
        to += n, pa += n, len -= n;
    }
    return true;
}

bool physmem_write(struct physmem *pm, paddr pa, const void *buf, size_t len)
{
    const uint8_t *from = buf;
    while (len) {
        size_t n = page_part(pa, len);
        uint8_t state;
        uint8_t *page = physmem_begin_write(pm, pa, &state);
        if (!page)
            return false;
        if (!(state & PAGE_ROM)) {
            memcpy(page + (pa & ~PAGE_MASK), from, n);
            if (state)
                physmem_written(pm, pa, n);
        }
        from += n, pa += n, len -= n;
    }
    return true;
}

bool physmem_load(struct physmem *pm, paddr pa, const void *buf, size_t len)
{
    const uint8_t *from = buf;
    while (len) {
        size_t n = page_part(pa, len);
        struct page_ref ref;
        if (!physmem_find(pm, pa, &ref) || !make_writable(pm, ref))
            return false;
        memcpy(ref_host(pm, ref) + (pa & ~PAGE_MASK), from, n);
        physmem_written(pm, pa, n);
        from += n, pa += n, len -= n;
    }
    return true;
}

bool physmem_read_u64(struct physmem *pm, paddr pa, uint64_t *v)
{
    const uint8_t *page = physmem_page(pm, pa);
    if (!page)
        return false;
    *v = le64_load(page + (pa & 0xff8));
    return true;
}

bool physmem_read_u32(struct physmem *pm, paddr pa, uint32_t *v)
{
    const uint8_t *page = physmem_page(pm, pa);
    if (!page)
        return false;
    *v = le32_load(page + (pa & 0xffc));
    return true;
}

/* ---- page state and events ---- */

uint8_t physmem_state(const struct physmem *pm, paddr pa)
{
    struct page_ref ref;
    return physmem_find(pm, pa, &ref) ? ref.r->state[ref.i] : 0;
}

void physmem_set_state(struct physmem *pm, paddr pa, uint8_t bits)
{
    struct page_ref ref;
    if (!physmem_find(pm, pa, &ref))
        return;
    uint8_t *state = &ref.r->state[ref.i];
    bits &= (uint8_t) ~(PAGE_CLEAN | *state);
    /* A frame that goes is looked for by its host address, so before it is forgotten; whoever
     * revokes writes may ask why, so after. */
    if (bits & PAGE_ABSENT) {
        pm->events.revoke_all(pm->mmu_opaque, ref_page(ref));
        physmem_mark_dirty(pm, ref); /* a ballooned page reads as zero from now on */
    }
    *state |= bits;
    if ((bits & STOPS_WRITES) && !(bits & PAGE_ABSENT))
        pm->events.revoke_write(pm->mmu_opaque, ref_page(ref));
}

void physmem_clear_state(struct physmem *pm, paddr pa, uint8_t bits)
{
    struct page_ref ref;
    if (physmem_find(pm, pa, &ref))
        ref.r->state[ref.i] &= (uint8_t) ~(bits & ~PAGE_CLEAN);
}

/* The 64-byte lines that len (not 0) bytes at offset touch. */
static uint64_t lines_of(unsigned offset, size_t len)
{
    unsigned first = offset >> 6, last = (unsigned)((offset + len - 1) >> 6);
    return (UINT64_MAX << first) & (UINT64_MAX >> (63 - (last & 63)));
}

void physmem_written(struct physmem *pm, paddr pa, size_t len)
{
    struct page_ref ref;
    if (!len || !physmem_find(pm, pa, &ref))
        return;
    uint8_t state = ref.r->state[ref.i];
    if (state & PAGE_TRACED)
        pm->events.traced_written(pm->mmu_opaque, pa, len);
    if ((state & PAGE_CODE) && (ref.r->lines[ref.i] & lines_of((unsigned)(pa & ~PAGE_MASK), len)))
        pm->events.code_written(pm->code_opaque, pa, len);
    if (state & PAGE_WATCHED)
        pm->events.watched_written(pm->watch_opaque, pa, len);
}

bool physmem_store_code(struct physmem *pm, paddr pa, const void *buf, size_t len)
{
    struct page_ref ref;
    if (!physmem_find(pm, pa, &ref) || ref.r->state[ref.i] != PAGE_CODE)
        return false;
    memcpy(ref_host(pm, ref) + (pa & ~PAGE_MASK), buf, len);
    if (ref.r->lines[ref.i] & lines_of((unsigned)(pa & ~PAGE_MASK), len))
        pm->events.code_written(pm->code_opaque, pa, len);
    return true;
}

uint64_t physmem_code_lines(const struct physmem *pm, paddr pa)
{
    struct page_ref ref;
    return physmem_find(pm, pa, &ref) ? ref.r->lines[ref.i] : 0;
}

void physmem_set_code_lines(struct physmem *pm, paddr pa, uint64_t lines)
{
    struct page_ref ref;
    if (!physmem_find(pm, pa, &ref))
        return;
    ref.r->lines[ref.i] = lines;
    if (!lines)
        ref.r->state[ref.i] &= (uint8_t)~PAGE_CODE;
    else if (!(ref.r->state[ref.i] & PAGE_CODE))
        physmem_set_state(pm, pa, PAGE_CODE);
}
