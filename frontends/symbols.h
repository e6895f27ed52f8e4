/* SPDX-License-Identifier: MIT */
/*
 * Names of the guest's addresses, from an ELF file or one in the form of System.map, /proc/kallsyms and nm: "ADDRESS TYPE NAME" a line. Used by the
 * tables that say where something happened.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct symbols; /* sorted by address */

/* *out: owned by the caller. -errno and err, which names the file and the line. */
int symbols_load(const char *path, struct symbols **out, struct err *err);

/* The same from memory; `name` stands in messages. */
int symbols_parse(const char *text, size_t size, const char *name, struct symbols **out, struct err *err);
void symbols_free(struct symbols *s); /* NULL is fine */

/* Addresses of the function of that name, up to the next symbol. False: there is none. */
bool symbols_range(const struct symbols *s, const char *name, uint64_t *first, uint64_t *last);

/* The last symbol at or below the address, and how far above it that is; NULL: none within 1 MiB. */
const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *offset);
