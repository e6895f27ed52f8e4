/* SPDX-License-Identifier: MIT */
/*
 * `trapline diff`: where two runs part. Two trace files are read side by side; two machines run in lock-step, and the first tick
 * after which they differ is found by hashes, in ever smaller pieces of the run.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "frontends/options.h"
#include "frontends/symbols.h"

int verb_diff(int count, char *const words[]);

/*
 * Compare the traces (text or CSV) at two paths, and say where they differ. 1: they do; 0: they don't; -errno and err: a file cannot be
 * read, or is no trace.
 */
int diff_files(const char *const paths[2], FILE *out, struct err *err);

/* The same of traces in memory. */
int diff_texts(const char *const names[2], const char *const texts[2], const size_t sizes[2], FILE *out, struct err *err);

/* What two machines are compared by. */
enum diff_by {
    DIFF_BY_STATE, /* hashes of all that a guest can see */
    DIFF_BY_FLOW,  /* which instructions run */
};

/* Two machines from their starts. As diff_files. */
int diff_machines(const struct options *const options[2], enum diff_by by, const struct symbols *symbols, FILE *out, struct err *err);
