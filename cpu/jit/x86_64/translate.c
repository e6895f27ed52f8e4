/* SPDX-License-Identifier: MIT */
/* One block to code: its instructions in order, then what is rarely run. */
#include "cpu/build.h"
#include "cpu/jit/x86_64/jit_priv.h"

/* ---- handlers ---- */

struct jit_site *site_of(struct unit *u)
{
    struct jit_site *s = &u->out->sites[u->out->site_count];
    const struct rec *rec = u->rec, *home = rec_home(u, rec);
    if (u->out->site_count > 0 && s[-1].rec == home)
        return s - 1;
    u->out->site_count++;
    *s = (struct jit_site){.rec = home,
                           .fn = rec->fn,
                           .block = u->part->home,
                           .offset = u->offset,
                           .op = u->in->op,
                           .needs_flags = handler_needs_flags(u->in),
                           .is_lowered = true};
    if (rec->fn == exec_sensitive)
        s->fn = exec_sensitive_step;
    return s;
}

/* Sensitive, and its handler neither looks at status flags nor saves them somewhere, when it goes
 * on in the block: they are the handler's to see when it leaves. */
static bool is_flag_blind(const struct insn *in)
{
    switch (in->op) {
    case OP_CLI:
    case OP_STI:
    case OP_CLAC:
    case OP_STAC:
    case OP_SWAPGS:
    case OP_PAUSE:
    case OP_RDTSC:
    case OP_RDTSCP:
    case OP_INVLPG:
    case OP_MOV_SREG:
    case OP_PUSH_SREG:
    case OP_POP_SREG:
        return true;
    default:
        return false;
    }
}

bool handler_needs_flags(const struct insn *in)
{
    const struct insn_desc *row = insn_row(in->row);
    return (row->sensitivity != SENS_NONE && !is_flag_blind(in)) ||
           ((row->tested | row->written | row->undefined) & F_OSZAPC);
}

void call_site(struct unit *u, struct jit_site *site, bool flags)
{
    const struct jit *jit = u->jit;
    emit_mov_ri(&u->e, T0, (uintptr_t)site);
    if (site->fn == exec_sensitive_step)
        emit_call_to(&u->e, jit->call_step);
    else
        emit_call_to(&u->e, flags ? jit->call_flags : jit->call_plain);
}

static void call_handler(struct unit *u)
{
    bool flags = handler_needs_flags(u->in);
    flags_to_memory(u);
    fp_settle(u);
    struct jit_site *site = site_of(u);
    site->is_lowered = false;
    if (u->lent)
        loans_out(u);
    call_site(u, site, flags);
    if (u->lent)
        loans_in(u);
    u->flags = (struct flag_state){.memory = true, .plain = flags || u->flags.plain};
    stack_forget(u);
    proof_forget(u);
    u->xmm = 0;
    fp_after_handler(u);
}

void emit_tail(struct unit *u)
{
    flags_to_memory(u);
    fp_settle(u);
    emit_mov_ri(&u->e, T0, (uintptr_t)site_of(u));
    emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->tail);
}

/* ---- the block ---- */

static bool lower(struct unit *u)
{
    switch (u->in->op) {
    case OP_JCC:
    case OP_JMP_NEAR:
    case OP_JMP_NEAR_IND:
    case OP_CALL_NEAR:
    case OP_CALL_NEAR_IND:
    case OP_RET_NEAR:
        return lower_branch(u);
    default:
        return lower_move(u) || lower_alu(u) || lower_stack(u) || lower_shift(u) || lower_sse(u) ||
               lower_bit(u) || lower_avx(u) || lower_x87(u) || lower_bmi(u) || lower_element(u);
    }
}

bool record_is_plain(const struct rec *rec)
{
    return rec->fn != exec_sensitive && rec->fn != exec_ud && rec->fn != exec_nm &&
           rec->fn != exec_gp0 && rec->fn != exec_far_branch && rec->fn != exec_break;
}

/* Does its lowering destroy no flags but in probes? */
static bool is_quiet(const struct insn *in)
{
    switch (in->op) {
    case OP_MOV:
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
    case OP_LEA:
    case OP_PUSH:
    case OP_POP:
        return in->operands[0].kind != OPND_GPR_HIGH && in->operands[1].kind != OPND_GPR_HIGH;
    default:
        return false;
    }
}

/* True: the path's code has ended. */
static bool translate_insn(struct unit *u)
{
    const struct rec *rec = u->rec;
    bool is_plain = record_is_plain(rec);
    bool ends = (is_plain || rec->fn == exec_far_branch) && insn_row(u->in->row)->ends_block;
    bool goes_on = u->path[u->i].way != PART_ENDS;
    u->flags_needed = u->path[u->i].flags_needed;
    u->flags_shown = u->path[u->i].flags_shown;
    u->late_first = u->late_count;
    u->is_quiet = is_quiet(u->in);
    bool again = u->is_loop && u->i >= u->second;
    u->out->insns += !again;
    loans_before_insn(u);
    flags_before_insn(u);
    if (is_plain ? lower(u) : lower_sensitive(u)) {
        u->out->lowered += !again;
        stack_after_insn(u);
        proof_after_insn(u);
        late_back(u);
        return ends && !goes_on && u->in->op != OP_JCC;
    }
    u->is_broken |= ends && goes_on;
    u->out->tails = ends;
    if (ends)
        emit_tail(u);
    else
        call_handler(u);
    return ends;
}

static void set_part(struct unit *u, const struct jit_part *part)
{
    u->part = part;
    u->block = part->block;
    u->offset = (unsigned)(u->block->pa & ~PAGE_MASK);
}

static void set_insn(struct unit *u, unsigned i)
{
    const struct path_insn *p = &u->path[i];
    u->i = i;
    u->in = &u->insn[i];
    u->rec = p->rec;
    if (p->part != u->part)
        set_part(u, p->part);
}

/*
 * Late code: its proof of the stack window has failed, and if the block were left for itself it
 * would fail for ever. What others of the late code may ask the unit for is as it was.
 */
void translate_first_again(struct unit *u, struct jit_exit *next)
{
    struct stack_proof stack = u->stack;
    struct base_proofs proofs = u->proofs;
    const struct rec *rec = u->rec;
    unsigned i = u->i;
    uint16_t xmm = u->xmm;
    set_insn(u, 0);
    u->is_again = true;
    u->late_first = u->late_count;
    u->is_quiet = true;
    u->xmm = 0;
    stack_forget(u);
    proof_forget(u);
    if (u->lent)
        loans_taken(u);
    u->is_broken |= !lower(u);
    late_back(u);
    fp_settle(u);
    if (u->lent)
        loans_out(u);
    loans_given(u);
    exit_code(u, next);
    u->is_again = false;
    set_insn(u, i);
    u->rec = rec;
    u->xmm = xmm;
    u->stack = stack;
    u->proofs = proofs;
}

/* True: its last instruction has ended the code. */
static bool translate_insns(struct unit *u)
{
    for (unsigned i = 0; i < u->count; i++) {
        set_insn(u, i);
        if (translate_insn(u))
            return true;
        if (i + 1 < u->count && is_behind_seam(u, i + 1) && !u->is_loop)
            emit_seam(u);
        if (i + 1 == u->second)
            loop_begin(u);
    }
    if (u->second)
        loop_end(u);
    return u->second > 0;
}

static void translate_path(struct unit *u)
{
    memcpy(u->regs, pinned, sizeof(u->regs));
    u->flags = (struct flag_state){.memory = true};
    find_needed_flags(u);
    fp_start(u);
    emit_entry(u);
    u->out->is_flag_blind = !u->block->crosses && !u->shows_entry;
    if (unlikely(u->jit->sabotage > 0) && --u->jit->sabotage == 0)
        emit_alu_ri(&u->e, ALU_ADD, 8, H_RBX, 1);
    loans_begin(u);
    u->start = emit_here(&u->e);
    bool ended = translate_insns(u);
    if (u->rec + 1 == &u->block->rec[u->block->count])
        u->rec++;
    loans_end(u);
    if (!ended)
        emit_exit(u, path_target(u), refund_before(u, u->count));
    emit_all_late(u);
}

/* Exits from inside the block that stack.c and proof.c may want. */
static unsigned inner_exits(const struct unit *u)
{
    unsigned stack = 0, others = 0;
    for (unsigned i = 0; i < u->count; i++) {
        const struct insn *in = &u->insn[i];
        if (in->op == OP_PUSH || in->op == OP_POP || (in->has_mem && in->base == REG_RSP && in->index == REG_NONE))
            stack++;
        else
            others += in->has_mem ? 2 : 0;
    }
    return stack > 1 || others > 2 ? stack + others : 0;
}

/* Exits that a path of several parts takes anyway, which are not to be at the expense of those. */
static unsigned own_exits(const struct unit *u)
{
    unsigned count = 0;
    for (unsigned i = 0; i < u->count; i++)
        count += (u->insn[i].op == OP_JCC ? 1u : 0) + (is_behind_seam(u, i) ? 2u : 0);
    return u->from->part_count > 1 || u->second ? count + 2 : 0;
}

/* In table memory: as many sites and exits as there can be; tables_keep gives back what is left. */
static struct jit_block *jit_block_make(const struct unit *u, unsigned inner)
{
    struct jit *jit = u->jit;
    struct block *home = u->part->home;
    size_t fns = ((u->block->count + 1u) * sizeof(int32_t) + 7) & ~(size_t)7;
    uint8_t *p = chunks_take(&jit->tables, sizeof(struct jit_block) + fns +
                                               (u->count + 1u) * sizeof(struct jit_site));
    struct jit_block *t = (struct jit_block *)(void *)p;
    unsigned own = inner ? own_exits(u) : 0;
    *t = (struct jit_block){.block = home, .exit_room = inner + own};
    t->self = (struct jit_start){
        .block = home, .offset = u->offset, .target = u->offset, .give_back = u->block->count};
    t->fns = (int32_t *)(void *)(p + sizeof(*t));
    t->sites = (struct jit_site *)(void *)(p + sizeof(*t) + fns);
    t->exits = (struct jit_exit *)(void *)chunks_take(
        &jit->exits, (u->count + 4 * u->from->part_count + inner + own) * sizeof(struct jit_exit));
    return t;
}

/* It is translated: room that it has not used is the next one's. */
static void tables_keep(struct jit *jit, const struct jit_block *t)
{
    chunks_give_back(&jit->tables, &t->sites[t->site_count]);
    chunks_give_back(&jit->exits, &t->exits[t->exit_count]);
}

static void tables_abandon(struct jit *jit, const struct jit_block *t)
{
    chunks_give_back(&jit->tables, t);
    chunks_give_back(&jit->exits, t->exits);
}

static void unit_start(struct jit *jit, const struct jit_source *from, unsigned carry)
{
    const struct code_memory *m = &jit->memory;
    struct unit *u = &jit->unit;
    const uint32_t stack_32 = MODE_FLAT_SS | MODE_STACK32, mode = from->part[0].block->mode;
    memset(u, 0, offsetof(struct unit, late));
    u->jit = jit;
    u->from = from;
    u->carry = carry;
    u->is_32 = mode_code(mode) == DECODE_32;
    u->is_compat = u->is_32 && (mode & MODE_LMA);
    u->has_stack = !u->is_32 || (mode & stack_32) == stack_32;
    u->word = u->is_32 ? 4 : 8;
    u->e = (struct emit){
        .p = m->write + m->used, .end = m->write + m->limit, .delta = m->run - m->write};
    u->other = (struct emit){
        .p = m->write + m->late, .end = m->write + m->late_end, .delta = m->run - m->write};
}

/* Translated from a list of its instructions, but not to be kept if it does not go like that. */
static bool try_path(struct jit *jit, const struct jit_source *from, unsigned carry)
{
    struct unit *u = &jit->unit;
    unsigned tags = jit->tags;
    unit_start(jit, from, carry);
    if (!path_make(u))
        return false;
    set_insn(u, 0);
    u->out = jit_block_make(u, inner_exits(u));
    translate_path(u);
    if (!u->e.full && !u->other.full && !u->is_broken && !u->lost)
        return true;
    tables_abandon(jit, u->out);
    jit->tags = tags;
    return false;
}

struct jit_block *jit_translate(struct jit *jit, const struct jit_source *from)
{
    struct code_memory *m = &jit->memory;
    struct unit *u = &jit->unit;
    unsigned carry = CARRY_ALL;
    while (!try_path(jit, from, carry)) {
        bool is_loop = u->is_loop && u->is_broken;
        if (u->e.full || u->other.full || (!is_loop && (u->is_broken || !(carry & u->lost))))
            return NULL;
        carry = is_loop ? 0 : carry & ~u->lost;
    }
    jit->stats.loops += u->second > 0 && !u->is_loop;
    tables_keep(jit, u->out);
    u->out->size = (size_t)(emit_here(&u->e) - u->out->entry);
    m->used = (size_t)(u->e.p - m->write);
    size_t late = (size_t)(u->other.p - m->write);
    m->late_used += late - m->late;
    m->late = late;
    return u->out;
}
