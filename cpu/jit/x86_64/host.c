/* SPDX-License-Identifier: MIT */
/* Which instructions the host's processor has: cpuid.def, asked of the real CPUID. */
#include "cpu/cpuid.h"
#include "cpu/jit/x86_64/jit_priv.h"

struct leaf {
    uint32_t eax, ebx, ecx, edx;
};

static struct leaf host_leaf(uint32_t leaf, uint32_t sub_leaf)
{
    struct leaf l;
    __asm__("cpuid"
            : "=a"(l.eax), "=b"(l.ebx), "=c"(l.ecx), "=d"(l.edx)
            : "a"(leaf), "c"(sub_leaf));
    return l;
}

/* The words that announce instructions translated code may use; the rest is 0. */
static void host_words(uint32_t words[CPUID_WORDS])
{
    struct leaf basic = host_leaf(0, 0), l = host_leaf(1, 0);
    words[CPUID_1_EDX] = l.edx;
    words[CPUID_1_ECX] = l.ecx;
    if (basic.eax >= 7) {
        l = host_leaf(7, 0);
        words[CPUID_7_EBX] = l.ebx;
        words[CPUID_7_ECX] = l.ecx;
        words[CPUID_71_EAX] = l.eax >= 1 ? host_leaf(7, 1).eax : 0;
    }
    words[CPUID_81_ECX] = host_leaf(0x80000001, 0).ecx; /* every x86-64 has it */
}

/* Does the host's system save the YMM registers (SDM 1, 14.3)? AVX may not be used without. */
static bool saves_ymm(const uint32_t words[CPUID_WORDS])
{
    uint32_t low, high;
    if (!(words[CPUID_1_ECX] & (UINT32_C(1) << 27))) /* OSXSAVE */
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
    uint32_t words[CPUID_WORDS] = {0};
    host_words(words);
    bool ymm = saves_ymm(words);
    for (unsigned i = 0; i < ARRAY_SIZE(announced); i++)
        if (announced[i].gate < FEATURE_COUNT)
            has[announced[i].gate] = (words[announced[i].word] >> announced[i].bit & 1) != 0 &&
                                     (ymm || !needs_ymm(announced[i].gate));
}
