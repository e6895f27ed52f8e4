/* SPDX-License-Identifier: MIT */
/*
 * What must stay true of any guest: its run is a function of its initial state. Neither the size of
 * the virtual TLB, nor dropped caches, nor stops at odd positions, nor saving and loading may
 * change a hash (docs/ARCHITECTURE.md, "What must stay true"). The guests are random; a failure
 * names the seed.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/monitor_random_guest.h"

#define RUN_TICKS 40000u
#define CHECK_EVERY 7919u
#define CHECKS (RUN_TICKS / CHECK_EVERY)
#define SEEDS 16u

/* A run: the hash at every check, and how it ended. */
struct run_record {
    uint8_t hash[CHECKS]
                [HASH_BYTES]; /* of states, not chained: the first difference is what matters */
    enum stop_reason reason[CHECKS]; /* STOP_POSITION, or what ended the guest */
    uint64_t ticks[CHECKS];          /* where */
};

/* How one run treats its machine on the way. */
struct habit {
    const char *name; /* for the message */
    unsigned entries; /* of the virtual TLB */
    const struct jit_config *jit; /* translate; NULL: interpret */
    bool drops;       /* translations and code, at random positions */
    bool stops;       /* at random positions */
    bool moves;       /* saved and loaded into a new machine before every check */
};

static void drop_caches(struct machine *m, uint32_t what)
{
    if (what & 1)
        block_cache_drop_all(m->vm->blocks);
    if (what & 2)
        mmu_drop_caches(&m->vm->vcpus[0].vcpu->run.mmu);
}

static struct machine *move(struct machine *m, enum guest_kind kind, unsigned entries,
                            const struct jit_config *jit)
{
    char path[] = "/tmp/trapline-test-XXXXXX";
    struct err err;
    int fd = mkstemp(path);
    struct machine *other = random_guest(kind, 1, entries, jit);
    assert_true(fd >= 0);
    close(fd);
    run_until(other, 500);
    assert_int_equal(0, timeline_save(m, path, &err));
    assert_int_equal(0, timeline_load(other, path, &err));
    unlink(path);
    machine_destroy(m);
    return other;
}

/* To the next check, by way of random stops. */
static enum stop_reason stroll(struct machine *m, const struct habit *habit, uint64_t to,
                               struct guest_writer *dice)
{
    enum stop_reason reason = STOP_POSITION;
    while ((habit->drops || habit->stops) && reason == STOP_POSITION) {
        uint64_t next = m->s.ticks + 1 + pick(dice, pick(dice, 4) ? 40 : 700);
        if (next >= to)
            break;
        reason = run_until(m, next);
        if (habit->drops)
            drop_caches(m, pick(dice, 4));
    }
    return reason == STOP_POSITION ? run_until(m, to) : reason;
}

static void record_run(enum guest_kind kind, uint64_t seed, const struct habit *habit,
                       struct run_record *r)
{
    struct machine *m = random_guest(kind, seed, habit->entries, habit->jit);
    struct guest_writer dice = {.seed = seed + 0x1234567};
    for (unsigned i = 0; i < CHECKS; i++) {
        r->reason[i] = stroll(m, habit, (i + 1) * CHECK_EVERY, &dice);
        if (habit->moves)
            m = move(m, kind, i & 1 ? 16 : 256, habit->jit);
        r->ticks[i] = m->s.ticks;
        assert_int_equal(0, timeline_hash(m, r->hash[i]));
    }
    machine_destroy(m);
}

/* A guest that has ended is run again and ends again at once; only then may checks lie behind each
 * other. */
static void expect_same_run(enum guest_kind kind, uint64_t seed, const struct habit *habit,
                            const struct run_record *want, const struct run_record *got)
{
    for (unsigned i = 0; i < CHECKS; i++) {
        if (want->ticks[i] == got->ticks[i] && want->reason[i] == got->reason[i] &&
            memcmp(want->hash[i], got->hash[i], HASH_BYTES) == 0)
            continue;
        print_error(
            "%s: guest kind %d, seed %llu differs by tick %llu (want %llu), stop %d (want %d)\n",
            habit->name, (int)kind, (unsigned long long)seed, (unsigned long long)got->ticks[i],
            (unsigned long long)want->ticks[i], (int)got->reason[i], (int)want->reason[i]);
        fail();
    }
}

static void compare_habits(enum guest_kind kind, const struct habit *habit)
{
    static const struct habit plain = {.name = "plain", .entries = 4096};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct run_record want, got;
        record_run(kind, seed, &plain, &want);
        record_run(kind, seed, habit, &got);
        expect_same_run(kind, seed, habit, &want, &got);
    }
}

TEST(invariants, size_of_the_virtual_tlb_changes_nothing)
{
    const struct habit habit = {.name = "16 entries", .entries = 16};
    compare_habits(GUEST_LONG, &habit);
    compare_habits(GUEST_REAL, &habit);
}

TEST(invariants, dropped_caches_change_nothing)
{
    const struct habit habit = {.name = "dropped caches", .entries = 64, .drops = true};
    compare_habits(GUEST_LONG, &habit);
    compare_habits(GUEST_REAL, &habit);
}

TEST(invariants, stops_at_odd_positions_change_nothing)
{
    const struct habit habit = {.name = "stops", .stops = true};
    compare_habits(GUEST_LONG, &habit);
    compare_habits(GUEST_REAL, &habit);
}

static const struct jit_config translate_all = {.threshold = 1, .cache = JIT_CACHE};
static const struct jit_config translate_some = {.threshold = 5, .cache = JIT_CACHE_MIN};
static const struct jit_config regions_all = {.threshold = 1, .cache = JIT_CACHE, .regions = 1};
static const struct jit_config regions_some = {.threshold = 2, .cache = JIT_CACHE_MIN, .regions = 5, .has_ring = true};

TEST(invariants, translated_code_is_what_the_interpreter_does)
{
    const struct habit all = {.name = "translated", .jit = &translate_all};
    const struct habit some = {
        .name = "translated later", .jit = &translate_some, .entries = 16, .drops = true, .stops = true};
    compare_habits(GUEST_LONG, &all);
    compare_habits(GUEST_LONG, &some);
    compare_habits(GUEST_REAL, &all);
}

TEST(invariants, regions_are_what_their_blocks_are)
{
    const struct habit all = {.name = "in regions", .jit = &regions_all};
    const struct habit some = {
        .name = "in regions later", .jit = &regions_some, .entries = 16, .drops = true, .stops = true};
    compare_habits(GUEST_LONG, &all);
    compare_habits(GUEST_LONG, &some);
    compare_habits(GUEST_REAL, &all);
}

/* Blocks die and the cache fills while the worker has copies of them. */
TEST(invariants, code_that_is_made_beside_the_guest_changes_nothing)
{
    static const struct jit_config beside = {.threshold = 1, .cache = JIT_CACHE_MIN, .regions = 3, .has_thread = true};
    const struct habit habit = {
        .name = "translated beside", .jit = &beside, .entries = 16, .drops = true, .stops = true};
    compare_habits(GUEST_LONG, &habit);
    compare_habits(GUEST_REAL, &habit);
}

/* A flag that the next instruction would overwrite is looked at all the same if that instruction
 * only raises: here, because CR0.TS is set. */
TEST(invariants, flags_are_seen_by_the_handler_of_an_instruction_that_only_raises)
{
    static const uint8_t slot[] = {0x01, 0xc3,             /* add ebx, eax */
                                   0x66, 0x0f, 0xfe, 0xc1, /* paddd xmm0, xmm1: #NM */
                                   0x31, 0xc9};            /* xor ecx, ecx */
    const struct jit_config *engines[] = {NULL, &translate_all};
    uint8_t hash[2][HASH_BYTES];
    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = random_guest(GUEST_LONG, 1, 0, engines[i]);
        struct cpu *cpu = &m->vm->vcpus[0].vcpu->arch;
        for (unsigned n = 0; n < SLOTS - 1; n++)
            assert_true(physmem_write(m->vm->pm, PROGRAM + n * SLOT, slot, sizeof(slot)));
        cpu->cr0 |= CR0_TS;
        cpu->gpr[REG_RAX] = 0x12345678;
        cpu_update_mmu(m->vm->vcpus[0].vcpu);
        EXPECT_EQ(STOP_POSITION, run_until(m, 3000));
        EXPECT_EQ(0, timeline_hash(m, hash[i]));
        machine_destroy(m);
    }
    EXPECT(memcmp(hash[0], hash[1], HASH_BYTES) == 0);
}

TEST(invariants, saving_and_loading_elsewhere_changes_nothing)
{
    const struct habit habit = {.name = "save and load", .moves = true, .stops = true};
    compare_habits(GUEST_LONG, &habit);
    compare_habits(GUEST_REAL, &habit);
}

/* The guests are worth comparing: most run on, change memory and take faults. */
TEST(invariants, random_guests_live_long)
{
    for (enum guest_kind kind = 0; kind < GUEST_KINDS; kind++) {
        unsigned alive = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct machine *m = random_guest(kind, seed, 0, NULL);
            alive += run_until(m, RUN_TICKS) == STOP_POSITION;
            machine_destroy(m);
        }
        EXPECT(alive > SEEDS * 3 / 4);
    }
}

TEST_MAIN(RUN(invariants, random_guests_live_long)
              RUN(invariants, size_of_the_virtual_tlb_changes_nothing)
                  RUN(invariants, dropped_caches_change_nothing)
                      RUN(invariants, stops_at_odd_positions_change_nothing)
                          RUN(invariants, regions_are_what_their_blocks_are)
              RUN(invariants, translated_code_is_what_the_interpreter_does)
              RUN(invariants, code_that_is_made_beside_the_guest_changes_nothing)
                              RUN(invariants,
                                  flags_are_seen_by_the_handler_of_an_instruction_that_only_raises)
                                  RUN(invariants, saving_and_loading_elsewhere_changes_nothing))
