/* SPDX-License-Identifier: MIT */
/* KVM's interface: what CPUID says, MSRs, calls (the Linux documentation's cpuid, msr and hypercalls). */
#include "tests/unit/monitor_pv.h"

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
          RUN(yield, ends_the_turn_and_may_name_who_is_next))
/* clang-format on */
