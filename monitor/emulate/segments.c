/* SPDX-License-Identifier: MIT */
/* Segment registers and descriptor queries: MOV/PUSH/POP Sreg, LDS.., LAR LSL VERR VERW ARPL, FS
 * and GS bases. */
#include "base/endian.h"
#include "cpu/jit/lowering.h"
#include "monitor/emulate/descriptor.h"
#include "monitor/emulate/stack.h"

/* After a segment register was loaded: MOV SS and POP SS hold off events for one instruction. */
static enum sens_result loaded_segment(struct vcpu *vcpu, unsigned seg)
{
    uint32_t old_mode = vcpu->run.mode;
    cpu_update_segment(vcpu, seg);
    if (seg == SEG_SS) {
        vcpu->arch.int_shadow = SHADOW_MOV_SS;
        return SENS_END;
    }
    return next_unless_mode_changed(vcpu, old_mode);
}

/* MOV Sreg.  SDM Vol. 2B, "MOV". */
enum sens_result emulate_mov_sreg(struct vcpu *vcpu, const struct insn *in)
{
    unsigned to = in->operands[0].reg, from = in->operands[1].reg;
    uint64_t sel;
    if (in->operands[0].kind != OPND_SREG) {
        if (from > SEG_GS)
            return fail(vcpu, EXC_UD);
        return next_or_fault(insn_write(vcpu, in, 0, vcpu->arch.seg_sel[from]));
    }
    if (to == SEG_CS || to > SEG_GS)
        return fail(vcpu, EXC_UD);
    if (in->operands[1].kind == OPND_GPR)
        sel = vcpu->arch.gpr[from];
    else if (!insn_read(vcpu, in, 1, &sel))
        return SENS_FAULT;
    if (!segment_load(vcpu, to, (uint16_t)sel))
        return SENS_FAULT;
    return loaded_segment(vcpu, to);
}

static size_t selector_offset(const struct operand *o)
{
    return offsetof(struct vcpu, arch.seg_sel) + o->reg * sizeof(uint16_t);
}

/* To a general-purpose register. */
bool lower_mov_sreg(struct lowering *l, const struct insn *in)
{
    const struct operand *to = &in->operands[0], *from = &in->operands[1];
    if (to->kind != OPND_GPR || from->reg > SEG_GS)
        return false;
    lowering_take(l, selector_offset(from), 2);
    lowering_give_gpr(l, to->reg, to->size);
    return true;
}

/*
 * PUSH Sreg.  SDM Vol. 2B, "PUSH": with a 32-bit operand size "all recent Intel Core and Intel Atom
 * processors perform a 16-bit move, leaving the upper portion of the stack location unmodified".
 */
enum sens_result emulate_push_sreg(struct vcpu *vcpu, const struct insn *in)
{
    uint64_t sel = vcpu->arch.seg_sel[in->operands[0].reg];
    struct stack s = stack_current(vcpu);
    if (in->opsize == 4)
        s.sp -= 2;
    if (!stack_push_frame(vcpu, &s, &sel, 1, in->opsize == 4 ? 2 : in->opsize))
        return SENS_FAULT;
    stack_commit(vcpu, &s);
    return SENS_NEXT;
}

bool lower_push_sreg(struct lowering *l, const struct insn *in)
{
    if (!lowering_has_stack(l, in->opsize))
        return false;
    lowering_take(l, selector_offset(&in->operands[0]), 2);
    lowering_push(l, in->opsize == 4 ? 2 : in->opsize);
    return true;
}

/* POP Sreg.  SDM Vol. 2B, "POP": rSP moves only if the load succeeds, by the size of the old stack.
 */
enum sens_result emulate_pop_sreg(struct vcpu *vcpu, const struct insn *in)
{
    unsigned seg = in->operands[0].reg;
    struct stack s = stack_current(vcpu);
    uint64_t sel;
    if (!stack_read_frame(vcpu, &s, 0, &sel, 1, in->opsize) ||
        !segment_load(vcpu, seg, (uint16_t)sel))
        return SENS_FAULT;
    s.sp += in->opsize;
    stack_commit(vcpu, &s);
    return loaded_segment(vcpu, seg);
}

static unsigned far_pointer_segment(unsigned op)
{
    switch (op) {
    case OP_LES:
        return SEG_ES;
    case OP_LDS:
        return SEG_DS;
    case OP_LSS:
        return SEG_SS;
    case OP_LFS:
        return SEG_FS;
    default:
        return SEG_GS;
    }
}

/* LDS, LES, LFS, LGS, LSS.  SDM Vol. 2A, "LDS/LES/LFS/LGS/LSS". LSS has no shadow. */
enum sens_result emulate_load_far_pointer(struct vcpu *vcpu, const struct insn *in)
{
    unsigned seg = far_pointer_segment(in->op), size = in->opsize;
    uint32_t old_mode = vcpu->run.mode;
    uint64_t off;
    uint16_t sel;
    if (!insn_read_far(vcpu, in, &off, &sel) || !segment_load(vcpu, seg, sel))
        return SENS_FAULT;
    gpr_set(vcpu, in->operands[0].reg, size, off);
    cpu_update_segment(vcpu, seg);
    return next_unless_mode_changed(vcpu, old_mode);
}

/* ---- queries ---- */

static void set_zf(struct vcpu *vcpu, bool zf)
{
    uint32_t f = flags_status(vcpu);
    flags_set_status(vcpu, zf ? f | F_ZF : f & ~(uint32_t)F_ZF);
}

enum query { QUERY_NO, QUERY_YES, QUERY_FAULT };

/* The descriptor that operand 1 (or 0) names, if it exists and the privilege checks of LAR, LSL,
 * VERR, VERW let it be seen. */
static enum query query_descriptor(struct vcpu *vcpu, const struct insn *in, unsigned operand,
                                   struct descriptor *d)
{
    uint64_t v;
    if (has_plain_segments(vcpu)) {
        raise_fault(vcpu, EXC_UD);
        return QUERY_FAULT;
    }
    if (!insn_read(vcpu, in, operand, &v))
        return QUERY_FAULT;
    uint16_t sel = (uint16_t)v;
    if (selector_is_null(sel))
        return QUERY_NO;
    enum lookup found = descriptor_lookup(vcpu, sel, d);
    if (found != LOOKUP_OK)
        return found == LOOKUP_FAULT ? QUERY_FAULT : QUERY_NO;
    unsigned dpl = attr_dpl(d->attr);
    bool is_visible = attr_is_conforming(d->attr) || (vcpu->arch.cpl <= dpl && (sel & 3u) <= dpl);
    return is_visible ? QUERY_YES : QUERY_NO;
}

/* Bit t of the sets is set when system type t is valid (SDM Vol. 2A, "LAR", "LSL": table of types).
 */
static bool type_in(const struct vcpu *vcpu, uint32_t attr, uint32_t legacy, uint32_t long_mode)
{
    uint32_t set = is_long_mode(vcpu) ? long_mode : legacy;
    return (attr & ATTR_S) || (set >> (attr & ATTR_TYPE) & 1);
}

/* LAR.  SDM Vol. 2A, "LAR - Load Access Rights Byte". */
enum sens_result emulate_lar(struct vcpu *vcpu, const struct insn *in)
{
    struct descriptor d;
    enum query q = query_descriptor(vcpu, in, 1, &d);
    if (q == QUERY_FAULT)
        return SENS_FAULT;
    bool ok = q == QUERY_YES && type_in(vcpu, d.attr, 0x1a3e, 0x1a04);
    if (ok)
        gpr_set(vcpu, in->operands[0].reg, in->opsize, d.raw >> 32 & 0xffff00);
    set_zf(vcpu, ok);
    return SENS_NEXT;
}

/* LSL.  SDM Vol. 2A, "LSL - Load Segment Limit". */
enum sens_result emulate_lsl(struct vcpu *vcpu, const struct insn *in)
{
    struct descriptor d;
    enum query q = query_descriptor(vcpu, in, 1, &d);
    if (q == QUERY_FAULT)
        return SENS_FAULT;
    bool ok = q == QUERY_YES && type_in(vcpu, d.attr, 0x0a0e, 0x0a04);
    if (ok)
        gpr_set(vcpu, in->operands[0].reg, in->opsize, d.limit);
    set_zf(vcpu, ok);
    return SENS_NEXT;
}

/* VERR, VERW.  SDM Vol. 2C, "VERR/VERW". */
enum sens_result emulate_verr(struct vcpu *vcpu, const struct insn *in)
{
    struct descriptor d;
    enum query q = query_descriptor(vcpu, in, 0, &d);
    if (q == QUERY_FAULT)
        return SENS_FAULT;
    set_zf(vcpu,
           q == QUERY_YES && (d.attr & ATTR_S) && (!(d.attr & ATTR_CODE) || (d.attr & ATTR_RW)));
    return SENS_NEXT;
}

enum sens_result emulate_verw(struct vcpu *vcpu, const struct insn *in)
{
    struct descriptor d;
    enum query q = query_descriptor(vcpu, in, 0, &d);
    if (q == QUERY_FAULT)
        return SENS_FAULT;
    set_zf(vcpu, q == QUERY_YES && attr_is_writable_data(d.attr));
    return SENS_NEXT;
}

/* ARPL.  SDM Vol. 2A, "ARPL - Adjust RPL Field of Segment Selector". */
enum sens_result emulate_arpl(struct vcpu *vcpu, const struct insn *in)
{
    uint64_t dest, src;
    if (has_plain_segments(vcpu))
        return fail(vcpu, EXC_UD);
    if (!insn_read(vcpu, in, 0, &dest) || !insn_read(vcpu, in, 1, &src))
        return SENS_FAULT;
    bool raise = (dest & 3) < (src & 3);
    if (raise && !insn_write(vcpu, in, 0, (dest & 0xfffc) | (src & 3)))
        return SENS_FAULT;
    set_zf(vcpu, raise);
    return SENS_NEXT;
}

/* ---- FS and GS bases ---- */

/* RDFSBASE, RDGSBASE.  SDM Vol. 2B, "RDFSBASE/RDGSBASE": 64-bit mode only, which the table sees to.
 */
static enum sens_result read_base(struct vcpu *vcpu, const struct insn *in, unsigned seg)
{
    if (!(vcpu->arch.cr4 & CR4_FSGSBASE))
        return fail(vcpu, EXC_UD);
    gpr_set(vcpu, in->operands[0].reg, in->operands[0].size, vcpu->arch.seg_base[seg]);
    return SENS_NEXT;
}

static enum sens_result write_base(struct vcpu *vcpu, const struct insn *in, unsigned seg)
{
    uint64_t v;
    if (!(vcpu->arch.cr4 & CR4_FSGSBASE))
        return fail(vcpu, EXC_UD);
    if (!insn_read(vcpu, in, 0, &v))
        return SENS_FAULT;
    if (!is_canonical(v))
        return fail_gp0(vcpu);
    vcpu->arch.seg_base[seg] = v;
    segment_base_changed(vcpu, seg);
    return SENS_NEXT;
}

enum sens_result emulate_rdfsbase(struct vcpu *vcpu, const struct insn *in)
{
    return read_base(vcpu, in, SEG_FS);
}

enum sens_result emulate_rdgsbase(struct vcpu *vcpu, const struct insn *in)
{
    return read_base(vcpu, in, SEG_GS);
}

/* With CR4.FSGSBASE. */
static bool lower_read_base(struct lowering *l, const struct insn *in, unsigned seg)
{
    const struct operand *to = &in->operands[0];
    lowering_guard_set(l, offsetof(struct vcpu, arch.cr4), CR4_FSGSBASE);
    lowering_take(l, offsetof(struct vcpu, arch.seg_base) + seg * sizeof(uint64_t), 8);
    lowering_give_gpr(l, to->reg, to->size);
    return true;
}

bool lower_rdfsbase(struct lowering *l, const struct insn *in)
{
    return lower_read_base(l, in, SEG_FS);
}

bool lower_rdgsbase(struct lowering *l, const struct insn *in)
{
    return lower_read_base(l, in, SEG_GS);
}

enum sens_result emulate_wrfsbase(struct vcpu *vcpu, const struct insn *in)
{
    return write_base(vcpu, in, SEG_FS);
}

enum sens_result emulate_wrgsbase(struct vcpu *vcpu, const struct insn *in)
{
    return write_base(vcpu, in, SEG_GS);
}

/* SWAPGS.  SDM Vol. 2B, "SWAPGS". */
enum sens_result emulate_swapgs(struct vcpu *vcpu, const struct insn *in)
{
    uint64_t base = vcpu->arch.seg_base[SEG_GS];
    (void)in;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    vcpu->arch.seg_base[SEG_GS] = vcpu->arch.kernel_gs_base;
    vcpu->arch.kernel_gs_base = base;
    segment_base_changed(vcpu, SEG_GS);
    return SENS_NEXT;
}

bool lower_swapgs(struct lowering *l, const struct insn *in)
{
    (void)in;
    const size_t base = offsetof(struct vcpu, arch.seg_base) + SEG_GS * sizeof(uint64_t);
    const size_t fast = offsetof(struct vcpu, run.seg_base_fast);
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cpl), 1, 0xff);
    lowering_swap(l, base, offsetof(struct vcpu, arch.kernel_gs_base));
    lowering_copy(l, base, fast + SEG_GS * sizeof(uint64_t), 0);
    lowering_copy(l, base, fast + SEG_GS_BIASED * sizeof(uint64_t), SEG_BIAS);
    return true;
}
