/* SPDX-License-Identifier: MIT */
/* `trapline stat`, -d places: where exits happened, and of which class they are. Printed by run.c when the guest is done. */
#pragma once

#include <stdio.h>

#include "frontends/symbols.h"
#include "monitor/trapline.h"

/* Sums by class, then the `top` most frequent places, with names where symbols (may be NULL) has them. */
int stat_print(struct trapline_machine *m, const struct symbols *symbols, unsigned top, FILE *out, struct trapline_error *error);
