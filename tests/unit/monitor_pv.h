/* SPDX-License-Identifier: MIT */
/* Hypercalls, called as the emulator of VMCALL does: two vCPUs with local APICs, 64-bit code, 2 MiB of RAM. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "cpu/cpuid.h"
#include "devices/apic_bus.h"
#include "devices/lapic.h"
#include "monitor/dispatcher.h"
#include "monitor/pv/pv.h"
#include "monitor/scheduler.h"
#include "monitor/timeline/timeline.h"
#include "roms/trapline_pv.h"
#include "tests/test.h"

#define MEMORY (2 * MiB)
#define CODE 0x8000u
#define AT 0x10000u     /* where structures are put */
#define NOWHERE 0x300000u
#define STEAL 0x4b564d03u
#define EOI 0x4b564d04u
#define TSC_AUX 0xc0000103u

struct board {
    struct machine *m;        /* owned */
    struct vm *vm;            /* its */
    struct lapic lapics[2];   /* of the vCPUs */
    struct apic_bus bus;      /* between them */
    enum sens_result then;    /* how the last call ended */
};

UNUSED static bool send(void *opaque, const struct apic_message *m)
{
    const struct monitor_vcpu *mv = opaque;
    return apic_bus_deliver(mv->vm->board, m);
}

UNUSED static void pending(void *opaque)
{
    monitor_vcpu_kick(opaque);
}

UNUSED static void add_lapic(struct board *b, unsigned i)
{
    struct monitor_vcpu *mv = &b->vm->vcpus[i];
    const struct lapic_config config = {
        .apic_id = i, .is_bsp = i == 0, .has_x2apic = true, .phys_bits = 40, .bus_hz = NS_PER_SECOND, .tsc_hz = NS_PER_SECOND};
    const struct lapic_host host = {
        .opaque = mv, .send = send, .interrupt_pending = pending, .offer_eoi = pv_offer_eoi, .take_eoi = pv_take_eoi};
    lapic_init(&b->lapics[i], &b->m->events, &config, &host, NULL);
    lapic_set_virtual_wire(&b->lapics[i]);
    mv->lapic = &b->lapics[i];
    apic_bus_add(&b->bus, &b->lapics[i]);
}

UNUSED static void into_64_bit_code(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    cpu->cr0 |= CR0_PE;
    cpu->efer |= EFER_LMA | EFER_LME;
    cpu->cr4 |= CR4_PAE;
    cpu->seg_attr[SEG_CS] = ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_L | ATTR_ACCESSED;
    cpu->seg_base[SEG_CS] = 0;
    cpu->rip = CODE;
    cpu->activity = ACTIVITY_ACTIVE;
    cpu_update_mode(vcpu);
}

UNUSED static struct board *board_with(const char *cpu, const struct pv_config *pv)
{
    const struct machine_config config = {
        .memory_size = MEMORY, .seed = 7, .ns_per_tick = 1, .policy = {.policy = POLICY_PV, .pv = *pv}};
    struct board *b = calloc(1, sizeof(*b));
    struct cpu_model model;
    struct err err = {{0}, {0}};
    assert_non_null(b);
    EXPECT_EQ(0, machine_create(&config, &b->m, &err));
    EXPECT_EQ(0, cpu_model_parse(cpu, &model, &err));
    EXPECT_EQ(0, vm_create(b->m, 2, &model, &err));
    b->vm = b->m->vm;
    b->vm->board = (void *)&b->bus;
    EXPECT_EQ(0, physmem_add(b->vm->pm, 0, MEMORY, 0, false, &err));
    for (unsigned i = 0; i < 2; i++) {
        add_lapic(b, i);
        into_64_bit_code(b->vm->vcpus[i].vcpu);
    }
    return b;
}

UNUSED static struct board *board(void)
{
    const struct pv_config exact = {0};
    return board_with("max", &exact);
}

UNUSED static void destroy(struct board *b)
{
    machine_destroy(b->m);
    free(b);
}

UNUSED static int64_t call_by(struct board *b, unsigned vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    struct vcpu *v = b->vm->vcpus[vcpu].vcpu;
    uint64_t *gpr = v->arch.gpr;
    gpr[REG_RAX] = number, gpr[REG_RBX] = a0, gpr[REG_RCX] = a1, gpr[REG_RDX] = a2, gpr[REG_RSI] = a3;
    b->then = pv_hypercall(v);
    return (int64_t)gpr[REG_RAX];
}

UNUSED static int64_t call(struct board *b, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    return call_by(b, 0, number, a0, a1, a2, a3);
}

UNUSED static void poke(struct board *b, paddr at, uint64_t v, unsigned size)
{
    uint8_t p[8];
    le_store(p, v, size);
    EXPECT(physmem_write(b->vm->pm, at, p, size));
}

UNUSED static uint64_t peek(struct board *b, paddr at, unsigned size)
{
    uint8_t p[8];
    EXPECT(physmem_read(b->vm->pm, at, p, size));
    return le_load(p, size);
}

UNUSED static bool write_msr(struct board *b, uint32_t msr, uint64_t v)
{
    return emulate_msr_write(b->vm->vcpus[0].vcpu, msr, v);
}

/* Time passes, and what is due happens. */
UNUSED static void pass(struct board *b, uint64_t ns)
{
    b->m->s.idle_ns += ns;
    event_queue_run(&b->m->events, machine_now(b->m));
}

UNUSED static bool is_requested(const struct board *b, unsigned vcpu, uint8_t vector)
{
    return b->lapics[vcpu].s.irr[vector >> 5] >> (vector & 31) & 1;
}

UNUSED static bool is_in_service(const struct board *b, unsigned vcpu, uint8_t vector)
{
    return b->lapics[vcpu].s.isr[vector >> 5] >> (vector & 31) & 1;
}

UNUSED static void request(struct board *b, uint8_t vector, bool is_level)
{
    const struct apic_message m = {.vector = vector, .delivery = APIC_FIXED, .assert = true, .level_trigger = is_level};
    EXPECT(lapic_accept(&b->lapics[0], &m));
}
