/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/diff.h"

#define CONTEXT 4
#define FILE_MOST ((size_t)1 << 30)

/* A line of a text. */
struct line {
    const char *at;
    size_t length;
};

/* A trace while it is read. */
struct reader {
    const char *at, *end;
    bool is_csv;
};

static bool next_line(struct reader *r, struct line *l)
{
    if (r->at >= r->end)
        return false;
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    l->at = r->at;
    l->length = (size_t)((stop ? stop : r->end) - r->at);
    r->at = stop ? stop + 1 : r->end;
    while (l->length > 0 && l->at[l->length - 1] == '\r')
        l->length--;
    return true;
}

static bool begins(const struct line *l, const char *text)
{
    return l->length >= strlen(text) && memcmp(l->at, text, strlen(text)) == 0;
}

/* Comments are no steps: they say how the trace was made. */
static bool next_step(struct reader *r, struct line *l)
{
    while (next_line(r, l))
        if (l->length > 0 && l->at[0] != '#')
            return true;
    return false;
}

static int open_text(struct reader *r, const char *name, const char *text, size_t size, struct err *err)
{
    struct line head = {NULL, 0};
    *r = (struct reader){.at = text, .end = text + size};
    bool has_head = next_line(r, &head);
    r->is_csv = has_head && begins(&head, "tick,ticks,");
    if (has_head && (r->is_csv || begins(&head, "# trapline trace, version 1")))
        return 0;
    err_set(err, EINVAL, "'%.200s' is no trace that can be compared", name);
    err_hint(err, "trapline trace -o FILE.txt or FILE.csv writes such traces");
    return -EINVAL;
}

static bool same(const struct line *a, const struct line *b)
{
    return a->length == b->length && memcmp(a->at, b->at, a->length) == 0;
}

/* Guests' bytes do not reach a terminal raw. */
static void print_line(FILE *out, const char *mark, const struct line *l)
{
    fprintf(out, "%s ", mark);
    for (size_t i = 0; i < l->length; i++)
        fputc((unsigned char)l->at[i] < ' ' || l->at[i] == 0x7f ? '?' : l->at[i], out);
    fputc('\n', out);
}

static void print_rest(FILE *out, const char *mark, struct reader *r)
{
    struct line l;
    for (unsigned i = 0; i + 1 < CONTEXT && next_step(r, &l); i++)
        print_line(out, mark, &l);
}

static void print_difference(FILE *out, struct reader r[2], struct line l[2], const bool has[2], const struct line *context, uint64_t steps)
{
    static const char *const marks[2] = {"A", "B"};
    fprintf(out, "the first %" PRIu64 " steps are the same; then:\n", steps);
    for (uint64_t i = steps < CONTEXT ? steps : CONTEXT; i > 0; i--)
        print_line(out, " ", &context[(steps - i) % CONTEXT]);
    for (unsigned k = 0; k < 2; k++) {
        if (has[k]) {
            print_line(out, marks[k], &l[k]);
            print_rest(out, marks[k], &r[k]);
        } else {
            fprintf(out, "%s ends here\n", marks[k]);
        }
    }
}

int diff_texts(const char *const names[2], const char *const texts[2], const size_t sizes[2], FILE *out, struct err *err)
{
    struct reader r[2];
    struct line l[2] = {{NULL, 0}, {NULL, 0}}, context[CONTEXT];
    uint64_t steps = 0;
    for (unsigned k = 0; k < 2; k++) {
        int rc = open_text(&r[k], names[k], texts[k], sizes[k], err);
        if (rc < 0)
            return rc;
    }
    if (r[0].is_csv != r[1].is_csv) {
        err_set(err, EINVAL, "one trace is text, the other CSV");
        err_hint(err, "write both in one format");
        return -EINVAL;
    }
    for (;;) {
        const bool has[2] = {next_step(&r[0], &l[0]), next_step(&r[1], &l[1])};
        if (!has[0] && !has[1])
            break;
        if (!has[0] || !has[1] || !same(&l[0], &l[1])) {
            print_difference(out, r, l, has, context, steps);
            return 1;
        }
        context[steps++ % CONTEXT] = l[0];
    }
    fprintf(out, "no difference in %" PRIu64 " steps\n", steps);
    return 0;
}

/* ---- files ---- */

static int cannot_read(const char *path, struct err *err)
{
    int code = errno ? errno : EIO;
    err_set(err, code, "cannot read '%.200s': %s", path, strerror(code));
    err_hint(err, "trapline diff takes two traces, or -- and the options of two runs");
    return -code;
}

static int read_file(const char *path, char **text, size_t *size, struct err *err)
{
    size_t room = 1 << 16;
    errno = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return cannot_read(path, err);
    *text = malloc(room);
    *size = 0;
    while (*text && !feof(f) && !ferror(f)) {
        *size += fread(*text + *size, 1, room - *size, f);
        if (*size < room)
            continue;
        char *more = room < FILE_MOST ? realloc(*text, room *= 2) : NULL;
        if (!more) {
            free(*text);
            errno = EFBIG;
        }
        *text = more;
    }
    int rc = !*text || ferror(f) ? cannot_read(path, err) : 0;
    fclose(f);
    return rc;
}

int diff_files(const char *const paths[2], FILE *out, struct err *err)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2] = {0, 0};
    int rc = read_file(paths[0], &texts[0], &sizes[0], err);
    if (rc == 0)
        rc = read_file(paths[1], &texts[1], &sizes[1], err);
    if (rc == 0)
        rc = diff_texts(paths, (const char *const *)texts, sizes, out, err);
    free(texts[0]);
    free(texts[1]);
    return rc;
}
