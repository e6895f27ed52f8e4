/* SPDX-License-Identifier: MIT */
/*
 * The monitor's side of struct emulate_host: ports, time, LAPIC, kvmclock and entropy for the emulators; and the TSC of a vCPU.
 */
#pragma once

#include "monitor/machine.h"

extern const struct emulate_host monitor_host;

/* The TSC of this vCPU at virtual time `now`; the earliest virtual time at which it reaches tsc (now, if it has). */
uint64_t tsc_at(const struct monitor_vcpu *mv, vtime now);
vtime tsc_when(const struct monitor_vcpu *mv, uint64_t tsc);
