/* SPDX-License-Identifier: MIT */
/*
 * MMX and SSE on every host: what must be so before they execute, alignment and faults, exceptions
 * of floating point, MMX state, the estimates, and vectors that would show lanes in the wrong
 * order. cpu_sse_host.c compares all of them with silicon.
 */
#include <math.h>

#include "tests/unit/cpu_harness.h"

/* Run the bytes as one instruction. */
#define INSN(h, ...)                                                                               \
    insn((h), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum cpu_exit insn(struct harness *h, const uint8_t *bytes, size_t n)
{
    harness_code(h, bytes, n);
    h->vcpu->arch.gpr[REG_RSI] = DATA;
    return harness_run(h, 1);
}

/* Did it end in this exception? */
static bool raises(struct harness *h, enum cpu_exit exit, unsigned vector)
{
    return exit == CPU_EXIT_FAULT && h->vcpu->run.fault.vector == vector &&
           h->vcpu->arch.rip == CODE;
}

static void set_xmm(struct harness *h, unsigned n, uint64_t high, uint64_t low)
{
    h->vcpu->arch.ymm[4 * n] = low;
    h->vcpu->arch.ymm[4 * n + 1] = high;
}

#define EXPECT_XMM(h, n, high, low)                                                                \
    do {                                                                                           \
        EXPECT_EQ(UINT64_C(high), (h)->vcpu->arch.ymm[4 * (n) + 1]);                               \
        EXPECT_EQ(UINT64_C(low), (h)->vcpu->arch.ymm[4 * (n)]);                                    \
    } while (0)

static void put(struct harness *h, uint64_t at, uint64_t low, uint64_t high)
{
    uint8_t b[16];
    le64_store(b, low);
    le64_store(b + 8, high);
    EXPECT(physmem_write(h->pm, at, b, sizeof(b)));
}

static uint64_t get(struct harness *h, uint64_t at)
{
    uint8_t b[8];
    EXPECT(physmem_read(h->pm, at, b, sizeof(b)));
    return le64_load(b);
}

static void set_control(struct harness *h, uint64_t cr0, uint64_t cr4)
{
    h->vcpu->arch.cr0 = cr0 | CR0_PE | CR0_ET | CR0_NE;
    h->vcpu->arch.cr4 = cr4;
    cpu_update_mmu(h->vcpu);
}

/* ---- prerequisites ---- */

TEST(sse, em_comes_before_osfxsr_and_both_before_ts)
{
    struct harness *h = harness_create(DECODE_64);
    set_control(h, CR0_EM | CR0_TS, CR4_OSFXSR);
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0xef, 0xc1), EXC_UD)); /* PXOR xmm */
    EXPECT(raises(h, INSN(h, 0x0f, 0xef, 0xc1), EXC_UD));       /* PXOR mm */
    set_control(h, CR0_TS, 0);
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0xef, 0xc1), EXC_UD));
    EXPECT(raises(h, INSN(h, 0x0f, 0x2a, 0xc1), EXC_UD)); /* CVTPI2PS */
    EXPECT(raises(h, INSN(h, 0x0f, 0xef, 0xc1), EXC_NM)); /* MMX needs no OSFXSR */
    EXPECT(raises(h, INSN(h, 0x0f, 0x77), EXC_NM));       /* EMMS */
    set_control(h, CR0_TS, CR4_OSFXSR);
    EXPECT(raises(h, INSN(h, 0xf2, 0x0f, 0x58, 0xc1), EXC_NM));             /* ADDSD */
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0x3a, 0x63, 0xc1, 0), EXC_NM));    /* PCMPISTRI */
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0x38, 0x10, 0xc1), EXC_NM));       /* PBLENDVB */
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0x3a, 0x40, 0xc1, 0xff), EXC_NM)); /* DPPS */
    EXPECT(raises(h, INSN(h, 0x0f, 0x28, 0xc1), EXC_NM));                   /* MOVAPS */
    set_control(h, 0, CR4_OSFXSR);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x66, 0x0f, 0xef, 0xc1));
    harness_destroy(h);
}

TEST(sse, a_pending_x87_exception_comes_before_mmx)
{
    struct harness *h = harness_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    cpu->fcw = 0x37e;
    cpu->fsw = 0x8081 | 5 << 11;
    cpu->ftw = 0x10;
    EXPECT(raises(h, INSN(h, 0x0f, 0xef, 0xc1), EXC_MF));
    EXPECT(raises(h, INSN(h, 0x0f, 0x77), EXC_MF));
    EXPECT_EQ(0x8081 | 5 << 11, cpu->fsw);
    EXPECT_EQ(0x10, cpu->ftw);
    cpu->fcw = 0x37f;
    cpu->fsw = 5 << 11 | 1;
    cpu->fp_mant[1] = 0x55;
    cpu->fp_se[0] = 0;
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x0f, 0x6f, 0xc1)); /* MOVQ mm0, mm1 */
    EXPECT_EQ(0x55, cpu->fp_mant[0]);
    EXPECT_EQ(0xffff, cpu->fp_se[0]);
    EXPECT_EQ(1, cpu->fsw);
    EXPECT_EQ(0xff, cpu->ftw);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x0f, 0x77));
    EXPECT_EQ(0, cpu->ftw);
    harness_destroy(h);
}

TEST(sse, an_mmx_load_that_faults_leaves_the_x87_state)
{
    struct harness *h = harness_create(DECODE_32);
    h->vcpu->arch.seg_limit[SEG_DS] = DATA + 6;
    cpu_update_mode(h->vcpu);
    h->vcpu->arch.fsw = 3 << 11;
    h->vcpu->arch.ftw = 1;
    EXPECT(raises(h, INSN(h, 0x0f, 0x6f, 0x06), EXC_GP)); /* MOVQ mm0, [esi] */
    EXPECT_EQ(3 << 11, h->vcpu->arch.fsw);
    EXPECT_EQ(1, h->vcpu->arch.ftw);
    harness_destroy(h);
}

/* ---- memory ---- */

TEST(sse, sixteen_bytes_must_be_aligned_but_for_the_unaligned_moves)
{
    static const uint8_t faulting[][8] = {
        {5, 0x0f, 0x28, 0x46, 0x08},             /* MOVAPS xmm0, [rsi + 8] */
        {5, 0x0f, 0x29, 0x46, 0x08},             /* MOVAPS [rsi + 8], xmm0 */
        {6, 0x66, 0x0f, 0x6f, 0x46, 0x01},       /* MOVDQA */
        {6, 0x66, 0x0f, 0xe7, 0x46, 0x08},       /* MOVNTDQ */
        {6, 0x66, 0x0f, 0xef, 0x46, 0x04},       /* PXOR */
        {5, 0x0f, 0x58, 0x46, 0x04},             /* ADDPS */
        {6, 0x66, 0x0f, 0x2d, 0x46, 0x08},       /* CVTPD2PI */
        {7, 0x66, 0x0f, 0x38, 0x17, 0x46, 0x08}, /* PTEST */
    };
    static const uint8_t working[][8] = {
        {5, 0x0f, 0x10, 0x46, 0x08},                   /* MOVUPS */
        {5, 0x0f, 0x11, 0x46, 0x08},                   /* MOVUPS to memory */
        {6, 0xf3, 0x0f, 0x6f, 0x46, 0x01},             /* MOVDQU */
        {6, 0xf2, 0x0f, 0xf0, 0x46, 0x03},             /* LDDQU */
        {6, 0xf2, 0x0f, 0x58, 0x46, 0x01},             /* ADDSD */
        {6, 0xf3, 0x0f, 0x5b, 0x46, 0x00},             /* CVTTPS2DQ, aligned */
        {5, 0x0f, 0x5a, 0x46, 0x04},                   /* CVTPS2PD, eight bytes */
        {7, 0x66, 0x0f, 0x3a, 0x63, 0x46, 0x01, 0x0c}, /* PCMPISTRI */
    };
    struct harness *h = harness_create(DECODE_64);
    for (size_t i = 0; i < ARRAY_SIZE(faulting); i++) {
        EXPECT(raises(h, insn(h, faulting[i] + 1, faulting[i][0]), EXC_GP));
        EXPECT_EQ(0, h->vcpu->run.fault.error_code);
    }
    for (size_t i = 0; i < ARRAY_SIZE(working); i++)
        EXPECT_EQ(CPU_EXIT_BUDGET, insn(h, working[i] + 1, working[i][0]));
    harness_destroy(h);
}

TEST(sse, unaligned_moves_cross_pages)
{
    struct harness *h = harness_create(DECODE_64);
    put(h, DATA + 0xff8, UINT64_C(0x1122334455667788), UINT64_C(0x99aabbccddeeff00));
    EXPECT_EQ(CPU_EXIT_BUDGET,
              INSN(h, 0x0f, 0x10, 0x86, 0xf8, 0x0f, 0, 0)); /* MOVUPS xmm0, [rsi + ff8] */
    EXPECT_XMM(h, 0, 0x99aabbccddeeff00, 0x1122334455667788);
    EXPECT_EQ(CPU_EXIT_BUDGET,
              INSN(h, 0x0f, 0x11, 0x86, 0xfd, 0x1f, 0, 0)); /* MOVUPS [rsi + 1ffd], xmm0 */
    EXPECT_EQ(UINT64_C(0x1122334455667788), get(h, DATA + 0x1ffd));
    EXPECT_EQ(UINT64_C(0x99aabbccddeeff00), get(h, DATA + 0x2005));
    harness_destroy(h);
}

TEST(sse, segments_are_checked_outside_64_bit_mode)
{
    struct harness *h = harness_create(DECODE_32);
    put(h, DATA, 1, 2);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x0f, 0x28, 0x06)); /* MOVAPS xmm0, [esi] */
    EXPECT_XMM(h, 0, 2, 1);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x66, 0x0f, 0xd4, 0x06)); /* PADDQ */
    EXPECT_XMM(h, 0, 4, 2);
    h->vcpu->arch.seg_limit[SEG_DS] = h->vcpu->arch.seg_limit[SEG_SS] = DATA + 14;
    cpu_update_mode(h->vcpu);
    EXPECT(raises(h, INSN(h, 0x0f, 0x28, 0x06), EXC_GP));
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0xd4, 0x06), EXC_GP));
    EXPECT(raises(h, INSN(h, 0x36, 0x0f, 0x28, 0x06), EXC_SS)); /* SS: */
    EXPECT(raises(h, INSN(h, 0x36, 0x66, 0x0f, 0xd4, 0x06), EXC_SS));
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0xf3, 0x0f, 0x7e, 0x06)); /* MOVQ: eight bytes fit */
    EXPECT_XMM(h, 0, 0, 1);
    harness_destroy(h);
}

TEST(sse, maskmovdqu_stores_the_chosen_bytes_through_its_segment)
{
    struct harness *h = harness_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    set_xmm(h, 0, UINT64_C(0x0f0e0d0c0b0a0908), UINT64_C(0x0706050403020100));
    set_xmm(h, 1, UINT64_C(0x8000000000000000), UINT64_C(0x00000000007f80ff));
    cpu->gpr[REG_RDI] = DATA;
    put(h, DATA, UINT64_MAX, UINT64_MAX);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x66, 0x0f, 0xf7, 0xc1));
    EXPECT_EQ(UINT64_C(0xffffffffffff0100), get(h, DATA));
    EXPECT_EQ(UINT64_C(0x0fffffffffffffff), get(h, DATA + 8));
    cpu->seg_base[SEG_FS] = 0x1000;
    cpu_update_mode(h->vcpu);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x64, 0x66, 0x0f, 0xf7, 0xc1));
    EXPECT_EQ(UINT64_C(0x0100), get(h, DATA + 0x1000));
    cpu->gpr[REG_RDI] = UINT64_C(0x8000000000000000);
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0xf7, 0xc1), EXC_GP)); /* not canonical */
    set_xmm(h, 1, 0, 0);
    EXPECT(raises(h, INSN(h, 0x66, 0x0f, 0xf7, 0xc1), EXC_GP)); /* an empty mask is checked too */
    harness_destroy(h);
}

/* ---- floating point ---- */

TEST(sse, an_unmasked_exception_is_xm_or_ud_and_writes_only_mxcsr)
{
    struct harness *h = harness_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    cpu->mxcsr = 0x1f80 & ~0x200u; /* ZM clear */
    set_xmm(h, 0, 7, UINT64_C(0x3ff0000000000000));
    set_xmm(h, 1, 9, 0);
    EXPECT(raises(h, INSN(h, 0xf2, 0x0f, 0x5e, 0xc1), EXC_XM)); /* DIVSD */
    EXPECT_EQ(0x1d84, cpu->mxcsr);
    EXPECT_XMM(h, 0, 7, 0x3ff0000000000000);
    set_control(h, 0, CR4_OSFXSR);
    EXPECT(raises(h, INSN(h, 0xf2, 0x0f, 0x5e, 0xc1), EXC_UD));
    cpu->mxcsr = 0x1f80;
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0xf2, 0x0f, 0x5e, 0xc1));
    EXPECT_EQ(0x1f84, cpu->mxcsr);
    EXPECT_XMM(h, 0, 7, 0x7ff0000000000000);
    harness_destroy(h);
}

/* The host's arithmetic is used only once PE is sticky; both ways must agree. */
TEST(sse, the_short_cut_and_the_softfloat_agree)
{
    struct harness *h = harness_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    static const uint8_t ops[] = {0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f, 0x51};
    for (unsigned i = 0; i < ARRAY_SIZE(ops) * 4; i++) {
        static const uint8_t prefix[] = {0xf2, 0xf3, 0x66, 0x67}; /* 67 stands for none */
        uint64_t result[2][2];
        for (unsigned sticky = 0; sticky < 2; sticky++) {
            cpu->mxcsr = 0x1f80 | sticky << 5;
            set_xmm(h, 0, UINT64_C(0x3fb999993fb99999), UINT64_C(0x4009999a40490fdb));
            set_xmm(h, 1, UINT64_C(0x4008000040400000), UINT64_C(0x3ff3333340133333));
            EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, prefix[i & 3], 0x0f, ops[i >> 2], 0xc1));
            result[sticky][0] = cpu->ymm[0];
            result[sticky][1] = cpu->ymm[1];
        }
        EXPECT_EQ(result[0][0], result[1][0]);
        EXPECT_EQ(result[0][1], result[1][1]);
    }
    harness_destroy(h);
}

static float as_float(uint32_t v)
{
    float f;
    memcpy(&f, &v, sizeof(f));
    return f;
}

/* RCPSS (53) or RSQRTSS (52) of a. */
static uint32_t estimate(struct harness *h, uint8_t op, uint32_t a)
{
    set_xmm(h, 0, 1, UINT64_C(0x5555555500000000));
    set_xmm(h, 1, 0, a);
    h->vcpu->arch.rip = CODE;
    if (op)
        EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0xf3, 0x0f, op, 0xc1));
    else
        EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 1));
    EXPECT_EQ(0x55555555, h->vcpu->arch.ymm[0] >> 32);
    EXPECT_EQ(1, h->vcpu->arch.ymm[1]);
    return (uint32_t)h->vcpu->arch.ymm[0];
}

TEST(sse, estimates_keep_within_the_manuals_error)
{
    struct harness *h = harness_create(DECODE_64);
    const double bound = 1.5 / 4096;
    estimate(h, 0x53, 0x3f800000);
    for (uint32_t a = 0x3f800000; a < 0x40000000; a += 37)
        EXPECT(fabs((double)as_float(estimate(h, 0, a)) * (double)as_float(a) - 1) <= bound);
    estimate(h, 0x52, 0x3f800000);
    for (uint32_t a = 0x3f800000; a < 0x40800000; a += 37)
        EXPECT(fabs((double)as_float(estimate(h, 0, a)) * sqrt((double)as_float(a)) - 1) <= bound);
    EXPECT_EQ(0x1f80, h->vcpu->arch.mxcsr);
    harness_destroy(h);
}

TEST(sse, estimates_of_special_numbers)
{
    static const uint32_t rcp[][2] = {
        {0, 0x7f800000},          {0x80000000, 0xff800000}, {0x007fffff, 0x7f800000},
        {0x7f800000, 0},          {0xff800000, 0x80000000}, {0x7f800001, 0x7fc00001},
        {0xffc12345, 0xffc12345}, {0x7f000000, 0},          {0xfe800001, 0x80000000},
        {0x3f800000, 0x3f7ff000}, {0x00800000, 0x7e7ff000},
    };
    static const uint32_t rsqrt[][2] = {
        {0, 0x7f800000},          {0x80000000, 0xff800000}, {0x807fffff, 0xff800000},
        {0x7f800000, 0},          {0xff800000, 0xffc00000}, {0xbf800000, 0xffc00000},
        {0x7f800001, 0x7fc00001}, {0xff812345, 0xffc12345}, {0x3f800000, 0x3f7ff000},
        {0x40000000, 0x3f34f800}, {0x00800000, 0x5efff000},
    };
    struct harness *h = harness_create(DECODE_64);
    for (size_t i = 0; i < ARRAY_SIZE(rcp); i++)
        EXPECT_EQ(rcp[i][1], estimate(h, 0x53, rcp[i][0]));
    for (size_t i = 0; i < ARRAY_SIZE(rsqrt); i++)
        EXPECT_EQ(rsqrt[i][1], estimate(h, 0x52, rsqrt[i][0]));
    harness_destroy(h);
}

/* ---- lanes in their order ---- */

/* One register instruction on xmm0, xmm1 by bytes, and what xmm0 is then. */
struct vector {
    uint8_t len;      /* of the instruction */
    uint8_t code[6];  /* the instruction */
    uint64_t want[2]; /* high, low of XMM0 */
};

TEST(sse, lanes_keep_their_order)
{
    static const struct vector vectors[] = {
        {4,
         {0x66, 0x0f, 0x60, 0xc1},
         {UINT64_C(0x1707160615051404), UINT64_C(0x1303120211011000)}}, /* PUNPCKLBW */
        {4,
         {0x66, 0x0f, 0x68, 0xc1},
         {UINT64_C(0x1f0f1e0e1d0d1c0c), UINT64_C(0x1b0b1a0a19091808)}}, /* PUNPCKHBW */
        {4,
         {0x66, 0x0f, 0x61, 0xc1},
         {UINT64_C(0x1716070615140504), UINT64_C(0x1312030211100100)}}, /* PUNPCKLWD */
        {4,
         {0x66, 0x0f, 0x6a, 0xc1},
         {UINT64_C(0x1f1e1d1c0f0e0d0c), UINT64_C(0x1b1a19180b0a0908)}}, /* PUNPCKHDQ */
        {4,
         {0x66, 0x0f, 0x6c, 0xc1},
         {UINT64_C(0x1716151413121110), UINT64_C(0x0706050403020100)}}, /* PUNPCKLQDQ */
        {5,
         {0x66, 0x0f, 0x70, 0xc1, 0x1b},
         {UINT64_C(0x1312111017161514), UINT64_C(0x1b1a19181f1e1d1c)}}, /* PSHUFD */
        {5,
         {0xf2, 0x0f, 0x70, 0xc1, 0x1b},
         {UINT64_C(0x1f1e1d1c1b1a1918), UINT64_C(0x1110131215141716)}}, /* PSHUFLW */
        {5,
         {0xf3, 0x0f, 0x70, 0xc1, 0x1b},
         {UINT64_C(0x19181b1a1d1c1f1e), UINT64_C(0x1716151413121110)}}, /* PSHUFHW */
        {4,
         {0x0f, 0xc6, 0xc1, 0xe1},
         {UINT64_C(0x1f1e1d1c1b1a1918), UINT64_C(0x0302010007060504)}}, /* SHUFPS */
        {4,
         {0x66, 0x0f, 0x67, 0xc1},
         {UINT64_C(0xffffffffffffffff), UINT64_C(0xffffffffffffffff)}}, /* PACKUSWB */
        {5,
         {0x66, 0x0f, 0x73, 0xd8, 3},
         {UINT64_C(0x0000000f0e0d0c0b), UINT64_C(0x0a09080706050403)}}, /* PSRLDQ */
        {5,
         {0x66, 0x0f, 0x73, 0xf8, 3},
         {UINT64_C(0x0c0b0a0908070605), UINT64_C(0x0403020100000000)}}, /* PSLLDQ */
        {5,
         {0x66, 0x0f, 0x38, 0x00, 0xc0},
         {UINT64_C(0x0f0e0d0c0b0a0908), UINT64_C(0x0706050403020100)}}, /* PSHUFB */
        {6,
         {0x66, 0x0f, 0x3a, 0x0f, 0xc1, 4},
         {UINT64_C(0x030201001f1e1d1c), UINT64_C(0x1b1a191817161514)}}, /* PALIGNR */
        {5,
         {0x66, 0x0f, 0x38, 0x20, 0xc1},
         {UINT64_C(0x0017001600150014), UINT64_C(0x0013001200110010)}},        /* PMOVSXBW */
        {5, {0x66, 0x0f, 0x38, 0x32, 0xc1}, {UINT64_C(0x11), UINT64_C(0x10)}}, /* PMOVZXBQ */
        {5,
         {0x66, 0x0f, 0xc4, 0xc1, 5},
         {UINT64_C(0x0f0e0d0c89010908), UINT64_C(0x0706050403020100)}}, /* PINSRW */
        {6,
         {0x66, 0x0f, 0x3a, 0x20, 0xc1, 3},
         {UINT64_C(0x0f0e0d0c0b0a0908), UINT64_C(0x0706050401020100)}}, /* PINSRB */
        {6,
         {0x66, 0x0f, 0x3a, 0x21, 0xc1, 0x61},
         {UINT64_C(0x0f0e0d0c17161514), UINT64_C(0x0706050400000000)}}, /* INSERTPS */
        {6,
         {0x66, 0x0f, 0x3a, 0x0e, 0xc1, 0x41},
         {UINT64_C(0x0f0e1d1c0b0a0908), UINT64_C(0x0706050403021110)}}, /* PBLENDW */
        {5,
         {0x66, 0x0f, 0x38, 0x01, 0xc1},
         {UINT64_C(0x3c3a34322c2a2422), UINT64_C(0x1c1a14120c0a0402)}}, /* PHADDW */
    };
    struct harness *h = harness_create(DECODE_64);
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        set_xmm(h, 0, UINT64_C(0x0f0e0d0c0b0a0908), UINT64_C(0x0706050403020100));
        set_xmm(h, 1, UINT64_C(0x1f1e1d1c1b1a1918), UINT64_C(0x1716151413121110));
        h->vcpu->arch.gpr[REG_RCX] = UINT64_C(0x2345678989018901);
        EXPECT_EQ(CPU_EXIT_BUDGET, insn(h, vectors[i].code, vectors[i].len));
        EXPECT_EQ(vectors[i].want[0], h->vcpu->arch.ymm[1]);
        EXPECT_EQ(vectors[i].want[1], h->vcpu->arch.ymm[0]);
    }
    harness_destroy(h);
}

/* FIPS 197, appendix B: the first round of the example cipher. */
TEST(sse, aes_round_of_fips_197)
{
    struct harness *h = harness_create(DECODE_64);
    set_xmm(h, 0, UINT64_C(0x0848f8e92a8dc69a), UINT64_C(0x2be2f4a0bee33d19));
    set_xmm(h, 1, UINT64_C(0x05766c2a3939a323), UINT64_C(0xb12c548817fefaa0));
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x66, 0x0f, 0x38, 0xdc, 0xc1)); /* AESENC */
    EXPECT_XMM(h, 0, 0x49506a0243ea5b6b, 0x2b359f68f27f9ca4);
    harness_destroy(h);
}

TEST(sse, strings_and_products_without_carries)
{
    struct harness *h = harness_create(DECODE_64);
    struct cpu *cpu = &h->vcpu->arch;
    set_xmm(h, 0, 0, 0x6c6c);                   /* "ll" */
    set_xmm(h, 1, 0, UINT64_C(0x006f6c6c6568)); /* "hello" */
    EXPECT_EQ(CPU_EXIT_BUDGET,
              INSN(h, 0x66, 0x0f, 0x3a, 0x63, 0xc1, 0x0c)); /* PCMPISTRI, equal ordered */
    EXPECT_EQ(2, cpu->gpr[REG_RCX]);
    EXPECT_EQ(F_CF | F_ZF | F_SF, cpu->rflags & F_OSZAPC);
    EXPECT_EQ(CPU_EXIT_BUDGET,
              INSN(h, 0x66, 0x0f, 0x3a, 0x62, 0xc1, 0x40)); /* PCMPISTRM, any of, bytes */
    EXPECT_XMM(h, 0, 0, 0x00ffff0000);
    set_xmm(h, 0, 0, UINT64_C(0x8000000000000003));
    set_xmm(h, 1, UINT64_C(0x8000000000000001), 0);
    EXPECT_EQ(CPU_EXIT_BUDGET, INSN(h, 0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x10)); /* PCLMULQDQ */
    EXPECT_XMM(h, 0, 0x4000000000000001, 0x0000000000000003);
    harness_destroy(h);
}

TEST_MAIN(RUN(sse, em_comes_before_osfxsr_and_both_before_ts)
              RUN(sse, a_pending_x87_exception_comes_before_mmx)
                  RUN(sse, an_mmx_load_that_faults_leaves_the_x87_state)
                      RUN(sse, sixteen_bytes_must_be_aligned_but_for_the_unaligned_moves)
                          RUN(sse, unaligned_moves_cross_pages)
                              RUN(sse, segments_are_checked_outside_64_bit_mode) RUN(
                                  sse, maskmovdqu_stores_the_chosen_bytes_through_its_segment)
                                  RUN(sse, an_unmasked_exception_is_xm_or_ud_and_writes_only_mxcsr)
                                      RUN(sse, the_short_cut_and_the_softfloat_agree)
                                          RUN(sse, estimates_keep_within_the_manuals_error)
                                              RUN(sse, estimates_of_special_numbers)
                                                  RUN(sse, lanes_keep_their_order)
                                                      RUN(sse, aes_round_of_fips_197)
                                                          RUN(sse,
                                                              strings_and_products_without_carries))
