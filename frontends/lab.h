/* SPDX-License-Identifier: MIT */
/*
 * `trapline lab`: experiments on real guests that print what theory predicts beside what was
 * counted, as text or as a page to project. One file per lab, lab_NAME.c, which measures and hands
 * parts to lab.c. Counts are exact and the same on every host.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What events cost on hardware: the model that turns counts into cycles. Set by -cost. */
struct lab_costs {
#define COST(key, member, cycles, meaning) uint64_t member; /* of lab_costs.def, which says what it is */
#include "frontends/lab_costs.def"
#undef COST
};

/* The defaults. */
void lab_costs_init(struct lab_costs *costs);

/* One measurement. */
struct lab_row {
    const char *group; /* first column */
    const char *label; /* second */
    double measured;   /* in the part's unit */
    double predicted;  /* by the part's theory */
    double extra;      /* of the part's extra column */
    double cycles;     /* by the cost model */
    double host;       /* ns of this host's time; shown if the part has_host */
};

/* An experiment of a lab: a table, and what it shows. */
struct lab_part {
    const char *title;
    const char *columns[2]; /* heads of group and label */
    const char *unit;       /* of measured and predicted: "references" */
    const char *extra;      /* head of the extra column */
    const char *theory;     /* a paragraph */
    unsigned digits;        /* of measured and predicted after the point; 0: two */
    bool plots_cycles;      /* on a page: bars of the cycles as well */
    bool has_host;          /* rows have a host time, which differs from run to run */
    const struct lab_row *rows;
    unsigned count;
};

#define LAB_ROWS_MAX 64
#define LAB_COLUMNS_MAX 10

/* Pictures of what happened when. */
struct html_strip;
struct lab_strips {
    const char *title;
    const char *cell; /* what a cell stands for: "500 ticks" */
    const char *text; /* a paragraph */
    const struct html_strip *strips;
    unsigned count;
};

/* A table of words. */
struct lab_table {
    const char *title;
    const char *const *heads; /* of columns */
    unsigned columns;
    const char *const *cells; /* row by row */
    unsigned rows;
    const char *text; /* a paragraph */
};

/* Where parts go, one after the other; lab.c's. */
struct lab_report;
void lab_add(struct lab_report *r, const struct lab_part *part);
void lab_add_table(struct lab_report *r, const struct lab_table *table);
void lab_add_strips(struct lab_report *r, const struct lab_strips *strips);

struct lab {
    const char *name;
    const char *question; /* one line */
    /* Measures and adds its parts. 0, or the exit status of an error that was reported. */
    int (*run)(const struct lab_costs *costs, struct lab_report *r);
};

/* This process's time so far, in ns of the host: for lab_row.host. */
double lab_host_clock(void);

extern const struct lab lab_batching, lab_cli, lab_clock, lab_holes, lab_locks, lab_steal, lab_walks;

/* The verb. */
int verb_lab(int count, char *const words[]);
