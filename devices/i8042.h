/* SPDX-License-Identifier: MIT */
/*
 * The PC's keyboard controller: an Intel 8042 (UPI-42) with the IBM PS/2 program, its keyboard and
 * PS/2 mouse, and system control port A (92h). The board wires IRQ 1, IRQ 12, the A20 gate and
 * reset; the one door calls i8042_key and i8042_mouse. Answers are there at once: the serial line
 * to the keyboard has no time of its own. (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller".)
 *
 * Ports: 60h R output buffer, W data; 64h R status, W command; 92h R/W bit 0 fast reset, bit 1 A20.
 * Status: 0 OBF  1 IBF  2 SYS  3 C/D  4 unlocked  5 OBF is the mouse's  6 timeout  7 parity
 */
#pragma once

#include "devices/device.h"

#define I8042_QUEUE 32

/* clang-format off */
#define I8042_STATE(ONE, ARR, S)                                                            \
    ARR(S, uint8_t, ram, 32, "controller RAM; byte 0 is the command byte")                  \
    ONE(S, uint8_t, command, "command that waits for its data byte on port 60h, or 0")      \
    ONE(S, bool, last_was_command, "status C/D: last write went to port 64h")               \
    ONE(S, uint8_t, output_port, "P2: bit 0 reset#, bit 1 A20, 4 OBF, 5 mouse OBF")         \
    ONE(S, uint8_t, port92, "system control port A")                                        \
    ONE(S, uint8_t, out, "output buffer")                                                   \
    ONE(S, bool, out_full, "OBF")                                                           \
    ONE(S, bool, out_aux, "the output buffer holds the mouse's byte")                       \
    ARR(S, uint8_t, kbd_queue, I8042_QUEUE, "bytes the keyboard has to send, ring")         \
    ONE(S, uint8_t, kbd_head, "oldest byte of kbd_queue")                                   \
    ONE(S, uint8_t, kbd_count, "bytes in kbd_queue")                                        \
    ONE(S, uint8_t, kbd_command, "keyboard command that waits for its parameter, or 0")     \
    ONE(S, bool, kbd_scanning, "keyboard reports keys")                                     \
    ONE(S, uint8_t, kbd_set, "scan code set 1, 2 or 3")                                     \
    ONE(S, uint8_t, kbd_leds, "LEDs: bit 0 scroll, 1 num, 2 caps")                          \
    ONE(S, uint8_t, kbd_rate, "typematic rate and delay")                                   \
    ONE(S, uint8_t, kbd_last, "last byte sent, for Resend")                                 \
    ONE(S, bool, kbd_break_prefix, "translation: F0h seen, next code is a break")           \
    ARR(S, uint8_t, aux_queue, I8042_QUEUE, "bytes the mouse has to send, ring")            \
    ONE(S, uint8_t, aux_head, "oldest byte of aux_queue")                                   \
    ONE(S, uint8_t, aux_count, "bytes in aux_queue")                                        \
    ONE(S, uint8_t, aux_command, "mouse command that waits for its parameter, or 0")        \
    ONE(S, uint8_t, aux_rate, "mouse samples per second")                                   \
    ONE(S, uint8_t, aux_resolution, "mouse resolution code 0-3")                            \
    ONE(S, uint8_t, aux_buttons, "buttons: bit 0 left, 1 right, 2 middle")                  \
    ONE(S, bool, aux_reporting, "mouse sends packets in stream mode")                       \
    ONE(S, bool, aux_remote, "mouse is in remote mode")                                     \
    ONE(S, bool, aux_wrap, "mouse echoes what it gets")                                     \
    ONE(S, bool, aux_scaling, "mouse scaling is 2:1")                                       \
    ONE(S, uint8_t, aux_last, "last byte sent, for Resend")                                 \
    ONE(S, uint16_t, aux_dx, "movement not yet reported, two's complement")                 \
    ONE(S, uint16_t, aux_dy, "movement not yet reported, two's complement")
/* clang-format on */
STATE_STRUCT(i8042_state, I8042_STATE);

struct i8042 {
    struct i8042_state s;    /* first: saved, hashed, shown */
    struct irq_line kbd_irq; /* wiring: IRQ 1 */
    struct irq_line aux_irq; /* wiring: IRQ 12 */
    struct irq_line a20;     /* wiring: level of the A20 gate, true: address line 20 passes */
    void (*reset_cpu)(void *opaque); /* wiring: CPU reset asked (FEh, P2 bit 0, port 92h bit 0) */
    void *reset_opaque;              /* of reset_cpu */
    struct io_region data;           /* port 60h */
    struct io_region control;        /* port 64h */
    struct io_region port_a;         /* port 92h */
    struct trace *trace;             /* borrowed; may be NULL */
};

extern const struct device_ops i8042_ops;

/* A controller at its usual ports with keyboard and mouse plugged in, in its reset state. */
void i8042_init(struct i8042 *k, struct trace *trace);

/*
 * A key goes down or up. code is the key's make code of scan code set 1, with E0h in the high byte
 * for the extended keys (E05Dh: menu). False: the keyboard's buffer is full or the key is unknown,
 * and nothing was sent.
 */
bool i8042_key(struct i8042 *k, uint16_t code, bool is_down);

/* The mouse moved by dx (right) and dy (up) counts; buttons: bit 0 left, 1 right, 2 middle. */
void i8042_mouse(struct i8042 *k, int dx, int dy, uint8_t buttons);

/* The A20 gate: either source opens it (82371SB, "Alternate A20 gate"). */
bool i8042_a20(const struct i8042 *k);
