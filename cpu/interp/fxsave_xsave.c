/* SPDX-License-Identifier: MIT */
/*
 * The XSAVE area: SDM Vol. 1, "Operation of XSAVE", "... XSAVEOPT", "... XSAVEC", "... XSAVES",
 * "... XRSTOR", "... XRSTORS". XINUSE is computed from the registers when it is asked for: a
 * component is in use if it is not in its initial configuration. The modified optimisation of
 * XSAVEOPT and XSAVES is not made; a program can't tell but by what it corrupted itself.
 *
 * Fault order, which the manual leaves open: legacy region and header first, then the extended
 * components asked for, upwards; a save touches all of them before it writes any.
 */
#include <string.h>

#include "cpu/interp/fxsave.h"

#include "cpu/debug.h"
#include "cpu/interp/x87.h"
#include "cpu/segment.h"

#define XCOMP_COMPACT BIT(63)

struct xsave_component xsave_component(unsigned i)
{
    static const struct xsave_component known[XSTATE_COUNT] = {
        [2] = {256, XSAVE_EXTENDED}, /* upper halves of YMM0-YMM15 */
        [9] = {8, 2688},             /* PKRU */
    };
    return i < XSTATE_COUNT ? known[i] : (struct xsave_component){0, 0};
}

/* Where component i lies in an area that holds `components`. None of ours asks for alignment to 64
 * bytes. */
static uint32_t offset_of(unsigned i, uint64_t components, bool is_compact)
{
    uint32_t at = XSAVE_EXTENDED;
    if (!is_compact)
        return xsave_component(i).offset;
    for (unsigned k = XSTATE_FIRST; k < i; k++)
        at += components >> k & 1 ? xsave_component(k).size : 0;
    return at;
}

uint32_t xsave_size(uint64_t components, bool is_compact)
{
    uint32_t size = XSAVE_EXTENDED;
    for (unsigned i = XSTATE_FIRST; i < XSTATE_COUNT; i++)
        if (components >> i & 1)
            size = offset_of(i, components, is_compact) + xsave_component(i).size;
    return size;
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
    return (x87_in_use(cpu) ? XSTATE_X87 : 0) | (sse ? XSTATE_SSE : 0) | (avx ? XSTATE_AVX : 0) |
           (cpu->pkru ? XSTATE_PKRU : 0);
}

uint64_t xsave_in_use_with_mxcsr(const struct cpu *cpu, bool xmm8)
{
    return xsave_in_use(cpu, xmm8) | (cpu->mxcsr != MXCSR_INIT ? XSTATE_SSE : 0);
}

/* The largest extended component. */
enum { COMPONENT_MAX = 256 };

/* Bytes of component i that are registers of this mode: outside 64-bit mode YMM8-YMM15 stay. */
static unsigned component_bytes(unsigned i, struct fx_format f)
{
    unsigned size = xsave_component(i).size;
    return BIT(i) == XSTATE_AVX && !f.xmm8 ? size / 2 : size;
}

static void put_component(const struct cpu *cpu, unsigned i, unsigned bytes, uint8_t *buf)
{
    if (BIT(i) == XSTATE_PKRU) {
        le64_store(buf, cpu->pkru);
        return;
    }
    for (unsigned at = 0; at < bytes; at += 16) {
        le64_store(buf + at, cpu->ymm[at / 4 + 2]);
        le64_store(buf + at + 8, cpu->ymm[at / 4 + 3]);
    }
}

static void get_component(struct vcpu *vcpu, unsigned i, unsigned bytes, const uint8_t *buf)
{
    struct cpu *cpu = &vcpu->arch;
    if (BIT(i) == XSTATE_PKRU) {
        cpu->pkru = le32_load(buf);
        mmu_set_pkru(&vcpu->run.mmu, cpu->pkru);
        return;
    }
    for (unsigned at = 0; at < bytes; at += 16) {
        cpu->ymm[at / 4 + 2] = le64_load(buf + at);
        cpu->ymm[at / 4 + 3] = le64_load(buf + at + 8);
    }
}

/* ---- pieces of the area; data breakpoints see each ---- */

static bool read_piece(struct vcpu *vcpu, const struct xarea *a, uint8_t *buf, size_t off,
                       size_t len)
{
    struct run *run = &vcpu->run;
    if (!mmu_read(&run->mmu, a->la + off, run->la_mask, buf, len, &run->fault))
        return false;
    if (run->mode & MODE_BREAK)
        debug_data_access(vcpu, a->la + off, len, false);
    return true;
}

static bool write_piece(struct vcpu *vcpu, const struct xarea *a, const uint8_t *buf, size_t off,
                        size_t len)
{
    struct run *run = &vcpu->run;
    if (!mmu_write(&run->mmu, a->la + off, run->la_mask, buf, len, &run->fault))
        return false;
    if (run->mode & MODE_BREAK)
        debug_data_access(vcpu, a->la + off, len, true);
    return true;
}

/* ---- saving ---- */

/* The components in `save`, and MXCSR where asked for. Everything has been probed. */
static bool write_components(struct vcpu *vcpu, const struct xarea *a, uint64_t save, bool mxcsr,
                             bool is_compact)
{
    uint8_t legacy[FXSAVE_SIZE], buf[COMPONENT_MAX];
    const struct cpu *cpu = &vcpu->arch;
    bool ok = true;
    if (save & XSTATE_X87) {
        fx_put_x87(cpu, a->f, legacy);
        ok = write_piece(vcpu, a, legacy, 0, 24) && write_piece(vcpu, a, legacy + 32, 32, 128);
    }
    if (mxcsr) {
        fx_put_mxcsr(cpu, legacy);
        ok = ok && write_piece(vcpu, a, legacy + 24, 24, 8);
    }
    if (save & XSTATE_SSE) {
        fx_put_sse(cpu, a->f, legacy);
        ok = ok && write_piece(vcpu, a, legacy + 160, 160, a->f.xmm8 ? 256 : 128);
    }
    for (unsigned i = XSTATE_FIRST; i < XSTATE_COUNT; i++) {
        unsigned bytes = component_bytes(i, a->f);
        if (!(save >> i & 1))
            continue;
        put_component(cpu, i, bytes, buf);
        ok = ok && write_piece(vcpu, a, buf, offset_of(i, a->rfbm, is_compact), bytes);
    }
    return ok;
}

/*
 * XSAVE, XSAVEOPT: XSTATE_BV of the header keeps its bits outside RFBM; nothing else of the header
 * is written. MXCSR goes with SSE and with AVX. XSAVE writes every component asked for, XSAVEOPT
 * only those in use.
 */
static bool save_standard(struct vcpu *vcpu, const struct xarea *a, bool optimise)
{
    uint8_t header[8];
    uint64_t in_use = xsave_in_use(&vcpu->arch, a->f.xmm8);
    if (!read_piece(vcpu, a, header, XSAVE_HEADER, 8))
        return false;
    uint64_t bv = le64_load(header);
    le64_store(header, (bv & ~a->rfbm) | (in_use & a->rfbm));
    return write_components(vcpu, a, optimise ? a->rfbm & in_use : a->rfbm,
                            a->rfbm & (XSTATE_SSE | XSTATE_AVX), false) &&
           write_piece(vcpu, a, header, XSAVE_HEADER, 8);
}

/* XSAVEC, XSAVES: MXCSR belongs to SSE, which is in use too when MXCSR is not 1F80H. Room is left
 * for every component asked for, in use or not. */
static bool save_compact(struct vcpu *vcpu, const struct xarea *a)
{
    uint8_t header[16];
    uint64_t save = a->rfbm & xsave_in_use_with_mxcsr(&vcpu->arch, a->f.xmm8);
    le64_store(header, save);
    le64_store(header + 8, a->rfbm | XCOMP_COMPACT);
    return write_components(vcpu, a, save, save & XSTATE_SSE, true) &&
           write_piece(vcpu, a, header, XSAVE_HEADER, 16);
}

static bool probe_area(struct vcpu *vcpu, const struct xarea *a, bool is_compact)
{
    struct run *run = &vcpu->run;
    bool ok = mmu_probe(&run->mmu, a->la, run->la_mask, XSAVE_EXTENDED, ACCESS_WRITE, &run->fault);
    for (unsigned i = XSTATE_FIRST; i < XSTATE_COUNT && ok; i++)
        if (a->rfbm >> i & 1)
            ok = mmu_probe(&run->mmu, a->la + offset_of(i, a->rfbm, is_compact), run->la_mask,
                           component_bytes(i, a->f), ACCESS_WRITE, &run->fault);
    return ok;
}

bool xsave_save(struct vcpu *vcpu, const struct xarea *a, enum xsave_kind kind)
{
    if (!probe_area(vcpu, a, kind == XSAVE_COMPACT))
        return false;
    return kind == XSAVE_COMPACT ? save_compact(vcpu, a)
                                 : save_standard(vcpu, a, kind == XSAVE_OPT);
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

/* What a restore read: the legacy region and header, then the extended components by bit. */
struct image {
    uint8_t legacy[XSAVE_EXTENDED];
    uint8_t component[XSTATE_COUNT][COMPONENT_MAX];
};

static bool read_components(struct vcpu *vcpu, const struct xarea *a, struct image *m)
{
    uint64_t bv = le64_load(m->legacy + XSAVE_HEADER);
    uint64_t comp = le64_load(m->legacy + XSAVE_HEADER + 8);
    for (unsigned i = XSTATE_FIRST; i < XSTATE_COUNT; i++) {
        uint32_t at = offset_of(i, comp, comp & XCOMP_COMPACT);
        if ((a->rfbm & bv) >> i & 1 &&
            !read_piece(vcpu, a, m->component[i], at, component_bytes(i, a->f)))
            return false;
    }
    return true;
}

/* Components asked for: from the image, or to their initial configuration where XSTATE_BV says so.
 */
static void restore_components(struct vcpu *vcpu, const struct xarea *a, const struct image *m)
{
    static const uint8_t zero[FXSAVE_SIZE];
    struct cpu *cpu = &vcpu->arch;
    uint64_t bv = le64_load(m->legacy + XSAVE_HEADER);
    if (a->rfbm & bv & XSTATE_X87) {
        fx_get_x87(vcpu, a->f, m->legacy);
    } else if (a->rfbm & XSTATE_X87) {
        x87_init(vcpu);
        memset(cpu->fp_mant, 0, sizeof(cpu->fp_mant));
        memset(cpu->fp_se, 0, sizeof(cpu->fp_se));
    }
    if (a->rfbm & XSTATE_SSE)
        fx_get_sse(cpu, a->f, bv & XSTATE_SSE ? m->legacy : zero);
    for (unsigned i = XSTATE_FIRST; i < XSTATE_COUNT; i++)
        if (a->rfbm >> i & 1)
            get_component(vcpu, i, component_bytes(i, a->f), bv >> i & 1 ? m->component[i] : zero);
}

bool xsave_restore(struct vcpu *vcpu, const struct xarea *a, bool supervisor)
{
    struct image m;
    const uint8_t *header = m.legacy + XSAVE_HEADER;
    struct cpu *cpu = &vcpu->arch;
    uint64_t enabled = supervisor ? cpu->xcr0 | cpu->xss : cpu->xcr0;
    /* The header is looked at before what lies behind it: its #GP(0) comes before a #PF there. */
    if (!read_piece(vcpu, a, m.legacy, 0, XSAVE_EXTENDED))
        return false;
    if (!header_valid(vcpu, header, enabled, supervisor))
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!read_components(vcpu, a, &m))
        return false;
    uint64_t bv = le64_load(header);
    bool compact = le64_load(header + 8) & XCOMP_COMPACT;
    /* Standard form: MXCSR comes from memory whenever SSE or AVX is asked for, whatever XSTATE_BV
     * says. */
    bool load_mxcsr = compact ? a->rfbm & bv & XSTATE_SSE : a->rfbm & (XSTATE_SSE | XSTATE_AVX);
    if (load_mxcsr && !fx_mxcsr_valid(m.legacy))
        return raise_fault_code(vcpu, EXC_GP, 0);
    restore_components(vcpu, a, &m);
    if (load_mxcsr)
        cpu->mxcsr = le32_load(m.legacy + 24);
    else if (compact && (a->rfbm & XSTATE_SSE))
        cpu->mxcsr = MXCSR_INIT;
    return true;
}
