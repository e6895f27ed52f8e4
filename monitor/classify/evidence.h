/* SPDX-License-Identifier: MIT */
/*
 * The experiment: for one row of insn.def, seeded states; for each state a run at CPL 0 and one at
 * CPL 3, and for every element of the resource state the same with that element alone brought to
 * its other value. What the comparison of two runs shows is evidence; the definitions of Popek and
 * Goldberg (verdict.h) are read off it. Knows no instruction, and never reads the columns
 * privilege and sensitivity.
 */
#pragma once

#include "monitor/classify/seed.h"

enum { AT_0, AT_3, LEVELS }; /* the CPL of a run */

struct evidence {
    unsigned states;            /* seeded */
    unsigned completed[LEVELS]; /* base runs that completed at a CPL */
    unsigned trapped[LEVELS];   /* that raised an exception there, where the other one completed */
    bool by_mode;               /* completes at both, and differs */
    bool is_absent;             /* this CPU does not have it */
    bool is_closed;             /* never completed in any state that was tried */
    struct element_set reads[LEVELS];  /* its result depends on the element */
    struct element_set writes[LEVELS]; /* it leaves the element changed */
    struct element_set traps;  /* completes at both CPLs; with the element changed, at 0 alone */
    struct element_set allows; /* completes at 0 alone; with the element changed, at both */
    struct element_set opens;  /* completes nowhere; with the element changed, somewhere */
    uint16_t mode_state;       /* first state that shows by_mode */
    uint16_t reads_state[LEVELS][ELEMENT_COUNT];  /* the same of reads */
    uint16_t writes_state[LEVELS][ELEMENT_COUNT]; /* of writes */
    uint16_t traps_state[ELEMENT_COUNT];          /* of traps, allows and opens */
    uint16_t privileged_state;                    /* completes at 0, traps at 3 */
};

struct experiment {
    struct world *world;  /* borrowed */
    uint64_t cr4_set;     /* control bits set in all states */
    unsigned states_few;  /* informative states of a row that shows nothing */
    unsigned states_many; /* and of one that does */
};

/* Run the experiment for a row. */
void experiment_run(const struct experiment *x, unsigned row, struct evidence *out);

/*
 * The same instruction under a monitor. Bare is the machine itself at virtual CPL c, one
 * instruction interpreted; under the monitor it stands in a block of a guest at the same virtual
 * CPL c, deprivileged and translated. For bt: its slot is to be entered, and the results are to be
 * the same.
 */
struct under {
    unsigned runs;    /* of states that completed bare or trapped there: all */
    unsigned reached; /* took an exit to the monitor */
    unsigned differ;  /* did something else than bare */
    unsigned state;   /* the first that differs */
    unsigned level;   /* its level */
    char where[112];  /* in what */
};

/* bare interprets, vmm translates; both of one CPU and mode. */
void experiment_under(const struct experiment *x, struct world *vmm, unsigned row, unsigned states,
                      struct under *out);

/* ---- parts, for witnesses and tests ---- */

/*
 * Run a state at a CPL, with an element (ELEMENT_COUNT: none) at its other value. *cpu: the state
 * before. False: this CPU has no other value.
 */
bool experiment_step(struct world *w, const struct seeded *s, unsigned level, unsigned element,
                     struct cpu *cpu, struct outcome *out);

/* Elements the instruction left changed. */
void outcome_writes(const struct cpu *before, const struct outcome *out, struct element_set *set);

#define OUTCOMES_ANY_ELEMENT (ELEMENT_UNSEEN + 1) /* any element may have begun different */

/*
 * Do two completed runs that began with `element` alone different differ in what they did? What
 * neither of them touched of the element itself does not count. where: NULL, or text for people of
 * the first difference.
 */
bool outcomes_differ(const struct cpu *before_a, const struct outcome *a,
                     const struct cpu *before_b, const struct outcome *b, unsigned element,
                     char *where, size_t size);
