/* SPDX-License-Identifier: MIT */
/*
 * A machine twice: two vCPUs with the virtual TLB, and a reference that walks its own copy of
 * memory for every access and caches nothing. Driven by a source of choices (a seed, or a fuzzer's
 * bytes), both must answer the same and end with the same bytes, A and D bits included. Shared by
 * mmu_coherence.c and the fuzz target.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "mmu/mmu.h"

#define LOW_PAGES 64u  /* RAM at 0; the first TABLES of them are used as tables */
#define HIGH_PAGES 16u /* RAM at 2 MiB */
#define ROM_PAGES 2u   /* ROM at 512 KiB */
#define ALL_PAGES (LOW_PAGES + HIGH_PAGES + ROM_PAGES)
#define SPARE_FRAMES 256u
#define TABLE_FRAMES 80u /* for shadow or nested tables: few, so that they are evicted */
#define TABLES 20u
#define HIGH_BASE (2 * MiB)
#define ROM_BASE (512 * KiB)
#define CONTEXTS 10u

struct source {
    const uint8_t *p; /* fuzzer's bytes, or NULL */
    size_t left;      /* of p */
    uint64_t seed;    /* without p */
};

struct model {
    struct source src;            /* of every choice */
    uint8_t *host;                /* machine memory: ALL_PAGES + SPARE_FRAMES + TABLE_FRAMES */
    unsigned spare;               /* frames of SPARE_FRAMES handed out */
    struct physmem *pm;           /* of the real side */
    struct mmu_vm *mv;            /* of the real side */
    struct mmu mmu[2];            /* two vCPUs */
    uint8_t *ref;                 /* reference memory, ALL_PAGES */
    uint8_t *shadow;              /* what a consumer of the dirty log knows */
    uint8_t *code;                /* copies of code lines when they were marked */
    struct mmu_ctx ctx[CONTEXTS]; /* contexts to switch among */
    unsigned which[2];            /* context of each vCPU */
    struct privilege as[2];       /* privilege of each vCPU */
    uint32_t pkru[2];             /* PKRU of each vCPU */
    uint64_t bus_hash[2];         /* of bus writes: real, reference */
};

#define MODEL_CHECK(m, x)                                                                          \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s (seed state %llx)\n", __FILE__, __LINE__, #x,               \
                    (unsigned long long)(m)->src.seed);                                            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- choices ---- */

static inline uint64_t choose64(struct model *m)
{
    struct source *s = &m->src;
    uint64_t v = 0;
    if (s->p) {
        for (unsigned i = 0; i < 8 && s->left; i++, s->left--)
            v |= (uint64_t)*s->p++ << (8 * i);
        return v;
    }
    s->seed ^= s->seed << 13, s->seed ^= s->seed >> 7, s->seed ^= s->seed << 17;
    return s->seed * UINT64_C(0x2545f4914f6cdd1d);
}

static inline unsigned choose(struct model *m, unsigned n)
{
    struct source *s = &m->src;
    if (!s->p)
        return (unsigned)((choose64(m) >> 33) % n);
    if (!s->left)
        return 0;
    s->left--;
    return *s->p++ % n;
}

static inline bool one_in(struct model *m, unsigned n)
{
    return choose(m, n) == n - 1;
}

/* A page anywhere: a table, RAM, ROM, nothing. */
static inline paddr choose_page(struct model *m)
{
    unsigned k = choose(m, 16);
    if (k < 6)
        return (paddr)choose(m, TABLES) << PAGE_SHIFT;
    if (k < 12)
        return (paddr)choose(m, LOW_PAGES) << PAGE_SHIFT;
    if (k < 14)
        return HIGH_BASE + ((paddr)choose(m, HIGH_PAGES) << PAGE_SHIFT);
    return k == 14 ? ROM_BASE + ((paddr)choose(m, ROM_PAGES) << PAGE_SHIFT) : 0x300000;
}

/* An entry of any level: mostly sensible. */
static inline uint64_t choose_entry(struct model *m)
{
    uint64_t e = choose_page(m) | 0x27;
    unsigned k = choose(m, 32);
    if (k == 0)
        return choose64(m);
    if (k < 4)
        e &= ~(uint64_t)(k == 1 ? 1 : k == 2 ? 2 : 4);
    if (k == 4)
        e |= BIT(63);
    if (k == 5)
        e |= BIT(choose(m, 52));
    if (k >= 6 && k < 10)
        e = (e & 0x7f) | 0x80 | (k == 6 ? HIGH_BASE : 0);
    if (k >= 10 && k < 14)
        e &= ~UINT64_C(0x20);
    if (k >= 14 && k < 22)
        e |= 0x40;
    if (k >= 8 && k < 28)
        e |= (uint64_t)choose(m, 4) << 59;
    return e;
}

/* The entries in use: few, so that edits hit what is cached. */
static inline unsigned choose_index(struct model *m)
{
    static const uint16_t index[8] = {0, 1, 2, 3, 5, 256, 510, 511};
    return index[choose(m, 8)];
}

static inline laddr choose_la(struct model *m, const struct mmu_ctx *ctx)
{
    static const uint16_t edges[4] = {0, 0xffc, 0xff9, 0x7f8};
    laddr offset = one_in(m, 2) ? choose64(m) & 0xfff : edges[choose(m, 4)];
    laddr i1 = choose_index(m), i2 = choose_index(m), i3 = choose_index(m), i4 = choose_index(m);
    if (ctx->guest.format == MMU_OFF)
        return choose_page(m) | offset;
    if (ctx->guest.format == MMU_LEGACY)
        return (one_in(m, 2) ? i2 : 1023 - i2) << 22 | i1 << 12 | offset;
    if (ctx->guest.format == MMU_PAE)
        return (i3 & 3) << 30 | i2 << 21 | i1 << 12 | offset;
    return (laddr)sext(i4 << 39 | (i3 & 3) << 30 | i2 << 21 | i1 << 12 | offset, 48);
}

/* ---- reference memory ---- */

static inline uint8_t *ref_page(struct model *m, paddr pa, bool *is_rom)
{
    *is_rom = false;
    if (pa < LOW_PAGES * PAGE_SIZE)
        return m->ref + (pa & PAGE_MASK);
    if (pa - HIGH_BASE < HIGH_PAGES * PAGE_SIZE)
        return m->ref + LOW_PAGES * PAGE_SIZE + ((pa - HIGH_BASE) & PAGE_MASK);
    if (pa - ROM_BASE >= ROM_PAGES * PAGE_SIZE)
        return NULL;
    *is_rom = true;
    return m->ref + (LOW_PAGES + HIGH_PAGES) * PAGE_SIZE + ((pa - ROM_BASE) & PAGE_MASK);
}

static inline uint8_t bus_byte(paddr pa)
{
    return (uint8_t)(pa * 0x9d ^ pa >> 8);
}

static inline void bus_log(uint64_t *hash, paddr pa, uint8_t v)
{
    *hash = *hash * 31 + (pa << 8) + v;
}

static inline uint64_t model_bus_read(void *opaque, paddr pa, unsigned size)
{
    uint64_t v = 0;
    (void)opaque;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)bus_byte(pa + i) << (8 * i);
    return v;
}

static inline void model_bus_write(void *opaque, paddr pa, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        bus_log(&((struct model *)opaque)->bus_hash[0], pa + i, (uint8_t)(v >> (8 * i)));
}

static const struct bus_ops model_bus = {model_bus_read, model_bus_write};

static inline void ref_copy(struct model *m, paddr pa, uint8_t *in, const uint8_t *out, size_t len)
{
    bool is_rom;
    uint8_t *page = ref_page(m, pa, &is_rom);
    for (size_t i = 0; i < len; i++) {
        if (in)
            in[i] = page ? page[(pa & 0xfff) + i] : bus_byte(pa + i);
        else if (!page)
            bus_log(&m->bus_hash[1], pa + i, out[i]);
        else if (!is_rom)
            page[(pa & 0xfff) + i] = out[i];
    }
}

/* ---- the reference walk: written for clarity, from the manual's tables ---- */

static inline uint64_t ref_range(unsigned high, unsigned low)
{
    uint64_t v = 0;
    for (unsigned i = low; i <= high && i < 64; i++)
        v |= BIT(i);
    return v;
}

static inline uint64_t ref_entry(struct model *m, paddr pa, unsigned size)
{
    bool is_rom;
    const uint8_t *page = ref_page(m, pa, &is_rom);
    if (!page)
        return size == 4 ? UINT32_MAX : UINT64_MAX;
    return le_load(page + (pa & 0xfff), size);
}

static inline uint64_t ref_reserved(const struct mmu_ctx *c, unsigned level, uint64_t e)
{
    bool large = level > 1 && (e & 0x80);
    if (c->guest.format == MMU_LEGACY) {
        unsigned width = c->maxphyaddr > 40 ? 40 : c->maxphyaddr;
        return large && c->pse ? ref_range(21, width - 19) : 0;
    }
    uint64_t r = ref_range(c->guest.format == MMU_PAE ? 62 : 51, c->maxphyaddr);
    if (!c->nxe)
        r |= BIT(63);
    if (level == 4 || (level == 3 && !c->pge1g))
        r |= 0x80;
    if (large && level == 3)
        r |= ref_range(29, 13);
    if (large && level == 2)
        r |= ref_range(20, 13);
    return r;
}

static inline bool ref_fail(const struct mmu_ctx *c, struct privilege as, laddr la,
                            enum access access, uint32_t code, struct fault *f)
{
    bool nx = c->nxe && c->guest.format != MMU_LEGACY;
    code |= access == ACCESS_WRITE ? 2 : 0;
    code |= as.user ? 4 : 0;
    code |= access == ACCESS_FETCH && (nx || c->smep) ? 16 : 0;
    *f = fault_code(14, code);
    f->cr2 = la;
    return false;
}

static inline bool ref_rights(const struct mmu_ctx *c, struct privilege as, enum access access,
                              bool us, bool rw, bool xd)
{
    if (access == ACCESS_FETCH && xd)
        return false;
    if (as.user)
        return us && (rw || access != ACCESS_WRITE);
    if (access == ACCESS_FETCH)
        return !us || !c->smep;
    if (us && c->smap && !as.ac)
        return false;
    return access == ACCESS_READ || rw || !c->wp;
}

/* A user page's key: bit 2k of PKRU forbids data, bit 2k + 1 writes. */
static inline bool ref_key_forbids(const struct mmu_ctx *c, struct privilege as, enum access access,
                                   uint32_t pkru, uint64_t leaf)
{
    unsigned key = leaf >> 59 & 15;
    bool ad = pkru >> (2 * key) & 1, wd = pkru >> (2 * key + 1) & 1;
    if (!c->pke || c->guest.format != MMU_LEVEL4 || access == ACCESS_FETCH)
        return false;
    return ad || (wd && access == ACCESS_WRITE && (as.user || c->wp));
}

static inline bool ref_translate(struct model *m, unsigned cpu, struct privilege as, laddr la,
                                 enum access access, paddr *pa, struct fault *f)
{
    const struct mmu_ctx *c = &m->ctx[m->which[cpu]];
    bool legacy = c->guest.format == MMU_LEGACY, us = true, rw = true, xd = false;
    unsigned level = c->guest.format == MMU_LEVEL4 ? 4 : 2, size = legacy ? 4 : 8, used = 0;
    paddr table = c->guest.root, where[4];
    uint64_t e, page;
    if (c->guest.format == MMU_OFF) {
        *pa = la;
        return true;
    }
    if (c->guest.format == MMU_PAE) {
        if (!(c->guest.pdpte[la >> 30 & 3] & 1))
            return ref_fail(c, as, la, access, 0, f);
        table = c->guest.pdpte[la >> 30 & 3];
    }
    for (;; level--) {
        unsigned per = legacy ? 10 : 9, shift = 12 + per * (level - 1);
        where[used] = (table & ref_range(51, 12)) + (la >> shift & (BIT(per) - 1)) * size;
        e = ref_entry(m, where[used++], size);
        if (!(e & 1))
            return ref_fail(c, as, la, access, 0, f);
        if (e & ref_reserved(c, level, e))
            return ref_fail(c, as, la, access, 9, f);
        us = us && (e & 4), rw = rw && (e & 2), xd = xd || (e >> 63);
        page = BIT(shift);
        if (level == 1 || ((e & 0x80) && (!legacy || c->pse)))
            break;
        table = e;
    }
    bool pk = us && ref_key_forbids(c, as, access, m->pkru[cpu], e);
    if (pk || !ref_rights(c, as, access, us, rw, xd))
        return ref_fail(c, as, la, access, pk ? 33 : 1, f);
    for (unsigned i = 0; i < used; i++) {
        bool is_rom;
        uint8_t *t = ref_page(m, where[i], &is_rom);
        if (t && !is_rom)
            t[where[i] & 0xfff] |= i + 1 == used && access == ACCESS_WRITE ? 0x60 : 0x20;
    }
    *pa = (e & ref_range(51, 12) & ~(page - 1)) | (la & (page - 1));
    if (legacy && page == 4 * MiB)
        *pa |= (e & ref_range(20, 13)) << 19;
    return true;
}

/* How much of `len` bytes lies in the page of `at`. */
static inline size_t ref_up_to_page_end(laddr at, size_t len)
{
    size_t room = (size_t)(PAGE_SIZE - (at & 0xfff));
    return room < len ? room : len;
}

static inline bool ref_access(struct model *m, unsigned cpu, struct privilege as, laddr la,
                              uint64_t mask, uint8_t *in, const uint8_t *out, size_t len,
                              struct fault *f)
{
    paddr pa[8];
    laddr at = la;
    size_t n, i, done;
    for (i = 0, done = 0; done < len; i++, done += n, at = (at + n) & mask) {
        n = ref_up_to_page_end(at, len - done);
        if (!ref_translate(m, cpu, as, at, in ? ACCESS_READ : ACCESS_WRITE, &pa[i], f))
            return false;
    }
    for (i = 0, done = 0, at = la; done < len; i++, done += n, at = (at + n) & mask) {
        n = ref_up_to_page_end(at, len - done);
        ref_copy(m, pa[i], in ? in + done : NULL, out ? out + done : NULL, n);
    }
    return true;
}

/* ---- checks ---- */

static inline paddr page_number(unsigned i)
{
    if (i < LOW_PAGES)
        return (paddr)i << PAGE_SHIFT;
    i -= LOW_PAGES;
    return i < HIGH_PAGES ? HIGH_BASE + ((paddr)i << PAGE_SHIFT)
                          : ROM_BASE + ((paddr)(i - HIGH_PAGES) << PAGE_SHIFT);
}

struct table_check {
    struct model *m;  /* whose */
    struct mmu *mmu;  /* the vCPU */
    unsigned entries; /* seen so far */
};

/* What the monitor's tables say is true: the page is where the entry says, and RW is set only in what may be written without a
 * word; a shadow leaf maps what the guest's tables map. */
static inline bool check_entry(void *opaque, const struct mmu_table_entry *e)
{
    struct table_check *c = opaque;
    paddr pa;
    c->entries++;
    if (!e->is_leaf)
        return true;
    if (mmu_vm_kind(c->m->mv) == MMU_SHADOW) {
        MODEL_CHECK(c->m, mmu_peek(c->mmu, e->base, &pa) && (pa & PAGE_MASK) == e->gpa);
        MODEL_CHECK(c->m, !(e->is_present && (e->value & 2)) || !physmem_state(c->m->pm, e->gpa));
    }
    const uint8_t *page = physmem_page(c->m->pm, e->gpa);
    MODEL_CHECK(c->m, e->is_present == (page != NULL));
    MODEL_CHECK(c->m, !page || page == c->m->host + (e->value & ref_range(51, 12)));
    return true;
}

static inline void check_tables(struct model *m)
{
    for (unsigned i = 0; i < 2; i++)
        mmu_visit_tables(&m->mmu[i], check_entry, &(struct table_check){m, &m->mmu[i], 0});
}

static inline void check_memory(struct model *m)
{
    for (unsigned i = 0; i < ALL_PAGES; i++) {
        const uint8_t *page = physmem_page(m->pm, page_number(i));
        uint64_t lines = physmem_code_lines(m->pm, page_number(i));
        MODEL_CHECK(m, page && !memcmp(page, m->ref + i * PAGE_SIZE, PAGE_SIZE));
        for (unsigned k = 0; k < 64; k++)
            MODEL_CHECK(m, !(lines >> k & 1) ||
                               !memcmp(page + 64 * k, m->code + i * PAGE_SIZE + 64 * k, 64));
    }
    MODEL_CHECK(m, m->bus_hash[0] == m->bus_hash[1]);
    check_tables(m);
}

static inline void check_same(struct model *m, bool real, bool ref, const struct fault *a,
                              const struct fault *b)
{
    MODEL_CHECK(m, real == ref);
    MODEL_CHECK(m, real || (a->vector == b->vector && a->error_code == b->error_code &&
                            a->cr2 == b->cr2 && a->has_error_code == b->has_error_code));
}

/* ---- events ---- */

/* As an engine does: the page's blocks are dropped. */
static inline void model_code_written(void *opaque, paddr pa, size_t len)
{
    struct model *m = opaque;
    (void)len;
    physmem_set_code_lines(m->pm, pa, 0);
}

static inline int model_populate(void *opaque, paddr page, haddr *hpa)
{
    (void)opaque, (void)page, (void)hpa;
    return -1;
}

static inline int model_unshare(void *opaque, paddr page, haddr old, haddr *hpa)
{
    struct model *m = opaque;
    (void)page;
    if (m->spare < SPARE_FRAMES)
        *hpa = (haddr)(ALL_PAGES + m->spare++) << PAGE_SHIFT;
    if (*hpa != old) {
        memcpy(m->host + *hpa, m->host + old, PAGE_SIZE);
        memset(m->host + old, 0xee, PAGE_SIZE); /* a stale pointer would be noticed */
    }
    return 0;
}

static const struct backing_ops model_backing = {model_populate, model_unshare};

/* ---- set-up ---- */

static inline paddr choose_root(struct model *m)
{
    return one_in(m, 16) ? choose64(m) & ref_range(51, 12) : (paddr)choose(m, 6) << PAGE_SHIFT;
}

static inline void choose_context(struct model *m, struct mmu_ctx *c)
{
    static const uint8_t width[4] = {36, 40, 52, 32};
    *c = (struct mmu_ctx){.guest.root = choose_root(m), .maxphyaddr = width[choose(m, 4)]};
    unsigned k = choose(m, 8), flags = choose(m, 64);
    c->guest.format = (uint8_t)(k < 4    ? MMU_LEVEL4
                                : k < 6  ? MMU_PAE
                                : k == 6 ? MMU_LEGACY
                                         : MMU_OFF);
    for (unsigned i = 0; i < 4; i++)
        c->guest.pdpte[i] = (choose_root(m) & ref_range(35, 12)) | !one_in(m, 8);
    c->wp = flags & 1, c->pse = flags & 2, c->nxe = flags & 4;
    c->smep = flags & 8, c->smap = flags & 16, c->pge1g = flags & 32;
    c->pke = c->guest.format == MMU_LEVEL4 && one_in(m, 2);
}

static inline void model_put(struct model *m, paddr pa, const void *buf, size_t len)
{
    MODEL_CHECK(m, physmem_write(m->pm, pa, buf, len));
    ref_copy(m, pa, NULL, buf, len);
}

static inline void fill_tables(struct model *m)
{
    for (unsigned t = 0; t < TABLES; t++)
        for (unsigned i = 0; i < 24; i++) {
            uint8_t e[8];
            le64_store(e, choose_entry(m));
            model_put(m, t * PAGE_SIZE + choose_index(m) * 8, e, 8);
        }
}

/* Any kind of translation, with what it can be told. */
static inline struct mmu_vm_config choose_kind(struct model *m)
{
    static const uint8_t shift[3] = {12, 21, 30};
    unsigned k = choose(m, 4), flags = choose(m, 4);
    haddr at = (haddr)(ALL_PAGES + SPARE_FRAMES) << PAGE_SHIFT;
    return (struct mmu_vm_config){
        .kind = k < 2 ? MMU_SHADOW : k == 2 ? MMU_NESTED : MMU_DIRECT,
        .frames = {m->host + at, at, k == 0 ? MMU_FRAMES_MIN : TABLE_FRAMES},
        .unsync_writes = choose(m, 6),
        .nested_format = MMU_LEVEL4 - choose(m, 3),
        .nested_page_shift = shift[choose(m, 3)],
        .no_walk_caches = flags & 1,
        .is_pdpte_in_memory = flags & 2,
    };
}

/* kind: NULL is any. */
static inline void model_open_kind(struct model *m, struct source src, unsigned entries,
                                   unsigned spaces, const struct mmu_vm_config *kind)
{
    *m = (struct model){.src = src};
    m->host = calloc(ALL_PAGES + SPARE_FRAMES + TABLE_FRAMES, PAGE_SIZE);
    m->ref = calloc(ALL_PAGES, PAGE_SIZE);
    m->shadow = calloc(ALL_PAGES, PAGE_SIZE);
    m->code = calloc(ALL_PAGES, PAGE_SIZE);
    m->pm = physmem_create(m->host, &model_backing, m);
    physmem_set_events(m->pm, &(struct page_event_ops){.code_written = model_code_written}, m, NULL,
                       NULL);
    MODEL_CHECK(m, !physmem_add(m->pm, 0, LOW_PAGES * PAGE_SIZE, 0, false, NULL));
    MODEL_CHECK(m, !physmem_add(m->pm, HIGH_BASE, HIGH_PAGES * PAGE_SIZE, LOW_PAGES * PAGE_SIZE,
                                false, NULL));
    MODEL_CHECK(m, !physmem_add(m->pm, ROM_BASE, ROM_PAGES * PAGE_SIZE,
                                (LOW_PAGES + HIGH_PAGES) * PAGE_SIZE, true, NULL));
    physmem_log_dirty(m->pm, DIRTY_HASH, true);
    struct mmu_vm_config config = kind ? *kind : choose_kind(m);
    m->mv = mmu_vm_create(m->pm, &config, NULL);
    MODEL_CHECK(m, m->mv != NULL);
    for (unsigned i = 0; i < 2; i++)
        MODEL_CHECK(
            m, !mmu_init(&m->mmu[i], m->mv, &(struct mmu_config){entries, spaces}, &model_bus, m));
    fill_tables(m);
    for (unsigned i = 0; i < CONTEXTS; i++)
        choose_context(m, &m->ctx[i]);
    for (unsigned i = 0; i < 2; i++)
        mmu_set_context(&m->mmu[i], &m->ctx[0]);
}

static inline void model_open(struct model *m, struct source src, unsigned entries, unsigned spaces)
{
    model_open_kind(m, src, entries, spaces, NULL);
}

static inline void model_close(struct model *m)
{
    check_memory(m);
    mmu_fini(&m->mmu[0]);
    mmu_fini(&m->mmu[1]);
    mmu_vm_destroy(m->mv);
    for (unsigned i = 0; i < ALL_PAGES; i++)
        MODEL_CHECK(m, !(physmem_state(m->pm, page_number(i)) & PAGE_TRACED));
    physmem_destroy(m->pm);
    free(m->host);
    free(m->ref);
    free(m->shadow);
    free(m->code);
}

/* ---- operations ---- */

static inline uint64_t la_mask_of(const struct mmu_ctx *c)
{
    return c->guest.format == MMU_LEVEL4 ? UINT64_MAX : UINT32_MAX;
}

/* Where a guest's access goes, kept away from the non-canonical hole. */
static inline laddr access_la(struct model *m, const struct mmu_ctx *c, size_t len)
{
    laddr la = choose_la(m, c);
    bool ok = c->guest.format != MMU_LEVEL4 || (laddr)sext(la + len - 1, 48) == la + len - 1;
    return ok ? la : la - PAGE_SIZE;
}

static inline size_t choose_len(struct model *m)
{
    static const uint16_t len[8] = {1, 2, 4, 8, 8, 16, 3, 5000};
    return one_in(m, 16) ? len[choose(m, 8)] : len[choose(m, 7)];
}

static inline void op_read(struct model *m, unsigned cpu)
{
    uint8_t a[5000], b[5000];
    struct fault fa, fb;
    const struct mmu_ctx *c = &m->ctx[m->which[cpu]];
    struct privilege as = m->as[cpu];
    size_t len = choose_len(m);
    laddr la = access_la(m, c, len);
    bool implicit = one_in(m, 8);
    if (implicit)
        as = (struct privilege){false, false};
    bool real = implicit ? mmu_read_as(&m->mmu[cpu], as, la, la_mask_of(c), a, len, &fa)
                         : mmu_read(&m->mmu[cpu], la, la_mask_of(c), a, len, &fa);
    bool ref = ref_access(m, cpu, as, la, la_mask_of(c), b, NULL, len, &fb);
    check_same(m, real, ref, &fa, &fb);
    MODEL_CHECK(m, !real || !memcmp(a, b, len));
}

static inline void choose_data(struct model *m, uint8_t *data, size_t len)
{
    uint64_t e = choose_entry(m);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(e >> (i % 8 * 8));
}

static inline void op_write(struct model *m, unsigned cpu)
{
    uint8_t data[5000];
    struct fault fa, fb;
    const struct mmu_ctx *c = &m->ctx[m->which[cpu]];
    struct privilege as = m->as[cpu];
    size_t len = choose_len(m);
    laddr la = access_la(m, c, len);
    bool implicit = one_in(m, 8);
    if (one_in(m, 2))
        la = (la & PAGE_MASK) | choose_index(m) * 8;
    choose_data(m, data, len);
    if (implicit)
        as = (struct privilege){false, false};
    bool real = implicit ? mmu_write_as(&m->mmu[cpu], as, la, la_mask_of(c), data, len, &fa)
                         : mmu_write(&m->mmu[cpu], la, la_mask_of(c), data, len, &fa);
    bool ref = ref_access(m, cpu, as, la, la_mask_of(c), NULL, data, len, &fb);
    check_same(m, real, ref, &fa, &fb);
}

static inline void op_fetch(struct model *m, unsigned cpu)
{
    struct fault fa, fb;
    paddr a = 0, b = 0;
    laddr la = choose_la(m, &m->ctx[m->which[cpu]]);
    bool real = mmu_fetch(&m->mmu[cpu], la, &a, &fa);
    check_same(m, real, ref_translate(m, cpu, m->as[cpu], la, ACCESS_FETCH, &b, &fb), &fa, &fb);
    MODEL_CHECK(m, !real || a == b);
}

/* What is in the stack window may be written there. */
static inline void check_window(struct model *m, unsigned cpu)
{
    const struct vtlb_window *w = &m->mmu[cpu].view.stack;
    struct fault f;
    uint8_t v[8];
    if (!w->limit)
        return;
    laddr la = w->page + choose(m, (unsigned)w->limit);
    choose_data(m, v, 8);
    MODEL_CHECK(m, ref_access(m, cpu, m->as[cpu], la, UINT64_MAX, NULL, v, 8, &f));
    memcpy((uint8_t *)(uintptr_t)(la + w->addend), v, 8);
}

/* An engine's inline hit: whatever the view says is right. */
static inline void op_view(struct model *m, unsigned cpu)
{
    struct mmu *mmu = &m->mmu[cpu];
    struct fault f;
    check_window(m, cpu);
    for (unsigned k = 0; k < 6; k++) {
        laddr la = choose_la(m, &m->ctx[m->which[cpu]]) & ~UINT64_C(7);
        const struct vtlb_view *view = &mmu->view;
        const struct vtlb_entry *r = vtlb_entry_at(view->read, view->byte_mask, la);
        const struct vtlb_entry *w = vtlb_entry_at(view->write, view->byte_mask, la);
        uint8_t v[8];
        if (r->tag == (la & PAGE_MASK)) {
            MODEL_CHECK(m, ref_access(m, cpu, m->as[cpu], la, UINT64_MAX, v, NULL, 8, &f));
            MODEL_CHECK(m, !memcmp(v, (uint8_t *)(uintptr_t)(la + r->addend), 8));
        }
        if (w->tag == (la & PAGE_MASK)) {
            choose_data(m, v, 8);
            MODEL_CHECK(m, ref_access(m, cpu, m->as[cpu], la, UINT64_MAX, NULL, v, 8, &f));
            memcpy((uint8_t *)(uintptr_t)(la + w->addend), v, 8);
            if (one_in(m, 4))
                mmu->view.stack = (struct vtlb_window){la & PAGE_MASK, w->addend,
                                                       PAGE_SIZE - VTLB_WINDOW_REACH + 1};
        }
    }
}

static inline void op_translate(struct model *m, unsigned cpu)
{
    struct fault fa, fb;
    paddr a = 0, b = 0, c = 0;
    laddr la = choose_la(m, &m->ctx[m->which[cpu]]);
    struct privilege as = {one_in(m, 2), one_in(m, 2)};
    enum access access = (enum access)choose(m, 3);
    bool peek = mmu_peek(&m->mmu[cpu], la, &c);
    bool real = mmu_translate(&m->mmu[cpu], as, la, access, &a, &fa);
    check_same(m, real, ref_translate(m, cpu, as, la, access, &b, &fb), &fa, &fb);
    MODEL_CHECK(m, !real || (a == b && peek && c == a));
}

/* A probe, then the bulk pointer. */
static inline void op_span(struct model *m, unsigned cpu)
{
    struct fault fa, fb;
    bool is_fault, is_rom;
    paddr pa = 0;
    laddr la = choose_la(m, &m->ctx[m->which[cpu]]);
    enum access access = (enum access)choose(m, 3);
    bool real = mmu_probe(&m->mmu[cpu], la, UINT64_MAX, 1, access, &fa);
    check_same(m, real, ref_translate(m, cpu, m->as[cpu], la, access, &pa, &fb), &fa, &fb);
    uint8_t *host = mmu_span(&m->mmu[cpu], la, access, &is_fault, &fa);
    MODEL_CHECK(m, is_fault == !real);
    if (host)
        MODEL_CHECK(m, *host == ref_page(m, pa, &is_rom)[pa & 0xfff]);
    if (host && access == ACCESS_WRITE)
        *host = ref_page(m, pa, &is_rom)[pa & 0xfff] = (uint8_t)choose(m, 256);
}

/* DMA or the other side edits a table. */
static inline void op_edit(struct model *m)
{
    uint8_t e[8];
    paddr pa = choose(m, TABLES) * PAGE_SIZE + choose_index(m) * 8;
    unsigned k = choose(m, 8);
    bool is_rom;
    memcpy(e, ref_page(m, pa, &is_rom) + (pa & 0xfff), 8);
    if (k < 3)
        e[0] &= (uint8_t) ~(k == 0 ? 0x20 : k == 1 ? 0x40 : 0x60);
    else if (k == 3)
        e[0] ^= (uint8_t)BIT(choose(m, 3));
    else
        le64_store(e, choose_entry(m));
    if (one_in(m, 4))
        model_put(m, pa + 4, e + 4, 4);
    else
        model_put(m, pa, e, one_in(m, 4) ? 1 : 8);
}

static inline void op_bulk(struct model *m)
{
    static uint8_t zero[2 * PAGE_SIZE];
    paddr pa = choose_page(m);
    size_t len = choose64(m) % PAGE_SIZE;
    if (pa != 0x300000)
        model_put(m, pa, zero, len);
    if (one_in(m, 4))
        fill_tables(m);
}

static inline void model_visit(void *opaque, paddr page, const uint8_t *host)
{
    struct model *m = opaque;
    bool is_rom;
    memcpy(m->shadow + (ref_page(m, page, &is_rom) - m->ref), host, PAGE_SIZE);
}

static inline void op_collect(struct model *m)
{
    check_memory(m);
    physmem_collect_dirty(m->pm, DIRTY_HASH, model_visit, m);
    MODEL_CHECK(m, !memcmp(m->shadow, m->ref, ALL_PAGES * PAGE_SIZE));
}

static inline void op_mark(struct model *m)
{
    unsigned i = choose(m, ALL_PAGES);
    unsigned k = choose(m, 4);
    if (k == 3) {
        physmem_set_state(m->pm, page_number(i), PAGE_COW);
        return;
    }
    memcpy(m->code + i * PAGE_SIZE, m->ref + i * PAGE_SIZE, PAGE_SIZE);
    physmem_set_code_lines(m->pm, page_number(i), k == 0 ? 0 : choose64(m));
}

static inline void op_drop(struct model *m, unsigned cpu)
{
    unsigned k = choose(m, 8);
    if (k == 0)
        mmu_drop_caches(&m->mmu[cpu]);
    else if (k == 1)
        mmu_vm_drop_all(m->mv);
    else
        mmu_vm_drop_page(m->mv, choose_page(m));
}

static inline void op_switch(struct model *m, unsigned cpu)
{
    unsigned k = choose(m, 4);
    if (k < 2) {
        m->which[cpu] = choose(m, CONTEXTS);
        mmu_set_context(&m->mmu[cpu], &m->ctx[m->which[cpu]]);
        return;
    }
    m->as[cpu] = (struct privilege){.user = k == 3, .ac = one_in(m, 2)};
    bool force_slow = one_in(m, 8);
    mmu_set_privilege(&m->mmu[cpu], m->as[cpu], force_slow);
    MODEL_CHECK(m, !force_slow || !m->mmu[cpu].view.stack.limit);
    check_window(m, cpu);
}

static inline void op_pkru(struct model *m, unsigned cpu)
{
    m->pkru[cpu] = (uint32_t)choose64(m) & (one_in(m, 2) ? 0xffu : 0x0au);
    mmu_set_pkru(&m->mmu[cpu], m->pkru[cpu]);
}

static inline void model_step(struct model *m)
{
    unsigned cpu = choose(m, 2), k = choose(m, 64);
    if (k < 16)
        op_read(m, cpu);
    else if (k < 32)
        op_write(m, cpu);
    else if (k < 38)
        op_fetch(m, cpu);
    else if (k < 44)
        op_view(m, cpu);
    else if (k < 46)
        op_translate(m, cpu);
    else if (k < 48)
        op_span(m, cpu);
    else if (k < 56)
        op_edit(m);
    else if (k < 59)
        op_switch(m, cpu);
    else if (k < 60)
        op_pkru(m, cpu);
    else if (k < 62)
        op_mark(m);
    else if (k == 62)
        one_in(m, 8) ? op_bulk(m) : op_edit(m);
    else
        one_in(m, 4) ? op_drop(m, cpu) : op_collect(m);
}
