/* SPDX-License-Identifier: MIT */
#include "devices/pic.h"

#include "tests/unit/devices_board.h"

static struct pic *pic_on(struct board *b, struct pic *pic)
{
    board_init(b);
    pic_init(pic, NULL);
    pic->intr = board_irq(b, 0);
    static const uint8_t icws[2][4] = {{0x11, 0x20, 0x04, 0x01}, {0x11, 0x28, 0x02, 0x01}};
    for (unsigned i = 0; i < 4; i++) {
        io_out(&pic->master, 0x20 + (i > 0), 1, icws[0][i]);
        io_out(&pic->slave, 0xa0 + (i > 0), 1, icws[1][i]);
    }
    return pic;
}

static uint64_t in_service(struct pic *pic)
{
    io_out(&pic->master, 0x20, 1, 0x0b);
    return io_in(&pic->master, 0x20, 1);
}

TEST(pic, edge_gives_one_interrupt_until_the_line_falls_and_rises)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 4, true);
    EXPECT(b.level[0]);
    EXPECT_EQ(0x24, pic_acknowledge(pic));
    EXPECT(!b.level[0]);
    EXPECT_EQ(0x10, in_service(pic));
    io_out(&pic->master, 0x20, 1, 0x20);
    EXPECT_EQ(0, in_service(pic));
    EXPECT(!b.level[0]);
    pic_set_irq(pic, 4, false);
    pic_set_irq(pic, 4, true);
    EXPECT(b.level[0]);
}

TEST(pic, level_request_comes_again_after_eoi_while_the_line_is_high)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    io_out(&pic->elcr, 0x4d0, 1, 0xff);
    EXPECT_EQ(0xf8, io_in(&pic->elcr, 0x4d0, 1));
    pic_set_irq(pic, 5, true);
    EXPECT_EQ(0x25, pic_acknowledge(pic));
    EXPECT(!b.level[0]);
    io_out(&pic->master, 0x20, 1, 0x65);
    EXPECT(b.level[0]);
    pic_set_irq(pic, 5, false);
    EXPECT(!b.level[0]);
}

TEST(pic, slave_request_passes_through_ir2_and_needs_both_eois)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 14, true);
    EXPECT_EQ(0x2e, pic_acknowledge(pic));
    EXPECT_EQ(0x04, in_service(pic));
    pic_set_irq(pic, 15, true);
    EXPECT(!b.level[0]);
    io_out(&pic->slave, 0xa0, 1, 0x20);
    EXPECT(!b.level[0]); /* the slave asks, but IR2 of the master is still in service */
    io_out(&pic->master, 0x20, 1, 0x20);
    EXPECT(b.level[0]);
    EXPECT_EQ(0x2f, pic_acknowledge(pic));
}

TEST(pic, withdrawn_request_gives_spurious_ir7_with_nothing_in_service)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 3, true);
    pic_set_irq(pic, 3, false);
    EXPECT(!b.level[0]);
    EXPECT_EQ(0x27, pic_acknowledge(pic));
    EXPECT_EQ(0, in_service(pic));
}

TEST(pic, masked_slave_during_acknowledge_gives_spurious_irq15)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic->s.icw4[PIC_MASTER] |= 0x10; /* nested: the master sees the slave again */
    pic_set_irq(pic, 9, true);
    pic->s.imr[PIC_SLAVE] = 0x02; /* masked between INT and INTA */
    EXPECT_EQ(0x2f, pic_acknowledge(pic));
    EXPECT_EQ(0x04, in_service(pic));
}

TEST(pic, lower_priority_waits_and_higher_nests)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 4, true);
    EXPECT_EQ(0x24, pic_acknowledge(pic));
    pic_set_irq(pic, 6, true);
    EXPECT(!b.level[0]);
    pic_set_irq(pic, 1, true);
    EXPECT_EQ(0x21, pic_acknowledge(pic));
    EXPECT_EQ(0x12, in_service(pic));
    io_out(&pic->master, 0x20, 1, 0x20);
    EXPECT_EQ(0x10, in_service(pic));
}

TEST(pic, rotation_makes_the_served_input_the_lowest)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 3, true);
    EXPECT_EQ(0x23, pic_acknowledge(pic));
    io_out(&pic->master, 0x20, 1, 0xa0); /* rotate on non-specific EOI */
    pic_set_irq(pic, 1, true);
    pic_set_irq(pic, 5, true);
    EXPECT_EQ(0x25, pic_acknowledge(pic));
}

TEST(pic, automatic_eoi_leaves_nothing_in_service)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic->s.icw4[PIC_MASTER] = 3;
    pic_set_irq(pic, 3, true);
    EXPECT_EQ(0x23, pic_acknowledge(pic));
    EXPECT_EQ(0, in_service(pic));
}

TEST(pic, special_mask_mode_lets_lower_inputs_interrupt)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 1, true);
    EXPECT_EQ(0x21, pic_acknowledge(pic));
    io_out(&pic->master, 0x21, 1, 0x02);
    pic_set_irq(pic, 6, true);
    EXPECT(!b.level[0]);
    io_out(&pic->master, 0x20, 1, 0x68);
    EXPECT(b.level[0]);
    EXPECT_EQ(0x26, pic_acknowledge(pic));
    io_out(&pic->master, 0x20, 1, 0x20); /* non-specific EOI passes over the masked bit */
    EXPECT_EQ(0x02, in_service(pic));
}

TEST(pic, poll_acknowledges_by_reading)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    io_out(&pic->master, 0x20, 1, 0x0c);
    EXPECT_EQ(0, io_in(&pic->master, 0x20, 1));
    pic_set_irq(pic, 6, true);
    io_out(&pic->master, 0x20, 1, 0x0c);
    EXPECT_EQ(0x86, io_in(&pic->master, 0x20, 1));
    EXPECT_EQ(0x40, in_service(pic));
}

TEST(pic, imr_reads_back_and_masks)
{
    struct board b;
    struct pic chip, *pic = pic_on(&b, &chip);
    io_out(&pic->master, 0x21, 1, 0xfb);
    EXPECT_EQ(0xfb, io_in(&pic->master, 0x21, 1));
    pic_set_irq(pic, 0, true);
    EXPECT(!b.level[0]);
    io_out(&pic->master, 0x20, 1, 0x0a);
    EXPECT_EQ(0x01, io_in(&pic->master, 0x20, 1));
    io_out(&pic->master, 0x21, 1, 0xfa);
    EXPECT(b.level[0]);
}

TEST(pic, snapshot_round_trip_and_hostile_values)
{
    struct board b;
    struct pic chip, other, *pic = pic_on(&b, &chip);
    pic_set_irq(pic, 12, true);
    pic_init(&other, NULL);
    expect_round_trip(&pic_ops, pic, &other);
    EXPECT(pic_output(&other));
    EXPECT_EQ(0x2c, pic_acknowledge(&other));
    expect_refused(&pic_ops, pic, &other, "lowest", 0, 8);
    expect_refused(&pic_ops, pic, &other, "expected_icw", 1, 9);
    expect_refused(&pic_ops, pic, &other, "poll", 1, 2);
}

TEST_MAIN(RUN(pic, edge_gives_one_interrupt_until_the_line_falls_and_rises)
              RUN(pic, level_request_comes_again_after_eoi_while_the_line_is_high)
                  RUN(pic, slave_request_passes_through_ir2_and_needs_both_eois)
                      RUN(pic, withdrawn_request_gives_spurious_ir7_with_nothing_in_service)
                          RUN(pic, masked_slave_during_acknowledge_gives_spurious_irq15)
                              RUN(pic, lower_priority_waits_and_higher_nests)
                                  RUN(pic, rotation_makes_the_served_input_the_lowest)
                                      RUN(pic, automatic_eoi_leaves_nothing_in_service)
                                          RUN(pic, special_mask_mode_lets_lower_inputs_interrupt)
                                              RUN(pic, poll_acknowledges_by_reading)
                                                  RUN(pic, imr_reads_back_and_masks)
                                                      RUN(pic,
                                                          snapshot_round_trip_and_hostile_values))
