/* SPDX-License-Identifier: MIT */
#include "devices/uart.h"

#include "tests/fuzz/device_fuzz.h"

static void poke(void *dev, uint64_t random)
{
    if (random & 0x100)
        uart_receive_break(dev);
    else if (uart_can_receive(dev) || (random & 0x200))
        uart_receive(dev, (uint8_t)random);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct uart u;
    fuzz_board_init(&b, data, size);
    uart_init(&u, &b.queue, NULL, 0x3F8);
    const struct fuzz_target t = {
        .ops = &uart_ops, .dev = &u, .regions = {&u.io}, .region_count = 1, .poke = poke};
    device_fuzz(&b, &t);
    return 0;
}
