/* SPDX-License-Identifier: MIT */
/*
 * Reports as one HTML file that needs nothing else: no network, no script. The page's style, text
 * made safe, tables, and bar charts in SVG. Used by the labs.
 */
#pragma once

#include <stdio.h>

/* The page from its doctype to its heading; html_end closes it. title is text. */
void html_begin(FILE *out, const char *title);
void html_end(FILE *out);

/* Text, with <, >, & and quotes as entities. */
void html_text(FILE *out, const char *text);

/* <tag>text</tag> and a newline. */
void html_element(FILE *out, const char *tag, const char *text);

/* A row of a table's body or head (tag "td" or "th"): count cells. */
void html_row(FILE *out, const char *tag, const char *const *cells, unsigned count);

/* A bar and a mark: what was measured, what was predicted. */
struct html_bar {
    const char *group; /* bars of one group stand together, under its name */
    const char *label;
    double value;
    double mark; /* negative: none */
};

/* Horizontal bars; unit says what they count. */
void html_bars(FILE *out, const char *unit, const struct html_bar *bars, unsigned count);
