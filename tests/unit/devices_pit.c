/* SPDX-License-Identifier: MIT */
#include "devices/pit.h"

#include "devices/chip_clock.h"
#include "tests/unit/devices_board.h"

static void pit_on(struct board *b, struct pit *pit)
{
    board_init(b);
    pit_init(pit, &b->queue, NULL);
    pit->irq = board_irq(b, 0);
}

static void program(struct pit *pit, unsigned n, uint8_t low_control, uint16_t count)
{
    io_out(&pit->ports, 0x43, 1, n << 6 | 0x30 | low_control);
    io_out(&pit->ports, 0x40 + n, 1, count & 0xff);
    io_out(&pit->ports, 0x40 + n, 1, count >> 8);
}

static unsigned read_count(struct pit *pit, unsigned n)
{
    io_out(&pit->ports, 0x43, 1, n << 6);
    unsigned low = (unsigned)io_in(&pit->ports, 0x40 + n, 1);
    return low | (unsigned)io_in(&pit->ports, 0x40 + n, 1) << 8;
}

static void to_cycle(struct board *b, uint64_t cycle)
{
    board_run_to(b, clock_when(PIT_HZ, cycle));
}

TEST(pit, mode_0_interrupts_once_n_plus_1_cycles_after_the_write)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x00, 1000);
    EXPECT(!b.level[0]);
    to_cycle(&b, 1000);
    EXPECT(!b.level[0]);
    to_cycle(&b, 1001);
    EXPECT(b.level[0]);
    EXPECT_EQ(VTIME_NEVER, b.queue.next);
    to_cycle(&b, 1002);
    EXPECT_EQ(0xffff, read_count(&pit, 0));
}

TEST(pit, mode_2_makes_a_pulse_per_period_for_an_hour_without_drift)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x04, 11932);
    EXPECT_EQ(1, b.rises[0]); /* OUT is high from the control word on */
    to_cycle(&b, 1 + 11931);
    EXPECT(!b.level[0]);
    to_cycle(&b, 1 + 11932);
    EXPECT(b.level[0]);
    board_run_to(&b, 3600 * NS_PER_SECOND);
    EXPECT_EQ(1 + (3600 * PIT_HZ - 1) / 11932, b.rises[0]);
}

TEST(pit, mode_2_count_runs_from_n_to_1)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x04, 100);
    to_cycle(&b, 1);
    EXPECT_EQ(100, read_count(&pit, 0));
    to_cycle(&b, 100);
    EXPECT_EQ(1, read_count(&pit, 0));
    to_cycle(&b, 101);
    EXPECT_EQ(100, read_count(&pit, 0));
}

TEST(pit, new_count_in_mode_2_waits_for_the_end_of_the_period)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x04, 100);
    to_cycle(&b, 50);
    io_out(&pit.ports, 0x40, 1, 200);
    io_out(&pit.ports, 0x40, 1, 0);
    EXPECT_EQ(51, read_count(&pit, 0));
    io_out(&pit.ports, 0x43, 1, 0xe2); /* status of counter 0 */
    EXPECT_EQ(0x80 | 0x40 | 0x34, io_in(&pit.ports, 0x40, 1));
    to_cycle(&b, 101);
    EXPECT_EQ(200, read_count(&pit, 0));
    EXPECT_EQ(2, b.rises[0]);
    to_cycle(&b, 301);
    EXPECT_EQ(3, b.rises[0]);
}

TEST(pit, mode_3_is_square_and_odd_counts_have_the_longer_high_half)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x06, 7);
    to_cycle(&b, 4);
    EXPECT(b.level[0]);
    to_cycle(&b, 5);
    EXPECT(!b.level[0]);
    to_cycle(&b, 7);
    EXPECT(!b.level[0]);
    to_cycle(&b, 8);
    EXPECT(b.level[0]);
    EXPECT_EQ(6, read_count(&pit, 0));
    to_cycle(&b, 9);
    EXPECT_EQ(4, read_count(&pit, 0));
}

TEST(pit, mode_4_strobes_low_for_one_cycle)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x08, 50);
    EXPECT(b.level[0]);
    to_cycle(&b, 51);
    EXPECT(!b.level[0]);
    to_cycle(&b, 52);
    EXPECT(b.level[0]);
    EXPECT_EQ(2, b.rises[0]);
    EXPECT_EQ(VTIME_NEVER, b.queue.next);
}

TEST(pit, modes_1_and_5_are_triggered_by_the_gate)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 2, 0x02, 20);
    to_cycle(&b, 100);
    EXPECT(pit_output(&pit, 2));
    io_out(&pit.port_61, 0x61, 1, 1);
    EXPECT(!pit_output(&pit, 2));
    to_cycle(&b, 120);
    EXPECT(!pit_output(&pit, 2));
    to_cycle(&b, 121);
    EXPECT(pit_output(&pit, 2));
    io_out(&pit.port_61, 0x61, 1, 0);
    program(&pit, 2, 0x0a, 20);
    io_out(&pit.port_61, 0x61, 1, 1);
    to_cycle(&b, 142);
    EXPECT(!pit_output(&pit, 2));
    to_cycle(&b, 143);
    EXPECT(pit_output(&pit, 2));
}

TEST(pit, gate_of_counter_2_stops_and_resumes_it)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    io_out(&pit.port_61, 0x61, 1, 1);
    program(&pit, 2, 0x00, 100);
    to_cycle(&b, 51);
    io_out(&pit.port_61, 0x61, 1, 0);
    to_cycle(&b, 1000);
    EXPECT_EQ(50, read_count(&pit, 2));
    EXPECT_EQ(0, io_in(&pit.port_61, 0x61, 1) & 0x20);
    io_out(&pit.port_61, 0x61, 1, 1);
    to_cycle(&b, 1049);
    EXPECT_EQ(0, io_in(&pit.port_61, 0x61, 1) & 0x20);
    to_cycle(&b, 1050);
    EXPECT_EQ(0x20, io_in(&pit.port_61, 0x61, 1) & 0x20);
}

TEST(pit, refresh_bit_toggles_every_15_us)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    unsigned changes = 0;
    uint64_t last = io_in(&pit.port_61, 0x61, 1) & 0x10;
    for (unsigned us = 0; us < 1000; us++) {
        board_advance(&b, 1000);
        uint64_t v = io_in(&pit.port_61, 0x61, 1) & 0x10;
        changes += v != last;
        last = v;
    }
    EXPECT_EQ(66, changes);
}

TEST(pit, bcd_counts_in_decimal)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x05, 0x1000);
    to_cycle(&b, 2);
    EXPECT_EQ(0x0999, read_count(&pit, 0));
    program(&pit, 1, 0x01, 0);
    board_advance(&b, 840);
    EXPECT_EQ(0, read_count(&pit, 1)); /* 10000 */
}

TEST(pit, latch_holds_the_count_until_it_is_read)
{
    struct board b;
    struct pit pit;
    pit_on(&b, &pit);
    program(&pit, 0, 0x04, 0x1234);
    to_cycle(&b, 1);
    io_out(&pit.ports, 0x43, 1, 0x00);
    to_cycle(&b, 100);
    io_out(&pit.ports, 0x43, 1,
           0xc2); /* read-back count and status: the count is latched already */
    EXPECT_EQ(0xb4, io_in(&pit.ports, 0x40, 1));
    EXPECT_EQ(0x34, io_in(&pit.ports, 0x40, 1));
    EXPECT_EQ(0x12, io_in(&pit.ports, 0x40, 1));
    EXPECT_EQ((0x1234 - 99) & 0xff, io_in(&pit.ports, 0x40, 1));
    EXPECT_EQ((0x1234 - 99) >> 8, io_in(&pit.ports, 0x40, 1));
}

TEST(pit, snapshot_round_trip_and_hostile_values)
{
    struct board b;
    struct pit pit, other;
    pit_on(&b, &pit);
    program(&pit, 0, 0x04, 1000);
    program(&pit, 2, 0x06, 700);
    to_cycle(&b, 5000);
    pit_init(&other, &b.queue, NULL);
    expect_round_trip(&pit_ops, &pit, &other);
    EXPECT_EQ(pit.edge.when, other.edge.when);
    expect_refused(&pit_ops, &pit, &other, "count", 0, 0);
    expect_refused(&pit_ops, &pit, &other, "count", 1, 0x10001);
    expect_refused(&pit_ops, &pit, &other, "port_b", 0, 1);
    expect_refused(&pit_ops, &pit, &other, "latched_bytes", 2, 3);
}

TEST_MAIN(RUN(pit, mode_0_interrupts_once_n_plus_1_cycles_after_the_write)
              RUN(pit, mode_2_makes_a_pulse_per_period_for_an_hour_without_drift)
                  RUN(pit, mode_2_count_runs_from_n_to_1)
                      RUN(pit, new_count_in_mode_2_waits_for_the_end_of_the_period)
                          RUN(pit, mode_3_is_square_and_odd_counts_have_the_longer_high_half)
                              RUN(pit, mode_4_strobes_low_for_one_cycle)
                                  RUN(pit, modes_1_and_5_are_triggered_by_the_gate)
                                      RUN(pit, gate_of_counter_2_stops_and_resumes_it)
                                          RUN(pit, refresh_bit_toggles_every_15_us)
                                              RUN(pit, bcd_counts_in_decimal)
                                                  RUN(pit, latch_holds_the_count_until_it_is_read)
                                                      RUN(pit,
                                                          snapshot_round_trip_and_hostile_values))
