/* SPDX-License-Identifier: MIT */
#include "cpu/breakpoint.h"
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_harness.h"

#define RUN_CODE(h, ticks, ...)                                                                    \
    ({                                                                                             \
        static const uint8_t code_[] = {__VA_ARGS__};                                              \
        harness_code((h), code_, sizeof(code_));                                                   \
        harness_run((h), (ticks));                                                                 \
    })

TEST(engine, budget_ends_on_the_exact_instruction)
{
    for (int64_t n = 1; n <= 7; n++) {
        struct harness *h = harness_create(DECODE_64);
        /* inc eax x 6; jmp back to the start */
        enum cpu_exit why = RUN_CODE(h, n, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff,
                                     0xc0, 0xff, 0xc0, 0xeb, 0xf2);
        EXPECT_EQ(CPU_EXIT_BUDGET, why);
        EXPECT_EQ(n < 7 ? n : 6, h->vcpu->arch.gpr[REG_RAX]);
        EXPECT_EQ(n < 7 ? CODE + 2 * n : CODE, h->vcpu->arch.rip);
        EXPECT_EQ(n, h->vcpu->arch.ticks);
        EXPECT_EQ(n, h->vcpu->arch.retired);
        harness_destroy(h);
    }
}

TEST(engine, loop_runs_through_links)
{
    struct harness *h = harness_create(DECODE_64);
    /* mov ecx, 1000; 1: add eax, ecx; dec ecx; jnz 1b; jmp . */
    enum cpu_exit why =
        RUN_CODE(h, 1 + 3000, 0xb9, 0xe8, 3, 0, 0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xeb, 0xfe);
    EXPECT_EQ(CPU_EXIT_BUDGET, why);
    EXPECT_EQ(500500, h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(CODE + 11, h->vcpu->arch.rip);
    EXPECT(h->vcpu->arch.rflags & F_ZF);
    harness_destroy(h);
}

TEST(engine, dead_flags_are_exact_at_every_boundary)
{
    /* Each of these overwrites the flags of the one before: stop after each and look. */
    static const uint8_t code[] = {0x83, 0xc0, 0xff, /* add eax, -1: CF=0 for 0 */
                                   0x31, 0xdb,       /* xor ebx, ebx: ZF PF */
                                   0x83, 0xe9, 0x01, /* sub ecx, 1: borrow: CF SF AF */
                                   0x85, 0xc0};      /* test eax, eax: SF */
    static const uint32_t want[] = {F_SF | F_PF, F_ZF | F_PF, F_CF | F_SF | F_AF | F_PF,
                                    F_SF | F_PF};
    for (int n = 1; n <= 4; n++) {
        struct harness *h = harness_create(DECODE_32);
        harness_code(h, code, sizeof(code));
        harness_run(h, n);
        EXPECT_EQ(want[n - 1], h->vcpu->arch.rflags & F_OSZAPC);
        harness_destroy(h);
    }
}

TEST(engine, fault_in_the_middle_refunds_and_changes_nothing)
{
    struct harness *h = harness_create(DECODE_32);
    h->vcpu->arch.seg_limit[SEG_DS] = 0xffff;
    cpu_update_mode(h->vcpu);
    /* inc eax; mov [0x20000], eax; inc eax */
    enum cpu_exit why = RUN_CODE(h, 100, 0x40, 0xa3, 0, 0, 2, 0, 0x40);
    EXPECT_EQ(CPU_EXIT_FAULT, why);
    EXPECT_EQ(EXC_GP, h->vcpu->run.fault.vector);
    EXPECT_EQ(CODE + 1, h->vcpu->arch.rip);
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(1, h->vcpu->arch.ticks);
    EXPECT_EQ(99, h->vcpu->run.budget);
    harness_destroy(h);
}

TEST(engine, store_to_the_next_instruction_takes_effect_at_once)
{
    struct harness *h = harness_create(DECODE_64);
    /* mov byte [CODE + 8], 0xc3 (inc eax -> inc ebx: c0 -> c3); inc eax at +7; jmp . */
    enum cpu_exit why = RUN_CODE(h, 2, 0xc6, 0x05, 0x01, 0, 0, 0, 0xc3, 0xff, 0xc0, 0xeb, 0xfe);
    while (why == CPU_EXIT_BREAK)
        why = cpu_run(h->vcpu);
    EXPECT_EQ(0, h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RBX]);
    EXPECT_EQ(2, h->vcpu->arch.ticks);
    harness_destroy(h);
}

TEST(engine, undefined_opcode_faults_without_retiring)
{
    struct harness *h = harness_create(DECODE_64);
    enum cpu_exit why = RUN_CODE(h, 10, 0x90, 0x0f, 0x0b);
    EXPECT_EQ(CPU_EXIT_FAULT, why);
    EXPECT_EQ(EXC_UD, h->vcpu->run.fault.vector);
    EXPECT_EQ(CODE + 1, h->vcpu->arch.rip);
    EXPECT_EQ(1, h->vcpu->arch.ticks);
    harness_destroy(h);
}

TEST(engine, single_step_traps_after_each_instruction)
{
    struct harness *h = harness_create(DECODE_64);
    h->vcpu->arch.rflags |= F_TF;
    cpu_update_mode(h->vcpu);
    enum cpu_exit why = RUN_CODE(h, 10, 0x90, 0x90);
    EXPECT_EQ(CPU_EXIT_BREAK, why);
    EXPECT_EQ(CODE + 1, h->vcpu->arch.rip);
    EXPECT_EQ(BIT(14), h->vcpu->arch.pending_db);
    harness_destroy(h);
}

TEST(engine, rep_takes_a_tick_for_each_iteration_and_can_stop_in_the_middle)
{
    struct harness *h = harness_create(DECODE_64);
    h->vcpu->arch.gpr[REG_RCX] = 100;
    h->vcpu->arch.gpr[REG_RAX] = 0x5a;
    h->vcpu->arch.gpr[REG_RDI] = DATA;
    enum cpu_exit why = RUN_CODE(h, 40, 0xf3, 0xaa, 0xeb, 0xfe);
    EXPECT_EQ(CPU_EXIT_BUDGET, why);
    EXPECT_EQ(60, h->vcpu->arch.gpr[REG_RCX]);
    EXPECT_EQ(CODE, h->vcpu->arch.rip);
    EXPECT_EQ(40, h->vcpu->arch.ticks);
    EXPECT_EQ(0, h->vcpu->arch.retired);
    harness_run(h, 60);
    EXPECT_EQ(0, h->vcpu->arch.gpr[REG_RCX]);
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    EXPECT_EQ(100, h->vcpu->arch.ticks);
    EXPECT_EQ(1, h->vcpu->arch.retired);
    EXPECT_EQ(0x5a, h->ram[DATA + 99]);
    EXPECT_EQ(0, h->ram[DATA + 100]);
    harness_destroy(h);
}

TEST(engine, block_ends_with_its_page_even_between_instructions)
{
    struct harness *h = harness_create(DECODE_64);
    /* inc eax as the last two bytes of a page; inc ebx; jmp back to inc eax on the next. */
    static const uint8_t tail[] = {0xff, 0xc0}, head[] = {0xff, 0xc3, 0xeb, 0xfa},
                         patch[] = {0xff, 0xc1};
    EXPECT(physmem_write(h->pm, 0x1ffe, tail, sizeof(tail)));
    EXPECT(physmem_write(h->pm, 0x2000, head, sizeof(head)));
    h->vcpu->arch.rip = 0x1ffe;
    harness_run(h, 6);
    EXPECT(physmem_write(h->pm, 0x2000, patch, sizeof(patch))); /* inc ebx -> inc ecx */
    harness_run(h, 3);
    EXPECT_EQ(3, h->vcpu->arch.gpr[REG_RAX]);
    EXPECT_EQ(2, h->vcpu->arch.gpr[REG_RBX]);
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RCX]);
    harness_destroy(h);
}

TEST(engine, dropping_all_blocks_changes_nothing)
{
    struct harness *h = harness_create(DECODE_64);
    RUN_CODE(h, 1501, 0xb9, 0xe8, 3, 0, 0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xeb, 0xfe);
    block_cache_drop_all(h->blocks);
    mmu_drop_caches(&h->vcpu->run.mmu);
    harness_run(h, 1500);
    EXPECT_EQ(500500, h->vcpu->arch.gpr[REG_RAX]);
    harness_destroy(h);
}

/* Iterations leave RF set wherever the run stops, and so they do where it does not: a fault that
 * nobody takes, in shutdown, shows it. */
TEST(engine, fault_of_a_later_iteration_finds_the_same_flags_with_and_without_a_stop)
{
    for (int64_t first = 1; first <= 5; first++) {
        struct harness *h = harness_create(DECODE_32);
        h->vcpu->arch.seg_limit[SEG_ES] = DATA + 3;
        cpu_update_mode(h->vcpu);
        h->vcpu->arch.gpr[REG_RCX] = 100;
        h->vcpu->arch.gpr[REG_RDI] = DATA;
        enum cpu_exit why = RUN_CODE(h, first, 0xf3, 0xaa); /* rep stosb */
        if (first <= 4) {
            EXPECT_EQ(CPU_EXIT_BUDGET, why);
            why = harness_run(h, 10);
        }
        EXPECT_EQ(CPU_EXIT_FAULT, why);
        EXPECT_EQ(96, h->vcpu->arch.gpr[REG_RCX]);
        EXPECT(h->vcpu->arch.rflags & F_RF);
        harness_destroy(h);
    }
}

static void segment_code(struct harness *h, uint32_t base, uint32_t limit, uint32_t rip)
{
    h->vcpu->arch.seg_base[SEG_CS] = base;
    h->vcpu->arch.seg_limit[SEG_CS] = limit;
    h->vcpu->arch.rip = rip;
    cpu_update_mmu(h->vcpu);
}

/* What the engine remembers of a target is checked by physical address and mode. That says nothing
 * of code with a base, and so the place of a block of flat code must not come to hold one of other
 * code. */
TEST(engine, remembered_target_is_not_taken_for_code_with_another_base)
{
    static const uint8_t jump[] = {0xb8, 0x00, 0x11, 0,
                                   0,    0xff, 0xe0}; /* mov eax, 1100h; jmp eax */
    static const uint8_t back[] = {0x43, 0xe9, 0xfa, 0xfe, 0xff, 0xff}; /* inc ebx; jmp CODE */
    static const uint8_t wrong[] = {0x42, 0xeb, 0xfe};                  /* inc edx; jmp . */
    static const uint8_t right[] = {0x41, 0xeb, 0xfe};                  /* inc ecx; jmp . */
    struct harness *h = harness_create(DECODE_32);
    EXPECT(physmem_write(h->pm, 0x1100, back, sizeof(back)));
    harness_code(h, jump, sizeof(jump));
    harness_run(h, 12); /* 1100h is remembered */
    EXPECT_EQ(3, h->vcpu->arch.gpr[REG_RBX]);
    EXPECT(physmem_write(h->pm, 0x1100, wrong, sizeof(wrong))); /* that block dies */
    segment_code(h, 0, 0xffff, 0x1100);
    harness_run(h, 2);
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RDX]);
    EXPECT(physmem_write(h->pm, 0x9000, jump, sizeof(jump)));
    EXPECT(physmem_write(h->pm, 0x9100, right, sizeof(right)));
    segment_code(h, 0x8000, 0xffff, 0x1000);
    harness_run(h, 4);
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RDX]);
    EXPECT_EQ(1, h->vcpu->arch.gpr[REG_RCX]);
    harness_destroy(h);
}

/* INC EAX; INC EBX; REP STOSB of two bytes; JMP: rounds of 5 ticks, once it is translated too. */
static const uint8_t round_of_five[] = {0xff, 0xc0, 0xff, 0xc3, 0xf3, 0xaa, 0xb1, 0x02, 0xeb, 0xf6};

static void expect_stops(struct jit *jit)
{
    enum { INC_EBX = CODE + 2, STOS = CODE + 4, ALIAS = CODE + PAGE_SIZE };
    const struct breakpoints b = {.count = 3, .at = {INC_EBX, STOS, ALIAS}};
    struct harness *h = harness_create(DECODE_64);
    harness_set_jit(h, jit);
    h->vcpu->run.breakpoints = &b;
    h->vcpu->arch.gpr[REG_RCX] = 2;
    h->vcpu->arch.gpr[REG_RDI] = DATA;
    harness_code(h, round_of_five, sizeof(round_of_five));
    for (unsigned i = 0; i < 50; i++) {
        EXPECT_EQ(CPU_EXIT_STOP, harness_run(h, 100));
        EXPECT_EQ(INC_EBX, h->vcpu->arch.rip);
        EXPECT_EQ(6 * i + 1, h->vcpu->arch.ticks);
        EXPECT_EQ(i, h->vcpu->arch.gpr[REG_RBX]);
        EXPECT_EQ(CPU_EXIT_STOP, harness_run(h, 100));
        EXPECT_EQ(STOS, h->vcpu->arch.rip);
        EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1)); /* one iteration: no stop before the next */
        EXPECT_EQ(STOS, h->vcpu->arch.rip);
        EXPECT_EQ(6 * i + 3, h->vcpu->arch.ticks);
    }
    h->vcpu->arch.rflags |= F_TF;
    cpu_update_mode(h->vcpu);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(CPU_EXIT_BREAK, harness_run(h, 100));
    EXPECT_EQ(CPU_EXIT_STOP, harness_run(h, 100));
    EXPECT_EQ(INC_EBX, h->vcpu->arch.rip);
    harness_set_jit(h, NULL);
    harness_destroy(h);
}

TEST(engine, breakpoints_stop_before_their_instruction_and_cost_no_tick)
{
    expect_stops(NULL);
    if (!jit_is_available())
        return;
    struct jit *jit = jit_create(&(struct jit_config){.threshold = 1, .cache = 1 * MiB});
    expect_stops(jit);
    jit_destroy(jit);
}

TEST_MAIN(
    RUN(engine, breakpoints_stop_before_their_instruction_and_cost_no_tick)
        RUN(engine, budget_ends_on_the_exact_instruction) RUN(engine, loop_runs_through_links) RUN(
            engine, dead_flags_are_exact_at_every_boundary)
            RUN(engine, fault_in_the_middle_refunds_and_changes_nothing) RUN(
                engine, store_to_the_next_instruction_takes_effect_at_once)
                RUN(engine, undefined_opcode_faults_without_retiring) RUN(
                    engine, single_step_traps_after_each_instruction)
                    RUN(engine, rep_takes_a_tick_for_each_iteration_and_can_stop_in_the_middle) RUN(
                        engine, block_ends_with_its_page_even_between_instructions)
                        RUN(engine, dropping_all_blocks_changes_nothing) RUN(
                            engine,
                            fault_of_a_later_iteration_finds_the_same_flags_with_and_without_a_stop)
                            RUN(engine, remembered_target_is_not_taken_for_code_with_another_base))
