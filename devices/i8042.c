/* SPDX-License-Identifier: MIT */
/* IBM PS/2 Hardware Interface Technical Reference; ports and status register: see i8042.h. */
#include "devices/i8042.h"

#include <errno.h>
#include <string.h>

#include "devices/ps2.h"

enum { ST_OBF = 0x01, ST_SYS = 0x04, ST_COMMAND = 0x08, ST_UNLOCKED = 0x10, ST_AUX = 0x20 };
enum {
    CB_KBD_INT = 0x01,
    CB_AUX_INT = 0x02,
    CB_SYS = 0x04,
    CB_KBD_OFF = 0x10,
    CB_AUX_OFF = 0x20,
    CB_XLATE = 0x40
};
enum { P2_RESET = 0x01, P2_A20 = 0x02, P2_OBF = 0x10, P2_AUX_OBF = 0x20 };
enum { A_RESET = 0x01, A_A20 = 0x02 };
/* ---- the output buffer and the interrupts ---- */

static void update_lines(struct i8042 *k)
{
    uint8_t cb = k->s.ram[0];
    irq_set(&k->kbd_irq, k->s.out_full && !k->s.out_aux && (cb & CB_KBD_INT));
    irq_set(&k->aux_irq, k->s.out_full && k->s.out_aux && (cb & CB_AUX_INT));
}

static void put_out(struct i8042 *k, uint8_t byte, bool is_aux)
{
    k->s.out = byte;
    k->s.out_full = true;
    k->s.out_aux = is_aux;
    update_lines(k);
}

/* The controller's own answer: it takes the buffer whatever was there. */
static void reply(struct i8042 *k, uint8_t byte)
{
    put_out(k, byte, false);
}

/*
 * Set 2 to set 1: F0h makes the next code a break, which is the code with bit 7 set. False: nothing
 * to hand over. Answers of the keyboard (ACK, BAT ...) are above the table and pass unchanged.
 */
static bool translate(struct i8042 *k, uint8_t *byte)
{
    uint8_t code;
    if (!(k->s.ram[0] & CB_XLATE))
        return true;
    if (*byte == PS2_BREAK) {
        k->s.kbd_break_prefix = true;
        return false;
    }
    code = ps2_to_set1(*byte);
    if (k->s.kbd_break_prefix)
        code |= 0x80;
    k->s.kbd_break_prefix = false;
    *byte = code;
    return true;
}

/* Hand over what the keyboard, then the mouse, has to send, while the buffer is free. */
void i8042_pump(struct i8042 *k)
{
    while (!k->s.out_full && k->s.kbd_count && !(k->s.ram[0] & CB_KBD_OFF)) {
        uint8_t byte = k->s.kbd_queue[k->s.kbd_head];
        k->s.kbd_head = (uint8_t)((k->s.kbd_head + 1) % I8042_QUEUE);
        k->s.kbd_count--;
        if (translate(k, &byte))
            put_out(k, byte, false);
    }
    if (!k->s.out_full && k->s.aux_count && !(k->s.ram[0] & CB_AUX_OFF)) {
        uint8_t byte = k->s.aux_queue[k->s.aux_head];
        k->s.aux_head = (uint8_t)((k->s.aux_head + 1) % I8042_QUEUE);
        k->s.aux_count--;
        put_out(k, byte, true);
    }
}

/* ---- the controller ---- */

bool i8042_a20(const struct i8042 *k)
{
    return (k->s.output_port & P2_A20) || (k->s.port92 & A_A20);
}

static void ask_reset(struct i8042 *k)
{
    if (k->reset_cpu)
        k->reset_cpu(k->reset_opaque);
}

static void write_output_port(struct i8042 *k, uint8_t v)
{
    k->s.output_port = v;
    irq_set(&k->a20, i8042_a20(k));
    if (!(v & P2_RESET))
        ask_reset(k);
}

/* Bits 4-5 of P2 follow the buffer. */
static uint8_t read_output_port(const struct i8042 *k)
{
    uint8_t v = k->s.output_port & (uint8_t) ~(P2_OBF | P2_AUX_OBF);
    if (k->s.out_full)
        v |= k->s.out_aux ? P2_AUX_OBF : P2_OBF;
    return v;
}

static void write_command_byte(struct i8042 *k, uint8_t v)
{
    k->s.ram[0] = v;
    update_lines(k);
}

/* Commands F0h-FFh pulse the bits of P2 that are 0 in the command; only bit 0, reset, is wired to
 * something. */
static void pulse(struct i8042 *k, uint8_t command)
{
    if (!(command & P2_RESET))
        ask_reset(k);
}

static void controller_command(struct i8042 *k, uint8_t v)
{
    k->s.command = 0;
    if (v >= 0x20 && v <= 0x3F) {
        reply(k, k->s.ram[v & 0x1F]);
    } else if ((v >= 0x60 && v <= 0x7F) || (v >= 0xD1 && v <= 0xD4)) {
        k->s.command = v;
    } else if (v >= 0xF0) {
        pulse(k, v);
    } else {
        switch (v) {
        case 0xA7: /* disable, enable the mouse */
            write_command_byte(k, k->s.ram[0] | CB_AUX_OFF);
            break;
        case 0xA8:
            write_command_byte(k, k->s.ram[0] & (uint8_t)~CB_AUX_OFF);
            break;
        case 0xA9: /* test of the mouse port, of the keyboard port: no error */
        case 0xAB:
            reply(k, 0x00);
            break;
        case 0xAA: /* self-test passed */
            k->s.ram[0] |= CB_SYS;
            reply(k, 0x55);
            break;
        case 0xAD: /* disable, enable the keyboard */
            write_command_byte(k, k->s.ram[0] | CB_KBD_OFF);
            break;
        case 0xAE:
            write_command_byte(k, k->s.ram[0] & (uint8_t)~CB_KBD_OFF);
            break;
        case 0xC0: /* input port: keyboard not locked, primary display is colour */
            reply(k, 0x80);
            break;
        case 0xD0:
            reply(k, read_output_port(k));
            break;
        case 0xDD: /* A20 off, on: of some chip sets; firmware tries them */
            write_output_port(k, k->s.output_port & (uint8_t)~P2_A20);
            break;
        case 0xDF:
            write_output_port(k, k->s.output_port | P2_A20);
            break;
        default:
            guest_error(k->trace, "i8042", "unknown controller command");
            break;
        }
    }
    i8042_pump(k);
}

/* The data byte of a controller command, or a byte for the keyboard, whose interface that enables.
 */
static void controller_data(struct i8042 *k, uint8_t v)
{
    uint8_t command = k->s.command;
    k->s.command = 0;
    switch (command) {
    case 0:
        k->s.ram[0] &= (uint8_t)~CB_KBD_OFF;
        ps2_kbd_receive(k, v);
        break;
    case 0x60:
        write_command_byte(k, v);
        break;
    case 0xD1:
        write_output_port(k, v);
        break;
    case 0xD2:
        put_out(k, v, false);
        break;
    case 0xD3:
        put_out(k, v, true);
        break;
    case 0xD4:
        k->s.ram[0] &= (uint8_t)~CB_AUX_OFF;
        ps2_aux_receive(k, v);
        break;
    default: /* 61h-7Fh */
        k->s.ram[command & 0x1F] = v;
        break;
    }
    i8042_pump(k);
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned width)
{
    struct i8042 *k = opaque;
    uint8_t v = k->s.out;
    (void)offset, (void)width;
    if (k->s.out_full) {
        k->s.out_full = false;
        update_lines(k); /* the line falls before the next byte raises it: the PIC needs the edge */
        i8042_pump(k);
    }
    return v;
}

static void data_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct i8042 *k = opaque;
    (void)offset, (void)width;
    k->s.last_was_command = false;
    controller_data(k, (uint8_t)v);
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct i8042 *k = opaque;
    uint8_t v = k->s.ram[0] & CB_SYS; /* CB_SYS and ST_SYS are the same bit */
    (void)offset, (void)width;
    v |= k->s.out_full ? ST_OBF : 0;
    v |= k->s.out_full && k->s.out_aux ? ST_AUX : 0;
    v |= k->s.last_was_command ? ST_COMMAND : 0;
    return v | ST_UNLOCKED;
}

static void command_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct i8042 *k = opaque;
    (void)offset, (void)width;
    k->s.last_was_command = true;
    controller_command(k, (uint8_t)v);
}

static uint64_t port_a_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct i8042 *k = opaque;
    (void)offset, (void)width;
    return k->s.port92;
}

/* Bit 0 resets the CPU when it goes from 0 to 1. */
static void port_a_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    struct i8042 *k = opaque;
    bool rises = (v & A_RESET) && !(k->s.port92 & A_RESET);
    (void)offset, (void)width;
    k->s.port92 = (uint8_t)v & (A_A20 | A_RESET);
    irq_set(&k->a20, i8042_a20(k));
    if (rises)
        ask_reset(k);
}

/* Power on: self-test not yet asked for; P2 pins are high, so A20 passes. */
static void i8042_reset(void *dev)
{
    struct i8042 *k = dev;
    memset(&k->s, 0, sizeof(k->s));
    k->s.ram[0] = CB_XLATE | CB_KBD_OFF | CB_AUX_OFF;
    k->s.output_port = 0xCF;
    ps2_kbd_reset(k);
    ps2_aux_defaults(k);
    update_lines(k);
    irq_set(&k->a20, i8042_a20(k));
}

static int i8042_after_load(void *dev, struct err *err)
{
    struct i8042 *k = dev;
    const struct i8042_state *s = &k->s;
    if (s->kbd_head >= I8042_QUEUE || s->kbd_count > I8042_QUEUE || s->aux_head >= I8042_QUEUE ||
        s->aux_count > I8042_QUEUE || s->kbd_set < 1 || s->kbd_set > 3 || s->aux_resolution > 3 ||
        s->kbd_leds > 7 || s->aux_buttons > 7 || (s->port92 & ~(A_A20 | A_RESET)))
        return err_set(err, EINVAL, "i8042: the state holds impossible register values");
    update_lines(k);
    irq_set(&k->a20, i8042_a20(k));
    return 0;
}

static struct io_region byte_port(struct i8042 *k, const char *name, uint16_t port,
                                  uint64_t (*read)(void *, uint64_t, unsigned),
                                  void (*write)(void *, uint64_t, unsigned, uint64_t))
{
    return (struct io_region){.name = name,
                              .base = port,
                              .size = 1,
                              .widths = W8,
                              .read = read,
                              .write = write,
                              .opaque = k,
                              .enabled = true};
}

void i8042_init(struct i8042 *k, struct trace *trace)
{
    *k = (struct i8042){.trace = trace};
    k->data = byte_port(k, "i8042-data", 0x60, data_read, data_write);
    k->control = byte_port(k, "i8042-control", 0x64, status_read, command_write);
    k->port_a = byte_port(k, "port92", 0x92, port_a_read, port_a_write);
    i8042_reset(k);
}

const struct device_ops i8042_ops = {
    .name = "i8042",
    .doc = "Intel 8042 keyboard controller with keyboard and PS/2 mouse",
    .size = sizeof(struct i8042),
    .fields = i8042_state_fields,
    .version = 1,
    .reset = i8042_reset,
    .after_load = i8042_after_load,
};
