/* SPDX-License-Identifier: MIT */
/* The ring of returns: filled by calls, read by returns, wrapped around by deep recursion, and
 * never believed: not where the stack says something else, nor where code has died. */
#include "tests/unit/cpu_harness.h"

#if defined(__x86_64__)
#include "cpu/jit/jit.h"

/*
 * At 0: MOV ECX, EDI; CALL f; INC RBX; JMP 0. At F: SUB ECX, 1; JZ 1f; CALL f; MOV [RSI], R8B; INC
 * EAX; 1: ADD [RSP], R10; RET. So EDI is how deep it goes, and R10 whether returns skip the three
 * bytes behind the calls.
 */
enum {
    F = 0x40,
    BEHIND = F + 10,
    SKIP = 3,
    BY = CODE + F + 2,
    OF_INC = CODE + BEHIND + SKIP + 1,
    OF_EAX = 0xc0,
    OF_EDX = 0xc2
};
static const uint8_t outer[] = {0x8b, 0xcf, 0xe8, F - 7, 0, 0, 0, 0x48, 0xff, 0xc3, 0xeb, 0xf4};
static const uint8_t inner[] = {0x83, 0xe9, 0x01, 0x74, 0x0a,   0xe8, 0xf6, 0xff, 0xff, 0xff,
                                0x44, 0x88, 0x06, 0xff, OF_EAX, 0x4c, 0x01, 0x14, 0x24, 0xc3};

/* Two machines: the first one's code is translated. */
struct bench {
    struct harness *h[2];
    struct jit *jit;
};

static void poke(struct bench *b, uint64_t at, const uint8_t *bytes, size_t count)
{
    for (unsigned k = 0; k < 2; k++)
        EXPECT(physmem_write(b->h[k]->pm, at, bytes, count));
}

static struct bench bench_create(bool has_ring, uint32_t regions)
{
    const struct jit_config config = {
        .threshold = 1, .cache = 1 * MiB, .has_ring = has_ring, .regions = regions};
    struct bench b = {.h = {harness_create(DECODE_64), harness_create(DECODE_64)},
                      .jit = jit_create(&config)};
    assert_non_null(b.jit);
    harness_set_jit(b.h[0], b.jit);
    poke(&b, CODE, outer, sizeof(outer));
    poke(&b, CODE + F, inner, sizeof(inner));
    return b;
}

static void bench_destroy(struct bench *b)
{
    harness_set_jit(b->h[0], NULL);
    jit_destroy(b->jit);
    harness_destroy(b->h[0]);
    harness_destroy(b->h[1]);
}

struct how {
    uint64_t depth;
    uint64_t skip;
    uint64_t to; /* what R8B, `value`, is stored to */
    uint8_t value;
};

/* Both as far, from the start, the second one instruction at a time, and they are the same then. */
static void run(struct bench *b, int64_t ticks, const struct how *how)
{
    for (unsigned k = 0; k < 2; k++) {
        struct cpu *c = &b->h[k]->vcpu->arch;
        c->rip = CODE;
        c->gpr[REG_RSP] = STACK;
        c->gpr[REG_RDI] = how->depth;
        c->gpr[REG_RSI] = how->to ? how->to : DATA;
        c->gpr[8] = how->value;
        c->gpr[10] = how->skip;
    }
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run_in_parts(b->h[0], ticks, ticks));
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run_in_parts(b->h[1], ticks, 1));
    const struct cpu *x = &b->h[0]->vcpu->arch, *y = &b->h[1]->vcpu->arch;
    EXPECT_EQ(y->rip, x->rip);
    EXPECT_EQ(y->ticks, x->ticks);
    EXPECT_EQ(y->rflags, x->rflags);
    EXPECT(memcmp(x->gpr, y->gpr, sizeof(x->gpr)) == 0);
    EXPECT(memcmp(b->h[0]->ram, b->h[1]->ram, HARNESS_RAM) == 0);
}

static const struct how shallow = {.depth = 8}, deep = {.depth = 5 * MMU_RETURNS};

static unsigned entries_used(const struct bench *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MMU_RETURNS; i++)
        n += b->h[0]->vcpu->jumps.ring[i].tag != 0;
    return n;
}

/* Returns that the ring knows do not bring the table what it has lost. */
static bool asks_the_table(struct bench *b)
{
    struct vcpu *vcpu = b->h[0]->vcpu;
    const struct mmu_jump *behind = &vcpu->jumps.at[mmu_jump_index(CODE + BEHIND)];
    run(b, 2000, &shallow);
    memset(vcpu->jumps.at, 0, sizeof(vcpu->jumps.at));
    run(b, 2000, &shallow);
    return behind->tag != 0;
}

TEST(returns, are_found_in_the_ring)
{
    struct bench b = bench_create(true, 0);
    EXPECT(!asks_the_table(&b));
    EXPECT_EQ(8, entries_used(&b));
    bench_destroy(&b);
}

TEST(returns, without_a_ring_are_found_in_the_table)
{
    struct bench b = bench_create(false, 0);
    EXPECT(asks_the_table(&b));
    EXPECT_EQ(0, entries_used(&b));
    bench_destroy(&b);
}

TEST(returns, stop_at_the_exact_instruction)
{
    for (unsigned regions = 0; regions < 5; regions += 4) {
        struct bench b = bench_create(true, regions);
        for (int64_t ticks = 1; ticks < 300; ticks++)
            run(&b, ticks, &shallow);
        bench_destroy(&b);
    }
}

TEST(returns, wrap_around)
{
    struct bench b = bench_create(true, 0);
    for (int64_t ticks = 1; ticks < 8000; ticks += 77)
        run(&b, ticks, &deep);
    EXPECT_EQ(MMU_RETURNS, entries_used(&b));
    bench_destroy(&b);
}

TEST(returns, go_where_the_stack_says)
{
    struct bench b = bench_create(true, 0);
    for (unsigned turn = 0; turn < 40; turn++) {
        struct how how = deep;
        how.skip = turn & 1 ? SKIP : 0;
        run(&b, 1500 + turn, &how);
    }
    bench_destroy(&b);
}

/* The code behind the calls dies, and that of the calls. */
TEST(returns, do_not_outlive_code_that_others_write)
{
    static const uint8_t by[] = {2, 1}, of[] = {OF_EDX, OF_EAX};
    struct bench b = bench_create(true, 0);
    for (unsigned turn = 0; turn < 16; turn++) {
        run(&b, 700 + 13 * turn, &deep); /* in the midst of it */
        poke(&b, OF_INC, &of[turn & 1], 1);
        run(&b, 900 + 11 * turn, &shallow);
        poke(&b, BY, &by[turn & 1], 1);
    }
    EXPECT(jit_stats(b.jit).translated > 20);
    bench_destroy(&b);
}

TEST(returns, do_not_outlive_code_that_they_write)
{
    for (unsigned regions = 0; regions < 5; regions += 4) {
        struct bench b = bench_create(true, regions);
        for (unsigned turn = 0; turn < 60; turn++) {
            const struct how how = {
                .depth = 5 * MMU_RETURNS,
                .to = turn & 2 ? OF_INC : BY,
                .value = (uint8_t)(turn & 2 ? (turn & 4 ? OF_EDX : OF_EAX) : 1 + (turn >> 2 & 1))};
            run(&b, 400 + 7 * turn, &deep);
            run(&b, 600 + 5 * turn, &how);
        }
        EXPECT(jit_stats(b.jit).translated > 20);
        bench_destroy(&b);
    }
}

TEST_MAIN(RUN(returns, are_found_in_the_ring) RUN(returns, without_a_ring_are_found_in_the_table)
              RUN(returns, stop_at_the_exact_instruction) RUN(returns, wrap_around)
                  RUN(returns, go_where_the_stack_says)
                      RUN(returns, do_not_outlive_code_that_others_write)
                          RUN(returns, do_not_outlive_code_that_they_write))
#else
int main(void)
{
    return 0;
}
#endif
