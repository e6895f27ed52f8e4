/* SPDX-License-Identifier: MIT */
/* CPU models: what CPUID says of each, in numbers; what else they have; features and what they
 * bring and take along. */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "tests/test.h"

static struct cpu_model model(const char *text)
{
    struct cpu_model m;
    struct err err = {{0}, {0}};
    EXPECT_EQ(0, cpu_model_parse(text, &m, &err));
    return m;
}

static struct cpuid_regs ask(const struct cpu_model *m, uint32_t leaf, uint32_t subleaf)
{
    static const struct cpu reset = {.xcr0 = 1};
    return cpuid_query(m, &reset, 0, leaf, subleaf);
}

/* Leaf 1 and the highest leaves of parts that can be looked up: FPU VME DE PSE TSC MSR ... from
 * bit 0 of EDX. */
static const struct {
    const char *name;
    uint32_t signature, max_leaf, max_extended; /* 0 extended: repeats the last basic leaf */
    uint32_t edx, ecx;                          /* 01H */
    uint32_t ext_edx, ext_ecx;                  /* 80000001H, outside 64-bit mode */
    uint32_t seven_ebx;                         /* 07H */
    uint64_t cr4;                               /* bits there are */
    uint64_t efer;                              /* the same */
    uint8_t phys_bits;
} expected[] = {
    {"486", 0x483, 1, 0, 0x00000003, 0, 0, 0, 0, 0x3, 0, 32},
    {"pentium", 0x543, 1, 0, 0x008003bf, 0, 0, 0, 0, 0x15f, 0, 32},
    {"pentium2", 0x652, 2, 0, 0x0183fbff, 0, 0, 0, 0, 0x3ff, 0, 36},
    {"pentium3", 0x673, 2, 0, 0x0383fbff, 0, 0, 0, 0, 0x7ff, 0, 36},
    {"core2duo", 0x6fb, 10, 0x80000008, 0x078bfbff, 0x00002201, 0x20100000, 0x1, 0, 0x7ff, 0xd01,
     36},
    {"x86-64-v2", 0x106a3, 11, 0x80000008, 0x078bfbff, 0x80b82201, 0x28100000, 0x1, 0, 0x7ff, 0xd01,
     40},
    {"x86-64-v3", 0x306c3, 13, 0x80000008, 0x078bfbff, 0xb5fa3201, 0x28100000, 0x21, 0x7ab,
     0x1707ff, 0xd01, 40},
};

TEST(models, cpuid_in_numbers)
{
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        struct cpu_model m = model(expected[i].name);
        struct cpuid_regs zero = ask(&m, 0, 0), one = ask(&m, 1, 0);
        EXPECT_EQ(expected[i].max_leaf, zero.eax);
        EXPECT_EQ(0x756e6547, zero.ebx);
        EXPECT_EQ(expected[i].signature, one.eax);
        EXPECT_EQ(expected[i].signature, cpu_model_signature(&m));
        EXPECT_EQ(expected[i].edx, one.edx);
        EXPECT_EQ(expected[i].ecx, one.ecx);
        EXPECT_EQ(expected[i].cr4, cpu_model_cr4(&m));
        EXPECT_EQ(expected[i].efer, cpu_model_efer(&m));
        EXPECT_EQ(expected[i].phys_bits, m.phys_bits);
        struct cpuid_regs ext = ask(&m, 0x80000000, 0);
        struct cpuid_regs last = ask(&m, expected[i].max_leaf, 0);
        EXPECT_EQ(expected[i].max_extended ? expected[i].max_extended : last.eax, ext.eax);
        if (expected[i].max_extended) {
            EXPECT_EQ(expected[i].ext_edx, ask(&m, 0x80000001, 0).edx);
            EXPECT_EQ(expected[i].ext_ecx, ask(&m, 0x80000001, 0).ecx);
            EXPECT_EQ(m.phys_bits | 48u << 8, ask(&m, 0x80000008, 0).eax);
        }
        if (expected[i].max_leaf >= 7)
            EXPECT_EQ(expected[i].max_leaf < 13 ? 0 : expected[i].seven_ebx, ask(&m, 7, 0).ebx);
    }
}

TEST(models, brand_and_caches)
{
    struct cpu_model m = model("core2duo");
    char brand[49] = {0};
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid_regs r = ask(&m, 0x80000002 + i, 0);
        memcpy(brand + 16 * i, &r, 16);
    }
    if (!HOST_BIG_ENDIAN)
        EXPECT_EQ(0, strcmp("Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz", brand));
    EXPECT_EQ(0x05b0b101, ask(&m, 2, 0).eax);
    EXPECT_EQ(0x2cb43049, ask(&m, 2, 0).edx);
    EXPECT_EQ(4095, ask(&m, 4, 2).ecx); /* L2: 4 MiB, 16 ways */
    EXPECT_EQ(0, ask(&m, 4, 3).eax);
    EXPECT_EQ(0x10008040, ask(&m, 0x80000006, 0).ecx);
    m = model("pentium2");
    EXPECT_EQ(0x0c040843, ask(&m, 2, 0).edx);
    cpu_model_set_machine(&m, 2, NS_PER_SECOND, NS_PER_SECOND);
    EXPECT_EQ(0, ask(&m, 1, 0).ebx); /* two packages, and nothing of it in CPUID */
    EXPECT_EQ(0, ask(&m, 1, 0).edx >> 28 & 1);
}

/* What the levels of the psABI promise, and no more of it. */
TEST(models, levels_of_the_psabi)
{
    static const struct {
        uint8_t word, bit;
    } v2[] = {{CPUID_1_ECX, 13}, {CPUID_81_ECX, 0}, {CPUID_1_ECX, 23}, {CPUID_1_ECX, 0},
              {CPUID_1_ECX, 19}, {CPUID_1_ECX, 20}, {CPUID_1_ECX, 9}},
      v3[] = {{CPUID_1_ECX, 28}, {CPUID_7_EBX, 5},  {CPUID_7_EBX, 3},
              {CPUID_7_EBX, 8},  {CPUID_1_ECX, 29}, {CPUID_1_ECX, 12},
              {CPUID_81_ECX, 5}, {CPUID_1_ECX, 22}, {CPUID_1_ECX, 26}};
    struct cpu_model two = model("x86-64-v2"), three = model("x86-64-v3");
    for (unsigned i = 0; i < ARRAY_SIZE(v2); i++) {
        EXPECT(cpu_model_has(&two, (enum cpuid_word)v2[i].word, v2[i].bit));
        EXPECT(cpu_model_has(&three, (enum cpuid_word)v2[i].word, v2[i].bit));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(v3); i++) {
        EXPECT(!cpu_model_has(&two, (enum cpuid_word)v3[i].word, v3[i].bit));
        EXPECT(cpu_model_has(&three, (enum cpuid_word)v3[i].word, v3[i].bit));
    }
}

TEST(models, gates_follow)
{
    bool has[FEATURE_COUNT];
    struct cpu_model m = model("486");
    cpu_model_gates(&m, has);
    EXPECT(has[FEAT_FPU] && has[FEAT_486]);
    EXPECT(!has[FEAT_TSC] && !has[FEAT_MSR] && !has[FEAT_CX8] && !has[FEAT_CMOV] &&
           !has[FEAT_NOPL] && !has[FEAT_PENTIUM_PMC] && !has[FEAT_MMX] && !has[FEAT_LM]);
    m = model("pentium");
    cpu_model_gates(&m, has);
    EXPECT(has[FEAT_TSC] && has[FEAT_MMX] && has[FEAT_PENTIUM_PMC]);
    EXPECT(!has[FEAT_CMOV] && !has[FEAT_NOPL] && !has[FEAT_SEP]);
    m = model("pentium3");
    cpu_model_gates(&m, has);
    EXPECT(has[FEAT_SSE] && has[FEAT_NOPL] && has[FEAT_CMOV]);
    EXPECT(!has[FEAT_SSE2] && !has[FEAT_CLFSH] && !has[FEAT_SYSCALL]);
}

TEST(features, what_is_dropped_takes_along_what_needs_it)
{
    struct cpu_model m = model("max,-sse");
    EXPECT_EQ(0, m.words[CPUID_1_EDX] >> 25 & 3);
    EXPECT_EQ(0, m.words[CPUID_1_ECX] & (1u << 0 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 28));
    EXPECT_EQ(0, m.words[CPUID_7_EBX] & (1u << 5 | 1u << 29)); /* AVX2, SHA */
    EXPECT(m.words[CPUID_1_EDX] & 1u << 24);                   /* FXSR stays */
    m = model("max,-avx");
    EXPECT_EQ(0, m.words[CPUID_1_ECX] & (1u << 12 | 1u << 28 | 1u << 29));
    EXPECT_EQ(0, m.words[CPUID_7_EBX] & 1u << 5);
    EXPECT_EQ(0, m.words[CPUID_7_ECX] & (1u << 9 | 1u << 10));
    EXPECT(m.words[CPUID_1_ECX] & 1u << 26); /* XSAVE stays */
    EXPECT_EQ(0, cpu_model_xcr0(&m) & 4);
    m = model("max,lm=off");
    EXPECT_EQ(0, cpu_model_efer(&m) & EFER_LME);
    EXPECT_EQ(0, cpu_model_cr4(&m) & (CR4_PCIDE | CR4_FSGSBASE | CR4_PKE));
}

TEST(features, what_is_added_brings_what_it_needs)
{
    struct cpu_model m = model("pentium3,+avx2");
    EXPECT(cpu_model_has(&m, CPUID_7_EBX, 5) && cpu_model_has(&m, CPUID_1_ECX, 28));
    EXPECT(cpu_model_has(&m, CPUID_1_ECX, 26) && cpu_model_has(&m, CPUID_1_EDX, 26));
    EXPECT_EQ(0xd, ask(&m, 0, 0).eax); /* the leaves that tell of it are there */
    EXPECT(ask(&m, 7, 0).ebx & 1u << 5);
    m = model("pentium3,+nx");
    EXPECT_EQ(0x80000001, ask(&m, 0x80000000, 0).eax);
    EXPECT_EQ(EFER_NXE, cpu_model_efer(&m));
    m = model("max,-sse,+sse4.1"); /* in order */
    EXPECT(cpu_model_has(&m, CPUID_1_ECX, 9) && !cpu_model_has(&m, CPUID_1_ECX, 20));
}

/* The needs of every row name rows, and no model lacks what one of its features needs. */
TEST(features, every_model_is_closed)
{
    const char *name, *doc;
    bool is_executed;
    for (unsigned i = 0; (name = cpu_model_name(i, &doc)); i++) {
        struct cpu_model plain = model(name);
        for (unsigned f = 0; (name = cpu_feature_name(f, &doc, &is_executed)); f++) {
            char text[128];
            struct cpu_model off, both;
            snprintf(text, sizeof(text), "%s,-%s", plain.name, name);
            off = model(text);
            bool has = memcmp(off.words, plain.words, sizeof(off.words)) != 0;
            if (!has)
                continue;
            snprintf(text, sizeof(text), "%s,+%s", plain.name, name);
            both = model(text);
            EXPECT_EQ(0, memcmp(both.words, plain.words, sizeof(both.words)));
        }
    }
}

TEST_MAIN(RUN(models, cpuid_in_numbers) RUN(models, brand_and_caches)
              RUN(models, levels_of_the_psabi) RUN(models, gates_follow)
                  RUN(features, what_is_dropped_takes_along_what_needs_it)
                      RUN(features, what_is_added_brings_what_it_needs)
                          RUN(features, every_model_is_closed))
