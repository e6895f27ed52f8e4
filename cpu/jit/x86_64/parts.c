/* SPDX-License-Identifier: MIT */
/*
 * A path through one block or several, as a list of instructions. The parts of a region are blocks
 * of one mode. Each takes the ticks of all of its block when it begins, as a block alone
 * does, so that C finds the same budget.
 */
#include "cpu/jit/x86_64/jit_priv.h"

static void decode_part(struct unit *u, const struct jit_part *part)
{
    const struct block *b = part->block;
    unsigned charged = u->count + b->count;
    for (unsigned i = 0; i <= part->last; i++) {
        const struct rec *rec = &b->rec[i];
        struct insn *in = &u->insn[u->count];
        if (decoder_decode(u->from->decoder, mode_code(b->mode), part->bytes + rec->off,
                           b->bytes - rec->off, in) != DECODE_OK)
            *in = (struct insn){.op = OP_INVALID, .len = rec->len}; /* its handler raises */
        u->path[u->count++] =
            (struct path_insn){.rec = rec,
                               .part = part,
                               .page = part->page,
                               .offset = (uint16_t)((b->pa & ~PAGE_MASK) + rec->off),
                               .charged = (uint16_t)charged,
                               .way = i < part->last ? (uint8_t)PART_FALLS : part->end};
    }
}

/* What follows instruction i of the path, from the start of its page. */
static int64_t target_of(const struct unit *u, unsigned i)
{
    const struct path_insn *p = &u->path[i];
    if (p->way == PART_TAKEN || p->way == PART_JUMPS)
        return (int64_t)(p->part->block->pa & ~PAGE_MASK) + p->rec->imm;
    return p->offset + p->rec->len;
}

int64_t path_target(const struct unit *u)
{
    return target_of(u, u->count - 1);
}

/* May the path go on like that behind instruction i, the last one of a part? */
static bool is_way(const struct unit *u, unsigned i)
{
    const struct path_insn *p = &u->path[i];
    const struct insn *in = &u->insn[i];
    if (!record_is_plain(p->rec))
        return false;
    switch ((enum part_end)p->way) {
    case PART_FALLS:
        return in->op == OP_JCC || !insn_row(in->row)->ends_block;
    case PART_TAKEN:
        return in->op == OP_JCC;
    case PART_JUMPS:
        return in->op == OP_JMP_NEAR || in->op == OP_CALL_NEAR;
    case PART_RETURNS:
        return in->op == OP_RET_NEAR;
    default:
        return false;
    }
}

static bool fits(const struct unit *u, const struct jit_part *part)
{
    const struct block *b = part->block, *first = u->from->part[0].block;
    return u->count + part->last < REGION_RECORDS && part->last < b->count && !b->crosses &&
           b->mode == first->mode;
}

/* The last part ends as its block does, unless it is left in the middle. */
static void set_end(struct unit *u)
{
    struct path_insn *p = &u->path[u->count - 1];
    if (p->way == PART_RETURNS || p->way == PART_JUMPS ||
        (p->way == PART_FALLS && p->part->last + 1u == p->part->block->count))
        p->way = PART_ENDS;
}

/* Does instruction i, the last one of a part, lead to instruction `to`? */
static bool leads_to(const struct unit *u, unsigned i, unsigned to)
{
    const struct path_insn *p = &u->path[i], *next = &u->path[to];
    return target_of(u, i) == (int64_t)next->page - p->page + next->offset;
}

static bool join(struct unit *u, const struct jit_part *part)
{
    unsigned last = u->count - 1;
    if (!fits(u, part))
        return false;
    decode_part(u, part);
    return is_way(u, last) && (u->path[last].way == PART_RETURNS || leads_to(u, last, last + 1));
}

/* Can the path, which comes back to its head, be there twice? */
static bool can_repeat(const struct unit *u)
{
    unsigned last = u->count - 1;
    return 2 * u->count <= REGION_RECORDS && u->insn[last].op != OP_CALL_NEAR &&
           u->path[last].way != PART_RETURNS && is_way(u, last) && leads_to(u, last, 0) &&
           !u->path[0].part->block->crosses;
}

static void repeat(struct unit *u)
{
    u->second = u->count;
    for (unsigned i = 0; i < u->second; i++) {
        u->insn[u->count] = u->insn[i];
        u->path[u->count] = u->path[i];
        u->path[u->count++].charged = (uint16_t)(u->path[i].charged + u->second);
    }
}

/* The one instruction by which a block leads back to its own start; 0: there is none, or several.
 */
static unsigned find_edge(const struct unit *u)
{
    unsigned edge = 0;
    for (unsigned i = 1; i < u->count; i++) {
        bool leads = u->insn[i].op == OP_JCC || u->insn[i].op == OP_JMP_NEAR;
        if (!leads || !record_is_plain(u->path[i].rec) || u->path[i].rec->imm)
            continue;
        if (edge)
            return 0;
        edge = i;
    }
    return edge;
}

/* A block of the first tier that comes back to itself may be a loop of two rounds. */
static bool make_loop(struct unit *u)
{
    const struct jit_source *from = u->from;
    unsigned edge, count = u->count;
    if (from->part_count > 1 || from->loops || !u->carry || u->is_32 || u->jit->config.regions)
        return false;
    edge = find_edge(u);
    if (!edge || !loop_is_worth_while(u, edge))
        return false;
    uint8_t way = u->path[edge].way;
    u->path[edge].way = u->insn[edge].op == OP_JCC ? PART_TAKEN : PART_JUMPS;
    u->count = edge + 1;
    u->is_loop = can_repeat(u);
    if (u->is_loop) {
        repeat(u);
    } else {
        u->path[edge].way = way;
        u->count = count;
    }
    return u->is_loop;
}

bool path_make(struct unit *u)
{
    const struct jit_source *from = u->from;
    decode_part(u, &from->part[0]);
    if (make_loop(u))
        return true;
    for (unsigned i = 1; i < from->part_count; i++)
        if (!join(u, &from->part[i]))
            return false;
    if (from->loops && u->carry && can_repeat(u)) {
        repeat(u);
        return true;
    }
    set_end(u);
    return u->path[u->count - 1].way == PART_ENDS || is_way(u, u->count - 1);
}

/*
 * The page of the next part is to be the one that it was made from: as a link to another page, the
 * vCPU's tag says so. Another one, or a tag that is not known yet, leaves by a link.
 */
static void check_page(struct unit *u, const struct path_insn *next, int64_t target)
{
    struct jit *jit = u->jit;
    if (jit->tags == MMU_LINKS) {
        u->is_broken = true;
        return;
    }
    uint32_t tag_at =
        (uint32_t)(offsetof(struct vcpu, jumps.link) + jit->tags++ * sizeof(uint64_t));
    compare_tag(u, tag_at);
    struct jit_exit *x = late_exit(u, emit_jump(&u->e, 5), target, refund_before(u, u->i + 1));
    x->tag_at = tag_at;
    x->frame = next->part->home->pa & PAGE_MASK;
    x->frames = 1;
}

/*
 * What the part before has taken and not used is the next one's. Where the budget does not reach,
 * the run loop goes on with the next part's block.
 */
void emit_seam(struct unit *u)
{
    bool is_last = u->i + 1 == u->count;
    unsigned to = is_last ? 0 : u->i + 1;
    const struct path_insn *p = &u->path[u->i], *next = &u->path[to];
    int64_t target = path_offset(u, to);
    unsigned charged = is_last ? u->count + next->charged : next->charged;
    if (next->page != p->page)
        fp_settle(u);
    flags_clobber(u);
    if (next->page != p->page)
        check_page(u, next, target);
    struct jit_exit *x = exit_make(u, target, 0);
    x->give_back = next->part->block->count;
    emit_alu_mi(&u->e, ALU_SUB, 8, RUN(budget), (int32_t)charged - p->charged);
    late_over(u, emit_jump(&u->e, 8), x);
    if (next->page != p->page)
        emit_alu_mi(&u->e, ALU_ADD, u->word, RUN(jit_page), next->page - p->page);
}
