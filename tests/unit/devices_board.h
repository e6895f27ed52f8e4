/* SPDX-License-Identifier: MIT */
/*
 * A bench for chips: a clock moved by hand, an event queue, and recorders at the ends of irq wires.
 * No CPU, no buses: tests call a region's functions through io_in and io_out. Also the snapshot
 * round trip every device owes.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "devices/device.h"
#include "tests/test.h"

#define BOARD_IRQS 32

struct board {
    struct event_queue queue;   /* the device's events */
    vtime now;                  /* the clock */
    bool level[BOARD_IRQS];     /* of each wire */
    unsigned rises[BOARD_IRQS]; /* low-to-high edges seen */
    unsigned falls[BOARD_IRQS]; /* high-to-low edges seen */
};

UNUSED static vtime board_now(void *opaque)
{
    return ((struct board *)opaque)->now;
}

UNUSED static void board_init(struct board *b)
{
    memset(b, 0, sizeof(*b));
    event_queue_init(&b->queue, board_now, NULL, b);
}

/* Move the clock to t, firing every event at its own time. */
UNUSED static void board_run_to(struct board *b, vtime t)
{
    while (b->queue.next <= t) {
        if (b->queue.next > b->now)
            b->now = b->queue.next;
        event_queue_run(&b->queue, b->now);
    }
    b->now = t;
}

UNUSED static void board_advance(struct board *b, vtime ns)
{
    board_run_to(b, b->now + ns);
}

UNUSED static void board_wire(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    if (level && !b->level[n])
        b->rises[n]++;
    if (!level && b->level[n])
        b->falls[n]++;
    b->level[n] = level;
}

/* A wire that ends in recorder n. */
UNUSED static struct irq_line board_irq(struct board *b, unsigned n)
{
    return (struct irq_line){.set = board_wire, .opaque = b, .n = n};
}

UNUSED static uint64_t io_in(const struct io_region *r, uint64_t addr, unsigned width)
{
    return r->read(r->opaque, addr - r->base, width);
}

UNUSED static void io_out(const struct io_region *r, uint64_t addr, unsigned width, uint64_t v)
{
    r->write(r->opaque, addr - r->base, width, v);
}

/* Put the bytes of fields_store into dev's state and derive the rest; the result of after_load, or
 * -1: bad element. */
UNUSED static int device_load(const struct device_ops *ops, void *dev, const uint8_t *in)
{
    for (const struct field *f = ops->fields; f->name; f++)
        for (uint32_t i = 0; i < f->count; i++, in += f->size)
            if (!field_set(f, dev, i, le_load(in, f->size)))
                return -1;
    struct err err;
    return ops->after_load ? ops->after_load(dev, &err) : 0;
}

/* Copy the state of `from` to `to` by way of its fields; saving `to` gives the same bytes. */
UNUSED static void expect_round_trip(const struct device_ops *ops, const void *from, void *to)
{
    size_t n = fields_bytes(ops->fields);
    uint8_t *a = malloc(n), *b = malloc(n);
    fields_store(ops->fields, from, a);
    EXPECT_EQ(0, device_load(ops, to, a));
    fields_store(ops->fields, to, b);
    EXPECT(memcmp(a, b, n) == 0);
    free(a);
    free(b);
}

/* A snapshot of `good` with element i of field `name` replaced by v must be refused by `to`. */
UNUSED static void expect_refused(const struct device_ops *ops, const void *good, void *to,
                                  const char *name, uint32_t i, uint64_t v)
{
    size_t n = fields_bytes(ops->fields), at = 0;
    uint8_t *a = malloc(n);
    fields_store(ops->fields, good, a);
    for (const struct field *f = ops->fields; f->name; at += field_bytes(f), f++)
        if (strcmp(f->name, name) == 0)
            le_store(a + at + (size_t)i * f->size, v, f->size);
    EXPECT(device_load(ops, to, a) != 0);
    free(a);
}
