/* SPDX-License-Identifier: MIT */
/*
 * Formats of traces: each takes steps one by one and writes a file. Called by trace.c; the files trace_text.c, trace_csv.c,
 * trace_chrome.c, trace_flame.c and report.c have one or two each.
 */
#pragma once

#include "frontends/symbols.h"
#include "frontends/trace_options.h"

/* What all formats may ask for. */
struct trace_context {
    struct trapline_machine *m;
    const struct symbols *symbols;       /* NULL: none */
    const struct trace_options *options;
    const char *title;                   /* the command line */
};

/* A file being written. */
struct trace_output {
    const struct trace_context *context; /* borrowed */
    const struct trace_format *format;
    FILE *out;
    void *state;    /* the format's, owned: free() ends it */
    bool is_full;   /* no memory for all of it */
};

struct trace_format {
    const char *name;                /* of -format */
    const char *suffix;              /* of files */
    enum trapline_trace_level level; /* without -level */
    bool needs_calls;                /* wants BLOCKS or INSNS */
    size_t state_size;               /* of state, which begins all zero */
    void (*begin)(struct trace_output *o); /* NULL: nothing to do */
    /* Steps come in order. is_shown: the filters let it pass; those that follow calls want to hear of all. */
    void (*step)(struct trace_output *o, const struct trapline_step *s, bool is_shown);
    void (*end)(struct trace_output *o);   /* the rest of the file */
    void (*dispose)(struct trace_output *o); /* what state owns; NULL: nothing */
};

extern const struct trace_format trace_text, trace_csv, trace_chrome, trace_folded, trace_svg, trace_html;

const struct trace_format *trace_format_at(unsigned i);               /* NULL past the last; text is the first */
const struct trace_format *trace_format_of_path(const char *path);   /* NULL: its name says nothing */

/* "native_write_msr+0x4", or the bare address in hexadecimal. */
void trace_place(const struct trace_context *c, uint64_t address, char *text, size_t size);

/* "eax 1 -> 2, IF 1 -> 0": what the step changed, cut to size. */
void trace_changes(const struct trace_context *c, const struct trapline_step *s, char *text, size_t size);

/* "control, mode": the set of TRAPLINE_SENSITIVE_*. */
void trace_sensitivity(unsigned set, char *text, size_t size);

/* "real", "prot32" ... */
const char *trace_mode_name(enum trapline_cpu_mode mode);

/* "insn", "exit", "exception" ... */
const char *trace_kind_name(enum trapline_step_kind kind);

/* Names as in -level. */
const char *trace_level_name(enum trapline_trace_level level);

/* A string of JSON with its quotes: control characters escaped, bytes that are no UTF-8 replaced. */
void trace_json_string(FILE *out, const char *s);
