/* SPDX-License-Identifier: MIT */
#include "devices/i440fx.h"

#include "tests/unit/devices_board.h"

struct rig {
    struct i440fx h;    /* the chip */
    unsigned calls;     /* of pam */
    paddr base;         /* last pam call */
    uint64_t size;      /* last pam call */
    bool reads, writes; /* last pam call */
    uint8_t smram;      /* last smram call */
};

static void pam(void *opaque, paddr base, uint64_t size, bool reads_ram, bool writes_ram)
{
    struct rig *r = opaque;
    r->calls++;
    r->base = base;
    r->size = size;
    r->reads = reads_ram;
    r->writes = writes_ram;
}

static void smram(void *opaque, uint8_t v)
{
    ((struct rig *)opaque)->smram = v;
}

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    i440fx_init(&r->h);
    r->h.pam = pam;
    r->h.smram = smram;
    r->h.opaque = r;
    i440fx_ops.reset(&r->h);
    r->calls = 0;
}

TEST(i440fx, is_an_82441fx)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x12378086, pci_config_read(&r.h.pci, 0, 4));
    EXPECT_EQ(0x06000002, pci_config_read(&r.h.pci, 8, 4));
}

TEST(i440fx, pam_switches_exactly_the_areas_that_change)
{
    struct rig r;
    rig_init(&r);
    pci_config_write(&r.h.pci, 0x59, 1, 0x30); /* F0000h: RAM */
    EXPECT_EQ(1, r.calls);
    EXPECT_EQ(0xF0000, r.base);
    EXPECT_EQ(0x10000, r.size);
    EXPECT(r.reads && r.writes);
    pci_config_write(&r.h.pci, 0x59, 1, 0x1F); /* read only; the low half has no bits */
    EXPECT_EQ(2, r.calls);
    EXPECT(r.reads && !r.writes);
    EXPECT_EQ(0x10, pci_config_read(&r.h.pci, 0x59, 1));
    pci_config_write(&r.h.pci, 0x5F, 1, 0x20); /* EC000h: writes to RAM */
    EXPECT_EQ(3, r.calls);
    EXPECT_EQ(0xEC000, r.base);
    EXPECT_EQ(0x4000, r.size);
    EXPECT(!r.reads && r.writes);
    pci_config_write(&r.h.pci, 0x5A, 4, 0x33333333); /* C0000h-DFFFFh */
    EXPECT_EQ(11, r.calls);
}

TEST(i440fx, smram_lock_holds_until_reset)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x02, pci_config_read(&r.h.pci, 0x72, 1));
    pci_config_write(&r.h.pci, 0x72, 1, 0x48);
    EXPECT_EQ(0x4A, r.smram);
    pci_config_write(&r.h.pci, 0x72, 1, 0x58);
    EXPECT_EQ(0x1A, r.smram);
    pci_config_write(&r.h.pci, 0x72, 1, 0x60);
    EXPECT_EQ(0x3A, pci_config_read(&r.h.pci, 0x72, 1));
    i440fx_ops.reset(&r.h);
    EXPECT_EQ(0x02, r.smram);
    pci_config_write(&r.h.pci, 0x72, 1, 0x40);
    EXPECT_EQ(0x42, r.smram);
}

TEST(i440fx, snapshot_replays_the_switches)
{
    struct rig r, other;
    rig_init(&r);
    rig_init(&other);
    pci_config_write(&r.h.pci, 0x59, 1, 0x30);
    pci_config_write(&r.h.pci, 0x72, 1, 0x18);
    expect_round_trip(&i440fx_ops, &r.h, &other.h);
    EXPECT_EQ(1, other.calls);
    EXPECT_EQ(0xF0000, other.base);
    pci_config_write(&other.h.pci, 0x72, 1, 0x40);
    EXPECT_EQ(0x1A, other.smram);
    expect_refused(&i440fx_ops, &r.h, &other.h, "config", 2, 0);
}

TEST_MAIN(RUN(i440fx, is_an_82441fx) RUN(i440fx, pam_switches_exactly_the_areas_that_change)
              RUN(i440fx, smram_lock_holds_until_reset) RUN(i440fx, snapshot_replays_the_switches))
