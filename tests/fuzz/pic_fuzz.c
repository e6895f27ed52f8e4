/* SPDX-License-Identifier: MIT */
#include "devices/pic.h"

#include "tests/fuzz/device_fuzz.h"

static void poke(void *dev, uint64_t random)
{
    if (random & 0x80)
        (void)pic_acknowledge(dev);
    else
        pic_set_irq(dev, random & 0x1f, random & 0x40);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct pic pic;
    fuzz_board_init(&b, data, size);
    pic_init(&pic, NULL);
    struct fuzz_target t = {.ops = &pic_ops,
                            .dev = &pic,
                            .region_count = 3,
                            .poke = poke,
                            .regions = {&pic.master, &pic.slave, &pic.elcr}};
    device_fuzz(&b, &t);
    return 0;
}
