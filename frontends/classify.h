/* SPDX-License-Identifier: MIT */
/*
 * `trapline classify`: options, output, and lists of expectations. Called by main.c.
 */
#pragma once

#include "base/err.h"
#include "monitor/trapline.h"

enum class_format { FORMAT_TEXT, FORMAT_CSV, FORMAT_JSON, FORMAT_MARKDOWN, FORMAT_HTML };
enum class_group { GROUP_NAMES, GROUP_PAPER, GROUP_VMWARE, GROUP_OPCODES };

struct classify_options {
    struct trapline_classify_config config; /* of the experiment */
    enum class_format format;               /* of the output */
    enum class_group group;                 /* how violations are counted */
    const char *witness;                    /* to run again, or NULL */
    const char *expect;                     /* file to compare with, or NULL */
    bool is_diff;                           /* without the variant and with it */
    bool is_all;                            /* every form */
    bool is_matrix;                         /* the dependence matrix */
    bool is_elements;                       /* the table of elements alone */
    bool is_help;                           /* print help alone */
};

/* The verb; its exit status. */
int verb_classify(int count, char *const words[]);

/* -EINVAL and *err. */
int classify_parse(struct classify_options *o, int count, char *const words[], struct err *err);
void classify_print_help(FILE *out);

/* ---- output ---- */

/* A result and how it was asked for. */
struct class_report {
    const struct classify_options *o;        /* borrowed */
    const struct trapline_classification *c; /* borrowed */
    FILE *out;                               /* borrowed */
};

void classify_print_text(const struct class_report *r);
void classify_print_elements(FILE *out);

/* How every sensitive or privileged form does under the monitor; how many forms, of all, differ. */
unsigned classify_print_under(const struct class_report *r);

void classify_print_csv(const struct class_report *r);
void classify_print_json(const struct class_report *r);
void classify_print_markdown(const struct class_report *r);
void classify_print_html(const struct class_report *r);

/* The names of two results that differ, with what they were and are. */
void classify_print_diff(const struct class_report *before, const struct class_report *after);

/* "control, location" of a set of classes, into text; returns it. */
const char *class_words(unsigned classes, char *text, size_t size);

/* Elements so related to form i, at either level, separated by ", ". */
const char *class_relations(const struct trapline_classification *c, unsigned i,
                            enum trapline_relation relation, char *text, size_t size);

/* Is it worth a line: privileged or sensitive, or behaving by time? */
bool class_is_shown(unsigned classes);

/* ---- names ---- */

enum { CLASS_NAMES_MAX = 256 };

/* What several forms of one name are together. */
struct class_name {
    const char *name;                    /* as the group counts */
    const char *section;                 /* of the paper, or "" */
    unsigned classes;                    /* of the forms together */
    unsigned forms;                      /* that are sensitive or privileged */
    bool is_listed;                      /* the group's source has it: not an extra */
    char witness[TRAPLINE_WITNESS_SIZE]; /* of the first form */
};

struct class_names {
    unsigned count; /* of names */
    struct class_name names[CLASS_NAMES_MAX];
};

/* Forms whose classes have one of `classes`, by name, in the order of the table. */
void class_names_collect(struct class_names *n, const struct trapline_classification *c,
                         enum class_group group, unsigned classes);

/* ---- expectations ---- */

struct expectation {
    char name[32];    /* "SGDT" */
    unsigned classes; /* that it is said to have; 0: none said */
};

/* A list in memory: "NAME [class...]" lines, # begins a comment. -EINVAL, -E2BIG. */
int expect_parse(const char *text, size_t size, struct expectation *list, unsigned max,
                 unsigned *count, struct err *err);

/* Compare, print what differs; how many differences. -errno with *err. */
int classify_expect(const struct class_report *r, struct err *err);
