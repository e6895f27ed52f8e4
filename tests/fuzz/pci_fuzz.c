/* SPDX-License-Identifier: MIT */
/* The bus with the bridges on it: mechanism #1 reaches their configuration spaces; the bus's own
 * state is saved. */
#include "devices/i440fx.h"
#include "devices/piix3.h"

#include "tests/fuzz/device_fuzz.h"

struct machine {
    struct pci bus;     /* first: the device under test */
    struct i440fx host; /* 00:00.0 */
    struct piix3 isa;   /* 00:01.0 */
    struct piix3_pm pm; /* 00:01.3 */
};

static void poke(void *dev, uint64_t random)
{
    struct machine *m = dev;
    if (random & 1)
        pci_set_irq(&m->pm.pci, random & 2);
    else
        piix3_set_pirq(&m->isa, (unsigned)(random >> 8 & 3), random & 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct machine m;
    fuzz_board_init(&b, data, size);
    pci_init(&m.bus, NULL);
    i440fx_init(&m.host);
    piix3_init(&m.isa);
    piix3_pm_init(&m.pm);
    pci_attach(&m.bus, &m.host.pci, 0, 0);
    pci_attach(&m.bus, &m.isa.pci, 1, 0);
    pci_attach(&m.bus, &m.pm.pci, 1, 3);
    for (unsigned i = 0; i < 4; i++)
        m.bus.pirq[i] = (struct irq_line){.set = piix3_set_pirq, .opaque = &m.isa, .n = i};
    const struct fuzz_target t = {.ops = &pci_ops,
                                  .dev = &m,
                                  .regions = {&m.bus.address, &m.bus.data, &m.isa.reset_control},
                                  .region_count = 3,
                                  .poke = poke};
    device_fuzz(&b, &t);
    return 0;
}
