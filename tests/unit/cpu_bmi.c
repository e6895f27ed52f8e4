/* SPDX-License-Identifier: MIT */
/* BMI1, BMI2: meanings at their edges and against formulas bit by bit, and where VEX is no prefix.
 * The vectors say the rest. */
#include "cpu/alu_bmi.h"
#include "tests/unit/cpu_harness.h"

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static uint32_t flags_of(struct alu r)
{
    static struct vcpu vcpu;
    flags_commit(&vcpu, r);
    return flags_status(&vcpu);
}

#define EXPECT_ALU(value_, flags_, r)                                                              \
    do {                                                                                           \
        struct alu r_ = (r);                                                                       \
        EXPECT_EQ(value_, r_.value);                                                               \
        EXPECT_EQ(flags_, flags_of(r_));                                                           \
    } while (0)

TEST(bmi, lowest_set_bit_and_its_absence)
{
    EXPECT_ALU(0x30, F_PF, alu_blsr(32, 0x38));
    EXPECT_ALU(0, F_ZF | F_PF, alu_blsr(32, UINT64_C(0x1000000080)));
    EXPECT_ALU(0, F_ZF | F_PF | F_CF, alu_blsr(64, 0));
    EXPECT_ALU(0x0f, F_PF, alu_blsmsk(64, 0x38));
    EXPECT_ALU(UINT32_MAX, F_SF | F_PF | F_CF, alu_blsmsk(32, UINT64_C(1) << 32));
    EXPECT_ALU(8, F_CF, alu_blsi(32, 0x38));
    EXPECT_ALU(BIT(63), F_SF | F_PF | F_CF, alu_blsi(64, BIT(63)));
    EXPECT_ALU(0, F_ZF | F_PF, alu_blsi(64, 0));
}

TEST(bmi, fields_that_reach_beyond_the_operand)
{
    EXPECT_ALU(0x2f, F_AF, alu_bextr(32, 0x12f8, 0x0603 + 0x0001));
    EXPECT_ALU(0x12, F_AF | F_PF, alu_bextr(32, UINT64_C(0xff12000000), 0xff18));
    EXPECT_ALU(0, F_ZF | F_AF | F_PF, alu_bextr(32, UINT64_MAX, 0xff20));
    EXPECT_ALU(0, F_ZF | F_AF | F_PF, alu_bextr(64, UINT64_MAX, 0x0005));
    EXPECT_ALU(BIT(63), F_AF | F_PF, alu_bextr(64, BIT(63), 0x4000));
    EXPECT_ALU(0x7f, 0, alu_bzhi(64, UINT64_MAX, 7));
    EXPECT_ALU(0, F_ZF | F_PF, alu_bzhi(64, UINT64_MAX, 0x100));
    EXPECT_ALU(UINT32_MAX, F_SF | F_PF | F_CF, alu_bzhi(32, UINT64_MAX, 32));
    EXPECT_ALU(UINT64_MAX, F_SF | F_PF, alu_andn(64, UINT64_MAX, 0));
}

/* SDM's loops over every position. */
static uint64_t pdep_by_bits(unsigned width, uint64_t src, uint64_t mask)
{
    uint64_t r = 0;
    for (unsigned m = 0, k = 0; m < width; m++)
        if (mask >> m & 1)
            r |= (src >> k++ & 1) << m;
    return r;
}

static uint64_t pext_by_bits(unsigned width, uint64_t src, uint64_t mask)
{
    uint64_t r = 0;
    for (unsigned m = 0, k = 0; m < width; m++)
        if (mask >> m & 1)
            r |= (src >> m & 1) << k++;
    return r;
}

TEST(bmi, deposit_and_extract_are_the_manuals_loops)
{
    uint64_t seed = UINT64_C(0x62697473);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t src = next_random(&seed), mask = next_random(&seed) | (i & 1 ? UINT64_MAX : 0)
                                                                           << (i & 63);
        EXPECT_EQ(pdep_by_bits(32, src, mask), alu_pdep(32, src, mask));
        EXPECT_EQ(pdep_by_bits(64, src, mask), alu_pdep(64, src, mask));
        EXPECT_EQ(pext_by_bits(32, src, mask), alu_pext(32, src, mask));
        EXPECT_EQ(pext_by_bits(64, src, mask), alu_pext(64, src, mask));
        EXPECT_EQ(src & mask, alu_pdep(64, alu_pext(64, src, mask), mask));
    }
}

TEST(bmi, shift_counts_are_masked_to_the_width)
{
    EXPECT_EQ(2, alu_shlx(32, 1, 33));
    EXPECT_EQ(0x80000000, alu_shlx(32, UINT64_MAX, 31));
    EXPECT_EQ(UINT64_C(1) << 33, alu_shlx(64, 1, 33 + 64));
    EXPECT_EQ(1, alu_shrx(32, UINT64_C(0xffffffff80000000), 31 + 32));
    EXPECT_EQ(0xffffffff, alu_sarx(32, 0x80000000, 31));
    EXPECT_EQ(0x80000000, alu_sarx(32, 0x80000000, 32));
    EXPECT_EQ(0x80000001, alu_rorx(32, 3, 1));
    EXPECT_EQ(3, alu_rorx(32, 3, 64));
    EXPECT_EQ(BIT(63), alu_rorx(64, 1, 1));
}

static const uint8_t andn_ebx_ecx_edx[] = {0xc4, 0xe2, 0x70, 0xf2, 0xda};

/* Is ANDN executed in 16-bit code, after `prepare` changed the mode? It must do all or nothing. */
static bool executes_andn(void (*prepare)(struct cpu *cpu))
{
    struct harness *h = harness_create(DECODE_16);
    struct cpu *cpu = &h->vcpu->arch;
    prepare(cpu);
    cpu_update_mmu(h->vcpu);
    cpu->gpr[REG_RCX] = 0x0f0f0f0f;
    cpu->gpr[REG_RDX] = 0xff;
    harness_code(h, andn_ebx_ecx_edx, sizeof andn_ebx_ecx_edx);
    bool faults = harness_run(h, 1) == CPU_EXIT_FAULT;
    if (faults)
        EXPECT_EQ(EXC_UD, h->vcpu->run.fault.vector);
    EXPECT_EQ(faults ? 0 : 0xf0, cpu->gpr[REG_RBX]);
    EXPECT_EQ(faults ? CODE : CODE + sizeof andn_ebx_ecx_edx, cpu->rip);
    harness_destroy(h);
    return !faults;
}

static void protected_mode(struct cpu *cpu)
{
    cpu->cr0 |= CR0_PE;
}

static void real_mode(struct cpu *cpu)
{
    cpu->cr0 &= ~(uint64_t)CR0_PE;
}

static void virtual_8086_mode(struct cpu *cpu)
{
    cpu->rflags |= F_VM;
}

TEST(bmi, vex_is_recognized_in_protected_mode_only)
{
    EXPECT(executes_andn(protected_mode));
    EXPECT(!executes_andn(real_mode));
    EXPECT(!executes_andn(virtual_8086_mode));
}

/* The code segment ends after the ModRM: more of it would be #GP(0). */
TEST(bmi, lds_of_a_register_has_two_bytes_in_real_mode)
{
    static const uint8_t vzeroupper[] = {0xc5, 0xf8, 0x77};
    for (unsigned len = 1; len <= 2; len++) {
        struct harness *h = harness_create(DECODE_16);
        real_mode(&h->vcpu->arch);
        h->vcpu->arch.seg_limit[SEG_CS] = CODE + len - 1;
        cpu_update_mmu(h->vcpu);
        harness_code(h, vzeroupper, sizeof vzeroupper);
        EXPECT_EQ(CPU_EXIT_FAULT, harness_run(h, 1));
        EXPECT_EQ(len == 2 ? EXC_UD : EXC_GP, h->vcpu->run.fault.vector);
        harness_destroy(h);
    }
}

/* Flag liveness: BLSR's ZF is seen by the branch, and PDEP between them keeps it. */
TEST(bmi, flags_survive_what_writes_none)
{
    static const uint8_t code[] = {
        0xc4, 0xe2, 0x60, 0xf3, 0xc9, /* blsr ebx, ecx */
        0xc4, 0xe2, 0x73, 0xf5, 0xd1, /* pdep edx, ecx, ecx */
        0x74, 0x05,                   /* jz +5 */
        0xbe, 0x01, 0x00, 0x00, 0x00, /* mov esi, 1 */
    };
    for (unsigned ecx = 1; ecx <= 3; ecx += 2) {
        struct harness *h = harness_create(DECODE_64);
        h->vcpu->arch.gpr[REG_RCX] = ecx;
        harness_code(h, code, sizeof code);
        harness_run(h, ecx == 1 ? 3 : 4);
        EXPECT_EQ(ecx == 1 ? 0 : 1, h->vcpu->arch.gpr[REG_RSI]);
        EXPECT_EQ(ecx & 2, h->vcpu->arch.gpr[REG_RBX]);
        EXPECT_EQ(CODE + sizeof code, h->vcpu->arch.rip);
        harness_destroy(h);
    }
}

TEST_MAIN(RUN(bmi, lowest_set_bit_and_its_absence) RUN(bmi, fields_that_reach_beyond_the_operand)
              RUN(bmi, deposit_and_extract_are_the_manuals_loops)
                  RUN(bmi, shift_counts_are_masked_to_the_width)
                      RUN(bmi, vex_is_recognized_in_protected_mode_only)
                          RUN(bmi, lds_of_a_register_has_two_bytes_in_real_mode)
                              RUN(bmi, flags_survive_what_writes_none))
