/* SPDX-License-Identifier: MIT */
/* What the host's processor may not have is not in the code. */
#if defined(__x86_64__)
#include "cpu/jit/x86_64/jit_priv.h"
#undef RUN /* a field of struct run; and a test */
#include "tests/unit/cpu_harness.h"

/* RORX of 64 bits: C4, map 0F3A, W1 and F2, F0. */
static unsigned rorx_in(const struct code_memory *m)
{
    unsigned count = 0;
    for (const uint8_t *p = m->run; p + 4 <= m->run + m->used; p++)
        count += p[0] == 0xc4 && (p[1] & 0x1f) == 3 && p[2] == 0xfb && p[3] == 0xf0;
    return count;
}

/* mov rax, [rbx]; jmp rsi, again and again: a probe and a computed jump. */
static unsigned rorx_made(bool plain_host, bool *has_bmi2)
{
    static const uint8_t code[] = {0x48, 0x8b, 0x03, 0xff, 0xe6};
    struct harness *h = harness_create(DECODE_64);
    struct jit *jit = jit_create(
        &(struct jit_config){.threshold = 1, .cache = 1 * MiB, .plain_host = plain_host});
    assert_non_null(jit);
    harness_set_jit(h, jit);
    harness_code(h, code, sizeof(code));
    h->vcpu->arch.gpr[REG_RBX] = DATA;
    h->vcpu->arch.gpr[REG_RSI] = CODE;
    EXPECT_EQ(CPU_EXIT_BUDGET, harness_run(h, 200));
    EXPECT(jit_stats(jit).lowered >= 2);
    *has_bmi2 = jit->host_has[FEAT_BMI2];
    unsigned count = rorx_in(&jit->memory);
    harness_set_jit(h, NULL);
    jit_destroy(jit);
    harness_destroy(h);
    return count;
}

TEST(jit_host, rorx_is_for_hosts_that_have_it)
{
    bool has_bmi2;
    EXPECT_EQ(0, rorx_made(true, &has_bmi2));
    EXPECT(!has_bmi2);
    unsigned count = rorx_made(false, &has_bmi2);
    EXPECT(has_bmi2 ? count >= 2 : count == 0);
}

TEST_MAIN(RUN(jit_host, rorx_is_for_hosts_that_have_it))
#else
int main(void)
{
    return 0;
}
#endif
