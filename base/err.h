/* SPDX-License-Identifier: MIT */
/*
 * Trouble of the host or the user (style section 9): functions return a negative errno and fill a struct err
 * that says what, where and what to try. Only frontends print it. Caller's storage; never allocates.
 */
#pragma once

#include "base/compiler.h"

struct err {
    char text[512]; /* one sentence: what failed, on which file or option */
    char hint[256]; /* what to try, or empty */
};

/* Fill err->text (err may be NULL) and return -code. code is a positive errno. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Add the hint to an error already set. */
void err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
