/* SPDX-License-Identifier: MIT */
/*
 * The x87 where the host can't be asked: environments in real and protected mode, availability and
 * pending exceptions, faults of memory operands, the stack effects of transcendentals, quick paths
 * against the softfloat.
 */
#include "cpu/interp/x87_operand.h"
#include "tests/unit/cpu_harness.h"
#include "tests/unit/softfloat_operands.h"

static enum cpu_exit run_one(struct harness *g, const uint8_t *code, size_t n)
{
    harness_code(g, code, n);
    return harness_run(g, 1);
}

#define ONE(g, ...)                                                                                \
    run_one((g), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static const struct f80 one = {UINT64_C(1) << 63, 0x3fff};
static const struct f80 two = {UINT64_C(1) << 63, 0x4000};

static void expect_st(const struct harness *g, unsigned i, struct f80 v)
{
    EXPECT(!st_empty(g->vcpu, i));
    EXPECT_EQ(v.mant, st_get(g->vcpu, i).mant);
    EXPECT_EQ(v.se, st_get(g->vcpu, i).se);
}

/* ---- environments ---- */

/* FOP, FIP, FCS, FDP, FDS with distinct values; FSW has TOP = 7, ST(0) holds zero. */
static void known_state(struct harness *g)
{
    struct cpu *cpu = &g->vcpu->arch;
    cpu->fcw = 0x37f;
    cpu->fsw = 7 << 11;
    cpu->ftw = 0x80;
    cpu->fp_mant[7] = 0, cpu->fp_se[7] = 0;
    cpu->fop = 0x6dc, cpu->fip = 0x12345678, cpu->fcs = 0x1a2b, cpu->fdp = 0x9abcdef0,
    cpu->fds = 0x3c4d;
}

static void expect_env(enum decode_mode mode, bool real, bool p66, const uint8_t *want, size_t size)
{
    struct harness *g = harness_create(mode);
    uint8_t code[8] = {0};
    size_t n = 0;
    if (real) {
        g->vcpu->arch.cr0 &= ~CR0_PE;
        cpu_update_mmu(g->vcpu);
    }
    g->vcpu->arch.gpr[REG_RBX] = 0x800;
    if (p66)
        code[n++] = 0x66;
    code[n] = 0xd9, code[n + 1] = mode == DECODE_16 ? 0x37 : 0x33; /* fnstenv [bx], [ebx] */
    memset(g->ram + 0x800, 0xcc, 32);
    known_state(g);
    EXPECT_EQ(CPU_EXIT_BUDGET, run_one(g, code, sizeof(code)));
    EXPECT_EQ(0, memcmp(want, g->ram + 0x800, size));
    EXPECT_EQ(0xcc, g->ram[0x800 + size]);
    struct cpu before = g->vcpu->arch;
    known_state(g);
    g->vcpu->arch.fop = 0, g->vcpu->arch.fip = 0, g->vcpu->arch.ftw = 0;
    code[n + 1] = mode == DECODE_16 ? 0x27 : 0x23; /* fldenv: and back, as far as the format goes */
    EXPECT_EQ(CPU_EXIT_BUDGET, run_one(g, code, sizeof(code)));
    EXPECT_EQ(before.ftw, g->vcpu->arch.ftw);
    EXPECT_EQ(before.fsw, g->vcpu->arch.fsw);
    EXPECT_EQ(ONE(g, 0xd9, code[n + 1] ^ 0x10), CPU_EXIT_BUDGET);
    harness_destroy(g);
}

TEST(x87, environment_32_protected)
{
    static const uint8_t want[28] = {0x7f, 3,    0xff, 0xff, 0,    0x38, 0xff, 0xff, 0xff, 0x7f,
                                     0xff, 0xff, 0x78, 0x56, 0x34, 0x12, 0x2b, 0x1a, 0xdc, 6,
                                     0xf0, 0xde, 0xbc, 0x9a, 0x4d, 0x3c, 0xff, 0xff};
    expect_env(DECODE_32, false, false, want, sizeof(want));
    expect_env(DECODE_16, false, true, want, sizeof(want));
}

TEST(x87, environment_16_protected)
{
    static const uint8_t want[14] = {0x7f, 3,    0,    0x38, 0xff, 0x7f, 0x78,
                                     0x56, 0x2b, 0x1a, 0xf0, 0xde, 0x4d, 0x3c};
    expect_env(DECODE_16, false, false, want, sizeof(want));
    expect_env(DECODE_32, false, true, want, sizeof(want));
}

/* Linear addresses: FCS * 16 + FIP = 1235F928H, FDS * 16 + FDP = 9AC0A3C0H. */
TEST(x87, environment_32_real)
{
    static const uint8_t want[28] = {0x7f, 3,    0xff, 0xff, 0,    0x38, 0xff, 0xff, 0xff, 0x7f,
                                     0xff, 0xff, 0x28, 0xf9, 0xff, 0xff, 0xdc, 0x56, 0x23, 1,
                                     0xc0, 0xa3, 0xff, 0xff, 0,    0x00, 0xac, 9};
    expect_env(DECODE_16, true, true, want, sizeof(want));
}

TEST(x87, environment_16_real)
{
    static const uint8_t want[14] = {0x7f, 3,    0,    0x38, 0xff, 0x7f, 0x28,
                                     0xf9, 0xdc, 0x56, 0xc0, 0xa3, 0,    0x00};
    expect_env(DECODE_16, true, false, want, sizeof(want));
}

/* ---- availability and pending exceptions ---- */

static void expect_fault(struct harness *g, enum cpu_exit why, unsigned vector)
{
    EXPECT_EQ(CPU_EXIT_FAULT, why);
    EXPECT_EQ(vector, g->vcpu->run.fault.vector);
}

static void set_cr0(struct harness *g, uint64_t bits)
{
    g->vcpu->arch.cr0 = (g->vcpu->arch.cr0 & ~(CR0_EM | CR0_TS | CR0_MP)) | bits;
    cpu_update_mmu(g->vcpu);
}

TEST(x87, device_not_available)
{
    struct harness *g = harness_create(DECODE_64);
    set_cr0(g, CR0_EM);
    expect_fault(g, ONE(g, 0xdb, 0xe3), EXC_NM); /* fninit */
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0x9b));
    set_cr0(g, CR0_TS);
    expect_fault(g, ONE(g, 0xd9, 0xe8), EXC_NM); /* fld1 */
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0x9b));
    set_cr0(g, CR0_TS | CR0_MP);
    expect_fault(g, ONE(g, 0x9b), EXC_NM);
    set_cr0(g, CR0_MP);
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0x9b));
    harness_destroy(g);
}

TEST(x87, pending_exception_faults_at_the_next_waiting_instruction)
{
    struct harness *g = harness_create(DECODE_64);
    struct cpu *cpu = &g->vcpu->arch;
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe3));
    cpu->fcw = 0x37e;
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xd9, 0xfa)); /* fsqrt of an empty register */
    EXPECT_EQ(FSW_B | FSW_ES | FSW_SF | FP_IE, cpu->fsw);
    EXPECT(st_empty(g->vcpu, 0));
    EXPECT_EQ(CODE, cpu->fip);
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdf, 0xe0)); /* fnstsw ax */
    EXPECT_EQ(cpu->fsw, cpu->gpr[REG_RAX] & 0xffff);
    expect_fault(g, ONE(g, 0x9b), EXC_MF);
    expect_fault(g, ONE(g, 0xd9, 0xe8), EXC_MF);
    EXPECT_EQ(CODE, cpu->rip);
    cpu->cr0 &= ~CR0_NE;
    expect_fault(g, ONE(g, 0xd9, 0xe8), FAULT_FERR);
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe2)); /* fnclex */
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xd9, 0xe8));
    expect_st(g, 0, one);
    harness_destroy(g);
}

TEST(x87, with_ne_0_a_pending_exception_asserts_ferr_unless_ignne)
{
    struct harness *g = harness_create(DECODE_64);
    struct cpu *cpu = &g->vcpu->arch;
    cpu->cr0 &= ~CR0_NE;
    cpu->fcw = FCW_INIT & ~4;
    cpu->fsw = FSW_ES | FSW_B | 4;
    cpu_update_mmu(g->vcpu);
    expect_fault(g, ONE(g, 0x9b), FAULT_FERR); /* fwait */
    EXPECT_EQ(FSW_ES | FSW_B | 4, cpu->fsw);
    cpu_ignore_x87_error(g->vcpu);
    EXPECT(cpu->ignne);
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0x9b));
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xd9, 0xe8)); /* fld1 */
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe2)); /* fnclex: FERR# goes, and with it IGNNE# */
    EXPECT(!cpu->ignne);
    cpu_ignore_x87_error(g->vcpu); /* nothing is pending */
    EXPECT(!cpu->ignne);
    harness_destroy(g);
}

/* Flags that the next instruction overwrites are still there when the x87 instruction between
 * faults. */
TEST(x87, fault_shows_exact_flags)
{
    struct harness *g = harness_create(DECODE_64);
    static const uint8_t code[] = {0x83, 0xe8, 1,    0xd9,
                                   0xe8, 0x83, 0xc8, 1}; /* sub 1; fld1; or 1 */
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe3));
    g->vcpu->arch.fsw = FSW_ES | FSW_B | FP_ZE;
    harness_code(g, code, sizeof(code));
    expect_fault(g, harness_run(g, 1000), EXC_MF);
    EXPECT_EQ(F_CF | F_SF | F_AF | F_PF, g->vcpu->arch.rflags & F_OSZAPC);
    harness_destroy(g);
}

TEST(x87, unmasking_a_flag_makes_it_pending)
{
    struct harness *g = harness_create(DECODE_64);
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe3));
    g->vcpu->arch.fsw = FP_ZE;
    g->vcpu->arch.gpr[REG_RSI] = DATA;
    le16_store(g->ram + DATA, 0xe33b);
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xd9, 0x2e)); /* fldcw [rsi] */
    EXPECT_EQ(0x37b & ~0x40, g->vcpu->arch.fcw & ~0x40);
    EXPECT_EQ(FSW_B | FSW_ES | FP_ZE, g->vcpu->arch.fsw);
    harness_destroy(g);
}

/* ---- faults of memory operands ---- */

TEST(x87, a_faulting_operand_changes_nothing)
{
    static const uint8_t codes[][2] = {{0xd9, 0x03}, {0xdd, 0x03}, {0xdb, 0x2b}, {0xd9, 0x1b},
                                       {0xdd, 0x1b}, {0xdb, 0x3b}, {0xdf, 0x33}, {0xdf, 0x3b},
                                       {0xdc, 0x03}, {0xda, 0x03}, {0xd9, 0x33}, {0xd9, 0x23},
                                       {0xdd, 0x33}, {0xdd, 0x23}, {0xdd, 0x3b}, {0xd9, 0x3b},
                                       {0xd9, 0x2b}, {0xdb, 0x0b}, {0xdc, 0x13}};
    struct harness *g = harness_create(DECODE_32);
    struct cpu *cpu = &g->vcpu->arch;
    cpu->seg_limit[SEG_DS] = 0x8000;
    cpu->gpr[REG_RBX] = 0x8000;
    cpu_update_mmu(g->vcpu);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        known_state(g);
        harness_code(g, codes[i], 2);
        struct cpu before = *cpu;
        expect_fault(g, harness_run(g, 1), EXC_GP);
        EXPECT_EQ(0, memcmp(&before, cpu, sizeof(before)));
        EXPECT_EQ(0, g->ram[0x8000]);
    }
    harness_destroy(g);
}

/* ---- transcendentals ---- */

/* 1.5, whatever the argument. */
static struct fp_wide f1(struct f80 x)
{
    (void)x;
    return (struct fp_wide){.hi = UINT64_C(3) << 62};
}

static struct fp_wide f2(struct f80 y, struct f80 x)
{
    (void)y;
    return f1(x);
}

static const struct fp_transcendentals constant = {f1, f2, f2, f2, f1, f1, f1};

/* ST(0) = 2^-1, ST(1) = 2; then the instruction. */
static struct harness *transcendental(uint8_t modrm)
{
    struct harness *g = harness_create(DECODE_64);
    g->vcpu->run.transcendentals = &constant;
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe3));
    g->vcpu->arch.fsw |= FSW_C2;
    st_push(g->vcpu, two);
    st_push(g->vcpu, (struct f80){UINT64_C(1) << 63, 0x3ffe});
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xd9, modrm));
    return g;
}

TEST(x87, transcendentals_leave_the_stack_as_documented)
{
    static const struct {
        uint8_t modrm;  /* of D9 */
        uint8_t depth;  /* registers in use after */
        uint8_t result; /* ST(i) that holds 1.5 */
    } cases[] = {{0xf0, 2, 0}, {0xf1, 1, 0}, {0xf2, 3, 1}, {0xf3, 1, 0},
                 {0xf9, 1, 0}, {0xfb, 3, 0}, {0xfe, 2, 0}, {0xff, 2, 0}};
    const struct f80 result = {UINT64_C(3) << 62, 0x3fff};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct harness *g = transcendental(cases[i].modrm);
        EXPECT_EQ(cases[i].depth, __builtin_popcount(g->vcpu->arch.ftw));
        expect_st(g, cases[i].result, result);
        if (cases[i].modrm == 0xf2)
            expect_st(g, 0, one);
        if (cases[i].modrm == 0xf2 || cases[i].modrm >= 0xfb)
            EXPECT_EQ(0, g->vcpu->arch.fsw & FSW_C2);
        harness_destroy(g);
    }
}

TEST(x87, trigonometric_operand_out_of_range_stays)
{
    static const uint8_t codes[] = {0xf2, 0xfb, 0xfe, 0xff};
    const struct f80 big = {UINT64_C(1) << 63, 0x3fff + 63};
    for (size_t i = 0; i < sizeof(codes); i++) {
        struct harness *g = harness_create(DECODE_64);
        g->vcpu->run.transcendentals = &constant;
        EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe3));
        st_push(g->vcpu, big);
        EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xd9, codes[i]));
        EXPECT(g->vcpu->arch.fsw & FSW_C2);
        EXPECT_EQ(1, __builtin_popcount(g->vcpu->arch.ftw));
        expect_st(g, 0, big);
        harness_destroy(g);
    }
}

/* ---- quick paths ---- */

static void expect_quick(struct x87_quick q, const struct fp_env *env, uint64_t mant, unsigned se)
{
    EXPECT_EQ(mant, q.value.mant);
    EXPECT_EQ(se, q.value.se);
    EXPECT_EQ(env->flags, q.inexact ? FP_PE : 0);
    EXPECT_EQ(env->c1_up, q.up);
}

TEST(x87, quick_arithmetic_equals_the_softfloat)
{
    static const uint8_t precision[] = {24, 64, 53, 64};
    uint64_t seed = 11, taken = 0;
    struct f80 near = one;
    for (int i = 0; i < 300000; i++) {
        unsigned pc = prng(&seed) & 3, op = prng(&seed) & 3;
        struct f80 a = operand_f80(&seed, near), b = operand_f80(&seed, a);
        near = i % 8 ? a : one;
        if (!f80_is_normal(a) || !f80_is_normal(b))
            continue;
        unsigned fcw = 0x7f | pc << 8;
        struct f80 negated = f80_change_sign(b);
        struct x87_quick q = op == FP_MUL   ? x87_quick_mul(fcw, a, b)
                             : op == FP_DIV ? x87_quick_div(fcw, a, b)
                                            : x87_quick_add(fcw, a, op == FP_SUB ? negated : b);
        if (!q.ok)
            continue;
        struct fp_env env = {.pc = precision[pc], .masks = FP_ALL};
        struct f80 want = f80_arith(&env, (enum fp_op)op, a, b, false);
        expect_quick(q, &env, want.mant, want.se);
        taken++;
    }
    EXPECT(taken > 50000);
}

TEST(x87, quick_doubles_equal_the_softfloat)
{
    struct harness *g = harness_create(DECODE_64);
    uint64_t seed = 12;
    EXPECT_EQ(CPU_EXIT_BUDGET, ONE(g, 0xdb, 0xe3));
    for (int i = 0; i < 100000; i++) {
        struct fp_env env = {.pc = 64, .masks = FP_ALL};
        uint64_t d = operand_f64(&seed, UINT64_C(0x3ff) << 52);
        uint32_t f = operand_f32(&seed, 0x3f800000);
        struct f80 v = operand_f80(&seed, one);
        struct x87_quick q = x87_quick_f64(d);
        struct f80 want = f80_load_f64(&env, d);
        if (q.ok)
            expect_quick(q, &env, want.mant, want.se);
        env.flags = 0;
        q = x87_quick_f32(f);
        want = f80_load_f32(&env, f);
        if (q.ok)
            expect_quick(q, &env, want.mant, want.se);
        env.flags = 0;
        q = x87_quick_to_f64(g->vcpu, v);
        uint64_t stored = f80_store_f64(&env, v);
        if (q.ok)
            expect_quick(q, &env, stored, 0);
    }
    harness_destroy(g);
}

TEST_MAIN(RUN(x87, environment_32_protected) RUN(x87, environment_16_protected)
              RUN(x87, with_ne_0_a_pending_exception_asserts_ferr_unless_ignne)
                  RUN(x87, environment_32_real) RUN(x87, environment_16_real)
                      RUN(x87, device_not_available)
                          RUN(x87, pending_exception_faults_at_the_next_waiting_instruction)
                              RUN(x87, fault_shows_exact_flags)
                                  RUN(x87, unmasking_a_flag_makes_it_pending)
                                      RUN(x87, a_faulting_operand_changes_nothing)
                                          RUN(x87, transcendentals_leave_the_stack_as_documented)
                                              RUN(x87, trigonometric_operand_out_of_range_stays)
                                                  RUN(x87, quick_arithmetic_equals_the_softfloat)
                                                      RUN(x87, quick_doubles_equal_the_softfloat))
