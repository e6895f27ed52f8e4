/* SPDX-License-Identifier: MIT */
/* Far CALL, JMP and RET: code segments, call gates, task gates and TSSs (SDM Vol. 3A, "Protection";
 * Vol. 2, "CALL", "JMP", "RET"). */
#include "base/endian.h"
#include "monitor/emulate/task_switch.h"
#include "monitor/emulate/transfer.h"

/* A far CALL or JMP on its way. */
struct far_transfer {
    bool is_call;    /* push the return address */
    unsigned opsize; /* of what is pushed: 2, 4, 8 */
    uint16_t sel;    /* destination selector */
    uint64_t off;    /* destination offset, truncated to the operand size */
};

/* The far pointer, from the instruction or from memory. */
static bool read_target(struct vcpu *vcpu, const struct insn *in, struct far_transfer *t)
{
    unsigned size = in->opsize;
    t->opsize = size;
    if (in->operands[0].kind == OPND_FAR) {
        t->off = in->imm & low_mask(size * 8);
        t->sel = (uint16_t)in->imm2;
        return true;
    }
    return insn_read_far(vcpu, in, &t->off, &t->sel);
}

static enum sens_result finish(struct vcpu *vcpu)
{
    cpu_update_transfer(vcpu);
    return SENS_JUMP;
}

/* CS:RIP of the next instruction on stack s. */
static bool push_return(struct vcpu *vcpu, struct stack *s, unsigned size)
{
    const uint64_t frame[2] = {vcpu->arch.seg_sel[SEG_CS], vcpu->run.next_rip};
    return stack_push_frame(vcpu, s, frame, 2, size);
}

/* ---- real and virtual-8086 mode ---- */

static enum sens_result transfer_plain(struct vcpu *vcpu, const struct far_transfer *t)
{
    struct stack s = stack_current(vcpu);
    if (t->off > vcpu->arch.seg_limit[SEG_CS]) {
        if (t->is_call && !stack_has_room(vcpu, &s, 2, t->opsize))
            return SENS_FAULT;
        return fail_gp0(vcpu);
    }
    if (t->is_call) {
        if (!push_return(vcpu, &s, t->opsize))
            return SENS_FAULT;
        stack_commit(vcpu, &s);
    }
    segment_load_plain(vcpu, SEG_CS, t->sel);
    vcpu->arch.rip = t->off;
    return finish(vcpu);
}

/* ---- code segments ---- */

static enum sens_result transfer_code(struct vcpu *vcpu, const struct far_transfer *t,
                                      struct descriptor *cs)
{
    unsigned cpl = vcpu->arch.cpl, rpl = t->sel & 3u, dpl = attr_dpl(cs->attr);
    bool ok = attr_is_conforming(cs->attr) ? dpl <= cpl : rpl <= cpl && dpl == cpl;
    if (!ok)
        return fail_code(vcpu, EXC_GP, selector_error(t->sel, 0));
    if (!(cs->attr & ATTR_P))
        return fail_code(vcpu, EXC_NP, selector_error(t->sel, 0));
    if (!transfer_check_long(vcpu, cs, 0))
        return SENS_FAULT;
    struct stack s = stack_current(vcpu);
    bool is_inside = t->is_call ? transfer_check_target(vcpu, cs, t->off, 0, &s, 2, t->opsize)
                                : transfer_check_rip(vcpu, cs, t->off, 0);
    if (!is_inside || !descriptor_set_accessed(vcpu, cs))
        return SENS_FAULT;
    if (t->is_call) {
        if (!push_return(vcpu, &s, t->opsize))
            return SENS_FAULT;
        stack_commit(vcpu, &s);
    }
    transfer_enter(vcpu, cs, cpl, t->off);
    return finish(vcpu);
}

/* ---- call gates ---- */

/* The code segment a call gate names. */
static bool read_gate_code(struct vcpu *vcpu, const struct far_transfer *t, uint16_t sel,
                           struct descriptor *cs)
{
    unsigned cpl = vcpu->arch.cpl;
    if (selector_is_null(sel))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!descriptor_fetch(vcpu, sel, EXC_GP, 0, cs))
        return false;
    unsigned dpl = attr_dpl(cs->attr);
    bool dpl_ok = t->is_call || attr_is_conforming(cs->attr) ? dpl <= cpl : dpl == cpl;
    bool not_64 = is_long_mode(vcpu) && (cs->attr & (ATTR_L | ATTR_DB)) != ATTR_L;
    if (!attr_is_code(cs->attr) || !dpl_ok || not_64)
        return raise_fault_code(vcpu, EXC_GP, selector_error(sel, 0));
    if (!(cs->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(sel, 0));
    return descriptor_set_accessed(vcpu, cs);
}

/* MORE-PRIVILEGE with a 64-bit gate: SS becomes null, nothing is copied. */
static bool call_inner_long(struct vcpu *vcpu, const struct descriptor *cs, unsigned cpl,
                            uint64_t rip)
{
    const struct cpu *cpu = &vcpu->arch;
    const uint64_t frame[4] = {cpu->seg_sel[SEG_SS], cpu->gpr[REG_RSP], cpu->seg_sel[SEG_CS],
                               vcpu->run.next_rip};
    uint64_t rsp;
    if (!transfer_inner_rsp(vcpu, cpl, 0, 0, &rsp))
        return false;
    struct stack s = stack_for_64(vcpu, rsp, cpl, 0);
    if (!transfer_check_target(vcpu, cs, rip, 0, &s, 4, 8) ||
        !stack_push_frame(vcpu, &s, frame, 4, 8))
        return false;
    stack_commit(vcpu, &s);
    segment_commit_null(vcpu, SEG_SS, (uint16_t)cpl, cpl);
    return true;
}

/* MORE-PRIVILEGE with a 16 or 32-bit gate: SS, SP, the parameters, CS, IP on the inner stack. */
static bool call_inner(struct vcpu *vcpu, const struct descriptor *gate,
                       const struct descriptor *cs, uint64_t rip, unsigned size)
{
    const struct cpu *cpu = &vcpu->arch;
    unsigned count = gate->raw >> 32 & 31, cpl = attr_dpl(cs->attr);
    uint64_t params[31], frame[STACK_FRAME_MAX];
    struct stack outer = stack_current(vcpu), s;
    struct descriptor ss;
    unsigned n = 0;
    if (!transfer_inner_stack(vcpu, cpl, 0, &ss, &s))
        return false;
    if (!transfer_check_target(vcpu, cs, rip, 0, &s, count + 4, size) ||
        (count && !stack_read_frame(vcpu, &outer, 0, params, count, size)))
        return false;
    frame[n++] = cpu->seg_sel[SEG_SS];
    frame[n++] = cpu->gpr[REG_RSP];
    while (count-- > 0)
        frame[n++] = params[count];
    frame[n++] = cpu->seg_sel[SEG_CS];
    frame[n++] = vcpu->run.next_rip;
    if (!stack_push_frame(vcpu, &s, frame, n, size))
        return false;
    segment_commit(vcpu, SEG_SS, ss.sel, &ss);
    stack_commit(vcpu, &s);
    return true;
}

static enum sens_result transfer_call_gate(struct vcpu *vcpu, const struct far_transfer *t,
                                           struct descriptor *gate)
{
    bool is_16 = attr_system_type(gate->attr) == TYPE_CALL16, is_long = is_long_mode(vcpu);
    uint64_t rip = is_16 ? gate_offset(gate) & 0xffff : gate_offset(gate);
    unsigned size = is_long ? 8 : is_16 ? 2 : 4;
    struct descriptor cs;
    if (!read_gate_code(vcpu, t, gate_selector(gate), &cs))
        return SENS_FAULT;
    unsigned dpl = attr_dpl(cs.attr), cpl = vcpu->arch.cpl;
    struct stack s = stack_current(vcpu);
    if (t->is_call && !attr_is_conforming(cs.attr) && dpl < cpl) {
        if (!(is_long ? call_inner_long(vcpu, &cs, dpl, rip)
                      : call_inner(vcpu, gate, &cs, rip, size)))
            return SENS_FAULT;
        cpl = dpl;
    } else if (t->is_call) {
        if (!transfer_check_target(vcpu, &cs, rip, 0, &s, 2, size) || !push_return(vcpu, &s, size))
            return SENS_FAULT;
        stack_commit(vcpu, &s);
    } else if (!transfer_check_rip(vcpu, &cs, rip, 0)) {
        return SENS_FAULT;
    }
    transfer_enter(vcpu, &cs, cpl, rip);
    return finish(vcpu);
}

/* ---- tasks ---- */

static enum sens_result transfer_task(struct vcpu *vcpu, const struct far_transfer *t, uint16_t tss)
{
    const struct task_request request = {
        .kind = t->is_call ? TASK_CALL : TASK_JMP,
        .sel = tss,
        .rip = vcpu->run.next_rip,
        .rflags = flags_get(vcpu),
    };
    return task_switch(vcpu, &request) ? SENS_JUMP : SENS_FAULT;
}

/* A gate or TSS as the destination: DPL against CPL and RPL, then by type. */
static enum sens_result transfer_system(struct vcpu *vcpu, const struct far_transfer *t,
                                        struct descriptor *d)
{
    unsigned type = attr_system_type(d->attr), dpl = attr_dpl(d->attr);
    bool is_long = is_long_mode(vcpu);
    bool is_gate =
        type == TYPE_CALL32 || (!is_long && (type == TYPE_CALL16 || type == TYPE_TASK_GATE));
    bool is_tss = !is_long && (type == TYPE_TSS32 || type == TYPE_TSS16);
    if (!(is_gate || is_tss) || dpl < vcpu->arch.cpl || dpl < (t->sel & 3u))
        return fail_code(vcpu, EXC_GP, selector_error(t->sel, 0));
    if (!(d->attr & ATTR_P))
        return fail_code(vcpu, EXC_NP, selector_error(t->sel, 0));
    if (is_tss)
        return transfer_task(vcpu, t, t->sel);
    if (type == TYPE_TASK_GATE)
        return transfer_task(vcpu, t, gate_selector(d));
    if (!descriptor_extend(vcpu, d, EXC_GP, 0))
        return SENS_FAULT;
    return transfer_call_gate(vcpu, t, d);
}

static enum sens_result transfer(struct vcpu *vcpu, const struct far_transfer *t)
{
    struct descriptor d;
    if (has_plain_segments(vcpu))
        return transfer_plain(vcpu, t);
    if (selector_is_null(t->sel))
        return fail_gp0(vcpu);
    if (!descriptor_fetch(vcpu, t->sel, EXC_GP, 0, &d))
        return SENS_FAULT;
    if (attr_is_code(d.attr))
        return transfer_code(vcpu, t, &d);
    if (d.attr & ATTR_S)
        return fail_code(vcpu, EXC_GP, selector_error(t->sel, 0));
    return transfer_system(vcpu, t, &d);
}

/* Far CALL, direct and through memory.  SDM Vol. 2A, "CALL". */
enum sens_result emulate_call_far(struct vcpu *vcpu, const struct insn *in)
{
    struct far_transfer t = {.is_call = true};
    return read_target(vcpu, in, &t) ? transfer(vcpu, &t) : SENS_FAULT;
}

/* Far JMP, direct and through memory.  SDM Vol. 2A, "JMP". */
enum sens_result emulate_jmp_far(struct vcpu *vcpu, const struct insn *in)
{
    struct far_transfer t = {.is_call = false};
    return read_target(vcpu, in, &t) ? transfer(vcpu, &t) : SENS_FAULT;
}

/* ---- RET ---- */

static enum sens_result ret_plain(struct vcpu *vcpu, struct stack *s, unsigned size,
                                  unsigned release, const uint64_t *v)
{
    if (v[0] > vcpu->arch.seg_limit[SEG_CS])
        return fail_gp0(vcpu);
    s->sp += 2 * size + release;
    stack_commit(vcpu, s);
    segment_load_plain(vcpu, SEG_CS, (uint16_t)v[1]);
    vcpu->arch.rip = v[0];
    return finish(vcpu);
}

/* RETURN-TO-OUTER-PRIVILEGE-LEVEL: SS:rSP from above the parameters; the parameters are released on
 * that stack too. */
static enum sens_result ret_outer(struct vcpu *vcpu, const struct stack *s, unsigned size,
                                  unsigned release, const struct descriptor *cs, uint64_t rip)
{
    unsigned rpl = cs->sel & 3u;
    struct descriptor ss;
    uint64_t v[2];
    bool is_null;
    if (!stack_read_frame(vcpu, s, 2 * size + release, v, 2, size) ||
        !transfer_check_return_stack(vcpu, (uint16_t)v[1], rpl, transfer_is_code64(vcpu, cs), &ss,
                                     &is_null) ||
        !transfer_check_rip(vcpu, cs, rip, 0))
        return SENS_FAULT;
    if (is_null)
        segment_commit_null(vcpu, SEG_SS, (uint16_t)v[1], rpl);
    else
        segment_commit(vcpu, SEG_SS, (uint16_t)v[1], &ss);
    transfer_load_sp(vcpu, cs, &ss, is_null, v[0] + release);
    transfer_enter(vcpu, cs, rpl, rip);
    segments_drop_privileged(vcpu, rpl);
    return finish(vcpu);
}

/* Far RET.  SDM Vol. 2B, "RET". */
enum sens_result emulate_ret_far(struct vcpu *vcpu, const struct insn *in)
{
    unsigned size = in->opsize, release = in->operand_count ? (unsigned)(in->imm & 0xffff) : 0;
    struct stack s = stack_current(vcpu);
    struct descriptor cs;
    uint64_t v[2];
    if (!stack_read_frame(vcpu, &s, 0, v, 2, size))
        return SENS_FAULT;
    if (has_plain_segments(vcpu))
        return ret_plain(vcpu, &s, size, release, v);
    if (!transfer_check_return(vcpu, (uint16_t)v[1], &cs))
        return SENS_FAULT;
    if ((v[1] & 3) > vcpu->arch.cpl)
        return ret_outer(vcpu, &s, size, release, &cs, v[0]);
    if (!transfer_check_rip(vcpu, &cs, v[0], 0))
        return SENS_FAULT;
    s.sp += 2 * size + release;
    stack_commit(vcpu, &s);
    transfer_enter(vcpu, &cs, vcpu->arch.cpl, v[0]);
    return finish(vcpu);
}
