/* SPDX-License-Identifier: MIT */
/*
 * The pair of 8259A interrupt controllers of a PC/AT, master and slave cascaded through the
 * master's IR2, with the edge/level control registers of the PIIX. The board connects request lines
 * to pic_set_irq and the master's INT output to LINT0 of the boot processor; the monitor runs the
 * interrupt acknowledge cycle. Owns its registers; never decides whether the processor takes the
 * interrupt.
 *
 * As on the chip, an edge request must stay high until it is acknowledged: a line that pulses is
 * lost or gives a spurious IR7.
 */
#pragma once

#include "devices/device.h"

enum { PIC_MASTER, PIC_SLAVE, PIC_CHIPS };

#define PIC_STATE(ONE, ARR, S)                                                                     \
    ARR(S, uint8_t, lines, 2, "levels of the IR inputs; master bit 2 is the slave's INT")          \
    ARR(S, uint8_t, irr, 2, "edge requests latched and not yet acknowledged")                      \
    ARR(S, uint8_t, isr, 2, "In-Service Register")                                                 \
    ARR(S, uint8_t, imr, 2, "Interrupt Mask Register (OCW1)")                                      \
    ARR(S, uint8_t, elcr, 2, "edge/level control, 4D0h and 4D1h: 1 is level")                      \
    ARR(S, uint8_t, icw1, 2, "last ICW1: LTIM, SNGL, IC4")                                         \
    ARR(S, uint8_t, vector_base, 2, "ICW2: vector of IR0, low three bits 0")                       \
    ARR(S, uint8_t, icw3, 2, "ICW3: cascade inputs or slave number; informative")                  \
    ARR(S, uint8_t, icw4, 2, "ICW4: SFNM, AEOI")                                                   \
    ARR(S, uint8_t, expected_icw, 2, "next ICW on the odd port: 2, 3, 4; 0 when initialized")      \
    ARR(S, uint8_t, lowest, 2, "IR with the lowest priority, 0-7")                                 \
    ARR(S, bool, rotate_on_aeoi, 2, "OCW2: rotate in automatic EOI mode")                          \
    ARR(S, bool, special_mask, 2, "OCW3: special mask mode")                                       \
    ARR(S, bool, read_isr, 2, "OCW3: the even port reads ISR, not IRR")                            \
    ARR(S, bool, poll, 2, "OCW3: the next read is a poll")
STATE_STRUCT(pic_state, PIC_STATE);

struct pic {
    struct pic_state s;      /* first: all the guest can observe */
    struct irq_line intr;    /* wiring: INT of the master; set by the board */
    struct trace *trace;     /* wiring: may be NULL */
    struct io_region master; /* ports 20h-21h */
    struct io_region slave;  /* ports A0h-A1h */
    struct io_region elcr;   /* ports 4D0h-4D1h */
};

extern const struct device_ops pic_ops;

/* Power on. Fills the regions; the board sets `intr` and adds the regions to port I/O space. */
void pic_init(struct pic *pic, struct trace *trace);

/* Drive request line n, 0-15 (2 is not connected). A listener for struct irq_line: opaque is the
 * struct pic. */
void pic_set_irq(void *opaque, unsigned n, bool level);

/* The level of INT now: there is a request for the processor. */
bool pic_output(const struct pic *pic);

/*
 * The interrupt acknowledge cycle: moves the highest request into service and returns its vector.
 * Without a request (it was withdrawn) the vector is that of IR7 and nothing is in service: 8259A,
 * "Interrupt Sequence".
 */
uint8_t pic_acknowledge(struct pic *pic);
