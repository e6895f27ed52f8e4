/* SPDX-License-Identifier: MIT */
/*
 * The softfloat against the SSE unit of the host, where the host is x86-64: random and special
 * operands, every rounding mode, DAZ, FTZ, masked and unmasked exceptions (caught as SIGFPE),
 * results and flags.
 */

#define _GNU_SOURCE /* REG_RIP */

#include "tests/unit/softfloat_operands.h"

#include "cpu/softfloat/sse_fast.h"
#include "tests/test.h"

#if defined(__x86_64__)

#include <signal.h>
#include <string.h>
#include <ucontext.h>

enum { ROUNDS = 60000 };

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

/* One instruction on xmm0 := op(xmm0, xmm1), with %[r] for integer results and %[i] for integer
 * input. */
#define HOST_OP(name, insn)                                                                        \
    static uint64_t host_##name(uint32_t *csr, uint64_t a, uint64_t b)                             \
    {                                                                                              \
        uint64_t r = 0;                                                                            \
        uint32_t save;                                                                             \
        __asm__ volatile("stmxcsr %[save]\n\tldmxcsr %[csr]\n\t"                                   \
                         "leaq 1f(%%rip), %%rax\n\tmovq %%rax, %[resume]\n\t"                      \
                         "movq %[a], %%xmm0\n\tmovq %[b], %%xmm1\n\t" insn "\n"                    \
                         "1:\tstmxcsr %[csr]\n\tldmxcsr %[save]\n\t"                               \
                         "movq %%xmm0, %[a]\n\t"                                                   \
                         : [r] "+&r"(r), [a] "+&r"(a), [csr] "+m"(*csr), [save] "=m"(save),        \
                           [resume] "=m"(resume_at)                                                \
                         : [b] "r"(b)                                                              \
                         : "rax", "xmm0", "xmm1", "cc", "memory");                                 \
        return HAS_R(insn) ? r : a;                                                                \
    }
#define HAS_R(insn) (strstr(insn, "[r]") != NULL)

/* What the softfloat has for the same instruction. */
typedef uint64_t soft_fn(struct fp_env *env, uint64_t a, uint64_t b);

#define SOFT(name, expr)                                                                           \
    static uint64_t soft_##name(struct fp_env *env, uint64_t a, uint64_t b)                        \
    {                                                                                              \
        (void)a, (void)b, (void)env;                                                               \
        return (uint64_t)(expr);                                                                   \
    }

#define PAIR(name, insn, expr) HOST_OP(name, insn) SOFT(name, expr)

#define A32 ((uint32_t)a)
#define B32 ((uint32_t)b)
#define HIGH(v) (((v)&UINT64_C(0xffffffff00000000)))

/* clang-format off */
/* Single precision leaves the upper half of the low quadword of DEST (or of nothing) alone: a. */
PAIR(addss, "addss %%xmm1, %%xmm0", HIGH(a) | sse_add32(env, A32, B32))
PAIR(subss, "subss %%xmm1, %%xmm0", HIGH(a) | sse_sub32(env, A32, B32))
PAIR(mulss, "mulss %%xmm1, %%xmm0", HIGH(a) | sse_mul32(env, A32, B32))
PAIR(divss, "divss %%xmm1, %%xmm0", HIGH(a) | sse_div32(env, A32, B32))
PAIR(sqrtss, "sqrtss %%xmm1, %%xmm0", HIGH(a) | sse_sqrt32(env, B32))
PAIR(minss, "minss %%xmm1, %%xmm0", HIGH(a) | f32_min(env, A32, B32))
PAIR(maxss, "maxss %%xmm1, %%xmm0", HIGH(a) | f32_max(env, A32, B32))
PAIR(addsd, "addsd %%xmm1, %%xmm0", sse_add64(env, a, b))
PAIR(subsd, "subsd %%xmm1, %%xmm0", sse_sub64(env, a, b))
PAIR(mulsd, "mulsd %%xmm1, %%xmm0", sse_mul64(env, a, b))
PAIR(divsd, "divsd %%xmm1, %%xmm0", sse_div64(env, a, b))
PAIR(sqrtsd, "sqrtsd %%xmm1, %%xmm0", sse_sqrt64(env, b))
PAIR(minsd, "minsd %%xmm1, %%xmm0", f64_min(env, a, b))
PAIR(maxsd, "maxsd %%xmm1, %%xmm0", f64_max(env, a, b))

/* Relation as CMPxx masks would show it: here as ZF PF CF of (U)COMISx in bits 2, 1, 0. */
static uint64_t eflags_of(enum fp_relation r)
{
    return r == FP_UNORDERED ? 7 : r == FP_EQUAL ? 4 : r == FP_LESS ? 1 : 0;
}
PAIR(cmpltss, "cmpltss %%xmm1, %%xmm0", HIGH(a) | (f32_compare(env, A32, B32, true) == FP_LESS ? 0xffffffff : 0))
PAIR(cmpeqss, "cmpeqss %%xmm1, %%xmm0", HIGH(a) | (f32_compare(env, A32, B32, false) == FP_EQUAL ? 0xffffffff : 0))
PAIR(cmpunordss, "cmpunordss %%xmm1, %%xmm0", HIGH(a) | (f32_compare(env, A32, B32, false) == FP_UNORDERED ? 0xffffffff : 0))
PAIR(cmplesd, "cmplesd %%xmm1, %%xmm0", f64_compare(env, a, b, true) == FP_LESS || f64_compare(env, a, b, true) == FP_EQUAL ? UINT64_MAX : 0)
PAIR(cmpneqsd, "cmpneqsd %%xmm1, %%xmm0", f64_compare(env, a, b, false) != FP_EQUAL ? UINT64_MAX : 0)
PAIR(ucomiss_c, "xorq %[r], %[r]\n\tucomiss %%xmm1, %%xmm0\n\tsetc %b[r]", eflags_of(f32_compare(env, A32, B32, false)) & 1)
PAIR(comiss_p, "xorq %[r], %[r]\n\tcomiss %%xmm1, %%xmm0\n\tsetp %b[r]", eflags_of(f32_compare(env, A32, B32, true)) >> 1 & 1)
PAIR(ucomisd_z, "xorq %[r], %[r]\n\tucomisd %%xmm1, %%xmm0\n\tsetz %b[r]", eflags_of(f64_compare(env, a, b, false)) >> 2)
PAIR(comisd_c, "xorq %[r], %[r]\n\tcomisd %%xmm1, %%xmm0\n\tsetc %b[r]", eflags_of(f64_compare(env, a, b, true)) & 1)

PAIR(cvtss2sd, "cvtss2sd %%xmm1, %%xmm0", f32_to_f64(env, B32))
PAIR(cvtsd2ss, "cvtsd2ss %%xmm1, %%xmm0", HIGH(a) | f64_to_f32(env, b))
PAIR(cvtss2si, "cvtss2si %%xmm1, %k[r]", (uint32_t)f32_to_i32(env, B32, env->rc))
PAIR(cvtss2siq, "cvtss2siq %%xmm1, %[r]", f32_to_i64(env, B32, env->rc))
PAIR(cvttss2si, "cvttss2si %%xmm1, %k[r]", (uint32_t)f32_to_i32(env, B32, FP_RC_ZERO))
PAIR(cvttss2siq, "cvttss2siq %%xmm1, %[r]", f32_to_i64(env, B32, FP_RC_ZERO))
PAIR(cvtsd2si, "cvtsd2si %%xmm1, %k[r]", (uint32_t)f64_to_i32(env, b, env->rc))
PAIR(cvtsd2siq, "cvtsd2siq %%xmm1, %[r]", f64_to_i64(env, b, env->rc))
PAIR(cvttsd2si, "cvttsd2si %%xmm1, %k[r]", (uint32_t)f64_to_i32(env, b, FP_RC_ZERO))
PAIR(cvttsd2siq, "cvttsd2siq %%xmm1, %[r]", f64_to_i64(env, b, FP_RC_ZERO))
PAIR(cvtsi2ss, "cvtsi2ss %k[b], %%xmm0", HIGH(a) | f32_from_i32(env, (int32_t)b))
PAIR(cvtsi2ssq, "cvtsi2ssq %[b], %%xmm0", HIGH(a) | f32_from_i64(env, (int64_t)b))
PAIR(cvtsi2sd, "cvtsi2sd %k[b], %%xmm0", f64_from_i32(env, (int32_t)b))
PAIR(cvtsi2sdq, "cvtsi2sdq %[b], %%xmm0", f64_from_i64(env, (int64_t)b))
PAIR(roundss0, "roundss $0, %%xmm1, %%xmm0", HIGH(a) | f32_round(env, B32, 0, false))
PAIR(roundss9, "roundss $9, %%xmm1, %%xmm0", HIGH(a) | f32_round(env, B32, 1, true))
PAIR(roundsd4, "roundsd $4, %%xmm1, %%xmm0", f64_round(env, b, env->rc, false))
PAIR(roundsd11, "roundsd $11, %%xmm1, %%xmm0", f64_round(env, b, 3, true))
/* clang-format on */

/* What the operands are. */
enum operands { OPS32, OPS64, OPS_INT };

struct sse_case {
    const char *name;                                        /* for messages */
    uint64_t (*host)(uint32_t *csr, uint64_t a, uint64_t b); /* the CPU */
    soft_fn *soft;                                           /* us */
    enum operands operands;                                  /* kind of a and b */
};

#define CASE(name, kind)                                                                           \
    {                                                                                              \
#name, host_##name, soft_##name, kind                                                      \
    }
static const struct sse_case cases[] = {
    CASE(addss, OPS32),       CASE(subss, OPS32),       CASE(mulss, OPS32),
    CASE(divss, OPS32),       CASE(sqrtss, OPS32),      CASE(minss, OPS32),
    CASE(maxss, OPS32),       CASE(addsd, OPS64),       CASE(subsd, OPS64),
    CASE(mulsd, OPS64),       CASE(divsd, OPS64),       CASE(sqrtsd, OPS64),
    CASE(minsd, OPS64),       CASE(maxsd, OPS64),       CASE(cmpltss, OPS32),
    CASE(cmpeqss, OPS32),     CASE(cmpunordss, OPS32),  CASE(cmplesd, OPS64),
    CASE(cmpneqsd, OPS64),    CASE(ucomiss_c, OPS32),   CASE(comiss_p, OPS32),
    CASE(ucomisd_z, OPS64),   CASE(comisd_c, OPS64),    CASE(cvtss2sd, OPS32),
    CASE(cvtsd2ss, OPS64),    CASE(cvtss2si, OPS32),    CASE(cvtss2siq, OPS32),
    CASE(cvttss2si, OPS32),   CASE(cvttss2siq, OPS32),  CASE(cvtsd2si, OPS64),
    CASE(cvtsd2siq, OPS64),   CASE(cvttsd2si, OPS64),   CASE(cvttsd2siq, OPS64),
    CASE(cvtsi2ss, OPS_INT),  CASE(cvtsi2ssq, OPS_INT), CASE(cvtsi2sd, OPS_INT),
    CASE(cvtsi2sdq, OPS_INT), CASE(roundss0, OPS32),    CASE(roundss9, OPS32),
    CASE(roundsd4, OPS64),    CASE(roundsd11, OPS64),
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static uint64_t operand(uint64_t *seed, enum operands kind, uint64_t near)
{
    if (kind == OPS32)
        return HIGH(prng(seed)) | operand_f32(seed, (uint32_t)near);
    if (kind == OPS64)
        return operand_f64(seed, near);
    return operand_integer(seed);
}

/* Run one case both ways; false and a message on a difference. */
static int agree(const struct sse_case *c, uint64_t a, uint64_t b, struct fp_env env)
{
    uint32_t csr = (uint32_t)env.rc << 13 | (uint32_t)env.daz << 6 | (uint32_t)env.ftz << 15 |
                   (uint32_t)env.masks << 7 | env.flags;
    uint32_t before = csr;
    uint64_t want = c->host(&csr, a, b);
    uint64_t got = c->soft(&env, a, b);
    env.flags = fp_sse_settle(env.flags, env.masks);
    int faulted = (env.flags & ~env.masks) != 0;
    if ((csr & FP_ALL) == env.flags && (faulted || want == got))
        return 1;
    printf("%s a=%016llx b=%016llx mxcsr=%04x: host %016llx flags %02x, ours %016llx flags %02x\n",
           c->name, (unsigned long long)a, (unsigned long long)b, before, (unsigned long long)want,
           csr & FP_ALL, (unsigned long long)got, env.flags);
    return 0;
}

static int run_cases(uint64_t seed, int rounds, int unmasked)
{
    int bad = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < CASES && bad < 40; k++) {
            uint64_t bits = prng(&seed);
            struct fp_env env = {.rc = bits & 3, .masks = FP_ALL};
            env.daz = (bits >> 2 & 3) == 0;
            env.ftz = (bits >> 4 & 3) == 0;
            if (unmasked)
                env.masks = (uint8_t)(bits >> 16) & FP_ALL;
            else if ((bits >> 6 & 1) != 0)
                env.flags = (uint8_t)(FP_PE | (bits >> 24 & FP_ALL));
            uint64_t a = operand(&seed, cases[k].operands, 0);
            uint64_t b = operand(&seed, cases[k].operands, a);
            bad += !agree(&cases[k], a, b, env);
        }
    }
    return bad;
}

TEST(softfloat_host_sse, masked_results_and_flags_equal_the_host)
{
    EXPECT_EQ(0, run_cases(1, ROUNDS, 0));
}

TEST(softfloat_host_sse, unmasked_exceptions_set_the_flags_of_the_host)
{
    catch_sigfpe();
    EXPECT_EQ(0, run_cases(2, ROUNDS / 12, 1));
}

#else

TEST(softfloat_host_sse, masked_results_and_flags_equal_the_host)
{
    print_message("skipped: the host is not x86-64, there is no SSE unit to compare with\n");
    skip();
}

TEST(softfloat_host_sse, unmasked_exceptions_set_the_flags_of_the_host)
{
    print_message("skipped: the host is not x86-64, there is no SSE unit to compare with\n");
    skip();
}

#endif

TEST_MAIN(RUN(softfloat_host_sse, masked_results_and_flags_equal_the_host)
              RUN(softfloat_host_sse, unmasked_exceptions_set_the_flags_of_the_host))
