/* SPDX-License-Identifier: MIT */
#include "tests/vectors/player.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/jit/jit.h"
#include "monitor/mpfr_transcendentals.h"
#include "monitor/policy.h"
#include "tests/unit/cpu_harness.h"
#include "tests/vectors/segments.h"

/* Page tables, above what vectors use. */
enum { PML4 = 0x80000, PDPT = 0x81000, PD = 0x82000, PT = 0x83000, LDT = 0x84000, HIGH = 0x85000 };
#define LDT_BASE UINT64_C(0xffff800000000000) /* of its linear address: what a system has there */

struct player {
    struct harness *h;       /* owned */
    struct decoder *decoder; /* owned: every feature */
    uint32_t ldt_base;       /* vector.base of the descriptors in memory */
    struct jit *jit;         /* owned; NULL: vectors are interpreted */
    bool flags_die;          /* jit: TEST EAX, EAX follows the instruction */
    bool interprets;         /* jit: not now */
};

static void poke64(struct harness *h, uint32_t pa, uint64_t v)
{
    uint8_t b[8];
    le64_store(b, v);
    EXPECT(physmem_write(h->pm, pa, b, sizeof b));
}

/* What the recorder maps for each base: present and user, A and D set; only code is executable. */
static void make_page_tables(struct harness *h)
{
    const uint64_t table = PF_P | PF_WR | PF_US | 0x20, page = PF_P | PF_US | 0x60;
    const unsigned bases[] = {0, 0x100000};
    poke64(h, PML4, PDPT | table);
    poke64(h, PDPT, PD | table);
    poke64(h, PD, PT | table);
    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
        unsigned at = PT + 8 * (bases[i] >> PAGE_SHIFT);
        poke64(h, at + 8 * (VECTOR_CODE >> PAGE_SHIFT), VECTOR_CODE | page);
        for (unsigned pa = VECTOR_MEM; pa < VECTOR_DATA_END; pa += PAGE_SIZE) {
            uint64_t entry = pa | page | BIT(63) | (pa == VECTOR_MEM ? 0 : PF_WR);
            poke64(h, at + 8 * (pa >> PAGE_SHIFT), entry);
            poke64(h, at + 8 * ((pa + VECTOR_ALIAS) >> PAGE_SHIFT), entry);
        }
    }
    poke64(h, PML4 + 8 * 256, HIGH | table);
    poke64(h, HIGH, (HIGH + 0x1000) | table);
    poke64(h, HIGH + 0x1000, (HIGH + 0x2000) | table);
    poke64(h, HIGH + 0x2000, LDT | (page & ~(uint64_t)PF_US));
}

struct player *player_create(void)
{
    struct player *p = calloc(1, sizeof(*p));
    uint8_t code[PAGE_SIZE];
    p->h = harness_create(DECODE_64);
    p->decoder = decoder_create();
    p->h->vcpu->run.transcendentals = &mpfr_transcendentals;
    p->h->vcpu->run.sens =
        policy_slots(POLICY_BT); /* ARPL and the FS, GS base rows live behind slots */
    make_page_tables(p->h);
    p->ldt_base = UINT32_MAX; /* none */
    memset(code, 0xcc, sizeof code);
    EXPECT(physmem_write(p->h->pm, VECTOR_CODE, code, sizeof code));
    return p;
}

void player_destroy(struct player *p)
{
    harness_destroy(p->h);
    jit_destroy(p->jit);
    decoder_destroy(p->decoder);
    free(p);
}

/* ---- as translated code ---- */

#define NO_INSN 0xf4 /* HLT: a fault at CPL 3, and one byte long */

static const uint8_t test_eax_eax[2] = {0x85, 0xc0};

void player_translate(struct player *p, enum player_flags flags)
{
    const struct jit_config at_once = {
        .threshold = 1, .cache = 4 * MiB, .lends_always = flags == PLAYER_FLAGS_DEAD};
    uint8_t code[PAGE_SIZE];
    memset(code, NO_INSN, sizeof code);
    EXPECT(physmem_write(p->h->pm, VECTOR_CODE, code, sizeof code));
    p->flags_die = flags == PLAYER_FLAGS_DEAD;
    p->jit = jit_create(&at_once);
    EXPECT(p->jit != NULL);
    p->h->vcpu->run.jit = p->jit;
    block_cache_set_jit(p->h->blocks, p->jit);
}

uint64_t player_translated(const struct player *p)
{
    return p->jit ? jit_stats(p->jit).translated : 0;
}

bool player_translates(enum decode_mode mode)
{
    return mode != DECODE_16;
}

void player_interpret(struct player *p, bool on)
{
    p->interprets = on;
}

/* A branch to itself, or to what stands behind it here and not on the other machine. */
static bool branches_to_itself(const struct vector *v)
{
    uint64_t offset = v->after.rip - v->before.rip;
    return v->after.fault == VECTOR_NO_FAULT && offset != v->len &&
           offset <= v->len + sizeof test_eax_eax;
}

/* Of a vector's instruction: nothing that is stepped is translated. */
static bool is_translated(const struct player *p, const struct vector *v)
{
    return p->jit && !p->interprets && !branches_to_itself(v) && player_translates(v->mode) &&
           !(v->before.rflags & F_TF);
}

/*
 * Run up to the fault behind the instruction. A fault that is not its own changes nothing, and is
 * taken away; so is the TEST.
 */
static enum cpu_exit run_translated(struct harness *h, const struct vector *v, bool flags_die)
{
    struct cpu *cpu = &h->vcpu->arch;
    uint64_t tested = v->before.rip + v->len + sizeof test_eax_eax;
    enum cpu_exit exit = harness_run(h, 1000);
    if (exit != CPU_EXIT_FAULT || cpu->rip == v->before.rip)
        return exit;
    if (flags_die && cpu->rip == tested) {
        cpu->rip -= sizeof test_eax_eax;
        cpu->rflags = (cpu->rflags & ~(uint64_t)F_OSZAPC) | (v->after.rflags & F_OSZAPC);
    }
    return CPU_EXIT_BREAK;
}

bool player_decode(const struct player *p, const struct vector *v, struct insn *in)
{
    return decoder_decode(p->decoder, v->mode, v->bytes, v->len, in) == DECODE_OK &&
           in->len == v->len;
}

/* ES to GS: flat, null, or of the local descriptor table. */
static void set_segment(struct cpu *cpu, const struct vector *v, unsigned seg)
{
    const uint32_t data = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_DPL | ATTR_G | ATTR_DB;
    unsigned sel = v->before.sel[seg];
    const struct vector_segment *s = vector_segment(sel);
    cpu->seg_sel[seg] = (uint16_t)sel;
    cpu->seg_base[seg] = 0;
    cpu->seg_limit[seg] = sel > 3 ? UINT32_MAX : 0;
    cpu->seg_attr[seg] = sel > 3 ? data : (uint32_t)ATTR_UNUSABLE;
    if (s != NULL) {
        cpu->seg_base[seg] = (uint32_t)(s->base + v->base);
        cpu->seg_limit[seg] = (s->attr & ATTR_G) ? s->limit << 12 | 0xfff : s->limit;
        cpu->seg_attr[seg] = s->attr;
    } else if (seg == SEG_CS) {
        cpu->seg_attr[seg] = (data & ~(uint32_t)ATTR_DB) | ATTR_CODE |
                             (v->mode == DECODE_64 ? (uint32_t)ATTR_L : (uint32_t)ATTR_DB);
    }
}

static void write_ldt(struct player *p, const struct vector *v)
{
    if (p->ldt_base == v->base)
        return;
    p->ldt_base = v->base;
    for (unsigned n = 0; n < VECTOR_LDT_COUNT; n++)
        poke64(p->h, LDT + 8 * n, vector_descriptor(v, n));
}

/*
 * Translated 32-bit code differs where long mode is not active: every other vector runs as under a
 * 32-bit operating system, but for those that want its descriptors.
 */
static bool is_legacy(const struct player *p, const struct vector *v, const struct insn *in)
{
    return p->jit && v->mode == DECODE_32 && (v->before.gpr[REG_RAX] & 1) &&
           insn_row(in->row)->sensitivity == SENS_NONE;
}

static void leave_long_mode(struct cpu *cpu)
{
    cpu->efer = EFER_NXE;
    cpu->cr3 = PDPT;
    memset(cpu->pdpte, 0, sizeof cpu->pdpte);
    cpu->pdpte[0] = PD | PF_P;
}

/* What 64-bit code may have left in the upper halves, where 32-bit code neither sees it nor, but by
 * writing a register, changes it. */
#define UPPER_HALF (UINT64_C(0x89abcdef) << 32)

static void dirty_upper_halves(const struct player *p, const struct vector *v, struct cpu *cpu)
{
    if (!p->jit || v->mode != DECODE_32 || !(v->before.gpr[REG_RCX] & 1))
        return;
    for (unsigned i = 0; i < 8; i++)
        if (i != REG_RSP || (v->before.gpr[REG_RDX] & 3) == 0)
            cpu->gpr[i] |= UPPER_HALF;
}

static void clean_upper_halves(const struct vector *v, struct vector_state *t)
{
    for (unsigned i = 0; i < 8 && v->mode == DECODE_32; i++)
        if ((t->gpr[i] & ~(uint64_t)UINT32_MAX) == UPPER_HALF)
            t->gpr[i] &= UINT32_MAX;
}

/* A user process of a 64-bit operating system. */
static void set_mode(struct cpu *cpu, const struct vector *v)
{
    cpu->cpl = 3;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr3 = PML4;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    cpu->xcr0 = 7;
    cpu->gdtr_limit = 7; /* nothing but the null descriptor */
    for (unsigned s = 0; s < 6; s++)
        set_segment(cpu, v, s);
    cpu->seg_base[SEG_LDTR] = LDT_BASE;
    cpu->seg_limit[SEG_LDTR] = 8 * VECTOR_LDT_COUNT - 1;
    cpu->seg_sel[SEG_LDTR] = 8;
    cpu->seg_attr[SEG_LDTR] = ATTR_P | 2;
}

static void load_state(struct cpu *cpu, const struct vector_state *t, bool is_64)
{
    memcpy(cpu->gpr, t->gpr, sizeof cpu->gpr);
    cpu->rip = t->rip;
    cpu->rflags = t->rflags;
    if (is_64) {
        cpu->seg_base[SEG_FS] = t->seg_base[0];
        cpu->seg_base[SEG_GS] = t->seg_base[1];
    }
    cpu->fop = t->fop;
    cpu->fip = t->fip;
    cpu->fdp = t->fdp;
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

static void save_state(const struct cpu *cpu, struct vector_state *t, bool is_64)
{
    memset(t, 0, offsetof(struct vector_state, mem));
    memcpy(t->gpr, cpu->gpr, sizeof cpu->gpr);
    t->rip = cpu->rip;
    t->rflags = cpu->rflags;
    if (is_64) {
        t->seg_base[0] = cpu->seg_base[SEG_FS];
        t->seg_base[1] = cpu->seg_base[SEG_GS];
    }
    memcpy(t->sel, cpu->seg_sel, sizeof t->sel);
    t->fop = cpu->fop;
    t->fip = cpu->fip;
    t->fdp = cpu->fdp;
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

/* The instruction and what follows (what of it is in the code page), or what was there before. */
static void write_code(const struct player *p, const struct vector *v, bool is_there)
{
    uint8_t code[INSN_MAX_LEN + sizeof test_eax_eax];
    size_t len = v->len;
    memset(code, p->jit ? NO_INSN : 0xcc, sizeof code);
    if (is_there)
        memcpy(code, v->bytes, len);
    if (is_there && p->flags_die)
        memcpy(code + len, test_eax_eax, sizeof test_eax_eax);
    if (p->jit)
        len += sizeof test_eax_eax;
    uint64_t base = v->mode == DECODE_64 ? 0 : vector_segment_base(v, SEG_CS);
    uint64_t at = (v->before.rip + base - v->base) & UINT32_MAX;
    uint64_t room = VECTOR_CODE + PAGE_SIZE - at;
    EXPECT(physmem_write(p->h->pm, at, code, room < len ? (size_t)room : len));
}

void player_run(struct player *p, const struct vector *v, const struct insn *in, bool has_feature,
                struct vector_state *got)
{
    struct harness *h = p->h;
    struct cpu *cpu = &h->vcpu->arch;
    bool is_64 = v->mode == DECODE_64;
    uint8_t feature = insn_row(in->row)->feature;
    enum cpu_exit exit;
    write_code(p, v, true);
    EXPECT(physmem_write(h->pm, VECTOR_MEM, v->before.mem, VECTOR_MEM_SIZE));
    h->vcpu->run.features[feature] = has_feature;
    write_ldt(p, v);
    set_mode(cpu, v);
    if (is_legacy(p, v, in))
        leave_long_mode(cpu);
    load_state(cpu, &v->before, is_64);
    dirty_upper_halves(p, v, cpu);
    cpu_update_mmu(h->vcpu);
    if (is_translated(p, v))
        exit = run_translated(h, v, p->flags_die);
    else
        do
            exit = harness_run(h, 1);
        while (exit != CPU_EXIT_FAULT && cpu->rip == v->before.rip && vector_repeats(in));
    save_state(cpu, got, is_64);
    clean_upper_halves(v, got);
    EXPECT(physmem_read(h->pm, VECTOR_MEM, got->mem, VECTOR_MEM_SIZE));
    got->fault = VECTOR_NO_FAULT;
    got->fault_code = got->fault_address = 0;
    if (exit == CPU_EXIT_FAULT) {
        const struct fault *f = &h->vcpu->run.fault;
        got->fault = f->vector;
        got->fault_code = f->has_error_code ? f->error_code : 0;
        got->fault_address = f->vector == EXC_PF ? f->cr2 : 0;
    }
    h->vcpu->run.features[feature] = true;
    write_code(p, v, false);
}

/* ---- comparison ---- */

struct report {
    char *text;  /* borrowed */
    size_t size; /* of text */
    size_t used; /* of it */
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
}

static void report_word(struct report *r, const char *name, uint64_t differs, uint64_t want,
                        uint64_t got)
{
    if (differs)
        report(r, "    %s want %" PRIx64 " got %" PRIx64 "\n", name, want, got);
}

static void report_floating_point(struct report *r, const struct vector *v,
                                  const struct difference *d, const struct vector_state *got)
{
    const struct vector_state *want = &v->after;
    report_word(r, "fcw", d->fcw, want->fcw, got->fcw);
    report_word(r, "fsw", d->fsw, want->fsw, got->fsw);
    report_word(r, "ftw", d->ftw, want->ftw, got->ftw);
    report_word(r, "fop", d->fop, want->fop, got->fop);
    report_word(r, "fip", d->fip, want->fip, got->fip);
    report_word(r, "fdp", d->fdp, want->fdp, got->fdp);
    for (unsigned i = 0; i < 8; i++)
        if (d->st >> i & 1)
            report(r, "    p%u (st%u before) want %04x:%016" PRIx64 " got %04x:%016" PRIx64 "\n", i,
                   (i - (unsigned)(v->before.fsw >> 11)) & 7, want->fp_se[i], want->fp_mant[i],
                   got->fp_se[i], got->fp_mant[i]);
    for (unsigned i = 0; i < 16; i++) {
        const uint64_t *w = want->xmm[i], *g = got->xmm[i];
        const uint64_t *wh = want->ymm_high[i], *gh = got->ymm_high[i];
        if (d->simd >> i & 1)
            report(r,
                   "    ymm%u want %016" PRIx64 "%016" PRIx64 "'%016" PRIx64 "%016" PRIx64
                   "\n           got %016" PRIx64 "%016" PRIx64 "'%016" PRIx64 "%016" PRIx64 "\n",
                   i, wh[1], wh[0], w[1], w[0], gh[1], gh[0], g[1], g[0]);
    }
}

static void report_memory(struct report *r, const struct vector *v, const struct difference *d)
{
    unsigned shown = 0;
    for (unsigned i = d->mem_from; i < d->mem_to && shown < 8; i++) {
        if (d->mem[0][i] == d->mem[1][i])
            continue;
        report(r, "    mem %x want %02x got %02x\n", v->base + VECTOR_MEM + i, d->mem[0][i],
               d->mem[1][i]);
        shown++;
    }
}

bool player_compare(const struct vector *v, const struct insn *in, const struct vector_state *got,
                    enum vendor vendor, unsigned *absorbed, char *text, size_t size)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const sel_names[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
    const struct vector_state *want = &v->after;
    struct report r = {.text = text, .size = size};
    struct difference d = difference_between(want, got);
    allowed_absorb(v, in, vendor, &d, absorbed);
    if (!d.any)
        return true;
    if (size == 0)
        return false;
    for (unsigned i = 0; i < 16; i++)
        report_word(&r, names[i], d.gpr >> i & 1, want->gpr[i], got->gpr[i]);
    report_word(&r, "rip", d.rip, want->rip, got->rip);
    report_word(&r, "rflags", d.flags, want->rflags, got->rflags);
    for (unsigned i = 0; i < 6; i++)
        report_word(&r, sel_names[i], d.segments >> i & 1, want->sel[i], got->sel[i]);
    report_word(&r, "fs base", d.segments & 0x40, want->seg_base[0], got->seg_base[0]);
    report_word(&r, "gs base", d.segments & 0x80, want->seg_base[1], got->seg_base[1]);
    report_word(&r, "mxcsr", d.mxcsr, want->mxcsr, got->mxcsr);
    report_floating_point(&r, v, &d, got);
    report_memory(&r, v, &d);
    report_word(&r, "fault (255: none)", d.fault, want->fault, got->fault);
    report_word(&r, "error code", d.code, want->fault_code, got->fault_code);
    report_word(&r, "cr2", d.cr2, want->fault_address, got->fault_address);
    return false;
}
