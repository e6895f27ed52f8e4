/* SPDX-License-Identifier: MIT */
/* Into a block and out of it: its entries, direct exits, computed targets. */
#include "cpu/jit/x86_64/jit_priv.h"

/* ---- direct exits ---- */

struct jit_exit *exit_make(struct unit *u, int64_t target, int64_t refund)
{
    struct jit_exit *x = &u->out->exits[u->out->exit_count++];
    *x = (struct jit_exit){.rec = rec_home(u, u->rec),
                           .block = u->part->home,
                           .offset = u->offset,
                           .target = target,
                           .refund = (uint32_t)refund,
                           .fn = fn_to_32(u->rec->fn),
                           .tag_at = offsetof(struct vcpu, jumps.link[JIT_NO_TAG])};
    if (exit_is_far(x))
        x->frame = BLOCK_DEAD;
    else
        x->pa = (u->block->pa & PAGE_MASK) | (uint64_t)target;
    return x;
}

void to_thunk(struct unit *u, const void *x, const uint8_t *thunk)
{
    emit_call_to(&u->e, thunk);
    emit_number(&u->e, (uintptr_t)x, 8);
}

void compare_tag(struct unit *u, uint32_t tag_at)
{
    struct emit *e = &u->e;
    emit_load(e, 8, T0, RUN(jit_page));
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_alu_rm(e, ALU_CMP, 8, T0, mem_vcpu(tag_at));
}

void exit_charge(struct unit *u, struct jit_exit *x)
{
    emit_rm(&u->e, 0x83, 8, ALU_SUB, RUN(budget));
    x->charge = u->e.p;
    emit_8(&u->e, (uint8_t)-x->refund);
}

/*
 * Flags are not in memory, but can be made again: they are stored in front of a jump of its own,
 * where only those come to whom nothing leads past it: who does not have the budget, and all as
 * long as what it is linked to looks at flags, or it is not linked.
 */
static void emit_jump_with_flags(struct unit *u, struct jit_exit *x)
{
    struct emit *e = &u->e;
    x->has_flags = true;
    for (size_t i = 0; i < sizeof(exit_no_skip); i++)
        emit_8(e, exit_no_skip[i]);
    flags_to_memory(u);
    emit_near over = emit_jump_near(e, 8);
    x->jump = emit_jump(e, EMIT_ALWAYS);
    emit_bind_near(e, over);
}

/* The tag has been looked at. Until somebody links it, nothing is charged but the refund, and the
 * jump leads to the stub. */
static void emit_charge_and_jump(struct unit *u, struct jit_exit *x)
{
    struct emit *e = &u->e;
    int32_t page = (int32_t)(x->target & ~(int64_t)0xfff);
    if (exit_is_far(x))
        emit_alu_mi(e, ALU_ADD, u->word, RUN(jit_page), page);
    exit_charge(u, x);
    if (!u->flags.memory)
        emit_jump_with_flags(u, x);
    else
        x->jump = emit_jump(e, 9);
    emit_bind(e, x->jump);
    if (exit_is_far(x))
        emit_alu_mi(e, ALU_SUB, u->word, RUN(jit_page), page);
    to_thunk(u, x, u->jit->out);
}

bool exit_stores_flags(const struct unit *u, const struct jit_exit *x)
{
    const struct recipe *r = &u->flags.recipe;
    return !exit_is_far(x) && !u->flags.memory && r->op != HOW_IMAGE && r->a != IN_MEMORY &&
           r->b != IN_MEMORY;
}

void exit_code(struct unit *u, struct jit_exit *x)
{
    if (!exit_is_far(x)) {
        emit_charge_and_jump(u, x);
        return;
    }
    compare_tag(u, x->tag_at);
    x->tag = u->e.p - 4;
    emit_near other = emit_jump_near(&u->e, 5);
    x->hit = emit_here(&u->e);
    emit_charge_and_jump(u, x);
    emit_bind_near(&u->e, other);
    to_thunk(u, x, u->jit->look);
    x->miss = u->jit->link;
}

void exit_over(struct unit *u, struct jit_exit *x)
{
    emit_mov_ri(&u->e, T0, (uintptr_t)x);
    emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->seam_over);
}

void emit_exit(struct unit *u, int64_t target, int64_t refund)
{
    struct jit_exit *x = exit_make(u, target, refund);
    if (!exit_stores_flags(u, x))
        flags_to_memory(u);
    fp_settle(u);
    exit_code(u, x);
}

void check_canonical(struct unit *u)
{
    struct emit *e = &u->e;
    if (u->is_32)
        return;
    emit_mov_rr(e, 8, T1, T0);
    emit_shift_ri(e, 4, 8, T1, 16);
    emit_shift_ri(e, 7, 8, T1, 16);
    emit_alu_rr(e, ALU_CMP, 8, T1, T0);
    late_handler(u, emit_jump(e, 5));
}

/*
 * CALL: the push comes before the jump, and #GP for the target before the push. What is mapped is
 * canonical; to another page that is not, or not yet linked, the handler goes.
 */
void emit_call_exit(struct unit *u, int64_t target)
{
    struct emit *e = &u->e;
    struct jit_exit *x = exit_make(u, target, 0);
    fp_settle(u);
    if (!exit_is_far(x)) {
        push_return_address(u);
        flags_to_memory(u);
        emit_ring_push(u, 0);
        exit_code(u, x);
        return;
    }
    flags_clobber(u);
    compare_tag(u, x->tag_at);
    x->tag = e->p - 4;
    emit_label other = emit_jump(e, 5);
    x->hit = emit_here(e);
    struct flag_state flags = u->flags;
    push_return_address(u);
    flags_to_memory(u);
    emit_ring_push(u, 0);
    emit_charge_and_jump(u, x);
    u->flags = flags;
    bool was_late = go_late(u);
    emit_bind(e, other);
    to_thunk(u, x, u->jit->look);
    x->miss = emit_here(e);
    flags_to_memory(u);
    to_thunk(u, x, u->jit->call);
    go_back(u, was_late);
}

/* ---- computed targets ---- */

static struct host_mem jumps_at(unsigned index, size_t field)
{
    return (struct host_mem){VCPU, (uint8_t)index, 3,
                             (int32_t)(offsetof(struct vcpu, jumps.at) + field)};
}

void emit_jump_index(struct emit *e, unsigned reg)
{
    static_assert(sizeof(struct mmu_jump) == 16, "twice its index, scaled by 8");
    static_assert(MMU_JUMP_BITS == 15, "16 bits but the lowest");
    emit_rr(e, X_0F | 0xb7, 4, reg, T0); /* MOVZX reg, 16 bits of T0 */
    emit_alu_ri(e, ALU_AND, 4, reg, -2);
}

struct host_mem jump_tag(unsigned index)
{
    return jumps_at(index, offsetof(struct mmu_jump, tag));
}

struct host_mem jump_to(unsigned index)
{
    return jumps_at(index, offsetof(struct mmu_jump, to));
}

emit_near emit_lookup(struct unit *u)
{
    struct emit *e = &u->e;
    emit_jump_index(e, T1);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    emit_alu_rm(e, ALU_CMP, 8, T0, jump_tag(T1));
    return emit_jump_near(e, 5);
}

void emit_jump_found(struct unit *u)
{
    emit_rm(&u->e, 0xff, 4, 4, jump_to(T1));
}

void emit_not_found(struct unit *u, emit_near miss)
{
    emit_bind_near(&u->e, miss);
    emit_alu_rm(&u->e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
}

void emit_indirect(struct unit *u)
{
    emit_mov_ri(&u->e, T1, (uintptr_t)site_of(u));
    emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->indirect);
}

/* ---- entries ---- */

/* The second page is still the one whose bytes were decoded, or the run loop looks. T0, T1. */
static void check_second_page(struct unit *u)
{
    struct emit *e = &u->e;
    emit_label misses[2];
    emit_load(e, 8, T0, RUN(jit_page));
    emit_alu_ri(e, ALU_ADD, u->word, T0, PAGE_SIZE);
    emit_mov_rr(e, 8, T1, T0);
    emit_shift_ri(e, 5, 8, T1, PAGE_SHIFT - 4);
    emit_alu_rm(e, ALU_AND, 8, T1, RUN(mmu.view.fetch_mask));
    emit_alu_rm(e, ALU_ADD, 8, T1, RUN(mmu.view.fetch));
    emit_alu_rm(e, ALU_CMP, 8, T0,
                (struct host_mem){T1, H_NONE, 0, offsetof(struct vtlb_entry, tag)});
    misses[0] = emit_jump(e, 5);
    emit_alu_rm(e, ALU_ADD, 8, T0,
                (struct host_mem){T1, H_NONE, 0, offsetof(struct vtlb_entry, addend)});
    emit_mov_ri(e, T1, u->block->pa2);
    emit_alu_rr(e, ALU_CMP, 8, T0, T1);
    misses[1] = emit_jump(e, 5);
    emit_label is_same = emit_jump(e, EMIT_ALWAYS);
    emit_bind(e, misses[0]);
    emit_bind(e, misses[1]);
    emit_mov_ri(e, T0, (uintptr_t)&u->out->self);
    emit_jump_to(e, EMIT_ALWAYS, u->jit->over);
    emit_bind(e, is_same);
}

enum { STUB_BYTES = 5 + 8 }; /* to_thunk */

/* Of a computed jump; over: what leaves for the run loop. */
static void emit_computed_entry(struct unit *u, const uint8_t *over)
{
    struct emit *e = &u->e;
    u->out->computed = emit_here(e);
    emit_alu_rm(e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
    if (u->offset)
        emit_alu_ri(e, ALU_SUB, 8, T0, (int32_t)u->offset);
    emit_store(e, 8, T0, RUN(jit_page));
    emit_alu_mi(e, ALU_SUB, 8, RUN(budget), u->block->count);
    emit_jump_back(e, 8, over);
}

/* So that the block's body, with so many bytes and the computed entry before it, is where a line begins. */
static void align_body(struct unit *u, size_t before)
{
    struct emit *e = &u->e;
    uint8_t *start = e->p;
    emit_computed_entry(u, emit_here(e)); /* for its size */
    if (!e->full)
        e->p = start + (-((uintptr_t)e->p + before) & (JIT_ENTRY_ALIGN - 1));
}

void emit_entry(struct unit *u)
{
    struct emit *e = &u->e;
    align_body(u, STUB_BYTES);
    const uint8_t *over = emit_here(e);
    to_thunk(u, &u->out->self, u->jit->out);
    emit_computed_entry(u, over);
    u->out->entry = emit_here(e);
    if (u->block->crosses)
        check_second_page(u);
}

static void entry_jump(const struct jit *jit, const struct jit_block *t, const uint8_t *target)
{
    const struct code_memory *m = &jit->memory;
    uint8_t *p = m->write + (t->computed - m->run);
    struct emit e = {.p = p, .end = m->write + m->size, .delta = m->run - m->write};
    emit_jump_to(&e, EMIT_ALWAYS, target);
}

void entry_kill(const struct jit *jit, const struct jit_block *t)
{
    entry_jump(jit, t, jit->gone);
}

void entry_redirect(const struct jit *jit, const struct jit_block *t, const struct jit_block *to)
{
    entry_jump(jit, t, to->computed);
}
