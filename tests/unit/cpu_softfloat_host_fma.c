/* SPDX-License-Identifier: MIT */
/*
 * Fused multiply-add and half precision of the softfloat against the host's FMA3 and F16C, where it
 * has them: random and special operands, every rounding mode, DAZ, FTZ, masked and unmasked
 * exceptions (caught as SIGFPE), results and flags.
 */

#define _GNU_SOURCE /* REG_RIP */

#include "tests/unit/softfloat_operands.h"

#include "tests/test.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

enum { ROUNDS = 120000 };

static void *volatile resume_at; /* where the handler continues: after the instruction under test */

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)sig;
    (void)info;
    uc->uc_mcontext.fpregs->mxcsr |= 0x1f80;
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)resume_at;
}

static void catch_sigfpe(void)
{
    struct sigaction sa = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &sa, NULL);
}

static bool host_has_them(void)
{
    unsigned a, b, c = 0, d;
    return __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

/* One instruction on xmm0, xmm1, xmm2; its result is xmm0. */
#define HOST_OP(name, insn)                                                                        \
    static uint64_t host_##name(uint32_t *csr, uint64_t a, uint64_t b, uint64_t c)                 \
    {                                                                                              \
        uint32_t save;                                                                             \
        __asm__ volatile(                                                                          \
            "stmxcsr %[save]\n\tldmxcsr %[csr]\n\t"                                                \
            "leaq 1f(%%rip), %%rax\n\tmovq %%rax, %[resume]\n\t"                                   \
            "movq %[a], %%xmm0\n\tmovq %[b], %%xmm1\n\tmovq %[c], %%xmm2\n\t" insn                 \
            "\n1:\tstmxcsr %[csr]\n\tldmxcsr %[save]\n\tmovq %%xmm0, %[a]\n\t"                     \
            : [a] "+&r"(a), [csr] "+m"(*csr), [save] "=m"(save), [resume] "=m"(resume_at)          \
            : [b] "r"(b), [c] "r"(c)                                                               \
            : "rax", "xmm0", "xmm1", "xmm2", "memory");                                            \
        return a;                                                                                  \
    }

/* The same by the softfloat. */
#define SOFT(name, expr)                                                                           \
    static uint64_t soft_##name(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c)            \
    {                                                                                              \
        (void)b, (void)c;                                                                          \
        return (uint64_t)(expr);                                                                   \
    }

#define PAIR(name, insn, expr) HOST_OP(name, insn) SOFT(name, expr)

#define A32 ((uint32_t)a)
#define B32 ((uint32_t)b)
#define C32 ((uint32_t)c)
#define HIGH(v) (((v)&UINT64_C(0xffffffff00000000)))
#define BOTH_NEGATED (FP_NEGATE_PRODUCT | FP_NEGATE_ADDEND)

/* DEST, SRC2, SRC3 are a, b, c: the digits of the mnemonic say which are multiplied, in their
 * order. */
/* clang-format off */
PAIR(vfmadd132ss, "vfmadd132ss %%xmm2, %%xmm1, %%xmm0", HIGH(a) | f32_fma(env, A32, C32, B32, 0))
PAIR(vfmadd213ss, "vfmadd213ss %%xmm2, %%xmm1, %%xmm0", HIGH(a) | f32_fma(env, B32, A32, C32, 0))
PAIR(vfmadd231ss, "vfmadd231ss %%xmm2, %%xmm1, %%xmm0", HIGH(a) | f32_fma(env, B32, C32, A32, 0))
PAIR(vfmsub213ss, "vfmsub213ss %%xmm2, %%xmm1, %%xmm0", HIGH(a) | f32_fma(env, B32, A32, C32, FP_NEGATE_ADDEND))
PAIR(vfnmadd213ss, "vfnmadd213ss %%xmm2, %%xmm1, %%xmm0", HIGH(a) | f32_fma(env, B32, A32, C32, FP_NEGATE_PRODUCT))
PAIR(vfnmsub213ss, "vfnmsub213ss %%xmm2, %%xmm1, %%xmm0", HIGH(a) | f32_fma(env, B32, A32, C32, BOTH_NEGATED))
PAIR(vfmadd132sd, "vfmadd132sd %%xmm2, %%xmm1, %%xmm0", f64_fma(env, a, c, b, 0))
PAIR(vfmadd213sd, "vfmadd213sd %%xmm2, %%xmm1, %%xmm0", f64_fma(env, b, a, c, 0))
PAIR(vfmadd231sd, "vfmadd231sd %%xmm2, %%xmm1, %%xmm0", f64_fma(env, b, c, a, 0))
PAIR(vfmsub231sd, "vfmsub231sd %%xmm2, %%xmm1, %%xmm0", f64_fma(env, b, c, a, FP_NEGATE_ADDEND))
PAIR(vfnmadd231sd, "vfnmadd231sd %%xmm2, %%xmm1, %%xmm0", f64_fma(env, b, c, a, FP_NEGATE_PRODUCT))
PAIR(vfnmsub132sd, "vfnmsub132sd %%xmm2, %%xmm1, %%xmm0", f64_fma(env, a, c, b, BOTH_NEGATED))

static uint64_t two_f16(struct fp_env *env, uint64_t v)
{
    uint32_t low = f16_to_f32(env, (uint16_t)v);
    return low | (uint64_t)f16_to_f32(env, (uint16_t)(v >> 16)) << 32;
}

static uint64_t two_f32(struct fp_env *env, uint64_t v, uint8_t rc)
{
    uint16_t low = f32_to_f16(env, (uint32_t)v, rc);
    return low | (uint64_t)f32_to_f16(env, (uint32_t)(v >> 32), rc) << 16;
}

/* Elements 2 and 3 are zeros. */
PAIR(vcvtph2ps, "movl %k[a], %%eax\n\tmovd %%eax, %%xmm0\n\tvcvtph2ps %%xmm0, %%xmm0", two_f16(env, a))
PAIR(vcvtps2ph0, "vcvtps2ph $0, %%xmm0, %%xmm0", two_f32(env, a, FP_RC_NEAREST))
PAIR(vcvtps2ph1, "vcvtps2ph $1, %%xmm0, %%xmm0", two_f32(env, a, FP_RC_DOWN))
PAIR(vcvtps2ph2, "vcvtps2ph $2, %%xmm0, %%xmm0", two_f32(env, a, FP_RC_UP))
PAIR(vcvtps2ph3, "vcvtps2ph $3, %%xmm0, %%xmm0", two_f32(env, a, FP_RC_ZERO))
PAIR(vcvtps2ph4, "vcvtps2ph $4, %%xmm0, %%xmm0", two_f32(env, a, env->rc))
/* clang-format on */

/* What the operands are. */
enum operands { OPS32, OPS64, OPS_HALVES, OPS_TO_HALF };

struct fma_case {
    const char *name;                                                         /* for messages */
    uint64_t (*host)(uint32_t *csr, uint64_t a, uint64_t b, uint64_t c);      /* the CPU */
    uint64_t (*soft)(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c); /* us */
    enum operands operands;                                                   /* kind of a, b, c */
};

#define CASE(name, kind)                                                                           \
    {                                                                                              \
#name, host_##name, soft_##name, kind                                                      \
    }
static const struct fma_case cases[] = {
    CASE(vfmadd132ss, OPS32),      CASE(vfmadd213ss, OPS32),      CASE(vfmadd231ss, OPS32),
    CASE(vfmsub213ss, OPS32),      CASE(vfnmadd213ss, OPS32),     CASE(vfnmsub213ss, OPS32),
    CASE(vfmadd132sd, OPS64),      CASE(vfmadd213sd, OPS64),      CASE(vfmadd231sd, OPS64),
    CASE(vfmsub231sd, OPS64),      CASE(vfnmadd231sd, OPS64),     CASE(vfnmsub132sd, OPS64),
    CASE(vcvtph2ps, OPS_HALVES),   CASE(vcvtps2ph0, OPS_TO_HALF), CASE(vcvtps2ph1, OPS_TO_HALF),
    CASE(vcvtps2ph2, OPS_TO_HALF), CASE(vcvtps2ph3, OPS_TO_HALF), CASE(vcvtps2ph4, OPS_TO_HALF),
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* A single around the range of half precision. */
static uint32_t operand_near_half(uint64_t *seed)
{
    uint64_t v = prng(seed);
    uint32_t e = 127 - 28 + (uint32_t)(v >> 8) % 48;
    return (uint32_t)(v & 1) << 31 | e << 23 | (uint32_t)random_fraction(seed, 23);
}

static uint64_t operand(uint64_t *seed, enum operands kind, uint64_t near)
{
    uint64_t v;
    switch (kind) {
    case OPS32:
        return HIGH(prng(seed)) | operand_f32(seed, (uint32_t)near);
    case OPS64:
        return operand_f64(seed, near);
    case OPS_HALVES:
        return prng(seed);
    default:
        v = prng(seed) & 1 ? operand_near_half(seed) : operand_f32(seed, 0);
        return v << 32 | (prng(seed) & 3 ? operand_near_half(seed) : operand_f32(seed, 0));
    }
}

/* The exact product of a and b, as the host rounds it: an addend near it cancels. */
static uint64_t near_product(const struct fma_case *c, uint64_t a, uint64_t b)
{
    struct fp_env env = {.masks = FP_ALL};
    if (c->operands == OPS32)
        return f32_mul(&env, A32, B32);
    return c->operands == OPS64 ? f64_mul(&env, a, b) : 0;
}

/* Run one case both ways; false and a message on a difference. */
static int agree(const struct fma_case *k, uint64_t a, uint64_t b, uint64_t c, struct fp_env env)
{
    uint32_t csr = (uint32_t)env.rc << 13 | (uint32_t)env.daz << 6 | (uint32_t)env.ftz << 15 |
                   (uint32_t)env.masks << 7 | env.flags;
    uint32_t before = csr;
    uint64_t want = k->host(&csr, a, b, c);
    uint64_t got = k->soft(&env, a, b, c);
    env.flags = fp_sse_settle(env.flags, env.masks);
    int faulted = (env.flags & ~env.masks) != 0;
    if ((csr & FP_ALL) == env.flags && (faulted || want == got))
        return 1;
    printf("%s a=%016llx b=%016llx c=%016llx mxcsr=%04x: host %016llx flags %02x, ours %016llx "
           "flags %02x\n",
           k->name, (unsigned long long)a, (unsigned long long)b, (unsigned long long)c, before,
           (unsigned long long)want, csr & FP_ALL, (unsigned long long)got, env.flags);
    return 0;
}

static int run_case(const struct fma_case *k, uint64_t *seed, int unmasked)
{
    uint64_t bits = prng(seed);
    struct fp_env env = {.rc = bits & 3, .masks = FP_ALL};
    env.daz = (bits >> 2 & 3) == 0;
    env.ftz = (bits >> 4 & 3) == 0;
    if (unmasked)
        env.masks = (uint8_t)(bits >> 16) & FP_ALL;
    uint64_t a = operand(seed, k->operands, 0);
    uint64_t b = operand(seed, k->operands, a);
    uint64_t near = near_product(k, a, b);
    uint64_t c = operand(seed, k->operands, near);
    if ((bits >> 32 & 7) == 0) /* the product but for its sign and a bit */
        c = near ^ (bits >> 35 & 1) << (k->operands == OPS32 ? 31 : 63) ^ (bits >> 36 & 1);
    return !agree(k, a, b, c, env);
}

static int run_cases(uint64_t seed, int rounds, int unmasked)
{
    int bad = 0;
    if (!host_has_them()) {
        print_message("skipped: the host has no FMA3 or no F16C\n");
        skip();
    }
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < CASES && bad < 40; k++)
            bad += run_case(&cases[k], &seed, unmasked);
    return bad;
}

TEST(softfloat_host_fma, masked_results_and_flags_equal_the_host)
{
    EXPECT_EQ(0, run_cases(1, ROUNDS, 0));
}

TEST(softfloat_host_fma, unmasked_exceptions_set_the_flags_of_the_host)
{
    catch_sigfpe();
    EXPECT_EQ(0, run_cases(2, ROUNDS / 12, 1));
}

#else

TEST(softfloat_host_fma, masked_results_and_flags_equal_the_host)
{
    print_message("skipped: the host is not x86-64, there is nothing to compare with\n");
    skip();
}

TEST(softfloat_host_fma, unmasked_exceptions_set_the_flags_of_the_host)
{
    print_message("skipped: the host is not x86-64, there is nothing to compare with\n");
    skip();
}

#endif

TEST_MAIN(RUN(softfloat_host_fma, masked_results_and_flags_equal_the_host)
              RUN(softfloat_host_fma, unmasked_exceptions_set_the_flags_of_the_host))
