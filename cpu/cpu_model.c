/* SPDX-License-Identifier: MIT */
/* CPU models: which there are, what `-cpu` makes of them, and what follows from their features. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/interp/fxsave.h"

/* Bits of the models column, oldest first; X_UP: X and all after it. */
enum {
    I486 = 1 << 0,
    P5 = 1 << 1,
    P2 = 1 << 2,
    P3 = 1 << 3,
    C2D = 1 << 4,
    V2 = 1 << 5,
    V3 = 1 << 6,
    MAX = 1 << 7,
    EXECUTED = 1 << 8,
    V3_UP = V3 | MAX,
    V2_UP = V2 | V3_UP,
    C2D_UP = C2D | V2_UP,
    P3_UP = P3 | C2D_UP,
    P2_UP = P2 | P3_UP,
    P5_UP = P5 | P2_UP,
    I486_UP = I486 | P5_UP,
};

struct feature_row {
    const char *name;  /* as -cpu spells it */
    const char *needs; /* names, with a space between */
    const char *doc;   /* one line */
    uint64_t cr4;      /* bits it brings */
    uint16_t gate;     /* enum feature or GATE_NONE */
    uint16_t models;   /* which have it */
    uint8_t word;      /* enum cpuid_word */
    uint8_t bit;       /* in the word */
};

static const struct feature_row rows[] = {
#define FEATURE(name_, word_, bit_, gate_, cr4_, needs_, models_, doc_)                            \
    {.name = name_,                                                                                \
     .needs = needs_,                                                                              \
     .doc = doc_,                                                                                  \
     .cr4 = (cr4_),                                                                                \
     .gate = (gate_),                                                                              \
     .models = (models_),                                                                          \
     .word = (word_),                                                                              \
     .bit = (bit_)},
#include "cpu/cpuid.def"
#undef FEATURE
};

/* ---- models ---- */

static const struct cpu_cache caches_none[] = {{0}};
static const struct cpu_cache caches_core2[] = {
    {1, 1, 8, 64, false}, {2, 1, 8, 64, false}, {3, 2, 16, 4096, true}, {0}};
static const struct cpu_cache caches_nehalem[] = {{1, 1, 8, 64, false},
                                                  {2, 1, 4, 128, false},
                                                  {3, 2, 8, 512, false},
                                                  {3, 3, 16, 8192, true},
                                                  {0}};
static const struct cpu_cache caches_haswell[] = {
    {1, 1, 8, 64, false}, {2, 1, 8, 64, false}, {3, 2, 8, 512, false}, {3, 3, 16, 8192, true}, {0}};
static const struct cpu_cache caches_skylake[] = {{1, 1, 8, 64, false},
                                                  {2, 1, 8, 64, false},
                                                  {3, 2, 4, 1024, false},
                                                  {3, 3, 16, 8192, true},
                                                  {0}};

struct model_row {
    const char *doc;        /* one line */
    uint16_t bit;           /* in feature_row.models */
    struct cpu_model model; /* without features and machine */
};

/* A macro's arguments, kept together. */
#define MODEL(name_, bit_, signature_, leaves_, extended_, bits_, kvm_, caches_, l2_, a_, b_, d_,  \
              brand_, doc_)                                                                        \
    {.doc = doc_,                                                                                  \
     .bit = (bit_),                                                                                \
     .model = {.name = name_,                                                                      \
               .brand = brand_,                                                                    \
               .signature = (signature_),                                                          \
               .max_leaf = (leaves_),                                                              \
               .max_extended = (extended_),                                                        \
               .phys_bits = (bits_),                                                               \
               .kvm = (kvm_),                                                                      \
               .caches = (caches_),                                                                \
               .l2 = (l2_),                                                                        \
               .leaf2 = {(a_), (b_), (d_)}}},
static const struct model_row models[] = {
#include "cpu/models.def"
};
#undef MODEL

struct alias {
    const char *name;  /* another spelling */
    const char *means; /* the row's */
};

static const struct alias model_aliases[] = {
    {"qemu64", "max"}, {"kvm64", "max"}, {"Skylake-Client", "max"}};

static const struct alias feature_aliases[] = {
    {"pni", "sse3"},
    {"sse4_1", "sse4.1"},
    {"sse4_2", "sse4.2"},
    {"tsc_deadline", "tsc-deadline"},
    {"tsc-adjust", "tsc_adjust"},
    {"lahf-lm", "lahf_lm"},
    {"clfsh", "clflush"},
    {"lzcnt", "abm"},
    {"sha", "sha-ni"},
    {"ibrs", "spec-ctrl"},
};

/* ---- names ---- */

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

/* The row of a name or of what it is an alias of; NULL: unknown. */
static const char *resolve(const struct alias *aliases, size_t count, const char *name, size_t *len)
{
    for (size_t i = 0; i < count; i++) {
        if (!name_is(name, *len, aliases[i].name))
            continue;
        *len = strlen(aliases[i].means);
        return aliases[i].means;
    }
    return name;
}

static const struct feature_row *find_feature(const char *name, size_t len)
{
    name = resolve(feature_aliases, ARRAY_SIZE(feature_aliases), name, &len);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (name_is(name, len, rows[i].name))
            return &rows[i];
    return NULL;
}

static const struct model_row *find_model(const char *name, size_t len)
{
    name = resolve(model_aliases, ARRAY_SIZE(model_aliases), name, &len);
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
        if (name_is(name, len, models[i].model.name))
            return &models[i];
    return NULL;
}

static const char *nearest_model(const char *name, size_t len)
{
    const char *best = models[0].model.name, *next;
    for (unsigned i = 1; (next = cpu_model_name(i, NULL)); i++)
        if (distance(name, len, next) < distance(name, len, best))
            best = next;
    return best;
}

static const char *nearest_feature(const char *name, size_t len)
{
    unsigned best = 0;
    for (unsigned i = 1; i < ARRAY_SIZE(rows); i++)
        if (distance(name, len, rows[i].name) < distance(name, len, rows[best].name))
            best = i;
    return rows[best].name;
}

const char *cpu_model_name(unsigned i, const char **doc)
{
    if (i >= ARRAY_SIZE(models) + ARRAY_SIZE(model_aliases))
        return NULL;
    bool is_alias = i >= ARRAY_SIZE(models);
    if (doc)
        *doc = is_alias ? "alias of max" : models[i].doc;
    return is_alias ? model_aliases[i - ARRAY_SIZE(models)].name : models[i].model.name;
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

/* ---- features of a model ---- */

static bool has(const struct cpu_model *m, const struct feature_row *row)
{
    return cpu_model_has(m, (enum cpuid_word)row->word, row->bit);
}

/* Is name one of the words of list? */
static bool lists(const char *list, const char *name)
{
    while (*list) {
        size_t len = strcspn(list, " ");
        if (name_is(list, len, name))
            return true;
        list += len + (list[len] == ' ');
    }
    return false;
}

/* With it come what it needs. */
static void add(struct cpu_model *m, const struct feature_row *row)
{
    m->words[row->word] |= 1u << row->bit;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (!has(m, &rows[i]) && lists(row->needs, rows[i].name))
            add(m, &rows[i]);
}

/* With it go those that need it. */
static void drop(struct cpu_model *m, const struct feature_row *row)
{
    m->words[row->word] &= ~(1u << row->bit);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (has(m, &rows[i]) && lists(rows[i].needs, row->name))
            drop(m, &rows[i]);
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
    if (on)
        add(m, row);
    else
        drop(m, row);
    return 0;
}

static void raise_leaf(uint32_t *max, uint32_t leaf)
{
    if (*max < leaf)
        *max = leaf;
}

/* Added features may be told of in leaves that the part named has not got. */
static void raise_leaves(struct cpu_model *m)
{
    const uint32_t *w = m->words;
    if (w[CPUID_6_EAX])
        raise_leaf(&m->max_leaf, 6);
    if (w[CPUID_7_EBX] | w[CPUID_7_ECX] | w[CPUID_7_EDX] | w[CPUID_71_EAX] | w[CPUID_72_EDX])
        raise_leaf(&m->max_leaf, 7);
    if (cpu_model_has(m, CPUID_1_ECX, 15))
        raise_leaf(&m->max_leaf, 0xa);
    if (cpu_model_has(m, CPUID_1_ECX, 26))
        raise_leaf(&m->max_leaf, 0xd);
    if (w[CPUID_81_ECX] | w[CPUID_81_EDX])
        raise_leaf(&m->max_extended, 0x80000001);
    if (w[CPUID_80000007_EDX])
        raise_leaf(&m->max_extended, 0x80000007);
    if (cpu_model_has(m, CPUID_81_EDX, 29))
        raise_leaf(&m->max_extended, 0x80000008);
}

/* ---- parsing ---- */

static void apply_model(struct cpu_model *m, const struct model_row *row)
{
    *m = row->model;
    for (unsigned r = 0; r < ARRAY_SIZE(rows); r++)
        if (rows[r].models & row->bit)
            m->words[rows[r].word] |= 1u << rows[r].bit;
    cpu_model_set_machine(m, 1, NS_PER_SECOND, NS_PER_SECOND);
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
    const struct model_row *row = find_model(text, len);
    if (row) {
        apply_model(m, row);
        return 0;
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
    if (rc == 0)
        raise_leaves(m);
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
    static const uint8_t always[] = {FEAT_8086, FEAT_186, FEAT_286, FEAT_386, FEAT_486};
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        features[i] = false;
    for (unsigned i = 0; i < ARRAY_SIZE(always); i++)
        features[always[i]] = true;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].gate != GATE_NONE)
            features[rows[i].gate] = has(m, &rows[i]);
    /* VMCALL and VMMCALL are the only rows of these yet: hypercalls. */
    features[FEAT_VMX] = features[FEAT_SVM] = m->kvm || m->pv;
}

void cpu_model_apply(const struct cpu_model *m, struct vcpu *vcpu)
{
    cpu_model_gates(m, vcpu->run.features);
    vcpu->run.phys_bits = m->phys_bits;
    vcpu->run.has_pse36 = cpu_model_has(m, CPUID_1_EDX, 17);
    vcpu->run.has_1g_pages = cpu_model_has(m, CPUID_81_EDX, 26);
}

uint32_t cpu_model_signature(const struct cpu_model *m)
{
    return m->signature;
}

uint64_t cpu_model_cr4(const struct cpu_model *m)
{
    uint64_t cr4 = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        cr4 |= has(m, &rows[i]) ? rows[i].cr4 : 0;
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
