/* SPDX-License-Identifier: MIT */
/* Sensitive instructions that their slot describes (cpu/jit/lowering.h): the others are calls. */
#include "cpu/jit/lowering.h"
#include "cpu/jit/x86_64/jit_priv.h"

struct lowering {
    struct unit *u;
};

bool lowering_is_last(const struct lowering *l)
{
    return l->u->rec + 1 == &l->u->block->rec[l->u->block->count];
}

/* The handler does it if the host's condition holds of these bits, size: 1 or 4. */
static void test_bits(struct unit *u, size_t offset, unsigned size, uint32_t mask, unsigned cc)
{
    emit_rm(&u->e, size == 1 ? 0xf6 : 0xf7, size, 0, mem_vcpu(offset)); /* TEST m, imm */
    emit_number(&u->e, mask, size);
    late_handler(u, emit_jump(&u->e, cc));
}

void lowering_guard_zero(struct lowering *l, size_t offset, unsigned size, uint32_t mask)
{
    test_bits(l->u, offset, size == 1 ? 1 : 4, mask, 5);
}

void lowering_guard_set(struct lowering *l, size_t offset, uint32_t mask)
{
    test_bits(l->u, offset, 4, mask, 4);
}

void lowering_guard_nonzero(struct lowering *l, size_t offset, unsigned size)
{
    struct unit *u = l->u;
    emit_alu_mi(&u->e, ALU_CMP, size, mem_vcpu(offset), 0);
    late_handler(u, emit_jump(&u->e, 4));
}

void lowering_clear(struct lowering *l, size_t offset, uint32_t bits)
{
    emit_alu_mi(&l->u->e, ALU_AND, 4, mem_vcpu(offset), (int32_t)~bits);
}

void lowering_set(struct lowering *l, size_t offset, uint32_t bits)
{
    emit_alu_mi(&l->u->e, ALU_OR, 4, mem_vcpu(offset), (int32_t)bits);
}

void lowering_increment(struct lowering *l, size_t offset)
{
    emit_alu_mi(&l->u->e, ALU_ADD, 8, mem_vcpu(offset), 1);
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

/* ---- the value: in T0 ---- */

void lowering_take(struct lowering *l, size_t offset, unsigned size)
{
    struct emit *e = &l->u->e;
    if (size < 4)
        emit_rm(e, X_0F | (size == 1 ? 0xb6 : 0xb7), 4, T0, mem_vcpu(offset)); /* MOVZX */
    else
        emit_load(e, size, T0, mem_vcpu(offset));
}

void lowering_take_flags(struct lowering *l, uint32_t mask)
{
    struct unit *u = l->u;
    struct emit *e = &u->e;
    struct host_mem high = RUN(flag_image);
    high.disp++;
    flags_to_image(u);
    flags_clobber(u);
    emit_rm(e, X_0F | 0xb6, 4, T0, RUN(flag_image)); /* MOVZX: OF in bit 0 */
    emit_shift_ri(e, 4, 4, T0, 11);
    emit_alu_rm(e, ALU_OR, 1, T0, high);
    emit_alu_ri(e, ALU_AND, 4, T0, F_OSZAPC);
    emit_load(e, 8, T1, ARCH(rflags));
    emit_alu_ri(e, ALU_AND, 4, T1, ~F_OSZAPC);
    emit_alu_rr(e, ALU_OR, 4, T0, T1);
    emit_alu_ri(e, ALU_AND, 4, T0, (int32_t)mask);
    emit_alu_ri(e, ALU_OR, 4, T0, 2);
}

void lowering_take_top(struct lowering *l)
{
    struct unit *u = l->u;
    emit_load(&u->e, u->word, T0, probe_stack(u, pinned[REG_RSP], 0, u->word, false));
}

/* As cpu_ticks_now counts: what the budget has lost, less what was charged for instructions from this one on. */
void lowering_take_tsc(struct lowering *l)
{
    struct unit *u = l->u;
    struct emit *e = &u->e;
    emit_load(e, 8, T0, RUN(budget_start));
    emit_alu_rm(e, ALU_SUB, 8, T0, RUN(budget));
    emit_alu_ri(e, ALU_SUB, 8, T0, (int32_t)refund_before(u, u->i));
    emit_rm(e, X_0F | 0xaf, 8, T0, mem_vcpu(offsetof(struct vcpu, aside.tsc_per_tick))); /* IMUL */
    emit_alu_rm(e, ALU_ADD, 8, T0, mem_vcpu(offsetof(struct vcpu, aside.tsc_start)));
}

void lowering_guard_same(struct lowering *l, size_t offset, uint32_t mask)
{
    struct emit *e = &l->u->e;
    emit_load(e, 4, T1, mem_vcpu(offset));
    emit_alu_rr(e, ALU_XOR, 4, T1, T0);
    emit_rr(e, 0xf7, 4, 0, T1); /* TEST r, imm */
    emit_number(e, mask, 4);
    late_handler(l->u, emit_jump(e, 5));
}

void lowering_give_gpr(struct lowering *l, unsigned reg, unsigned size)
{
    struct unit *u = l->u;
    flags_before_write(u, u->regs[reg]);
    if (u->regs[reg] != H_NONE)
        emit_mov_rr(&u->e, size, u->regs[reg], T0);
    else
        emit_store(&u->e, size == 4 ? 8 : size, T0, mem_gpr(reg));
}

void lowering_give_pair(struct lowering *l)
{
    struct unit *u = l->u;
    lowering_give_gpr(l, REG_RAX, 4);
    emit_shift_ri(&u->e, 5, 8, T0, 32);
    lowering_give_gpr(l, REG_RDX, 4);
}

void lowering_give_status(struct lowering *l)
{
    struct emit *e = &l->u->e;
    struct host_mem high = RUN(flag_image);
    high.disp++;
    emit_store(e, 1, T0, high);
    emit_shift_ri(e, 5, 4, T0, 11);
    emit_alu_ri(e, ALU_AND, 4, T0, 1);
    emit_store(e, 1, T0, RUN(flag_image));
    flags_in_image(l->u);
}

static void move_rsp(struct unit *u, int32_t by)
{
    unsigned rsp = pinned[REG_RSP];
    flags_before_write(u, rsp);
    emit_lea(&u->e, u->word, rsp, (struct host_mem){(uint8_t)rsp, H_NONE, 0, by});
}

void lowering_push(struct lowering *l, unsigned size)
{
    struct unit *u = l->u;
    int32_t word = (int32_t)u->word;
    emit_store(&u->e, 8, T0, host_spare);
    struct host_mem m = probe_stack(u, pinned[REG_RSP], -word, size, true);
    emit_load(&u->e, 8, T0, host_spare);
    emit_store(&u->e, size, T0, m);
    move_rsp(u, -word);
}

void lowering_drop_top(struct lowering *l)
{
    move_rsp(l->u, (int32_t)l->u->word);
}

bool lowering_has_stack(const struct lowering *l, unsigned opsize)
{
    return l->u->has_stack && opsize == l->u->word;
}

bool lower_sensitive(struct unit *u)
{
    const struct rec *rec = u->rec;
    struct site *site = (struct site *)(uintptr_t)rec->link;
    struct lowering l = {.u = u};
    if (rec->fn != exec_sensitive)
        return false;
    const struct site *seen = &u->part->sites[site - u->block->sites];
    if (!seen->ops->lower)
        return false;
    if (insn_row(u->in->row)->undefined & F_OSZAPC) { /* it leaves them alone: they are not overwritten, whoever takes them to be */
        flags_to_memory(u);
        u->flags.recipe.op = HOW_IMAGE;
    }
    flags_clobber(u);
    if (!seen->ops->lower(&l, &seen->insn))
        return false;
    if (!COUNT_EXITS)
        return true;
    flags_clobber(u);
    emit_mov_ri(&u->e, T0, (uintptr_t)&site->count);
    emit_alu_mi(&u->e, ALU_ADD, 8, (struct host_mem){T0, H_NONE, 0, 0}, 1);
    return true;
}
