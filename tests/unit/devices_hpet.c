/* SPDX-License-Identifier: MIT */
#include "devices/hpet.h"

#include "tests/unit/devices_board.h"

enum { LEGACY_WIRE = 30, IRQ0 = 0, IRQ8 = 8 };

static void hpet_on(struct board *b, struct hpet *h)
{
    board_init(b);
    hpet_init(h, &b->queue, NULL);
    h->legacy[0] = board_irq(b, IRQ0);
    h->legacy[1] = board_irq(b, IRQ8);
    h->legacy_enable = board_irq(b, LEGACY_WIRE);
    for (unsigned n = 0; n < HPET_PINS; n++)
        if (HPET_ROUTES >> n & 1)
            h->pin[n] = board_irq(b, n);
}

static uint64_t rd(struct hpet *h, unsigned reg)
{
    return io_in(&h->mmio, 0xfed00000 + reg, 8);
}

static void wr(struct hpet *h, unsigned reg, uint64_t v)
{
    io_out(&h->mmio, 0xfed00000 + reg, 8, v);
}

TEST(hpet, capabilities_say_three_64_bit_timers_at_100_mhz)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    EXPECT_EQ(0x009896808086a201, rd(&h, 0));
    EXPECT_EQ(0x00989680, io_in(&h.mmio, 0xfed00004, 4));
    EXPECT_EQ(0x00f0000000000030, rd(&h, 0x100));
}

TEST(hpet, counter_runs_only_while_enabled)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    board_advance(&b, 1000);
    EXPECT_EQ(0, rd(&h, 0xf0));
    wr(&h, 0xf0, 0xffffffff);
    wr(&h, 0x10, 1);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(0xffffffff + UINT64_C(100000000), rd(&h, 0xf0));
    EXPECT_EQ(1, io_in(&h.mmio, 0xfed000f4, 4));
    wr(&h, 0x10, 0);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(0xffffffff + UINT64_C(100000000), rd(&h, 0xf0));
}

TEST(hpet, one_shot_edge_in_legacy_mode_raises_irq0)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    EXPECT(!hpet_is_legacy(&h));
    wr(&h, 0x10, 3);
    EXPECT(b.level[LEGACY_WIRE]);
    wr(&h, 0x100, 0x4);
    wr(&h, 0x108, 500);
    board_advance(&b, 4999);
    EXPECT_EQ(0, b.rises[IRQ0]);
    board_advance(&b, 1);
    EXPECT_EQ(1, b.rises[IRQ0]);
    EXPECT(b.level[IRQ0]); /* stays for the 8259A to see */
    wr(&h, 0x108, 1000);
    board_advance(&b, 10000);
    EXPECT_EQ(2, b.rises[IRQ0]);
    EXPECT_EQ(0, rd(&h, 0x20));
    wr(&h, 0x10, 1);
    EXPECT(!b.level[LEGACY_WIRE]);
    EXPECT(!b.level[IRQ0]);
}

TEST(hpet, periodic_timer_set_up_the_way_linux_does)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    wr(&h, 0x10, 3);
    board_advance(&b, 12345);
    io_out(&h.mmio, 0xfed00100, 4, 0x14c); /* enable, periodic, VAL_SET, 32 bits */
    io_out(&h.mmio, 0xfed00108, 4, 1234 + 100000);
    io_out(&h.mmio, 0xfed00108, 4, 100000);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(1000, b.rises[IRQ0]);
    EXPECT_EQ(1234 + 100000 * 1001, rd(&h, 0x108));
}

TEST(hpet, level_timer_holds_its_pin_until_status_is_cleared)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    wr(&h, 0x10, 1);
    wr(&h, 0x120, 20 << 9 | 0x6);
    wr(&h, 0x128, 100);
    board_advance(&b, 1000);
    EXPECT(b.level[20]);
    EXPECT_EQ(2, rd(&h, 0x20));
    wr(&h, 0x20, 2);
    EXPECT(!b.level[20]);
    EXPECT_EQ(0, rd(&h, 0x20));
}

TEST(hpet, unsupported_route_does_not_read_back)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    wr(&h, 0x140, 22 << 9);
    EXPECT_EQ(22, rd(&h, 0x140) >> 9 & 31);
    wr(&h, 0x140, 5 << 9);
    EXPECT_EQ(22, rd(&h, 0x140) >> 9 & 31);
}

TEST(hpet, a_comparator_of_32_bits_matches_again_after_the_wrap)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    wr(&h, 0x10, 3);
    wr(&h, 0x100, 0x104);
    wr(&h, 0x108, 10);
    board_advance(&b, 100);
    EXPECT_EQ(1, b.rises[IRQ0]);
    board_advance(&b, 10 * (UINT64_C(1) << 32) - 1);
    EXPECT_EQ(1, b.rises[IRQ0]);
    board_advance(&b, 1);
    EXPECT_EQ(2, b.rises[IRQ0]);
}

static void on_legacy(void *opaque, unsigned n, bool level)
{
    (void)n;
    EXPECT_EQ(level, hpet_is_legacy(opaque));
}

TEST(hpet, whoever_hears_of_legacy_mode_can_ask_for_it)
{
    struct board b;
    struct hpet h;
    hpet_on(&b, &h);
    h.legacy_enable = (struct irq_line){.set = on_legacy, .opaque = &h};
    wr(&h, 0x10, 3);
    wr(&h, 0x10, 2);
    wr(&h, 0x10, 3);
    hpet_ops.reset(&h);
}

struct msi {
    paddr address; /* last written */
    uint32_t data; /* last written */
};

static void on_msi(void *opaque, paddr address, uint32_t data)
{
    *(struct msi *)opaque = (struct msi){address, data};
}

TEST(hpet, fsb_delivery_writes_the_message)
{
    struct board b;
    struct hpet h;
    struct msi msi = {0};
    hpet_on(&b, &h);
    wr(&h, 0x140, 0x4004);
    EXPECT_EQ(0, rd(&h, 0x140) & 0xc000);
    h.msi = on_msi;
    h.msi_opaque = &msi;
    wr(&h, 0x10, 1);
    wr(&h, 0x150, 0xfee0100000000041);
    wr(&h, 0x140, 0x4004);
    wr(&h, 0x148, 7);
    board_advance(&b, 70);
    EXPECT_EQ(0xfee01000, msi.address);
    EXPECT_EQ(0x41, msi.data);
}

TEST(hpet, snapshot_round_trip_and_hostile_values)
{
    struct board b;
    struct hpet h, other;
    hpet_on(&b, &h);
    wr(&h, 0x10, 3);
    wr(&h, 0x100, 0x4c);
    wr(&h, 0x108, 12345);
    wr(&h, 0x120, 20 << 9 | 0xe);
    wr(&h, 0x128, 100);
    board_advance(&b, 500000);
    hpet_init(&other, &b.queue, NULL);
    other.legacy_enable = board_irq(&b, 31);
    expect_round_trip(&hpet_ops, &h, &other);
    EXPECT_EQ(h.match[0].when, other.match[0].when);
    EXPECT_EQ(rd(&h, 0xf0), rd(&other, 0xf0));
    EXPECT(b.level[31]);
    expect_refused(&hpet_ops, &h, &other, "config", 0, 4);
    expect_refused(&hpet_ops, &h, &other, "timer_config", 2, 0x8000);
    expect_refused(&hpet_ops, &h, &other, "status", 0, 8);
}

TEST_MAIN(RUN(hpet, capabilities_say_three_64_bit_timers_at_100_mhz)
              RUN(hpet, counter_runs_only_while_enabled)
                  RUN(hpet, one_shot_edge_in_legacy_mode_raises_irq0)
                      RUN(hpet, periodic_timer_set_up_the_way_linux_does)
                          RUN(hpet, level_timer_holds_its_pin_until_status_is_cleared)
                              RUN(hpet, unsupported_route_does_not_read_back)
                                  RUN(hpet, a_comparator_of_32_bits_matches_again_after_the_wrap)
                                      RUN(hpet, whoever_hears_of_legacy_mode_can_ask_for_it)
                                          RUN(hpet, fsb_delivery_writes_the_message)
                                              RUN(hpet, snapshot_round_trip_and_hostile_values))
