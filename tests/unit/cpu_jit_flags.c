/* SPDX-License-Identifier: MIT */
/* Status flags as translated code leaves them in memory: made by C and by the thunk, the same. */
#include <stdlib.h>

#if defined(__x86_64__)
#include "cpu/flags.h"
#include "cpu/jit/x86_64/jit_priv.h"
#undef RUN /* a field of struct run; and a test */
#include "tests/test.h"

typedef uint64_t stub_fn(struct vcpu *vcpu, uint64_t kept);

struct bench {
    struct jit *jit;
    struct vcpu *vcpu;
    stub_fn *plain; /* calls the thunk with kept in the registers that it uses; 0: it still is */
};

static stub_fn *make_stub(struct jit *jit)
{
    static const uint8_t used[] = {H_RAX, H_RCX, T0, T1}, saved[] = {T0, T1};
    struct code_memory *m = &jit->memory;
    struct emit e = {
        .p = m->write + m->used, .end = m->write + m->size, .delta = m->run - m->write};
    stub_fn *stub = (stub_fn *)(uintptr_t)emit_here(&e);
    for (size_t i = 0; i < ARRAY_SIZE(saved); i++)
        emit_opcode(&e, 0x50 | (saved[i] & 7), 4, 0, H_NONE, saved[i], false);
    struct host_mem stack = {H_RDI, H_NONE, 0, offsetof(struct vcpu, run.jit_host_stack)};
    emit_store(&e, 8, H_RSP, stack);
    emit_mov_rr(&e, 8, H_RSP, H_RDI);
    for (size_t i = 0; i < ARRAY_SIZE(used); i++)
        emit_lea(&e, 8, used[i], (struct host_mem){H_RSI, H_NONE, 0, (int32_t)i});
    emit_call_to(&e, jit->plain_flags);
    for (size_t i = 1; i < ARRAY_SIZE(used); i++) {
        emit_alu_ri(&e, ALU_SUB, 8, used[i], (int32_t)i);
        emit_alu_rr(&e, ALU_XOR, 8, H_RAX, used[i]);
    }
    stack.base = VCPU;
    emit_load(&e, 8, H_RSP, stack);
    for (size_t i = ARRAY_SIZE(saved); i-- > 0;)
        emit_opcode(&e, 0x58 | (saved[i] & 7), 4, 0, H_NONE, saved[i], false);
    emit_8(&e, 0xc3);
    m->used += (size_t)(emit_here(&e) - (const uint8_t *)(uintptr_t)stub);
    return stub;
}

static struct bench bench_make(void)
{
    struct bench b = {.jit = jit_create(&(struct jit_config){.cache = 1 * MiB, .threshold = 1}),
                      .vcpu = vcpu_alloc()};
    EXPECT(b.jit && b.vcpu);
    b.plain = make_stub(b.jit);
    return b;
}

static void bench_free(const struct bench *b)
{
    jit_destroy(b->jit);
    vcpu_free(b->vcpu);
}

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

/* Edges as often as anything else. */
static uint64_t operand(uint64_t *seed)
{
    static const uint64_t edges[] = {0,          1,         0x7f,
                                     0x80,       0xff,      0x7fff,
                                     0x8000,     INT32_MAX, UINT64_C(0x80000000),
                                     UINT32_MAX, INT64_MAX, BIT(63),
                                     UINT64_MAX};
    uint64_t r = next_random(seed);
    return r & 1 ? edges[r % ARRAY_SIZE(edges)] : next_random(seed);
}

static void check_one(const struct bench *b, uint32_t how, uint64_t a, uint64_t other)
{
    struct run *run = &b->vcpu->run;
    run->flag_how = how;
    run->flag_a = a;
    run->flag_b = other;
    run->flag_c = a >> 7 & 1;
    run->flag_o = a >> 8 & 3;
    run->flag_image = 0xd501;
    jit_flags_from_memory(b->vcpu);
    uint32_t by_c = flags_status(b->vcpu);
    EXPECT_EQ(0, b->plain(b->vcpu, a ^ 0x1234));
    if (how & HOW_OVER)
        EXPECT(!(by_c & F_CF) == !(run->flag_o & 1) && !(by_c & F_OF) == !(run->flag_o & 2));
    EXPECT_EQ(HOW_IMAGE, run->flag_how);
    jit_flags_from_memory(b->vcpu);
    if (flags_status(b->vcpu) != by_c)
        fail_msg("how %x a %llx b %llx: C %x, thunk %x", how, (unsigned long long)a,
                 (unsigned long long)other, by_c, flags_status(b->vcpu));
}

/* Every kind and size, with the second operand in memory and in flag_how. */
TEST(jit_flags, translated_code_makes_them_as_c_does)
{
    struct bench bench = bench_make();
    uint64_t seed = 1;
    for (unsigned n = 0; n < 200000; n++) {
        unsigned kind = n % (HOW_SBB + 1), log = (n >> 4) & 3, width = 8u << log;
        uint64_t a = operand(&seed), b = operand(&seed);
        bool shifts = kind >= HOW_SHL && kind <= HOW_SAR;
        if (shifts)
            b = 1 + b % (width - 1);
        uint32_t how = kind | log << HOW_SIZE_SHIFT;
        if (n & 0x100)
            how |= HOW_IMM | (uint32_t)b << HOW_IMM_SHIFT;
        how = kind == HOW_IMAGE ? HOW_OVER : how;
        if (n & 0x200)
            how |= HOW_OVER;
        check_one(&bench, how, a, b);
    }
    bench_free(&bench);
}

TEST(jit_flags, known_ones_are_as_in_the_manual)
{
    static const struct {
        unsigned kind, log;
        uint64_t a, b;
        uint32_t want;
    } known[] = {
        {HOW_CMP, 3, 5, 5, F_ZF | F_PF},
        {HOW_CMP, 2, 0, 1, F_CF | F_SF | F_PF | F_AF},
        {HOW_CMP, 0, 0x80, 1, F_OF | F_AF},
        {HOW_ADD, 2, 0, 1, F_CF | F_ZF | F_PF | F_AF}, /* FFFFFFFF + 1 */
        {HOW_SUB, 1, 0x7fff, 1, F_OF | F_PF | F_AF},   /* 8000 - 1 */
        {HOW_LOGIC, 3, BIT(63), 0, F_SF | F_PF},
        {HOW_SHL, 2, 0x80000000, 1, F_CF | F_OF | F_ZF | F_PF},
        {HOW_SHR, 2, 3, 1, F_CF},
        {HOW_SAR, 0, 0x81, 1, F_CF | F_SF | F_PF},    /* C0 */
        {HOW_ADC, 0, 0x80, 0x7f, F_OF | F_SF | F_AF}, /* 0 + 7F + CF */
        {HOW_SBB, 2, UINT32_MAX, UINT32_MAX,
         F_CF | F_SF | F_PF | F_AF}, /* FFFFFFFF - FFFFFFFF - CF */
        {HOW_PRODUCT, 3, 0, 1, F_CF | F_OF | F_ZF | F_PF},
    };
    struct bench bench = bench_make(), *b = &bench;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        b->vcpu->run.flag_how = known[i].kind | known[i].log << HOW_SIZE_SHIFT;
        b->vcpu->run.flag_a = known[i].a;
        b->vcpu->run.flag_b = known[i].b;
        b->vcpu->run.flag_c = 1;
        b->plain(b->vcpu, 0);
        jit_flags_from_memory(b->vcpu);
        EXPECT_EQ(known[i].want, flags_status(b->vcpu));
    }
    bench_free(b);
}

TEST_MAIN(RUN(jit_flags, translated_code_makes_them_as_c_does)
              RUN(jit_flags, known_ones_are_as_in_the_manual))
#else
int main(void)
{
    return 0;
}
#endif
