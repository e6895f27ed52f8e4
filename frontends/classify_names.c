/* SPDX-License-Identifier: MIT */
/* Forms under the names that papers use, and sets of classes as words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "frontends/classify.h"

static const struct {
    unsigned class;   /* TRAPLINE_CLASS_* */
    const char *word; /* for people and for --expect */
} words[] = {
    {TRAPLINE_CLASS_PRIVILEGED, "privileged"},
    {TRAPLINE_CLASS_CONDITIONAL, "conditional"},
    {TRAPLINE_CLASS_CONTROL, "control"},
    {TRAPLINE_CLASS_MODE, "mode"},
    {TRAPLINE_CLASS_LOCATION, "location"},
    {TRAPLINE_CLASS_TIME, "time"},
    {TRAPLINE_CLASS_USER, "user"},
    {TRAPLINE_CLASS_CLOSED, "closed"},
};

static void append(char *text, size_t size, const char *separator, const char *word)
{
    size_t n = strlen(text);
    snprintf(text + n, size - n, "%s%s", n ? separator : "", word);
}

const char *class_words(unsigned classes, char *text, size_t size)
{
    text[0] = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (classes & words[i].class)
            append(text, size, " ", words[i].word);
    return text;
}

const char *class_relations(const struct trapline_classification *c, unsigned i,
                            enum trapline_relation relation, char *text, size_t size)
{
    struct trapline_class_element e = TRAPLINE_CLASS_ELEMENT_INIT;
    text[0] = 0;
    for (unsigned n = 0; trapline_class_element(n, &e); n++)
        if (trapline_class_relation(c, i, relation, 0, n, NULL) ||
            trapline_class_relation(c, i, relation, 3, n, NULL))
            append(text, size, ", ", e.name);
    return text;
}

bool class_is_shown(unsigned classes)
{
    return classes &
           (TRAPLINE_CLASS_PRIVILEGED | TRAPLINE_CLASS_CONDITIONAL | TRAPLINE_CLASS_CONTROL |
            TRAPLINE_CLASS_MODE | TRAPLINE_CLASS_LOCATION | TRAPLINE_CLASS_TIME);
}

static bool is_listed(const struct trapline_class_form *f, enum class_group group)
{
    if (group == GROUP_OPCODES)
        return true;
    return f->published &
           (group == GROUP_VMWARE ? TRAPLINE_PUBLISHED_VMWARE : TRAPLINE_PUBLISHED_ROBIN);
}

static struct class_name *find_name(struct class_names *n, const char *name)
{
    for (unsigned i = 0; i < n->count; i++)
        if (strcmp(n->names[i].name, name) == 0)
            return &n->names[i];
    if (n->count == CLASS_NAMES_MAX)
        return NULL;
    struct class_name *new = &n->names[n->count++];
    *new = (struct class_name){.name = name};
    return new;
}

void class_names_collect(struct class_names *n, const struct trapline_classification *c,
                         enum class_group group, unsigned classes)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    n->count = 0;
    for (unsigned i = 0; trapline_class_form(c, i, &f); i++) {
        if (!(f.classes & classes))
            continue;
        struct class_name *name = find_name(n, group == GROUP_PAPER ? f.entry : f.name);
        if (!name)
            return;
        if (name->forms++ == 0)
            trapline_class_witness(c, i, name->witness);
        name->section = f.section;
        name->classes |= f.classes;
        name->is_listed = is_listed(&f, group);
    }
}

/* ---- expectations ---- */

static bool word_class(const char *word, size_t n, unsigned *classes)
{
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strlen(words[i].word) == n && memcmp(words[i].word, word, n) == 0) {
            *classes |= words[i].class;
            return true;
        }
    }
    return false;
}

static int parse_line(const char *line, size_t size, unsigned number, struct expectation *e,
                      struct err *err)
{
    static const char blank[] = " \t\r,:";
    *e = (struct expectation){.name = ""};
    for (size_t at = 0; at < size && line[at] != '#';) {
        size_t n = 0;
        while (at + n < size && line[at + n] && !strchr(blank, line[at + n]) && line[at + n] != '#')
            n++;
        const char *word = line + at;
        at += n + (n == 0);
        if (n == 0)
            continue;
        if (!e->name[0] && n < sizeof(e->name)) {
            memcpy(e->name, word, n);
            continue;
        }
        if (!e->name[0] || !word_class(word, n, &e->classes))
            return err_set(err, EINVAL, "line %u: '%.*s' is no class", number, n < 40 ? (int)n : 40,
                           word);
    }
    return 0;
}

int expect_parse(const char *text, size_t size, struct expectation *list, unsigned max,
                 unsigned *count, struct err *err)
{
    unsigned number = 0;
    *count = 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - (text + at)) : size - at;
        struct expectation e;
        int rc = parse_line(text + at, n, ++number, &e, err);
        if (rc < 0)
            return rc;
        if (e.name[0] && *count == max)
            return err_set(err, E2BIG, "more than %u names", max);
        if (e.name[0])
            list[(*count)++] = e;
        at += n + 1;
    }
    return 0;
}
