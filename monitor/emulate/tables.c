/* SPDX-License-Identifier: MIT */
/* Descriptor-table registers: LGDT SGDT LIDT SIDT LLDT SLDT LTR STR. */
#include "base/endian.h"
#include "monitor/emulate/descriptor.h"

/* CR4.UMIP makes the stores privileged (SDM Vol. 3A, "User-Mode Instruction Prevention"). */
static bool umip_forbids(const struct vcpu *vcpu)
{
    return (vcpu->arch.cr4 & CR4_UMIP) && vcpu->arch.cpl > 0;
}

/* The pseudo-descriptor: limit and base, 10 bytes in 64-bit mode, else 6; 16-bit operands load 24
 * bits of base. */
static bool load_pseudo_descriptor(struct vcpu *vcpu, const struct insn *in, uint64_t *base,
                                   uint16_t *limit)
{
    unsigned base_size = is_code64(vcpu) ? 8 : 4;
    uint8_t b[10];
    if (vcpu->arch.cpl != 0)
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!seg_read(vcpu, in->seg, insn_ea(vcpu, in), b, 2 + base_size))
        return false;
    uint64_t v = le_load(b + 2, base_size);
    if (base_size == 4 && in->opsize == 2)
        v &= 0xffffff;
    if (!is_canonical(v))
        return raise_fault_code(vcpu, EXC_GP, 0);
    *base = v;
    *limit = le16_load(b);
    return true;
}

/* LGDT, LIDT.  SDM Vol. 2A, "LGDT/LIDT". */
enum sens_result emulate_lgdt(struct vcpu *vcpu, const struct insn *in)
{
    return next_or_fault(
        load_pseudo_descriptor(vcpu, in, &vcpu->arch.gdtr_base, &vcpu->arch.gdtr_limit));
}

enum sens_result emulate_lidt(struct vcpu *vcpu, const struct insn *in)
{
    return next_or_fault(
        load_pseudo_descriptor(vcpu, in, &vcpu->arch.idtr_base, &vcpu->arch.idtr_limit));
}

/* SGDT, SIDT.  SDM Vol. 2B, "SGDT", "SIDT": the whole base whatever the operand size, as current
 * processors store it. */
static enum sens_result store_pseudo_descriptor(struct vcpu *vcpu, const struct insn *in,
                                                uint64_t base, uint16_t limit)
{
    unsigned base_size = is_code64(vcpu) ? 8 : 4;
    uint8_t b[10];
    if (umip_forbids(vcpu))
        return fail_gp0(vcpu);
    le16_store(b, limit);
    le_store(b + 2, base, base_size);
    return next_or_fault(seg_write(vcpu, in->seg, insn_ea(vcpu, in), b, 2 + base_size));
}

enum sens_result emulate_sgdt(struct vcpu *vcpu, const struct insn *in)
{
    return store_pseudo_descriptor(vcpu, in, vcpu->arch.gdtr_base, vcpu->arch.gdtr_limit);
}

enum sens_result emulate_sidt(struct vcpu *vcpu, const struct insn *in)
{
    return store_pseudo_descriptor(vcpu, in, vcpu->arch.idtr_base, vcpu->arch.idtr_limit);
}

/* SLDT, STR.  SDM Vol. 2B, "SLDT", "STR". */
static enum sens_result store_selector(struct vcpu *vcpu, const struct insn *in, unsigned seg)
{
    if (has_plain_segments(vcpu))
        return fail(vcpu, EXC_UD);
    if (umip_forbids(vcpu))
        return fail_gp0(vcpu);
    return next_or_fault(insn_write(vcpu, in, 0, vcpu->arch.seg_sel[seg]));
}

enum sens_result emulate_sldt(struct vcpu *vcpu, const struct insn *in)
{
    return store_selector(vcpu, in, SEG_LDTR);
}

enum sens_result emulate_str(struct vcpu *vcpu, const struct insn *in)
{
    return store_selector(vcpu, in, SEG_TR);
}

/* The operand of LLDT and LTR. False: run.fault. */
static bool system_selector(struct vcpu *vcpu, const struct insn *in, uint16_t *sel)
{
    uint64_t v;
    if (has_plain_segments(vcpu))
        return raise_fault(vcpu, EXC_UD);
    if (vcpu->arch.cpl != 0)
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!insn_read(vcpu, in, 0, &v))
        return false;
    *sel = (uint16_t)v;
    return true;
}

/* The GDT descriptor that LLDT or LTR names, of one of the types in the set, present. False:
 * run.fault. */
static bool system_descriptor(struct vcpu *vcpu, uint16_t sel, uint32_t types, struct descriptor *d)
{
    if (sel & 4)
        return raise_fault_code(vcpu, EXC_GP, selector_error(sel, 0));
    if (!descriptor_fetch(vcpu, sel, EXC_GP, 0, d))
        return false;
    if ((d->attr & ATTR_S) || !(types >> (d->attr & ATTR_TYPE) & 1))
        return raise_fault_code(vcpu, EXC_GP, selector_error(sel, 0));
    if (!(d->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(sel, 0));
    if (!descriptor_extend(vcpu, d, EXC_GP, 0))
        return false;
    if (!is_canonical(d->base))
        return raise_fault_code(vcpu, EXC_GP, selector_error(sel, 0));
    return true;
}

/* LLDT.  SDM Vol. 2A, "LLDT". */
enum sens_result emulate_lldt(struct vcpu *vcpu, const struct insn *in)
{
    struct descriptor d;
    uint16_t sel;
    if (!system_selector(vcpu, in, &sel))
        return SENS_FAULT;
    if (selector_is_null(sel)) {
        segment_commit_null(vcpu, SEG_LDTR, sel, 0);
        return SENS_NEXT;
    }
    if (!system_descriptor(vcpu, sel, 1u << TYPE_LDT, &d))
        return SENS_FAULT;
    segment_commit(vcpu, SEG_LDTR, sel, &d);
    return SENS_NEXT;
}

/* LTR.  SDM Vol. 2A, "LTR". */
enum sens_result emulate_ltr(struct vcpu *vcpu, const struct insn *in)
{
    uint32_t types = 1u << TYPE_TSS32 | (is_long_mode(vcpu) ? 0 : 1u << TYPE_TSS16);
    struct descriptor d;
    uint16_t sel;
    if (!system_selector(vcpu, in, &sel))
        return SENS_FAULT;
    if (selector_is_null(sel))
        return fail_gp0(vcpu);
    if (!system_descriptor(vcpu, sel, types, &d) || !descriptor_set_busy(vcpu, &d, true))
        return SENS_FAULT;
    segment_commit(vcpu, SEG_TR, sel, &d);
    return SENS_NEXT;
}
