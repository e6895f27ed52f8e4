/* SPDX-License-Identifier: MIT */
#include "frontends/lab.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "frontends/html.h"
#include "frontends/out_file.h"
#include "frontends/run.h"
#include "frontends/values.h"

enum { WIDTH = 110 }; /* of paragraphs on a terminal */

struct lab_report {
    FILE *html; /* NULL: text on standard output */
};

static const struct lab *const all_labs[] = {&lab_batching, &lab_cli, &lab_clock, &lab_holes, &lab_locks, &lab_steal, &lab_walks};

static const struct lab *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all_labs); i++)
        if (strcmp(all_labs[i]->name, name) == 0)
            return all_labs[i];
    return NULL;
}

/* ---- costs ---- */

static const struct cost {
    const char *key;     /* in -cost */
    size_t offset;       /* in struct lab_costs */
    uint64_t cycles;     /* default */
    const char *meaning; /* for the list */
} all_costs[] = {
#define COST(key_, member_, cycles_, meaning_) {key_, offsetof(struct lab_costs, member_), cycles_, meaning_},
#include "frontends/lab_costs.def"
#undef COST
};

static uint64_t *cost_at(struct lab_costs *costs, unsigned i)
{
    return (uint64_t *)(void *)((char *)costs + all_costs[i].offset);
}

void lab_costs_init(struct lab_costs *costs)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all_costs); i++)
        *cost_at(costs, i) = all_costs[i].cycles;
}

static void list(void)
{
    printf("trapline lab NAME [-cost KEY=N,...] [-html FILE]: an experiment, and what theory "
           "says of it\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(all_labs); i++)
        printf("  %-10s %s\n", all_labs[i]->name, all_labs[i]->question);
    puts("\n-cost: what events cost, in cycles of a processor");
    for (unsigned i = 0; i < ARRAY_SIZE(all_costs); i++)
        printf("  %-10s %5" PRIu64 "  %s\n", all_costs[i].key, all_costs[i].cycles, all_costs[i].meaning);
}

double lab_host_clock(void)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- parts ---- */

/* A paragraph, indented and broken into lines. */
static void print_wrapped(const char *text)
{
    while (*text) {
        size_t n = strlen(text);
        if (n > WIDTH) {
            n = WIDTH;
            while (n && text[n] != ' ')
                n--;
        }
        printf("   %.*s\n", (int)n, text);
        text += n + strspn(text + n, " ");
    }
}

static int digits_of(const struct lab_part *p)
{
    return p->digits ? (int)p->digits : 2;
}

static void widen(int *width, const char *text)
{
    int n = (int)strlen(text);
    *width = n > *width ? n : *width;
}

static void print_text(const struct lab_part *p)
{
    int widths[2] = {9, 21}, digits = digits_of(p);
    for (unsigned i = 0; i < p->count; i++) {
        widen(&widths[0], p->rows[i].group);
        widen(&widths[1], p->rows[i].label);
    }
    printf("%s\n\n   %-*s %-*s %12s %12s %12s %12s%s\n", p->title, widths[0], p->columns[0], widths[1],
           p->columns[1], p->unit, "theory", p->extra, "cycles", p->has_host ? "      host ns" : "");
    for (unsigned i = 0; i < p->count; i++) {
        const struct lab_row *r = &p->rows[i];
        printf("   %-*s %-*s %12.*f %12.*f %12.2f %12.0f", widths[0], r->group, widths[1], r->label, digits,
               r->measured, digits, r->predicted, r->extra, r->cycles);
        if (p->has_host)
            printf(" %12.1f", r->host);
        putchar('\n');
    }
    putchar('\n');
    print_wrapped(p->theory);
    putchar('\n');
}

static void print_table(FILE *out, const struct lab_part *p)
{
    const char *const heads[] = {p->columns[0], p->columns[1], p->unit,
                                 "theory",      p->extra,      "cycles", "host ns"};
    unsigned columns = p->has_host ? 7 : 6;
    fputs("<details><summary>The numbers</summary><table><thead>\n", out);
    html_row(out, "th", heads, columns);
    fputs("</thead><tbody>\n", out);
    for (unsigned i = 0; i < p->count; i++) {
        const struct lab_row *r = &p->rows[i];
        char cell[5][32];
        const double value[5] = {r->measured, r->predicted, r->extra, r->cycles, r->host};
        for (unsigned k = 0; k < 5; k++)
            snprintf(cell[k], sizeof(cell[k]), "%.*f", k == 3 ? 0 : k == 4 ? 1 : k == 2 ? 2 : digits_of(p), value[k]);
        const char *const cells[] = {r->group, r->label, cell[0], cell[1], cell[2], cell[3], cell[4]};
        html_row(out, "td", cells, columns);
    }
    fputs("</tbody></table></details>\n", out);
}

/* Bars of one column, with the prediction or without. */
static void print_bars(FILE *out, const struct lab_part *p, const char *caption, size_t offset, bool has_mark)
{
    struct html_bar bars[LAB_ROWS_MAX];
    unsigned count = p->count < LAB_ROWS_MAX ? p->count : LAB_ROWS_MAX;
    for (unsigned i = 0; i < count; i++) {
        double value = *(const double *)(const void *)((const char *)&p->rows[i] + offset);
        bars[i] = (struct html_bar){p->rows[i].group, p->rows[i].label, value, has_mark ? p->rows[i].predicted : -1};
    }
    html_element(out, "p", caption);
    html_bars(out, caption, bars, count);
}

static void print_html(FILE *out, const struct lab_part *p)
{
    char caption[128];
    html_element(out, "h2", p->title);
    snprintf(caption, sizeof(caption), "Blue: %s, counted. Red: predicted.", p->unit);
    print_bars(out, p, caption, offsetof(struct lab_row, measured), true);
    if (p->plots_cycles)
        print_bars(out, p, "Cycles, by the model of -cost.", offsetof(struct lab_row, cycles), false);
    if (p->has_host)
        print_bars(out, p, "Nanoseconds of this host, beyond theory: another in each run.", offsetof(struct lab_row, host), false);
    html_element(out, "p class=\"theory\"", p->theory);
    print_table(out, p);
}

void lab_add(struct lab_report *r, const struct lab_part *part)
{
    if (r->html)
        print_html(r->html, part);
    else
        print_text(part);
}

static void print_strip_text(const struct html_strip *s)
{
    printf("   %s\n", s->title);
    for (unsigned t = 0; t < s->tracks; t++)
        printf("   %21s %s\n", s->names[t], s->cells[t]);
}

void lab_add_strips(struct lab_report *r, const struct lab_strips *p)
{
    if (r->html) {
        html_element(r->html, "h2", p->title);
        html_strips(r->html, p->strips, p->count);
        html_element(r->html, "p class=\"theory\"", p->text);
        return;
    }
    printf("%s\n\n   A character is %s:", p->title, p->cell);
    for (unsigned i = 0; i < p->strips[0].state_count; i++)
        if (p->strips[0].states[i].meaning)
            printf(" %c %s;", p->strips[0].states[i].mark, p->strips[0].states[i].meaning);
    puts("\n");
    for (unsigned i = 0; i < p->count; i++)
        print_strip_text(&p->strips[i]);
    putchar('\n');
    print_wrapped(p->text);
    putchar('\n');
}

/* ---- tables ---- */

static void print_table_row(const char *const *cells, const size_t *widths, unsigned columns)
{
    printf("  ");
    for (unsigned c = 0; c < columns; c++)
        printf(" %-*s", c + 1 < columns ? (int)widths[c] + 1 : 0, cells[c]);
    putchar('\n');
}

static void print_table_text(const struct lab_table *t)
{
    size_t widths[LAB_COLUMNS_MAX] = {0};
    for (unsigned i = 0; i < t->columns * (t->rows + 1); i++) {
        size_t n = strlen(i < t->columns ? t->heads[i] : t->cells[i - t->columns]);
        if (n > widths[i % t->columns])
            widths[i % t->columns] = n;
    }
    printf("%s\n\n", t->title);
    print_table_row(t->heads, widths, t->columns);
    for (unsigned i = 0; i < t->rows; i++)
        print_table_row(t->cells + (size_t)i * t->columns, widths, t->columns);
    putchar('\n');
    print_wrapped(t->text);
    putchar('\n');
}

void lab_add_table(struct lab_report *r, const struct lab_table *t)
{
    assert(t->columns <= LAB_COLUMNS_MAX);
    if (!r->html) {
        print_table_text(t);
        return;
    }
    html_element(r->html, "h2", t->title);
    html_element(r->html, "p class=\"theory\"", t->text);
    fputs("<table><thead>\n", r->html);
    html_row(r->html, "th", t->heads, t->columns);
    fputs("</thead><tbody>\n", r->html);
    for (unsigned i = 0; i < t->rows; i++)
        html_row(r->html, "td", t->cells + (size_t)i * t->columns, t->columns);
    fputs("</tbody></table>\n", r->html);
}

/* ---- the command ---- */

static bool parse_costs(const char *text, struct lab_costs *costs)
{
    struct piece p;
    while (next_piece(&text, &p)) {
        unsigned i = 0;
        while (i < ARRAY_SIZE(all_costs) && strcmp(p.key, all_costs[i].key) != 0)
            i++;
        if (i == ARRAY_SIZE(all_costs) || !p.has_value || !parse_number(p.value, cost_at(costs, i)) ||
            *cost_at(costs, i) > UINT32_MAX)
            return false;
    }
    return true;
}

static bool is_option(const char *word, const char *name)
{
    return word[0] == '-' && strcmp(word + strspn(word, "-"), name) == 0;
}

/* The words after the name. The index of the one that cannot be used; 0: none. */
static int parse_words(int count, char *const words[], struct lab_costs *costs, const char **html)
{
    for (int i = 1; i < count; i += 2) {
        bool is_html = is_option(words[i], "html");
        if ((!is_html && !is_option(words[i], "cost")) || i + 1 == count)
            return i;
        if (is_html)
            *html = words[i + 1];
        else if (!parse_costs(words[i + 1], costs))
            return i + 1;
    }
    return 0;
}

static int run_to_file(const struct lab *lab, const struct lab_costs *costs, const char *path)
{
    struct err err = {{0}, {0}};
    struct out_file file;
    char title[160];
    if (out_file_open(&file, path, "-html wants a file that can be written", &err) < 0)
        return report_error(err.text, err.hint);
    struct lab_report r = {.html = file.out};
    snprintf(title, sizeof(title), "%s: %s", lab->name, lab->question);
    html_begin(r.html, title);
    int status = lab->run(costs, &r);
    html_end(r.html);
    if (status == 0 && out_file_finish(&file, &err) < 0)
        status = report_error(err.text, err.hint);
    out_file_discard(&file);
    if (status == 0)
        printf("%s\n", path);
    return status;
}

static int run_to_terminal(const struct lab *lab, const struct lab_costs *costs)
{
    struct lab_report r = {.html = NULL};
    int status = lab->run(costs, &r);
    if (status != 0)
        return status;
    struct lab_costs c = *costs;
    printf("Cycles (-cost):");
    for (unsigned i = 0; i < ARRAY_SIZE(all_costs); i++)
        printf("%s %s=%" PRIu64, i ? "," : "", all_costs[i].key, *cost_at(&c, i));
    puts("; `trapline lab` says what they are.");
    return 0;
}

int verb_lab(int count, char *const words[])
{
    struct lab_costs costs;
    const struct lab *lab = count > 0 ? find(words[0]) : NULL;
    const char *html = NULL;
    char text[128];
    lab_costs_init(&costs);
    if (count == 0 || is_option(words[0], "help")) {
        list();
        return 0;
    }
    if (!lab) {
        snprintf(text, sizeof(text), "there is no lab '%.64s'", words[0]);
        return report_error(text, "trapline lab lists all");
    }
    int wrong = parse_words(count, words, &costs, &html);
    if (wrong) {
        snprintf(text, sizeof(text), "lab %s: cannot use '%.64s'", lab->name, words[wrong]);
        return report_error(text, "-cost ref=N,exit=N ... (trapline lab lists all) or -html FILE");
    }
    int status = html ? run_to_file(lab, &costs, html) : run_to_terminal(lab, &costs);
    return report_output(status);
}
