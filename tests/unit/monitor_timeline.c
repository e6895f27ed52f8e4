/* SPDX-License-Identifier: MIT */
/* Saved states and hashes of a machine without a board: a vCPU that counts, stores and rewrites its
 * own code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "monitor/dispatcher.h"
#include "monitor/timeline/timeline.h"
#include "tests/test.h"

#define CODE 0x8000u

/* 16-bit real mode: fill memory with a changing pattern for ever, and patch an immediate of its
 * own. */
static const uint8_t program[] = {
    0x31, 0xc0,             /* xor ax, ax */
    0x8e, 0xd8,             /* mov ds, ax */
    0xbf, 0x00, 0x20,       /* mov di, 2000h */
    0x83, 0xc3, 0x01,       /* loop: add bx, 1 */
    0x89, 0x1d,             /* mov [di], bx */
    0x83, 0xc7, 0x02,       /* add di, 2 */
    0x81, 0xe7, 0xff, 0x3f, /* and di, 3fffh */
    0x81, 0xcf, 0x00, 0x20, /* or di, 2000h */
    0x88, 0x1e, 0x09, 0x80, /* mov [8009h], bl: the immediate of the first add */
    0xeb, 0xe9,             /* jmp loop */
};

static struct machine *machine_with_program(uint64_t memory)
{
    const struct machine_config config = {.memory_size = memory, .seed = 7, .ns_per_tick = 1};
    struct machine *m;
    struct cpu_model model;
    struct err err = {{0}, {0}};
    EXPECT_EQ(0, machine_create(&config, &m, &err));
    EXPECT_EQ(0, cpu_model_parse("max", &model, &err));
    EXPECT_EQ(0, vm_create(m, 1, &model, &err));
    EXPECT_EQ(0, physmem_add(m->vm->pm, 0, memory, 0, false, &err));
    EXPECT(physmem_write(m->vm->pm, CODE, program, sizeof(program)));
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    vcpu->arch.seg_base[SEG_CS] = 0;
    vcpu->arch.seg_sel[SEG_CS] = 0;
    vcpu->arch.rip = CODE;
    cpu_update_mode(vcpu);
    return m;
}

static void run_to(struct machine *m, uint64_t ticks)
{
    m->stop_at = ticks;
    EXPECT_EQ(STOP_POSITION, machine_run(m));
    EXPECT_EQ(ticks, m->s.ticks);
}

static void expect_same_hash(struct machine *a, struct machine *b)
{
    uint8_t ha[HASH_BYTES], hb[HASH_BYTES];
    EXPECT_EQ(0, timeline_hash(a, ha));
    EXPECT_EQ(0, timeline_hash(b, hb));
    assert_memory_equal(ha, hb, HASH_BYTES);
}

static void temporary(char path[64])
{
    strcpy(path, "/tmp/trapline-test-XXXXXX");
    int fd = mkstemp(path);
    EXPECT(fd >= 0);
    close(fd);
}

TEST(timeline, same_run_gives_the_same_hash_and_another_position_another)
{
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    uint8_t before[HASH_BYTES], after[HASH_BYTES];
    run_to(a, 10001);
    run_to(b, 10001);
    expect_same_hash(a, b);
    EXPECT_EQ(0, timeline_hash(a, before));
    run_to(a, 10002);
    EXPECT_EQ(0, timeline_hash(a, after));
    assert_memory_not_equal(before, after, HASH_BYTES);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(timeline, incremental_hash_equals_a_hash_made_afresh)
{
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    uint8_t h[HASH_BYTES];
    for (uint64_t at = 777; at < 20000; at += 777) {
        run_to(a, at);
        EXPECT_EQ(0, timeline_hash(a, h));
    }
    run_to(a, 20000);
    run_to(b, 20000);
    expect_same_hash(a, b);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(timeline, stopping_anywhere_and_dropping_caches_change_nothing)
{
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    run_to(a, 30000);
    for (uint64_t at = 1; at < 3000; at += 7) {
        run_to(b, at);
        block_cache_drop_all(b->vm->blocks);
        mmu_drop_caches(&b->vm->vcpus[0].vcpu->run.mmu);
    }
    run_to(b, 30000);
    expect_same_hash(a, b);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(timeline, an_nmi_ends_shutdown)
{
    static const uint8_t vector[4] = {CODE & 0xff, CODE >> 8, 0, 0};
    struct machine *m = machine_with_program(2 * MiB);
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    EXPECT(physmem_write(m->vm->pm, 2 * 4, vector, sizeof(vector)));
    vcpu->arch.gpr[REG_RSP] = 0x7000;
    vcpu->arch.activity = ACTIVITY_SHUTDOWN;
    vcpu->arch.nmi_pending = true;
    run_to(m, 100);
    EXPECT_EQ(ACTIVITY_ACTIVE, vcpu->arch.activity);
    EXPECT(vcpu->arch.nmi_blocked);
    EXPECT_EQ(99, vcpu->arch.retired); /* the first tick was the delivery */
    machine_destroy(m);
}

/* A debug trap, an NMI: both before the first instruction of a handler, and none is left to where a
 * run stops. */
TEST(timeline, what_waits_behind_a_delivery_is_delivered_before_the_handler_runs)
{
    static const uint8_t vectors[12] = {
        [4] = CODE & 0xff, [5] = CODE >> 8, [8] = CODE & 0xff, [9] = CODE >> 8};
    uint8_t saved_ip[2];
    struct machine *m = machine_with_program(2 * MiB);
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    EXPECT(physmem_write(m->vm->pm, 0, vectors, sizeof(vectors)));
    vcpu->arch.gpr[REG_RSP] = 0x7000;
    vcpu->arch.nmi_pending = true;
    vcpu->arch.pending_db = DR6_BS;
    vcpu->run.attention = true;
    run_to(m, 100);
    EXPECT(vcpu->arch.nmi_blocked && !vcpu->arch.nmi_pending);
    EXPECT_EQ(98, vcpu->arch.retired);
    EXPECT(physmem_read(m->vm->pm, 0x7000 - 12, saved_ip, sizeof(saved_ip)));
    EXPECT_EQ(CODE, le16_load(saved_ip)); /* the NMI came where the first handler begins */
    machine_destroy(m);
}

/* Counters of instructions and cycles, set to overflow soon: wherever the run is cut, they go on.
 */
static void start_counters(struct machine *m)
{
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    vcpu->arch.perf_counter[0] = PMU_COUNTER_MASK - 1000;
    vcpu->arch.perf_eventsel[0] = 0x5300c0; /* instructions at every CPL, interrupt, enabled */
    vcpu->arch.perf_fixed_ctrl = 0x330;
    vcpu->arch.perf_global_ctrl = UINT64_C(0x700000001);
    pmu_rebuild(vcpu);
}

TEST(timeline, performance_counters_do_not_depend_on_where_a_run_stops)
{
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    start_counters(a);
    start_counters(b);
    run_to(a, 3000);
    for (uint64_t at = 1; at < 3000; at += 7)
        run_to(b, at);
    run_to(b, 3000);
    expect_same_hash(a, b);
    EXPECT_EQ(3000 - 1001, a->vm->vcpus[0].vcpu->arch.perf_counter[0]);
    EXPECT_EQ(3000, a->vm->vcpus[0].vcpu->arch.perf_counter[5]);
    EXPECT_EQ(1, a->vm->vcpus[0].vcpu->arch.perf_global_status);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(timeline, loaded_state_continues_as_if_it_had_never_stopped)
{
    char path[64];
    struct err err;
    temporary(path);
    for (uint64_t at = 1; at < 5000; at += 613) {
        struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
        run_to(a, at);
        EXPECT_EQ(0, timeline_save(a, path, &err));
        run_to(b, 50);
        EXPECT_EQ(0, timeline_load(b, path, &err));
        expect_same_hash(a, b);
        run_to(a, at + 5000);
        run_to(b, at + 5000);
        expect_same_hash(a, b);
        machine_destroy(a);
        machine_destroy(b);
    }
    unlink(path);
}

static size_t file_size(const char *path)
{
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    fclose(f);
    return (size_t)n;
}

TEST(timeline, every_truncation_is_refused_and_changes_nothing)
{
    char path[64];
    struct err err;
    temporary(path);
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    run_to(a, 4000);
    EXPECT_EQ(0, timeline_save(a, path, &err));
    run_to(b, 100);
    uint8_t before[HASH_BYTES], after[HASH_BYTES];
    EXPECT_EQ(0, timeline_hash(b, before));
    for (size_t n = file_size(path); n-- > 0;) {
        EXPECT_EQ(0, truncate(path, (off_t)n));
        EXPECT(timeline_load(b, path, &err) < 0);
        EXPECT(err.text[0] != '\0');
    }
    EXPECT_EQ(0, timeline_hash(b, after));
    assert_memory_equal(before, after, HASH_BYTES);
    unlink(path);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(timeline, damage_is_refused_or_harmless)
{
    char path[64];
    struct err err;
    temporary(path);
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    run_to(a, 4000);
    EXPECT_EQ(0, timeline_save(a, path, &err));
    size_t size = file_size(path);
    for (size_t at = 0; at < size; at += 5) {
        FILE *f = fopen(path, "r+b");
        fseek(f, (long)at, SEEK_SET);
        int c = fgetc(f);
        fseek(f, (long)at, SEEK_SET);
        fputc(c ^ 0x10, f);
        fclose(f);
        /* Some bits of a zstd frame header carry no meaning: then what is loaded must be right. */
        if (timeline_load(b, path, &err) == 0)
            expect_same_hash(a, b);
        else
            EXPECT(err.text[0] != '\0');
        f = fopen(path, "r+b");
        fseek(f, (long)at, SEEK_SET);
        fputc(c, f);
        fclose(f);
    }
    EXPECT_EQ(0, timeline_load(b, path, &err));
    expect_same_hash(a, b);
    unlink(path);
    machine_destroy(a);
    machine_destroy(b);
}

/* Found by snapshot_fuzz: time would have wrapped, and the run never ended. */
TEST(timeline, clock_near_its_end_is_refused)
{
    char path[64];
    struct err err;
    temporary(path);
    struct machine *a = machine_with_program(2 * MiB), *b = machine_with_program(2 * MiB);
    run_to(a, 4000);
    a->s.idle_ns = UINT64_MAX - 5000;
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT(timeline_load(b, path, &err) < 0);
    a->s.idle_ns = 0;
    a->s.ns_per_tick = UINT32_MAX;
    a->s.ticks = BIT(40);
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT(timeline_load(b, path, &err) < 0);
    unlink(path);
    machine_destroy(a);
    machine_destroy(b);
}

TEST(timeline, state_of_another_machine_is_refused)
{
    char path[64];
    struct err err;
    temporary(path);
    struct machine *a = machine_with_program(4 * MiB), *b = machine_with_program(2 * MiB);
    EXPECT(physmem_write(a->vm->pm, 3 * MiB, "x", 1));
    EXPECT_EQ(0, timeline_save(a, path, &err));
    EXPECT(timeline_load(b, path, &err) < 0);
    EXPECT(strstr(err.text, "another machine") != NULL);
    unlink(path);
    machine_destroy(a);
    machine_destroy(b);
}

TEST_MAIN(
    RUN(timeline, same_run_gives_the_same_hash_and_another_position_another)
        RUN(timeline, incremental_hash_equals_a_hash_made_afresh)
            RUN(timeline, stopping_anywhere_and_dropping_caches_change_nothing)
                RUN(timeline, an_nmi_ends_shutdown)
                    RUN(timeline, what_waits_behind_a_delivery_is_delivered_before_the_handler_runs)
                        RUN(timeline, performance_counters_do_not_depend_on_where_a_run_stops)
                            RUN(timeline, loaded_state_continues_as_if_it_had_never_stopped)
                                RUN(timeline, every_truncation_is_refused_and_changes_nothing)
                                    RUN(timeline, damage_is_refused_or_harmless)
                                        RUN(timeline, clock_near_its_end_is_refused)
                                            RUN(timeline, state_of_another_machine_is_refused))
