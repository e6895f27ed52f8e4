/* SPDX-License-Identifier: MIT */
/* Turns, yields and stolen time of bare vCPUs that spin, pause or halt, in 16-bit real mode. */
#include "monitor/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/cpuid.h"
#include "monitor/dispatcher.h"
#include "monitor/timeline/timeline.h"
#include "tests/test.h"

enum { SPIN = 0x8000, PAUSES = 0x8010, HALTS = 0x8020, QUANTUM = 1000 };

static const uint8_t spin[] = {0xeb, 0xfe};               /* jmp $ */
static const uint8_t pauses[] = {0xf3, 0x90, 0xeb, 0xfc}; /* pause; jmp */
static const uint8_t halts[] = {0xf4, 0xeb, 0xfd};        /* hlt; jmp */

static struct machine *machine_of(unsigned vcpus, const unsigned *programs,
                                  enum pause_exiting pausing)
{
    const struct machine_config config = {.memory_size = 2 * MiB,
                                          .ns_per_tick = 2,
                                          .quantum = QUANTUM,
                                          .pause_exiting = (uint8_t)pausing,
                                          .pause_gap = 10,
                                          .pause_window = 100};
    struct machine *m;
    struct cpu_model model;
    struct err err = {{0}, {0}};
    EXPECT_EQ(0, machine_create(&config, &m, &err));
    EXPECT_EQ(0, cpu_model_parse("max", &model, &err));
    EXPECT_EQ(0, vm_create(m, vcpus, &model, &err));
    EXPECT_EQ(0, physmem_add(m->vm->pm, 0, 1 * MiB, 0, false, &err));
    EXPECT(physmem_write(m->vm->pm, SPIN, spin, sizeof(spin)));
    EXPECT(physmem_write(m->vm->pm, PAUSES, pauses, sizeof(pauses)));
    EXPECT(physmem_write(m->vm->pm, HALTS, halts, sizeof(halts)));
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *vcpu = m->vm->vcpus[i].vcpu;
        vcpu->arch.seg_base[SEG_CS] = 0;
        vcpu->arch.seg_sel[SEG_CS] = 0;
        vcpu->arch.rip = programs[i];
        cpu_update_mode(vcpu);
    }
    scheduler_refresh(m);
    return m;
}

static void run_to(struct machine *m, uint64_t ticks)
{
    m->stop_at = ticks;
    EXPECT_EQ(STOP_POSITION, machine_run(m));
    EXPECT_EQ(ticks, m->s.ticks);
}

static uint64_t ran(const struct machine *m, unsigned i)
{
    return m->vm->vcpus[i].vcpu->arch.ticks;
}

static uint64_t stolen(const struct machine *m, unsigned i)
{
    return scheduler_stolen_ns(&m->vm->vcpus[i]);
}

TEST(scheduler, executed_and_stolen_time_of_a_runnable_vcpu_are_the_time_on_the_clock)
{
    struct machine *m = machine_of(3, (unsigned[]){SPIN, SPIN, SPIN}, PAUSE_EXITS);
    for (uint64_t at = 1; at < 20000; at += 331) {
        run_to(m, at);
        for (unsigned i = 0; i < 3; i++) {
            EXPECT_EQ(machine_now(m), 2 * ran(m, i) + stolen(m, i));
            EXPECT(ran(m, i) <= at / 3 + QUANTUM && ran(m, i) + QUANTUM >= at / 3);
        }
        EXPECT_EQ(at, ran(m, 0) + ran(m, 1) + ran(m, 2));
    }
    EXPECT(!scheduler_is_waiting(scheduler_current(m)));
    machine_destroy(m);
}

TEST(scheduler, nothing_is_stolen_from_one_that_is_halted)
{
    struct machine *m = machine_of(2, (unsigned[]){SPIN, HALTS}, PAUSE_EXITS);
    run_to(m, 50000);
    EXPECT_EQ(0, stolen(m, 1)); /* it had the first turn */
    EXPECT_EQ(2 * ran(m, 1), stolen(m, 0));
    EXPECT_EQ(1, ran(m, 1));
    machine_destroy(m);
}

TEST(scheduler, stops_do_not_change_what_was_stolen)
{
    uint8_t ha[HASH_BYTES], hb[HASH_BYTES];
    struct machine *a = machine_of(3, (unsigned[]){SPIN, PAUSES, SPIN}, PAUSE_LOOP_EXITS);
    struct machine *b = machine_of(3, (unsigned[]){SPIN, PAUSES, SPIN}, PAUSE_LOOP_EXITS);
    for (uint64_t at = 1; at < 30000; at += 7)
        run_to(a, at);
    run_to(a, 30000);
    run_to(b, 30000);
    EXPECT_EQ(0, timeline_hash(a, ha));
    EXPECT_EQ(0, timeline_hash(b, hb));
    assert_memory_equal(ha, hb, HASH_BYTES);
    EXPECT(stolen(a, 2) > 0);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(scheduler, steps_out_of_turn_are_no_time_stolen_from_who_makes_them)
{
    struct machine *m = machine_of(2, (unsigned[]){SPIN, SPIN}, PAUSE_EXITS);
    run_to(m, 10);
    EXPECT_EQ(1, m->s.turn_vcpu);
    dispatcher_run_vcpu(&m->vm->vcpus[0], 100);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(machine_now(m), 2 * ran(m, i) + stolen(m, i));
    EXPECT_EQ(200, stolen(m, 1));
    machine_destroy(m);
}

TEST(scheduler, a_directed_yield_names_who_is_next_and_order_goes_on_from_there)
{
    struct machine *m = machine_of(4, (unsigned[]){SPIN, SPIN, SPIN, SPIN}, PAUSE_EXITS);
    run_to(m, 10);
    scheduler_yield_to(m, 2);
    scheduler_end_turn(m);
    run_to(m, 11);
    EXPECT_EQ(2, m->s.turn_vcpu);
    run_to(m, 10 + QUANTUM + 1);
    EXPECT_EQ(3, m->s.turn_vcpu);
    scheduler_yield_to(m, 3); /* itself, or nobody: the next in order */
    scheduler_end_turn(m);
    run_to(m, m->s.ticks + 1);
    EXPECT_EQ(0, m->s.turn_vcpu);
    scheduler_yield_to(m, 99);
    scheduler_end_turn(m);
    run_to(m, m->s.ticks + 1);
    EXPECT_EQ(1, m->s.turn_vcpu);
    machine_destroy(m);
}

TEST(scheduler, a_directed_yield_to_one_that_is_halted_is_a_plain_one)
{
    struct machine *m = machine_of(3, (unsigned[]){SPIN, SPIN, HALTS}, PAUSE_EXITS);
    run_to(m, 5 * QUANTUM);
    unsigned other = 1 - m->s.turn_vcpu;
    scheduler_yield_to(m, 2);
    scheduler_end_turn(m);
    run_to(m, m->s.ticks + 1);
    EXPECT_EQ(other, m->s.turn_vcpu);
    EXPECT_EQ(0, m->s.yield_to);
    machine_destroy(m);
}

TEST(scheduler, a_kick_ends_hlt_without_if_and_is_latched_once)
{
    struct machine *m = machine_of(2, (unsigned[]){SPIN, HALTS}, PAUSE_EXITS);
    struct monitor_vcpu *sleeper = &m->vm->vcpus[1];
    run_to(m, 5 * QUANTUM);
    EXPECT_EQ(1, ran(m, 1));
    scheduler_kick(sleeper);
    scheduler_kick(sleeper);
    EXPECT(scheduler_is_waiting(sleeper));
    run_to(m, 9 * QUANTUM);
    EXPECT_EQ(3, ran(m, 1)); /* JMP, and HLT again */
    EXPECT(!sleeper->s.is_kicked && !scheduler_is_runnable(sleeper));
    machine_destroy(m);
}

TEST(scheduler, a_kick_before_hlt_is_not_lost)
{
    struct machine *m = machine_of(2, (unsigned[]){SPIN, HALTS}, PAUSE_EXITS);
    scheduler_kick(&m->vm->vcpus[1]);
    run_to(m, 5 * QUANTUM);
    EXPECT_EQ(3, ran(m, 1)); /* HLT, which ends at once, JMP, HLT */
    machine_destroy(m);
}

/* Turns that two spinning and pausing vCPUs had in 10 quanta. */
static uint64_t turns_with(enum pause_exiting pausing, unsigned cpl)
{
    struct machine *m = machine_of(2, (unsigned[]){PAUSES, PAUSES}, pausing);
    for (unsigned i = 0; i < 2; i++)
        m->vm->vcpus[i].vcpu->arch.cpl = (uint8_t)cpl;
    run_to(m, 10 * QUANTUM);
    uint64_t turns = m->scheduling.turns;
    machine_destroy(m);
    return turns;
}

TEST(scheduler, pause_ends_a_turn_always_never_or_in_a_loop_longer_than_the_window)
{
    /* PAUSE is the first instruction of the first turn of each, and the second of the others. */
    EXPECT_EQ(2 + (10 * QUANTUM - 2) / 2, turns_with(PAUSE_EXITS, 0));
    EXPECT_EQ(10, turns_with(PAUSE_NEVER_EXITS, 0));
    /* More than 100 ticks from the first of a loop to the last, which come every 2; the last turn is not over. */
    EXPECT_EQ(2 + (10 * QUANTUM - 2 * 103) / 104 + 1, turns_with(PAUSE_LOOP_EXITS, 0));
    EXPECT_EQ(10, turns_with(PAUSE_LOOP_EXITS, 3)); /* "if CPL = 0" */
}

TEST(scheduler, who_waits_is_saved_and_impossible_turns_are_refused)
{
    char path[] = "/tmp/trapline-test-XXXXXX";
    struct err err = {{0}, {0}};
    close(mkstemp(path));
    struct machine *a = machine_of(2, (unsigned[]){SPIN, SPIN}, PAUSE_EXITS);
    struct machine *b = machine_of(2, (unsigned[]){SPIN, SPIN}, PAUSE_EXITS);
    run_to(a, 2500);
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT_EQ(0, timeline_load(b, path, &err));
    run_to(a, 7777);
    run_to(b, 7777);
    EXPECT_EQ(stolen(a, 0), stolen(b, 0));
    EXPECT_EQ(stolen(a, 1), stolen(b, 1));
    a->s.yield_to = 3;
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT(timeline_load(b, path, &err) < 0);
    a->s.yield_to = 2;
    a->vm->vcpus[0].s.stolen_ns = 2 * 7777 + 1;
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT(timeline_load(b, path, &err) < 0);
    a->vm->vcpus[0].s.stolen_ns = UINT64_MAX; /* with what it waits now, a small number */
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT(timeline_load(b, path, &err) < 0);
    EXPECT_EQ(7777, b->s.ticks);
    machine_destroy(a);
    machine_destroy(b);
    unlink(path);
}

TEST_MAIN(
    RUN(scheduler, executed_and_stolen_time_of_a_runnable_vcpu_are_the_time_on_the_clock)
        RUN(scheduler,
            nothing_is_stolen_from_one_that_is_halted) RUN(scheduler,
                                                           stops_do_not_change_what_was_stolen)
            RUN(scheduler, steps_out_of_turn_are_no_time_stolen_from_who_makes_them)
                RUN(scheduler, a_directed_yield_names_who_is_next_and_order_goes_on_from_there)
                    RUN(scheduler, a_directed_yield_to_one_that_is_halted_is_a_plain_one)
                        RUN(scheduler, a_kick_ends_hlt_without_if_and_is_latched_once)
                            RUN(scheduler, a_kick_before_hlt_is_not_lost) RUN(
                                scheduler,
                                pause_ends_a_turn_always_never_or_in_a_loop_longer_than_the_window)
                                RUN(scheduler, who_waits_is_saved_and_impossible_turns_are_refused))
