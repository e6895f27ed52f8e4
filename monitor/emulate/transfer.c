/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/transfer.h"

#include "base/endian.h"

bool transfer_is_code64(const struct vcpu *vcpu, const struct descriptor *cs)
{
    return is_long_mode(vcpu) && (cs->attr & ATTR_L);
}

bool transfer_check_rip(struct vcpu *vcpu, const struct descriptor *cs, uint64_t rip, uint32_t ext)
{
    if (transfer_is_code64(vcpu, cs) ? is_canonical(rip) : rip <= cs->limit)
        return true;
    return raise_fault_code(vcpu, EXC_GP, ext);
}

bool transfer_check_target(struct vcpu *vcpu, const struct descriptor *cs, uint64_t rip,
                           uint32_t ext, const struct stack *s, unsigned n, unsigned size)
{
    if (likely(transfer_check_rip(vcpu, cs, rip, ext)))
        return true;
    return stack_has_room(vcpu, s, n, size) && transfer_check_rip(vcpu, cs, rip, ext);
}

void transfer_load_sp(struct vcpu *vcpu, const struct descriptor *cs, const struct descriptor *ss,
                      bool is_null, uint64_t sp)
{
    if (transfer_is_code64(vcpu, cs))
        vcpu->arch.gpr[REG_RSP] = sp;
    else
        gpr_set(vcpu, REG_RSP, !is_null && (ss->attr & ATTR_DB) ? 4 : 2, sp);
}

bool transfer_check_long(struct vcpu *vcpu, const struct descriptor *cs, uint32_t ext)
{
    if (is_long_mode(vcpu) && (cs->attr & (ATTR_L | ATTR_DB)) == (ATTR_L | ATTR_DB))
        return raise_fault_code(vcpu, EXC_GP, selector_error(cs->sel, ext));
    return true;
}

bool transfer_check_return(struct vcpu *vcpu, uint16_t sel, struct descriptor *cs)
{
    unsigned rpl = sel & 3u;
    if (selector_is_null(sel))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!descriptor_fetch(vcpu, sel, EXC_GP, 0, cs))
        return false;
    unsigned dpl = attr_dpl(cs->attr);
    bool dpl_ok = attr_is_conforming(cs->attr) ? dpl <= rpl : dpl == rpl;
    if (!attr_is_code(cs->attr) || rpl < vcpu->arch.cpl || !dpl_ok)
        return raise_fault_code(vcpu, EXC_GP, selector_error(sel, 0));
    if (!transfer_check_long(vcpu, cs, 0))
        return false;
    if (!(cs->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(sel, 0));
    return descriptor_set_accessed(vcpu, cs);
}

bool transfer_check_return_stack(struct vcpu *vcpu, uint16_t sel, unsigned rpl, bool is_code64,
                                 struct descriptor *ss, bool *is_null)
{
    *is_null = selector_is_null(sel);
    if (*is_null) {
        if (is_code64 && rpl != 3 && (sel & 3u) == rpl)
            return true;
        return raise_fault_code(vcpu, EXC_GP, 0);
    }
    return segment_check_stack(vcpu, sel, rpl, EXC_GP, 0, ss);
}

/* len bytes at off of the current TSS; beyond its limit is #TS(TR). */
static bool tss_read(struct vcpu *vcpu, uint32_t off, uint8_t *b, unsigned len, uint32_t ext)
{
    const struct cpu *cpu = &vcpu->arch;
    if ((cpu->seg_attr[SEG_TR] & ATTR_UNUSABLE) || off + len - 1 > cpu->seg_limit[SEG_TR])
        return raise_fault_code(vcpu, EXC_TS, selector_error(cpu->seg_sel[SEG_TR], ext));
    return system_read(vcpu, cpu->seg_base[SEG_TR] + off, b, len);
}

bool transfer_inner_stack(struct vcpu *vcpu, unsigned cpl, uint32_t ext, struct descriptor *ss,
                          struct stack *s)
{
    bool is_32 = attr_system_type(vcpu->arch.seg_attr[SEG_TR]) & 8;
    uint32_t off = is_32 ? 4 + 8 * cpl : 2 + 4 * cpl;
    unsigned size = is_32 ? 4 : 2;
    uint8_t b[6];
    if (!tss_read(vcpu, off, b, size + 2, ext))
        return false;
    uint16_t sel = le16_load(b + size);
    if (selector_is_null(sel))
        return raise_fault_code(vcpu, EXC_TS, selector_error(sel, ext));
    if (!segment_check_stack(vcpu, sel, cpl, EXC_TS, ext, ss))
        return false;
    *s = stack_for(vcpu, ss, le_load(b, size), cpl, selector_error(sel, ext));
    return true;
}

bool transfer_inner_rsp(struct vcpu *vcpu, unsigned cpl, unsigned ist, uint32_t ext, uint64_t *rsp)
{
    uint32_t off = ist ? 36 + 8 * (ist - 1) : 4 + 8 * cpl;
    uint8_t b[8];
    if (!tss_read(vcpu, off, b, sizeof(b), ext))
        return false;
    *rsp = le64_load(b);
    return is_canonical(*rsp) || raise_fault_code(vcpu, EXC_SS, ext);
}

void transfer_fault_there(struct vcpu *vcpu)
{
    struct run *run = &vcpu->run;
    if (run->in_block) /* the engine takes a fault's RIP from the record */
        run->insn_base = vcpu->arch.rip - run->rec->off;
}

bool transfer_virtual_interrupt(struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    if (likely((cpu->rflags & (F_VIF | F_VIP)) != (F_VIF | F_VIP)) || iopl(vcpu) == 3)
        return false;
    if (!(is_vm86(vcpu) ? cpu->cr4 & CR4_VME : (cpu->cr4 & CR4_PVI) && cpu->cpl == 3))
        return false;
    raise_fault_code(vcpu, EXC_GP, 0);
    return true;
}

void transfer_enter(struct vcpu *vcpu, const struct descriptor *cs, unsigned cpl, uint64_t rip)
{
    segment_commit(vcpu, SEG_CS, (uint16_t)((cs->sel & 0xfffcu) | cpl), cs);
    vcpu->arch.cpl = (uint8_t)cpl;
    vcpu->arch.rip = rip;
}
