/* SPDX-License-Identifier: MIT */
/*
 * Time for guests that know of us, and for those that must not know it too well (docs/hypercalls.md, "Time"): the timer, the time page,
 * and time in steps.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "devices/lapic.h"
#include "monitor/emulate_host.h"
#include "monitor/kvmclock.h"
#include "monitor/pv/call.h"
#include "monitor/scheduler.h"

#define ON BIT(0)
#define RATE_WINDOW 1000000 /* ns */

/* ---- what a guest sees ---- */

vtime pv_clock(const struct vm *vm, vtime now)
{
    uint64_t step = vm->pv.s.time_step;
    return step ? now - now % step : now;
}

vtime pv_clock_when(const struct vm *vm, vtime when)
{
    uint64_t step = vm->pv.s.time_step;
    if (!step || when % step == 0)
        return when;
    return when > UINT64_MAX - step ? VTIME_NEVER : when - when % step + step;
}

vtime pv_clock_read(struct monitor_vcpu *mv, vtime now)
{
    struct pv_vcpu_state *s = &mv->pv.s;
    uint64_t limit = mv->vm->pv.s.time_reads;
    if (!limit)
        return pv_clock(mv->vm, now);
    if (s->window != now / RATE_WINDOW) {
        s->window = now / RATE_WINDOW;
        s->clock_reads = 0;
    }
    if (s->clock_reads < limit) {
        s->clock_reads++;
        s->seen = pv_clock(mv->vm, now);
    }
    return s->seen;
}

int64_t pv_time(struct pv_call *c)
{
    return (int64_t)pv_clock_read(c->mv, machine_now(c->mv->vm->machine));
}

/* ---- the time page ---- */

static void write_time_page(struct monitor_vcpu *mv, bool is_valid)
{
    struct vm *vm = mv->vm;
    struct pv_vcpu_state *s = &mv->pv.s;
    vtime now = pv_clock(vm, machine_now(vm->machine));
    uint8_t p[sizeof(struct tpv_time)] = {0};
    uint32_t mul;
    int8_t shift;
    uint32_t flags = (is_valid ? TPV_TIME_VALID : 0) | (vm->pv.s.time_step ? TPV_TIME_QUANTIZED : 0);
    kvmclock_scale(vm->machine->s.tsc_hz, &mul, &shift);
    s->time_sequence += 2;
    le32_store(p, s->time_sequence);
    le32_store(p + 4, flags);
    le64_store(p + 8, tsc_at(mv, now));
    le64_store(p + 16, now);
    le32_store(p + 24, mul);
    p[28] = (uint8_t)shift;
    le64_store(p + 32, vm->pv.s.time_step);
    le64_store(p + 40, vm->machine->wall_base);
    le32_store(p + 48, vm->pv.s.features);
    vm->pv.counts.time_updates++;
    if (!physmem_write(vm->pm, s->time_page & ~ON, p, sizeof(p)))
        guest_error(&vm->machine->trace, "pv", "the time page is not RAM");
}

void pv_time_changed(struct monitor_vcpu *mv)
{
    if (mv->pv.s.time_page & ON)
        write_time_page(mv, mv->vm->pv.s.features & TPV_FEATURE_TIME_PAGE);
}

int64_t pv_time_page(struct pv_call *c)
{
    struct monitor_vcpu *mv = c->mv;
    uint64_t at = c->args[0];
    if (c->args[1] > 1 || (c->args[1] && at % sizeof(struct tpv_time)))
        return -TPV_EINVAL;
    if (c->args[1] && !pv_is_ram(mv->vm, at, sizeof(struct tpv_time)))
        return -TPV_EFAULT;
    if (mv->pv.s.time_page & ON)
        write_time_page(mv, false);
    mv->pv.s.time_page = c->args[1] ? at | ON : 0;
    pv_time_changed(mv);
    return 0;
}

/* ---- the timer ---- */

void pv_arm(struct monitor_vcpu *mv)
{
    const struct pv_vcpu_state *s = &mv->pv.s;
    event_arm(&mv->pv.event, s->timer < s->sleeps_until ? s->timer : s->sleeps_until);
}

static void interrupt(struct monitor_vcpu *mv, uint8_t vector)
{
    const struct apic_message m = {.vector = vector, .delivery = APIC_FIXED, .assert = true};
    if (mv->lapic)
        (void)lapic_accept(mv->lapic, &m);
}

/* The timer is due, or a sleep too long. */
void pv_event_fire(void *opaque, vtime now)
{
    struct monitor_vcpu *mv = opaque;
    struct pv_vcpu_state *s = &mv->pv.s;
    if (s->timer <= now) {
        s->timer = VTIME_NEVER;
        interrupt(mv, s->timer_vector);
    }
    if (s->sleeps_until <= now) {
        s->sleeps_until = VTIME_NEVER;
        if (mv->vcpu->arch.activity == ACTIVITY_HLT)
            scheduler_kick(mv);
    }
    pv_arm(mv);
}

int64_t pv_set_timer(struct pv_call *c)
{
    struct monitor_vcpu *mv = c->mv;
    vtime when = pv_time_argument(c, 0, 2);
    if (!mv->lapic)
        return -TPV_ENXIO;
    if (when != TPV_NEVER && (c->args[1] < 16 || c->args[1] > 255))
        return -TPV_EINVAL;
    mv->pv.s.timer = when == TPV_NEVER ? VTIME_NEVER : pv_clock_when(mv->vm, when);
    mv->pv.s.timer_vector = when == TPV_NEVER ? 0 : (uint8_t)c->args[1];
    pv_arm(mv);
    return 0;
}
