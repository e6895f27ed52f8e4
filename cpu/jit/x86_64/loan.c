/* SPDX-License-Identifier: MIT */
/*
 * Guest registers that have no host register between blocks borrow one within a block
 * (docs/decisions/0011): that of a guest register which the block's instructions use less, or not
 * at all, and which is in memory there. At the block's start the lender's value goes to arch.gpr,
 * where C would look for it too, and the borrower's comes from there; in front of whatever leaves
 * the block, or enters C, all is as it was. These are moves, which leave the flags alone, and most
 * are in late code.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* A use in a hot place saves an instruction or two, a loan costs four. In 16ths. */
enum { WEIGHT = 16, COST = 5 * WEIGHT };

struct uses {
    unsigned fixed;    /* guest registers that have to stay where they are, a bit each */
    unsigned written;  /* those that may be written */
    unsigned gain[16]; /* what a host register saves */
};

static bool ends(const struct insn *in)
{
    return insn_row(in->row)->ends_block && in->op != OP_JCC;
}

/* Bytes and words written to memory would be waited for by who reads more. */
static void count_operand(struct uses *s, const struct operand *o, unsigned weight)
{
    if (o->kind == OPND_GPR_HIGH)
        s->fixed |= 1u << o->reg;
    if (o->kind != OPND_GPR)
        return;
    if (o->access & ACC_W) {
        s->written |= 1u << o->reg;
        if (o->size < 4)
            weight *= 4;
    }
    s->gain[o->reg] += o->access == ACC_RW ? 2 * weight : weight;
}

/* An index in memory is loaded and shifted, for the probe and again for the access; a base is added
 * twice. */
static void count_address(struct uses *s, const struct insn *in, unsigned weight)
{
    if (!in->has_mem)
        return;
    if (in->base < 16)
        s->gain[in->base] += weight + weight / 2;
    if (in->index < 16)
        s->gain[in->index] += in->scale ? 3 * weight : weight + weight / 2;
}

/* Registers that its lowering takes for the host's of the same name. */
static unsigned fixed_by(const struct insn *in)
{
    switch (in->op) {
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_ROL:
    case OP_ROR:
    case OP_SHLD:
    case OP_SHRD:
        return in->operands[in->operand_count - 1].kind == OPND_GPR ? 1u << REG_RCX : 0;
    case OP_XCHG:
        return ALL_REGISTERS;
    default:
        return hidden_registers(in);
    }
}

/* False: something is in the block that may use any register. */
static bool count_uses(const struct unit *u, struct uses *s)
{
    unsigned weight = WEIGHT;
    *s = (struct uses){.fixed = 1u << REG_RAX | 1u << REG_RSP};
    for (unsigned i = 0; i < u->count; i++) {
        const struct insn *in = &u->insn[i];
        unsigned fixed = fixed_by(in);
        if (u->path[i].way == PART_ENDS && ends(in))
            break;
        if (!record_is_plain(u->path[i].rec) || fixed == ALL_REGISTERS)
            return false;
        s->fixed |= fixed;
        for (unsigned k = 0; k < in->operand_count; k++)
            count_operand(s, &in->operands[k], weight);
        count_address(s, in, weight);
        if (in->op == OP_JCC) /* it may leave here */
            weight -= weight / 4;
    }
    return true;
}

/* The most used one in memory; the least used one that is not, the first behind `last` of several.
 * 16: there is none. */
static unsigned find_guest(const struct uses *s)
{
    unsigned g = 16;
    for (unsigned i = 0; i < 16; i++)
        if (pinned[i] == H_NONE && !(s->fixed >> i & 1) && (g == 16 || s->gain[i] > s->gain[g]))
            g = i;
    return g;
}

static unsigned find_lender(const struct uses *s, unsigned last)
{
    unsigned g = 16;
    for (unsigned k = 1; k <= 16; k++) {
        unsigned i = (last + k) % 16;
        if (pinned[i] != H_NONE && !(s->fixed >> i & 1) && (g == 16 || s->gain[i] < s->gain[g]))
            g = i;
    }
    return g;
}

/* For tests: any register. */
static unsigned some_register(const struct unit *u)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < u->block->bytes; i++)
        sum += u->part->bytes[i];
    return sum % 16;
}

static void choose(struct unit *u)
{
    struct uses s;
    bool always = u->jit->config.lends_always;
    if (u->is_32 || !count_uses(u, &s))
        return;
    unsigned last = always ? some_register(u) : 15;
    while (u->loans < ARRAY_SIZE(u->loan)) {
        unsigned guest = find_guest(&s), lender = find_lender(&s, last);
        if (guest == 16 || lender == 16 || (!always && s.gain[guest] < s.gain[lender] + COST))
            break;
        s.fixed |= 1u << guest | 1u << lender;
        u->loan[u->loans++] = (struct loan){
            .guest = (uint8_t)guest, .lender = (uint8_t)lender, .written = s.written >> guest & 1};
    }
}

void loans_in(struct unit *u)
{
    for (unsigned i = 0; i < u->loans; i++) {
        const struct loan *l = &u->loan[i];
        emit_store(&u->e, 8, pinned[l->lender], mem_gpr(l->lender));
        emit_load(&u->e, 8, pinned[l->lender], mem_gpr(l->guest));
    }
}

void loans_out(struct unit *u)
{
    for (unsigned i = 0; i < u->loans; i++) {
        const struct loan *l = &u->loan[i];
        if (l->written)
            emit_store(&u->e, 8, pinned[l->lender], mem_gpr(l->guest));
        emit_load(&u->e, 8, pinned[l->lender], mem_gpr(l->lender));
    }
}

/* Where the part of a recipe is when no register is lent any more. */
static void part_goes_back(const struct unit *u, uint8_t *part)
{
    for (unsigned i = 0; i < u->loans; i++) {
        const struct loan *l = &u->loan[i];
        if (*part == pinned[l->lender]) {
            *part = IN_GPR + l->guest;
            return;
        }
        if (*part == IN_GPR + l->lender) {
            *part = pinned[l->lender];
            return;
        }
    }
}

void flags_follow_loans(struct unit *u)
{
    if (u->flags.recipe.op == HOW_IMAGE)
        return;
    part_goes_back(u, &u->flags.recipe.a);
    part_goes_back(u, &u->flags.recipe.b);
}

void loans_taken(struct unit *u)
{
    for (unsigned i = 0; i < u->loans; i++) {
        u->regs[u->loan[i].guest] = pinned[u->loan[i].lender];
        u->regs[u->loan[i].lender] = H_NONE;
    }
    u->lent = u->loans > 0;
}

void loans_begin(struct unit *u)
{
    choose(u);
    loans_in(u);
    loans_taken(u);
}

void loans_given(struct unit *u)
{
    memcpy(u->regs, pinned, sizeof(u->regs));
    u->lent = false;
}

void loans_end(struct unit *u)
{
    if (!u->lent)
        return;
    if (u->flags.recipe.op == HOW_IMAGE)
        flags_to_memory(u);
    loans_out(u);
    flags_follow_loans(u);
    for (unsigned i = 0; i < u->loans; i++) { /* of another place of the base another sum is kept */
        proof_forget_base(u, u->loan[i].guest);
        proof_forget_base(u, u->loan[i].lender);
    }
    loans_given(u);
}

/* They go on in the block's next round. */
static bool is_edge(const struct unit *u)
{
    return u->in->op == OP_JMP_NEAR && record_is_plain(u->rec) &&
           loop_has_edge(u, (int64_t)u->offset + u->rec->imm);
}

void loans_before_insn(struct unit *u)
{
    if (u->path[u->i].way == PART_ENDS && ends(u->in) && !is_edge(u))
        loans_end(u);
}
