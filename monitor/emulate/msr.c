/* SPDX-License-Identifier: MIT */
/* RDMSR and WRMSR from cpu/msr.def. The functions of a row answer false for #GP(0) and then have
 * changed nothing. */
#include "cpu/cpuid.h"
#include "monitor/emulate/descriptor.h"
#include "monitor/emulate/pmu.h"

enum { FAULTS = false, IGNORED = true };

static const struct cpu_model *model_of(struct vcpu *vcpu)
{
    return emulate_host(vcpu)->model(vcpu);
}

static bool read_none(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)vcpu, (void)msr, (void)v;
    return false;
}

static bool write_none(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)vcpu, (void)msr, (void)v;
    return false;
}

/* Write-only: there is no microcode that could be updated. */
static bool write_ignored(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)vcpu, (void)msr, (void)v;
    return true;
}

/* ---- time ---- */

static bool read_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = emulate_tsc(vcpu);
    return true;
}

/* SDM Vol. 3B, "IA32_TSC_ADJUST MSR": a write to either register moves the other by the same
 * amount. */
static void shift_tsc(struct vcpu *vcpu, uint64_t by)
{
    vcpu->arch.tsc_offset += by;
    vcpu->arch.tsc_adjust += by;
    emulate_host(vcpu)->tsc_changed(vcpu);
}

static bool write_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    shift_tsc(vcpu, v - emulate_tsc(vcpu));
    return true;
}

static bool read_tsc_adjust(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.tsc_adjust;
    return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    shift_tsc(vcpu, v - vcpu->arch.tsc_adjust);
    return true;
}

static bool read_kvm_wall_clock(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.kvm_wall_clock;
    return model_of(vcpu)->kvm;
}

static bool write_kvm_wall_clock(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!model_of(vcpu)->kvm)
        return false;
    vcpu->arch.kvm_wall_clock = v;
    emulate_host(vcpu)->kvmclock_write(vcpu, msr);
    return true;
}

static bool read_kvm_system_time(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.kvm_system_time;
    return model_of(vcpu)->kvm;
}

static bool write_kvm_system_time(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!model_of(vcpu)->kvm)
        return false;
    vcpu->arch.kvm_system_time = v;
    emulate_host(vcpu)->kvmclock_write(vcpu, msr);
    return true;
}

/* Offered by -virt pv. */
static bool read_kvm_pv(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    const struct cpu_model *m = model_of(vcpu);
    return m->kvm && m->pv && emulate_host(vcpu)->pv_msr_read(vcpu, msr, v);
}

static bool write_kvm_pv(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    const struct cpu_model *m = model_of(vcpu);
    return m->kvm && m->pv && emulate_host(vcpu)->pv_msr_write(vcpu, msr, v);
}

/* ---- local APIC ---- */

static bool read_apic(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    return emulate_host(vcpu)->apic_msr_read(vcpu, msr, v);
}

static bool write_apic(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    return emulate_host(vcpu)->apic_msr_write(vcpu, msr, v);
}

/* ---- identification and speculation ---- */

/* PLATFORM_INFO: the maximum non-turbo ratio, in units of 100 MHz. CPUID faulting (bit 31) is not
 * offered. */
static bool read_platform_info(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = (model_of(vcpu)->tsc_hz / 100000000 & 0xff) << 8;
    return true;
}

/*
 * IA32_ARCH_CAPABILITIES: none of the known speculation flaws (there is no speculation), so that no
 * guest pays for mitigations: RDCL_NO IBRS_ALL SKIP_L1DFL_VMENTRY SSB_NO MDS_NO PSCHANGE_MC_NO
 * TAA_NO SBDR_SSDP_NO FBSDP_NO PSDP_NO BHI_NO PBRSB_NO GDS_NO RFDS_NO ITS_NO. IBRS_ALL needs
 * IA32_SPEC_CTRL, which CPUID's spec-ctrl offers; and BHI_DIS_S in it is what some kernels look for
 * instead of BHI_NO before they clear branch history in software.
 */
static bool read_arch_capabilities(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    const struct cpu_model *m = model_of(vcpu);
    (void)msr;
    *v = BIT(0) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | BIT(15) |
         BIT(20) | BIT(24) | BIT(26) | BIT(27) | BIT(62);
    if (cpu_model_has(m, CPUID_7_EDX, 26))
        *v |= BIT(1);
    return cpu_model_has(m, CPUID_7_EDX, 29);
}

#define SPEC_CTRL_IBRS BIT(0)
#define SPEC_CTRL_STIBP BIT(1)
#define SPEC_CTRL_SSBD BIT(2)
#define SPEC_CTRL_BHI_DIS_S BIT(10)

static bool read_spec_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.spec_ctrl;
    return cpu_model_has(model_of(vcpu), CPUID_7_EDX, 26);
}

static bool write_spec_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    uint64_t allowed = SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_SSBD;
    allowed |= cpu_model_has(model_of(vcpu), CPUID_72_EDX, 4) ? SPEC_CTRL_BHI_DIS_S : 0;
    if (!cpu_model_has(model_of(vcpu), CPUID_7_EDX, 26) || (v & ~allowed))
        return false;
    vcpu->arch.spec_ctrl = v;
    return true;
}

static bool write_pred_cmd(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    return cpu_model_has(model_of(vcpu), CPUID_7_EDX, 26) && !(v & ~UINT64_C(1));
}

/* Bits 11 and 12: no branch-trace storage, no precise event sampling; 7: performance counters. All
 * three are read-only. */
#define MISC_ENABLE_PERFMON BIT(7)
#define MISC_ENABLE_FIXED (BIT(11) | BIT(12))
/* Fast strings, thermal control, SpeedStep, MONITOR, CPUID limit, XD disable, and their kin. */
#define MISC_ENABLE_WRITABLE                                                                       \
    (BIT(0) | BIT(3) | BIT(16) | BIT(18) | BIT(22) | BIT(23) | BIT(34) | BIT(38))

static bool read_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.misc_enable | MISC_ENABLE_FIXED;
    *v |= cpu_model_has_pmu(model_of(vcpu)) ? MISC_ENABLE_PERFMON : 0;
    return true;
}

static bool write_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if (v & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_FIXED | MISC_ENABLE_PERFMON))
        return false;
    vcpu->arch.misc_enable = v & MISC_ENABLE_WRITABLE;
    return true;
}

/* LBR and BTF; freezing comes with the counters. SDM Vol. 3B, "IA32_DEBUGCTL MSR". */
static bool read_debugctl(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.debugctl;
    return true;
}

static bool write_debugctl(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    uint64_t allowed = BIT(0) | BIT(1);
    (void)msr;
    if (cpu_model_has_pmu(model_of(vcpu)))
        allowed |= DEBUGCTL_FREEZE_PERFMON | DEBUGCTL_FREEZE_LBRS;
    if (v & ~allowed)
        return false;
    vcpu->arch.debugctl = v;
    return true;
}

/* ---- memory types ---- */

/* UC, WC, WT, WP, WB; PAT has UC- too. */
static bool is_memory_type(unsigned type, bool in_pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6) || (in_pat && type == 7);
}

static bool are_memory_types(uint64_t v, bool in_pat)
{
    for (unsigned i = 0; i < 8; i++)
        if (!is_memory_type(v >> (8 * i) & 0xff, in_pat))
            return false;
    return true;
}

static bool read_mtrr_var(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    *v = vcpu->arch.mtrr_var[msr - 0x200];
    return true;
}

static bool write_mtrr_var(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    const uint64_t address = low_mask(vcpu->run.phys_bits) & PAGE_MASK;
    bool is_mask = msr & 1;
    uint64_t allowed = is_mask ? address | BIT(11) : address | 0xff;
    if ((v & ~allowed) || (!is_mask && !is_memory_type(v & 0xff, false)))
        return false;
    vcpu->arch.mtrr_var[msr - 0x200] = v;
    return true;
}

/* 250H; 258H, 259H; 268H-26FH: 0, 1-2, 3-10. */
static unsigned mtrr_fixed_index(uint32_t msr)
{
    return msr == 0x250 ? 0 : msr < 0x260 ? msr - 0x258 + 1 : msr - 0x268 + 3;
}

static bool read_mtrr_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    *v = vcpu->arch.mtrr_fixed[mtrr_fixed_index(msr)];
    return true;
}

static bool write_mtrr_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if (!are_memory_types(v, false))
        return false;
    vcpu->arch.mtrr_fixed[mtrr_fixed_index(msr)] = v;
    return true;
}

static bool read_mtrr_def_type(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.mtrr_def_type;
    return true;
}

static bool write_mtrr_def_type(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if ((v & ~UINT64_C(0xcff)) || !is_memory_type(v & 0xff, false))
        return false;
    vcpu->arch.mtrr_def_type = v;
    return true;
}

static bool read_pat(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.pat;
    return true;
}

static bool write_pat(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if (!are_memory_types(v, true))
        return false;
    vcpu->arch.pat = v;
    return true;
}

/* ---- machine check ---- */

/* "All 1s or all 0s" (SDM Vol. 3B, "IA32_MCG_CTL MSR"). */
static bool is_all_or_nothing(uint64_t v)
{
    return v == 0 || v == UINT64_MAX;
}

static bool read_mcg_ctl(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.mcg_ctl;
    return true;
}

static bool write_mcg_ctl(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    if (!is_all_or_nothing(v))
        return false;
    vcpu->arch.mcg_ctl = v;
    return true;
}

static bool read_mc_bank(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    *v = vcpu->arch.mc_bank[msr - 0x400];
    return true;
}

/* CTL takes anything; STATUS, ADDR and MISC only 0 from software (SDM Vol. 3B, "IA32_MCi_STATUS
 * MSRS"). */
static bool write_mc_bank(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    if ((msr & 3) && v != 0)
        return false;
    vcpu->arch.mc_bank[msr - 0x400] = v;
    return true;
}

/* ---- 64-bit mode ---- */

static bool read_efer(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.efer;
    return cpu_model_efer(model_of(vcpu)) != 0;
}

/* LMA is the processor's; LME can't change while paging is on (SDM Vol. 3A, "Extended Feature
 * Enable Register"). */
static bool write_efer(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    struct cpu *cpu = &vcpu->arch;
    (void)msr;
    if (v & ~cpu_model_efer(model_of(vcpu)))
        return false;
    if ((cpu->cr0 & CR0_PG) && ((v ^ cpu->efer) & EFER_LME))
        return false;
    cpu->efer = (v & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    cpu_update_mmu(vcpu);
    return true;
}

static bool write_base(struct vcpu *vcpu, unsigned seg, uint64_t v)
{
    if (!is_canonical(v))
        return false;
    vcpu->arch.seg_base[seg] = v;
    segment_base_changed(vcpu, seg);
    return true;
}

static bool read_fs_base(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.seg_base[SEG_FS];
    return true;
}

static bool write_fs_base(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    return write_base(vcpu, SEG_FS, v);
}

static bool read_gs_base(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.seg_base[SEG_GS];
    return true;
}

static bool write_gs_base(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    return write_base(vcpu, SEG_GS, v);
}

/* SDM Vol. 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features": none of the supervisor
 * components is offered. */
static bool read_xss(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)msr;
    *v = vcpu->arch.xss;
    return vcpu->run.features[FEAT_XSAVES];
}

static bool write_xss(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)msr;
    return vcpu->run.features[FEAT_XSAVES] && v == 0;
}

/* ---- the table ---- */

enum msr_kind { MSR_KIND_FIELD, MSR_KIND_ADDRESS, MSR_KIND_CONST, MSR_KIND_CODE };

struct msr_row {
    const char *name;     /* the manual's */
    uint32_t first, last; /* numbers it stands for */
    uint8_t kind;         /* enum msr_kind */
    uint16_t needs;       /* feature without which there is none: enum cpuid_word << 8 | bit */
    bool is_ignored;      /* CONST: writes do nothing; else #GP(0) */
    size_t offset;        /* FIELD, ADDRESS: of the uint64_t in struct cpu */
    uint64_t value;       /* CONST: what it reads as; FIELD: writable bits */
    bool (*read)(struct vcpu *, uint32_t msr, uint64_t *v); /* CODE */
    bool (*write)(struct vcpu *, uint32_t msr, uint64_t v); /* CODE */
};

static const struct msr_row rows[] = {
#define MSR_FIELD(number, name_, needs_, field, writable)                                          \
    {.name = #name_,                                                                               \
     .first = (number),                                                                            \
     .last = (number),                                                                             \
     .kind = MSR_KIND_FIELD,                                                                       \
     .needs = (needs_),                                                                            \
     .offset = offsetof(struct cpu, field),                                                        \
     .value = (writable)},
#define MSR_ADDRESS(number, name_, needs_, field)                                                  \
    {.name = #name_,                                                                               \
     .first = (number),                                                                            \
     .last = (number),                                                                             \
     .kind = MSR_KIND_ADDRESS,                                                                     \
     .needs = (needs_),                                                                            \
     .offset = offsetof(struct cpu, field)},
#define MSR_CONST(number, name_, needs_, value_, on_write)                                         \
    {.name = #name_,                                                                               \
     .first = (number),                                                                            \
     .last = (number),                                                                             \
     .kind = MSR_KIND_CONST,                                                                       \
     .needs = (needs_),                                                                            \
     .value = (value_),                                                                            \
     .is_ignored = (on_write)},
#define MSR_BLOCK(first_, last_, name_, needs_, reader, writer)                                    \
    {.name = #name_,                                                                               \
     .first = (first_),                                                                            \
     .last = (last_),                                                                              \
     .kind = MSR_KIND_CODE,                                                                        \
     .needs = (needs_),                                                                            \
     .read = read_##reader,                                                                        \
     .write = write_##writer},
#define MSR_CODE(number, name_, needs_, reader, writer)                                            \
    MSR_BLOCK(number, number, name_, needs_, reader, writer)
#include "cpu/msr.def"
#undef MSR_FIELD
#undef MSR_ADDRESS
#undef MSR_CONST
#undef MSR_BLOCK
#undef MSR_CODE
};

/* The row of a number, by bisection; NULL: there is none on any model. */
static const struct msr_row *find_row(uint32_t msr)
{
    size_t low = 0, high = ARRAY_SIZE(rows);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (msr > rows[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ARRAY_SIZE(rows) && msr >= rows[low].first ? &rows[low] : NULL;
}

static uint64_t *field_of(struct vcpu *vcpu, const struct msr_row *row)
{
    return (uint64_t *)(void *)((char *)&vcpu->arch + row->offset);
}

/* NULL: this model has none. */
static const struct msr_row *row_of(struct vcpu *vcpu, uint32_t msr)
{
    const struct msr_row *row = find_row(msr);
    if (!row || !cpu_model_has(model_of(vcpu), (enum cpuid_word)(row->needs >> 8), row->needs & 31))
        return NULL;
    return row;
}

static bool msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    const struct msr_row *row = row_of(vcpu, msr);
    if (!row)
        return false;
    switch (row->kind) {
    case MSR_KIND_CONST:
        *v = row->value;
        return true;
    case MSR_KIND_CODE:
        return row->read(vcpu, msr, v);
    default:
        *v = *field_of(vcpu, row);
        return true;
    }
}

bool emulate_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    const struct msr_row *row = row_of(vcpu, msr);
    if (!row)
        return false;
    switch (row->kind) {
    case MSR_KIND_CONST:
        return row->is_ignored;
    case MSR_KIND_CODE:
        return row->write(vcpu, msr, v);
    default:
        if (row->kind == MSR_KIND_FIELD ? (v & ~row->value) != 0 : !is_canonical(v))
            return false;
        *field_of(vcpu, row) = v;
        return true;
    }
}

/* RDMSR.  SDM Vol. 2B, "RDMSR". */
enum sens_result emulate_rdmsr(struct vcpu *vcpu, const struct insn *in)
{
    uint32_t msr = (uint32_t)vcpu->arch.gpr[REG_RCX];
    uint64_t v = 0;
    (void)in;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    if (!msr_read(vcpu, msr, &v)) {
        guest_error(vcpu->run.trace, "cpu", "RDMSR of a register that does not exist");
        return fail_gp0(vcpu);
    }
    trace_point(vcpu->run.trace, TRACE_msr_read, "cpu", msr, v, 0, 0);
    gpr_set_pair(vcpu, v);
    return SENS_NEXT;
}

/* WRMSR.  SDM Vol. 2D, "WRMSR". */
enum sens_result emulate_wrmsr(struct vcpu *vcpu, const struct insn *in)
{
    uint32_t msr = (uint32_t)vcpu->arch.gpr[REG_RCX], old_mode = vcpu->run.mode;
    uint64_t v = gpr_pair(vcpu);
    (void)in;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    trace_point(vcpu->run.trace, TRACE_msr_write, "cpu", msr, v, 0, 0);
    if (!emulate_msr_write(vcpu, msr, v)) {
        guest_error(vcpu->run.trace, "cpu",
                    "WRMSR to a register that does not exist, or of a reserved value");
        return fail_gp0(vcpu);
    }
    return msr == 0xc0000080 ? SENS_END : next_unless_mode_changed(vcpu, old_mode);
}
