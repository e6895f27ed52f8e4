/* SPDX-License-Identifier: MIT */
/*
 * Tables read by an index that the block itself keeps small: one proof is good for all of its
 * reads, in one page or two, and where it can't be made the block does without.
 */
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_harness.h"

/* 1: movzx eax, bl; mov edx, [rsi + rax]; add edi, [rsi + rax + 4]; add edi, [rsi + rax + 8];
 * add edi, [rsi + rax * 2 + 12]; add edi, edx; inc ebx; and ebx, 3fh; jmp 1b */
static const uint8_t code[] = {0x0f, 0xb6, 0xc3, 0x8b, 0x14, 0x06, 0x03, 0x7c, 0x06,
                               0x04, 0x03, 0x7c, 0x06, 0x08, 0x03, 0x7c, 0x46, 0x0c,
                               0x01, 0xd7, 0xff, 0xc3, 0x83, 0xe3, 0x3f, 0xeb, 0xe5};

#define TICKS 50000

static uint64_t slow_calls(const struct jit *jit)
{
    static struct jit_calls calls[OP_COUNT];
    uint64_t n = 0;
    memset(calls, 0, sizeof(calls));
    jit_count_calls(jit, calls);
    for (unsigned op = 0; op < OP_COUNT; op++)
        n += calls[op].rarely;
    return n;
}

/* Run it, at most at_once ticks together; what it has summed up. */
static uint64_t sum_of(struct harness *h, uint64_t table, int64_t at_once)
{
    harness_code(h, code, sizeof(code));
    h->vcpu->arch.gpr[REG_RSI] = table;
    h->vcpu->arch.gpr[REG_RBX] = h->vcpu->arch.gpr[REG_RDI] = 0;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run_in_parts(h, TICKS, at_once));
    return h->vcpu->arch.gpr[REG_RDI];
}

/* How often a handler was called for a read. */
static uint64_t read_table(uint64_t table)
{
    struct err err;
    struct harness *h = harness_create(DECODE_64);
    EXPECT_EQ(0, physmem_add(h->pm, HARNESS_RAM, PAGE_SIZE, HARNESS_RAM / 2, false, &err));
    for (uint32_t i = 0; i < HARNESS_RAM / 2; i += 4)
        le32_store(h->ram + HARNESS_RAM / 2 + i, i * 2654435761u);
    uint64_t expected = sum_of(h, table, 1);
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    EXPECT_EQ(expected, sum_of(h, table, TICKS));
    EXPECT(jit_stats(jit).lowered > 0);
    uint64_t calls = slow_calls(jit);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
    return calls;
}

TEST(table, in_one_page_is_proved_once)
{
    if (jit_is_available())
        EXPECT(read_table(HARNESS_RAM - 0x1000) < 4);
}

TEST(table, in_two_pages_is_proved_too)
{
    if (jit_is_available())
        EXPECT(read_table(HARNESS_RAM - 0x1040) < 8);
}

/* The second page is not where the first one ends, or is never read: one handler is called until
 * the block is made without the proof. */
TEST(table, that_cannot_be_proved_is_read_without)
{
    if (!jit_is_available())
        return;
    uint64_t apart = read_table(HARNESS_RAM - 0x40), at_end = read_table(HARNESS_RAM - 0xe0);
    EXPECT(apart > 32 && apart < 1000);
    EXPECT(at_end > 32 && at_end < 1000);
}

/* The base has another host register in the block than where it ends: mov rax, [r13]; add rax, [r13
 * + 8]; add rax, [r13 + 16]; add rdx, [r13]; add rdx, [r13 + 8]; jmp [r13 + 24] */
static const uint8_t fields[] = {0x49, 0x8b, 0x45, 0x00, 0x49, 0x03, 0x45, 0x08,
                                 0x49, 0x03, 0x45, 0x10, 0x49, 0x03, 0x55, 0x00,
                                 0x49, 0x03, 0x55, 0x08, 0x41, 0xff, 0x65, 0x18};

TEST(table, of_a_borrowed_base_outlives_the_loan)
{
    if (!jit_is_available())
        return;
    struct harness *h = harness_create(DECODE_64);
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    const uint64_t field[] = {1, 20, 300, CODE};
    for (size_t i = 0; i < ARRAY_SIZE(field); i++)
        le64_store(h->ram + DATA + 8 * i, field[i]);
    harness_code(h, fields, sizeof(fields));
    h->vcpu->arch.gpr[REG_RDX] = 0;
    h->vcpu->arch.gpr[13] = DATA;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 600));
    EXPECT_EQ(321, h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(2100, h->vcpu->arch.gpr[REG_RDX]);
    EXPECT_EQ(CODE, h->vcpu->arch.rip);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
}

TEST_MAIN(RUN(table, of_a_borrowed_base_outlives_the_loan) RUN(table, in_one_page_is_proved_once)
              RUN(table, in_two_pages_is_proved_too)
                  RUN(table, that_cannot_be_proved_is_read_without))
