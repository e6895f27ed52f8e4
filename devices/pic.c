/* SPDX-License-Identifier: MIT */
/*
 * 8259A Programmable Interrupt Controller, a cascaded pair. Section names are those of Intel's
 * 8259A data sheet.
 *
 *   port      write                                     read
 *   20h A0h   ICW1 (bit 4), OCW2 (bits 4-3 = 0),        IRR or ISR, or poll
 *             OCW3 (bits 4-3 = 1)
 *   21h A1h   ICW2-4 after ICW1, else OCW1 (IMR)        IMR, or poll
 *   4D0h 4D1h ELCR                                      ELCR
 */
#include "devices/pic.h"

#include <errno.h>

enum {
    ICW1_IC4 = 0x01,
    ICW1_SNGL = 0x02,
    ICW1_LTIM = 0x08,
    ICW1 = 0x10,
    ICW4_AEOI = 0x02,
    ICW4_SFNM = 0x10,
    OCW3 = 0x08,
    OCW3_RIS = 0x01,
    OCW3_RR = 0x02,
    OCW3_POLL = 0x04,
    OCW3_SMM = 0x20,
    OCW3_ESMM = 0x40,
    CASCADE = 2, /* the master's input that is the slave's INT */
};

/* IRQ 0, 1, 2, 8 and 13 are always edge: PIIX, "Edge/Level Control Registers". */
static const uint8_t elcr_mask[PIC_CHIPS] = {0xf8, 0xde};

/* ---- priority ---- */

/* Requests of chip c, latched edges and present levels, before the mask. */
static uint8_t requests(const struct pic_state *s, unsigned c)
{
    uint8_t level = s->icw1[c] & ICW1_LTIM ? 0xff : s->elcr[c];
    return (uint8_t)((s->irr[c] & ~level) | (s->lines[c] & level));
}

/* Rank of IR n, 0 is highest. */
static unsigned rank(const struct pic_state *s, unsigned c, unsigned n)
{
    return (n + 7u - s->lowest[c]) & 7;
}

/* The highest of `set`, or -1. */
static int highest(const struct pic_state *s, unsigned c, uint8_t set)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (s->lowest[c] + 1u + i) & 7;
        if (set & (1u << n))
            return (int)n;
    }
    return -1;
}

/* The request chip c would send to its INT output, or -1. "Fully Nested Mode". */
static int candidate(const struct pic_state *s, unsigned c)
{
    int n = highest(s, c, (uint8_t)(requests(s, c) & ~s->imr[c]));
    if (n < 0 || s->expected_icw[c])
        return -1;
    uint8_t in_service = s->isr[c];
    if (s->special_mask[c]) /* "Special Mask Mode": a masked routine does not inhibit others */
        in_service = (uint8_t)(in_service & ~s->imr[c]);
    int serving = highest(s, c, in_service);
    if (serving < 0 || rank(s, c, (unsigned)n) < rank(s, c, (unsigned)serving))
        return n;
    /* "Special Fully Nested Mode": a slave may interrupt its own service routine. */
    bool is_nested_slave =
        c == PIC_MASTER && s->icw4[c] & ICW4_SFNM && n == CASCADE && serving == n;
    return is_nested_slave ? n : -1;
}

/* An input of chip c changes; an edge is latched while its line stays high. "Edge and Level
 * Triggered Modes". */
static void set_input(struct pic_state *s, unsigned c, unsigned n, bool level)
{
    uint8_t bit = (uint8_t)(1u << n);
    if (!level) {
        s->irr[c] = (uint8_t)(s->irr[c] & ~bit);
        s->lines[c] = (uint8_t)(s->lines[c] & ~bit);
    } else if (!(s->lines[c] & bit)) {
        s->irr[c] |= bit;
        s->lines[c] |= bit;
    }
}

static void update(struct pic *pic)
{
    set_input(&pic->s, PIC_MASTER, CASCADE, candidate(&pic->s, PIC_SLAVE) >= 0);
    irq_set(&pic->intr, pic_output(pic));
}

bool pic_output(const struct pic *pic)
{
    return candidate(&pic->s, PIC_MASTER) >= 0;
}

void pic_set_irq(void *opaque, unsigned n, bool level)
{
    struct pic *pic = opaque;
    if (n >= 16 || n == CASCADE)
        return;
    trace_point(pic->trace, TRACE_irq, "pic", n, level, 0, 0);
    set_input(&pic->s, n >> 3, n & 7, level);
    update(pic);
}

/* ---- acknowledge ---- */

static void end_of_interrupt(struct pic_state *s, unsigned c, unsigned n, bool rotate)
{
    s->isr[c] = (uint8_t)(s->isr[c] & ~(1u << n));
    if (rotate)
        s->lowest[c] = (uint8_t)n;
}

/* INTA to one chip: request n goes into service. Returns n, or 7 with nothing in service if there
 * is no request. */
static unsigned take(struct pic_state *s, unsigned c)
{
    int n = candidate(s, c);
    if (n < 0)
        return 7;
    s->irr[c] = (uint8_t)(s->irr[c] & ~(1u << n));
    s->isr[c] |= (uint8_t)(1u << n);
    if (s->icw4[c] & ICW4_AEOI)
        end_of_interrupt(s, c, (unsigned)n, s->rotate_on_aeoi[c]);
    return (unsigned)n;
}

uint8_t pic_acknowledge(struct pic *pic)
{
    struct pic_state *s = &pic->s;
    bool is_cascade = candidate(s, PIC_MASTER) == CASCADE;
    unsigned n = take(s, PIC_MASTER);
    unsigned c = PIC_MASTER;
    if (is_cascade && !(s->icw1[PIC_MASTER] & ICW1_SNGL)) {
        c = PIC_SLAVE;
        n = take(s, PIC_SLAVE);
        set_input(s, PIC_MASTER, CASCADE,
                  false); /* INT of the slave falls; a further request is a new edge */
    }
    uint8_t vector = (uint8_t)(s->vector_base[c] | n);
    update(pic);
    return vector;
}

/* ---- writes ---- */

static void write_icw1(struct pic_state *s, unsigned c, uint8_t v)
{
    s->icw1[c] = v & (ICW1_IC4 | ICW1_SNGL | ICW1_LTIM);
    s->irr[c] = 0; /* "the edge sense circuit is reset": an input must rise again */
    s->isr[c] = 0;
    s->imr[c] = 0;
    s->lowest[c] = 7;
    s->special_mask[c] = s->read_isr[c] = s->poll[c] = s->rotate_on_aeoi[c] = false;
    if (!(v & ICW1_IC4))
        s->icw4[c] = 0;
    s->expected_icw[c] = 2;
}

static void write_icw(struct pic_state *s, unsigned c, uint8_t v)
{
    bool has_icw4 = s->icw1[c] & ICW1_IC4;
    switch (s->expected_icw[c]) {
    case 2:
        s->vector_base[c] = v & 0xf8;
        s->expected_icw[c] = s->icw1[c] & ICW1_SNGL ? (has_icw4 ? 4 : 0) : 3;
        break;
    case 3:
        s->icw3[c] = v;
        s->expected_icw[c] = has_icw4 ? 4 : 0;
        break;
    default:
        s->icw4[c] = v & 0x1f;
        s->expected_icw[c] = 0;
        break;
    }
}

/* "Operation Control Word 2": bit 7 R(otate), bit 6 S(pecific), bit 5 EOI, bits 2-0 level. */
static void write_ocw2(struct pic_state *s, unsigned c, uint8_t v)
{
    uint8_t in_service = s->isr[c];
    if (s->special_mask[c]) /* a masked bit is not cleared by a non-specific EOI: "Special Mask
                               Mode" */
        in_service = (uint8_t)(in_service & ~s->imr[c]);
    int serving = highest(s, c, in_service);
    switch (v >> 5) {
    case 0:
    case 4:
        s->rotate_on_aeoi[c] = v >> 7;
        break;
    case 1:
    case 5:
        if (serving >= 0)
            end_of_interrupt(s, c, (unsigned)serving, v >> 7);
        break;
    case 3:
    case 7:
        end_of_interrupt(s, c, v & 7u, v >> 7);
        break;
    case 6:
        s->lowest[c] = v & 7;
        break;
    default: /* 2: no operation */
        break;
    }
}

static void write_ocw3(struct pic_state *s, unsigned c, uint8_t v)
{
    if (v & OCW3_ESMM)
        s->special_mask[c] = v & OCW3_SMM;
    if (v & OCW3_POLL)
        s->poll[c] = true; /* overrides RR */
    else if (v & OCW3_RR)
        s->read_isr[c] = v & OCW3_RIS;
}

static void write_chip(struct pic *pic, unsigned c, uint64_t offset, uint8_t v)
{
    struct pic_state *s = &pic->s;
    if (offset == 1) {
        if (s->expected_icw[c])
            write_icw(s, c, v);
        else
            s->imr[c] = v;
    } else if (v & ICW1) {
        write_icw1(s, c, v);
    } else if (v & OCW3) {
        write_ocw3(s, c, v);
    } else {
        write_ocw2(s, c, v);
    }
    update(pic);
}

/* ---- reads ---- */

static uint8_t read_chip(struct pic *pic, unsigned c, uint64_t offset)
{
    struct pic_state *s = &pic->s;
    if (s->poll[c]) { /* "Poll Command": the read is the acknowledge */
        s->poll[c] = false;
        if (candidate(s, c) < 0)
            return 0;
        uint8_t v = (uint8_t)(0x80 | take(s, c));
        if (c == PIC_SLAVE)
            set_input(s, PIC_MASTER, CASCADE, false);
        update(pic);
        return v;
    }
    if (offset == 1)
        return s->imr[c];
    return s->read_isr[c] ? s->isr[c] : requests(s, c);
}

static uint64_t master_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    return read_chip(opaque, PIC_MASTER, offset);
}

static void master_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    write_chip(opaque, PIC_MASTER, offset, (uint8_t)v);
}

static uint64_t slave_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    return read_chip(opaque, PIC_SLAVE, offset);
}

static void slave_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    write_chip(opaque, PIC_SLAVE, offset, (uint8_t)v);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    return ((struct pic *)opaque)->s.elcr[offset & 1];
}

static void elcr_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct pic *pic = opaque;
    pic->s.elcr[offset & 1] = (uint8_t)v & elcr_mask[offset & 1];
    update(pic);
}

/* ---- life ---- */

static void reset(void *opaque)
{
    struct pic *pic = opaque;
    uint8_t lines[PIC_CHIPS] = {pic->s.lines[0],
                                pic->s.lines[1]}; /* driven by others, who do not reset with us */
    pic->s = (struct pic_state){.lowest = {7, 7}, .imr = {0xff, 0xff}};
    for (unsigned c = 0; c < PIC_CHIPS; c++)
        pic->s.lines[c] = lines[c];
    update(pic);
}

static int after_load(void *opaque, struct err *err)
{
    struct pic *pic = opaque;
    const struct pic_state *s = &pic->s;
    for (unsigned c = 0; c < PIC_CHIPS; c++)
        if (s->lowest[c] > 7 || s->expected_icw[c] == 1 || s->expected_icw[c] > 4 ||
            s->vector_base[c] & 7 || s->irr[c] & ~s->lines[c] || s->elcr[c] & ~elcr_mask[c])
            return err_set(err, EINVAL, "8259A %u: impossible register value", c);
    irq_set(&pic->intr, pic_output(pic));
    return 0;
}

const struct device_ops pic_ops = {
    .name = "pic",
    .doc = "Intel 8259A interrupt controllers, master and slave",
    .size = sizeof(struct pic),
    .fields = pic_state_fields,
    .version = 1,
    .reset = reset,
    .after_load = after_load,
};

void pic_init(struct pic *pic, struct trace *trace)
{
    *pic = (struct pic){.trace = trace};
    pic->master = (struct io_region){.name = "pic master",
                                     .base = 0x20,
                                     .size = 2,
                                     .widths = W8,
                                     .read = master_read,
                                     .write = master_write,
                                     .opaque = pic,
                                     .enabled = true};
    pic->slave = (struct io_region){.name = "pic slave",
                                    .base = 0xa0,
                                    .size = 2,
                                    .widths = W8,
                                    .read = slave_read,
                                    .write = slave_write,
                                    .opaque = pic,
                                    .enabled = true};
    pic->elcr = (struct io_region){.name = "pic elcr",
                                   .base = 0x4d0,
                                   .size = 2,
                                   .widths = W8,
                                   .read = elcr_read,
                                   .write = elcr_write,
                                   .opaque = pic,
                                   .enabled = true};
    reset(pic);
}
