/* SPDX-License-Identifier: MIT */
/*
 * The dirty logs of guest-physical memory. Invariant: for a consumer that is on, a page without its
 * bit in the dirty byte has PAGE_CLEAN set, so the first write comes by physmem_mark_dirty. A
 * collection costs what was written since the last one, not the size of memory.
 */
#include <stdlib.h>

#include "mmu/physmem_priv.h"

/* Remember page for this consumer; without memory for the list the collection scans instead. */
static void list_add(struct dirty_list *list, uint64_t page)
{
    if (list->scan)
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        uint64_t *more = realloc(list->page, capacity * sizeof(*more));
        if (!more) {
            list->scan = true;
            return;
        }
        free(list->spare);
        list->spare = NULL;
        list->page = more;
        list->capacity = capacity;
    }
    list->page[list->count++] = page;
}

void physmem_mark_dirty(struct physmem *pm, struct page_ref ref)
{
    uint8_t news = (uint8_t)(pm->consumers & ~ref.r->dirty[ref.i]);
    uint64_t page = (ref.r->gpa >> PAGE_SHIFT) + ref.i;
    for (unsigned c = 0; c < DIRTY_CONSUMERS; c++)
        if (news & BIT(c))
            list_add(&pm->log[c], page);
    ref.r->dirty[ref.i] |= pm->consumers;
    ref.r->state[ref.i] &= (uint8_t)~PAGE_CLEAN;
}

static void set_all(struct phys_range *r, uint8_t bits)
{
    for (size_t i = 0; i < r->size >> PAGE_SHIFT; i++)
        r->dirty[i] |= bits;
}

void physmem_dirty_range(struct physmem *pm, struct phys_range *r)
{
    set_all(r, pm->consumers);
    for (unsigned c = 0; c < DIRTY_CONSUMERS; c++)
        if (pm->consumers & BIT(c))
            pm->log[c].scan = true;
}

void physmem_log_dirty(struct physmem *pm, enum dirty_consumer consumer, bool on)
{
    uint8_t bit = (uint8_t)BIT(consumer);
    pm->log[consumer].count = 0;
    pm->log[consumer].scan = on;
    if (!on) { /* pages left PAGE_CLEAN for its sake lose that at their next write */
        pm->consumers &= (uint8_t)~bit;
        return;
    }
    pm->consumers |= bit;
    for (unsigned i = 0; i < pm->count; i++)
        set_all(pm->range[i], bit);
}

typedef void dirty_visit(void *opaque, paddr page, const uint8_t *host);

/* The page is clean again for this consumer; show it. */
static void visit_page(struct physmem *pm, struct page_ref ref, uint8_t bit, dirty_visit *visit,
                       void *opaque)
{
    ref.r->dirty[ref.i] &= (uint8_t)~bit;
    ref.r->state[ref.i] |= PAGE_CLEAN;
    bool absent = ref.r->state[ref.i] & PAGE_ABSENT;
    visit(opaque, ref.r->gpa + ((paddr)ref.i << PAGE_SHIFT),
          absent ? NULL : pm->host + (size_t)ref.r->frame[ref.i]);
}

static void visit_scan(struct physmem *pm, uint8_t bit, dirty_visit *visit, void *opaque)
{
    for (unsigned k = 0; k < pm->count; k++) {
        struct phys_range *r = pm->range[k];
        for (size_t i = 0; i < r->size >> PAGE_SHIFT; i++)
            if (r->dirty[i] & bit)
                visit_page(pm, (struct page_ref){r, i}, bit, visit, opaque);
    }
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void visit_list(struct physmem *pm, uint64_t *page, size_t count, uint8_t bit,
                       dirty_visit *visit, void *opaque)
{
    qsort(page, count, sizeof(*page), by_number);
    for (size_t i = 0; i < count; i++) {
        struct page_ref ref;
        if (physmem_find(pm, page[i] << PAGE_SHIFT, &ref))
            visit_page(pm, ref, bit, visit, opaque);
    }
}

static size_t pages_total(const struct physmem *pm)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < pm->count; i++)
        pages += pm->range[i]->size >> PAGE_SHIFT;
    return (size_t)pages;
}

void physmem_collect_dirty(struct physmem *pm, enum dirty_consumer consumer, dirty_visit *visit,
                           void *opaque)
{
    struct dirty_list *list = &pm->log[consumer];
    uint8_t bit = (uint8_t)BIT(consumer);
    size_t count = list->count;
    bool scan = list->scan || count > pages_total(pm) / 8; /* scanning beats sorting */
    uint64_t *page = list->page;
    if (!(pm->consumers & bit) || (!scan && !count))
        return;
    /* Writes from here on are logged anew, those of the visitor too: it gets the other buffer. */
    pm->events.revoke_write(pm->mmu_opaque, UINT64_MAX);
    size_t capacity = list->capacity;
    list->page = list->spare ? list->spare : calloc(capacity ? capacity : 1, sizeof(*page));
    list->spare = NULL;
    list->scan = !list->page;
    list->count = 0;
    if (!list->page)
        list->capacity = 0;
    if (scan)
        visit_scan(pm, bit, visit, opaque);
    else
        visit_list(pm, page, count, bit, visit, opaque);
    if (list->capacity == capacity)
        list->spare = page;
    else
        free(page);
}
