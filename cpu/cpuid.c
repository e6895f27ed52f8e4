/* SPDX-License-Identifier: MIT */
#include "cpu/cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/interp/fxsave.h"

#define GATE_NONE FEATURE_COUNT

enum { MAX = 1, P3 = 2 };

struct feature_row {
    const char *name; /* as -cpu spells it */
    const char *doc;  /* one line */
    uint64_t cr4;     /* bits it brings */
    uint16_t gate;    /* enum feature or GATE_NONE */
    uint8_t word;     /* enum cpuid_word */
    uint8_t bit;      /* in the word */
    uint8_t models;   /* which have it */
};

static const struct feature_row rows[] = {
#define FEATURE(name_, word_, bit_, gate_, cr4_, models_, doc_)                                    \
    {.name = name_,                                                                                \
     .doc = doc_,                                                                                  \
     .cr4 = (cr4_),                                                                                \
     .gate = (gate_),                                                                              \
     .word = (word_),                                                                              \
     .bit = (bit_),                                                                                \
     .models = (models_)},
#include "cpu/cpuid.def"
#undef FEATURE
};

/* clang-format off */
static const struct {
    const char *name;   /* of the model */
    const char *doc;    /* one line */
    const char *brand;  /* string */
    uint32_t signature; /* family, model, stepping */
    uint32_t max_leaf;  /* 0H:EAX */
    uint8_t model;      /* bit in feature_row.models */
} models[] = {
    {"max",            "everything that is executed, on a Skylake client's signature", "Trapline virtual CPU", 0x506e3, 0x16, MAX},
    {"qemu64",         "alias of max",                                                 "Trapline virtual CPU", 0x506e3, 0x16, MAX},
    {"kvm64",          "alias of max",                                                 "Trapline virtual CPU", 0x506e3, 0x16, MAX},
    {"Skylake-Client", "alias of max",                                                 "Trapline virtual CPU", 0x506e3, 0x16, MAX},
    {"pentium3",       "Intel Pentium III: 32-bit, SSE",                               "Trapline virtual Pentium III", 0x673, 2, P3},
};

static const struct {
    const char *name;  /* another spelling */
    const char *means; /* the row's */
} aliases[] = {
    {"pni", "sse3"}, {"sse4_1", "sse4.1"}, {"sse4_2", "sse4.2"}, {"tsc_deadline", "tsc-deadline"}, {"tsc-adjust", "tsc_adjust"},
    {"lahf-lm", "lahf_lm"}, {"clfsh", "clflush"}, {"lzcnt", "abm"}, {"sha", "sha-ni"}, {"ibrs", "spec-ctrl"},
};
/* clang-format on */

/* ---- parsing ---- */

/* Edit distance of two short names, for "did you mean". */
static unsigned distance(const char *a, size_t na, const char *b)
{
    unsigned row[40];
    size_t nb = strlen(b);
    if (nb >= ARRAY_SIZE(row))
        return UINT32_MAX;
    for (unsigned j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 0; i < na; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < nb; j++) {
            unsigned change = diagonal + (a[i] != b[j]);
            unsigned shorter = row[j] < row[j + 1] ? row[j] : row[j + 1];
            diagonal = row[j + 1];
            row[j + 1] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[nb];
}

static bool name_is(const char *name, size_t len, const char *want)
{
    return strlen(want) == len && memcmp(name, want, len) == 0;
}

static const char *nearest_model(const char *name, size_t len)
{
    unsigned best = 0;
    for (unsigned i = 1; i < ARRAY_SIZE(models); i++)
        if (distance(name, len, models[i].name) < distance(name, len, models[best].name))
            best = i;
    return models[best].name;
}

static const char *nearest_feature(const char *name, size_t len)
{
    unsigned best = 0;
    for (unsigned i = 1; i < ARRAY_SIZE(rows); i++)
        if (distance(name, len, rows[i].name) < distance(name, len, rows[best].name))
            best = i;
    return rows[best].name;
}

static const struct feature_row *find_feature(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (name_is(name, len, aliases[i].name)) {
            name = aliases[i].means;
            len = strlen(name);
            break;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (name_is(name, len, rows[i].name))
            return &rows[i];
    return NULL;
}

static void apply_model(struct cpu_model *m, unsigned i)
{
    *m = (struct cpu_model){
        .name = models[i].name, .brand = models[i].brand, .signature = models[i].signature};
    m->max_leaf = models[i].max_leaf;
    m->kvm = models[i].model == MAX;
    for (unsigned r = 0; r < ARRAY_SIZE(rows); r++)
        if (rows[r].models & models[i].model)
            m->words[rows[r].word] |= 1u << rows[r].bit;
    cpu_model_set_machine(m, 1, NS_PER_SECOND, NS_PER_SECOND);
}

static int set_feature(struct cpu_model *m, const char *name, size_t len, bool on, struct err *err)
{
    if (name_is(name, len, "kvm")) {
        m->kvm = on;
        return 0;
    }
    const struct feature_row *row = find_feature(name, len);
    if (!row) {
        int rc = err_set(err, EINVAL, "unknown feature '%.*s'", (int)len, name);
        err_hint(err, "did you mean '%s'? `-cpu help` lists all", nearest_feature(name, len));
        return rc;
    }
    if (on && !row->models) {
        int rc = err_set(err, EINVAL, "feature '%s' (%s) is not executed by this version",
                         row->name, row->doc);
        err_hint(err, "leave '+%s' out", row->name);
        return rc;
    }
    uint32_t bit = 1u << row->bit;
    m->words[row->word] = on ? m->words[row->word] | bit : m->words[row->word] & ~bit;
    return 0;
}

/* One item after the model's name: +f, -f, f=on, f=off or f. */
static int parse_item(struct cpu_model *m, const char *item, size_t len, struct err *err)
{
    const char *eq = memchr(item, '=', len);
    if (len && (*item == '+' || *item == '-'))
        return set_feature(m, item + 1, len - 1, *item == '+', err);
    if (!eq)
        return set_feature(m, item, len, true, err);
    size_t name = (size_t)(eq - item), value = len - name - 1;
    bool on = name_is(eq + 1, value, "on"), off = name_is(eq + 1, value, "off");
    if (!on && !off)
        return err_set(err, EINVAL, "'%.*s' must be on or off", (int)name, item);
    return set_feature(m, item, name, on, err);
}

static int parse_name(const char *text, size_t len, struct cpu_model *m, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        if (name_is(text, len, models[i].name)) {
            apply_model(m, i);
            return 0;
        }
    }
    int rc = err_set(err, EINVAL, "unknown model '%.*s'", (int)len, text);
    if (name_is(text, len, "host"))
        err_hint(err, "a guest never sees the host's CPU: use 'max'");
    else
        err_hint(err, "did you mean '%s'? `-cpu help` lists all", nearest_model(text, len));
    return rc;
}

int cpu_model_parse(const char *text, struct cpu_model *m, struct err *err)
{
    size_t len = strcspn(text, ",");
    int rc = parse_name(text, len, m, err);
    while (rc == 0 && text[len] == ',') {
        text += len + 1;
        len = strcspn(text, ",");
        rc = parse_item(m, text, len, err);
    }
    return rc;
}

int cpu_model_create(const char *text, struct cpu_model **out, struct err *err)
{
    struct cpu_model *m = malloc(sizeof(*m));
    if (!m)
        return err_set(err, ENOMEM, "out of memory");
    int rc = cpu_model_parse(text, m, err);
    if (rc < 0) {
        free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void cpu_model_destroy(struct cpu_model *m)
{
    free(m);
}

void cpu_model_set_machine(struct cpu_model *m, unsigned cpus, uint64_t tsc_hz, uint64_t crystal_hz)
{
    m->cpus = cpus;
    m->tsc_hz = tsc_hz;
    m->crystal_hz = crystal_hz;
}

const char *cpu_model_name(unsigned i, const char **doc)
{
    if (i >= ARRAY_SIZE(models))
        return NULL;
    if (doc)
        *doc = models[i].doc;
    return models[i].name;
}

const char *cpu_feature_name(unsigned i, const char **doc, bool *is_executed)
{
    if (i >= ARRAY_SIZE(rows))
        return NULL;
    if (doc)
        *doc = rows[i].doc;
    *is_executed = rows[i].models != 0;
    return rows[i].name;
}

/* ---- what follows from the bits ---- */

bool cpu_model_has(const struct cpu_model *m, enum cpuid_word word, unsigned bit)
{
    return m->words[word] >> bit & 1;
}

bool cpu_model_has_pmu(const struct cpu_model *m)
{
    return m->max_leaf >= 0xa && cpu_model_has(m, CPUID_1_ECX, 15);
}

void cpu_model_gates(const struct cpu_model *m, bool *features)
{
    static const uint8_t always[] = {FEAT_8086, FEAT_186,  FEAT_286,        FEAT_386,
                                     FEAT_486,  FEAT_NOPL, FEAT_PENTIUM_PMC};
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        features[i] = false;
    for (unsigned i = 0; i < ARRAY_SIZE(always); i++)
        features[always[i]] = true;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].gate != GATE_NONE)
            features[rows[i].gate] = cpu_model_has(m, rows[i].word, rows[i].bit);
    /* VMCALL and VMMCALL are the only rows of these yet: KVM's hypercalls. */
    features[FEAT_VMX] = features[FEAT_SVM] = m->kvm;
}

void cpu_model_apply(const struct cpu_model *m, struct vcpu *vcpu)
{
    cpu_model_gates(m, vcpu->run.features);
}

uint32_t cpu_model_signature(const struct cpu_model *m)
{
    return m->signature;
}

uint64_t cpu_model_cr4(const struct cpu_model *m)
{
    uint64_t cr4 = CR4_PCE;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        cr4 |= cpu_model_has(m, rows[i].word, rows[i].bit) ? rows[i].cr4 : 0;
    return cr4;
}

uint64_t cpu_model_efer(const struct cpu_model *m)
{
    uint64_t efer = 0;
    efer |= cpu_model_has(m, CPUID_81_EDX, 11) ? EFER_SCE : 0;
    efer |= cpu_model_has(m, CPUID_81_EDX, 20) ? EFER_NXE : 0;
    efer |= cpu_model_has(m, CPUID_81_EDX, 29) ? EFER_LME | EFER_LMA : 0;
    return efer;
}

uint64_t cpu_model_xcr0(const struct cpu_model *m)
{
    uint64_t xcr0 = XSTATE_X87;
    xcr0 |= cpu_model_has(m, CPUID_1_EDX, 25) ? XSTATE_SSE : 0;
    xcr0 |= cpu_model_has(m, CPUID_1_ECX, 28) ? XSTATE_AVX : 0;
    xcr0 |= cpu_model_has(m, CPUID_7_ECX, 3) ? XSTATE_PKRU : 0;
    return xcr0;
}

/* ---- leaves ---- */

#define KVM_SIGNATURE "KVMKVMKVM\0\0\0"
#define OWN_SIGNATURE "TraplineVMM\0"
#define MISC_ENABLE_LIMIT_CPUID BIT(22)
#define MISC_ENABLE_XD_DISABLE BIT(34)

/* KVM_FEATURE_*: Linux, Documentation/virt/kvm/x86/cpuid. */
#define KVM_FEATURES                                                                               \
    (1u << 0 | 1u << 1 | 1u << 3 | 1u << 24) /* CLOCKSOURCE NOP_IO_DELAY CLOCKSOURCE2 STABLE */

static uint32_t chars(const char *s)
{
    return le32_load(s);
}

/* Bits that number n things: 0 for 1. */
static unsigned bits_for(unsigned n)
{
    unsigned bits = 0;
    while (1u << bits < n)
        bits++;
    return bits;
}

static struct cpuid_regs leaf_1(const struct cpu_model *m, const struct cpu *cpu, uint32_t apic_id)
{
    struct cpuid_regs r = {
        .eax = m->signature, .ecx = m->words[CPUID_1_ECX], .edx = m->words[CPUID_1_EDX]};
    uint32_t count = 1u << bits_for(m->cpus);
    r.ebx = apic_id << 24 | (count > 255 ? 255 : count) << 16;
    if (cpu_model_has(m, CPUID_1_EDX, 19))
        r.ebx |= 8 << 8; /* CLFLUSH: 64-byte lines */
    if (m->cpus > 1)
        r.edx |= 1u << 28; /* HTT */
    if (cpu->cr4 & CR4_OSXSAVE)
        r.ecx |= 1u << 27;
    return r;
}

/* Deterministic Cache Parameters: a Skylake client's. */
static struct cpuid_regs leaf_4(const struct cpu_model *m, uint32_t subleaf)
{
    static const struct {
        uint8_t type;   /* 1 data, 2 instruction, 3 unified */
        uint8_t level;  /* 1-3 */
        uint8_t ways;   /* associativity */
        uint16_t sets;  /* of 64-byte lines */
        bool is_shared; /* by all cores */
    } caches[] = {
        {1, 1, 8, 64, false}, {2, 1, 8, 64, false}, {3, 2, 4, 1024, false}, {3, 3, 16, 8192, true}};
    if (subleaf >= ARRAY_SIZE(caches))
        return (struct cpuid_regs){0};
    uint32_t cores = (1u << bits_for(m->cpus)) - 1;
    uint32_t sharing = caches[subleaf].is_shared ? cores & 0xfff : 0;
    return (struct cpuid_regs){
        .eax = caches[subleaf].type | (uint32_t)caches[subleaf].level << 5 | 1u << 8 |
               sharing << 14 | (cores & 63) << 26,
        .ebx = 63 | (uint32_t)(caches[subleaf].ways - 1) << 22,
        .ecx = caches[subleaf].sets - 1u,
        .edx = caches[subleaf].is_shared ? 2 : 0,
    };
}

/*
 * Architectural Performance Monitoring: version 2. Of its events there are cycles, instructions and reference cycles; EBX has a bit
 * set for those that are not counted: last-level cache references and misses, branches and mispredicted branches.
 */
static struct cpuid_regs leaf_a(const struct cpu_model *m)
{
    if (!cpu_model_has_pmu(m))
        return (struct cpuid_regs){0};
    return (struct cpuid_regs){
        .eax = 2 | PMU_GENERAL << 8 | PMU_WIDTH << 16 | 7 << 24,
        .ebx = 0x78,
        .edx = PMU_FIXED | PMU_WIDTH << 5,
    };
}

/* Extended Topology: one thread a core, all cores in one package. */
static struct cpuid_regs leaf_b(const struct cpu_model *m, uint32_t apic_id, uint32_t subleaf)
{
    struct cpuid_regs r = {.ecx = subleaf & 0xff, .edx = apic_id};
    if (subleaf == 0) {
        r.ebx = 1;
        r.ecx |= 1 << 8; /* SMT */
    } else if (subleaf == 1) {
        r.eax = bits_for(m->cpus);
        r.ebx = m->cpus;
        r.ecx |= 2 << 8; /* core */
    }
    return r;
}

/*
 * Processor Extended State: x87 and SSE in the 512-byte legacy area and the 64-byte header, then
 * the others. Sizes are of what XCR0 (and IA32_XSS) enables now, and of all that XCR0 may enable.
 */
static struct cpuid_regs leaf_d(const struct cpu_model *m, const struct cpu *cpu, uint32_t subleaf)
{
    const uint32_t compacts = 1u << 1 | 1u << 3; /* XSAVEC, XSAVES */
    uint64_t known = cpu_model_xcr0(m);
    uint32_t bits = m->words[CPUID_D1_EAX];
    if (!cpu_model_has(m, CPUID_1_ECX, 26))
        return (struct cpuid_regs){0};
    if (subleaf == 0)
        return (struct cpuid_regs){.eax = (uint32_t)known,
                                   .ebx = xsave_size(cpu->xcr0, false),
                                   .ecx = xsave_size(known, false),
                                   .edx = (uint32_t)(known >> 32)};
    if (subleaf == 1)
        return (struct cpuid_regs){
            .eax = bits, .ebx = bits & compacts ? xsave_size(cpu->xcr0 | cpu->xss, true) : 0};
    if (subleaf >= 64 || !(known >> subleaf & 1))
        return (struct cpuid_regs){0};
    return (struct cpuid_regs){.eax = xsave_component(subleaf).size,
                               .ebx = xsave_component(subleaf).offset};
}

/* Time Stamp Counter and Nominal Core Crystal Clock: TSC = crystal * EBX / EAX. */
static struct cpuid_regs leaf_15(const struct cpu_model *m)
{
    return (struct cpuid_regs){
        .eax = 1, .ebx = (uint32_t)(m->tsc_hz / m->crystal_hz), .ecx = (uint32_t)m->crystal_hz};
}

static struct cpuid_regs leaf_16(const struct cpu_model *m)
{
    uint32_t mhz = (uint32_t)(m->tsc_hz / 1000000);
    return (struct cpuid_regs){.eax = mhz, .ebx = mhz, .ecx = (uint32_t)(m->crystal_hz / 1000000)};
}

/* Structured Extended Feature Flags: sub-leaves 0 to 2. */
static struct cpuid_regs leaf_7(const struct cpu_model *m, const struct cpu *cpu, uint32_t subleaf)
{
    uint32_t ospke = cpu->cr4 & CR4_PKE ? 1u << 4 : 0;
    if (subleaf == 0)
        return (struct cpuid_regs){.eax = 2,
                                   .ebx = m->words[CPUID_7_EBX],
                                   .ecx = m->words[CPUID_7_ECX] | ospke,
                                   .edx = m->words[CPUID_7_EDX]};
    if (subleaf == 1)
        return (struct cpuid_regs){.eax = m->words[CPUID_71_EAX]};
    return (struct cpuid_regs){.edx = subleaf == 2 ? m->words[CPUID_72_EDX] : 0};
}

static struct cpuid_regs basic_leaf(const struct cpu_model *m, const struct cpu *cpu,
                                    uint32_t apic_id, uint32_t leaf, uint32_t subleaf)
{
    bool is_limited = cpu->misc_enable & MISC_ENABLE_LIMIT_CPUID;
    switch (leaf) {
    case 0:
        return (struct cpuid_regs){.eax = is_limited && m->max_leaf > 2 ? 2 : m->max_leaf,
                                   .ebx = chars("Genu"),
                                   .edx = chars("ineI"),
                                   .ecx = chars("ntel")};
    case 1:
        return leaf_1(m, cpu, apic_id);
    case 2: /* TLB and cache descriptors of a Skylake client; FF: see leaf 4 */
        return (struct cpuid_regs){.eax = 0x76036301, .ebx = 0x00f0b5ff, .edx = 0x00c30000};
    case 4:
        return leaf_4(m, subleaf);
    case 6:
        return (struct cpuid_regs){.eax = m->words[CPUID_6_EAX]};
    case 7:
        return leaf_7(m, cpu, subleaf);
    case 0xa:
        return leaf_a(m);
    case 0xb:
        return leaf_b(m, apic_id, subleaf);
    case 0xd:
        return leaf_d(m, cpu, subleaf);
    case 0x15:
        return leaf_15(m);
    case 0x16:
        return leaf_16(m);
    default:
        return (struct cpuid_regs){0};
    }
}

/* 80000002H-80000004H: 16 characters each, padded with zeros. */
static struct cpuid_regs brand_leaf(const struct cpu_model *m, uint32_t part)
{
    char s[48] = {0};
    memcpy(s, m->brand, strlen(m->brand) < 47 ? strlen(m->brand) : 47);
    const char *p = s + 16 * part;
    return (struct cpuid_regs){chars(p), chars(p + 4), chars(p + 8), chars(p + 12)};
}

static struct cpuid_regs extended_leaf(const struct cpu_model *m, const struct cpu *cpu,
                                       uint32_t leaf)
{
    bool has_lm = cpu_model_has(m, CPUID_81_EDX, 29);
    uint32_t edx = m->words[CPUID_81_EDX];
    switch (leaf) {
    case 0x80000000:
        return (struct cpuid_regs){.eax = has_lm ? 0x80000008 : 0x80000004};
    case 0x80000001:
        if (cpu->misc_enable & MISC_ENABLE_XD_DISABLE)
            edx &= ~(1u << 20);
        if (!(cpu->efer & EFER_LMA) || !(cpu->seg_attr[SEG_CS] & ATTR_L))
            edx &= ~(1u << 11); /* "Bit 11: SYSCALL/SYSRET" is reported in 64-bit mode only */
        return (struct cpuid_regs){.ecx = m->words[CPUID_81_ECX], .edx = edx};
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        return brand_leaf(m, leaf - 0x80000002);
    case 0x80000006:
        return (struct cpuid_regs){.ecx = 256u << 16 | 6 << 12 |
                                          64}; /* L2: 256 KiB, 8-way code, 64-byte lines */
    case 0x80000007:
        return (struct cpuid_regs){.edx = m->words[CPUID_80000007_EDX]};
    case 0x80000008:
        return (struct cpuid_regs){.eax = CPU_MAXPHYADDR | 48 << 8};
    default:
        return (struct cpuid_regs){0};
    }
}

static struct cpuid_regs hypervisor_leaf(const struct cpu_model *m, uint32_t leaf)
{
    const char *name = m->kvm ? KVM_SIGNATURE : OWN_SIGNATURE;
    switch (leaf) {
    case 0x40000000:
        return (struct cpuid_regs){0x40000010, chars(name), chars(name + 4), chars(name + 8)};
    case 0x40000001:
        return (struct cpuid_regs){.eax = m->kvm ? KVM_FEATURES : 0};
    case 0x40000010: /* VMware's timing leaf: TSC and APIC bus in kHz */
        return (struct cpuid_regs){.eax = (uint32_t)(m->tsc_hz / 1000),
                                   .ebx = (uint32_t)(m->crystal_hz / 1000)};
    default:
        return (struct cpuid_regs){0};
    }
}

struct cpuid_regs cpuid_query(const struct cpu_model *m, const struct cpu *cpu, uint32_t apic_id,
                              uint32_t leaf, uint32_t subleaf)
{
    bool has_hypervisor = cpu_model_has(m, CPUID_1_ECX, 31);
    if (leaf >= 0x80000000 && leaf <= 0x80000008)
        return extended_leaf(m, cpu, leaf);
    if (has_hypervisor && leaf >= 0x40000000 && leaf <= 0x4fffffff)
        return hypervisor_leaf(m, leaf);
    if (leaf > m->max_leaf)
        leaf = m->max_leaf;
    return basic_leaf(m, cpu, apic_id, leaf, subleaf);
}
