/* SPDX-License-Identifier: MIT */
/*
 * High Precision Event Timer. IA-PC HPET Specification, revision 1.0a; section names are of it.
 *
 *   000   General Capabilities and ID   ro    100+20n  Timer n Configuration and Capability  rw
 *   010   General Configuration         rw    108+20n  Timer n Comparator Value              rw
 *   020   General Interrupt Status      w1c   110+20n  Timer n FSB Interrupt Route           rw
 *   0F0   Main Counter Value            rw
 *
 * The counter is not incremented: it follows from virtual time. A line of an edge timer stays high
 * after a match and falls just before the next, because an 8259A forgets a pulse.
 */
#include "devices/hpet.h"

#include <errno.h>

#include "devices/apic.h"
#include "devices/chip_clock.h"

enum {
    REG_CAPABILITIES = 0x000,
    REG_CONFIG = 0x010,
    REG_STATUS = 0x020,
    REG_COUNTER = 0x0f0,
    REG_TIMERS = 0x100,
    TIMER_CONFIG = 0x00,
    TIMER_COMPARATOR = 0x08,
    TIMER_FSB = 0x10,
    ENABLE_CNF = 1 << 0,
    LEG_RT_CNF = 1 << 1,
    TN_LEVEL = 1 << 1,
    TN_INT_ENB = 1 << 2,
    TN_PERIODIC = 1 << 3,
    TN_PER_INT_CAP = 1 << 4,
    TN_SIZE_CAP = 1 << 5,
    TN_VAL_SET = 1 << 6,
    TN_32MODE = 1 << 8,
    TN_INT_ROUTE_SHIFT = 9,
    TN_INT_ROUTE = 31 << TN_INT_ROUTE_SHIFT,
    TN_FSB_EN = 1 << 14,
    TN_FSB_CAP = 1 << 15,
    TN_WRITABLE = TN_LEVEL | TN_INT_ENB | TN_PERIODIC | TN_VAL_SET | TN_32MODE | TN_INT_ROUTE,
};

/* Revision 1, three timers, 64-bit counter, legacy replacement, vendor 8086h. */
#define CAPABILITIES (HPET_PERIOD_FS << 32 | 0x8086a001 | (HPET_TIMERS - 1) << 8)
#define NS_PER_CYCLE (HPET_PERIOD_FS / 1000000)

/* ---- counter ---- */

static uint64_t cycle_now(const struct hpet *h)
{
    return event_now(h->queue) / NS_PER_CYCLE;
}

static uint64_t counter_now(const struct hpet *h)
{
    return h->s.config & ENABLE_CNF ? h->s.counter + (cycle_now(h) - h->s.counter_start)
                                    : h->s.counter;
}

bool hpet_is_legacy(const struct hpet *h)
{
    return h->s.config & ENABLE_CNF && h->s.config & LEG_RT_CNF;
}

/* ---- a timer ---- */

/* The bits that are compared. */
static uint64_t size_mask(const struct hpet *h, unsigned n)
{
    return h->s.timer_config[n] & TN_32MODE ? UINT32_MAX : UINT64_MAX;
}

static bool is_periodic(const struct hpet *h, unsigned n)
{
    return h->s.timer_config[n] & TN_PERIODIC && h->s.period[n] & size_mask(h, n);
}

static bool is_level(const struct hpet *h, unsigned n)
{
    return h->s.timer_config[n] & TN_LEVEL;
}

/* The wire of timer n under a configuration, or NULL: off, or by FSB. "Interrupt Mapping". */
static const struct irq_line *line_for(const struct hpet *h, unsigned n, uint64_t config,
                                       uint64_t timer_config)
{
    if (!(config & ENABLE_CNF) || !(timer_config & TN_INT_ENB))
        return NULL;
    if (config & LEG_RT_CNF && n < 2)
        return &h->legacy[n];
    unsigned route = timer_config >> TN_INT_ROUTE_SHIFT & 31;
    if (timer_config & TN_FSB_EN || !(HPET_ROUTES >> route & 1))
        return NULL;
    return &h->pin[route];
}

static const struct irq_line *line_of(const struct hpet *h, unsigned n)
{
    return line_for(h, n, h->s.config, h->s.timer_config[n]);
}

static void drive(struct hpet *h, unsigned n, bool level)
{
    const struct irq_line *line = line_of(h, n);
    h->s.irq_level[n] = level && line;
    irq_set(line, level);
}

/* The comparator now: a periodic one that the counter has reached moved on by whole periods.
 * "Periodic Mode". */
static uint64_t comparator_now(const struct hpet *h, unsigned n)
{
    uint64_t mask = size_mask(h, n), period = h->s.period[n] & mask,
             comparator = h->s.comparator[n];
    if (!is_periodic(h, n) || !(h->s.config & ENABLE_CNF))
        return comparator;
    uint64_t behind = (counter_now(h) - comparator) & mask;
    if (behind > mask >> 1) /* still ahead */
        return comparator;
    return (comparator + (behind / period + 1) * period) & mask;
}

/* Wait for the next match that anybody can notice. */
static void arm(struct hpet *h, unsigned n)
{
    bool is_up = h->s.status >> n & 1;
    bool is_noticed = is_level(h, n) ? !is_up : h->s.timer_config[n] & TN_INT_ENB;
    vtime when = VTIME_NEVER;
    if (h->s.config & ENABLE_CNF && is_noticed) {
        /* Equal is a match that has been: the next one is a whole turn of the counter away. */
        uint64_t distance = (comparator_now(h, n) - counter_now(h) - 1) & size_mask(h, n);
        uint64_t left = VTIME_NEVER / NS_PER_CYCLE - cycle_now(h);
        if (distance < left)
            when = (cycle_now(h) + distance + 1) * NS_PER_CYCLE;
    }
    event_arm(&h->match[n], when);
}

bool hpet_ignores_if(const struct hpet *h)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (h->s.timer_config[n] & TN_INT_ENB && h->s.timer_config[n] & TN_FSB_EN &&
            apic_ignores_if((uint32_t)h->s.fsb[n] >> 8 & 7))
            return true;
    return false;
}

static void interrupt(struct hpet *h, unsigned n)
{
    uint64_t c = h->s.timer_config[n];
    bool is_legacy = hpet_is_legacy(h) && n < 2;
    if (is_level(h, n)) {
        h->s.status |= BIT(n);
        drive(h, n, true);
    } else if (c & TN_INT_ENB && c & TN_FSB_EN && !is_legacy) {
        if (h->msi)
            h->msi(h->msi_opaque, h->s.fsb[n] >> 32, (uint32_t)h->s.fsb[n]);
    } else if (c & TN_INT_ENB) {
        drive(h, n, false);
        drive(h, n, true);
    }
}

static void match(void *opaque, UNUSED vtime now)
{
    const struct hpet_match *of = opaque;
    of->hpet->s.comparator[of->n] = comparator_now(of->hpet, of->n);
    interrupt(of->hpet, of->n);
    arm(of->hpet, of->n);
}

/* ---- registers ---- */

/*
 * Configuration changes. Lines that move come off their wires first; then the PIT and RTC go off
 * theirs or come back; then level requests are driven again, on the new wires.
 */
static void reconfigure(struct hpet *h, uint64_t config, unsigned n, uint64_t timer_config)
{
    bool was_legacy = hpet_is_legacy(h);
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        uint64_t from = h->s.timer_config[i], to = i == n ? timer_config : from;
        bool stays = line_of(h, i) == line_for(h, i, config, to) && !((from ^ to) & TN_LEVEL);
        if (h->s.irq_level[i] && !stays)
            drive(h, i, false);
    }
    h->s.config = config;
    if (n < HPET_TIMERS)
        h->s.timer_config[n] = timer_config;
    if (hpet_is_legacy(h) != was_legacy)
        irq_set(&h->legacy_enable, !was_legacy);
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        if (is_level(h, i) && h->s.status >> i & 1 && line_of(h, i))
            drive(h, i, true);
        arm(h, i);
    }
}

static void write_config(struct hpet *h, uint64_t v)
{
    uint64_t config = v & (ENABLE_CNF | LEG_RT_CNF);
    bool was_enabled = h->s.config & ENABLE_CNF;
    if (was_enabled && !(config & ENABLE_CNF))
        h->s.counter = counter_now(h);
    else if (!was_enabled)
        h->s.counter_start = cycle_now(h);
    reconfigure(h, config, HPET_TIMERS, 0);
}

static void write_timer_config(struct hpet *h, unsigned n, uint64_t v)
{
    uint64_t old = h->s.timer_config[n];
    uint64_t c = v & (TN_WRITABLE | (h->msi ? (unsigned)TN_FSB_EN : 0));
    unsigned route = c >> TN_INT_ROUTE_SHIFT & 31;
    if (!(HPET_ROUTES >> route & 1)) /* "the value read back will not match": not a route we have */
        c = (c & ~(uint64_t)TN_INT_ROUTE) | (old & TN_INT_ROUTE);
    if (is_level(h, n) && !(c & TN_LEVEL))
        h->s.status &= ~BIT(n);
    reconfigure(h, h->s.config, n, c);
    h->s.comparator[n] &= size_mask(h, n);
    arm(h, n);
}

/* "Timer n Comparator Value": in periodic mode the value is the period, and the accumulator too if
 * VAL_SET. */
static void write_comparator(struct hpet *h, unsigned n, uint64_t v, uint64_t bits)
{
    uint64_t *c = &h->s.timer_config[n];
    h->s.comparator[n] = comparator_now(h, n);
    if (!(*c & TN_PERIODIC) || *c & TN_VAL_SET)
        h->s.comparator[n] = ((h->s.comparator[n] & ~bits) | (v & bits)) & size_mask(h, n);
    if (*c & TN_PERIODIC)
        h->s.period[n] = ((h->s.period[n] & ~bits) | (v & bits)) & size_mask(h, n);
    *c &= ~(uint64_t)TN_VAL_SET;
    arm(h, n);
}

static void write_status(struct hpet *h, uint64_t v)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        if (!(v & h->s.status & BIT(n)))
            continue;
        h->s.status &= ~BIT(n);
        drive(h, n, false);
        arm(h, n);
    }
}

static uint64_t read_timer(const struct hpet *h, unsigned n, uint64_t reg)
{
    switch (reg) {
    case TIMER_CONFIG:
        return h->s.timer_config[n] | TN_PER_INT_CAP | TN_SIZE_CAP |
               (h->msi ? (unsigned)TN_FSB_CAP : 0) | (uint64_t)HPET_ROUTES << 32;
    case TIMER_COMPARATOR:
        return comparator_now(h, n);
    case TIMER_FSB:
        return h->s.fsb[n];
    default:
        return 0;
    }
}

static uint64_t read_reg(const struct hpet *h, uint64_t reg)
{
    switch (reg) {
    case REG_CAPABILITIES:
        return CAPABILITIES;
    case REG_CONFIG:
        return h->s.config;
    case REG_STATUS:
        return h->s.status;
    case REG_COUNTER:
        return counter_now(h);
    default:
        break;
    }
    uint64_t n = (reg - REG_TIMERS) / 0x20;
    return reg >= REG_TIMERS && n < HPET_TIMERS ? read_timer(h, (unsigned)n, reg & 0x18) : 0;
}

/* v holds the register's new value where `bits` are set. */
static void write_reg(struct hpet *h, uint64_t reg, uint64_t v, uint64_t bits)
{
    uint64_t merged = (read_reg(h, reg) & ~bits) | (v & bits);
    uint64_t n = (reg - REG_TIMERS) / 0x20;
    if (reg == REG_CONFIG) {
        write_config(h, merged);
    } else if (reg == REG_STATUS) {
        write_status(h, v & bits);
    } else if (reg ==
               REG_COUNTER) { /* defined while halted; otherwise counts on from the new value */
        h->s.counter = merged;
        h->s.counter_start = cycle_now(h);
        for (unsigned i = 0; i < HPET_TIMERS; i++)
            arm(h, i);
    } else if (reg >= REG_TIMERS && n < HPET_TIMERS) {
        if ((reg & 0x18) == TIMER_CONFIG)
            write_timer_config(h, (unsigned)n, merged);
        else if ((reg & 0x18) == TIMER_COMPARATOR)
            write_comparator(h, (unsigned)n, v, bits);
        else if ((reg & 0x18) == TIMER_FSB)
            h->s.fsb[n] = merged;
    }
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned width)
{
    uint64_t v = read_reg(opaque, offset & ~UINT64_C(7)) >> 8 * (offset & 7);
    return width == W64 ? v : v & low_mask(8 * width);
}

static void mmio_write(void *opaque, uint64_t offset, unsigned width, uint64_t v)
{
    unsigned shift = 8 * (offset & 7);
    uint64_t bits = low_mask(8 * width) << shift;
    write_reg(opaque, offset & ~UINT64_C(7), v << shift, bits);
}

/* ---- life ---- */

static void reset(void *opaque)
{
    struct hpet *h = opaque;
    bool was_legacy = hpet_is_legacy(h);
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        if (h->s.irq_level[n])
            drive(h, n, false);
        event_cancel(&h->match[n]);
    }
    h->s = (struct hpet_state){0};
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        h->s.comparator[n] = UINT64_MAX;
    if (was_legacy)
        irq_set(&h->legacy_enable, false);
}

static int after_load(void *opaque, struct err *err)
{
    struct hpet *h = opaque;
    const struct hpet_state *s = &h->s;
    if (s->config & ~(uint64_t)(ENABLE_CNF | LEG_RT_CNF) || s->status >> HPET_TIMERS)
        return err_set(err, EINVAL, "HPET: impossible register value");
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (s->timer_config[n] & ~(uint64_t)(TN_WRITABLE | TN_FSB_EN) ||
            s->comparator[n] & ~size_mask(h, n))
            return err_set(err, EINVAL, "HPET: impossible configuration of timer %u", n);
    irq_set(&h->legacy_enable, hpet_is_legacy(h));
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        arm(h, n);
    return 0;
}

const struct device_ops hpet_ops = {
    .name = "hpet",
    .doc = "IA-PC HPET, three timers at 100 MHz",
    .size = sizeof(struct hpet),
    .fields = hpet_state_fields,
    .version = 1,
    .reset = reset,
    .after_load = after_load,
};

void hpet_init(struct hpet *h, struct event_queue *queue, struct trace *trace)
{
    *h = (struct hpet){.queue = queue, .trace = trace};
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        h->of[n] = (struct hpet_match){.hpet = h, .n = n};
        event_register(queue, &h->match[n], "hpet timer", 0, match, &h->of[n]);
    }
    h->mmio = (struct io_region){.name = "hpet",
                                 .base = HPET_DEFAULT_BASE,
                                 .size = 0x400,
                                 .widths = W32 | W64,
                                 .read = mmio_read,
                                 .write = mmio_write,
                                 .opaque = h,
                                 .enabled = true};
    reset(h);
}
