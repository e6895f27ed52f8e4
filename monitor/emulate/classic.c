/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/classic.h"

#include "monitor/emulate/real.h"

/* An instruction that the monitor never sees: its emulator, on the real machine. */
#define ON_REAL(function)                                                                          \
    enum sens_result classic_##function(struct vcpu *vcpu, const struct insn *in)                  \
    {                                                                                              \
        return real_execute(vcpu, in, emulate_##function);                                         \
    }

ON_REAL(pushf)
ON_REAL(popf)
ON_REAL(mov_sreg)
ON_REAL(push_sreg)
ON_REAL(pop_sreg)
ON_REAL(load_far_pointer)
ON_REAL(lar)
ON_REAL(lsl)
ON_REAL(verr)
ON_REAL(verw)
ON_REAL(sldt)
ON_REAL(str)
ON_REAL(sgdt)
ON_REAL(sidt)
ON_REAL(smsw)
ON_REAL(call_far)
ON_REAL(jmp_far)
ON_REAL(ret_far)

/* Through a gate of the monitor's IDT, which has DPL 0. In virtual-8086 mode the monitor takes that for what it is. */
static enum sens_result software_interrupt(struct vcpu *vcpu, const struct insn *in, unsigned vector, emulator *exec)
{
    if (real_is_vm86(vcpu))
        return exec(vcpu, in);
    raise_fault_code(vcpu, EXC_GP, vector * 8 + 2);
    return real_fault(vcpu, in, exec);
}

enum sens_result classic_int_n(struct vcpu *vcpu, const struct insn *in)
{
    return software_interrupt(vcpu, in, (uint8_t)in->imm, emulate_int_n);
}

enum sens_result classic_int3(struct vcpu *vcpu, const struct insn *in)
{
    return software_interrupt(vcpu, in, EXC_BP, emulate_int3);
}

enum sens_result classic_into(struct vcpu *vcpu, const struct insn *in)
{
    return flag_of(vcpu) ? software_interrupt(vcpu, in, EXC_OF, emulate_into) : SENS_NEXT;
}

/* With NT set it returns to the task that the back link of the monitor's TSS names, and there is none. */
enum sens_result classic_iret(struct vcpu *vcpu, const struct insn *in)
{
    if (real_is_vm86(vcpu))
        return emulate_iret(vcpu, in);
    if (!(vcpu->arch.rflags & F_NT))
        return real_execute(vcpu, in, emulate_iret);
    raise_fault_code(vcpu, EXC_TS, 0);
    return real_fault(vcpu, in, emulate_iret);
}

/* Privileged; but there is no long mode here: no segment limits keep ring 1 from the monitor, and to paging it is a supervisor. */
enum sens_result classic_mov_cr(struct vcpu *vcpu, const struct insn *in)
{
    enum sens_result result = emulate_mov_cr(vcpu, in);
    if (result == SENS_FAULT || likely(!is_long_mode(vcpu)))
        return result;
    emulate_host(vcpu)->long_mode(vcpu);
    return SENS_LEAVE;
}
