/* SPDX-License-Identifier: MIT */
/* Trees of stacks as pictures and text. */
#pragma once

#include "frontends/stacks.h"

/* A flame graph as an SVG element: callers below, widths by weight. `unit` names the weight. */
void flame_print(FILE *out, const struct stacks *s, const char *unit, bool is_document);

/* "kernel;do_syscall_64;vfs_read 1234" a line. */
void flame_print_folded(FILE *out, const struct stacks *s);
