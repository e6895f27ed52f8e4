/* SPDX-License-Identifier: MIT */
/*
 * The keyboard and the mouse at the ends of the controller's two serial lines. IBM PS/2 Hardware
 * Interface Technical Reference, "Keyboard (101- and 102-Key)" and "Mouse"; their state is in
 * struct i8042_state.
 */
#include "devices/ps2.h"

enum { ACK = 0xFA, RESEND = 0xFE, ECHO = 0xEE, BAT_OK = 0xAA, OVERRUN_ROOM = 8 };
enum { KEYS = 0x80 };

/*
 * The controller's translation of scan code set 2 (index) to set 1, FFh where there is no key
 * (IBM Technical Reference, "Scan Code Translation"). F7 is 83h and Alt-SysRq 84h: they lie past
 * the table.
 */
/* clang-format off */
static const uint8_t set2_to_set1[KEYS] = {
    0xFF, 0x43, 0x41, 0x3F, 0x3D, 0x3B, 0x3C, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3E, 0x0F, 0x29, 0x59,
    0x65, 0x38, 0x2A, 0x70, 0x1D, 0x10, 0x02, 0x5A, 0x66, 0x71, 0x2C, 0x1F, 0x1E, 0x11, 0x03, 0x5B,
    0x67, 0x2E, 0x2D, 0x20, 0x12, 0x05, 0x04, 0x5C, 0x68, 0x39, 0x2F, 0x21, 0x14, 0x13, 0x06, 0x5D,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5E, 0x6A, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5F,
    0x6B, 0x33, 0x25, 0x17, 0x18, 0x0B, 0x0A, 0x60, 0x6C, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0C, 0x61,
    0x6D, 0x73, 0x28, 0x74, 0x1A, 0x0D, 0x62, 0x6E, 0x3A, 0x36, 0x1C, 0x1B, 0x75, 0x2B, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7A, 0x0E, 0x7B, 0x7C, 0x4F, 0x7D, 0x4B, 0x47, 0x7E, 0x7F, 0x6F,
    0x52, 0x53, 0x50, 0x4C, 0x4D, 0x48, 0x01, 0x45, 0x57, 0x4E, 0x51, 0x4A, 0x37, 0x49, 0x46, 0x54,
};
/* clang-format on */
enum { SET2_F7 = 0x83, SET1_F7 = 0x41, SET2_SYSRQ = 0x84, SET1_SYSRQ = 0x54 };

uint8_t ps2_to_set1(uint8_t code)
{
    if (code == SET2_F7)
        return SET1_F7;
    if (code == SET2_SYSRQ)
        return SET1_SYSRQ;
    return code < KEYS ? set2_to_set1[code] : code;
}

/* 0: no such key. */
static uint8_t to_set2(uint8_t code)
{
    if (code == SET1_F7)
        return SET2_F7;
    if (code == SET1_SYSRQ)
        return SET2_SYSRQ;
    for (unsigned i = 1; i < KEYS; i++)
        if (set2_to_set1[i] == code)
            return (uint8_t)i;
    return 0;
}

static void kbd_send(struct i8042 *k, uint8_t byte)
{
    if (k->s.kbd_count < I8042_QUEUE)
        k->s.kbd_queue[(k->s.kbd_head + k->s.kbd_count++) % I8042_QUEUE] = byte;
    k->s.kbd_last = byte;
}

static void aux_send(struct i8042 *k, uint8_t byte)
{
    if (k->s.aux_count < I8042_QUEUE)
        k->s.aux_queue[(k->s.aux_head + k->s.aux_count++) % I8042_QUEUE] = byte;
    k->s.aux_last = byte;
}

/* ---- the keyboard ("Keyboard (101- and 102-Key)", "Commands from the System") ---- */

static void kbd_defaults(struct i8042 *k)
{
    k->s.kbd_set = 2;
    k->s.kbd_rate = 0x2B; /* 10.9 characters a second after 500 ms */
    k->s.kbd_leds = 0;
    k->s.kbd_command = 0;
}

/* A new command cuts off what the keyboard was sending. */
static void kbd_flush(struct i8042 *k)
{
    k->s.kbd_count = 0;
}

/* The second byte of a two-byte command. */
static void kbd_parameter(struct i8042 *k, uint8_t v)
{
    uint8_t command = k->s.kbd_command;
    k->s.kbd_command = 0;
    kbd_send(k, ACK);
    switch (command) {
    case 0xED:
        k->s.kbd_leds = v & 7;
        break;
    case 0xF0:
        if (v == 0)
            kbd_send(k, k->s.kbd_set);
        else if (v <= 3)
            k->s.kbd_set = v;
        break;
    case 0xF3:
        k->s.kbd_rate = v & 0x7F;
        break;
    default: /* FBh-FDh: a key whose type would change; only set 3 has types */
        break;
    }
}

void ps2_kbd_reset(struct i8042 *k)
{
    kbd_defaults(k);
    kbd_flush(k);
    k->s.kbd_scanning = true;
}

static void kbd_command(struct i8042 *k, uint8_t v)
{
    kbd_flush(k);
    switch (v) {
    case 0xED: /* set/reset status indicators */
    case 0xF0: /* select alternate scan codes */
    case 0xF3: /* set typematic rate/delay */
    case 0xFB: /* set key type, three forms */
    case 0xFC:
    case 0xFD:
        k->s.kbd_command = v;
        kbd_send(k, ACK);
        break;
    case ECHO:
        kbd_send(k, ECHO);
        break;
    case 0xF2: /* read ID: an MF II keyboard */
        kbd_send(k, ACK);
        kbd_send(k, 0xAB);
        kbd_send(k, 0x83);
        break;
    case 0xF4: /* enable */
        k->s.kbd_scanning = true;
        kbd_send(k, ACK);
        break;
    case 0xF5: /* default disable */
        kbd_defaults(k);
        k->s.kbd_scanning = false;
        kbd_send(k, ACK);
        break;
    case 0xF6: /* set default */
        kbd_defaults(k);
        k->s.kbd_scanning = true;
        kbd_send(k, ACK);
        break;
    case 0xF7: /* set all keys: types of set 3 */
    case 0xF8:
    case 0xF9:
    case 0xFA:
        kbd_send(k, ACK);
        break;
    case 0xFE:
        kbd_send(k, k->s.kbd_last);
        break;
    case 0xFF:
        ps2_kbd_reset(k);
        kbd_send(k, ACK);
        kbd_send(k, BAT_OK);
        break;
    default:
        kbd_send(k, RESEND);
        break;
    }
}

/* A byte arrives at the keyboard. A command byte (EDh and up) where a parameter is due starts over.
 */
void ps2_kbd_receive(struct i8042 *k, uint8_t v)
{
    if (k->s.kbd_command && v < 0xED)
        kbd_parameter(k, v);
    else {
        k->s.kbd_command = 0;
        kbd_command(k, v);
    }
}

/* ---- the mouse ("PS/2 Mouse", "Commands") ---- */

void ps2_aux_defaults(struct i8042 *k)
{
    k->s.aux_rate = 100;
    k->s.aux_resolution = 2;
    k->s.aux_scaling = k->s.aux_reporting = k->s.aux_remote = k->s.aux_wrap = false;
    k->s.aux_dx = k->s.aux_dy = 0;
    k->s.aux_command = 0;
}

static int clamp(int v, int limit)
{
    return v > limit ? limit : v < -limit ? -limit : v;
}

/* A movement packet: buttons and signs, then two counts of nine bits. What does not fit waits for
 * the next. */
static void aux_packet(struct i8042 *k)
{
    int dx = clamp((int16_t)k->s.aux_dx, 255), dy = clamp((int16_t)k->s.aux_dy, 255);
    aux_send(k, (uint8_t)(8 | k->s.aux_buttons | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
    aux_send(k, (uint8_t)dx);
    aux_send(k, (uint8_t)dy);
    k->s.aux_dx = (uint16_t)(k->s.aux_dx - dx);
    k->s.aux_dy = (uint16_t)(k->s.aux_dy - dy);
}

static void aux_status(struct i8042 *k)
{
    uint8_t b = k->s.aux_buttons;
    aux_send(k,
             (uint8_t)((k->s.aux_remote ? 0x40 : 0) | (k->s.aux_reporting ? 0x20 : 0) |
                       (k->s.aux_scaling ? 0x10 : 0) | (b & 1) << 2 | (b & 4) >> 1 | (b & 2) >> 1));
    aux_send(k, k->s.aux_resolution);
    aux_send(k, k->s.aux_rate);
}

static void aux_parameter(struct i8042 *k, uint8_t v)
{
    uint8_t command = k->s.aux_command;
    k->s.aux_command = 0;
    aux_send(k, ACK);
    if (command == 0xE8)
        k->s.aux_resolution = v & 3;
    else
        k->s.aux_rate = v;
}

static void aux_command(struct i8042 *k, uint8_t v)
{
    k->s.aux_count = 0;
    if (v == 0xFE) {
        aux_send(k, k->s.aux_last);
        return;
    }
    aux_send(k, ACK);
    switch (v) {
    case 0xE6: /* scaling 1:1, 2:1 */
    case 0xE7:
        k->s.aux_scaling = v == 0xE7;
        break;
    case 0xE8: /* set resolution */
    case 0xF3: /* set sampling rate */
        k->s.aux_command = v;
        break;
    case 0xE9:
        aux_status(k);
        break;
    case 0xEA: /* stream mode */
    case 0xF0: /* remote mode */
        k->s.aux_remote = v == 0xF0;
        break;
    case 0xEB:
        aux_packet(k);
        break;
    case 0xEE:
        k->s.aux_wrap = true;
        break;
    case 0xF2: /* read device type: a mouse without wheel */
        aux_send(k, 0x00);
        break;
    case 0xF4:
    case 0xF5:
        k->s.aux_reporting = v == 0xF4;
        break;
    case 0xF6:
        ps2_aux_defaults(k);
        break;
    case 0xFF:
        ps2_aux_defaults(k);
        aux_send(k, BAT_OK);
        aux_send(k, 0x00);
        break;
    case 0xEC: /* reset wrap mode, when not in it */
        break;
    default:
        k->s.aux_count = 0;
        aux_send(k, RESEND);
        break;
    }
}

void ps2_aux_receive(struct i8042 *k, uint8_t v)
{
    if (k->s.aux_wrap && v != 0xEC && v != 0xFF) {
        aux_send(k, v);
    } else if (k->s.aux_command) {
        aux_parameter(k, v);
    } else {
        k->s.aux_wrap = false;
        aux_command(k, v);
    }
}

/* ---- hands ---- */

bool i8042_key(struct i8042 *k, uint16_t code, bool is_down)
{
    uint8_t make = k->s.kbd_set == 1 ? (uint8_t)code & 0x7F : to_set2((uint8_t)code & 0x7F);
    if (!k->s.kbd_scanning || !make || k->s.kbd_count > I8042_QUEUE - OVERRUN_ROOM)
        return false;
    if (code >> 8)
        kbd_send(k, (uint8_t)(code >> 8));
    if (!is_down && k->s.kbd_set == 1)
        make |= 0x80;
    else if (!is_down)
        kbd_send(k, PS2_BREAK);
    kbd_send(k, make);
    i8042_pump(k);
    return true;
}

/* Movement that the buffer has no room for stays in the counters. */
void i8042_mouse(struct i8042 *k, int dx, int dy, uint8_t buttons)
{
    k->s.aux_dx = (uint16_t)clamp((int16_t)k->s.aux_dx + clamp(dx, 4096), 16384);
    k->s.aux_dy = (uint16_t)clamp((int16_t)k->s.aux_dy + clamp(dy, 4096), 16384);
    k->s.aux_buttons = buttons & 7;
    if (k->s.aux_reporting && !k->s.aux_remote && k->s.aux_count <= I8042_QUEUE - OVERRUN_ROOM) {
        aux_packet(k);
        i8042_pump(k);
    }
}
