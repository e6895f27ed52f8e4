/* SPDX-License-Identifier: MIT */
/*
 * Address spaces that have the system's part in common (mmu/system.c): what an engine remembers of
 * code by an epoch of the view stays true as long as the view has that epoch, whatever happens to
 * the tables meanwhile, and the tables get the A and D bits that a walk for each fetch would set.
 */
#include "tests/test.h"

#include "tests/unit/mmu_model.h"

#define LEARNED 64u
#define LAST_ENTRY 511u

struct learned {
    laddr la;       /* of a page */
    paddr pa;       /* of its frame */
    uint64_t epoch; /* of the view; 0: nothing */
};

struct systems {
    struct model m;
    struct learned learned[2][LEARNED]; /* of each vCPU */
    unsigned shared;                    /* how often it served another context */
};

static const struct privilege SUPERVISOR = {false, false}, SUPERVISOR_AC = {false, true};

/* Contexts that differ in their tables. */
static void alike(struct systems *s, enum mmu_format format)
{
    struct mmu_ctx *c = s->m.ctx;
    c[0].guest.format = (uint8_t)format;
    c[0].guest.root = 0;
    c[0].pke = c[0].pke && format == MMU_LEVEL4;
    for (unsigned i = 1; i < CONTEXTS; i++) {
        struct mmu_stage guest = c[i].guest;
        unsigned like = choose(&s->m, i < 4 ? 1 : i);
        guest.format = (uint8_t)format;
        guest.root = (paddr)choose(&s->m, TABLES) << PAGE_SHIFT;
        guest.pdpte[3] = one_in(&s->m, 4) ? guest.pdpte[3] : c[like].guest.pdpte[3];
        c[i] = c[like];
        c[i].guest = guest;
        c[i].wp ^= one_in(&s->m, 8);
        c[i].smep ^= one_in(&s->m, 8);
        c[i].nxe ^= one_in(&s->m, 8);
    }
}

/* The last entry of one root, in another. */
static void op_share(struct systems *s)
{
    struct model *m = &s->m;
    uint8_t e[8];
    bool is_rom;
    paddr from = m->ctx[choose(m, CONTEXTS)].guest.root + 8 * LAST_ENTRY;
    paddr to = m->ctx[choose(m, CONTEXTS)].guest.root + 8 * LAST_ENTRY;
    memcpy(e, ref_page(m, from, &is_rom) + (from & 0xfff), 8);
    model_put(m, to, e, 8);
}

/* One table is written so often that it is not traced any more. */
static void op_wear(struct systems *s)
{
    struct model *m = &s->m;
    paddr pa = (paddr)choose(m, TABLES) << PAGE_SHIFT | choose_index(m) * 8;
    for (unsigned i = 0; i < 600; i++) {
        uint8_t e = (uint8_t)i;
        model_put(m, pa + 1, &e, 1);
    }
}

static laddr choose_system(struct model *m, const struct mmu_ctx *c)
{
    laddr first = c->guest.format == MMU_LEVEL4 ? 0xffffff8000000000 : 0xc0000000;
    return first | (choose_la(m, c) & la_mask_of(c));
}

static void enter(struct model *m, unsigned cpu, struct privilege as)
{
    m->as[cpu] = as;
    mmu_set_privilege(&m->mmu[cpu], as, one_in(m, 8));
}

/* The view has it: an engine may remember it. */
static void learn(struct systems *s, unsigned cpu, laddr la, paddr pa)
{
    const struct vtlb_view *v = &s->m.mmu[cpu].view;
    if (vtlb_entry_at(v->fetch, v->fetch_mask, la)->tag == (la & PAGE_MASK))
        s->learned[cpu][choose(&s->m, LEARNED)] =
            (struct learned){la & PAGE_MASK, pa & PAGE_MASK, v->epoch};
}

static void op_system_fetch(struct systems *s, unsigned cpu)
{
    struct model *m = &s->m;
    enter(m, cpu, one_in(m, 2) ? SUPERVISOR : SUPERVISOR_AC);
    for (unsigned n = 0; n < 4; n++) {
        const struct mmu_ctx *c = &m->ctx[m->which[cpu]];
        laddr la = one_in(m, 64) ? choose_la(m, c) : choose_system(m, c);
        struct fault fa, fb;
        paddr a = 0, b = 0;
        bool real = mmu_fetch(&m->mmu[cpu], la, &a, &fa);
        check_same(m, real, ref_translate(m, cpu, m->as[cpu], la, ACCESS_FETCH, &b, &fb), &fa, &fb);
        MODEL_CHECK(m, !real || a == b);
        if (real)
            learn(s, cpu, la, a);
    }
}

/* What is remembered by the present epoch is true. The reference sets A bits: they are set. */
static void op_recall(struct systems *s, unsigned cpu)
{
    struct model *m = &s->m;
    for (unsigned n = 0; n < 8; n++) {
        const struct learned *l = &s->learned[cpu][choose(m, LEARNED)];
        struct fault f;
        paddr pa = 0;
        if (!l->epoch || l->epoch != m->mmu[cpu].view.epoch)
            continue;
        MODEL_CHECK(m, ref_translate(m, cpu, m->as[cpu], l->la, ACCESS_FETCH, &pa, &f));
        MODEL_CHECK(m, pa == l->pa);
    }
}

static bool is_other(const struct mmu_stage *a, const struct mmu_stage *b)
{
    return a->format == MMU_PAE ? memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte)) != 0
                                : a->root != b->root;
}

static void op_other_context(struct systems *s, unsigned cpu)
{
    struct model *m = &s->m;
    uint64_t epoch = m->mmu[cpu].view.epoch;
    unsigned before = m->which[cpu];
    m->which[cpu] = choose(m, CONTEXTS);
    mmu_set_context(&m->mmu[cpu], &m->ctx[m->which[cpu]]);
    s->shared += is_other(&m->ctx[before].guest, &m->ctx[m->which[cpu]].guest) &&
                 m->mmu[cpu].view.epoch == epoch;
}

static void step(struct systems *s)
{
    unsigned cpu = choose(&s->m, 2), k = choose(&s->m, 16);
    if (k < 5)
        op_system_fetch(s, cpu);
    else if (k < 9)
        op_recall(s, cpu);
    else if (k < 12)
        op_other_context(s, cpu);
    else if (k == 12)
        one_in(&s->m, 8) ? op_wear(s) : op_share(s);
    else
        model_step(&s->m);
}

static unsigned run(uint64_t seed, enum mmu_format format, unsigned entries, unsigned spaces)
{
    struct systems *s = calloc(1, sizeof(*s));
    struct mmu_vm_config direct = {.kind = MMU_DIRECT};
    model_open_kind(&s->m, (struct source){.seed = seed * 0x9e3779b97f4a7c15 + 1}, entries, spaces,
                    &direct);
    alike(s, format);
    for (unsigned i = 0; i < 2; i++)
        mmu_set_context(&s->m.mmu[i], &s->m.ctx[0]);
    for (unsigned i = 0; i < 6000; i++) {
        step(s);
        if (i % 64 == 0)
            check_memory(&s->m);
    }
    unsigned shared = s->shared;
    model_close(&s->m);
    free(s);
    return shared;
}

static unsigned run_all(enum mmu_format format, unsigned entries, unsigned spaces)
{
    unsigned shared = 0;
    for (uint64_t seed = 1; seed <= 150; seed++)
        shared += run(seed, format, entries, spaces);
    return shared;
}

TEST(system, four_levels_equal_no_cache)
{
    EXPECT(run_all(MMU_LEVEL4, 16, 3) > 100);
    EXPECT(run_all(MMU_LEVEL4, 4096, 8) > 100);
}

TEST(system, pae_equals_no_cache)
{
    EXPECT(run_all(MMU_PAE, 16, 3) > 100);
    EXPECT(run_all(MMU_PAE, 4096, 8) > 100);
}

TEST(system, legacy_tables_share_nothing)
{
    EXPECT_EQ(0, run_all(MMU_LEGACY, 64, 8));
}

TEST_MAIN(RUN(system, four_levels_equal_no_cache) RUN(system, pae_equals_no_cache)
              RUN(system, legacy_tables_share_nothing))
