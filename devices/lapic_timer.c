/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer. SDM Vol. 3A, "APIC Timer", "TSC-Deadline Mode".
 *
 * The counter is never decremented: it held first_count at timer_start and follows from virtual
 * time. An expiry is the k-th moment at which first_count + k * initial_count periods have passed,
 * computed each time from the start, so a periodic timer does not drift. A masked timer runs
 * without an event.
 */
#include "devices/lapic_internal.h"

#include "devices/chip_clock.h"

/* Bus cycles per count: Divide Configuration Register, bits 3, 1, 0: 000 is 2 ... 110 is 128, 111
 * is 1. */
static unsigned divisor(const struct lapic *l)
{
    unsigned code = (l->s.divide & 3) | (l->s.divide & 8) >> 1;
    return 1u << ((code + 1) & 7);
}

/* Counts since timer_start. */
static uint64_t counts_at(const struct lapic *l, vtime now)
{
    if (now <= l->s.timer_start)
        return 0;
    return muldiv_u64(now - l->s.timer_start, l->config.bus_hz, NS_PER_SECOND * divisor(l));
}

static vtime when_counts(const struct lapic *l, uint64_t counts)
{
    vtime ns = muldiv_up_u64(counts, NS_PER_SECOND * divisor(l), l->config.bus_hz);
    return add_sat_u64(l->s.timer_start, ns);
}

static uint32_t mode(const struct lapic *l)
{
    return l->s.lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static bool is_periodic(const struct lapic *l)
{
    return mode(l) == LVT_TIMER_PERIODIC && l->s.initial_count;
}

static uint32_t current_at(const struct lapic *l, vtime now)
{
    if (!l->s.is_counting || mode(l) == LVT_TIMER_DEADLINE)
        return 0;
    uint64_t counts = counts_at(l, now);
    if (counts < l->s.first_count)
        return l->s.first_count - (uint32_t)counts;
    if (!is_periodic(l))
        return 0;
    return l->s.initial_count - (uint32_t)((counts - l->s.first_count) % l->s.initial_count);
}

uint32_t lapic_timer_current(const struct lapic *l)
{
    return current_at(l, event_now(l->queue));
}

/* The first expiry after `now`, or VTIME_NEVER. */
static vtime next_expiry(const struct lapic *l, vtime now)
{
    if (!l->s.is_counting)
        return VTIME_NEVER;
    if (mode(l) == LVT_TIMER_DEADLINE)
        return l->s.deadline_when;
    uint64_t counts = counts_at(l, now);
    uint64_t target = l->s.first_count;
    if (counts >= target) {
        if (!is_periodic(l))
            return VTIME_NEVER;
        uint64_t into = (counts - target) % l->s.initial_count;
        target = add_sat_u64(counts, l->s.initial_count - into);
    }
    return when_counts(l, target);
}

void lapic_timer_arm(struct lapic *l)
{
    bool can_interrupt = !(l->s.lvt[LVT_TIMER] & LVT_MASKED) && lapic_is_enabled(l);
    event_arm(&l->timer, can_interrupt ? next_expiry(l, event_now(l->queue)) : VTIME_NEVER);
}

void lapic_timer_fire(void *opaque, UNUSED vtime now)
{
    struct lapic *l = opaque;
    if (mode(l) == LVT_TIMER_DEADLINE) {
        l->s.is_counting = false;
        l->s.tsc_deadline = 0; /* "the processor generates a timer interrupt and clears the
                                  IA32_TSC_DEADLINE MSR" */
    } else if (!is_periodic(l)) {
        l->s.is_counting = false;
    }
    lapic_timer_arm(l);
    lapic_fire_lvt(l, LVT_TIMER);
}

/* Count on from `count` now. */
static void restart(struct lapic *l, uint32_t count)
{
    l->s.timer_start = event_now(l->queue);
    l->s.first_count = count;
    l->s.is_counting = count != 0;
    lapic_timer_arm(l);
}

void lapic_timer_start(struct lapic *l, uint32_t initial)
{
    if (mode(l) == LVT_TIMER_DEADLINE)
        return; /* "writes to the initial-count register are ignored" */
    l->s.initial_count = initial;
    restart(l, initial);
}

void lapic_timer_set_divide(struct lapic *l, uint32_t v)
{
    uint32_t count = lapic_timer_current(l);
    l->s.divide = v & 0xb;
    if (mode(l) != LVT_TIMER_DEADLINE)
        restart(l, count);
}

static void forget_deadline(struct lapic *l)
{
    l->s.is_counting = false;
    l->s.tsc_deadline = 0;
    l->s.deadline_when = VTIME_NEVER;
}

/* A masked deadline passes without an event, so its effect is computed when somebody looks. */
static bool has_passed_masked(const struct lapic *l, uint32_t lvt)
{
    return lvt & LVT_MASKED && event_now(l->queue) >= l->s.deadline_when;
}

void lapic_timer_lvt_changed(struct lapic *l, uint32_t old)
{
    uint32_t old_mode = old & LVT_TIMER_MODE, new_mode = mode(l);
    if (old_mode != new_mode &&
        (old_mode == LVT_TIMER_DEADLINE || new_mode == LVT_TIMER_DEADLINE)) {
        forget_deadline(l); /* "Changing the mode to or from TSC-deadline disarms the timer" */
        l->s.initial_count = 0;
    } else if (old_mode != new_mode) {
        uint32_t now_mode = l->s.lvt[LVT_TIMER];
        l->s.lvt[LVT_TIMER] = old; /* what the counter shows is still the old mode's */
        uint32_t count = lapic_timer_current(l);
        l->s.lvt[LVT_TIMER] = now_mode;
        restart(l, count);
    } else if (new_mode == LVT_TIMER_DEADLINE && has_passed_masked(l, old)) {
        forget_deadline(l);
    }
    lapic_timer_arm(l);
}

uint64_t lapic_timer_deadline(const struct lapic *l)
{
    return has_passed_masked(l, l->s.lvt[LVT_TIMER]) ? 0 : l->s.tsc_deadline;
}

static uint64_t tsc_now(const struct lapic *l, vtime now)
{
    return l->host.tsc ? l->host.tsc(l->host.opaque, now) : clock_cycles(l->config.tsc_hz, now);
}

static vtime tsc_when(const struct lapic *l, uint64_t tsc)
{
    return l->host.tsc_when ? l->host.tsc_when(l->host.opaque, tsc)
                            : clock_when(l->config.tsc_hz, tsc);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
    if (mode(l) != LVT_TIMER_DEADLINE)
        return; /* "writes to the IA32_TSC_DEADLINE MSR are ignored" */
    forget_deadline(l);
    if (tsc) {
        vtime now = event_now(l->queue);
        vtime when = tsc <= tsc_now(l, now)
                         ? now
                         : tsc_when(l, tsc); /* a deadline in the past fires at once */
        l->s.is_counting = true;
        l->s.tsc_deadline = tsc;
        l->s.deadline_when = when;
    }
    lapic_timer_arm(l);
}

void lapic_tsc_changed(struct lapic *l)
{
    if (mode(l) == LVT_TIMER_DEADLINE && l->s.is_counting)
        lapic_timer_set_deadline(l, lapic_timer_deadline(l));
}
