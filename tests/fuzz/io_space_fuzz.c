/* SPDX-License-Identifier: MIT */
/* Regions of any shape, accesses of any width: a chip must only ever see aligned accesses that it
 * lists. */
#include "tests/fuzz/device_fuzz.h"

static void check(const struct io_region *r, uint64_t offset, unsigned width)
{
    if (!(r->widths & width) || offset % width || offset >= r->size || width > r->size - offset)
        abort();
}

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned width)
{
    check(opaque, offset, width);
    return offset;
}

static void chip_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    check(opaque, offset, width);
    if (width < 8 && v >> (8 * width))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct io_space s;
    struct io_region regions[4];
    fuzz_board_init(&b, data, size);
    io_space_init(&s, "pio", 0x10000);
    for (unsigned i = 0; i < 4; i++) {
        regions[i] = (struct io_region){.base = fuzz_take(&b, 1),
                                        .size = (fuzz_take(&b, 1) % 32 + 1) * 8,
                                        .widths = (uint8_t)(fuzz_take(&b, 1) & 15),
                                        .read = chip_read,
                                        .write = chip_write,
                                        .priority = (uint8_t)(fuzz_take(&b, 1) & 1),
                                        .enabled = fuzz_take(&b, 1) & 1};
        regions[i].opaque = &regions[i];
        io_space_add(&s, &regions[i]);
    }
    while (b.left) {
        unsigned width = 1u << (fuzz_take(&b, 1) & 3);
        uint64_t addr = fuzz_take(&b, 2) % 512;
        if (fuzz_take(&b, 1) & 1)
            addr = UINT64_MAX - addr % 16;
        (void)io_space_read(&s, addr, width, NULL);
        io_space_write(&s, addr, width, UINT64_MAX, NULL);
    }
    return 0;
}
