/* SPDX-License-Identifier: MIT */
#include "devices/piix3.h"

#include "tests/unit/devices_board.h"

struct rig {
    struct board b;     /* wires 0-15: ISA interrupts */
    struct piix3 p;     /* function 0 */
    struct piix3_pm pm; /* function 3 */
    unsigned resets;    /* RCPU edges */
    bool was_hard;      /* kind of the last */
    uint16_t base;      /* last place of the PM block */
    bool decoded;       /* and whether it answers */
    unsigned ignored;   /* IGNNE# asserted */
};

static void on_reset(void *opaque, bool is_hard)
{
    struct rig *r = opaque;
    r->resets++;
    r->was_hard = is_hard;
}

static void on_moved(void *opaque, uint16_t base, bool is_decoded)
{
    struct rig *r = opaque;
    r->base = base;
    r->decoded = is_decoded;
}

static void on_ignne(void *opaque)
{
    ((struct rig *)opaque)->ignored++;
}

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    board_init(&r->b);
    piix3_init(&r->p);
    piix3_pm_init(&r->pm);
    for (unsigned i = 0; i < 16; i++)
        r->p.irq[i] = board_irq(&r->b, i);
    r->p.reset = on_reset;
    r->p.reset_opaque = r;
    r->p.ignne = on_ignne;
    r->p.ignne_opaque = r;
    r->pm.moved = on_moved;
    r->pm.moved_opaque = r;
}

TEST(piix3, identities)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x70008086, pci_config_read(&r.p.pci, 0, 4));
    EXPECT_EQ(0x80, pci_config_read(&r.p.pci, 0x0E, 1));
    EXPECT_EQ(0x80808080, pci_config_read(&r.p.pci, 0x60, 4));
    EXPECT_EQ(0x71138086, pci_config_read(&r.pm.pci, 0, 4));
    EXPECT_EQ(1, pci_config_read(&r.pm.pci, 0x40, 4));
}

TEST(piix3, pirq_goes_where_it_is_routed)
{
    struct rig r;
    rig_init(&r);
    piix3_set_pirq(&r.p, 1, true);
    for (unsigned i = 0; i < 16; i++)
        EXPECT(!r.b.level[i]);
    pci_config_write(&r.p.pci, 0x61, 1, 11);
    EXPECT(r.b.level[11]);
    pci_config_write(&r.p.pci, 0x61, 1, 10);
    EXPECT(!r.b.level[11]);
    EXPECT(r.b.level[10]);
    pci_config_write(&r.p.pci, 0x60, 4, 0x0A0A0A0A); /* all share IRQ 10 */
    piix3_set_pirq(&r.p, 3, true);
    piix3_set_pirq(&r.p, 1, false);
    EXPECT(r.b.level[10]);
    piix3_set_pirq(&r.p, 3, false);
    EXPECT(!r.b.level[10]);
}

TEST(piix3, ferr_is_irq_13_until_port_f0_is_written)
{
    struct rig r, other;
    rig_init(&r);
    rig_init(&other);
    piix3_ferr(&r.p);
    EXPECT(r.b.level[13]);
    expect_round_trip(&piix3_ops, &r.p, &other.p);
    EXPECT(other.b.level[13]);
    EXPECT_EQ(0, r.ignored);
    r.p.coprocessor.write(r.p.coprocessor.opaque, 0, 1, 0);
    EXPECT(!r.b.level[13]);
    EXPECT_EQ(1, r.ignored);
    piix3_ferr(&r.p);
    piix3_ops.reset(&r.p);
    EXPECT(!r.b.level[13]);
}

TEST(piix3, reserved_routes_go_nowhere)
{
    struct rig r;
    rig_init(&r);
    piix3_set_pirq(&r.p, 0, true);
    pci_config_write(&r.p.pci, 0x60, 1, 8);
    EXPECT(!r.b.level[8]);
    pci_config_write(&r.p.pci, 0x60, 1, 0);
    EXPECT(!r.b.level[0]);
}

TEST(piix3, reset_control_resets_on_the_rising_edge_of_rcpu)
{
    struct rig r;
    rig_init(&r);
    io_out(&r.p.reset_control, 0xCF9, 1, 0x02);
    EXPECT_EQ(0, r.resets);
    io_out(&r.p.reset_control, 0xCF9, 1, 0x06);
    EXPECT_EQ(1, r.resets);
    EXPECT(r.was_hard);
    io_out(&r.p.reset_control, 0xCF9, 1, 0x06);
    EXPECT_EQ(1, r.resets);
    io_out(&r.p.reset_control, 0xCF9, 1, 0x00);
    io_out(&r.p.reset_control, 0xCF9, 1, 0x04);
    EXPECT_EQ(2, r.resets);
    EXPECT(!r.was_hard);
}

TEST(piix3, pm_block_moves_with_pmbase_and_pmregmisc)
{
    struct rig r;
    rig_init(&r);
    pci_config_write(&r.pm.pci, 0x40, 4, 0xFFFFFFFF);
    EXPECT_EQ(0xFFC1, pci_config_read(&r.pm.pci, 0x40, 4));
    EXPECT(!r.decoded);
    pci_config_write(&r.pm.pci, 0x40, 2, 0xB000);
    pci_config_write(&r.pm.pci, 0x80, 1, 1);
    EXPECT_EQ(0xB000, r.base);
    EXPECT(r.decoded);
    piix3_pm_ops.reset(&r.pm);
    EXPECT(!r.decoded);
    piix3_pm_enable(&r.pm, 0x600);
    EXPECT(r.decoded);
    EXPECT_EQ(0x600, r.base);
    EXPECT_EQ(9, pci_config_read(&r.pm.pci, 0x3C, 1));
}

TEST(piix3, snapshot_restores_routing_and_pm_block)
{
    struct rig r, other;
    rig_init(&r);
    rig_init(&other);
    pci_config_write(&r.p.pci, 0x62, 1, 5);
    piix3_set_pirq(&r.p, 2, true);
    piix3_pm_enable(&r.pm, 0x600);
    expect_round_trip(&piix3_ops, &r.p, &other.p);
    expect_round_trip(&piix3_pm_ops, &r.pm, &other.pm);
    EXPECT(other.b.level[5]);
    EXPECT(other.decoded);
    expect_refused(&piix3_ops, &r.p, &other.p, "pirq_level", 0, 0x10);
    expect_refused(&piix3_ops, &r.p, &other.p, "rc", 0, 1);
    expect_refused(&piix3_pm_ops, &r.pm, &other.pm, "config", 0x40, 0);
}

TEST_MAIN(RUN(piix3, identities) RUN(piix3, pirq_goes_where_it_is_routed)
              RUN(piix3, ferr_is_irq_13_until_port_f0_is_written)
                  RUN(piix3, reserved_routes_go_nowhere)
                      RUN(piix3, reset_control_resets_on_the_rising_edge_of_rcpu)
                          RUN(piix3, pm_block_moves_with_pmbase_and_pmregmisc)
                              RUN(piix3, snapshot_restores_routing_and_pm_block))
