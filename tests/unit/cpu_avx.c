/* SPDX-License-Identifier: MIT */
/*
 * What vectors of a user process can't show of VEX instructions: when they are available, what
 * becomes of the upper halves in 32-bit code, faults in the middle, and the short cuts' ways out.
 */
#include "tests/unit/cpu_harness.h"

#define NONCANONICAL UINT64_C(0x8000000000000000)

static struct harness *avx_create(enum decode_mode mode)
{
    struct harness *h = harness_create(mode);
    h->vcpu->arch.cr4 |= CR4_OSXSAVE;
    h->vcpu->arch.xcr0 = 7;
    cpu_update_mode(h->vcpu);
    for (unsigned i = 0; i < 64; i++)
        h->vcpu->arch.ymm[i] = i * UINT64_C(0x0101010101010101);
    return h;
}

/* Vector of the fault of one instruction, or -1. */
static int fault_of(struct harness *h, const void *bytes, size_t n)
{
    harness_code(h, bytes, n);
    return harness_run(h, 1) == CPU_EXIT_FAULT ? h->vcpu->run.fault.vector : -1;
}
#define FAULT_OF(h, ...)                                                                           \
    fault_of(h, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define VPXOR_0 0xc5, 0xf9, 0xef, 0xc0       /* vpxor xmm0, xmm0, xmm0 */
#define VMOVUPS_LOAD 0xc5, 0xfc, 0x10, 0x03  /* vmovups ymm0, [rbx] */
#define VMOVAPS_LOAD 0xc5, 0xfc, 0x28, 0x03  /* vmovaps ymm0, [rbx] */
#define VMOVUPS_STORE 0xc5, 0xfc, 0x11, 0x03 /* vmovups [rbx], ymm0 */

/* ---- availability ---- */

TEST(avx, osxsave_and_xcr0_make_it_available)
{
    struct harness *h = avx_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    EXPECT_EQ(-1, FAULT_OF(h, VPXOR_0));
    cpu->xcr0 = 3;
    cpu_update_mode(h->vcpu);
    EXPECT_EQ(EXC_UD, FAULT_OF(h, VPXOR_0));
    cpu->xcr0 = 7;
    cpu->cr4 &= ~CR4_OSXSAVE;
    cpu_update_mode(h->vcpu);
    EXPECT_EQ(EXC_UD, FAULT_OF(h, VPXOR_0));
    harness_destroy(h);
}

TEST(avx, em_and_osfxsr_do_not_matter_and_ts_does)
{
    struct harness *h = avx_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    cpu->cr0 |= CR0_EM;
    cpu->cr4 &= ~CR4_OSFXSR;
    cpu_update_mode(h->vcpu);
    EXPECT_EQ(-1, FAULT_OF(h, VPXOR_0));
    cpu->cr0 |= CR0_TS;
    cpu_update_mode(h->vcpu);
    EXPECT_EQ(EXC_NM, FAULT_OF(h, VPXOR_0));
    EXPECT_EQ(EXC_NM, FAULT_OF(h, 0xc5, 0xf8, 0x77)); /* vzeroupper */
    cpu->xcr0 = 1;
    cpu_update_mode(h->vcpu);
    EXPECT_EQ(EXC_UD, FAULT_OF(h, VPXOR_0)); /* comes first */
    harness_destroy(h);
}

TEST(avx, a_processor_without_it_has_no_vex)
{
    struct harness *h = avx_create(DECODE_64);
    h->vcpu->run.features[FEAT_AVX2] = false;
    EXPECT_EQ(-1, FAULT_OF(h, VPXOR_0));
    EXPECT_EQ(EXC_UD, FAULT_OF(h, 0xc5, 0xfd, 0xef, 0xc0)); /* vpxor ymm0, ymm0, ymm0 */
    harness_destroy(h);
}

/* ---- upper halves ---- */

TEST(avx, clearing_touches_the_registers_of_the_mode)
{
    for (unsigned is_64 = 0; is_64 < 2; is_64++) {
        struct harness *h = avx_create(is_64 ? DECODE_64 : DECODE_32);
        const uint64_t *ymm = h->vcpu->arch.ymm;
        EXPECT_EQ(-1, FAULT_OF(h, 0xc5, 0xf8, 0x77)); /* vzeroupper */
        EXPECT_EQ(4 * UINT64_C(0x0101010101010101), ymm[4]);
        EXPECT_EQ(0, ymm[6]);
        EXPECT_EQ(is_64 ? 0 : 34 * UINT64_C(0x0101010101010101), ymm[34]);
        EXPECT_EQ(-1, FAULT_OF(h, 0xc5, 0xfc, 0x77)); /* vzeroall */
        EXPECT_EQ(0, ymm[4]);
        EXPECT_EQ(is_64 ? 0 : 32 * UINT64_C(0x0101010101010101), ymm[32]);
        harness_destroy(h);
    }
}

TEST(avx, legacy_sse_leaves_the_upper_half_and_vex_clears_it)
{
    struct harness *h = avx_create(DECODE_64);
    const uint64_t *ymm = h->vcpu->arch.ymm;
    EXPECT_EQ(-1, FAULT_OF(h, 0x66, 0x0f, 0xef, 0xc0)); /* pxor xmm0, xmm0 */
    EXPECT_EQ(0, ymm[0] | ymm[1]);
    EXPECT_EQ(3 * UINT64_C(0x0101010101010101), ymm[3]);
    EXPECT_EQ(-1, FAULT_OF(h, VPXOR_0));
    EXPECT_EQ(0, ymm[2] | ymm[3]);
    harness_destroy(h);
}

/* ---- memory ---- */

TEST(avx, only_aligned_moves_want_alignment)
{
    struct harness *h = avx_create(DECODE_64);
    h->vcpu->arch.gpr[REG_RBX] = DATA + 16;
    EXPECT_EQ(-1, FAULT_OF(h, VMOVUPS_LOAD));
    EXPECT_EQ(EXC_GP, FAULT_OF(h, VMOVAPS_LOAD));
    EXPECT_EQ(-1, FAULT_OF(h, 0xc5, 0xfd, 0xfe, 0x03)); /* vpaddd ymm0, ymm0, [rbx] */
    EXPECT_EQ(-1, FAULT_OF(h, 0xc5, 0xf8, 0x28, 0x03)); /* vmovaps xmm0, [rbx] */
    h->vcpu->arch.gpr[REG_RBX] = DATA + 32;
    EXPECT_EQ(-1, FAULT_OF(h, VMOVAPS_LOAD));
    harness_destroy(h);
}

TEST(avx, thirty_two_bytes_cross_a_page)
{
    struct harness *h = avx_create(DECODE_64);
    h->vcpu->arch.gpr[REG_RBX] = DATA + PAGE_SIZE - 16;
    EXPECT_EQ(-1, FAULT_OF(h, VMOVUPS_STORE));
    for (unsigned i = 0; i < 32; i++)
        EXPECT_EQ(i / 8, h->ram[DATA + PAGE_SIZE - 16 + i]);
    EXPECT_EQ(-1, FAULT_OF(h, 0xc5, 0xfc, 0x10, 0x3b)); /* vmovups ymm7, [rbx] */
    EXPECT_EQ(0, memcmp(h->vcpu->arch.ymm, h->vcpu->arch.ymm + 28, 32));
    harness_destroy(h);
}

TEST(avx, elements_that_are_masked_out_do_not_fault)
{
    struct harness *h = avx_create(DECODE_64);
    uint64_t *ymm = h->vcpu->arch.ymm;
    le64_store(h->ram + DATA, 77);
    h->vcpu->arch.gpr[REG_RBX] = UINT64_C(0x7ffffffffff8); /* the next quadword is not canonical */
    for (unsigned i = 0; i < 4; i++)
        ymm[4 + i] = 0;
    EXPECT_EQ(-1, FAULT_OF(h, 0xc4, 0xe2, 0xf5, 0x8c, 0x03)); /* vpmaskmovq ymm0, ymm1, [rbx] */
    EXPECT_EQ(0, ymm[0] | ymm[1] | ymm[2] | ymm[3]);
    ymm[5] = NONCANONICAL;
    EXPECT_EQ(EXC_GP, FAULT_OF(h, 0xc4, 0xe2, 0xf5, 0x8c, 0x03));
    h->vcpu->arch.gpr[REG_RBX] = DATA - 8;
    EXPECT_EQ(-1, FAULT_OF(h, 0xc4, 0xe2, 0xf5, 0x8c, 0x03));
    EXPECT_EQ(77, ymm[1]);
    ymm[1] = 78;
    EXPECT_EQ(-1, FAULT_OF(h, 0xc4, 0xe2, 0xf5, 0x8e, 0x03)); /* vpmaskmovq [rbx], ymm1, ymm0 */
    EXPECT_EQ(78, le64_load(h->ram + DATA));
    EXPECT_EQ(0, le64_load(h->ram + DATA - 8) | le64_load(h->ram + DATA + 8));
    harness_destroy(h);
}

TEST(avx, a_gather_goes_on_where_it_faulted)
{
    struct harness *h = avx_create(DECODE_64);
    uint64_t *ymm = h->vcpu->arch.ymm;
    static const uint8_t gather[] = {0xc4, 0xe2, 0xed,
                                     0x91, 0x04, 0x0b}; /* vpgatherqq ymm0, [rbx + ymm1], ymm2 */
    h->vcpu->arch.gpr[REG_RBX] = DATA;
    for (unsigned i = 0; i < 4; i++) {
        le64_store(h->ram + DATA + 8 * i, 100 + i);
        ymm[4 + i] = 8 * i;
        ymm[8 + i] = NONCANONICAL;
    }
    ymm[4 + 2] = NONCANONICAL;
    EXPECT_EQ(EXC_GP, fault_of(h, gather, sizeof gather));
    EXPECT_EQ(101, ymm[1]);
    EXPECT_EQ(2 * UINT64_C(0x0101010101010101), ymm[2]);
    EXPECT_EQ(0, ymm[8] | ymm[9]);
    EXPECT_EQ(NONCANONICAL, ymm[10]);
    EXPECT_EQ(CODE, h->vcpu->arch.rip);
    ymm[4 + 2] = 16;
    le64_store(h->ram + DATA, 1); /* is not read again */
    EXPECT_EQ(-1, fault_of(h, gather, sizeof gather));
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQ(100 + i, ymm[i]);
        EXPECT_EQ(0, ymm[8 + i]);
    }
    harness_destroy(h);
}

/* ---- floating point ---- */

TEST(avx, short_cuts_leave_exceptions_to_the_softfloat)
{
    struct harness *h = avx_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    static const uint8_t vdivpd[] = {0xc5, 0xf5, 0x5e, 0xc2}; /* vdivpd ymm0, ymm1, ymm2 */
    for (unsigned i = 0; i < 4; i++) {
        cpu->ymm[4 + i] = UINT64_C(0x3ff0000000000000);              /* 1 */
        cpu->ymm[8 + i] = i == 3 ? 0 : UINT64_C(0x4000000000000000); /* 2 */
    }
    cpu->mxcsr = 0x1fa0; /* PE is sticky: the host may compute */
    EXPECT_EQ(-1, fault_of(h, vdivpd, sizeof vdivpd));
    EXPECT_EQ(UINT64_C(0x3fe0000000000000), cpu->ymm[0]);
    EXPECT_EQ(UINT64_C(0x7ff0000000000000), cpu->ymm[3]);
    EXPECT_EQ(0x1fa4, cpu->mxcsr);
    cpu->mxcsr = 0x1d80; /* ZM clear */
    cpu->ymm[0] = 5;
    EXPECT_EQ(EXC_XM, fault_of(h, vdivpd, sizeof vdivpd));
    EXPECT_EQ(5, cpu->ymm[0]);
    EXPECT_EQ(0x1d84, cpu->mxcsr);
    cpu->cr4 &= ~CR4_OSXMMEXCPT;
    EXPECT_EQ(EXC_UD, fault_of(h, vdivpd, sizeof vdivpd));
    harness_destroy(h);
}

TEST_MAIN(RUN(avx, osxsave_and_xcr0_make_it_available) RUN(avx,
                                                           em_and_osfxsr_do_not_matter_and_ts_does)
              RUN(avx, a_processor_without_it_has_no_vex)
                  RUN(avx, clearing_touches_the_registers_of_the_mode)
                      RUN(avx, legacy_sse_leaves_the_upper_half_and_vex_clears_it)
                          RUN(avx, only_aligned_moves_want_alignment)
                              RUN(avx, thirty_two_bytes_cross_a_page)
                                  RUN(avx, elements_that_are_masked_out_do_not_fault)
                                      RUN(avx, a_gather_goes_on_where_it_faulted)
                                          RUN(avx, short_cuts_leave_exceptions_to_the_softfloat))
