/* SPDX-License-Identifier: MIT */
#include "frontends/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/run.h"

static void print_help(void)
{
    printf("trapline diff FILE FILE                            where two traces part (text or CSV of trapline trace)\n"
           "trapline diff [-by WHAT] [OPTION]... -- [OPTION]... -- [OPTION]...\n"
           "                                                   where two runs part: the first options are of both\n\n"
           "  -by state    compare all that a guest can see, by hashes (default)\n"
           "  -by flow     compare which instructions run\n\n"
           "The guests get no input, and their output goes nowhere. Status 0: no difference; %d: there is one, which is shown:\n"
           "the tick, the instructions, and registers, devices and memory that are not the same after it.\n\n"
           "Examples:\n"
           "  trapline diff before.txt after.txt\n"
           "  trapline diff -max-ticks 100000000 -kernel vmlinuz -- -engine interp -- -engine jit\n"
           "  trapline diff -by flow -kernel vmlinuz -- -cpu max -- -cpu max,kvm=off\n",
           TRAPLINE_EXIT_DIFFERENCE);
}

/* The words of a run: those before the first `--` and those of its own. */
struct words {
    char **all;
    int count;
};

static bool is_break(const char *word)
{
    return strcmp(word, "--") == 0;
}

static int usage(struct err *err)
{
    err_set(err, EINVAL, "trapline diff wants two traces, or the options of two runs");
    err_hint(err, "trapline diff A.txt B.txt, or trapline diff -kernel K -- -engine interp -- -engine jit");
    return -EINVAL;
}

/* -by WHAT and its argument are taken out. */
static int split(int count, char *const words[], struct words w[2], enum diff_by *by, struct err *err)
{
    int part = 0;
    for (int i = 0; i < count; i++) {
        const char *name = words[i] + (words[i][0] == '-') + (words[i][0] == '-' && words[i][1] == '-');
        if (is_break(words[i])) {
            part++;
            continue;
        }
        if (part == 0 && words[i][0] == '-' && strcmp(name, "by") == 0) {
            const char *what = i + 1 < count ? words[++i] : "";
            if (strcmp(what, "state") != 0 && strcmp(what, "flow") != 0)
                return err_set(err, EINVAL, "-by takes state or flow, not '%.40s'", what);
            *by = strcmp(what, "flow") == 0 ? DIFF_BY_FLOW : DIFF_BY_STATE;
            continue;
        }
        for (int k = 0; k < 2; k++)
            if (part == 0 || part == k + 1)
                w[k].all[w[k].count++] = words[i];
    }
    return part == 2 ? 0 : usage(err);
}

static int check_runs(const struct options *o, struct err *err)
{
    const char *other = o->verifies ? "verify" : o->save_path ? "save" : o->hash_every ? "hash-every" : o->trace_count ? "trace" : NULL;
    if (o->action != ACTION_RUN)
        return err_set(err, EINVAL, "trapline diff runs two guests; for -help, -version and -print-config there is trapline run");
    if (!other)
        return 0;
    err_set(err, EINVAL, "-%s is of no use to trapline diff", other);
    err_hint(err, "trapline run has it");
    return -EINVAL;
}

static int diff_runs(const struct words w[2], enum diff_by by, struct err *err)
{
    struct options *o[2] = {calloc(1, sizeof(*o[0])), calloc(1, sizeof(*o[0]))};
    struct symbols *symbols = NULL;
    int rc = o[0] && o[1] ? 0 : err_set(err, ENOMEM, "out of memory");
    for (unsigned k = 0; rc == 0 && k < 2; k++) {
        options_init(o[k]);
        rc = options_parse(o[k], w[k].count, w[k].all, err);
        if (rc == 0)
            rc = check_runs(o[k], err);
    }
    if (rc == 0 && o[0]->symbols_path)
        rc = symbols_load(o[0]->symbols_path, &symbols, err);
    if (rc == 0)
        rc = diff_machines((const struct options *const *)o, by, symbols, stdout, err);
    symbols_free(symbols);
    free(o[0]);
    free(o[1]);
    return rc;
}

static int diff_words(int count, char *const words[], struct err *err)
{
    enum diff_by by = DIFF_BY_STATE;
    if (count == 2 && words[0][0] != '-' && words[1][0] != '-')
        return diff_files((const char *const *)words, stdout, err);
    struct words w[2] = {{calloc((size_t)count + 1, sizeof(char *)), 0}, {calloc((size_t)count + 1, sizeof(char *)), 0}};
    int rc = w[0].all && w[1].all ? split(count, words, w, &by, err) : err_set(err, ENOMEM, "out of memory");
    if (rc == 0)
        rc = diff_runs(w, by, err);
    free(w[0].all);
    free(w[1].all);
    return rc;
}

int verb_diff(int count, char *const words[])
{
    struct err err = {{0}, {0}};
    if (count > 0 && (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-help") == 0 || strcmp(words[0], "-h") == 0)) {
        print_help();
        return 0;
    }
    int rc = diff_words(count, words, &err);
    if (rc < 0)
        return report_error(err.text, err.hint);
    return rc > 0 ? TRAPLINE_EXIT_DIFFERENCE : 0;
}
