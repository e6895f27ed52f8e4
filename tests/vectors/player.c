/* SPDX-License-Identifier: MIT */
#include "tests/vectors/player.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/mpfr_transcendentals.h"
#include "monitor/policy.h"
#include "tests/unit/cpu_harness.h"
#include "tests/vectors/allowed.h"

/* Page tables, above what vectors use. */
enum { PML4 = 0x80000, PDPT = 0x81000, PD = 0x82000, PT = 0x83000 };

struct player {
    struct harness *h;       /* owned */
    struct decoder *decoder; /* owned: every feature */
};

static void poke64(struct harness *h, uint32_t pa, uint64_t v)
{
    uint8_t b[8];
    le64_store(b, v);
    EXPECT(physmem_write(h->pm, pa, b, sizeof b));
}

/* What the recorder maps: present and user, A and D set; only code is executable. */
static void make_page_tables(struct harness *h)
{
    const uint64_t table = PF_P | PF_WR | PF_US | 0x20, page = PF_P | PF_US | 0x60;
    poke64(h, PML4, PDPT | table);
    poke64(h, PDPT, PD | table);
    poke64(h, PD, PT | table);
    poke64(h, PT + 8 * (VECTOR_MEM >> PAGE_SHIFT), VECTOR_MEM | page | BIT(63));
    for (unsigned pa = VECTOR_DATA; pa < VECTOR_DATA_END; pa += PAGE_SIZE)
        poke64(h, PT + 8 * (pa >> PAGE_SHIFT), pa | page | PF_WR | BIT(63));
    poke64(h, PT + 8 * (VECTOR_CODE >> PAGE_SHIFT), VECTOR_CODE | page);
}

struct player *player_create(void)
{
    struct player *p = calloc(1, sizeof(*p));
    p->h = harness_create(DECODE_64);
    p->decoder = decoder_create();
    p->h->vcpu->run.transcendentals = &mpfr_transcendentals;
    p->h->vcpu->run.sens =
        policy_slots(POLICY_BT); /* ARPL and the FS, GS base rows live behind slots */
    make_page_tables(p->h);
    return p;
}

void player_destroy(struct player *p)
{
    harness_destroy(p->h);
    decoder_destroy(p->decoder);
    free(p);
}

bool player_decode(const struct player *p, const struct vector *v, struct insn *in)
{
    return decoder_decode(p->decoder, v->mode, v->bytes, v->len, in) == DECODE_OK &&
           in->len == v->len;
}

/* A user process of a 64-bit operating system. */
static void set_mode(struct cpu *cpu, enum decode_mode mode)
{
    const uint32_t data = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_DPL | ATTR_G | ATTR_DB;
    cpu->cpl = 3;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr3 = PML4;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    cpu->xcr0 = 7;
    for (unsigned s = 0; s < 6; s++) {
        cpu->seg_sel[s] = s == SEG_CS ? (mode == DECODE_64 ? 0x33 : 0x23) : s >= SEG_FS ? 0 : 0x2b;
        cpu->seg_base[s] = 0;
        cpu->seg_limit[s] = s >= SEG_FS ? 0 : UINT32_MAX;
        cpu->seg_attr[s] = s >= SEG_FS ? (uint32_t)ATTR_UNUSABLE : data;
    }
    cpu->seg_attr[SEG_CS] =
        (data & ~(uint32_t)ATTR_DB) | ATTR_CODE | (mode == DECODE_64 ? ATTR_L : ATTR_DB);
}

static void load_state(struct cpu *cpu, const struct vector_state *t)
{
    memcpy(cpu->gpr, t->gpr, sizeof cpu->gpr);
    cpu->rip = t->rip;
    cpu->rflags = t->rflags;
    cpu->seg_base[SEG_FS] = t->seg_base[0];
    cpu->seg_base[SEG_GS] = t->seg_base[1];
    memcpy(cpu->fp_mant, t->fp_mant, sizeof cpu->fp_mant);
    memcpy(cpu->fp_se, t->fp_se, sizeof cpu->fp_se);
    cpu->fcw = t->fcw;
    cpu->fsw = t->fsw;
    cpu->ftw = t->ftw;
    cpu->mxcsr = t->mxcsr;
    for (unsigned i = 0; i < 16; i++) {
        memcpy(&cpu->ymm[4 * i], t->xmm[i], 16);
        memcpy(&cpu->ymm[4 * i + 2], t->ymm_high[i], 16);
    }
}

static void save_state(const struct cpu *cpu, struct vector_state *t)
{
    memset(t, 0, sizeof(*t));
    memcpy(t->gpr, cpu->gpr, sizeof cpu->gpr);
    t->rip = cpu->rip;
    t->rflags = cpu->rflags;
    t->seg_base[0] = cpu->seg_base[SEG_FS];
    t->seg_base[1] = cpu->seg_base[SEG_GS];
    memcpy(t->fp_mant, cpu->fp_mant, sizeof cpu->fp_mant);
    memcpy(t->fp_se, cpu->fp_se, sizeof cpu->fp_se);
    t->fcw = cpu->fcw;
    t->fsw = cpu->fsw;
    t->ftw = cpu->ftw;
    t->mxcsr = cpu->mxcsr;
    for (unsigned i = 0; i < 16; i++) {
        memcpy(t->xmm[i], &cpu->ymm[4 * i], 16);
        memcpy(t->ymm_high[i], &cpu->ymm[4 * i + 2], 16);
    }
}

void player_run(struct player *p, const struct vector *v, const struct insn *in, bool has_feature,
                struct vector_state *got)
{
    struct harness *h = p->h;
    struct cpu *cpu = &h->vcpu->arch;
    uint8_t feature = insn_row(in->row)->feature;
    enum cpu_exit exit;
    uint8_t code[64];
    memset(code, 0xcc, sizeof code);
    memcpy(code, v->bytes, v->len);
    EXPECT(physmem_write(h->pm, VECTOR_INSN, code, sizeof code));
    EXPECT(physmem_write(h->pm, VECTOR_MEM, v->before.mem, VECTOR_MEM_SIZE));
    h->vcpu->run.features[feature] = has_feature;
    set_mode(cpu, v->mode);
    load_state(cpu, &v->before);
    cpu_update_mmu(h->vcpu);
    do
        exit = harness_run(h, 1);
    while (exit != CPU_EXIT_FAULT && cpu->rip == VECTOR_INSN &&
           (in->prefixes & (PFX_REP | PFX_REPNE)));
    save_state(cpu, got);
    EXPECT(physmem_read(h->pm, VECTOR_MEM, got->mem, VECTOR_MEM_SIZE));
    got->fault = VECTOR_NO_FAULT;
    if (exit == CPU_EXIT_FAULT) {
        const struct fault *f = &h->vcpu->run.fault;
        got->fault = f->vector;
        got->fault_code = f->has_error_code ? f->error_code : 0;
        got->fault_address = f->vector == EXC_PF ? f->cr2 : 0;
    }
    h->vcpu->run.features[feature] = true;
}

/* ---- comparison ---- */

struct report {
    char *text;  /* borrowed */
    size_t size; /* of text */
    size_t used; /* of it */
    bool equal;  /* nothing reported */
};

static void report(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void report(struct report *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->text + r->used, r->size - r->used, format, args);
    va_end(args);
    if (n > 0)
        r->used = r->used + (size_t)n < r->size ? r->used + (size_t)n : r->size - 1;
    r->equal = false;
}

static void compare_word(struct report *r, const char *name, uint64_t want, uint64_t got)
{
    if (want != got)
        report(r, "    %s want %" PRIx64 " got %" PRIx64 "\n", name, want, got);
}

static bool within_one_ulp(uint64_t am, uint16_t as, uint64_t bm, uint16_t bs)
{
    if (as == bs)
        return am - bm + 1 <= 2;
    if (((as ^ bs) & 0x8000) == 0 && (as + 1 == bs || bs + 1 == as))
        return (am << 1) + 2 <= 2 || (bm << 1) + 2 <= 2;
    return false;
}

static void compare_x87(struct report *r, const struct vector *v, const struct insn *in,
                        const struct vector_state *got)
{
    const struct vector_state *want = &v->after;
    enum match match = allowed_x87(in);
    bool faults = want->fault != VECTOR_NO_FAULT;
    uint16_t fsw_mask = (uint16_t)~allowed_fsw(in, faults);
    uint8_t ftw_mask = (uint8_t)~allowed_ftw(in, faults);
    compare_word(r, "fcw", want->fcw, got->fcw);
    compare_word(r, "fsw", want->fsw & fsw_mask, got->fsw & fsw_mask);
    compare_word(r, "ftw", want->ftw & ftw_mask, got->ftw & ftw_mask);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t wm = want->fp_mant[i], gm = got->fp_mant[i];
        uint16_t ws = want->fp_se[i], gs = got->fp_se[i];
        if ((wm == gm && ws == gs) || (match == MATCH_ULP && within_one_ulp(wm, ws, gm, gs)))
            continue;
        report(r, "    p%u (st%u before) want %04x:%016" PRIx64 " got %04x:%016" PRIx64 "\n", i,
               (i - (unsigned)(v->before.fsw >> 11)) & 7, ws, wm, gs, gm);
    }
}

static bool approximates(uint64_t want, uint64_t got)
{
    for (unsigned shift = 0; shift < 64; shift += 32) {
        uint32_t w = (uint32_t)(want >> shift), g = (uint32_t)(got >> shift);
        uint32_t distance = w > g ? w - g : g - w;
        if (distance > 3u << 12) /* twice 1.5 * 2^-12, in units of 2^-23 and a bit for the
                                    significand's range */
            return false;
    }
    return true;
}

static void compare_xmm(struct report *r, const struct vector *v, const struct insn *in,
                        const struct vector_state *got)
{
    bool approximate = allowed_xmm(in) == MATCH_APPROX_4;
    for (unsigned i = 0; i < 16; i++) {
        const uint64_t *w = v->after.xmm[i], *g = got->xmm[i];
        if (memcmp(w, g, 16) == 0 ||
            (approximate && approximates(w[0], g[0]) && approximates(w[1], g[1])))
            continue;
        report(r, "    xmm%u want %016" PRIx64 "%016" PRIx64 " got %016" PRIx64 "%016" PRIx64 "\n",
               i, w[1], w[0], g[1], g[0]);
    }
    for (unsigned i = 0; i < 16; i++) {
        const uint64_t *w = v->after.ymm_high[i], *g = got->ymm_high[i];
        if (memcmp(w, g, 16) == 0 ||
            (approximate && approximates(w[0], g[0]) && approximates(w[1], g[1])))
            continue;
        report(r,
               "    ymm%u high want %016" PRIx64 "%016" PRIx64 " got %016" PRIx64 "%016" PRIx64
               "\n",
               i, w[1], w[0], g[1], g[0]);
    }
}

/* Where the operand begins: the first byte that the instruction changed, rounded down, is close
 * enough for images. */
static uint64_t image_offset(const struct vector *v, const struct insn *in, unsigned at)
{
    uint64_t ea = (uint64_t)(int64_t)in->disp;
    if (in->base == REG_RIP)
        ea += VECTOR_INSN + v->len;
    else if (in->base < 16)
        ea += v->before.gpr[in->base];
    if (in->index < 16)
        ea += v->before.gpr[in->index] << in->scale;
    ea &= low_mask(in->addrsize * 8u);
    if (in->seg == SEG_FS || in->seg == SEG_GS)
        ea += v->before.seg_base[in->seg - SEG_FS];
    return VECTOR_MEM + at - ea;
}

static void compare_memory(struct report *r, const struct vector *v, const struct insn *in,
                           const struct vector_state *got)
{
    unsigned shown = 0;
    if (memcmp(v->after.mem, got->mem, VECTOR_MEM_SIZE) == 0)
        return;
    for (unsigned i = 0; i < VECTOR_MEM_SIZE; i++) {
        if (v->after.mem[i] == got->mem[i] ||
            (in->has_mem && allowed_memory(in, &v->before, image_offset(v, in, i))))
            continue;
        if (shown++ < 8)
            report(r, "    mem %x (+%" PRIx64 ") want %02x got %02x\n", VECTOR_MEM + i,
                   image_offset(v, in, i), v->after.mem[i], got->mem[i]);
    }
}

bool player_compare(const struct vector *v, const struct insn *in, const struct vector_state *got,
                    char *text, size_t size)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct vector_state *want = &v->after;
    struct report r = {.text = text, .size = size, .equal = true};
    uint64_t flags = F_OSZAPC | F_DF | F_AC;
    uint64_t cr2 = ~allowed_cr2(in);
    if (want->fault == VECTOR_NO_FAULT)
        flags &= ~allowed_flags(in, &v->before);
    for (unsigned i = 0; i < 16; i++)
        if (allowed_gpr(in, &v->before, want->fault != VECTOR_NO_FAULT, i) == MATCH_EXACT)
            compare_word(&r, names[i], want->gpr[i], got->gpr[i]);
    compare_word(&r, "rip", want->rip, got->rip);
    compare_word(&r, "rflags", want->rflags & flags, got->rflags & flags);
    compare_word(&r, "fs base", want->seg_base[0], got->seg_base[0]);
    compare_word(&r, "gs base", want->seg_base[1], got->seg_base[1]);
    compare_word(&r, "mxcsr", want->mxcsr, got->mxcsr);
    compare_x87(&r, v, in, got);
    compare_xmm(&r, v, in, got);
    compare_memory(&r, v, in, got);
    compare_word(&r, "fault (255: none)", want->fault, got->fault);
    compare_word(&r, "error code", want->fault_code, got->fault_code);
    compare_word(&r, "cr2", want->fault_address & cr2, got->fault_address & cr2);
    return r.equal;
}
