/* SPDX-License-Identifier: MIT */
#include "monitor/kvmclock.h"

#include "base/endian.h"
#include "monitor/emulate_host.h"

#define MSR_KVM_WALL_CLOCK 0x11
#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00
#define KVMCLOCK_ON BIT(0)
#define PVCLOCK_TSC_STABLE 1

/*
 * ns = (tsc << shift) * mul >> 32, with mul in [2^31, 2^32): the largest precision 32 bits give. Exact for a TSC of 1 GHz.
 */
void kvmclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift)
{
    uint64_t hz = tsc_hz;
    *shift = 0;
    while (hz > 2 * NS_PER_SECOND) {
        hz >>= 1;
        --*shift;
    }
    while (hz <= NS_PER_SECOND) {
        hz <<= 1;
        ++*shift;
    }
    *mul = (uint32_t)muldiv_u64(NS_PER_SECOND, UINT64_C(1) << 32, hz);
}

/* struct pvclock_vcpu_time_info. The version is odd while it is being written, which nobody can see here. */
void kvmclock_update(struct monitor_vcpu *mv)
{
    struct cpu *cpu = &mv->vcpu->arch;
    struct machine *m = mv->vm->machine;
    uint8_t page[32] = {0};
    uint32_t mul;
    int8_t shift;
    if (!(cpu->kvm_system_time & KVMCLOCK_ON))
        return;
    vtime now = pv_clock(mv->vm, machine_now(m));
    kvmclock_scale(m->s.tsc_hz, &mul, &shift);
    cpu->kvm_time_version += 2;
    le32_store(page, cpu->kvm_time_version);
    le64_store(page + 8, tsc_at(mv, now));
    le64_store(page + 16, now);
    le32_store(page + 24, mul);
    page[28] = (uint8_t)shift;
    page[29] = PVCLOCK_TSC_STABLE;
    if (!physmem_write(mv->vm->pm, cpu->kvm_system_time & ~KVMCLOCK_ON, page, sizeof(page)))
        guest_error(&m->trace, "kvmclock", "the clock page is not RAM");
}

/* struct pvclock_wall_clock: the date at virtual time 0. */
static void write_wall_clock(struct monitor_vcpu *mv)
{
    struct machine *m = mv->vm->machine;
    uint8_t page[12] = {0};
    le32_store(page, 2);
    le32_store(page + 4, (uint32_t)m->wall_base);
    if (!physmem_write(mv->vm->pm, mv->vcpu->arch.kvm_wall_clock, page, sizeof(page)))
        guest_error(&m->trace, "kvmclock", "the wall clock is not RAM");
}

void kvmclock_written(struct monitor_vcpu *mv, uint32_t msr)
{
    if (msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_WALL_CLOCK_NEW)
        write_wall_clock(mv);
    else
        kvmclock_update(mv);
}
