/* SPDX-License-Identifier: MIT */
/*
 * Operands with the same base, index and scale share one proof, whatever their displacements are
 * and by what constant base or index have changed in between.
 */
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_harness.h"

/* 1: mov rdx, [rsi + rax * 8]; add rdx, [rsi + rax * 8 + 8]; inc rax; add [rsi + rax * 8 + 8], rdx;
 * lea rax, [rax + 1]; add rdi, [rsi + rax * 8 - 16]; sub rax, 1; and eax, 1fh; jmp 1b */
static const uint8_t words[] = {
    0x48, 0x8b, 0x14, 0xc6, 0x48, 0x03, 0x54, 0xc6, 0x08, 0x48, 0xff, 0xc0, 0x48, 0x01, 0x54,
    0xc6, 0x08, 0x48, 0x8d, 0x40, 0x01, 0x48, 0x03, 0x7c, 0xc6, 0xf0, 0x48, 0x83, 0xe8, 0x01,
    0x83, 0xe0, 0x1f, 0xeb, 0xdd};

/* 1: mov rdx, [rax * 8 + 20800h]; add rdx, [rax * 8 + 20808h]; dec rax; add rdi,
 * [rax * 8 + 20808h]; inc rax; xor rdi, rdx; jmp 1b */
static const uint8_t absolute[] = {
    0x48, 0x8b, 0x14, 0xc5, 0x00, 0x08, 0x02, 0x00, 0x48, 0x03, 0x14, 0xc5, 0x08, 0x08, 0x02,
    0x00, 0x48, 0xff, 0xc8, 0x48, 0x03, 0x3c, 0xc5, 0x08, 0x08, 0x02, 0x00, 0x48, 0xff, 0xc0,
    0x48, 0x31, 0xd7, 0xeb, 0xdd};

/* 1: push [rsp + rbx * 4]; mov rdx, [rsp + rbx * 4 + 8]; pop rdi; add rdx, [rsp + rbx * 4 + 16];
 * add [rsp + rbx * 4], rdx; xor ebx, 2; add rdi, [rsp + rbx * 4]; jmp 1b */
static const uint8_t stack[] = {
    0xff, 0x34, 0x9c, 0x48, 0x8b, 0x54, 0x9c, 0x08, 0x5f, 0x48, 0x03, 0x54, 0x9c, 0x10, 0x48,
    0x01, 0x14, 0x9c, 0x83, 0xf3, 0x02, 0x48, 0x03, 0x3c, 0x9c, 0xeb, 0xe5};

/* 1: movzx eax, bl; mov edx, [rax * 1 + 20800h]; add edx, [rax * 1 + 20804h]; add edi,
 * [rax * 1 + 20808h]; add edi, edx; inc ebx; jmp 1b */
static const uint8_t bounded[] = {
    0x0f, 0xb6, 0xc3, 0x8b, 0x14, 0x05, 0x00, 0x08, 0x02, 0x00, 0x03, 0x14, 0x05, 0x04, 0x08, 0x02,
    0x00, 0x03, 0x3c, 0x05, 0x08, 0x08, 0x02, 0x00, 0x01, 0xd7, 0xff, 0xc3, 0xeb, 0xe2};

#define TICKS 45000

struct program {
    const uint8_t *code;
    size_t size;
    uint64_t base;  /* RSI, RSP */
    uint64_t index; /* RAX, RBX */
    bool in_rom;    /* so is a page at HARNESS_RAM */
};

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

/* What it has summed up: of registers, and of all memory behind the code. */
static uint64_t sum_of(struct harness *h, const struct program *p, int64_t at_once)
{
    uint64_t sum = 0;
    for (uint32_t i = DATA; i < HARNESS_RAM; i += 4)
        le32_store(h->ram + i, i * 2654435761u);
    for (uint32_t i = 0x800; i < PAGE_SIZE; i += 4)
        le32_store(h->ram + CODE + i, i * 2654435761u);
    harness_code(h, p->code, p->size);
    h->vcpu->arch.gpr[REG_RSI] = h->vcpu->arch.gpr[REG_RSP] = p->base;
    h->vcpu->arch.gpr[REG_RAX] = h->vcpu->arch.gpr[REG_RBX] = p->index;
    h->vcpu->arch.gpr[REG_RDI] = h->vcpu->arch.gpr[REG_RDX] = 0;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run_in_parts(h, TICKS, at_once));
    for (uint32_t i = CODE; i < HARNESS_RAM; i += 8)
        sum = (sum << 5 | sum >> 59) ^ le64_load(h->ram + i);
    return sum ^ h->vcpu->arch.gpr[REG_RDI];
}

/* Translated it does the same as one by one. How often a handler was called. */
static uint64_t calls_of(struct program p)
{
    struct err err;
    struct harness *h = harness_create(DECODE_64);
    EXPECT_EQ(0, physmem_add(h->pm, HARNESS_RAM, PAGE_SIZE, HARNESS_RAM / 2, p.in_rom, &err));
    uint64_t expected = sum_of(h, &p, 1);
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    EXPECT_EQ(expected, sum_of(h, &p, TICKS));
    EXPECT(jit_stats(jit).lowered > 0);
    uint64_t calls = slow_calls(jit);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
    return calls;
}

static uint64_t calls_of_words(uint64_t base, bool in_rom)
{
    return calls_of((struct program){words, sizeof(words), base, 0, in_rom});
}

/* Of 5000 rounds. */
TEST(index, in_one_page_is_proved_by_the_first_access)
{
    if (jit_is_available())
        EXPECT(calls_of_words(DATA + 0x800, false) < 8);
}

/* The range ends in the next page in some rounds: the first access is its handler's there. */
TEST(index, at_the_end_of_a_page_is_proved_where_it_can_be)
{
    if (!jit_is_available())
        return;
    uint64_t calls = calls_of_words(DATA + 0x1000 - 0x88, false);
    EXPECT(calls > 50 && calls < 2500);
}

/* Pages that can be read, and are written by handlers only: the block's own, and ROM. */
TEST(index, of_a_page_that_is_never_in_the_write_array_is_read)
{
    if (!jit_is_available())
        return;
    EXPECT(calls_of_words(CODE + 0x800, false) > 1000);
    EXPECT(calls_of_words(HARNESS_RAM + 0x800, true) > 1000);
}

/* The index times its scale, and the sum, leave 64 bits. */
TEST(index, wraps_around)
{
    static const uint64_t indices[] = {0, 5, UINT64_C(0x2000000000000003), UINT64_C(0) - 2};
    for (size_t i = 0; jit_is_available() && i < ARRAY_SIZE(indices); i++) {
        EXPECT(calls_of((struct program){absolute, sizeof(absolute), 0, indices[i], false}) < 8);
        EXPECT(calls_of((struct program){words, sizeof(words), DATA + 0x800, indices[i], false}) < 8);
    }
}

/* Without a base there is no table to be proved, but the same index serves. */
TEST(index, that_is_small_needs_no_base)
{
    if (jit_is_available())
        EXPECT(calls_of((struct program){bounded, sizeof(bounded), 0, 0, false}) < 100);
}

/* It changes by what PUSH and POP do, and is no operand's of these. */
TEST(index, of_the_stack_pointer)
{
    if (!jit_is_available())
        return;
    EXPECT(calls_of((struct program){stack, sizeof(stack), STACK + 0x800, 4, false}) < 16);
    calls_of((struct program){stack, sizeof(stack), STACK + 0x1000 - 16, 0, false});
    calls_of((struct program){stack, sizeof(stack), CODE + 0x800, 4, false});
}

TEST_MAIN(RUN(index, in_one_page_is_proved_by_the_first_access)
              RUN(index, at_the_end_of_a_page_is_proved_where_it_can_be)
                  RUN(index, of_a_page_that_is_never_in_the_write_array_is_read)
                      RUN(index, wraps_around) RUN(index, that_is_small_needs_no_base) RUN(index, of_the_stack_pointer))
