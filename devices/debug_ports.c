/* SPDX-License-Identifier: MIT */
/* Ports for people; see debug_ports.h. SeaBIOS documentation, "Debugging": port 402h reads E9h when
 * it is there. */
#include "devices/debug_ports.h"

enum { PRESENT = 0xE9 };

static uint64_t console_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)opaque, (void)offset, (void)width;
    return PRESENT;
}

static void console_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    const struct debug_ports *d = opaque;
    (void)offset, (void)width;
    if (d->put)
        d->put(d->put_opaque, (uint8_t)v);
}

static uint64_t post_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct debug_ports *d = opaque;
    (void)offset, (void)width;
    return d->s.post;
}

static void post_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct debug_ports *d = opaque;
    (void)offset, (void)width;
    d->s.post = (uint8_t)v;
    trace_point(d->trace, TRACE_postcode, "post", v, 0, 0, 0);
}

static void ports_reset(void *dev)
{
    struct debug_ports *d = dev;
    d->s = (struct debug_ports_state){.post = 0};
}

/* Any byte is a possible POST code, any number a possible exit code. */
static int nothing_to_check(void *dev, struct err *err)
{
    (void)dev, (void)err;
    return 0;
}

void debug_ports_init(struct debug_ports *d, struct trace *trace)
{
    *d = (struct debug_ports){.trace = trace};
    d->console = (struct io_region){.name = "debugcon",
                                    .base = 0x402,
                                    .size = 1,
                                    .widths = W8,
                                    .read = console_read,
                                    .write = console_write,
                                    .opaque = d,
                                    .enabled = true};
    d->e9 = d->console;
    d->e9.name = "port-e9";
    d->e9.base = 0xE9;
    d->post = (struct io_region){.name = "post",
                                 .base = 0x80,
                                 .size = 1,
                                 .widths = W8,
                                 .read = post_read,
                                 .write = post_write,
                                 .opaque = d,
                                 .enabled = true};
}

const struct device_ops debug_ports_ops = {
    .name = "debug-ports",
    .doc = "debug console and POST code ports",
    .size = sizeof(struct debug_ports),
    .fields = debug_ports_state_fields,
    .version = 1,
    .reset = ports_reset,
    .after_load = nothing_to_check,
};

/* ---- isa-debug-exit ---- */

static void exit_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct debug_exit *d = opaque;
    (void)offset, (void)width;
    d->s.code = (uint32_t)v;
    if (d->leave)
        d->leave(d->leave_opaque, d->s.code);
}

static uint64_t exit_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)opaque, (void)offset, (void)width;
    return 0;
}

static void exit_reset(void *dev)
{
    struct debug_exit *d = dev;
    d->s = (struct debug_exit_state){.code = 0};
}

void debug_exit_init(struct debug_exit *d, uint16_t iobase, uint16_t iosize)
{
    assert(iosize >= 1 && iosize <= 4);
    *d = (struct debug_exit){.leave = NULL};
    d->io = (struct io_region){.name = "isa-debug-exit",
                               .base = iobase,
                               .size = iosize,
                               .widths = W8 | W16 | W32,
                               .read = exit_read,
                               .write = exit_write,
                               .opaque = d,
                               .enabled = true};
}

const struct device_ops debug_exit_ops = {
    .name = "isa-debug-exit",
    .doc = "port by which the guest ends the run",
    .size = sizeof(struct debug_exit),
    .fields = debug_exit_state_fields,
    .version = 1,
    .reset = exit_reset,
    .after_load = nothing_to_check,
};
