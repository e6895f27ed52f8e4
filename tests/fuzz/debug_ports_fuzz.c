/* SPDX-License-Identifier: MIT */
#include "devices/debug_ports.h"

#include "tests/fuzz/device_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct debug_ports d;
    struct debug_exit e;
    fuzz_board_init(&b, data, size);
    debug_ports_init(&d, NULL);
    debug_exit_init(&e, 0xF4, 4);
    const struct fuzz_target t = {.ops = &debug_ports_ops,
                                  .dev = &d,
                                  .regions = {&d.console, &d.e9, &d.post, &e.io},
                                  .region_count = 4};
    device_fuzz(&b, &t);
    return 0;
}
