/* SPDX-License-Identifier: MIT */
/*
 * What every way of leaving a code segment shares: far CALL, JMP, RET, gates, IRET, event delivery,
 * SYSCALL and friends. Checks return false with run.fault; only the transfer_enter_* functions
 * change arch.
 */
#pragma once

#include "monitor/emulate/descriptor.h"
#include "monitor/emulate/stack.h"

/* Is rip within cs (canonical for 64-bit code)? False: #GP(ext). */
bool transfer_check_rip(struct vcpu *vcpu, const struct descriptor *cs, uint64_t rip, uint32_t ext);

/* The same where a frame of n values of size bytes goes onto s first: #SS of that comes before. */
bool transfer_check_target(struct vcpu *vcpu, const struct descriptor *cs, uint64_t rip,
                           uint32_t ext, const struct stack *s, unsigned n, unsigned size);

/* IA-32e mode: code with L and D both set is #GP(sel). */
bool transfer_check_long(struct vcpu *vcpu, const struct descriptor *cs, uint32_t ext);

/* Would code of cs run in 64-bit mode? */
bool transfer_is_code64(const struct vcpu *vcpu, const struct descriptor *cs);

/* Read and check the CS that RET or IRET pops (SDM Vol. 2B, "RET"): RPL not below CPL, DPL, type,
 * presence. */
bool transfer_check_return(struct vcpu *vcpu, uint16_t sel, struct descriptor *cs);

/* Read and check the SS that goes with it: null is valid for 64-bit code at RPL < 3. *is_null then,
 * ss untouched. */
bool transfer_check_return_stack(struct vcpu *vcpu, uint16_t sel, unsigned rpl, bool is_code64,
                                 struct descriptor *ss, bool *is_null);

/* Load rSP after a return to cs and ss (unless is_null): all of it for 64-bit code, else as much as
 * SS.B says. A return to a 16-bit stack leaves the rest of rSP as it was at the inner level. */
void transfer_load_sp(struct vcpu *vcpu, const struct descriptor *cs, const struct descriptor *ss,
                      bool is_null, uint64_t sp);

/* The stack for privilege level cpl from the current TSS (16 or 32-bit): SS checked with #TS, sp
 * into *s. */
bool transfer_inner_stack(struct vcpu *vcpu, unsigned cpl, uint32_t ext, struct descriptor *ss,
                          struct stack *s);

/* IA-32e mode: RSPn (ist = 0) or ISTn of the current TSS. */
bool transfer_inner_rsp(struct vcpu *vcpu, unsigned cpl, unsigned ist, uint32_t ext, uint64_t *rsp);

/* run.fault is one of the place that was transferred to, before its first instruction: let its RIP be
 * arch.rip, not the transferring instruction's. Then return SENS_FAULT. */
void transfer_fault_there(struct vcpu *vcpu);

/*
 * After EFLAGS were loaded: VIF and VIP are both set where they mean something, which is #GP(0) "at
 * the beginning of an instruction" (SDM Vol. 3B, "Class 2 - Maskable Hardware Interrupt Handling in
 * Virtual-8086 Mode Using the Virtual Interrupt Mechanism"; "Protected-Mode Virtual Interrupts").
 * True: run.fault holds it.
 */
bool transfer_virtual_interrupt(struct vcpu *vcpu);

/* Commit CS with RPL = cpl, arch.cpl and arch.rip. Accessed bits are set already; cpu_update_mode
 * is the caller's. */
void transfer_enter(struct vcpu *vcpu, const struct descriptor *cs, unsigned cpl, uint64_t rip);
