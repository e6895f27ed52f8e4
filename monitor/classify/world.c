/* SPDX-License-Identifier: MIT */
#include "monitor/classify/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/block.h"
#include "cpu/jit/jit.h"
#include "monitor/classify/world_priv.h"
#include "monitor/emulate/real.h"
#include "monitor/mpfr_transcendentals.h"

/* ---- creation ---- */

static uint64_t no_device_read(void *opaque, paddr pa, unsigned size)
{
    (void)opaque, (void)pa, (void)size;
    return UINT64_MAX;
}

static void no_device_write(void *opaque, paddr pa, unsigned size, uint64_t v)
{
    (void)opaque, (void)pa, (void)size, (void)v;
}

static const struct bus_ops no_devices = {.read = no_device_read, .write = no_device_write};

static void mapping_changed(void *opaque)
{
    cpu_request_break(((struct world *)opaque)->vcpu);
}

static bool make_memory(struct world *w)
{
    struct err err;
    w->ram = calloc(1, WORLD_RAM);
    w->pm = w->ram ? physmem_create(w->ram, NULL, NULL) : NULL;
    return w->pm && physmem_add(w->pm, 0, WORLD_RAM, 0, false, &err) == 0;
}

static bool make_vcpu(struct world *w)
{
    const struct mmu_config config = {.entries = 64, .spaces = 4};
    const struct page_event_ops events = {.code_written = block_code_written};
    struct vcpu *v = w->vcpu;
    if (mmu_init(&v->run.mmu, w->mmu, &config, &no_devices, w) < 0)
        return false;
    mmu_set_jumps(&v->run.mmu, &v->jumps);
    physmem_set_events(w->pm, &events, w->blocks, w->mmu, NULL);
    mmu_vm_on_mapping_change(w->mmu, mapping_changed, w);
    v->run.blocks = w->blocks;
    v->run.decoder = w->decoder;
    v->run.pm = w->pm;
    v->run.sens = policy_slots(POLICY_BT);
    v->run.transcendentals = &mpfr_transcendentals;
    v->run.owner = w;
    v->run.pmu.tick_ns = 1;
    v->run.pmu.tsc_hz = NS_PER_SECOND;
    cpu_model_apply(&w->model, v);
    return true;
}

static bool make_parts(struct world *w)
{
    bool has[FEATURE_COUNT] = {false};
    if (!make_memory(w))
        return false;
    w->mmu = mmu_vm_create(w->pm, NULL, NULL);
    w->blocks = block_cache_create(w->pm);
    w->decoder = decoder_create();
    w->vcpu = vcpu_alloc();
    if (!w->mmu || !w->blocks || !w->decoder || !w->vcpu)
        return false;
    cpu_model_gates(&w->model, has);
    decoder_set_features(w->decoder, has);
    return make_vcpu(w);
}

struct world *world_create(const struct cpu_model *model, enum class_mode mode)
{
    bool has[FEATURE_COUNT] = {false};
    cpu_model_gates(model, has);
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->host = &world_host;
    w->model = *model;
    w->mode = mode;
    w->tsc = UINT64_C(0x123456789);
    w->entropy = UINT64_C(0x0f1e2d3c4b5a6978);
    w->port_value = 0x5a;
    w->cr8 = 2;
    if ((mode == CLASS_LONG64 && !has[FEAT_LM]) || !make_parts(w)) {
        world_destroy(w);
        return NULL;
    }
    world_make_tables(w);
    memset(w->image + WORLD_CODE, 0xff, PAGE_SIZE); /* FF /7: #UD at every byte */
    world_flush(w, 0, WORLD_SIZE);
    return w;
}

void world_destroy(struct world *w)
{
    if (!w)
        return;
    if (w->vcpu)
        mmu_fini(&w->vcpu->run.mmu);
    block_cache_destroy(w->blocks);
    jit_destroy(w->jit);
    mmu_vm_destroy(w->mmu);
    physmem_destroy(w->pm);
    decoder_destroy(w->decoder);
    vcpu_free(w->vcpu);
    free(w->ram);
    free(w);
}

const char *class_mode_name(enum class_mode mode)
{
    static const char *const names[CLASS_MODES] = {"prot16", "prot32", "long64"};
    return mode < CLASS_MODES ? names[mode] : NULL;
}

enum decode_mode class_mode_code(enum class_mode mode)
{
    static const uint8_t codes[CLASS_MODES] = {DECODE_16, DECODE_32, DECODE_64};
    return (enum decode_mode)codes[mode];
}

/* ---- states ---- */

/* A segment as a load of its descriptor leaves it. */
static void set_segment(const struct world *w, struct cpu *cpu, unsigned seg, unsigned sel)
{
    const uint8_t *raw = w->image + WORLD_GDT + (sel & 0xfff8);
    cpu->seg_sel[seg] = (uint16_t)sel;
    cpu->seg_base[seg] = 0;
    cpu->seg_limit[seg] = UINT32_MAX;
    cpu->seg_attr[seg] = raw[5] | (raw[6] & 0xf0u) << 8;
}

void world_set_cpl(const struct world *w, struct cpu *cpu, unsigned cpl)
{
    uint64_t base_cs = cpu->seg_base[SEG_CS], base_ss = cpu->seg_base[SEG_SS];
    set_segment(w, cpu, SEG_CS, cpl ? SEL_CODE3 : SEL_CODE0);
    set_segment(w, cpu, SEG_SS, cpl ? SEL_DATA3 : SEL_DATA0);
    cpu->seg_base[SEG_CS] = base_cs;
    cpu->seg_base[SEG_SS] = base_ss;
    cpu->cpl = (uint8_t)cpl;
}

static void base_tables(struct cpu *cpu, bool is_long)
{
    cpu->gdtr_base = WORLD_GDT;
    cpu->gdtr_limit = 8 * GDT_ENTRIES - 1;
    cpu->idtr_base = WORLD_IDT;
    cpu->idtr_limit = is_long ? 0xfff : 0x7ff;
    cpu->seg_sel[SEG_LDTR] = SEL_LDT;
    cpu->seg_base[SEG_LDTR] = WORLD_LDT;
    cpu->seg_limit[SEG_LDTR] = 8 * LDT_ENTRIES - 1;
    cpu->seg_attr[SEG_LDTR] = ATTR_P | 2;
    cpu->seg_sel[SEG_TR] = SEL_TSS;
    cpu->seg_base[SEG_TR] = WORLD_TSS;
    cpu->seg_limit[SEG_TR] = WORLD_TSS_LIMIT;
    cpu->seg_attr[SEG_TR] = ATTR_P | 11;
}

static void base_msrs(struct cpu *cpu)
{
    cpu->star = (uint64_t)SEL_CODE0 << 32 | UINT64_C(0x10) << 48;
    cpu->lstar = cpu->cstar = WORLD_TARGET;
    cpu->fmask = F_TF;
    cpu->sysenter_cs = SEL_CODE0;
    cpu->sysenter_esp = WORLD_STACK0 + 0xe00;
    cpu->sysenter_eip = WORLD_TARGET;
    cpu->kernel_gs_base = WORLD_DATA;
    cpu->tsc_aux = 1;
}

void world_base_cpu(const struct world *w, uint64_t cr4_set, unsigned cpl, struct cpu *cpu)
{
    bool is_long = w->mode == CLASS_LONG64;
    uint64_t has = cpu_model_cr4(&w->model);
    cpu_reset(w->vcpu, false, cpu_model_signature(&w->model));
    *cpu = w->vcpu->arch;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    cpu->cr3 = PAGE_TABLES_A;
    cpu->cr4 = has & (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | cr4_set);
    cpu->efer = cpu_model_efer(&w->model) & (EFER_SCE | (is_long ? EFER_LME : 0));
    if (is_long) {
        cpu->efer |= EFER_LMA;
        cpu->cr4 |= CR4_PAE;
    }
    cpu->xcr0 = (cpu_model_xcr0(&w->model) & 7) | 1;
    cpu->rflags = 2;
    cpu->fcw = 0x37f;
    base_tables(cpu, is_long);
    base_msrs(cpu);
    for (unsigned s = 0; s < 6; s++)
        set_segment(w, cpu, s, SEL_DATA3);
    world_set_cpl(w, cpu, cpl);
}

/* ---- memory ---- */

static void put(struct world *w, paddr frames, unsigned at, size_t n)
{
    bool ok = physmem_write(w->pm, frames + at, w->image + at, n);
    assert(ok);
}

void world_flush(struct world *w, unsigned at, size_t n)
{
    put(w, FRAMES_A, at, n);
    put(w, FRAMES_B, at, n);
}

void world_write(struct world *w, unsigned at, const void *bytes, size_t n)
{
    memcpy(w->image + at, bytes, n);
    world_flush(w, at, n);
}

bool world_vary(struct world *w, struct cpu *cpu, unsigned element)
{
    const struct element_desc *e = &elements[element];
    if (e->vary) {
        e->vary(w, cpu);
        return true;
    }
    if (e->count == 0)
        return false;
    const uint64_t has = e->field == FIELD_cr4    ? cpu_model_cr4(&w->model)
                         : e->field == FIELD_efer ? cpu_model_efer(&w->model)
                         : e->field == FIELD_xcr0 ? cpu_model_xcr0(&w->model)
                                                  : UINT64_MAX;
    if ((has & e->mask) != e->mask)
        return false;
    const struct field *f = &cpu_fields[e->field];
    for (unsigned i = e->first; i < (unsigned)e->first + e->count; i++) {
        bool fits = field_set(f, cpu, i, field_get(f, cpu, i) ^ e->mask);
        assert(fits);
    }
    return true;
}

/* ---- a run ---- */

static void add_change(struct outcome *out, unsigned at, uint8_t is)
{
    if (out->count < CHANGES_MAX) {
        out->changes[out->count++] = (struct change){(uint16_t)at, is};
        return;
    }
    out->count = CHANGES_MAX + 1;
    out->rest = (out->rest ^ ((uint64_t)at << 8 | is)) * UINT64_C(0xd1342543de82ef95);
}

/* What memory holds that the image does not; and back to the image. */
static void collect_changes(struct world *w, paddr frames, struct outcome *out)
{
    for (unsigned n = 0; n < ARRAY_SIZE(world_pages); n++) {
        unsigned page = world_pages[n];
        const uint8_t *now = w->ram + frames + page;
        if (memcmp(now, w->image + page, PAGE_SIZE) == 0)
            continue;
        for (unsigned i = 0; i < PAGE_SIZE; i++)
            if (now[i] != w->image[page + i])
                add_change(out, page + i, now[i]);
        put(w, frames, page, PAGE_SIZE);
    }
}

static void set_state(struct world *w, const struct cpu *before, int64_t budget)
{
    struct vcpu *v = w->vcpu;
    v->arch = *before;
    w->req = (struct requests){.cr8 = w->cr8};
    pmu_rebuild(v);
    cpu_update_mmu(v);
    v->run.budget = budget;
    v->run.attention = false;
}

static void read_state(struct world *w, const struct cpu *before, bool has_fault,
                       struct outcome *out)
{
    out->has_fault = has_fault;
    out->fault = w->vcpu->run.fault;
    out->cpu = w->vcpu->arch;
    out->req = w->req;
    out->count = 0;
    out->rest = 0;
    collect_changes(w, before->cr3 == PAGE_TABLES_A ? FRAMES_A : FRAMES_B, out);
}

void world_run(struct world *w, const struct cpu *before, struct outcome *out)
{
    set_state(w, before, 1);
    read_state(w, before, cpu_run(w->vcpu) == CPU_EXIT_FAULT, out);
}

/* ---- as part of a block ---- */

static void count_site(void *opaque, const struct site *site, uint32_t mode)
{
    struct world *w = opaque;
    (void)mode;
    if (site->insn.row == w->exits_row)
        w->exits += site->count;
}

void world_set_policy(struct world *w, const struct policy_config *policy)
{
    w->vcpu->run.sens = policy_slots(policy->policy);
    if (policy->policy == POLICY_CLASSIC)
        real_init(&w->vcpu->real, policy->ring, policy->emulates_faults);
}

bool world_translate(struct world *w)
{
    static const struct jit_config at_once = {.threshold = 1, .cache = 4 * MiB};
    block_cache_set_fold(w->blocks, count_site, w);
    w->jit = jit_is_available() ? jit_create(&at_once) : NULL;
    w->vcpu->run.jit = w->jit;
    if (w->jit)
        block_cache_set_jit(w->blocks, w->jit);
    return w->jit;
}

bool world_run_block(struct world *w, const struct cpu *before, unsigned row, struct outcome *out,
                     uint64_t *exits)
{
    const int64_t enough = 64; /* ticks for a block and what is behind it */
    w->exits_row = row;
    block_cache_fold_all(w->blocks);
    w->exits = 0;
    set_state(w, before, enough);
    enum cpu_exit why = cpu_run(w->vcpu);
    uint64_t retired = w->vcpu->arch.retired - before->retired;
    block_cache_fold_all(w->blocks);
    *exits = w->exits;
    read_state(w, before, why == CPU_EXIT_FAULT && retired == 0, out);
    return retired == 1 || (retired == 0 && out->has_fault);
}
