/* SPDX-License-Identifier: MIT */
/* Parts of the HTML report of a trace (report.c): pictures that stand by themselves. */
#pragma once

#include <stdio.h>

#include "monitor/trapline.h"

/* How an address is translated: the bits of it, a table for each level with the entry that was read, the page. An SVG element. */
void report_walk(FILE *out, const char *what, const struct trapline_walk *walk);

#define TIMELINE_BINS 300

/* Virtual time in equal bins; their width doubles as time goes on. */
struct timeline {
    uint64_t begin;  /* virtual ns */
    uint64_t width;  /* of a bin; 0: nothing yet */
    uint64_t last;   /* up to where it is filled */
    struct timeline_bin {
        uint64_t kernel, user, idle; /* ns */
        uint64_t exits;
    } bins[TIMELINE_BINS];
};

/* The time since the last call was spent at CPL 3 (is_user) or below, then `idle` ns in idleness; it is now `now`. */
void timeline_add(struct timeline *t, uint64_t now, uint64_t idle, bool is_user, bool is_exit);
void timeline_print(FILE *out, const struct timeline *t);
