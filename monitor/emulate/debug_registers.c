/* SPDX-License-Identifier: MIT */
/* MOV to and from debug registers (SDM Vol. 3B, "Debug Registers"). */
#include "monitor/emulate/emulate.h"

#define DR6_BD BIT(13)
#define DR6_WRITABLE UINT64_C(0xe00f)
#define DR7_GD BIT(13)
#define DR7_WRITABLE UINT64_C(0xffff23ff)

static void write_dr(struct vcpu *vcpu, unsigned dr, uint64_t v)
{
    if (dr == 6)
        v = (v & DR6_WRITABLE) | DR6_FIXED;
    else if (dr == 7)
        v = (v & DR7_WRITABLE) | DR7_FIXED;
    vcpu->arch.dr[dr] = v;
}

/* MOV DR.  SDM Vol. 2B, "MOV - Move to/from Debug Registers": #UD, then #GP(0), then #DB of general
 * detect. */
enum sens_result emulate_mov_dr(struct vcpu *vcpu, const struct insn *in)
{
    bool is_write = in->operands[0].kind == OPND_DR;
    unsigned dr = in->operands[is_write ? 0 : 1].reg;
    uint64_t v;
    if (dr > 7 || ((dr == 4 || dr == 5) && (vcpu->arch.cr4 & CR4_DE)))
        return fail(vcpu, EXC_UD);
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    if (vcpu->arch.dr[7] & DR7_GD) {
        vcpu->run.fault = (struct fault){.vector = EXC_DB, .dr6 = DR6_BD};
        return SENS_FAULT;
    }
    if (dr == 4 || dr == 5)
        dr += 2;
    if (!is_write)
        return next_or_fault(insn_write(vcpu, in, 0, vcpu->arch.dr[dr]));
    if (!insn_read(vcpu, in, 1, &v))
        return SENS_FAULT;
    if (dr >= 6 && v >> 32)
        return fail_gp0(vcpu);
    write_dr(vcpu, dr, v);
    cpu_update_mode(vcpu);
    return SENS_END;
}
