/* SPDX-License-Identifier: MIT */
/* Clocks and entropy: RDTSC RDTSCP RDPID RDRAND RDSEED. All derive from virtual
 * time or the seeded generator. */
#include "cpu/jit/lowering.h"
#include "monitor/emulate/emulate.h"

uint64_t emulate_tsc(struct vcpu *vcpu)
{
    return emulate_host(vcpu)->tsc_base(vcpu) + vcpu->arch.tsc_offset;
}

static bool tsd_forbids(const struct vcpu *vcpu)
{
    return (vcpu->arch.cr4 & CR4_TSD) && vcpu->arch.cpl > 0;
}

/* RDTSC.  SDM Vol. 2B, "RDTSC". */
enum sens_result emulate_rdtsc(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    if (tsd_forbids(vcpu))
        return fail_gp0(vcpu);
    gpr_set_pair(vcpu, emulate_tsc(vcpu));
    return SENS_NEXT;
}

/* Where the counter goes on evenly while this vCPU runs, and anybody may ask. */
bool lower_rdtsc(struct lowering *l, const struct insn *in)
{
    (void)in;
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cr4), 4, CR4_TSD);
    lowering_guard_nonzero(l, offsetof(struct vcpu, aside.tsc_per_tick), 8);
    lowering_take_tsc(l);
    lowering_give_pair(l);
    return true;
}

/* RDTSCP.  SDM Vol. 2B, "RDTSCP". */
enum sens_result emulate_rdtscp(struct vcpu *vcpu, const struct insn *in)
{
    if (emulate_rdtsc(vcpu, in) == SENS_FAULT)
        return SENS_FAULT;
    gpr_set32(vcpu, REG_RCX, vcpu->arch.tsc_aux);
    return SENS_NEXT;
}

bool lower_rdtscp(struct lowering *l, const struct insn *in)
{
    lower_rdtsc(l, in);
    lowering_take(l, offsetof(struct vcpu, arch.tsc_aux), 4);
    lowering_give_gpr(l, REG_RCX, 4);
    return true;
}

/* RDPID.  SDM Vol. 2B, "RDPID". */
enum sens_result emulate_rdpid(struct vcpu *vcpu, const struct insn *in)
{
    vcpu->arch.gpr[in->operands[0].reg] = (uint32_t)vcpu->arch.tsc_aux;
    return SENS_NEXT;
}

/* RDRAND, RDSEED.  SDM Vol. 2B: always ready, so CF = 1 and the others 0. */
enum sens_result emulate_rdrand(struct vcpu *vcpu, const struct insn *in)
{
    gpr_set(vcpu, in->operands[0].reg, in->operands[0].size, emulate_host(vcpu)->entropy(vcpu));
    flags_set_status(vcpu, F_CF);
    return SENS_NEXT;
}
