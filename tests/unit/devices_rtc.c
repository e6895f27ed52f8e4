/* SPDX-License-Identifier: MIT */
#include "devices/rtc.h"

#include "tests/unit/devices_board.h"

#define MS UINT64_C(1000000)

static void rtc_on(struct board *b, struct rtc *rtc, uint64_t seconds)
{
    board_init(b);
    rtc_init(rtc, &b->queue, seconds, NULL);
    rtc->irq = board_irq(b, 8);
}

static uint8_t rd(struct rtc *rtc, uint8_t index)
{
    io_out(&rtc->ports, 0x70, 1, index);
    return (uint8_t)io_in(&rtc->ports, 0x71, 1);
}

static void wr(struct rtc *rtc, uint8_t index, uint8_t v)
{
    io_out(&rtc->ports, 0x70, 1, index);
    io_out(&rtc->ports, 0x71, 1, v);
}

/* YYMMDDhhmmss as BCD digits. */
static uint64_t digits(struct rtc *rtc)
{
    static const uint8_t regs[] = {RTC_CENTURY, RTC_YEAR,    RTC_MONTH,  RTC_DATE_OF_MONTH,
                                   RTC_HOURS,   RTC_MINUTES, RTC_SECONDS};
    uint64_t v = 0;
    for (unsigned i = 0; i < sizeof(regs); i++)
        v = v << 8 | rd(rtc, regs[i]);
    return v;
}

TEST(rtc, starts_at_the_given_date)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    EXPECT_EQ(0x19700101000000, digits(&rtc));
    EXPECT_EQ(5, rd(&rtc, RTC_DAY_OF_WEEK));
    rtc_on(&b, &rtc, 1709210096); /* Thursday */
    EXPECT_EQ(0x20240229123456, digits(&rtc));
    EXPECT_EQ(5, rd(&rtc, RTC_DAY_OF_WEEK));
    rtc_on(&b, &rtc, 253402300799);
    EXPECT_EQ(0x99991231235959, digits(&rtc));
}

TEST(rtc, calendar_carries_over_leap_days_and_years)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 1709210096);
    board_advance(&b, 86400 * NS_PER_SECOND);
    EXPECT_EQ(0x20240301123456, digits(&rtc));
    EXPECT_EQ(6, rd(&rtc, RTC_DAY_OF_WEEK));
    rtc_on(&b, &rtc, 946684799);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(0x20000101000000, digits(&rtc));
    rtc_on(&b, &rtc, 951782399);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(0x20000229000000, digits(&rtc));
    rtc_on(&b, &rtc, 4107542399);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(0x21000301000000, digits(&rtc));
}

TEST(rtc, clock_needs_no_events_when_nobody_waits)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    EXPECT_EQ(VTIME_NEVER, b.queue.next);
    board_advance(&b, 3661 * NS_PER_SECOND);
    EXPECT_EQ(0x19700101010101, digits(&rtc));
}

TEST(rtc, alarm_fires_once_and_read_of_register_c_clears_it)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_SECONDS_ALARM, 0x10);
    wr(&rtc, RTC_MINUTES_ALARM, 0xff);
    wr(&rtc, RTC_HOURS_ALARM, 0xff);
    wr(&rtc, RTC_REG_B, 0x22);
    board_advance(&b, 10 * NS_PER_SECOND - 1);
    EXPECT(!b.level[8]);
    board_advance(&b, 1);
    EXPECT(b.level[8]);
    EXPECT_EQ(0xb0, rd(&rtc, RTC_REG_C) & 0xb0);
    EXPECT(!b.level[8]);
    EXPECT_EQ(0, rd(&rtc, RTC_REG_C));
    board_advance(&b, 60 * NS_PER_SECOND);
    EXPECT_EQ(2, b.rises[8]);
}

TEST(rtc, alarm_flag_rises_though_the_interrupt_is_off)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_SECONDS_ALARM, 0x00);
    wr(&rtc, RTC_MINUTES_ALARM, 0x30);
    wr(&rtc, RTC_HOURS_ALARM, 0x05);
    board_advance(&b, 19799 * NS_PER_SECOND);
    EXPECT_EQ(0, rd(&rtc, RTC_REG_C) & 0x20);
    board_advance(&b, 100 * NS_PER_SECOND);
    EXPECT_EQ(0x20, rd(&rtc, RTC_REG_C) & 0x20);
}

TEST(rtc, periodic_rate_is_exact_and_waits_for_the_read_of_c)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_REG_A, 0x26); /* 1024 Hz */
    wr(&rtc, RTC_REG_B, 0x42);
    unsigned n = 0;
    while (b.now < 10 * NS_PER_SECOND) {
        board_run_to(&b, b.queue.next);
        if (b.level[8]) {
            n++;
            EXPECT(rd(&rtc, RTC_REG_C) & 0x40);
        }
    }
    EXPECT_EQ(10240, n);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(10241, b.rises[8]);
    EXPECT_EQ(VTIME_NEVER, b.queue.next); /* the flag is up: nothing more can happen */
}

TEST(rtc, update_ended_interrupt_and_update_in_progress)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_REG_B, 0x12);
    board_advance(&b, 990 * MS);
    EXPECT_EQ(0x26, rd(&rtc, RTC_REG_A));
    board_advance(&b, 8 * MS);
    EXPECT_EQ(0xa6, rd(&rtc, RTC_REG_A));
    board_advance(&b, 2 * MS);
    EXPECT(b.level[8]);
    EXPECT_EQ(0x26, rd(&rtc, RTC_REG_A));
    EXPECT_EQ(1, rd(&rtc, RTC_SECONDS));
    EXPECT_EQ(0x90, rd(&rtc, RTC_REG_C) & 0x90);
}

TEST(rtc, set_bit_holds_the_date_while_it_is_written)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_REG_B, 0x92);
    EXPECT_EQ(0x82, rd(&rtc, RTC_REG_B)); /* UIE is cleared */
    board_advance(&b, 5 * NS_PER_SECOND);
    EXPECT_EQ(0, rd(&rtc, RTC_SECONDS));
    wr(&rtc, RTC_SECONDS, 0x58);
    wr(&rtc, RTC_REG_B, 0x02);
    board_advance(&b, 3 * NS_PER_SECOND);
    EXPECT_EQ(0x19700101000101, digits(&rtc));
}

TEST(rtc, first_update_comes_half_a_second_after_the_divider_is_released)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_REG_A, 0x76);
    board_advance(&b, 10 * NS_PER_SECOND);
    EXPECT_EQ(0, rd(&rtc, RTC_SECONDS));
    wr(&rtc, RTC_REG_A, 0x26);
    board_advance(&b, 499 * MS);
    EXPECT_EQ(0, rd(&rtc, RTC_SECONDS));
    board_advance(&b, MS);
    EXPECT_EQ(1, rd(&rtc, RTC_SECONDS));
}

TEST(rtc, twelve_hour_binary_mode)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_REG_B, 0x04);
    wr(&rtc, RTC_HOURS, 11);
    wr(&rtc, RTC_MINUTES, 59);
    wr(&rtc, RTC_SECONDS, 59);
    wr(&rtc, RTC_CENTURY, 20);
    wr(&rtc, RTC_YEAR, 24);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(0x8c, rd(&rtc, RTC_HOURS));
    board_advance(&b, 12 * 3600 * NS_PER_SECOND);
    EXPECT_EQ(0x0c, rd(&rtc, RTC_HOURS));
    EXPECT_EQ(2, rd(&rtc, RTC_DATE_OF_MONTH));
}

TEST(rtc, what_is_no_date_stands_still)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    wr(&rtc, RTC_DATE_OF_MONTH, 0x31);
    wr(&rtc, RTC_MONTH, 0x02);
    board_advance(&b, 5 * NS_PER_SECOND);
    EXPECT_EQ(0, rd(&rtc, RTC_SECONDS));
    EXPECT_EQ(0x10, rd(&rtc, RTC_REG_C) & 0x10);
}

TEST(rtc, cmos_bytes_and_nmi_mask)
{
    struct board b;
    struct rtc rtc;
    rtc_on(&b, &rtc, 0);
    rtc_cmos_set(&rtc, 0x34, 0x77);
    rtc_cmos_set(&rtc, RTC_REG_D, 0x00);
    rtc_cmos_set(&rtc, 0xff, 0x12);
    EXPECT_EQ(0x77, rd(&rtc, 0x34));
    EXPECT_EQ(0x80, rd(&rtc, RTC_REG_D));
    EXPECT(!rtc_masks_nmi(&rtc));
    wr(&rtc, 0x80 | 0x0f, 0x0a);
    EXPECT(rtc_masks_nmi(&rtc));
    rtc_ops.reset(&rtc);
    EXPECT_EQ(0x0a, rtc_cmos_get(&rtc, 0x0f)); /* survives a reset, as firmware needs it to */
}

TEST(rtc, snapshot_round_trip_and_hostile_values)
{
    struct board b;
    struct rtc rtc, other;
    rtc_on(&b, &rtc, 1000000);
    wr(&rtc, RTC_REG_B, 0x72);
    board_advance(&b, 3333 * MS);
    (void)rd(&rtc, RTC_REG_C);
    rtc_init(&other, &b.queue, 0, NULL);
    expect_round_trip(&rtc_ops, &rtc, &other);
    EXPECT_EQ(rtc.alarm.when, other.alarm.when);
    expect_refused(&rtc_ops, &rtc, &other, "ram", RTC_REG_D, 0);
    expect_refused(&rtc_ops, &rtc, &other, "ram", RTC_REG_A, 0xa6);
    expect_refused(&rtc_ops, &rtc, &other, "irq_level", 0, 2);
}

TEST_MAIN(
    RUN(rtc, starts_at_the_given_date) RUN(rtc, calendar_carries_over_leap_days_and_years)
        RUN(rtc, clock_needs_no_events_when_nobody_waits)
            RUN(rtc, alarm_fires_once_and_read_of_register_c_clears_it)
                RUN(rtc, alarm_flag_rises_though_the_interrupt_is_off)
                    RUN(rtc, periodic_rate_is_exact_and_waits_for_the_read_of_c)
                        RUN(rtc, update_ended_interrupt_and_update_in_progress)
                            RUN(rtc, set_bit_holds_the_date_while_it_is_written)
                                RUN(rtc,
                                    first_update_comes_half_a_second_after_the_divider_is_released)
                                    RUN(rtc, twelve_hour_binary_mode)
                                        RUN(rtc, what_is_no_date_stands_still)
                                            RUN(rtc, cmos_bytes_and_nmi_mask)
                                                RUN(rtc, snapshot_round_trip_and_hostile_values))
