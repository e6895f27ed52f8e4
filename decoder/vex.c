/* SPDX-License-Identifier: MIT */
#include "decoder/vex.h"

#include "decoder/lookup.h"

/*
 * C5  R vvvv L pp                 C4  R X B mmmmm   W vvvv L pp
 * R, X, B and vvvv are stored inverted. Outside 64-bit mode R and X are 1 (else it would be LES or
 * LDS) and B is ignored. pp is 0, 66, F3, F2: the values of PP_*.
 */
struct vex vex_read(const uint8_t *bytes, unsigned avail, uint8_t first, enum decode_mode mode)
{
    static const uint8_t maps[32] = {[1] = MAP_0F, [2] = MAP_0F38, [3] = MAP_0F3A};
    struct vex v = {.map = MAP_0F, .len = first == 0xc4 ? 2 : 1};
    if (avail < v.len) {
        v.over = true;
        return v;
    }
    unsigned rxb = (~(unsigned)bytes[0] >> 5) & 4, w = 0, last = bytes[v.len - 1];
    if (first == 0xc4) {
        rxb = (~(unsigned)bytes[0] >> 5) & 7;
        v.map = maps[bytes[0] & 31];
        w = last >> 7;
    }
    v.rex = (uint8_t)(0x40 | w << 3 | (mode == DECODE_64 ? rxb : 0));
    v.vvvv = (uint8_t)((~last >> 3) & 15);
    v.l = (uint8_t)((last >> 2) & 1);
    v.pp = (uint8_t)(last & 3);
    return v;
}
