/* SPDX-License-Identifier: MIT */
/* The test device of bare-metal test kernels; its registers are listed in pc_testdev.h. */
#include "devices/pc_testdev.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"

static uint64_t scratch_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct pc_testdev *t = opaque;
    return t->s.scratch >> (offset * 8) & low_mask(width * 8);
}

static void scratch_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct pc_testdev *t = opaque;
    uint64_t mask = low_mask(width * 8) << (offset * 8);
    t->s.scratch = (uint32_t)((t->s.scratch & ~mask) | (v << (offset * 8) & mask));
}

static void flush_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    const struct pc_testdev *t = opaque;
    (void)offset, (void)width;
    if (t->flush_page)
        t->flush_page(t->flush_opaque, v & PAGE_MASK);
}

static void irqs_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct pc_testdev *t = opaque;
    uint32_t bit = UINT32_C(1) << offset;
    (void)width;
    t->s.irq_levels = v ? t->s.irq_levels | bit : t->s.irq_levels & ~bit;
    irq_set(&t->irq[offset], v != 0);
}

static uint64_t iomem_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct pc_testdev *t = opaque;
    return le_load(t->s.iomem + offset, width);
}

static void iomem_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct pc_testdev *t = opaque;
    le_store(t->s.iomem + offset, v, width);
}

/* Only the lines this device holds high: others may be driven by their own chips. */
static void drive_lines(struct pc_testdev *t, bool level)
{
    for (unsigned n = 0; n < PC_TESTDEV_IRQS; n++)
        if (t->s.irq_levels >> n & 1)
            irq_set(&t->irq[n], level);
}

static void pc_testdev_reset(void *dev)
{
    struct pc_testdev *t = dev;
    drive_lines(t, false);
    memset(&t->s, 0, sizeof(t->s));
}

static int pc_testdev_after_load(void *dev, struct err *err)
{
    struct pc_testdev *t = dev;
    if (t->s.irq_levels >> PC_TESTDEV_IRQS)
        return err_set(err, EINVAL,
                       "pc-testdev: the state drives interrupt lines that are not there");
    drive_lines(t, true);
    return 0;
}

void pc_testdev_init(struct pc_testdev *t)
{
    memset(t, 0, sizeof(*t));
    t->scratch = (struct io_region){.name = "testdev-scratch",
                                    .base = 0xE0,
                                    .size = 4,
                                    .widths = W8 | W16 | W32,
                                    .read = scratch_read,
                                    .write = scratch_write,
                                    .opaque = t,
                                    .enabled = true};
    t->flush = (struct io_region){.name = "testdev-flush",
                                  .base = 0xE4,
                                  .size = 4,
                                  .widths = W32,
                                  .write = flush_write,
                                  .opaque = t,
                                  .enabled = true};
    t->irqs = (struct io_region){.name = "testdev-irqs",
                                 .base = 0x2000,
                                 .size = PC_TESTDEV_IRQS,
                                 .widths = W8,
                                 .write = irqs_write,
                                 .opaque = t,
                                 .enabled = true};
    t->iomem = (struct io_region){.name = "testdev-iomem",
                                  .base = 0xFF000000,
                                  .size = PC_TESTDEV_IOMEM,
                                  .widths = W8 | W16 | W32 | W64,
                                  .read = iomem_read,
                                  .write = iomem_write,
                                  .opaque = t,
                                  .priority = 1,
                                  .enabled = true};
}

const struct device_ops pc_testdev_ops = {
    .name = "pc-testdev",
    .doc = "test device of bare-metal test kernels",
    .size = sizeof(struct pc_testdev),
    .fields = pc_testdev_state_fields,
    .version = 1,
    .reset = pc_testdev_reset,
    .after_load = pc_testdev_after_load,
};
