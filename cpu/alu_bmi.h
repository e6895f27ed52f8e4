/* SPDX-License-Identifier: MIT */
/*
 * The meaning of BMI1 and BMI2, on values, as alu.h has it for the older integer instructions; used
 * by cpu/interp/bmi.c and tests. Width is 32 or 64. SRC is the operand in ModRM.rm, `other` that in
 * VEX.vvvv or the immediate.
 *
 * Undefined flags, as recorded: PF follows the result, AF is clear (set after BEXTR), SF is clear
 * after BEXTR.
 */
#pragma once

#include "cpu/alu.h"

/* DEST := (NOT other) AND SRC.  SDM Vol. 2A, "ANDN". */
ALWAYS_INLINE struct alu alu_andn(unsigned width, uint64_t src, uint64_t other)
{
    return alu_make(width, ~other & src, 0);
}

/* DEST := SRC without its lowest set bit; CF := SRC is 0.  SDM Vol. 2A, "BLSR". */
ALWAYS_INLINE struct alu alu_blsr(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    return alu_make(width, src & (src - 1), carry_of(src == 0, false));
}

/* DEST := mask up to the lowest set bit of SRC, which has none if CF is set.  SDM Vol. 2A,
 * "BLSMSK". */
ALWAYS_INLINE struct alu alu_blsmsk(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    return alu_make(width, src ^ (src - 1), carry_of(src == 0, false));
}

/* DEST := the lowest set bit of SRC; CF := SRC is not 0.  SDM Vol. 2A, "BLSI". */
ALWAYS_INLINE struct alu alu_blsi(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    return alu_make(width, src & (0 - src), carry_of(src != 0, false));
}

/* DEST := other[15:8] bits of SRC from bit other[7:0] on.  SDM Vol. 2A, "BEXTR". */
ALWAYS_INLINE struct alu alu_bextr(unsigned width, uint64_t src, uint64_t other)
{
    unsigned start = other & 0xff, len = (other >> 8) & 0xff;
    uint64_t r = start < width ? (src & low_mask(width)) >> start : 0;
    if (len < width)
        r &= ~(UINT64_MAX << len);
    uint64_t flags = r & ~BIT(63); /* of SF and PF; ZF by all of it */
    return (struct alu){r, r != 0 && flags == 0 ? BIT(8) : flags, FC_AF};
}

/* DEST := SRC with the bits from other[7:0] on cleared; CF := there are none.  SDM Vol. 2A, "BZHI".
 */
ALWAYS_INLINE struct alu alu_bzhi(unsigned width, uint64_t src, uint64_t other)
{
    unsigned n = other & 0xff;
    if (n < width)
        src &= ~(UINT64_MAX << n);
    return alu_make(width, src, carry_of(n >= width, false));
}

/* DEST := the low bits of SRC, in order, at the positions of the set bits of mask.  SDM Vol. 2B,
 * "PDEP". No flags, as all below. */
ALWAYS_INLINE uint64_t alu_pdep(unsigned width, uint64_t src, uint64_t mask)
{
    uint64_t r = 0;
    for (mask &= low_mask(width); mask != 0; mask &= mask - 1, src >>= 1)
        r |= (src & 1) != 0 ? mask & (0 - mask) : 0;
    return r;
}

/* DEST := the bits of SRC at the set bits of mask, in order, packed.  SDM Vol. 2B, "PEXT". */
ALWAYS_INLINE uint64_t alu_pext(unsigned width, uint64_t src, uint64_t mask)
{
    uint64_t r = 0;
    unsigned n = 0;
    for (mask &= low_mask(width); mask != 0; mask &= mask - 1, n++)
        r |= (uint64_t)((src & mask & (0 - mask)) != 0) << n;
    return r;
}

/* The count is masked to the width.  SDM Vol. 2B, "SARX/SHLX/SHRX", "RORX". */
ALWAYS_INLINE uint64_t alu_shlx(unsigned width, uint64_t src, uint64_t count)
{
    return src << (count & (width - 1)) & low_mask(width);
}

ALWAYS_INLINE uint64_t alu_shrx(unsigned width, uint64_t src, uint64_t count)
{
    return (src & low_mask(width)) >> (count & (width - 1));
}

ALWAYS_INLINE uint64_t alu_sarx(unsigned width, uint64_t src, uint64_t count)
{
    return (uint64_t)(sext(src, width) >> (count & (width - 1))) & low_mask(width);
}

ALWAYS_INLINE uint64_t alu_rorx(unsigned width, uint64_t src, uint64_t count)
{
    return alu_shrx(width, src, count) | alu_shlx(width, src, 0 - count);
}
