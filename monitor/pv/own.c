/* SPDX-License-Identifier: MIT */
/* Our own range of hypercalls, but for those of time: docs/hypercalls.md. */
#include <string.h>

#include "base/endian.h"
#include "devices/lapic.h"
#include "monitor/emulate/emulate.h"
#include "monitor/pv/call.h"
#include "monitor/scheduler.h"

int64_t pv_version(struct pv_call *c)
{
    (void)c;
    return TPV_VERSION;
}

int64_t pv_eoi(struct pv_call *c)
{
    if (!c->mv->lapic)
        return -TPV_ENXIO;
    lapic_end_interrupt(c->mv->lapic);
    return 0;
}

/* ---- batches ---- */

#define ENTRY_BYTES 48  /* struct tpv_entry */
#define ENTRY_RESULT 40 /* its result */
#define MSR_BYTES 16    /* struct tpv_msr */

_Static_assert(sizeof(struct tpv_entry) == ENTRY_BYTES && offsetof(struct tpv_entry, result) == ENTRY_RESULT, "the header is the ABI");
_Static_assert(sizeof(struct tpv_msr) == MSR_BYTES && sizeof(struct tpv_time) == 64, "the header is the ABI");

/* 0, or what is wrong with a batch of entries of `size` bytes in arguments 0 and 1. */
static int64_t check_batch(const struct pv_call *c, unsigned size)
{
    if (c->args[1] > TPV_BATCH_MAX)
        return -TPV_E2BIG;
    if (c->args[0] & 7)
        return -TPV_EINVAL;
    return pv_is_ram(c->mv->vm, c->args[0], c->args[1] * size) ? 0 : -TPV_EFAULT;
}

/* One entry, read when its turn comes: an earlier one may have written it. False: it is no RAM any more. */
static bool run_entry(struct pv_call *c, paddr at)
{
    struct physmem *pm = c->mv->vm->pm;
    struct pv_call entry = {.mv = c->mv, .is_64 = true, .is_nested = true, .then = SENS_NEXT};
    uint8_t p[ENTRY_BYTES];
    if (!physmem_read(pm, at, p, sizeof(p)))
        return false;
    for (unsigned i = 0; i < 4; i++)
        entry.args[i] = le64_load(p + 8 + 8 * (size_t)i);
    le64_store(p, (uint64_t)pv_dispatch(&entry, le64_load(p)));
    if (entry.then != SENS_NEXT)
        c->then = entry.then;
    return physmem_write(pm, at + ENTRY_RESULT, p, 8);
}

/* All entries, whatever their results. */
int64_t pv_multicall(struct pv_call *c)
{
    int64_t error = check_batch(c, ENTRY_BYTES);
    if (error)
        return error;
    uint64_t done = 0;
    while (done < c->args[1] && run_entry(c, c->args[0] + done * ENTRY_BYTES))
        done++;
    return (int64_t)done;
}

/* Up to the first that cannot be written: that one is the result's number. */
int64_t pv_write_msrs(struct pv_call *c)
{
    int64_t error = check_batch(c, MSR_BYTES);
    if (error)
        return error;
    uint64_t done = 0;
    for (; done < c->args[1]; done++) {
        uint8_t p[MSR_BYTES];
        if (!physmem_read(c->mv->vm->pm, c->args[0] + done * MSR_BYTES, p, sizeof(p)) || le32_load(p + 4) != 0 ||
            !emulate_msr_write(c->mv->vcpu, le32_load(p), le64_load(p + 8)))
            break;
    }
    c->then = SENS_END; /* the mode may be another */
    return (int64_t)done;
}

/* ---- sleeping, waking, yielding ---- */

/*
 * Between the comparison and the sleep nobody runs, and a kick that came before it is latched: no wake-up is lost. The
 * sleep is a HLT: interrupts end it as RFLAGS.IF says, kicks in any case.
 */
int64_t pv_check_and_sleep(struct pv_call *c)
{
    struct monitor_vcpu *mv = c->mv;
    uint8_t word[4];
    if (c->args[0] & 3)
        return -TPV_EINVAL;
    if (!pv_is_ram(mv->vm, c->args[0], sizeof(word)) || !physmem_read(mv->vm->pm, c->args[0], word, sizeof(word)))
        return -TPV_EFAULT;
    if (le32_load(word) != (uint32_t)c->args[1])
        return TPV_CHANGED;
    vtime until = pv_clock_when(mv->vm, pv_time_argument(c, 2, 3));
    if (until <= machine_now(mv->vm->machine))
        return TPV_SLEPT;
    mv->pv.s.sleeps_until = until;
    pv_arm(mv);
    mv->vcpu->arch.activity = ACTIVITY_HLT;
    c->then = SENS_LEAVE;
    return TPV_SLEPT;
}

int64_t pv_kick(struct pv_call *c)
{
    struct monitor_vcpu *target = pv_find_vcpu(c->mv->vm, c->args[0]);
    if (!target)
        return -TPV_ESRCH;
    scheduler_kick(target);
    return 0;
}

int64_t pv_yield_to(struct pv_call *c)
{
    struct vm *vm = c->mv->vm;
    struct monitor_vcpu *target = pv_find_vcpu(vm, c->args[0]);
    if (!target)
        return -TPV_ESRCH;
    scheduler_yield_to(vm->machine, target->vcpu->run.index);
    c->then = SENS_LEAVE;
    return 0;
}

/* CLI and STI, with STI's shadow. */
int64_t pv_set_interrupts(struct pv_call *c)
{
    struct cpu *cpu = &c->mv->vcpu->arch;
    bool was_on = cpu->rflags & F_IF;
    if (c->args[0] > 1)
        return -TPV_EINVAL;
    if (c->args[0] && !was_on) {
        cpu->rflags |= F_IF;
        cpu->int_shadow = SHADOW_STI;
        c->then = SENS_END;
    } else if (!c->args[0]) {
        cpu->rflags &= ~(uint64_t)F_IF;
    }
    return was_on;
}
