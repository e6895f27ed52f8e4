/* SPDX-License-Identifier: MIT */
#include "frontends/trace_options.h"

#include <errno.h>
#include <string.h>

#include "frontends/options.h"
#include "frontends/trace_format.h"
#include "frontends/values.h"

typedef int set_fn(struct trace_options *o, const char *value, struct err *err);

/* ---- one function each ---- */

static int too_many(const char *what, unsigned most, struct err *err)
{
    return err_set(err, EINVAL, "more than %u %s", most, what);
}

static int set_output(struct trace_options *o, const char *value, struct err *err)
{
    if (o->output_count == TRACE_OUTPUTS)
        return too_many("files", TRACE_OUTPUTS, err);
    o->outputs[o->output_count].path = value;
    o->outputs[o->output_count++].format = trace_format_of_path(value);
    return 0;
}

static int no_such(const char *what, const char *value, const char *nearest, struct err *err)
{
    err_set(err, EINVAL, "there is no %s '%.40s'", what, value);
    err_hint(err, "did you mean '%s'?", nearest);
    return -EINVAL;
}

static int set_format(struct trace_options *o, const char *value, struct err *err)
{
    const char *names[16];
    const struct trace_format *f;
    unsigned n = 0;
    for (; n < ARRAY_SIZE(names) && (f = trace_format_at(n)); n++) {
        names[n] = f->name;
        if (strcmp(value, f->name) != 0)
            continue;
        o->output_count += o->output_count == 0;
        o->outputs[o->output_count - 1].format = f;
        return 0;
    }
    return no_such("format", value, nearest_word(value, names, n), err);
}

static int set_level(struct trace_options *o, const char *value, struct err *err)
{
    static const char *const names[] = {"none", "events", "exits", "blocks", "insns"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            o->level = (enum trapline_trace_level)i;
            o->has_level = true;
            return 0;
        }
    }
    return no_such("level", value, nearest_word(value, names, ARRAY_SIZE(names)), err);
}

static int set_number(uint64_t *n, uint64_t least, const char *value, struct err *err)
{
    if (parse_number(value, n) && *n >= least)
        return 0;
    return err_set(err, EINVAL, "'%.40s' is not a number%s", value, least ? " above 0" : "");
}

static int set_from(struct trace_options *o, const char *value, struct err *err)
{
    return set_number(&o->from, 0, value, err);
}

static int set_ticks(struct trace_options *o, const char *value, struct err *err)
{
    return set_number(&o->ticks, 1, value, err);
}

static int set_limit(struct trace_options *o, const char *value, struct err *err)
{
    return set_number(&o->limit, 1, value, err);
}

/* "0xA-0xB", "0xA", "NAME" */
static int add_range(struct trace_options *o, const char *text, struct err *err)
{
    if (o->range_count == TRACE_RANGES)
        return too_many("ranges", TRACE_RANGES, err);
    struct trace_range *r = &o->ranges[o->range_count];
    char *first = o->names[o->range_count++];
    const char *dash = strchr(text, '-');
    size_t n = dash ? (size_t)(dash - text) : strlen(text);
    memcpy(first, text, n); /* a piece has less than 64 characters */
    first[n] = 0;
    *r = (struct trace_range){.name = NULL};
    if (parse_number(first, &r->first)) {
        r->last = r->first;
        if (!dash || (parse_number(dash + 1, &r->last) && r->last >= r->first))
            return 0;
    } else if (!dash && *first && strchr("0123456789", *first) == NULL) {
        r->name = first;
        return 0;
    }
    err_set(err, EINVAL, "'%.60s' is no range of addresses", text);
    err_hint(err, "0x100000-0x1fffff, 0x100020, or the name of a function");
    return -EINVAL;
}

static int set_address(struct trace_options *o, const char *value, struct err *err)
{
    struct piece p;
    int rc = 0;
    while (rc == 0 && next_piece(&value, &p))
        rc = add_range(o, p.key, err);
    return rc;
}

static int set_symbol(struct trace_options *o, const char *value, struct err *err)
{
    if (o->symbol_count == TRACE_PATTERNS)
        return too_many("patterns", TRACE_PATTERNS, err);
    o->symbols[o->symbol_count++] = value;
    return 0;
}

static int set_reason(struct trace_options *o, const char *value, struct err *err)
{
    if (o->reason_count == TRACE_PATTERNS)
        return too_many("patterns", TRACE_PATTERNS, err);
    o->reasons[o->reason_count++] = value;
    return 0;
}

static int set_mode(struct trace_options *o, const char *value, struct err *err)
{
    static const char *const names[] = {"real", "vm86", "prot", "long", "user", "kernel", "cpl0", "cpl1", "cpl2", "cpl3"};
    static const unsigned bits[] = {SHOW_REAL,      SHOW_VM86,      SHOW_PROT,      SHOW_LONG,      SHOW_CPL0 << 3,
                                    SHOW_CPL0 * 7,  SHOW_CPL0 << 0, SHOW_CPL0 << 1, SHOW_CPL0 << 2, SHOW_CPL0 << 3};
    struct piece p;
    while (next_piece(&value, &p)) {
        unsigned i = 0;
        while (i < ARRAY_SIZE(names) && strcmp(p.key, names[i]) != 0)
            i++;
        if (i == ARRAY_SIZE(names))
            return no_such("mode", p.key, nearest_word(p.key, names, ARRAY_SIZE(names)), err);
        o->modes |= bits[i];
    }
    return 0;
}

static int set_vcpu(struct trace_options *o, const char *value, struct err *err)
{
    uint64_t n;
    int rc = set_number(&n, 0, value, err);
    o->has_vcpu = true;
    o->vcpu = n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
    return rc;
}

static int set_weight(struct trace_options *o, const char *value, struct err *err)
{
    static const char *const names[] = {"instructions", "exits"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            o->weight = (enum trace_weight)i;
            return 0;
        }
    }
    return no_such("weight", value, nearest_word(value, names, ARRAY_SIZE(names)), err);
}

static int set_walk(struct trace_options *o, const char *value, struct err *err)
{
    if (o->walk_count == TRACE_WALKS)
        return too_many("addresses", TRACE_WALKS, err);
    return set_number(&o->walks[o->walk_count++], 0, value, err);
}

/* ---- the table ---- */

static const struct row {
    const char *name;     /* without dashes */
    const char *argument; /* for help */
    set_fn *set;
    const char *help;     /* one line */
} rows[] = {
#define OPTION(name_, argument_, function_, help_) {name_, argument_, set_##function_, help_},
#include "frontends/trace.def"
#undef OPTION
};

static const struct row *find(const char *word)
{
    if (word[0] != '-')
        return NULL;
    word += 1 + (word[1] == '-');
    size_t length = strcspn(word, "=");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, word, length) == 0)
            return &rows[i];
    return NULL;
}

/* Does an option of `trapline run` take the next word? */
static bool takes_next(const char *word)
{
    const char *name, *argument, *help;
    if (word[0] != '-' || strchr(word, '='))
        return false;
    word += 1 + (word[1] == '-');
    for (unsigned i = 0; options_row(i, &name, &argument, &help); i++)
        if (name && strcmp(name, word) == 0)
            return argument != NULL;
    return false;
}

static int set(struct trace_options *o, const struct row *row, const char *value, struct err *err)
{
    struct err inner = {{0}, {0}};
    int rc = row->set(o, value, &inner);
    if (rc < 0) {
        err_set(err, -rc, "-%s: %.400s", row->name, inner.text);
        err_hint(err, "%s", inner.hint);
    }
    return rc;
}

/* ---- what follows from all ---- */

int trace_options_complete(struct trace_options *o, struct err *err)
{
    enum trapline_trace_level least = TRAPLINE_LEVEL_NONE;
    o->output_count += o->output_count == 0;
    for (unsigned i = 0; i < o->output_count; i++) {
        if (!o->outputs[i].format)
            o->outputs[i].format = trace_format_at(0);
        if (o->outputs[i].format->level > least)
            least = o->outputs[i].format->level;
    }
    if (!o->has_level)
        o->level = least;
    for (unsigned i = 0; i < o->output_count; i++) {
        const struct trace_format *f = o->outputs[i].format;
        if (f->needs_calls && o->level != TRAPLINE_LEVEL_NONE && o->level < TRAPLINE_LEVEL_BLOCKS) {
            err_set(err, EINVAL, "-format %s needs every call and return, which -level events and exits do not see", f->name);
            err_hint(err, "-level blocks");
            return -EINVAL;
        }
    }
    return 0;
}

int trace_options_parse(struct trace_options *o, int count, char *const words[], char *rest[], int *rest_count, struct err *err)
{
    int rc = 0;
    *rest_count = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        const struct row *row = find(words[i]);
        o->is_help |= strcmp(words[i], "--help") == 0 || strcmp(words[i], "-help") == 0 || strcmp(words[i], "-h") == 0;
        if (!row) {
            bool takes = takes_next(words[i]) && i + 1 < count;
            rest[(*rest_count)++] = words[i];
            if (takes)
                rest[(*rest_count)++] = words[++i];
            continue;
        }
        const char *equals = strchr(words[i], '='), *value = equals ? equals + 1 : NULL;
        if (!value && i + 1 < count)
            value = words[++i];
        rc = value ? set(o, row, value, err) : err_set(err, EINVAL, "-%s wants an argument: %s", row->name, row->argument);
    }
    return rc == 0 ? trace_options_complete(o, err) : rc;
}

void trace_options_print_help(FILE *out)
{
    fprintf(out, "trapline trace [OPTION]...: run a guest, and tell what it did\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char left[80];
        snprintf(left, sizeof(left), "-%s %s", rows[i].name, rows[i].argument);
        fprintf(out, strlen(left) > 27 ? "  %s\n%31s%s\n" : "  %-28s %s%s\n", left, "", rows[i].help);
    }
    fprintf(out, "\nAnd all options of trapline run. Without -o the trace goes to standard output, and the first serial port\n"
                 "nowhere unless -serial says.\n"
                 "\nExamples:\n"
                 "  trapline trace -limit 20 -level insns -kernel vmlinuz\n"
                 "  trapline trace -o boot.html -o boot.json -level events -kernel vmlinuz -initrd initrd.gz\n"
                 "  trapline trace -o boot.svg -symbols System.map -append nokaslr -kernel vmlinuz\n");
}
