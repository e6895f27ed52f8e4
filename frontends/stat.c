/* SPDX-License-Identifier: MIT */
#include "frontends/stat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

/* Sums by class and privilege. */
struct sum {
    const char *what;
    bool is_user;
    uint64_t count;
};

#define FUNCTIONS 4096 /* a power of two */

/* Exits in a function, by its address. */
struct function {
    uint64_t address;
    uint64_t count; /* 0: unused */
};

struct tally {
    FILE *out;
    struct function *functions; /* a hash table, half full at most; NULL: there are no symbols */
    unsigned function_count;
    uint64_t in_functions;      /* exits in them */
    const struct symbols *symbols;
    unsigned left;      /* places still to be printed */
    struct sum sums[16]; /* by what and is_user */
    unsigned used;
    uint64_t total;
};

static const char *level(bool is_user)
{
    return is_user ? "user" : "kernel";
}

static void add_function(struct tally *s, const struct trapline_exit_place *p)
{
    uint64_t offset;
    if (!s->functions || !p->name || !symbols_find(s->symbols, p->rip, &offset))
        return;
    uint64_t address = p->rip - offset, i = (address * UINT64_C(0x9e3779b97f4a7c15)) >> 40 & (FUNCTIONS - 1);
    while (s->functions[i].count && s->functions[i].address != address)
        i = (i + 1) & (FUNCTIONS - 1);
    if (!s->functions[i].count && s->function_count == FUNCTIONS / 2)
        return;
    s->function_count += !s->functions[i].count;
    s->functions[i].address = address;
    s->functions[i].count += p->count;
    s->in_functions += p->count;
}

static bool add(void *opaque, const struct trapline_exit_place *p)
{
    struct tally *s = opaque;
    add_function(s, p);
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

static int by_count(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->address > y->address) - (x->address < y->address);
}

static void print_functions(const struct tally *s, unsigned top)
{
    uint64_t offset;
    if (!s->functions)
        return;
    qsort(s->functions, FUNCTIONS, sizeof(*s->functions), by_count);
    fprintf(s->out, "%-48s %14s %9s\n", "FUNCTION", "Samples", "Samples%");
    for (unsigned i = 0; i < top && i < FUNCTIONS && s->functions[i].count; i++)
        fprintf(s->out, "%-48.96s %14" PRIu64 " %8.2f%%\n", symbols_find(s->symbols, s->functions[i].address, &offset),
                s->functions[i].count, percent(s->functions[i].count, s->total));
    fprintf(s->out, "%-48s %14" PRIu64 " %8.2f%%\n\n", "(elsewhere)", s->total - s->in_functions,
            percent(s->total - s->in_functions, s->total));
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
    s.functions = symbols ? calloc(FUNCTIONS, sizeof(*s.functions)) : NULL;
    int rc = trapline_exit_places(m, add, &s, error);
    if (rc == 0) {
        print_sums(&s);
        print_functions(&s, top);
    }
    free(s.functions);
    if (rc < 0)
        return rc;
    fprintf(out, "%-48s %14s %9s  %-6s %-12s %s\n", "PLACE", "Samples", "Samples%", "CPL",
            "INSTRUCTION", "CLASS");
    return trapline_exit_places(m, print_place, &s, error);
}
