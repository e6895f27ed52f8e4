/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and arrays of the virtual TLB: creation, context and privilege switches, dropping.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mmu/mmu_priv.h"

#define DEFAULT_ENTRIES 4096
#define FIRST_ENTRIES 256 /* of new arrays: most spaces are short-lived, and clearing costs */
#define GROWTH 4
#define LARGE_ENTRIES 4096
#define DEFAULT_SPACES 16

/* ---- arrays ---- */

/* Of whole arrays: the pages of even entries have even numbers. */
static void entries_clear(struct vtlb_entry *e, size_t count)
{
    for (size_t i = 0; i < count; i += 2) {
        e[i] = (struct vtlb_entry){.tag = VTLB_OTHER | VTLB_INVALID};
        e[i + 1] = (struct vtlb_entry){.tag = VTLB_INVALID};
    }
}

/* Three arrays of n entries, empty. False: no memory. */
static bool arrays_make(struct vtlb_entry *a[ARRAYS], size_t n)
{
    struct vtlb_entry *e = malloc(ARRAYS * n * sizeof(*e));
    if (!e)
        return false;
    entries_clear(e, ARRAYS * n);
    for (unsigned k = 0; k < ARRAYS; k++)
        a[k] = e + k * n;
    return true;
}

static void arrays_free(struct space *s, unsigned class)
{
    free(s->array[class][0]);
    for (unsigned k = 0; k < ARRAYS; k++)
        s->array[class][k] = NULL;
    s->entries[class] = s->evictions[class] = 0;
}

bool vtlb_class_ready(struct space *s, unsigned class)
{
    if (likely(s->array[class][0] != NULL))
        return true;
    unsigned n = s->owner->entries < FIRST_ENTRIES ? s->owner->entries : FIRST_ENTRIES;
    if (!arrays_make(s->array[class], n))
        return false;
    s->entries[class] = n;
    return true;
}

/* ---- epochs of the fetch arrays ---- */

#define EPOCH_SHIFT 48

/* All numbers have been used: nothing that has one may live on. */
static void epochs_restart(struct mmu_private *p)
{
    p->epochs = 0;
    for (unsigned i = 0; i < p->spaces; i++)
        for (unsigned c = 0; c < CLASSES; c++)
            p->space[i].epoch[c] = 0;
    if (p->jumps)
        memset(p->jumps, 0, sizeof(*p->jumps));
}

static void epoch_update(struct mmu_private *p)
{
    struct space *s = p->fetch;
    unsigned c = p->fetch_class;
    if (unlikely(!s->epoch[c] || s->mode[c] != p->mode)) {
        if (p->epochs == UINT16_MAX)
            epochs_restart(p);
        s->mode[c] = p->mode;
        s->epoch[c] = ++p->epochs;
    }
    p->mmu->view.epoch = (uint64_t)s->epoch[c] << EPOCH_SHIFT;
}

void vtlb_fetch_left(struct space *s, unsigned class)
{
    struct mmu_private *p = s->owner;
    s->epoch[class] = 0;
    memset(s->left[class], 0, sizeof(s->left[class]));
    if (s == p->fetch && class == p->fetch_class)
        epoch_update(p);
}

/*
 * A page that another one throws out of the array is translated as before, and what is remembered
 * of it stays true until its translation is dropped: the filter says whether that may be such a
 * page.
 */
static unsigned left_bit(laddr la)
{
    return la >> PAGE_SHIFT & (64 * LEFT_WORDS - 1);
}

static void fetch_thrown_out(struct space *s, unsigned class, laddr la)
{
    unsigned n = left_bit(la);
    s->left[class][n / 64] |= BIT(n % 64);
}

static bool may_have_left(const struct space *s, unsigned class, laddr la, uint64_t size)
{
    unsigned n = left_bit(la);
    uint64_t any = 0;
    if (size == PAGE_SIZE)
        return s->left[class][n / 64] >> (n % 64) & 1;
    for (unsigned i = 0; i < LEFT_WORDS; i++)
        any |= s->left[class][i];
    return any;
}

void vtlb_fetch_dropped(struct space *s, unsigned class, laddr la, uint64_t size)
{
    if (unlikely(may_have_left(s, class, la, size)))
        vtlb_fetch_left(s, class);
}

void mmu_set_jumps(struct mmu *mmu, struct mmu_jumps *jumps)
{
    mmu->p->jumps = jumps;
}

/* What is cached stays cached. */
static void class_grow(struct space *s, unsigned class)
{
    struct vtlb_entry *bigger[ARRAYS];
    size_t old = s->entries[class],
           n = old * GROWTH < s->owner->entries ? old * GROWTH : s->owner->entries;
    s->evictions[class] = 0;
    if (!arrays_make(bigger, n))
        return;
    for (unsigned k = 0; k < ARRAYS; k++) {
        for (size_t i = 0; i < old; i++) {
            const struct vtlb_entry *e = &s->array[class][k][i];
            if (vtlb_holds(e))
                bigger[k][vtlb_page(e) >> PAGE_SHIFT & (n - 1)] = *e;
        }
    }
    free(s->array[class][0]);
    for (unsigned k = 0; k < ARRAYS; k++)
        s->array[class][k] = bigger[k];
    s->entries[class] = (unsigned)n;
    if (s == s->owner->current || s == s->owner->fetch)
        view_update(s->owner);
}

/* Large arrays are dear to make and to search: they are for who throws out far more than pages that
 * are used once, as a kernel does that clears memory. */
static unsigned evictions_to_grow(unsigned entries)
{
    return entries < LARGE_ENTRIES ? entries / 2 : entries * 2;
}

struct vtlb_entry *vtlb_entry_to_fill(struct space *s, unsigned class, enum access access, laddr la)
{
    struct vtlb_entry *e = &s->array[class][access][vtlb_index(s, class, la)];
    if (!vtlb_holds(e) || vtlb_page(e) == (la & PAGE_MASK))
        return e;
    if (access == ACCESS_FETCH)
        fetch_thrown_out(s, class, e->tag);
    if (s->entries[class] == s->owner->entries ||
        ++s->evictions[class] < evictions_to_grow(s->entries[class]))
        return e;
    class_grow(s, class);
    return &s->array[class][access][vtlb_index(s, class, la)];
}

void vtlb_drop_page(struct space *s, laddr la)
{
    mmu_close_window(s->owner);
    for (unsigned c = 0; c < CLASSES; c++) {
        size_t i = vtlb_index(s, c, la);
        vtlb_fetch_dropped(s, c, la, PAGE_SIZE);
        for (unsigned k = 0; k < ARRAYS && s->array[c][0]; k++) {
            struct vtlb_entry *e = &s->array[c][k][i];
            if (vtlb_page(e) == la && vtlb_holds(e)) {
                vtlb_drop(e);
                s->owner->counters.dropped++;
                if (k == ACCESS_FETCH)
                    vtlb_fetch_left(s, c);
            }
        }
    }
}

void vtlb_drop_range(struct space *s, laddr la, uint64_t size)
{
    uint64_t pages = size >> PAGE_SHIFT;
    mmu_close_window(s->owner);
    for (unsigned c = 0; c < CLASSES; c++) {
        size_t first = vtlb_index(s, c, la), mask = s->entries[c] - 1;
        size_t count = (size_t)(pages < s->entries[c] ? pages : s->entries[c]);
        vtlb_fetch_dropped(s, c, la, size);
        for (unsigned k = 0; k < ARRAYS && s->array[c][0]; k++) {
            for (size_t i = 0; i < count; i++) {
                struct vtlb_entry *e = &s->array[c][k][(first + i) & mask];
                if (vtlb_page(e) - la < size && vtlb_holds(e)) {
                    vtlb_drop(e);
                    s->owner->counters.dropped++;
                    if (k == ACCESS_FETCH)
                        vtlb_fetch_left(s, c);
                }
            }
        }
    }
}

void vtlb_drop_writes(struct space *s)
{
    mmu_close_window(s->owner);
    for (unsigned c = 0; c < CLASSES; c++) {
        struct vtlb_entry *e = s->array[c][ACCESS_WRITE];
        for (size_t i = 0; e && i < s->entries[c]; i++)
            if (vtlb_is_fast(&e[i]))
                vtlb_drop(&e[i]);
    }
    s->writes_stale = false;
}

/* Forget all data translations; what runs stays. */
static void drop_data(struct space *s)
{
    mmu_close_window(s->owner);
    for (unsigned c = 0; c < CLASSES; c++) {
        if (!s->array[c][0])
            continue;
        entries_clear(s->array[c][ACCESS_READ], s->entries[c]);
        entries_clear(s->array[c][ACCESS_WRITE], s->entries[c]);
    }
}

/* Of each key two bits: AD, WD. */
static uint32_t key_bits(uint16_t keys)
{
    uint32_t bits = 0;
    for (unsigned k = 0; k < 16; k++)
        bits |= (keys >> k & 1) ? 3u << 2 * k : 0;
    return bits;
}

/* What is cached in s may have been allowed, or not, by another PKRU. */
static void follow_pkru(struct space *s, uint32_t pkru)
{
    uint32_t changed = s->pkru ^ pkru;
    if (likely(!changed))
        return;
    s->pkru = pkru;
    if (!(changed & key_bits(s->keys)))
        return;
    drop_data(s);
    s->keys = 0;
}

void vtlb_flush_space(struct space *s)
{
    mmu_close_window(s->owner);
    for (unsigned c = 0; c < CLASSES; c++)
        if (s->array[c][0])
            entries_clear(s->array[c][0], ARRAYS * (size_t)s->entries[c]);
    for (unsigned c = 0; c < CLASSES; c++)
        vtlb_fetch_left(s, c);
    s->filled = false;
    s->writes_stale = false;
    s->keys = 0;
    s->wanders = false;
    system_leave(s);
}

void vtlb_reset_space(struct space *s)
{
    mmu_close_window(s->owner);
    if (!s->filled && !s->shadow)
        return;
    if (s == s->owner->current || s == s->owner->fetch) /* what is running now is not traced from here on */
        mmu_mapping_changed(s->owner->mv);
    s->owner->mv->ops->release(s);
    vtlb_flush_space(s);
}

/* ---- a vCPU's side ---- */

static bool config_is_valid(unsigned entries, unsigned spaces)
{
    return entries >= 16 && entries <= 65536 && !(entries & (entries - 1)) && spaces <= 4096;
}

/* For vtlb_entry_at. */
static uint64_t array_mask(const struct space *s, unsigned class)
{
    return (s->entries[class] - 1) * (uint64_t)sizeof(struct vtlb_entry);
}

/* Supervisor code of any class is fetched alike: EFLAGS.AC concerns data. */
static void fetch_update(struct mmu_private *p)
{
    struct vtlb_view *v = &p->mmu->view;
    bool shares = p->current->system && p->class != CLASS_U;
    p->fetch = shares ? p->current->system : p->current;
    p->fetch_class = shares ? CLASS_S : p->class;
    bool ready = vtlb_class_ready(p->fetch, p->fetch_class);
    v->fetch = ready ? p->fetch->array[p->fetch_class][ACCESS_FETCH] : p->miss;
    v->fetch_mask = ready ? array_mask(p->fetch, p->fetch_class) : 0;
    epoch_update(p);
}

/* Each class has its own stack window, which waits for it until something leaves an array. */
static void switch_window(struct mmu_private *p, bool has_arrays)
{
    struct vtlb_view *v = &p->mmu->view;
    struct kept_window *k = &p->window[p->class];
    if (p->opened) {
        p->opened->window = v->stack;
        p->opened->drops = p->drops;
    }
    if (has_arrays && k->space == p->current && k->drops == p->drops)
        v->stack = k->window;
    else
        v->stack.limit = 0;
    k->space = p->current;
    p->opened = has_arrays ? k : NULL;
    v->kept = 0;
}

void view_update(struct mmu_private *p)
{
    struct vtlb_view *v = &p->mmu->view;
    bool ready = vtlb_class_ready(p->current, p->class);
    struct vtlb_entry **a = p->current->array[p->class];
    bool hits = ready && !p->force_slow;
    v->read = hits ? a[ACCESS_READ] : p->miss;
    v->write = hits ? a[ACCESS_WRITE] : p->miss;
    v->byte_mask = hits ? array_mask(p->current, p->class) : sizeof(struct vtlb_entry);
    switch_window(p, hits);
    fetch_update(p);
}

int mmu_init(struct mmu *mmu, struct mmu_vm *mv, const struct mmu_config *config,
             const struct bus_ops *bus, void *bus_opaque)
{
    unsigned entries = config && config->entries ? config->entries : DEFAULT_ENTRIES;
    unsigned spaces = config && config->spaces ? config->spaces : DEFAULT_SPACES;
    *mmu = (struct mmu){.p = NULL};
    if (!config_is_valid(entries, spaces))
        return -EINVAL;
    struct mmu_private *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->space = calloc(spaces + SYSTEMS, sizeof(*p->space));
    p->miss = malloc(2 * sizeof(*p->miss));
    if (!p->space || !p->miss) {
        free(p->space);
        free(p->miss);
        free(p);
        return -ENOMEM;
    }
    entries_clear(p->miss, 2);
    p->mmu = mmu, p->mv = mv, p->pm = mv->pm;
    p->bus = bus, p->bus_opaque = bus_opaque;
    p->entries = entries, p->spaces = spaces + SYSTEMS;
    p->system = &p->space[spaces];
    for (unsigned i = 0; i < p->spaces; i++)
        p->space[i].owner = p;
    p->current = p->fetch = p->space;
    p->next = mv->vcpus;
    mv->vcpus = p;
    mmu->p = p;
    view_update(p);
    return 0;
}

void mmu_fini(struct mmu *mmu)
{
    struct mmu_private *p = mmu->p;
    if (!p)
        return;
    struct mmu_private **link = &p->mv->vcpus;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    for (unsigned i = 0; i < p->spaces; i++) {
        p->mv->ops->release(&p->space[i]);
        for (unsigned c = 0; c < CLASSES; c++)
            arrays_free(&p->space[i], c);
    }
    free(p->space);
    free(p->miss);
    free(p);
    *mmu = (struct mmu){.p = NULL};
}

/* ---- switching ---- */

static bool ctx_is_same(const struct mmu_ctx *a, const struct mmu_ctx *b)
{
    const struct mmu_stage *g = &a->guest, *h = &b->guest;
    if (g->format != h->format)
        return false;
    if (g->format == MMU_OFF)
        return true;
    if (g->format == MMU_PAE) {
        for (unsigned i = 0; i < 4; i++)
            if (g->pdpte[i] != h->pdpte[i])
                return false;
    } else if (g->root != h->root) {
        return false;
    }
    return ctx_is_alike(a, b);
}

bool ctx_is_alike(const struct mmu_ctx *a, const struct mmu_ctx *b)
{
    return a->guest.format == b->guest.format && a->wp == b->wp && a->pse == b->pse && a->nxe == b->nxe && a->smep == b->smep &&
           a->smap == b->smap && a->pge1g == b->pge1g && a->pke == b->pke &&
           a->maxphyaddr == b->maxphyaddr;
}

/* The space of ctx: a kept one, or the least recently used made anew. */
static struct space *space_for(struct mmu_private *p, const struct mmu_ctx *ctx)
{
    struct space *oldest = p->space;
    for (struct space *s = p->space; s < p->system; s++) {
        if (s->last_use && ctx_is_same(&s->ctx, ctx))
            return s;
        if (s->last_use < oldest->last_use)
            oldest = s;
    }
    if (oldest->filled)
        p->counters.space_evictions++;
    for (unsigned c = 0; c < CLASSES; c++) /* small again, for someone else */
        if (oldest != p->current && oldest->entries[c] > FIRST_ENTRIES)
            arrays_free(oldest, c);
    vtlb_reset_space(oldest);
    return oldest;
}

void mmu_set_context(struct mmu *mmu, const struct mmu_ctx *ctx)
{
    struct mmu_private *p = mmu->p;
    struct space *s = p->current;
    assert(ctx->nested.format == MMU_OFF); /* one stage: the 2-D walk is not in this module yet */
    if (!s->last_use || !ctx_is_same(&s->ctx, ctx)) {
        s = space_for(p, ctx);
        p->counters.space_switches++;
        p->current = s;
    }
    s->ctx = *ctx;
    s->reserved = walk_reserved_bits(ctx);
    s->last_use = ++p->clock;
    if (s->writes_stale)
        vtlb_drop_writes(s);
    follow_pkru(s, p->pkru);
    p->class = vtlb_class(ctx, p->as);
    view_update(p);
}

void mmu_cr3_loaded(struct mmu *mmu, bool is_kept)
{
    struct mmu_private *p = mmu->p;
    struct space *s = p->current;
    if (likely(!p->mv->config.is_untagged) || is_kept)
        return;
    p->counters.flushes++;
    drop_data(s);
    for (unsigned c = 0; c < CLASSES; c++) {
        if (s->array[c][0])
            entries_clear(s->array[c][ACCESS_FETCH], s->entries[c]);
        vtlb_fetch_left(s, c);
    }
}

void mmu_set_pkru(struct mmu *mmu, uint32_t pkru)
{
    mmu->p->pkru = pkru;
    follow_pkru(mmu->p->current, pkru);
}

const struct mmu_ctx *mmu_context(const struct mmu *mmu)
{
    return &mmu->p->current->ctx;
}

/* Is the view as it is wanted already? What is kept of it then may stay. */
static void set_privilege(struct mmu_private *p, struct privilege as, bool force_slow, bool same_mode)
{
    unsigned class = vtlb_class(&p->current->ctx, as);
    bool same = same_mode && class == p->class && force_slow == p->force_slow;
    p->as = as;
    p->force_slow = force_slow;
    p->class = class;
    if (!same)
        view_update(p);
}

void mmu_set_privilege(struct mmu *mmu, struct privilege as, bool force_slow)
{
    set_privilege(mmu->p, as, force_slow, true);
}

void mmu_set_mode(struct mmu *mmu, uint32_t mode, struct privilege as, bool force_slow)
{
    struct mmu_private *p = mmu->p;
    bool same = mode == p->mode;
    p->mode = mode;
    set_privilege(p, as, force_slow, same);
}

void mmu_drop_caches(struct mmu *mmu)
{
    for (unsigned i = 0; i < mmu->p->spaces; i++)
        vtlb_reset_space(&mmu->p->space[i]);
    mmu->p->mv->ops->drop_all(mmu->p->mv);
}

const struct mmu_counters *mmu_counters(const struct mmu *mmu)
{
    return &mmu->p->counters;
}
