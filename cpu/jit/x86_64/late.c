/* SPDX-License-Identifier: MIT */
/* Late code: what is rarely run, at the end of a block. */
#include "cpu/jit/x86_64/jit_priv.h"

/* Calls of a handler before a wide proof in front of it has failed too often. */
#define WIDE_MISSES 64

/* A unit for the block's code, or the block is dropped. */
static void emit_bring(struct unit *u, const struct late *l)
{
    emit_mov_ri(&u->e, T0, l->bring);
    emit_call_to(&u->e, l->bring == FP_WANT_MXCSR ? u->jit->bring_mxcsr : u->jit->bring_x87);
    emit_jump_to(&u->e, 4, l->back);
    flags_to_memory(u);
    fp_settle(u);
    if (u->lent)
        loans_out(u);
    emit_mov_ri(&u->e, T0, (uintptr_t)l->site);
    emit_mov_ri(&u->e, T1, 0);
    emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->drop);
}

static void emit_try(struct unit *u, const struct late *l)
{
    switch (l->try) {
    case TRY_NOTHING:
        break;
    case TRY_WINDOW:
        emit_open_window(u, &l->access, l->hit);
        probe_late(u, &l->access, l->hit);
        break;
    case TRY_PROOF:
        proof_again(u, l->low, l->high, l->hit);
        break;
    case TRY_WIDE:
        prove_wide(u, l);
        break;
    }
}

/* Can it go on in the block, with what has been proved there? Not if the same instruction has
 * proved it later. */
static bool goes_back(const struct late *l)
{
    return !l->next || (l->before == l->proof && (l->is_proof || l->made == l->made_after));
}

/* In front of a handler. */
static void watch_proofs(struct unit *u, const struct late *l)
{
    if (!l->next || !l->keeps)
        return;
    emit_rm(&u->e, 0xc7, 8, 0, RUN(mmu.view.kept));
    emit_number(&u->e, 1, 4);
}

enum { GONE_LABELS = 2 + PROVE_LABELS };

/* Behind it: does what was proved still hold? The labels are for no. */
static unsigned check_proofs(struct unit *u, const struct late *l, emit_label gone[GONE_LABELS])
{
    unsigned count = 0;
    if (!l->next)
        return 0;
    if (l->proof) {
        emit_alu_mi(&u->e, ALU_CMP, 8, RUN(mmu.view.stack.limit), 0);
        gone[count++] = emit_jump(&u->e, 4);
    }
    if (l->keeps) {
        emit_alu_mi(&u->e, ALU_CMP, 8, RUN(mmu.view.kept), 0);
        gone[count++] = emit_jump(&u->e, 4);
    }
    if (l->is_proof)
        count += prove_again(u, l, gone + count);
    return count;
}

/* Its proof has failed, a wide one or one by the write array for a read. If its handler has been
 * called often, the block is made anew, without such. */
static void emit_narrow(struct unit *u, const struct late *l)
{
    struct emit *e = &u->e;
    struct host_mem calls = {T0, H_NONE, 0, offsetof(struct jit_site, calls)};
    const struct base_proof *p = &l->proofs.slot[l->proves];
    if (!l->is_proof || !(p->is_wide || p->is_early))
        return;
    emit_mov_ri(e, T0, (uintptr_t)l->site);
    emit_alu_mi(e, ALU_CMP, 8, calls, WIDE_MISSES);
    emit_label seldom = emit_jump(e, 2);
    emit_mov_ri(e, T1, DROP_BEHIND | DROP_WIDE);
    emit_jump_to(e, EMIT_ALWAYS, u->jit->drop);
    emit_bind(e, seldom);
}

/* A handler has done the instruction: on in the block, as it expects things there, or to the block
 * of the next one. */
static void emit_late_rest(struct unit *u, struct late *l)
{
    emit_label gone[GONE_LABELS];
    u->flags = (struct flag_state){.memory = true, .plain = l->touches_flags || u->flags.plain};
    if (!goes_back(l)) {
        exit_code(u, l->next);
        return;
    }
    if (u->lent)
        loans_in(u);
    unsigned count = check_proofs(u, l, gone);
    if ((l->after.plain || l->after.host) && !u->flags.plain)
        emit_call_to(&u->e, u->jit->plain_flags);
    u->flags.plain = true;
    recipe_after_handler(u, l);
    fp_bring_again(u, &l->fp_after, (uintptr_t)l->site);
    sse_reload(u, l->xmm, &l->fp_after);
    if (l->after.host)
        flags_to_host(u);
    emit_jump_to(&u->e, EMIT_ALWAYS, l->back);
    for (unsigned i = 0; i < count; i++)
        emit_bind(&u->e, gone[i]);
    if (!count)
        return;
    if (u->lent)
        loans_out(u);
    emit_narrow(u, l);
    exit_code(u, l->next);
}

static void swap_code(struct unit *u)
{
    struct emit e = u->e;
    u->e = u->other;
    u->other = e;
    u->is_late = !u->is_late;
}

bool go_late(struct unit *u)
{
    bool was_late = u->is_late;
    if (!was_late)
        swap_code(u);
    return was_late;
}

void go_back(struct unit *u, bool was_late)
{
    if (!was_late)
        swap_code(u);
}

static bool is_taken_branch(const struct late *l)
{
    return l->exit && l->try == TRY_NOTHING && !l->is_over && !l->is_edge;
}

static void emit_late(struct unit *u, struct late *l)
{
    emit_bind(&u->e, l->from);
    u->flags = l->flags;
    u->fp = l->fp;
    u->lent = l->lent;
    if (l->bring) {
        emit_bring(u, l);
        return;
    }
    if (l->plain) {
        emit_call_to(&u->e, u->jit->plain_flags);
        emit_jump_to(&u->e, EMIT_ALWAYS, l->back);
        return;
    }
    if (l->starts_over) {
        flags_to_memory(u);
        emit_jump_to(&u->e, EMIT_ALWAYS, u->start);
        return;
    }
    emit_try(u, l);
    if (l->is_first) {
        translate_first_again(u, l->exit);
        return;
    }
    if (!is_taken_branch(l) || !exit_stores_flags(u, l->exit))
        flags_to_memory(u);
    fp_settle(u);
    if (l->exit) {
        if (u->lent)
            loans_out(u);
        if (u->lent)
            flags_follow_loans(u);
        if (l->is_edge)
            to_thunk(u, l->exit, u->jit->out);
        else if (l->is_over)
            exit_over(u, l->exit);
        else
            exit_code(u, l->exit);
        return;
    }
    if (l->tails) {
        if (u->lent)
            loans_out(u);
        emit_mov_ri(&u->e, T0, (uintptr_t)l->site);
        emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->tail);
        return;
    }
    watch_proofs(u, l);
    recipe_before_handler(u, l);
    if (u->lent)
        loans_out(u);
    call_site(u, l->site, l->touches_flags);
    emit_late_rest(u, l);
}

void emit_all_late(struct unit *u)
{
    for (unsigned i = 0; i < u->late_count; i++)
        if (is_taken_branch(&u->late[i]))
            emit_late(u, &u->late[i]);
    bool was_late = go_late(u);
    for (unsigned i = 0; i < u->late_count; i++)
        if (!is_taken_branch(&u->late[i]))
            emit_late(u, &u->late[i]);
    go_back(u, was_late);
}

/* A jump that was just emitted leads to late code. */
static struct late *late_add(struct unit *u, emit_label from)
{
    if (u->late_count == LATE_MAX) {
        u->e.full = true;
        return &u->late[LATE_MAX - 1];
    }
    struct late *l = &u->late[u->late_count++];
    *l = (struct late){.from = from,
                       .flags = u->flags,
                       .fp = u->fp,
                       .lent = u->lent,
                       .before = u->stack.proof,
                       .made = u->proofs.made};
    return l;
}

/* The exit to the record i, whose ticks and all behind it are not used. */
static struct jit_exit *inner_exit(struct unit *u, unsigned i)
{
    return exit_make(u, i < u->count ? path_offset(u, i) : path_target(u), refund_before(u, i));
}

void late_back(struct unit *u)
{
    unsigned more = u->late_count - u->late_first;
    if (u->out->exit_count + more > u->out->exit_room || (u->i + 1 == u->count && !u->second)) {
        stack_forget(u);
        proof_forget(u);
    }
    for (unsigned i = u->late_first; i < u->late_count; i++) {
        struct late *l = &u->late[i];
        if (!l->site || l->back)
            continue;
        l->back = emit_here(&u->e);
        l->after = u->flags;
        l->fp_after = u->fp;
        l->xmm = u->xmm;
        l->proof = u->stack.proof;
        l->keeps = proof_any(u);
        l->made_after = u->proofs.made;
        if ((l->proof || l->keeps) && !l->tails)
            l->next = inner_exit(u, u->i + 1);
    }
}

void late_handler(struct unit *u, emit_label from)
{
    struct late *l = late_add(u, from);
    l->site = site_of(u);
    l->touches_flags = handler_needs_flags(u->in);
    l->tails = l->site->fn != exec_sensitive_step && insn_row(u->in->row)->ends_block;
}

void late_prove(struct unit *u, emit_label from, const struct mem_access *x, unsigned slot)
{
    late_handler(u, from);
    struct late *l = &u->late[u->late_count - 1];
    l->is_proof = true;
    l->try = u->proofs.slot[slot].is_wide ? TRY_WIDE : TRY_NOTHING;
    l->hit = emit_here(&u->e);
    l->proves = (uint8_t)slot;
    l->proofs = u->proofs;
    l->access = *x;
}

void late_window(struct unit *u, emit_label from, const struct mem_access *x)
{
    late_handler(u, from);
    struct late *l = &u->late[u->late_count - 1];
    l->try = TRY_WINDOW;
    l->access = *x;
}

void late_proof(struct unit *u, emit_label from, int32_t low, int32_t high)
{
    struct late *l = late_add(u, from);
    l->try = TRY_PROOF;
    l->low = low;
    l->high = high;
    l->hit = emit_here(&u->e);
    l->exit = inner_exit(u, u->i);
}

void late_first_proof(struct unit *u, emit_label from, int32_t low, int32_t high)
{
    struct late *l = late_add(u, from);
    l->try = TRY_PROOF;
    l->low = low;
    l->high = high;
    l->hit = emit_here(&u->e);
    l->is_first = true;
    l->exit = inner_exit(u, u->i + 1);
}

void late_bring(struct unit *u, emit_label from, uint32_t want)
{
    struct late *l = late_add(u, from);
    l->site = site_of(u);
    l->bring = want;
    l->back = emit_here(&u->e);
}

struct jit_exit *late_exit(struct unit *u, emit_label from, int64_t target, int64_t refund)
{
    struct jit_exit *x = exit_make(u, target, refund);
    late_add(u, from)->exit = x;
    return x;
}

void late_over(struct unit *u, emit_label from, struct jit_exit *exit)
{
    struct late *l = late_add(u, from);
    l->exit = exit;
    l->is_over = true;
}

void late_edge(struct unit *u, emit_label from, struct jit_exit *exit)
{
    struct late *l = late_add(u, from);
    l->exit = exit;
    l->is_edge = true;
}

void late_again(struct unit *u, emit_label from)
{
    late_add(u, from)->starts_over = true;
}

void late_plain(struct unit *u, emit_label from)
{
    struct late *l = late_add(u, from);
    l->plain = true;
    l->back = emit_here(&u->e);
}
