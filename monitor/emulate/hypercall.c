/* SPDX-License-Identifier: MIT */
/* VMCALL and VMMCALL. A guest that is offered hypercalls finds their meaning in monitor/pv; with the KVM leaf alone, which is for
 * time, they are KVM's, of which there is none. */
#include "cpu/cpuid.h"
#include "monitor/emulate/emulate.h"

/* Linux, Documentation/virt/kvm/x86/hypercalls: results are negative errno of KVM's own. */
enum { KVM_EPERM = 1, KVM_ENOSYS = 1000 };

enum sens_result emulate_hypercall(struct vcpu *vcpu, const struct insn *in)
{
    const struct cpu_model *model = emulate_host(vcpu)->model(vcpu);
    (void)in;
    if (model->pv)
        return emulate_host(vcpu)->hypercall(vcpu);
    if (!model->kvm)
        return fail(vcpu, EXC_UD);
    uint64_t result = 0 - (uint64_t)(vcpu->arch.cpl == 0 ? KVM_ENOSYS : KVM_EPERM);
    vcpu->arch.gpr[REG_RAX] = is_code64(vcpu) ? result : (uint32_t)result;
    return SENS_NEXT;
}
