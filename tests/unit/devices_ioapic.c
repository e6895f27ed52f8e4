/* SPDX-License-Identifier: MIT */
#include "devices/ioapic.h"

#include "tests/unit/devices_board.h"

struct sink {
    struct apic_message last; /* the last message */
    unsigned count;           /* of messages */
    bool refuse;              /* take none */
};

static bool on_deliver(void *opaque, const struct apic_message *m)
{
    struct sink *s = opaque;
    s->last = *m;
    s->count++;
    return !s->refuse;
}

static void ioapic_on(struct ioapic *io, struct sink *s)
{
    memset(s, 0, sizeof(*s));
    ioapic_init(io, NULL);
    io->deliver = on_deliver;
    io->deliver_opaque = s;
}

static void wr(struct ioapic *io, uint8_t reg, uint32_t v)
{
    io_out(&io->mmio, 0xfec00000, 4, reg);
    io_out(&io->mmio, 0xfec00010, 4, v);
}

static uint64_t rd(struct ioapic *io, uint8_t reg)
{
    io_out(&io->mmio, 0xfec00000, 4, reg);
    return io_in(&io->mmio, 0xfec00010, 4);
}

static void route(struct ioapic *io, unsigned pin, uint32_t low, uint32_t dest)
{
    wr(io, (uint8_t)(0x11 + 2 * pin), dest << 24);
    wr(io, (uint8_t)(0x10 + 2 * pin), low);
}

TEST(ioapic, identifies_itself_and_starts_masked)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    EXPECT_EQ(0x00170020, rd(&io, 1));
    EXPECT_EQ(0x00010000, rd(&io, 0x3e));
    wr(&io, 0, 0xffffffff);
    EXPECT_EQ(0x0f000000, rd(&io, 0));
    ioapic_set_irq(&io, 5, true);
    EXPECT_EQ(0, s.count);
}

TEST(ioapic, edge_sends_once_per_rise)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    route(&io, 4, 0x0934, 0x0c);
    ioapic_set_irq(&io, 4, true);
    ioapic_set_irq(&io, 4, true);
    EXPECT_EQ(1, s.count);
    EXPECT_EQ(0x34, s.last.vector);
    EXPECT_EQ(APIC_LOWEST, s.last.delivery);
    EXPECT_EQ(0x0c, s.last.dest);
    EXPECT(s.last.logical);
    EXPECT(!s.last.level_trigger);
    ioapic_set_irq(&io, 4, false);
    ioapic_set_irq(&io, 4, true);
    EXPECT_EQ(2, s.count);
}

TEST(ioapic, edge_on_a_masked_pin_is_lost)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    ioapic_set_irq(&io, 4, true);
    route(&io, 4, 0x34, 0);
    EXPECT_EQ(0, s.count);
}

TEST(ioapic, level_waits_for_eoi_and_comes_again_while_high)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    route(&io, 10, 0x8055, 1);
    ioapic_set_irq(&io, 10, true);
    EXPECT_EQ(1, s.count);
    EXPECT(s.last.level_trigger);
    EXPECT_EQ(0xc055, rd(&io, 0x10 + 20));
    ioapic_set_irq(&io, 10, false);
    ioapic_set_irq(&io, 10, true);
    EXPECT_EQ(1, s.count);
    ioapic_eoi(&io, 0x54);
    EXPECT_EQ(1, s.count);
    ioapic_eoi(&io, 0x55);
    EXPECT_EQ(2, s.count);
    ioapic_set_irq(&io, 10, false);
    io_out(&io.mmio, 0xfec00040, 4, 0x55);
    EXPECT_EQ(2, s.count);
    EXPECT_EQ(0x8055, rd(&io, 0x10 + 20));
}

TEST(ioapic, unmasking_a_high_level_pin_interrupts)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    route(&io, 10, 0x18055, 1);
    ioapic_set_irq(&io, 10, true);
    EXPECT_EQ(0, s.count);
    wr(&io, 0x10 + 20, 0x8055);
    EXPECT_EQ(1, s.count);
}

TEST(ioapic, refused_level_message_leaves_remote_irr_clear)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    s.refuse = true;
    route(&io, 10, 0x8055, 9);
    ioapic_set_irq(&io, 10, true);
    EXPECT_EQ(0x8055, rd(&io, 0x10 + 20));
}

TEST(ioapic, switching_to_edge_and_back_clears_remote_irr)
{
    struct ioapic io;
    struct sink s;
    ioapic_on(&io, &s);
    route(&io, 10, 0x8055, 1);
    ioapic_set_irq(&io, 10, true);
    ioapic_set_irq(&io, 10, false);
    wr(&io, 0x10 + 20, 0x10055);
    wr(&io, 0x10 + 20, 0x18055);
    EXPECT_EQ(0x18055, rd(&io, 0x10 + 20));
}

TEST(ioapic, snapshot_round_trip_and_hostile_values)
{
    struct ioapic io, other;
    struct sink s;
    ioapic_on(&io, &s);
    route(&io, 10, 0x8055, 1);
    ioapic_set_irq(&io, 10, true);
    ioapic_init(&other, NULL);
    expect_round_trip(&ioapic_ops, &io, &other);
    expect_refused(&ioapic_ops, &io, &other, "redirection", 3, 0x4000);
    expect_refused(&ioapic_ops, &io, &other, "lines", 0, 0x1000000);
    expect_refused(&ioapic_ops, &io, &other, "id", 0, 16);
}

TEST_MAIN(RUN(ioapic, identifies_itself_and_starts_masked) RUN(ioapic, edge_sends_once_per_rise)
              RUN(ioapic, edge_on_a_masked_pin_is_lost)
                  RUN(ioapic, level_waits_for_eoi_and_comes_again_while_high)
                      RUN(ioapic, unmasking_a_high_level_pin_interrupts)
                          RUN(ioapic, refused_level_message_leaves_remote_irr_clear)
                              RUN(ioapic, switching_to_edge_and_back_clears_remote_irr)
                                  RUN(ioapic, snapshot_round_trip_and_hostile_values))
