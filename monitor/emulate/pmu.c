/* SPDX-License-Identifier: MIT */
/* Performance counters: RDPMC and the registers of SDM Vol. 3B, "Architectural Performance
 * Monitoring Version 2". */
#include "monitor/emulate/pmu.h"

#include "cpu/cpuid.h"
#include "monitor/emulate/emulate.h"

enum {
    MSR_PMC0 = 0xc1,
    MSR_PERFEVTSEL0 = 0x186,
    MSR_FIXED_CTR0 = 0x309,
    MSR_A_PMC0 = 0x4c1,
    RDPMC_FIXED = 1 << 30,
};

#define PERF_CAPABILITIES_FW_WRITE BIT(13) /* IA32_A_PMCx takes all bits */
/* Those of IA32_PERF_GLOBAL_STATUS, with OvfBuffer and CondChgd, which are never set here. */
#define OVF_CTRL_MASK (PMU_GLOBAL_MASK | BIT(62) | BIT(63))

static bool has_pmu(struct vcpu *vcpu)
{
    return cpu_model_has_pmu(emulate_host(vcpu)->model(vcpu));
}

static unsigned general_index(uint32_t msr)
{
    return msr >= MSR_A_PMC0 ? msr - MSR_A_PMC0 : msr - MSR_PMC0;
}

bool read_pmu_general(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    if (!has_pmu(vcpu))
        return false;
    *v = pmu_counter(vcpu, general_index(msr));
    return true;
}

/* "... bits 31:0 of EAX are sign-extended" (SDM Vol. 3B, "Full-Width Writes to Performance Counter
 * Registers"); EDX is ignored. */
bool write_pmu_general(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!has_pmu(vcpu))
        return false;
    pmu_set_counter(vcpu, general_index(msr), (uint64_t)(int64_t)(int32_t)v);
    return true;
}

bool write_pmu_general_full(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!has_pmu(vcpu) || v & ~PMU_COUNTER_MASK)
        return false;
    pmu_set_counter(vcpu, general_index(msr), v);
    return true;
}

bool read_pmu_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    if (!has_pmu(vcpu))
        return false;
    *v = pmu_counter(vcpu, PMU_GENERAL + msr - MSR_FIXED_CTR0);
    return true;
}

bool write_pmu_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!has_pmu(vcpu) || v & ~PMU_COUNTER_MASK)
        return false;
    pmu_set_counter(vcpu, PMU_GENERAL + msr - MSR_FIXED_CTR0, v);
    return true;
}

bool read_pmu_eventsel(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    *v = vcpu->arch.perf_eventsel[msr - MSR_PERFEVTSEL0];
    return has_pmu(vcpu);
}

bool write_pmu_eventsel(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!has_pmu(vcpu) || v & ~PMU_EVENTSEL_MASK)
        return false;
    pmu_set_eventsel(vcpu, msr - MSR_PERFEVTSEL0, v);
    return true;
}

bool read_pmu_fixed_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.perf_fixed_ctrl;
    return has_pmu(vcpu);
}

bool write_pmu_fixed_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if (!has_pmu(vcpu) || v & ~PMU_FIXED_CTRL_MASK)
        return false;
    pmu_set_fixed_ctrl(vcpu, v);
    return true;
}

bool read_pmu_global_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    pmu_settle(vcpu); /* an overflow may freeze them */
    *v = vcpu->arch.perf_global_ctrl;
    return has_pmu(vcpu);
}

bool write_pmu_global_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if (!has_pmu(vcpu) || v & ~PMU_GLOBAL_MASK)
        return false;
    pmu_set_global_ctrl(vcpu, v);
    return true;
}

bool read_pmu_status(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    if (!has_pmu(vcpu))
        return false;
    *v = pmu_global_status(vcpu);
    return true;
}

bool read_pmu_ovf_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = 0;
    return has_pmu(vcpu);
}

bool write_pmu_ovf_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if (!has_pmu(vcpu) || v & ~OVF_CTRL_MASK)
        return false;
    pmu_clear_status(vcpu, v);
    return true;
}

bool read_pmu_capabilities(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = PERF_CAPABILITIES_FW_WRITE;
    return has_pmu(vcpu);
}

/* The counter that ECX names, or -1. */
static int rdpmc_counter(struct vcpu *vcpu)
{
    uint32_t ecx = (uint32_t)vcpu->arch.gpr[REG_RCX], n = ecx & ~(uint32_t)RDPMC_FIXED;
    if (!has_pmu(vcpu) || n >= (ecx & RDPMC_FIXED ? (uint32_t)PMU_FIXED : (uint32_t)PMU_GENERAL))
        return -1;
    return (int)(ecx & RDPMC_FIXED ? PMU_GENERAL + n : n);
}

/* RDPMC.  SDM Vol. 2B, "RDPMC". */
enum sens_result emulate_rdpmc(struct vcpu *vcpu, const struct insn *in)
{
    const struct cpu *cpu = &vcpu->arch;
    bool is_allowed = (cpu->cr4 & CR4_PCE) || cpu->cpl == 0 || !(cpu->cr0 & CR0_PE);
    int i = is_allowed ? rdpmc_counter(vcpu) : -1;
    (void)in;
    if (i < 0)
        return fail_gp0(vcpu);
    gpr_set_pair(vcpu, pmu_counter(vcpu, (unsigned)i));
    return SENS_NEXT;
}
