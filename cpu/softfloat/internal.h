/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Common core of the softfloat, private to this directory: one unpacked form for all three formats,
 * the exact operations on it, and the one place that rounds. Owns nothing; never sees a NaN rule,
 * which differs between SSE and x87.
 */

#include "cpu/softfloat/softfloat.h"

#include <stddef.h>

/* What an operand is. */
enum fp_class {
    FPC_ZERO,        /* +0 or -0, or a denormal under DAZ */
    FPC_FINITE,      /* any other number */
    FPC_INF,         /* infinity */
    FPC_QNAN,        /* quiet NaN */
    FPC_SNAN,        /* signalling NaN */
    FPC_UNSUPPORTED, /* x87: unnormal, pseudo-NaN or pseudo-infinity */
};

/* An operand taken apart; a result ready to be packed. */
struct fp_num {
    uint64_t
        sig; /* bit 63 set when finite: value is sig / 2^63 * 2^exp; NaN: payload, left-aligned */
    int32_t exp;   /* unbiased */
    bool sign;     /* negative */
    bool denormal; /* it was denormal (or pseudo-denormal) in its own format */
    uint8_t cls;   /* enum fp_class */
};

/* A format's limits. */
struct fp_format {
    int prec;     /* bits of significand, the integer bit included */
    int32_t emin; /* exponent of the smallest normal number */
    int32_t emax; /* exponent of the largest number */
    int32_t
        wrap; /* bias adjustment of unmasked overflow and underflow; 0: the result is not used */
};

extern const struct fp_format fp_format16, fp_format32, fp_format64, fp_format80;

/* A number brought to an integer. */
struct fp_integer {
    uint64_t mag; /* magnitude */
    bool inexact; /* something was rounded away */
    bool up;      /* rounding went away from zero */
    bool too_big; /* magnitude has more than 64 bits; mag is 0 */
};

/* Record an exception found before computation. True when it is unmasked and the result is not
 * wanted. */
static inline bool fp_raise(struct fp_env *env, uint8_t flag)
{
    env->flags |= flag;
    return (flag & ~env->masks) != 0;
}

static inline bool fp_is_nan(const struct fp_num *n)
{
    return n->cls == FPC_QNAN || n->cls == FPC_SNAN;
}

struct fp_num fp_unpack16(uint16_t v);
struct fp_num fp_unpack32(uint32_t v, bool daz);
struct fp_num fp_unpack64(uint64_t v, bool daz);
struct fp_num fp_unpack80(struct f80 v);
uint16_t fp_pack16(const struct fp_num *n);
uint32_t fp_pack32(const struct fp_num *n);
uint64_t fp_pack64(const struct fp_num *n);
struct f80 fp_pack80(const struct fp_num *n);

/* QNaN floating-point indefinite. */
struct fp_num fp_indefinite(void);
struct fp_num fp_zero(bool sign);
struct fp_num fp_infinity(bool sign);

/* Exact operations on zeros and finite numbers; divisor and dividend are nonzero, as is the
 * radicand. */
struct fp_wide fp_wide_add(const struct fp_num *a, const struct fp_num *b, bool subtract,
                           uint8_t rc);
struct fp_wide fp_wide_mul(const struct fp_num *a, const struct fp_num *b);
struct fp_wide fp_wide_div(const struct fp_num *a, const struct fp_num *b);
struct fp_wide fp_wide_sqrt(const struct fp_num *a);

/* a + b where the lower 20 bits of both are clear: products and sums of what SSE has. */
struct fp_wide fp_wide_sum(struct fp_wide a, struct fp_wide b, uint8_t rc);

/* A finite number or zero as it is. */
struct fp_wide fp_widen(const struct fp_num *a);

/*
 * Whether a rounding of sign/guard/sticky away from zero is due; odd is the last kept bit.
 */
static inline bool fp_rounds_up(uint8_t rc, bool sign, bool odd, bool guard, bool sticky)
{
    switch (rc) {
    case FP_RC_NEAREST:
        return guard && (sticky || odd);
    case FP_RC_DOWN:
        return sign && (guard || sticky);
    case FP_RC_UP:
        return !sign && (guard || sticky);
    default:
        return false;
    }
}

/*
 * Round to prec bits within the range of f, and report OE, UE, PE and c1_up by env. Masked and
 * unmasked responses: SDM Vol. 1, "Numeric Overflow Exception", "Numeric Underflow Exception",
 * "Inexact-Result (Precision) Exception". Tininess is detected after rounding.
 */
struct fp_num fp_finish(struct fp_env *env, const struct fp_format *f, int prec, struct fp_wide w);

/* The four operations once NaNs are gone: invalid combinations, ZE, DE, infinities, rounding. */
struct fp_num fp_arith(struct fp_env *env, const struct fp_format *f, int prec, enum fp_op op,
                       const struct fp_num *a, const struct fp_num *b, bool denormal);

/* Square root once NaNs are gone. */
struct fp_num fp_root(struct fp_env *env, const struct fp_format *f, int prec,
                      const struct fp_num *a);

/* Order of two numbers that are not NaN; denormals already flushed if they are to be. */
enum fp_relation fp_order(const struct fp_num *a, const struct fp_num *b);

/* Round a zero or finite number to an integer by rc. */
struct fp_integer fp_to_integer(const struct fp_num *a, uint8_t rc);

/* An integer as a number. */
struct fp_num fp_from_integer(uint64_t mag, bool sign);

/* Signed integer of the given width, or IE and the indefinite (as int64_t, sign-extended). */
int64_t fp_to_signed(struct fp_env *env, const struct fp_num *a, unsigned bits, uint8_t rc);
