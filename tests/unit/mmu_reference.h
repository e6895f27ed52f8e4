/* SPDX-License-Identifier: MIT */
/*
 * The reference of mmu_model.h: choices by a seed or a fuzzer's bytes, and a walk of its own copy of
 * memory for every access, without any cache, written for clarity from the manual's tables.
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

/* ---- the reference walk ---- */

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
