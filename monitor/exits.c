/* SPDX-License-Identifier: MIT */
#include "monitor/exits.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cpu/mode.h"
#include "monitor/policy.h"

void exits_fold(void *opaque, const struct site *site, uint32_t mode)
{
    struct exit_totals *t = opaque;
    if (t->places)
        exit_places_add(t->places, &(struct exit_place){.rip = site->rip,
                                                        .is_user = mode & MODE_USER,
                                                        .what = site->insn.row,
                                                        .count = site->count});
    t->by_row[site->insn.row] += site->count;
    t->faults[site->insn.row] += site->faults;
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

const char *exits_exception_name(unsigned vector)
{
    static const char *const names[32] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "CSO",
                                          "#TS", "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM"};
    return vector < 32 && names[vector] ? names[vector] : "reserved";
}

static void print_rows(const char *title, struct row *rows, unsigned n, uint64_t total, FILE *out)
{
    qsort(rows, n, sizeof(*rows), by_count);
    fprintf(out, "%-48s %14s %9s\n", title, "Samples", "Samples%");
    for (unsigned i = 0; i < n && rows[i].count; i++)
        fprintf(out, "%-48s %14" PRIu64 " %8.2f%%\n", rows[i].name, rows[i].count,
                total ? 100.0 * (double)rows[i].count / (double)total : 0.0);
    fputc('\n', out);
}

static uint64_t all_exceptions(const struct exit_totals *t)
{
    uint64_t n = 0;
    for (unsigned v = 0; v < 32; v++)
        n += t->exceptions[v];
    return n;
}

/* By reason, under the SDM's names ("VMX Basic Exit Reasons"); accesses to devices by memory have none there. */
static uint64_t print_reasons(const struct exit_totals *t, FILE *out)
{
    struct row rows[EXIT_REASON_COUNT + 2] = {{NULL, 0}};
    uint64_t total = 0;
    for (unsigned r = 0; r < EXIT_REASON_COUNT; r++)
        rows[r].name = exit_reason_name(r);
    for (unsigned row = 0; row < INSN_ROWS; row++)
        rows[policy_exit_reason(insn_row(row)->op, NULL)].count += t->by_row[row];
    rows[REASON_EXCEPTION_NMI].count += all_exceptions(t) + t->nmis;
    rows[REASON_EXTERNAL_INTERRUPT].count += t->interrupts;
    rows[EXIT_REASON_COUNT] = (struct row){"memory-mapped I/O read", t->mmio_reads};
    rows[EXIT_REASON_COUNT + 1] = (struct row){"memory-mapped I/O write", t->mmio_writes};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        total += rows[i].count;
    print_rows("EXIT", rows, ARRAY_SIZE(rows), total, out);
    return total;
}

/* Instructions and exceptions behind the reasons. */
static void print_details(const struct exit_totals *t, uint64_t total, FILE *out)
{
    struct row rows[OP_COUNT + 32] = {{NULL, 0}};
    for (unsigned op = 0; op < OP_COUNT; op++)
        rows[op].name = op_name(op);
    for (unsigned row = 0; row < INSN_ROWS; row++)
        rows[insn_row(row)->op].count += t->by_row[row];
    for (unsigned v = 0; v < 32; v++)
        rows[OP_COUNT + v] = (struct row){exits_exception_name(v), t->exceptions[v]};
    print_rows("INSTRUCTION", rows, ARRAY_SIZE(rows), total, out);
}

void exits_print(const struct exit_totals *t, uint64_t ticks, FILE *out)
{
    uint64_t total = print_reasons(t, out);
    print_details(t, total, out);
    fprintf(out, "exits: %" PRIu64 "\nidle: %" PRIu64 "\nticks: %" PRIu64 "\n", total, t->halts, ticks);
}

void exits_print_rows(const struct exit_totals *t, FILE *out)
{
    for (unsigned row = 0; row < INSN_ROWS; row++) {
        const struct insn_desc *d = insn_row(row);
        if (t->by_row[row])
            fprintf(out, "%u %" PRIu64 " %" PRIu64 " %s %s %s\n", row, t->by_row[row] - t->faults[row], t->faults[row],
                    d->name, d->encoding, d->operands);
    }
}
