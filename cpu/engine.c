/* SPDX-License-Identifier: MIT */
/* The run loop of a vCPU: find a block, charge it, enter it, settle what was really executed (design section 4). */
#include "cpu/block.h"
#include "cpu/breakpoint.h"
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "cpu/select.h"

#if !HAVE_TAIL_CALLS
static int exec_loop(struct vcpu *vcpu, const struct rec *rec)
{
    for (;;) {
        int status = rec->fn(vcpu, rec);
        if (status == EXEC_NEXT)
            rec++;
        else if (status == EXEC_CHAIN)
            rec = vcpu->run.rec;
        else
            return status;
    }
}
#endif

/* ---- leaving a block early ---- */

static void patch(struct vcpu *vcpu, struct rec *rec)
{
    if (vcpu->run.patched)
        vcpu->run.patched->fn = vcpu->run.patched_fn;
    vcpu->run.patched = rec;
    vcpu->run.patched_fn = rec->fn;
    rec->fn = exec_break;
}

static void unpatch(struct vcpu *vcpu)
{
    if (vcpu->run.patched)
        vcpu->run.patched->fn = vcpu->run.patched_fn;
    vcpu->run.patched = NULL;
}

void cpu_request_break(struct vcpu *vcpu)
{
    vcpu->run.attention = true;
    cpu_request_refetch(vcpu);
}

void cpu_request_refetch(struct vcpu *vcpu)
{
    struct run *run = &vcpu->run;
    if (!run->in_block || run->break_pending)
        return;
    run->break_pending = true;
    run->budget += BUDGET_BREAK;
    size_t i = (size_t)(run->rec - run->block->rec);
    assert(i < run->block->count);
    patch(vcpu, &run->block->rec[i + 1]);
}

/* ---- ticks ---- */

uint64_t cpu_ticks_now(const struct vcpu *vcpu)
{
    const struct run *run = &vcpu->run;
    if (!run->in_block)
        return vcpu->arch.ticks;
    int64_t budget = run->budget - (run->break_pending ? BUDGET_BREAK : 0);
    int64_t done = run->budget_start - budget - run->block->count + (run->rec - run->block->rec);
    return vcpu->arch.ticks + (uint64_t)done;
}

/* Give back what the block charged for records that did not run. */
static void refund(struct run *run, enum exec_status status)
{
    int64_t done = run->rec - run->block->rec;
    if (status == EXEC_LOOKUP)
        return;
    if (status == EXEC_END || status == EXEC_LEAVE)
        done++;
    run->budget += run->block->count - done;
}

/* ---- one block (and what chains to it) ---- */

/* Enter b at its first record with at most `limit` > 0 ticks of its own. */
static enum exec_status enter(struct vcpu *vcpu, struct block *b, int64_t limit)
{
    struct run *run = &vcpu->run;
    run->block = b;
    run->insn_base = vcpu->arch.rip;
    run->rec = b->rec;
    if (b->count > limit) /* the budget is below 0 until the rest is refunded */
        patch(vcpu, &b->rec[limit]);
    run->budget -= run->block->count;
    run->in_block = true;
    enum exec_status status = (enum exec_status)EXEC_ENTER(vcpu, b->rec);
    if (run->break_pending)
        run->budget -= BUDGET_BREAK;
    refund(run, status);
    if (status == EXEC_FAULT)
        vcpu->arch.rip = rec_rip(vcpu, run->rec);
    run->in_block = false;
    unpatch(vcpu);
    return status;
}

/* Records of b that lie within the CS limit: a non-flat CS is checked per block, at the edge per instruction. */
static unsigned records_in_limit(const struct vcpu *vcpu, const struct block *b)
{
    uint64_t rip = vcpu->arch.rip, limit = vcpu->arch.seg_limit[SEG_CS];
    unsigned n = 0;
    if (rip + b->bytes - 1 <= limit)
        return b->count;
    while (n < b->count && rip + b->rec[n].off + b->rec[n].len - 1 <= limit)
        n++;
    return n;
}

/*
 * The block for arch.rip that can be entered for `limit` ticks; *limit is lowered at the CS limit. is_exact: one that goes on at
 * breakpoints. NULL: run.fault.
 */
static struct block *find(struct vcpu *vcpu, int64_t *limit, bool is_exact)
{
    struct block *b = block_find(vcpu, vcpu->arch.rip, is_exact);
    if (unlikely(b && !(vcpu->run.mode & MODE_FLAT_CS))) {
        unsigned n = records_in_limit(vcpu, b);
        if (n == 0) {
            vcpu->run.fault = fault_code(EXC_GP, 0);
            return NULL;
        }
        if (n < b->count && n < *limit)
            *limit = n;
    }
    if (likely(!b || b->count <= *limit || is_exact))
        return b;
    return block_find(vcpu, vcpu->arch.rip, true);
}

/* Instruction breakpoints, before the instruction, unless RF is set. True: run.fault is #DB. */
static bool hits_insn_breakpoint(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    if (cpu->rflags & F_RF)
        return false;
    uint64_t match = debug_insn_match(cpu, vcpu->run.seg_base_fast[SEG_CS] + cpu->rip);
    if (match)
        vcpu->run.fault = (struct fault){.vector = EXC_DB, .dr6 = match};
    return match;
}

/*
 * One entry. limit: most ticks it may take. With TF set, a shadow or breakpoints exactly one instruction runs, so that the
 * boundary after it is seen.
 */
static enum exec_status step(struct vcpu *vcpu, int64_t limit, bool is_exact)
{
    struct run *run = &vcpu->run;
    struct block *b = find(vcpu, &limit, is_exact);
    if (unlikely(!b))
        return EXEC_FAULT;
    run->held = run->budget - limit;
    if (run->held == 0 && run->jit && run->look_left < limit)
        run->held = jit_look(vcpu, b);
    run->budget -= run->held;
    run->budget_start -= run->held;
    int64_t before = run->budget;
    enum exec_status status = enter(vcpu, b, limit);
    run->look_left -= before - run->budget;
    run->budget += run->held;
    run->budget_start += run->held;
    run->held = 0;
    return status;
}

/*
 * INT n, INT3, INTO, INT1 clear TF before the handler's first instruction, and SYSCALL where IA32_FMASK says so: no trap follows
 * them (SDM Vol. 3B, "Single-Step Exception Condition"). POPF and IRET that clear TF are still trapped after.
 */
static bool took_tf_away(const struct vcpu *vcpu, enum exec_status status)
{
    const struct rec *rec = vcpu->run.rec;
    if (status != EXEC_END || rec->fn != exec_sensitive || (vcpu->arch.rflags & F_TF))
        return false;
    switch (((const struct site *)(uintptr_t)rec->link)->insn.op) {
    case OP_INT:
    case OP_INT3:
    case OP_INTO:
    case OP_INT1:
    case OP_SYSCALL:
        return true;
    default:
        return false;
    }
}

/*
 * IA32_DEBUGCTL.BTF: single steps on taken branches only. Did the instruction at rip take one? A branch to the instruction
 * behind it is not seen as one.
 */
static bool has_branched(const struct vcpu *vcpu, uint64_t rip)
{
    bool repeats = vcpu->arch.rflags & F_RF; /* a REP with iterations left */
    return !repeats && vcpu->arch.rip != rip_wrap(vcpu, rip + vcpu->run.block->bytes);
}

/* TF, RF, breakpoints and interrupt shadows: instruction by instruction. */
static enum exec_status step_carefully(struct vcpu *vcpu, bool at_breakpoint)
{
    struct cpu *cpu = &vcpu->arch;
    bool traps = cpu->rflags & F_TF;
    if ((vcpu->run.mode & MODE_BREAK) && cpu->int_shadow != SHADOW_MOV_SS && hits_insn_breakpoint(vcpu))
        return EXEC_FAULT;
    cpu->int_shadow = SHADOW_NONE;
    bool had_rf = cpu->rflags & F_RF;
    uint64_t rip = cpu->rip, pending = cpu->pending_db;
    cpu->rflags &= ~(uint64_t)F_RF;
    enum exec_status status = step(vcpu, 1, at_breakpoint);
    if (status == EXEC_FAULT) {
        cpu->rflags |= had_rf ? F_RF : 0;
        cpu->pending_db = pending | (cpu->pending_db & DR6_BT); /* its accesses were none */
        return status;
    }
    if (traps && !took_tf_away(vcpu, status) && (!(cpu->debugctl & DEBUGCTL_BTF) || has_branched(vcpu, rip))) {
        cpu->pending_db |= DR6_BS;
        vcpu->run.attention = true;
    }
    return status == EXEC_LEAVE ? status : EXEC_END;
}

/*
 * Many instructions at once. An interrupt shadow ends with the first of them, and nothing waits for its end; RF too, unless
 * that one faults (SDM Vol. 3B, "Instruction-Breakpoint Exception Condition").
 */
static enum exec_status step_freely(struct vcpu *vcpu, bool at_breakpoint)
{
    struct cpu *cpu = &vcpu->arch;
    int64_t before = vcpu->run.budget;
    uint64_t rf = cpu->rflags & F_RF;
    cpu->int_shadow = SHADOW_NONE;
    cpu->rflags ^= rf;
    enum exec_status status = step(vcpu, at_breakpoint ? 1 : before, at_breakpoint);
    if (unlikely(rf) && status == EXEC_FAULT && vcpu->run.budget == before)
        cpu->rflags |= F_RF;
    return status;
}

static bool needs_care(const struct vcpu *vcpu)
{
    return (vcpu->run.mode & (MODE_TF | MODE_BREAK)) || (vcpu->arch.int_shadow && vcpu->run.attention);
}

static laddr linear_rip(const struct vcpu *vcpu)
{
    return (vcpu->run.seg_base_fast[SEG_CS] + vcpu->arch.rip) & vcpu->run.la_mask;
}

/* May arch.rip be at a breakpoint, so that its block would not go on? */
static bool is_near_breakpoint(const struct vcpu *vcpu)
{
    return vcpu->run.breakpoints && breakpoints_may_have(vcpu->run.breakpoints, linear_rip(vcpu));
}

/* Stop here: not again where the last run stopped, and not between the iterations of a REP. */
static bool stops_here(struct vcpu *vcpu)
{
    struct run *run = &vcpu->run;
    uint64_t now = vcpu->arch.ticks + (uint64_t)(run->budget_start - run->budget);
    if (!breakpoints_have(run->breakpoints, linear_rip(vcpu)) || (vcpu->arch.rflags & F_RF) ||
        run->stopped_at == now + 1)
        return false;
    run->stopped_at = now + 1;
    return true;
}

static enum cpu_exit run_blocks(struct vcpu *vcpu)
{
    struct run *run = &vcpu->run;
    while (run->budget > 0) {
        bool care = unlikely(needs_care(vcpu)), at_breakpoint = unlikely(is_near_breakpoint(vcpu));
        if (at_breakpoint && stops_here(vcpu))
            return CPU_EXIT_STOP;
        enum exec_status status =
            care ? step_carefully(vcpu, at_breakpoint) : step_freely(vcpu, at_breakpoint);
        if (status == EXEC_FAULT)
            return CPU_EXIT_FAULT;
        if (status == EXEC_LEAVE)
            return CPU_EXIT_LEAVE;
        if ((run->break_pending || status == EXEC_END) && (run->attention || care))
            return CPU_EXIT_BREAK;
        run->break_pending = false;
    }
    return CPU_EXIT_BUDGET;
}

enum cpu_exit cpu_run(struct vcpu *vcpu)
{
    struct run *run = &vcpu->run;
    assert(run->budget > 0);
    flags_set_status(vcpu, vcpu->arch.rflags);
    run->budget_start = run->budget;
    run->rep_extra = 0;
    block_cache_set_running(run->blocks, vcpu);
    enum cpu_exit why = run_blocks(vcpu);
    block_cache_set_running(run->blocks, NULL);
    run->break_pending = false;
    run->insn_base = 0;
    uint64_t done = (uint64_t)(run->budget_start - run->budget);
    vcpu->arch.ticks += done;
    vcpu->arch.retired += done - run->rep_extra;
    vcpu->arch.rflags = flags_get(vcpu);
    pmu_settle(vcpu);
    return why;
}
