/* SPDX-License-Identifier: MIT */
/* What the kinds of translation count, by the theory: references of a nested walk, sorts of shadow
 * faults, what a write to a guest's table costs. That the guest can't tell them apart is
 * mmu_coherence.c's. */
#include "tests/unit/mmu_bench.h"

#define R ACCESS_READ
#define W ACCESS_WRITE

/* ---- nested ---- */

static struct mmu_ctx context(enum mmu_format guest)
{
    struct mmu_ctx c = bench_long_ctx();
    c.guest.format = (uint8_t)guest;
    for (unsigned i = 0; i < 4; i++)
        c.guest.pdpte[i] = 0x3001;
    if (guest == MMU_LEGACY)
        c.guest.root = 0x6000;
    return c;
}

/* 4-level tables at 1000h, whose lower half is the PAE tables as well; legacy ones at 6000h. All
 * map 5000h at 0. */
static void all_tables(struct bench *b)
{
    bench_long_tables(b);
    poke64(b, 0x4000, 0x5007);
    poke32(b, 0x6000, 0x7007);
    poke32(b, 0x7000, 0x5007);
}

static uint64_t references(const struct mmu *mmu)
{
    const struct mmu_counters *c = mmu_counters(mmu);
    return c->walk_refs + c->nested_refs + c->pdpte_refs;
}

/* References of a miss whose nested tables are complete and whose caches are cold. */
static uint64_t cold_miss(enum mmu_format guest, const struct mmu_vm_config *config)
{
    struct bench b;
    struct mmu_ctx c = context(guest);
    paddr pa = 0;
    bench_open_as(&b, config);
    all_tables(&b);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(mmu_translate(&b.mmu[0], SUPERVISOR, 0x123, R, &pa, &b.fault));
    uint64_t before = references(&b.mmu[0]);
    EXPECT(mmu_translate(&b.mmu[0], SUPERVISOR, 0x123, R, &pa, &b.fault));
    EXPECT_EQ(0x5123, pa);
    uint64_t after = references(&b.mmu[0]);
    bench_close(&b);
    return after - before;
}

TEST(nested, a_cold_miss_costs_what_the_formula_says)
{
    static const enum mmu_format format[] = {MMU_LEGACY, MMU_PAE, MMU_LEVEL4};
    for (unsigned g = 0; g < 3; g++) {
        for (unsigned h = 0; h < 3; h++) {
            struct mmu_vm_config config = {.kind = MMU_NESTED,
                                           .nested_format = format[h],
                                           .nested_page_shift = 12,
                                           .no_walk_caches = true};
            unsigned n = format[g] == MMU_LEVEL4 ? 4 : 2, m = h + 2;
            EXPECT_EQ((n + 1) * (m + 1) - 1, cold_miss(format[g], &config));
        }
    }
}

TEST(nested, pdptes_cost_nothing_in_registers_and_a_nested_walk_in_memory)
{
    struct mmu_vm_config config = {.kind = MMU_NESTED,
                                   .nested_format = MMU_PAE,
                                   .nested_page_shift = 12,
                                   .no_walk_caches = true};
    EXPECT_EQ(11, cold_miss(MMU_PAE, &config));
    config.is_pdpte_in_memory = true;
    EXPECT_EQ(15, cold_miss(MMU_PAE, &config));
}

TEST(nested, large_pages_save_a_level_of_every_nested_walk)
{
    struct mmu_vm_config config = {.kind = MMU_NESTED,
                                   .nested_format = MMU_LEVEL4,
                                   .nested_page_shift = 21,
                                   .no_walk_caches = true};
    EXPECT_EQ(5 * 4 - 1, cold_miss(MMU_LEVEL4, &config));
}

TEST(nested, walk_caches_leave_the_last_table_and_no_nested_walk)
{
    struct mmu_vm_config config = {
        .kind = MMU_NESTED, .nested_format = MMU_LEVEL4, .nested_page_shift = 12};
    struct mmu_ctx c = context(MMU_LEVEL4);
    struct bench b;
    uint8_t v;
    bench_open_as(&b, &config);
    all_tables(&b);
    poke64(&b, 0x4008, 0x5007);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(mmu_read(&b.mmu[0], 0x10, UINT64_MAX, &v, 1, &b.fault));
    uint64_t before = references(&b.mmu[0]);
    EXPECT(mmu_read(&b.mmu[0], 0x1010, UINT64_MAX, &v, 1, &b.fault));
    EXPECT_EQ(1, references(&b.mmu[0]) - before);
    bench_close(&b);
}

struct tally {
    unsigned entries;            /* visited */
    struct mmu_table_entry leaf; /* the last leaf */
};

static bool note_entry(void *opaque, const struct mmu_table_entry *e)
{
    struct tally *t = opaque;
    t->entries++;
    if (e->is_leaf)
        t->leaf = *e;
    return true;
}

TEST(nested, a_page_that_becomes_copy_on_write_loses_its_entry)
{
    struct mmu_vm_config config = {
        .kind = MMU_NESTED, .nested_format = MMU_LEVEL4, .nested_page_shift = 12};
    struct tally before = {0}, after = {0};
    struct bench b;
    uint8_t v = 1;
    bench_open_as(&b, &config);
    EXPECT(mmu_write(&b.mmu[0], 0x5000, UINT32_MAX, &v, 1, &b.fault));
    mmu_visit_tables(&b.mmu[0], note_entry, &before);
    EXPECT_EQ(4, before.entries);
    EXPECT_EQ(0x5000, before.leaf.gpa);
    EXPECT(before.leaf.value & 2);
    physmem_set_state(b.pm, 0x5000, PAGE_COW);
    mmu_visit_tables(&b.mmu[0], note_entry, &after);
    EXPECT_EQ(3, after.entries);
    bench_close(&b);
}

/* ---- shadow ---- */

static void open_shadow(struct bench *b, unsigned unsync)
{
    struct mmu_vm_config config = {.kind = MMU_SHADOW, .unsync_writes = unsync};
    struct mmu_ctx c = context(MMU_LEVEL4);
    bench_open_as(b, &config);
    all_tables(b);
    mmu_set_context(&b->mmu[0], &c);
    mmu_set_context(&b->mmu[1], &c);
}

static bool touch(struct bench *b, unsigned cpu, laddr la, enum access access)
{
    uint8_t v = 0;
    return access == W ? mmu_write(&b->mmu[cpu], la, UINT64_MAX, &v, 1, &b->fault)
                       : mmu_read(&b->mmu[cpu], la, UINT64_MAX, &v, 1, &b->fault);
}

TEST(shadow, faults_are_sorted)
{
    struct bench b;
    open_shadow(&b, 0);
    const struct mmu_counters *c = mmu_counters(&b.mmu[0]);
    EXPECT(touch(&b, 0, 0x10, R));
    EXPECT_EQ(1, c->hidden_faults);
    EXPECT(!touch(&b, 0, 0x1010, R));
    EXPECT_EQ(1, c->true_faults);
    EXPECT(touch(&b, 0, 0x10, W)); /* D was clear, so the shadow had no RW */
    EXPECT_EQ(2, c->hidden_faults);
    poke64(&b, 0x4008, 0x4007); /* the page table itself */
    EXPECT(touch(&b, 0, 0x1800, W));
    EXPECT_EQ(1, c->trace_faults);
    EXPECT_EQ(0, c->protect_faults);
    poke64(&b, 0x4010, BIT(32) | 7); /* nothing there */
    EXPECT(touch(&b, 0, 0x2000, R));
    EXPECT_EQ(1, c->mmio_faults);
    EXPECT_EQ(c->shadow_faults,
              c->hidden_faults + c->true_faults + c->trace_faults + c->mmio_faults);
    bench_close(&b);
}

TEST(shadow, a_miss_that_the_shadow_knows_is_one_walk_of_four)
{
    struct bench b;
    open_shadow(&b, 0);
    EXPECT(touch(&b, 0, 0x10, R));
    EXPECT(touch(&b, 1, 0x10, R)); /* another vCPU: its arrays are empty, its root is shared */
    EXPECT_EQ(0, mmu_counters(&b.mmu[1])->hidden_faults - 1);
    EXPECT_EQ(4, mmu_vm_counters(b.mv)->shadow_pages);
    uint64_t before = mmu_counters(&b.mmu[1])->shadow_refs;
    paddr pa;
    EXPECT(mmu_translate(&b.mmu[1], SUPERVISOR, 0x20, R, &pa, &b.fault));
    EXPECT_EQ(4, mmu_counters(&b.mmu[1])->shadow_refs - before);
    EXPECT_EQ(1, mmu_counters(&b.mmu[1])->walks);
    bench_close(&b);
}

TEST(shadow, a_trace_fault_takes_just_what_was_written)
{
    struct bench b;
    open_shadow(&b, 0);
    poke64(&b, 0x4008, 0x8007);
    EXPECT(touch(&b, 0, 0x10, R) && touch(&b, 0, 0x1010, R));
    uint64_t hidden = mmu_counters(&b.mmu[0])->hidden_faults,
             traced = mmu_vm_counters(b.mv)->traced_writes;
    poke64(&b, 0x4008, 0x9007);
    EXPECT_EQ(traced + 1, mmu_vm_counters(b.mv)->traced_writes);
    EXPECT(touch(&b, 0, 0x20, R));
    EXPECT_EQ(hidden, mmu_counters(&b.mmu[0])->hidden_faults);
    b.host[0x9010] = 77;
    uint8_t v = 0;
    EXPECT(mmu_read(&b.mmu[0], 0x1010, UINT64_MAX, &v, 1, &b.fault));
    EXPECT_EQ(77, v);
    EXPECT_EQ(hidden + 1, mmu_counters(&b.mmu[0])->hidden_faults);
    bench_close(&b);
}

TEST(shadow, an_unsync_table_is_written_free_and_compared_before_it_is_used)
{
    struct bench b;
    uint8_t v = 0;
    open_shadow(&b, 3);
    const struct mmu_vm_counters *c = mmu_vm_counters(b.mv);
    poke64(&b, 0x4008, 0x8007);
    poke64(&b, 0x4010, 0x9007);
    EXPECT(touch(&b, 0, 0x10, R) && touch(&b, 0, 0x1010, R) && touch(&b, 0, 0x2010, R));
    for (unsigned i = 0; i < 10; i++)
        poke64(&b, 0x4008, (0xa000 + i * PAGE_SIZE) | 7);
    EXPECT_EQ(1, c->unsynced);
    EXPECT_EQ(4, c->traced_writes); /* the fourth was one too many */
    EXPECT(!(physmem_state(b.pm, 0x4000) & PAGE_TRACED));
    b.host[0x13010] = 88;
    EXPECT(mmu_read(&b.mmu[0], 0x1010, UINT64_MAX, &v, 1, &b.fault));
    EXPECT_EQ(88, v);
    EXPECT_EQ(1, c->resynced);
    EXPECT(physmem_state(b.pm, 0x4000) & PAGE_TRACED);
    uint64_t hidden = mmu_counters(&b.mmu[0])->hidden_faults;
    EXPECT(touch(&b, 0, 0x2010, R)); /* had not changed: still there */
    EXPECT_EQ(hidden, mmu_counters(&b.mmu[0])->hidden_faults);
    bench_close(&b);
}

/* Every entry of every level leads to the next: 2^27 ways to one page. */
TEST(shadow, a_page_with_very_many_addresses_is_given_up_in_bounded_time)
{
    struct bench b;
    open_shadow(&b, 0);
    for (unsigned i = 0; i < 512; i++) {
        poke64(&b, 0x1000 + 8 * i, 0x2007);
        poke64(&b, 0x2000 + 8 * i, 0x3007);
        poke64(&b, 0x3000 + 8 * i, 0x4007);
    }
    for (laddr i = 0; i < 128; i++)
        EXPECT(touch(&b, 0, i << 39 | i << 30 | i << 21, R));
    for (laddr i = 0; i < 128; i++)
        EXPECT(touch(&b, 0, i << 30, R) && touch(&b, 0, i << 21, R));
    /* Each of these is cached when the page changes; only some can be found by going up. */
    for (laddr i = 0; i < 128; i++) {
        uint8_t v = 0;
        uint8_t *host = b.host + (i & 1 ? 0x9000 : 0x5000);
        *host = (uint8_t)i;
        EXPECT(touch(&b, 0, i << 39 | i << 30 | i << 21, R));
        poke64(&b, 0x4000, i & 1 ? 0x9007 : 0x5007);
        EXPECT(mmu_read(&b.mmu[0], (laddr)sext(i << 39, 48) | i << 30 | i << 21, UINT64_MAX, &v, 1,
                        &b.fault));
        EXPECT_EQ(i, v);
    }
    bench_close(&b);
}

TEST(shadow, entries_say_what_they_map)
{
    struct tally t = {0};
    struct bench b;
    open_shadow(&b, 0);
    EXPECT(touch(&b, 0, 0x10, W));
    mmu_visit_tables(&b.mmu[0], note_entry, &t);
    EXPECT_EQ(4, t.entries);
    EXPECT_EQ(0x5000, t.leaf.gpa);
    EXPECT_EQ(0x5067, t.leaf.value); /* P RW US A D, at the same address of machine memory here */
    poke64(&b, 0x4000, 0);
    t = (struct tally){0};
    mmu_visit_tables(&b.mmu[0], note_entry, &t);
    EXPECT_EQ(3, t.entries);
    bench_close(&b);
}

TEST_MAIN(
    RUN(nested, a_cold_miss_costs_what_the_formula_says)
        RUN(nested, pdptes_cost_nothing_in_registers_and_a_nested_walk_in_memory)
            RUN(nested, large_pages_save_a_level_of_every_nested_walk)
                RUN(nested, walk_caches_leave_the_last_table_and_no_nested_walk)
                    RUN(nested, a_page_that_becomes_copy_on_write_loses_its_entry)
                        RUN(shadow,
                            faults_are_sorted) RUN(shadow,
                                                   a_miss_that_the_shadow_knows_is_one_walk_of_four)
                            RUN(shadow, a_trace_fault_takes_just_what_was_written)
                                RUN(shadow,
                                    an_unsync_table_is_written_free_and_compared_before_it_is_used)
                                    RUN(shadow,
                                        a_page_with_very_many_addresses_is_given_up_in_bounded_time)
                                        RUN(shadow, entries_say_what_they_map))
