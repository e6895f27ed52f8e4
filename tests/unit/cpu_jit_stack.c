/* SPDX-License-Identifier: MIT */
/* Blocks that begin with the stack: where it lies all in a page, over the edge of one, beside code,
 * and where there is no memory; also in the midst of what pushes and pops do together. */
#include "tests/unit/cpu_harness.h"

#if defined(__x86_64__)
#include "cpu/jit/jit.h"

/* PUSH RBX; PUSH R13; PUSH RBP; PUSH R14; MOV RAX, [RSP + 10]; ADD RBX, RAX; POP RBP; POP R13; POP
 * RBX; POP RSI; INC R13; JMP 1f; 1: MOV [RSP - 10], RSI; PUSH RSI; POP R15; LEA RDX, [RDX + RBX];
 * JMP 0 */
static const uint8_t code[] = {0x53, 0x41, 0x55, 0x55, 0x41, 0x56, 0x48, 0x8b, 0x44, 0x24,
                               0x10, 0x48, 0x01, 0xc3, 0x5d, 0x41, 0x5d, 0x5b, 0x5e, 0x49,
                               0xff, 0xc5, 0xeb, 0x00, 0x48, 0x89, 0x74, 0x24, 0xf0, 0x56,
                               0x41, 0x5f, 0x48, 0x8d, 0x14, 0x1a, 0xeb, 0xda};

struct bench {
    struct harness *h[2]; /* the first one's code is translated */
    struct jit *jit;
};

static struct bench bench_create(bool lends)
{
    const struct jit_config config = {.threshold = 1, .cache = 1 * MiB, .lends_always = lends};
    struct bench b = {.h = {harness_create(DECODE_64), harness_create(DECODE_64)},
                      .jit = jit_create(&config)};
    assert_non_null(b.jit);
    harness_set_jit(b.h[0], b.jit);
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
static void run(struct bench *b, uint64_t rsp, int64_t ticks)
{
    enum cpu_exit why[2];
    for (unsigned k = 0; k < 2; k++) {
        struct cpu *c = &b->h[k]->vcpu->arch;
        harness_code(b->h[k], code, sizeof(code));
        for (unsigned g = 0; g < 16; g++)
            c->gpr[g] = 0x0123456789abcdef * (g + 1);
        c->gpr[REG_RSP] = rsp;
        why[k] = harness_run_in_parts(b->h[k], ticks, k ? 1 : ticks);
    }
    const struct cpu *x = &b->h[0]->vcpu->arch, *y = &b->h[1]->vcpu->arch;
    EXPECT_EQ(why[1], why[0]);
    EXPECT_EQ(y->rip, x->rip);
    EXPECT_EQ(y->ticks, x->ticks);
    EXPECT_EQ(y->rflags, x->rflags);
    EXPECT(memcmp(x->gpr, y->gpr, sizeof(x->gpr)) == 0);
    EXPECT(memcmp(b->h[0]->ram, b->h[1]->ram, HARNESS_RAM) == 0);
}

static void around(uint64_t edge)
{
    for (unsigned lends = 0; lends < 2; lends++) {
        struct bench b = bench_create(lends);
        for (int64_t at = -200; at <= 200; at += 4)
            for (int64_t ticks = 1; ticks < 48; ticks += at & 4 ? 5 : 1)
                run(&b, edge + (uint64_t)at, ticks);
        EXPECT(jit_stats(b.jit).translated > 1);
        bench_destroy(&b);
    }
}

TEST(stack, in_a_page_and_over_its_edge)
{
    if (jit_is_available())
        around(STACK & PAGE_MASK);
}

TEST(stack, beside_the_code)
{
    if (jit_is_available())
        around((CODE & PAGE_MASK) + PAGE_SIZE - 0x200);
}

TEST(stack, at_the_end_of_memory)
{
    if (jit_is_available())
        around(HARNESS_RAM);
}

TEST_MAIN(RUN(stack, in_a_page_and_over_its_edge) RUN(stack, beside_the_code)
              RUN(stack, at_the_end_of_memory))
#else
int main(void)
{
    return 0;
}
#endif
