/* SPDX-License-Identifier: MIT */
/* FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, and the choice of handlers for the XSAVE family. */
#include "cpu/interp/fxsave.h"

#include "cpu/debug.h"
#include "cpu/interp/x87.h"
#include "cpu/segment.h"

/* rec->imm: the layout, and the shape of the operand. */
enum { REC_WIDE = 1, REC_XMM8 = 2, REC_M64 = 4 };

static struct fx_format format_of(const struct rec *rec)
{
    return (struct fx_format){.wide = rec->imm & REC_WIDE, .xmm8 = rec->imm & REC_XMM8};
}

/* ---- images ---- */

void fx_put_x87(const struct cpu *cpu, struct fx_format f, uint8_t *buf)
{
    unsigned top = cpu->fsw >> FSW_TOP_SHIFT & 7;
    le16_store(buf, cpu->fcw);
    le16_store(buf + 2, cpu->fsw);
    le16_store(buf + 4, cpu->ftw);
    le16_store(buf + 6, cpu->fop);
    le64_store(buf + 8, f.wide ? cpu->fip : (uint32_t)cpu->fip | (uint64_t)cpu->fcs << 32);
    le64_store(buf + 16, f.wide ? cpu->fdp : (uint32_t)cpu->fdp | (uint64_t)cpu->fds << 32);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = (top + i) & 7;
        le64_store(buf + 32 + 16 * i, cpu->fp_mant[r]);
        le64_store(buf + 40 + 16 * i, cpu->fp_se[r]);
    }
}

void fx_put_mxcsr(const struct cpu *cpu, uint8_t *buf)
{
    le32_store(buf + 24, cpu->mxcsr);
    le32_store(buf + 28, MXCSR_MASK);
}

static unsigned xmm_count(struct fx_format f)
{
    return f.xmm8 ? 16 : 8;
}

void fx_put_sse(const struct cpu *cpu, struct fx_format f, uint8_t *buf)
{
    for (unsigned i = 0; i < xmm_count(f); i++) {
        le64_store(buf + 160 + 16 * i, cpu->ymm[4 * i]);
        le64_store(buf + 168 + 16 * i, cpu->ymm[4 * i + 1]);
    }
}

void fx_get_x87(struct vcpu *vcpu, struct fx_format f, const uint8_t *buf)
{
    struct cpu *cpu = &vcpu->arch;
    x87_set_fcw(vcpu, le16_load(buf));
    cpu->fsw = le16_load(buf + 2);
    cpu->ftw = buf[4];
    cpu->fop = le16_load(buf + 6) & X87_FOP;
    cpu->fip = f.wide ? le64_load(buf + 8) : le32_load(buf + 8);
    cpu->fdp = f.wide ? le64_load(buf + 16) : le32_load(buf + 16);
    cpu->fcs = f.wide ? 0 : le16_load(buf + 12);
    cpu->fds = f.wide ? 0 : le16_load(buf + 20);
    x87_summarize(vcpu);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = st_reg(vcpu, i);
        cpu->fp_mant[r] = le64_load(buf + 32 + 16 * i);
        cpu->fp_se[r] = le16_load(buf + 40 + 16 * i);
    }
}

void fx_get_sse(struct cpu *cpu, struct fx_format f, const uint8_t *buf)
{
    for (unsigned i = 0; i < xmm_count(f); i++) {
        cpu->ymm[4 * i] = le64_load(buf + 160 + 16 * i);
        cpu->ymm[4 * i + 1] = le64_load(buf + 168 + 16 * i);
    }
}

bool fx_mxcsr_valid(const uint8_t *buf)
{
    return !(le32_load(buf + 24) & ~MXCSR_MASK);
}

/* ---- the operand ---- */

static bool is_aligned(struct vcpu *vcpu, laddr la, unsigned align)
{
    return !(la & (align - 1)) || raise_fault_code(vcpu, EXC_GP, 0);
}

/* Non-canonical in 64-bit mode: #SS(0) through the stack segment, else #GP(0). */
static bool is_area_canonical(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    if (is_canonical(la) && is_canonical(la + size - 1))
        return true;
    return raise_fault_code(vcpu, rec->seg == SEG_ZERO_SS ? EXC_SS : EXC_GP, 0);
}

/*
 * Linear address of an area of size bytes, aligned to align (else #GP(0)), with its segment and
 * canonical checks. An XSAVE area in 64-bit mode is checked for alignment first, an FXSAVE image
 * last, as recorded. Called out of handlers, so that run.rec is set before anything of memory.
 */
static struct linear area_la(struct vcpu *vcpu, const struct rec *rec, unsigned size,
                             unsigned align, enum access access)
{
    bool is_64 = rec->imm & REC_M64, is_xsave = align == XSAVE_ALIGN;
    struct linear at = {0, true};
    vcpu->run.rec = rec;
    if (!is_64)
        at = rec_la_checked(vcpu, rec, size, access);
    else
        at.la = rec_la64(vcpu, rec);
    if (!at.ok)
        rec_la_misaligned(vcpu, rec, align);
    if (is_64 && is_xsave && !is_aligned(vcpu, at.la, align))
        at.ok = false;
    else if (is_64)
        at.ok = is_area_canonical(vcpu, rec, at.la, size);
    at.ok = at.ok && is_aligned(vcpu, at.la, align);
    return at;
}

static void watch_image(struct vcpu *vcpu, laddr la, bool is_write)
{
    if (vcpu->run.mode & MODE_BREAK)
        debug_data_access(vcpu, la, FXSAVE_SIZE, is_write);
}

/* ---- FXSAVE, FXRSTOR ---- */

/*
 * FXSAVE: SDM Vol. 2A, "FXSAVE - Save x87 FPU, MMX, XMM, and MXCSR State". Bytes 464-511 are the
 * program's and stay, as do the reserved ones before. With CR4.OSFXSR = 0 the XMM registers are not
 * saved ("may not be").
 */
static NOINLINE bool fxsave(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t buf[FXSAVE_SIZE];
    struct fx_format f = format_of(rec);
    struct run *run = &vcpu->run;
    bool has_xmm = run->mode & MODE_OSFXSR;
    size_t len = !has_xmm ? 160 : 160 + 16 * xmm_count(f);
    struct linear at = area_la(vcpu, rec, FXSAVE_SIZE, FXSAVE_ALIGN, ACCESS_WRITE);
    if (!at.ok ||
        !mmu_probe(&run->mmu, at.la, run->la_mask, FXSAVE_SIZE, ACCESS_WRITE, &run->fault))
        return false;
    watch_image(vcpu, at.la, true);
    fx_put_x87(&vcpu->arch, f, buf);
    fx_put_mxcsr(&vcpu->arch, buf);
    if (has_xmm)
        fx_put_sse(&vcpu->arch, f, buf);
    return mmu_write(&run->mmu, at.la, run->la_mask, buf, len, &run->fault);
}

/* FXRSTOR: a reserved bit of MXCSR is #GP(0) before anything changes. */
static NOINLINE bool fxrstor(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t buf[FXSAVE_SIZE];
    struct run *run = &vcpu->run;
    struct linear at = area_la(vcpu, rec, FXSAVE_SIZE, FXSAVE_ALIGN, ACCESS_READ);
    if (!at.ok || !mmu_read(&run->mmu, at.la, run->la_mask, buf, FXSAVE_SIZE, &run->fault))
        return false;
    if (!fx_mxcsr_valid(buf))
        return raise_fault_code(vcpu, EXC_GP, 0);
    watch_image(vcpu, at.la, false);
    fx_get_x87(vcpu, format_of(rec), buf);
    vcpu->arch.mxcsr = le32_load(buf + 24);
    if (run->mode & MODE_OSFXSR)
        fx_get_sse(&vcpu->arch, format_of(rec), buf);
    return true;
}

X87_EXEC_NOWAIT(fxsave, fxsave)
X87_EXEC_NOWAIT(fxrstor, fxrstor)

/* ---- MXCSR ---- */

/* Not rec_la64 of a gen record: its scale has more in it. */
ALWAYS_INLINE struct linear mxcsr_la(struct vcpu *vcpu, const struct rec *rec, enum access access)
{
    if (rec->imm & REC_M64)
        return (struct linear){rec_la64(vcpu, rec), true};
    return rec_la_checked(vcpu, rec, 4, access);
}

EXEC(ldmxcsr)
{
    struct linear at = mxcsr_la(vcpu, rec, ACCESS_READ);
    if (unlikely(!at.ok))
        return exec_fault(vcpu, rec);
    struct loaded m = mem_load(vcpu, rec, at.la, 4);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    if (unlikely(m.value & ~(uint64_t)MXCSR_MASK))
        return exec_raise_code(vcpu, rec, EXC_GP, 0);
    vcpu->arch.mxcsr = (uint32_t)m.value;
    NEXT;
}

EXEC(stmxcsr)
{
    struct linear at = mxcsr_la(vcpu, rec, ACCESS_WRITE);
    if (unlikely(!at.ok || !mem_store(vcpu, rec, at.la, 4, vcpu->arch.mxcsr)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* ---- XSAVE family ---- */

static uint64_t edx_eax(const struct vcpu *vcpu)
{
    return (uint32_t)vcpu->arch.gpr[REG_RAX] | vcpu->arch.gpr[REG_RDX] << 32;
}

/* CR4.OSXSAVE is no part of the mode word: checked when run. #UD before #NM. */
static struct linear xsave_operand(struct vcpu *vcpu, const struct rec *rec, struct xarea *a,
                                   bool is_compact, enum access access)
{
    const struct linear failed = {0, false};
    if (!(vcpu->arch.cr4 & CR4_OSXSAVE)) {
        raise_fault(vcpu, EXC_UD);
        return failed;
    }
    if (vcpu->run.mode & MODE_TS) {
        raise_fault(vcpu, EXC_NM);
        return failed;
    }
    a->f = format_of(rec);
    a->rfbm = vcpu->arch.xcr0 & edx_eax(vcpu);
    return area_la(vcpu, rec, xsave_size(a->rfbm, is_compact), XSAVE_ALIGN, access);
}

static bool save_as(struct vcpu *vcpu, const struct rec *rec, enum xsave_kind kind)
{
    struct xarea a;
    struct linear at = xsave_operand(vcpu, rec, &a, kind == XSAVE_COMPACT, ACCESS_WRITE);
    a.la = at.la;
    return at.ok && xsave_save(vcpu, &a, kind);
}

static NOINLINE bool xsave(struct vcpu *vcpu, const struct rec *rec)
{
    return save_as(vcpu, rec, XSAVE_PLAIN);
}

static NOINLINE bool xsaveopt(struct vcpu *vcpu, const struct rec *rec)
{
    return save_as(vcpu, rec, XSAVE_OPT);
}

static NOINLINE bool xsavec(struct vcpu *vcpu, const struct rec *rec)
{
    return save_as(vcpu, rec, XSAVE_COMPACT);
}

static NOINLINE bool xrstor(struct vcpu *vcpu, const struct rec *rec)
{
    struct xarea a;
    struct linear at = xsave_operand(vcpu, rec, &a, false, ACCESS_READ);
    a.la = at.la;
    return at.ok && xsave_restore(vcpu, &a, false);
}

X87_EXEC_NOWAIT(xsave, xsave)
X87_EXEC_NOWAIT(xsaveopt, xsaveopt)
X87_EXEC_NOWAIT(xsavec, xsavec)
X87_EXEC_NOWAIT(xrstor, xrstor)

/* XSAVES, XRSTORS where no slot takes them; normally they trap to their emulators. */
static NOINLINE bool run_xsaves(struct vcpu *vcpu, const struct rec *rec)
{
    vcpu->run.rec = rec;
    vcpu->run.next_rip = rec_next_rip(vcpu, rec);
    return xsave_xsaves(vcpu, (const struct insn *)(uintptr_t)rec->link);
}

static NOINLINE bool run_xrstors(struct vcpu *vcpu, const struct rec *rec)
{
    vcpu->run.rec = rec;
    vcpu->run.next_rip = rec_next_rip(vcpu, rec);
    return xsave_xrstors(vcpu, (const struct insn *)(uintptr_t)rec->link);
}

X87_EXEC_NOWAIT(xsaves, run_xsaves)
X87_EXEC_NOWAIT(xrstors, run_xrstors)

/* All that XSAVES and XRSTORS check before the area itself. */
static bool supervisor_area(struct vcpu *vcpu, const struct insn *in, struct xarea *a,
                            enum access access)
{
    const struct cpu *cpu = &vcpu->arch;
    bool is_64 = mode_code(vcpu->run.mode) == DECODE_64;
    uint64_t ea = insn_ea(vcpu, in);
    if (!(cpu->cr4 & CR4_OSXSAVE))
        return raise_fault(vcpu, EXC_UD);
    if (cpu->cr0 & CR0_TS)
        return raise_fault(vcpu, EXC_NM);
    if (cpu->cpl != 0)
        return raise_fault_code(vcpu, EXC_GP, 0);
    a->f.xmm8 = is_64;
    a->f.wide = in->prefixes & PFX_REX_W;
    a->rfbm = (cpu->xcr0 | cpu->xss) & edx_eax(vcpu) & XSTATE_KNOWN;
    if (is_64 && !is_aligned(vcpu, ea + vcpu->run.seg_base_fast[in->seg], XSAVE_ALIGN))
        return false;
    return seg_linear(vcpu, in->seg, ea, xsave_size(a->rfbm, true), access, &a->la) &&
           is_aligned(vcpu, a->la, XSAVE_ALIGN);
}

bool xsave_xsaves(struct vcpu *vcpu, const struct insn *in)
{
    struct xarea a;
    return supervisor_area(vcpu, in, &a, ACCESS_WRITE) && xsave_save(vcpu, &a, XSAVE_COMPACT);
}

bool xsave_xrstors(struct vcpu *vcpu, const struct insn *in)
{
    struct xarea a;
    return supervisor_area(vcpu, in, &a, ACCESS_READ) && xsave_restore(vcpu, &a, true);
}

/* ---- choosing ---- */

static exec_fn *select_fx(const struct selection *s)
{
    if (s->mode & (MODE_EM | MODE_TS))
        return exec_nm;
    return s->in->op == OP_FXSAVE ? exec_fxsave : exec_fxrstor;
}

/* SDM Vol. 2, exception type 5 without a vector length: #UD by EM or OSFXSR (VEX: XCR0), then #NM.
 */
static exec_fn *select_mxcsr(const struct selection *s)
{
    bool exists =
        s->in->has_vex ? s->mode & MODE_AVX : (s->mode & (MODE_EM | MODE_OSFXSR)) == MODE_OSFXSR;
    if (!exists)
        return exec_ud;
    if (s->mode & MODE_TS)
        return exec_nm;
    return s->in->op == OP_LDMXCSR || s->in->op == OP_VLDMXCSR ? exec_ldmxcsr : exec_stmxcsr;
}

static exec_fn *select_xsave(struct selection *s)
{
    switch (s->in->op) {
    case OP_XSAVE:
        return exec_xsave;
    case OP_XSAVEOPT:
        return exec_xsaveopt;
    case OP_XSAVEC:
        return exec_xsavec;
    case OP_XRSTOR:
        return exec_xrstor;
    case OP_XSAVES:
        s->wants_insn = true;
        return exec_xsaves;
    case OP_XRSTORS:
        s->wants_insn = true;
        return exec_xrstors;
    default:
        return NULL;
    }
}

exec_fn *select_fxsave(struct selection *s, struct rec *rec)
{
    bool is_64 = mode_code(s->mode) == DECODE_64;
    exec_fn *fn;
    if (s->in->op == OP_FXSAVE || s->in->op == OP_FXRSTOR)
        fn = select_fx(s);
    else if (s->in->op == OP_LDMXCSR || s->in->op == OP_STMXCSR || s->in->op == OP_VLDMXCSR ||
             s->in->op == OP_VSTMXCSR)
        fn = select_mxcsr(s);
    else
        fn = select_xsave(s);
    if (fn)
        rec->imm = (s->in->prefixes & PFX_REX_W ? REC_WIDE : 0) | (is_64 ? REC_XMM8 : 0) |
                   (s->mem64 ? REC_M64 : 0);
    return fn;
}
