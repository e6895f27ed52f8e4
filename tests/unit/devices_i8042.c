/* SPDX-License-Identifier: MIT */
#include "devices/i8042.h"

#include "tests/unit/devices_board.h"

enum { IRQ1, IRQ12, A20 };

struct rig {
    struct board b;  /* wires IRQ1, IRQ12, A20 */
    struct i8042 k;  /* the chip */
    unsigned resets; /* CPU resets asked */
};

static void count_reset(void *opaque)
{
    ((struct rig *)opaque)->resets++;
}

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    board_init(&r->b);
    i8042_init(&r->k, NULL);
    r->k.kbd_irq = board_irq(&r->b, IRQ1);
    r->k.aux_irq = board_irq(&r->b, IRQ12);
    r->k.a20 = board_irq(&r->b, A20);
    r->k.reset_cpu = count_reset;
    r->k.reset_opaque = r;
}

static void command(struct rig *r, uint8_t v)
{
    io_out(&r->k.control, 0x64, 1, v);
}

static void data(struct rig *r, uint8_t v)
{
    io_out(&r->k.data, 0x60, 1, v);
}

static uint8_t status(struct rig *r)
{
    return (uint8_t)io_in(&r->k.control, 0x64, 1);
}

/* The next byte; it must be there. */
static uint8_t get(struct rig *r)
{
    EXPECT(status(r) & 1);
    return (uint8_t)io_in(&r->k.data, 0x60, 1);
}

/* Interrupts on, both devices enabled, translation as firmware leaves it. */
static void ready(struct rig *r)
{
    rig_init(r);
    command(r, 0xAA);
    EXPECT_EQ(0x55, get(r));
    command(r, 0x60);
    data(r, 0x47);
}

TEST(i8042, self_test_answers_55_and_sets_the_system_flag)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x10, status(&r));
    command(&r, 0xAA);
    EXPECT_EQ(0x1D, status(&r));
    EXPECT_EQ(0x55, get(&r));
    EXPECT_EQ(0x1C, status(&r));
    command(&r, 0xAB);
    EXPECT_EQ(0x00, get(&r));
    command(&r, 0xA9);
    EXPECT_EQ(0x00, get(&r));
}

TEST(i8042, command_byte_reads_back_and_disable_bits_follow_commands)
{
    struct rig r;
    ready(&r);
    command(&r, 0x20);
    EXPECT_EQ(0x47, get(&r));
    command(&r, 0xA7);
    command(&r, 0xAD);
    command(&r, 0x20);
    EXPECT_EQ(0x77, get(&r));
    command(&r, 0xA8);
    command(&r, 0xAE);
    command(&r, 0x20);
    EXPECT_EQ(0x47, get(&r));
    command(&r, 0x65);
    data(&r, 0x99);
    command(&r, 0x25);
    EXPECT_EQ(0x99, get(&r));
}

TEST(i8042, keyboard_reset_answers_ack_and_bat)
{
    struct rig r;
    ready(&r);
    data(&r, 0xFF);
    EXPECT(r.b.level[IRQ1]);
    EXPECT_EQ(0xFA, get(&r));
    EXPECT_EQ(2, r.b.rises[IRQ1] + (r.b.level[IRQ1] ? 0 : 1)); /* an edge for each byte */
    EXPECT_EQ(0xAA, get(&r));
    EXPECT(!r.b.level[IRQ1]);
}

TEST(i8042, keyboard_says_it_is_an_mf2_translated_or_not)
{
    struct rig r;
    ready(&r);
    data(&r, 0xF2);
    EXPECT_EQ(0xFA, get(&r));
    EXPECT_EQ(0xAB, get(&r));
    EXPECT_EQ(0x41, get(&r));
    command(&r, 0x60);
    data(&r, 0x07);
    data(&r, 0xF2);
    EXPECT_EQ(0xFA, get(&r));
    EXPECT_EQ(0xAB, get(&r));
    EXPECT_EQ(0x83, get(&r));
}

TEST(i8042, leds_take_a_parameter)
{
    struct rig r;
    ready(&r);
    data(&r, 0xED);
    EXPECT_EQ(0xFA, get(&r));
    data(&r, 0x07);
    EXPECT_EQ(0xFA, get(&r));
    EXPECT_EQ(7, r.k.s.kbd_leds);
    EXPECT_EQ(0, status(&r) & 1);
}

TEST(i8042, unknown_keyboard_command_asks_for_a_resend_and_echo_echoes)
{
    struct rig r;
    ready(&r);
    data(&r, 0xEF);
    EXPECT_EQ(0xFE, get(&r));
    data(&r, 0xEE);
    EXPECT_EQ(0xEE, get(&r));
}

TEST(i8042, keys_are_translated_to_set_1)
{
    struct rig r;
    ready(&r);
    EXPECT(i8042_key(&r.k, 0x1E, true)); /* A */
    EXPECT(i8042_key(&r.k, 0x1E, false));
    EXPECT(i8042_key(&r.k, 0xE048, true)); /* cursor up */
    EXPECT(i8042_key(&r.k, 0xE048, false));
    EXPECT(i8042_key(&r.k, 0x41, true)); /* F7, whose set 2 code is above 7Fh */
    EXPECT_EQ(0x1E, get(&r));
    EXPECT_EQ(0x9E, get(&r));
    EXPECT_EQ(0xE0, get(&r));
    EXPECT_EQ(0x48, get(&r));
    EXPECT_EQ(0xE0, get(&r));
    EXPECT_EQ(0xC8, get(&r));
    EXPECT_EQ(0x41, get(&r));
}

TEST(i8042, without_translation_keys_are_set_2)
{
    struct rig r;
    ready(&r);
    command(&r, 0x60);
    data(&r, 0x07);
    i8042_key(&r.k, 0x1E, true);
    i8042_key(&r.k, 0x1E, false);
    EXPECT_EQ(0x1C, get(&r));
    EXPECT_EQ(0xF0, get(&r));
    EXPECT_EQ(0x1C, get(&r));
    data(&r, 0xF0);
    EXPECT_EQ(0xFA, get(&r));
    data(&r, 0x01);
    EXPECT_EQ(0xFA, get(&r));
    i8042_key(&r.k, 0x1E, false);
    EXPECT_EQ(0x9E, get(&r));
}

TEST(i8042, full_keyboard_buffer_refuses_keys)
{
    struct rig r;
    unsigned n = 0;
    ready(&r);
    while (i8042_key(&r.k, 0x1E, true))
        n++;
    EXPECT(n > 10 && n < I8042_QUEUE);
    while (status(&r) & 1)
        EXPECT_EQ(0x1E, get(&r));
    EXPECT(i8042_key(&r.k, 0x1E, true));
}

TEST(i8042, disabled_keyboard_keeps_its_bytes)
{
    struct rig r;
    ready(&r);
    command(&r, 0xAD);
    i8042_key(&r.k, 0x02, true);
    EXPECT_EQ(0, status(&r) & 1);
    command(&r, 0xAE);
    EXPECT_EQ(0x02, get(&r));
}

TEST(i8042, mouse_answers_reset_with_bat_and_id_on_irq_12)
{
    struct rig r;
    ready(&r);
    command(&r, 0xD4);
    data(&r, 0xFF);
    EXPECT_EQ(0x21, status(&r) & 0x21);
    EXPECT(r.b.level[IRQ12]);
    EXPECT(!r.b.level[IRQ1]);
    EXPECT_EQ(0xFA, get(&r));
    EXPECT_EQ(0xAA, get(&r));
    EXPECT_EQ(0x00, get(&r));
    EXPECT(!r.b.level[IRQ12]);
}

TEST(i8042, mouse_packets_carry_signs_and_buttons)
{
    struct rig r;
    ready(&r);
    i8042_mouse(&r.k, 5, 5, 0); /* not reporting yet: nothing is sent, movement waits */
    EXPECT_EQ(0, status(&r) & 1);
    command(&r, 0xD4);
    data(&r, 0xF6);
    EXPECT_EQ(0xFA, get(&r));
    command(&r, 0xD4);
    data(&r, 0xF4);
    EXPECT_EQ(0xFA, get(&r));
    i8042_mouse(&r.k, -3, 300, 1);
    EXPECT_EQ(0x19, get(&r));
    EXPECT_EQ(0xFD, get(&r));
    EXPECT_EQ(0xFF, get(&r));
    i8042_mouse(&r.k, 0, 0, 0);
    EXPECT_EQ(0x08, get(&r));
    EXPECT_EQ(0, get(&r));
    EXPECT_EQ(45, get(&r));
}

TEST(i8042, aux_loop_returns_the_byte_as_the_mouses)
{
    struct rig r;
    ready(&r);
    command(&r, 0xD3);
    data(&r, 0x5A);
    EXPECT_EQ(0x21, status(&r) & 0x21);
    EXPECT_EQ(0x5A, get(&r));
    command(&r, 0xD2);
    data(&r, 0xA5);
    EXPECT_EQ(0x01, status(&r) & 0x21);
    EXPECT_EQ(0xA5, get(&r));
}

TEST(i8042, output_port_drives_a20_and_reset)
{
    struct rig r;
    ready(&r);
    EXPECT(i8042_a20(&r.k));
    command(&r, 0xD1);
    data(&r, 0xDD);
    EXPECT(!r.b.level[A20]);
    io_out(&r.k.port_a, 0x92, 1, 2); /* either gate opens it */
    EXPECT(r.b.level[A20]);
    EXPECT_EQ(2, io_in(&r.k.port_a, 0x92, 1));
    command(&r, 0xD1);
    data(&r, 0xDF);
    command(&r, 0xD0);
    EXPECT_EQ(0xCF, get(&r));
    EXPECT_EQ(0, r.resets);
    command(&r, 0xD1);
    data(&r, 0xDE);
    EXPECT_EQ(1, r.resets);
}

TEST(i8042, reset_by_pulse_and_by_port_92)
{
    struct rig r;
    ready(&r);
    command(&r, 0xFE);
    EXPECT_EQ(1, r.resets);
    command(&r, 0xFF);
    EXPECT_EQ(1, r.resets);
    io_out(&r.k.port_a, 0x92, 1, 1);
    io_out(&r.k.port_a, 0x92, 1, 1);
    EXPECT_EQ(2, r.resets);
}

TEST(i8042, snapshot_keeps_the_queues)
{
    struct rig r, other;
    ready(&r);
    rig_init(&other);
    i8042_key(&r.k, 0x1E, true);
    i8042_key(&r.k, 0x30, true);
    expect_round_trip(&i8042_ops, &r.k, &other.k);
    EXPECT(other.b.level[IRQ1]);
    EXPECT_EQ(0x1E, get(&other));
    EXPECT_EQ(0x30, get(&other));
}

TEST(i8042, impossible_states_are_refused)
{
    struct rig r, other;
    ready(&r);
    rig_init(&other);
    expect_refused(&i8042_ops, &r.k, &other.k, "kbd_head", 0, I8042_QUEUE);
    expect_refused(&i8042_ops, &r.k, &other.k, "kbd_count", 0, I8042_QUEUE + 1);
    expect_refused(&i8042_ops, &r.k, &other.k, "aux_head", 0, 255);
    expect_refused(&i8042_ops, &r.k, &other.k, "aux_count", 0, 255);
    expect_refused(&i8042_ops, &r.k, &other.k, "kbd_set", 0, 0);
    expect_refused(&i8042_ops, &r.k, &other.k, "out_full", 0, 2);
}

TEST_MAIN(
    RUN(i8042, self_test_answers_55_and_sets_the_system_flag)
        RUN(i8042, command_byte_reads_back_and_disable_bits_follow_commands)
            RUN(i8042, keyboard_reset_answers_ack_and_bat)
                RUN(i8042, keyboard_says_it_is_an_mf2_translated_or_not) RUN(i8042,
                                                                             leds_take_a_parameter)
                    RUN(i8042, unknown_keyboard_command_asks_for_a_resend_and_echo_echoes)
                        RUN(i8042, keys_are_translated_to_set_1)
                            RUN(i8042, without_translation_keys_are_set_2)
                                RUN(i8042, full_keyboard_buffer_refuses_keys)
                                    RUN(i8042, disabled_keyboard_keeps_its_bytes)
                                        RUN(i8042, mouse_answers_reset_with_bat_and_id_on_irq_12)
                                            RUN(i8042, mouse_packets_carry_signs_and_buttons)
                                                RUN(i8042, aux_loop_returns_the_byte_as_the_mouses)
                                                    RUN(i8042, output_port_drives_a20_and_reset)
                                                        RUN(i8042, reset_by_pulse_and_by_port_92)
                                                            RUN(i8042, snapshot_keeps_the_queues)
                                                                RUN(i8042,
                                                                    impossible_states_are_refused))
