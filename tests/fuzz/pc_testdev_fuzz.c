/* SPDX-License-Identifier: MIT */
#include "devices/pc_testdev.h"

#include "tests/fuzz/device_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct pc_testdev *d = malloc(sizeof(*d));
    if (!d)
        return 0;
    fuzz_board_init(&b, data,
                    size < 512 ? size : 512); /* a snapshot is 64 KiB: few steps are enough */
    pc_testdev_init(d);
    const struct fuzz_target t = {.ops = &pc_testdev_ops,
                                  .dev = d,
                                  .regions = {&d->scratch, &d->flush, &d->irqs, &d->iomem},
                                  .region_count = 4};
    device_fuzz(&b, &t);
    free(d);
    return 0;
}
