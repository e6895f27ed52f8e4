/* SPDX-License-Identifier: MIT */
/*
 * Computed JMP and CALL, most of which go where they went the time before. Such a transfer is
 * linked to one target: the vCPU's tag of the exit (mmu_jumps.link) is that RIP XOR the epoch in
 * which it was looked up. What is equal is canonical and mapped as it was, and the target's code is
 * entered as by a computed jump. All else goes by the table of computed jumps, and is counted: the
 * exit is linked to what it meets then, or ends as one that only uses the table.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* So many misses are let pass before the exit is linked anew, or ends: if they came within so many
 * ticks for each. */
enum { MISSES = 64, TICKS_PER_MISS = 4096, LINKS = 4 };

/* T0 := RIP XOR epoch; is it the expected one? */
static struct jit_exit *emit_compare_expected(struct unit *u)
{
    struct emit *e = &u->e;
    struct jit_exit *x = exit_make(u, 0, 0);
    x->is_computed = true;
    x->pa = BLOCK_DEAD;
    x->misses = 1;
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    x->compare = e->p;
    emit_alu_rm(e, ALU_CMP, 8, T0, mem_vcpu(x->tag_at));
    x->tag = e->p - 4;
    return x;
}

/* T0: RIP XOR epoch. The label is for its absence from the table. */
static emit_near emit_by_table(struct emit *e)
{
    emit_jump_index(e, T1);
    emit_alu_rm(e, ALU_CMP, 8, T0, jump_tag(T1));
    emit_near absent = emit_jump_near(e, 5);
    emit_rm(e, 0xff, 4, 4, jump_to(T1));
    return absent;
}

void emit_expected_jump(struct unit *u)
{
    struct emit *e = &u->e;
    struct jit_exit *x = emit_compare_expected(u);
    emit_near other = emit_jump_near(e, 5);
    x->hit = emit_here(e);
    x->jump = emit_jump(e, EMIT_ALWAYS);
    x->miss = emit_here(e);
    emit_near absent = emit_by_table(e);
    emit_bind(e, x->jump);
    emit_bind_near(e, other);
    emit_bind_near(e, absent);
    to_thunk(u, x, u->jit->expect);
}

/* #GP for the target comes before the push: what is expected, or in the table, is canonical. */
void emit_expected_call(struct unit *u)
{
    struct emit *e = &u->e;
    struct jit_exit *x = emit_compare_expected(u);
    emit_label other = emit_jump(e, 5);
    x->hit = emit_here(e);
    push_return_address(u);
    emit_load(e, 8, T0, mem_vcpu(x->tag_at));
    x->jump = emit_jump(e, EMIT_ALWAYS);
    const uint8_t *thunk = emit_here(e);
    emit_bind(e, x->jump);
    emit_bind(e, other);
    to_thunk(u, x, u->jit->expect);
    x->miss = emit_here(e);
    stack_forget(u);
    emit_store(e, 8, T0, host_target);
    emit_jump_index(e, T1);
    emit_alu_rm(e, ALU_CMP, 8, T0, jump_tag(T1));
    emit_jump_back(e, 5, thunk);
    push_return_address(u);
    emit_load(e, 8, T0, host_target);
    emit_jump_index(e, T1);
    emit_rm(e, 0xff, 4, 4, jump_to(T1));
}

/* ---- linking ---- */

/* A JMP's jump is right behind the comparison; a CALL loads its tag again in front of it. */
static bool is_call(const struct jit_exit *x)
{
    return x->jump != x->tag + 4 + 2 + 1;
}

static void set_tag(struct jit_exit *x, unsigned tag)
{
    x->tag_at = (uint32_t)(offsetof(struct vcpu, jumps.link) + tag * sizeof(uint64_t));
    le32_store(x->tag, x->tag_at);
    if (is_call(x))
        le32_store(x->jump - 5, x->tag_at);
}

void expect_nothing(struct jit_exit *x)
{
    set_tag(x, JIT_NO_TAG);
    x->pa = BLOCK_DEAD;
    x->misses = 1;
}

/* Only the table from now on: a JMP's way by that moves to where the comparison was. */
static void expect_no_more(const struct jit *jit, struct jit_exit *x)
{
    const struct code_memory *m = &jit->memory;
    struct emit e = {.p = x->compare, .end = m->write + m->size, .delta = m->run - m->write};
    if (is_call(x)) {
        emit_jump_to(&e, EMIT_ALWAYS, x->miss);
    } else {
        x->miss = emit_here(&e);
        emit_near absent = emit_by_table(&e);
        e.p = x->jump + 4 + (e.p - x->compare); /* the thunk's call, behind where it was */
        emit_bind_near(&e, absent);
    }
    x->compare = NULL;
}

/* With another tag: whoever has seen the target before must not take that for this one. */
static void expect(struct jit *jit, struct jit_exit *x, struct jit_block *to, uint32_t now)
{
    const struct emit e = {.delta = jit->memory.run - jit->memory.write};
    exit_attach(x, to);
    x->frames++;
    set_tag(x, jit->tags++);
    x->pa = to->block->pa;
    x->misses = MISSES;
    x->since = now;
    emit_set_target(&e, x->jump, to->computed);
    jit->stats.links++;
}

static void expect_anew(struct jit *jit, struct jit_exit *x, struct jit_block *to, uint32_t now)
{
    bool is_rare = now - x->since > MISSES * TICKS_PER_MISS;
    if (x->to && is_rare) {
        x->misses = MISSES;
        x->since = now;
        return;
    }
    if (x->to)
        exit_unlink(jit, x);
    if (x->frames < LINKS && jit->tags < MMU_LINKS)
        expect(jit, x, to, now);
    else
        expect_no_more(jit, x);
}

static uint32_t about_now(const struct vcpu *vcpu)
{
    return (uint32_t)(vcpu->arch.ticks + (uint64_t)(vcpu->run.budget_start - vcpu->run.budget));
}

int exec_jit_expect(struct vcpu *vcpu, const struct rec *rec, uint64_t target, struct jit_exit *x)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = block_find_recent(vcpu, target);
    jit->stats.indirect++;
    if (b && b->jit && !b->crosses) {
        place_set(jit, b);
        if (x->compare && x->misses <= 0)
            expect_anew(jit, x, b->jit, about_now(vcpu));
    } else if (x->compare && x->misses <= 0) {
        x->misses = 1;
    }
    return exec_jit_tail(vcpu, rec, fn_from_32(x->fn));
}
