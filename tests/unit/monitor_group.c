/* SPDX-License-Identifier: MIT */
/* Several bare machines on few physical CPUs: shares against weights, work conservation, sums of time. */
#include "monitor/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "cpu/cpuid.h"
#include "monitor/dispatcher.h"
#include "monitor/scheduler.h"
#include "monitor/timeline/timeline.h"
#include "monitor/trapline.h"
#include "tests/test.h"

enum { CODE = 0x8000, SLICE = 10000, LONG = 20000000 };

/* A machine with one vCPU: works for `work` ticks, halts until its alarm's next time, for ever. work 0: never halts. */
struct guest {
    struct machine *m;
    struct event alarm;
    vtime period;
};

static void ring(void *opaque, vtime now)
{
    struct guest *g = opaque;
    scheduler_kick(&g->m->vm->vcpus[0]);
    event_arm(&g->alarm, now - now % g->period + g->period);
}

static void guest_init(struct guest *g, unsigned work, vtime period, unsigned vcpus)
{
    /* mov cx, work - 3; loop $; hlt; jmp to the start; or jmp $ */
    uint8_t code[] = {0xb9, 0, 0, 0xe2, 0xfe, 0xf4, 0xeb, 0xf8}, spin[] = {0xeb, 0xfe};
    const struct machine_config config = {.memory_size = 2 * MiB, .ns_per_tick = 1, .quantum = 777};
    struct cpu_model model;
    struct err err = {{0}, {0}};
    EXPECT_EQ(0, machine_create(&config, &g->m, &err));
    EXPECT_EQ(0, cpu_model_parse("max", &model, &err));
    EXPECT_EQ(0, vm_create(g->m, vcpus, &model, &err));
    EXPECT_EQ(0, physmem_add(g->m->vm->pm, 0, 1 * MiB, 0, false, &err));
    le16_store(code + 1, (uint16_t)(work - 3));
    EXPECT(physmem_write(g->m->vm->pm, CODE, work ? code : spin, work ? sizeof(code) : sizeof(spin)));
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *vcpu = g->m->vm->vcpus[i].vcpu;
        vcpu->arch.seg_base[SEG_CS] = 0;
        vcpu->arch.seg_sel[SEG_CS] = 0;
        vcpu->arch.rip = CODE;
        cpu_update_mode(vcpu);
    }
    scheduler_refresh(g->m);
    g->period = period;
    event_register(&g->m->events, &g->alarm, "alarm", 0, ring, g);
    if (period)
        event_arm(&g->alarm, period);
}

/* Every ns of a pcpu and of a member is one thing or another; a vCPU that always runs or waits has that stolen that its machine
 * waited. */
static void expect_sums(const struct group *g)
{
    for (unsigned i = 0; i < g->pcpu_count; i++)
        EXPECT_EQ(g->now, g->pcpus[i].busy_ns + g->pcpus[i].idle_ns);
    for (unsigned i = 0; i < g->member_count; i++) {
        const struct group_member *k = &g->members[i];
        EXPECT_EQ(g->now - k->added, machine_now(k->m));
        EXPECT_EQ(machine_now(k->m), k->run_ns + k->idle_ns + k->waited_ns);
        EXPECT_EQ(k->waited_ns, k->m->s.waited_ns);
        if (k->m->vm->vcpu_count == 1)
            EXPECT_EQ(k->waited_ns, scheduler_stolen_ns(&k->m->vm->vcpus[0]));
    }
}

static void expect_near(uint64_t want, uint64_t got, uint64_t slack)
{
    if (got + slack < want || got > want + slack)
        fail_msg("wanted %llu +- %llu, got %llu", (unsigned long long)want, (unsigned long long)slack,
                 (unsigned long long)got);
}

static void run_all(struct group *g, vtime until)
{
    EXPECT(group_run(g, until));
    EXPECT_EQ(until, g->now);
    expect_sums(g);
}

/* A group with its machines. */
struct bunch {
    struct group g;
    struct guest guests[4];
};

static void bunch_init(struct bunch *b, unsigned pcpus)
{
    group_init(&b->g, pcpus, SLICE);
}

static void bunch_add(struct bunch *b, uint32_t weight, unsigned work, vtime period, unsigned vcpus)
{
    struct guest *guest = &b->guests[b->g.member_count];
    guest_init(guest, work, period, vcpus);
    group_add(&b->g, guest->m, weight);
}

static void bunch_add_busy(struct bunch *b, uint32_t weight)
{
    bunch_add(b, weight, 0, 0, 1);
}

static void bunch_free(struct bunch *b)
{
    unsigned n = b->g.member_count;
    group_fini(&b->g);
    for (unsigned i = 0; i < n; i++)
        machine_destroy(b->guests[i].m);
}

static uint64_t ran(const struct bunch *b, unsigned i)
{
    return b->g.members[i].run_ns;
}

TEST(group, shares_are_as_weights_within_one_slice_at_any_time)
{
    static const uint32_t weight[] = {1, 2, 3, 10};
    struct bunch b;
    bunch_init(&b, 1);
    for (unsigned i = 0; i < 4; i++)
        bunch_add_busy(&b, weight[i]);
    for (vtime at = 12345; at < LONG; at += 1234567) {
        run_all(&b.g, at);
        for (unsigned i = 0; i < 4; i++)
            expect_near(at * weight[i] / 16, ran(&b, i), SLICE);
        EXPECT_EQ(0, b.g.pcpus[0].idle_ns);
    }
    bunch_free(&b);
}

/* Demands 10 %, all, all: weights 1, 1, 3. What the first leaves goes to the others, 1 to 3. */
TEST(group, what_one_does_not_use_goes_to_the_others_by_weight)
{
    struct bunch b;
    bunch_init(&b, 1);
    bunch_add(&b, 1, 20000, 200000, 1);
    bunch_add_busy(&b, 1);
    bunch_add_busy(&b, 3);
    run_all(&b.g, LONG);
    expect_near(LONG / 10, ran(&b, 0), 20000);
    expect_near((uint64_t)LONG * 9 / 40, ran(&b, 1), LONG / 100);
    expect_near((uint64_t)LONG * 27 / 40, ran(&b, 2), LONG / 100);
    EXPECT_EQ(0, b.g.pcpus[0].idle_ns);
    bunch_free(&b);
}

TEST(group, a_pcpu_idles_only_when_nobody_is_runnable)
{
    struct bunch b;
    bunch_init(&b, 2);
    bunch_add(&b, 1, 5000, 50000, 1);
    bunch_add(&b, 7, 30000, 100000, 1);
    run_all(&b.g, LONG);
    EXPECT_EQ(0, b.g.members[0].waited_ns + b.g.members[1].waited_ns);
    expect_near(LONG / 10, ran(&b, 0), 5000);
    expect_near(LONG * 3 / 10, ran(&b, 1), 30000);
    bunch_free(&b);
}

/* On two pcpus a weight of 10 of 12 is worth one pcpu, no more; the others share the second. */
TEST(group, no_weight_is_worth_more_than_a_pcpu)
{
    struct bunch b;
    bunch_init(&b, 2);
    bunch_add_busy(&b, 10);
    bunch_add_busy(&b, 1);
    bunch_add_busy(&b, 1);
    run_all(&b.g, LONG);
    EXPECT_EQ(LONG, ran(&b, 0));
    expect_near(LONG / 2, ran(&b, 1), SLICE);
    /* One that comes late has no credit, and is not made to pay for others' past. */
    bunch_add_busy(&b, 2);
    run_all(&b.g, 2 * LONG);
    EXPECT_EQ(2 * LONG, ran(&b, 0));
    expect_near(LONG / 2, ran(&b, 3), 2 * SLICE);
    expect_near(LONG / 2 + LONG / 4, ran(&b, 1), 2 * SLICE);
    bunch_free(&b);
}

TEST(group, a_sleeper_has_no_credit)
{
    struct bunch b;
    bunch_init(&b, 1);
    bunch_add(&b, 1, 60000, 10000000, 1); /* sleeps 10 ms, then wants 60 us, at once */
    bunch_add_busy(&b, 1);
    run_all(&b.g, 10000000);
    uint64_t before = ran(&b, 1);
    run_all(&b.g, 10000000 + 8 * SLICE);
    expect_near(4 * SLICE, ran(&b, 1) - before, SLICE);
    bunch_free(&b);
}

static void chain_of(unsigned pcpus, vtime step, uint8_t hashes[3][HASH_BYTES])
{
    struct bunch b;
    bunch_init(&b, pcpus);
    bunch_add(&b, 1, 7001, 41000, 1);
    bunch_add(&b, 2, 0, 0, 2);
    bunch_add(&b, 3, 33333, 100001, 2);
    for (vtime at = step; at < 2000000; at += step)
        run_all(&b.g, at);
    run_all(&b.g, 2000000);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(0, timeline_hash(b.guests[i].m, hashes[i]));
    bunch_free(&b);
}

TEST(group, where_a_run_stops_changes_nothing)
{
    uint8_t a[3][HASH_BYTES], b[3][HASH_BYTES];
    for (unsigned pcpus = 1; pcpus <= 2; pcpus++) {
        chain_of(pcpus, 2000000, a);
        chain_of(pcpus, 3331, b);
        for (unsigned i = 0; i < 3; i++)
            assert_memory_equal(a[i], b[i], HASH_BYTES);
    }
}

/* Two vCPUs of one machine: what is stolen from both, and what one steals from the other. */
TEST(group, stolen_time_of_vcpus_adds_up)
{
    struct bunch b;
    bunch_init(&b, 1);
    bunch_add(&b, 3, 0, 0, 2);
    bunch_add_busy(&b, 1);
    run_all(&b.g, LONG);
    const struct monitor_vcpu *v = b.guests[0].m->vm->vcpus;
    EXPECT_EQ(LONG, v[0].vcpu->arch.ticks + scheduler_stolen_ns(&v[0]));
    EXPECT_EQ(LONG, v[1].vcpu->arch.ticks + scheduler_stolen_ns(&v[1]));
    expect_near((uint64_t)LONG * 3 / 8, v[0].vcpu->arch.ticks, SLICE);
    bunch_free(&b);
}

TEST(group, a_machine_saved_while_it_waits_goes_on_alone_as_the_one_that_left_the_group)
{
    char path[] = "/tmp/trapline-test-XXXXXX";
    struct err err = {{0}, {0}};
    uint8_t ha[HASH_BYTES], hb[HASH_BYTES];
    struct bunch b;
    struct guest alone;
    close(mkstemp(path));
    bunch_init(&b, 1);
    bunch_add(&b, 1, 0, 0, 2);
    bunch_add(&b, 1, 0, 0, 2);
    run_all(&b.g, 5 * SLICE + 55);
    unsigned waits = b.g.members[0].state == MEMBER_READY ? 0 : 1;
    EXPECT_EQ(MEMBER_READY, b.g.members[waits].state);
    EXPECT_EQ(0, timeline_save(b.guests[waits].m, path, &err));
    guest_init(&alone, 0, 0, 2);
    EXPECT_EQ(0, timeline_load(alone.m, path, &err));
    struct machine *both[] = {b.guests[waits].m, alone.m};
    scheduler_resume(both[0]); /* as group_fini would have it */
    for (unsigned i = 0; i < 2; i++) {
        both[i]->stop_at = 100000;
        EXPECT_EQ(STOP_POSITION, machine_run(both[i]));
    }
    EXPECT_EQ(0, timeline_hash(both[0], ha));
    EXPECT_EQ(0, timeline_hash(both[1], hb));
    assert_memory_equal(ha, hb, HASH_BYTES);
    EXPECT(both[1]->s.waited_ns > 0);
    bunch_free(&b);
    machine_destroy(alone.m);
    unlink(path);
}

/* CLI and HLT with no alarm: it ends, and the others have its share. */
TEST(group, a_dead_machine_is_over)
{
    struct bunch b;
    bunch_init(&b, 1);
    bunch_add(&b, 1, 50000, 0, 1);
    bunch_add_busy(&b, 1);
    EXPECT(group_run(&b.g, LONG));
    EXPECT_EQ(1, group_alive(&b.g));
    EXPECT(b.g.members[0].state == MEMBER_OVER && b.g.members[0].stop == STOP_DEAD_HALT);
    EXPECT_EQ(49999, ran(&b, 0)); /* MOV, LOOP, HLT */
    EXPECT_EQ(LONG - 49999, ran(&b, 1));
    bunch_free(&b);
}

TEST(group, the_public_face_checks_what_it_is_given)
{
    struct trapline_group_config gc = TRAPLINE_GROUP_CONFIG_INIT;
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_group_member k = TRAPLINE_GROUP_MEMBER_INIT;
    struct trapline_group *g;
    struct trapline_machine *m, *waits_for_input;
    uint64_t busy, idle;
    gc.pcpus = 0;
    EXPECT_EQ(-EINVAL, trapline_group_create(&gc, &g, NULL));
    gc.pcpus = 1;
    gc.slice_ns = 999;
    EXPECT_EQ(-EINVAL, trapline_group_create(&gc, &g, NULL));
    gc.slice_ns = 0;
    EXPECT_EQ(0, trapline_group_create(&gc, &g, NULL));
    config.board = "none";
    EXPECT_EQ(0, trapline_create(&config, &m, NULL));
    config.is_interactive = true;
    EXPECT_EQ(0, trapline_create(&config, &waits_for_input, NULL));
    EXPECT_EQ(-ENOTSUP, trapline_group_add(g, waits_for_input, 1, NULL));
    EXPECT_EQ(-EINVAL, trapline_group_add(g, m, 0, NULL));
    EXPECT_EQ(-EINVAL, trapline_group_add(g, m, TRAPLINE_WEIGHT_MAX + 1, NULL));
    EXPECT_EQ(0, trapline_group_add(g, m, TRAPLINE_WEIGHT_MAX, NULL));
    EXPECT_EQ(-EBUSY, trapline_group_add(g, m, 1, NULL));
    EXPECT_EQ(1, trapline_group_run(g, 5000)); /* there is no memory: faults, one after the other */
    EXPECT(trapline_group_member(g, 0, &k) && !k.is_over && k.run_ns == 5000);
    EXPECT(!trapline_group_member(g, 1, &k));
    EXPECT(trapline_group_pcpu(g, 0, &busy, &idle) && busy == k.run_ns);
    EXPECT(!trapline_group_pcpu(g, 1, &busy, &idle));
    trapline_group_destroy(g);
    EXPECT_EQ(0, trapline_group_create(&gc, &g, NULL));
    EXPECT_EQ(0, trapline_group_add(g, m, 1, NULL));
    trapline_group_destroy(g);
    trapline_destroy(m);
    trapline_destroy(waits_for_input);
}

TEST_MAIN(RUN(group, shares_are_as_weights_within_one_slice_at_any_time)
              RUN(group, what_one_does_not_use_goes_to_the_others_by_weight)
                  RUN(group, a_pcpu_idles_only_when_nobody_is_runnable) RUN(group, no_weight_is_worth_more_than_a_pcpu)
                      RUN(group, a_sleeper_has_no_credit) RUN(group, where_a_run_stops_changes_nothing)
                          RUN(group, stolen_time_of_vcpus_adds_up)
                              RUN(group, a_machine_saved_while_it_waits_goes_on_alone_as_the_one_that_left_the_group)
                                  RUN(group, a_dead_machine_is_over) RUN(group, the_public_face_checks_what_it_is_given))
