/* SPDX-License-Identifier: MIT */
#include "devices/i8042.h"

#include "tests/fuzz/device_fuzz.h"

static void poke(void *dev, uint64_t random)
{
    if (random & 1)
        (void)i8042_key(dev, (uint16_t)(random >> 8), random & 2);
    else
        i8042_mouse(dev, (int)(int32_t)(random >> 8), (int)(int16_t)(random >> 40),
                    (uint8_t)random);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct i8042 k;
    fuzz_board_init(&b, data, size);
    i8042_init(&k, NULL);
    const struct fuzz_target t = {.ops = &i8042_ops,
                                  .dev = &k,
                                  .regions = {&k.data, &k.control, &k.port_a},
                                  .region_count = 3,
                                  .poke = poke};
    device_fuzz(&b, &t);
    return 0;
}
