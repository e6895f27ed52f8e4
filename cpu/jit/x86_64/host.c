/* SPDX-License-Identifier: MIT */
/* Which instructions the host's processor has: cpuid.def, asked of the real CPUID. */
#include <cpuid.h>

#include "cpu/cpuid.h"
#include "cpu/jit/x86_64/jit_priv.h"

/* The words that announce instructions translated code may use. 0: none of these. */
static uint32_t host_word(enum cpuid_word word)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    switch (word) {
    case CPUID_1_EDX:
    case CPUID_1_ECX:
        __get_cpuid(1, &a, &b, &c, &d);
        return word == CPUID_1_ECX ? c : d;
    case CPUID_7_EBX:
    case CPUID_7_ECX:
        __get_cpuid_count(7, 0, &a, &b, &c, &d);
        return word == CPUID_7_EBX ? b : c;
    case CPUID_71_EAX:
        return __get_cpuid_count(7, 1, &a, &b, &c, &d) ? a : 0;
    case CPUID_81_ECX:
        __get_cpuid(0x80000001, &a, &b, &c, &d);
        return c;
    default:
        return 0;
    }
}

/* Does the host's system save the YMM registers (SDM 1, 14.3)? AVX may not be used without. */
static bool saves_ymm(void)
{
    unsigned low, high;
    if (!(host_word(CPUID_1_ECX) & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

static const struct {
    uint16_t gate, word, bit;
} announced[] = {
#define FEATURE(name_, word_, bit_, gate_, cr4_, needs_, models_, doc_)                            \
    {.gate = (gate_), .word = (word_), .bit = (bit_)},
#include "cpu/cpuid.def"
#undef FEATURE
};

/* Gates whose instructions are VEX-encoded, or whose registers are YMM. */
static bool needs_ymm(unsigned gate)
{
    return gate == FEAT_AVX || gate == FEAT_AVX2 || gate == FEAT_FMA || gate == FEAT_F16C ||
           gate == FEAT_VAES || gate == FEAT_VPCLMULQDQ || gate == FEAT_AVX_VNNI;
}

void host_features(bool has[FEATURE_COUNT])
{
    uint32_t words[CPUID_WORDS];
    bool ymm = saves_ymm();
    for (unsigned w = 0; w < CPUID_WORDS; w++)
        words[w] = host_word((enum cpuid_word)w);
    for (unsigned i = 0; i < ARRAY_SIZE(announced); i++)
        if (announced[i].gate < FEATURE_COUNT)
            has[announced[i].gate] = (words[announced[i].word] >> announced[i].bit & 1) != 0 &&
                                     (ymm || !needs_ymm(announced[i].gate));
}
