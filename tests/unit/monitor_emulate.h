/* SPDX-License-Identifier: MIT */
/*
 * A bare vCPU whose sensitive instructions go to monitor/emulate, with a fake monitor behind them
 * and descriptor tables in memory: GDT at GDT, IDT at IDT, TSS at TSS. Handlers of vector v start
 * at HANDLER + 16 v.
 */
#pragma once

#include "cpu/cpuid.h"
#include "monitor/emulate/descriptor.h"
#include "monitor/policy.h"
#include "monitor/reflect.h"
#include "tests/unit/cpu_harness.h"

#define GDT 0x4000u
#define IDT 0x5000u
#define TSS 0x6000u
#define TSS2 0x6800u
#define HANDLER 0x8000u
#define STACK0 0x50000u
#define STACK_IST 0x58000u

/* Selectors. */
enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x1b,
    DATA3 = 0x23,
    CODE0_64 = 0x28,
    CODE3_64 = 0x33,
    TSS_SEL = 0x38,  /* and 0x40 in long mode */
    GATE_SEL = 0x48, /* and 0x50 */
    TSS2_SEL = 0x58,
    GDT_BYTES = 0x60,
};

struct bench {
    const struct emulate_host *host; /* first: run.owner points here */
    struct harness *h;               /* owned */
    struct vcpu *vcpu;               /* h's */
    struct cpu *cpu;                 /* its arch */
    struct cpu_model model;          /* max */
    uint64_t tsc;                    /* what tsc_base answers */
    uint64_t cr8;                    /* CR8 */
    unsigned port_reads;             /* how many */
    unsigned port_writes;            /* how many */
    uint16_t port;                   /* the last */
    uint32_t port_value;             /* the last written; reads count up from it */
};

static struct bench *bench_of(struct vcpu *vcpu)
{
    return vcpu->run.owner;
}

static uint32_t fake_port_read(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    struct bench *b = bench_of(vcpu);
    (void)width;
    b->port_reads++;
    b->port = port;
    return b->port_value++;
}

static void fake_port_write(struct vcpu *vcpu, uint16_t port, unsigned width, uint32_t v)
{
    struct bench *b = bench_of(vcpu);
    (void)width;
    b->port_writes++;
    b->port = port;
    b->port_value = v;
}

static uint64_t fake_tsc_base(struct vcpu *vcpu)
{
    return bench_of(vcpu)->tsc;
}

static void fake_nothing(struct vcpu *vcpu)
{
    (void)vcpu;
}

static uint64_t fake_cr8_read(struct vcpu *vcpu)
{
    return bench_of(vcpu)->cr8;
}

static void fake_cr8_write(struct vcpu *vcpu, uint64_t v)
{
    bench_of(vcpu)->cr8 = v;
}

static bool fake_apic_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)vcpu;
    *v = 0xfee00900;
    return msr == 0x1b;
}

static bool fake_apic_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)vcpu, (void)v;
    return msr == 0x1b;
}

static uint32_t fake_apic_id(struct vcpu *vcpu)
{
    return vcpu->run.index;
}

static void fake_kvmclock(struct vcpu *vcpu, uint32_t msr)
{
    (void)vcpu, (void)msr;
}

static enum sens_result fake_hypercall(struct vcpu *vcpu)
{
    raise_fault(vcpu, EXC_UD);
    return SENS_FAULT;
}

static bool fake_pv_read(struct vcpu *vcpu, uint32_t msr, uint64_t *v)
{
    (void)vcpu, (void)msr, (void)v;
    return false;
}

static bool fake_pv_write(struct vcpu *vcpu, uint32_t msr, uint64_t v)
{
    (void)vcpu, (void)msr, (void)v;
    return false;
}

static struct cpuid_regs fake_pv_cpuid(struct vcpu *vcpu, uint32_t leaf)
{
    (void)vcpu, (void)leaf;
    return (struct cpuid_regs){0};
}

static uint64_t fake_entropy(struct vcpu *vcpu)
{
    (void)vcpu;
    return UINT64_C(0x123456789abcdef0);
}

static bool fake_pause(struct vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

static const struct cpu_model *fake_model(struct vcpu *vcpu)
{
    return &bench_of(vcpu)->model;
}

static const struct emulate_host fake_host = {
    fake_port_read, fake_port_write, fake_tsc_base,   fake_nothing, fake_cr8_read,
    fake_cr8_write, fake_apic_read,  fake_apic_write, fake_apic_id, fake_kvmclock,
    fake_hypercall, fake_pv_read,   fake_pv_write,   fake_pv_cpuid,
    fake_entropy,   fake_pause,      fake_nothing,    fake_model,
    fake_nothing,
};

static void poke(struct bench *b, paddr pa, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    le_store(bytes, v, size);
    EXPECT(physmem_write(b->h->pm, pa, bytes, size));
}

UNUSED static uint64_t peek(const struct bench *b, paddr pa, unsigned size)
{
    return le_load(b->h->ram + pa, size);
}

static void gdt_set(struct bench *b, unsigned sel, uint64_t raw)
{
    poke(b, GDT + (sel & 0xfff8), raw, 8);
}

/* A segment or system descriptor. */
static uint64_t descriptor_raw(uint32_t base, uint32_t limit20, uint32_t attr)
{
    return (limit20 & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)(attr & 0xf0ff) << 40 | (uint64_t)(limit20 >> 16 & 15) << 48 |
           (uint64_t)(base >> 24) << 56;
}

/* IDT gate of vector v to its HANDLER: type with P and DPL; 8 or 16 bytes by mode. */
UNUSED static void idt_set(struct bench *b, unsigned v, uint16_t sel, uint8_t attr, unsigned ist)
{
    uint32_t off = HANDLER + 16 * v;
    uint64_t raw = (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)ist << 32 |
                   (uint64_t)attr << 40 | (uint64_t)(off >> 16) << 48;
    bool is_long = b->cpu->efer & EFER_LMA;
    poke(b, IDT + v * (is_long ? 16 : 8), raw, 8);
    if (is_long)
        poke(b, IDT + v * 16 + 8, 0, 8);
}

/* The segment register loaded from the GDT, without checks. */
static void load_seg(struct bench *b, unsigned seg, uint16_t sel)
{
    struct descriptor d;
    EXPECT_EQ(LOOKUP_OK, descriptor_lookup(b->vcpu, sel, &d));
    segment_commit(b->vcpu, seg, sel, &d);
}

static void set_cpl(struct bench *b, unsigned cpl)
{
    bool is_64 = b->cpu->efer & EFER_LMA;
    load_seg(b, SEG_CS, cpl ? (is_64 ? CODE3_64 : CODE3) : (is_64 ? CODE0_64 : CODE0));
    for (unsigned s = 0; s < 6; s++)
        if (s != SEG_CS)
            load_seg(b, s, cpl ? DATA3 : DATA0);
    b->cpu->cpl = (uint8_t)cpl;
    cpu_update_mode(b->vcpu);
}

static void bench_tables(struct bench *b)
{
    const uint32_t present = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED,
                   flat = present | ATTR_G | ATTR_DB;
    bool is_long = b->cpu->efer & EFER_LMA;
    b->cpu->gdtr_base = GDT;
    b->cpu->gdtr_limit = GDT_BYTES - 1;
    b->cpu->idtr_base = IDT;
    b->cpu->idtr_limit = 0xfff;
    gdt_set(b, CODE0, descriptor_raw(0, 0xfffff, flat | ATTR_CODE));
    gdt_set(b, DATA0, descriptor_raw(0, 0xfffff, flat));
    gdt_set(b, CODE3, descriptor_raw(0, 0xfffff, flat | ATTR_CODE | ATTR_DPL));
    gdt_set(b, DATA3, descriptor_raw(0, 0xfffff, flat | ATTR_DPL));
    gdt_set(b, CODE0_64, descriptor_raw(0, 0xfffff, present | ATTR_G | ATTR_CODE | ATTR_L));
    gdt_set(b, CODE3_64,
            descriptor_raw(0, 0xfffff, present | ATTR_G | ATTR_CODE | ATTR_L | ATTR_DPL));
    gdt_set(b, TSS_SEL, descriptor_raw(TSS, 0x2067, ATTR_P | TYPE_TSS32_BUSY));
    load_seg(b, SEG_TR, TSS_SEL);
    if (is_long) {
        poke(b, TSS + 4, STACK0, 8);
        poke(b, TSS + 36, STACK_IST, 8);
    } else {
        poke(b, TSS + 4, STACK0, 4);
        poke(b, TSS + 8, DATA0, 2);
    }
}

static struct bench *bench_create(enum decode_mode mode)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct err err;
    assert_non_null(b);
    b->h = harness_create(mode);
    b->vcpu = b->h->vcpu;
    b->cpu = &b->vcpu->arch;
    b->host = &fake_host;
    b->vcpu->run.owner = b;
    b->vcpu->run.sens = policy_slots(POLICY_BT);
    EXPECT_EQ(0, cpu_model_parse("max", &b->model, &err));
    bench_tables(b);
    set_cpl(b, 0);
    return b;
}

/* Real mode: CS, DS, ES, SS at 0. */
UNUSED static struct bench *bench_real(void)
{
    struct bench *b = bench_create(DECODE_16);
    b->cpu->cr0 &= ~CR0_PE;
    b->cpu->idtr_base = 0;
    b->cpu->idtr_limit = 0x3ff;
    for (unsigned s = 0; s < 6; s++) {
        b->cpu->seg_attr[s] = 0x93;
        b->cpu->seg_limit[s] = 0xffff;
        b->cpu->seg_base[s] = 0;
        b->cpu->seg_sel[s] = 0;
    }
    b->cpu->gpr[REG_RSP] = 0xf000;
    cpu_update_mmu(b->vcpu);
    return b;
}

static void bench_destroy(struct bench *b)
{
    harness_destroy(b->h);
    free(b);
}

/* One instruction. */
#define STEP(b, ...)                                                                               \
    ({                                                                                             \
        static const uint8_t code_[] = {__VA_ARGS__};                                              \
        harness_code((b)->h, code_, sizeof(code_));                                                \
        harness_run((b)->h, 1);                                                                    \
    })

#define EXPECT_FAULT(b, vector_, code, ...)                                                        \
    do {                                                                                           \
        EXPECT_EQ(CPU_EXIT_FAULT, STEP(b, __VA_ARGS__));                                           \
        EXPECT_EQ((vector_), (b)->vcpu->run.fault.vector);                                         \
        EXPECT_EQ((code), (b)->vcpu->run.fault.error_code);                                        \
        EXPECT_EQ(CODE, (b)->cpu->rip);                                                            \
    } while (0)
