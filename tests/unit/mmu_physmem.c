/* SPDX-License-Identifier: MIT */
/* Guest-physical memory: ranges, checked copies, page states and their events, dirty logs, backing.
 */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "mmu/physmem.h"

#define PAGES 16

struct seen {
    unsigned code, traced, watched; /* how often written */
    unsigned revoked, revoked_all;  /* how often revoked */
    paddr pa;                       /* of the last event */
    size_t len;                     /* of the last event */
};

static void code_written(void *opaque, paddr pa, size_t len)
{
    struct seen *s = opaque;
    s->code++, s->pa = pa, s->len = len;
}

static void traced_written(void *opaque, paddr pa, size_t len)
{
    struct seen *s = opaque;
    s->traced++, s->pa = pa, s->len = len;
}

static void watched_written(void *opaque, paddr pa, size_t len)
{
    struct seen *s = opaque;
    s->watched++, s->pa = pa, s->len = len;
}

static void revoke_write(void *opaque, paddr page)
{
    struct seen *s = opaque;
    s->revoked++, s->pa = page;
}

static void revoke_all(void *opaque, paddr page)
{
    struct seen *s = opaque;
    s->revoked_all++, s->pa = page;
}

static const struct page_event_ops events = {code_written, traced_written, watched_written,
                                             revoke_write, revoke_all};

/* Backing: absent pages go to frame 14, private copies to frame 15. */
static int populate(void *opaque, paddr page, haddr *hpa)
{
    (void)page;
    *hpa = 14 * PAGE_SIZE;
    return *(int *)opaque;
}

static int unshare(void *opaque, paddr page, haddr old, haddr *hpa)
{
    (void)page, (void)old;
    *hpa = 15 * PAGE_SIZE;
    return *(int *)opaque;
}

static const struct backing_ops backing = {populate, unshare};

struct bench {
    uint8_t *host;      /* PAGES pages */
    struct physmem *pm; /* RAM 0-3 at hpa 0, RAM at 1 MiB, ROM page at 2 MiB */
    struct seen seen;   /* by the events */
    int backing_says;   /* 0 or an errno */
};

static void bench_open(struct bench *b)
{
    *b = (struct bench){.host = calloc(PAGES, PAGE_SIZE)};
    b->pm = physmem_create(b->host, &backing, &b->backing_says);
    physmem_set_events(b->pm, &events, &b->seen, &b->seen, &b->seen);
    EXPECT_EQ(0, physmem_add(b->pm, MiB, 4 * PAGE_SIZE, 4 * PAGE_SIZE, false, NULL));
    EXPECT_EQ(0, physmem_add(b->pm, 0, 4 * PAGE_SIZE, 0, false, NULL));
    EXPECT_EQ(0, physmem_add(b->pm, 2 * MiB, PAGE_SIZE, 8 * PAGE_SIZE, true, NULL));
}

static void bench_close(struct bench *b)
{
    physmem_destroy(b->pm);
    free(b->host);
}

TEST(physmem, ranges_are_ascending_and_may_not_overlap)
{
    struct bench b;
    struct physmem_range r;
    bench_open(&b);
    EXPECT(physmem_range(b.pm, 0, &r) && r.gpa == 0 && !r.is_rom);
    EXPECT(physmem_range(b.pm, 1, &r) && r.gpa == MiB && r.size == 4 * PAGE_SIZE);
    EXPECT(physmem_range(b.pm, 2, &r) && r.is_rom);
    EXPECT(!physmem_range(b.pm, 3, &r));
    EXPECT_EQ(-EEXIST, physmem_add(b.pm, 3 * PAGE_SIZE, 2 * PAGE_SIZE, 0, false, NULL));
    EXPECT_EQ(-EINVAL, physmem_add(b.pm, 8 * MiB + 1, PAGE_SIZE, 0, false, NULL));
    EXPECT_EQ(-EINVAL, physmem_add(b.pm, PAGE_MASK, 2 * PAGE_SIZE, 0, false, NULL));
    EXPECT_EQ(-EINVAL, physmem_add(b.pm, 8 * MiB, 0, 0, false, NULL));
    EXPECT(physmem_is_ram(b.pm, 4 * PAGE_SIZE - 1));
    EXPECT(!physmem_is_ram(b.pm, 4 * PAGE_SIZE));
    EXPECT(!physmem_is_ram(b.pm, UINT64_MAX));
    bench_close(&b);
}

TEST(physmem, copies_cross_pages_and_stop_where_memory_ends)
{
    struct bench b;
    uint8_t out[5000], in[5000];
    bench_open(&b);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    EXPECT(physmem_write(b.pm, 100, out, sizeof(out)));
    EXPECT(physmem_read(b.pm, 100, in, sizeof(in)));
    EXPECT(!memcmp(in, out, sizeof(in)));
    EXPECT(!memcmp(b.host + 100, out, sizeof(out)));
    EXPECT(!physmem_write(b.pm, 4 * PAGE_SIZE - 4, out, 8));
    EXPECT(!physmem_read(b.pm, 4 * PAGE_SIZE - 4, in, 8));
    EXPECT(!physmem_read(b.pm, UINT64_MAX - 1, in, 8));
    uint64_t v;
    uint32_t w;
    EXPECT(physmem_read_u64(b.pm, 104, &v) && v == le64_load(out + 4));
    EXPECT(physmem_read_u32(b.pm, 104, &w) && w == le32_load(out + 4));
    EXPECT(!physmem_read_u64(b.pm, 3 * MiB, &v));
    bench_close(&b);
}

TEST(physmem, rom_is_written_by_loaders_only)
{
    struct bench b;
    uint8_t v = 0x5a, bits;
    bench_open(&b);
    EXPECT(physmem_write(b.pm, 2 * MiB, &v, 1));
    EXPECT_EQ(0, physmem_page(b.pm, 2 * MiB)[0]);
    EXPECT(physmem_load(b.pm, 2 * MiB, &v, 1));
    EXPECT_EQ(0x5a, physmem_page(b.pm, 2 * MiB)[0]);
    EXPECT(physmem_begin_write(b.pm, 2 * MiB, &bits) && bits == PAGE_ROM);
    bench_close(&b);
}

TEST(physmem, every_writer_fires_the_events_of_the_page)
{
    struct bench b;
    uint64_t v = 1;
    bench_open(&b);
    physmem_set_state(b.pm, PAGE_SIZE, PAGE_TRACED | PAGE_WATCHED);
    EXPECT_EQ(1, b.seen.revoked);
    physmem_set_state(b.pm, PAGE_SIZE, PAGE_TRACED);
    EXPECT_EQ(1, b.seen.revoked);
    EXPECT(physmem_write(b.pm, PAGE_SIZE - 4, &v, 8));
    EXPECT_EQ(1, b.seen.traced);
    EXPECT_EQ(1, b.seen.watched);
    EXPECT_EQ(PAGE_SIZE, b.seen.pa);
    EXPECT_EQ(4, b.seen.len);
    EXPECT(physmem_load(b.pm, PAGE_SIZE, &v, 8));
    EXPECT_EQ(2, b.seen.traced);
    physmem_clear_state(b.pm, PAGE_SIZE, PAGE_TRACED | PAGE_WATCHED);
    EXPECT(physmem_write(b.pm, PAGE_SIZE, &v, 8));
    EXPECT_EQ(2, b.seen.traced);
    bench_close(&b);
}

TEST(physmem, a_code_event_needs_a_write_to_a_marked_line)
{
    struct bench b;
    uint8_t buf[200] = {0};
    bench_open(&b);
    physmem_set_code_lines(b.pm, 0x1000, BIT(1) | BIT(63));
    EXPECT_EQ(PAGE_CODE, physmem_state(b.pm, 0x1fff));
    EXPECT_EQ(1, b.seen.revoked);
    physmem_write(b.pm, 0x1000, buf, 64);
    physmem_write(b.pm, 0x1080, buf, 200);
    EXPECT_EQ(0, b.seen.code);
    physmem_write(b.pm, 0x103f, buf, 2);
    EXPECT_EQ(1, b.seen.code);
    physmem_write(b.pm, 0x1fff, buf, 1);
    EXPECT_EQ(2, b.seen.code);
    physmem_write(b.pm, 0x1000, buf, 200);
    EXPECT_EQ(3, b.seen.code);
    EXPECT_EQ(BIT(1) | BIT(63), physmem_code_lines(b.pm, 0x1234));
    physmem_set_code_lines(b.pm, 0x1000, 0);
    EXPECT_EQ(0, physmem_state(b.pm, 0x1000));
    bench_close(&b);
}

struct visits {
    unsigned count;    /* pages */
    paddr page[PAGES]; /* in order */
};

static void visit(void *opaque, paddr page, const uint8_t *host)
{
    struct visits *v = opaque;
    (void)host;
    v->page[v->count++ % PAGES] = page;
}

static unsigned collect(struct bench *b, enum dirty_consumer c, struct visits *v)
{
    v->count = 0;
    physmem_collect_dirty(b->pm, c, visit, v);
    return v->count;
}

TEST(physmem, each_consumer_sees_each_written_page_once_in_ascending_order)
{
    struct bench b;
    struct visits v;
    uint8_t x = 1, bits;
    bench_open(&b);
    EXPECT_EQ(0, collect(&b, DIRTY_HASH, &v));
    physmem_log_dirty(b.pm, DIRTY_HASH, true);
    EXPECT_EQ(9, collect(&b, DIRTY_HASH, &v));
    EXPECT_EQ(0, v.page[0]);
    EXPECT_EQ(2 * MiB, v.page[8]);
    EXPECT_EQ(UINT64_MAX, b.seen.pa);
    EXPECT_EQ(0, collect(&b, DIRTY_HASH, &v));
    physmem_write(b.pm, MiB + 5, &x, 1);
    EXPECT(physmem_begin_write(b.pm, 0x2000, &bits) && !bits);
    physmem_log_dirty(b.pm, DIRTY_SNAPSHOT, true);
    EXPECT_EQ(9, collect(&b, DIRTY_SNAPSHOT, &v));
    physmem_write(b.pm, 0x3000, &x, 1);
    EXPECT_EQ(3, collect(&b, DIRTY_HASH, &v));
    EXPECT_EQ(0x2000, v.page[0]);
    EXPECT_EQ(0x3000, v.page[1]);
    EXPECT_EQ(MiB, v.page[2]);
    physmem_write(b.pm, 0x3000, &x, 1);
    EXPECT_EQ(1, collect(&b, DIRTY_SNAPSHOT, &v));
    EXPECT_EQ(1, collect(&b, DIRTY_HASH, &v));
    physmem_log_dirty(b.pm, DIRTY_HASH, false);
    physmem_write(b.pm, 0x1000, &x, 1);
    EXPECT_EQ(0, collect(&b, DIRTY_HASH, &v));
    EXPECT_EQ(1, collect(&b, DIRTY_SNAPSHOT, &v));
    physmem_load(b.pm, 2 * MiB, &x, 1);
    EXPECT_EQ(1, collect(&b, DIRTY_SNAPSHOT, &v));
    bench_close(&b);
}

TEST(physmem, a_list_grows_and_a_page_added_later_is_dirty)
{
    uint8_t *host = calloc(4096, PAGE_SIZE), x = 1;
    struct physmem *pm = physmem_create(host, NULL, NULL);
    struct visits v = {0};
    EXPECT_EQ(0, physmem_add(pm, 0, 4000 * PAGE_SIZE, 0, false, NULL));
    physmem_log_dirty(pm, DIRTY_DISPLAY, true);
    physmem_collect_dirty(pm, DIRTY_DISPLAY, visit, &v);
    EXPECT_EQ(4000, v.count);
    for (unsigned round = 0; round < 3; round++) {
        unsigned pages = round == 1 ? 3000 : 400;
        for (unsigned i = 0; i < pages; i++)
            physmem_write(pm, (paddr)(i * 7 % 4000) * PAGE_SIZE, &x, 1);
        v.count = 0;
        physmem_collect_dirty(pm, DIRTY_DISPLAY, visit, &v);
        EXPECT_EQ(pages, v.count);
    }
    EXPECT_EQ(0, physmem_add(pm, 8 * GiB, PAGE_SIZE, 4000 * PAGE_SIZE, false, NULL));
    v.count = 0;
    physmem_collect_dirty(pm, DIRTY_DISPLAY, visit, &v);
    EXPECT_EQ(1, v.count);
    EXPECT_EQ(8 * GiB, v.page[0]);
    physmem_destroy(pm);
    free(host);
}

TEST(physmem, an_absent_page_is_populated_and_a_shared_one_copied_on_demand)
{
    struct bench b;
    uint8_t x = 9, bits;
    bench_open(&b);
    physmem_set_state(b.pm, 0x1000, PAGE_ABSENT);
    EXPECT_EQ(1, b.seen.revoked_all);
    EXPECT(physmem_page(b.pm, 0x1000) == b.host + 14 * PAGE_SIZE);
    EXPECT_EQ(0, physmem_state(b.pm, 0x1000));
    physmem_set_state(b.pm, 0x2000, PAGE_COW);
    EXPECT_EQ(1, b.seen.revoked);
    EXPECT(physmem_page(b.pm, 0x2000) == b.host + 2 * PAGE_SIZE);
    EXPECT(physmem_write(b.pm, 0x2000, &x, 1));
    EXPECT_EQ(2, b.seen.revoked_all);
    EXPECT_EQ(9, b.host[15 * PAGE_SIZE]);
    EXPECT_EQ(0, b.host[2 * PAGE_SIZE]);
    b.backing_says = -ENOMEM;
    physmem_set_state(b.pm, 0x3000, PAGE_ABSENT);
    EXPECT(!physmem_page(b.pm, 0x3000));
    EXPECT(!physmem_begin_write(b.pm, 0x3000, &bits));
    EXPECT(!physmem_write(b.pm, 0x3000, &x, 1));
    bench_close(&b);
}

TEST_MAIN(
    RUN(physmem, ranges_are_ascending_and_may_not_overlap)
        RUN(physmem, copies_cross_pages_and_stop_where_memory_ends)
            RUN(physmem, rom_is_written_by_loaders_only)
                RUN(physmem, every_writer_fires_the_events_of_the_page)
                    RUN(physmem, a_code_event_needs_a_write_to_a_marked_line)
                        RUN(physmem, each_consumer_sees_each_written_page_once_in_ascending_order)
                            RUN(physmem, a_list_grows_and_a_page_added_later_is_dirty)
                                RUN(physmem,
                                    an_absent_page_is_populated_and_a_shared_one_copied_on_demand))
