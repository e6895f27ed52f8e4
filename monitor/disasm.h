/* SPDX-License-Identifier: MIT */
/*
 * Machine code as text, for people: the only file behind it that includes Capstone. Nothing that a guest sees depends on it.
 */
#pragma once

#include <stdio.h>

#include "decoder/insn.h"

/*
 * n bytes of code at `address`, an instruction a line: address, bytes, text. Bytes that are no instruction stand alone. At most
 * `most` lines.
 */
void disasm_print(FILE *out, const uint8_t *code, size_t n, uint64_t address, enum decode_mode mode, unsigned most);
