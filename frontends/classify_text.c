/* SPDX-License-Identifier: MIT */
/* The classifier's result as text: the count, the theorems, tables. */
#include <string.h>

#include "frontends/classify.h"

enum { TEXT = 1024 };

static void print_form_name(FILE *out, const struct trapline_class_form *f, int width)
{
    char text[96];
    snprintf(text, sizeof(text), "%s %s %s", f->mnemonic, f->encoding, f->operands);
    fprintf(out, "%-*s", width, text);
}

/* ---- counts ---- */

static void print_names(const struct class_report *r, const struct class_names *n, bool is_listed)
{
    char text[TEXT];
    for (unsigned i = 0; i < n->count; i++) {
        const struct class_name *name = &n->names[i];
        if (name->is_listed != is_listed)
            continue;
        unsigned classes = name->classes & ~(unsigned)TRAPLINE_CLASS_USER;
        fprintf(r->out, "  %-9s %-3s %-24s %s\n", name->name, name->section,
                class_words(classes, text, sizeof(text)), name->witness);
    }
}

static unsigned count_listed(const struct class_names *n)
{
    unsigned listed = 0;
    for (unsigned i = 0; i < n->count; i++)
        listed += n->names[i].is_listed;
    return listed;
}

static void print_forms(const struct class_report *r)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    char witness[TRAPLINE_WITNESS_SIZE], text[TEXT];
    unsigned count = 0;
    for (unsigned i = 0; trapline_class_form(r->c, i, &f); i++)
        count += (f.classes & TRAPLINE_CLASS_BREAKS_1) != 0;
    fprintf(r->out, "%u sensitive, unprivileged forms:\n", count);
    for (unsigned i = 0; trapline_class_form(r->c, i, &f); i++) {
        if (!(f.classes & TRAPLINE_CLASS_BREAKS_1))
            continue;
        fprintf(r->out, "  ");
        print_form_name(r->out, &f, 44);
        trapline_class_witness(r->c, i, witness);
        fprintf(r->out, " %-24s %s\n",
                class_words(f.classes & ~(unsigned)TRAPLINE_CLASS_USER, text, sizeof(text)),
                witness);
    }
}

static void print_group(const struct class_report *r)
{
    struct class_names n;
    if (r->o->group == GROUP_OPCODES) {
        print_forms(r);
        return;
    }
    class_names_collect(&n, r->c, r->o->group, TRAPLINE_CLASS_BREAKS_1);
    unsigned listed = count_listed(&n);
    fprintf(r->out, "%u sensitive, unprivileged instructions that %s too:\n", listed,
            r->o->group == GROUP_VMWARE ? "Bugnion, Nieh and Tsafrir list"
                                        : "Robin and Irvine list");
    print_names(r, &n, true);
    if (listed == n.count)
        return;
    fprintf(r->out, "and %u that they do not:\n", n.count - listed);
    print_names(r, &n, false);
}

/* ---- theorems ---- */

static unsigned count_classes(const struct class_report *r, unsigned classes)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    unsigned count = 0;
    for (unsigned i = 0; trapline_class_form(r->c, i, &f); i++)
        count += (f.classes & classes) != 0;
    return count;
}

static unsigned count_completed(const struct class_report *r)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    unsigned count = 0;
    for (unsigned i = 0; trapline_class_form(r->c, i, &f); i++)
        count += f.completed[0] + f.completed[1] > 0;
    return count;
}

static void print_theorem(const struct class_report *r, unsigned number, const char *what,
                          unsigned breaks)
{
    unsigned count = count_classes(r, breaks);
    fprintf(r->out, "Theorem %u (%s): ", number, what);
    if (count)
        fprintf(r->out, "does not apply, %u forms are in the way\n", count);
    else
        fprintf(r->out, "applies\n");
}

static void print_summary(const struct class_report *r)
{
    const unsigned sensitive =
        TRAPLINE_CLASS_CONTROL | TRAPLINE_CLASS_MODE | TRAPLINE_CLASS_LOCATION;
    fprintf(r->out,
            "%u forms completed; %u privileged, %u sensitive, %u time-dependent; %u in no state\n",
            count_completed(r), count_classes(r, TRAPLINE_CLASS_PRIVILEGED),
            count_classes(r, sensitive), count_classes(r, TRAPLINE_CLASS_TIME),
            count_classes(r, TRAPLINE_CLASS_CLOSED));
    print_theorem(r, 1, "a monitor by trap and emulate", TRAPLINE_CLASS_BREAKS_1);
    print_theorem(r, 3, "a hybrid monitor, that interprets CPL 0", TRAPLINE_CLASS_BREAKS_3);
}

/* ---- tables ---- */

static void print_relation(const struct class_report *r, unsigned i, enum trapline_relation which,
                           const char *what)
{
    char text[TEXT];
    if (*class_relations(r->c, i, which, text, sizeof(text)))
        fprintf(r->out, "      %s %s\n", what, text);
}

static void print_all(const struct class_report *r)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    char text[TEXT];
    fputc('\n', r->out);
    for (unsigned i = 0; trapline_class_form(r->c, i, &f); i++) {
        if (!class_is_shown(f.classes))
            continue;
        print_form_name(r->out, &f, 44);
        fprintf(r->out, " %s%s%s\n", class_words(f.classes, text, sizeof(text)),
                f.classes & TRAPLINE_CLASS_BY_CPL ? ", by CPL" : "",
                f.classes & TRAPLINE_CLASS_BREAKS_1 ? ", VIOLATION" : "");
        print_relation(r, i, TRAPLINE_READS, "reads");
        print_relation(r, i, TRAPLINE_WRITES, "writes");
        print_relation(r, i, TRAPLINE_TRAPS, "made privileged by");
        print_relation(r, i, TRAPLINE_ALLOWS, "let in by");
    }
}

static char matrix_mark(const struct trapline_classification *c, unsigned i, unsigned e)
{
    bool r = trapline_class_relation(c, i, TRAPLINE_READS, 0, e, NULL) ||
             trapline_class_relation(c, i, TRAPLINE_READS, 3, e, NULL);
    bool w = trapline_class_relation(c, i, TRAPLINE_WRITES, 0, e, NULL) ||
             trapline_class_relation(c, i, TRAPLINE_WRITES, 3, e, NULL);
    return r && w ? 'b' : r ? 'r' : w ? 'w' : '.';
}

static void print_matrix(const struct class_report *r)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_element e = TRAPLINE_CLASS_ELEMENT_INIT;
    unsigned n = 0;
    fprintf(r->out, "\nr: the result depends on it, w: it is left changed, b: both\n\n");
    for (; trapline_class_element(n, &e); n++)
        fprintf(r->out, "%2u %-20s%s", n, e.name, n % 4 == 3 ? "\n" : "");
    fprintf(r->out, "\n\n%44s", "");
    for (unsigned i = 0; i < n; i++)
        fputc(i % 10 ? ' ' : (char)('0' + i / 10), r->out);
    fprintf(r->out, "\n%44s", "");
    for (unsigned i = 0; i < n; i++)
        fputc((char)('0' + i % 10), r->out);
    fputc('\n', r->out);
    for (unsigned i = 0; trapline_class_form(r->c, i, &f); i++) {
        if (!class_is_shown(f.classes))
            continue;
        print_form_name(r->out, &f, 44);
        for (unsigned k = 0; k < n; k++)
            fputc(matrix_mark(r->c, i, k), r->out);
        fputc('\n', r->out);
    }
}

void classify_print_text(const struct class_report *r)
{
    const struct trapline_classify_config *config = &r->o->config;
    fprintf(r->out, "%s in %s%s%s\n\n", config->cpu ? config->cpu : "pentium",
            config->mode ? config->mode : "prot32", config->variants ? ", with " : "",
            config->variants ? config->variants : "");
    print_group(r);
    fputc('\n', r->out);
    print_summary(r);
    if (r->o->is_all)
        print_all(r);
    if (r->o->is_matrix)
        print_matrix(r);
}

void classify_print_elements(FILE *out)
{
    struct trapline_class_element e = TRAPLINE_CLASS_ELEMENT_INIT;
    fprintf(out,
            "| element | kind | varied | bit | what it is |\n| --- | --- | --- | --- | --- |\n");
    for (unsigned i = 0; trapline_class_element(i, &e); i++)
        fprintf(out, "| %s | %s | %s | %s | %s |\n", e.name, e.kind, e.is_varied ? "yes" : "held",
                e.is_bit ? "yes" : "", e.doc);
}

/* ---- under a monitor ---- */

/* Did a form before the i-th differ under this name? */
static bool has_differed(const struct class_report *r, unsigned before, const char *name)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_under u = TRAPLINE_CLASS_UNDER_INIT;
    for (unsigned i = 0; i < before && trapline_class_form(r->c, i, &f) && trapline_class_under(r->c, i, &u); i++)
        if (u.differ && strcmp(f.name, name) == 0)
            return true;
    return false;
}

/* The names of the papers under which forms differ; of Robin and Irvine's list, or the others. */
static void print_differing_names(const struct class_report *r, const char *title, bool is_robins)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_under u = TRAPLINE_CLASS_UNDER_INIT;
    unsigned names = 0;
    fputs(title, r->out);
    for (unsigned i = 0; trapline_class_form(r->c, i, &f) && trapline_class_under(r->c, i, &u); i++) {
        bool is_of_list = f.published & TRAPLINE_PUBLISHED_ROBIN;
        if (u.differ == 0 || is_of_list != is_robins || has_differed(r, i, f.name))
            continue;
        names++;
        fprintf(r->out, " %s", f.name);
    }
    fprintf(r->out, " (%u)\n", names);
}

unsigned classify_print_under(const struct class_report *r)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    struct trapline_class_under u = TRAPLINE_CLASS_UNDER_INIT;
    unsigned forms = 0, differ = 0, runs = 0, hidden = 0;
    for (unsigned i = 0; trapline_class_form(r->c, i, &f) && trapline_class_under(r->c, i, &u);
         i++) {
        runs += u.runs;
        differ += u.differ > 0;
        if (u.runs == 0 || (!class_is_shown(f.classes) && u.differ == 0))
            continue;
        forms += class_is_shown(f.classes);
        hidden += class_is_shown(f.classes) && u.reached < u.runs;
        print_form_name(r->out, &f, 44);
        fprintf(r->out, " %3u runs, %3u reached the monitor, %s%s\n", u.runs, u.reached,
                u.differ ? "DIFFERS: " : "same as bare", u.where);
    }
    fprintf(r->out,
            "\n%u runs under %s; of %u sensitive or privileged forms %u do not always reach the "
            "monitor;\n%u forms of all differ from the bare machine\n",
            runs, r->o->config.policy, forms, hidden, differ);
    if (differ) {
        print_differing_names(r, "on Robin and Irvine's list:", true);
        print_differing_names(r, "not on it:", false);
    }
    return differ;
}

/* ---- two results ---- */

void classify_print_diff(const struct class_report *before, const struct class_report *after)
{
    struct trapline_class_form a = TRAPLINE_CLASS_FORM_INIT, b = TRAPLINE_CLASS_FORM_INIT;
    char x[TEXT], y[TEXT];
    unsigned differ = 0;
    fprintf(after->out, "%s in %s: without and with %s\n\n",
            after->o->config.cpu ? after->o->config.cpu : "pentium",
            after->o->config.mode ? after->o->config.mode : "prot32", after->o->config.variants);
    for (unsigned i = 0; trapline_class_form(before->c, i, &a); i++) {
        trapline_class_form(after->c, i, &b);
        if (a.classes == b.classes)
            continue;
        differ++;
        print_form_name(after->out, &a, 44);
        fprintf(after->out, " %s -> %s\n", class_words(a.classes, x, sizeof(x)),
                class_words(b.classes, y, sizeof(y)));
    }
    fprintf(after->out, "\n%u forms differ; against Theorem 1: %u before, %u after\n", differ,
            count_classes(before, TRAPLINE_CLASS_BREAKS_1),
            count_classes(after, TRAPLINE_CLASS_BREAKS_1));
}
