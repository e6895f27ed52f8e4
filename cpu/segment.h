/* SPDX-License-Identifier: MIT */
/*
 * Logical to linear addresses: limit, type and canonical checks of one access (SDM Vol. 3A, "Limit Checking", "Type
 * Checking"), and system accesses for emulators. Never touches memory but through the mmu.
 */
#pragma once

#include "cpu/vcpu.h"

/*
 * Check [off, off + size) in segment seg (ES..GS; off already truncated to the address size) for access and give its linear address.
 * False: run.fault is #GP(0), or #SS(0) for SS. 64-bit mode: only canonical addresses (base of FS, GS added). An unusable or
 * non-readable, non-writable segment faults as the manual says.
 */
bool seg_linear(struct vcpu *vcpu, unsigned seg, uint64_t off, unsigned size, enum access access, laddr *la);

/* seg_linear, then read or write len bytes with the current privilege. False: run.fault. */
bool seg_read(struct vcpu *vcpu, unsigned seg, uint64_t off, void *buf, unsigned len);
bool seg_write(struct vcpu *vcpu, unsigned seg, uint64_t off, const void *buf, unsigned len);

/* Effective address (offset in in->seg) of the memory operand of in, truncated to its address size.
 * RIP-relative uses run.next_rip. */
uint64_t insn_ea(const struct vcpu *vcpu, const struct insn *in);

/* Operand access of emulators, any kind but memory wider than 8 bytes. False: run.fault (read and write leave nothing changed). */
bool insn_read(struct vcpu *vcpu, const struct insn *in, unsigned operand, uint64_t *v);
bool insn_write(struct vcpu *vcpu, const struct insn *in, unsigned operand, uint64_t v);

/* A far pointer in memory: offset of the operand size, selector behind it. Two accesses: the second one's offset wraps around by
 * itself. False: run.fault. */
bool insn_read_far(struct vcpu *vcpu, const struct insn *in, uint64_t *off, uint16_t *sel);

/* The stack as PUSH and POP see it: SS:rSP with the stack-pointer size of SS.B / 64-bit mode. size 2, 4, 8. The pointer moves only
 * on success. */
bool stack_push(struct vcpu *vcpu, unsigned size, uint64_t v);
bool stack_pop(struct vcpu *vcpu, unsigned size, uint64_t *v);
uint64_t stack_mask(const struct vcpu *vcpu); /* of rSP: 0xffff, 0xffffffff or all */

/* Implicit supervisor accesses to linear addresses (descriptor tables, TSS). False: run.fault. */
bool system_read(struct vcpu *vcpu, laddr la, void *buf, unsigned len);
bool system_write(struct vcpu *vcpu, laddr la, const void *buf, unsigned len);

/* Make a fault: #vector, #vector(code). Always false, so that `return raise_gp(vcpu, 0)` reads well. */
bool raise_fault(struct vcpu *vcpu, unsigned vector);
bool raise_fault_code(struct vcpu *vcpu, unsigned vector, uint32_t code);

ALWAYS_INLINE bool is_canonical(uint64_t la)
{
    return (uint64_t)sext(la, 48) == la;
}
