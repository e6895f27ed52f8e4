/* SPDX-License-Identifier: MIT */
#include "monitor/classify/seed.h"

#include <string.h>

#include "base/endian.h"

enum {
    OPERAND = WORLD_DATA + 0x400, /* the memory operand, aligned to 64 */
    OPERAND_SIZE = 0x400,
    STACK = WORLD_STACK + 0x800, /* the stack pointer */
    BYTES_TRIES = 24,
};

/* What most values of a state are. */
enum profile {
    PROFILE_NOISE,
    PROFILE_TINY,
    PROFILE_SELECTORS,
    PROFILE_ADDRESSES,
    PROFILE_CONTROL,
    PROFILE_MSR,
    PROFILE_FLAGS,
    PROFILE_MIXED,
};

/* By turns. Selectors are rare in noise, and much depends on them. */
static const uint8_t profiles[] = {
    PROFILE_NOISE, PROFILE_TINY,  PROFILE_SELECTORS, PROFILE_ADDRESSES, PROFILE_SELECTORS,
    PROFILE_MSR,   PROFILE_FLAGS, PROFILE_SELECTORS, PROFILE_CONTROL,   PROFILE_MIXED,
};

static enum profile profile_of(unsigned number)
{
    return (enum profile)profiles[number % ARRAY_SIZE(profiles)];
}

static const uint32_t msr_numbers[] = {
#define MSR_FIELD(number, ...) number,
#define MSR_ADDRESS(number, ...) number,
#define MSR_CONST(number, ...) number,
#define MSR_CODE(number, ...) number,
#define MSR_BLOCK(first, last, ...) first, last,
#include "cpu/msr.def"
#undef MSR_FIELD
#undef MSR_ADDRESS
#undef MSR_CONST
#undef MSR_CODE
#undef MSR_BLOCK
};

uint64_t seed_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned pick(uint64_t *random, unsigned n)
{
    return (unsigned)(seed_random(random) >> 33) % n;
}

uint16_t seed_selector(uint64_t *random)
{
    static const uint16_t selectors[] = {
        SEL_CODE0,
        SEL_DATA0,
        SEL_CODE3,
        SEL_CODE0 | 1,
        SEL_DATA3,
        SEL_DATA0 | 1,
        SEL_TWIN3,
        SEL_LDT,
        SEL_TSS,
        SEL_TSS2,
        SEL_FRESH3,
        SEL_CONFORMING,
        SEL_CONFORMING | 3,
        SEL_GATE3,
        SEL_READ_ONLY3,
        SEL_FRESH3,
        SEL_DATA0 | 3,
        SEL_EXECUTE_ONLY3,
        SEL_ABSENT3,
        SEL_LDT_CODE3,
        SEL_LDT_DATA3,
        0,
        0xfff8,
    };
    static const uint16_t plain[] = {SEL_CODE0, SEL_DATA0, SEL_CODE3, SEL_DATA3};
    if (pick(random, 2))
        return plain[pick(random, ARRAY_SIZE(plain))];
    return selectors[pick(random, ARRAY_SIZE(selectors))];
}

static uint64_t control_value(const struct cpu *cpu, uint64_t *random)
{
    static const uint64_t cr0_bits[] = {CR0_TS, CR0_MP, CR0_NE, CR0_WP, 0};
    static const uint64_t cr4_bits[] = {CR4_DE, CR4_MCE, CR4_PGE, CR4_TSD, CR4_PCE, 0};
    switch (pick(random, 4)) {
    case 0:
        return cpu->cr0 ^ cr0_bits[pick(random, ARRAY_SIZE(cr0_bits))];
    case 1:
        return cpu->cr4 ^ cr4_bits[pick(random, ARRAY_SIZE(cr4_bits))];
    case 2:
        return (uint64_t)pick(random, 16) << 12;
    default:
        return cpu->xcr0 ^ (pick(random, 2) ? 4 : 0);
    }
}

static uint64_t flags_value(uint64_t *random)
{
    static const uint32_t flags[] = {2, 0x202, 0x246, 0x3202, 0x40202, 0x4202, 0xad7, 0x200002};
    return flags[pick(random, ARRAY_SIZE(flags))];
}

static uint64_t value_of(enum profile profile, const struct cpu *cpu, uint64_t *random)
{
    static const uint8_t tiny[] = {0, 0, 0, 0, 0, 1, 3, 7};
    uint64_t noise = seed_random(random);
    if (profile == PROFILE_MIXED)
        profile = (enum profile)pick(random, PROFILE_MIXED);
    switch (profile) {
    case PROFILE_TINY:
        return tiny[pick(random, ARRAY_SIZE(tiny))];
    case PROFILE_SELECTORS:
        return seed_selector(random);
    case PROFILE_ADDRESSES:
        return WORLD_DATA + (pick(random, 0xf00) & ~7u);
    case PROFILE_CONTROL:
        return control_value(cpu, random);
    case PROFILE_MSR:
        return msr_numbers[pick(random, ARRAY_SIZE(msr_numbers))];
    case PROFILE_FLAGS:
        return flags_value(random);
    default:
        return noise >> pick(random, 60);
    }
}

/* ---- memory ---- */

static void put(uint8_t *p, unsigned size, uint64_t v)
{
    le_store(p, v, size);
}

/* What far returns take: instruction pointer, CS, perhaps flags, stack pointer, SS. */
static void make_frame(uint8_t *p, unsigned width, uint64_t *random)
{
    static const uint16_t code[] = {SEL_CODE0, SEL_CODE3,     SEL_CODE3,     SEL_CODE3,
                                    SEL_CODE0, SEL_LDT_CODE3, SEL_CONFORMING};
    put(p, width, WORLD_TARGET + 8 * pick(random, 8));
    put(p + width, width, code[pick(random, ARRAY_SIZE(code))]);
    if (pick(random, 3)) {
        put(p + 2 * width, width, flags_value(random));
        p += width;
    }
    put(p + 2 * width, width, WORLD_STACK + 0x400);
    put(p + 3 * width, width, pick(random, 3) ? SEL_DATA3 : SEL_DATA0);
}

/* 64 bytes of one kind. */
static void make_line(uint8_t *p, enum profile profile, const struct cpu *cpu, uint64_t *random)
{
    static const uint8_t widths[] = {2, 4, 8};
    unsigned kind = pick(random, 6), width = widths[pick(random, 3)];
    if (profile == PROFILE_SELECTORS && pick(random, 2))
        kind = 2;
    memset(p, 0, 64);
    switch (kind) {
    case 0:
        make_frame(p, width, random);
        break;
    case 1: /* far pointer: offset and selector */
        put(p, 4, WORLD_TARGET);
        put(p + width, 2, seed_selector(random));
        break;
    case 2:
        for (unsigned i = 0; i < 64; i += 2)
            put(p + i, 2, seed_selector(random));
        break;
    case 3:
        break;
    default:
        for (unsigned i = 0; i < 64; i += 8)
            put(p + i, 8, value_of(profile, cpu, random));
    }
}

static void make_memory(struct world *w, enum profile profile, const struct cpu *cpu,
                        uint64_t *random)
{
    uint8_t operand[OPERAND_SIZE] = {0};
    uint8_t stack[128];
    make_line(operand, profile, cpu, random);
    if (pick(random, 2))
        for (unsigned i = 64; i < OPERAND_SIZE; i++)
            operand[i] = (uint8_t)seed_random(random);
    world_write(w, OPERAND, operand, sizeof(operand));
    make_line(stack, profile, cpu, random);
    make_line(stack + 64, profile, cpu, random);
    world_write(w, STACK, stack, sizeof(stack));
}

/* ---- registers ---- */

static void make_general(struct cpu *cpu, enum profile profile, bool is_64, uint64_t *random)
{
    for (unsigned r = 0; r < (is_64 ? 16u : 8u); r++)
        cpu->gpr[r] = value_of(profile, cpu, random) & (is_64 ? UINT64_MAX : UINT32_MAX);
    cpu->gpr[REG_RSP] = STACK;
    cpu->gpr[REG_RSI] = WORLD_DATA + 0x100 + 8 * pick(random, 32);
    cpu->gpr[REG_RDI] = WORLD_DATA + 0x200 + 8 * pick(random, 32);
    cpu->gpr[REG_RBP] = STACK + 0x80;
    if (pick(random, 2))
        cpu->gpr[REG_RBX] = WORLD_DATA + 0x800;
    cpu->rflags |= seed_random(random) & (F_OSZAPC | F_DF);
    if (pick(random, 2))
        cpu->rflags |= F_IF;
}

/* Operands that raise nothing: x87 holds small numbers, vectors bits of them. */
static void make_vectors(struct cpu *cpu, enum profile profile, uint64_t *random)
{
    cpu->ftw = (uint8_t)(pick(random, 2) ? 0xff : seed_random(random));
    for (unsigned i = 0; i < 8; i++) {
        cpu->fp_mant[i] = seed_random(random) | BIT(63);
        cpu->fp_se[i] = (uint16_t)(0x3fff + pick(random, 4));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->ymm); i++)
        cpu->ymm[i] = profile == PROFILE_TINY ? pick(random, 8) : seed_random(random);
}

bool seed_state(struct world *w, unsigned row, unsigned number, uint64_t cr4_set,
                struct seeded *out)
{
    uint64_t random = ((uint64_t)row << 20 | number) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint8_t bytes[INSN_MAX_LEN];
    bool found = false;
    for (unsigned i = 0; i < 4; i++)
        seed_random(&random);
    for (unsigned i = 0; i < BYTES_TRIES && !found; i++)
        found = seed_bytes(w, row, OPERAND, &random, bytes, &out->in);
    if (!found)
        return false;
    enum profile profile = profile_of(number);
    world_base_cpu(w, cr4_set, 0, &out->cpu);
    make_general(&out->cpu, profile, w->mode == CLASS_LONG64, &random);
    make_vectors(&out->cpu, profile, &random);
    make_memory(w, profile, &out->cpu, &random);
    out->cpu.rip = WORLD_CODE + 0x100;
    memset(bytes + out->in.len, 0xff, sizeof(bytes) - out->in.len); /* as behind it: #UD */
    world_write(w, WORLD_CODE + 0x100, bytes, sizeof(bytes));
    return true;
}
