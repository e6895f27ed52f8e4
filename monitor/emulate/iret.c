/* SPDX-License-Identifier: MIT */
/* IRET, in every mode (SDM Vol. 2A, "IRET/IRETD/IRETQ"). */
#include "monitor/emulate/task_switch.h"
#include "monitor/emulate/transfer.h"

#define ANY_CPL_FLAGS (F_OSZAPC | F_TF | F_DF | F_NT | F_RF | F_AC | F_ID)

enum {
    FRAME_IP,
    FRAME_CS,
    FRAME_FLAGS,
    FRAME_SP,
    FRAME_SS,
    FRAME_ES,
    FRAME_DS,
    FRAME_FS,
    FRAME_GS
};

static uint64_t operand_mask(const struct insn *in)
{
    return low_mask(in->opsize * 8u);
}

/* Flags, mode and NMI blocking at the end of every successful IRET. */
static enum sens_result finish(struct vcpu *vcpu, uint64_t flags)
{
    flags_set(vcpu, flags);
    cpu_update_transfer(vcpu);
    if (likely(!transfer_virtual_interrupt(vcpu)))
        return SENS_JUMP;
    transfer_fault_there(vcpu);
    return SENS_FAULT;
}

/* ---- real and virtual-8086 mode ---- */

static enum sens_result iret_plain(struct vcpu *vcpu, const struct insn *in, uint64_t mask,
                                   bool is_vme)
{
    uint64_t old = flags_get(vcpu), v[3];
    struct stack s = stack_current(vcpu);
    if (!stack_read_frame(vcpu, &s, 0, v, 3, in->opsize))
        return SENS_FAULT;
    if (v[FRAME_IP] > vcpu->arch.seg_limit[SEG_CS])
        return fail_gp0(vcpu);
    uint64_t new = (old & ~mask) | (v[FRAME_FLAGS] & mask);
    if (is_vme) {
        if ((v[FRAME_FLAGS] & F_TF) || ((v[FRAME_FLAGS] & F_IF) && (old & F_VIP)))
            return fail_gp0(vcpu);
        new = (new & ~(uint64_t)F_VIF) | (v[FRAME_FLAGS] & F_IF ? F_VIF : 0);
    }
    s.sp += 3u * in->opsize;
    stack_commit(vcpu, &s);
    segment_load_plain(vcpu, SEG_CS, (uint16_t)v[FRAME_CS]);
    vcpu->arch.rip = v[FRAME_IP];
    return finish(vcpu, new);
}

static enum sens_result iret_real(struct vcpu *vcpu, const struct insn *in)
{
    return iret_plain(vcpu, in, (ANY_CPL_FLAGS | F_IF | F_IOPL) & operand_mask(in), false);
}

static enum sens_result iret_vm86(struct vcpu *vcpu, const struct insn *in)
{
    if (iopl(vcpu) == 3)
        return iret_plain(vcpu, in, (ANY_CPL_FLAGS | F_IF) & operand_mask(in), false);
    if (in->opsize == 2 && (vcpu->arch.cr4 & CR4_VME))
        return iret_plain(vcpu, in, ANY_CPL_FLAGS & 0xffff, true);
    return fail_gp0(vcpu);
}

/* ---- protected mode ---- */

/* RETURN-TO-VIRTUAL-8086-MODE: EFLAGS are taken whole. */
static enum sens_result return_to_vm86(struct vcpu *vcpu, const struct stack *s)
{
    static const uint8_t segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    uint64_t v[9];
    if (!stack_read_frame(vcpu, s, 0, v, 9, 4))
        return SENS_FAULT;
    if (v[FRAME_IP] > 0xffff)
        return fail_gp0(vcpu);
    flags_set(vcpu, v[FRAME_FLAGS] & F_ALL); /* VM first: it is what the loads look at */
    segment_load_plain(vcpu, SEG_CS, (uint16_t)v[FRAME_CS]);
    segment_load_plain(vcpu, SEG_SS, (uint16_t)v[FRAME_SS]);
    for (unsigned i = 0; i < ARRAY_SIZE(segs); i++)
        segment_load_plain(vcpu, segs[i], (uint16_t)v[FRAME_ES + i]);
    vcpu->arch.gpr[REG_RSP] = (uint32_t)v[FRAME_SP];
    vcpu->arch.rip = v[FRAME_IP];
    vcpu->arch.cpl = 3;
    return finish(vcpu, v[FRAME_FLAGS] & F_ALL);
}

/* Flags an IRET at this CPL may write. */
static uint64_t protected_mask(const struct vcpu *vcpu, const struct insn *in)
{
    uint64_t mask = ANY_CPL_FLAGS;
    unsigned cpl = vcpu->arch.cpl;
    mask |= cpl <= iopl(vcpu) ? F_IF : 0;
    mask |= cpl == 0 ? F_IOPL | F_VIF | F_VIP : 0;
    return mask & operand_mask(in);
}

static enum sens_result return_inner(struct vcpu *vcpu, struct stack *s, const struct insn *in,
                                     const struct descriptor *cs, const uint64_t *v)
{
    uint64_t mask = protected_mask(vcpu, in), old = flags_get(vcpu);
    if (!transfer_check_rip(vcpu, cs, v[FRAME_IP], 0))
        return SENS_FAULT;
    s->sp += 3u * in->opsize;
    stack_commit(vcpu, s);
    transfer_enter(vcpu, cs, vcpu->arch.cpl, v[FRAME_IP]);
    return finish(vcpu, (old & ~mask) | (v[FRAME_FLAGS] & mask));
}

/* To less privilege, and always in 64-bit mode: SS:rSP is popped too. */
static enum sens_result return_with_stack(struct vcpu *vcpu, const struct insn *in,
                                          const struct descriptor *cs, const uint64_t *v)
{
    uint64_t mask = protected_mask(vcpu, in), old = flags_get(vcpu);
    unsigned rpl = v[FRAME_CS] & 3, cpl = vcpu->arch.cpl;
    uint16_t ss_sel = (uint16_t)v[FRAME_SS];
    struct descriptor ss;
    bool is_null;
    if (!transfer_check_return_stack(vcpu, ss_sel, rpl, transfer_is_code64(vcpu, cs), &ss,
                                     &is_null) ||
        !transfer_check_rip(vcpu, cs, v[FRAME_IP], 0))
        return SENS_FAULT;
    if (is_null)
        segment_commit_null(vcpu, SEG_SS, ss_sel, rpl);
    else
        segment_commit(vcpu, SEG_SS, ss_sel, &ss);
    transfer_load_sp(vcpu, cs, &ss, is_null, v[FRAME_SP]);
    transfer_enter(vcpu, cs, rpl, v[FRAME_IP]);
    if (rpl > cpl)
        segments_drop_privileged(vcpu, rpl);
    return finish(vcpu, (old & ~mask) | (v[FRAME_FLAGS] & mask));
}

static enum sens_result iret_protected(struct vcpu *vcpu, const struct insn *in)
{
    bool is_64 = is_code64(vcpu);
    struct stack s = stack_current(vcpu);
    struct descriptor cs;
    uint64_t v[5];
    if (!stack_read_frame(vcpu, &s, 0, v, is_64 ? 5 : 3, in->opsize))
        return SENS_FAULT;
    if ((v[FRAME_FLAGS] & F_VM) && in->opsize == 4 && vcpu->arch.cpl == 0 && !is_long_mode(vcpu))
        return return_to_vm86(vcpu, &s);
    if (!transfer_check_return(vcpu, (uint16_t)v[FRAME_CS], &cs))
        return SENS_FAULT;
    if (!is_64) {
        if ((v[FRAME_CS] & 3) == vcpu->arch.cpl)
            return return_inner(vcpu, &s, in, &cs, v);
        if (!stack_read_frame(vcpu, &s, 3u * in->opsize, v + FRAME_SP, 2, in->opsize))
            return SENS_FAULT;
    }
    return return_with_stack(vcpu, in, &cs, v);
}

/* NT: the task that called or was interrupted is in the back link (SDM Vol. 3A, "Task Linking"). */
static enum sens_result iret_task(struct vcpu *vcpu)
{
    if (is_long_mode(vcpu))
        return fail_gp0(vcpu);
    const struct task_request request = {
        .kind = TASK_IRET,
        .rip = vcpu->run.next_rip,
        .rflags = flags_get(vcpu) & ~(uint64_t)F_NT,
    };
    return task_switch(vcpu, &request) ? SENS_JUMP : SENS_FAULT;
}

/* IRET.  NMIs are unblocked even if it faults (SDM Vol. 3A, "Handling Multiple NMIs"). */
enum sens_result emulate_iret(struct vcpu *vcpu, const struct insn *in)
{
    if (unlikely(vcpu->arch.nmi_blocked)) {
        vcpu->arch.nmi_blocked = false;
        vcpu->run.attention = true;
    }
    if (!is_protected(vcpu))
        return iret_real(vcpu, in);
    if (is_vm86(vcpu))
        return iret_vm86(vcpu, in);
    if (unlikely(vcpu->arch.rflags & F_NT))
        return iret_task(vcpu);
    return iret_protected(vcpu, in);
}
