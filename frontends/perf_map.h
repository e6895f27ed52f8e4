/* SPDX-License-Identifier: MIT */
/*
 * Names of translated code for Linux's perf: /tmp/perf-PID.map, a line per block, "ADDRESS SIZE NAME" in hexadecimal. Called by
 * run.c. The file stays: perf report reads it after the run.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"

/* *file: owned by the caller. -errno and err. */
int perf_map_open(FILE **file, struct err *err);

/* config.translated, with the file. */
void perf_map_add(void *file, const void *code, size_t size, uint64_t rip, uint64_t physical);
