/* SPDX-License-Identifier: MIT */
#include "devices/ioapic.h"

#include "tests/fuzz/device_fuzz.h"

static bool deliver(void *opaque, const struct apic_message *m)
{
    (void)opaque;
    return m->vector >= 16;
}

static void poke(void *dev, uint64_t random)
{
    if (random & 0x80)
        ioapic_eoi(dev, (uint8_t)(random >> 8));
    else
        ioapic_set_irq(dev, random & 0x1f, random & 0x40);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct ioapic ioapic;
    fuzz_board_init(&b, data, size);
    ioapic_init(&ioapic, NULL);
    ioapic.deliver = deliver;
    struct fuzz_target t = {.ops = &ioapic_ops,
                            .dev = &ioapic,
                            .region_count = 1,
                            .poke = poke,
                            .regions = {&ioapic.mmio}};
    device_fuzz(&b, &t);
    return 0;
}
