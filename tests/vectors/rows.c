/* SPDX-License-Identifier: MIT */
/*
 * Checks that every row of insn.def was executed by some test.
 *
 *     rows PATH...
 *
 * A path is a file of executed rows, as `vectors_play -o` and `trapline run -d rows -D` write it,
 * or a directory of such files, names *.rows. To count, a row must have run to its end once; a row
 * of allowed_to_only_fault to its exception. Exit status 1: a row was not executed, or a file is
 * bad.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vectors/allowed.h"

struct tally {
    uint64_t completed[INSN_ROWS]; /* times a row ran to its end */
    uint64_t faulted[INSN_ROWS];   /* times it raised an exception */
    unsigned files;                /* read */
};

static bool complain(const char *path, const char *what)
{
    fprintf(stderr, "rows: %s: %s\n", path, what);
    return false;
}

/* "row completed faulted name encoding operands" */
static bool read_line(struct tally *t, char *line)
{
    unsigned row;
    uint64_t completed, faulted;
    int at = 0;
    if (sscanf(line, "%u %" SCNu64 " %" SCNu64 " %n", &row, &completed, &faulted, &at) < 3 ||
        at == 0)
        return false;
    const struct insn_desc *d = insn_row(row);
    char text[256];
    line[strcspn(line, "\n")] = 0;
    if (d == NULL)
        return false;
    snprintf(text, sizeof text, "%s %s %s", d->name, d->encoding, d->operands);
    if (strcmp(line + at, text) != 0)
        return false; /* of another table */
    t->completed[row] += completed;
    t->faulted[row] += faulted;
    return true;
}

static bool read_rows(struct tally *t, const char *path)
{
    char line[512];
    bool ok = true;
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return complain(path, strerror(errno));
    while (ok && fgets(line, sizeof line, f) != NULL)
        ok = read_line(t, line) ||
             complain(path, "not a file of executed rows, or of another table");
    fclose(f);
    t->files++;
    return ok;
}

static bool ends_in_rows(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".rows") == 0;
}

static bool read_path(struct tally *t, const char *path)
{
    char name[4096];
    bool ok = true;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOTDIR ? read_rows(t, path) : complain(path, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (!ends_in_rows(e->d_name))
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        ok = read_rows(t, name) && ok;
    }
    closedir(dir);
    return ok;
}

static unsigned print_missing(const struct tally *t)
{
    unsigned missing = 0;
    for (unsigned row = 0; row < INSN_ROWS; row++) {
        const struct insn_desc *d = insn_row(row);
        const char *reason = allowed_to_only_fault(row);
        if (t->completed[row] != 0 && reason == NULL)
            continue;
        if (reason != NULL && t->faulted[row] != 0) {
            printf("only its exception: %s %s %s: %s\n", d->name, d->encoding, d->operands, reason);
            continue;
        }
        printf("NOT EXECUTED: %s %s %s%s\n", d->name, d->encoding, d->operands,
               t->faulted[row] != 0 ? " (it raised exceptions only)" : "");
        missing++;
    }
    return missing;
}

int main(int argc, char **argv)
{
    static struct tally t;
    bool ok = argc > 1;
    for (int i = 1; i < argc; i++)
        ok = read_path(&t, argv[i]) && ok;
    unsigned missing = print_missing(&t);
    printf("%u of %u rows executed, by %u files\n", INSN_ROWS - missing, (unsigned)INSN_ROWS,
           t.files);
    return ok && missing == 0 ? 0 : 1;
}
