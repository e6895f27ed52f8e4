/* SPDX-License-Identifier: MIT */
/* Software interrupts and what stops or idles a processor: INT n INT3 INTO INT1, HLT PAUSE MONITOR
 * MWAIT, #UD. */
#include "cpu/jit/lowering.h"
#include "monitor/emulate/deliver.h"

/*
 * Deliver e at the next instruction's RIP. A fault on the way belongs to this instruction, whose
 * RIP stays. A task gate has moved RIP to the new task's by then.
 */
static enum sens_result deliver_software(struct vcpu *vcpu, struct event_delivery e)
{
    e.rip = vcpu->run.next_rip;
    trace_point(vcpu->run.trace, TRACE_event_deliver, "int", e.vector, 0, vcpu->arch.rip, 0);
    return event_deliver(vcpu, &e) ? SENS_JUMP : SENS_FAULT;
}

/* INT n.  SDM Vol. 2A, "INT n/INTO/INT3/INT1". */
enum sens_result emulate_int_n(struct vcpu *vcpu, const struct insn *in)
{
    const struct event_delivery e = {.kind = EVENT_SOFTWARE_INT, .vector = (uint8_t)in->imm};
    return deliver_software(vcpu, e);
}

enum sens_result emulate_int3(struct vcpu *vcpu, const struct insn *in)
{
    const struct event_delivery e = {.kind = EVENT_SOFTWARE_TRAP, .vector = EXC_BP};
    (void)in;
    return deliver_software(vcpu, e);
}

enum sens_result emulate_into(struct vcpu *vcpu, const struct insn *in)
{
    const struct event_delivery e = {.kind = EVENT_SOFTWARE_TRAP, .vector = EXC_OF};
    (void)in;
    return flag_of(vcpu) ? deliver_software(vcpu, e) : SENS_NEXT;
}

/* INT1 (ICEBP): #DB without a look at the gate's DPL, and no DR6 bit. */
enum sens_result emulate_int1(struct vcpu *vcpu, const struct insn *in)
{
    const struct event_delivery e = {.kind = EVENT_INT1, .vector = EXC_DB};
    (void)in;
    return deliver_software(vcpu, e);
}

/* HLT.  SDM Vol. 2A, "HLT": the run loop waits for an interrupt. */
enum sens_result emulate_hlt(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    vcpu->arch.activity = ACTIVITY_HLT;
    return SENS_LEAVE;
}

/* PAUSE.  SDM Vol. 2B, "PAUSE": a spinning vCPU gives its turn to one that may hold the lock. */
enum sens_result emulate_pause(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return emulate_host(vcpu)->pause(vcpu) ? SENS_LEAVE : SENS_NEXT;
}

/* Where nobody else could have the turn, and nothing is remembered of loops. */
bool lower_pause(struct lowering *l, const struct insn *in)
{
    (void)in;
    lowering_guard_nonzero(l, offsetof(struct vcpu, aside.pause_is_nothing), 1);
    lowering_increment(l, offsetof(struct vcpu, aside.pauses));
    return true;
}

/* MONITOR.  SDM Vol. 2B, "MONITOR": no extensions; the address is read as a byte load would. */
enum sens_result emulate_monitor(struct vcpu *vcpu, const struct insn *in)
{
    uint8_t ignored;
    if (vcpu->arch.cpl != 0)
        return fail(vcpu, EXC_UD);
    if ((uint32_t)vcpu->arch.gpr[REG_RCX] != 0)
        return fail_gp0(vcpu);
    uint64_t ea = vcpu->arch.gpr[REG_RAX] & low_mask(in->addrsize * 8u);
    unsigned seg = in->seg == SEG_NONE ? SEG_DS : in->seg;
    return next_or_fault(seg_read(vcpu, seg, ea, &ignored, 1));
}

/* MWAIT.  SDM Vol. 2B, "MWAIT": waking is allowed for implementation-dependent reasons, so it is a
 * PAUSE. */
enum sens_result emulate_mwait(struct vcpu *vcpu, const struct insn *in)
{
    if (vcpu->arch.cpl != 0)
        return fail(vcpu, EXC_UD);
    if ((uint32_t)vcpu->arch.gpr[REG_RCX] != 0)
        return fail_gp0(vcpu);
    return emulate_pause(vcpu, in);
}

/* RSM outside SMM, GETSEC without CR4.SMXE, and what CPUID hides. */
enum sens_result emulate_ud(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return fail(vcpu, EXC_UD);
}
