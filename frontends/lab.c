/* SPDX-License-Identifier: MIT */
#include "frontends/lab.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/html.h"
#include "frontends/run.h"
#include "frontends/values.h"

enum { WIDTH = 110 }; /* of paragraphs on a terminal */

struct lab_report {
    FILE *html; /* NULL: text on standard output */
};

static const struct lab *const all_labs[] = {&lab_locks, &lab_steal, &lab_walks};

static const struct lab *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all_labs); i++)
        if (strcmp(all_labs[i]->name, name) == 0)
            return all_labs[i];
    return NULL;
}

static void list(void)
{
    const struct lab_costs c = LAB_COSTS_INIT;
    printf("trapline lab NAME [-cost ref=N,exit=N] [-html FILE]: an experiment, and what theory "
           "says of it\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(all_labs); i++)
        printf("  %-10s %s\n", all_labs[i]->name, all_labs[i]->question);
    printf(
        "\n-cost: cycles of a reference to a paging structure, and of an exit (default ref=%" PRIu64
        ",exit=%" PRIu64 ")\n",
        c.reference, c.exit);
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

static void print_text(const struct lab_part *p)
{
    printf("%s\n\n   %-9s %-21s %12s %12s %12s %12s\n", p->title, p->columns[0], p->columns[1],
           p->unit, "theory", p->extra, "cycles");
    for (unsigned i = 0; i < p->count; i++) {
        const struct lab_row *r = &p->rows[i];
        printf("   %-9s %-21s %12.2f %12.2f %12.2f %12.0f\n", r->group, r->label, r->measured,
               r->predicted, r->extra, r->cycles);
    }
    putchar('\n');
    print_wrapped(p->theory);
    putchar('\n');
}

static void print_table(FILE *out, const struct lab_part *p)
{
    const char *const heads[] = {p->columns[0], p->columns[1], p->unit,
                                 "theory",      p->extra,      "cycles"};
    fputs("<details><summary>The numbers</summary><table><thead>\n", out);
    html_row(out, "th", heads, ARRAY_SIZE(heads));
    fputs("</thead><tbody>\n", out);
    for (unsigned i = 0; i < p->count; i++) {
        const struct lab_row *r = &p->rows[i];
        char cell[4][32];
        const double value[4] = {r->measured, r->predicted, r->extra, r->cycles};
        for (unsigned k = 0; k < 4; k++)
            snprintf(cell[k], sizeof(cell[k]), k == 3 ? "%.0f" : "%.2f", value[k]);
        const char *const cells[] = {r->group, r->label, cell[0], cell[1], cell[2], cell[3]};
        html_row(out, "td", cells, ARRAY_SIZE(cells));
    }
    fputs("</tbody></table></details>\n", out);
}

static void print_html(FILE *out, const struct lab_part *p)
{
    struct html_bar bars[LAB_ROWS_MAX];
    char caption[128];
    for (unsigned i = 0; i < p->count && i < LAB_ROWS_MAX; i++)
        bars[i] = (struct html_bar){p->rows[i].group, p->rows[i].label, p->rows[i].measured,
                                    p->rows[i].predicted};
    html_element(out, "h2", p->title);
    snprintf(caption, sizeof(caption), "Blue: %s, counted. Red: predicted.", p->unit);
    html_element(out, "p", caption);
    html_bars(out, p->unit, bars, p->count < LAB_ROWS_MAX ? p->count : LAB_ROWS_MAX);
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

/* ---- the command ---- */

static bool parse_costs(const char *text, struct lab_costs *costs)
{
    struct piece p;
    while (next_piece(&text, &p)) {
        uint64_t *cost = strcmp(p.key, "ref") == 0    ? &costs->reference
                         : strcmp(p.key, "exit") == 0 ? &costs->exit
                                                      : NULL;
        if (!cost || !p.has_value || !parse_number(p.value, cost) || *cost > UINT32_MAX)
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

static int cannot_write(const char *path)
{
    char text[512];
    snprintf(text, sizeof(text), "cannot write '%.400s': %s", path, strerror(errno));
    return report_error(text, "-html wants a file that can be written");
}

static int run_to_file(const struct lab *lab, const struct lab_costs *costs, const char *path)
{
    struct lab_report r = {.html = fopen(path, "w")};
    if (!r.html)
        return cannot_write(path);
    char title[160];
    snprintf(title, sizeof(title), "%s: %s", lab->name, lab->question);
    html_begin(r.html, title);
    int status = lab->run(costs, &r);
    html_end(r.html);
    bool is_bad = ferror(r.html);
    if (fclose(r.html) != 0 || is_bad)
        return cannot_write(path);
    if (status == 0)
        printf("%s\n", path);
    return status;
}

static int run_to_terminal(const struct lab *lab, const struct lab_costs *costs)
{
    struct lab_report r = {.html = NULL};
    int status = lab->run(costs, &r);
    if (status == 0)
        printf("Cycles: %" PRIu64 " for a reference to a paging structure, %" PRIu64
               " for an exit (-cost ref=N,exit=N).\n",
               costs->reference, costs->exit);
    return status;
}

int verb_lab(int count, char *const words[])
{
    struct lab_costs costs = LAB_COSTS_INIT;
    const struct lab *lab = count > 0 ? find(words[0]) : NULL;
    const char *html = NULL;
    char text[128];
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
        return report_error(text, "-cost ref=N,exit=N or -html FILE");
    }
    int status = html ? run_to_file(lab, &costs, html) : run_to_terminal(lab, &costs);
    return report_output(status);
}
