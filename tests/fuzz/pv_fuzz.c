/* SPDX-License-Identifier: MIT */
/*
 * The hypercall face: bytes become hypercalls of two vCPUs with arguments in, beside and far from memory, WRMSRs of KVM's and ours, stores into what
 * the calls point at, interrupts, turns and passing time. Whatever comes, the machine stays one that can be saved: what it is after each
 * input is loaded into another machine, which must have the same hash, and go on alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "devices/apic_bus.h"
#include "devices/lapic.h"
#include "monitor/emulate/emulate.h"
#include "monitor/pv/pv.h"
#include "monitor/scheduler.h"
#include "monitor/timeline/timeline.h"
#include "roms/trapline_pv.h"
#include "tests/fuzz/fuzz.h"

#define MEMORY (64 * KiB)
#define STEP 12 /* bytes of input */

struct board {
    struct machine *m;      /* owned */
    struct lapic lapics[2]; /* of its vCPUs */
    struct apic_bus bus;    /* between them */
};

static bool send(void *opaque, const struct apic_message *m)
{
    const struct monitor_vcpu *mv = opaque;
    return apic_bus_deliver(mv->vm->board, m);
}

static void pending(void *opaque)
{
    monitor_vcpu_kick(opaque);
}

static void add_lapic(struct board *b, unsigned i)
{
    struct monitor_vcpu *mv = &b->m->vm->vcpus[i];
    const struct lapic_config config = {
        .apic_id = i, .is_bsp = i == 0, .has_x2apic = true, .phys_bits = 40, .bus_hz = NS_PER_SECOND, .tsc_hz = NS_PER_SECOND};
    const struct lapic_host host = {
        .opaque = mv, .send = send, .interrupt_pending = pending, .offer_eoi = pv_offer_eoi, .take_eoi = pv_take_eoi};
    char name[16];
    snprintf(name, sizeof(name), "lapic%u", i);
    lapic_init(&b->lapics[i], &b->m->events, &config, &host, NULL);
    lapic_set_virtual_wire(&b->lapics[i]);
    mv->lapic = &b->lapics[i];
    apic_bus_add(&b->bus, &b->lapics[i]);
    vm_add_device(b->m->vm, &lapic_ops, &b->lapics[i], name);
}

static void board_init(struct board *b)
{
    const struct machine_config config = {
        .memory_size = MEMORY,
        .seed = 1,
        .ns_per_tick = 1,
        .policy = {.policy = POLICY_PV,
                   .pv = {.time_step = 64, .time_reads = 9, .revoke = TPV_FEATURE_TIMER, .revoke_at = 9000000}}};
    struct cpu_model model;
    struct err err;
    CHECK(machine_create(&config, &b->m, &err) == 0);
    CHECK(cpu_model_parse("max", &model, &err) == 0 && vm_create(b->m, 2, &model, &err) == 0);
    b->m->vm->board = (void *)&b->bus;
    CHECK(physmem_add(b->m->vm->pm, 0, MEMORY, 0, false, &err) == 0);
    for (unsigned i = 0; i < 2; i++) {
        struct cpu *cpu = &b->m->vm->vcpus[i].vcpu->arch;
        add_lapic(b, i);
        cpu->cr0 |= CR0_PE;
        cpu->efer |= EFER_LMA | EFER_LME;
        cpu->cr4 |= CR4_PAE;
        cpu->seg_attr[SEG_CS] = ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_L | ATTR_ACCESSED;
        cpu->activity = ACTIVITY_ACTIVE;
        cpu_update_mode(b->m->vm->vcpus[i].vcpu);
    }
}

/* By the low three bits of `how`: addresses that may work, that end outside, that wrap; times, vectors, counts, truths. */
static uint64_t argument(uint8_t how, uint16_t v)
{
    switch (how & 7) {
    case 0:
        return v;
    case 1:
        return v & 0xffc0;
    case 2:
        return v & 0x3f;
    case 3:
        return MEMORY - (v & 0x7f);
    case 4:
        return UINT64_MAX - (v & 0x3f);
    case 5:
        return (uint64_t)v << 48 | v;
    case 6:
        return v & 1;
    default:
        return (uint64_t)v << 6 | 1;
    }
}

static void hypercall(struct board *b, struct vcpu *vcpu, const uint8_t *p)
{
    uint64_t *gpr = vcpu->arch.gpr;
    const unsigned registers[] = {REG_RBX, REG_RCX, REG_RDX, REG_RSI};
    (void)b;
    gpr[REG_RAX] = p[1] & 0x80 ? p[1] & 15 : TPV_BASE + (p[1] & 15);
    for (unsigned i = 0; i < 4; i++)
        gpr[registers[i]] = argument((uint8_t)(le16_load(p + 2) >> 3 * i & 7), le16_load(p + 4 + 2 * (size_t)i));
    vcpu->arch.cpl = p[3] >> 4 == 15 ? 3 : 0;
    enum sens_result result = pv_hypercall(vcpu);
    CHECK(result == SENS_NEXT || result == SENS_END || result == SENS_LEAVE);
    vcpu->arch.cpl = 0;
}

/* A number, an MSR or anything into an entry of a MULTICALL or WRITE_MSRS. */
static void store(struct board *b, const uint8_t *p)
{
    static const uint64_t msrs[] = {0xc0000103, 0x10, 0x4b564d03, 0xc0000082};
    uint8_t q[8];
    uint64_t numbers[] = {TPV_BASE + (p[4] & 15), msrs[p[4] & 3], argument(p[2], le16_load(p + 4)), 0};
    le64_store(q, numbers[p[1] & 3]);
    (void)physmem_write(b->m->vm->pm, le16_load(p + 6) & 0xfff8, q, sizeof(q));
}

static void write_msr(struct vcpu *vcpu, const uint8_t *p)
{
    static const uint32_t msrs[] = {0x4b564d03, 0x4b564d04, 0x4b564d00, 0x4b564d01, 0x10, 0x3b, 0xc0000103, 0x4b564d02};
    (void)emulate_msr_write(vcpu, msrs[p[1] & 7], argument(p[2] & 8 ? 7 : p[2], le16_load(p + 4)));
}

static void request(struct lapic *lapic, uint8_t vector)
{
    const struct apic_message m = {.vector = vector, .delivery = APIC_FIXED, .assert = true, .level_trigger = vector & 1};
    (void)lapic_accept(lapic, &m);
}

static void step(struct board *b, const uint8_t *p)
{
    struct vm *vm = b->m->vm;
    struct monitor_vcpu *mv = &vm->vcpus[p[0] >> 7];
    struct lapic *lapic = mv->lapic;
    switch (p[0] & 7) {
    case 0:
    case 1:
        hypercall(b, mv->vcpu, p);
        break;
    case 2:
        store(b, p);
        break;
    case 3:
        write_msr(mv->vcpu, p);
        break;
    case 4:
        b->m->s.idle_ns += (uint64_t)le16_load(p + 4) << (p[2] & 7);
        event_queue_run(&b->m->events, machine_now(b->m));
        break;
    case 5:
        if (p[1] & 1)
            request(lapic, p[2]);
        if (lapic_highest_pending(lapic) >= 0)
            lapic_acknowledge(lapic, (uint8_t)lapic_highest_pending(lapic));
        else
            lapic_mmio_write(lapic, 0xb0, 4, 0);
        break;
    case 6:
        if (mv->vcpu->arch.activity == ACTIVITY_HLT && scheduler_is_runnable(mv)) {
            mv->vcpu->arch.activity = ACTIVITY_ACTIVE;
            mv->s.is_kicked = false;
            pv_woken(mv);
        }
        (void)scheduler_next_turn(b->m);
        break;
    default:
        if (p[1] == 0)
            pv_revoke(vm, 1u << (p[2] & 15));
        else if (p[1] == 1)
            pv_vcpu_reset(mv);
        (void)pv_cpuid(vm, TPV_CPUID_BASE + p[2]);
        break;
    }
    b->m->turn_ended = false;
}

static void expect_same(struct machine *a, struct machine *b)
{
    uint8_t x[HASH_BYTES], y[HASH_BYTES];
    CHECK(timeline_hash(a, x) == 0 && timeline_hash(b, y) == 0);
    CHECK(memcmp(x, y, HASH_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct board a, b;
    static char path[] = "/tmp/trapline-pv-fuzz-XXXXXX", fresh[] = "/tmp/trapline-pv-fuzz-XXXXXX";
    struct err err;
    if (!a.m) {
        board_init(&a);
        board_init(&b);
        close(mkstemp(path));
        close(mkstemp(fresh));
        CHECK(timeline_save(a.m, fresh, &err) == 0);
    }
    CHECK(timeline_load(a.m, fresh, &err) == 0);
    size_t half = size / STEP / 2 * STEP;
    for (size_t i = 0; i < half; i += STEP)
        step(&a, data + i);
    CHECK(timeline_save(a.m, path, &err) == 0 && timeline_load(b.m, path, &err) == 0);
    expect_same(a.m, b.m);
    for (size_t i = half; i + STEP <= size; i += STEP) {
        step(&a, data + i);
        step(&b, data + i);
    }
    expect_same(a.m, b.m);
    return 0;
}
