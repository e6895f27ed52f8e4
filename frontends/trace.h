/* SPDX-License-Identifier: MIT */
/* `trapline trace`: run a guest and tell what it did (docs/trace.md). */
#pragma once

int verb_trace(int count, char *const words[]);
