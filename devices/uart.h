/* SPDX-License-Identifier: MIT */
/*
 * National Semiconductor PC16550D UART, as COM1-COM4. The board wires it; the one door feeds
 * uart_receive; bytes go out through `tx`. Owns its FIFOs. It never waits for the host: a byte the
 * backend refuses is lost, because a guest that saw the host's speed would not be deterministic.
 *
 * Registers (PC16550D, "Registers"), R/W, value after Master Reset:
 *   0  RBR (R), THR (W); DLL with DLAB      4  MCR  R/W  00h
 *   1  IER  R/W  00h;    DLM with DLAB      5  LSR  R    60h
 *   2  IIR (R) 01h, FCR (W) 00h             6  MSR  R    modem inputs
 *   3  LCR  R/W  00h                        7  SCR  R/W  00h
 */
#pragma once

#include "devices/device.h"

#define UART_FIFO_SIZE 16

/* clang-format off */
#define UART_STATE(ONE, ARR, S)                                                                  \
    ONE(S, uint8_t, ier, "interrupt enable")                                                     \
    ONE(S, uint8_t, fcr, "FIFO control as last written, without its self-clearing bits")         \
    ONE(S, uint8_t, lcr, "line control")                                                         \
    ONE(S, uint8_t, mcr, "modem control")                                                        \
    ONE(S, uint8_t, lsr, "line status: OE and, outside the FIFO, PE FE BI; the rest is derived") \
    ONE(S, uint8_t, msr_delta, "modem status bits 0-3: changes since the last read")             \
    ONE(S, uint8_t, modem_in, "modem inputs CTS DSR RI DCD as MSR bits 4-7")                     \
    ONE(S, uint8_t, scr, "scratch")                                                              \
    ONE(S, uint16_t, divisor, "DLM << 8 | DLL")                                                  \
    ARR(S, uint8_t, rx, UART_FIFO_SIZE, "receive FIFO, a ring from rx_head")                     \
    ARR(S, uint8_t, rx_error, UART_FIFO_SIZE, "PE FE BI of the byte in the same place of rx")    \
    ONE(S, uint8_t, rx_head, "oldest byte of rx")                                                \
    ONE(S, uint8_t, rx_count, "bytes in rx")                                                     \
    ARR(S, uint8_t, tx, UART_FIFO_SIZE, "transmit FIFO, a ring from tx_head")                    \
    ONE(S, uint8_t, tx_head, "oldest byte of tx")                                                \
    ONE(S, uint8_t, tx_count, "bytes in tx")                                                     \
    ONE(S, uint8_t, tsr, "transmitter shift register")                                           \
    ONE(S, bool, is_shifting, "a character is on the wire")                                      \
    ONE(S, bool, thre_pending, "THRE interrupt waits (cleared by reading IIR or writing THR)")   \
    ONE(S, bool, timeout_pending, "character timeout interrupt waits")                           \
    ONE(S, vtime, tx_end, "when the character on the wire ends; all ones: none")                 \
    ONE(S, vtime, rx_timeout, "when the character timeout is reached; all ones: none")
/* clang-format on */
STATE_STRUCT(uart_state, UART_STATE);

struct uart {
    struct uart_state s;                    /* first: saved, hashed, shown */
    struct irq_line irq;                    /* wiring: INTR, gated by MCR.OUT2 as on a PC */
    struct event tx_event;                  /* wiring: end of a character, from s.tx_end */
    struct event rx_event;                  /* wiring: character timeout, from s.rx_timeout */
    struct io_region io;                    /* eight ports; the board adds it */
    struct trace *trace;                    /* borrowed; may be NULL */
    bool (*tx)(void *opaque, uint8_t byte); /* wiring: a character left; NULL: nobody listens */
    void *tx_opaque;                        /* of tx */
    uint32_t speedup; /* configuration: the line is this many times faster than its divisor says */
};

extern const struct device_ops uart_ops;

/*
 * A UART at eight ports from iobase, in its reset state, connected to nothing. speedup is
 * UART_SPEEDUP: at 115200 baud a polling guest would spin 87,000 ticks for each character of its
 * boot messages; 1 gives the real line's timing.
 */
#define UART_SPEEDUP 64
void uart_init(struct uart *u, struct event_queue *q, struct trace *trace, uint64_t iobase);

/* How many bytes the receiver takes now without an overrun; 0 in loopback, when the line is cut
 * off. */
unsigned uart_can_receive(const struct uart *u);

/* A character arrives. When there is no room it is an overrun (LSR.OE), as on the line. */
void uart_receive(struct uart *u, uint8_t byte);

/* Is there a byte in the transmitter or on the wire? */
bool uart_has_output(const struct uart *uart);

/*
 * The run has ended and no time will pass any more: hand over what is still on its way out. The
 * state stays as it is, so the last hash of a run does not depend on who listens.
 */
void uart_drain(const struct uart *u);

/* A break arrives: a zero byte with LSR.BI ("Line Status Register", bit 4). */
void uart_receive_break(struct uart *u);
