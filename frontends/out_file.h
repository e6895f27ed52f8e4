/* SPDX-License-Identifier: MIT */
/* Files that are whole or not there: written under another name beside theirs, renamed at the end. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct out_file {
    FILE *out;         /* to write to */
    const char *path;  /* borrowed; NULL: standard output */
    char *temporary;   /* owned: what it is called until then; NULL: written in place (a pipe, a device) */
};

/* -errno and err, with `hint`. path NULL: standard output. */
int out_file_open(struct out_file *f, const char *path, const char *hint, struct err *err);

/* It is whole: to its own name. -errno and err if not everything could be written; then nothing is left. */
int out_file_finish(struct out_file *f, struct err *err);

/* Leave nothing. Harmless after finish, and on a struct of zeros. */
void out_file_discard(struct out_file *f);
