/* SPDX-License-Identifier: MIT */
/*
 * Two machines in one process never meet: whatever is done with one, in any order, the chain of the
 * other is the one that it has alone (docs/ARCHITECTURE.md, "What must stay true").
 */
#include "tests/unit/monitor_random_guest.h"

#define RUN_TICKS 30000u
#define LINK_EVERY 1009u /* ticks between links of the chain */
#define PAIRS 12u

/* A machine and the chain of its states. */
struct chained {
    struct machine *m;        /* owned */
    uint8_t link[HASH_BYTES]; /* of the chain, so far */
    uint64_t next;            /* tick of the next link */
};

static struct chained chained_create(enum guest_kind kind, uint64_t seed, unsigned entries)
{
    return (struct chained){.m = random_guest(kind, seed, entries, NULL), .next = LINK_EVERY};
}

/* Run for some ticks; links are made where they are due. False: the run is over. */
static bool advance(struct chained *c, uint64_t ticks)
{
    uint64_t to = c->m->s.ticks + ticks;
    while (c->m->s.ticks < to && c->next < RUN_TICKS) {
        uint64_t stop = c->next < to ? c->next : to;
        bool is_alive = run_until(c->m, stop) == STOP_POSITION;
        if (is_alive && stop != c->next)
            continue;
        uint8_t state[HASH_BYTES];
        assert_int_equal(0, timeline_hash(c->m, state));
        timeline_chain(c->link, state);
        c->next = is_alive ? c->next + LINK_EVERY : RUN_TICKS;
    }
    return c->next < RUN_TICKS;
}

static void chain_alone(enum guest_kind kind, uint64_t seed, uint8_t link[HASH_BYTES])
{
    struct chained c = chained_create(kind, seed, 0);
    while (advance(&c, RUN_TICKS)) {
    }
    memcpy(link, c.link, HASH_BYTES);
    machine_destroy(c.m);
}

/* Two guests by turns of random length; a third comes and goes. */
static void interleave(enum guest_kind kind_a, enum guest_kind kind_b, uint64_t seed)
{
    struct guest_writer dice = {.seed = seed * 77 + 5};
    uint8_t a_alone[HASH_BYTES], b_alone[HASH_BYTES];
    chain_alone(kind_a, seed, a_alone);
    chain_alone(kind_b, seed + 100, b_alone);
    struct chained a = chained_create(kind_a, seed, 16),
                   b = chained_create(kind_b, seed + 100, 4096);
    struct machine *passer_by = NULL;
    for (bool is_running = true; is_running;) {
        is_running = advance(&a, 1 + pick(&dice, 300));
        is_running |= advance(&b, 1 + pick(&dice, 300));
        if (pick(&dice, 20) == 0) {
            machine_destroy(passer_by);
            passer_by = random_guest(pick(&dice, GUEST_KINDS), seed + 200, 64, NULL);
            run_until(passer_by, 1 + pick(&dice, 500));
        }
    }
    assert_memory_equal(a_alone, a.link, HASH_BYTES);
    assert_memory_equal(b_alone, b.link, HASH_BYTES);
    machine_destroy(passer_by);
    machine_destroy(b.m);
    machine_destroy(a.m);
}

TEST(two_machines, of_one_kind_never_meet)
{
    for (uint64_t seed = 1; seed <= PAIRS; seed++)
        interleave(GUEST_LONG, GUEST_LONG, seed);
}

TEST(two_machines, of_different_modes_never_meet)
{
    for (uint64_t seed = 1; seed <= PAIRS; seed++)
        interleave(seed & 1 ? GUEST_REAL : GUEST_LONG, seed & 1 ? GUEST_LONG : GUEST_REAL, seed);
}

/* The same seed twice: equal where they stand, however far apart they ran. */
TEST(two_machines, with_the_same_seed_are_equal)
{
    struct machine *a = random_guest(GUEST_LONG, 3, 0, NULL), *b = random_guest(GUEST_LONG, 3, 0, NULL);
    uint8_t ha[HASH_BYTES], hb[HASH_BYTES];
    for (uint64_t at = 5000; at <= 20000; at += 5000) {
        run_until(a, at);
        assert_int_equal(0, timeline_hash(a, ha));
        run_until(b, at - 3);
        run_until(b, at);
        assert_int_equal(0, timeline_hash(b, hb));
        assert_memory_equal(ha, hb, HASH_BYTES);
    }
    machine_destroy(a);
    machine_destroy(b);
}

TEST_MAIN(RUN(two_machines, of_one_kind_never_meet) RUN(two_machines, of_different_modes_never_meet)
              RUN(two_machines, with_the_same_seed_are_equal))
