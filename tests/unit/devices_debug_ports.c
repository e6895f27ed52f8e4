/* SPDX-License-Identifier: MIT */
#include "devices/debug_ports.h"

#include "tests/unit/devices_board.h"

static void put(void *opaque, uint8_t byte)
{
    *(uint8_t *)opaque = byte;
}

static void leave(void *opaque, uint32_t code)
{
    *(uint32_t *)opaque = code;
}

TEST(debug_ports, console_says_it_is_there_and_passes_bytes)
{
    struct debug_ports d;
    uint8_t last = 0;
    debug_ports_init(&d, NULL);
    io_out(&d.console, 0x402, 1, 'n'); /* nobody listens */
    d.put = put;
    d.put_opaque = &last;
    EXPECT_EQ(0xE9, io_in(&d.console, 0x402, 1));
    EXPECT_EQ(0xE9, io_in(&d.e9, 0xE9, 1));
    io_out(&d.console, 0x402, 1, 'a');
    EXPECT_EQ('a', last);
    io_out(&d.e9, 0xE9, 1, 'b');
    EXPECT_EQ('b', last);
}

TEST(debug_ports, post_code_reads_back_and_survives_a_snapshot)
{
    struct debug_ports d, other;
    debug_ports_init(&d, NULL);
    debug_ports_init(&other, NULL);
    io_out(&d.post, 0x80, 1, 0x42);
    expect_round_trip(&debug_ports_ops, &d, &other);
    EXPECT_EQ(0x42, io_in(&other.post, 0x80, 1));
    debug_ports_ops.reset(&other);
    EXPECT_EQ(0, io_in(&other.post, 0x80, 1));
}

TEST(debug_exit, write_gives_its_code)
{
    struct debug_exit d, other;
    uint32_t code = 99;
    debug_exit_init(&d, 0xF4, 4);
    debug_exit_init(&other, 0xF4, 4);
    io_out(&d.io, 0xF4, 4, 0x10);
    d.leave = leave;
    d.leave_opaque = &code;
    io_out(&d.io, 0xF4, 1, 3);
    EXPECT_EQ(3, code);
    EXPECT_EQ(0, io_in(&d.io, 0xF4, 1));
    expect_round_trip(&debug_exit_ops, &d, &other);
}

TEST_MAIN(RUN(debug_ports, console_says_it_is_there_and_passes_bytes)
              RUN(debug_ports, post_code_reads_back_and_survives_a_snapshot)
                  RUN(debug_exit, write_gives_its_code))
