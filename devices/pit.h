/* SPDX-License-Identifier: MIT */
/*
 * The 8254 programmable interval timer at 40h-43h and the PC's system control port B at 61h, which
 * holds the gate of counter 2. The board connects OUT0 to IRQ 0. Owns three counters, each a
 * function of virtual time; an event exists only while OUT0 has a change ahead of it. Never makes a
 * sound.
 */
#pragma once

#include "devices/device.h"

#define PIT_HZ UINT64_C(1193182)

#define PIT_STATE(ONE, ARR, S)                                                                     \
    ARR(S, uint8_t, control, 3, "RW1-0, M2-0, BCD of the last control word, bits 5-0")             \
    ARR(S, uint16_t, reload, 3, "count register (CR), as written")                                 \
    ARR(S, uint32_t, count, 3, "count loaded into the counting element, 1-65536")                  \
    ARR(S, uint64_t, start, 3, "clock cycle at which it was loaded")                               \
    ARR(S, uint64_t, held, 3, "cycles counted when the gate stopped the counter")                  \
    ARR(S, uint64_t, next_load, 3,                                                                 \
        "clock cycle at which CR is loaded in modes 2 and 3; all ones: none")                      \
    ARR(S, bool, is_counting, 3, "the counting element has been loaded")                           \
    ARR(S, bool, is_held, 3, "the gate has stopped the counter")                                   \
    ARR(S, bool, has_null_count, 3, "CR has been written and not yet loaded")                      \
    ARR(S, bool, gate, 3, "GATE input")                                                            \
    ARR(S, bool, write_msb, 3, "the next byte written is the high one")                            \
    ARR(S, bool, read_msb, 3, "the next byte read is the high one")                                \
    ARR(S, uint8_t, write_lsb, 3, "low byte waiting for the high one")                             \
    ARR(S, uint16_t, latch, 3, "output latch")                                                     \
    ARR(S, uint8_t, latched_bytes, 3, "bytes of the latch still to be read")                       \
    ARR(S, uint8_t, status, 3, "latched status byte")                                              \
    ARR(S, bool, has_status, 3, "the next read gives the status byte")                             \
    ONE(S, bool, irq_level, "OUT0 as last driven")                                                 \
    ONE(S, uint8_t, port_b, "port 61h bits 3-0: gate 2, speaker, parity and channel check enables")
STATE_STRUCT(pit_state, PIT_STATE);

struct pit {
    struct pit_state s;        /* first: all the guest can observe */
    struct irq_line irq;       /* wiring: OUT0; set by the board to IRQ 0 */
    struct event_queue *queue; /* wiring: borrowed */
    struct event edge;         /* wiring: next change of OUT0 */
    struct trace *trace;       /* wiring: may be NULL */
    struct io_region ports;    /* 40h-43h */
    struct io_region port_61;  /* 61h */
};

extern const struct device_ops pit_ops;

/* Power on: counters idle until programmed. */
void pit_init(struct pit *pit, struct event_queue *queue, struct trace *trace);

/* OUT of counter n, 0-2, now. */
bool pit_output(const struct pit *pit, unsigned n);
