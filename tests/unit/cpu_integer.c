/* SPDX-License-Identifier: MIT */
/*
 * What a comparison with the host's user mode can't show of the integer instructions: faults that
 * change nothing, ticks of REP, 16-bit code, stack widths, limits, the edges of canonical space.
 */
#include "tests/unit/cpu_harness.h"

#define LOAD(h, ...)                                                                               \
    do {                                                                                           \
        static const uint8_t code_[] = {__VA_ARGS__};                                              \
        harness_code((h), code_, sizeof(code_));                                                   \
    } while (0)

#define GPR(h, r) ((h)->vcpu->arch.gpr[r])

static void set_limit(struct harness *h, unsigned seg, uint32_t limit)
{
    h->vcpu->arch.seg_limit[seg] = limit;
    cpu_update_mode(h->vcpu);
}

/* The next instruction faults with vector and leaves registers, flags, RIP and ticks as they are.
 */
static void expect_fault(struct harness *h, unsigned vector)
{
    struct cpu before = h->vcpu->arch;
    EXPECT_EQ(CPU_EXIT_FAULT, harness_run(h, 10));
    EXPECT_EQ(vector, h->vcpu->run.fault.vector);
    EXPECT_EQ(before.rip, h->vcpu->arch.rip);
    EXPECT_EQ(before.ticks, h->vcpu->arch.ticks);
    EXPECT_EQ(before.rflags & F_OSZAPC, h->vcpu->arch.rflags & F_OSZAPC);
    assert_memory_equal(before.gpr, h->vcpu->arch.gpr, sizeof(before.gpr));
}

/* ---- faults change nothing ---- */

TEST(fault, non_canonical_operands_leave_everything_alone)
{
    /* add rax, [rcx]; add [rcx], rax; xadd, cmpxchg, inc, shl, bts, xchg, push, pop [rcx]; movsq;
     * setz [rcx] */
    static const uint8_t code[][5] = {{0x48, 0x03, 0x01},
                                      {0x48, 0x01, 0x01},
                                      {0x48, 0x0f, 0xc1, 0x01},
                                      {0x48, 0x0f, 0xb1, 0x01},
                                      {0x48, 0xff, 0x01},
                                      {0x48, 0xc1, 0x21, 3},
                                      {0x48, 0x0f, 0xab, 0x01},
                                      {0x48, 0x87, 0x01},
                                      {0xff, 0x31},
                                      {0x8f, 0x01},
                                      {0x48, 0xa5},
                                      {0x0f, 0x94, 0x01},
                                      {0xff, 0x11},
                                      {0xff, 0x21},
                                      {0x48, 0xf7, 0x31},
                                      {0x0f, 0xae, 0x39}};
    struct harness *h = harness_create(DECODE_64);
    for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
        harness_code(h, code[i], sizeof(code[i]));
        GPR(h, REG_RAX) = 5;
        GPR(h, REG_RCX) = GPR(h, REG_RSI) = UINT64_C(0x8000000000000000);
        GPR(h, REG_RDI) = DATA;
        GPR(h, REG_RSP) = STACK;
        h->vcpu->arch.rflags = 2 | F_CF | F_ZF;
        expect_fault(h, EXC_GP);
    }
    harness_destroy(h);
}

TEST(fault, stack_accesses_fault_with_ss)
{
    static const uint8_t code[][5] = {{0x50}, {0x58},    {0xe8, 0, 0, 0, 0}, {0xc3},
                                      {0xc9}, {0x6a, 1}, {0xff, 0xd0},       {0x48, 0x8b, 0x45, 0}};
    struct harness *h = harness_create(DECODE_64);
    for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
        harness_code(h, code[i], sizeof(code[i]));
        GPR(h, REG_RAX) = CODE;
        GPR(h, REG_RSP) = GPR(h, REG_RBP) = UINT64_C(0x9000000000000000);
        expect_fault(h, EXC_SS);
    }
    harness_destroy(h);
}

TEST(fault, limits_are_checked_in_32_bit_code)
{
    struct harness *h = harness_create(DECODE_32);
    set_limit(h, SEG_DS, DATA + 3);
    LOAD(h, 0xa3, 0, 0, 2, 0, 0xa3, 1, 0, 2, 0); /* mov [DATA], eax; mov [DATA + 1], eax */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    expect_fault(h, EXC_GP);
    set_limit(h, SEG_SS, STACK - 5);
    LOAD(h, 0x50);
    expect_fault(h, EXC_SS);
    LOAD(h, 0x60); /* pusha */
    expect_fault(h, EXC_SS);
    LOAD(h, 0xc8, 0x10, 0, 2); /* enter 16, 2 */
    expect_fault(h, EXC_SS);
    harness_destroy(h);
}

TEST(fault, division_by_zero_and_overflow)
{
    struct harness *h = harness_create(DECODE_64);
    LOAD(h, 0xf7, 0xf1); /* div ecx */
    expect_fault(h, EXC_DE);
    GPR(h, REG_RCX) = 1;
    GPR(h, REG_RDX) = 1;
    h->vcpu->arch.rip = CODE;
    expect_fault(h, EXC_DE);
    LOAD(h, 0x48, 0xf7, 0xf9); /* idiv rcx */
    GPR(h, REG_RAX) = 0;
    GPR(h, REG_RDX) = UINT64_C(0x8000000000000000);
    GPR(h, REG_RCX) = UINT64_MAX;
    expect_fault(h, EXC_DE);
    harness_destroy(h);
}

TEST(fault, transfers_to_non_canonical_targets_fault_before_the_stack_moves)
{
    struct harness *h = harness_create(DECODE_64);
    GPR(h, REG_RAX) = UINT64_C(0x123456789abcdef0);
    LOAD(h, 0xff, 0xd0); /* call rax */
    expect_fault(h, EXC_GP);
    LOAD(h, 0xff, 0xe0); /* jmp rax */
    expect_fault(h, EXC_GP);
    LOAD(h, 0x50, 0xc3); /* push rax; ret */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    expect_fault(h, EXC_GP);
    harness_destroy(h);
}

TEST(fault, branches_beyond_the_cs_limit)
{
    struct harness *h = harness_create(DECODE_32);
    set_limit(h, SEG_CS, 0x1fff);
    LOAD(h, 0xe9, 0, 0x10, 0, 0); /* jmp to 2005h */
    expect_fault(h, EXC_GP);
    LOAD(h, 0xe8, 0, 0x10, 0, 0);
    expect_fault(h, EXC_GP);
    GPR(h, REG_RCX) = 2;
    LOAD(h, 0xe2, 0x7f); /* loop: within the limit */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(CODE + 0x81, h->vcpu->arch.rip);
    harness_destroy(h);
}

/* ---- stack details ---- */

TEST(stack, pop_to_memory_based_on_rsp_uses_the_new_rsp)
{
    struct harness *h = harness_create(DECODE_64);
    LOAD(h, 0x6a, 0x11, 0x6a, 0x22, 0x8f, 0x44, 0x24, 0x08); /* push 11h; push 22h; pop [rsp + 8] */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 3));
    EXPECT_EQ(0x22, le64_load(h->ram + STACK));
    EXPECT_EQ(0x11, le64_load(h->ram + STACK - 8));
    EXPECT_EQ(STACK - 8, GPR(h, REG_RSP));
    harness_destroy(h);
}

TEST(stack, a_16_bit_stack_wraps_and_keeps_the_upper_half)
{
    struct harness *h = harness_create(DECODE_16);
    GPR(h, REG_RSP) = 0xabcd0000;
    GPR(h, REG_RAX) = 0x5678;
    LOAD(h, 0x50, 0x5b); /* push ax; pop bx */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(0xabcdfffe, GPR(h, REG_RSP));
    EXPECT_EQ(0x5678, le16_load(h->ram + 0xfffe));
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(0xabcd0000, GPR(h, REG_RSP));
    EXPECT_EQ(0x5678, GPR(h, REG_RBX));
    harness_destroy(h);
}

TEST(stack, enter_with_nesting_copies_the_frame_pointers)
{
    struct harness *h = harness_create(DECODE_64);
    GPR(h, REG_RBP) = STACK + 0x100;
    le64_store(h->ram + STACK + 0xf8, 0x1111);
    LOAD(h, 0xc8, 0x20, 0, 2); /* enter 32, 2 */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(STACK - 8, GPR(h, REG_RBP));
    EXPECT_EQ(STACK + 0x100, le64_load(h->ram + STACK - 8));
    EXPECT_EQ(0x1111, le64_load(h->ram + STACK - 16));
    EXPECT_EQ(STACK - 8, le64_load(h->ram + STACK - 24));
    EXPECT_EQ(STACK - 24 - 32, GPR(h, REG_RSP));
    harness_destroy(h);
}

/* ---- 16-bit code ---- */

TEST(code16, addresses_wrap_at_64_kib)
{
    struct harness *h = harness_create(DECODE_16);
    GPR(h, REG_RBX) = 0x1234ff00;
    GPR(h, REG_RSI) = 0x200;
    le16_store(h->ram + 0x102, 0xbeef);
    LOAD(h, 0x8b, 0x40, 0x02); /* mov ax, [bx + si + 2] */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(0xbeef, GPR(h, REG_RAX));
    harness_destroy(h);
}

TEST(code16, near_transfers_truncate_ip)
{
    struct harness *h = harness_create(DECODE_16);
    GPR(h, REG_RSP) = 0x8000;
    LOAD(h, 0xe8, 0xfd, 0xf0); /* call 1000h + 3 + f0fdh = 0100h */
    h->ram[0x100] = 0xc3;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(0x100, h->vcpu->arch.rip);
    EXPECT_EQ(0x7ffe, GPR(h, REG_RSP));
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(0x1003, h->vcpu->arch.rip);
    EXPECT_EQ(0x8000, GPR(h, REG_RSP));
    harness_destroy(h);
}

TEST(code16, strings_use_si_di_cx)
{
    struct harness *h = harness_create(DECODE_16);
    GPR(h, REG_RSI) = 0x77770400;
    GPR(h, REG_RDI) = 0x77770600;
    GPR(h, REG_RCX) = 0x77770004;
    memcpy(h->ram + 0x400, "abcdefgh", 8);
    LOAD(h, 0xf3, 0xa5, 0xeb, 0xfe); /* rep movsw */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 4));
    assert_memory_equal(h->ram + 0x600, "abcdefgh", 8);
    EXPECT_EQ(0x77770408, GPR(h, REG_RSI));
    EXPECT_EQ(0x77770608, GPR(h, REG_RDI));
    EXPECT_EQ(0x77770000, GPR(h, REG_RCX));
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    harness_destroy(h);
}

/* ---- REP ---- */

TEST(rep, zero_iterations_take_one_tick_and_keep_flags)
{
    struct harness *h = harness_create(DECODE_64);
    h->vcpu->arch.rflags |= F_CF | F_SF;
    LOAD(h, 0xf3, 0xa6, 0x90); /* repe cmpsb */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    EXPECT_EQ(1, h->vcpu->arch.ticks);
    EXPECT_EQ(1, h->vcpu->arch.retired);
    EXPECT_EQ(F_CF | F_SF, h->vcpu->arch.rflags & F_OSZAPC);
    harness_destroy(h);
}

/* However the budget is cut, the sum of ticks and the end are the same. */
TEST(rep, ticks_and_state_do_not_depend_on_where_it_stops)
{
    for (int64_t slice = 1; slice < 40; slice += 3) {
        struct harness *h = harness_create(DECODE_64);
        for (unsigned i = 0; i < 64; i++)
            h->ram[DATA + 0xff0 + i] = (uint8_t)i;
        GPR(h, REG_RSI) = DATA + 0xff0;
        GPR(h, REG_RDI) = DATA + 0xff3; /* replicates three bytes */
        GPR(h, REG_RCX) = 50;
        LOAD(h, 0x90, 0xf3, 0xa4, 0x90, 0xeb, 0xfe); /* nop; rep movsb; nop; jmp . */
        while (h->vcpu->arch.rip != CODE + 4)
            EXPECT_EQ(
                CPU_EXIT_BUDGET,
                harness_run(h, slice - (int64_t)(h->vcpu->arch.ticks + (uint64_t)slice > 52
                                                     ? h->vcpu->arch.ticks + (uint64_t)slice - 52
                                                     : 0)));
        EXPECT_EQ(52, h->vcpu->arch.ticks);
        EXPECT_EQ(3, h->vcpu->arch.retired);
        EXPECT_EQ(0, GPR(h, REG_RCX));
        for (unsigned i = 0; i < 53; i++)
            EXPECT_EQ(i % 3, h->ram[DATA + 0xff0 + i]);
        harness_destroy(h);
    }
}

TEST(rep, a_fault_keeps_the_iterations_before_it)
{
    struct harness *h = harness_create(DECODE_32);
    set_limit(h, SEG_ES, DATA + 9);
    GPR(h, REG_RAX) = 0x11223344;
    GPR(h, REG_RDI) = DATA;
    GPR(h, REG_RCX) = 8;
    LOAD(h, 0x90, 0xf3, 0xab); /* nop; rep stosd */
    EXPECT_EQ(CPU_EXIT_FAULT, harness_run(h, 100));
    EXPECT_EQ(EXC_GP, h->vcpu->run.fault.vector);
    EXPECT_EQ(CODE + 1, h->vcpu->arch.rip);
    EXPECT_EQ(6, GPR(h, REG_RCX));
    EXPECT_EQ(DATA + 8, GPR(h, REG_RDI));
    EXPECT_EQ(3, h->vcpu->arch.ticks);   /* the NOP and two iterations */
    EXPECT_EQ(1, h->vcpu->arch.retired); /* the NOP */
    EXPECT_EQ(97, h->vcpu->run.budget);
    EXPECT_EQ(0, h->ram[DATA + 8]);
    harness_destroy(h);
}

TEST(rep, scans_stop_at_the_match)
{
    struct harness *h = harness_create(DECODE_64);
    memset(h->ram + DATA, 'x', 5000);
    h->ram[DATA + 4321] = 0;
    GPR(h, REG_RAX) = 0;
    GPR(h, REG_RDI) = DATA;
    GPR(h, REG_RCX) = UINT64_MAX;
    LOAD(h, 0xf2, 0xae, 0xeb, 0xfe); /* repne scasb */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 4322));
    EXPECT_EQ(CODE + 2, h->vcpu->arch.rip);
    EXPECT_EQ(DATA + 4322, GPR(h, REG_RDI));
    EXPECT_EQ(UINT64_MAX - 4322, GPR(h, REG_RCX));
    EXPECT(h->vcpu->arch.rflags & F_ZF);
    EXPECT_EQ(1, h->vcpu->arch.retired);
    harness_destroy(h);
}

TEST(rep, single_step_traps_after_each_iteration)
{
    struct harness *h = harness_create(DECODE_64);
    GPR(h, REG_RCX) = 3;
    GPR(h, REG_RDI) = DATA;
    h->vcpu->arch.rflags |= F_TF;
    cpu_update_mode(h->vcpu);
    LOAD(h, 0xf3, 0xaa, 0x90);
    for (unsigned left = 3; left-- > 0;) {
        EXPECT_EQ(CPU_EXIT_BREAK, harness_run(h, 10));
        EXPECT_EQ(left, GPR(h, REG_RCX));
        EXPECT_EQ(left ? CODE : CODE + 2, h->vcpu->arch.rip);
    }
    harness_destroy(h);
}

TEST(rep, device_memory_is_read_once_per_iteration)
{
    struct harness *h = harness_create(DECODE_64);
    GPR(h, REG_RSI) = 0xfee00000;
    GPR(h, REG_RDI) = DATA;
    GPR(h, REG_RCX) = 6;
    LOAD(h, 0xf3, 0xa5, 0xeb, 0xfe); /* rep movsd */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 6));
    EXPECT_EQ(6, h->bus_reads);
    EXPECT_EQ(UINT32_MAX, le32_load(h->ram + DATA + 20));
    harness_destroy(h);
}

/* ---- read-modify-write outside RAM: read and written once ---- */

TEST(rmw, device_memory_is_read_and_written_once)
{
    struct harness *h = harness_create(DECODE_64);
    GPR(h, REG_RBX) = 0xfee00000;
    LOAD(h, 0x83, 0x03, 1, 0x0f, 0xb1, 0x0b); /* add dword [rbx], 1; cmpxchg [rbx], ecx: mismatch */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(1, h->bus_reads);
    EXPECT_EQ(1, h->bus_writes);
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(2, h->bus_reads);
    EXPECT_EQ(2, h->bus_writes);
    EXPECT_EQ(UINT32_MAX, GPR(h, REG_RAX));
    harness_destroy(h);
}

TEST(rmw, cmpxchg16b_needs_alignment)
{
    struct harness *h = harness_create(DECODE_64);
    GPR(h, REG_RSI) = DATA + 8;
    LOAD(h, 0x48, 0x0f, 0xc7, 0x0e);
    expect_fault(h, EXC_GP);
    GPR(h, REG_RSI) = DATA;
    GPR(h, REG_RBX) = 7;
    GPR(h, REG_RCX) = 9;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(7, le64_load(h->ram + DATA));
    EXPECT_EQ(9, le64_load(h->ram + DATA + 8));
    EXPECT(h->vcpu->arch.rflags & F_ZF);
    harness_destroy(h);
}

TEST(bound, outside_the_bounds_is_br)
{
    struct harness *h = harness_create(DECODE_32);
    le32_store(h->ram + DATA, (uint32_t)-2);
    le32_store(h->ram + DATA + 4, 5);
    GPR(h, REG_RAX) = 5;
    LOAD(h, 0x62, 0x05, 0, 0, 2, 0); /* bound eax, [DATA] */
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    GPR(h, REG_RAX) = (uint32_t)-3;
    h->vcpu->arch.rip = CODE;
    expect_fault(h, EXC_BR);
    harness_destroy(h);
}

/* clang-format off */
TEST_MAIN(RUN(fault, non_canonical_operands_leave_everything_alone)
          RUN(fault, stack_accesses_fault_with_ss)
          RUN(fault, limits_are_checked_in_32_bit_code)
          RUN(fault, division_by_zero_and_overflow)
          RUN(fault, transfers_to_non_canonical_targets_fault_before_the_stack_moves)
          RUN(fault, branches_beyond_the_cs_limit)
          RUN(stack, pop_to_memory_based_on_rsp_uses_the_new_rsp)
          RUN(stack, a_16_bit_stack_wraps_and_keeps_the_upper_half)
          RUN(stack, enter_with_nesting_copies_the_frame_pointers)
          RUN(code16, addresses_wrap_at_64_kib)
          RUN(code16, near_transfers_truncate_ip)
          RUN(code16, strings_use_si_di_cx)
          RUN(rep, zero_iterations_take_one_tick_and_keep_flags)
          RUN(rep, ticks_and_state_do_not_depend_on_where_it_stops)
          RUN(rep, a_fault_keeps_the_iterations_before_it)
          RUN(rep, scans_stop_at_the_match)
          RUN(rep, single_step_traps_after_each_iteration)
          RUN(rep, device_memory_is_read_once_per_iteration)
          RUN(rmw, device_memory_is_read_and_written_once)
          RUN(rmw, cmpxchg16b_needs_alignment)
          RUN(bound, outside_the_bounds_is_br))
