/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/cpu_check.h"

#include <string.h>

#include "cpu/segment.h"

#define RFLAGS_BITS UINT64_C(0x3f7fd7)
#define CR0_BITS UINT64_C(0xe005003f)
#define EFER_BITS (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define DR6_BITS UINT64_C(0xffffefff)
#define DR7_BITS UINT64_C(0xffff2fff)

/* The first claim that does not hold is the result. */
#define CLAIM(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            return #x;                                                                             \
    } while (0)

/* SDM Vol. 3A, "Control Registers"; Vol. 4, IA32_EFER. */
static const char *check_control(const struct cpu *cpu, const struct cpu_model *model)
{
    bool is_paged = cpu->cr0 & CR0_PG;
    CLAIM((cpu->cr0 & ~CR0_BITS) == 0 && (cpu->cr0 & CR0_ET));
    CLAIM(!is_paged || (cpu->cr0 & CR0_PE));
    CLAIM(!(cpu->cr0 & CR0_NW) || (cpu->cr0 & CR0_CD));
    CLAIM((cpu->cr4 & ~cpu_model_cr4(model)) == 0);
    CLAIM((cpu->efer & ~EFER_BITS) == 0);
    CLAIM(!!(cpu->efer & EFER_LMA) == (is_paged && (cpu->efer & EFER_LME)));
    CLAIM(!(cpu->efer & EFER_LMA) || (cpu->cr4 & CR4_PAE));
    CLAIM(!(cpu->cr4 & CR4_PCIDE) || (cpu->efer & EFER_LMA));
    CLAIM(cpu->cr3 >> CPU_MAXPHYADDR == 0);
    CLAIM((cpu->xcr0 & 1) && (!(cpu->xcr0 & 4) || (cpu->xcr0 & 2)));
    return NULL;
}

/* "Debug Registers". */
static const char *check_debug(const struct cpu *cpu)
{
    CLAIM((cpu->dr[6] & ~DR6_BITS) == 0 && (cpu->dr[6] & DR6_FIXED) == DR6_FIXED);
    CLAIM((cpu->dr[7] & ~DR7_BITS) == 0 && (cpu->dr[7] & DR7_FIXED) == DR7_FIXED);
    return NULL;
}

/* Vol. 1, "x87 FPU Status Register", "MXCSR": ES and B are made of what is pending and not masked.
 */
static const char *check_floating(const struct cpu *cpu)
{
    bool is_pending = cpu->fsw & ~cpu->fcw & 0x3f;
    CLAIM(!!(cpu->fsw & 0x80) == is_pending);
    CLAIM(!!(cpu->fsw & 0x8000) == is_pending);
    CLAIM(cpu->fop <= 0x7ff);
    CLAIM(cpu->mxcsr >> 16 == 0);
    return NULL;
}

/* Vol. 3A, "Segment Descriptors"; Vol. 3C, "Checks on Guest Segment Registers", which says what can
 * be. */
static const char *check_segment(const struct cpu *cpu, unsigned seg)
{
    uint32_t attr = cpu->seg_attr[seg], limit = cpu->seg_limit[seg];
    bool is_64 = cpu->efer & EFER_LMA;
    CLAIM(seg == SEG_FS || seg == SEG_GS || seg >= SEG_LDTR || cpu->seg_base[seg] >> 32 == 0);
    CLAIM(is_canonical(cpu->seg_base[seg]));
    if (attr & ATTR_UNUSABLE)
        return NULL;
    CLAIM(attr & ATTR_P);
    CLAIM(!(attr & ATTR_S) == (seg >= SEG_LDTR));
    CLAIM(attr & ATTR_G ? (limit & 0xfff) == 0xfff : limit <= 0xfffff);
    /* real mode's, which outlives the setting of CR0.PE: data, at CPL 0 */
    CLAIM(seg != SEG_CS || (attr & ATTR_CODE) || (cpu->rflags & F_VM) ||
          ((attr & ATTR_TYPE) == 3 && cpu->cpl == 0));
    CLAIM(seg != SEG_CS || !is_64 || (attr & (ATTR_L | ATTR_DB)) != (ATTR_L | ATTR_DB));
    CLAIM(seg != SEG_SS || (attr & (ATTR_CODE | ATTR_RW)) == ATTR_RW);
    CLAIM(seg != SEG_LDTR || (attr & ATTR_TYPE) == 2);
    CLAIM(seg != SEG_TR || (attr & 7) == 3);
    return NULL;
}

static const char *check_segments(const struct cpu *cpu)
{
    if (cpu->activity == ACTIVITY_SHUTDOWN)
        return NULL; /* half way into a task, perhaps */
    bool is_protected = (cpu->cr0 & CR0_PE) && !(cpu->rflags & F_VM);
    for (unsigned seg = 0; seg < 8; seg++) {
        const char *complaint = check_segment(cpu, seg);
        if (complaint)
            return complaint;
        if (seg < SEG_LDTR && (cpu->rflags & F_VM)) {
            CLAIM(cpu->seg_base[seg] == (uint32_t)cpu->seg_sel[seg] << 4);
            CLAIM(cpu->seg_limit[seg] == 0xffff && cpu->seg_attr[seg] == 0xf3);
        }
    }
    CLAIM(!(cpu->seg_attr[SEG_CS] & ATTR_UNUSABLE));
    CLAIM(!is_protected || (cpu->seg_sel[SEG_CS] & 3) == cpu->cpl);
    CLAIM(!is_protected || (cpu->seg_attr[SEG_SS] & ATTR_UNUSABLE) ||
          (cpu->seg_attr[SEG_SS] >> ATTR_DPL_SHIFT & 3) == cpu->cpl);
    return NULL;
}

static const char *check_rest(const struct cpu *cpu)
{
    bool is_64 = (cpu->efer & EFER_LMA) && (cpu->seg_attr[SEG_CS] & ATTR_L);
    CLAIM((cpu->rflags & 2) && (cpu->rflags & ~RFLAGS_BITS) == 0);
    CLAIM(!(cpu->rflags & F_VM) ||
          ((cpu->cr0 & CR0_PE) && !(cpu->efer & EFER_LMA) && cpu->cpl == 3));
    CLAIM(cpu->cpl <= 3 && ((cpu->cr0 & CR0_PE) || cpu->cpl == 0));
    CLAIM(is_64 ? is_canonical(cpu->rip) : cpu->rip >> 32 == 0);
    CLAIM(cpu->activity <= ACTIVITY_WAIT_SIPI && cpu->int_shadow <= SHADOW_MOV_SS);
    CLAIM(is_canonical(cpu->gdtr_base) && is_canonical(cpu->idtr_base));
    CLAIM(pmu_is_possible(cpu));
    return NULL;
}

/* What is kept beside the state must be what can be made of it. */
static const char *check_caches(struct vcpu *vcpu)
{
    uint64_t bases[SEG_FAST_COUNT], mask = vcpu->run.la_mask;
    uint32_t mode = vcpu->run.mode;
    memcpy(bases, vcpu->run.seg_base_fast, sizeof(bases));
    cpu_update_mmu(vcpu);
    CLAIM(mode == vcpu->run.mode && mask == vcpu->run.la_mask);
    CLAIM(memcmp(bases, vcpu->run.seg_base_fast, sizeof(bases)) == 0);
    return NULL;
}

const char *cpu_complaint(struct vcpu *vcpu, const struct cpu_model *model)
{
    const char *complaint = check_control(&vcpu->arch, model);
    if (!complaint)
        complaint = check_debug(&vcpu->arch);
    if (!complaint)
        complaint = check_floating(&vcpu->arch);
    if (!complaint)
        complaint = check_segments(&vcpu->arch);
    if (!complaint)
        complaint = check_rest(&vcpu->arch);
    return complaint ? complaint : check_caches(vcpu);
}
