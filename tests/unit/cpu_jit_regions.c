/* SPDX-License-Identifier: MIT */
/* Regions: made of a hot path, killed by whatever is written into one of their parts. */
#include "tests/unit/cpu_harness.h"

#if defined(__x86_64__)
#include "cpu/jit/jit.h"

/* A loop of three blocks, of seven instructions: A is at 0, B and C follow. */
enum {
    AT_B = 0x40,
    AT_C = 0x80,
    AROUND = 7,
    OF_ESI = 0xc6,
    OF_EBX = 0xc3,
    OF_EAX = 0xc0,
    OF_EDX = 0xc2
};
static const uint8_t part_a[] = {0xff, 0xc0, 0xeb, 0x3c};       /* INC EAX; JMP B */
static const uint8_t part_b[] = {0xff, 0xc3, 0xeb, 0x3c};       /* INC EBX; JMP C */
static const uint8_t part_c[] = {0x44, 0x88, 0x07, 0xff, 0xc2,  /* MOV [RDI], R8B; INC EDX */
                                 0xe9, 0x76, 0xff, 0xff, 0xff}; /* JMP A */

/* Operand bytes of the three INCs, and what they are at first. */
static const uint64_t operand[] = {CODE + 1, CODE + AT_B + 1, CODE + AT_C + 4};
static const uint8_t before[] = {OF_EAX, OF_EBX, OF_EDX};

/* The same loop with C in the next page. */
enum { AT_FAR_C = 0x1080 };
static const uint8_t part_b_to_far[] = {0xff, 0xc3, 0xe9, 0x39, 0x10, 0, 0}; /* INC EBX; JMP C */
static const uint8_t part_far_c[] = {0x44, 0x88, 0x07, 0xff, 0xc2,  /* MOV [RDI], R8B; INC EDX */
                                     0xe9, 0x76, 0xef, 0xff, 0xff}; /* JMP A */

/* Two machines with the loop: the first one's code is translated. */
struct bench {
    struct harness *h[2];
    struct jit *jit;
};

static void poke(struct bench *b, uint64_t at, const uint8_t *bytes, size_t count)
{
    for (unsigned k = 0; k < 2; k++)
        EXPECT(physmem_write(b->h[k]->pm, at, bytes, count));
}

static struct bench bench_create(const struct jit_config *config)
{
    struct bench b = {.h = {harness_create(DECODE_64), harness_create(DECODE_64)},
                      .jit = jit_create(config)};
    assert_non_null(b.jit);
    harness_set_jit(b.h[0], b.jit);
    poke(&b, CODE, part_a, sizeof(part_a));
    poke(&b, CODE + AT_B, part_b, sizeof(part_b));
    poke(&b, CODE + AT_C, part_c, sizeof(part_c));
    for (unsigned k = 0; k < 2; k++)
        b.h[k]->vcpu->arch.rip = CODE;
    return b;
}

static void bench_destroy(struct bench *b)
{
    harness_set_jit(b->h[0], NULL);
    jit_destroy(b->jit);
    harness_destroy(b->h[0]);
    harness_destroy(b->h[1]);
}

/* Both as far, the second one instruction at a time, and they are the same then. */
static void run(struct bench *b, int64_t ticks, uint64_t to, uint8_t value)
{
    for (unsigned k = 0; k < 2; k++) {
        b->h[k]->vcpu->arch.gpr[REG_RDI] = to;
        b->h[k]->vcpu->arch.gpr[8] = value;
    }
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run_in_parts(b->h[0], ticks, ticks));
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run_in_parts(b->h[1], ticks, 1));
    const struct cpu *x = &b->h[0]->vcpu->arch, *y = &b->h[1]->vcpu->arch;
    EXPECT_EQ(y->rip, x->rip);
    EXPECT_EQ(y->ticks, x->ticks);
    EXPECT_EQ(y->rflags, x->rflags);
    EXPECT(memcmp(x->gpr, y->gpr, sizeof(x->gpr)) == 0);
}

static const struct jit_config soon = {.threshold = 1, .cache = 1 * MiB, .regions = 4};

TEST(regions, stop_at_the_exact_instruction)
{
    struct bench b = bench_create(&soon);
    run(&b, AROUND * 20, DATA, 0);
    EXPECT(jit_stats(b.jit).regions > 0);
    EXPECT(jit_stats(b.jit).parts > jit_stats(b.jit).regions);
    for (int64_t ticks = 1; ticks < 4 * AROUND; ticks++)
        run(&b, ticks, DATA, 0);
    EXPECT_EQ(0, jit_stats(b.jit).killed);
    bench_destroy(&b);
}

/* Whose first block is written does not count as killed: it is the block that dies. */
TEST(regions, die_by_their_own_stores)
{
    uint64_t killed = 0;
    for (unsigned part = 0; part < 3; part++)
        for (int64_t ticks = 1; ticks < 3 * AROUND; ticks++) {
            struct bench b = bench_create(&soon);
            run(&b, AROUND * 20, DATA, 0);
            EXPECT(jit_stats(b.jit).regions > 0);
            run(&b, AROUND * 5 + ticks, operand[part], OF_ESI);
            run(&b, AROUND * 20 + ticks, DATA, 0);
            EXPECT(jit_stats(b.jit).regions > 1);
            EXPECT(b.h[0]->vcpu->arch.gpr[REG_RSI] > 20);
            killed += jit_stats(b.jit).killed;
            bench_destroy(&b);
        }
    EXPECT(killed >= 2 * 3 * AROUND - 3);
}

TEST(regions, die_by_stores_of_others)
{
    uint64_t killed = 0;
    for (unsigned part = 0; part < 3; part++) {
        struct bench b = bench_create(&soon);
        for (unsigned turn = 0; turn < 8; turn++) {
            uint8_t value = turn & 1 ? before[part] : OF_ESI;
            run(&b, AROUND * 20 + turn, DATA, 0);
            poke(&b, operand[part], &value, 1);
        }
        EXPECT(jit_stats(b.jit).regions > 1);
        killed += jit_stats(b.jit).killed;
        bench_destroy(&b);
    }
    EXPECT(killed >= 2);
}

/* Whose regions are killed again and again gets none. */
TEST(regions, are_given_up)
{
    struct bench b = bench_create(&soon);
    for (unsigned turn = 0; turn < 30; turn++) {
        uint8_t value = turn & 1 ? before[1] : OF_ESI;
        run(&b, AROUND * 20, DATA, 0);
        poke(&b, operand[1], &value, 1);
    }
    EXPECT(jit_stats(b.jit).killed >= 3 && jit_stats(b.jit).killed < 12);
    bench_destroy(&b);
}

static struct bench far_bench_create(void)
{
    struct bench b = bench_create(&soon);
    poke(&b, CODE + AT_B, part_b_to_far, sizeof(part_b_to_far));
    poke(&b, CODE + AT_FAR_C, part_far_c, sizeof(part_far_c));
    return b;
}

TEST(regions, go_through_several_pages)
{
    struct bench b = far_bench_create();
    run(&b, AROUND * 20, DATA, 0);
    EXPECT(jit_stats(b.jit).regions > 0);
    EXPECT(jit_stats(b.jit).parts == 3 * jit_stats(b.jit).regions);
    for (int64_t ticks = 1; ticks < 4 * AROUND; ticks++)
        run(&b, ticks, DATA, 0);
    EXPECT_EQ(0, jit_stats(b.jit).killed);
    bench_destroy(&b);
}

/* Whoever writes a part in the other page kills the region, too: the loop itself, or somebody else.
 */
TEST(regions, die_with_a_part_in_another_page)
{
    const uint64_t far_operand = CODE + AT_FAR_C + 4;
    uint64_t killed = 0;
    for (int64_t ticks = 1; ticks < 3 * AROUND; ticks++) {
        struct bench b = far_bench_create();
        uint8_t value = OF_ESI;
        run(&b, AROUND * 20, DATA, 0);
        if (ticks & 1)
            poke(&b, far_operand, &value, 1);
        run(&b, AROUND * 5 + ticks, far_operand, OF_ESI);
        run(&b, AROUND * 20 + ticks, DATA, 0);
        EXPECT(b.h[0]->vcpu->arch.gpr[REG_RSI] > 20);
        killed += jit_stats(b.jit).killed;
        bench_destroy(&b);
    }
    EXPECT(killed >= 2 * AROUND);
}

TEST(regions, off_means_none)
{
    struct bench b = bench_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    run(&b, AROUND * 20, DATA, 0);
    EXPECT(jit_stats(b.jit).translated >= 3);
    EXPECT_EQ(0, jit_stats(b.jit).looks);
    EXPECT_EQ(0, jit_stats(b.jit).regions);
    bench_destroy(&b);
}

TEST(regions, beside_a_worker)
{
    struct bench b = bench_create(
        &(struct jit_config){.threshold = 1, .cache = 1 * MiB, .regions = 4, .has_thread = true});
    for (unsigned turn = 0; turn < 20 && !jit_stats(b.jit).regions; turn++)
        run(&b, AROUND * 20, DATA, 0);
    EXPECT(jit_stats(b.jit).regions > 0);
    bench_destroy(&b);
}

TEST_MAIN(RUN(regions, stop_at_the_exact_instruction) RUN(regions, die_by_their_own_stores)
              RUN(regions, die_by_stores_of_others) RUN(regions, are_given_up)
                  RUN(regions, go_through_several_pages)
                      RUN(regions, die_with_a_part_in_another_page) RUN(regions, off_means_none)
                          RUN(regions, beside_a_worker))
#else
int main(void)
{
    return 0;
}
#endif
