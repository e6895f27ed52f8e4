/* SPDX-License-Identifier: MIT */
/*
 * Frames on a stack that may not be the current one: event delivery, gates, far returns. A frame is
 * checked and translated whole before its first byte moves (design section 5, "Fault order"). Never
 * touches RSP or SS: the caller commits.
 */
#pragma once

#include "monitor/emulate/descriptor.h"
#include "monitor/emulate/emulate.h"

#define STACK_FRAME_MAX 40 /* values: a call gate's 31 parameters and its frame */

struct stack {
    uint64_t base;       /* of SS; 0 when is_64 */
    uint64_t sp;         /* where it points now */
    uint64_t mask;       /* of rSP: 0xffff, 0xffffffff or all */
    uint32_t limit;      /* of SS */
    uint32_t attr;       /* of SS */
    bool is_64;          /* 64-bit mode: no base, no limit */
    struct privilege as; /* of the accesses */
    uint32_t error;      /* code of the #SS raised when the frame does not fit */
};

/* The stack of SS:rSP as it is. */
struct stack stack_current(const struct vcpu *vcpu);

/* The stack of a descriptor about to be loaded into SS for code at cpl outside 64-bit mode. */
struct stack stack_for(const struct vcpu *vcpu, const struct descriptor *ss, uint64_t sp,
                       unsigned cpl, uint32_t error);

/* A 64-bit stack at rsp for code at cpl. */
struct stack stack_for_64(const struct vcpu *vcpu, uint64_t rsp, unsigned cpl, uint32_t error);

/* Would n values of size bytes fit? No access is made. False: run.fault is #SS(s->error). */
bool stack_has_room(struct vcpu *vcpu, const struct stack *s, unsigned n, unsigned size);

/* Push n values of size bytes, v[0] first; s->sp moves. False: run.fault, nothing written. */
bool stack_push_frame(struct vcpu *vcpu, struct stack *s, const uint64_t *v, unsigned n,
                      unsigned size);

/* Read n values of size bytes upwards from sp + skip. False: run.fault. */
bool stack_read_frame(struct vcpu *vcpu, const struct stack *s, unsigned skip, uint64_t *v,
                      unsigned n, unsigned size);

/* Store s->sp into RSP: a 16-bit stack moves the low 16 bits only. */
void stack_commit(struct vcpu *vcpu, const struct stack *s);
