/* SPDX-License-Identifier: MIT */
/* x87: choice of handlers, pending exceptions, and the instructions that control the unit. */
#include "cpu/interp/x87.h"

#include "cpu/segment.h"

bool x87_pending(struct vcpu *vcpu)
{
    if (!(vcpu->arch.cr0 & CR0_NE) && vcpu->arch.ignne)
        return true;
    return raise_fault(vcpu, vcpu->arch.cr0 & CR0_NE ? EXC_MF : FAULT_FERR);
}

void cpu_ignore_x87_error(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    cpu->ignne = !(cpu->cr0 & CR0_NE) && (cpu->fsw & FSW_ES);
}

bool x87_underflow(struct vcpu *vcpu)
{
    x87_set_cc(vcpu, FSW_C1, 0);
    x87_raise(vcpu, FP_IE | FSW_SF);
    return x87_masks_invalid(vcpu);
}

bool x87_overflow(struct vcpu *vcpu)
{
    x87_set_cc(vcpu, FSW_C1, FSW_C1);
    x87_raise(vcpu, FP_IE | FSW_SF);
    return x87_masks_invalid(vcpu);
}

void x87_init(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    cpu->fcw = FCW_INIT;
    cpu->fsw = 0;
    cpu->ftw = 0;
    cpu->fop = cpu->fcs = cpu->fds = 0;
    cpu->fip = cpu->fdp = 0;
    x87_error_gone(vcpu);
}

/* ---- control instructions ---- */

/* WAIT/FWAIT: only the check. */
EXEC(fwait)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* FNINIT: SDM Vol. 2A, "FINIT/FNINIT - Initialize Floating-Point Unit". */
EXEC(fninit)
{
    x87_init(vcpu);
    NEXT;
}

/* FNCLEX: exceptions, SF, ES and B are cleared; C3-C0 are undefined and stay. */
EXEC(fnclex)
{
    vcpu->arch.fsw &= FSW_CC | FSW_TOP;
    x87_error_gone(vcpu);
    NEXT;
}

EXEC(fnop)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    NEXT;
}

/* FENI, FDISI (8087), FSETPM (287): nothing since, not even a wait or a new FIP. */
EXEC(legacy_nop)
{
    NEXT;
}

/* FNSTSW AX. */
EXEC(fnstsw_ax)
{
    reg_set16(vcpu, REC_GPR + REG_RAX, vcpu->arch.fsw);
    NEXT;
}

ALWAYS_INLINE bool store_word(struct vcpu *vcpu, const struct rec *rec, uint16_t v)
{
    struct linear at = x87_la(vcpu, rec, 2, ACCESS_WRITE);
    return likely(at.ok) && mem_store(vcpu, rec, at.la, 2, v);
}

EXEC(fnstsw_m16)
{
    if (unlikely(!store_word(vcpu, rec, vcpu->arch.fsw)))
        return exec_fault(vcpu, rec);
    NEXT;
}

EXEC(fnstcw)
{
    if (unlikely(!store_word(vcpu, rec, vcpu->arch.fcw)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* FLDCW: unmasking an exception whose flag is set makes it pending. SDM Vol. 2A, "FLDCW". */
EXEC(fldcw)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    struct linear at = x87_la(vcpu, rec, 2, ACCESS_READ);
    if (unlikely(!at.ok))
        return exec_fault(vcpu, rec);
    struct loaded m = mem_load(vcpu, rec, at.la, 2);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    x87_set_fcw(vcpu, (unsigned)m.value);
    x87_summarize(vcpu);
    NEXT;
}

/* FINCSTP, FDECSTP: tags and registers stay. kind: what is added to TOP. */
EXEC(rotate)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    st_rotate(vcpu, x87_kind(rec));
    x87_set_cc(vcpu, FSW_C1, 0);
    NEXT;
}

/* FFREE, FFREEP. The manual leaves C1 undefined: cleared, as on silicon. */
EXEC(ffree)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_C1, 0);
    st_free(vcpu, rec->dst);
    st_pops(vcpu, x87_pops(rec));
    NEXT;
}

static const struct x87_row control_rows[] = {
    {OP_FWAIT, exec_fwait, NULL, 0, 0},
    {OP_FNINIT, exec_fninit, NULL, 0, 0},
    {OP_FNCLEX, exec_fnclex, NULL, 0, 0},
    {OP_FNOP, exec_fnop, NULL, 0, 0},
    {OP_FNSTSW, exec_fnstsw_ax, exec_fnstsw_m16, 0, 0},
    {OP_FNSTCW, NULL, exec_fnstcw, 0, 0},
    {OP_FLDCW, NULL, exec_fldcw, 0, 0},
    {OP_FINCSTP, exec_rotate, NULL, 1, 0},
    {OP_FDECSTP, exec_rotate, NULL, 7, 0},
    {OP_FFREE, exec_ffree, NULL, 0, 0},
    {OP_FFREEP, exec_ffree, NULL, 0, 1},
    {OP_INVALID, NULL, NULL, 0, 0},
};

/* ---- choosing ---- */

/* The format of the memory operand, by the opcode's and ModRM's own bits (SDM Vol. 2D, "Escape
 * Opcode Instructions"). */
static enum x87_format memory_format(const struct insn *in)
{
    static const enum x87_format even[] = {X87_F32, X87_I32, X87_F64, X87_I16}; /* D8 DA DC DE */
    unsigned esc = in->opcode & 7, reg = in->modrm >> 3 & 7;
    if (!(esc & 1))
        return even[esc >> 1];
    if (esc == 1)
        return X87_F32;
    if (esc == 3)
        return reg >= 4 ? X87_F80 : X87_I32;
    if (esc == 5)
        return reg == 1 ? X87_I64 : X87_F64;
    return reg < 4 ? X87_I16 : reg & 1 ? X87_I64 : X87_BCD;
}

static int32_t record_fields(const struct selection *s, const struct x87_row *row)
{
    const struct insn *in = s->in;
    unsigned v = (in->opcode & 7u) << 8 | in->modrm;
    if (in->has_mem) {
        v |= (unsigned)(in->seg & 7) << X87_SEG_SHIFT | (unsigned)memory_format(in)
                                                            << X87_FORMAT_SHIFT;
        v |= s->mem64 ? X87_M64 : 0;
    }
    v |= in->opsize > 2 ? X87_ENV32 : 0;
    v |= (unsigned)row->pops << X87_POPS_SHIFT | (unsigned)row->kind << X87_KIND_SHIFT;
    return (int32_t)v;
}

static const struct x87_row *find_row(const struct insn *in)
{
    static const struct x87_row *const families[] = {x87_move_rows,    x87_arith_rows,
                                                     x87_compare_rows, x87_function_rows,
                                                     control_rows,     x87_env_rows};
    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        for (const struct x87_row *row = families[i]; row->op != OP_INVALID; row++)
            if (row->op == in->op && (in->has_mem ? row->mem : row->reg))
                return row;
    return NULL;
}

/* #NM by CR0.EM and TS; WAIT looks at MP and TS (SDM Vol. 3A, "Device Not Available Exception
 * (#NM)"). */
static bool is_unavailable(const struct insn *in, uint32_t mode)
{
    if (in->op == OP_FWAIT)
        return (mode & (MODE_MP | MODE_TS)) == (MODE_MP | MODE_TS);
    return mode & (MODE_EM | MODE_TS);
}

exec_fn *select_x87(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    if (in->map != 0 || ((in->opcode & 0xf8) != 0xd8 && in->opcode != 0x9b))
        return NULL;
    const struct x87_row *row = find_row(in);
    if (!row)
        return NULL;
    if (is_unavailable(in, s->mode))
        return exec_nm;
    rec->imm = record_fields(s, row);
    if (in->op == OP_FNOP && in->opcode == 0xdb)
        return exec_legacy_nop;
    return in->has_mem ? row->mem : row->reg;
}
