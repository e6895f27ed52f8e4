/* SPDX-License-Identifier: MIT */
#include "devices/lapic.h"

#include "devices/apic_bus.h"
#include "tests/unit/devices_board.h"

/* What the LAPIC asked for, per LAPIC. */
struct asked {
    struct apic_bus *bus; /* for send */
    unsigned nmi;         /* NMIs */
    unsigned init;        /* INITs */
    int sipi;             /* last start-up vector, or -1 */
    int eoi;              /* last broadcast vector, or -1 */
    unsigned pending;     /* calls of interrupt_pending */
};

struct apics {
    struct board b;        /* clock */
    struct apic_bus bus;   /* between them */
    struct lapic l[4];     /* LAPICs 0-3 */
    struct asked asked[4]; /* by each */
};

static bool on_send(void *opaque, const struct apic_message *m)
{
    return apic_bus_deliver(((struct asked *)opaque)->bus, m);
}

static void on_nmi(void *opaque)
{
    ((struct asked *)opaque)->nmi++;
}

static void on_init(void *opaque)
{
    ((struct asked *)opaque)->init++;
}

static void on_sipi(void *opaque, uint8_t vector)
{
    ((struct asked *)opaque)->sipi = vector;
}

static void on_eoi(void *opaque, uint8_t vector)
{
    ((struct asked *)opaque)->eoi = vector;
}

static void on_pending(void *opaque)
{
    ((struct asked *)opaque)->pending++;
}

static struct lapic *apics_init(struct apics *a)
{
    memset(a, 0, sizeof(*a));
    board_init(&a->b);
    for (unsigned i = 0; i < 4; i++) {
        a->asked[i] = (struct asked){.bus = &a->bus, .sipi = -1, .eoi = -1};
        struct lapic_config c = {.apic_id = i,
                                 .is_bsp = i == 0,
                                 .has_x2apic = true,
                                 .has_deadline = true,
                                 .phys_bits = 40,
                                 .bus_hz = 1000000000,
                                 .tsc_hz = 3000000000u};
        struct lapic_host h = {.opaque = &a->asked[i],
                               .send = on_send,
                               .interrupt_pending = on_pending,
                               .nmi = on_nmi,
                               .init = on_init,
                               .sipi = on_sipi,
                               .eoi_broadcast = on_eoi};
        lapic_init(&a->l[i], &a->b.queue, &c, &h, NULL);
        apic_bus_add(&a->bus, &a->l[i]);
        lapic_mmio_write(&a->l[i], 0xf0, 4, 0x1ff);
    }
    return &a->l[0];
}

static void wr(struct lapic *l, uint32_t offset, uint32_t v)
{
    lapic_mmio_write(l, offset, 4, v);
}

static uint32_t rd(struct lapic *l, uint32_t offset)
{
    return (uint32_t)lapic_mmio_read(l, offset, 4);
}

static bool fixed(struct apics *a, uint32_t dest, uint8_t vector, bool level)
{
    struct apic_message m = {
        .dest = dest, .vector = vector, .level_trigger = level, .assert = true};
    return apic_bus_deliver(&a->bus, &m);
}

TEST(lapic, reset_values_are_those_of_the_manual)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    lapic_ops.reset(l);
    EXPECT_EQ(0x01050014, rd(l, 0x30));
    EXPECT_EQ(0xff, rd(l, 0xf0));
    EXPECT_EQ(0xffffffff, rd(l, 0xe0));
    EXPECT_EQ(0x10000, rd(l, 0x320));
    uint64_t v;
    EXPECT(lapic_msr_read(l, 0x1b, &v));
    EXPECT_EQ(0xfee00900, v);
    EXPECT(lapic_msr_read(&a.l[1], 0x1b, &v));
    EXPECT_EQ(0xfee00800, v);
    EXPECT_EQ(0x01000000, rd(&a.l[1], 0x20));
}

TEST(lapic, only_a_higher_class_interrupts)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    EXPECT(fixed(&a, 0, 0x45, false));
    EXPECT_EQ(0x45, lapic_highest_pending(l));
    EXPECT_EQ(1, a.asked[0].pending > 0);
    lapic_acknowledge(l, 0x45);
    EXPECT_EQ(0x40, rd(l, 0xa0));
    fixed(&a, 0, 0x4f, false);
    EXPECT_EQ(-1, lapic_highest_pending(l));
    fixed(&a, 0, 0x51, false);
    EXPECT_EQ(0x51, lapic_highest_pending(l));
    lapic_set_cr8(l, 5);
    EXPECT_EQ(-1, lapic_highest_pending(l));
    EXPECT_EQ(0x50, rd(l, 0x80));
    wr(l, 0x80, 0);
    EXPECT_EQ(0x51, lapic_highest_pending(l));
    lapic_acknowledge(l, 0x51);
    wr(l, 0xb0, 0);
    EXPECT_EQ(-1, lapic_highest_pending(l));
    wr(l, 0xb0, 0);
    EXPECT_EQ(0x4f, lapic_highest_pending(l));
}

TEST(lapic, eoi_of_a_level_interrupt_is_broadcast_unless_suppressed)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    fixed(&a, 0, 0x61, true);
    lapic_acknowledge(l, 0x61);
    EXPECT_EQ(1u << 1, rd(l, 0x180 + 0x30));
    wr(l, 0xb0, 0);
    EXPECT_EQ(0x61, a.asked[0].eoi);
    fixed(&a, 0, 0x62, false);
    lapic_acknowledge(l, 0x62);
    wr(l, 0xb0, 0);
    EXPECT_EQ(0x61, a.asked[0].eoi);
    wr(l, 0xf0, 0x11ff);
    fixed(&a, 0, 0x63, true);
    lapic_acknowledge(l, 0x63);
    wr(l, 0xb0, 0);
    EXPECT_EQ(0x61, a.asked[0].eoi);
}

TEST(lapic, software_disabled_refuses_vectors_but_not_nmi)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0xf0, 0xff);
    EXPECT(!fixed(&a, 0, 0x45, false));
    struct apic_message m = {.dest = 0, .delivery = APIC_NMI, .assert = true};
    EXPECT(apic_bus_deliver(&a.bus, &m));
    EXPECT_EQ(1, a.asked[0].nmi);
    wr(l, 0x350, 0x700);
    EXPECT_EQ(0x10700, rd(l, 0x350));
}

TEST(lapic, one_shot_timer_fires_once_after_count_times_divisor)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0x3e0, 3); /* divide by 16 */
    wr(l, 0x320, 0x40);
    wr(l, 0x380, 1000);
    board_advance(&a.b, 1600);
    EXPECT_EQ(900, rd(l, 0x390));
    board_advance(&a.b, 14399);
    EXPECT_EQ(-1, lapic_highest_pending(l));
    EXPECT_EQ(1, rd(l, 0x390));
    board_advance(&a.b, 1);
    EXPECT_EQ(0x40, lapic_highest_pending(l));
    EXPECT_EQ(0, rd(l, 0x390));
    EXPECT_EQ(VTIME_NEVER, a.b.queue.next);
}

TEST(lapic, periodic_timer_does_not_drift)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    l->config.bus_hz = 333333333; /* a period is no whole number of ns */
    wr(l, 0x3e0, 0xb);
    wr(l, 0x320, 0x20040);
    wr(l, 0x380, 1000);
    unsigned count = 0;
    for (unsigned i = 0; i < 3100000; i += 100) {
        board_advance(&a.b, 100);
        if (lapic_highest_pending(l) == 0x40) {
            lapic_acknowledge(l, 0x40);
            wr(l, 0xb0, 0);
            count++;
        }
    }
    EXPECT_EQ(3100000ull * 333333333 / 1000000000 / 1000, count);
}

TEST(lapic, masked_timer_counts_without_interrupting)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0x3e0, 0xb);
    wr(l, 0x320, 0x10040);
    wr(l, 0x380, 0xffffffff);
    board_advance(&a.b, 10000000);
    EXPECT_EQ(0xffffffff - 10000000, rd(l, 0x390));
    EXPECT_EQ(VTIME_NEVER, a.b.queue.next);
}

TEST(lapic, tsc_deadline_fires_and_clears_the_msr)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    uint64_t v;
    EXPECT(lapic_msr_write(l, 0x6e0, 500)); /* ignored in another mode */
    EXPECT(lapic_msr_read(l, 0x6e0, &v));
    EXPECT_EQ(0, v);
    wr(l, 0x320, 0x40041);
    EXPECT(lapic_msr_write(l, 0x6e0, 3001));
    board_advance(&a.b, 1000); /* TSC 3000 */
    EXPECT_EQ(-1, lapic_highest_pending(l));
    EXPECT(lapic_msr_read(l, 0x6e0, &v));
    EXPECT_EQ(3001, v);
    board_advance(&a.b, 1);
    EXPECT_EQ(0x41, lapic_highest_pending(l));
    EXPECT(lapic_msr_read(l, 0x6e0, &v));
    EXPECT_EQ(0, v);
    lapic_acknowledge(l, 0x41);
    wr(l, 0xb0, 0);
    lapic_msr_write(l, 0x6e0, 5); /* in the past */
    board_advance(&a.b, 0);
    EXPECT_EQ(0x41, lapic_highest_pending(l));
}

TEST(lapic, deadline_that_passes_masked_is_lost)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    uint64_t v;
    wr(l, 0x320, 0x50041);
    lapic_msr_write(l, 0x6e0, 3000);
    board_advance(&a.b, 2000);
    EXPECT(lapic_msr_read(l, 0x6e0, &v));
    EXPECT_EQ(0, v);
    wr(l, 0x320, 0x40041);
    board_advance(&a.b, 2000);
    EXPECT_EQ(-1, lapic_highest_pending(l));
}

TEST(lapic, init_and_startup_reach_the_others)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0x310, 2u << 24);
    wr(l, 0x300, 0xc500); /* INIT, level, assert */
    wr(l, 0x300, 0x8500); /* INIT level de-assert: nothing */
    wr(l, 0x300, 0x0699);
    EXPECT_EQ(1, a.asked[2].init);
    EXPECT_EQ(0x99, a.asked[2].sipi);
    EXPECT_EQ(-1, a.asked[1].sipi);
    wr(l, 0x300, 0xc0400); /* NMI to all but self */
    EXPECT_EQ(0, a.asked[0].nmi);
    EXPECT_EQ(1, a.asked[1].nmi);
    EXPECT_EQ(1, a.asked[3].nmi);
}

TEST(lapic, logical_destinations_flat_and_cluster)
{
    struct apics a;
    apics_init(&a);
    struct apic_message m = {.dest = 0x06, .logical = true, .vector = 0x30, .assert = true};
    for (unsigned i = 0; i < 4; i++)
        wr(&a.l[i], 0xd0, 0x01000000u << i);
    apic_bus_deliver(&a.bus, &m);
    EXPECT_EQ(-1, lapic_highest_pending(&a.l[0]));
    EXPECT_EQ(0x30, lapic_highest_pending(&a.l[1]));
    EXPECT_EQ(0x30, lapic_highest_pending(&a.l[2]));
    for (unsigned i = 0; i < 4; i++) {
        wr(&a.l[i], 0xe0, 0x0fffffff);
        wr(&a.l[i], 0xd0, ((i / 2) << 4 | 1u << (i % 2)) << 24);
    }
    m.dest = 0x12; /* cluster 1, second member: APIC 3 */
    m.vector = 0x50;
    apic_bus_deliver(&a.bus, &m);
    EXPECT_EQ(0x50, lapic_highest_pending(&a.l[3]));
    EXPECT_EQ(0x30, lapic_highest_pending(&a.l[2]));
    m.dest = APIC_BROADCAST;
    m.vector = 0x60;
    apic_bus_deliver(&a.bus, &m);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(0x60, lapic_highest_pending(&a.l[i]));
}

TEST(lapic, lowest_priority_goes_to_one_of_the_least_busy)
{
    struct apics a;
    apics_init(&a);
    lapic_set_cr8(&a.l[0], 3);
    lapic_set_cr8(&a.l[1], 2);
    lapic_set_cr8(&a.l[3], 2);
    lapic_set_cr8(&a.l[2], 4);
    struct apic_message m = {
        .dest = APIC_BROADCAST, .delivery = APIC_LOWEST, .vector = 0x71, .assert = true};
    EXPECT(apic_bus_deliver(&a.bus, &m));
    EXPECT_EQ(0x71, lapic_highest_pending(&a.l[3]));
    EXPECT_EQ(-1, lapic_highest_pending(&a.l[1]));
    m.vector = 0x72;
    EXPECT(apic_bus_deliver(&a.bus, &m));
    EXPECT_EQ(0x72, lapic_highest_pending(&a.l[1]));
}

TEST(lapic, x2apic_transitions_follow_the_state_diagram)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    paddr base;
    EXPECT(lapic_mmio_base(l, &base));
    EXPECT_EQ(0xfee00000, base);
    EXPECT(!lapic_msr_write(l, 0x1b, 0xfee00500)); /* EXTD without EN */
    EXPECT(!lapic_msr_write(l, 0x1b, 0xfee00901)); /* reserved */
    EXPECT(lapic_msr_write(l, 0x1b, 0xfee00d00));
    EXPECT(!lapic_mmio_base(l, &base));
    EXPECT(!lapic_msr_write(l, 0x1b, 0xfee00900)); /* no way back to xAPIC */
    EXPECT(lapic_msr_write(l, 0x1b, 0xfee00100));
    EXPECT(lapic_accepts_extint(l));
    EXPECT(!lapic_msr_write(l, 0x1b, 0xfee00d00)); /* nor from off to x2APIC */
    EXPECT(lapic_msr_write(l, 0x1b, 0xfee00900));
    EXPECT_EQ(0xff, rd(l, 0xf0));
}

TEST(lapic, x2apic_registers_fault_where_the_manual_says)
{
    struct apics a;
    apics_init(&a);
    struct lapic *l = &a.l[3];
    uint64_t v = 77;
    EXPECT(!lapic_msr_read(l, 0x802, &v));
    EXPECT_EQ(77, v);
    EXPECT(lapic_msr_write(l, 0x1b, 0xfee00c00));
    EXPECT(lapic_msr_read(l, 0x802, &v));
    EXPECT_EQ(3, v);
    EXPECT(lapic_msr_read(l, 0x80d, &v));
    EXPECT_EQ(8, v);
    EXPECT(!lapic_msr_write(l, 0x802, 1));
    EXPECT(!lapic_msr_read(l, 0x80b, &v));
    EXPECT(!lapic_msr_read(l, 0x80e, &v));
    EXPECT(!lapic_msr_read(l, 0x831, &v));
    EXPECT(!lapic_msr_read(l, 0x83f, &v));
    EXPECT(!lapic_msr_read(l, 0x840, &v));
    EXPECT(!lapic_msr_write(l, 0x80b, 1));
    EXPECT(lapic_msr_write(l, 0x80b, 0));
    EXPECT(!lapic_msr_write(l, 0x828, 1));
    EXPECT(!lapic_msr_write(l, 0x808, 0x100));
    EXPECT(!lapic_msr_write(l, 0x839, 0));
    EXPECT(lapic_msr_write(l, 0x83f, 0x66));
    EXPECT_EQ(0x66, lapic_highest_pending(l));
    EXPECT(lapic_msr_write(l, 0x830, 0x00000002000000c5));
    EXPECT_EQ(0xc5, lapic_highest_pending(&a.l[2]));
    EXPECT(lapic_msr_write(l, 0x830, 0x00000007000008d5)); /* logical, cluster 0, members 0-2 */
    EXPECT_EQ(-1, lapic_highest_pending(&a.l[0]));         /* xAPIC with LDR 0 */
    EXPECT(lapic_msr_write(&a.l[1], 0x1b, 0xfee00c00));
    EXPECT(lapic_msr_write(l, 0x830, 0x00000007000008d5));
    EXPECT_EQ(0xd5, lapic_highest_pending(&a.l[1]));
    EXPECT_EQ(0x66, lapic_highest_pending(l));
}

TEST(lapic, errors_are_latched_by_a_write_to_esr)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0x370, 0xfe);
    wr(l, 0x300, 0x40005); /* self IPI with vector 5 */
    EXPECT_EQ(0, rd(l, 0x280));
    EXPECT_EQ(0xfe, lapic_highest_pending(l));
    wr(l, 0x280, 0);
    EXPECT_EQ(0x20, rd(l, 0x280));
    fixed(&a, 0, 3, false);
    (void)rd(l, 0x3f0);
    wr(l, 0x280, 0);
    EXPECT_EQ(0xc0, rd(l, 0x280));
    wr(l, 0x280, 0);
    EXPECT_EQ(0, rd(l, 0x280));
}

TEST(lapic, virtual_wire_lets_the_8259_through)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    EXPECT(!lapic_accepts_extint(l));
    lapic_set_virtual_wire(l);
    EXPECT(lapic_accepts_extint(l));
    unsigned before = a.asked[0].pending;
    lapic_set_lint(l, 0, true);
    EXPECT_EQ(before + 1, a.asked[0].pending);
    lapic_set_lint(l, 1, true);
    EXPECT_EQ(1, a.asked[0].nmi);
    wr(l, 0x350, 0x10700);
    EXPECT(!lapic_accepts_extint(l));
}

TEST(lapic, level_lint0_interrupts_again_until_the_pin_falls)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0x350, 0x8055);
    lapic_set_lint(l, 0, true);
    EXPECT_EQ(0x55, lapic_highest_pending(l));
    lapic_acknowledge(l, 0x55);
    EXPECT_EQ(0xc055, rd(l, 0x350));
    wr(l, 0xb0, 0);
    EXPECT_EQ(0x55, lapic_highest_pending(l));
    lapic_acknowledge(l, 0x55);
    lapic_set_lint(l, 0, false);
    wr(l, 0xb0, 0);
    EXPECT_EQ(-1, lapic_highest_pending(l));
    EXPECT_EQ(0x8055, rd(l, 0x350));
}

TEST(lapic, msi_address_and_data_become_a_message)
{
    struct apic_message m = apic_message_from_msi(0xfee0300c, 0x4151);
    EXPECT_EQ(3, m.dest);
    EXPECT_EQ(0x51, m.vector);
    EXPECT_EQ(APIC_LOWEST, m.delivery);
    EXPECT(m.logical);
    EXPECT(m.assert);
    EXPECT(!m.level_trigger);
    EXPECT_EQ(APIC_BROADCAST, apic_message_from_msi(0xfeeff000, 0x51).dest);
}

TEST(lapic, snapshot_re_arms_the_timer)
{
    struct apics a;
    struct lapic *l = apics_init(&a);
    wr(l, 0x3e0, 0xb);
    wr(l, 0x320, 0x20040);
    wr(l, 0x380, 1000);
    board_advance(&a.b, 1500);
    lapic_acknowledge(l, 0x40);
    lapic_ops.reset(&a.l[1]);
    expect_round_trip(&lapic_ops, l, &a.l[1]);
    EXPECT_EQ(rd(l, 0x390), rd(&a.l[1], 0x390));
    EXPECT_EQ(a.l[0].timer.when, a.l[1].timer.when);
    expect_refused(&lapic_ops, l, &a.l[2], "apic_base", 0, 0xfee00400);
    expect_refused(&lapic_ops, l, &a.l[2], "irr", 0, 1);
    expect_refused(&lapic_ops, l, &a.l[2], "divide", 0, 4);
}

TEST_MAIN(
    RUN(lapic, reset_values_are_those_of_the_manual) RUN(lapic, only_a_higher_class_interrupts)
        RUN(lapic, eoi_of_a_level_interrupt_is_broadcast_unless_suppressed) RUN(
            lapic, software_disabled_refuses_vectors_but_not_nmi)
            RUN(lapic, one_shot_timer_fires_once_after_count_times_divisor) RUN(
                lapic, periodic_timer_does_not_drift) RUN(lapic,
                                                          masked_timer_counts_without_interrupting)
                RUN(lapic, tsc_deadline_fires_and_clears_the_msr)
                    RUN(lapic,
                        deadline_that_passes_masked_is_lost) RUN(lapic,
                                                                 init_and_startup_reach_the_others)
                        RUN(lapic, logical_destinations_flat_and_cluster)
                            RUN(lapic, lowest_priority_goes_to_one_of_the_least_busy)
                                RUN(lapic, x2apic_transitions_follow_the_state_diagram)
                                    RUN(lapic, x2apic_registers_fault_where_the_manual_says)
                                        RUN(lapic, errors_are_latched_by_a_write_to_esr)
                                            RUN(lapic, virtual_wire_lets_the_8259_through) RUN(
                                                lapic,
                                                level_lint0_interrupts_again_until_the_pin_falls)
                                                RUN(lapic, msi_address_and_data_become_a_message)
                                                    RUN(lapic, snapshot_re_arms_the_timer))
