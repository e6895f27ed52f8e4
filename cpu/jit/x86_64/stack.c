/* SPDX-License-Identifier: MIT */
/*
 * Accesses through RSP: by the stack window of the virtual TLB (mmu.h) instead of its arrays. The
 * first of several in a block proves that all lie in the window; the others need no check as long
 * as it is known by how much RSP has changed, and nothing in C has closed the window.
 *
 * Where the proof fails though the window is open, or C closed it in between, translated code
 * leaves for the block that begins with the instruction in question. The first one of a block is
 * done once more in late code instead, where it proves nothing but itself, and left for the next.
 */
#include "cpu/jit/x86_64/jit_priv.h"

#define REACH VTLB_WINDOW_REACH

/* ---- what instructions do to RSP ---- */

static bool is_rsp(const struct operand *o)
{
    return o->kind == OPND_GPR && o->reg == REG_RSP;
}

bool stack_change(const struct unit *u, const struct insn *in, int32_t *delta)
{
    const struct operand *o = in->operands;
    int32_t word = (int32_t)u->word;
    bool by_imm = is_rsp(&o[0]) && o[0].size == u->word && o[1].kind == OPND_IMM &&
                  (u->is_32 || (int64_t)in->imm == (int32_t)in->imm);
    *delta = 0;
    switch (in->op) {
    case OP_PUSH:
    case OP_PUSHF:
    case OP_PUSH_SREG:
        *delta = -word;
        return in->opsize == u->word;
    case OP_POP:
    case OP_POPF:
        *delta = word;
        return in->opsize == u->word && !is_rsp(&o[0]);
    case OP_ADD:
    case OP_SUB:
        *delta = in->op == OP_ADD ? (int32_t)in->imm : -(int32_t)in->imm;
        if (by_imm)
            return is_near((int32_t)in->imm);
        *delta = 0;
        return !is_rsp(&o[0]);
    case OP_LEA:
        if (is_rsp(&o[0]) && in->base == REG_RSP && in->index == REG_NONE && o[0].size == u->word &&
            in->addrsize == u->word && is_near(in->disp)) {
            *delta = in->disp;
            return true;
        }
        return !is_rsp(&o[0]);
    case OP_CMP:
    case OP_TEST:
        return true;
    case OP_MOV:
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
    case OP_AND:
    case OP_OR:
    case OP_XOR:
    case OP_CMOVCC:
        return !is_rsp(&o[0]);
    case OP_CALL_NEAR:
        *delta = -word;
        return in->opsize == u->word;
    case OP_RET_NEAR:
        *delta = word + (in->operand_count > 0 ? (int32_t)in->imm : 0);
        return in->opsize == u->word;
    case OP_LEAVE:
    case OP_ENTER:
        return false;
    default:
        for (unsigned i = 0; i < in->operand_count; i++)
            if (is_rsp(&o[i]))
                return false;
        return true;
    }
}

/* ---- a look ahead ---- */

struct span {
    int32_t low;  /* relative to RSP at the instruction where it begins */
    int32_t high; /* behind the last byte */
    unsigned count;
};

/* False: it would be too long. */
static bool span_add(struct span *s, int32_t at, unsigned size)
{
    int32_t end = at + (int32_t)size;
    int32_t low = s->count && s->low < at ? s->low : at;
    int32_t high = s->count && s->high > end ? s->high : end;
    if (high - low > REACH)
        return false;
    *s = (struct span){low, high, s->count + 1};
    return true;
}

static unsigned mem_size(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_MEM)
            return in->operands[i].size;
    return 1;
}

/* Add what instruction `in` touches, with RSP at delta. */
static bool span_add_insn(const struct unit *u, struct span *s, const struct insn *in,
                          int32_t delta)
{
    if (in->has_mem && in->base == REG_RSP && in->index == REG_NONE && in->op != OP_LEA &&
        is_near(in->disp) && !span_add(s, delta + in->disp, mem_size(in)))
        return false;
    switch (in->op) {
    case OP_PUSH:
    case OP_PUSHF:
    case OP_PUSH_SREG:
    case OP_CALL_NEAR:
    case OP_CALL_NEAR_IND:
        return span_add(s, delta - (int32_t)u->word, u->word);
    case OP_POP:
    case OP_POPF:
    case OP_RET_NEAR:
        return span_add(s, delta, u->word);
    default:
        return true;
    }
}

/* The accesses from this instruction on that one proof can cover. */
static struct span span_ahead(const struct unit *u)
{
    struct span s = {0, 0, 0};
    int32_t delta = 0, change;
    for (unsigned i = u->i; i < u->count; i++) {
        const struct insn *in = &u->insn[i];
        if (!is_near(delta) || !span_add_insn(u, &s, in, delta) || !stack_change(u, in, &change))
            break;
        delta += change;
    }
    return s;
}

/* ---- the proof ---- */

void stack_forget(struct unit *u)
{
    u->stack.proof = 0;
}

void stack_after_insn(struct unit *u)
{
    int32_t change;
    if (!u->stack.proof)
        return;
    if (stack_change(u, u->in, &change) && is_near((int64_t)u->stack.delta + change))
        u->stack.delta += change;
    else
        stack_forget(u);
}

static bool is_proved(const struct unit *u, const struct mem_access *x)
{
    int64_t at = (int64_t)u->stack.delta + x->address.disp;
    return u->stack.proof && at >= u->stack.low && at + x->size <= u->stack.high;
}

bool stack_reaches(const struct mem_access *x)
{
    const struct address *a = &x->address;
    return a->base == pinned[REG_RSP] && a->index == H_NONE && a->shifted == REG_NONE &&
           a->parts == 0 && a->rest == 0 && !a->narrow && is_near(a->disp) && !x->aligned &&
           x->size <= 64;
}

/* Is [RSP + disp, and REACH more) in the window? If not, a jump. */
static emit_label emit_check(struct unit *u, int32_t disp)
{
    struct emit *e = &u->e;
    emit_lea(e, 8, T0, (struct host_mem){pinned[REG_RSP], H_NONE, 0, disp});
    emit_alu_rm(e, ALU_SUB, 8, T0, RUN(mmu.view.stack.page));
    emit_alu_rm(e, ALU_CMP, 8, T0, RUN(mmu.view.stack.limit));
    return emit_jump(e, 3); /* not below */
}

/*
 * Where the REACH bytes begin that are asked for: they end with the access, or with the last of
 * several. What a kernel pushes first lies at the end of a page.
 */
static int32_t reach_of(const struct mem_access *x)
{
    return x->address.disp + (int32_t)x->size - REACH;
}

/*
 * May the instruction prove what others access? If the proof fails, what follows is to go on
 * without; so the first one is to be such that it can be done twice over.
 */
static bool may_prove(const struct unit *u)
{
    const struct insn *in = u->in;
    if (u->i > 0)
        return !u->is_again;
    return !u->is_again && u->is_quiet &&
           ((in->op != OP_PUSH && in->op != OP_POP) || in->operands[0].kind != OPND_MEM);
}

struct host_mem probe_window(struct unit *u, const struct mem_access *x)
{
    struct emit *e = &u->e;
    struct host_mem m = {x->address.base, T1, 0, x->address.disp};
    if (is_proved(u, x)) {
        if (!u->is_quiet)
            flags_clobber(u);
        emit_load(e, 8, T1, RUN(mmu.view.stack.addend));
        return m;
    }
    stack_forget(u);
    flags_clobber(u);
    struct span s = may_prove(u) ? span_ahead(u) : (struct span){0, 0, 0};
    bool proves = s.count > 1 && u->out->exit_count < u->out->exit_room &&
                  s.low <= x->address.disp && x->address.disp + x->size <= s.high;
    emit_label fails = emit_check(u, proves ? s.high - REACH : reach_of(x));
    if (proves) {
        unsigned number = u->stack.proofs + 1;
        u->stack = (struct stack_proof){number, number, s.low, s.high, 0};
        if (u->i > 0)
            late_proof(u, fails, s.low, s.high);
        else
            late_first_proof(u, fails, s.low, s.high);
    } else {
        late_window(u, fails, x);
    }
    emit_load(e, 8, T1, RUN(mmu.view.stack.addend));
    if (!proves)
        u->late[u->late_count - 1].hit = emit_here(e);
    return m;
}

/* ---- several PUSHes or POPs ---- */

/*
 * Is the next instruction one more, of which it is known that it is in the window too? Then nobody
 * looks at RSP in between: neither can fault, and late_back forgets nothing.
 */
static bool run_goes_on(const struct unit *u, int32_t change)
{
    unsigned next = u->i + 1, more = u->late_count - u->late_first;
    const struct insn *in = &u->insn[next];
    int32_t disp = change < 0 ? change : 0;
    const struct mem_access x = {.address = {.disp = disp + change}, .size = (uint8_t)u->word};
    return next < u->count && next != u->second && !is_behind_seam(u, next) &&
           in->op == u->in->op && in->opsize == u->word && in->operands[0].kind == OPND_GPR &&
           in->operands[0].reg != REG_RSP && record_is_plain(u->path[next].rec) &&
           is_proved(u, &x) && u->out->exit_count + more <= u->out->exit_room;
}

struct host_mem run_access(struct unit *u, int32_t disp, bool write)
{
    if (!u->run.next || u->run.next != u->i) {
        u->run = (struct stack_run){0, 0};
        return probe_stack(u, H_R12, disp, u->word, write);
    }
    return (struct host_mem){H_R12, T1, 0, disp + u->run.moved};
}

void run_move(struct unit *u, int32_t change)
{
    u->run.moved += change;
    u->run.next = run_goes_on(u, change) ? u->i + 1 : 0;
    if (!u->run.next)
        emit_lea(&u->e, u->word, H_R12, (struct host_mem){H_R12, H_NONE, 0, u->run.moved});
}

/* ---- late code ---- */

/* T0: linear address. The window to its page, if the write array has it, and it is not near an end
 * of 4 GiB (STACK_NEAR_32). T0, T1 are used. */
void make_open_window(struct jit *jit, struct emit *e)
{
    struct host_mem tag = {T1, H_NONE, 0, offsetof(struct vtlb_entry, tag)};
    struct host_mem addend = {T1, H_NONE, 0, offsetof(struct vtlb_entry, addend)};
    jit->open_window = emit_here(e);
    e->in_c = false;
    e->pushed = 8; /* the return address */
    emit_lea(e, 4, T1, (struct host_mem){T0, H_NONE, 0, 2 * STACK_NEAR_32});
    emit_alu_ri(e, ALU_CMP, 4, T1, 4 * STACK_NEAR_32);
    emit_label at_end = emit_jump(e, 2); /* below */
    emit_mov_rr(e, 8, T1, T0);
    emit_shift_ri(e, 5, 8, T1, PAGE_SHIFT - 4);
    emit_alu_rm(e, ALU_AND, 8, T1, RUN(mmu.view.byte_mask));
    emit_alu_rm(e, ALU_ADD, 8, T1, RUN(mmu.view.write));
    emit_alu_ri(e, ALU_AND, 8, T0, -(int32_t)PAGE_SIZE);
    emit_alu_rm(e, ALU_CMP, 8, T0, tag);
    emit_label misses = emit_jump(e, 5);
    emit_store(e, 8, T0, RUN(mmu.view.stack.page));
    emit_load(e, 8, T0, addend);
    emit_store(e, 8, T0, RUN(mmu.view.stack.addend));
    emit_rm(e, 0xc7, 8, 0, RUN(mmu.view.stack.limit));
    emit_number(e, PAGE_SIZE - REACH + 1, 4);
    emit_bind(e, misses);
    emit_bind(e, at_end);
    emit_8(e, 0xc3);
}

/* At the start of a page the REACH bytes that end with the last access are not all in it, but maybe
 * those that begin with the first one are. */
void proof_again(struct unit *u, int32_t low, int32_t high, const uint8_t *hit)
{
    struct emit *e = &u->e;
    emit_label fails = emit_check(u, low);
    emit_jump_to(e, EMIT_ALWAYS, hit);
    emit_bind(e, fails);
    emit_lea(e, 8, T0, (struct host_mem){pinned[REG_RSP], H_NONE, 0, high - 1});
    emit_call_to(e, u->jit->open_window);
    fails = emit_check(u, high - REACH);
    emit_jump_to(e, EMIT_ALWAYS, hit);
    emit_bind(e, fails);
    fails = emit_check(u, low);
    emit_jump_to(e, EMIT_ALWAYS, hit);
    emit_bind(e, fails);
}

void emit_open_window(struct unit *u, const struct mem_access *x, const uint8_t *hit)
{
    emit_label fails = emit_check(u, x->address.disp);
    emit_load(&u->e, 8, T1, RUN(mmu.view.stack.addend));
    emit_jump_to(&u->e, EMIT_ALWAYS, hit);
    emit_bind(&u->e, fails);
    emit_lea(&u->e, 8, T0, (struct host_mem){x->address.base, H_NONE, 0, x->address.disp});
    emit_call_to(&u->e, u->jit->open_window);
}
