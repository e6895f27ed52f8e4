/* SPDX-License-Identifier: MIT */
/*
 * Debug registers: which breakpoints an access or an instruction matches (SDM Vol. 3B, "Debug Registers"). Called only while
 * MODE_BREAK is set. Never delivers: traps collect in arch.pending_db.
 */
#pragma once

#include "cpu/vcpu.h"

#define DR6_BS BIT(14)
#define DR6_BT BIT(15)
#define DEBUGCTL_BTF BIT(1)

/* DR6 bits B0-B3 of the enabled instruction breakpoints at linear address la. */
uint64_t debug_insn_match(const struct cpu *cpu, laddr la);

/* Add to arch.pending_db the data breakpoints that [la, la + len) matches, and ask for a break. */
void debug_data_access(struct vcpu *vcpu, laddr la, size_t len, bool is_write);

/* DR6 bits of I/O breakpoints (CR4.DE) at port. */
uint64_t debug_io_match(const struct cpu *cpu, uint16_t port, unsigned size);
