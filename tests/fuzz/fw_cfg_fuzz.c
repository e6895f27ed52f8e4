/* SPDX-License-Identifier: MIT */
#include "devices/fw_cfg.h"

#include "tests/fuzz/device_fuzz.h"
#include "tests/unit/devices_memory.h"

/* Write bytes where a DMA access structure may be. */
static void poke(void *dev, uint64_t random)
{
    struct fw_cfg *f = dev;
    uint8_t bytes[8];
    le64_store(bytes, random);
    (void)physmem_write(f->dma->pm, (random >> 56 & 0xF) * 4, bytes, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct fw_cfg f;
    struct memory m;
    memory_init(&m, 2 * PAGE_SIZE);
    struct dma_space dma = {.pm = m.pm};
    fuzz_board_init(&b, data, size);
    if (fw_cfg_init(&f, &dma, NULL) || fw_cfg_add_file(&f, "etc/e820", "0123456789", 10) ||
        fw_cfg_add_string(&f, FW_CFG_CMDLINE_DATA, "quiet"))
        abort();
    const struct fuzz_target t = {.ops = &fw_cfg_ops,
                                  .dev = &f,
                                  .regions = {&f.selector, &f.data, &f.dma_port},
                                  .region_count = 3,
                                  .poke = poke};
    device_fuzz(&b, &t);
    memory_fini(&m);
    return 0;
}
