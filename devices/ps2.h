/* SPDX-License-Identifier: MIT */
/*
 * The PS/2 keyboard and mouse, seen by their controller. Only i8042.c calls these; their state
 * lives in struct i8042_state, because nobody unplugs them. They answer into their queues and never
 * touch the ports.
 */
#pragma once

#include "devices/i8042.h"

#define PS2_BREAK 0xF0 /* in scan code set 2: the next code is a key going up */

/* A byte arrives over the line. */
void ps2_kbd_receive(struct i8042 *k, uint8_t v);
void ps2_aux_receive(struct i8042 *k, uint8_t v);

/* Power-on state. */
void ps2_kbd_reset(struct i8042 *k);
void ps2_aux_defaults(struct i8042 *k);

/* Scan code set 2 to set 1; other bytes pass unchanged. */
uint8_t ps2_to_set1(uint8_t code);

/* In i8042.c: move queued bytes to the output buffer while it is free. */
void i8042_pump(struct i8042 *k);
