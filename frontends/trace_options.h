/* SPDX-License-Identifier: MIT */
/*
 * The options of `trapline trace` (trace.def): what is told, which of it is shown, and where it goes. Words that are not
 * among them belong to `trapline run`. Called by trace.c and the tests; never prints, never opens a file.
 */
#pragma once

#include "base/err.h"
#include "monitor/trapline.h"

#define TRACE_OUTPUTS 8
#define TRACE_RANGES 16
#define TRACE_PATTERNS 16
#define TRACE_WALKS 4

struct trace_format;

enum trace_weight { WEIGHT_INSNS, WEIGHT_EXITS };

/* Modes of -mode: a set; none: all. */
enum { SHOW_REAL = 1, SHOW_VM86 = 2, SHOW_PROT = 4, SHOW_LONG = 8, SHOW_ANY_MODE = 15, SHOW_CPL0 = 16, SHOW_ANY_CPL = 240 };

struct trace_range {
    const char *name; /* of a function, or NULL */
    uint64_t first, last;
};

struct trace_options {
    struct {
        const char *path;                  /* NULL: standard output */
        const struct trace_format *format; /* NULL: by the path */
    } outputs[TRACE_OUTPUTS];
    unsigned output_count;
    bool has_level;
    enum trapline_trace_level level;
    uint64_t from, ticks; /* ticks 0: to the end */
    uint64_t limit;       /* 0: none */
    struct trace_range ranges[TRACE_RANGES];
    unsigned range_count;
    char names[TRACE_RANGES][64]; /* of ranges */
    const char *symbols[TRACE_PATTERNS];
    unsigned symbol_count;
    const char *reasons[TRACE_PATTERNS];
    unsigned reason_count;
    unsigned modes; /* SHOW_* */
    bool has_vcpu;
    unsigned vcpu;
    enum trace_weight weight;
    uint64_t walks[TRACE_WALKS];
    unsigned walk_count;
    bool is_help;
};

/*
 * Take our options out of words[0..count); the others go to rest[0..*rest_count), which has room for all. 0, or -EINVAL and
 * err. The words stay borrowed.
 */
int trace_options_parse(struct trace_options *o, int count, char *const words[], char *rest[], int *rest_count, struct err *err);

/* Defaults that follow from others. Part of trace_options_parse's work; apart for `trapline diff`. */
int trace_options_complete(struct trace_options *o, struct err *err);

void trace_options_print_help(FILE *out);
