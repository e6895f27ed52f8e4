/* SPDX-License-Identifier: MIT */
/* Which rows of insn.def the host's CPU and ours can both run in user mode. */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cpu/cpuid.h"
#include "tests/silicon/silicon.h"

struct leaf {
    uint32_t leaf, sub;
    uint8_t reg; /* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
};

static const struct leaf leaves[CPUID_WORDS] = {
    [CPUID_1_EDX] = {1, 0, 3},           [CPUID_1_ECX] = {1, 0, 2},
    [CPUID_6_EAX] = {6, 0, 0},           [CPUID_7_EBX] = {7, 0, 1},
    [CPUID_7_ECX] = {7, 0, 2},           [CPUID_7_EDX] = {7, 0, 3},
    [CPUID_71_EAX] = {7, 1, 0},          [CPUID_72_EDX] = {7, 2, 3},
    [CPUID_D1_EAX] = {13, 1, 0},         [CPUID_81_ECX] = {0x80000001, 0, 2},
    [CPUID_81_EDX] = {0x80000001, 0, 3}, [CPUID_80000007_EDX] = {0x80000007, 0, 3},
};

/* Ours: all that is executed. The host's: its CPUID, through the table that the models use. */
static void find_features(bool ours[FEATURE_COUNT], bool host[FEATURE_COUNT])
{
    struct cpu_model m;
    struct err err;
    if (cpu_model_parse("max,+sse4a", &m, &err) != 0)
        return;
    cpu_model_gates(&m, ours);
    for (unsigned w = 0; w < CPUID_WORDS; w++) {
        unsigned r[4] = {0};
        if (w == CPUID_NOWHERE)
            continue;
        if (!__get_cpuid_count(leaves[w].leaf, leaves[w].sub, &r[0], &r[1], &r[2], &r[3]))
            continue;
        m.words[w] = r[leaves[w].reg];
    }
    cpu_model_gates(&m, host);
}

enum vendor host_vendor(char *text, size_t size)
{
    unsigned a, b, c, d;
    char name[13] = "";
    __cpuid(0, a, b, c, d);
    memcpy(name, &b, 4);
    memcpy(name + 4, &d, 4);
    memcpy(name + 8, &c, 4);
    __cpuid(1, a, b, c, d);
    unsigned family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
    snprintf(text, size, "%s family %02Xh model %02Xh stepping %u", name, family,
             (a >> 4 & 15) | (a >> 12 & 0xf0), a & 15);
    return strcmp(name, "AuthenticAMD") == 0   ? VENDOR_AMD
           : strcmp(name, "GenuineIntel") == 0 ? VENDOR_INTEL
                                               : VENDOR_ANY;
}

/*
 * Sensitive rows that fault in user mode on every system, so that there is something to compare:
 * CPL > 0, and IOPL 0 with no port open. The rest is left out: what it does depends on the host's
 * policy or tables (PUSHF and POPF show and set what the system owns, SGDT and friends are emulated
 * by it, CPUID, RDTSC and RDPID tell of the host), or it enters the system (INT, SYSCALL). What
 * segment registers do is compared in segments of the local descriptor table.
 */
static bool faults_everywhere(unsigned op)
{
    switch (op) {
    case OP_CLI:
    case OP_STI:
    case OP_HLT:
    case OP_CLTS:
    case OP_LMSW:
    case OP_LGDT:
    case OP_LIDT:
    case OP_LLDT:
    case OP_LTR:
    case OP_MOV_CR:
    case OP_MOV_DR:
    case OP_INVD:
    case OP_WBINVD:
    case OP_INVLPG:
    case OP_RDMSR:
    case OP_WRMSR:
    case OP_SWAPGS:
        return true;
    default:
        return false;
    }
}

bool row_needs_segments(unsigned row)
{
    switch (insn_row(row)->op) {
    case OP_MOV_SREG:
    case OP_PUSH_SREG:
    case OP_POP_SREG:
    case OP_LDS:
    case OP_LES:
    case OP_LFS:
    case OP_LGS:
    case OP_LSS:
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
        return true;
    default:
        return false;
    }
}

static const char *why_not(unsigned row, const bool ours[FEATURE_COUNT],
                           const bool host[FEATURE_COUNT], bool has_segments)
{
    const struct insn_desc *d = insn_row(row);
    bool is_comparable = faults_everywhere(d->op) || (has_segments && row_needs_segments(row));
    if (d->sensitivity != SENS_NONE && !is_comparable)
        return "sensitive";
    bool is_avx = insn_form(row)->encoding.vex && d->name[0] == 'V';
    if (!ours[d->feature] || (is_avx && !ours[FEAT_AVX]))
        return "not executed";
    if (!host[d->feature] && d->op != OP_UD0)
        return "not on this host";
    return NULL;
}

void rows_select(struct row_set *set, enum decode_mode mode, const struct options *o,
                 bool has_segments)
{
    bool ours[FEATURE_COUNT] = {false}, host[FEATURE_COUNT] = {false};
    unsigned left[3] = {0};
    find_features(ours, host);
    set->count = 0;
    for (unsigned row = 0; row < insn_row_count(); row++) {
        const struct insn_desc *d = insn_row(row);
        const char *why = why_not(row, ours, host, has_segments);
        unsigned attributes = insn_form(row)->attributes;
        if (o->op != NULL && strcasecmp(o->op, d->name) != 0)
            continue;
        bool needs_rex = insn_form(row)->encoding.w == 2 && !insn_form(row)->encoding.vex;
        if (mode == DECODE_64 ? (attributes & A_I64) : (attributes & A_O64) || needs_rex)
            continue;
        if (why != NULL) {
            left[why[0] == 's' ? 0 : why[4] == 'e' ? 1 : 2]++;
            continue;
        }
        set->rows[set->count++] = (uint16_t)row;
    }
    printf("rows: %u; left out: %u sensitive, %u not executed yet, %u not on this host\n",
           set->count, left[0], left[1], left[2]);
}
