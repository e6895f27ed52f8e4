/* SPDX-License-Identifier: MIT */
/* Sensitive instructions that their slot describes (cpu/jit/lowering.h): the others are calls. */
#include "cpu/jit/lowering.h"
#include "cpu/jit/x86_64/jit_priv.h"

struct lowering {
    struct unit *u;
};

bool lowering_is_last(const struct lowering *l)
{
    return l->u->i + 1u >= l->u->block->count;
}

void lowering_guard_zero(struct lowering *l, size_t offset, unsigned size, uint32_t mask)
{
    struct unit *u = l->u;
    unsigned width = size == 1 ? 1 : 4;
    emit_rm(&u->e, width == 1 ? 0xf6 : 0xf7, width, 0, mem_vcpu(offset)); /* TEST m, imm */
    emit_number(&u->e, mask, width);
    late_handler(u, emit_jump(&u->e, 5));
}

void lowering_clear(struct lowering *l, size_t offset, uint32_t bits)
{
    emit_alu_mi(&l->u->e, ALU_AND, 4, mem_vcpu(offset), (int32_t)~bits);
}

void lowering_set(struct lowering *l, size_t offset, uint32_t bits)
{
    emit_alu_mi(&l->u->e, ALU_OR, 4, mem_vcpu(offset), (int32_t)bits);
}

void lowering_swap(struct lowering *l, size_t a, size_t b)
{
    struct emit *e = &l->u->e;
    emit_load(e, 8, T0, mem_vcpu(a));
    emit_load(e, 8, T1, mem_vcpu(b));
    emit_store(e, 8, T0, mem_vcpu(b));
    emit_store(e, 8, T1, mem_vcpu(a));
}

void lowering_copy(struct lowering *l, size_t from, size_t to, int32_t plus)
{
    struct emit *e = &l->u->e;
    emit_load(e, 8, T0, mem_vcpu(from));
    if (plus)
        emit_lea(e, 8, T0, (struct host_mem){T0, H_NONE, 0, plus});
    emit_store(e, 8, T0, mem_vcpu(to));
}

bool lower_sensitive(struct unit *u)
{
    const struct rec *rec = &u->block->rec[u->i];
    struct site *site = (struct site *)(uintptr_t)rec->link;
    struct lowering l = {.u = u};
    if (rec->fn != exec_sensitive || !site->ops->lower)
        return false;
    flags_clobber(u);
    if (!site->ops->lower(&l, &site->insn))
        return false;
    if (!COUNT_EXITS)
        return true;
    emit_mov_ri(&u->e, T0, (uintptr_t)&site->count);
    emit_alu_mi(&u->e, ALU_ADD, 8, (struct host_mem){T0, H_NONE, 0, 0}, 1);
    return true;
}
