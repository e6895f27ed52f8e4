/* SPDX-License-Identifier: MIT */
#include "tests/unit/devices_board.h"

/* A chip that is memory and remembers how it was asked. */
struct chip {
    uint8_t bytes[16];    /* its registers */
    unsigned reads;       /* read calls */
    unsigned writes;      /* write calls */
    uint64_t last_offset; /* of the last call */
    unsigned last_width;  /* of the last call */
};

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned width)
{
    struct chip *c = opaque;
    c->reads++;
    c->last_offset = offset;
    c->last_width = width;
    EXPECT_EQ(0, offset % width);
    return le_load(c->bytes + offset, width);
}

static void chip_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct chip *c = opaque;
    c->writes++;
    c->last_offset = offset;
    c->last_width = width;
    EXPECT_EQ(0, offset % width);
    le_store(c->bytes + offset, v, width);
}

static struct io_region region(struct chip *c, uint64_t base, uint64_t size, uint8_t widths)
{
    *c = (struct chip){
        .bytes = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B}};
    return (struct io_region){.name = "chip",
                              .base = base,
                              .size = size,
                              .widths = widths,
                              .read = chip_read,
                              .write = chip_write,
                              .opaque = c,
                              .enabled = true};
}

TEST(io_space, nothing_there_reads_all_ones_and_says_so)
{
    struct io_space s;
    bool hit = true;
    io_space_init(&s, "pio", 0x10000);
    EXPECT_EQ(0xFF, io_space_read(&s, 0x300, 1, &hit));
    EXPECT(!hit);
    EXPECT_EQ(0xFFFFFFFF, io_space_read(&s, 0x300, 4, NULL));
    EXPECT(io_space_read(&s, 0x300, 8, NULL) == UINT64_MAX);
    io_space_write(&s, 0x300, 4, 0, &hit);
    EXPECT(!hit);
}

TEST(io_space, access_of_a_listed_width_is_one_call)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x100, 16, W8 | W32);
    bool hit = false;
    io_space_init(&s, "pio", 0x10000);
    io_space_add(&s, &r);
    EXPECT_EQ(0x17161514, io_space_read(&s, 0x104, 4, &hit));
    EXPECT(hit);
    EXPECT_EQ(1, c.reads);
    EXPECT_EQ(4, c.last_offset);
}

TEST(io_space, unlisted_width_is_split_low_address_first)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x100, 16, W8);
    io_space_init(&s, "pio", 0x10000);
    io_space_add(&s, &r);
    EXPECT_EQ(0x13121110, io_space_read(&s, 0x100, 4, NULL));
    EXPECT_EQ(4, c.reads);
    EXPECT_EQ(3, c.last_offset);
    io_space_write(&s, 0x102, 2, 0xBBAA, NULL);
    EXPECT_EQ(0xAA, c.bytes[2]);
    EXPECT_EQ(0xBB, c.bytes[3]);
}

TEST(io_space, narrow_access_uses_the_containing_register)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x1000, 16, W32);
    io_space_init(&s, "mmio", UINT64_MAX);
    io_space_add(&s, &r);
    EXPECT_EQ(0x16, io_space_read(&s, 0x1006, 1, NULL));
    EXPECT_EQ(4, c.last_width);
    EXPECT_EQ(4, c.last_offset);
    io_space_write(&s, 0x1006, 2, 0xBEEF, NULL);
    EXPECT_EQ(0xBEEF1514, le32_load(c.bytes + 4));
}

TEST(io_space, unaligned_access_reaches_the_chip_aligned)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x1000, 16, W32);
    io_space_init(&s, "mmio", UINT64_MAX);
    io_space_add(&s, &r);
    EXPECT_EQ(0x15141312, io_space_read(&s, 0x1002, 4, NULL));
}

TEST(io_space, access_over_the_edge_of_a_region_floats_beyond_it)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x100, 2, W8 | W16 | W32);
    bool hit = false;
    io_space_init(&s, "pio", 0x10000);
    io_space_add(&s, &r);
    EXPECT_EQ(0xFFFF1110, io_space_read(&s, 0x100, 4, &hit));
    EXPECT(hit);
    EXPECT_EQ(0x1110FFFF, io_space_read(&s, 0xFE, 4, NULL));
}

TEST(io_space, higher_priority_wins_where_regions_overlap)
{
    struct io_space s;
    struct chip low, high;
    struct io_region a = region(&low, 0xCF8, 4, W8 | W16 | W32);
    struct io_region b = region(&high, 0xCF9, 1, W8);
    io_space_init(&s, "pio", 0x10000);
    b.priority = 1;
    io_space_add(&s, &a);
    io_space_add(&s, &b);
    io_space_write(&s, 0xCF9, 1, 6, NULL);
    EXPECT_EQ(1, high.writes);
    io_space_write(&s, 0xCF8, 4, 0x80000000, NULL);
    EXPECT_EQ(1, low.writes);
    EXPECT_EQ(1, high.writes);
}

TEST(io_space, disabled_region_is_not_decoded)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x100, 4, W8);
    io_space_init(&s, "pio", 0x10000);
    io_space_add(&s, &r);
    r.enabled = false;
    EXPECT_EQ(0xFF, io_space_read(&s, 0x100, 1, NULL));
    r.enabled = true;
    r.base = 0x200;
    EXPECT_EQ(0x10, io_space_read(&s, 0x200, 1, NULL));
}

TEST(io_space, missing_handlers_float_and_ignore)
{
    struct io_space s;
    struct io_region r = {.name = "mute", .base = 0, .size = 8, .widths = W32, .enabled = true};
    bool hit = false;
    io_space_init(&s, "pio", 0x10000);
    io_space_add(&s, &r);
    EXPECT_EQ(0xFF, io_space_read(&s, 1, 1, NULL));
    io_space_write(&s, 1, 1, 0, &hit);
    EXPECT(hit);
    EXPECT(io_space_read(&s, 0, 8, NULL) == UINT64_MAX);
}

TEST(io_space, region_without_widths_floats)
{
    struct io_space s;
    struct chip c;
    struct io_region r = region(&c, 0x100, 4, 0);
    io_space_init(&s, "pio", 0x10000);
    io_space_add(&s, &r);
    EXPECT_EQ(0xFF, io_space_read(&s, 0x101, 1, NULL));
    io_space_write(&s, 0x101, 1, 0, NULL);
    EXPECT_EQ(0, c.reads + c.writes);
}

TEST_MAIN(RUN(io_space, region_without_widths_floats)
              RUN(io_space, nothing_there_reads_all_ones_and_says_so)
                  RUN(io_space, access_of_a_listed_width_is_one_call)
                      RUN(io_space, unlisted_width_is_split_low_address_first)
                          RUN(io_space, narrow_access_uses_the_containing_register)
                              RUN(io_space, unaligned_access_reaches_the_chip_aligned)
                                  RUN(io_space, access_over_the_edge_of_a_region_floats_beyond_it)
                                      RUN(io_space, higher_priority_wins_where_regions_overlap)
                                          RUN(io_space, disabled_region_is_not_decoded)
                                              RUN(io_space, missing_handlers_float_and_ignore))
