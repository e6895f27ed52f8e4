/* SPDX-License-Identifier: MIT */
#include "monitor/timeline/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/timeline/digest.h"
#include "monitor/timeline/parts.h"

/* Sum over all pages of H(gpa, content), kept up to date through the dirty log. Pages are found by gpa. */
struct page_hashes {
    struct u128 *of;   /* owned: by page number in its range */
    paddr gpa;         /* first page of the range */
    uint64_t pages;    /* in the range */
};

#define HASH_RANGES 16

struct memory_hash {
    struct machine *m;                     /* borrowed */
    struct u128 sum;                       /* modulo 2^128 */
    bool is_first;                         /* all pages are looked at, many of them never touched */
    struct page_hashes range[HASH_RANGES]; /* count of them */
    unsigned count;                        /* of range[] */
};

static struct u128 add(struct u128 a, struct u128 b)
{
    struct u128 r = {a.lo + b.lo, a.hi + b.hi};
    r.hi += r.lo < a.lo;
    return r;
}

static struct u128 sub(struct u128 a, struct u128 b)
{
    return (struct u128){a.lo - b.lo, a.hi - b.hi - (a.lo < b.lo)};
}

static bool is_zero_page(const uint8_t *p)
{
    return p[0] == 0 && memcmp(p, p + 1, PAGE_SIZE - 1) == 0;
}

/* An all-zero page counts 0, whether it has a frame or not. */
static struct u128 hash_page(paddr gpa, const uint8_t *p)
{
    if (!p || is_zero_page(p))
        return (struct u128){0, 0};
    return digest_bytes(p, PAGE_SIZE, gpa);
}

static struct u128 *page_slot(struct memory_hash *h, paddr gpa)
{
    for (unsigned i = 0; i < h->count; i++) {
        uint64_t n = (gpa - h->range[i].gpa) >> PAGE_SHIFT;
        if (gpa >= h->range[i].gpa && n < h->range[i].pages)
            return &h->range[i].of[n];
    }
    return NULL;
}

static void visit_dirty(void *opaque, paddr page, const uint8_t *host)
{
    struct memory_hash *h = opaque;
    struct u128 *slot = page_slot(h, page);
    assert(slot);
    if (h->is_first && host && !allocator_is_touched(&h->m->memory, host))
        host = NULL;
    struct u128 now = hash_page(page, host);
    h->sum = add(sub(h->sum, *slot), now);
    *slot = now;
}

static void memory_hash_free(struct memory_hash *h)
{
    for (unsigned i = 0; h && i < h->count; i++)
        free(h->range[i].of);
    free(h);
}

static struct memory_hash *memory_hash_create(struct machine *m)
{
    struct memory_hash *h = calloc(1, sizeof(*h));
    struct physmem_range r;
    if (!h)
        return NULL;
    h->m = m;
    h->is_first = true;
    allocator_begin_survey(&m->memory);
    for (unsigned i = 0; physmem_range(m->vm->pm, i, &r); i++) {
        assert(i < HASH_RANGES);
        h->range[i] = (struct page_hashes){.gpa = r.gpa, .pages = r.size >> PAGE_SHIFT};
        h->range[i].of = calloc((size_t)h->range[i].pages, sizeof(struct u128));
        h->count++;
        if (!h->range[i].of) {
            memory_hash_free(h);
            return NULL;
        }
    }
    physmem_log_dirty(m->vm->pm, DIRTY_HASH, true);
    return h;
}

void timeline_free(struct machine *m)
{
    memory_hash_free(m->memory_hash);
    m->memory_hash = NULL;
}

/* Every part: name, version, field bytes. */
static int hash_parts(struct machine *m, struct digest *d)
{
    for (unsigned i = 0; i < part_count(m); i++) {
        struct part p = part_get(m, i);
        size_t n = fields_bytes(p.fields);
        uint8_t *bytes = malloc(n ? n : 1), version[4];
        if (!bytes)
            return -ENOMEM;
        fields_store(p.fields, p.base, bytes);
        le32_store(version, p.version);
        digest_update(d, p.name, strlen(p.name) + 1);
        digest_update(d, version, sizeof(version));
        digest_update(d, bytes, n);
        free(bytes);
    }
    return 0;
}

int timeline_hash(struct machine *m, uint8_t out[HASH_BYTES])
{
    uint8_t memory[20];
    if (!m->memory_hash)
        m->memory_hash = memory_hash_create(m);
    if (!m->memory_hash)
        return -ENOMEM;
    physmem_collect_dirty(m->vm->pm, DIRTY_HASH, visit_dirty, m->memory_hash);
    m->memory_hash->is_first = false;
    struct digest *d = digest_create();
    if (!d)
        return -ENOMEM;
    le32_store(memory, HASH_VERSION);
    le64_store(memory + 4, m->memory_hash->sum.lo);
    le64_store(memory + 12, m->memory_hash->sum.hi);
    digest_update(d, memory, sizeof(memory));
    int rc = hash_parts(m, d);
    if (rc == 0)
        digest_store(out, digest_value(d));
    digest_destroy(d);
    return rc;
}

void timeline_chain(uint8_t link[HASH_BYTES], const uint8_t state[HASH_BYTES])
{
    uint8_t both[2 * HASH_BYTES];
    memcpy(both, link, HASH_BYTES);
    memcpy(both + HASH_BYTES, state, HASH_BYTES);
    digest_store(link, digest_bytes(both, sizeof(both), 0));
}
