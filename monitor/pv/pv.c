/* SPDX-License-Identifier: MIT */
#include "monitor/pv/pv.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/pv/call.h"
#include "monitor/scheduler.h"

static const struct scheduler_hooks turn_hooks = {.turn_begins = pv_turn_begins, .turn_ends = pv_turn_ends};

/* ---- features ---- */

const char *pv_feature_name(unsigned i)
{
    static const char *const names[] = {"timer", "eoi",   "time-page", "time", "multicall", "write-msrs",
                                        "sleep", "yield", "interrupts"};
    return i < ARRAY_SIZE(names) ? names[i] : NULL;
}

void pv_revoke(struct vm *vm, uint32_t features)
{
    vm->pv.s.features &= ~features;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        pv_time_changed(&vm->vcpus[i]);
}

static void revocation_fires(void *opaque, vtime now)
{
    struct vm *vm = opaque;
    (void)now;
    vm->pv.s.revoke_at = VTIME_NEVER;
    pv_revoke(vm, vm->pv.s.revoke);
}

/* ---- CPUID ---- */

struct cpuid_regs pv_cpuid(const struct vm *vm, uint32_t leaf)
{
    static const char signature[] = TPV_SIGNATURE;
    switch (leaf) {
    case TPV_CPUID_BASE:
        return (struct cpuid_regs){TPV_CPUID_LAST, le32_load(signature), le32_load(&signature[4]), le32_load(&signature[8])};
    case TPV_CPUID_VERSION:
        return (struct cpuid_regs){.eax = TPV_VERSION, .ebx = TPV_BASE};
    case TPV_CPUID_FEATURES:
        return (struct cpuid_regs){.eax = vm->pv.s.features, .ebx = TPV_FEATURES};
    case TPV_CPUID_LIMITS:
        return (struct cpuid_regs){
            .eax = TPV_BATCH_MAX, .ebx = (uint32_t)vm->pv.s.time_step, .ecx = (uint32_t)vm->pv.s.time_reads};
    default:
        return (struct cpuid_regs){0};
    }
}

/* ---- life ---- */

void pv_vcpu_reset(struct monitor_vcpu *mv)
{
    mv->pv.s = (struct pv_vcpu_state){.timer = VTIME_NEVER, .sleeps_until = VTIME_NEVER};
    event_cancel(&mv->pv.event);
}

void pv_init(struct vm *vm, const struct pv_config *config)
{
    struct machine *m = vm->machine;
    bool is_on = m->policy.policy == POLICY_PV;
    vm->model.pv = is_on;
    vm->pv.config = *config;
    vm->pv.s = (struct pv_state){.features = is_on ? TPV_FEATURES : 0,
                                 .revoke = config->revoke,
                                 .revoke_at = config->revoke ? config->revoke_at : VTIME_NEVER,
                                 .time_step = config->time_step,
                                 .time_reads = config->time_reads};
    if (is_on)
        m->turn_hooks = &turn_hooks;
    event_register(&m->events, &vm->pv.revocation, "pv revocation", 0, revocation_fires, vm);
    event_arm(&vm->pv.revocation, vm->pv.s.revoke_at);
}

void pv_vcpu_init(struct monitor_vcpu *mv)
{
    event_register(&mv->vm->machine->events, &mv->pv.event, "pv timer", 0, pv_event_fire, mv);
    pv_vcpu_reset(mv);
}

void pv_reset(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        pv_vcpu_reset(&vm->vcpus[i]);
}

void pv_woken(struct monitor_vcpu *mv)
{
    if (mv->pv.s.sleeps_until == VTIME_NEVER)
        return;
    mv->pv.s.sleeps_until = VTIME_NEVER;
    pv_arm(mv);
}

/* ---- saved states ---- */

static bool is_possible(const struct pv_vcpu_state *s)
{
    return !(s->eoi & 2) && (s->steal_time & 62) == 0 && (s->time_page & 62) == 0 &&
           (s->timer == VTIME_NEVER || s->timer_vector >= 16);
}

int pv_after_load(struct vm *vm, struct err *err)
{
    const struct pv_state *s = &vm->pv.s;
    if (s->time_step != vm->pv.config.time_step || s->time_reads != vm->pv.config.time_reads) {
        err_set(err, EINVAL, "the saved state is of a machine with other steps of time");
        err_hint(err, "give the same -virt pv,time-step=,time-reads= as when it was saved");
        return -EINVAL;
    }
    bool is_sane = !(s->features & ~(uint32_t)TPV_FEATURES);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        is_sane = is_sane && is_possible(&vm->vcpus[i].pv.s);
    if (!is_sane)
        return err_set(err, EINVAL, "the saved state is damaged: its paravirtual devices are in a state they cannot be in");
    event_arm(&vm->pv.revocation, s->revoke_at);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        pv_arm(&vm->vcpus[i]);
    return 0;
}
