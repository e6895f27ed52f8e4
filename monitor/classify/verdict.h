/* SPDX-License-Identifier: MIT */
/*
 * Popek and Goldberg's definitions, read off the evidence: what an instruction form is, whether it
 * breaks Theorem 1 or 3, and under which name it was published. docs/classify.md has the formal
 * definitions beside these.
 */
#pragma once

#include "monitor/classify/evidence.h"

enum {
    CLASS_PRIVILEGED = 1 << 0,  /* completes at CPL 0 and never at 3 */
    CLASS_CONDITIONAL = 1 << 1, /* a control bit decides whether it is privileged */
    CLASS_CONTROL = 1 << 2,     /* leaves an element of the resource state changed */
    CLASS_MODE = 1 << 3,        /* its result depends on CPL or on another element of the mode */
    CLASS_LOCATION = 1 << 4,    /* its result depends on an element that says where things are */
    CLASS_TIME = 1 << 5,        /* its result depends on a clock, a counter or entropy */
    CLASS_USER = 1 << 6,        /* control or behaviour sensitive in a state of CPL 3 */
    CLASS_CLOSED = 1 << 7,      /* no state was found in which it completes */
    CLASS_BREAKS_1 = 1 << 8,    /* Theorem 1: sensitive, and completes at CPL 3 */
    CLASS_BREAKS_3 = 1 << 9,    /* Theorem 3: user sensitive, and completes at CPL 3 */
    CLASS_ABSENT = 1 << 11,     /* this CPU does not have it */
    CLASS_BY_CPL = 1 << 10,     /* of CLASS_MODE: CPL alone makes a difference */
};
#define CLASS_SENSITIVE (CLASS_CONTROL | CLASS_MODE | CLASS_LOCATION)

unsigned verdict_classes(const struct evidence *e);

/* Elements of the control bits that decide, of traps and allows. */
struct element_set verdict_conditions(const struct evidence *e);

/* The set of enum sensitivity that insn.def should have for these classes. */
unsigned verdict_sensitivity(unsigned classes);

/* ---- published counts ---- */

enum published_set { PUBLISHED_ROBIN = 1, PUBLISHED_VMWARE = 2 };

struct published {
    uint16_t op;         /* enum op */
    uint8_t sets;        /* who lists it */
    const char *name;    /* mnemonic of the papers */
    const char *entry;   /* what --group paper counts it under */
    const char *section; /* "3B", "3C" or "" */
};

/* The row of an op; NULL: nobody lists it. */
const struct published *published_find(unsigned op);
