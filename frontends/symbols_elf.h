/* SPDX-License-Identifier: MIT */
/* The symbol table of an ELF file as text in the form of System.map. Called by symbols.c; the file is hostile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

bool symbols_is_elf(const char *data, size_t size);

/*
 * *text: owned by the caller, *text_size bytes: functions and labels of .symtab, "ADDRESS T NAME" a line. -EINVAL and err: it has none, or
 * is damaged; -ENOMEM.
 */
int symbols_from_elf(const char *data, size_t size, const char *name, char **text, size_t *text_size, struct err *err);
