/* SPDX-License-Identifier: MIT */
/* PC16550D, "Registers" and "FIFO Interrupt Mode Operation". The register list is in uart.h. */
#include "devices/uart.h"

#include <errno.h>
#include <string.h>

#define UART_CLOCK_HZ                                                                              \
    UINT64_C(1843200) /* the PC's crystal; the line runs at clock / 16 / divisor */

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RX = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8, IER_BITS = 0x0F };
enum {
    IIR_NONE = 1,
    IIR_MODEM = 0,
    IIR_THRE = 2,
    IIR_RX = 4,
    IIR_LINE = 6,
    IIR_TIMEOUT = 12,
    IIR_FIFO = 0xC0
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_KEEP = 0xC9 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_BITS = 0x1F };
enum {
    LSR_DR = 1,
    LSR_OE = 2,
    LSR_PE = 4,
    LSR_FE = 8,
    LSR_BI = 16,
    LSR_THRE = 32,
    LSR_TEMT = 64,
    LSR_RXFE = 128
};
enum { MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128, MSR_TERI = 4 };

#define LSR_CHAR_ERRORS (LSR_PE | LSR_FE | LSR_BI)

static bool fifo_on(const struct uart *u)
{
    return u->s.fcr & FCR_ENABLE;
}

static unsigned fifo_depth(const struct uart *u)
{
    return fifo_on(u) ? UART_FIFO_SIZE : 1;
}

/* FCR bits 6-7: bytes in the receive FIFO that raise the interrupt. */
static unsigned trigger_level(const struct uart *u)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};
    return fifo_on(u) ? levels[u->s.fcr >> 6] : 1;
}

/*
 * One character: start, 5-8 data, parity, stop bits (LCR bits 0-3). Divisor 0 is not specified; the
 * counter of the real chip then runs through its whole range.
 */
static vtime character_time(const struct uart *u)
{
    uint64_t divisor = u->s.divisor ? u->s.divisor : 65536;
    unsigned bits = 1 + 5 + (u->s.lcr & 3u) + (u->s.lcr & 8 ? 1 : 0) + (u->s.lcr & 4 ? 2 : 1);
    vtime t = muldiv_u64(divisor * 16 * bits, NS_PER_SECOND, UART_CLOCK_HZ * u->speedup);
    return t ? t : 1;
}

/* In loopback DTR RTS OUT1 OUT2 come back as DSR CTS RI DCD ("Modem Control Register", bit 4). */
static uint8_t modem_status(const struct uart *u)
{
    uint8_t m = 0;
    if (!(u->s.mcr & MCR_LOOP))
        return u->s.modem_in;
    m |= u->s.mcr & MCR_DTR ? MSR_DSR : 0;
    m |= u->s.mcr & MCR_RTS ? MSR_CTS : 0;
    m |= u->s.mcr & MCR_OUT1 ? MSR_RI : 0;
    m |= u->s.mcr & MCR_OUT2 ? MSR_DCD : 0;
    return m;
}

static uint8_t line_status(const struct uart *u)
{
    uint8_t v = u->s.lsr;
    if (u->s.rx_count)
        v |= (uint8_t)(LSR_DR | u->s.rx_error[u->s.rx_head]);
    if (!u->s.tx_count)
        v |= LSR_THRE;
    if (!u->s.tx_count && !u->s.is_shifting)
        v |= LSR_TEMT;
    for (unsigned i = 0; fifo_on(u) && i < u->s.rx_count; i++)
        if (u->s.rx_error[(u->s.rx_head + i) % UART_FIFO_SIZE])
            v |= LSR_RXFE;
    return v;
}

/* "Interrupt Identification Register": the highest priority source that is enabled. */
static uint8_t interrupt_id(const struct uart *u)
{
    if ((u->s.ier & IER_LINE) && (line_status(u) & (LSR_OE | LSR_CHAR_ERRORS)))
        return IIR_LINE;
    if ((u->s.ier & IER_RX) && u->s.rx_count >= trigger_level(u))
        return IIR_RX;
    if ((u->s.ier & IER_RX) && u->s.timeout_pending)
        return IIR_TIMEOUT;
    if ((u->s.ier & IER_THRE) && u->s.thre_pending)
        return IIR_THRE;
    if ((u->s.ier & IER_MODEM) && u->s.msr_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct uart *u)
{
    irq_set(&u->irq, (u->s.mcr & MCR_OUT2) && interrupt_id(u) != IIR_NONE);
}

/* ---- receiver ---- */

/* The timeout counts four characters from the last one received or read ("FIFO Interrupt Mode
 * Operation"). */
static void restart_timeout(struct uart *u)
{
    u->s.timeout_pending = false;
    u->s.rx_timeout = VTIME_NEVER;
    if (fifo_on(u) && u->s.rx_count)
        u->s.rx_timeout = event_now(u->rx_event.queue) + 4 * character_time(u);
    event_arm(&u->rx_event, u->s.rx_timeout);
}

static void rx_push(struct uart *u, uint8_t byte, uint8_t error)
{
    if (u->s.rx_count >= fifo_depth(u)) {
        u->s.lsr |= LSR_OE;
        if (!fifo_on(u)) /* RBR is overwritten; a full FIFO keeps what it has */
            u->s.rx[u->s.rx_head] = byte;
    } else {
        unsigned at = (u->s.rx_head + u->s.rx_count) % UART_FIFO_SIZE;
        u->s.rx[at] = byte;
        u->s.rx_error[at] = error;
        u->s.rx_count++;
    }
    restart_timeout(u);
    update_irq(u);
}

static uint8_t rx_pop(struct uart *u)
{
    uint8_t byte = u->s.rx[u->s.rx_head];
    if (u->s.rx_count) {
        u->s.rx_error[u->s.rx_head] = 0;
        u->s.rx_head = (uint8_t)((u->s.rx_head + 1) % UART_FIFO_SIZE);
        u->s.rx_count--;
    }
    restart_timeout(u);
    update_irq(u);
    return byte;
}

static void rx_clear(struct uart *u)
{
    u->s.rx_head = u->s.rx_count = 0;
    memset(u->s.rx_error, 0, sizeof(u->s.rx_error));
    restart_timeout(u);
}

static void rx_timed_out(void *opaque, vtime now)
{
    struct uart *u = opaque;
    (void)now;
    u->s.rx_timeout = VTIME_NEVER;
    u->s.timeout_pending = u->s.rx_count > 0;
    update_irq(u);
}

/* ---- transmitter ---- */

/* Move the next byte into the shift register; the holding register may become empty by that. */
static void tx_start(struct uart *u, vtime now)
{
    if (u->s.is_shifting || !u->s.tx_count)
        return;
    u->s.tsr = u->s.tx[u->s.tx_head];
    u->s.tx_head = (uint8_t)((u->s.tx_head + 1) % UART_FIFO_SIZE);
    u->s.tx_count--;
    u->s.is_shifting = true;
    u->s.tx_end = now + character_time(u);
    event_arm(&u->tx_event, u->s.tx_end);
    if (!u->s.tx_count)
        u->s.thre_pending = true;
}

static void tx_shifted(void *opaque, vtime now)
{
    struct uart *u = opaque;
    u->s.is_shifting = false;
    u->s.tx_end = VTIME_NEVER;
    if (u->s.mcr & MCR_LOOP)
        rx_push(u, u->s.tsr, 0);
    else if (u->tx && !(u->s.lcr & LCR_BREAK)) /* a forced break hides the data */
        (void)u->tx(u->tx_opaque, u->s.tsr);
    tx_start(u, now);
    update_irq(u);
}

/* A byte written to a full transmitter replaces the last one waiting, as a second write to THR
 * does. */
static void write_thr(struct uart *u, uint8_t v)
{
    u->s.thre_pending = false;
    if (u->s.tx_count < fifo_depth(u))
        u->s.tx_count++;
    u->s.tx[(u->s.tx_head + u->s.tx_count - 1u) % UART_FIFO_SIZE] = v;
    tx_start(u, event_now(u->tx_event.queue));
    update_irq(u);
}

/* ---- control registers ---- */

static void write_ier(struct uart *u, uint8_t v)
{
    bool was = u->s.ier & IER_THRE;
    u->s.ier = v & IER_BITS;
    /* Enabling the THRE interrupt while THR is empty raises it at once: drivers count on it. */
    if (!was && (v & IER_THRE) && !u->s.tx_count)
        u->s.thre_pending = true;
    update_irq(u);
}

static void write_fcr(struct uart *u, uint8_t v)
{
    bool toggles = (v ^ u->s.fcr) & FCR_ENABLE; /* clears both FIFOs */
    u->s.fcr = v & FCR_ENABLE ? v & FCR_KEEP : 0;
    if (toggles || (v & FCR_CLEAR_RX))
        rx_clear(u);
    if (toggles || (v & FCR_CLEAR_TX)) {
        u->s.thre_pending |= u->s.tx_count > 0;
        u->s.tx_head = u->s.tx_count = 0;
    }
    update_irq(u);
}

/* Delta bits: CTS, DSR, DCD on any change, RI on its trailing edge ("Modem Status Register"). */
static void note_modem_change(struct uart *u, uint8_t before)
{
    uint8_t now = modem_status(u);
    uint8_t changed = (uint8_t)((before ^ now) >> 4);
    u->s.msr_delta |= changed & (0x0F & ~MSR_TERI);
    if (before & ~now & MSR_RI)
        u->s.msr_delta |= MSR_TERI;
}

static void write_mcr(struct uart *u, uint8_t v)
{
    uint8_t before = modem_status(u);
    u->s.mcr = v & MCR_BITS;
    note_modem_change(u, before);
    update_irq(u);
}

/* Reading IIR clears the THRE interrupt, if that is the one it names. */
static uint8_t read_iir(struct uart *u)
{
    uint8_t id = interrupt_id(u);
    if (id == IIR_THRE) {
        u->s.thre_pending = false;
        update_irq(u);
    }
    return fifo_on(u) ? id | IIR_FIFO : id;
}

/* Reading LSR clears OE and the error bits of the character on top. */
static uint8_t read_lsr(struct uart *u)
{
    uint8_t v = line_status(u);
    u->s.lsr = 0;
    if (u->s.rx_count && u->s.rx_error[u->s.rx_head])
        u->s.rx_error[u->s.rx_head] = 0;
    if (v & (LSR_OE | LSR_CHAR_ERRORS))
        update_irq(u);
    return v;
}

/* Reading MSR clears its delta bits. */
static uint8_t read_msr(struct uart *u)
{
    uint8_t v = modem_status(u) | u->s.msr_delta;
    u->s.msr_delta = 0;
    update_irq(u);
    return v;
}

static uint64_t uart_read(void *opaque, uint64_t offset, unsigned width)
{
    struct uart *u = opaque;
    bool is_latch = u->s.lcr & LCR_DLAB;
    (void)width;
    switch (offset) {
    case RBR_THR:
        return is_latch ? u->s.divisor & 0xFF : rx_pop(u);
    case IER:
        return is_latch ? u->s.divisor >> 8 : u->s.ier;
    case IIR_FCR:
        return read_iir(u);
    case LCR:
        return u->s.lcr;
    case MCR:
        return u->s.mcr;
    case LSR:
        return read_lsr(u);
    case MSR:
        return read_msr(u);
    default:
        return u->s.scr;
    }
}

static void write_latch(struct uart *u, bool is_high, uint8_t v)
{
    if (is_high)
        u->s.divisor = (uint16_t)((u->s.divisor & 0xFF) | v << 8);
    else
        u->s.divisor = (uint16_t)((u->s.divisor & 0xFF00) | v);
}

static void uart_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct uart *u = opaque;
    uint8_t v = (uint8_t)value;
    (void)width;
    if ((u->s.lcr & LCR_DLAB) && offset <= IER) {
        write_latch(u, offset == IER, v);
        return;
    }
    switch (offset) {
    case RBR_THR:
        write_thr(u, v);
        break;
    case IER:
        write_ier(u, v);
        break;
    case IIR_FCR:
        write_fcr(u, v);
        break;
    case LCR:
        u->s.lcr = v;
        break;
    case MCR:
        write_mcr(u, v);
        break;
    case SCR:
        u->s.scr = v;
        break;
    default: /* LSR and MSR: "intended for read operations only" */
        guest_error(u->trace, "uart", "write to a read-only status register");
        break;
    }
}

/* ---- the line ---- */

unsigned uart_can_receive(const struct uart *u)
{
    if (u->s.mcr & MCR_LOOP)
        return 0;
    return u->s.rx_count < fifo_depth(u) ? fifo_depth(u) - u->s.rx_count : 0;
}

void uart_receive(struct uart *u, uint8_t byte)
{
    if (!(u->s.mcr & MCR_LOOP))
        rx_push(u, byte, 0);
}

void uart_receive_break(struct uart *u)
{
    if (!(u->s.mcr & MCR_LOOP))
        rx_push(u, 0, LSR_BI);
}

/* Master Reset leaves the divisor undefined: 9600 baud is what firmware leaves. A terminal is
 * plugged in. */
static void uart_reset(void *dev)
{
    struct uart *u = dev;
    memset(&u->s, 0, sizeof(u->s));
    u->s.divisor = 12;
    u->s.modem_in = MSR_CTS | MSR_DSR | MSR_DCD;
    u->s.tx_end = VTIME_NEVER;
    u->s.rx_timeout = VTIME_NEVER;
    event_cancel(&u->tx_event);
    event_cancel(&u->rx_event);
    update_irq(u);
}

static int uart_after_load(void *dev, struct err *err)
{
    struct uart *u = dev;
    const struct uart_state *s = &u->s;
    bool bad = s->rx_head >= UART_FIFO_SIZE || s->tx_head >= UART_FIFO_SIZE ||
               s->rx_count > fifo_depth(u) || s->tx_count > fifo_depth(u) || (s->fcr & ~FCR_KEEP) ||
               (s->fcr && !fifo_on(u)) || (s->ier & ~IER_BITS) || (s->mcr & ~MCR_BITS) ||
               (s->lsr & ~LSR_OE) || (s->msr_delta & 0xF0) || (s->modem_in & 0x0F) ||
               s->is_shifting != (s->tx_end != VTIME_NEVER) || (!s->is_shifting && s->tx_count);
    for (unsigned i = 0; i < UART_FIFO_SIZE; i++)
        bad |= (s->rx_error[i] & ~LSR_CHAR_ERRORS) != 0;
    if (bad)
        return err_set(err, EINVAL, "uart: the state holds impossible register values");
    event_arm(&u->tx_event, s->tx_end);
    event_arm(&u->rx_event, s->rx_timeout);
    update_irq(u);
    return 0;
}

void uart_init(struct uart *u, struct event_queue *q, struct trace *trace, uint64_t iobase)
{
    *u = (struct uart){.trace = trace, .speedup = UART_SPEEDUP};
    u->io = (struct io_region){.name = "uart",
                               .base = iobase,
                               .size = 8,
                               .widths = W8,
                               .read = uart_read,
                               .write = uart_write,
                               .opaque = u,
                               .enabled = true};
    event_register(q, &u->tx_event, "uart-tx", 0, tx_shifted, u);
    event_register(q, &u->rx_event, "uart-rx-timeout", 0, rx_timed_out, u);
    uart_reset(u);
}

bool uart_has_output(const struct uart *u)
{
    return u->s.is_shifting || u->s.tx_count > 0;
}

void uart_drain(const struct uart *u)
{
    if (!u->tx || (u->s.mcr & MCR_LOOP) || (u->s.lcr & LCR_BREAK))
        return;
    if (u->s.is_shifting)
        u->tx(u->tx_opaque, u->s.tsr);
    for (unsigned i = 0; i < u->s.tx_count; i++)
        u->tx(u->tx_opaque, u->s.tx[(u->s.tx_head + i) % UART_FIFO_SIZE]);
}

const struct device_ops uart_ops = {
    .name = "uart",
    .doc = "National Semiconductor PC16550D UART",
    .size = sizeof(struct uart),
    .fields = uart_state_fields,
    .version = 1,
    .reset = uart_reset,
    .after_load = uart_after_load,
};
