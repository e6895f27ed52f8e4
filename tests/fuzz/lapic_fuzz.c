/* SPDX-License-Identifier: MIT */
#include "devices/apic_bus.h"
#include "devices/lapic.h"
#include "tests/fuzz/device_fuzz.h"

/* Two LAPICs on a bus; the fuzzed one can reach itself and the other. */
static bool on_send(void *opaque, const struct apic_message *m)
{
    return apic_bus_deliver(opaque, m);
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned width)
{
    return lapic_mmio_read(opaque, (uint32_t)offset, width);
}

static void page_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    lapic_mmio_write(opaque, (uint32_t)offset, width, v);
}

static void poke_msr(struct lapic *lapic, uint64_t random)
{
    static const uint32_t msrs[] = {MSR_IA32_APIC_BASE, MSR_IA32_TSC_DEADLINE};
    uint32_t msr = random & 0x40 ? msrs[random & 1] : MSR_X2APIC_FIRST + (random & 0x3f);
    uint64_t v = random >> 16;
    if (msr == MSR_IA32_APIC_BASE)
        v = LAPIC_DEFAULT_BASE | (v & 0xfff);
    if (random & 0x20)
        (void)lapic_msr_write(lapic, msr, v);
    else
        (void)lapic_msr_read(lapic, msr, &v);
}

static void poke(void *dev, uint64_t random)
{
    struct lapic *lapic = dev;
    struct apic_message m = {.dest = apic_dest8((uint32_t)(random >> 16)),
                             .vector = (uint8_t)(random >> 8),
                             .delivery = random >> 24 & 7,
                             .logical = random >> 27 & 1,
                             .level_trigger = random >> 28 & 1,
                             .assert = random >> 29 & 1};
    switch (random & 7) {
    case 0:
        if (lapic_highest_pending(lapic) >= 0)
            lapic_acknowledge(lapic, (uint8_t)lapic_highest_pending(lapic));
        break;
    case 1:
        lapic_set_lint(lapic, random >> 8 & 3, random >> 10 & 1);
        break;
    case 2:
        lapic_set_cr8(lapic, random >> 8 & 15);
        break;
    case 3:
        (void)apic_bus_deliver(lapic->host.opaque, &m);
        break;
    case 4:
        lapic_init_reset(lapic);
        break;
    case 5:
        lapic_tsc_changed(lapic);
        break;
    default:
        poke_msr(lapic, random >> 8);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct lapic lapics[2];
    struct apic_bus bus = {.count = 0};
    fuzz_board_init(&b, data, size);
    for (unsigned i = 0; i < 2; i++) {
        struct lapic_config config = {.apic_id = i,
                                      .is_bsp = i == 0,
                                      .has_x2apic = true,
                                      .has_deadline = true,
                                      .phys_bits = 40,
                                      .bus_hz = 999999937,
                                      .tsc_hz = 2999999929u};
        struct lapic_host host = {.opaque = &bus, .send = on_send};
        lapic_init(&lapics[i], &b.queue, &config, &host, NULL);
        apic_bus_add(&bus, &lapics[i]);
    }
    struct io_region page = {.size = 0x1000,
                             .widths = W8 | W16 | W32 | W64,
                             .read = page_read,
                             .write = page_write,
                             .opaque = &lapics[0]};
    struct fuzz_target t = {
        .ops = &lapic_ops, .dev = &lapics[0], .region_count = 1, .poke = poke, .regions = {&page}};
    device_fuzz(&b, &t);
    return 0;
}
