/* SPDX-License-Identifier: MIT */
#include "devices/acpi_pm.h"

#include "devices/chip_clock.h"
#include "tests/unit/devices_board.h"

static void power_off(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void pm_on(struct board *b, struct acpi_pm *pm)
{
    board_init(b);
    acpi_pm_init(pm, &b->queue, 0x600, NULL);
    pm->sci = board_irq(b, 9);
}

TEST(acpi_pm, timer_counts_3579545_a_second_in_24_bits)
{
    struct board b;
    struct acpi_pm pm;
    pm_on(&b, &pm);
    board_advance(&b, NS_PER_SECOND);
    EXPECT_EQ(3579545, io_in(&pm.pm, 0x608, 4));
    board_advance(&b, 9 * NS_PER_SECOND);
    EXPECT_EQ(35795450 & 0xffffff, io_in(&pm.pm, 0x608, 4));
}

TEST(acpi_pm, smi_command_switches_acpi_mode)
{
    struct board b;
    struct acpi_pm pm;
    pm_on(&b, &pm);
    EXPECT_EQ(0, io_in(&pm.pm, 0x604, 2));
    io_out(&pm.apm, 0xb2, 1, ACPI_ENABLE);
    EXPECT_EQ(1, io_in(&pm.pm, 0x604, 2));
    EXPECT_EQ(0xf1, io_in(&pm.apm, 0xb2, 1));
    io_out(&pm.apm, 0xb2, 1, ACPI_DISABLE);
    EXPECT_EQ(0, io_in(&pm.pm, 0x604, 2));
    pm.starts_in_acpi_mode = true;
    acpi_pm_ops.reset(&pm);
    EXPECT_EQ(1, io_in(&pm.pm, 0x604, 2));
}

TEST(acpi_pm, power_button_raises_sci_until_its_status_is_cleared)
{
    struct board b;
    struct acpi_pm pm;
    pm_on(&b, &pm);
    io_out(&pm.apm, 0xb2, 1, ACPI_ENABLE);
    io_out(&pm.pm, 0x602, 2, ACPI_PWRBTN);
    acpi_pm_press_power_button(&pm);
    EXPECT(b.level[9]);
    EXPECT_EQ(ACPI_PWRBTN, io_in(&pm.pm, 0x600, 2));
    io_out(&pm.pm, 0x600, 2, ACPI_PWRBTN);
    EXPECT(!b.level[9]);
    EXPECT_EQ(0, io_in(&pm.pm, 0x600, 2));
}

TEST(acpi_pm, timer_status_follows_the_top_bit)
{
    struct board b;
    struct acpi_pm pm;
    pm_on(&b, &pm);
    io_out(&pm.apm, 0xb2, 1, ACPI_ENABLE);
    EXPECT_EQ(VTIME_NEVER, b.queue.next);
    io_out(&pm.pm, 0x602, 2, ACPI_TMR);
    board_run_to(&b, clock_when(ACPI_PM_HZ, 1 << 23) - 1);
    EXPECT(!b.level[9]);
    board_advance(&b, 1);
    EXPECT(b.level[9]);
    EXPECT_EQ(1, io_in(&pm.pm, 0x600, 1));
    io_out(&pm.pm, 0x600, 2, ACPI_TMR);
    EXPECT(!b.level[9]);
    board_run_to(&b, clock_when(ACPI_PM_HZ, 2 << 23));
    EXPECT(b.level[9]);
}

TEST(acpi_pm, s5_powers_off_other_sleep_states_do_not)
{
    struct board b;
    struct acpi_pm pm;
    unsigned off = 0;
    pm_on(&b, &pm);
    pm.power_off = power_off;
    pm.opaque = &off;
    io_out(&pm.pm, 0x604, 2, 1 << 10 | 1 << 13);
    EXPECT_EQ(0, off);
    io_out(&pm.pm, 0x604, 2, ACPI_SLP_TYP_S5 << 10);
    EXPECT_EQ(0, off);
    io_out(&pm.pm, 0x604, 2, ACPI_SLP_TYP_S5 << 10 | 1 << 13);
    EXPECT_EQ(1, off);
}

TEST(acpi_pm, general_purpose_events_raise_sci)
{
    struct board b;
    struct acpi_pm pm;
    pm_on(&b, &pm);
    io_out(&pm.apm, 0xb2, 1, ACPI_ENABLE);
    io_out(&pm.gpe, 0xafe3, 1, 0x02);
    acpi_pm_set_gpe(&pm, 9, true);
    EXPECT(b.level[9]);
    EXPECT_EQ(0x02, io_in(&pm.gpe, 0xafe1, 1));
    io_out(&pm.gpe, 0xafe1, 1, 0x02);
    EXPECT(!b.level[9]);
}

TEST(acpi_pm, snapshot_round_trip_and_hostile_values)
{
    struct board b;
    struct acpi_pm pm, other;
    pm_on(&b, &pm);
    io_out(&pm.apm, 0xb2, 1, ACPI_ENABLE);
    io_out(&pm.pm, 0x602, 2, ACPI_TMR);
    acpi_pm_init(&other, &b.queue, 0x600, NULL);
    expect_round_trip(&acpi_pm_ops, &pm, &other);
    EXPECT_EQ(pm.overflow.when, other.overflow.when);
    expect_refused(&acpi_pm_ops, &pm, &other, "status", 0, 1);
    expect_refused(&acpi_pm_ops, &pm, &other, "control", 0, 1 << 13);
}

TEST_MAIN(RUN(acpi_pm, timer_counts_3579545_a_second_in_24_bits)
              RUN(acpi_pm, smi_command_switches_acpi_mode)
                  RUN(acpi_pm, power_button_raises_sci_until_its_status_is_cleared)
                      RUN(acpi_pm, timer_status_follows_the_top_bit)
                          RUN(acpi_pm, s5_powers_off_other_sleep_states_do_not)
                              RUN(acpi_pm, general_purpose_events_raise_sci)
                                  RUN(acpi_pm, snapshot_round_trip_and_hostile_values))
