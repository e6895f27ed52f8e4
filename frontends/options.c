/* SPDX-License-Identifier: MIT */
#include "frontends/options.h"

#include <errno.h>
#include <string.h>

/* A row of options.def; a section's heading has no function. */
struct row {
    const char *name;     /* without dashes; of a section NULL */
    const char *argument; /* as in help; NULL: takes none */
    option_fn *function;  /* sets it */
    const char *help;     /* one line, or a section's title */
};

static const struct row rows[] = {
#define SECTION(title) {NULL, NULL, NULL, title},
#define OPTION(name, argument, function, help) {name, argument, option_##function, help},
#include "frontends/options.def"
#undef SECTION
#undef OPTION
};

bool options_row(unsigned i, const char **name, const char **argument, const char **help)
{
    if (i >= ARRAY_SIZE(rows))
        return false;
    *name = rows[i].name;
    *argument = rows[i].argument;
    *help = rows[i].help;
    return true;
}

/* ---- nearest words ---- */

#define WORD_MAX 40

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance of the first WORD_MAX characters. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t la = strnlen(a, WORD_MAX), lb = strnlen(b, WORD_MAX);
    for (unsigned j = 0; j <= lb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[lb];
}

const char *nearest_word(const char *word, const char *const words[], unsigned n)
{
    const char *best = NULL;
    unsigned least = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned d = distance(word, words[i]);
        if (!best || d < least) {
            best = words[i];
            least = d;
        }
    }
    return best;
}

/* ---- parsing ---- */

/* The row called name; *value: what follows its `=`, or NULL. */
static const struct row *find_row(const char *name, const char **value)
{
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    *value = equals ? equals + 1 : NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].name && strlen(rows[i].name) == length &&
            memcmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

static int unknown_option(const char *word, const char *name, struct err *err)
{
    const char *names[ARRAY_SIZE(rows)];
    char cut[WORD_MAX + 1] = {0};
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].name)
            names[n++] = rows[i].name;
    memcpy(cut, name, strcspn(name, "=") < WORD_MAX ? strcspn(name, "=") : WORD_MAX);
    err_set(err, EINVAL, "there is no option '%s'", word);
    err_hint(err, "did you mean -%s? trapline run --help lists all", nearest_word(cut, names, n));
    return -EINVAL;
}

static int not_an_option(const char *word, struct err *err)
{
    err_set(err, EINVAL, "'%s' is not an option", word);
    err_hint(err, "give a kernel with -kernel FILE; options with spaces in them want quotes");
    return -EINVAL;
}

/* The row's function, and in front of its message the option's name. */
static int call_option(const struct row *row, struct options *o, const char *value, struct err *err)
{
    struct err inner = {{0}, {0}};
    int rc = row->function(o, value, &inner);
    if (rc < 0) {
        err_set(err, -rc, "-%s: %.400s", row->name, inner.text);
        err_hint(err, "%s", inner.hint);
    }
    return rc;
}

int options_parse(struct options *o, int count, char *const words[], struct err *err)
{
    for (int i = 0; i < count; i++) {
        const char *word = words[i], *value;
        if (word[0] != '-' || word[1] == '\0')
            return not_an_option(word, err);
        const char *name = word + (word[1] == '-' ? 2 : 1);
        const struct row *row = find_row(name, &value);
        if (!row)
            return unknown_option(word, name, err);
        if (!row->argument && value)
            return err_set(err, EINVAL, "-%s takes no argument", row->name);
        if (row->argument && !value && i + 1 < count)
            value = words[++i];
        if (row->argument && !value) {
            err_set(err, EINVAL, "-%s wants an argument", row->name);
            err_hint(err, "-%s %s: %s", row->name, row->argument, row->help);
            return -EINVAL;
        }
        int rc = call_option(row, o, value, err);
        if (rc < 0)
            return rc;
        if (o->action == ACTION_HELP || o->action == ACTION_VERSION)
            return 0;
    }
    return options_complete(o, err);
}

/* ---- what follows from all of them ---- */

void options_init(struct options *o)
{
    const struct trapline_config defaults = TRAPLINE_CONFIG_INIT;
    *o = (struct options){.config = defaults, .save_at = UINT64_MAX, .top = 30};
    o->config.memory = UINT64_C(128) << 20;
}

static int one_user_of_stdin(const struct options *o, struct err *err)
{
    unsigned users = 0;
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++)
        users += o->serial[i].kind == CHANNEL_STDIO;
    if (users <= 1)
        return 0;
    err_set(err, EINVAL, "two serial ports want standard input");
    err_hint(err, "give one of them -serial null or -serial file:F");
    return -EINVAL;
}

static int missing(struct err *err, const char *given, const char *needs)
{
    err_set(err, EINVAL, "-%s is of no use without -%s", given, needs);
    err_hint(err, "give both, or none");
    return -EINVAL;
}

/* Two machines from the start to the end: no position, no table of one. */
static int check_verify(const struct options *o, struct err *err)
{
    const char *other = o->has_monitor ? "monitor" : o->load_path ? "load" : o->save_path ? "save" : o->hash_every ? "hash-every" : NULL;
    if (!o->verifies || (!other && !o->shows_exits && !o->shows_rows && !o->shows_jit && !o->shows_paging && !o->shows_turns && !o->shows_places && !o->shows_hypercalls))
        return 0;
    err_set(err, EINVAL, "-verify cannot be combined with -%s", other ? other : "d exits, rows, places, jit, paging, turns or hypercalls");
    err_hint(err, "the guest's own run has the same chain, states and exits");
    return -EINVAL;
}

int options_complete(struct options *o, struct err *err)
{
    if (o->serials == 0 && !o->nodefaults)
        o->serial[0] = (struct channel){.kind = CHANNEL_STDIO, .has_keys = true};
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        if (o->serial[i].kind == CHANNEL_UNSET)
            o->serial[i].kind = CHANNEL_NONE;
        if (o->serial[i].kind == CHANNEL_STDIO && o->nographic)
            o->serial[i].has_keys = true;
        o->config.serial[i].is_present = o->serial[i].kind != CHANNEL_NONE;
    }
    if (o->hash_path && o->hash_every == 0)
        return missing(err, "hash-file", "hash-every");
    if (o->save_at != UINT64_MAX && !o->save_path)
        return missing(err, "save-at", "save");
    int rc = check_verify(o, err);
    return rc == 0 ? one_user_of_stdin(o, err) : rc;
}
