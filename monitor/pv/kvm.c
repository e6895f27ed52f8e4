/* SPDX-License-Identifier: MIT */
/*
 * KVM's interface for stock kernels: Linux, Documentation/virt/kvm/x86/hypercalls.rst and msr.rst. Asynchronous page faults are not
 * offered: no guest page is ever missing for longer than an instruction.
 */
#include "base/endian.h"
#include "devices/lapic.h"
#include "monitor/pv/call.h"
#include "monitor/scheduler.h"

#define MSR_KVM_STEAL_TIME 0x4b564d03
#define MSR_KVM_EOI_EN 0x4b564d04
#define ENABLED BIT(0)

/* struct kvm_steal_time, 64 bytes. */
#define STEAL_TIME_BYTES 64
#define STEAL_VERSION 8
#define STEAL_PREEMPTED 16
#define PREEMPTED 1   /* the vCPU does not run */
#define FLUSH_TLB 2   /* and its TLB is to be flushed before it does again */

/* ---- calls ---- */

int64_t pv_kvm_kick(struct pv_call *c)
{
    struct monitor_vcpu *target = pv_find_vcpu(c->mv->vm, c->args[1]);
    if (target)
        scheduler_kick(target);
    return 0;
}

int64_t pv_kvm_yield(struct pv_call *c)
{
    struct vm *vm = c->mv->vm;
    struct monitor_vcpu *target = pv_find_vcpu(vm, c->args[0]);
    if (!target || target == c->mv || !scheduler_is_waiting(target))
        return 0;
    scheduler_yield_to(vm->machine, target->vcpu->run.index);
    c->then = SENS_LEAVE;
    return 0;
}

/* What the ICR's low half says, to one processor. */
static bool send(struct monitor_vcpu *mv, uint32_t apic_id, uint64_t icr)
{
    const struct apic_message m = {
        .dest = apic_id,
        .source = mv->vcpu->run.index,
        .vector = (uint8_t)icr,
        .delivery = icr >> 8 & 7,
        .assert = true,
    };
    return mv->lapic->host.send(mv->lapic->host.opaque, &m);
}

/* The destination is the bitmap's: ICR says fixed or NMI, and neither logical mode nor a shorthand. */
int64_t pv_kvm_send_ipi(struct pv_call *c)
{
    const unsigned width = c->is_64 ? 64 : 32;
    uint64_t icr = c->args[3], first = c->args[2];
    unsigned delivery = icr >> 8 & 7;
    int64_t count = 0;
    bool is_plain = !(icr >> 11 & 1) && !(icr >> 18 & 3);
    if (!is_plain || (delivery != APIC_FIXED && delivery != APIC_NMI) || !c->mv->lapic || !c->mv->lapic->host.send)
        return -KVM_EINVAL;
    for (unsigned i = 0; i < 2 * width; i++) {
        uint64_t id = first + i;
        if ((c->args[i / width] >> (i % width) & 1) && id >= first && id < c->mv->vm->vcpu_count)
            count += send(c->mv, (uint32_t)id, icr);
    }
    c->then = SENS_LEAVE;
    return count;
}

/* ---- steal time ---- */

static bool read_record(struct monitor_vcpu *mv, unsigned offset, uint8_t *p, size_t n)
{
    return physmem_read(mv->vm->pm, (mv->pv.s.steal_time & ~ENABLED) + offset, p, n);
}

static void write_record(struct monitor_vcpu *mv, unsigned offset, const uint8_t *p, size_t n)
{
    if (!physmem_write(mv->vm->pm, (mv->pv.s.steal_time & ~ENABLED) + offset, p, n))
        guest_error(&mv->vm->machine->trace, "pv", "the steal time record is not RAM");
}

/*
 * The version is even and another than before: nobody can see the record half written. What the guest asked for while
 * it was preempted has been done: translations are coherent, so a flush finds nothing to do.
 */
static void update_steal_time(struct monitor_vcpu *mv)
{
    uint8_t p[STEAL_PREEMPTED + 1];
    if (!(mv->pv.s.steal_time & ENABLED) || !read_record(mv, 0, p, sizeof(p)))
        return;
    mv->vm->pv.counts.steal_updates++;
    mv->vm->pv.counts.flushes += (p[STEAL_PREEMPTED] & FLUSH_TLB) != 0;
    le64_store(p, scheduler_stolen_ns(mv));
    le32_store(p + STEAL_VERSION, (le32_load(p + STEAL_VERSION) | 1) + 1);
    p[STEAL_PREEMPTED] = 0;
    write_record(mv, 0, p, sizeof(p));
}

void pv_turn_begins(struct monitor_vcpu *mv)
{
    update_steal_time(mv);
}

void pv_turn_ends(struct monitor_vcpu *mv)
{
    const uint8_t preempted = PREEMPTED;
    if (mv->pv.s.steal_time & ENABLED)
        write_record(mv, STEAL_PREEMPTED, &preempted, sizeof(preempted));
}

static bool write_steal_time(struct monitor_vcpu *mv, uint64_t v)
{
    if (v & (STEAL_TIME_BYTES - 1) & ~ENABLED)
        return false;
    if ((v & ENABLED) && !pv_is_ram(mv->vm, v & ~ENABLED, STEAL_TIME_BYTES))
        return false;
    mv->pv.s.steal_time = v;
    update_steal_time(mv);
    return true;
}

/* ---- EOI by memory ---- */

#define EOI_BIT 1

bool pv_offer_eoi(void *opaque)
{
    struct monitor_vcpu *mv = opaque;
    uint8_t b;
    paddr at = mv->pv.s.eoi & ~ENABLED;
    if (!(mv->pv.s.eoi & ENABLED) || !physmem_read(mv->vm->pm, at, &b, 1))
        return false;
    b |= EOI_BIT;
    mv->vm->pv.counts.eois_offered++;
    return physmem_write(mv->vm->pm, at, &b, 1);
}

bool pv_take_eoi(void *opaque)
{
    struct monitor_vcpu *mv = opaque;
    uint8_t b;
    paddr at = mv->pv.s.eoi & ~ENABLED;
    if (!(mv->pv.s.eoi & ENABLED) || !physmem_read(mv->vm->pm, at, &b, 1))
        return false;
    if (!(b & EOI_BIT)) {
        mv->vm->pv.counts.eois_by_memory++;
        return true;
    }
    b &= (uint8_t)~EOI_BIT;
    (void)physmem_write(mv->vm->pm, at, &b, 1);
    return false;
}

/* Bit 1 is reserved; the word is 4-byte aligned. What is on offer ends under the old address. */
static bool write_eoi(struct monitor_vcpu *mv, uint64_t v)
{
    if ((v & 2) || ((v & ENABLED) && !pv_is_ram(mv->vm, v & ~ENABLED, 4)))
        return false;
    if (mv->lapic)
        lapic_settle(mv->lapic);
    mv->pv.s.eoi = v;
    return true;
}

/* ---- MSRs ---- */

bool pv_msr_read(struct monitor_vcpu *mv, uint32_t msr, uint64_t *v)
{
    *v = msr == MSR_KVM_STEAL_TIME ? mv->pv.s.steal_time : mv->pv.s.eoi;
    return true;
}

bool pv_msr_write(struct monitor_vcpu *mv, uint32_t msr, uint64_t v)
{
    return msr == MSR_KVM_STEAL_TIME ? write_steal_time(mv, v) : write_eoi(mv, v);
}
