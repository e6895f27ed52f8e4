/* SPDX-License-Identifier: MIT */
#include "frontends/html.h"

#include <stdbool.h>
#include <string.h>

enum { BAR_HEIGHT = 20, GROUP_HEIGHT = 30, LABEL_WIDTH = 220, BARS_WIDTH = 560, FONT = 13 };

static const char style[] =
    "body{font:17px/1.5 'DejaVu Sans',Verdana,sans-serif;color:#222;max-width:64em;margin:2em "
    "auto;padding:0 1em}"
    "h1{font-size:1.7em}h2{font-size:1.25em;margin-top:2em}"
    "table{border-collapse:collapse;font-size:.85em}td,th{padding:.15em .8em;border-bottom:1px "
    "solid #ddd;text-align:right}"
    "td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}th{border-bottom:2px solid #555}"
    "body:has(table.text){max-width:none;margin:2em}table.text td,table.text "
    "th{text-align:left;vertical-align:top}.violation td:first-child{background:#f6c6c0}"
    "svg text{font:13px 'DejaVu "
    "Sans',Verdana,sans-serif;fill:#222}.bar{fill:#3b6ea5}.mark{stroke:#d1495b;stroke-width:3}"
    ".group{font-weight:bold}.legend span{display:inline-block;width:1.1em;height:.8em;border:1px solid #999}p.theory{border-left:4px solid #d1495b;padding-left:.8em}";

unsigned utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    for (unsigned i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool is_bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
                  (s[0] == 0xf4 && s[1] > 0x8f);
    return is_bad ? 0 : n;
}

void html_text(FILE *out, const char *text)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (unsigned n; *text; text += n ? n : 1) {
        unsigned i = 0;
        n = utf8_length(text);
        while (i < 5 && entities[i].c != *text)
            i++;
        if (i < 5)
            fputs(entities[i].entity, out);
        else if (n == 0 || (unsigned char)*text < ' ')
            fputs(*text == '\n' || *text == '\t' ? " " : "\xef\xbf\xbd", out);
        else
            fwrite(text, 1, n, out);
    }
}

void html_element(FILE *out, const char *tag, const char *text)
{
    fprintf(out, "<%s>", tag);
    html_text(out, text);
    fprintf(out, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

void html_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width\">",
          out);
    html_element(out, "title", title);
    fprintf(out, "<style>%s</style></head>\n<body>\n", style);
    html_element(out, "h1", title);
}

void html_end(FILE *out)
{
    fputs("</body></html>\n", out);
}

void html_row(FILE *out, const char *tag, const char *const *cells, unsigned count)
{
    fputs("<tr>", out);
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "<%s>", tag);
        html_text(out, cells[i]);
        fprintf(out, "</%s>", tag);
    }
    fputs("</tr>\n", out);
}

/* ---- bars ---- */

static bool is_new_group(const struct html_bar *bars, unsigned i)
{
    return i == 0 || strcmp(bars[i].group, bars[i - 1].group) != 0;
}

/* The end of the scale: at least 1, so that hardly anything looks like hardly anything. */
static double largest(const struct html_bar *bars, unsigned count)
{
    double most = 1;
    for (unsigned i = 0; i < count; i++) {
        most = bars[i].value > most ? bars[i].value : most;
        most = bars[i].mark > most ? bars[i].mark : most;
    }
    return most;
}

static void print_bar(FILE *out, const struct html_bar *b, unsigned y, double scale)
{
    unsigned text_y = y + FONT + 1;
    fprintf(out, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", LABEL_WIDTH - 8, text_y);
    html_text(out, b->label);
    fprintf(out, "</text><rect class=\"bar\" x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\"/>",
            LABEL_WIDTH, y + 2, b->value * scale, BAR_HEIGHT - 5);
    if (b->mark >= 0)
        fprintf(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%u\" y2=\"%u\"/>",
                LABEL_WIDTH + b->mark * scale, LABEL_WIDTH + b->mark * scale, y,
                y + BAR_HEIGHT - 1);
    double end = (b->value > b->mark ? b->value : b->mark) * scale;
    fprintf(out, b->value < 1000 ? "<text x=\"%.1f\" y=\"%u\">%.4g</text>\n" : "<text x=\"%.1f\" y=\"%u\">%.0f</text>\n",
            LABEL_WIDTH + end + 7, text_y, b->value);
}

void html_bars(FILE *out, const char *unit, const struct html_bar *bars, unsigned count)
{
    double scale = BARS_WIDTH / largest(bars, count);
    unsigned y = 0, groups = 0;
    for (unsigned i = 0; i < count; i++)
        groups += is_new_group(bars, i);
    fprintf(out, "<svg role=\"img\" viewBox=\"0 0 %d %u\" width=\"100%%\">\n<title>",
            LABEL_WIDTH + BARS_WIDTH + 60, count * BAR_HEIGHT + groups * GROUP_HEIGHT);
    html_text(out, unit);
    fputs("</title>\n", out);
    for (unsigned i = 0; i < count; i++) {
        if (is_new_group(bars, i)) {
            y += GROUP_HEIGHT;
            fprintf(out, "<text class=\"group\" x=\"0\" y=\"%u\">", y - 8);
            html_text(out, bars[i].group);
            fputs("</text>\n", out);
        }
        print_bar(out, &bars[i], y, scale);
        y += BAR_HEIGHT;
    }
    fputs("</svg>\n", out);
}

/* ---- strips ---- */

static const char *color_of(const struct html_strip *s, char mark)
{
    for (unsigned i = 0; i < s->state_count; i++)
        if (s->states[i].mark == mark)
            return s->states[i].color;
    return "none";
}

/* Cells of one mark are one rectangle. */
static void print_track(FILE *out, const struct html_strip *s, unsigned track, unsigned y)
{
    const char *cells = s->cells[track];
    size_t length = strlen(cells), n;
    double width = (double)(BARS_WIDTH + 40) / (length ? (double)length : 1);
    fprintf(out, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", LABEL_WIDTH - 8, y + FONT + 1);
    html_text(out, s->names[track]);
    fputs("</text>", out);
    for (size_t i = 0; i < length; i += n) {
        const char mark[2] = {cells[i], 0};
        n = strspn(cells + i, mark);
        fprintf(out, "<rect class=\"cell\" x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>",
                LABEL_WIDTH + (double)i * width, y + 2, (double)n * width, BAR_HEIGHT - 5, color_of(s, mark[0]));
    }
    fputc('\n', out);
}

static void print_legend(FILE *out, const struct html_strip *s)
{
    fputs("<p class=\"legend\">", out);
    for (unsigned i = 0; i < s->state_count; i++) {
        if (!s->states[i].meaning)
            continue;
        fprintf(out, "<span style=\"background:%s\"></span> ", s->states[i].color);
        html_text(out, s->states[i].meaning);
        fputs(" &#160; ", out);
    }
    fputs("</p>\n", out);
}

void html_strips(FILE *out, const struct html_strip *strips, unsigned count)
{
    unsigned y = 0, height = 0;
    for (unsigned i = 0; i < count; i++)
        height += GROUP_HEIGHT + strips[i].tracks * BAR_HEIGHT;
    if (count > 0)
        print_legend(out, &strips[0]);
    fprintf(out, "<svg role=\"img\" viewBox=\"0 0 %d %u\" width=\"100%%\">\n", LABEL_WIDTH + BARS_WIDTH + 60, height);
    for (unsigned i = 0; i < count; i++) {
        y += GROUP_HEIGHT;
        fprintf(out, "<text class=\"group\" x=\"0\" y=\"%u\">", y - 8);
        html_text(out, strips[i].title);
        fputs("</text>\n", out);
        for (unsigned t = 0; t < strips[i].tracks; t++, y += BAR_HEIGHT)
            print_track(out, &strips[i], t, y);
    }
    fputs("</svg>\n", out);
}
