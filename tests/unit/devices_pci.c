/* SPDX-License-Identifier: MIT */
#include "devices/pci.h"

#include "tests/unit/devices_board.h"

/* A card with one I/O and one 64-bit memory BAR, in slot 3. */
#define CARD_STATE(ONE, ARR, S) PCI_CONFIG_FIELD(ONE, ARR, S)
STATE_STRUCT(card_state, CARD_STATE);

struct card {
    struct card_state s;     /* first */
    struct pci_function pci; /* 00:03.0 */
    struct io_region io;     /* BAR 0 */
    struct io_region mem;    /* BAR 2-3 */
};

struct rig {
    struct board b;   /* PIRQA-D are wires 0-3 */
    struct pci p;     /* the bus */
    struct card card; /* on it */
};

static void card_reset(void *dev)
{
    pci_function_reset(&((struct card *)dev)->pci);
}

static int card_after_load(void *dev, struct err *err)
{
    return pci_function_after_load(&((struct card *)dev)->pci, err);
}

static const struct device_ops card_ops = {.name = "card",
                                           .size = sizeof(struct card),
                                           .fields = card_state_fields,
                                           .reset = card_reset,
                                           .after_load = card_after_load};

static void rig_init(struct rig *r)
{
    struct pci_function *f = &r->card.pci;
    memset(r, 0, sizeof(*r));
    board_init(&r->b);
    pci_init(&r->p, NULL);
    for (unsigned i = 0; i < 4; i++)
        r->p.pirq[i] = board_irq(&r->b, i);
    r->card.io = (struct io_region){.name = "io", .size = 32, .widths = W8};
    r->card.mem = (struct io_region){.name = "mem", .size = 0x4000, .widths = W32};
    pci_function_init(f, r->card.s.config, 0x1234, 0x5678, 0x020000, 7);
    pci_function_bar(f, 0, &r->card.io, PCI_BAR_IO);
    pci_function_bar(f, 2, &r->card.mem, PCI_BAR_64);
    pci_function_set(f, PCI_INTERRUPT_PIN, 1, 1, 0);
    pci_attach(&r->p, f, 3, 0);
    card_reset(&r->card);
}

static void aim(struct rig *r, unsigned slot, unsigned reg)
{
    io_out(&r->p.address, 0xCF8, 4, 0x80000000u | slot << 11 | reg);
}

static uint32_t config_in(struct rig *r, unsigned reg, unsigned width)
{
    aim(r, 3, reg & ~3u);
    return (uint32_t)io_in(&r->p.data, 0xCFC + (reg & 3), width);
}

static void config_out(struct rig *r, unsigned reg, unsigned width, uint32_t v)
{
    aim(r, 3, reg & ~3u);
    io_out(&r->p.data, 0xCFC + (reg & 3), width, v);
}

TEST(pci, mechanism_1_finds_the_card_and_nothing_else)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x56781234, config_in(&r, 0, 4));
    EXPECT_EQ(0x5678, config_in(&r, 2, 2));
    EXPECT_EQ(0x02000007, config_in(&r, 8, 4));
    aim(&r, 4, 0);
    EXPECT_EQ(0xFFFFFFFF, io_in(&r.p.data, 0xCFC, 4));
    io_out(&r.p.address, 0xCF8, 4, 0x80010000u | 3 << 11); /* bus 1 */
    EXPECT_EQ(0xFFFFFFFF, io_in(&r.p.data, 0xCFC, 4));
    io_out(&r.p.address, 0xCF8, 4, 3 << 11); /* not enabled */
    EXPECT_EQ(0xFFFFFFFF, io_in(&r.p.data, 0xCFC, 4));
}

TEST(pci, address_register_is_a_dword)
{
    struct rig r;
    rig_init(&r);
    io_out(&r.p.address, 0xCF8, 4, 0xFFFFFFFF);
    EXPECT_EQ(0x80FFFFFC, io_in(&r.p.address, 0xCF8, 4));
    io_out(&r.p.address, 0xCF8, 1, 0);
    EXPECT_EQ(0x80FFFFFC, io_in(&r.p.address, 0xCF8, 4));
    EXPECT_EQ(0xFF, io_in(&r.p.address, 0xCF8, 1) & 0xFF);
}

TEST(pci, read_only_bits_stay_and_error_bits_clear_by_writing_one)
{
    struct rig r;
    rig_init(&r);
    config_out(&r, 0, 4, 0);
    EXPECT_EQ(0x56781234, config_in(&r, 0, 4));
    r.card.s.config[7] = 0x20; /* received master abort */
    config_out(&r, 4, 2, 0xFFFF);
    EXPECT_EQ(0x20000547, config_in(&r, 4, 4));
    config_out(&r, 6, 2, 0x2000);
    EXPECT_EQ(0x0547, config_in(&r, 4, 4));
}

TEST(pci, bars_can_be_sized_and_move_their_region)
{
    struct rig r;
    rig_init(&r);
    config_out(&r, 0x10, 4, 0xFFFFFFFF);
    EXPECT_EQ(0xFFFFFFE1, config_in(&r, 0x10, 4));
    config_out(&r, 0x18, 4, 0xFFFFFFFF);
    config_out(&r, 0x1C, 4, 0xFFFFFFFF);
    EXPECT_EQ(0xFFFFC004, config_in(&r, 0x18, 4));
    EXPECT_EQ(0xFFFFFFFF, config_in(&r, 0x1C, 4));
    config_out(&r, 0x10, 4, 0xC040);
    config_out(&r, 0x18, 4, 0xE0000000);
    config_out(&r, 0x1C, 4, 0x10);
    EXPECT(!r.card.io.enabled && !r.card.mem.enabled);
    config_out(&r, 4, 2, 3);
    EXPECT(r.card.io.enabled && r.card.mem.enabled);
    EXPECT_EQ(0xC040, r.card.io.base);
    EXPECT(r.card.mem.base == UINT64_C(0x10E0000000));
    config_out(&r, 0x10, 4, 0);
    EXPECT(!r.card.io.enabled);           /* address 0 is no address */
    EXPECT_EQ(0, config_in(&r, 0x14, 4)); /* no BAR here */
}

TEST(pci, interrupt_pin_swizzles_to_its_pirq)
{
    struct rig r;
    rig_init(&r);
    pci_set_irq(&r.card.pci, true);
    EXPECT(r.b.level[2]); /* slot 3, INTA# */
    EXPECT_EQ(8, config_in(&r, 6, 2) & 8);
    config_out(&r, 4, 2, PCI_COMMAND_INTX_OFF);
    EXPECT(!r.b.level[2]);
    EXPECT_EQ(8, config_in(&r, 6, 2) & 8); /* status shows the pin all the same */
    config_out(&r, 4, 2, 0);
    EXPECT(r.b.level[2]);
    pci_set_irq(&r.card.pci, false);
    EXPECT(!r.b.level[2]);
}

TEST(pci, shared_pirq_falls_with_the_last_card)
{
    struct rig r;
    struct card other = {.io = {.size = 4}};
    rig_init(&r);
    pci_function_init(&other.pci, other.s.config, 1, 2, 0, 0);
    pci_function_set(&other.pci, PCI_INTERRUPT_PIN, 1, 1, 0);
    pci_attach(&r.p, &other.pci, 7, 0); /* the same PIRQ as slot 3 */
    card_reset(&other);
    pci_set_irq(&r.card.pci, true);
    pci_set_irq(&other.pci, true);
    pci_set_irq(&r.card.pci, false);
    EXPECT(r.b.level[2]);
    pci_set_irq(&other.pci, false);
    EXPECT(!r.b.level[2]);
}

TEST(pci, capabilities_are_linked_until_space_runs_out)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x40, pci_function_capability(&r.card.pci, 5, 14));
    EXPECT_EQ(0x50, pci_function_capability(&r.card.pci, 0x11, 12));
    EXPECT_EQ(0, pci_function_capability(&r.card.pci, 9, 200));
    card_reset(&r.card);
    EXPECT_EQ(0x10, config_in(&r, 6, 2) & 0x10);
    EXPECT_EQ(0x50, config_in(&r, 0x34, 1));
    EXPECT_EQ(0x4011, config_in(&r, 0x50, 2));
    EXPECT_EQ(0x0005, config_in(&r, 0x40, 2));
}

TEST(pci, snapshot_restores_bars_and_wires)
{
    struct rig r, other;
    rig_init(&r);
    rig_init(&other);
    config_out(&r, 0x10, 4, 0xC040);
    config_out(&r, 4, 2, 1);
    pci_set_irq(&r.card.pci, true);
    expect_round_trip(&card_ops, &r.card, &other.card);
    expect_round_trip(&pci_ops, &r.p, &other.p);
    EXPECT(other.card.io.enabled);
    EXPECT_EQ(0xC040, other.card.io.base);
    EXPECT(other.b.level[2]);
    expect_refused(&card_ops, &r.card, &other.card, "config", 0, 0x99);
    expect_refused(&pci_ops, &r.p, &other.p, "address", 0, 1);
}

TEST_MAIN(RUN(pci, mechanism_1_finds_the_card_and_nothing_else)
              RUN(pci, address_register_is_a_dword)
                  RUN(pci, read_only_bits_stay_and_error_bits_clear_by_writing_one)
                      RUN(pci, bars_can_be_sized_and_move_their_region)
                          RUN(pci, interrupt_pin_swizzles_to_its_pirq)
                              RUN(pci, shared_pirq_falls_with_the_last_card)
                                  RUN(pci, capabilities_are_linked_until_space_runs_out)
                                      RUN(pci, snapshot_restores_bars_and_wires))
