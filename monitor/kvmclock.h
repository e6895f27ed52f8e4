/* SPDX-License-Identifier: MIT */
/*
 * kvmclock: the paravirtual clock page of the KVM interface (Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW). The
 * guest reads TSC and scales it; because our TSC never drifts the page is written only when the guest sets the MSR or moves
 * its TSC.
 */
#pragma once

#include "monitor/machine.h"

/* arch.kvm_wall_clock or arch.kvm_system_time was written through MSR number msr. */
void kvmclock_written(struct monitor_vcpu *mv, uint32_t msr);

/* How a TSC of this frequency becomes ns: struct pvclock_vcpu_time_info's tsc_to_system_mul and tsc_shift. */
void kvmclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift);

/* The TSC of this vCPU moved: write the page again, if it is on. */
void kvmclock_update(struct monitor_vcpu *mv);
