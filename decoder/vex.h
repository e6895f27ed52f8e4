/* SPDX-License-Identifier: MIT */
/*
 * The VEX prefix, as numbers: SDM Vol. 2A, "The VEX Prefix". Private to decoder/: decode.c asks it
 * where an instruction may begin with C4 or C5. Owns nothing.
 */
#pragma once

#include "decoder/insn.h"
#include "decoder/reader.h"

struct vex {
    uint8_t rex;  /* 40 | W R X B, as a REX prefix would have them; 40 | W outside 64-bit mode */
    uint8_t map;  /* MAP_0F .. MAP_0F3A, or MAP_ONE: mmmmm is reserved */
    uint8_t pp;   /* PP_* */
    uint8_t l;    /* VEX.L */
    uint8_t len;  /* bytes after the first */
    bool over;    /* more than there are: nothing else is valid */
    uint8_t vvvv; /* not inverted; all four bits, in every mode */
};

/*
 * Is `opcode`, which was just read, the first byte of a VEX prefix? Outside 64-bit mode it is LES
 * or LDS unless what would be its ModRM has mod 3.
 */
static inline bool vex_begins(const struct reader *r, uint8_t opcode, enum decode_mode mode)
{
    if ((opcode & 0xfe) != 0xc4)
        return false;
    return mode == DECODE_64 || (r->pos < r->limit && r->bytes[r->pos] >= 0xc0);
}

/* The rest of the prefix that begins with `first` (C4 or C5): one or two bytes, of which `avail`
 * are there. Not with a struct reader, which decoder_decode keeps in registers as long as nobody
 * asks for its address. */
struct vex vex_read(const uint8_t *bytes, unsigned avail, uint8_t first, enum decode_mode mode);
