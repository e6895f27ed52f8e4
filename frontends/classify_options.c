/* SPDX-License-Identifier: MIT */
/* The options of `trapline classify` (classify.def). */
#include <errno.h>
#include <string.h>

#include "frontends/classify.h"
#include "frontends/options.h"
#include "frontends/values.h"

typedef int set_fn(struct classify_options *o, const char *value, struct err *err);

static int choose(const char *value, const char *const names[], unsigned count, unsigned *out,
                  const char *what, struct err *err)
{
    for (*out = 0; *out < count; ++*out)
        if (strcmp(value, names[*out]) == 0)
            return 0;
    err_set(err, EINVAL, "there is no %s '%.40s'", what, value);
    err_hint(err, "did you mean '%s'?", nearest_word(value, names, count));
    return -EINVAL;
}

static int set_cpu(struct classify_options *o, const char *value, struct err *err)
{
    (void)err;
    o->config.cpu = value;
    return 0;
}

static int set_mode(struct classify_options *o, const char *value, struct err *err)
{
    (void)err;
    o->config.mode = value;
    return 0;
}

static int set_variant(struct classify_options *o, const char *value, struct err *err)
{
    (void)err;
    o->config.variants = value;
    return 0;
}

static int set_diff(struct classify_options *o, const char *value, struct err *err)
{
    (void)value, (void)err;
    o->is_diff = true;
    return 0;
}

static int set_group(struct classify_options *o, const char *value, struct err *err)
{
    static const char *const names[] = {"names", "paper", "vmware", "opcodes"};
    unsigned n;
    int rc = choose(value, names, ARRAY_SIZE(names), &n, "group", err);
    o->group = (enum class_group)n;
    return rc;
}

static int set_all(struct classify_options *o, const char *value, struct err *err)
{
    (void)value, (void)err;
    o->is_all = true;
    return 0;
}

static int set_matrix(struct classify_options *o, const char *value, struct err *err)
{
    (void)value, (void)err;
    o->is_matrix = true;
    return 0;
}

static int set_elements(struct classify_options *o, const char *value, struct err *err)
{
    (void)value, (void)err;
    o->is_elements = true;
    return 0;
}

static int set_format(struct classify_options *o, const char *value, struct err *err)
{
    static const char *const names[] = {"text", "csv", "json", "markdown", "html"};
    unsigned n;
    int rc = choose(value, names, ARRAY_SIZE(names), &n, "format", err);
    o->format = (enum class_format)n;
    return rc;
}

static int set_witness(struct classify_options *o, const char *value, struct err *err)
{
    (void)err;
    o->witness = value;
    return 0;
}

static int set_expect(struct classify_options *o, const char *value, struct err *err)
{
    (void)err;
    o->expect = value;
    return 0;
}

static int set_under_vmm(struct classify_options *o, const char *value, struct err *err)
{
    (void)err;
    o->config.policy = value;
    return 0;
}

static int set_states(struct classify_options *o, const char *value, struct err *err)
{
    uint64_t n;
    if (!parse_number(value, &n) || n < 1 || n > 1000)
        return err_set(err, EINVAL, "-states takes a number from 1 to 1000, not '%.40s'", value);
    o->config.states = (unsigned)n;
    return 0;
}

static int set_help(struct classify_options *o, const char *value, struct err *err)
{
    (void)value, (void)err;
    o->is_help = true;
    return 0;
}

static const struct {
    const char *name;     /* without dashes */
    const char *argument; /* for help; NULL: takes none */
    set_fn *set;          /* its effect */
    const char *help;     /* one line */
} rows[] = {
#define OPTION(name_, argument_, function_, help_) {name_, argument_, set_##function_, help_},
#include "frontends/classify.def"
#undef OPTION
};

static int unknown(const char *word, struct err *err)
{
    const char *names[ARRAY_SIZE(rows)];
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        names[i] = rows[i].name;
    err_set(err, EINVAL, "trapline classify has no option '%.64s'", word);
    err_hint(err, "did you mean -%s? trapline classify --help lists all",
             nearest_word(word + strspn(word, "-"), names, ARRAY_SIZE(rows)));
    return -EINVAL;
}

/* One option at words[*at], and its argument; *at moves on. */
static int parse_one(struct classify_options *o, int count, char *const words[], int *at,
                     struct err *err)
{
    const char *word = words[(*at)++], *name = word;
    if (*name++ != '-')
        return unknown(word, err);
    name += *name == '-';
    size_t length = strcspn(name, "=");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strlen(rows[i].name) != length || memcmp(rows[i].name, name, length) != 0)
            continue;
        const char *value = name[length] ? name + length + 1 : NULL;
        if (!rows[i].argument)
            return value ? unknown(word, err) : rows[i].set(o, NULL, err);
        if (!value && *at < count)
            value = words[(*at)++];
        if (!value)
            return err_set(err, EINVAL, "-%s needs an argument: %s", rows[i].name,
                           rows[i].argument);
        return rows[i].set(o, value, err);
    }
    return unknown(word, err);
}

int classify_parse(struct classify_options *o, int count, char *const words[], struct err *err)
{
    *o = (struct classify_options){.config = TRAPLINE_CLASSIFY_CONFIG_INIT};
    for (int at = 0; at < count;) {
        int rc = parse_one(o, count, words, &at, err);
        if (rc < 0)
            return rc;
    }
    if (o->is_diff && !o->config.variants)
        return err_set(err, EINVAL, "-diff needs a -variant to compare with");
    return 0;
}

void classify_print_help(FILE *out)
{
    fprintf(out, "trapline classify [OPTION]...: which instructions are privileged and which "
                 "sensitive,\nafter Popek and Goldberg, by experiment\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char left[80];
        snprintf(left, sizeof(left), "-%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        fprintf(out, "  %-24s %s\n", left, rows[i].help);
    }
    fprintf(out, "\nExample:\n"
                 "  trapline classify --cpu pentium --mode prot32 --group names\n");
}
