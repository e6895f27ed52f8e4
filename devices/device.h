/* SPDX-License-Identifier: MIT */
/*
 * What a chip is to the rest of the house: an ops table, a state generated from a field list, and wiring. The board
 * (monitor/boards) creates, wires and registers devices; the snapshot, the state hash and `info` walk their fields.
 * A device never calls another device, never sees which bus carries it, and reads time only from its event queue.
 */
#pragma once

#include "base/err.h"
#include "base/event.h"
#include "base/fields.h"
#include "base/irq.h"
#include "base/trace.h"
#include "base/types.h"

struct device_ops {
    const char *name;           /* registry name: "rtc", "e1000" */
    const char *doc;            /* chip and what it is */
    size_t size;                /* sizeof the device struct, whose first member is its state */
    const struct field *fields; /* of the state; table ends with name == NULL */
    uint32_t version;           /* of the state's layout, in snapshots */
    void (*reset)(void *dev);   /* power-on or RESET#; keeps wiring, disarms events */
    /* Derive wiring (events, irq levels) from the loaded state; validate it: -EINVAL and err if a field is impossible. */
    int (*after_load)(void *dev, struct err *err);
    void (*fini)(void *dev); /* release heap owned by the device; may be NULL */
};

/* One instance on a board. */
struct device {
    const struct device_ops *ops;
    void *self;    /* the device struct; owned by the board */
    char name[24]; /* instance name in snapshots: "pic", "lapic0" */
};

/* ---- address spaces: port I/O and memory-mapped I/O ---- */

enum { W8 = 1, W16 = 2, W32 = 4, W64 = 8 }; /* access widths in bytes, also as a set */

struct io_region {
    const char *name;                                            /* for traces and `info mtree` */
    uint64_t base;                                               /* first address */
    uint64_t size;                                               /* addresses */
    uint8_t widths;                                              /* set of W*: what the chip answers itself */
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned width); /* NULL: reads float (all ones) */
    void (*write)(void *opaque, uint64_t offset, unsigned width, uint64_t v); /* NULL: ignored */
    void *opaque;                                                /* the device */
    uint8_t priority;                                            /* higher wins where regions overlap */
    bool enabled;                                                /* decoded now (PCI BARs, HPET enable) */
};

#define IO_SPACE_MAX 96

/* A space of regions: 64 K ports, or guest-physical memory without RAM. */
struct io_space {
    const char *name;                        /* "pio" or "mmio" */
    struct io_region *regions[IO_SPACE_MAX]; /* borrowed, by descending priority, then registration */
    unsigned count;                          /* of regions[] */
    uint64_t limit;                          /* one past the last address */
};

void io_space_init(struct io_space *s, const char *name, uint64_t limit);

/* Add a region (caller's storage, stays borrowed). */
void io_space_add(struct io_space *s, struct io_region *r);

/*
 * Read or write `width` bytes (1, 2, 4 or 8). A width the region does not list is split into the largest it
 * does, low address first; an access that is narrower than all of them is made on the containing register.
 * Nothing there: reads give all ones, writes vanish; *hit (may be NULL) says whether something answered.
 */
uint64_t io_space_read(const struct io_space *s, uint64_t addr, unsigned width, bool *hit);
void io_space_write(const struct io_space *s, uint64_t addr, unsigned width, uint64_t v, bool *hit);
