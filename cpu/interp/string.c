/* SPDX-License-Identifier: MIT */
/*
 * MOVS CMPS STOS LODS SCAS, with and without REP.  SDM Vol. 2, "REP/REPE/REPZ/REPNE/REPNZ".
 *
 * An iteration is the unit of everything: it takes a tick, it may fault (registers then stand as
 * after the iterations before it, RIP at the instruction), and between two of them the machine may
 * look at events. The block's entry has paid the first one; each further one is paid from
 * run.budget before it begins. F2 before MOVS, STOS and LODS repeats like F3, as on every part.
 */
#include "cpu/interp/string.h"

ALWAYS_INLINE bool uses_source(enum string_op op)
{
    return op == STRING_MOVS || op == STRING_CMPS || op == STRING_LODS;
}

void string_advance(struct vcpu *vcpu, const struct rec *rec, uint64_t n)
{
    uint64_t bytes = n * rec->dst;
    uint64_t delta = vcpu->arch.rflags & F_DF ? 0 - bytes : bytes;
    if (uses_source(rec->src))
        string_reg_set(vcpu, rec, REG_RSI, vcpu->arch.gpr[REG_RSI] + delta);
    if (rec->src != STRING_LODS)
        string_reg_set(vcpu, rec, REG_RDI, vcpu->arch.gpr[REG_RDI] + delta);
    if (rec->imm != REPEAT_NONE)
        string_reg_set(vcpu, rec, REG_RCX, vcpu->arch.gpr[REG_RCX] - n);
}

void string_compare(struct vcpu *vcpu, const struct rec *rec, uint64_t a, uint64_t b)
{
    switch (rec->dst) {
    case 1:
        flags_commit(vcpu, alu_sub(8, a, b));
        break;
    case 2:
        flags_commit(vcpu, alu_sub(16, a, b));
        break;
    case 4:
        flags_commit(vcpu, alu_sub(32, a, b));
        break;
    default:
        flags_commit(vcpu, alu_sub(64, a, b));
        break;
    }
}

/* ---- one element, any mode; false: run.fault and nothing has changed ---- */

static struct loaded load_element(struct vcpu *vcpu, const struct rec *rec, unsigned seg,
                                  unsigned gpr)
{
    laddr la = 0;
    if (!seg_linear(vcpu, seg, string_reg(vcpu, rec, gpr), rec->dst, ACCESS_READ, &la))
        return (struct loaded){0, false};
    return mem_load(vcpu, rec, la, rec->dst);
}

static bool store_element(struct vcpu *vcpu, const struct rec *rec, uint64_t v)
{
    laddr la = 0;
    return seg_linear(vcpu, SEG_ES, string_reg(vcpu, rec, REG_RDI), rec->dst, ACCESS_WRITE, &la) &&
           mem_store(vcpu, rec, la, rec->dst, v);
}

static NOINLINE bool step(struct vcpu *vcpu, const struct rec *rec)
{
    struct loaded m = {vcpu->arch.gpr[REG_RAX], true}, d;
    enum string_op op = rec->src;
    vcpu->run.rec = rec;
    if (uses_source(op))
        m = load_element(vcpu, rec, rec->seg, REG_RSI);
    if (!m.ok)
        return false;
    if (string_compares(op)) {
        d = load_element(vcpu, rec, SEG_ES, REG_RDI);
        if (!d.ok)
            return false;
        string_compare(vcpu, rec, m.value, d.value);
    } else if (op == STRING_LODS) {
        gpr_write(vcpu, rec->dst * 8u, REG_RAX, m.value);
    } else if (!store_element(vcpu, rec, m.value)) {
        return false;
    }
    string_advance(vcpu, rec, 1);
    return true;
}

EXEC(string_any)
{
    if (unlikely(!step(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* ---- one element in 64-bit mode with 64-bit addresses: a miss goes to string_any ---- */

ALWAYS_INLINE int one(struct vcpu *vcpu, const struct rec *rec, enum string_op op, unsigned width)
{
    uint64_t *gpr = vcpu->arch.gpr;
    uint64_t delta = vcpu->arch.rflags & F_DF ? 0 - (uint64_t)(width / 8) : width / 8;
    struct loaded m = {gpr[REG_RAX], true}, d = {0, true};
    if (uses_source(op))
        m = load_at(vcpu, rec, SHAPE_M64, vcpu->run.seg_base_fast[rec->seg] + gpr[REG_RSI], width);
    if (string_compares(op))
        d = load_at(vcpu, rec, SHAPE_M64, gpr[REG_RDI], width);
    if (unlikely(!m.ok || !d.ok))
        return exec_string_any(vcpu, rec);
    if (op == STRING_MOVS || op == STRING_STOS) {
        if (unlikely(!store_at(vcpu, rec, SHAPE_M64, gpr[REG_RDI], width, m.value)))
            return exec_string_any(vcpu, rec);
    }
    if (string_compares(op))
        flags_commit(vcpu, alu_sub(width, m.value, d.value));
    if (op == STRING_LODS)
        gpr_write(vcpu, width, REG_RAX, m.value);
    if (uses_source(op))
        gpr[REG_RSI] += delta;
    if (op != STRING_LODS)
        gpr[REG_RDI] += delta;
    NEXT;
}

/* clang-format off */
#define ONE(W, name, OP) EXEC(name##W) { return one(vcpu, rec, OP, W); }

WIDTHS(ONE, movs, STRING_MOVS)
WIDTHS(ONE, cmps, STRING_CMPS)
WIDTHS(ONE, stos, STRING_STOS)
WIDTHS(ONE, lods, STRING_LODS)
WIDTHS(ONE, scas, STRING_SCAS)

#define ROW(name) {exec_##name##8, exec_##name##16, exec_##name##32, exec_##name##64}
static exec_fn *const handlers[STRING_COUNT][4] = {ROW(movs), ROW(cmps), ROW(stos), ROW(lods), ROW(scas)};
/* clang-format on */

/* ---- REP ---- */

enum rep_end { REP_COMPLETE, REP_STOPPED, REP_FAULT };

static bool is_over(const struct vcpu *vcpu, const struct rec *rec)
{
    if (string_compares(rec->src) && !repeat_goes_on((enum repeat)rec->imm, flag_zf(vcpu)))
        return true;
    return string_reg(vcpu, rec, REG_RCX) == 0;
}

/* How many iterations may be begun now, beside those done by this entry: the first one is paid. */
static uint64_t affordable(const struct vcpu *vcpu, uint64_t done)
{
    if (done == 0)
        return vcpu->run.mode & MODE_TF || vcpu->run.budget < 0 ? 1
                                                                : (uint64_t)vcpu->run.budget + 1;
    return vcpu->run.mode & MODE_TF || vcpu->run.budget < 0 ? 0 : (uint64_t)vcpu->run.budget;
}

/*
 * Iterations until the repetition ends, one faults, or something wants the machine: the budget is
 * used up, a break was requested (which makes the budget negative), or TF traps after each. Ticks
 * and rep_extra are kept as the design has them: an entry that does not complete the instruction
 * retires nothing. RF is then 1, "for any interrupt arriving after any iteration of a repeated
 * string instruction but the last" (SDM Vol. 3B, "Instruction-Breakpoint Exception Condition").
 */
static NOINLINE enum rep_end repeat(struct vcpu *vcpu, const struct rec *rec)
{
    uint64_t done = 0, left;
    while ((left = string_reg(vcpu, rec, REG_RCX)) != 0) {
        uint64_t limit = affordable(vcpu, done);
        if (limit == 0) {
            vcpu->arch.rflags |= F_RF;
            vcpu->run.rep_extra += done;
            return REP_STOPPED;
        }
        uint64_t n = string_bulk(vcpu, rec, left < limit ? left : limit);
        if (n > 0) {
            vcpu->run.budget -= (int64_t)(n - (done == 0));
            done += n;
        } else {
            vcpu->run.budget -= done != 0;
            if (!step(vcpu, rec)) {
                vcpu->arch.rflags |= done ? F_RF : 0; /* as when it had stopped here before it went on */
                vcpu->run.rep_extra += done;
                return REP_FAULT;
            }
            done++;
        }
        if (is_over(vcpu, rec))
            break;
    }
    vcpu->run.rep_extra += done > 1 ? done - 1 : 0;
    return REP_COMPLETE;
}

EXEC(string_rep)
{
    enum rep_end end = repeat(vcpu, rec);
    if (likely(end == REP_COMPLETE))
        NEXT;
    if (end == REP_FAULT)
        return exec_fault(vcpu, rec);
    vcpu->run.rec = rec;
    vcpu->arch.rip = rec_rip(vcpu, rec);
    return EXEC_LOOKUP;
}

static int op_of(unsigned op)
{
    switch (op) {
    case OP_MOVS:
        return STRING_MOVS;
    case OP_CMPS:
        return STRING_CMPS;
    case OP_STOS:
        return STRING_STOS;
    case OP_LODS:
        return STRING_LODS;
    case OP_SCAS:
        return STRING_SCAS;
    default:
        return -1;
    }
}

exec_fn *select_string(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    int op = op_of(in->op);
    if (op < 0)
        return NULL;
    rec->src = (uint8_t)op;
    rec->dst = in->operands[0].size;
    rec->base = in->addrsize;
    rec->seg = in->seg <= SEG_GS ? in->seg : SEG_DS;
    rec->imm = in->prefixes & PFX_REPNE ? REPEAT_NOT_EQUAL
               : in->prefixes & PFX_REP ? REPEAT_EQUAL
                                        : REPEAT_NONE;
    if (rec->imm != REPEAT_NONE) {
        s->ends_block = true;
        return exec_string_rep;
    }
    if (mode_code(s->mode) == DECODE_64 && in->addrsize == 8)
        return handlers[op][width_index(rec->dst)];
    return exec_string_any;
}
