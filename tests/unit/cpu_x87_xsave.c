/* SPDX-License-Identifier: MIT */
/*
 * FXSAVE, the XSAVE family and MXCSR: areas and registers against the host, where it is x86-64 with
 * AVX; the checks that fault, by the manual.
 */
#include "cpu/interp/fxsave.h"
#include "tests/unit/cpu_harness.h"
#include "tests/unit/softfloat_operands.h"

enum { AREA = 1024 };

/* Areas at the same offsets on the host and in the guest. */
struct areas {
    uint8_t full[AREA]; /* restored first: everything in use */
    uint8_t in[AREA];   /* restored second, by the mask */
    uint8_t out[AREA];  /* saved */
};

static struct harness *machine(void)
{
    struct harness *g = harness_create(DECODE_64);
    g->vcpu->arch.cr4 |= CR4_OSXSAVE;
    g->vcpu->arch.xcr0 = XSTATE_KNOWN;
    cpu_update_mmu(g->vcpu);
    g->vcpu->arch.gpr[REG_RDI] = DATA;
    return g;
}

/* One instruction on [rdi + disp] with EDX:EAX = mask. */
static enum cpu_exit step(struct harness *g, const uint8_t *op, size_t n, uint32_t disp,
                          uint64_t mask)
{
    uint8_t code[16] = {0};
    memcpy(code, op, n);
    code[n - 1] |= 0x87; /* [rdi + disp32] */
    le32_store(code + n, disp);
    harness_code(g, code, sizeof(code));
    g->vcpu->arch.gpr[REG_RAX] = mask;
    g->vcpu->arch.gpr[REG_RDX] = mask >> 32;
    return harness_run(g, 1);
}

#define STEP(g, disp, mask, ...)                                                                   \
    step((g), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), (disp),      \
         (mask))

#define FXSAVE_OP 0x0f, 0xae, 0 << 3
#define FXRSTOR_OP 0x0f, 0xae, 1 << 3
#define LDMXCSR_OP 0x0f, 0xae, 2 << 3
#define STMXCSR_OP 0x0f, 0xae, 3 << 3
#define XSAVE_OP 0x0f, 0xae, 4 << 3
#define XRSTOR_OP 0x0f, 0xae, 5 << 3
#define XSAVEOPT_OP 0x0f, 0xae, 6 << 3
#define XSAVEC_OP 0x0f, 0xc7, 4 << 3

static void random_area(uint64_t *seed, uint8_t *area, uint64_t bv)
{
    uint64_t bits = prng(seed);
    for (unsigned i = 0; i < AREA; i++)
        area[i] = (uint8_t)prng(seed);
    le32_store(area + 24, bits & 1 ? MXCSR_INIT : bits & 0xffff);
    le32_store(area + 28, MXCSR_MASK);
    for (unsigned i = 0; i < 8; i++) /* registers are 10 bytes of 16 */
        memset(area + 32 + 16 * i + 10, 0, 6);
    for (unsigned i = 8; i <= 16; i += 8) /* FIP and FDP: canonical */
        le64_store(area + i, (uint64_t)sext(prng(seed), 48));
    area[5] = 0;
    memset(area + 512, 0, 64);
    le64_store(area + 512, bv);
}

#if defined(__x86_64__)

enum { ROUNDS = 4000 };

enum variant { V_XSAVE, V_XSAVE64, V_XSAVEOPT64, V_XSAVEC64, V_FXSAVE, V_FXSAVE64, VARIANTS };

#define RESTORE(insn, area, mask)                                                                  \
    __asm__ volatile(insn : : "m"(*(area)), "a"(mask), "d"(0) : "memory")
#define SAVE(insn, area, mask) __asm__ volatile(insn : "+m"(*(area)) : "a"(mask), "d"(0) : "memory")

/* Between these the compiler must not use vector registers: nothing but the instructions
 * themselves. */
__attribute__((noinline, target("xsave,xsaveopt,xsavec,avx,no-sse"))) static void
host_run(enum variant v, struct areas *a, uint32_t in_mask, uint32_t out_mask)
{
    uint8_t(*out)[AREA] = &a->out;
    RESTORE("xrstor64 %0", &a->full, 7);
    if (v == V_FXSAVE || v == V_FXSAVE64)
        RESTORE("fxrstor64 %0", &a->in, 0);
    else
        RESTORE("xrstor64 %0", &a->in, in_mask);
    switch (v) {
    case V_XSAVE:
        SAVE("xsave %0", out, out_mask);
        break;
    case V_XSAVE64:
        SAVE("xsave64 %0", out, out_mask);
        break;
    case V_XSAVEOPT64:
        SAVE("xsaveopt64 %0", out, out_mask);
        break;
    case V_XSAVEC64:
        SAVE("xsavec64 %0", out, out_mask);
        break;
    case V_FXSAVE:
        SAVE("fxsave %0", out, 0);
        break;
    default:
        SAVE("fxsave64 %0", out, 0);
        break;
    }
    static const uint32_t mxcsr = MXCSR_INIT;
    __asm__ volatile("fninit\n\tvzeroall\n\tldmxcsr %0" : : "m"(mxcsr) : "memory");
}

static void guest_run(struct harness *g, enum variant v, struct areas *a, uint32_t in_mask,
                      uint32_t out_mask)
{
    const uint32_t in = offsetof(struct areas, in), out = offsetof(struct areas, out);
    EXPECT(physmem_write(g->pm, DATA, a, sizeof(*a)));
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, 0, 7, 0x48, XRSTOR_OP));
    if (v == V_FXSAVE || v == V_FXSAVE64)
        EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, in, 0, 0x48, FXRSTOR_OP));
    else
        EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, in, in_mask, 0x48, XRSTOR_OP));
    enum cpu_exit why = v == V_XSAVE        ? STEP(g, out, out_mask, XSAVE_OP)
                        : v == V_XSAVE64    ? STEP(g, out, out_mask, 0x48, XSAVE_OP)
                        : v == V_XSAVEOPT64 ? STEP(g, out, out_mask, 0x48, XSAVEOPT_OP)
                        : v == V_XSAVEC64   ? STEP(g, out, out_mask, 0x48, XSAVEC_OP)
                        : v == V_FXSAVE     ? STEP(g, out, 0, FXSAVE_OP)
                                            : STEP(g, out, 0, 0x48, FXSAVE_OP);
    EXPECT_EQ(CPU_EXIT_BUDGET, why);
    EXPECT(physmem_read(g->pm, DATA, a, sizeof(*a)));
}

/* Some components zero, so that the initial configuration is met too. */
static void random_areas(uint64_t *seed, struct areas *a)
{
    uint64_t bits = prng(seed);
    random_area(seed, a->full, 7);
    random_area(seed, a->in, bits & 7);
    if (bits & 8)
        memset(a->in + 160, 0, 256);
    if (bits & 16)
        memset(a->in + 576, 0, 256);
    if (bits & 32) { /* compacted: XSTATE_BV within XCOMP_BV */
        le64_store(a->in + 520, BIT(63) | 7);
        if (bits & 64)
            le64_store(a->in + 520, BIT(63) | (bits & 7) | 4);
    }
    for (unsigned i = 0; i < AREA; i++)
        a->out[i] = (uint8_t)prng(seed);
    memset(a->out + 512, 0, 64);
    le64_store(a->out + 512, bits >> 8 & 7);
}

static int first_difference(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < AREA; i++)
        if (a[i] != b[i])
            return i;
    return -1;
}

/* AMD parts have MXCSR.MM, and forget FOP, FIP and FDP when no exception is pending. */
static void forget_known(uint8_t *host, uint8_t *ours)
{
    static const uint8_t zero[18];
    if (host[30] == 2 && ours[30] == 0)
        host[30] = 0;
    if (memcmp(host + 6, zero, 18) == 0)
        memset(ours + 6, 0, 18);
}

/*
 * Twice if need be: a task switch of the host between its two instructions may leave a component in
 * use that was in its initial configuration, which is allowed (SDM Vol. 1, "XSAVE-Managed State",
 * XINUSE).
 */
static int compare_with_host(enum variant v, struct areas *want, struct areas *got,
                             uint32_t in_mask, uint32_t out_mask)
{
    uint8_t before[AREA];
    int at = -1;
    memcpy(before, want->out, AREA);
    for (int i = 0; i < 2; i++) {
        memcpy(want->out, before, AREA);
        host_run(v, want, in_mask, out_mask);
        forget_known(want->out, got->out);
        at = first_difference(want->out, got->out);
        if (at < 0)
            break;
    }
    return at;
}

static int run_variant(struct harness *g, enum variant v)
{
    uint64_t seed = 100 + v;
    int bad = 0;
    struct areas *m = aligned_alloc(64, 2 * sizeof(*m));
    struct areas *want = m, *got = m + 1;
    assert_non_null(m);
    for (int i = 0; i < ROUNDS && bad < 4; i++) {
        random_areas(&seed, want);
        *got = *want;
        uint32_t in_mask = prng(&seed) & 7, out_mask = prng(&seed) & 7;
        guest_run(g, v, got, in_mask, out_mask);
        int at = compare_with_host(v, want, got, in_mask, out_mask);
        if (at < 0)
            continue;
        printf("variant %d masks %x %x in bv %x comp %x: byte %d is %02x, ours %02x\n", (int)v,
               in_mask, out_mask, want->in[512], want->in[527], at, want->out[at], got->out[at]);
        bad++;
    }
    free(m);
    return bad;
}

TEST(xsave, areas_equal_the_host)
{
    if (!__builtin_cpu_supports("avx2")) {
        printf("skipped: the host has no AVX\n");
        skip();
    }
    struct harness *g = machine();
    int bad = 0;
    for (unsigned v = 0; v < VARIANTS; v++)
        bad += run_variant(g, (enum variant)v);
    EXPECT_EQ(0, bad);
    harness_destroy(g);
}

#else

TEST(xsave, areas_equal_the_host)
{
    printf("skipped: the host is not x86-64\n");
    skip();
}

#endif

/* ---- faults ---- */

static void expect_fault(struct harness *g, enum cpu_exit why, unsigned vector)
{
    EXPECT_EQ(CPU_EXIT_FAULT, why);
    EXPECT_EQ(vector, g->vcpu->run.fault.vector);
    if (vector == EXC_GP)
        EXPECT_EQ(0, g->vcpu->run.fault.error_code);
}

TEST(fxsave, misaligned_is_gp)
{
    struct harness *g = machine();
    expect_fault(g, STEP(g, 8, 0, FXSAVE_OP), EXC_GP);
    expect_fault(g, STEP(g, 8, 0, FXRSTOR_OP), EXC_GP);
    expect_fault(g, STEP(g, 16, 7, XSAVE_OP), EXC_GP);
    expect_fault(g, STEP(g, 32, 7, XRSTOR_OP), EXC_GP);
    harness_destroy(g);
}

TEST(fxsave, reserved_mxcsr_bits_are_gp_and_change_nothing)
{
    struct harness *g = machine();
    uint8_t area[AREA];
    uint64_t seed = 3;
    random_area(&seed, area, 7);
    area[26] = 1;
    EXPECT(physmem_write(g->pm, DATA, area, AREA));
    struct cpu before = g->vcpu->arch;
    expect_fault(g, STEP(g, 0, 0, FXRSTOR_OP), EXC_GP);
    expect_fault(g, STEP(g, 0, 7, XRSTOR_OP), EXC_GP);
    expect_fault(g, STEP(g, 24, 0, LDMXCSR_OP), EXC_GP);
    EXPECT_EQ(0, memcmp(before.fp_mant, g->vcpu->arch.fp_mant, sizeof(before.fp_mant)));
    EXPECT_EQ(before.mxcsr, g->vcpu->arch.mxcsr);
    EXPECT_EQ(before.fsw, g->vcpu->arch.fsw);
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, 0, 1, XRSTOR_OP)); /* MXCSR is not asked for */
    harness_destroy(g);
}

TEST(fxsave, mxcsr_goes_round)
{
    struct harness *g = machine();
    uint32_t v = 0x5fc0;
    EXPECT(physmem_write(g->pm, DATA, &(uint8_t[]){0xc0, 0x5f, 0, 0}, 4));
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, 0, 0, LDMXCSR_OP));
    EXPECT_EQ(v, g->vcpu->arch.mxcsr);
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, 64, 0, STMXCSR_OP));
    EXPECT_EQ(v, le32_load(g->ram + DATA + 64));
    harness_destroy(g);
}

TEST(xsave, header_is_checked)
{
    static const struct {
        unsigned at;   /* byte of the header */
        uint8_t value; /* put there */
        bool compact;  /* with XCOMP_BV[63] */
        bool faults;   /* expected */
    } cases[] = {
        {0, 8, false, true},   {8, 1, false, true}, {16, 1, false, true}, {24, 1, false, false},
        {63, 1, false, false}, {8, 8, true, true},  {0, 7, true, true},   {16, 1, true, true},
        {63, 1, true, true},   {8, 3, true, false},
    };
    struct harness *g = machine();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t *header = g->ram + DATA + 512;
        memset(g->ram + DATA, 0, AREA);
        header[15] = cases[i].compact ? 0x80 : 0;
        header[cases[i].at] = cases[i].value;
        enum cpu_exit why = STEP(g, 0, 7, XRSTOR_OP);
        if (cases[i].faults)
            expect_fault(g, why, EXC_GP);
        else
            EXPECT_EQ(CPU_EXIT_BUDGET, why);
    }
    harness_destroy(g);
}

TEST(xsave, availability)
{
    struct harness *g = machine();
    g->vcpu->arch.cr0 |= CR0_TS;
    cpu_update_mmu(g->vcpu);
    expect_fault(g, STEP(g, 0, 0, FXSAVE_OP), EXC_NM);
    expect_fault(g, STEP(g, 0, 0, STMXCSR_OP), EXC_NM);
    expect_fault(g, STEP(g, 0, 7, XSAVE_OP), EXC_NM);
    g->vcpu->arch.cr0 = (g->vcpu->arch.cr0 & ~CR0_TS) | CR0_EM;
    cpu_update_mmu(g->vcpu);
    expect_fault(g, STEP(g, 0, 0, FXRSTOR_OP), EXC_NM);
    expect_fault(g, STEP(g, 0, 0, LDMXCSR_OP), EXC_UD);
    EXPECT_EQ(CPU_EXIT_BUDGET, STEP(g, 0, 7, XSAVE_OP));
    g->vcpu->arch.cr4 &= ~CR4_OSXSAVE;
    cpu_update_mmu(g->vcpu);
    expect_fault(g, STEP(g, 0, 7, XSAVE_OP), EXC_UD);
    harness_destroy(g);
}

TEST_MAIN(RUN(xsave, areas_equal_the_host) RUN(fxsave, misaligned_is_gp)
              RUN(fxsave, reserved_mxcsr_bits_are_gp_and_change_nothing)
                  RUN(fxsave, mxcsr_goes_round) RUN(xsave, header_is_checked)
                      RUN(xsave, availability))
