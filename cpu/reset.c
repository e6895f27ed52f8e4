/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cpu/flags.h"

static void reset_segments(struct cpu *cpu)
{
    for (unsigned seg = 0; seg < 6; seg++) {
        cpu->seg_sel[seg] = 0;
        cpu->seg_base[seg] = 0;
        cpu->seg_limit[seg] = 0xffff;
        cpu->seg_attr[seg] = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED;
    }
    cpu->seg_sel[SEG_CS] = 0xf000;
    cpu->seg_base[SEG_CS] = 0xffff0000;
    cpu->seg_attr[SEG_CS] |= ATTR_CODE;
    cpu->seg_sel[SEG_LDTR] = cpu->seg_sel[SEG_TR] = 0;
    cpu->seg_base[SEG_LDTR] = cpu->seg_base[SEG_TR] = 0;
    cpu->seg_limit[SEG_LDTR] = cpu->seg_limit[SEG_TR] = 0xffff;
    cpu->seg_attr[SEG_LDTR] = ATTR_P | 2;
    cpu->seg_attr[SEG_TR] = ATTR_P | 11;
    cpu->gdtr_base = cpu->idtr_base = 0;
    cpu->gdtr_limit = cpu->idtr_limit = 0xffff;
}

/* What INIT leaves alone: x87, SSE, MSRs, MTRRs, TSC (SDM Vol. 3A, "Processor State After Reset"). */
static void reset_basic(struct cpu *cpu, uint32_t signature)
{
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[REG_RDX] = signature;
    cpu->rip = 0xfff0;
    cpu->rflags = 2;
    cpu->cpl = 0;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    memset(cpu->pdpte, 0, sizeof(cpu->pdpte));
    memset(cpu->dr, 0, sizeof(cpu->dr));
    cpu->dr[6] = DR6_FIXED;
    cpu->dr[7] = DR7_FIXED;
    cpu->efer = 0;
    cpu->xcr0 = 1;
    cpu->activity = ACTIVITY_ACTIVE;
    cpu->int_shadow = SHADOW_NONE;
    cpu->nmi_blocked = cpu->nmi_pending = cpu->init_pending = false;
    cpu->pending_db = 0;
    reset_segments(cpu);
}

static void reset_power_on(struct cpu *cpu)
{
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu->fcw = 0x40;
    cpu->mxcsr = 0x1f80;
    cpu->pat = UINT64_C(0x0007040600070406);
    cpu->misc_enable = 1;
    cpu->perf_global_ctrl = BIT(PMU_GENERAL) - 1;
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->mc_bank); i += 4)
        cpu->mc_bank[i] = UINT64_MAX;
}

void cpu_reset(struct vcpu *vcpu, bool is_init, uint32_t signature)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t cr0 = cpu->cr0;
    if (!is_init) {
        uint64_t ticks = cpu->ticks, retired = cpu->retired, tsc_offset = cpu->tsc_offset;
        memset(cpu, 0, sizeof(*cpu));
        cpu->ticks = ticks;
        cpu->retired = retired;
        cpu->tsc_offset = tsc_offset;
        reset_power_on(cpu);
    }
    reset_basic(cpu, signature);
    if (is_init)
        cpu->cr0 = (cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    flags_set_status(vcpu, cpu->rflags);
    cpu_update_mmu(vcpu);
    pmu_rebuild(vcpu);
}
