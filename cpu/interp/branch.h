/* SPDX-License-Identifier: MIT */
/*
 * Near transfers as branch.c and branch_call.c write them. Owns nothing.
 *
 * BRANCH_64: 64-bit mode; BRANCH_64_FAR: the same, and the direct target is on another page.
 * BRANCH_FLAT: 32-bit operand size and CS with base 0 and limit 4 GiB - 1: no target is beyond it.
 * BRANCH_ANY: the rest; the operand size is in rec->scale, in bytes, and nothing is linked.
 */
#pragma once

#include "cpu/interp/integer.h"

enum branch_shape { BRANCH_64, BRANCH_FLAT, BRANCH_ANY, BRANCH_64_FAR, BRANCH_SHAPES };

static inline enum branch_shape branch_shape_of(const struct selection *s)
{
    if (mode_code(s->mode) == DECODE_64)
        return BRANCH_64;
    return (s->mode & MODE_FLAT_CS) && s->in->opsize == 4 ? BRANCH_FLAT : BRANCH_ANY;
}

/* Of a direct branch that has a handler for a target on another page. */
static inline enum branch_shape branch_shape_direct(const struct selection *s,
                                                    const struct rec *rec)
{
    enum branch_shape shape = branch_shape_of(s);
    int64_t at = (int64_t)s->page_offset + rec->imm;
    return shape == BRANCH_64 && (at < 0 || at >= (int64_t)PAGE_SIZE) ? BRANCH_64_FAR : shape;
}

/* Target of a direct branch. */
ALWAYS_INLINE uint64_t branch_target(const struct vcpu *vcpu, const struct rec *rec,
                                     enum branch_shape shape)
{
    uint64_t target = vcpu->run.insn_base + rec_imm(rec);
    if (shape == BRANCH_64 || shape == BRANCH_64_FAR)
        return target;
    return shape == BRANCH_FLAT ? (uint32_t)target : target & low_mask(rec->scale * 8u);
}

/* Go to a direct target, the last act of a handler; refund as in exec_goto_direct. */
ALWAYS_INLINE int branch_goto(struct vcpu *vcpu, const struct rec *rec, enum branch_shape shape,
                              uint64_t target, int32_t refund)
{
    if (shape == BRANCH_ANY)
        return exec_goto_slow(vcpu, rec, target);
    if (shape == BRANCH_64_FAR) {
        vcpu->run.budget += refund;
        return exec_goto_far(vcpu, rec, target);
    }
    return exec_goto_direct(vcpu, rec, target, refund);
}

/* Before something else is committed. False: run.fault is #GP(0). */
ALWAYS_INLINE bool branch_is_valid(struct vcpu *vcpu, enum branch_shape shape, uint64_t target)
{
    if (shape == BRANCH_FLAT || (shape == BRANCH_64 && likely(is_canonical(target))))
        return true;
    return rip_is_valid(vcpu, target);
}
