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

/* Bytes of the UTF-8 character at text; 0: it is none. */
unsigned utf8_length(const char *text);

/* Text, with <, >, & and quotes as entities; what is no character as U+FFFD. Fit for XML too. */
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

/* What a mark in a strip stands for. */
struct html_state {
    char mark;           /* as text */
    const char *color;   /* as a picture */
    const char *meaning; /* in the legend; NULL: not there */
};

/* Time from left to right: a track for each name, cut into equal cells, one mark each. */
struct html_strip {
    const char *title;
    const char *const *names; /* of tracks */
    const char *const *cells; /* of tracks: strings of one length */
    unsigned tracks;
    const struct html_state *states;
    unsigned state_count;
};

/* The strips, and one legend for all (the states of the first). */
void html_strips(FILE *out, const struct html_strip *strips, unsigned count);
