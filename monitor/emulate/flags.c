/* SPDX-License-Identifier: MIT */
/* The flags that belong to the system: PUSHF POPF CLI STI CLAC STAC (SDM Vol. 1, "EFLAGS
 * Register"). */
#include "cpu/jit/lowering.h"
#include "monitor/emulate/emulate.h"

/* Status flags and the others anybody may write. */
#define FREE_FLAGS (F_OSZAPC | F_TF | F_DF | F_NT)

/* Commit new flags. What depends on TF and AC is recomputed; IF set newly may make an interrupt
 * deliverable. */
static enum sens_result commit_flags(struct vcpu *vcpu, uint64_t old, uint64_t new)
{
    flags_set(vcpu, new);
    if (unlikely((old ^ new) & (F_TF | F_AC))) {
        cpu_update_transfer(vcpu);
        return SENS_END;
    }
    return (new & ~old) & (F_IF | F_VIF) ? SENS_END : SENS_NEXT;
}

/* VME: IF as a program with IOPL < 3 sees it is VIF. */
static bool vme_applies(const struct vcpu *vcpu, const struct insn *in)
{
    return (vcpu->arch.cr4 & CR4_VME) && in->opsize == 2;
}

/* PUSHF.  SDM Vol. 2B, "PUSHF/PUSHFD/PUSHFQ". */
enum sens_result emulate_pushf(struct vcpu *vcpu, const struct insn *in)
{
    uint64_t f = flags_get(vcpu) & ~(uint64_t)(F_VM | F_RF);
    if (unlikely(is_vm86(vcpu) && iopl(vcpu) < 3)) {
        if (!vme_applies(vcpu, in))
            return fail_gp0(vcpu);
        f = (f & ~(uint64_t)F_IF) | F_IOPL | (f & F_VIF ? F_IF : 0);
    }
    return next_or_fault(stack_push(vcpu, in->opsize, f));
}

/* Outside virtual-8086 mode, whose code is not translated. */
bool lower_pushf(struct lowering *l, const struct insn *in)
{
    if (!lowering_has_stack(l, in->opsize))
        return false;
    lowering_take_flags(l, ~(uint32_t)(F_VM | F_RF));
    lowering_push(l, in->opsize);
    return true;
}

/* The flags POPF may write here, VME aside. */
static uint64_t popf_mask(const struct vcpu *vcpu, unsigned opsize)
{
    unsigned cpl = vcpu->arch.cpl;
    uint64_t mask = FREE_FLAGS | F_AC | F_ID;
    if (!is_protected(vcpu) || cpl == 0)
        mask |= F_IF | F_IOPL;
    else if (cpl <= iopl(vcpu))
        mask |= F_IF;
    return opsize == 2 ? mask & 0xffff : mask;
}

static enum sens_result popf_vme(struct vcpu *vcpu, const struct insn *in)
{
    uint64_t old = flags_get(vcpu), v;
    uint64_t rsp = vcpu->arch.gpr[REG_RSP];
    if (!vme_applies(vcpu, in))
        return fail_gp0(vcpu);
    if (!stack_pop(vcpu, 2, &v))
        return SENS_FAULT;
    if (((v & F_IF) && (old & F_VIP)) || (v & F_TF)) {
        vcpu->arch.gpr[REG_RSP] = rsp;
        return fail_gp0(vcpu);
    }
    uint64_t new =
        (old & ~(uint64_t)(FREE_FLAGS | F_VIF)) | (v & FREE_FLAGS) | (v & F_IF ? F_VIF : 0);
    return commit_flags(vcpu, old, new);
}

/* POPF.  SDM Vol. 2B, "POPF/POPFD/POPFQ". */
enum sens_result emulate_popf(struct vcpu *vcpu, const struct insn *in)
{
    if (unlikely(is_vm86(vcpu) && iopl(vcpu) < 3))
        return popf_vme(vcpu, in);
    uint64_t old = flags_get(vcpu), mask = popf_mask(vcpu, in->opsize), v;
    if (!stack_pop(vcpu, in->opsize, &v))
        return SENS_FAULT;
    return commit_flags(vcpu, old, (old & ~(mask | F_RF)) | (v & mask));
}

/* Where no flag changes but the status flags, which anybody may write. */
bool lower_popf(struct lowering *l, const struct insn *in)
{
    const size_t rflags = offsetof(struct vcpu, arch.rflags);
    if (!lowering_has_stack(l, in->opsize))
        return false;
    lowering_guard_zero(l, rflags, 4, F_VM | F_RF);
    lowering_take_top(l);
    lowering_guard_same(l, rflags, (FREE_FLAGS & ~F_OSZAPC) | F_AC | F_ID | F_IF | F_IOPL);
    lowering_give_status(l);
    lowering_drop_top(l);
    return true;
}

/* How CLI and STI act here (SDM Vol. 2A, "CLI", table "Decision Table for CLI Results"). */
enum if_access { IF_REAL, IF_VIRTUAL, IF_DENIED };

static enum if_access interrupt_flag_access(const struct vcpu *vcpu)
{
    unsigned cpl = vcpu->arch.cpl;
    if (likely(!is_protected(vcpu) || cpl <= iopl(vcpu)))
        return IF_REAL;
    if (is_vm86(vcpu))
        return vcpu->arch.cr4 & CR4_VME ? IF_VIRTUAL : IF_DENIED;
    return (vcpu->arch.cr4 & CR4_PVI) && cpl == 3 ? IF_VIRTUAL : IF_DENIED;
}

/* CLI.  SDM Vol. 2A, "CLI - Clear Interrupt Flag". */
enum sens_result emulate_cli(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    enum if_access access = interrupt_flag_access(vcpu);
    if (access == IF_DENIED)
        return fail_gp0(vcpu);
    vcpu->arch.rflags &= ~(uint64_t)(access == IF_REAL ? F_IF : F_VIF);
    return SENS_NEXT;
}

/* At CPL 0, where IF is always the real one. */
bool lower_cli(struct lowering *l, const struct insn *in)
{
    (void)in;
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cpl), 1, 0xff);
    lowering_clear(l, offsetof(struct vcpu, arch.rflags), F_IF);
    return true;
}

/* STI.  SDM Vol. 2B, "STI - Set Interrupt Flag": events wait for the end of the next instruction if
 * IF was clear. */
enum sens_result emulate_sti(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    enum if_access access = interrupt_flag_access(vcpu);
    if (access == IF_DENIED || (access == IF_VIRTUAL && (vcpu->arch.rflags & F_VIP)))
        return fail_gp0(vcpu);
    if (access == IF_VIRTUAL) {
        vcpu->arch.rflags |= F_VIF;
        return SENS_NEXT;
    }
    if (vcpu->arch.rflags & F_IF)
        return SENS_NEXT;
    vcpu->arch.rflags |= F_IF;
    vcpu->arch.int_shadow = SHADOW_STI;
    return SENS_END;
}

/*
 * Where nothing waits for IF the shadow ends unseen with the next instruction, if that is of the
 * same block: between them nobody looks.
 */
bool lower_sti(struct lowering *l, const struct insn *in)
{
    (void)in;
    if (lowering_is_last(l))
        return false;
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cpl), 1, 0xff);
    lowering_guard_zero(l, offsetof(struct vcpu, run.attention), 1, 0xff);
    lowering_set(l, offsetof(struct vcpu, arch.rflags), F_IF);
    return true;
}

/* CLAC and STAC: #UD, not #GP, at CPL > 0. In ring 0 AC is in no mode word: only the view of memory
 * changes. */
static enum sens_result write_ac(struct vcpu *vcpu, bool ac)
{
    if (vcpu->arch.cpl != 0)
        return fail(vcpu, EXC_UD);
    vcpu->arch.rflags = ac ? vcpu->arch.rflags | F_AC : vcpu->arch.rflags & ~(uint64_t)F_AC;
    const struct privilege as = {.user = false, .ac = ac};
    mmu_set_privilege(&vcpu->run.mmu, as, vcpu->run.mode & (MODE_ALIGN | MODE_BREAK));
    return SENS_NEXT;
}

/* CLAC.  SDM Vol. 2A, "CLAC - Clear AC Flag in EFLAGS Register". */
enum sens_result emulate_clac(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return write_ac(vcpu, false);
}

/* Where AC is clear already, as on most ways into a kernel. */
bool lower_clac(struct lowering *l, const struct insn *in)
{
    (void)in;
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cpl), 1, 0xff);
    lowering_guard_zero(l, offsetof(struct vcpu, arch.rflags), 4, F_AC);
    return true;
}

/* STAC.  SDM Vol. 2B, "STAC - Set AC Flag in EFLAGS Register". */
enum sens_result emulate_stac(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return write_ac(vcpu, true);
}
