/* SPDX-License-Identifier: MIT */
/*
 * Ports that are there for people: the debug console (SeaBIOS writes to 402h, Bochs guests to E9h;
 * a read gives E9h to say "present"), the POST code port 80h, and isa-debug-exit, by which a guest
 * ends the run with a code of its own.
 */
#pragma once

#include "devices/device.h"

/* clang-format off */
#define DEBUG_PORTS_STATE(ONE, ARR, S) \
    ONE(S, uint8_t, post, "last POST code; port 80h reads it back, as the DMA page register there does")
#define DEBUG_EXIT_STATE(ONE, ARR, S) \
    ONE(S, uint32_t, code, "last code written")
/* clang-format on */
STATE_STRUCT(debug_ports_state, DEBUG_PORTS_STATE);
STATE_STRUCT(debug_exit_state, DEBUG_EXIT_STATE);

struct debug_ports {
    struct debug_ports_state s;              /* first: saved, hashed, shown */
    void (*put)(void *opaque, uint8_t byte); /* wiring: debug console output; NULL: discarded */
    void *put_opaque;                        /* of put */
    struct io_region console;                /* port 402h */
    struct io_region e9;                     /* port E9h */
    struct io_region post;                   /* port 80h */
    struct trace *trace;                     /* borrowed; may be NULL */
};

struct debug_exit {
    struct debug_exit_state s;                  /* first: saved, hashed, shown */
    void (*leave)(void *opaque, uint32_t code); /* wiring: end the run; status is code << 1 | 1 */
    void *leave_opaque;                         /* of leave */
    struct io_region io;                        /* iosize ports from iobase */
};

extern const struct device_ops debug_ports_ops;
extern const struct device_ops debug_exit_ops;

void debug_ports_init(struct debug_ports *d, struct trace *trace);

/* iosize: 1 to 4 ports. */
void debug_exit_init(struct debug_exit *d, uint16_t iobase, uint16_t iosize);
