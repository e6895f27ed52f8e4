/* SPDX-License-Identifier: MIT */
/*
 * Memory accesses by linear address: what the engines call when the view missed, and what the
 * monitor calls for its own. An access within a page goes by the arrays; one that crosses pages
 * translates all of them by the walk first, so that nothing is half done and a host address is
 * never held across something that could take it away.
 */
#include <string.h>

#include "base/endian.h"
#include "mmu/mmu_priv.h"

/* ---- the bus: natural pieces of 1, 2, 4 or 8 bytes ---- */

static unsigned bus_piece(paddr pa, size_t len)
{
    unsigned size = 8;
    while (size > len || (pa & (size - 1)))
        size /= 2;
    return size;
}

static COLD void bus_read(struct mmu_private *p, paddr pa, uint8_t *buf, size_t len)
{
    while (len) {
        unsigned size = bus_piece(pa, len);
        le_store(buf, p->bus ? p->bus->read(p->bus_opaque, pa, size) : UINT64_MAX, size);
        buf += size, pa += size, len -= size;
    }
}

static COLD void bus_write(struct mmu_private *p, paddr pa, const uint8_t *buf, size_t len)
{
    while (len) {
        unsigned size = bus_piece(pa, len);
        if (p->bus)
            p->bus->write(p->bus_opaque, pa, size, le_load(buf, size));
        buf += size, pa += size, len -= size;
    }
}

/* ---- physical accesses within a page ---- */

static void read_pa(struct mmu_private *p, paddr pa, void *buf, size_t len)
{
    const uint8_t *page = physmem_page(p->pm, pa);
    if (likely(page != NULL))
        memcpy(buf, page + (pa & ~PAGE_MASK), len);
    else
        bus_read(p, pa, buf, len);
}

/* Store into a page whose begin_write answered `page` and `state`. */
static void write_page(struct mmu_private *p, uint8_t *page, uint8_t state, paddr pa,
                       const void *buf, size_t len)
{
    if (!page) {
        bus_write(p, pa, buf, len);
    } else if (!(state & PAGE_ROM)) {
        memcpy(page + (pa & ~PAGE_MASK), buf, len);
        if (state)
            physmem_written(p->pm, pa, len);
    }
}

static void write_pa(struct mmu_private *p, paddr pa, const void *buf, size_t len)
{
    uint8_t state = 0;
    uint8_t *page = physmem_begin_write(p->pm, pa, &state);
    write_page(p, page, state, pa, buf, len);
}

/* ---- translation and filling ---- */

/* Translate without filling. */
static bool translate(struct mmu_private *p, unsigned class, laddr la, enum access access,
                      paddr *pa, struct fault *fault)
{
    return p->mv->ops->translate(p->current, class, la, access, pa, fault);
}

static void count_fill(struct mmu_private *p, enum access access)
{
    struct mmu_counters *c = &p->counters;
    c->fills_read += access == ACCESS_READ;
    c->fills_write += access == ACCESS_WRITE;
    c->fills_fetch += access == ACCESS_FETCH;
}

/* Translate for the current space; *e is the entry to fill, of s: it or its system. NULL when this translation may not be cached. */
static bool translate_for_fill(struct mmu_private *p, struct space *s, unsigned class, laddr la,
                               enum access access, paddr *pa, struct vtlb_entry **e,
                               struct fault *fault)
{
    struct translation t;
    *e = NULL;
    if (s != p->current ? !system_miss(s, la, &t, fault)
                        : !p->mv->ops->miss(s, class, la, access, &t, fault))
        return false;
    *pa = t.pa;
    if (t.cacheable && vtlb_class_ready(s, class)) {
        s->filled = true;
        *e = vtlb_entry_to_fill(s, class, access, la);
        count_fill(p, access);
    }
    return true;
}

static void fill_fast(struct vtlb_entry *e, laddr la, const uint8_t *page)
{
    laddr la_page = la & PAGE_MASK;
    if (e)
        *e = (struct vtlb_entry){.tag = la_page, .addend = (uint64_t)(uintptr_t)page - la_page};
}

static void fill_slow(struct vtlb_entry *e, laddr la, paddr pa)
{
    if (e)
        *e = (struct vtlb_entry){.tag = vtlb_slow_tag(la), .addend = pa - la};
}

static uint8_t *entry_host(const struct vtlb_entry *e, laddr la)
{
    return (uint8_t *)(uintptr_t)(la + e->addend);
}

/* The entry that may hold la; NULL without arrays. */
static struct vtlb_entry *entry_of(const struct space *s, unsigned class, enum access access,
                                   laddr la)
{
    struct vtlb_entry *a = s->array[class][access];
    return a ? &a[vtlb_index(s, class, la)] : NULL;
}

enum hit { HIT_NONE, HIT_SLOW, HIT_FAST };

static enum hit entry_hit(const struct vtlb_entry *e, laddr la)
{
    laddr la_page = la & PAGE_MASK;
    if (unlikely(!e))
        return HIT_NONE;
    return e->tag == la_page ? HIT_FAST : e->tag == vtlb_slow_tag(la) ? HIT_SLOW : HIT_NONE;
}

/* Where an access within a page goes. */
struct place {
    uint8_t *host; /* of la itself; NULL: not RAM */
    paddr pa;      /* valid unless the place is plain */
    uint8_t state; /* writes: enum page_state bits */
    bool is_plain; /* host may be used without further ado */
};

static bool place_read(struct mmu_private *p, unsigned class, laddr la, struct place *at,
                       struct fault *fault)
{
    struct vtlb_entry *e = entry_of(p->current, class, ACCESS_READ, la);
    enum hit hit = entry_hit(e, la);
    *at = (struct place){.is_plain = true};
    if (hit == HIT_FAST) {
        at->host = entry_host(e, la);
        return true;
    }
    if (hit == HIT_SLOW)
        at->pa = la + e->addend;
    else if (!translate_for_fill(p, p->current, class, la, ACCESS_READ, &at->pa, &e, fault))
        return false;
    /* The frame may be read only; who writes asks again. */
    uint8_t *page = (uint8_t *)(uintptr_t)physmem_page(p->pm, at->pa);
    at->is_plain = page;
    if (page) {
        at->host = page + (la & ~PAGE_MASK);
        fill_fast(e, la, page);
    } else {
        fill_slow(e, la, at->pa);
    }
    return true;
}

static bool place_write(struct mmu_private *p, unsigned class, laddr la, struct place *at,
                        struct fault *fault)
{
    struct vtlb_entry *e = entry_of(p->current, class, ACCESS_WRITE, la);
    enum hit hit = entry_hit(e, la);
    *at = (struct place){.is_plain = true};
    if (hit == HIT_FAST) {
        at->host = entry_host(e, la);
        return true;
    }
    if (hit == HIT_SLOW)
        at->pa = la + e->addend;
    else if (!translate_for_fill(p, p->current, class, la, ACCESS_WRITE, &at->pa, &e, fault))
        return false;
    uint8_t *page = physmem_begin_write(p->pm, at->pa, &at->state);
    at->is_plain = page && !at->state;
    at->host = page ? page + (la & ~PAGE_MASK) : NULL;
    if (at->is_plain) {
        fill_fast(e, la, page);
        if (e)
            revoke_note_fill(p->mv, at->pa & PAGE_MASK, page, la);
    } else if (hit != HIT_SLOW) {
        fill_slow(e, la, at->pa);
    }
    return true;
}

/* ---- accesses ---- */

static bool read_within(struct mmu_private *p, unsigned class, laddr la, void *buf, size_t len,
                        struct fault *fault)
{
    struct place at;
    if (!place_read(p, class, la, &at, fault))
        return false;
    if (likely(at.host != NULL))
        memcpy(buf, at.host, len);
    else
        bus_read(p, at.pa, buf, len);
    return true;
}

static bool write_within(struct mmu_private *p, unsigned class, laddr la, const void *buf,
                         size_t len, struct fault *fault)
{
    const struct vtlb_entry *e = entry_of(p->current, class, ACCESS_WRITE, la);
    struct place at;
    if (entry_hit(e, la) == HIT_SLOW && physmem_store_code(p->pm, la + e->addend, buf, len))
        return true;
    if (!place_write(p, class, la, &at, fault))
        return false;
    if (likely(at.is_plain))
        memcpy(at.host, buf, len);
    else
        write_page(p, at.host ? at.host - (la & ~PAGE_MASK) : NULL, at.state, at.pa, buf, len);
    return true;
}

static size_t room_in_page(laddr la)
{
    return (size_t)(PAGE_SIZE - (la & ~PAGE_MASK));
}

#define CROSS_PAGES 4 /* translated before the first byte moves; longer copies go on in pieces */

/* Translate all pages of [la, la + len); the first CROSS_PAGES physical addresses go to pa. */
static bool translate_all(struct mmu_private *p, unsigned class, laddr la, uint64_t la_mask,
                          size_t len, enum access access, paddr pa[CROSS_PAGES],
                          struct fault *fault)
{
    for (size_t i = 0; len; i++) {
        size_t room = room_in_page(la), n = len < room ? len : room;
        paddr here;
        if (!translate(p, class, la, access, &here, fault))
            return false;
        if (i < CROSS_PAGES)
            pa[i] = here;
        la = (la + n) & la_mask;
        len -= n;
    }
    return true;
}

/* in: read into it; else write from out. A later piece can only fault if an earlier one changed its
 * own tables. */
static COLD bool access_across(struct mmu_private *p, unsigned class, laddr la, uint64_t la_mask,
                               uint8_t *in, const uint8_t *out, size_t len, struct fault *fault)
{
    while (len) {
        paddr pa[CROSS_PAGES];
        if (!translate_all(p, class, la, la_mask, len, in ? ACCESS_READ : ACCESS_WRITE, pa, fault))
            return false;
        for (size_t i = 0; i < CROSS_PAGES && len; i++) {
            size_t room = room_in_page(la), n = len < room ? len : room;
            if (in) {
                read_pa(p, pa[i], in, n);
                in += n;
            } else {
                write_pa(p, pa[i], out, n);
                out += n;
            }
            la = (la + n) & la_mask;
            len -= n;
        }
    }
    return true;
}

static bool read_class(struct mmu_private *p, unsigned class, laddr la, uint64_t la_mask, void *buf,
                       size_t len, struct fault *fault)
{
    la &= la_mask;
    if (likely(len <= room_in_page(la)))
        return !len || read_within(p, class, la, buf, len, fault);
    return access_across(p, class, la, la_mask, buf, NULL, len, fault);
}

static bool write_class(struct mmu_private *p, unsigned class, laddr la, uint64_t la_mask,
                        const void *buf, size_t len, struct fault *fault)
{
    la &= la_mask;
    if (likely(len <= room_in_page(la)))
        return !len || write_within(p, class, la, buf, len, fault);
    return access_across(p, class, la, la_mask, NULL, buf, len, fault);
}

bool mmu_read(struct mmu *mmu, laddr la, uint64_t la_mask, void *buf, size_t len,
              struct fault *fault)
{
    return read_class(mmu->p, mmu->p->class, la, la_mask, buf, len, fault);
}

bool mmu_write(struct mmu *mmu, laddr la, uint64_t la_mask, const void *buf, size_t len,
               struct fault *fault)
{
    return write_class(mmu->p, mmu->p->class, la, la_mask, buf, len, fault);
}

bool mmu_read_as(struct mmu *mmu, struct privilege as, laddr la, uint64_t la_mask, void *buf,
                 size_t len, struct fault *fault)
{
    struct mmu_private *p = mmu->p;
    unsigned class = vtlb_class(&p->current->ctx, as);
    const struct vtlb_entry *e = entry_of(p->current, class, ACCESS_READ, la & la_mask);
    if (len == 8 && entry_hit(e, la & la_mask) == HIT_FAST && room_in_page(la) >= 8) { /* a descriptor */
        memcpy(buf, entry_host(e, la & la_mask), 8);
        return true;
    }
    return read_class(p, class, la, la_mask, buf, len, fault);
}

bool mmu_write_as(struct mmu *mmu, struct privilege as, laddr la, uint64_t la_mask, const void *buf,
                  size_t len, struct fault *fault)
{
    return write_class(mmu->p, vtlb_class(&mmu->p->current->ctx, as), la, la_mask, buf, len, fault);
}

/* ---- translation for others ---- */

bool mmu_translate(struct mmu *mmu, struct privilege as, laddr la, enum access access, paddr *pa,
                   struct fault *fault)
{
    return translate(mmu->p, vtlb_class(&mmu->p->current->ctx, as), la, access, pa, fault);
}

bool mmu_peek(struct mmu *mmu, laddr la, paddr *pa)
{
    const struct space *s = mmu->p->current;
    struct walk w;
    if (s->ctx.guest.format == MMU_OFF) {
        *pa = mmu_gate(s->owner, la);
        return true;
    }
    if (!walk_peek(s, la, &w))
        return false;
    *pa = w.pa;
    return true;
}

bool mmu_fetch_slow(struct mmu *mmu, laddr la, paddr *pa, struct fault *fault)
{
    struct mmu_private *p = mmu->p;
    if (p->fetch != p->current && !system_covers(&p->current->ctx, la))
        system_wander(p);
    struct space *s = p->fetch;
    struct vtlb_entry *e = entry_of(s, p->fetch_class, ACCESS_FETCH, la);
    if (entry_hit(e, la) == HIT_FAST) {
        *pa = la + e->addend;
        return true;
    }
    paddr here;
    if (!translate_for_fill(p, s, p->fetch_class, la, ACCESS_FETCH, &here, &e, fault))
        return false;
    if (e)
        *e = (struct vtlb_entry){.tag = la & PAGE_MASK, .addend = here - la};
    *pa = here;
    if (s == p->current && p->class != CLASS_U)
        system_join(p, la);
    return true;
}

static bool place_any(struct mmu_private *p, laddr la, enum access access, struct place *at,
                      struct fault *fault)
{
    if (access == ACCESS_WRITE)
        return place_write(p, p->class, la, at, fault);
    if (access == ACCESS_READ)
        return place_read(p, p->class, la, at, fault);
    if (!mmu_fetch(p->mmu, la, &at->pa, fault))
        return false;
    uint8_t *page = (uint8_t *)(uintptr_t)physmem_page(p->pm, at->pa);
    at->is_plain = page;
    at->host = page ? page + (la & ~PAGE_MASK) : NULL;
    return true;
}

bool mmu_probe(struct mmu *mmu, laddr la, uint64_t la_mask, size_t len, enum access access,
               struct fault *fault)
{
    la &= la_mask;
    while (len) {
        struct place at;
        size_t room = room_in_page(la), n = len < room ? len : room;
        if (!place_any(mmu->p, la, access, &at, fault))
            return false;
        la = (la + n) & la_mask;
        len -= n;
    }
    return true;
}

uint8_t *mmu_span(struct mmu *mmu, laddr la, enum access access, bool *is_fault,
                  struct fault *fault)
{
    struct place at;
    *is_fault = !place_any(mmu->p, la, access, &at, fault);
    if (*is_fault || !at.is_plain || mmu->p->force_slow)
        return NULL;
    return at.host;
}
