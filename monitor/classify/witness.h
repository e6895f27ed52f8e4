/* SPDX-License-Identifier: MIT */
/*
 * Witnesses: two states that show what an instruction form is, by an ID from which they are made
 * again. mode[+variant...]/cpu/row/state/level/element, where element is one of elements.def (CPL:
 * the same state at CPL 0 and 3), or `none`: the one state, and what it leaves changed.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "monitor/classify/evidence.h"

struct witness {
    enum class_mode mode;   /* of the states */
    uint64_t cr4_set;       /* variants */
    struct cpu_model model; /* the CPU */
    char cpu[96];           /* its spelling */
    unsigned row;           /* of insn.def */
    unsigned state;         /* number of the state */
    unsigned level;         /* AT_0, AT_3 */
    unsigned element;       /* in which they differ; ELEMENT_COUNT: none */
};

/* Parse "umip,tsd" or "umip+tsd" (may be NULL or empty) into bits of CR4. */
int witness_variants(const char *text, uint64_t *cr4, struct err *err);
const char *witness_variant(unsigned i, uint64_t *cr4); /* NULL past the last */

int witness_mode(const char *text, enum class_mode *mode, struct err *err);

/* Parse an ID: -EINVAL and *err. */
int witness_parse(const char *id, struct witness *w, struct err *err);
void witness_format(const struct witness *w, char *text, size_t size);

/* Run it again and print it. */
int witness_print(const struct witness *w, FILE *out, struct err *err);
