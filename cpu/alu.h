/* SPDX-License-Identifier: MIT */
/*
 * The meaning of integer instructions, on values: no operands, no memory, no engine. Used by
 * cpu/interp, by the JIT's tests and by the unit tests. Owns nothing. Everything is inlined with a
 * constant width (8, 16, 32, 64).
 *
 * Inputs need not be truncated to the width. Flags come lazy (flags.h). An instruction that may
 * keep flags gets them in `old`, whose value is DEST. Undefined flags: one rule per instruction,
 * stated at its meaning.
 */
#pragma once

#include "cpu/flags.h"

/* Two halves of a product, and its flags. */
struct product {
    uint64_t lo;     /* zero-extended low half */
    uint64_t hi;     /* zero-extended high half */
    uint64_t result; /* for flag_result */
    uint64_t carry;  /* for flag_carry */
};

struct quotient {
    uint64_t quotient;  /* truncated to the width */
    uint64_t remainder; /* truncated to the width */
    bool ok;            /* false: #DE */
};

/* ---- flags from pieces ---- */

/* flag_carry with these CF and OF, AF clear. */
ALWAYS_INLINE uint64_t carry_of(bool cf, bool of)
{
    return (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}

/* flag_carry with CF replaced and OF (and everything else) kept. */
ALWAYS_INLINE uint64_t carry_with_cf(uint64_t carry, bool cf)
{
    uint64_t diff = (carry ^ (uint64_t)cf << 63) & FC_CF;
    return carry ^ (diff | diff >> 1);
}

/* flag_carry with OF replaced and everything else kept. */
ALWAYS_INLINE uint64_t carry_with_of(uint64_t carry, bool of)
{
    uint64_t cf = carry >> 63;
    return (carry & ~FC_IN) | (cf ^ of) << 62;
}

ALWAYS_INLINE struct alu alu_make(unsigned width, uint64_t r, uint64_t carry)
{
    return (struct alu){r & low_mask(width), (uint64_t)sext(r, width), carry};
}

ALWAYS_INLINE bool alu_bit(uint64_t v, unsigned n)
{
    return v >> n & 1;
}

/* ---- addition and subtraction ---- */

/* DEST := DEST + SRC + CF.  SDM Vol. 2A, "ADC - Add With Carry". */
ALWAYS_INLINE struct alu alu_adc(unsigned width, uint64_t dst, uint64_t src, bool cf)
{
    uint64_t r = dst + src + cf;
    uint64_t carries = (dst & src) | ((dst | src) & ~r);
    return alu_make(width, r, flag_carries(width, carries));
}

/* DEST := DEST + SRC.  SDM Vol. 2A, "ADD". */
ALWAYS_INLINE struct alu alu_add(unsigned width, uint64_t dst, uint64_t src)
{
    return alu_adc(width, dst, src, false);
}

/* DEST := DEST - (SRC + CF).  SDM Vol. 2B, "SBB - Integer Subtraction With Borrow". */
ALWAYS_INLINE struct alu alu_sbb(unsigned width, uint64_t dst, uint64_t src, bool cf)
{
    uint64_t r = dst - src - cf;
    uint64_t borrows = (~dst & src) | ((~dst | src) & r);
    return alu_make(width, r, flag_carries(width, borrows));
}

/* DEST := DEST - SRC; CMP, CMPS and SCAS keep only the flags.  SDM Vol. 2B, "SUB"; Vol. 2A, "CMP".
 */
ALWAYS_INLINE struct alu alu_sub(unsigned width, uint64_t dst, uint64_t src)
{
    return alu_sbb(width, dst, src, false);
}

/* DEST := 0 - DEST.  SDM Vol. 2B, "NEG". CF = DEST is not 0, which is the borrow. */
ALWAYS_INLINE struct alu alu_neg(unsigned width, uint64_t dst)
{
    return alu_sub(width, 0, dst);
}

/* DEST := DEST + 1, CF kept.  SDM Vol. 2A, "INC". */
ALWAYS_INLINE struct alu alu_inc(unsigned width, struct alu old)
{
    struct alu r = alu_add(width, old.value, 1);
    r.carry = carry_with_cf(r.carry, old.carry >> 63);
    return r;
}

/* DEST := DEST - 1, CF kept.  SDM Vol. 2A, "DEC". */
ALWAYS_INLINE struct alu alu_dec(unsigned width, struct alu old)
{
    struct alu r = alu_sub(width, old.value, 1);
    r.carry = carry_with_cf(r.carry, old.carry >> 63);
    return r;
}

/* ---- logic: CF = OF = 0; AF (undefined) = 0 ---- */

/* DEST := DEST AND SRC.  SDM Vol. 2A, "AND"; TEST keeps only the flags. */
ALWAYS_INLINE struct alu alu_and(unsigned width, uint64_t dst, uint64_t src)
{
    return alu_make(width, dst & src, 0);
}

/* DEST := DEST OR SRC.  SDM Vol. 2B, "OR". */
ALWAYS_INLINE struct alu alu_or(unsigned width, uint64_t dst, uint64_t src)
{
    return alu_make(width, dst | src, 0);
}

/* DEST := DEST XOR SRC.  SDM Vol. 2D, "XOR". */
ALWAYS_INLINE struct alu alu_xor(unsigned width, uint64_t dst, uint64_t src)
{
    return alu_make(width, dst ^ src, 0);
}

/*
 * ---- shifts ----  SDM Vol. 2B, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD"
 * The count is masked to 5 bits, 6 with 64-bit operands; 0 keeps every flag. OF for a count other
 * than 1 (undefined) is the same function of the result as for 1; AF (undefined after shifts) = 0;
 * CF of SHL and SHR by more than the width = 0.
 */

ALWAYS_INLINE unsigned shift_count(unsigned width, uint64_t count)
{
    return (unsigned)count & (width == 64 ? 63 : 31);
}

ALWAYS_INLINE struct alu alu_unchanged(unsigned width, struct alu old)
{
    return (struct alu){old.value & low_mask(width), old.result, old.carry};
}

/* OF of the left shifts and rotates: CF xor the new sign. */
ALWAYS_INLINE bool left_of(unsigned width, uint64_t r, bool cf)
{
    return alu_bit(r, width - 1) ^ cf;
}

/* OF of the right ones: the two top bits of the result differ. */
ALWAYS_INLINE bool right_of(unsigned width, uint64_t r)
{
    return alu_bit(r, width - 1) ^ alu_bit(r, width - 2);
}

ALWAYS_INLINE struct alu alu_shl(unsigned width, struct alu old, uint64_t count)
{
    unsigned n = shift_count(width, count);
    uint64_t dst = old.value & low_mask(width);
    if (n == 0)
        return alu_unchanged(width, old);
    uint64_t r = dst << n;
    bool cf = alu_bit(dst << (n - 1), width - 1);
    return alu_make(width, r, carry_of(cf, left_of(width, r, cf)));
}

ALWAYS_INLINE struct alu alu_shr(unsigned width, struct alu old, uint64_t count)
{
    unsigned n = shift_count(width, count);
    uint64_t dst = old.value & low_mask(width);
    if (n == 0)
        return alu_unchanged(width, old);
    uint64_t r = dst >> n;
    return alu_make(width, r, carry_of(alu_bit(dst, n - 1), right_of(width, r)));
}

ALWAYS_INLINE struct alu alu_sar(unsigned width, struct alu old, uint64_t count)
{
    unsigned n = shift_count(width, count);
    int64_t dst = sext(old.value, width);
    if (n == 0)
        return alu_unchanged(width, old);
    return alu_make(width, (uint64_t)(dst >> n), carry_of(dst >> (n - 1) & 1, false));
}

/* What a rotate leaves: SF ZF AF PF kept, CF and OF new. */
ALWAYS_INLINE struct alu alu_rotated(unsigned width, struct alu old, uint64_t r, bool cf, bool of)
{
    uint64_t carry = (old.carry & ~(FC_CF | FC_IN)) | carry_of(cf, of);
    return (struct alu){r & low_mask(width), old.result, carry};
}

ALWAYS_INLINE struct alu alu_rol(unsigned width, struct alu old, uint64_t count)
{
    unsigned masked = shift_count(width, count), n = masked % width;
    uint64_t dst = old.value & low_mask(width);
    if (masked == 0)
        return alu_unchanged(width, old);
    uint64_t r = n ? dst << n | dst >> (width - n) : dst;
    return alu_rotated(width, old, r, r & 1, left_of(width, r, r & 1));
}

ALWAYS_INLINE struct alu alu_ror(unsigned width, struct alu old, uint64_t count)
{
    unsigned masked = shift_count(width, count), n = masked % width;
    uint64_t dst = old.value & low_mask(width);
    if (masked == 0)
        return alu_unchanged(width, old);
    uint64_t r = n ? dst >> n | dst << (width - n) : dst;
    return alu_rotated(width, old, r, alu_bit(r, width - 1), right_of(width, r));
}

/* CF:DEST rotated as width + 1 bits; 8 and 16 bits modulo 9 and 17. */
ALWAYS_INLINE struct alu alu_rcl(unsigned width, struct alu old, uint64_t count)
{
    unsigned masked = shift_count(width, count), n = masked % (width + 1);
    uint64_t dst = old.value & low_mask(width), r = dst;
    bool cf = old.carry >> 63;
    if (masked == 0)
        return alu_unchanged(width, old);
    if (n) {
        r = dst << n | (uint64_t)cf << (n - 1) | (dst >> (width - n)) >> 1;
        cf = alu_bit(dst, width - n);
    }
    return alu_rotated(width, old, r, cf, left_of(width, r, cf));
}

ALWAYS_INLINE struct alu alu_rcr(unsigned width, struct alu old, uint64_t count)
{
    unsigned masked = shift_count(width, count), n = masked % (width + 1);
    uint64_t dst = old.value & low_mask(width), r = dst;
    bool cf = old.carry >> 63;
    if (masked == 0)
        return alu_unchanged(width, old);
    if (n) {
        r = dst >> n | (uint64_t)cf << (width - n) | (dst << (width - n)) << 1;
        cf = alu_bit(dst, n - 1);
    }
    return alu_rotated(width, old, r, cf, right_of(width, r));
}

/*
 * DEST:SRC shifted left, the high part kept. A 16-bit shift by more than 16 (undefined) goes on
 * with DEST again, DEST:SRC:DEST, as Intel parts do; AMD's go on with SRC.
 */
ALWAYS_INLINE struct alu alu_shld(unsigned width, struct alu old, uint64_t src, uint64_t count)
{
    unsigned n = shift_count(width, count);
    uint64_t dst = old.value & low_mask(width), r;
    bool cf;
    src &= low_mask(width);
    if (n == 0)
        return alu_unchanged(width, old);
    if (width == 16) {
        uint64_t wide = dst << 32 | src << 16 | dst;
        r = (wide << n) >> 32;
        cf = alu_bit(wide, 48 - n);
    } else {
        r = dst << n | src >> (width - n);
        cf = alu_bit(dst, width - n);
    }
    return alu_make(width, r, carry_of(cf, left_of(width, r, cf)));
}

/* SRC:DEST shifted right, the low part kept; 16 bits by more than 16: DEST:SRC:DEST. */
ALWAYS_INLINE struct alu alu_shrd(unsigned width, struct alu old, uint64_t src, uint64_t count)
{
    unsigned n = shift_count(width, count);
    uint64_t dst = old.value & low_mask(width), r;
    bool cf;
    src &= low_mask(width);
    if (n == 0)
        return alu_unchanged(width, old);
    if (width == 16) {
        uint64_t wide = dst << 32 | src << 16 | dst;
        r = wide >> n;
        cf = alu_bit(wide, n - 1);
    } else {
        r = dst >> n | src << (width - n);
        cf = alu_bit(dst, n - 1);
    }
    return alu_make(width, r, carry_of(cf, right_of(width, r)));
}

/*
 * ---- multiplication ----  SDM Vol. 2B, "MUL"; Vol. 2A, "IMUL"
 * CF = OF = the high half is significant. SF, ZF, PF (undefined) follow the low half; AF = 0.
 */

ALWAYS_INLINE struct product alu_mul(unsigned width, uint64_t a, uint64_t b)
{
    struct u128 p = mul_u64(a & low_mask(width), b & low_mask(width));
    uint64_t lo = p.lo & low_mask(width);
    uint64_t hi = width == 64 ? p.hi : p.lo >> (width & 63);
    return (struct product){lo, hi, (uint64_t)sext(lo, width), carry_of(hi != 0, hi != 0)};
}

ALWAYS_INLINE struct product alu_imul(unsigned width, uint64_t a, uint64_t b)
{
    int64_t sa = sext(a, width), sb = sext(b, width);
    struct u128 p = mul_u64((uint64_t)sa, (uint64_t)sb);
    p.hi -= (sa < 0 ? (uint64_t)sb : 0) + (sb < 0 ? (uint64_t)sa : 0);
    uint64_t lo = p.lo & low_mask(width);
    uint64_t hi = (width == 64 ? p.hi : p.lo >> (width & 63)) & low_mask(width);
    bool wide = hi != ((uint64_t)(sext(lo, width) >> 63) & low_mask(width));
    return (struct product){lo, hi, (uint64_t)sext(lo, width), carry_of(wide, wide)};
}

/*
 * ---- division ----  SDM Vol. 2A, "DIV", "IDIV"
 * DEST is hi:lo, each of the width. All flags are undefined: kept.
 */

ALWAYS_INLINE struct quotient alu_div(unsigned width, uint64_t hi, uint64_t lo, uint64_t src)
{
    uint64_t den = src & low_mask(width), rem;
    hi &= low_mask(width);
    lo &= low_mask(width);
    if (den == 0 || hi >= den)
        return (struct quotient){0, 0, false};
    if (width < 64) {
        uint64_t n = hi << (width & 63) | lo;
        return (struct quotient){n / den, n % den, true};
    }
    if (hi == 0)
        return (struct quotient){lo / den, lo % den, true};
    uint64_t q = div_u128(hi, lo, den, &rem);
    return (struct quotient){q, rem, true};
}

ALWAYS_INLINE struct quotient alu_idiv(unsigned width, uint64_t hi, uint64_t lo, uint64_t src)
{
    bool n_neg = alu_bit(hi, width - 1), d_neg = alu_bit(src, width - 1);
    uint64_t mask = low_mask(width);
    uint64_t den = (d_neg ? 0 - src : src) & mask;
    lo &= mask;
    if (n_neg) {
        hi = ~hi + (lo == 0);
        lo = (0 - lo) & mask;
    }
    struct quotient q = alu_div(width, hi & mask, lo, den);
    uint64_t limit = (UINT64_C(1) << (width - 1)) - (n_neg == d_neg);
    if (!q.ok || q.quotient > limit)
        return (struct quotient){0, 0, false};
    q.quotient = (n_neg != d_neg ? 0 - q.quotient : q.quotient) & mask;
    q.remainder = (n_neg ? 0 - q.remainder : q.remainder) & mask;
    return q;
}

/* ---- bits ---- */

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/*
 * BT, BTS, BTR, BTC: CF := bit (modulo the width) of DEST.  SDM Vol. 2A, "BT". ZF is kept; OF SF AF
 * PF (undefined) are kept too.
 */
ALWAYS_INLINE struct alu alu_bit_test(unsigned width, enum bit_op op, struct alu old, uint64_t bit)
{
    uint64_t m = BIT(bit & (width - 1));
    uint64_t r = op == BIT_SET     ? old.value | m
                 : op == BIT_RESET ? old.value & ~m
                 : op == BIT_TEST  ? old.value
                                   : old.value ^ m;
    return (struct alu){r & low_mask(width), old.result,
                        carry_with_cf(old.carry, (old.value & m) != 0)};
}

/*
 * BSF, BSR.  SDM Vol. 2A, "BSF", "BSR". ZF := SRC is 0, and then DEST is left alone (undefined by
 * Intel; all parts keep all 64 bits, also with 32-bit operands). PF (undefined) follows the index,
 * or is 1 for none; CF OF SF AF = 0.
 */
ALWAYS_INLINE struct alu alu_bsf(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    uint64_t r = src ? (unsigned)__builtin_ctzll(src) : 0;
    return (struct alu){r, src ? r | BIT(8) : 0, 0};
}

ALWAYS_INLINE struct alu alu_bsr(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    uint64_t r = src ? 63u - (unsigned)__builtin_clzll(src) : 0;
    return (struct alu){r, src ? r | BIT(8) : 0, 0};
}

/* ZF and CF as given, all else clear (flag_carry bit 8 inverts PF, which a zero byte would set). */
ALWAYS_INLINE struct alu alu_zf_cf(uint64_t value, bool zf, bool cf)
{
    return (struct alu){value, zf ? 0 : BIT(8), BIT(8) | carry_of(cf, false)};
}

/* TZCNT, LZCNT: CF := SRC is 0; ZF := result is 0; OF SF AF PF (undefined) = 0.  SDM Vol. 2A,
 * "LZCNT"; 2B, "TZCNT". */
ALWAYS_INLINE struct alu alu_tzcnt(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    uint64_t r = src ? (unsigned)__builtin_ctzll(src) : width;
    return alu_zf_cf(r, r == 0, src == 0);
}

ALWAYS_INLINE struct alu alu_lzcnt(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    uint64_t r = src ? width - 64u + (unsigned)__builtin_clzll(src) : width;
    return alu_zf_cf(r & 0xff, r == 0, src == 0);
}

/* POPCNT: ZF := SRC is 0, all else clear.  SDM Vol. 2B, "POPCNT". */
ALWAYS_INLINE struct alu alu_popcnt(unsigned width, uint64_t src)
{
    src &= low_mask(width);
    return alu_zf_cf((unsigned)__builtin_popcountll(src), src == 0, false);
}

/* CRC32 of `bytes` bytes of src, least significant first; polynomial 11EDC6F41h reflected, four
 * bits at a time.  SDM Vol. 2A, "CRC32". */
static inline uint32_t alu_crc32(uint32_t crc, uint64_t src, unsigned bytes)
{
    static const uint32_t step[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (unsigned i = 0; i < bytes * 2; i++)
        crc = crc >> 4 ^ step[(crc ^ (uint32_t)(src >> (4 * i))) & 15];
    return crc;
}

/*
 * ---- decimal ----  SDM Vol. 2A, "AAA", "AAD", "AAM", "AAS", "DAA", "DAS"
 * DEST is AX. SF ZF PF follow AL, also where undefined (AAA, AAS); OF (undefined) = 0; CF and AF of
 * AAM and AAD (undefined) = 0.
 */

ALWAYS_INLINE struct alu alu_decimal(uint64_t ax, bool cf, bool af)
{
    return (struct alu){(uint16_t)ax, (uint64_t)sext(ax, 8),
                        carry_of(cf, false) | (af ? FC_AF : 0)};
}

static inline struct alu alu_aaa(uint64_t ax, bool af)
{
    bool adjust = (ax & 0xf) > 9 || af;
    return alu_decimal((adjust ? ax + 0x106 : ax) & 0xff0f, adjust, adjust);
}

static inline struct alu alu_aas(uint64_t ax, bool af)
{
    bool adjust = (ax & 0xf) > 9 || af;
    return alu_decimal((adjust ? ax - 0x106 : ax) & 0xff0f, adjust, adjust);
}

static inline struct alu alu_daa(uint64_t ax, bool cf, bool af)
{
    unsigned old = ax & 0xff, al = old;
    bool low = (al & 0xf) > 9 || af, high = old > 0x99 || cf;
    al += (low ? 6u : 0) + (high ? 0x60u : 0);
    return alu_decimal((ax & 0xff00) | (al & 0xff), high, low);
}

static inline struct alu alu_das(uint64_t ax, bool cf, bool af)
{
    unsigned old = ax & 0xff, al = old;
    bool low = (al & 0xf) > 9 || af, high = old > 0x99 || cf;
    bool carry = high || (low && old < 6);
    al -= (low ? 6u : 0) + (high ? 0x60u : 0);
    return alu_decimal((ax & 0xff00) | (al & 0xff), carry, low);
}

/* base is not 0 (that is #DE). */
static inline struct alu alu_aam(uint64_t ax, unsigned base)
{
    unsigned al = ax & 0xff;
    return alu_decimal((al / base) << 8 | al % base, false, false);
}

static inline struct alu alu_aad(uint64_t ax, unsigned base)
{
    return alu_decimal(((ax & 0xff) + (ax >> 8 & 0xff) * base) & 0xff, false, false);
}
