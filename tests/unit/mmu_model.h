/* SPDX-License-Identifier: MIT */
/*
 * A machine twice: two vCPUs with the virtual TLB, and a reference (mmu_reference.h) that caches
 * nothing. Driven by a source of choices, both must answer the same and end with the same bytes, A
 * and D bits included. Shared by mmu_coherence.c, mmu_system.c and the fuzz target.
 */
#pragma once

#include "tests/unit/mmu_reference.h"

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

/* The tag of an entry that accesses do not hit is no page's that they look for there. */
static inline void check_tags(struct model *m, const struct vtlb_view *view,
                              const struct vtlb_entry *array)
{
    uint64_t n = view->byte_mask / sizeof(*array) + 1;
    MODEL_CHECK(m, n >= 2);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t other = array[i].tag >> PAGE_SHIFT ^ i;
        MODEL_CHECK(m, array[i].tag & ~PAGE_MASK ? other & 1 : !(other & (n - 1)));
    }
}

/* 8 bytes at la, as translated code asks for them. */
static inline bool is_hit(const struct vtlb_entry *e, laddr la)
{
    return (la ^ e->tag) <= PAGE_SIZE - 8;
}

/* An engine's inline hit: whatever the view says is right. */
static inline void op_view(struct model *m, unsigned cpu)
{
    struct mmu *mmu = &m->mmu[cpu];
    struct fault f;
    check_window(m, cpu);
    check_tags(m, &mmu->view, mmu->view.read);
    check_tags(m, &mmu->view, mmu->view.write);
    for (unsigned k = 0; k < 6; k++) {
        laddr la = choose_la(m, &m->ctx[m->which[cpu]]) & ~UINT64_C(7);
        const struct vtlb_view *view = &mmu->view;
        const struct vtlb_entry *r = vtlb_entry_at(view->read, view->byte_mask, la);
        const struct vtlb_entry *w = vtlb_entry_at(view->write, view->byte_mask, la);
        uint8_t v[8];
        if (is_hit(r, la)) {
            MODEL_CHECK(m, ref_access(m, cpu, m->as[cpu], la, UINT64_MAX, v, NULL, 8, &f));
            MODEL_CHECK(m, !memcmp(v, (uint8_t *)(uintptr_t)(la + r->addend), 8));
        }
        if (is_hit(w, la)) {
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
