/* SPDX-License-Identifier: MIT */
/* Translation beside the guest: code comes, unless its block has died meanwhile. */
#include "tests/unit/cpu_harness.h"

#if defined(__x86_64__)
#include "cpu/jit/jit.h"

/* 1: inc eax; dec ecx; jnz 1b; jmp . */
static const uint8_t loop[] = {0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, 0xeb, 0xfe};
enum { OPERAND = CODE + 1, OF_EBX = 0xc3, THRESHOLD = 10 };

/* So many times around, and it is asked for: the last time is not counted, the budget ends before the
 * JMP that belongs to the block. */
enum { UNTIL_HOT = THRESHOLD + 1 };

struct bench {
    struct harness *h;
    struct jit *jit;
};

static struct bench bench_create(void)
{
    struct bench b = {.h = harness_create(DECODE_64),
                      .jit = jit_create(&(struct jit_config){
                          .threshold = THRESHOLD, .cache = JIT_CACHE_MIN, .has_thread = true})};
    assert_true(b.jit != NULL);
    harness_set_jit(b.h, b.jit);
    harness_code(b.h, loop, sizeof(loop));
    return b;
}

static void bench_destroy(struct bench *b)
{
    harness_set_jit(b->h, NULL);
    jit_destroy(b->jit); /* before the decoder, which its worker may be using */
    harness_destroy(b->h);
}

/* The loop so many times, from its start. */
static void run_loop(struct bench *b, uint32_t times)
{
    b->h->vcpu->arch.gpr[REG_RCX] = times;
    b->h->vcpu->arch.rip = CODE;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(b->h, 3 * (int64_t)times));
}

/* jit_stats waits for the worker. */
static uint64_t translated(const struct bench *b)
{
    return jit_stats(b->jit).translated;
}

TEST(worker, hot_block_becomes_code)
{
    struct bench b = bench_create();
    run_loop(&b, UNTIL_HOT);
    EXPECT_EQ(0, translated(&b)); /* made, but not taken */
    run_loop(&b, 100);
    EXPECT(translated(&b) > 0);
    EXPECT_EQ(UNTIL_HOT + 100, b.h->vcpu->arch.gpr[REG_RAX]);
    bench_destroy(&b);
}

TEST(worker, code_of_a_block_that_died_is_not_taken)
{
    struct bench b = bench_create();
    const uint8_t ebx = OF_EBX;
    run_loop(&b, UNTIL_HOT);
    EXPECT_EQ(0, translated(&b));
    assert_true(physmem_write(b.h->pm, OPERAND, &ebx, 1));
    run_loop(&b, 5);
    EXPECT_EQ(0, translated(&b));
    EXPECT_EQ(UNTIL_HOT, b.h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(5, b.h->vcpu->arch.gpr[REG_RBX]);
    bench_destroy(&b);
}

/* More blocks than code memory holds: each JMP to the next one is a block of its own. */
TEST(worker, full_code_memory_starts_again)
{
    enum { BLOCKS = 0x10000 / 16, ROUNDS = THRESHOLD + 4, AT_ONCE = 16 };
    struct bench b = bench_create();
    for (unsigned i = 0; i < BLOCKS; i++) {
        const uint8_t step[] = {0xff, 0xc0, 0xe9, 9, 0, 0, 0}, last[] = {0xff, 0xc3, 0xe9};
        uint8_t code[7];
        bool is_last = i == BLOCKS - 1;
        memcpy(code, is_last ? last : step, is_last ? sizeof(last) : sizeof(step));
        if (is_last)
            le32_store(code + 3, (uint32_t)-(int32_t)(i * 16 + 7));
        assert_true(physmem_write(b.h->pm, DATA + i * 16, code, sizeof(code)));
    }
    b.h->vcpu->arch.rip = DATA;
    for (unsigned i = 0; i < ROUNDS * BLOCKS / AT_ONCE; i++) {
        EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(b.h, 2 * AT_ONCE));
        jit_stats(b.jit);
    }
    EXPECT(jit_stats(b.jit).flushes > 0);
    EXPECT_EQ((BLOCKS - 1) * ROUNDS, b.h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(ROUNDS, b.h->vcpu->arch.gpr[REG_RBX]);
    bench_destroy(&b);
}

TEST(worker, ends_with_a_block_asked_for)
{
    struct bench b = bench_create();
    run_loop(&b, UNTIL_HOT);
    bench_destroy(&b);
}

TEST_MAIN(RUN(worker, hot_block_becomes_code) RUN(worker, code_of_a_block_that_died_is_not_taken)
              RUN(worker, full_code_memory_starts_again) RUN(worker, ends_with_a_block_asked_for))
#else
int main(void)
{
    return 0;
}
#endif
