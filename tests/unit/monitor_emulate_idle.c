/* SPDX-License-Identifier: MIT */
/* MONITOR and MWAIT. No CPU model has them, so that no guest and no vector gets to their meaning.
 */
#include "tests/unit/monitor_emulate.h"

TEST(monitor, reads_a_byte_at_ds_rax)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->gpr[REG_RAX] = 0x7000;
    b->cpu->gpr[REG_RCX] = 0;
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x0f, 0x01, 0xc8));
    EXPECT_EQ(CODE + 3, b->cpu->rip);
    b->cpu->seg_limit[SEG_DS] = 0x6fff;
    cpu_update_mode(b->vcpu);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xc8);
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x26, 0x0f, 0x01, 0xc8)); /* ES: */
    bench_destroy(b);
}

TEST(monitor, cuts_its_address_to_the_address_size)
{
    struct bench *b = bench_create(DECODE_64);
    b->cpu->gpr[REG_RAX] = UINT64_C(0x8000000000007000);
    b->cpu->gpr[REG_RCX] = 0;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xc8);
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x67, 0x0f, 0x01, 0xc8));
    bench_destroy(b);
}

TEST(monitor, knows_no_extension_and_no_user)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->gpr[REG_RAX] = 0x7000;
    b->cpu->gpr[REG_RCX] = 1;
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xc8);
    EXPECT_FAULT(b, EXC_GP, 0, 0x0f, 0x01, 0xc9);
    set_cpl(b, 3);
    b->cpu->gpr[REG_RCX] = 0;
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x01, 0xc8);
    EXPECT_FAULT(b, EXC_UD, 0, 0x0f, 0x01, 0xc9);
    bench_destroy(b);
}

TEST(mwait, wakes_at_once)
{
    struct bench *b = bench_create(DECODE_32);
    b->cpu->gpr[REG_RCX] = 0;
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(b, 0x0f, 0x01, 0xc9));
    EXPECT_EQ(CODE + 3, b->cpu->rip);
    EXPECT_EQ(ACTIVITY_ACTIVE, b->cpu->activity);
    bench_destroy(b);
}

/* clang-format off */
TEST_MAIN(RUN(monitor, reads_a_byte_at_ds_rax)
          RUN(monitor, cuts_its_address_to_the_address_size)
          RUN(monitor, knows_no_extension_and_no_user)
          RUN(mwait, wakes_at_once))
/* clang-format on */
