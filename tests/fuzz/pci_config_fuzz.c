/* SPDX-License-Identifier: MIT */
/* One bridge at a time, chosen by the first byte: configuration writes and hostile snapshots of its
 * 256 bytes. */
#include "devices/i440fx.h"
#include "devices/piix3.h"

#include "tests/fuzz/device_fuzz.h"

static void poke_config(struct pci_function *f, uint64_t random)
{
    unsigned width = 1u << (random >> 8 & 1) << (random >> 9 & 1);
    unsigned offset = (unsigned)(random & 0xFF) & ~(width - 1);
    if (random & 0x8000)
        (void)pci_config_read(f, offset, width);
    else
        pci_config_write(f, offset, width, (uint32_t)(random >> 32));
}

static void poke_host(void *dev, uint64_t random)
{
    poke_config(&((struct i440fx *)dev)->pci, random);
}

static void poke_isa(void *dev, uint64_t random)
{
    if (random & 0x4000)
        piix3_set_pirq(dev, (unsigned)random & 3, random & 4);
    else
        poke_config(&((struct piix3 *)dev)->pci, random);
}

static void poke_pm(void *dev, uint64_t random)
{
    poke_config(&((struct piix3_pm *)dev)->pci, random);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct i440fx host;
    struct piix3 isa;
    struct piix3_pm pm;
    fuzz_board_init(&b, data, size);
    i440fx_init(&host);
    piix3_init(&isa);
    piix3_pm_init(&pm);
    const struct fuzz_target targets[3] = {{.ops = &i440fx_ops,
                                            .dev = &host,
                                            .regions = {&isa.reset_control},
                                            .region_count = 1,
                                            .poke = poke_host},
                                           {.ops = &piix3_ops,
                                            .dev = &isa,
                                            .regions = {&isa.reset_control},
                                            .region_count = 1,
                                            .poke = poke_isa},
                                           {.ops = &piix3_pm_ops,
                                            .dev = &pm,
                                            .regions = {&isa.reset_control},
                                            .region_count = 1,
                                            .poke = poke_pm}};
    device_fuzz(&b, &targets[fuzz_take(&b, 1) % 3]);
    return 0;
}
