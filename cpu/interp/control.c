/* SPDX-License-Identifier: MIT */
/* Handlers that belong to no family: raising, block ends and links, sensitive slots. */
#include "cpu/block.h"
#include "cpu/exec.h"
#include "cpu/segment.h"
#include "cpu/select.h"

int exec_fault(struct vcpu *vcpu, const struct rec *rec)
{
    vcpu->run.rec = rec;
    return EXEC_FAULT;
}

int exec_raise(struct vcpu *vcpu, const struct rec *rec, unsigned vector)
{
    vcpu->run.fault = fault_plain((uint8_t)vector);
    return exec_fault(vcpu, rec);
}

int exec_raise_code(struct vcpu *vcpu, const struct rec *rec, unsigned vector, uint32_t code)
{
    vcpu->run.fault = fault_code((uint8_t)vector, code);
    return exec_fault(vcpu, rec);
}

int exec_ud(struct vcpu *vcpu, const struct rec *rec)
{
    return exec_raise(vcpu, rec, EXC_UD);
}

int exec_nm(struct vcpu *vcpu, const struct rec *rec)
{
    return exec_raise(vcpu, rec, EXC_NM);
}

int exec_gp0(struct vcpu *vcpu, const struct rec *rec)
{
    return exec_raise_code(vcpu, rec, EXC_GP, 0);
}

int exec_break(struct vcpu *vcpu, const struct rec *rec)
{
    vcpu->run.rec = rec;
    vcpu->arch.rip = rec_rip(vcpu, rec);
    return EXEC_BREAK;
}

/* ---- near transfers ---- */

bool rip_is_valid(struct vcpu *vcpu, uint64_t target)
{
    if (mode_code(vcpu->run.mode) == DECODE_64 ? is_canonical(target)
                                               : target <= vcpu->arch.seg_limit[SEG_CS])
        return true;
    return raise_fault_code(vcpu, EXC_GP, 0);
}

static struct block_table *table_of(const struct vcpu *vcpu)
{
    return (struct block_table *)(void *)vcpu->run.blocks;
}

/* Leave for the run loop to find the block at target. */
static NOINLINE int leave_to(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    if (!rip_is_valid(vcpu, target)) {
        int64_t after = vcpu->run.block->count - (rec - vcpu->run.block->rec) - 1;
        vcpu->run.budget -= after > 0 ? after : 0; /* refunded for nothing */
        return exec_fault(vcpu, rec);
    }
    vcpu->arch.rip = target;
    return EXEC_LOOKUP;
}

static bool may_chain(const struct vcpu *vcpu)
{
    return mode_chains(vcpu->run.mode);
}

/* Charge b and enter it; where the budget does not reach, leave to the run loop. */
ALWAYS_INLINE int enter_block(struct vcpu *vcpu, const struct rec *rec, struct block *b, uint64_t target)
{
    int64_t left = vcpu->run.budget - b->count;
    if (unlikely(left < 0))
        return leave_to(vcpu, rec, target);
    vcpu->run.budget = left;
    vcpu->run.block = b;
    vcpu->run.insn_base = target;
    CHAIN_TO(vcpu, b->rec);
}

int exec_goto_block(struct vcpu *vcpu, const struct rec *rec, struct block *b, uint64_t target)
{
    return enter_block(vcpu, rec, b, target);
}

/* Is the second page of b, which crosses, still mapped behind la? */
static bool crossing_is_mapped(const struct vcpu *vcpu, const struct block *b, laddr la)
{
    const struct vtlb_view *view = &vcpu->run.mmu.view;
    laddr next = ((la | ~PAGE_MASK) + 1) & vcpu->run.la_mask;
    const struct vtlb_entry *e = vtlb_entry_at(view->fetch, view->fetch_mask, next);
    return e->tag == next && next + e->addend == b->pa2;
}

/* The table's block at target, if it can be chained to now. */
struct block *block_find_chained(struct vcpu *vcpu, uint64_t target)
{
    const struct vtlb_view *view = &vcpu->run.mmu.view;
    const struct vtlb_entry *e = vtlb_entry_at(view->fetch, view->fetch_mask, target);
    if (e->tag != (target & PAGE_MASK) || !may_chain(vcpu))
        return NULL;
    struct block *b = block_lookup(table_of(vcpu), target + e->addend, vcpu->run.mode);
    return b && unlikely(b->crosses) && !crossing_is_mapped(vcpu, b, target) ? NULL : b;
}

/* Guesses are blocks of one page: nobody looks at the second page again. */
static void guess(struct block_guess *slot, uint64_t target, struct block *b)
{
    if (!b->crosses)
        *slot = (struct block_guess){.rip = target, .block = b};
}

/* Is b, which was here before, the block at target now? One that may be chained to had to be found by block_find_chained. */
ALWAYS_INLINE bool is_still_at(const struct vcpu *vcpu, const struct block *b, uint64_t target)
{
    const struct vtlb_view *view = &vcpu->run.mmu.view;
    const struct vtlb_entry *e = vtlb_entry_at(view->fetch, view->fetch_mask, target);
    return e->tag == (target & PAGE_MASK) && b->pa == target + e->addend && b->mode == vcpu->run.mode;
}

/* The block remembered for target, if it is there now. */
ALWAYS_INLINE struct block *guessed(struct vcpu *vcpu, uint64_t target)
{
    const struct block_guess *slot = block_recent(table_of(vcpu), target);
    return likely(slot->rip == target && is_still_at(vcpu, slot->block, target)) ? slot->block : NULL;
}

/* As block_find_chained, and remembered. */
struct block *block_find_recent(struct vcpu *vcpu, uint64_t target)
{
    struct block *b = guessed(vcpu, target);
    if (likely(b != NULL))
        return b;
    b = block_find_chained(vcpu, target);
    if (b)
        guess(block_recent(table_of(vcpu), target), target, b);
    return b;
}

static NOINLINE int goto_find(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct block *b = block_find_chained(vcpu, target);
    if (!b)
        return leave_to(vcpu, rec, target);
    guess(block_recent(table_of(vcpu), target), target, b);
    return enter_block(vcpu, rec, b, target);
}

int exec_goto(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct block *b = guessed(vcpu, target);
    if (likely(b != NULL))
        return enter_block(vcpu, rec, b, target);
    return goto_find(vcpu, rec, target);
}

/* The record itself, for its link. */
static struct rec *own_rec(struct vcpu *vcpu, const struct rec *rec)
{
    return &vcpu->run.block->rec[rec - vcpu->run.block->rec];
}

static NOINLINE int goto_find_far(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct block *b = block_find_chained(vcpu, target);
    if (!b)
        return leave_to(vcpu, rec, target);
    if (!b->crosses)
        own_rec(vcpu, rec)->link = (uintptr_t)b;
    return enter_block(vcpu, rec, b, target);
}

int exec_goto_far(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct block *b = (struct block *)(uintptr_t)rec->link;
    if (likely(b && is_still_at(vcpu, b, target)))
        return enter_block(vcpu, rec, b, target);
    return goto_find_far(vcpu, rec, target);
}

/* Remember in rec the block at target, which lies in the same page as the running one. */
static void make_link(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct block *from = vcpu->run.block;
    if (block_is_dead(from) || from->crosses)
        return;
    paddr pa = (from->pa & PAGE_MASK) | (target & ~PAGE_MASK);
    struct block *b = block_lookup(table_of(vcpu), pa, from->mode);
    if (!b || b->crosses)
        return;
    own_rec(vcpu, rec)->link = (uintptr_t)b;
    from->link_mask |= BIT(rec - from->rec);
}

int exec_goto_slow(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    bool same_page = ((target ^ vcpu->run.insn_base) & PAGE_MASK) == 0;
    if (same_page && may_chain(vcpu) && !(vcpu->run.block->mode & MODE_EXACT) && rec->link == 0)
        make_link(vcpu, rec, target);
    return exec_goto(vcpu, rec, target);
}

int exec_block_end(struct vcpu *vcpu, const struct rec *rec)
{
    uint64_t target = rip_wrap(vcpu, vcpu->run.insn_base + (uint64_t)rec->imm);
    if (unlikely(!may_chain(vcpu))) {
        vcpu->arch.rip = target;
        return EXEC_LOOKUP;
    }
    return exec_goto_direct(vcpu, rec, target, 0);
}

/* Never linked: the second page has to be looked at each time. The translator keeps something in rec->link. */
int exec_block_end_crossing(struct vcpu *vcpu, const struct rec *rec)
{
    uint64_t target = rip_wrap(vcpu, vcpu->run.insn_base + (uint64_t)rec->imm);
    if (likely(may_chain(vcpu)))
        return exec_goto(vcpu, rec, target);
    vcpu->arch.rip = target;
    return EXEC_LOOKUP;
}

int exec_block_end64(struct vcpu *vcpu, const struct rec *rec)
{
    return exec_goto_direct(vcpu, rec, vcpu->run.insn_base + (uint64_t)rec->imm, 0);
}

int exec_block_end64_far(struct vcpu *vcpu, const struct rec *rec)
{
    return exec_goto_far(vcpu, rec, vcpu->run.insn_base + (uint64_t)rec->imm);
}

/* ---- direct branches that don't fit a record ---- */

static bool far_branch_taken(struct vcpu *vcpu, const struct insn *in)
{
    return in->op != OP_JCC || flag_condition(vcpu, in->opcode & 15);
}

static bool far_branch_push(struct vcpu *vcpu, const struct insn *in, uint64_t next)
{
    return in->op != OP_CALL_NEAR || stack_push(vcpu, 8, next);
}

/* JMP, CALL, Jcc rel32 of 64-bit mode only: LOOPcc and JrCXZ have 8-bit displacements. */
int exec_far_branch(struct vcpu *vcpu, const struct rec *rec)
{
    const struct insn *in = (const struct insn *)(uintptr_t)rec->link;
    uint64_t next = rec_next_rip(vcpu, rec);
    uint64_t target = far_branch_taken(vcpu, in) ? next + in->imm : next;
    vcpu->run.rec = rec;
    if (!rip_is_valid(vcpu, target) || !far_branch_push(vcpu, in, next))
        return exec_fault(vcpu, rec);
    vcpu->arch.rip = target;
    return EXEC_LOOKUP;
}

/* ---- sensitive instructions ---- */

/*
 * The block at arch.rip, charged, after a sensitive instruction that ends its own: if the run loop would do the same, else NULL. Its
 * block has charged for what follows the instruction. Nothing waits, so an interrupt shadow may end early.
 */
static struct block *go_on(struct vcpu *vcpu, const struct rec *rec)
{
    struct run *run = &vcpu->run;
    uint64_t target = vcpu->arch.rip;
    if (run->attention || run->patched || (vcpu->arch.rflags & F_RF))
        return NULL;
    struct block *b = block_find_recent(vcpu, target);
    if (!b)
        return NULL;
    int64_t left = run->budget + run->block->count - (rec - run->block->rec) - 1 - b->count;
    if (left < 0)
        return NULL;
    vcpu->arch.int_shadow = SHADOW_NONE;
    run->budget = left;
    run->block = b;
    run->insn_base = target;
    return b;
}

/* EXEC_NEXT: completed, the block goes on. EXEC_CHAIN: the next block is entered, at run.rec. Else as a handler. */
ALWAYS_INLINE int sensitive(struct vcpu *vcpu, const struct rec *rec)
{
    struct site *site = (struct site *)(uintptr_t)rec->link;
    site->count += COUNT_EXITS;
    vcpu->run.rec = rec;
    vcpu->run.next_rip = rec_next_rip(vcpu, rec);
    vcpu->arch.rip = rec_rip(vcpu, rec);
    switch (site->ops->exec(vcpu, &site->insn)) {
    case SENS_NEXT:
        return EXEC_NEXT;
    case SENS_END:
        vcpu->arch.rip = vcpu->run.next_rip;
        FALLTHROUGH;
    case SENS_JUMP: {
        struct block *b = go_on(vcpu, rec);
        if (!b)
            return EXEC_END;
        vcpu->run.rec = b->rec;
        return EXEC_CHAIN;
    }
    case SENS_LEAVE:
        vcpu->arch.rip = vcpu->run.next_rip;
        return EXEC_LEAVE;
    case SENS_AGAIN:
        vcpu->arch.rflags |= F_RF; /* as a repeated string instruction does: string.c */
        vcpu->run.rep_extra++;
        return EXEC_END;
    default:
        site->faults++;
        return EXEC_FAULT;
    }
}

int exec_sensitive(struct vcpu *vcpu, const struct rec *rec)
{
    int status = sensitive(vcpu, rec);
    if (status == EXEC_NEXT)
        NEXT;
    if (status == EXEC_CHAIN)
        CHAIN_TO(vcpu, vcpu->run.rec);
    return status;
}

int exec_sensitive_step(struct vcpu *vcpu, const struct rec *rec)
{
    return sensitive(vcpu, rec);
}
