/* SPDX-License-Identifier: MIT */
/*
 * What -d takes: QEMU's words for what here are trace points and the exit table. Called by the
 * option parser and by --help. Const tables only.
 */
#pragma once

#include <stddef.h>

#define DEBUG_PATTERNS 3

struct debug_item {
    const char *name;                     /* "int" */
    const char *patterns[DEBUG_PATTERNS]; /* trace points to switch on; none: a table at the end */
    const char *help;                     /* one line */
};

/* The item called name, or NULL. */
const struct debug_item *debug_item_find(const char *name);

/* Item i, or NULL past the last. */
const struct debug_item *debug_item_at(unsigned i);

/* "-d takes exits, guest_errors ...", cut to size. */
void debug_items_list(char *text, size_t size);
