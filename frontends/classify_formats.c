/* SPDX-License-Identifier: MIT */
/* The classifier's result for other programs and for pages: CSV, JSON, Markdown, HTML. One row for
 * each form that is privileged, sensitive or behaves by time. */
#include <stdio.h>
#include <string.h>

#include "frontends/classify.h"
#include "frontends/html.h"

enum { TEXT = 1024, CELLS = 11 };

/* The cells of a row, as text. */
struct row {
    const char *cells[CELLS];            /* in the order of `heads` */
    char classes[128];                   /* storage of cells */
    char form[96];                       /* the same */
    char witness[TRAPLINE_WITNESS_SIZE]; /* the same */
    char reads[TEXT], writes[TEXT];      /* the same */
    char traps[TEXT], allows[TEXT];      /* the same */
};

static const char *const heads[CELLS] = {"name",       "form",       "classes", "by_cpl",
                                         "theorem_1",  "theorem_3",  "reads",   "writes",
                                         "trapped_by", "allowed_by", "witness"};

static const char *yes(unsigned set)
{
    return set ? "yes" : "";
}

static bool make_row(const struct class_report *r, unsigned i, struct row *row, bool *is_shown)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    if (!trapline_class_form(r->c, i, &f))
        return false;
    *is_shown = class_is_shown(f.classes);
    if (!*is_shown)
        return true;
    row->witness[0] = 0;
    trapline_class_witness(r->c, i, row->witness);
    snprintf(row->form, sizeof(row->form), "%s %s %s", f.mnemonic, f.encoding, f.operands);
    const char *const cells[CELLS] = {
        f.name,
        row->form,
        class_words(f.classes, row->classes, sizeof(row->classes)),
        yes(f.classes & TRAPLINE_CLASS_BY_CPL),
        f.classes & TRAPLINE_CLASS_BREAKS_1 ? "violation" : "",
        f.classes & TRAPLINE_CLASS_BREAKS_3 ? "violation" : "",
        class_relations(r->c, i, TRAPLINE_READS, row->reads, sizeof(row->reads)),
        class_relations(r->c, i, TRAPLINE_WRITES, row->writes, sizeof(row->writes)),
        class_relations(r->c, i, TRAPLINE_TRAPS, row->traps, sizeof(row->traps)),
        class_relations(r->c, i, TRAPLINE_ALLOWS, row->allows, sizeof(row->allows)),
        row->witness,
    };
    memcpy(row->cells, cells, sizeof(cells));
    return true;
}

typedef void print_row(FILE *out, const char *const cells[CELLS], unsigned number);

static void print_rows(const struct class_report *r, print_row *print)
{
    struct row row;
    bool is_shown;
    unsigned number = 0;
    for (unsigned i = 0; make_row(r, i, &row, &is_shown); i++)
        if (is_shown)
            print(r->out, row.cells, number++);
}

/* ---- CSV: RFC 4180 ---- */

static void csv_row(FILE *out, const char *const cells[CELLS], unsigned number)
{
    (void)number;
    for (unsigned i = 0; i < CELLS; i++)
        fprintf(out, "%s\"%s\"", i ? "," : "", cells[i]);
    fputs("\r\n", out);
}

void classify_print_csv(const struct class_report *r)
{
    csv_row(r->out, heads, 0);
    print_rows(r, csv_row);
}

/* ---- JSON ---- */

/* Of text of ours and of options, which may hold anything. */
static void json_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            fprintf(out, "\\u%04x", (unsigned char)*s);
        else
            fputc(*s, out);
    }
    fputc('"', out);
}

static void json_row(FILE *out, const char *const cells[CELLS], unsigned number)
{
    fputs(number ? ",\n  {" : "\n  {", out);
    for (unsigned i = 0; i < CELLS; i++) {
        fprintf(out, "%s\"%s\": ", i ? ", " : "", heads[i]);
        json_string(out, cells[i]);
    }
    fputc('}', out);
}

void classify_print_json(const struct class_report *r)
{
    const struct trapline_classify_config *c = &r->o->config;
    fputs("{\"cpu\": ", r->out);
    json_string(r->out, c->cpu ? c->cpu : "pentium");
    fputs(", \"mode\": ", r->out);
    json_string(r->out, c->mode ? c->mode : "prot32");
    fputs(", \"variants\": ", r->out);
    json_string(r->out, c->variants ? c->variants : "");
    fputs(", \"forms\": [", r->out);
    print_rows(r, json_row);
    fputs("\n]}\n", r->out);
}

/* ---- Markdown ---- */

static void markdown_row(FILE *out, const char *const cells[CELLS], unsigned number)
{
    (void)number;
    for (unsigned i = 0; i < CELLS; i++)
        fprintf(out, "| %s ", cells[i]);
    fputs("|\n", out);
}

void classify_print_markdown(const struct class_report *r)
{
    markdown_row(r->out, heads, 0);
    for (unsigned i = 0; i < CELLS; i++)
        fputs("| --- ", r->out);
    fputs("|\n", r->out);
    print_rows(r, markdown_row);
}

/* ---- HTML: one page, no network ---- */

static void class_row(FILE *out, const char *const cells[CELLS], unsigned number)
{
    (void)number;
    fprintf(out, "<tr%s>", cells[4][0] ? " class=\"violation\"" : "");
    for (unsigned i = 0; i < CELLS; i++) {
        fputs(i == 1 || i == CELLS - 1 ? "<td><code>" : "<td>", out);
        html_text(out, cells[i]);
        fputs(i == 1 || i == CELLS - 1 ? "</code></td>" : "</td>", out);
    }
    fputs("</tr>\n", out);
}

void classify_print_html(const struct class_report *r)
{
    const struct trapline_classify_config *c = &r->o->config;
    const char *cpu = c->cpu ? c->cpu : "pentium", *mode = c->mode ? c->mode : "prot32";
    char title[128];
    snprintf(title, sizeof(title), "Sensitive instructions: %s in %s", cpu, mode);
    html_begin(r->out, title);
    html_element(
        r->out, "p",
        "Found by experiment. A coloured name is sensitive and does not trap at CPL 3: it is in "
        "the way of Theorem 1.");
    fputs("<table class=\"text\"><thead><tr>", r->out);
    for (unsigned i = 0; i < CELLS; i++)
        fprintf(r->out, "<th>%s</th>", heads[i]);
    fputs("</tr></thead><tbody>\n", r->out);
    print_rows(r, class_row);
    fputs("</tbody></table>\n", r->out);
    html_end(r->out);
}
