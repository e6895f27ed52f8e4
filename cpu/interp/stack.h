/* SPDX-License-Identifier: MIT */
/*
 * Stack accesses of innocuous instructions: PUSH, POP and what is made of them. Included by stack,
 * branch. Owns nothing.
 *
 * FAST_64: 64-bit mode. FAST_32: flat SS, 32-bit stack pointer. Both fail on a miss of the virtual
 * TLB, and the handler goes to its ANY twin. ANY: every mode, out of line, limit checks included;
 * failing is a fault (#SS, #PF, #AC).
 */
#pragma once

#include "cpu/interp/integer.h"

enum stack_shape { STACK_FAST_64, STACK_FAST_32, STACK_ANY };

/* The fast shape of this mode, or STACK_ANY. */
static inline enum stack_shape stack_shape_of(uint32_t mode)
{
    if (mode_code(mode) == DECODE_64)
        return STACK_FAST_64;
    return (mode & (MODE_FLAT_SS | MODE_STACK32)) == (MODE_FLAT_SS | MODE_STACK32) ? STACK_FAST_32
                                                                                   : STACK_ANY;
}

/* At offset off of SS, any mode (stack.c). False or not ok: run.fault. */
struct loaded stack_load_any(struct vcpu *vcpu, const struct rec *rec, uint64_t off, unsigned size);
bool stack_store_any(struct vcpu *vcpu, const struct rec *rec, uint64_t off, unsigned size,
                     uint64_t v);

ALWAYS_INLINE uint64_t sp_wrap(const struct vcpu *vcpu, enum stack_shape shape, uint64_t sp)
{
    return shape == STACK_FAST_64   ? sp
           : shape == STACK_FAST_32 ? (uint32_t)sp
                                    : sp & stack_mask(vcpu);
}

ALWAYS_INLINE uint64_t sp_get(const struct vcpu *vcpu, enum stack_shape shape)
{
    return sp_wrap(vcpu, shape, vcpu->arch.gpr[REG_RSP]);
}

/* rSP := sp; a 16-bit stack keeps the upper bits. */
ALWAYS_INLINE void sp_set(struct vcpu *vcpu, enum stack_shape shape, uint64_t sp)
{
    uint64_t *rsp = &vcpu->arch.gpr[REG_RSP];
    uint64_t kept = shape == STACK_ANY && stack_mask(vcpu) == 0xffff ? *rsp & ~UINT64_C(0xffff) : 0;
    *rsp = kept | sp_wrap(vcpu, shape, sp);
}

ALWAYS_INLINE struct loaded stack_load(struct vcpu *vcpu, const struct rec *rec,
                                       enum stack_shape shape, uint64_t off, unsigned width)
{
    if (shape == STACK_ANY)
        return stack_load_any(vcpu, rec, off, width / 8);
    return load_at(vcpu, rec, SHAPE_BD, off, width);
}

NODISCARD ALWAYS_INLINE bool stack_store(struct vcpu *vcpu, const struct rec *rec,
                                         enum stack_shape shape, uint64_t off, unsigned width,
                                         uint64_t v)
{
    if (shape == STACK_ANY)
        return stack_store_any(vcpu, rec, off, width / 8, v);
    return store_at(vcpu, rec, SHAPE_BD, off, width, v);
}

/* Store and move the pointer, or nothing. */
NODISCARD ALWAYS_INLINE bool push(struct vcpu *vcpu, const struct rec *rec, enum stack_shape shape,
                                  unsigned width, uint64_t v)
{
    uint64_t sp = sp_wrap(vcpu, shape, vcpu->arch.gpr[REG_RSP] - width / 8);
    if (unlikely(!stack_store(vcpu, rec, shape, sp, width, v)))
        return false;
    sp_set(vcpu, shape, sp);
    return true;
}
