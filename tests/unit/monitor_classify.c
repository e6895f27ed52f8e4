/* SPDX-License-Identifier: MIT */
/* The classifier: what it looks at, what it finds, and that insn.def says the same. */
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "monitor/classify/verdict.h"
#include "monitor/classify/witness.h"
#include "monitor/trapline.h"
#include "tests/test.h"

/* ---- the tables ---- */

static uint64_t width_mask(unsigned width)
{
    return width == 8 ? UINT64_MAX : BIT(8 * width) - 1;
}

TEST(elements, every_bit_of_the_state_belongs_to_one_of_them)
{
    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        for (unsigned n = 0; n < cpu_fields[f].count; n++) {
            uint64_t seen = 0, twice = 0, all = width_mask(cpu_fields[f].size);
            for (unsigned i = 0; i < place_count; i++) {
                const struct place *p = &places[i];
                if (p->field != f || n < p->first || n >= (unsigned)p->first + p->count)
                    continue;
                twice |= seen & p->mask;
                seen |= p->mask;
            }
            if ((seen & all) != all || (twice & all) != 0)
                printf("%s[%u]: seen %llx, twice %llx\n", cpu_fields[f].name, n,
                       (unsigned long long)seen, (unsigned long long)twice);
            EXPECT((seen & all) == all);
            EXPECT((twice & all) == 0);
        }
    }
}

TEST(elements, bring_themselves_back)
{
    struct cpu_model model;
    struct err err;
    EXPECT_EQ(0, cpu_model_parse("max", &model, &err));
    struct world *w = world_create(&model, CLASS_LONG64);
    struct cpu before, now;
    static uint8_t image[WORLD_SIZE];
    world_base_cpu(w, 0, 0, &before);
    memcpy(image, w->image, sizeof(image));
    for (unsigned e = 0; e < ELEMENT_COUNT; e++) {
        now = before;
        if (!world_vary(w, &now, e))
            continue;
        world_vary(w, &now, e);
        if (memcmp(&now, &before, sizeof(now)) != 0 || memcmp(image, w->image, WORLD_SIZE) != 0)
            printf("%s does not come back\n", elements[e].name);
        EXPECT(memcmp(&now, &before, sizeof(now)) == 0);
        EXPECT(memcmp(image, w->image, WORLD_SIZE) == 0);
    }
    world_destroy(w);
}

/* ---- results ---- */

static struct trapline_classification *classify(const char *cpu, const char *mode,
                                                const char *variants, const char *policy)
{
    struct trapline_classify_config config = TRAPLINE_CLASSIFY_CONFIG_INIT;
    struct trapline_classification *c = NULL;
    struct trapline_error error;
    config.cpu = cpu;
    config.mode = mode;
    config.variants = variants;
    config.policy = policy;
    if (trapline_classify(&config, &c, &error) < 0)
        printf("%s\n", error.text);
    EXPECT(c != NULL);
    return c;
}

/* " A B " of the names of forms with some class, without and with those that nobody published. */
static void names_of(const struct trapline_classification *c, unsigned classes, bool published,
                     char *text, size_t size)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    snprintf(text, size, " ");
    for (unsigned i = 0; trapline_class_form(c, i, &f); i++) {
        char word[40];
        bool is_published = f.published & TRAPLINE_PUBLISHED_ROBIN;
        snprintf(word, sizeof(word), " %s ", f.name);
        if (!(f.classes & classes) || is_published != published || strstr(text, word))
            continue;
        strncat(text, word + 1, size - strlen(text) - 1);
    }
}

/* Each witness of a violation, run again, shows it. */
static void expect_witnesses_replay(const struct trapline_classification *c)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    for (unsigned i = 0; trapline_class_form(c, i, &f); i++) {
        char id[TRAPLINE_WITNESS_SIZE], *text = NULL;
        size_t size;
        if (!(f.classes & TRAPLINE_CLASS_BREAKS_1))
            continue;
        EXPECT(trapline_class_witness(c, i, id));
        FILE *out = open_memstream(&text, &size);
        EXPECT_EQ(0, trapline_print_witness(id, out, NULL));
        fclose(out);
        bool shows = strstr(text, "They differ without a trap") || strstr(id, "/none");
        if (!shows)
            printf("%s:\n%s", id, text);
        EXPECT(shows);
        free(text);
    }
}

/* Under bt every sensitive instruction reaches the monitor, and no guest sees a difference. */
static void expect_equivalent(const struct trapline_classification *c)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_under u = TRAPLINE_CLASS_UNDER_INIT;
    unsigned runs = 0;
    for (unsigned i = 0; trapline_class_form(c, i, &f) && trapline_class_under(c, i, &u); i++) {
        bool must_reach = f.measured != 0 || (f.classes & TRAPLINE_CLASS_PRIVILEGED);
        bool ok = u.differ == 0 && (!must_reach || (u.runs > 0 && u.reached == u.runs));
        runs += u.runs;
        if (!ok)
            printf("%s %s: %u runs, %u reached, %u differ: %s\n", f.mnemonic, f.encoding, u.runs,
                   u.reached, u.differ, u.where);
        EXPECT(ok);
    }
    EXPECT(runs > 10000);
}

/* Translated 32-bit code leaves YMM8-YMM15 alone, which it cannot name. */
TEST(max, sees_no_difference_in_32_bit_code_under_bt)
{
    struct trapline_classification *c = classify("max", "prot32", NULL, "bt");
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_under u = TRAPLINE_CLASS_UNDER_INIT;
    for (unsigned i = 0; trapline_class_form(c, i, &f) && trapline_class_under(c, i, &u); i++) {
        if (u.differ)
            printf("%s %s: %s\n", f.mnemonic, f.encoding, u.where);
        EXPECT_EQ(0, u.differ);
    }
    trapline_classification_destroy(c);
}

/* Of the names that break Theorem 1, those under which a form differs; every one that differs. */
static void expect_holes(const char *policy)
{
    struct trapline_classification *c = classify("pentium", "prot32", NULL, policy);
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_under u = TRAPLINE_CLASS_UNDER_INIT;
    char predicted[512], others[512], differing[512] = " ";
    names_of(c, TRAPLINE_CLASS_BREAKS_1, true, predicted, sizeof(predicted));
    names_of(c, TRAPLINE_CLASS_BREAKS_1, false, others, sizeof(others));
    for (unsigned i = 0; trapline_class_form(c, i, &f) && trapline_class_under(c, i, &u); i++) {
        char word[40];
        snprintf(word, sizeof(word), " %s ", f.name);
        if (u.differ == 0)
            continue;
        EXPECT(f.classes & TRAPLINE_CLASS_BREAKS_1);
        EXPECT(strstr(predicted, word) || strstr(others, word));
        if (!strstr(differing, word))
            strncat(differing, word + 1, sizeof(differing) - strlen(differing) - 1);
    }
    EXPECT_EQ(strlen(predicted) + strlen(others) - 1, strlen(differing)); /* the same names: " A " and " B " in one */
    trapline_classification_destroy(c);
}

/* Theorem 1 predicts what an experiment finds: what is sensitive and does not trap goes wrong, and nothing else. */
TEST(pentium, has_under_classic_the_holes_that_theorem_1_predicts)
{
    expect_holes("classic");
    expect_holes("classic,ring=3");
}

TEST(pentium, breaks_theorem_1_as_robin_and_irvine_found)
{
    char text[512];
    struct trapline_classification *c = classify("pentium", "prot32", NULL, "bt");
    names_of(c, TRAPLINE_CLASS_BREAKS_1, true, text, sizeof(text));
    assert_string_equal(" MOV PUSH POP PUSHF POPF CALL JMP RET INT SLDT STR VERR VERW SGDT SIDT "
                        "SMSW LAR LSL ",
                        text);
    names_of(c, TRAPLINE_CLASS_BREAKS_1, false, text, sizeof(text));
    assert_string_equal(" LES LDS LSS LFS LGS IRET ", text);
    names_of(c, TRAPLINE_CLASS_PRIVILEGED, false, text, sizeof(text));
    assert_string_equal(" CLI STI INS OUTS IN OUT LLDT LTR LGDT LIDT LMSW INVLPG CLTS INVD WBINVD "
                        "MOV_CR MOV_DR WRMSR RDMSR HLT ",
                        text);
    expect_witnesses_replay(c);
    expect_equivalent(c);
    trapline_classification_destroy(c);
}

/* Elements that decide whether the form of a name is privileged. */
static bool is_decided_by(const struct trapline_classification *c, const char *name,
                          enum trapline_relation relation, unsigned element)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    for (unsigned i = 0; trapline_class_form(c, i, &f); i++)
        if (strcmp(f.mnemonic, name) == 0)
            return trapline_class_relation(c, i, relation, 3, element, NULL);
    return false;
}

/* " A B " of the names that an element makes privileged. */
static void made_privileged(const struct trapline_classification *c, unsigned element, char *text,
                            size_t size)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    size_t n = 0;
    text[0] = 0;
    for (unsigned i = 0; trapline_class_form(c, i, &f) && n < size; i++)
        if (trapline_class_relation(c, i, TRAPLINE_TRAPS, 3, element, NULL))
            n += (size_t)snprintf(text + n, size - n, " %s", f.name);
}

static void expect_conditions(const struct trapline_classification *c)
{
    char text[512];
    made_privileged(c, ELEMENT_UMIP, text, sizeof(text));
    assert_string_equal(" SLDT STR SGDT SIDT SMSW", text);
    made_privileged(c, ELEMENT_TSD, text, sizeof(text));
    assert_string_equal(" RDTSCP RDTSC", text);
    EXPECT(is_decided_by(c, "CLI", TRAPLINE_ALLOWS, ELEMENT_IOPL));
    EXPECT(is_decided_by(c, "IN", TRAPLINE_ALLOWS, ELEMENT_TSS_IO));
    EXPECT(is_decided_by(c, "RDPMC", TRAPLINE_TRAPS, ELEMENT_PCE));
    EXPECT(!is_decided_by(c, "HLT", TRAPLINE_ALLOWS, ELEMENT_IOPL));
}

/* ---- insn.def ---- */

/*
 * Where the table is meant to say something else than the experiment, and why. Everything else has
 * to agree.
 */
static const struct {
    uint16_t op;      /* whose rows */
    uint8_t declared; /* only in the table */
    uint8_t measured; /* only in the experiment */
    const char *why;  /* for people */
} agreed[] = {
    {OP_PAUSE, SENS_CONTROL, 0, "a hint: the monitor takes it for the end of a turn"},
    {OP_INVLPG, SENS_CONTROL, 0, "the TLB is coherent: nothing to see"},
    {OP_INVPCID, SENS_CONTROL, 0, "the TLB is coherent: nothing to see"},
    {OP_VMCALL, SENS_CONTROL, SENS_MODE, "what a hypercall does is the monitor's affair"},
    {OP_VMMCALL, SENS_CONTROL, SENS_MODE, "what a hypercall does is the monitor's affair"},
    {OP_RDFSBASE, 0, SENS_LOCATION, "a user's own register while CR4.FSGSBASE is set"},
    {OP_RDGSBASE, 0, SENS_LOCATION, "a user's own register while CR4.FSGSBASE is set"},
    {OP_WRFSBASE, 0, SENS_CONTROL, "a user's own register while CR4.FSGSBASE is set"},
    {OP_WRGSBASE, 0, SENS_CONTROL, "a user's own register while CR4.FSGSBASE is set"},
    {OP_XSAVE, 0, SENS_MODE, "XCR0 is the real one under every policy"},
    {OP_XRSTOR, 0, SENS_MODE, "XCR0 is the real one under every policy"},
    {OP_XSAVEOPT, 0, SENS_MODE, "XCR0 is the real one under every policy"},
    {OP_XSAVEC, 0, SENS_MODE, "XCR0 is the real one under every policy"},
};

static bool is_agreed(unsigned op, unsigned declared, unsigned measured)
{
    for (unsigned i = 0; i < ARRAY_SIZE(agreed); i++)
        if (agreed[i].op == op)
            return (declared & ~measured) == agreed[i].declared &&
                   (measured & ~declared) == agreed[i].measured;
    return declared == measured;
}

/* Rows that no state of ours can complete: SMM, SMX, MONITOR without the feature, an image in the
 * compacted format. */
static bool is_out_of_reach(unsigned op)
{
    return op == OP_RSM || op == OP_GETSEC || op == OP_MONITOR || op == OP_MWAIT ||
           op == OP_XRSTORS;
}

/* Elements that the column privilege says decide about the trap: of a form that otherwise traps at
 * CPL 3, and of one that otherwise does not. */
static void expected_conditions(unsigned privilege, struct element_set *allows,
                                struct element_set *traps)
{
    *allows = *traps = (struct element_set){{0}};
    if (privilege == PRIV_IOPL || privilege == PRIV_IO)
        set_add(allows, ELEMENT_IOPL);
    if (privilege == PRIV_IO)
        set_add(allows, ELEMENT_TSS_IO);
    if (privilege == PRIV_UMIP || privilege == PRIV_UMIP_PE)
        set_add(traps, ELEMENT_UMIP);
    if (privilege == PRIV_TSD)
        set_add(traps, ELEMENT_TSD);
    if (privilege == PRIV_PCE)
        set_add(traps, ELEMENT_PCE);
}

static bool privilege_agrees(const struct trapline_classification *c, unsigned i,
                             const struct trapline_class_form *f)
{
    struct element_set allows, traps;
    unsigned privilege = insn_row(i)->privilege;
    bool traps_at_3 = privilege == PRIV_CPL0 || privilege == PRIV_CPL0_PE ||
                      privilege == PRIV_IOPL || privilege == PRIV_IO;
    expected_conditions(privilege, &allows, &traps);
    if (traps_at_3 != ((f->classes & TRAPLINE_CLASS_PRIVILEGED) != 0))
        return false;
    for (unsigned e = 0; e < ELEMENT_COUNT; e++)
        if (elements[e].is_bit &&
            (trapline_class_relation(c, i, TRAPLINE_ALLOWS, 3, e, NULL) != set_has(&allows, e) ||
             trapline_class_relation(c, i, TRAPLINE_TRAPS, 3, e, NULL) != set_has(&traps, e)))
            return false;
    return true;
}

static void add_measured(unsigned *measured, bool *completed, const char *mode)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_classification *c = classify("max,+sse4a", mode, "fsgsbase,pce,pke", NULL);
    expect_conditions(c);
    for (unsigned i = 0; trapline_class_form(c, i, &f); i++) {
        measured[i] |= f.measured;
        bool completes = f.completed[0] + f.completed[1] > 0;
        completed[i] |= completes;
        if (completes && !privilege_agrees(c, i, &f))
            printf("%s row %u, %s %s: privilege is not what is measured\n", mode, i, f.mnemonic,
                   f.encoding);
        EXPECT(!completes || privilege_agrees(c, i, &f));
    }
    trapline_classification_destroy(c);
}

TEST(table, declares_the_sensitivity_and_privilege_that_are_measured)
{
    static unsigned measured[INSN_ROWS];
    static bool completed[INSN_ROWS];
    add_measured(measured, completed, "prot32");
    add_measured(measured, completed, "long64");
    for (unsigned i = 0; i < insn_row_count(); i++) {
        const struct insn_desc *d = insn_row(i);
        bool ok = completed[i] ? is_agreed(d->op, d->sensitivity, measured[i])
                               : d->sensitivity == SENS_NONE || is_out_of_reach(d->op);
        if (!ok)
            printf("insn.def row %u, %s %s %s: declared %x, measured %x%s\n", i, d->name,
                   d->encoding, d->operands, d->sensitivity, measured[i],
                   completed[i] ? "" : " (never completed)");
        EXPECT(ok);
    }
}

/* ---- under a monitor ---- */

/* A block that was translated wrongly is told from the bare machine. */
TEST(under, sees_what_a_wrong_translation_does)
{
    struct cpu_model model;
    struct err err;
    struct under u;
    unsigned row = 0;
    EXPECT_EQ(0, cpu_model_parse("max", &model, &err));
    struct world *bare = world_create(&model, CLASS_LONG64),
                 *vmm = world_create(&model, CLASS_LONG64);
    const struct experiment x = {.world = bare, .states_few = 8, .states_many = 8};
    while (insn_row(row)->op != OP_SUB)
        row++;
    if (world_translate(vmm)) {
        experiment_under(&x, vmm, row, x.states_few, &u);
        EXPECT_EQ(0, u.differ);
        EXPECT(jit_stats(vmm->jit).translated >= u.runs / 2);
        jit_sabotage(vmm->jit, 3);
        experiment_under(&x, vmm, row, x.states_few, &u);
        EXPECT(u.differ > 0 && u.where[0] != 0);
    }
    world_destroy(vmm);
    world_destroy(bare);
}

/* ---- witnesses ---- */

TEST(witness, is_parsed_as_it_is_written)
{
    static const char *const good[] = {"prot32/pentium/205/2/0/CPL", "long64+umip+tsd/max/7/3/3/IF",
                                       "prot16/486/0/65535/0/none"};
    static const char *const bad[] = {
        "",
        "prot32",
        "prot32/pentium",
        "prot32/pentium/205/2/0",
        "prot32/pentium/205/2/1/CPL",
        "prot32/pentium/99999/2/0/CPL",
        "prot32/pentium/-1/2/0/CPL",
        "prot32/none/205/2/0/CPL",
        "prot99/pentium/205/2/0/CPL",
        "prot32+smep/pentium/205/2/0/CPL",
        "prot32/pentium/205/2/0/CPL/",
        "prot32/pentium/205/2/0/XYZ",
        "prot32/pentium/205/2/0/CR4",
    };
    struct witness w;
    struct err err;
    char text[160];
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        EXPECT_EQ(0, witness_parse(good[i], &w, &err));
        witness_format(&w, text, sizeof(text));
        assert_string_equal(good[i], text);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        err.text[0] = 0;
        EXPECT(witness_parse(bad[i], &w, &err) < 0);
        EXPECT(err.text[0] != 0);
    }
}

TEST_MAIN(RUN(elements, every_bit_of_the_state_belongs_to_one_of_them)
              RUN(elements, bring_themselves_back)
                  RUN(max, sees_no_difference_in_32_bit_code_under_bt)
          RUN(pentium, has_under_classic_the_holes_that_theorem_1_predicts)
          RUN(pentium, breaks_theorem_1_as_robin_and_irvine_found)
                      RUN(table, declares_the_sensitivity_and_privilege_that_are_measured)
                          RUN(under, sees_what_a_wrong_translation_does)
                              RUN(witness, is_parsed_as_it_is_written))
