/* SPDX-License-Identifier: MIT */
/* One block to code: its instructions in order, then what is rarely run. */
#include "cpu/build.h"
#include "cpu/jit/x86_64/jit_priv.h"

/* ---- handlers ---- */

struct jit_site *site_of(struct unit *u)
{
    struct jit_site *s = &u->out->sites[u->out->site_count];
    const struct rec *rec = &u->block->rec[u->i];
    if (u->out->site_count > 0 && s[-1].rec == rec)
        return s - 1;
    u->out->site_count++;
    *s = (struct jit_site){.rec = rec,
                           .fn = rec->fn,
                           .block = u->block,
                           .offset = u->offset,
                           .op = u->in->op,
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

/* Does it read or write status flags, so that its handler must find them? */
static bool handler_needs_flags(const struct insn *in)
{
    const struct insn_desc *row = insn_row(in->row);
    return (row->sensitivity != SENS_NONE && !is_flag_blind(in)) ||
           ((row->tested | row->written | row->undefined) & F_OSZAPC);
}

static void call_site(struct unit *u, struct jit_site *site, bool flags)
{
    emit_mov_ri(&u->e, T0, (uintptr_t)site);
    emit_call_to(&u->e, flags ? u->jit->call_flags : u->jit->call_plain);
}

static void call_handler(struct unit *u)
{
    bool flags = handler_needs_flags(u->in);
    flags_to_memory(u);
    fp_settle(u);
    struct jit_site *site = site_of(u);
    site->is_lowered = false;
    call_site(u, site, flags);
    u->flags = (struct flag_state){.memory = true, .plain = flags || u->flags.plain};
    stack_forget(u);
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

/* ---- late code ---- */

/* A unit for the block's code, or the block is dropped. */
static void emit_bring(struct unit *u, const struct late *l)
{
    emit_mov_ri(&u->e, T0, l->bring);
    emit_call_to(&u->e, l->bring == FP_WANT_MXCSR ? u->jit->bring_mxcsr : u->jit->bring_x87);
    emit_jump_to(&u->e, 4, l->back);
    flags_to_memory(u);
    fp_settle(u);
    emit_mov_ri(&u->e, T0, (uintptr_t)l->site);
    emit_mov_ri(&u->e, T1, 0);
    emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->drop);
}

static void emit_try(struct unit *u, const struct late *l)
{
    switch (l->try) {
    case TRY_NOTHING:
        break;
    case TRY_UNALIGNED:
        probe_again(u, &l->access, l->hit);
        break;
    case TRY_WINDOW:
        emit_open_window(u, &l->access);
        probe_late(u, &l->access, l->hit);
        break;
    case TRY_PROOF:
        proof_again(u, l->low, l->hit);
        break;
    }
}

/* Behind a handler: does what was proved of the stack still hold? */
static void emit_late_next(struct unit *u, const struct late *l)
{
    emit_label holds = NULL;
    if (l->before == l->proof) {
        emit_alu_mi(&u->e, ALU_CMP, 8, RUN(mmu.view.stack.limit), 0);
        holds = emit_jump(&u->e, 5);
    }
    exit_code(u, l->next);
    if (holds)
        emit_bind(&u->e, holds);
}

static void emit_late(struct unit *u, struct late *l)
{
    bool goes_back = !l->next || l->before == l->proof;
    emit_bind(&u->e, l->from);
    u->flags = l->flags;
    u->fp = l->fp;
    if (l->bring) {
        emit_bring(u, l);
        return;
    }
    if (l->plain) {
        emit_call_to(&u->e, u->jit->plain_flags);
        emit_jump_to(&u->e, EMIT_ALWAYS, l->back);
        return;
    }
    emit_try(u, l);
    flags_to_memory(u);
    fp_settle(u);
    if (l->exit) {
        exit_code(u, l->exit);
        return;
    }
    if (l->tails) {
        emit_mov_ri(&u->e, T0, (uintptr_t)l->site);
        emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->tail);
        return;
    }
    call_site(u, l->site, l->touches_flags);
    u->flags = (struct flag_state){.memory = true, .plain = l->touches_flags || u->flags.plain};
    if (l->next)
        emit_late_next(u, l);
    if (!goes_back)
        return;
    if ((l->after.plain || l->after.host) && !u->flags.plain)
        emit_call_to(&u->e, u->jit->plain_flags);
    u->flags.plain = true;
    fp_bring_again(u, &l->fp_after, (uintptr_t)l->site);
    sse_reload(u, l->xmm);
    if (l->after.host)
        flags_to_host(u);
    emit_jump_to(&u->e, EMIT_ALWAYS, l->back);
}

/* A jump that was just emitted leads to late code. */
static struct late *late_add(struct unit *u, emit_label from)
{
    if (u->late_count == LATE_MAX) {
        u->e.full = true;
        return &u->late[LATE_MAX - 1];
    }
    struct late *l = &u->late[u->late_count++];
    *l = (struct late){.from = from, .flags = u->flags, .fp = u->fp};
    return l;
}

/* The exit to the record i, whose ticks and all behind it are not used. */
static struct jit_exit *inner_exit(struct unit *u, unsigned i)
{
    struct jit_exit *x =
        exit_make(u, (int64_t)u->offset + u->block->rec[i].off, (int64_t)u->block->count - i);
    x->is_inner = true;
    return x;
}

void late_back(struct unit *u)
{
    unsigned more = u->late_count - u->late_first;
    if (u->out->exit_count + more > u->out->exit_room || u->i + 1 == u->block->count)
        stack_forget(u);
    for (unsigned i = u->late_first; i < u->late_count; i++) {
        struct late *l = &u->late[i];
        if (!l->site || l->back)
            continue;
        l->back = emit_here(&u->e);
        l->after = u->flags;
        l->fp_after = u->fp;
        l->xmm = u->xmm;
        l->proof = u->stack.proof;
        if (l->proof && !l->tails)
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

void late_probe(struct unit *u, emit_label from, const struct mem_access *x)
{
    late_handler(u, from);
    u->late[u->late_count - 1].try = TRY_UNALIGNED;
    u->late[u->late_count - 1].hit = emit_here(&u->e);
    u->late[u->late_count - 1].access = *x;
}

void late_window(struct unit *u, emit_label from, const struct mem_access *x)
{
    late_handler(u, from);
    struct late *l = &u->late[u->late_count - 1];
    l->try = TRY_WINDOW;
    l->access = *x;
}

void late_proof(struct unit *u, emit_label from, int32_t low)
{
    struct late *l = late_add(u, from);
    l->try = TRY_PROOF;
    l->low = low;
    l->hit = emit_here(&u->e);
    l->exit = inner_exit(u, u->i);
}

void late_bring(struct unit *u, emit_label from, uint32_t want)
{
    struct late *l = late_add(u, from);
    l->site = site_of(u);
    l->bring = want;
    l->back = emit_here(&u->e);
}

void late_exit(struct unit *u, emit_label from, int64_t target, int64_t refund)
{
    late_add(u, from)->exit = exit_make(u, target, refund);
}

void late_plain(struct unit *u, emit_label from)
{
    struct late *l = late_add(u, from);
    l->plain = true;
    l->back = emit_here(&u->e);
}

/* ---- the block ---- */

static void decode_one(struct unit *u, unsigned i, const uint8_t *bytes, size_t len)
{
    const struct block *b = u->block;
    struct insn *in = &u->insn[i];
    if (decoder_decode(u->vcpu->run.decoder, mode_code(b->mode), bytes, len, in) != DECODE_OK)
        *in = (struct insn){.op = OP_INVALID, .len = b->rec[i].len}; /* its handler raises */
}

/* The one instruction over two pages. */
static bool decode_crossing(struct unit *u, const uint8_t *page)
{
    const struct block *b = u->block;
    const uint8_t *page2 = physmem_page(u->vcpu->run.pm, b->pa2);
    uint8_t bytes[INSN_MAX_LEN];
    size_t head = PAGE_SIZE - u->offset;
    if (!page2 || head >= b->bytes || b->bytes > sizeof(bytes))
        return false;
    memcpy(bytes, page + u->offset, head);
    memcpy(bytes + head, page2, b->bytes - head);
    decode_one(u, 0, bytes, b->bytes);
    return true;
}

static bool decode_again(struct unit *u)
{
    const struct block *b = u->block;
    const uint8_t *page = physmem_page(u->vcpu->run.pm, b->pa);
    unsigned off = u->offset;
    if (!page)
        return false;
    if (b->crosses)
        return decode_crossing(u, page);
    for (unsigned i = 0; i < b->count; i++) {
        decode_one(u, i, page + off, PAGE_SIZE - off);
        off += u->insn[i].len;
    }
    return true;
}

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
    case OP_PUSH:
    case OP_POP:
        return in->operands[0].kind != OPND_GPR_HIGH && in->operands[1].kind != OPND_GPR_HIGH;
    default:
        return false;
    }
}

/* True: the block's code has ended. */
static bool translate_insn(struct unit *u)
{
    const struct rec *rec = &u->block->rec[u->i];
    bool is_plain = record_is_plain(rec);
    bool ends = (is_plain || rec->fn == exec_far_branch) && insn_row(u->in->row)->ends_block;
    u->flags_needed = u->needed >> u->i & 1;
    u->late_first = u->late_count;
    u->is_quiet = is_quiet(u->in);
    u->jit->stats.insns++;
    if (is_plain ? lower(u) : lower_sensitive(u)) {
        u->jit->stats.lowered++;
        stack_after_insn(u);
        late_back(u);
        return ends && u->in->op != OP_JCC;
    }
    u->out->tails = ends;
    if (ends)
        emit_tail(u);
    else
        call_handler(u);
    return ends;
}

static void translate_block(struct unit *u)
{
    struct block *b = u->block;
    bool ended = false;
    u->flags = (struct flag_state){.memory = true};
    find_needed_flags(u);
    fp_start(u);
    emit_entry(u);
    if (unlikely(u->jit->sabotage > 0) && --u->jit->sabotage == 0)
        emit_alu_ri(&u->e, ALU_ADD, 8, H_RBX, 1);
    for (u->i = 0; u->i < b->count && !ended; u->i++) {
        u->in = &u->insn[u->i];
        ended = translate_insn(u);
    }
    u->i = b->count;
    if (!ended)
        emit_exit(u, (int64_t)u->offset + b->bytes, 0);
    for (unsigned i = 0; i < u->late_count; i++)
        emit_late(u, &u->late[i]);
    emit_entry_over(u);
}

/* Exits from inside the block that stack.c may want. */
static unsigned inner_exits(const struct unit *u)
{
    unsigned stack = 0, others = 0;
    for (unsigned i = 0; i < u->block->count; i++) {
        const struct insn *in = &u->insn[i];
        if (in->op == OP_PUSH || in->op == OP_POP || (in->has_mem && in->base == REG_RSP))
            stack++;
        else
            others += in->has_mem ? 2 : 0;
    }
    return stack > 1 ? stack + others : 0;
}

/* In table memory: as many sites and exits as there can be; tables_keep gives back what is left. */
static struct jit_block *jit_block_make(struct jit *jit, struct block *b, unsigned inner)
{
    size_t fns = (b->count + 1u) * sizeof(exec_fn *);
    uint8_t *p = chunks_take(&jit->tables, sizeof(struct jit_block) + fns +
                                               (b->count + 1u) * sizeof(struct jit_site));
    struct jit_block *t = (struct jit_block *)(void *)p;
    *t = (struct jit_block){.block = b, .exit_room = inner};
    t->self = (struct jit_exit){
        .block = b, .target = (int64_t)(b->pa & ~PAGE_MASK), .give_back = b->count};
    t->fns = (exec_fn **)(void *)(p + sizeof(*t));
    t->sites = (struct jit_site *)(void *)(p + sizeof(*t) + fns);
    t->exits = (struct jit_exit *)(void *)chunks_take(&jit->exits, (b->count + 1u + inner) *
                                                                       sizeof(struct jit_exit));
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

bool jit_translate(struct vcpu *vcpu, struct block *b)
{
    struct jit *jit = vcpu->run.jit;
    struct code_memory *m = &jit->memory;
    struct unit *u = &jit->unit;
    const uint32_t stack_32 = MODE_FLAT_SS | MODE_STACK32;
    memset(u, 0, offsetof(struct unit, late));
    u->jit = jit;
    u->vcpu = vcpu;
    u->block = b;
    u->offset = (unsigned)(b->pa & ~PAGE_MASK);
    u->is_32 = mode_code(b->mode) == DECODE_32;
    u->is_compat = u->is_32 && (b->mode & MODE_LMA);
    u->has_stack = !u->is_32 || (b->mode & stack_32) == stack_32;
    u->word = u->is_32 ? 4 : 8;
    u->e = (struct emit){
        .p = m->write + m->used, .end = m->write + m->size, .delta = m->run - m->write};
    if (!decode_again(u))
        return false;
    u->out = jit_block_make(jit, b, inner_exits(u));
    translate_block(u);
    if (u->e.full) {
        tables_abandon(jit, u->out);
        return false;
    }
    tables_keep(jit, u->out);
    u->out->size = (size_t)(emit_here(&u->e) - u->out->entry);
    m->used = (size_t)(u->e.p - m->write + 15) & ~(size_t)15;
    b->jit = u->out;
    jit->stats.translated++;
    if (jit->config.translated)
        jit->config.translated(jit->config.opaque, u->out->entry, u->out->size, vcpu->run.insn_base,
                               b->pa);
    return true;
}
