/* SPDX-License-Identifier: MIT */
/*
 * Machine code as text, for people: the only file behind it that includes Capstone. Nothing that a guest sees depends on it.
 */
#pragma once

#include <stdio.h>

#include "decoder/insn.h"

struct disasm;

struct disasm *disasm_create(void); /* NULL: no memory */
void disasm_destroy(struct disasm *d); /* NULL is fine */

/* The one instruction of n bytes at `address` as text, cut to size. False: it is none, and text is untouched. */
bool disasm_text(const struct disasm *d, enum decode_mode mode, const uint8_t *code, size_t n, uint64_t address, char *text, size_t size);

/*
 * n bytes of code at `address`, an instruction a line: address, bytes, text. Bytes that are no instruction stand alone. At most
 * `most` lines.
 */
void disasm_print(FILE *out, const uint8_t *code, size_t n, uint64_t address, enum decode_mode mode, unsigned most);
