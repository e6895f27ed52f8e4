/* SPDX-License-Identifier: MIT */
/* Near transfers: JMP, Jcc, CALL, RET. */
#include "cpu/jit/x86_64/jit_priv.h"

/* The return address in T0. */
static void emit_return_address(struct unit *u)
{
    const struct rec *rec = u->rec;
    int32_t next = (int32_t)(u->offset + rec->off + rec->len);
    emit_load(&u->e, 8, T0, RUN(jit_page));
    emit_lea(&u->e, 8, T0, (struct host_mem){T0, H_NONE, 0, next});
}

void push_return_address(struct unit *u)
{
    int32_t word = (int32_t)u->word;
    struct host_mem m = probe_stack(u, H_R12, -word, u->word, true);
    emit_return_address(u);
    emit_store(&u->e, u->word, T0, m);
    flags_before_write(u, H_R12);
    emit_lea(&u->e, u->word, H_R12, (struct host_mem){H_R12, H_NONE, 0, -word});
}

/* The target of an indirect transfer to T0. */
static bool load_target(struct unit *u)
{
    const struct operand *o = u->in->operands;
    if (o[0].size != u->word)
        return false;
    if (o[0].kind == OPND_GPR) {
        flags_clobber(u);
        emit_mov_rr(&u->e, u->word, T0, gpr_in(u, o[0].reg, T0));
        return true;
    }
    if (o[0].kind != OPND_MEM)
        return false;
    struct host_mem m = probe_operand(u, u->word, false);
    emit_load(&u->e, u->word, T0, m);
    return true;
}

static bool lower_computed(struct unit *u)
{
    fp_settle(u);
    flags_to_memory(u);
    if (u->in->op == OP_CALL_NEAR_IND)
        emit_ring_push(u, -(int32_t)u->word);
    if (!load_target(u))
        return false;
    if (u->in->op == OP_JMP_NEAR_IND)
        emit_expected_jump(u);
    else
        emit_expected_call(u);
    return true;
}

static void pop_return_address(struct unit *u)
{
    int32_t bytes = (int32_t)u->word + u->rec->imm;
    emit_lea(&u->e, u->word, H_R12, (struct host_mem){H_R12, H_NONE, 0, bytes});
}

/* By the ring of returns; what follows is for what it does not have, and is rarely run. */
static void return_by_ring(struct unit *u)
{
    emit_label absent = emit_ring_lookup(u);
    pop_return_address(u);
    emit_ring_found(u);
    go_late(u);
    emit_bind(&u->e, absent);
    emit_alu_rm(&u->e, ALU_XOR, 8, T0, RUN(mmu.view.epoch));
}

/* What is found among the jumps is canonical. */
static bool lower_ret(struct unit *u)
{
    struct emit *e = &u->e;
    bool was_late = u->is_late;
    fp_settle(u);
    struct host_mem m = probe_stack(u, H_R12, 0, u->word, false);
    flags_to_memory(u);
    emit_load(e, u->word, T0, m);
    if (u->jit->config.has_ring)
        return_by_ring(u);
    emit_near miss = emit_lookup(u);
    pop_return_address(u);
    emit_jump_found(u);
    emit_not_found(u, miss);
    check_canonical(u);
    pop_return_address(u);
    emit_indirect(u);
    if (u->jit->config.has_ring)
        go_back(u, was_late);
    return true;
}

/* The path goes on where it returns to, or the handler does it. */
static void lower_expected_ret(struct unit *u)
{
    struct emit *e = &u->e;
    struct host_mem m = probe_stack(u, H_R12, 0, u->word, false);
    flags_clobber(u);
    emit_load(e, u->word, T0, m);
    emit_alu_rm(e, ALU_SUB, u->word, T0, RUN(jit_page));
    emit_alu_ri(e, ALU_CMP, u->word, T0, (int32_t)path_offset(u, u->i + 1));
    late_handler(u, emit_jump(e, 5));
    flags_before_write(u, H_R12);
    pop_return_address(u);
}

static void lower_jcc(struct unit *u, int64_t target)
{
    unsigned cc = flags_condition(u, u->in->opcode & 15);
    if (u->path[u->i].way == PART_TAKEN) {
        cc ^= 1;
        target = u->path[u->i].offset + u->rec->len;
    }
    if (loop_has_edge(u, target))
        loop_edge(u, cc, refund_before(u, u->i + 1));
    else
        late_exit(u, emit_jump(&u->e, cc), target, refund_before(u, u->i + 1));
}

static void lower_jmp(struct unit *u, int64_t target)
{
    if (u->path[u->i].way != PART_ENDS)
        return;
    if (!loop_has_edge(u, target)) {
        emit_exit(u, target, 0);
        return;
    }
    loop_edge(u, EMIT_ALWAYS, 0);
    loans_given(u);
}

static bool stack_is_native(const struct unit *u)
{
    return u->has_stack && u->in->opsize == u->word;
}

bool lower_branch(struct unit *u)
{
    const struct rec *rec = u->rec;
    int64_t target = (int64_t)u->offset + rec->imm;
    bool goes_on = u->path[u->i].way != PART_ENDS;
    if (!operand_is_native(u) || (u->is_32 && u->in->opsize != u->word))
        return false;
    switch (u->in->op) {
    case OP_JCC:
        lower_jcc(u, target);
        return true;
    case OP_JMP_NEAR:
        lower_jmp(u, target);
        return true;
    case OP_CALL_NEAR:
        if (!stack_is_native(u))
            return false;
        if (goes_on)
            push_return_address(u);
        else
            emit_call_exit(u, target);
        return true;
    case OP_RET_NEAR:
        if (!goes_on)
            return stack_is_native(u) && lower_ret(u);
        if (!stack_is_native(u))
            return false;
        lower_expected_ret(u);
        return true;
    case OP_CALL_NEAR_IND:
        return stack_is_native(u) && lower_computed(u);
    default:
        return lower_computed(u);
    }
}
