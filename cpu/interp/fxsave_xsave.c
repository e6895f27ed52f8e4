/* SPDX-License-Identifier: MIT */
/*
 * The XSAVE area: SDM Vol. 1, "Operation of XSAVE", "... XSAVEOPT", "... XSAVEC", "... XSAVES",
 * "... XRSTOR", "... XRSTORS". The modified optimisation of XSAVEOPT and XSAVES is not made; a
 * program can't tell but by what it corrupted itself.
 */
#include <string.h>

#include "cpu/interp/fxsave.h"

#include "cpu/interp/x87.h"
#include "cpu/segment.h"

#define XCOMP_COMPACT BIT(63)

uint32_t xsave_size(uint64_t components)
{
    return components & XSTATE_AVX ? XSAVE_MAX : XSAVE_EXTENDED;
}

/* ---- state ---- */

static bool x87_in_use(const struct cpu *cpu)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < 8; i++)
        any |= cpu->fp_mant[i] | cpu->fp_se[i];
    return any || cpu->fcw != FCW_INIT || cpu->fsw || cpu->ftw || cpu->fop || cpu->fip ||
           cpu->fdp || cpu->fcs || cpu->fds;
}

uint64_t xsave_in_use(const struct cpu *cpu, bool xmm8)
{
    uint64_t sse = 0, avx = 0;
    for (unsigned i = 0; i < (xmm8 ? 16u : 8u); i++) {
        sse |= cpu->ymm[4 * i] | cpu->ymm[4 * i + 1];
        avx |= cpu->ymm[4 * i + 2] | cpu->ymm[4 * i + 3];
    }
    return (x87_in_use(cpu) ? XSTATE_X87 : 0) | (sse ? XSTATE_SSE : 0) | (avx ? XSTATE_AVX : 0);
}

static void put_avx(const struct cpu *cpu, struct fx_format f, uint8_t *buf)
{
    for (unsigned i = 0; i < (f.xmm8 ? 16u : 8u); i++) {
        le64_store(buf + 16 * i, cpu->ymm[4 * i + 2]);
        le64_store(buf + 16 * i + 8, cpu->ymm[4 * i + 3]);
    }
}

static void get_avx(struct cpu *cpu, struct fx_format f, const uint8_t *buf)
{
    for (unsigned i = 0; i < (f.xmm8 ? 16u : 8u); i++) {
        cpu->ymm[4 * i + 2] = le64_load(buf + 16 * i);
        cpu->ymm[4 * i + 3] = le64_load(buf + 16 * i + 8);
    }
}

/* ---- saving ---- */

static bool write_piece(struct vcpu *vcpu, const struct xarea *a, const uint8_t *buf, size_t off,
                        size_t len)
{
    struct run *run = &vcpu->run;
    return mmu_write(&run->mmu, a->la + off, run->la_mask, buf + off, len, &run->fault);
}

/* The components in `save`, and MXCSR where asked for. Everything has been probed. */
static bool write_components(struct vcpu *vcpu, const struct xarea *a, uint64_t save, bool mxcsr,
                             uint8_t *buf)
{
    const struct cpu *cpu = &vcpu->arch;
    size_t regs = a->f.xmm8 ? 256 : 128;
    bool ok = true;
    if (save & XSTATE_X87) {
        fx_put_x87(cpu, a->f, buf);
        ok = write_piece(vcpu, a, buf, 0, 24) && write_piece(vcpu, a, buf, 32, 128);
    }
    if (mxcsr) {
        fx_put_mxcsr(cpu, buf);
        ok = ok && write_piece(vcpu, a, buf, 24, 8);
    }
    if (save & XSTATE_SSE) {
        fx_put_sse(cpu, a->f, buf);
        ok = ok && write_piece(vcpu, a, buf, 160, regs);
    }
    if (save & XSTATE_AVX) {
        put_avx(cpu, a->f, buf + XSAVE_EXTENDED);
        ok = ok && write_piece(vcpu, a, buf, XSAVE_EXTENDED, regs);
    }
    return ok;
}

/*
 * XSAVE, XSAVEOPT: XSTATE_BV of the header keeps its bits outside RFBM; nothing else of the header
 * is written. MXCSR goes with SSE and with AVX. XSAVE writes every component asked for, XSAVEOPT
 * only those in use.
 */
static bool save_standard(struct vcpu *vcpu, const struct xarea *a, bool optimise, uint8_t *buf)
{
    struct run *run = &vcpu->run;
    uint64_t in_use = xsave_in_use(&vcpu->arch, a->f.xmm8);
    if (!mmu_read(&run->mmu, a->la + XSAVE_HEADER, run->la_mask, buf + XSAVE_HEADER, 8,
                  &run->fault))
        return false;
    uint64_t bv = le64_load(buf + XSAVE_HEADER);
    le64_store(buf + XSAVE_HEADER, (bv & ~a->rfbm) | (in_use & a->rfbm));
    return write_components(vcpu, a, optimise ? a->rfbm & in_use : a->rfbm,
                            a->rfbm & (XSTATE_SSE | XSTATE_AVX), buf) &&
           write_piece(vcpu, a, buf, XSAVE_HEADER, 8);
}

/* XSAVEC, XSAVES: MXCSR belongs to SSE, which is in use too when MXCSR is not 1F80H. */
static bool save_compact(struct vcpu *vcpu, const struct xarea *a, uint8_t *buf)
{
    uint64_t in_use = xsave_in_use(&vcpu->arch, a->f.xmm8);
    if (vcpu->arch.mxcsr != MXCSR_INIT)
        in_use |= XSTATE_SSE;
    uint64_t save = a->rfbm & in_use;
    le64_store(buf + XSAVE_HEADER, save);
    le64_store(buf + XSAVE_HEADER + 8, a->rfbm | XCOMP_COMPACT);
    return write_components(vcpu, a, save, save & XSTATE_SSE, buf) &&
           write_piece(vcpu, a, buf, XSAVE_HEADER, 16);
}

bool xsave_save(struct vcpu *vcpu, const struct xarea *a, enum xsave_kind kind)
{
    uint8_t buf[XSAVE_MAX];
    struct run *run = &vcpu->run;
    if (!mmu_probe(&run->mmu, a->la, run->la_mask, xsave_size(a->rfbm), ACCESS_WRITE, &run->fault))
        return false;
    if (kind == XSAVE_COMPACT)
        return save_compact(vcpu, a, buf);
    return save_standard(vcpu, a, kind == XSAVE_OPT, buf);
}

/* ---- restoring ---- */

static bool all_zero(const uint8_t *p, size_t len)
{
    while (len--)
        if (*p++)
            return false;
    return true;
}

/*
 * The checks of the header. enabled: XCR0, or with XSS for XRSTORS. The compacted form needs XSAVEC
 * or XSAVES; XRSTORS takes no other.
 */
static bool header_valid(const struct vcpu *vcpu, const uint8_t *h, uint64_t enabled,
                         bool supervisor)
{
    uint64_t bv = le64_load(h), comp = le64_load(h + 8);
    if (!(comp & XCOMP_COMPACT))
        return !supervisor && !(bv & ~enabled) && all_zero(h + 8, 16);
    if (!supervisor && !vcpu->run.features[FEAT_XSAVEC] && !vcpu->run.features[FEAT_XSAVES])
        return false;
    comp &= ~XCOMP_COMPACT;
    return !(comp & ~enabled) && !(bv & ~comp) && all_zero(h + 16, 48);
}

/* Offset of the upper halves of YMM: the first extended component, wherever the form. */
static void restore_components(struct vcpu *vcpu, const struct xarea *a, uint64_t bv,
                               const uint8_t *buf)
{
    static const uint8_t zero[XSAVE_MAX];
    struct cpu *cpu = &vcpu->arch;
    if (a->rfbm & bv & XSTATE_X87) {
        fx_get_x87(vcpu, a->f, buf);
    } else if (a->rfbm & XSTATE_X87) {
        x87_init(vcpu);
        memset(cpu->fp_mant, 0, sizeof(cpu->fp_mant));
        memset(cpu->fp_se, 0, sizeof(cpu->fp_se));
    }
    if (a->rfbm & XSTATE_SSE)
        fx_get_sse(cpu, a->f, bv & XSTATE_SSE ? buf : zero);
    if (a->rfbm & XSTATE_AVX)
        get_avx(cpu, a->f, bv & XSTATE_AVX ? buf + XSAVE_EXTENDED : zero);
}

bool xsave_restore(struct vcpu *vcpu, const struct xarea *a, bool supervisor)
{
    uint8_t buf[XSAVE_MAX];
    const uint8_t *header = buf + XSAVE_HEADER;
    struct run *run = &vcpu->run;
    struct cpu *cpu = &vcpu->arch;
    uint64_t enabled = supervisor ? cpu->xcr0 | cpu->xss : cpu->xcr0;
    size_t size = xsave_size(a->rfbm);
    /* The header is looked at before what lies behind it: its #GP(0) comes before a #PF there. */
    if (!mmu_read(&run->mmu, a->la, run->la_mask, buf, XSAVE_EXTENDED, &run->fault))
        return false;
    if (!header_valid(vcpu, header, enabled, supervisor))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (size > XSAVE_EXTENDED &&
        !mmu_read(&run->mmu, a->la + XSAVE_EXTENDED, run->la_mask, buf + XSAVE_EXTENDED,
                  size - XSAVE_EXTENDED, &run->fault))
        return false;
    uint64_t bv = le64_load(header);
    bool compact = le64_load(header + 8) & XCOMP_COMPACT;
    /* Standard form: MXCSR comes from memory whenever SSE or AVX is asked for, whatever XSTATE_BV
     * says. */
    bool load_mxcsr = compact ? a->rfbm & bv & XSTATE_SSE : a->rfbm & (XSTATE_SSE | XSTATE_AVX);
    if (load_mxcsr && !fx_mxcsr_valid(buf))
        return raise_fault_code(vcpu, EXC_GP, 0);
    restore_components(vcpu, a, bv, buf);
    if (load_mxcsr)
        cpu->mxcsr = le32_load(buf + 24);
    else if (compact && (a->rfbm & XSTATE_SSE))
        cpu->mxcsr = MXCSR_INIT;
    return true;
}
