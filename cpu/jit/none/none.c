/* SPDX-License-Identifier: MIT */
/* The translator of a host that has none: blocks are never hot. */
#include "cpu/jit/jit.h"
#include "cpu/jit/lowering.h"

bool jit_is_available(void)
{
    return false;
}

struct jit *jit_create(const struct jit_config *config)
{
    (void)config;
    return NULL;
}

void jit_destroy(struct jit *jit)
{
    (void)jit;
}

bool jit_takes(const struct jit *jit, uint32_t mode)
{
    (void)jit, (void)mode;
    return false;
}

void jit_watch(struct jit *jit, struct block *b, unsigned rewritten)
{
    (void)jit, (void)b, (void)rewritten;
}

bool jit_unwatch(struct jit *jit, struct block *b)
{
    (void)jit, (void)b;
    return false;
}

bool jit_forget(struct jit *jit, struct block *b)
{
    (void)jit, (void)b;
    return false;
}

int64_t jit_look(struct vcpu *vcpu, const struct block *b)
{
    (void)vcpu, (void)b;
    return 0;
}

bool jit_code(const struct block *b, const uint8_t **code, size_t *size)
{
    (void)b, (void)code, (void)size;
    return false;
}

void jit_sabotage(struct jit *jit, unsigned n)
{
    (void)jit, (void)n;
}

struct jit_stats jit_stats(const struct jit *jit)
{
    (void)jit;
    return (struct jit_stats){0};
}

void jit_count_calls(const struct jit *jit, struct jit_calls calls[])
{
    (void)jit, (void)calls;
}

/* ---- what `lower` slots ask of a translator: none is ever called here ---- */

bool lowering_is_last(const struct lowering *l)
{
    (void)l;
    return false;
}

void lowering_guard_zero(struct lowering *l, size_t offset, unsigned size, uint32_t mask)
{
    (void)l, (void)offset, (void)size, (void)mask;
}

void lowering_guard_nonzero(struct lowering *l, size_t offset, unsigned size)
{
    (void)l, (void)offset, (void)size;
}

void lowering_guard_set(struct lowering *l, size_t offset, uint32_t mask)
{
    (void)l, (void)offset, (void)mask;
}

void lowering_increment(struct lowering *l, size_t offset)
{
    (void)l, (void)offset;
}

void lowering_take_tsc(struct lowering *l)
{
    (void)l;
}

void lowering_give_pair(struct lowering *l)
{
    (void)l;
}

void lowering_clear(struct lowering *l, size_t offset, uint32_t bits)
{
    (void)l, (void)offset, (void)bits;
}

void lowering_set(struct lowering *l, size_t offset, uint32_t bits)
{
    (void)l, (void)offset, (void)bits;
}

void lowering_swap(struct lowering *l, size_t a, size_t b)
{
    (void)l, (void)a, (void)b;
}

void lowering_copy(struct lowering *l, size_t from, size_t to, int32_t plus)
{
    (void)l, (void)from, (void)to, (void)plus;
}

void lowering_take(struct lowering *l, size_t offset, unsigned size)
{
    (void)l, (void)offset, (void)size;
}

void lowering_take_flags(struct lowering *l, uint32_t mask)
{
    (void)l, (void)mask;
}

void lowering_take_top(struct lowering *l)
{
    (void)l;
}

void lowering_guard_same(struct lowering *l, size_t offset, uint32_t mask)
{
    (void)l, (void)offset, (void)mask;
}

void lowering_give_gpr(struct lowering *l, unsigned reg, unsigned size)
{
    (void)l, (void)reg, (void)size;
}

void lowering_give_status(struct lowering *l)
{
    (void)l;
}

void lowering_push(struct lowering *l, unsigned size)
{
    (void)l, (void)size;
}

void lowering_drop_top(struct lowering *l)
{
    (void)l;
}

bool lowering_has_stack(const struct lowering *l, unsigned opsize)
{
    (void)l, (void)opsize;
    return false;
}
