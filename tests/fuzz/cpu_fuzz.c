/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: bytes become the state and the code of one vCPU, which runs until something would
 * have to be delivered. It never crashes; RFLAGS keeps bit 1; every tick is accounted for; and a
 * second run with a small virtual TLB, odd budgets and dropped caches ends in the same state and
 * memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/cpuid.h"
#include "monitor/dispatcher.h"
#include "monitor/machine.h"

#define RAM_SIZE (256 * KiB)
#define CODE_AT 0x1000u
#define TABLES_AT                                                                                  \
    0x8000u /* page tables: one PML4, PDPT, PD with 2 MiB pages, and a page table of 4 KiB pages   \
             */
#define MAX_TICKS 2000
#define HEADER 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input: a header of choices, then code. */
struct input {
    const uint8_t *header; /* HEADER bytes */
    const uint8_t *code;   /* the rest */
    size_t code_size;      /* of it */
};

/* How a run ended. */
struct outcome {
    enum cpu_exit why;  /* BUDGET, or what needs the monitor */
    struct fault fault; /* with CPU_EXIT_FAULT */
    uint8_t *state;     /* owned: the fields of struct cpu */
    uint8_t *ram;       /* owned */
};

enum mode { MODE_REAL, MODE_V86, MODE_PROT16, MODE_PROT32, MODE_COMPAT, MODE_LONG, MODES };

static void set_segments(struct cpu *cpu, enum mode mode, unsigned cpl)
{
    for (unsigned s = 0; s < 6; s++) {
        bool is_code = s == SEG_CS;
        cpu->seg_sel[s] = (uint16_t)(is_code ? 0x10 | cpl : 0x18 | cpl);
        cpu->seg_base[s] = 0;
        cpu->seg_limit[s] = UINT32_MAX;
        cpu->seg_attr[s] = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_G |
                           (is_code ? ATTR_CODE : 0) | cpl << ATTR_DPL_SHIFT;
        if (mode == MODE_REAL || mode == MODE_V86) {
            cpu->seg_sel[s] = 0;
            cpu->seg_limit[s] = 0xffff;
            cpu->seg_attr[s] = mode == MODE_V86 ? 0xf3 : 0x93;
        } else if (mode == MODE_LONG && is_code) {
            cpu->seg_attr[s] |= ATTR_L;
        } else if (mode != MODE_PROT16) {
            cpu->seg_attr[s] |= ATTR_DB;
        }
    }
}

/* Paging in 4-level form for the 64-bit modes: low memory as it is, the second 2 MiB as the input
 * says. */
static void set_tables(struct physmem *pm, const uint8_t *flags)
{
    uint8_t page[PAGE_SIZE] = {0};
    le64_store(page, (TABLES_AT + 0x1000) | 7);
    CHECK(physmem_write(pm, TABLES_AT, page, 8));
    le64_store(page, (TABLES_AT + 0x2000) | 7);
    CHECK(physmem_write(pm, TABLES_AT + 0x1000, page, 8));
    le64_store(page, 0x87);
    le64_store(page + 8, (TABLES_AT + 0x3000) | 7);
    CHECK(physmem_write(pm, TABLES_AT + 0x2000, page, 16));
    for (unsigned i = 0; i < 512; i++)
        le64_store(page + i * 8, (uint64_t)(i & 31) << 12 | (flags[i & 7] & 0x67));
    CHECK(physmem_write(pm, TABLES_AT + 0x3000, page, sizeof(page)));
}

/* Values that point somewhere: small, in RAM, near the end of a page, anywhere. */
static uint64_t choose_value(uint8_t kind, unsigned i)
{
    uint64_t mix = (kind * UINT64_C(0x9e3779b97f4a7c15)) ^ (i * UINT64_C(0xd1b54a32d192ed03));
    switch (kind & 7) {
    case 0:
        return mix;
    case 1:
        return mix & 0xff;
    case 2:
        return UINT64_MAX - (mix & 7);
    case 3:
        return 0x200000 | (mix & 0x1ffff);
    default:
        return (mix & 0x3f000) | (kind & 8 ? 0xff0 | (mix & 0xf) : mix & 0xfff);
    }
}

static void set_state(struct cpu *cpu, const struct input *in)
{
    const uint8_t *h = in->header;
    enum mode mode = (enum mode)(h[0] % MODES);
    unsigned cpl = mode == MODE_REAL ? 0 : mode == MODE_V86 ? 3 : h[1] & 3;
    cpu->cr0 = CR0_ET | CR0_NE | (mode != MODE_REAL ? CR0_PE : 0) | (h[2] & 1 ? CR0_WP : 0) |
               (h[2] & 2 ? CR0_AM : 0) | (h[2] & 0x1c ? 0 : CR0_TS) | (h[2] & 0xe0 ? 0 : CR0_EM);
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | (h[3] & 1 ? CR4_OSXSAVE : 0) |
               (h[3] & 2 ? CR4_FSGSBASE : 0) | (h[3] & 4 ? CR4_VME : 0) | (h[3] & 8 ? CR4_TSD : 0) |
               (h[3] & 16 ? CR4_UMIP : 0);
    cpu->xcr0 = h[3] & 32 ? 3 : 7;
    cpu->efer = EFER_SCE;
    if (mode == MODE_LONG || mode == MODE_COMPAT) {
        cpu->cr0 |= CR0_PG;
        cpu->cr4 |= CR4_PAE;
        cpu->efer |= EFER_LME | EFER_LMA | EFER_NXE;
        cpu->cr3 = TABLES_AT;
    }
    set_segments(cpu, mode, cpl);
    cpu->cpl = (uint8_t)cpl;
    cpu->rflags = 2 | (le16_load(h + 4) & 0x7cd5u) | (h[6] & 0xf ? 0 : 0x100u) |
                  (h[6] & 0x10 ? 0x40000u : 0) | (mode == MODE_V86 ? 0x20000u : 0);
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = choose_value(h[8 + i], i);
    cpu->fcw = (uint16_t)(0x340 | (h[24] & 0x3f) | (h[25] & 0xc) << 8);
    cpu->fsw = (uint16_t)((h[25] >> 4 & 7) << 11);
    cpu->ftw = h[26];
    cpu->mxcsr = (uint32_t)(h[27] << 7 | (h[28] & 0xf) << 12 | (h[28] >> 4));
    for (unsigned i = 0; i < 8; i++) {
        cpu->fp_mant[i] = choose_value(h[29], i) | BIT(63);
        cpu->fp_se[i] = (uint16_t)(h[30] & 1 ? 0x3ff0 + h[30] + i : h[30] * 257u);
    }
    for (unsigned i = 0; i < 64; i += 4)
        for (unsigned k = 0; k < 4; k++)
            cpu->ymm[i + k] = choose_value((uint8_t)(h[31] ^ 0x5a * k), i);
    cpu->rip = CODE_AT;
}

static struct machine *create(const struct input *in, unsigned entries)
{
    const struct machine_config config = {
        .memory_size = 2 * MiB, .seed = 1, .ns_per_tick = 1, .tlb_entries = entries};
    struct machine *m;
    struct cpu_model model;
    struct err err;
    CHECK(machine_create(&config, &m, &err) == 0);
    CHECK(cpu_model_parse("max", &model, &err) == 0);
    CHECK(vm_create(m, 1, &model, &err) == 0);
    CHECK(physmem_add(m->vm->pm, 0, RAM_SIZE, 0, false, &err) == 0);
    set_tables(m->vm->pm, in->header + 32);
    CHECK(physmem_write(m->vm->pm, CODE_AT, in->code, in->code_size));
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    set_state(&vcpu->arch, in);
    cpu_update_mmu(vcpu);
    return m;
}

/* At most budget ticks; the accounts must balance. */
static enum cpu_exit run_some(struct machine *m, uint64_t budget)
{
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    uint64_t ticks = vcpu->arch.ticks, retired = vcpu->arch.retired, total = m->s.ticks;
    enum cpu_exit why = dispatcher_run_vcpu(&m->vm->vcpus[0], budget);
    uint64_t done = vcpu->arch.ticks - ticks;
    CHECK(done <= budget && (why != CPU_EXIT_BUDGET || done == budget));
    CHECK(vcpu->run.budget == (int64_t)(budget - done));
    CHECK(m->s.ticks - total == done && vcpu->arch.retired - retired <= done);
    CHECK((vcpu->arch.rflags & 2) && !(vcpu->arch.rflags & ~UINT64_C(0x3f7fd7)));
    CHECK(vcpu->arch.cpl <= 3);
    return why;
}

/* Would the dispatcher have something to do now? */
static bool is_due(const struct machine *m)
{
    const struct cpu *cpu = &m->vm->vcpus[0].vcpu->arch;
    return cpu->pending_db || cpu->activity != ACTIVITY_ACTIVE || m->stop || m->reset_requested;
}

static void drop_caches(struct machine *m, uint32_t dice)
{
    if (dice & 1)
        block_cache_drop_all(m->vm->blocks);
    if (dice & 2)
        mmu_drop_caches(&m->vm->vcpus[0].vcpu->run.mmu);
}

static struct outcome run(const struct input *in, unsigned entries, bool is_odd)
{
    struct machine *m = create(in, entries);
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    struct outcome o = {.why = CPU_EXIT_BREAK};
    uint32_t dice = le32_load(in->header + 36) | 1;
    while ((o.why == CPU_EXIT_BREAK || o.why == CPU_EXIT_BUDGET) && m->s.ticks < MAX_TICKS &&
           !is_due(m)) {
        uint64_t left = MAX_TICKS - m->s.ticks, part = 1 + (dice >> 16) % 61;
        o.why = run_some(m, is_odd && part < left ? part : left);
        dice = dice * 1103515245 + 12345;
        if (is_odd && dice >> 28 < 4)
            drop_caches(m, dice >> 12);
    }
    if (o.why == CPU_EXIT_FAULT)
        o.fault = vcpu->run.fault;
    else if (o.why == CPU_EXIT_BREAK)
        o.why = CPU_EXIT_BUDGET; /* stopped by the loop: which of the two it was says nothing */
    o.state = malloc(fields_bytes(cpu_fields));
    o.ram = malloc(RAM_SIZE);
    CHECK(o.state && o.ram);
    fields_store(cpu_fields, &vcpu->arch, o.state);
    CHECK(physmem_read(m->vm->pm, 0, o.ram, RAM_SIZE));
    machine_destroy(m);
    return o;
}

/* Name the first field that differs. */
static void compare_states(const struct outcome *a, const struct outcome *b)
{
    size_t at = 0;
    for (const struct field *f = cpu_fields; f->name; at += field_bytes(f), f++) {
        if (memcmp(a->state + at, b->state + at, field_bytes(f)) == 0)
            continue;
        fprintf(stderr, "field %s differs\n", f->name);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t header[HEADER] = {0}; /* a short input is padded */
    size_t head = size < HEADER ? size : HEADER;
    if (head)
        memcpy(header, data, head);
    const struct input in = {header, data + head, size - head < 0x1000 ? size - head : 0x1000};
    struct outcome a = run(&in, 1024, false), b = run(&in, 16, true);
    CHECK(a.why == b.why);
    CHECK(a.fault.vector == b.fault.vector && a.fault.error_code == b.fault.error_code &&
          a.fault.cr2 == b.fault.cr2);
    compare_states(&a, &b);
    CHECK(memcmp(a.ram, b.ram, RAM_SIZE) == 0);
    free(a.state);
    free(a.ram);
    free(b.state);
    free(b.ram);
    return 0;
}
