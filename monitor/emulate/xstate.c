/* SPDX-License-Identifier: MIT */
/*
 * Extended processor state: XCR0, and what depends on privilege or on more than registers of the
 * mode word: XSAVES, XRSTORS; PKRU, which changes what memory may be accessed.
 */
#include "cpu/cpuid.h"
#include "cpu/interp/fxsave.h"
#include "monitor/emulate/emulate.h"

static bool is_xcr0_valid(uint64_t v, uint64_t allowed)
{
    return (v & XSTATE_X87) && !(v & ~allowed) && (!(v & XSTATE_AVX) || (v & XSTATE_SSE));
}

/* XSETBV.  SDM Vol. 2D, "XSETBV". */
enum sens_result emulate_xsetbv(struct vcpu *vcpu, const struct insn *in)
{
    uint64_t v = gpr_pair(vcpu);
    (void)in;
    if (!(vcpu->arch.cr4 & CR4_OSXSAVE))
        return fail(vcpu, EXC_UD);
    if (vcpu->arch.cpl != 0 || (uint32_t)vcpu->arch.gpr[REG_RCX] != 0)
        return fail_gp0(vcpu);
    if (!is_xcr0_valid(v, cpu_model_xcr0(emulate_host(vcpu)->model(vcpu))))
        return fail_gp0(vcpu);
    vcpu->arch.xcr0 = v;
    cpu_update_mode(vcpu);
    return SENS_END;
}

static bool has_xgetbv1(struct vcpu *vcpu)
{
    return cpu_model_has(emulate_host(vcpu)->model(vcpu), CPUID_D1_EAX, 2);
}

/*
 * XGETBV.  SDM Vol. 2D, "XGETBV": ECX = 0 is XCR0; ECX = 1, where there is one, the components that
 * XCR0 enables and that are in use. SSE is in use too when MXCSR is not 1F80H, as recorded.
 */
enum sens_result emulate_xgetbv(struct vcpu *vcpu, const struct insn *in)
{
    uint32_t index = (uint32_t)vcpu->arch.gpr[REG_RCX];
    uint64_t v = vcpu->arch.xcr0;
    (void)in;
    if (!(vcpu->arch.cr4 & CR4_OSXSAVE))
        return fail(vcpu, EXC_UD);
    if (index > 1 || (index == 1 && !has_xgetbv1(vcpu)))
        return fail_gp0(vcpu);
    if (index == 1)
        v &= xsave_in_use_with_mxcsr(&vcpu->arch, is_code64(vcpu));
    gpr_set_pair(vcpu, v);
    return SENS_NEXT;
}

/* XSAVES.  SDM Vol. 2D, "XSAVES - Save Processor Extended States Supervisor". */
enum sens_result emulate_xsaves(struct vcpu *vcpu, const struct insn *in)
{
    return next_or_fault(xsave_xsaves(vcpu, in));
}

/* XRSTORS.  SDM Vol. 2D, "XRSTORS - Restore Processor Extended States Supervisor". */
enum sens_result emulate_xrstors(struct vcpu *vcpu, const struct insn *in)
{
    return next_or_fault(xsave_xrstors(vcpu, in));
}

/* ---- PKRU ---- */

/* False: run.fault. */
static bool may_access_pkru(struct vcpu *vcpu)
{
    if (!(vcpu->arch.cr4 & CR4_PKE))
        return raise_fault(vcpu, EXC_UD);
    return (uint32_t)vcpu->arch.gpr[REG_RCX] == 0 || raise_fault_code(vcpu, EXC_GP, 0);
}

/* RDPKRU.  SDM Vol. 2B, "RDPKRU". */
enum sens_result emulate_rdpkru(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    if (!may_access_pkru(vcpu))
        return SENS_FAULT;
    gpr_set_pair(vcpu, vcpu->arch.pkru);
    return SENS_NEXT;
}

/* WRPKRU.  SDM Vol. 2D, "WRPKRU": what is fetched does not depend on it, so the block goes on. */
enum sens_result emulate_wrpkru(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    if (!may_access_pkru(vcpu))
        return SENS_FAULT;
    if ((uint32_t)vcpu->arch.gpr[REG_RDX] != 0)
        return fail_gp0(vcpu);
    vcpu->arch.pkru = (uint32_t)vcpu->arch.gpr[REG_RAX];
    mmu_set_pkru(&vcpu->run.mmu, vcpu->arch.pkru);
    return SENS_NEXT;
}
