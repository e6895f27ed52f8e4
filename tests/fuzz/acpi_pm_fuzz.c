/* SPDX-License-Identifier: MIT */
#include "devices/acpi_pm.h"

#include "tests/fuzz/device_fuzz.h"

static void poke(void *dev, uint64_t random)
{
    if (random & 1)
        acpi_pm_press_power_button(dev);
    else if (random & 2)
        acpi_pm_set_rtc(dev, 0, random & 4);
    else
        acpi_pm_set_gpe(dev, random >> 8 & 0x1f, random & 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_board b;
    struct acpi_pm pm;
    fuzz_board_init(&b, data, size);
    acpi_pm_init(&pm, &b.queue, ACPI_PM_DEFAULT_BASE, NULL);
    struct fuzz_target t = {.ops = &acpi_pm_ops,
                            .dev = &pm,
                            .region_count = 3,
                            .poke = poke,
                            .regions = {&pm.pm, &pm.gpe, &pm.apm}};
    device_fuzz(&b, &t);
    return 0;
}
