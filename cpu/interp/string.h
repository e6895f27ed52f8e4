/* SPDX-License-Identifier: MIT */
/*
 * What string.c (one element, and the REP loop) and string_bulk.c (whole spans of a page) share.
 * Owns nothing.
 *
 * A record of a string instruction: src is the operation, dst the element size, base the address
 * size (both in bytes), seg the source segment ES..GS, imm the repeat prefix.
 */
#pragma once

#include "cpu/interp/integer.h"

enum string_op { STRING_MOVS, STRING_CMPS, STRING_STOS, STRING_LODS, STRING_SCAS, STRING_COUNT };
enum repeat { REPEAT_NONE, REPEAT_EQUAL, REPEAT_NOT_EQUAL };

ALWAYS_INLINE bool string_compares(enum string_op op)
{
    return op == STRING_CMPS || op == STRING_SCAS;
}

/* Does the prefix go on after this comparison? */
ALWAYS_INLINE bool repeat_goes_on(enum repeat repeat, bool is_equal)
{
    return is_equal == (repeat == REPEAT_EQUAL);
}

/* An index register as the address size sees it. */
ALWAYS_INLINE uint64_t string_reg(const struct vcpu *vcpu, const struct rec *rec, unsigned gpr)
{
    return vcpu->arch.gpr[gpr] & low_mask(rec->base * 8u);
}

ALWAYS_INLINE void string_reg_set(struct vcpu *vcpu, const struct rec *rec, unsigned gpr,
                                  uint64_t v)
{
    reg_write(vcpu, rec->base * 8u, REC_GPR + gpr, v);
}

/* rSI and rDI, as far as op uses them, by n elements in the direction of DF; rCX by -n if it
 * repeats. */
void string_advance(struct vcpu *vcpu, const struct rec *rec, uint64_t n);

/* CMPS, SCAS: commit the flags of a - b. */
void string_compare(struct vcpu *vcpu, const struct rec *rec, uint64_t a, uint64_t b);

/*
 * Do up to limit (at least 1) iterations at once, as many as lie in one page of source and
 * destination that hit the virtual TLB, exactly as that many single ones, registers and flags
 * included. CMPS and SCAS stop after the iteration that ends the repetition. Returns how many were
 * done; 0: nothing, take one the slow way.
 */
uint64_t string_bulk(struct vcpu *vcpu, const struct rec *rec, uint64_t limit);
