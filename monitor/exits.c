/* SPDX-License-Identifier: MIT */
#include "monitor/exits.h"

#include <inttypes.h>
#include <stdlib.h>

void exits_fold(void *opaque, const struct site *site, uint32_t mode)
{
    struct exit_totals *t = opaque;
    (void)mode;
    t->by_op[site->insn.op] += site->count;
}

struct row {
    const char *name; /* what */
    uint64_t count;   /* how often */
};

static int by_count(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return 0;
}

static const char *exception_name(unsigned vector)
{
    static const char *const names[32] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "CSO",
                                          "#TS", "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM"};
    return vector < 32 && names[vector] ? names[vector] : "reserved";
}

static void print_rows(struct row *rows, unsigned n, uint64_t total, FILE *out)
{
    qsort(rows, n, sizeof(*rows), by_count);
    for (unsigned i = 0; i < n; i++)
        fprintf(out, "%-24s %14" PRIu64 " %7.2f%%\n", rows[i].name, rows[i].count,
                total ? 100.0 * (double)rows[i].count / (double)total : 0.0);
}

void exits_print(const struct exit_totals *t, uint64_t ticks, FILE *out)
{
    struct row rows[OP_COUNT + 40];
    unsigned n = 0;
    uint64_t total = 0;
    for (unsigned op = 0; op < OP_COUNT; op++)
        if (t->by_op[op])
            rows[n++] = (struct row){op_name(op), t->by_op[op]};
    for (unsigned v = 0; v < 32; v++)
        if (t->exceptions[v])
            rows[n++] = (struct row){exception_name(v), t->exceptions[v]};
    const struct row others[] = {{"EXTERNAL_INTERRUPT", t->interrupts},
                                 {"NMI", t->nmis},
                                 {"MMIO_READ", t->mmio_reads},
                                 {"MMIO_WRITE", t->mmio_writes},
                                 {"IDLE", t->halts}};
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        if (others[i].count)
            rows[n++] = others[i];
    for (unsigned i = 0; i < n; i++)
        total += rows[i].count;
    fprintf(out, "%-24s %14s %8s\n", "EXIT", "Samples", "Samples%");
    print_rows(rows, n, total, out);
    fprintf(out, "\nTotal samples: %" PRIu64 "\nticks: %" PRIu64 "\n", total, ticks);
}
