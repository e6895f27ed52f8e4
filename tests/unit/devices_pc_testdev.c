/* SPDX-License-Identifier: MIT */
#include "devices/pc_testdev.h"

#include "tests/unit/devices_board.h"

static void flush(void *opaque, paddr page)
{
    *(paddr *)opaque = page;
}

TEST(pc_testdev, scratch_port_is_four_bytes)
{
    static struct pc_testdev t;
    pc_testdev_init(&t);
    io_out(&t.scratch, 0xE0, 4, 0x11223344);
    EXPECT_EQ(0x44, io_in(&t.scratch, 0xE0, 1));
    EXPECT_EQ(0x1122, io_in(&t.scratch, 0xE2, 2));
    io_out(&t.scratch, 0xE1, 1, 0xAA);
    EXPECT_EQ(0x1122AA44, io_in(&t.scratch, 0xE0, 4));
}

TEST(pc_testdev, flush_names_the_page)
{
    static struct pc_testdev t;
    paddr page = 1;
    pc_testdev_init(&t);
    io_out(&t.flush, 0xE4, 4, 0x12345678);
    t.flush_page = flush;
    t.flush_opaque = &page;
    io_out(&t.flush, 0xE4, 4, 0x12345678);
    EXPECT_EQ(0x12345000, page);
}

TEST(pc_testdev, irq_ports_set_and_clear_lines)
{
    static struct pc_testdev t;
    struct board b;
    board_init(&b);
    pc_testdev_init(&t);
    for (unsigned i = 0; i < PC_TESTDEV_IRQS; i++)
        t.irq[i] = board_irq(&b, i);
    io_out(&t.irqs, 0x2004, 1, 1);
    EXPECT(b.level[4]);
    io_out(&t.irqs, 0x2017, 1, 0xFF);
    EXPECT(b.level[23]);
    io_out(&t.irqs, 0x2004, 1, 0);
    EXPECT(!b.level[4]);
    pc_testdev_ops.reset(&t);
    EXPECT(!b.level[23]);
}

TEST(pc_testdev, io_memory_remembers)
{
    static struct pc_testdev t;
    pc_testdev_init(&t);
    io_out(&t.iomem, 0xFF000010, 8, UINT64_C(0x1122334455667788));
    EXPECT_EQ(0x55, io_in(&t.iomem, 0xFF000013, 1));
    EXPECT_EQ(0x1122, io_in(&t.iomem, 0xFF000016, 2));
    io_out(&t.iomem, 0xFF00FFFF, 1, 9);
    EXPECT_EQ(9, io_in(&t.iomem, 0xFF00FFFF, 1));
}

TEST(pc_testdev, snapshot_holds_lines_and_memory)
{
    static struct pc_testdev t, other;
    struct board b;
    board_init(&b);
    pc_testdev_init(&t);
    pc_testdev_init(&other);
    other.irq[3] = board_irq(&b, 3);
    io_out(&t.irqs, 0x2003, 1, 1);
    io_out(&t.iomem, 0xFF000000, 4, 42);
    expect_round_trip(&pc_testdev_ops, &t, &other);
    EXPECT(b.level[3]);
    EXPECT_EQ(42, io_in(&other.iomem, 0xFF000000, 4));
    expect_refused(&pc_testdev_ops, &t, &other, "irq_levels", 0, 0x1000000);
}

TEST_MAIN(RUN(pc_testdev, scratch_port_is_four_bytes) RUN(pc_testdev, flush_names_the_page)
              RUN(pc_testdev, irq_ports_set_and_clear_lines) RUN(pc_testdev, io_memory_remembers)
                  RUN(pc_testdev, snapshot_holds_lines_and_memory))
