/* SPDX-License-Identifier: MIT */
/*
 * Meanings of the packed integer instructions (MMX to SSE4.2) on values: no operands, no memory, no
 * engine in them. Used by cpu/interp/sse*.c and mmx*.c, and by their tests. Owns nothing; reads and
 * writes no machine state.
 *
 * A value is a union v128: q[0] is bits 63:0 on every host. Lanes that go up and down only (PADDB)
 * are written on vectors and don't care for their order; where a lane has a number (PSHUFD) it is
 * reached through LANE_B, LANE_W, LANE_D, which know that a big-endian host keeps the lanes of a
 * quadword in reverse.
 */
#pragma once

#include "base/endian.h"

union v128 {
    uint64_t q[2]; /* quadwords, low first */
    uint32_t d[4]; /* doublewords: d[LANE_D(i)] */
    uint16_t w[8]; /* words: w[LANE_W(i)] */
    uint8_t b[16]; /* bytes: b[LANE_B(i)] */
    vec_u64 u64;   /* the same as vectors */
    vec_u32 u32;   /* unsigned doublewords */
    vec_u16 u16;   /* unsigned words */
    vec_u8 u8;     /* unsigned bytes */
    vec_i64 i64;   /* signed quadwords */
    vec_i32 i32;   /* signed doublewords */
    vec_i16 i16;   /* signed words */
    vec_i8 i8;     /* signed bytes */
};

/* Where lane i of the architecture stands in the arrays of v128. */
#define LANE_B(i) (HOST_BIG_ENDIAN ? (i) ^ 7 : (i))
#define LANE_W(i) (HOST_BIG_ENDIAN ? (i) ^ 3 : (i))
#define LANE_D(i) (HOST_BIG_ENDIAN ? (i) ^ 1 : (i))

ALWAYS_INLINE union v128 v128_make(uint64_t lo, uint64_t hi)
{
    union v128 v;
    v.u64 = (vec_u64){lo, hi};
    return v;
}

/* Sixteen guest bytes, any alignment. */
ALWAYS_INLINE union v128 v128_load(const uint8_t *p)
{
    union v128 v;
    if (HOST_BIG_ENDIAN)
        return v128_make(le64_load(p), le64_load(p + 8));
    memcpy(&v, p, sizeof(v));
    return v;
}

ALWAYS_INLINE void v128_store(uint8_t *p, union v128 v)
{
    if (HOST_BIG_ENDIAN) {
        le64_store(p, v.q[0]);
        le64_store(p + 8, v.q[1]);
    } else {
        memcpy(p, &v, sizeof(v));
    }
}

ALWAYS_INLINE int32_t simd_clamp(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* mask ? a : b by bits. A macro, since a function can't return a vector where the host has none. */
#define VEC_SELECT(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))

/* ---- up and down: DEST[i] := DEST[i] op SRC[i] ---- */

/* clang-format off */

/* DEST.lane := expression of a and b. */
#define SIMD_OP(name, lane, expression)                                       \
    ALWAYS_INLINE union v128 v_##name(union v128 a, union v128 b)             \
    {                                                                         \
        union v128 r;                                                         \
        r.lane = (expression);                                                \
        return r;                                                             \
    }

/* Lane by lane on scalars: x of DEST, y of SRC, both of type `type`. */
#define SIMD_EACH(name, array, count, type, utype, expression)                \
    ALWAYS_INLINE union v128 v_##name(union v128 a, union v128 b)             \
    {                                                                         \
        union v128 r;                                                         \
        for (unsigned i = 0; i < (count); i++) {                              \
            type x = (type)a.array[i], y = (type)b.array[i];                  \
            r.array[i] = (utype)(expression);                                 \
        }                                                                     \
        return r;                                                             \
    }
#define SIMD_EACH_U8(name, expression) SIMD_EACH(name, b, 16, uint8_t, uint8_t, expression)
#define SIMD_EACH_I8(name, expression) SIMD_EACH(name, b, 16, int8_t, uint8_t, expression)
#define SIMD_EACH_U16(name, expression) SIMD_EACH(name, w, 8, uint16_t, uint16_t, expression)
#define SIMD_EACH_I16(name, expression) SIMD_EACH(name, w, 8, int16_t, uint16_t, expression)
#define SIMD_EACH_U32(name, expression) SIMD_EACH(name, d, 4, uint32_t, uint32_t, expression)
#define SIMD_EACH_I32(name, expression) SIMD_EACH(name, d, 4, int32_t, uint32_t, expression)

/* SDM Vol. 2B, "PADDB/PADDW/PADDD/PADDQ", "PSUBB/PSUBW/PSUBD", "PSUBQ" */
SIMD_OP(paddb, u8, a.u8 + b.u8)
SIMD_OP(paddw, u16, a.u16 + b.u16)
SIMD_OP(paddd, u32, a.u32 + b.u32)
SIMD_OP(paddq, u64, a.u64 + b.u64)
SIMD_OP(psubb, u8, a.u8 - b.u8)
SIMD_OP(psubw, u16, a.u16 - b.u16)
SIMD_OP(psubd, u32, a.u32 - b.u32)
SIMD_OP(psubq, u64, a.u64 - b.u64)
/* "PAND", "PANDN", "POR", "PXOR"; also ANDPS, ANDNPS, ORPS, XORPS and their double twins */
SIMD_OP(pand, u64, a.u64 & b.u64)
SIMD_OP(pandn, u64, ~a.u64 & b.u64)
SIMD_OP(por, u64, a.u64 | b.u64)
SIMD_OP(pxor, u64, a.u64 ^ b.u64)
/* "PCMPEQB/PCMPEQW/PCMPEQD", "PCMPEQQ", "PCMPGTB/PCMPGTW/PCMPGTD", "PCMPGTQ" */
SIMD_OP(pcmpeqb, i8, a.u8 == b.u8)
SIMD_OP(pcmpeqw, i16, a.u16 == b.u16)
SIMD_OP(pcmpeqd, i32, a.u32 == b.u32)
SIMD_OP(pcmpeqq, i64, a.u64 == b.u64)
SIMD_OP(pcmpgtb, i8, a.i8 > b.i8)
SIMD_OP(pcmpgtw, i16, a.i16 > b.i16)
SIMD_OP(pcmpgtd, i32, a.i32 > b.i32)
SIMD_OP(pcmpgtq, i64, a.i64 > b.i64)
/* "PMINSB/PMINSW", "PMINUB/PMINUW" ... */
SIMD_OP(pminub, u64, VEC_SELECT((vec_u64)(a.u8 < b.u8), a.u64, b.u64))
SIMD_OP(pminuw, u64, VEC_SELECT((vec_u64)(a.u16 < b.u16), a.u64, b.u64))
SIMD_OP(pminud, u64, VEC_SELECT((vec_u64)(a.u32 < b.u32), a.u64, b.u64))
SIMD_OP(pminsb, u64, VEC_SELECT((vec_u64)(a.i8 < b.i8), a.u64, b.u64))
SIMD_OP(pminsw, u64, VEC_SELECT((vec_u64)(a.i16 < b.i16), a.u64, b.u64))
SIMD_OP(pminsd, u64, VEC_SELECT((vec_u64)(a.i32 < b.i32), a.u64, b.u64))
SIMD_OP(pmaxub, u64, VEC_SELECT((vec_u64)(a.u8 > b.u8), a.u64, b.u64))
SIMD_OP(pmaxuw, u64, VEC_SELECT((vec_u64)(a.u16 > b.u16), a.u64, b.u64))
SIMD_OP(pmaxud, u64, VEC_SELECT((vec_u64)(a.u32 > b.u32), a.u64, b.u64))
SIMD_OP(pmaxsb, u64, VEC_SELECT((vec_u64)(a.i8 > b.i8), a.u64, b.u64))
SIMD_OP(pmaxsw, u64, VEC_SELECT((vec_u64)(a.i16 > b.i16), a.u64, b.u64))
SIMD_OP(pmaxsd, u64, VEC_SELECT((vec_u64)(a.i32 > b.i32), a.u64, b.u64))
/* "PAVGB/PAVGW": (a + b + 1) >> 1 without the ninth bit */
SIMD_OP(pavgb, u8, (a.u8 | b.u8) - ((a.u8 ^ b.u8) >> 1))
SIMD_OP(pavgw, u16, (a.u16 | b.u16) - ((a.u16 ^ b.u16) >> 1))
/* "PADDSB/PADDSW", "PADDUSB/PADDUSW", "PSUBSB/PSUBSW", "PSUBUSB/PSUBUSW" */
SIMD_OP(paddusb, u8, (a.u8 + b.u8) | (vec_u8)((a.u8 + b.u8) < a.u8))
SIMD_OP(paddusw, u16, (a.u16 + b.u16) | (vec_u16)((a.u16 + b.u16) < a.u16))
SIMD_OP(psubusb, u8, (a.u8 - b.u8) & (vec_u8)(a.u8 > b.u8))
SIMD_OP(psubusw, u16, (a.u16 - b.u16) & (vec_u16)(a.u16 > b.u16))
SIMD_EACH_I8(paddsb, simd_clamp(x + y, INT8_MIN, INT8_MAX))
SIMD_EACH_I16(paddsw, simd_clamp(x + y, INT16_MIN, INT16_MAX))
SIMD_EACH_I8(psubsb, simd_clamp(x - y, INT8_MIN, INT8_MAX))
SIMD_EACH_I16(psubsw, simd_clamp(x - y, INT16_MIN, INT16_MAX))
/* "PMULLW", "PMULLD", "PMULHW", "PMULHUW", "PMULHRSW", "PMULUDQ", "PMULDQ" */
SIMD_OP(pmullw, u16, a.u16 * b.u16)
SIMD_OP(pmulld, u32, a.u32 * b.u32)
SIMD_EACH_I16(pmulhw, x * y >> 16)
SIMD_EACH_U16(pmulhuw, (uint32_t)x * y >> 16)
SIMD_EACH_I16(pmulhrsw, ((x * y >> 14) + 1) >> 1)
SIMD_EACH(pmuludq, q, 2, uint32_t, uint64_t, (uint64_t)x * y)
SIMD_EACH(pmuldq, q, 2, int32_t, uint64_t, (int64_t)x * y)
/* "PSIGNB/PSIGNW/PSIGND", "PABSB/PABSW/PABSD"; the most negative number is its own opposite */
SIMD_EACH_U8(psignb, y & 0x80 ? -x : y ? x : 0)
SIMD_EACH_U16(psignw, y & 0x8000 ? -x : y ? x : 0)
SIMD_EACH_U32(psignd, y >> 31 ? 0u - x : y ? x : 0u)
SIMD_EACH_U8(pabsb, ((void)x, y & 0x80 ? -y : y))
SIMD_EACH_U16(pabsw, ((void)x, y & 0x8000 ? -y : y))
SIMD_EACH_U32(pabsd, ((void)x, y >> 31 ? 0u - y : y))

/* ---- between neighbours ---- */

/* In memory position p of the result of an unpack stands a lane of DEST (even) or SRC (odd), from `first` on. */
#define UNPACK_AT(LANE, count, first, p) \
    (LANE(((LANE(p) & 1) ? (count) : 0) + (LANE(p) >> 1) + (first)))
#define UNPACK_8(first)                                                                                         \
    UNPACK_AT(LANE_B, 16, first, 0), UNPACK_AT(LANE_B, 16, first, 1), UNPACK_AT(LANE_B, 16, first, 2),          \
    UNPACK_AT(LANE_B, 16, first, 3), UNPACK_AT(LANE_B, 16, first, 4), UNPACK_AT(LANE_B, 16, first, 5),          \
    UNPACK_AT(LANE_B, 16, first, 6), UNPACK_AT(LANE_B, 16, first, 7), UNPACK_AT(LANE_B, 16, first, 8),          \
    UNPACK_AT(LANE_B, 16, first, 9), UNPACK_AT(LANE_B, 16, first, 10), UNPACK_AT(LANE_B, 16, first, 11),        \
    UNPACK_AT(LANE_B, 16, first, 12), UNPACK_AT(LANE_B, 16, first, 13), UNPACK_AT(LANE_B, 16, first, 14),       \
    UNPACK_AT(LANE_B, 16, first, 15)
#define UNPACK_16(first)                                                                                        \
    UNPACK_AT(LANE_W, 8, first, 0), UNPACK_AT(LANE_W, 8, first, 1), UNPACK_AT(LANE_W, 8, first, 2),             \
    UNPACK_AT(LANE_W, 8, first, 3), UNPACK_AT(LANE_W, 8, first, 4), UNPACK_AT(LANE_W, 8, first, 5),             \
    UNPACK_AT(LANE_W, 8, first, 6), UNPACK_AT(LANE_W, 8, first, 7)
#define UNPACK_32(first)                                                                                        \
    UNPACK_AT(LANE_D, 4, first, 0), UNPACK_AT(LANE_D, 4, first, 1), UNPACK_AT(LANE_D, 4, first, 2),             \
    UNPACK_AT(LANE_D, 4, first, 3)

/* "PUNPCKLBW/PUNPCKLWD/PUNPCKLDQ/PUNPCKLQDQ", "PUNPCKHBW/...", "UNPCKLPS" ... */
SIMD_OP(punpcklbw, u8, vec_shuffle(a.u8, b.u8, UNPACK_8(0)))
SIMD_OP(punpckhbw, u8, vec_shuffle(a.u8, b.u8, UNPACK_8(8)))
SIMD_OP(punpcklwd, u16, vec_shuffle(a.u16, b.u16, UNPACK_16(0)))
SIMD_OP(punpckhwd, u16, vec_shuffle(a.u16, b.u16, UNPACK_16(4)))
SIMD_OP(punpckldq, u32, vec_shuffle(a.u32, b.u32, UNPACK_32(0)))
SIMD_OP(punpckhdq, u32, vec_shuffle(a.u32, b.u32, UNPACK_32(2)))
SIMD_OP(punpcklqdq, u64, vec_shuffle(a.u64, b.u64, 0, 2))
SIMD_OP(punpckhqdq, u64, vec_shuffle(a.u64, b.u64, 1, 3))

/* Saturate the lanes of DEST, then those of SRC, to half their width. "PACKSSWB/PACKSSDW", "PACKUSWB", "PACKUSDW" */
#define SIMD_PACK(name, to, LANE_TO, utype, from, LANE_FROM, type, half, low, high)      \
    ALWAYS_INLINE union v128 v_##name(union v128 a, union v128 b)                         \
    {                                                                                     \
        union v128 r;                                                                     \
        for (unsigned i = 0; i < (half); i++) {                                           \
            r.to[LANE_TO(i)] = (utype)simd_clamp((type)a.from[LANE_FROM(i)], low, high);  \
            r.to[LANE_TO(i + (half))] =                                                   \
                (utype)simd_clamp((type)b.from[LANE_FROM(i)], low, high);                 \
        }                                                                                 \
        return r;                                                                         \
    }
SIMD_PACK(packsswb, b, LANE_B, uint8_t, w, LANE_W, int16_t, 8, INT8_MIN, INT8_MAX)
SIMD_PACK(packuswb, b, LANE_B, uint8_t, w, LANE_W, int16_t, 8, 0, UINT8_MAX)
SIMD_PACK(packssdw, w, LANE_W, uint16_t, d, LANE_D, int32_t, 4, INT16_MIN, INT16_MAX)
SIMD_PACK(packusdw, w, LANE_W, uint16_t, d, LANE_D, int32_t, 4, 0, UINT16_MAX)

/* Pairs of one operand, first DEST's then SRC's: x the even, y the odd lane. "PHADDW/PHADDD", "PHADDSW", "PHSUBW" ... */
#define SIMD_PAIRS(name, array, LANE, half, type, utype, expression)                      \
    ALWAYS_INLINE union v128 v_##name(union v128 a, union v128 b)                         \
    {                                                                                     \
        union v128 r;                                                                     \
        for (unsigned i = 0; i < 2 * (half); i++) {                                       \
            const union v128 *v = i < (half) ? &a : &b;                                   \
            type x = (type)v->array[LANE(2 * (i % (half)))];                              \
            type y = (type)v->array[LANE(2 * (i % (half)) + 1)];                          \
            r.array[LANE(i)] = (utype)(expression);                                       \
        }                                                                                 \
        return r;                                                                         \
    }
SIMD_PAIRS(phaddw, w, LANE_W, 4, uint16_t, uint16_t, x + y)
SIMD_PAIRS(phaddd, d, LANE_D, 2, uint32_t, uint32_t, x + y)
SIMD_PAIRS(phaddsw, w, LANE_W, 4, int16_t, uint16_t, simd_clamp(x + y, INT16_MIN, INT16_MAX))
SIMD_PAIRS(phsubw, w, LANE_W, 4, uint16_t, uint16_t, x - y)
SIMD_PAIRS(phsubd, d, LANE_D, 2, uint32_t, uint32_t, x - y)
SIMD_PAIRS(phsubsw, w, LANE_W, 4, int16_t, uint16_t, simd_clamp(x - y, INT16_MIN, INT16_MAX))
/* clang-format on */

/* Products of words, summed by pairs. SDM Vol. 2B, "PMADDWD". All four -32768: 80000000H. */
ALWAYS_INLINE union v128 v_pmaddwd(union v128 a, union v128 b)
{
    union v128 r;
    for (unsigned i = 0; i < 4; i++) {
        int32_t low = (int16_t)a.d[i] * (int16_t)b.d[i];
        int32_t high = (int16_t)(a.d[i] >> 16) * (int16_t)(b.d[i] >> 16);
        r.d[i] = (uint32_t)low + (uint32_t)high;
    }
    return r;
}

/* DEST unsigned, SRC signed bytes, saturated. SDM Vol. 2B, "PMADDUBSW". */
ALWAYS_INLINE union v128 v_pmaddubsw(union v128 a, union v128 b)
{
    union v128 r;
    for (unsigned i = 0; i < 8; i++) {
        int32_t low = (uint8_t)a.w[i] * (int8_t)b.w[i];
        int32_t high = (uint8_t)(a.w[i] >> 8) * (int8_t)(b.w[i] >> 8);
        r.w[i] = (uint16_t)simd_clamp(low + high, INT16_MIN, INT16_MAX);
    }
    return r;
}

/* Sum of the eight bytes, pairs first. */
ALWAYS_INLINE uint64_t simd_sum_bytes(uint64_t v)
{
    const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
    return ((v & even) + (v >> 8 & even)) * UINT64_C(0x0001000100010001) >> 48;
}

/* Sums of absolute differences of eight bytes. SDM Vol. 2B, "PSADBW". */
ALWAYS_INLINE union v128 v_psadbw(union v128 a, union v128 b)
{
    union v128 high = v_pmaxub(a, b), low = v_pminub(a, b);
    high.u8 -= low.u8;
    return v128_make(simd_sum_bytes(high.q[0]), simd_sum_bytes(high.q[1]));
}

/* ---- shifts: a count beyond the lane clears it, or fills it with signs ---- */

/* clang-format off */
/* SDM Vol. 2B, "PSLLW/PSLLD/PSLLQ", "PSRLW/PSRLD/PSRLQ", "PSRAW/PSRAD/PSRAQ" */
#define SIMD_SHIFT(name, lane, bits, op, utype)                                     \
    ALWAYS_INLINE union v128 v_##name(union v128 a, uint64_t count)                 \
    {                                                                               \
        if (count >= (bits))                                                        \
            return v128_make(0, 0);                                                 \
        a.lane = a.lane op (utype)count;                                            \
        return a;                                                                   \
    }
#define SIMD_SHIFT_SIGNED(name, lane, bits, type)                                   \
    ALWAYS_INLINE union v128 v_##name(union v128 a, uint64_t count)                 \
    {                                                                               \
        a.lane = a.lane >> (type)(count >= (bits) ? (bits) - 1 : count);            \
        return a;                                                                   \
    }
SIMD_SHIFT(psllw, u16, 16, <<, uint16_t)
SIMD_SHIFT(pslld, u32, 32, <<, uint32_t)
SIMD_SHIFT(psllq, u64, 64, <<, uint64_t)
SIMD_SHIFT(psrlw, u16, 16, >>, uint16_t)
SIMD_SHIFT(psrld, u32, 32, >>, uint32_t)
SIMD_SHIFT(psrlq, u64, 64, >>, uint64_t)
SIMD_SHIFT_SIGNED(psraw, i16, 16, int16_t)
SIMD_SHIFT_SIGNED(psrad, i32, 32, int32_t)
/* clang-format on */

/* The 256 bits hi:lo shifted right by `bytes` 0..15; the low 128 of them. */
ALWAYS_INLINE union v128 v128_extract(union v128 lo, union v128 hi, unsigned bytes)
{
    uint64_t q0 = bytes & 8 ? lo.q[1] : lo.q[0];
    uint64_t q1 = bytes & 8 ? hi.q[0] : lo.q[1];
    uint64_t q2 = bytes & 8 ? hi.q[1] : hi.q[0];
    unsigned bits = 8 * (bytes & 7);
    if (bits == 0)
        return v128_make(q0, q1);
    return v128_make(q0 >> bits | q1 << (64 - bits), q1 >> bits | q2 << (64 - bits));
}

/* SDM Vol. 2B, "PALIGNR": DEST:SRC is shifted; zeros come in above. */
ALWAYS_INLINE union v128 v_palignr(union v128 a, union v128 b, unsigned imm)
{
    const union v128 zero = v128_make(0, 0);
    if (imm >= 32)
        return zero;
    return imm >= 16 ? v128_extract(a, zero, imm - 16) : v128_extract(b, a, imm);
}

/* SDM Vol. 2B, "PSRLDQ", "PSLLDQ" */
ALWAYS_INLINE union v128 v_psrldq(union v128 a, unsigned imm)
{
    return imm > 15 ? v128_make(0, 0) : v128_extract(a, v128_make(0, 0), imm);
}

ALWAYS_INLINE union v128 v_pslldq(union v128 a, unsigned imm)
{
    if (imm > 15)
        return v128_make(0, 0);
    return imm == 0 ? a : v128_extract(v128_make(0, 0), a, 16 - imm);
}

/* ---- shuffles ---- */

/* Doubleword `lane` (0..3). */
ALWAYS_INLINE uint64_t v128_dword(union v128 v, unsigned lane)
{
    return v.d[LANE_D(lane)];
}

/* SDM Vol. 2B, "SHUFPS": two doublewords of DEST, two of SRC. PSHUFD takes all of SRC. */
ALWAYS_INLINE union v128 v_shufps(union v128 a, union v128 b, unsigned imm)
{
    return v128_make(v128_dword(a, imm & 3) | v128_dword(a, imm >> 2 & 3) << 32,
                     v128_dword(b, imm >> 4 & 3) | v128_dword(b, imm >> 6 & 3) << 32);
}

ALWAYS_INLINE union v128 v_pshufd(union v128 b, unsigned imm)
{
    return v_shufps(b, b, imm);
}

/* Four words of q in the order of imm: PSHUFW, and the halves of PSHUFLW and PSHUFHW. */
ALWAYS_INLINE uint64_t simd_shuffle_words(uint64_t q, unsigned imm)
{
    return (q >> 16 * (imm & 3) & 0xffff) | (q >> 16 * (imm >> 2 & 3) & 0xffff) << 16 |
           (q >> 16 * (imm >> 4 & 3) & 0xffff) << 32 | (q >> 16 * (imm >> 6 & 3)) << 48;
}

/* SDM Vol. 2B, "PSHUFB": an index with bit 7 set clears the byte. */
ALWAYS_INLINE union v128 v_pshufb(union v128 a, union v128 b)
{
    union v128 r;
    for (unsigned i = 0; i < 16; i++)
        r.b[LANE_B(i)] = b.b[LANE_B(i)] & 0x80 ? 0 : a.b[LANE_B(b.b[LANE_B(i)] & 15)];
    return r;
}

/* The sign bits of eight bytes. SDM Vol. 2B, "PMOVMSKB". */
ALWAYS_INLINE unsigned simd_mask8(uint64_t q)
{
    return (unsigned)((q >> 7 & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56);
}

ALWAYS_INLINE unsigned v_pmovmskb(union v128 v)
{
    return simd_mask8(v.q[0]) | simd_mask8(v.q[1]) << 8;
}
