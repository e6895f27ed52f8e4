/* SPDX-License-Identifier: MIT */
/*
 * The common driver of the device fuzz targets: bytes become reads, writes, time steps, wires,
 * resets, snapshot round trips and hostile snapshots. A target sets up its device on a struct
 * fuzz_board, lists its regions and calls device_fuzz. What is looked for: a crash, a sanitizer
 * report, a hang, a round trip that changes the state.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "devices/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_board {
    const uint8_t *p;         /* next input byte */
    size_t left;              /* bytes left */
    struct event_queue queue; /* the device's events */
    vtime now;                /* the clock */
};

struct fuzz_target {
    const struct device_ops *ops;             /* of the device */
    void *dev;                                /* initialised and wired */
    struct io_region *regions[8];             /* to be read and written */
    unsigned region_count;                    /* of regions[] */
    void (*poke)(void *dev, uint64_t random); /* other inputs: wires, acknowledge; may be NULL */
};

UNUSED static vtime fuzz_now(void *opaque)
{
    return ((struct fuzz_board *)opaque)->now;
}

UNUSED static void fuzz_board_init(struct fuzz_board *b, const uint8_t *data, size_t size)
{
    *b = (struct fuzz_board){.p = data, .left = size};
    event_queue_init(&b->queue, fuzz_now, NULL, b);
}

/* The next `bytes` of input, zero-padded. */
UNUSED static uint64_t fuzz_take(struct fuzz_board *b, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes && b->left; i++, b->left--)
        v |= (uint64_t)*b->p++ << (8 * i);
    return v;
}

/* Step the clock; after 64 events the rest are late, as after a long stop: a chip must cope without
 * looping. */
UNUSED static void fuzz_step(struct fuzz_board *b, vtime ns)
{
    vtime end = ns > VTIME_NEVER - 1 - b->now ? VTIME_NEVER - 1 : b->now + ns;
    for (unsigned i = 0; i < 64 && b->queue.next <= end; i++) {
        if (b->queue.next > b->now)
            b->now = b->queue.next;
        event_queue_run(&b->queue, b->now);
    }
    b->now = end;
    event_queue_run(&b->queue, end);
}

UNUSED static void fuzz_access(struct fuzz_board *b, const struct fuzz_target *t, bool is_write)
{
    const struct io_region *r = t->regions[fuzz_take(b, 1) % t->region_count];
    unsigned widths[4], n = 0;
    for (unsigned w = 1; w <= 8; w *= 2)
        if (r->widths & w)
            widths[n++] = w;
    unsigned width = widths[fuzz_take(b, 1) % n];
    uint64_t offset = fuzz_take(b, 2) % r->size;
    offset -= offset % width;
    if (is_write && r->write)
        r->write(r->opaque, offset, width, fuzz_take(b, width));
    else if (!is_write && r->read)
        (void)r->read(r->opaque, offset, width);
}

/* Put an image into the device; false: refused. */
UNUSED static bool fuzz_load(const struct fuzz_target *t, const uint8_t *in)
{
    bool ok = true;
    for (const struct field *f = t->ops->fields; f->name; f++)
        for (uint32_t i = 0; i < f->count; i++, in += f->size)
            ok = field_set(f, t->dev, i, le_load(in, f->size)) && ok;
    struct err err;
    return ok && (!t->ops->after_load || t->ops->after_load(t->dev, &err) == 0);
}

/* Save, load into the same device, save: the same bytes. With `hostile`, some bytes come from the
 * input, and an image that is refused leaves the device to be loaded with a good one. */
UNUSED static void fuzz_snapshot(struct fuzz_board *b, const struct fuzz_target *t, bool hostile)
{
    size_t n = fields_bytes(t->ops->fields);
    uint8_t *good = malloc(n), *image = malloc(n);
    fields_store(t->ops->fields, t->dev, good);
    memcpy(image, good, n);
    for (unsigned i = 0; hostile && i < 8; i++) {
        size_t at = fuzz_take(b, 2) % n;
        image[at] = (uint8_t)fuzz_take(b, 1);
    }
    if (!fuzz_load(t, image)) {
        if (!hostile || !fuzz_load(t, good))
            abort();
    } else if (!hostile) {
        fields_store(t->ops->fields, t->dev, image);
        if (memcmp(image, good, n) != 0)
            abort();
    }
    free(good);
    free(image);
}

/* Spend all input on the device, then finish it. */
UNUSED static void device_fuzz(struct fuzz_board *b, const struct fuzz_target *t)
{
    while (b->left) {
        switch (fuzz_take(b, 1) % 16) {
        case 0:
            fuzz_step(b, fuzz_take(b, 4));
            break;
        case 1:
            fuzz_step(b, fuzz_take(b, 1));
            break;
        case 2:
            fuzz_step(b, fuzz_take(b, 7));
            break;
        case 3:
            fuzz_snapshot(b, t, false);
            break;
        case 4:
            fuzz_snapshot(b, t, true);
            break;
        case 5:
            if (fuzz_take(b, 1) == 0)
                t->ops->reset(t->dev);
            break;
        case 6:
        case 7:
        case 8:
            if (t->poke)
                t->poke(t->dev, fuzz_take(b, 8));
            break;
        case 9:
        case 10:
        case 11:
            fuzz_access(b, t, false);
            break;
        default:
            fuzz_access(b, t, true);
            break;
        }
    }
    if (t->ops->fini)
        t->ops->fini(t->dev);
}
