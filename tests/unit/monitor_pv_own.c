/* SPDX-License-Identifier: MIT */
/* Our own range of hypercalls (docs/hypercalls.md), and saved states of both. */
#include "tests/unit/monitor_pv.h"

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
TEST_MAIN(RUN(timer, fires_once_at_its_time)
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
