/* SPDX-License-Identifier: MIT */
#include "monitor/emulate_host.h"

#include "devices/chip_clock.h"
#include "devices/lapic.h"
#include "monitor/kvmclock.h"
#include "monitor/pv/pv.h"
#include "monitor/scheduler.h"

static struct monitor_vcpu *owner(const struct vcpu *vcpu)
{
    return vcpu->run.owner;
}

/* ---- time ---- */

static uint64_t tsc_ticks(const struct monitor_vcpu *mv, vtime now)
{
    return muldiv_u64(now, mv->vm->machine->s.tsc_hz, NS_PER_SECOND);
}

uint64_t tsc_at(const struct monitor_vcpu *mv, vtime now)
{
    return tsc_ticks(mv, pv_clock(mv->vm, now)) + mv->vcpu->arch.tsc_offset;
}

vtime tsc_when(const struct monitor_vcpu *mv, uint64_t tsc)
{
    vtime now = machine_now(mv->vm->machine);
    uint64_t base = tsc - mv->vcpu->arch.tsc_offset;
    if ((int64_t)(base - tsc_ticks(mv, pv_clock(mv->vm, now))) <= 0)
        return now;
    return pv_clock_when(mv->vm, clock_when(mv->vm->machine->s.tsc_hz, base));
}

static uint64_t host_tsc_base(struct vcpu *vcpu)
{
    struct monitor_vcpu *mv = owner(vcpu);
    return tsc_ticks(mv, pv_clock_read(mv, machine_now(mv->vm->machine)));
}

static void host_tsc_changed(struct vcpu *vcpu)
{
    if (owner(vcpu)->lapic)
        lapic_tsc_changed(owner(vcpu)->lapic);
    kvmclock_update(owner(vcpu));
    vcpu->aside.tsc_per_tick = 0; /* until the next cpu_run */
    pv_time_changed(owner(vcpu));
}

/* ---- ports ---- */

static uint32_t host_port_read(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    struct vm *vm = owner(vcpu)->vm;
    uint32_t v = (uint32_t)io_space_read(&vm->pio, port, width, NULL);
    trace_point(&vm->machine->trace, TRACE_io_read, NULL, port, width, v, 0);
    return v;
}

static void host_port_write(struct vcpu *vcpu, uint16_t port, unsigned width, uint32_t v)
{
    struct vm *vm = owner(vcpu)->vm;
    trace_point(&vm->machine->trace, TRACE_io_write, NULL, port, width, v, 0);
    io_space_write(&vm->pio, port, width, v, NULL);
}

/* ---- local APIC; a bare vCPU has none ---- */

static uint64_t host_cr8_read(struct vcpu *vcpu)
{
    return owner(vcpu)->lapic ? lapic_cr8(owner(vcpu)->lapic) : 0;
}

static void host_cr8_write(struct vcpu *vcpu, uint64_t v)
{
    if (owner(vcpu)->lapic)
        lapic_set_cr8(owner(vcpu)->lapic, v);
}

static bool host_apic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    return owner(vcpu)->lapic && lapic_msr_read(owner(vcpu)->lapic, msr, v);
}

static bool host_apic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    return owner(vcpu)->lapic && lapic_msr_write(owner(vcpu)->lapic, msr, v);
}

static uint32_t host_apic_id(struct vcpu *vcpu)
{
    return vcpu->run.index;
}

/* ---- the rest ---- */

static void host_kvmclock_write(struct vcpu *vcpu, uint32_t msr)
{
    kvmclock_written(owner(vcpu), msr);
}

static bool host_pv_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    return pv_msr_read(owner(vcpu), msr, v);
}

static bool host_pv_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    return pv_msr_write(owner(vcpu), msr, v);
}

static struct cpuid_regs host_pv_cpuid(struct vcpu *vcpu, uint32_t leaf)
{
    return pv_cpuid(owner(vcpu)->vm, leaf);
}

static uint64_t host_entropy(struct vcpu *vcpu)
{
    return machine_entropy(owner(vcpu)->vm->machine);
}

static bool host_pause(struct vcpu *vcpu)
{
    return scheduler_pause(owner(vcpu));
}

/* Memory is always coherent: there is nothing to write back. */
static void host_cache_flush(struct vcpu *vcpu)
{
    (void)vcpu;
}

static const struct cpu_model *host_model(struct vcpu *vcpu)
{
    return &owner(vcpu)->vm->model;
}

static void host_long_mode(struct vcpu *vcpu)
{
    machine_stop(owner(vcpu)->vm->machine, STOP_LONG_MODE, 0);
}

const struct emulate_host monitor_host = {
    .port_read = host_port_read,
    .port_write = host_port_write,
    .tsc_base = host_tsc_base,
    .tsc_changed = host_tsc_changed,
    .cr8_read = host_cr8_read,
    .cr8_write = host_cr8_write,
    .apic_msr_read = host_apic_msr_read,
    .apic_msr_write = host_apic_msr_write,
    .apic_id = host_apic_id,
    .kvmclock_write = host_kvmclock_write,
    .hypercall = pv_hypercall,
    .pv_msr_read = host_pv_msr_read,
    .pv_msr_write = host_pv_msr_write,
    .pv_cpuid = host_pv_cpuid,
    .entropy = host_entropy,
    .pause = host_pause,
    .cache_flush = host_cache_flush,
    .model = host_model,
    .long_mode = host_long_mode,
};
