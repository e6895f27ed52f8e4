/* SPDX-License-Identifier: MIT */
/* The fake monitor behind the vCPU of a world: answers come from the state, requests are counted.
 */
#include "monitor/classify/world_priv.h"

static struct world *world_of(struct vcpu *vcpu)
{
    return vcpu->run.owner;
}

static void log_port(struct world *w, uint16_t port, unsigned width, uint32_t v)
{
    w->req.ports++;
    w->req.port_log = w->req.port_log * UINT64_C(0xd1342543de82ef95) + ((uint64_t)port << 40) +
                      ((uint64_t)width << 32) + v;
}

static uint32_t lab_port_read(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    struct world *w = world_of(vcpu);
    log_port(w, port, width, 0);
    return (uint32_t)(w->port_value & low_mask(8 * width));
}

static void lab_port_write(struct vcpu *vcpu, uint16_t port, unsigned width, uint32_t v)
{
    log_port(world_of(vcpu), port, width | 8, v);
}

static uint64_t lab_tsc_base(struct vcpu *vcpu)
{
    return world_of(vcpu)->tsc;
}

static void lab_tsc_changed(struct vcpu *vcpu)
{
    world_of(vcpu)->req.time++;
}

static uint64_t lab_cr8_read(struct vcpu *vcpu)
{
    return world_of(vcpu)->req.cr8;
}

static void lab_cr8_write(struct vcpu *vcpu, uint64_t v)
{
    world_of(vcpu)->req.cr8 = v;
    world_of(vcpu)->req.tpr++;
}

static bool lab_apic_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)vcpu;
    *v = 0xfee00900;
    return msr == 0x1b;
}

static bool lab_apic_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)vcpu, (void)v;
    return msr == 0x1b;
}

static uint32_t lab_apic_id(struct vcpu *vcpu)
{
    return vcpu->run.index;
}

static void lab_kvmclock(struct vcpu *vcpu, uint32_t msr)
{
    (void)vcpu, (void)msr;
}

/* No model of a world is offered hypercalls: these are never called. */
static enum sens_result lab_hypercall(struct vcpu *vcpu)
{
    return fail(vcpu, EXC_UD);
}

static bool lab_pv_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)vcpu, (void)msr, (void)v;
    return false;
}

static bool lab_pv_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)vcpu, (void)msr, (void)v;
    return false;
}

static struct cpuid_regs lab_pv_cpuid(struct vcpu *vcpu, uint32_t leaf)
{
    (void)vcpu, (void)leaf;
    return (struct cpuid_regs){0};
}

static uint64_t lab_entropy(struct vcpu *vcpu)
{
    return world_of(vcpu)->entropy;
}

/* A hint to the processor: that ours takes it for the end of a turn is scheduling. */
static bool lab_pause(struct vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

static void lab_cache_flush(struct vcpu *vcpu)
{
    world_of(vcpu)->req.caches++;
}

static const struct cpu_model *lab_model(struct vcpu *vcpu)
{
    return &world_of(vcpu)->model;
}

/* The mode of a world is no element. */
static void lab_long_mode(struct vcpu *vcpu)
{
    (void)vcpu;
}

const struct emulate_host world_host = {
    .port_read = lab_port_read,
    .port_write = lab_port_write,
    .tsc_base = lab_tsc_base,
    .tsc_changed = lab_tsc_changed,
    .cr8_read = lab_cr8_read,
    .cr8_write = lab_cr8_write,
    .apic_msr_read = lab_apic_read,
    .apic_msr_write = lab_apic_write,
    .apic_id = lab_apic_id,
    .kvmclock_write = lab_kvmclock,
    .hypercall = lab_hypercall,
    .pv_msr_read = lab_pv_msr_read,
    .pv_msr_write = lab_pv_msr_write,
    .pv_cpuid = lab_pv_cpuid,
    .entropy = lab_entropy,
    .pause = lab_pause,
    .cache_flush = lab_cache_flush,
    .model = lab_model,
    .long_mode = lab_long_mode,
};
