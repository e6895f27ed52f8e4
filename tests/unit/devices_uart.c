/* SPDX-License-Identifier: MIT */
#include "devices/uart.h"

#include "tests/unit/devices_board.h"

enum { COM1 = 0x3F8, THR = COM1, IER, FCR, LCR, MCR, LSR, MSR, SCR, IIR = FCR };

struct rig {
    struct board b;   /* clock and wires: INTR is wire 0 */
    struct uart u;    /* the chip */
    uint8_t sent[64]; /* bytes that left */
    unsigned n;       /* of sent[] */
};

static bool take(void *opaque, uint8_t byte)
{
    struct rig *r = opaque;
    if (r->n < sizeof(r->sent))
        r->sent[r->n++] = byte;
    return true;
}

static void out(struct rig *r, uint64_t port, uint8_t v)
{
    io_out(&r->u.io, port, 1, v);
}

static uint8_t in(struct rig *r, uint64_t port)
{
    return (uint8_t)io_in(&r->u.io, port, 1);
}

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    board_init(&r->b);
    uart_init(&r->u, &r->b.queue, NULL, COM1);
    r->u.irq = board_irq(&r->b, 0);
    r->u.tx = take;
    r->u.tx_opaque = r;
    r->u.speedup = 1;
}

/* 115200 baud, 8N1, FIFOs on with trigger 8, DTR RTS OUT2: 86805 ns for a character. */
enum { CHARACTER = 86805 };
static void as_linux_does(struct rig *r)
{
    rig_init(r);
    out(r, LCR, 0x80);
    out(r, THR, 1);
    out(r, IER, 0);
    out(r, LCR, 3);
    out(r, FCR, 0x81);
    out(r, MCR, 0x0B);
}

TEST(uart, reset_values_are_the_datasheets)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0x00, in(&r, IER));
    EXPECT_EQ(0x01, in(&r, IIR));
    EXPECT_EQ(0x00, in(&r, LCR));
    EXPECT_EQ(0x00, in(&r, MCR));
    EXPECT_EQ(0x60, in(&r, LSR));
    EXPECT_EQ(0xB0, in(&r, MSR));
}

TEST(uart, divisor_latch_hides_data_and_interrupt_enable)
{
    struct rig r;
    rig_init(&r);
    out(&r, LCR, 0x83);
    out(&r, THR, 0x34);
    out(&r, IER, 0x12);
    EXPECT_EQ(0x34, in(&r, THR));
    EXPECT_EQ(0x12, in(&r, IER));
    out(&r, LCR, 0x03);
    EXPECT_EQ(0, in(&r, IER));
    EXPECT_EQ(0, r.n);
    out(&r, SCR, 0x5A);
    EXPECT_EQ(0x5A, in(&r, SCR));
}

TEST(uart, character_takes_ten_bit_times)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, THR, 'A');
    EXPECT_EQ(0x20, in(&r, LSR)); /* moved on to the shift register */
    board_advance(&r.b, CHARACTER - 1);
    EXPECT_EQ(0, r.n);
    EXPECT_EQ(0x20, in(&r, LSR));
    board_advance(&r.b, 1);
    EXPECT_EQ(1, r.n);
    EXPECT_EQ('A', r.sent[0]);
    EXPECT_EQ(0x60, in(&r, LSR));
}

TEST(uart, speedup_divides_the_character_time)
{
    struct rig r;
    as_linux_does(&r);
    r.u.speedup = UART_SPEEDUP;
    out(&r, THR, 'A');
    board_advance(&r.b, CHARACTER / UART_SPEEDUP);
    EXPECT_EQ(1, r.n);
}

TEST(uart, fifo_holds_sixteen_and_one_is_on_the_wire)
{
    struct rig r;
    as_linux_does(&r);
    for (uint8_t i = 0; i < 17; i++)
        out(&r, THR, i);
    EXPECT_EQ(0x00, in(&r, LSR) & 0x60);
    board_advance(&r.b, 17 * (CHARACTER + 1));
    EXPECT_EQ(17, r.n);
    for (unsigned i = 0; i < 17; i++)
        EXPECT_EQ(i, r.sent[i]);
}

TEST(uart, drain_hands_over_what_the_wire_still_holds_and_changes_nothing)
{
    struct rig r;
    uint8_t before[sizeof(struct uart_state)], after[sizeof(struct uart_state)];
    as_linux_does(&r);
    for (uint8_t i = 0; i < 3; i++)
        out(&r, THR, i);
    fields_store(uart_state_fields, &r.u.s, before);
    uart_drain(&r.u);
    fields_store(uart_state_fields, &r.u.s, after);
    EXPECT_EQ(3, r.n);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(i, r.sent[i]);
    assert_memory_equal(before, after, fields_bytes(uart_state_fields));
}

TEST(uart, transmit_interrupt_comes_when_thr_empties_and_reading_iir_clears_it)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, IER, 2); /* THR is empty now: at once */
    EXPECT(r.b.level[0]);
    EXPECT_EQ(0xC2, in(&r, IIR));
    EXPECT(!r.b.level[0]);
    EXPECT_EQ(0xC1, in(&r, IIR));
    out(&r, THR, 'x');
    out(&r, THR, 'y');
    EXPECT(!r.b.level[0]);
    board_advance(&r.b, CHARACTER);
    EXPECT(r.b.level[0]);
    out(&r, THR, 'z'); /* writing THR clears it too */
    EXPECT(!r.b.level[0]);
}

TEST(uart, out2_gates_the_interrupt)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, MCR, 0x03);
    out(&r, IER, 2);
    EXPECT(!r.b.level[0]);
    out(&r, MCR, 0x0B);
    EXPECT(r.b.level[0]);
}

TEST(uart, receive_interrupt_comes_at_the_trigger_level)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, IER, 1);
    for (uint8_t i = 0; i < 7; i++)
        uart_receive(&r.u, i);
    EXPECT(!r.b.level[0]);
    uart_receive(&r.u, 7);
    EXPECT(r.b.level[0]);
    EXPECT_EQ(0xC4, in(&r, IIR));
    EXPECT_EQ(0, in(&r, THR));
    EXPECT(!r.b.level[0]); /* below the level again */
    EXPECT_EQ(8 + 1, uart_can_receive(&r.u));
}

TEST(uart, lonely_byte_raises_the_timeout_after_four_characters)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, IER, 1);
    uart_receive(&r.u, 'k');
    board_advance(&r.b, 4 * CHARACTER - 1);
    EXPECT(!r.b.level[0]);
    board_advance(&r.b, 1);
    EXPECT(r.b.level[0]);
    EXPECT_EQ(0xCC, in(&r, IIR));
    EXPECT_EQ('k', in(&r, THR));
    EXPECT(!r.b.level[0]);
    EXPECT_EQ(0xC1, in(&r, IIR));
}

TEST(uart, overrun_keeps_the_fifo_and_reading_lsr_clears_it)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, IER, 4);
    for (unsigned i = 0; i < 17; i++)
        uart_receive(&r.u, (uint8_t)i);
    EXPECT_EQ(0, uart_can_receive(&r.u));
    EXPECT(r.b.level[0]);
    EXPECT_EQ(0xC6, in(&r, IIR));
    EXPECT_EQ(0x63, in(&r, LSR));
    EXPECT(!r.b.level[0]);
    EXPECT_EQ(0x61, in(&r, LSR));
    for (unsigned i = 0; i < 16; i++)
        EXPECT_EQ(i, in(&r, THR));
    EXPECT_EQ(0x60, in(&r, LSR));
}

TEST(uart, without_fifos_a_second_byte_overwrites_the_first)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, FCR, 0);
    uart_receive(&r.u, 'a');
    uart_receive(&r.u, 'b');
    EXPECT_EQ(0x63, in(&r, LSR));
    EXPECT_EQ('b', in(&r, THR));
    EXPECT_EQ(0x01, in(&r, IIR)); /* and IIR says there are no FIFOs */
}

TEST(uart, break_shows_with_its_character_only)
{
    struct rig r;
    as_linux_does(&r);
    uart_receive(&r.u, 'a');
    uart_receive_break(&r.u);
    EXPECT_EQ(0xE1, in(&r, LSR)); /* an error somewhere in the FIFO */
    EXPECT_EQ('a', in(&r, THR));
    EXPECT_EQ(0xF1, in(&r, LSR));
    EXPECT_EQ(0x61, in(&r, LSR));
    EXPECT_EQ(0, in(&r, THR));
}

TEST(uart, loopback_returns_data_and_modem_lines)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, MCR, 0x1A);
    EXPECT_EQ(0x90, in(&r, MSR) & 0xF0); /* what Linux' autoconfiguration wants to see */
    EXPECT_EQ(0, uart_can_receive(&r.u));
    out(&r, THR, 0xA5);
    board_advance(&r.b, CHARACTER);
    EXPECT_EQ(0xA5, in(&r, THR));
    EXPECT_EQ(0, r.n);
    uart_receive(&r.u, 1); /* the line is cut off */
    EXPECT_EQ(0x60, in(&r, LSR));
}

TEST(uart, modem_change_interrupts_and_reading_msr_clears_it)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, IER, 8);
    out(&r, MCR, 0x18); /* RTS and DTR low in loopback: CTS and DSR fall, DCD stays by OUT2 */
    EXPECT(r.b.level[0]);
    EXPECT_EQ(0xC0, in(&r, IIR));
    EXPECT_EQ(0x83, in(&r, MSR));
    EXPECT(!r.b.level[0]);
    EXPECT_EQ(0x80, in(&r, MSR));
}

TEST(uart, fifo_control_clears_its_fifos)
{
    struct rig r;
    as_linux_does(&r);
    uart_receive(&r.u, 1);
    for (unsigned i = 0; i < 5; i++)
        out(&r, THR, 'q');
    out(&r, FCR, 0x87);
    EXPECT_EQ(0x20, in(&r, LSR)); /* the one on the wire goes on */
    board_advance(&r.b, 10 * CHARACTER);
    EXPECT_EQ(1, r.n);
}

TEST(uart, divisor_zero_is_survived)
{
    struct rig r;
    as_linux_does(&r);
    out(&r, LCR, 0x83);
    out(&r, THR, 0);
    out(&r, LCR, 0x03);
    out(&r, THR, 'A');
    board_advance(&r.b, 65536 * (vtime)(CHARACTER + 1));
    EXPECT_EQ(1, r.n);
}

TEST(uart, snapshot_in_the_middle_of_a_transfer_goes_on_elsewhere)
{
    struct rig r, other;
    as_linux_does(&r);
    rig_init(&other);
    out(&r, THR, '1');
    out(&r, THR, '2');
    uart_receive(&r.u, '3');
    board_advance(&r.b, 1000);
    other.b.now = r.b.now;
    expect_round_trip(&uart_ops, &r.u, &other.u);
    board_advance(&other.b, 2 * (CHARACTER + 1));
    EXPECT_EQ(2, other.n);
    EXPECT_EQ('2', other.sent[1]);
    EXPECT_EQ('3', in(&other, THR));
}

TEST(uart, impossible_states_are_refused)
{
    struct rig r, other;
    as_linux_does(&r);
    rig_init(&other);
    expect_refused(&uart_ops, &r.u, &other.u, "rx_head", 0, 16);
    expect_refused(&uart_ops, &r.u, &other.u, "rx_count", 0, 17);
    expect_refused(&uart_ops, &r.u, &other.u, "tx_head", 0, 255);
    expect_refused(&uart_ops, &r.u, &other.u, "tx_count", 0, 1);
    expect_refused(&uart_ops, &r.u, &other.u, "is_shifting", 0, 1);
    expect_refused(&uart_ops, &r.u, &other.u, "fcr", 0, 0xFF);
}

TEST_MAIN(
    RUN(uart, drain_hands_over_what_the_wire_still_holds_and_changes_nothing)
            RUN(uart, reset_values_are_the_datasheets) RUN(uart,
                                                   divisor_latch_hides_data_and_interrupt_enable)
        RUN(uart, character_takes_ten_bit_times) RUN(uart, speedup_divides_the_character_time) RUN(
            uart, fifo_holds_sixteen_and_one_is_on_the_wire)
            RUN(uart, transmit_interrupt_comes_when_thr_empties_and_reading_iir_clears_it) RUN(
                uart, out2_gates_the_interrupt) RUN(uart,
                                                    receive_interrupt_comes_at_the_trigger_level)
                RUN(uart, lonely_byte_raises_the_timeout_after_four_characters)
                    RUN(uart, overrun_keeps_the_fifo_and_reading_lsr_clears_it)
                        RUN(uart, without_fifos_a_second_byte_overwrites_the_first)
                            RUN(uart, break_shows_with_its_character_only)
                                RUN(uart, loopback_returns_data_and_modem_lines) RUN(
                                    uart, modem_change_interrupts_and_reading_msr_clears_it)
                                    RUN(uart,
                                        fifo_control_clears_its_fifos) RUN(uart,
                                                                           divisor_zero_is_survived)
                                        RUN(uart,
                                            snapshot_in_the_middle_of_a_transfer_goes_on_elsewhere)
                                            RUN(uart, impossible_states_are_refused))
