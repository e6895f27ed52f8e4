/* SPDX-License-Identifier: MIT */
/*
 * What the `lower` slot of a sensitive instruction may ask of the translator: the instruction in
 * line, where it only moves fields of struct vcpu about and completes (SENS_NEXT, or a SENS_END
 * after which nothing waits). Called by monitor/emulate, next to the `exec` that it has to equal;
 * written by the translator of each host. Guards come first: where one fails, `exec` does it all.
 * A slot returns false before it has asked for anything: `exec` is called always. The exit is
 * counted by the translator.
 */
#pragma once

#include "cpu/vcpu.h"

struct lowering;

/* Is it the last instruction of its block? Then the boundary behind it may be seen. */
bool lowering_is_last(const struct lowering *l);

/* Only where the field at this offset of struct vcpu, masked, is 0. size: 1, 4 or 8 bytes, of which
 * 4 are masked. */
void lowering_guard_zero(struct lowering *l, size_t offset, unsigned size, uint32_t mask);

/* Only where it is not 0. size: 1 or 8 bytes. Only where one of these bits of its low half is set. */
void lowering_guard_nonzero(struct lowering *l, size_t offset, unsigned size);
void lowering_guard_set(struct lowering *l, size_t offset, uint32_t mask);

/* 64-bit fields. */
void lowering_increment(struct lowering *l, size_t offset);
void lowering_clear(struct lowering *l, size_t offset, uint32_t bits);
void lowering_set(struct lowering *l, size_t offset, uint32_t bits);
void lowering_swap(struct lowering *l, size_t a, size_t b);
void lowering_copy(struct lowering *l, size_t from, size_t to, int32_t plus);

/*
 * One value is carried from where it is to where it goes; there is none before the first take, and
 * nothing may follow what gives it away but RSP's move and another field's value. Only its guards may come between.
 */
void lowering_take(struct lowering *l, size_t offset, unsigned size); /* field; zero-extended */
void lowering_take_flags(struct lowering *l, uint32_t mask);          /* RFLAGS, these bits and bit 1 */
void lowering_take_top(struct lowering *l);                           /* of the stack; RSP does not move */
void lowering_take_tsc(struct lowering *l); /* time-stamp counter, by aside.tsc_start and aside.tsc_per_tick, which is not 0 */
void lowering_guard_same(struct lowering *l, size_t offset, uint32_t mask); /* as the field has these bits */
void lowering_give_gpr(struct lowering *l, unsigned reg, unsigned size);    /* 2, 4 or 8 bytes, as MOV does */
void lowering_give_pair(struct lowering *l);                          /* to EDX:EAX */
void lowering_give_status(struct lowering *l);                        /* bits F_OSZAPC to the flags */
void lowering_push(struct lowering *l, unsigned size);                /* low bytes; RSP moves by a word */
void lowering_drop_top(struct lowering *l);                           /* RSP moves back by a word */

/* Can operands of this size be pushed and popped here? They are words then. To be asked first. */
bool lowering_has_stack(const struct lowering *l, unsigned opsize);
