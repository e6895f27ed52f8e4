/* SPDX-License-Identifier: MIT */
/* CPUID: sensitive because it tells of the mode (OSXSAVE, APIC enable) and of the machine that we
 * pretend to be. */
#include "cpu/cpuid.h"

#include "monitor/emulate/emulate.h"

#define MSR_IA32_APIC_BASE 0x1b
#define APIC_GLOBAL_ENABLE BIT(11)
#define CPUID_1_EDX_APIC (1u << 9)
#define PV_LEAVES 0x400001 /* 400001xxH: our own paravirtual interface */

/* CPUID.01H:EDX.APIC follows the global enable bit (SDM Vol. 3A, "Detecting Local APIC"). */
static bool apic_is_enabled(struct vcpu *vcpu)
{
    uint64_t base;
    return emulate_host(vcpu)->apic_msr_read(vcpu, MSR_IA32_APIC_BASE, &base) &&
           (base & APIC_GLOBAL_ENABLE);
}

/* CPUID.  SDM Vol. 2A, "CPUID". */
enum sens_result emulate_cpuid(struct vcpu *vcpu, const struct insn *in)
{
    const struct emulate_host *host = emulate_host(vcpu);
    uint32_t leaf = (uint32_t)vcpu->arch.gpr[REG_RAX], subleaf = (uint32_t)vcpu->arch.gpr[REG_RCX];
    struct cpuid_regs r =
        cpuid_query(host->model(vcpu), &vcpu->arch, host->apic_id(vcpu), leaf, subleaf);
    (void)in;
    if (host->model(vcpu)->pv && leaf >> 8 == PV_LEAVES)
        r = host->pv_cpuid(vcpu, leaf);
    if (leaf == 1 && !apic_is_enabled(vcpu))
        r.edx &= ~CPUID_1_EDX_APIC;
    gpr_set32(vcpu, REG_RAX, r.eax);
    gpr_set32(vcpu, REG_RBX, r.ebx);
    gpr_set32(vcpu, REG_RCX, r.ecx);
    gpr_set32(vcpu, REG_RDX, r.edx);
    return SENS_NEXT;
}
