/* SPDX-License-Identifier: MIT */
#include "devices/pit.h"

#include "tests/fuzz/device_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct pit pit;
    fuzz_board_init(&b, data, size);
    pit_init(&pit, &b.queue, NULL);
    struct fuzz_target t = {
        .ops = &pit_ops, .dev = &pit, .region_count = 2, .regions = {&pit.ports, &pit.port_61}};
    device_fuzz(&b, &t);
    return 0;
}
