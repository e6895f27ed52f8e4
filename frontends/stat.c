/* SPDX-License-Identifier: MIT */
#include "frontends/stat.h"

#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"

/* Sums by class and privilege. */
struct sum {
    const char *what;
    bool is_user;
    uint64_t count;
};

struct tally {
    FILE *out;
    const struct symbols *symbols;
    unsigned left;      /* places still to be printed */
    struct sum sums[8]; /* by what and is_user */
    unsigned used;
    uint64_t total;
};

static const char *level(bool is_user)
{
    return is_user ? "user" : "kernel";
}

static bool add(void *opaque, const struct trapline_exit_place *p)
{
    struct tally *s = opaque;
    const char *what = p->name ? p->what : "at other places";
    unsigned i = 0;
    while (i < s->used && (s->sums[i].is_user != p->is_user || strcmp(s->sums[i].what, what) != 0))
        i++;
    if (i == ARRAY_SIZE(s->sums))
        return true;
    if (i == s->used)
        s->sums[s->used++] = (struct sum){.what = what, .is_user = p->is_user};
    s->sums[i].count += p->count;
    s->total += p->count;
    return true;
}

static double percent(uint64_t n, uint64_t total)
{
    return total ? 100.0 * (double)n / (double)total : 0;
}

static void print_sums(const struct tally *s)
{
    fprintf(s->out, "%-48s %14s %9s\n", "CLASS", "Samples", "Samples%");
    for (unsigned i = 0; i < s->used; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s (%s)", s->sums[i].what, level(s->sums[i].is_user));
        fprintf(s->out, "%-48s %14" PRIu64 " %8.2f%%\n", name, s->sums[i].count,
                percent(s->sums[i].count, s->total));
    }
    fputc('\n', s->out);
}

static bool print_place(void *opaque, const struct trapline_exit_place *p)
{
    struct tally *s = opaque;
    uint64_t offset;
    char where[128];
    if (!s->left || !p->name)
        return false;
    s->left--;
    const char *symbol = s->symbols ? symbols_find(s->symbols, p->rip, &offset) : NULL;
    if (symbol)
        snprintf(where, sizeof(where), "%.96s+%#" PRIx64, symbol, offset);
    else
        snprintf(where, sizeof(where), "%016" PRIx64, p->rip);
    fprintf(s->out, "%-48s %14" PRIu64 " %8.2f%%  %-6s %-12s %s\n", where, p->count,
            percent(p->count, s->total), level(p->is_user), p->name, p->what);
    return true;
}

int stat_print(struct trapline_machine *m, const struct symbols *symbols, unsigned top, FILE *out,
               struct trapline_error *error)
{
    struct tally s = {.out = out, .symbols = symbols, .left = top};
    int rc = trapline_exit_places(m, add, &s, error);
    if (rc < 0)
        return rc;
    print_sums(&s);
    fprintf(out, "%-48s %14s %9s  %-6s %-12s %s\n", "PLACE", "Samples", "Samples%", "CPL",
            "INSTRUCTION", "CLASS");
    return trapline_exit_places(m, print_place, &s, error);
}
