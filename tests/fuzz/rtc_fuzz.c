/* SPDX-License-Identifier: MIT */
#include "devices/rtc.h"

#include "tests/fuzz/device_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct rtc rtc;
    fuzz_board_init(&b, data, size);
    uint64_t date = fuzz_take(&b, 5);
    rtc_init(&rtc, &b.queue, date, NULL);
    struct fuzz_target t = {
        .ops = &rtc_ops, .dev = &rtc, .region_count = 1, .regions = {&rtc.ports}};
    device_fuzz(&b, &t);
    return 0;
}
