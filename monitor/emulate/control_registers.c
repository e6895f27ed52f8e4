/* SPDX-License-Identifier: MIT */
/* Control registers: MOV CR, LMSW, SMSW, CLTS (SDM Vol. 3A, "Control Registers"). */
#include "cpu/cpuid.h"
#include "cpu/jit/lowering.h"
#include "monitor/emulate/descriptor.h"

#define CR0_WRITABLE                                                                               \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* Would a control-register state use PAE paging with its PDPTE registers? */
static bool uses_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

static bool load_pdptes(struct vcpu *vcpu, uint64_t cr3, uint64_t pdpte[4])
{
    if (mmu_load_pdptes(vcpu->run.pm, mmu_a20(&vcpu->run.mmu, cr3), vcpu->run.phys_bits, pdpte))
        return true;
    return raise_fault_code(vcpu, EXC_GP, 0);
}

static void commit_pdptes(struct vcpu *vcpu, const uint64_t pdpte[4])
{
    for (int i = 0; i < 4; i++)
        vcpu->arch.pdpte[i] = pdpte[i];
}

/* ---- CR0 ---- */

/* Paging is being turned on with EFER.LME: SDM Vol. 3A, "Initializing IA-32e Mode". False: #GP(0).
 */
static bool may_activate_long_mode(const struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    unsigned tr = attr_system_type(cpu->seg_attr[SEG_TR]);
    bool is_tss16 =
        !(cpu->seg_attr[SEG_TR] & ATTR_UNUSABLE) && (tr == TYPE_TSS16 || tr == TYPE_TSS16_BUSY);
    return (cpu->cr4 & CR4_PAE) && !(cpu->seg_attr[SEG_CS] & ATTR_L) && !is_tss16;
}

static bool cr0_is_valid(const struct vcpu *vcpu, uint64_t new)
{
    const struct cpu *cpu = &vcpu->arch;
    bool turns_on = (new & ~cpu->cr0) & CR0_PG, turns_off = (cpu->cr0 & ~new) & CR0_PG;
    if (((new &CR0_PG) && !(new &CR0_PE)) || ((new &CR0_NW) && !(new &CR0_CD)))
        return false;
    if (turns_on && (cpu->efer & EFER_LME) && !may_activate_long_mode(vcpu))
        return false;
    return !turns_off || !(is_code64(vcpu) || (cpu->cr4 & CR4_PCIDE));
}

/* Write CR0, whose reserved bits are already clear. False: run.fault. */
static bool write_cr0(struct vcpu *vcpu, uint64_t new)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t changed = cpu->cr0 ^ new, efer = cpu->efer, pdpte[4];
    const uint64_t reload = CR0_PG | CR0_CD | CR0_NW;
    if (!cr0_is_valid(vcpu, new))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (changed & CR0_PG)
        efer = (new &CR0_PG) && (efer & EFER_LME) ? efer | EFER_LMA : efer & ~EFER_LMA;
    if ((changed & reload) && uses_pdptes(new, cpu->cr4, efer)) {
        if (!load_pdptes(vcpu, cpu->cr3, pdpte))
            return false;
        commit_pdptes(vcpu, pdpte);
    }
    cpu->cr0 = new;
    cpu->efer = efer;
    if (changed & (CR0_PG | CR0_WP | CR0_PE | CR0_CD | CR0_NW))
        cpu_update_mmu(vcpu);
    else
        cpu_update_mode(vcpu);
    return true;
}

/* ---- CR3 ---- */

/* The bits of CR3 that must be 0. Bit 63 asks for no flush with PCIDs and is not stored. */
static bool write_cr3(struct vcpu *vcpu, uint64_t new)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t pdpte[4];
    bool is_kept = (cpu->cr4 & CR4_PCIDE) && (new &BIT(63));
    if (cpu->cr4 & CR4_PCIDE)
        new &= ~BIT(63);
    if (is_long_mode(vcpu) && (new & ~low_mask(vcpu->run.phys_bits)))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (uses_pdptes(cpu->cr0, cpu->cr4, cpu->efer)) {
        if (!load_pdptes(vcpu, new, pdpte))
            return false;
        commit_pdptes(vcpu, pdpte);
    }
    cpu->cr3 = new;
    cpu_update_mmu(vcpu);
    mmu_cr3_loaded(&vcpu->run.mmu, is_kept);
    return true;
}

/* ---- CR4 ---- */

static bool cr4_is_valid(struct vcpu *vcpu, uint64_t new)
{
    const struct cpu *cpu = &vcpu->arch;
    uint64_t sets = new & ~cpu->cr4;
    if (new & ~cpu_model_cr4(emulate_host(vcpu)->model(vcpu)))
        return false;
    if (is_long_mode(vcpu) && !(new &CR4_PAE))
        return false;
    return !(sets & CR4_PCIDE) || (is_long_mode(vcpu) && !(cpu->cr3 & 0xfff));
}

static bool write_cr4(struct vcpu *vcpu, uint64_t new)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t changed = cpu->cr4 ^ new, pdpte[4];
    const uint64_t reload = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;
    const uint64_t walk = reload | CR4_SMAP | CR4_PCIDE | CR4_PKE;
    if (!cr4_is_valid(vcpu, new))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if ((changed & reload) && uses_pdptes(cpu->cr0, new, cpu->efer)) {
        if (!load_pdptes(vcpu, cpu->cr3, pdpte))
            return false;
        commit_pdptes(vcpu, pdpte);
    }
    cpu->cr4 = new;
    if (changed & walk)
        cpu_update_mmu(vcpu);
    else
        cpu_update_mode(vcpu);
    return true;
}

/* ---- MOV CR ---- */

static bool cr_exists(const struct vcpu *vcpu, unsigned cr)
{
    return cr == 0 || (cr >= 2 && cr <= 4) || (cr == 8 && is_code64(vcpu));
}

static uint64_t read_cr(struct vcpu *vcpu, unsigned cr)
{
    switch (cr) {
    case 0:
        return vcpu->arch.cr0;
    case 2:
        return vcpu->arch.cr2;
    case 3:
        return vcpu->arch.cr3;
    case 4:
        return vcpu->arch.cr4;
    default:
        return emulate_host(vcpu)->cr8_read(vcpu);
    }
}

static bool write_cr(struct vcpu *vcpu, unsigned cr, uint64_t v)
{
    trace_point(vcpu->run.trace, TRACE_cr_write, "cpu", cr, v, vcpu->arch.rip, 0);
    switch (cr) {
    case 0:
        if (v >> 32)
            return raise_fault_code(vcpu, EXC_GP, 0);
        return write_cr0(vcpu, (v & CR0_WRITABLE) | CR0_ET);
    case 2:
        vcpu->arch.cr2 = v;
        return true;
    case 3:
        return write_cr3(vcpu, v);
    case 4:
        return write_cr4(vcpu, v);
    default:
        if (v > 15)
            return raise_fault_code(vcpu, EXC_GP, 0);
        emulate_host(vcpu)->cr8_write(vcpu, v);
        return true;
    }
}

/* MOV to and from control registers.  SDM Vol. 2B, "MOV - Move to/from Control Registers". */
enum sens_result emulate_mov_cr(struct vcpu *vcpu, const struct insn *in)
{
    bool is_write = in->operands[0].kind == OPND_CR;
    unsigned cr = in->operands[is_write ? 0 : 1].reg;
    uint64_t v;
    if (!cr_exists(vcpu, cr))
        return fail(vcpu, EXC_UD);
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    if (!is_write)
        return next_or_fault(insn_write(vcpu, in, 0, read_cr(vcpu, cr)));
    if (!insn_read(vcpu, in, 1, &v) || !write_cr(vcpu, cr, v))
        return SENS_FAULT;
    return cr == 2 ? SENS_NEXT : SENS_END;
}

static const size_t cr_fields[5] = {[0] = offsetof(struct vcpu, arch.cr0),
                                    [2] = offsetof(struct vcpu, arch.cr2),
                                    [3] = offsetof(struct vcpu, arch.cr3),
                                    [4] = offsetof(struct vcpu, arch.cr4)};

/* From a register that is a field, at CPL 0. */
bool lower_mov_cr(struct lowering *l, const struct insn *in)
{
    const struct operand *to = &in->operands[0], *from = &in->operands[1];
    if (to->kind != OPND_GPR || from->reg >= ARRAY_SIZE(cr_fields) || !cr_fields[from->reg])
        return false;
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cpl), 1, 0xff);
    lowering_take(l, cr_fields[from->reg], 8);
    lowering_give_gpr(l, to->reg, to->size);
    return true;
}

/* LMSW.  SDM Vol. 2A, "LMSW": the low four bits; PE can be set but not cleared. */
enum sens_result emulate_lmsw(struct vcpu *vcpu, const struct insn *in)
{
    const uint64_t msw = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
    uint64_t v;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    if (!insn_read(vcpu, in, 0, &v))
        return SENS_FAULT;
    v = (v & msw) | (vcpu->arch.cr0 & CR0_PE);
    return write_cr0(vcpu, (vcpu->arch.cr0 & ~msw) | v) ? SENS_END : SENS_FAULT;
}

/* SMSW.  SDM Vol. 2B, "SMSW": a register gets as much of CR0 as the operand size holds, memory 16
 * bits. */
enum sens_result emulate_smsw(struct vcpu *vcpu, const struct insn *in)
{
    if ((vcpu->arch.cr4 & CR4_UMIP) && vcpu->arch.cpl > 0)
        return fail_gp0(vcpu);
    return next_or_fault(insn_write(vcpu, in, 0, vcpu->arch.cr0));
}

/* CLTS.  SDM Vol. 2A, "CLTS". */
enum sens_result emulate_clts(struct vcpu *vcpu, const struct insn *in)
{
    uint32_t old_mode = vcpu->run.mode;
    (void)in;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    vcpu->arch.cr0 &= ~CR0_TS;
    cpu_update_mode(vcpu);
    return next_unless_mode_changed(vcpu, old_mode);
}
