/* SPDX-License-Identifier: MIT */
/*
 * A bare vCPU with memory for tests of the engine: identity addresses (paging off), flat segments, every CPU feature that the
 * decoder knows. Code goes to CODE, data to DATA, the stack grows down from STACK.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/block.h"
#include "cpu/flags.h"
#include "cpu/vcpu.h"
#include "tests/test.h"

#define CODE 0x1000u
#define DATA 0x20000u
#define STACK 0x40000u
#define HARNESS_RAM (1024 * 1024)

struct harness {
    uint8_t *ram;              /* owned */
    struct physmem *pm;        /* owned */
    struct mmu_vm *mv;         /* owned */
    struct block_cache *blocks; /* owned */
    struct decoder *decoder;   /* owned */
    struct vcpu *vcpu;         /* owned */
    uint64_t bus_reads;        /* accesses outside RAM */
    uint64_t bus_writes;       /* the same */
    bool bus_breaks;           /* each of them asks for a break */
};

static uint64_t harness_bus_read(void *opaque, paddr pa, unsigned size)
{
    (void)pa, (void)size;
    struct harness *h = opaque;
    h->bus_reads++;
    if (h->bus_breaks)
        cpu_request_break(h->vcpu);
    return UINT64_MAX;
}

static void harness_bus_write(void *opaque, paddr pa, unsigned size, uint64_t v)
{
    (void)pa, (void)size, (void)v;
    struct harness *h = opaque;
    h->bus_writes++;
    if (h->bus_breaks)
        cpu_request_break(h->vcpu);
}

static void harness_mapping_changed(void *opaque)
{
    cpu_request_break(((struct harness *)opaque)->vcpu);
}

/* Segments and mode bits for 16-, 32- or 64-bit code at CPL 0. */
static void harness_mode(struct harness *h, enum decode_mode mode)
{
    struct cpu *cpu = &h->vcpu->arch;
    uint32_t common = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_G;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = mode == DECODE_64 ? EFER_LMA | EFER_LME : 0;
    for (unsigned s = 0; s < 6; s++) {
        cpu->seg_sel[s] = s == SEG_CS ? 0x10 : 0x18;
        cpu->seg_base[s] = 0;
        cpu->seg_limit[s] = UINT32_MAX;
        cpu->seg_attr[s] = common | (mode == DECODE_16 ? 0 : ATTR_DB);
    }
    cpu->seg_attr[SEG_CS] |= ATTR_CODE;
    if (mode == DECODE_64)
        cpu->seg_attr[SEG_CS] = common | ATTR_CODE | ATTR_L;
    cpu_update_mmu(h->vcpu);
}

static const struct bus_ops harness_bus = {.read = harness_bus_read, .write = harness_bus_write};

UNUSED static struct harness *harness_create(enum decode_mode mode)
{
    struct harness *h = calloc(1, sizeof(*h));
    const struct mmu_config config = {.entries = 64, .spaces = 4};
    const struct page_event_ops events = {.code_written = block_code_written};
    struct err err;
    assert_non_null(h);
    h->ram = calloc(1, HARNESS_RAM);
    h->pm = physmem_create(h->ram, NULL, NULL);
    assert_int_equal(0, physmem_add(h->pm, 0, HARNESS_RAM, 0, false, &err));
    h->mv = mmu_vm_create(h->pm, NULL, NULL);
    h->blocks = block_cache_create(h->pm);
    h->decoder = decoder_create();
    h->vcpu = vcpu_alloc();
    assert_int_equal(0, mmu_init(&h->vcpu->run.mmu, h->mv, &config, &harness_bus, h));
    mmu_set_jumps(&h->vcpu->run.mmu, &h->vcpu->jumps);
    physmem_set_events(h->pm, &events, h->blocks, h->mv, NULL);
    mmu_vm_on_mapping_change(h->mv, harness_mapping_changed, h);
    h->vcpu->run.blocks = h->blocks;
    h->vcpu->run.decoder = h->decoder;
    h->vcpu->run.pm = h->pm;
    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        h->vcpu->run.features[f] = true;
    h->vcpu->run.phys_bits = CPU_MAXPHYADDR;
    h->vcpu->run.has_pse36 = h->vcpu->run.has_1g_pages = true;
    cpu_reset(h->vcpu, false, 0);
    h->vcpu->arch.fcw = 0x37f;
    harness_mode(h, mode);
    h->vcpu->arch.rip = CODE;
    h->vcpu->arch.gpr[REG_RSP] = STACK;
    return h;
}

/* From now on its code is translated; NULL: interpreted. Borrowed. */
UNUSED static void harness_set_jit(struct harness *h, struct jit *jit)
{
    h->vcpu->run.jit = jit;
    block_cache_set_jit(h->blocks, jit);
}

UNUSED static void harness_destroy(struct harness *h)
{
    mmu_fini(&h->vcpu->run.mmu);
    block_cache_destroy(h->blocks);
    mmu_vm_destroy(h->mv);
    physmem_destroy(h->pm);
    decoder_destroy(h->decoder);
    vcpu_free(h->vcpu);
    free(h->ram);
    free(h);
}

/* Put code bytes at CODE and point RIP there. */
UNUSED static void harness_code(struct harness *h, const void *bytes, size_t n)
{
    EXPECT(physmem_write(h->pm, CODE, bytes, n));
    h->vcpu->arch.rip = CODE;
}

/* Execute `ticks`; the exit. */
UNUSED static enum cpu_exit harness_run(struct harness *h, int64_t ticks)
{
    h->vcpu->run.budget = ticks;
    return cpu_run(h->vcpu);
}

/* The same, at most `at_once` together, until a fault: whatever breaks come in between. */
UNUSED static enum cpu_exit harness_run_in_parts(struct harness *h, int64_t ticks, int64_t at_once)
{
    enum cpu_exit why = CPU_EXIT_BUDGET;
    while (ticks > 0 && why != CPU_EXIT_FAULT) {
        uint64_t before = h->vcpu->arch.ticks;
        why = harness_run(h, ticks < at_once ? ticks : at_once);
        h->vcpu->run.attention = false;
        ticks -= (int64_t)(h->vcpu->arch.ticks - before);
    }
    return why;
}
