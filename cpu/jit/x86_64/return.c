/* SPDX-License-Identifier: MIT */
/*
 * The ring of returns (-engine jit,returns=ring). A translated CALL leaves in the vCPU where it
 * will go on: the return address XOR epoch, and the entry of the code there. A translated RET that
 * has loaded that very address jumps to it without asking the table of computed jumps. An entry's
 * place follows from that of the return address in the stack, so that calls and returns meet again
 * even where some of either were done elsewhere; deeper calls wrap around.
 *
 * An entry only says what is true whether or not a CALL made it: in this epoch, the code of this
 * address is there. It is in the caller's page, so no more than the tag is to be compared. The
 * entry leads to the block behind the CALL when the exit that stands for it is linked, or else to a
 * stub that asks C. Both lead to the run loop when their block dies, and stay in code memory until
 * all of that is emptied, which empties the ring.
 */
#include "cpu/jit/x86_64/jit_priv.h"

static struct host_mem ring_at(unsigned index, size_t field)
{
    return (struct host_mem){VCPU, (uint8_t)index, 1,
                             (int32_t)(offsetof(struct vcpu, jumps.ring) + field)};
}

/* T1 := half the offset of the entry for the return address at [RSP + disp]. */
static void emit_ring_index(struct emit *e, int32_t disp)
{
    static_assert(sizeof(struct mmu_jump) == 16 && MMU_RETURNS == 32, "8 bytes of stack, times 2");
    emit_lea(e, 4, T1, (struct host_mem){pinned[REG_RSP], H_NONE, 0, disp});
    emit_alu_ri(e, ALU_AND, 4, T1, 8 * (MMU_RETURNS - 1));
}

/* LEA T0, [RIP + disp32], which the label is the place of. */
static emit_label emit_address_of(struct emit *e)
{
    emit_8(e, 0x4c);
    emit_8(e, 0x8d);
    emit_8(e, 0x2d);
    emit_number(e, 0, 4);
    return e->p - 4;
}

/* Where a return goes that is not linked. T0: RIP XOR epoch. */
static void emit_stub(struct unit *u, struct jit_exit *x)
{
    bool was_late = go_late(u);
    x->stub = u->e.p;
    x->miss = emit_here(&u->e);
    to_thunk(u, x, u->jit->back);
    go_back(u, was_late);
}

void emit_ring_push(struct unit *u, int32_t disp)
{
    struct emit *e = &u->e;
    int32_t next = (int32_t)(u->offset + u->rec->off + u->rec->len);
    if (!u->jit->config.has_ring || next >= (int32_t)PAGE_SIZE)
        return;
    struct jit_exit *x = exit_make(u, next, 0);
    x->is_return = true;
    flags_clobber(u);
    emit_stub(u, x);
    emit_ring_index(e, disp);
    emit_load(e, 8, T0, RUN(jit_page));
    emit_lea(e, 8, T0, (struct host_mem){T0, H_NONE, 0, next});
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_store(e, 8, T0, ring_at(T1, offsetof(struct mmu_jump, tag)));
    x->jump = emit_address_of(e);
    emit_set_target(e, x->jump, x->miss);
    emit_store(e, 8, T0, ring_at(T1, offsetof(struct mmu_jump, to)));
}

emit_label emit_ring_lookup(struct unit *u)
{
    struct emit *e = &u->e;
    emit_ring_index(e, 0);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_alu_rm(e, ALU_CMP, 8, T0, ring_at(T1, offsetof(struct mmu_jump, tag)));
    return emit_jump(e, 5);
}

void emit_ring_found(struct unit *u)
{
    emit_rm(&u->e, 0xff, 4, 4, ring_at(T1, offsetof(struct mmu_jump, to)));
}

void return_set(const struct jit *jit, struct jit_exit *x, const uint8_t *target)
{
    const struct emit e = {.delta = jit->memory.run - jit->memory.write};
    emit_set_target(&e, x->jump, target);
}

void return_kill(const struct jit *jit, struct jit_exit *x)
{
    const struct code_memory *m = &jit->memory;
    struct emit e = {.p = x->stub, .end = m->write + m->size, .delta = m->run - m->write};
    emit_jump_to(&e, EMIT_ALWAYS, jit->gone);
}

void jit_link_return(struct vcpu *vcpu, uint64_t target, struct jit_exit *x)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = block_find_recent(vcpu, target);
    jit->stats.indirect++;
    if (!b || !b->jit || b->crosses || b->pa != x->pa || b->mode != x->block->mode)
        return;
    if (x->to)
        exit_unlink(jit, x);
    exit_attach(x, b->jit);
    return_set(jit, x, b->jit->computed);
    jit->stats.links++;
}
