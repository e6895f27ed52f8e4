/* SPDX-License-Identifier: MIT */
/* The verb `classify`: from words to output and an exit status. */
#include "frontends/classify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/run.h"

static void print(const struct class_report *r)
{
    static void (*const printers[])(const struct class_report *) = {
        [FORMAT_TEXT] = classify_print_text, [FORMAT_CSV] = classify_print_csv,
        [FORMAT_JSON] = classify_print_json, [FORMAT_MARKDOWN] = classify_print_markdown,
        [FORMAT_HTML] = classify_print_html,
    };
    printers[r->o->format](r);
}

/* ---- --expect ---- */

enum { EXPECT_MAX = 256, EXPECT_BYTES = 65536 };

static int read_expectations(const char *path, struct expectation *list, unsigned *count,
                             struct err *err)
{
    static char text[EXPECT_BYTES];
    FILE *f = fopen(path, "r");
    if (!f)
        return err_set(err, errno, "cannot read %.200s: %s", path, strerror(errno));
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    if (n == sizeof(text))
        return err_set(err, E2BIG, "%.200s is too long for a list of names", path);
    return expect_parse(text, n, list, EXPECT_MAX, count, err);
}

/* How many ways the expectation is wrong: 0 or 1. */
static int check_expected(FILE *out, const struct expectation *e, const struct class_name *found)
{
    char a[128], b[128];
    if (!found) {
        fprintf(out, "%s: expected, and not found\n", e->name);
        return 1;
    }
    if ((found->classes & e->classes) == e->classes)
        return 0;
    fprintf(out, "%s: expected %s, found %s\n", e->name, class_words(e->classes, a, sizeof(a)),
            class_words(found->classes, b, sizeof(b)));
    return 1;
}

static const struct class_name *find(const struct class_names *n, const char *name)
{
    for (unsigned i = 0; i < n->count; i++)
        if (strcmp(n->names[i].name, name) == 0)
            return &n->names[i];
    return NULL;
}

static bool is_expected(const struct expectation *list, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return true;
    return false;
}

int classify_expect(const struct class_report *r, struct err *err)
{
    struct expectation list[EXPECT_MAX];
    struct class_names found;
    unsigned count;
    int wrong = 0, rc = read_expectations(r->o->expect, list, &count, err);
    if (rc < 0)
        return rc;
    class_names_collect(&found, r->c, r->o->group, TRAPLINE_CLASS_BREAKS_1);
    for (unsigned i = 0; i < count; i++)
        wrong += check_expected(r->out, &list[i], find(&found, list[i].name));
    for (unsigned i = 0; i < found.count; i++) {
        if (is_expected(list, count, found.names[i].name))
            continue;
        fprintf(r->out, "%s: found, and not expected; witness %s\n", found.names[i].name,
                found.names[i].witness);
        wrong++;
    }
    fprintf(r->out, "%u expected, %u found, %d differ\n", count, found.count, wrong);
    return wrong;
}

/* ---- the verb ---- */

static int fail(const struct trapline_error *e)
{
    return report_error(e->text, e->hint);
}

static int show_diff(const struct classify_options *o, const struct class_report *after)
{
    struct trapline_classify_config config = o->config;
    struct trapline_error error;
    struct class_report before = *after;
    struct trapline_classification *c;
    config.variants = NULL;
    if (trapline_classify(&config, &c, &error) < 0)
        return fail(&error);
    before.c = c;
    classify_print_diff(&before, after);
    trapline_classification_destroy(c);
    return 0;
}

static int show(const struct classify_options *o, const struct class_report *r)
{
    struct err err = {{0}, {0}};
    if (o->is_diff)
        return show_diff(o, r);
    if (o->config.policy)
        return classify_print_under(r) ? TRAPLINE_EXIT_DIFFERENCE : 0;
    if (!o->expect) {
        print(r);
        return 0;
    }
    int rc = classify_expect(r, &err);
    if (rc < 0)
        return report_error(err.text, err.hint);
    return rc ? TRAPLINE_EXIT_DIFFERENCE : 0;
}

static int classify(const struct classify_options *o)
{
    struct trapline_error error;
    struct trapline_classification *c;
    if (trapline_classify(&o->config, &c, &error) < 0)
        return fail(&error);
    const struct class_report r = {.o = o, .c = c, .out = stdout};
    int status = show(o, &r);
    trapline_classification_destroy(c);
    return status;
}

static int act(const struct classify_options *o)
{
    struct trapline_error error;
    if (o->is_help) {
        classify_print_help(stdout);
        return 0;
    }
    if (o->is_elements) {
        classify_print_elements(stdout);
        return 0;
    }
    if (o->witness)
        return trapline_print_witness(o->witness, stdout, &error) < 0 ? fail(&error) : 0;
    return classify(o);
}

int verb_classify(int count, char *const words[])
{
    struct err err = {{0}, {0}};
    struct classify_options o;
    if (classify_parse(&o, count, words, &err) < 0)
        return report_error(err.text, err.hint);
    int status = act(&o);
    return report_output(status);
}
