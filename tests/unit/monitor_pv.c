/* SPDX-License-Identifier: MIT */
/* Hypercalls, KVM's and ours, called as the emulator of VMCALL does: two vCPUs with local APICs, 64-bit code, 2 MiB of RAM. */
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

static void into_64_bit_code(struct vcpu *vcpu)
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

static struct board *board_with(const char *cpu, const struct pv_config *pv)
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

static struct board *board(void)
{
    const struct pv_config exact = {0};
    return board_with("max", &exact);
}

static void destroy(struct board *b)
{
    machine_destroy(b->m);
    free(b);
}

static int64_t call_by(struct board *b, unsigned vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    struct vcpu *v = b->vm->vcpus[vcpu].vcpu;
    uint64_t *gpr = v->arch.gpr;
    gpr[REG_RAX] = number, gpr[REG_RBX] = a0, gpr[REG_RCX] = a1, gpr[REG_RDX] = a2, gpr[REG_RSI] = a3;
    b->then = pv_hypercall(v);
    return (int64_t)gpr[REG_RAX];
}

static int64_t call(struct board *b, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    return call_by(b, 0, number, a0, a1, a2, a3);
}

static void poke(struct board *b, paddr at, uint64_t v, unsigned size)
{
    uint8_t p[8];
    le_store(p, v, size);
    EXPECT(physmem_write(b->vm->pm, at, p, size));
}

static uint64_t peek(struct board *b, paddr at, unsigned size)
{
    uint8_t p[8];
    EXPECT(physmem_read(b->vm->pm, at, p, size));
    return le_load(p, size);
}

static bool write_msr(struct board *b, uint32_t msr, uint64_t v)
{
    return emulate_msr_write(b->vm->vcpus[0].vcpu, msr, v);
}

/* Time passes, and what is due happens. */
static void pass(struct board *b, uint64_t ns)
{
    b->m->s.idle_ns += ns;
    event_queue_run(&b->m->events, machine_now(b->m));
}

static bool is_requested(const struct board *b, unsigned vcpu, uint8_t vector)
{
    return b->lapics[vcpu].s.irr[vector >> 5] >> (vector & 31) & 1;
}

static bool is_in_service(const struct board *b, unsigned vcpu, uint8_t vector)
{
    return b->lapics[vcpu].s.isr[vector >> 5] >> (vector & 31) & 1;
}

static void request(struct board *b, uint8_t vector, bool is_level)
{
    const struct apic_message m = {.vector = vector, .delivery = APIC_FIXED, .assert = true, .level_trigger = is_level};
    EXPECT(lapic_accept(&b->lapics[0], &m));
}

/* ---- who may call what ---- */

TEST(pv, unknown_numbers_and_users_are_refused)
{
    struct board *b = board();
    EXPECT_EQ(-TPV_ENOSYS, call(b, 4, 0, 0, 0, 0));
    EXPECT_EQ(-TPV_ENOSYS, call(b, TPV_SET_INTERRUPTS + 1, 0, 0, 0, 0));
    EXPECT_EQ(-TPV_ENOSYS, call(b, (UINT64_C(1) << 32) | TPV_GET_VERSION, 0, 0, 0, 0));
    b->vm->vcpus[0].vcpu->arch.cpl = 3;
    EXPECT_EQ(-TPV_EPERM, call(b, TPV_GET_VERSION, 0, 0, 0, 0));
    EXPECT_EQ(-TPV_EPERM, call(b, 5, 0, 1, 0, 0));
    b->vm->vcpus[0].vcpu->arch.cpl = 0;
    EXPECT_EQ(TPV_VERSION, call(b, TPV_GET_VERSION, 0, 0, 0, 0));
    EXPECT_EQ(5, b->vm->pv.counts.refused);
    EXPECT_EQ(1, pv_count(b->vm, TPV_GET_VERSION));
    destroy(b);
}

TEST(pv, cpuid_tells_of_both_interfaces)
{
    struct board *b = board();
    const struct cpuid_regs base = pv_cpuid(b->vm, TPV_CPUID_BASE), features = pv_cpuid(b->vm, TPV_CPUID_FEATURES);
    EXPECT_EQ(TPV_CPUID_LAST, base.eax);
    EXPECT_EQ(le32_load("Trap"), base.ebx);
    EXPECT_EQ(le32_load("line"), base.ecx);
    EXPECT_EQ(le32_load("PV\0\0"), base.edx);
    EXPECT_EQ(TPV_VERSION, pv_cpuid(b->vm, TPV_CPUID_VERSION).eax);
    EXPECT_EQ(TPV_FEATURES, features.eax);
    EXPECT_EQ(0, pv_cpuid(b->vm, TPV_CPUID_LAST + 1).eax);
    const struct cpu *cpu = &b->vm->vcpus[0].vcpu->arch;
    EXPECT_EQ(1u << 0 | 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 11 | 1u << 13 | 1u << 24,
              cpuid_query(&b->vm->model, cpu, 0, 0x40000001, 0).eax);
    b->vm->model.pv = false;
    EXPECT_EQ(1u << 0 | 1u << 1 | 1u << 3 | 1u << 24, cpuid_query(&b->vm->model, cpu, 0, 0x40000001, 0).eax);
    destroy(b);
}

TEST(pv, without_the_kvm_leaf_there_is_nothing_of_kvms)
{
    const struct pv_config exact = {0};
    struct board *b = board_with("max,kvm=off", &exact);
    EXPECT_EQ(-TPV_ENOSYS, call(b, 5, 0, 1, 0, 0));
    EXPECT(!write_msr(b, STEAL, AT | 1));
    EXPECT(!write_msr(b, EOI, AT | 1));
    EXPECT_EQ(TPV_VERSION, call(b, TPV_GET_VERSION, 0, 0, 0, 0));
    destroy(b);
}

TEST(pv, a_revoked_feature_is_refused_and_cpuid_says_so)
{
    const struct pv_config later = {.revoke = TPV_FEATURE_TIME_PAGE | TPV_FEATURE_TIME, .revoke_at = 5000};
    struct board *b = board_with("max", &later);
    EXPECT_EQ(0, call(b, TPV_TIME_PAGE, AT, 1, 0, 0));
    EXPECT_EQ(TPV_TIME_VALID, peek(b, AT + 4, 4));
    uint64_t sequence = peek(b, AT, 4);
    pass(b, 4999);
    EXPECT_EQ(4999, call(b, TPV_GET_TIME, 0, 0, 0, 0));
    pass(b, 1);
    EXPECT_EQ(-TPV_EREVOKED, call(b, TPV_GET_TIME, 0, 0, 0, 0));
    EXPECT_EQ(-TPV_EREVOKED, call(b, TPV_TIME_PAGE, AT, 1, 0, 0));
    EXPECT_EQ(0, peek(b, AT + 4, 4) & TPV_TIME_VALID);
    EXPECT_EQ(sequence + 2, peek(b, AT, 4));
    EXPECT_EQ(TPV_FEATURES & ~(TPV_FEATURE_TIME_PAGE | TPV_FEATURE_TIME), pv_cpuid(b->vm, TPV_CPUID_FEATURES).eax);
    EXPECT_EQ(TPV_FEATURES, pv_cpuid(b->vm, TPV_CPUID_FEATURES).ebx);
    EXPECT_EQ(TPV_FEATURES & ~(TPV_FEATURE_TIME_PAGE | TPV_FEATURE_TIME), peek(b, AT + 48, 4));
    pv_revoke(b->vm, TPV_FEATURE_TIMER);
    EXPECT_EQ(-TPV_EREVOKED, call(b, TPV_SET_TIMER, 9000, 0x40, 0, 0));
    EXPECT_EQ(0, call(b, TPV_EOI, 0, 0, 0, 0));
    destroy(b);
}

TEST(pv, registers_of_32_bit_code_have_32_bits)
{
    struct board *b = board();
    struct vcpu *v = b->vm->vcpus[0].vcpu;
    v->arch.seg_attr[SEG_CS] ^= ATTR_L | ATTR_DB;
    cpu_update_mode(v);
    pass(b, UINT64_C(5) << 32);
    EXPECT_EQ(0, call(b, UINT64_C(0xabc) << 32 | TPV_GET_TIME, 0, 0, 0, 0));
    EXPECT_EQ(5, v->arch.gpr[REG_RDX]);
    EXPECT_EQ((uint32_t)-TPV_ENOSYS, call(b, 4, 0, 0, 0, 0));
    EXPECT_EQ(0, call(b, TPV_SET_TIMER, 0, 0x50, 6, 0)); /* 6 * 2^32 ns */
    EXPECT_EQ(UINT64_C(6) << 32, b->vm->vcpus[0].pv.s.timer);
    destroy(b);
}

/* ---- KVM: steal time ---- */

TEST(steal, the_msr_wants_an_aligned_record_in_ram)
{
    struct board *b = board();
    EXPECT(!write_msr(b, STEAL, (AT + 32) | 1));
    EXPECT(!write_msr(b, STEAL, AT | 3));
    EXPECT(!write_msr(b, STEAL, NOWHERE | 1));
    EXPECT(!write_msr(b, STEAL, UINT64_MAX - 62));
    physmem_set_state(b->vm->pm, AT, PAGE_ROM);
    EXPECT(!write_msr(b, STEAL, AT | 1));
    physmem_clear_state(b->vm->pm, AT, PAGE_ROM);
    EXPECT(write_msr(b, STEAL, AT | 1));
    EXPECT(write_msr(b, STEAL, NOWHERE)); /* off: nothing is ever written */
    destroy(b);
}

TEST(steal, a_vcpu_that_waits_is_stolen_from_and_said_to_be_preempted)
{
    struct board *b = board();
    struct monitor_vcpu *mv = &b->vm->vcpus[0];
    EXPECT(write_msr(b, STEAL, AT | 1));
    uint64_t version = peek(b, AT + 8, 4);
    EXPECT_EQ(0, version % 2);
    EXPECT_EQ(0, peek(b, AT, 8));
    b->m->s.turn_left = 0;
    EXPECT(scheduler_next_turn(b->m)); /* to vCPU 1 */
    EXPECT_EQ(1, peek(b, AT + 16, 1));
    pass(b, 12345);
    EXPECT_EQ(12345, scheduler_stolen_ns(mv));
    EXPECT_EQ(0, peek(b, AT, 8));
    poke(b, AT + 16, 3, 1); /* KVM_VCPU_FLUSH_TLB */
    EXPECT(scheduler_next_turn(b->m));
    EXPECT_EQ(12345, peek(b, AT, 8));
    EXPECT_EQ(0, peek(b, AT + 16, 1));
    EXPECT_EQ(1, b->vm->pv.counts.flushes);
    EXPECT(peek(b, AT + 8, 4) != version && peek(b, AT + 8, 4) % 2 == 0);
    destroy(b);
}

static void note_page(void *opaque, paddr page, const uint8_t *host)
{
    bool *seen = opaque;
    (void)host;
    *seen |= page == AT;
}

TEST(steal, the_record_is_written_past_the_dirty_logs)
{
    struct board *b = board();
    bool seen = false;
    EXPECT(write_msr(b, STEAL, AT | 1));
    physmem_log_dirty(b->vm->pm, DIRTY_MIGRATION, true);
    physmem_collect_dirty(b->vm->pm, DIRTY_MIGRATION, note_page, &seen);
    seen = false;
    pv_turn_ends(&b->vm->vcpus[0]);
    physmem_collect_dirty(b->vm->pm, DIRTY_MIGRATION, note_page, &seen);
    EXPECT(seen);
    destroy(b);
}

/* ---- KVM: EOI by memory ---- */

TEST(eoi, the_msr_wants_a_word_in_ram)
{
    struct board *b = board();
    EXPECT(!write_msr(b, EOI, AT | 2));
    EXPECT(!write_msr(b, EOI, AT | 3));
    EXPECT(!write_msr(b, EOI, NOWHERE | 1));
    EXPECT(write_msr(b, EOI, (AT + 4) | 1));
    destroy(b);
}

TEST(eoi, a_lone_edge_may_be_ended_by_memory)
{
    struct board *b = board();
    EXPECT(write_msr(b, EOI, AT | 1));
    request(b, 0x41, false);
    lapic_acknowledge(&b->lapics[0], 0x41);
    EXPECT_EQ(1, peek(b, AT, 4));
    poke(b, AT, 0, 4); /* the guest ends it */
    request(b, 0x31, false);
    EXPECT(!is_in_service(b, 0, 0x41));
    EXPECT_EQ(0x31, lapic_highest_pending(&b->lapics[0]));
    EXPECT_EQ(1, b->vm->pv.counts.eois_by_memory);
    destroy(b);
}

TEST(eoi, a_request_behind_it_takes_the_offer_back)
{
    struct board *b = board();
    EXPECT(write_msr(b, EOI, AT | 1));
    request(b, 0x41, false);
    lapic_acknowledge(&b->lapics[0], 0x41);
    request(b, 0x42, false); /* the guest must write EOI, or 42h waits for ever */
    EXPECT_EQ(0, peek(b, AT, 4));
    EXPECT(is_in_service(b, 0, 0x41));
    EXPECT_EQ(-1, lapic_highest_pending(&b->lapics[0]));
    lapic_mmio_write(&b->lapics[0], 0xb0, 4, 0);
    EXPECT_EQ(0x42, lapic_highest_pending(&b->lapics[0]));
    lapic_acknowledge(&b->lapics[0], 0x42);
    EXPECT_EQ(1, peek(b, AT, 4));
    destroy(b);
}

TEST(eoi, a_guest_that_ignores_the_offer_writes_the_register)
{
    struct board *b = board();
    EXPECT(write_msr(b, EOI, AT | 1));
    request(b, 0x41, false);
    lapic_acknowledge(&b->lapics[0], 0x41);
    lapic_mmio_write(&b->lapics[0], 0xb0, 4, 0);
    EXPECT_EQ(0, peek(b, AT, 4));
    EXPECT(!is_in_service(b, 0, 0x41));
    EXPECT_EQ(0, b->vm->pv.counts.eois_by_memory);
    destroy(b);
}

TEST(eoi, is_not_offered_for_levels_and_nested_interrupts)
{
    struct board *b = board();
    EXPECT(write_msr(b, EOI, AT | 1));
    request(b, 0x41, true);
    lapic_acknowledge(&b->lapics[0], 0x41);
    EXPECT_EQ(0, peek(b, AT, 4));
    request(b, 0x52, false);
    lapic_acknowledge(&b->lapics[0], 0x52);
    EXPECT_EQ(0, peek(b, AT, 4));
    EXPECT_EQ(0, b->vm->pv.counts.eois_offered);
    destroy(b);
}

/* ---- KVM: kick, IPIs, yield ---- */

TEST(kick, before_the_halt_is_not_lost)
{
    static const uint8_t program[] = {0xf4, 0x83, 0xc0, 0x01, 0xf4}; /* hlt; add eax, 1; hlt */
    for (unsigned is_early = 0; is_early < 2; is_early++) {
        struct board *b = board();
        struct cpu *cpu = &b->vm->vcpus[0].vcpu->arch;
        b->vm->board = NULL;
        b->vm->vcpus[1].vcpu->arch.activity = ACTIVITY_WAIT_SIPI;
        EXPECT(physmem_write(b->vm->pm, CODE, program, sizeof(program)));
        cpu->cr0 &= ~CR0_PE;
        cpu->efer = 0;
        cpu->seg_attr[SEG_CS] = ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_DB;
        cpu->seg_limit[SEG_CS] = UINT32_MAX;
        cpu_update_mmu(b->vm->vcpus[0].vcpu);
        cpu->gpr[REG_RAX] = 0;
        if (is_early)
            scheduler_kick(&b->vm->vcpus[0]);
        EXPECT_EQ(STOP_DEAD_HALT, machine_run(b->m));
        EXPECT_EQ(is_early, cpu->gpr[REG_RAX]); /* with the kick it went through one HLT: the latch holds one */
        if (!is_early) {
            scheduler_kick(&b->vm->vcpus[0]);
            EXPECT_EQ(STOP_DEAD_HALT, machine_run(b->m));
            EXPECT_EQ(1, cpu->gpr[REG_RAX]);
        }
        destroy(b);
    }
}

TEST(kick, of_kvm_and_ours_name_a_processor)
{
    struct board *b = board();
    EXPECT_EQ(0, call(b, 5, 0, 1, 0, 0));
    EXPECT(b->vm->vcpus[1].s.is_kicked);
    EXPECT_EQ(0, call(b, 5, 0, 77, 0, 0));
    b->vm->vcpus[1].s.is_kicked = false;
    EXPECT_EQ(0, call(b, TPV_KICK, 1, 0, 0, 0));
    EXPECT(b->vm->vcpus[1].s.is_kicked);
    EXPECT_EQ(-TPV_ESRCH, call(b, TPV_KICK, 2, 0, 0, 0));
    EXPECT_EQ(-TPV_ESRCH, call(b, TPV_KICK, UINT64_MAX, 0, 0, 0));
    destroy(b);
}

TEST(ipi, goes_to_the_bitmap_and_is_counted)
{
    struct board *b = board();
    EXPECT_EQ(2, call(b, 10, 3, 0, 0, 0x61));
    EXPECT(is_requested(b, 0, 0x61) && is_requested(b, 1, 0x61));
    EXPECT_EQ(1, call(b, 10, 1, 0, 1, 0x62));
    EXPECT(!is_requested(b, 0, 0x62) && is_requested(b, 1, 0x62));
    EXPECT_EQ(0, call(b, 10, UINT64_MAX, UINT64_MAX, 2, 0x63));          /* nobody has these IDs */
    EXPECT_EQ(0, call(b, 10, UINT64_MAX, UINT64_MAX, UINT64_MAX - 200, 0x63));
    EXPECT_EQ(2, call(b, 10, UINT64_MAX, UINT64_MAX, 0, 0x64));
    EXPECT_EQ(0, call(b, 10, 3, 0, 0, 5)); /* no vector */
    EXPECT_EQ(-22, call(b, 10, 3, 0, 0, 0x61 | 1 << 11));
    EXPECT_EQ(-22, call(b, 10, 3, 0, 0, 0x61 | 3 << 18));
    EXPECT_EQ(-22, call(b, 10, 3, 0, 0, 0x61 | 5 << 8));
    destroy(b);
}

TEST(yield, ends_the_turn_and_may_name_who_is_next)
{
    struct board *b = board();
    EXPECT_EQ(0, call(b, TPV_YIELD_TO, 1, 0, 0, 0));
    EXPECT_EQ(SENS_LEAVE, b->then);
    EXPECT(b->m->turn_ended);
    EXPECT_EQ(2, b->m->s.yield_to);
    EXPECT_EQ(-TPV_ESRCH, call(b, TPV_YIELD_TO, 2, 0, 0, 0));
    b->m->turn_ended = false;
    EXPECT_EQ(0, call(b, 11, 1, 0, 0, 0)); /* KVM's: only to who waits */
    EXPECT(!b->m->turn_ended);
    scheduler_refresh(b->m);
    EXPECT_EQ(0, call(b, 11, 1, 0, 0, 0));
    EXPECT(b->m->turn_ended);
    EXPECT_EQ(0, call(b, 11, 99, 0, 0, 0));
    destroy(b);
}

/* ---- ours: interrupts ---- */

TEST(timer, fires_once_at_its_time)
{
    struct board *b = board();
    EXPECT_EQ(0, call(b, TPV_SET_TIMER, 1000, 0x55, 0, 0));
    pass(b, 999);
    EXPECT(!is_requested(b, 0, 0x55));
    pass(b, 1);
    EXPECT(is_requested(b, 0, 0x55) && !is_requested(b, 1, 0x55));
    lapic_acknowledge(&b->lapics[0], 0x55);
    pass(b, 100000);
    EXPECT(!is_requested(b, 0, 0x55));
    EXPECT_EQ(0, call(b, TPV_SET_TIMER, 5, 0x56, 0, 0)); /* past: at once */
    pass(b, 0);
    EXPECT(is_requested(b, 0, 0x56));
    destroy(b);
}

TEST(timer, can_be_cancelled_and_wants_a_vector)
{
    struct board *b = board();
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_SET_TIMER, 1000, 15, 0, 0));
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_SET_TIMER, 1000, 256, 0, 0));
    EXPECT_EQ(0, call(b, TPV_SET_TIMER, 1000, 0x55, 0, 0));
    EXPECT_EQ(0, call(b, TPV_SET_TIMER, TPV_NEVER, 0, 0, 0));
    pass(b, 5000);
    EXPECT(!is_requested(b, 0, 0x55));
    b->vm->vcpus[0].lapic = NULL;
    EXPECT_EQ(-TPV_ENXIO, call(b, TPV_SET_TIMER, 9000, 0x55, 0, 0));
    EXPECT_EQ(-TPV_ENXIO, call(b, TPV_EOI, 0, 0, 0, 0));
    destroy(b);
}

TEST(interrupts, are_ended_and_switched_by_call)
{
    struct board *b = board();
    struct cpu *cpu = &b->vm->vcpus[0].vcpu->arch;
    request(b, 0x41, false);
    lapic_acknowledge(&b->lapics[0], 0x41);
    EXPECT_EQ(0, call(b, TPV_EOI, 0, 0, 0, 0));
    EXPECT(!is_in_service(b, 0, 0x41));
    EXPECT_EQ(0, call(b, TPV_SET_INTERRUPTS, 1, 0, 0, 0));
    EXPECT(cpu->rflags & F_IF);
    EXPECT_EQ(SHADOW_STI, cpu->int_shadow);
    EXPECT_EQ(SENS_END, b->then);
    EXPECT_EQ(1, call(b, TPV_SET_INTERRUPTS, 0, 0, 0, 0));
    EXPECT(!(cpu->rflags & F_IF));
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_SET_INTERRUPTS, 2, 0, 0, 0));
    destroy(b);
}

/* ---- ours: batches ---- */

static void put_entry(struct board *b, unsigned i, uint64_t number, uint64_t a0, uint64_t a1)
{
    paddr at = AT + i * sizeof(struct tpv_entry);
    poke(b, at, number, 8);
    poke(b, at + 8, a0, 8);
    poke(b, at + 16, a1, 8);
    poke(b, at + 24, 0, 8);
    poke(b, at + 32, 0, 8);
    poke(b, at + 40, 0x1234, 8);
}

static int64_t result(struct board *b, unsigned i)
{
    return (int64_t)peek(b, AT + i * sizeof(struct tpv_entry) + 40, 8);
}

TEST(multicall, makes_each_call_and_writes_each_result)
{
    struct board *b = board();
    put_entry(b, 0, TPV_GET_VERSION, 0, 0);
    put_entry(b, 1, 999, 0, 0);
    put_entry(b, 2, TPV_SET_TIMER, 1000, 0x55);
    put_entry(b, 3, 5, 0, 1);
    put_entry(b, 4, TPV_MULTICALL, AT, 1);
    put_entry(b, 5, TPV_CHECK_AND_SLEEP, AT, 0);
    put_entry(b, 6, TPV_YIELD_TO, 1, 0);
    EXPECT_EQ(6, call(b, TPV_MULTICALL, AT, 6, 0, 0));
    EXPECT_EQ(TPV_VERSION, result(b, 0));
    EXPECT_EQ(-TPV_ENOSYS, result(b, 1));
    EXPECT_EQ(0, result(b, 2));
    EXPECT_EQ(0, result(b, 3));
    EXPECT_EQ(-TPV_ENESTED, result(b, 4));
    EXPECT_EQ(-TPV_ENESTED, result(b, 5));
    EXPECT_EQ(0x1234, result(b, 6));
    EXPECT(b->vm->vcpus[1].s.is_kicked);
    destroy(b);
}

TEST(multicall, is_bounded_and_checked_before_the_first)
{
    struct board *b = board();
    put_entry(b, 0, TPV_SET_TIMER, 1000, 0x55);
    EXPECT_EQ(0, call(b, TPV_MULTICALL, AT, 0, 0, 0));
    EXPECT_EQ(-TPV_E2BIG, call(b, TPV_MULTICALL, AT, TPV_BATCH_MAX + 1, 0, 0));
    EXPECT_EQ(-TPV_E2BIG, call(b, TPV_MULTICALL, AT, UINT64_MAX, 0, 0));
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_MULTICALL, AT + 4, 1, 0, 0));
    EXPECT_EQ(-TPV_EFAULT, call(b, TPV_MULTICALL, UINT64_MAX - 7, 2, 0, 0));
    EXPECT_EQ(-TPV_EFAULT, call(b, TPV_MULTICALL, MEMORY - 48, 2, 0, 0));
    EXPECT_EQ(VTIME_NEVER, b->vm->vcpus[0].pv.s.timer);
    EXPECT_EQ(1, call(b, TPV_MULTICALL, AT, 1, 0, 0));
    EXPECT_EQ(1000, b->vm->vcpus[0].pv.s.timer);
    destroy(b);
}

/* The first entry puts the time page over the second: what it then says is what is done. */
TEST(multicall, reads_an_entry_when_its_turn_comes)
{
    struct board *b = board();
    put_entry(b, 0, TPV_TIME_PAGE, AT + 64, 1);
    put_entry(b, 1, TPV_GET_VERSION, 0, 0);
    put_entry(b, 2, TPV_GET_VERSION, 0, 0);
    EXPECT_EQ(3, call(b, TPV_MULTICALL, AT, 3, 0, 0));
    EXPECT_EQ(TPV_VERSION, result(b, 1));       /* its number was not covered */
    EXPECT_EQ(-TPV_ENOSYS, result(b, 2));       /* its number was: zero */
    destroy(b);
}

static void put_msr(struct board *b, unsigned i, uint64_t msr, uint64_t value)
{
    poke(b, AT + 16 * i, msr, 8);
    poke(b, AT + 16 * i + 8, value, 8);
}

TEST(msrs, are_written_up_to_the_first_that_cannot_be)
{
    struct board *b = board();
    struct cpu *cpu = &b->vm->vcpus[0].vcpu->arch;
    put_msr(b, 0, TSC_AUX, 7);
    put_msr(b, 1, 0xc0000082, 0x1000); /* LSTAR */
    put_msr(b, 2, 0xc0000082, UINT64_C(1) << 60);
    put_msr(b, 3, TSC_AUX, 8);
    EXPECT_EQ(2, call(b, TPV_WRITE_MSRS, AT, 4, 0, 0));
    EXPECT_EQ(SENS_END, b->then);
    EXPECT_EQ(7, cpu->tsc_aux);
    EXPECT_EQ(0x1000, cpu->lstar);
    put_msr(b, 0, UINT64_C(1) << 32 | TSC_AUX, 9); /* the reserved word */
    EXPECT_EQ(0, call(b, TPV_WRITE_MSRS, AT, 1, 0, 0));
    EXPECT_EQ(-TPV_E2BIG, call(b, TPV_WRITE_MSRS, AT, 65, 0, 0));
    EXPECT_EQ(-TPV_EFAULT, call(b, TPV_WRITE_MSRS, NOWHERE, 1, 0, 0));
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_WRITE_MSRS, AT + 1, 1, 0, 0));
    destroy(b);
}

/* ---- ours: sleep ---- */

TEST(sleep, is_not_begun_when_the_word_has_changed)
{
    struct board *b = board();
    struct cpu *cpu = &b->vm->vcpus[0].vcpu->arch;
    poke(b, AT, 5, 4);
    EXPECT_EQ(TPV_CHANGED, call(b, TPV_CHECK_AND_SLEEP, AT, 4, TPV_NEVER, 0));
    EXPECT_EQ(ACTIVITY_ACTIVE, cpu->activity);
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_CHECK_AND_SLEEP, AT + 2, 5, TPV_NEVER, 0));
    EXPECT_EQ(-TPV_EFAULT, call(b, TPV_CHECK_AND_SLEEP, NOWHERE, 5, TPV_NEVER, 0));
    EXPECT_EQ(TPV_SLEPT, call(b, TPV_CHECK_AND_SLEEP, AT, 5, 0, 0)); /* late already */
    EXPECT_EQ(ACTIVITY_ACTIVE, cpu->activity);
    EXPECT_EQ(TPV_SLEPT, call(b, TPV_CHECK_AND_SLEEP, AT, 5, TPV_NEVER, 0));
    EXPECT_EQ(ACTIVITY_HLT, cpu->activity);
    EXPECT_EQ(SENS_LEAVE, b->then);
    EXPECT(!scheduler_is_runnable(&b->vm->vcpus[0]));
    EXPECT_EQ(0, call_by(b, 1, TPV_KICK, 0, 0, 0, 0));
    EXPECT(scheduler_is_runnable(&b->vm->vcpus[0]));
    destroy(b);
}

TEST(sleep, after_a_kick_ends_at_once)
{
    struct board *b = board();
    EXPECT_EQ(0, call_by(b, 1, TPV_KICK, 0, 0, 0, 0)); /* between the guest's look and its call */
    EXPECT_EQ(TPV_SLEPT, call(b, TPV_CHECK_AND_SLEEP, AT, 0, TPV_NEVER, 0));
    EXPECT(scheduler_is_runnable(&b->vm->vcpus[0]));
    destroy(b);
}

TEST(sleep, ends_at_its_latest_time_and_only_then_kicks)
{
    struct board *b = board();
    struct monitor_vcpu *mv = &b->vm->vcpus[0];
    EXPECT_EQ(TPV_SLEPT, call(b, TPV_CHECK_AND_SLEEP, AT, 0, 1000, 0));
    pass(b, 999);
    EXPECT(!scheduler_is_runnable(mv));
    pass(b, 1);
    EXPECT(scheduler_is_runnable(mv));
    mv->s.is_kicked = false;
    EXPECT_EQ(TPV_SLEPT, call(b, TPV_CHECK_AND_SLEEP, AT, 0, 5000, 0));
    pv_woken(mv); /* by an interrupt: the next HLT is another one */
    pass(b, 10000);
    EXPECT(!mv->s.is_kicked);
    destroy(b);
}

/* ---- ours: time ---- */

static uint64_t read_page(struct board *b, uint64_t tsc)
{
    uint64_t passed = tsc - peek(b, AT + 8, 8);
    int8_t shift = (int8_t)peek(b, AT + 28, 1);
    passed = shift >= 0 ? passed << shift : passed >> -shift;
    return peek(b, AT + 16, 8) + muldiv_u64(passed, peek(b, AT + 24, 4), UINT64_C(1) << 32);
}

TEST(time, page_and_call_agree)
{
    struct board *b = board();
    struct vcpu *v = b->vm->vcpus[0].vcpu;
    pass(b, 777);
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_TIME_PAGE, AT + 32, 1, 0, 0));
    EXPECT_EQ(-TPV_EINVAL, call(b, TPV_TIME_PAGE, AT, 2, 0, 0));
    EXPECT_EQ(-TPV_EFAULT, call(b, TPV_TIME_PAGE, NOWHERE, 1, 0, 0));
    EXPECT_EQ(0, call(b, TPV_TIME_PAGE, AT, 1, 0, 0));
    pass(b, 123456789);
    EXPECT_EQ(123457566, read_page(b, emulate_tsc(v)));
    EXPECT_EQ(123457566, call(b, TPV_GET_TIME, 0, 0, 0, 0));
    EXPECT(write_msr(b, 0x10, 42)); /* the TSC jumps: the page follows */
    EXPECT_EQ(123457566, read_page(b, emulate_tsc(v)));
    EXPECT_EQ(0, call(b, TPV_TIME_PAGE, 0, 0, 0, 0));
    EXPECT_EQ(0, peek(b, AT + 4, 4));
    destroy(b);
}

TEST(time, in_steps_for_every_reader)
{
    const struct pv_config steps = {.time_step = 1000};
    struct board *b = board_with("max", &steps);
    struct vcpu *v = b->vm->vcpus[0].vcpu;
    pass(b, 1999);
    EXPECT_EQ(0, call(b, TPV_TIME_PAGE, AT, 1, 0, 0));
    EXPECT_EQ(TPV_TIME_VALID | TPV_TIME_QUANTIZED, peek(b, AT + 4, 4));
    EXPECT_EQ(1000, call(b, TPV_GET_TIME, 0, 0, 0, 0));
    EXPECT_EQ(1000, emulate_tsc(v));
    EXPECT_EQ(1000, read_page(b, emulate_tsc(v)));
    EXPECT_EQ(0, call(b, TPV_SET_TIMER, 2500, 0x55, 0, 0)); /* when the guest sees 2500 or later */
    pass(b, 999);
    EXPECT_EQ(2000, call(b, TPV_GET_TIME, 0, 0, 0, 0));
    EXPECT(!is_requested(b, 0, 0x55));
    pass(b, 2);
    EXPECT(is_requested(b, 0, 0x55));
    EXPECT_EQ(3000, emulate_tsc(v));
    EXPECT_EQ(1000, pv_cpuid(b->vm, TPV_CPUID_LIMITS).ebx);
    destroy(b);
}

TEST(time, stands_still_for_who_reads_too_often)
{
    const struct pv_config few = {.time_reads = 3};
    struct board *b = board_with("max", &few);
    pass(b, 5000000);
    for (uint64_t i = 0; i < 6; i++) {
        EXPECT_EQ(5000000 + (i < 3 ? i : 2) * 10, call(b, TPV_GET_TIME, 0, 0, 0, 0));
        pass(b, 10);
    }
    EXPECT_EQ(5000060, call_by(b, 1, TPV_GET_TIME, 0, 0, 0, 0)); /* another vCPU's own */
    pass(b, 1000000);
    EXPECT_EQ(6000060, call(b, TPV_GET_TIME, 0, 0, 0, 0));
    destroy(b);
}

/* ---- saved states ---- */

static void expect_same_hash(struct board *a, struct board *b)
{
    uint8_t x[HASH_BYTES], y[HASH_BYTES];
    EXPECT_EQ(0, timeline_hash(a->m, x));
    EXPECT_EQ(0, timeline_hash(b->m, y));
    assert_memory_equal(x, y, HASH_BYTES);
}

TEST(saved, states_go_on_where_they_were)
{
    char path[] = "/tmp/trapline-pv-XXXXXX";
    struct err err = {{0}, {0}};
    struct board *a = board(), *b = board();
    close(mkstemp(path));
    EXPECT(write_msr(a, STEAL, AT | 1));
    EXPECT_EQ(0, call(a, TPV_TIME_PAGE, AT + 64, 1, 0, 0));
    EXPECT_EQ(0, call(a, TPV_SET_TIMER, 1000, 0x55, 0, 0));
    pv_revoke(a->vm, TPV_FEATURE_YIELD);
    EXPECT_EQ(0, timeline_save(a->m, path, &err));
    EXPECT_EQ(0, timeline_load(b->m, path, &err));
    expect_same_hash(a, b);
    pass(a, 1000);
    pass(b, 1000);
    EXPECT(is_requested(b, 0, 0x55));
    expect_same_hash(a, b);
    EXPECT_EQ(-TPV_EREVOKED, call(b, TPV_YIELD_TO, 1, 0, 0, 0));
    unlink(path);
    destroy(a);
    destroy(b);
}

TEST(saved, states_that_cannot_be_are_refused)
{
    const struct pv_config steps = {.time_step = 10};
    char path[] = "/tmp/trapline-pv-XXXXXX";
    struct err err = {{0}, {0}};
    struct board *a = board(), *b = board(), *other = board_with("max", &steps);
    close(mkstemp(path));
    EXPECT_EQ(0, timeline_save(a->m, path, &err));
    EXPECT(timeline_load(other->m, path, &err) < 0);
    assert_non_null(strstr(err.hint, "time-step"));
    a->vm->vcpus[1].pv.s.timer = 5;
    a->vm->vcpus[1].pv.s.timer_vector = 3;
    EXPECT_EQ(0, timeline_save(a->m, path, &err));
    EXPECT(timeline_load(b->m, path, &err) < 0);
    EXPECT_EQ(VTIME_NEVER, b->vm->vcpus[1].pv.s.timer);
    unlink(path);
    destroy(a);
    destroy(b);
    destroy(other);
}

/* clang-format off */
TEST_MAIN(RUN(pv, unknown_numbers_and_users_are_refused)
          RUN(pv, cpuid_tells_of_both_interfaces)
          RUN(pv, without_the_kvm_leaf_there_is_nothing_of_kvms)
          RUN(pv, a_revoked_feature_is_refused_and_cpuid_says_so)
          RUN(pv, registers_of_32_bit_code_have_32_bits)
          RUN(steal, the_msr_wants_an_aligned_record_in_ram)
          RUN(steal, a_vcpu_that_waits_is_stolen_from_and_said_to_be_preempted)
          RUN(steal, the_record_is_written_past_the_dirty_logs)
          RUN(eoi, the_msr_wants_a_word_in_ram)
          RUN(eoi, a_lone_edge_may_be_ended_by_memory)
          RUN(eoi, a_request_behind_it_takes_the_offer_back)
          RUN(eoi, a_guest_that_ignores_the_offer_writes_the_register)
          RUN(eoi, is_not_offered_for_levels_and_nested_interrupts)
          RUN(kick, before_the_halt_is_not_lost)
          RUN(kick, of_kvm_and_ours_name_a_processor)
          RUN(ipi, goes_to_the_bitmap_and_is_counted)
          RUN(yield, ends_the_turn_and_may_name_who_is_next)
          RUN(timer, fires_once_at_its_time)
          RUN(timer, can_be_cancelled_and_wants_a_vector)
          RUN(interrupts, are_ended_and_switched_by_call)
          RUN(multicall, makes_each_call_and_writes_each_result)
          RUN(multicall, is_bounded_and_checked_before_the_first)
          RUN(multicall, reads_an_entry_when_its_turn_comes)
          RUN(msrs, are_written_up_to_the_first_that_cannot_be)
          RUN(sleep, is_not_begun_when_the_word_has_changed)
          RUN(sleep, after_a_kick_ends_at_once)
          RUN(sleep, ends_at_its_latest_time_and_only_then_kicks)
          RUN(time, page_and_call_agree)
          RUN(time, in_steps_for_every_reader)
          RUN(time, stands_still_for_who_reads_too_often)
          RUN(saved, states_go_on_where_they_were)
          RUN(saved, states_that_cannot_be_are_refused))
/* clang-format on */
