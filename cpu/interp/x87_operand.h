/* SPDX-License-Identifier: MIT */
/*
 * The number in memory that an x87 instruction takes, and the quick paths of the common formats and
 * operations: normal numbers, nothing that raises more than an inexact result. Included by x87*.c.
 * What a quick path declines, the softfloat does; a test compares the two.
 */
#pragma once

#include "cpu/interp/x87.h"

/* SRC of an arithmetic or compare instruction. */
struct x87_operand {
    struct f80 value; /* widened, exactly */
    bool denormal;    /* it was denormal in its own format */
    bool ok;          /* false: run.fault */
};

ALWAYS_INLINE unsigned x87_bytes(enum x87_format f)
{
    static const uint8_t bytes[] = {[X87_F32] = 4, [X87_F64] = 8, [X87_F80] = 10, [X87_I16] = 2,
                                    [X87_I32] = 4, [X87_I64] = 8, [X87_BCD] = 10};
    return bytes[f];
}

/* The memory operand up to 8 bytes, as it stands. */
ALWAYS_INLINE struct loaded x87_load(struct vcpu *vcpu, const struct rec *rec, unsigned size)
{
    struct linear at = x87_la(vcpu, rec, size, ACCESS_READ);
    if (unlikely(!at.ok))
        return (struct loaded){0, false};
    return mem_load(vcpu, rec, at.la, size);
}

/* The memory operand of an arithmetic or compare instruction: float, double, word or doubleword
 * integer. */
static inline struct x87_operand x87_operand(struct vcpu *vcpu, const struct rec *rec)
{
    struct x87_operand o = {.ok = false};
    enum x87_format f = x87_format(rec);
    struct loaded m = x87_load(vcpu, rec, x87_bytes(f));
    if (!m.ok)
        return o;
    o.ok = true;
    if (f == X87_F64)
        o.value = f80_widen_f64(m.value, &o.denormal);
    else if (f == X87_F32)
        o.value = f80_widen_f32((uint32_t)m.value, &o.denormal);
    else
        o.value = f80_from_i64(f == X87_I16 ? (int16_t)m.value : (int32_t)m.value);
    return o;
}

/* ---- quick paths ---- */

/* A value by the quick path, if ok. */
struct x87_quick {
    struct f80 value; /* the result */
    bool inexact;     /* PE */
    bool up;          /* C1 */
    bool ok;          /* false: not one of the easy cases */
};

/* Is v a normal number? */
ALWAYS_INLINE bool f80_is_normal(struct f80 v)
{
    unsigned exponent = v.se & 0x7fff;
    return v.mant >> 63 && exponent - 1 < 0x7ffe;
}

/* FLD m64 of a normal number or zero. */
ALWAYS_INLINE struct x87_quick x87_quick_f64(uint64_t v)
{
    unsigned exponent = (unsigned)(v >> 52) & 0x7ff;
    unsigned sign = (unsigned)(v >> 48) & 0x8000;
    struct x87_quick q = {.ok = true};
    if (likely(exponent - 1 < 0x7fe))
        q.value = (struct f80){BIT(63) | v << 11, (uint16_t)(sign | (exponent + 0x3fff - 0x3ff))};
    else if (v << 1 == 0)
        q.value = (struct f80){0, (uint16_t)sign};
    else
        q.ok = false;
    return q;
}

/* FLD m32 of a normal number or zero. */
ALWAYS_INLINE struct x87_quick x87_quick_f32(uint32_t v)
{
    unsigned exponent = v >> 23 & 0xff;
    unsigned sign = v >> 16 & 0x8000;
    struct x87_quick q = {.ok = true};
    if (likely(exponent - 1 < 0xfe))
        q.value = (struct f80){BIT(63) | (uint64_t)v << 40,
                               (uint16_t)(sign | (exponent + 0x3fff - 0x7f))};
    else if (v << 1 == 0)
        q.value = (struct f80){0, (uint16_t)sign};
    else
        q.ok = false;
    return q;
}

/* FILD, always exact. */
ALWAYS_INLINE struct f80 x87_from_integer(int64_t v)
{
    uint64_t mag = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (mag == 0)
        return (struct f80){0, 0};
    unsigned shift = (unsigned)__builtin_clzll(mag);
    return (struct f80){mag << shift, (uint16_t)((v < 0 ? 0x8000 : 0) | (0x3fff + 63 - shift))};
}

/* Round to nearest even, PE masked: the FCW of nearly every program. */
ALWAYS_INLINE bool x87_is_plain(const struct vcpu *vcpu)
{
    return (vcpu->arch.fcw & (0xc00 | FP_PE)) == FP_PE;
}

/* FST m64 of a number that is normal there too, or zero: bits is the double, in value.mant. */
ALWAYS_INLINE struct x87_quick x87_quick_to_f64(const struct vcpu *vcpu, struct f80 v)
{
    unsigned exponent = (v.se & 0x7fffu) - (0x3fff - 0x3ff);
    uint64_t sign = (uint64_t)(v.se & 0x8000) << 48;
    struct x87_quick q = {.ok = false};
    if (likely(v.mant >> 63 && exponent - 1 < 0x7fd && x87_is_plain(vcpu))) {
        unsigned rest = v.mant & 0x7ff;
        uint64_t frac = v.mant >> 11;
        q.inexact = rest != 0;
        q.up = rest > 0x400 || (rest == 0x400 && (frac & 1));
        q.value.mant = sign | (((uint64_t)(exponent - 1) << 52) + frac + q.up);
        q.ok = true;
    } else if (v.mant == 0 && !(v.se & 0x7fff)) {
        q.value.mant = sign;
        q.ok = true;
    }
    return q;
}

/*
 * FIST of a number whose magnitude is below 2^(bits - 1) - 1: the integer, two's complement, in
 * value.mant. is_truncated: FISTTP.
 */
ALWAYS_INLINE struct x87_quick x87_quick_to_int(const struct vcpu *vcpu, struct f80 v,
                                                unsigned bits, bool is_truncated)
{
    unsigned exponent = (v.se & 0x7fffu) - 0x3fff;
    struct x87_quick q = {.ok = false};
    if (v.mant == 0 && !(v.se & 0x7fff)) {
        q.ok = true;
        return q;
    }
    if (unlikely(!(v.mant >> 63) || exponent > bits - 3 || !x87_is_plain(vcpu)))
        return q;
    uint64_t mag = v.mant >> (63 - exponent);
    uint64_t rest = v.mant << exponent << 1;
    q.inexact = rest != 0;
    q.up = !is_truncated && (rest > BIT(63) || (rest == BIT(63) && (mag & 1)));
    mag += q.up;
    q.value.mant = v.se & 0x8000 ? 0 - mag : mag;
    q.ok = true;
    return q;
}

/*
 * (hi:lo) * 2^(exponent - 16383 - 127), bit 63 of hi set, to the nearest even of pc bits. exponent
 * may be out of range: then it is not easy.
 */
ALWAYS_INLINE struct x87_quick x87_quick_round(unsigned fcw, unsigned sign, unsigned exponent,
                                               uint64_t hi, uint64_t lo)
{
    static const uint8_t drop[] = {40, 0, 11, 0};
    unsigned shift = drop[fcw >> 8 & 3];
    struct x87_quick q = {.ok = exponent - 2 < 0x7ffc};
    uint64_t unit = BIT(shift), rest = lo, half = BIT(63);
    if (shift) {
        rest = (hi & (unit - 1)) << (64 - shift) | lo >> shift | ((lo & (unit - 1)) != 0);
        hi &= ~(unit - 1);
    }
    q.inexact = rest != 0;
    q.up = rest > half || (rest == half && (hi & unit));
    if (q.up) {
        hi += unit;
        if (unlikely(hi < unit)) {
            hi = BIT(63);
            exponent++;
        }
    }
    q.value = (struct f80){hi, (uint16_t)(sign | exponent)};
    return q;
}

ALWAYS_INLINE struct x87_quick x87_quick_mul(unsigned fcw, struct f80 a, struct f80 b)
{
    struct u128 p = mul_u64(a.mant, b.mant);
    unsigned exponent = (a.se & 0x7fffu) + (b.se & 0x7fffu) - 0x3ffe;
    if (!(p.hi >> 63)) {
        p.hi = p.hi << 1 | p.lo >> 63;
        p.lo <<= 1;
        exponent--;
    }
    return x87_quick_round(fcw, (a.se ^ b.se) & 0x8000u, exponent, p.hi, p.lo);
}

/* The 64 bits below v >> d, the last of them sticky. */
ALWAYS_INLINE uint64_t x87_lost_bits(uint64_t v, unsigned d)
{
    if (likely(d < 64))
        return d ? v << (64 - d) : 0;
    if (d == 64)
        return v;
    return d < 128 ? v >> (d - 64) | (v << (128 - d) != 0) : 1;
}

ALWAYS_INLINE struct x87_quick x87_quick_add(unsigned fcw, struct f80 a, struct f80 b)
{
    unsigned ea = a.se & 0x7fff, eb = b.se & 0x7fff;
    if (ea < eb || (ea == eb && a.mant < b.mant)) {
        struct f80 t = a;
        a = b;
        b = t;
        ea = eb;
        eb = b.se & 0x7fff;
    }
    unsigned d = ea - eb;
    uint64_t hi = d > 63 ? 0 : b.mant >> d;
    uint64_t lo = x87_lost_bits(b.mant, d);
    if (!((a.se ^ b.se) & 0x8000)) {
        hi += a.mant;
        if (hi < a.mant) {
            lo = lo >> 1 | (lo & 1) | hi << 63;
            hi = BIT(63) | hi >> 1;
            ea++;
        }
    } else {
        hi = a.mant - hi - (lo != 0);
        lo = 0 - lo;
        if (unlikely(!(hi | lo)))
            return (struct x87_quick){.ok = true}; /* +0, rounding to nearest */
        unsigned up = hi ? (unsigned)__builtin_clzll(hi) : 64;
        if (up == 64) {
            hi = lo;
            lo = 0;
            ea -= 64;
            up = (unsigned)__builtin_clzll(hi);
        }
        if (up) {
            hi = hi << up | lo >> (64 - up);
            lo <<= up;
            ea -= up;
        }
    }
    return x87_quick_round(fcw, a.se & 0x8000u, ea, hi, lo);
}

/* hi:lo / den in registers only: a handler whose local's address escaped would not end in a jump.
 */
static UNUSED NOINLINE uint64_t x87_quotient(uint64_t hi, uint64_t lo, uint64_t den)
{
    uint64_t rem;
    return div_u128(hi, lo, den, &rem);
}

ALWAYS_INLINE struct x87_quick x87_quick_div(unsigned fcw, struct f80 a, struct f80 b)
{
    bool whole = a.mant >= b.mant;
    unsigned exponent = (a.se & 0x7fffu) - (b.se & 0x7fffu) + 0x3ffe + whole;
    uint64_t low = whole ? a.mant << 63 : 0;
    uint64_t hi = x87_quotient(whole ? a.mant >> 1 : a.mant, low, b.mant);
    uint64_t rem = low - hi * b.mant;
    uint64_t other = b.mant - rem;
    uint64_t lo = rem == 0 ? 0 : rem == other ? BIT(63) : rem > other ? BIT(63) | 1 : 1;
    return x87_quick_round(fcw, (a.se ^ b.se) & 0x8000u, exponent, hi, lo);
}
