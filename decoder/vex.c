/* SPDX-License-Identifier: MIT */
#include "decoder/vex.h"

#include "decoder/lookup.h"

/*
 * C5  R vvvv L pp                 C4  R X B mmmmm   W vvvv L pp
 * R, X, B and vvvv are stored inverted. Outside 64-bit mode R and X are 1 (else it would be LES or
 * LDS) and B is ignored. pp is 0, 66, F3, F2: the values of PP_*.
 */
struct vex vex_read(struct reader *r, uint8_t first, enum decode_mode mode)
{
    uint8_t byte = read_byte(r);
    struct vex v = {.map = MAP_0F};
    unsigned rxb = (~(unsigned)byte >> 5) & 4, w = 0;
    if (first == 0xc4) {
        static const uint8_t maps[32] = {[1] = MAP_0F, [2] = MAP_0F38, [3] = MAP_0F3A};
        rxb = (~(unsigned)byte >> 5) & 7;
        v.map = maps[byte & 31];
        byte = read_byte(r);
        w = byte >> 7;
    }
    v.rex = (uint8_t)(0x40 | w << 3 | (mode == DECODE_64 ? rxb : 0));
    v.vvvv = (~(unsigned)byte >> 3) & 15;
    v.l = (byte >> 2) & 1;
    v.pp = byte & 3;
    return v;
}
