/* SPDX-License-Identifier: MIT */
/*
 * 8254 Programmable Interval Timer and system control port B. Section names are of Intel's 8254
 * data sheet.
 *
 *   port   write                                     read
 *   40h-2  count, by RW: LSB, MSB, or both           latched status, latched count, or count
 *   43h    control word, latch or read-back command  nothing
 *   61h    bits 3-0: channel check and parity check  also bit 4 refresh toggle, bit 5 OUT2
 *          disable, speaker data, gate 2
 *
 * Nothing is decremented: a counter was loaded with `count` at clock cycle `start`, and its output
 * and count follow from the cycle now. A new count in modes 2 and 3 waits until next_load, the end
 * of the period or half-period.
 */
#include "devices/pit.h"

#include <errno.h>

#include "devices/chip_clock.h"

enum {
    RW_LATCH = 0,
    RW_LSB = 1,
    RW_MSB = 2,
    RW_BOTH = 3,
    CONTROL_RESET = RW_BOTH << 4,
    REFRESH_CYCLES = 18, /* 15.1 us between refresh requests */
    PORT_B_GATE2 = 1,
};

#define NO_LOAD UINT64_MAX

/* ---- a counter as a function of time ---- */

/* M2-M0; 6 and 7 are 2 and 3: "Control Word Format". */
static unsigned mode(const struct pit_state *s, unsigned n)
{
    unsigned m = s->control[n] >> 1 & 7;
    return m > 5 ? m & 3 : m;
}

static unsigned rw(const struct pit_state *s, unsigned n)
{
    return s->control[n] >> 4 & 3;
}

static bool is_bcd(const struct pit_state *s, unsigned n)
{
    return s->control[n] & 1;
}

static bool is_before_load(const struct pit_state *s, unsigned n, uint64_t cycle)
{
    return !s->is_held[n] && (int64_t)(cycle - s->start[n]) < 0;
}

/* Cycles counted since the load. */
static uint64_t elapsed(const struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (s->is_held[n])
        return s->held[n];
    return is_before_load(s, n, cycle) ? 0 : cycle - s->start[n];
}

/* What CR loads: 0 is 2^16, or 10^4 in BCD. */
static uint32_t effective_count(const struct pit_state *s, unsigned n)
{
    uint32_t v = s->reload[n];
    if (!is_bcd(s, n))
        return v ? v : 0x10000;
    v = (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
    return v ? v : 10000;
}

/* Mode 3: cycles of the high half of a period. */
static uint32_t high_half(uint32_t count)
{
    return (count + 1) / 2;
}

static bool output_at(const struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (!s->is_counting[n])
        return mode(s, n) != 0;
    uint64_t e = elapsed(s, n, cycle);
    switch (mode(s, n)) {
    case 0:
    case 1:
        return e >= s->count[n];
    case 2:
        return !s->gate[n] || e % s->count[n] != s->count[n] - 1;
    case 3:
        return !s->gate[n] || e % s->count[n] < high_half(s->count[n]);
    default:
        return e != s->count[n];
    }
}

/* The end of the period (mode 2) or half-period (mode 3) that `cycle` is in. */
static uint64_t next_boundary(const struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (is_before_load(s, n, cycle))
        cycle = s->start[n];
    uint64_t position = (cycle - s->start[n]) % s->count[n];
    uint32_t high = high_half(s->count[n]);
    if (mode(s, n) == 3 && position < high)
        return cycle - position + high;
    return cycle - position + s->count[n];
}

/* The first cycle after `cycle` at which OUT may differ, or NO_LOAD. */
static uint64_t next_change(const struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (!s->is_counting[n] || s->is_held[n])
        return NO_LOAD;
    uint64_t e = elapsed(s, n, cycle), count = s->count[n];
    uint64_t from =
        is_before_load(s, n, cycle) ? s->start[n] : cycle; /* e cycles were counted at `from` */
    switch (mode(s, n)) {
    case 2:
        if (count == 1)
            return s->next_load[n];
        return e % count < count - 1 ? from + (count - 1 - e % count) : from + 1;
    case 3:
        return count == 1 ? s->next_load[n] : next_boundary(s, n, cycle);
    case 4:
    case 5:
        if (e == count)
            return from + 1;
        FALLTHROUGH;
    default:
        return e < count ? from + (count - e) : NO_LOAD;
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)((v / 1000 % 10) << 12 | (v / 100 % 10) << 8 | (v / 10 % 10) << 4 | v % 10);
}

/* The counting element as the processor reads it. */
static uint16_t count_at(const struct pit_state *s, unsigned n, uint64_t cycle)
{
    uint32_t modulus = is_bcd(s, n) ? 10000 : 0x10000;
    if (!s->is_counting[n])
        return s->reload[n];
    uint64_t e = elapsed(s, n, cycle);
    uint32_t count = s->count[n], value, high = high_half(count);
    uint32_t position = (uint32_t)(e % count);
    switch (mode(s, n)) {
    case 2:
        value = count - position;
        break;
    case 3: /* counts down by two from an even number, once per half */
        value = (count & ~UINT32_C(1)) - 2 * (position < high ? position : position - high);
        break;
    default: /* wraps and counts on */
        value = count + modulus - (uint32_t)(e % modulus);
        break;
    }
    value %= modulus;
    return is_bcd(s, n) ? to_bcd(value) : (uint16_t)value;
}

/* ---- events of a counter ---- */

static void load(struct pit_state *s, unsigned n, uint64_t start)
{
    s->count[n] = effective_count(s, n);
    s->start[n] = start;
    s->is_counting[n] = true;
    s->is_held[n] = false;
    s->has_null_count[n] = false;
    s->next_load[n] = NO_LOAD;
}

/* Do the load that was due at next_load. */
static void sync(struct pit_state *s, unsigned n, uint64_t cycle)
{
    uint64_t at = s->next_load[n];
    if (at == NO_LOAD || cycle < at)
        return;
    bool is_half = mode(s, n) == 3 && s->is_counting[n] && (at - s->start[n]) % s->count[n] != 0;
    load(s, n, at);
    if (is_half) /* OUT has just gone low: the new count's low half begins here */
        s->start[n] = at - high_half(s->count[n]);
}

/* Both bytes of a new count are there. "Mode Definitions". */
static void write_count(struct pit_state *s, unsigned n, uint16_t v, uint64_t cycle)
{
    s->reload[n] = v;
    s->has_null_count[n] = true;
    switch (mode(s, n)) {
    case 0:
    case 4:
        load(s, n, cycle + 1);
        break;
    case 1:
    case 5:
        break; /* loaded by the trigger */
    default:
        if (!s->is_counting[n] || is_before_load(s, n, cycle))
            load(s, n, cycle + 1);
        else if (!s->is_held[n])
            s->next_load[n] = next_boundary(s, n, cycle);
        break;
    }
    if (s->is_counting[n] && !s->gate[n] && !s->is_held[n] && mode(s, n) != 1 && mode(s, n) != 5) {
        s->is_held[n] = true;
        s->held[n] = 0;
    }
}

static void rise_gate(struct pit_state *s, unsigned n, uint64_t cycle)
{
    switch (mode(s, n)) {
    case 0:
    case 4:
        if (s->is_held[n])
            s->start[n] = cycle - s->held[n];
        s->is_held[n] = false;
        break;
    case 1:
    case 5:
        load(s, n, cycle + 1);
        break;
    default:
        if (s->is_counting[n])
            load(s, n, cycle + 1);
        break;
    }
}

static void fall_gate(struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (!s->is_counting[n] || mode(s, n) == 1 || mode(s, n) == 5)
        return;
    s->held[n] = elapsed(s, n, cycle);
    s->is_held[n] = true;
    s->next_load[n] = NO_LOAD; /* the trigger will load it */
}

static void set_gate(struct pit_state *s, unsigned n, bool level, uint64_t cycle)
{
    bool was = s->gate[n];
    s->gate[n] = level;
    if (level && !was)
        rise_gate(s, n, cycle);
    else if (!level && was)
        fall_gate(s, n, cycle);
}

/* ---- the chip ---- */

static uint64_t cycle_now(const struct pit *pit)
{
    return clock_cycles(PIT_HZ, event_now(pit->queue));
}

/* Bring the counters up to date; the present cycle. */
static uint64_t sync_all(struct pit *pit)
{
    uint64_t cycle = cycle_now(pit);
    for (unsigned n = 0; n < 3; n++)
        sync(&pit->s, n, cycle);
    return cycle;
}

/* Drive IRQ 0 and wait for its next change. */
static void update_irq(struct pit *pit, uint64_t cycle)
{
    bool level = output_at(&pit->s, 0, cycle);
    uint64_t next = next_change(&pit->s, 0, cycle);
    event_arm(&pit->edge, next == NO_LOAD ? VTIME_NEVER : clock_when(PIT_HZ, next));
    if (level == pit->s.irq_level)
        return;
    pit->s.irq_level = level;
    irq_set(&pit->irq, level);
}

static void edge(void *opaque, UNUSED vtime now)
{
    struct pit *pit = opaque;
    update_irq(pit, sync_all(pit));
}

bool pit_output(const struct pit *pit, unsigned n)
{
    struct pit_state s = pit->s;
    uint64_t cycle = cycle_now(pit);
    sync(&s, n, cycle);
    return output_at(&s, n, cycle);
}

/* ---- writes ---- */

/* "Counter Latch Command": a second one before the first is read is ignored. */
static void latch_count(struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (s->latched_bytes[n])
        return;
    s->latch[n] = count_at(s, n, cycle);
    s->latched_bytes[n] = rw(s, n) == RW_BOTH ? 2 : 1;
}

/* "Read-Back Command", status byte: OUT, null count, RW, M, BCD. */
static void latch_status(struct pit_state *s, unsigned n, uint64_t cycle)
{
    if (s->has_status[n])
        return;
    bool is_null = s->has_null_count[n] || (s->is_counting[n] && is_before_load(s, n, cycle));
    s->status[n] = (uint8_t)(output_at(s, n, cycle) << 7 | is_null << 6 | s->control[n]);
    s->has_status[n] = true;
}

static void read_back(struct pit_state *s, uint8_t v, uint64_t cycle)
{
    for (unsigned n = 0; n < 3; n++) {
        if (!(v >> (n + 1) & 1))
            continue;
        if (!(v & 0x20))
            latch_count(s, n, cycle);
        if (!(v & 0x10))
            latch_status(s, n, cycle);
    }
}

static void write_control(struct pit_state *s, uint8_t v, uint64_t cycle)
{
    unsigned n = v >> 6;
    if (n == 3) {
        read_back(s, v, cycle);
        return;
    }
    if ((v >> 4 & 3) == RW_LATCH) {
        latch_count(s, n, cycle);
        return;
    }
    s->control[n] = v & 0x3f;
    s->is_counting[n] = s->is_held[n] = false;
    s->has_null_count[n] = true;
    s->next_load[n] = NO_LOAD;
    s->write_msb[n] = s->read_msb[n] = s->has_status[n] = false;
    s->latched_bytes[n] = 0;
}

static void write_counter(struct pit_state *s, unsigned n, uint8_t v, uint64_t cycle)
{
    if (rw(s, n) == RW_LSB) {
        write_count(s, n, v, cycle);
    } else if (rw(s, n) == RW_MSB) {
        write_count(s, n, (uint16_t)(v << 8), cycle);
    } else if (!s->write_msb[n]) {
        s->write_lsb[n] = v;
        s->write_msb[n] = true;
        if (mode(s, n) ==
            0) /* "Writing the first byte disables counting. OUT is set low immediately" */
            s->is_counting[n] = false;
    } else {
        s->write_msb[n] = false;
        write_count(s, n, (uint16_t)(v << 8 | s->write_lsb[n]), cycle);
    }
}

static void ports_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct pit *pit = opaque;
    uint64_t cycle = sync_all(pit);
    if ((offset & 3) == 3)
        write_control(&pit->s, (uint8_t)v, cycle);
    else
        write_counter(&pit->s, offset & 3, (uint8_t)v, cycle);
    update_irq(pit, cycle);
}

static void port_61_write(void *opaque, UNUSED uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct pit *pit = opaque;
    uint64_t cycle = sync_all(pit);
    pit->s.port_b = v & 0xf;
    set_gate(&pit->s, 2, v & PORT_B_GATE2, cycle);
}

/* ---- reads ---- */

static uint64_t ports_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    struct pit *pit = opaque;
    struct pit_state *s = &pit->s;
    unsigned n = offset & 3;
    if (n == 3)
        return 0xff; /* "no-operation": the data bus floats */
    uint64_t cycle = sync_all(pit);
    if (s->has_status[n]) {
        s->has_status[n] = false;
        return s->status[n];
    }
    bool is_latched = s->latched_bytes[n];
    uint16_t v = is_latched ? s->latch[n] : count_at(s, n, cycle);
    bool is_high = rw(s, n) == RW_MSB;
    if (rw(s, n) == RW_BOTH) {
        is_high = is_latched ? s->latched_bytes[n] == 1 : s->read_msb[n];
        if (!is_latched)
            s->read_msb[n] = !s->read_msb[n];
    }
    if (is_latched)
        s->latched_bytes[n]--;
    return is_high ? v >> 8 : v & 0xff;
}

static uint64_t port_61_read(void *opaque, UNUSED uint64_t offset, UNUSED unsigned width)
{
    struct pit *pit = opaque;
    uint64_t cycle = sync_all(pit);
    uint64_t refresh = cycle / REFRESH_CYCLES & 1;
    return pit->s.port_b | refresh << 4 | (uint64_t)output_at(&pit->s, 2, cycle) << 5;
}

/* ---- life ---- */

static void reset(void *opaque)
{
    struct pit *pit = opaque;
    bool irq_level = pit->s.irq_level;
    pit->s = (struct pit_state){.gate = {true, true, false}, .irq_level = irq_level};
    for (unsigned n = 0; n < 3; n++) {
        pit->s.control[n] = CONTROL_RESET;
        pit->s.next_load[n] = NO_LOAD;
    }
    update_irq(pit, cycle_now(pit));
}

static int after_load(void *opaque, struct err *err)
{
    struct pit *pit = opaque;
    const struct pit_state *s = &pit->s;
    for (unsigned n = 0; n < 3; n++)
        if (s->control[n] > 0x3f || s->count[n] > 0x10000 ||
            (s->is_counting[n] && s->count[n] == 0) || s->latched_bytes[n] > 2)
            return err_set(err, EINVAL, "8254 counter %u: impossible register value", n);
    if (s->port_b > 0xf || s->gate[2] != (s->port_b & PORT_B_GATE2))
        return err_set(err, EINVAL, "8254: impossible value of port 61h");
    uint64_t cycle = cycle_now(pit);
    uint64_t next = next_change(s, 0, cycle);
    event_arm(&pit->edge, next == NO_LOAD ? VTIME_NEVER : clock_when(PIT_HZ, next));
    return 0;
}

const struct device_ops pit_ops = {
    .name = "pit",
    .doc = "Intel 8254 interval timer and port 61h",
    .size = sizeof(struct pit),
    .fields = pit_state_fields,
    .version = 1,
    .reset = reset,
    .after_load = after_load,
};

void pit_init(struct pit *pit, struct event_queue *queue, struct trace *trace)
{
    *pit = (struct pit){.queue = queue, .trace = trace};
    event_register(queue, &pit->edge, "pit out0", 0, edge, pit);
    pit->ports = (struct io_region){.name = "pit",
                                    .base = 0x40,
                                    .size = 4,
                                    .widths = W8,
                                    .read = ports_read,
                                    .write = ports_write,
                                    .opaque = pit,
                                    .enabled = true};
    pit->port_61 = (struct io_region){.name = "port 61h",
                                      .base = 0x61,
                                      .size = 1,
                                      .widths = W8,
                                      .read = port_61_read,
                                      .write = port_61_write,
                                      .opaque = pit,
                                      .enabled = true};
    reset(pit);
}
