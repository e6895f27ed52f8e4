/* SPDX-License-Identifier: MIT */
#include "devices/hpet.h"

#include "tests/fuzz/device_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct hpet hpet;
    fuzz_board_init(&b, data, size);
    hpet_init(&hpet, &b.queue, NULL);
    struct fuzz_target t = {
        .ops = &hpet_ops, .dev = &hpet, .region_count = 1, .regions = {&hpet.mmio}};
    device_fuzz(&b, &t);
    return 0;
}
