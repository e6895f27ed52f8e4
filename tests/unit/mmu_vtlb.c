/* SPDX-License-Identifier: MIT */
/* The virtual TLB as an engine sees it: what is in the view, and what takes it out again. */
#include "tests/unit/mmu_bench.h"

#include "mmu/mmu_priv.h"

static bool hits(const struct mmu *mmu, const struct vtlb_entry *a, laddr la)
{
    const struct vtlb_view *v = &mmu->view;
    return vtlb_entry_at(a, a == v->fetch ? v->fetch_mask : v->byte_mask, la)->tag == la;
}

static bool hits_read(const struct mmu *mmu, laddr la)
{
    return hits(mmu, mmu->view.read, la);
}

static bool hits_write(const struct mmu *mmu, laddr la)
{
    return hits(mmu, mmu->view.write, la);
}

static bool read8(struct bench *b, unsigned cpu, laddr la)
{
    uint8_t v;
    return mmu_read(&b->mmu[cpu], la, UINT64_MAX, &v, 1, &b->fault);
}

static bool write8(struct bench *b, unsigned cpu, laddr la)
{
    uint8_t v = 0x77;
    return mmu_write(&b->mmu[cpu], la, UINT64_MAX, &v, 1, &b->fault);
}

/* Long mode on both vCPUs; pages 0..15 of la map 10000h + la, clean, with all rights. */
static void open_long_as(struct bench *b, const struct mmu_vm_config *config)
{
    struct mmu_ctx c = bench_long_ctx();
    bench_open_as(b, config);
    bench_long_tables(b);
    for (unsigned i = 0; i < 16; i++)
        poke64(b, 0x4000 + 8 * i, 0x10007 + i * PAGE_SIZE);
    mmu_set_context(&b->mmu[0], &c);
    mmu_set_context(&b->mmu[1], &c);
}

static void open_long(struct bench *b)
{
    open_long_as(b, NULL);
}

TEST(vtlb, a_read_fills_the_read_array_and_a_write_the_write_array)
{
    struct bench b;
    open_long(&b);
    EXPECT(!hits_read(&b.mmu[0], 0x1000));
    EXPECT(read8(&b, 0, 0x1000));
    EXPECT(hits_read(&b.mmu[0], 0x1000));
    EXPECT(!hits_write(&b.mmu[0], 0x1000)); /* D is clear: a write must come by */
    EXPECT(!hits_read(&b.mmu[1], 0x1000));
    EXPECT(write8(&b, 0, 0x1000));
    EXPECT(hits_write(&b.mmu[0], 0x1000));
    const struct vtlb_entry *e = &b.mmu[0].view.write[1];
    EXPECT((uint8_t *)(uintptr_t)(0x1000 + e->addend) == b.host + 0x11000);
    EXPECT_EQ(0x77, b.host[0x11000]);
    paddr pa;
    EXPECT(mmu_fetch(&b.mmu[0], 0x1234, &pa, &b.fault) && pa == 0x11234);
    EXPECT(hits(&b.mmu[0], b.mmu[0].view.fetch, 0x1000));
    bench_close(&b);
}

TEST(vtlb, a_leaf_edit_by_anyone_drops_the_page_in_all_vcpus)
{
    struct bench b;
    open_long(&b);
    EXPECT(write8(&b, 0, 0x1000) && read8(&b, 1, 0x1000) && read8(&b, 1, 0x2000));
    EXPECT_EQ(PAGE_TRACED, physmem_state(b.pm, 0x4000));
    poke64(&b, 0x4008, 0x11067);
    EXPECT(!hits_write(&b.mmu[0], 0x1000) && !hits_read(&b.mmu[1], 0x1000));
    EXPECT(hits_read(&b.mmu[1], 0x2000));
    EXPECT(read8(&b, 1, 0x1000));
    poke64(&b, 0x4008, 0);
    EXPECT(!read8(&b, 1, 0x1000));
    bench_close(&b);
}

TEST(vtlb, a_guest_store_to_its_own_table_takes_effect_at_once)
{
    struct bench b;
    uint8_t e[8];
    le64_store(e, 0x12067);
    open_long(&b);
    poke64(&b, 0x4078, 0x4007); /* la F000h maps the page table */
    b.host[0x12000] = 0x99;
    EXPECT(read8(&b, 0, 0x1000));
    for (unsigned i = 0; i < 3; i++) { /* the first fills a slow entry, the others use it */
        EXPECT(mmu_write(&b.mmu[0], 0xf008, UINT64_MAX, e, 8, &b.fault));
        EXPECT(!hits_read(&b.mmu[0], 0x1000) && !hits_write(&b.mmu[0], 0xf000));
        uint8_t v;
        EXPECT(mmu_read(&b.mmu[0], 0x1000, UINT64_MAX, &v, 1, &b.fault) && v == 0x99);
    }
    EXPECT_EQ(3, mmu_vm_counters(b.mv)->traced_writes);
    bench_close(&b);
}

TEST(vtlb, a_higher_edit_drops_what_is_below_and_untraces_it)
{
    struct bench b;
    open_long(&b);
    EXPECT(read8(&b, 0, 0x1000) && read8(&b, 0, 0x5000));
    poke64(&b, 0x2000, 0x3027);
    EXPECT(!hits_read(&b.mmu[0], 0x1000) && !hits_read(&b.mmu[0], 0x5000));
    EXPECT_EQ(0, physmem_state(b.pm, 0x4000));
    EXPECT_EQ(0, physmem_state(b.pm, 0x3000));
    EXPECT_EQ(PAGE_TRACED, physmem_state(b.pm, 0x2000));
    EXPECT(read8(&b, 0, 0x1000));
    bench_close(&b);
}

TEST(vtlb, a_large_page_edit_drops_all_its_small_entries)
{
    struct bench b;
    open_long(&b);
    poke64(&b, 0x3008, 0x200087);
    for (laddr la = 0x200000; la < 0x220000; la += PAGE_SIZE)
        EXPECT(write8(&b, 0, la));
    EXPECT(hits_write(&b.mmu[0], 0x21f000));
    poke64(&b, 0x3008, 0x400087);
    for (laddr la = 0x200000; la < 0x220000; la += PAGE_SIZE)
        EXPECT(!hits_write(&b.mmu[0], la));
    EXPECT(write8(&b, 0, 0x21f000));
    EXPECT_EQ(0x77, b.host[0x41f000]);
    bench_close(&b);
}

TEST(vtlb, a_page_marked_as_code_leaves_every_write_array_under_all_its_addresses)
{
    struct bench b;
    open_long(&b);
    for (unsigned i = 0; i < 6; i++) { /* more aliases than hints */
        poke64(&b, 0x4000 + 8 * i, 0x20067);
        EXPECT(write8(&b, i & 1, i * PAGE_SIZE));
    }
    EXPECT(hits_write(&b.mmu[1], 0x5000));
    physmem_set_code_lines(b.pm, 0x20000, 2);
    for (unsigned i = 0; i < 6; i++)
        EXPECT(!hits_write(&b.mmu[0], i * PAGE_SIZE) && !hits_write(&b.mmu[1], i * PAGE_SIZE));
    uint64_t walks = mmu_counters(&b.mmu[1])->walks;
    EXPECT(write8(&b, 1, 0x5000));
    EXPECT_EQ(walks, mmu_counters(&b.mmu[1])->walks); /* the translation was kept */
    EXPECT(!hits_write(&b.mmu[1], 0x5000));
    physmem_set_code_lines(b.pm, 0x20000, 0);
    EXPECT(write8(&b, 1, 0x5000));
    EXPECT(hits_write(&b.mmu[1], 0x5000));
    bench_close(&b);
}

static void visit_nothing(void *opaque, paddr page, const uint8_t *host)
{
    (void)page, (void)host;
    ++*(unsigned *)opaque;
}

TEST(vtlb, a_collected_dirty_log_sees_the_next_write_in_current_and_kept_spaces)
{
    struct bench b;
    struct mmu_ctx c = bench_long_ctx(), other = c;
    unsigned pages = 0;
    open_long(&b);
    other.wp = false;
    physmem_log_dirty(b.pm, DIRTY_HASH, true);
    EXPECT(write8(&b, 0, 0x1000));
    mmu_set_context(&b.mmu[0], &other);
    EXPECT(write8(&b, 0, 0x2000));
    physmem_collect_dirty(b.pm, DIRTY_HASH, visit_nothing, &pages);
    EXPECT(!hits_write(&b.mmu[0], 0x2000));
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(!hits_write(&b.mmu[0], 0x1000));
    EXPECT(write8(&b, 0, 0x1000) && write8(&b, 0, 0x1000));
    EXPECT(hits_write(&b.mmu[0], 0x1000));
    pages = 0;
    physmem_collect_dirty(b.pm, DIRTY_HASH, visit_nothing, &pages);
    EXPECT_EQ(1, pages);
    bench_close(&b);
}

TEST(vtlb, classes_are_switched_not_shared)
{
    struct bench b;
    struct mmu_ctx c = bench_long_ctx();
    open_long(&b);
    c.smap = true;
    mmu_set_context(&b.mmu[0], &c);
    mmu_set_privilege(&b.mmu[0], USER, false);
    EXPECT(read8(&b, 0, 0x1000));
    EXPECT(hits_read(&b.mmu[0], 0x1000));
    mmu_set_privilege(&b.mmu[0], SUPERVISOR, false);
    EXPECT(!hits_read(&b.mmu[0], 0x1000));
    EXPECT(!read8(&b, 0, 0x1000));
    EXPECT_EQ(PF_P, b.fault.error_code);
    mmu_set_privilege(&b.mmu[0], SUPERVISOR_AC, false);
    EXPECT(read8(&b, 0, 0x1000));
    uint8_t v;
    EXPECT(!mmu_read_as(&b.mmu[0], SUPERVISOR, 0x1000, UINT64_MAX, &v, 1, &b.fault));
    mmu_set_privilege(&b.mmu[0], USER, false);
    EXPECT(hits_read(&b.mmu[0], 0x1000));
    bench_close(&b);
}

TEST(vtlb, only_an_untagged_one_is_emptied_by_loads_of_cr3)
{
    for (unsigned untagged = 0; untagged < 2; untagged++) {
        struct bench b;
        paddr pa;
        open_long_as(&b, &(struct mmu_vm_config){.kind = MMU_DIRECT, .is_untagged = untagged});
        EXPECT(write8(&b, 0, 0x1000));
        EXPECT(mmu_fetch(&b.mmu[0], 0x2000, &pa, &b.fault));
        mmu_cr3_loaded(&b.mmu[0], true);
        EXPECT(hits_write(&b.mmu[0], 0x1000));
        mmu_cr3_loaded(&b.mmu[0], false);
        EXPECT_EQ(!untagged, hits_write(&b.mmu[0], 0x1000));
        EXPECT_EQ(!untagged, hits(&b.mmu[0], b.mmu[0].view.fetch, 0x2000));
        EXPECT_EQ(untagged, mmu_counters(&b.mmu[0])->flushes);
        EXPECT(write8(&b, 0, 0x1000));
        EXPECT(hits_write(&b.mmu[0], 0x1000));
        poke64(&b, 0x4008, 0); /* still coherent */
        EXPECT(!write8(&b, 0, 0x1000));
        bench_close(&b);
    }
}

TEST(vtlb, a_change_of_pkru_drops_what_it_concerns_in_current_and_kept_spaces)
{
    struct bench b;
    struct mmu_ctx c = bench_long_ctx(), other;
    open_long(&b);
    c.pke = true;
    other = c;
    other.wp = false;
    poke64(&b, 0x4008, 0x5007 | UINT64_C(3) << 59);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(write8(&b, 0, 0x1000) && read8(&b, 0, 0x1000));
    mmu_set_pkru(&b.mmu[0], 3u << 8); /* key 4 */
    EXPECT(hits_read(&b.mmu[0], 0x1000) && hits_write(&b.mmu[0], 0x1000));
    mmu_set_pkru(&b.mmu[0], 1u << 7); /* key 3: writes */
    EXPECT(!hits_write(&b.mmu[0], 0x1000));
    EXPECT(read8(&b, 0, 0x1000) && !write8(&b, 0, 0x1000));
    EXPECT_EQ(PF_P | PF_WR | PF_PK, b.fault.error_code);
    mmu_set_context(&b.mmu[0], &other);
    mmu_set_pkru(&b.mmu[0], 1u << 6); /* key 3: all */
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(!hits_read(&b.mmu[0], 0x1000) && !read8(&b, 0, 0x1000));
    bench_close(&b);
}

TEST(vtlb, force_slow_misses_in_the_view_and_nowhere_else)
{
    struct bench b;
    bool is_fault;
    open_long(&b);
    EXPECT(write8(&b, 0, 0x1000) && read8(&b, 0, 0x1000));
    mmu_set_privilege(&b.mmu[0], SUPERVISOR, true);
    EXPECT(!hits_read(&b.mmu[0], 0x1000) && !hits_write(&b.mmu[0], 0x1000));
    uint64_t walks = mmu_counters(&b.mmu[0])->walks;
    EXPECT(write8(&b, 0, 0x1000) && read8(&b, 0, 0x1000));
    EXPECT_EQ(walks, mmu_counters(&b.mmu[0])->walks);
    EXPECT(!mmu_span(&b.mmu[0], 0x1000, ACCESS_READ, &is_fault, &b.fault) && !is_fault);
    mmu_set_privilege(&b.mmu[0], SUPERVISOR, false);
    EXPECT(hits_read(&b.mmu[0], 0x1000) && hits_write(&b.mmu[0], 0x1000));
    bench_close(&b);
}

static bool fetch(struct bench *b, laddr la)
{
    paddr pa;
    return mmu_fetch(&b->mmu[0], la, &pa, &b->fault);
}

/* Is the epoch another one than the last time? */
static bool is_new_epoch(const struct mmu *mmu, uint64_t *last)
{
    bool is_new = mmu->view.epoch != *last;
    *last = mmu->view.epoch;
    return is_new;
}

TEST(vtlb, an_epoch_ends_when_fetched_code_goes_and_only_then)
{
    struct bench b;
    uint64_t last = 0;
    open_long(&b);
    EXPECT(fetch(&b, 0x1000) && read8(&b, 0, 0x2000) && is_new_epoch(&b.mmu[0], &last));
    EXPECT(fetch(&b, 0x3000) && !is_new_epoch(&b.mmu[0], &last));
    poke64(&b, 0x4010, 0x11067);
    EXPECT(!is_new_epoch(&b.mmu[0], &last)); /* data */
    poke64(&b, 0x4008, 0x11067);
    EXPECT(is_new_epoch(&b.mmu[0], &last));
    EXPECT(fetch(&b, 0x1000) && !is_new_epoch(&b.mmu[0], &last));
    mmu_vm_drop_page(b.mv, 0x11000);
    EXPECT(is_new_epoch(&b.mmu[0], &last));
    EXPECT(fetch(&b, 0x3000));
    poke64(&b, 0x3000, 0);
    EXPECT(is_new_epoch(&b.mmu[0], &last)); /* a range */
    bench_close(&b);
}

TEST(vtlb, an_epoch_belongs_to_a_space_a_class_and_a_mode)
{
    struct bench b;
    struct mmu_ctx c = bench_long_ctx(), other = c;
    uint64_t user, last;
    open_long(&b);
    other.wp = !other.wp;
    mmu_set_privilege(&b.mmu[0], USER, false);
    user = last = b.mmu[0].view.epoch;
    mmu_set_privilege(&b.mmu[0], SUPERVISOR, false);
    EXPECT(is_new_epoch(&b.mmu[0], &last));
    mmu_set_privilege(&b.mmu[0], USER, false);
    EXPECT_EQ(user, b.mmu[0].view.epoch);
    mmu_set_context(&b.mmu[0], &other);
    EXPECT(b.mmu[0].view.epoch != user);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(user, b.mmu[0].view.epoch);
    mmu_set_mode(&b.mmu[0], 1, USER, false);
    EXPECT(is_new_epoch(&b.mmu[0], &last) && last != user);
    bench_close(&b);
}

TEST(vtlb, jumps_are_emptied_when_the_epochs_have_run_out)
{
    struct bench b;
    struct mmu_jumps *jumps = calloc(1, sizeof(*jumps));
    uint64_t first, last = 0;
    unsigned count = 1;
    assert_non_null(jumps);
    open_long(&b);
    mmu_set_jumps(&b.mmu[0], jumps);
    first = last = b.mmu[0].view.epoch;
    uint64_t *tag = &jumps->at[mmu_jump_index(0x1000)].tag;
    *tag = 0x1000 ^ first;
    jumps->link[0] = jumps->link[MMU_LINKS - 1] = 0x1000 ^ first;
    jumps->ring[MMU_RETURNS - 1].tag = 0x1000 ^ first;
    for (uint32_t mode = 1; *tag; mode++, count++) {
        mmu_set_mode(&b.mmu[0], mode, SUPERVISOR, false);
        EXPECT(is_new_epoch(&b.mmu[0], &last) && last != 0);
        EXPECT(last != first || !*tag);
    }
    EXPECT(count > 60000 && count <= 65536);
    EXPECT(!jumps->link[0] && !jumps->link[MMU_LINKS - 1]);
    EXPECT(!jumps->ring[MMU_RETURNS - 1].tag);
    mmu_set_jumps(&b.mmu[0], NULL);
    free(jumps);
    bench_close(&b);
}

TEST(vtlb, recent_spaces_are_kept_and_a_recycled_one_releases_its_tables)
{
    struct bench b;
    struct mmu_ctx c = bench_long_ctx();
    open_long(&b);
    EXPECT(read8(&b, 0, 0x1000));
    for (unsigned i = 0; i < 8; i++) {
        struct mmu_ctx other = c;
        other.guest.root = 0x40000 + i * PAGE_SIZE;
        poke64(&b, other.guest.root, 0x2007);
        mmu_set_context(&b.mmu[0], &other);
        EXPECT(read8(&b, 0, 0x1000));
        EXPECT_EQ(PAGE_TRACED, physmem_state(b.pm, other.guest.root));
        if (i == 0) {
            mmu_set_context(&b.mmu[0], &c);
            EXPECT(hits_read(&b.mmu[0], 0x1000));
        }
    }
    EXPECT_EQ(0, physmem_state(b.pm, 0x1000));
    EXPECT_EQ(0, physmem_state(b.pm, 0x43000));
    EXPECT_EQ(PAGE_TRACED, physmem_state(b.pm, 0x44000));
    EXPECT_EQ(5, mmu_counters(&b.mmu[0])->space_evictions);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(!hits_read(&b.mmu[0], 0x1000));
    bench_close(&b);
}

TEST(vtlb, a_table_that_is_only_written_stops_being_traced)
{
    struct bench b;
    open_long(&b);
    EXPECT(read8(&b, 0, 0x1000));
    for (unsigned i = 0; i < 64; i++)
        poke64(&b, 0x4000 + 8 * (64 + i), 0);
    EXPECT_EQ(0, physmem_state(b.pm, 0x4000));
    EXPECT(!hits_read(&b.mmu[0], 0x1000));
    EXPECT(read8(&b, 0, 0x1000));
    EXPECT_EQ(PAGE_TRACED, physmem_state(b.pm, 0x4000));
    bench_close(&b);
}

TEST(vtlb, a_hostile_guest_can_not_grow_the_trees_without_bound)
{
    struct bench b;
    open_long(&b);
    for (unsigned i = 0; i < 512; i++) { /* every table leads to the same next one */
        poke64(&b, 0x2000 + 8 * i, 0x3007);
        poke64(&b, 0x3000 + 8 * i, 0x4007);
    }
    for (laddr i = 0; i < 3 * USERS_MAX; i++)
        EXPECT(read8(&b, 0, i << 21));
    EXPECT(b.mmu[0].p->current->users <= USERS_MAX + 4);
    poke64(&b, 0x4000, 0);
    EXPECT(!read8(&b, 0, 0));
    bench_close(&b);
}

TEST(vtlb, a_and_d_set_for_one_format_are_an_edit_for_another)
{
    struct bench b;
    struct mmu_ctx pae = {.guest = {.format = MMU_PAE, .pdpte = {0x3001}}, .maxphyaddr = 52};
    struct mmu_ctx legacy = {.guest = {.format = MMU_LEGACY, .root = 0x1000}, .maxphyaddr = 36};
    paddr pa;
    bench_open(&b);
    poke64(&b, 0x3000, 0x4007);
    poke32(&b, 0x1000, 0x4007);
    poke64(&b, 0x4000, UINT64_C(0x600700005007)); /* legacy PTE 1 is the high half of PAE PTE 0 */
    mmu_set_context(&b.mmu[0], &legacy);
    mmu_set_context(&b.mmu[1], &pae);
    EXPECT(mmu_fetch(&b.mmu[1], 0, &pa, &b.fault) && pa == UINT64_C(0x600700005000));
    EXPECT(read8(&b, 0, 0x1000));
    EXPECT(mmu_fetch(&b.mmu[1], 0, &pa, &b.fault) && pa == UINT64_C(0x602700005000));
    bench_close(&b);
}

TEST(access, a_page_crossing_write_that_faults_changes_nothing)
{
    struct bench b;
    uint8_t v[8] = {1, 2, 3, 4, 5, 6, 7, 8}, back[8];
    open_long(&b);
    poke64(&b, 0x4010, 0);
    EXPECT(!mmu_write(&b.mmu[0], 0x1ffc, UINT64_MAX, v, 8, &b.fault));
    EXPECT_EQ(0x2000, b.fault.cr2);
    EXPECT_EQ(PF_WR, b.fault.error_code);
    EXPECT_EQ(0, b.host[0x11ffc]);
    EXPECT(!mmu_probe(&b.mmu[0], 0x1ffc, UINT64_MAX, 8, ACCESS_WRITE, &b.fault));
    EXPECT(mmu_probe(&b.mmu[0], 0x1ffc, UINT64_MAX, 4, ACCESS_WRITE, &b.fault));
    poke64(&b, 0x4010, 0x30007);
    EXPECT(mmu_write(&b.mmu[0], 0x1ffc, UINT64_MAX, v, 8, &b.fault));
    EXPECT(!memcmp(b.host + 0x11ffc, v, 4) && !memcmp(b.host + 0x30000, v + 4, 4));
    EXPECT(mmu_read(&b.mmu[0], 0x1ffc, UINT64_MAX, back, 8, &b.fault));
    EXPECT(!memcmp(back, v, 8));
    bench_close(&b);
}

TEST(access, linear_addresses_wrap_at_the_mask)
{
    struct bench b;
    struct mmu_ctx c = {.guest = {.format = MMU_LEGACY, .root = 0x1000}, .maxphyaddr = 36};
    uint8_t v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    bench_open(&b);
    poke32(&b, 0x1000, 0x2007);
    poke32(&b, 0x1ffc, 0x2007);
    poke32(&b, 0x2000, 0x5007);
    poke32(&b, 0x2ffc, 0x6007);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT(mmu_write(&b.mmu[0], 0xfffffffe, UINT32_MAX, v, 8, &b.fault));
    EXPECT(!memcmp(b.host + 0x6ffe, v, 2) && !memcmp(b.host + 0x5000, v + 2, 6));
    bench_close(&b);
}

TEST(access, the_bus_sees_natural_pieces_and_rom_drops_writes)
{
    struct bench b;
    uint8_t v[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    bool is_fault;
    bench_open(&b);
    EXPECT(mmu_write(&b.mmu[0], 0xf0000001, UINT32_MAX, v, 4, &b.fault));
    EXPECT_EQ(1, b.bus_sizes[0]);
    EXPECT_EQ(2, b.bus_sizes[1]);
    EXPECT_EQ(1, b.bus_sizes[2]);
    EXPECT(mmu_write(&b.mmu[0], 0xf0000008, UINT32_MAX, v, 4, &b.fault));
    EXPECT_EQ(4, b.bus_sizes[0]);
    EXPECT_EQ(0x04030201, b.bus_written);
    EXPECT(mmu_read(&b.mmu[0], 0xf0000004, UINT32_MAX, v, 12, &b.fault));
    EXPECT_EQ(8, b.bus_sizes[0]);
    EXPECT_EQ(4, b.bus_sizes[1]);
    EXPECT_EQ(0xf0000008, le64_load(v + 4));
    EXPECT(!mmu_span(&b.mmu[0], 0xf0000000, ACCESS_WRITE, &is_fault, &b.fault) && !is_fault);
    physmem_set_state(b.pm, 0x8000, PAGE_ROM);
    EXPECT(write8(&b, 0, 0x8000) && write8(&b, 0, 0x8000));
    EXPECT_EQ(0, b.host[0x8000]);
    EXPECT(!mmu_span(&b.mmu[0], 0x8000, ACCESS_WRITE, &is_fault, &b.fault) && !is_fault);
    EXPECT(mmu_span(&b.mmu[0], 0x8000, ACCESS_READ, &is_fault, &b.fault) == b.host + 0x8000);
    EXPECT(mmu_span(&b.mmu[0], 0x9004, ACCESS_WRITE, &is_fault, &b.fault) == b.host + 0x9004);
    bench_close(&b);
}

TEST_MAIN(
    RUN(vtlb, a_read_fills_the_read_array_and_a_write_the_write_array) RUN(
        vtlb, a_leaf_edit_by_anyone_drops_the_page_in_all_vcpus)
        RUN(vtlb, a_guest_store_to_its_own_table_takes_effect_at_once) RUN(
            vtlb, a_higher_edit_drops_what_is_below_and_untraces_it)
            RUN(vtlb, a_large_page_edit_drops_all_its_small_entries) RUN(
                vtlb, a_page_marked_as_code_leaves_every_write_array_under_all_its_addresses)
                RUN(vtlb, a_collected_dirty_log_sees_the_next_write_in_current_and_kept_spaces) RUN(
                    vtlb, classes_are_switched_not_shared)
                    RUN(vtlb, only_an_untagged_one_is_emptied_by_loads_of_cr3) RUN(
                        vtlb, a_change_of_pkru_drops_what_it_concerns_in_current_and_kept_spaces)
                        RUN(vtlb, force_slow_misses_in_the_view_and_nowhere_else)
                            RUN(vtlb, an_epoch_ends_when_fetched_code_goes_and_only_then) RUN(
                                vtlb, an_epoch_belongs_to_a_space_a_class_and_a_mode)
                                RUN(vtlb, jumps_are_emptied_when_the_epochs_have_run_out) RUN(
                                    vtlb,
                                    recent_spaces_are_kept_and_a_recycled_one_releases_its_tables)
                                    RUN(vtlb, a_table_that_is_only_written_stops_being_traced) RUN(
                                        vtlb, a_hostile_guest_can_not_grow_the_trees_without_bound)
                                        RUN(vtlb,
                                            a_and_d_set_for_one_format_are_an_edit_for_another)
                                            RUN(access,
                                                a_page_crossing_write_that_faults_changes_nothing)
                                                RUN(access, linear_addresses_wrap_at_the_mask) RUN(
                                                    access,
                                                    the_bus_sees_natural_pieces_and_rom_drops_writes))
