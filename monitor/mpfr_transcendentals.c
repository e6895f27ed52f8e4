/* SPDX-License-Identifier: MIT */
/*
 * Every function returns its value truncated to TRUNCATED_BITS with a sticky end. One MPFR call
 * that does the whole job is exact in that sense; a composition is repeated with more precision
 * until the truncation is certain (Ziv's strategy), which terminates because its value is
 * irrational.
 */

#include "monitor/mpfr_transcendentals.h"

#include "monitor/quick_transcendentals.h"

#include <stdint.h>

#define MPFR_USE_INTMAX_T
#include <mpfr.h>

enum {
    OPERAND_BITS = 64,   /* significand of an operand */
    TRUNCATED_BITS = 80, /* of a result before it is rounded; at least 66 */
    FIRST_BITS = 160,    /* working precision of the first attempt */
    EXACT_BITS = 512,    /* enough for the arguments' sums and products that must be exact */
};

/* dst := v, a finite number; dst has at least OPERAND_BITS. */
static void set_f80(mpfr_t dst, struct f80 v)
{
    long biased = v.se & 0x7fff;
    if (biased == 0)
        biased = 1; /* denormals and pseudo-denormals */
    mpfr_set_uj_2exp(dst, v.mant, biased - 16383 - 63, MPFR_RNDN);
    if (v.se >> 15 != 0)
        mpfr_neg(dst, dst, MPFR_RNDN);
}

/* v truncated; destroys v, whose precision is at most 128 bits. inexact: v itself was truncated. */
static struct fp_wide to_wide(mpfr_t v, bool inexact)
{
    struct fp_wide w = {.sign = mpfr_signbit(v) != 0};
    if (mpfr_zero_p(v))
        return w;
    mpfr_abs(v, v, MPFR_RNDN);
    w.exp = (int32_t)mpfr_get_exp(v) - 1;
    mpfr_mul_2si(v, v, 63 - w.exp, MPFR_RNDN);
    w.hi = mpfr_get_uj(v, MPFR_RNDZ);
    mpfr_frac(v, v, MPFR_RNDN);
    mpfr_mul_2si(v, v, 64, MPFR_RNDN);
    w.lo = mpfr_get_uj(v, MPFR_RNDZ) | inexact;
    return w;
}

/* Truncate v, known to err_bits, into out. False when more precision is needed. */
static bool truncate_safely(mpfr_t out, mpfr_t v, mpfr_prec_t err_bits)
{
    if (!mpfr_can_round(v, err_bits, MPFR_RNDN, MPFR_RNDZ, TRUNCATED_BITS))
        return false;
    mpfr_set(out, v, MPFR_RNDZ);
    return true;
}

static struct fp_wide f2xm1(struct f80 x)
{
    mpfr_t a, v, out;
    mpfr_prec_t bits = FIRST_BITS;
    mpfr_inits2(bits, a, v, (mpfr_ptr)0);
    mpfr_init2(out, TRUNCATED_BITS);
    for (;; bits *= 2) {
        mpfr_set_prec(a, bits);
        mpfr_set_prec(v, bits);
        set_f80(a, x);
        mpfr_const_log2(v, MPFR_RNDN);
        mpfr_mul(v, v, a, MPFR_RNDN);
        mpfr_expm1(v, v, MPFR_RNDN);
        if (truncate_safely(out, v, bits - 6)) /* |t e^t / (e^t - 1)| < 3 for the errors of t */
            break;
    }
    struct fp_wide w = to_wide(out, true);
    mpfr_clears(a, v, out, (mpfr_ptr)0);
    return w;
}

/* y * log2(m) for an exact m > 0, m != 1. */
static struct fp_wide times_log2(struct f80 y, mpfr_t m)
{
    mpfr_t a, v, out;
    bool inexact;
    mpfr_prec_t bits = FIRST_BITS;
    mpfr_init2(a, OPERAND_BITS);
    mpfr_init2(v, bits);
    mpfr_init2(out, TRUNCATED_BITS);
    set_f80(a, y);
    for (;; bits *= 2) {
        mpfr_set_prec(v, bits);
        inexact = mpfr_log2(v, m, MPFR_RNDN) != 0;
        mpfr_mul(v, v, a, MPFR_RNDN); /* exact where the logarithm is an integer */
        if (!inexact) {
            inexact = mpfr_set(out, v, MPFR_RNDZ) != 0;
            break;
        }
        if (truncate_safely(out, v, bits - 3))
            break;
    }
    struct fp_wide w = to_wide(out, inexact);
    mpfr_clears(a, v, out, (mpfr_ptr)0);
    return w;
}

static struct fp_wide fyl2x(struct f80 y, struct f80 x)
{
    mpfr_t m;
    mpfr_init2(m, OPERAND_BITS);
    set_f80(m, x);
    struct fp_wide w = times_log2(y, m);
    mpfr_clear(m);
    return w;
}

/* y * log2(1 + x) where 1 + x is too long to write down, by log(1 + x) / log(2). */
static struct fp_wide times_log2p1(struct f80 y, mpfr_t x)
{
    mpfr_t a, v, ln2, out;
    mpfr_prec_t bits = FIRST_BITS;
    mpfr_init2(a, OPERAND_BITS);
    mpfr_inits2(bits, v, ln2, (mpfr_ptr)0);
    mpfr_init2(out, TRUNCATED_BITS);
    set_f80(a, y);
    for (;; bits *= 2) {
        mpfr_set_prec(v, bits);
        mpfr_set_prec(ln2, bits);
        mpfr_const_log2(ln2, MPFR_RNDN);
        mpfr_log1p(v, x, MPFR_RNDN);
        mpfr_div(v, v, ln2, MPFR_RNDN);
        mpfr_mul(v, v, a, MPFR_RNDN);
        if (truncate_safely(out, v, bits - 5))
            break;
    }
    struct fp_wide w = to_wide(out, true);
    mpfr_clears(a, v, ln2, out, (mpfr_ptr)0);
    return w;
}

static struct fp_wide fyl2xp1(struct f80 y, struct f80 x)
{
    mpfr_t m, sum;
    mpfr_init2(m, OPERAND_BITS);
    mpfr_init2(sum, EXACT_BITS);
    set_f80(m, x);
    bool exact = mpfr_add_ui(sum, m, 1, MPFR_RNDN) == 0;
    struct fp_wide w = exact ? times_log2(y, sum) : times_log2p1(y, m);
    mpfr_clears(m, sum, (mpfr_ptr)0);
    return w;
}

static struct fp_wide fpatan(struct f80 y, struct f80 x)
{
    mpfr_t a, b, out;
    mpfr_inits2(OPERAND_BITS, a, b, (mpfr_ptr)0);
    mpfr_init2(out, TRUNCATED_BITS);
    set_f80(a, y);
    set_f80(b, x);
    bool inexact = mpfr_atan2(out, a, b, MPFR_RNDZ) != 0;
    struct fp_wide w = to_wide(out, inexact);
    mpfr_clears(a, b, out, (mpfr_ptr)0);
    return w;
}

/*
 * r := x - q * P/2 where q is x / (P/2) to the nearest integer and P is the 66-bit pi
 * 4 * 0.C90FDAA22168C234CH; exact. Returns q modulo 4.
 */
static unsigned reduce(mpfr_t r, struct f80 x)
{
    mpfr_t half_pi, low, q, product;
    mpfr_inits2(2 * OPERAND_BITS, half_pi, low, (mpfr_ptr)0);
    mpfr_init2(q, OPERAND_BITS);
    mpfr_init2(product, 4 * OPERAND_BITS);
    mpfr_set_uj_2exp(half_pi, UINT64_C(0xc90fdaa22168c234), -63, MPFR_RNDN);
    mpfr_set_uj_2exp(low, 0xc, -67, MPFR_RNDN);
    mpfr_add(half_pi, half_pi, low, MPFR_RNDN);
    set_f80(r, x);
    mpfr_div(q, r, half_pi, MPFR_RNDN);
    mpfr_rint(q, q, MPFR_RNDN);
    mpfr_mul(product, q, half_pi, MPFR_RNDN);
    mpfr_sub(r, r, product, MPFR_RNDN);
    intmax_t quotient = mpfr_get_sj(q, MPFR_RNDN);
    mpfr_clears(half_pi, low, q, product, (mpfr_ptr)0);
    return (unsigned)(quotient & 3);
}

/* sin (quadrant offset 0) or cos (offset 1) of x. */
static struct fp_wide sine(struct f80 x, unsigned offset)
{
    mpfr_t r, out;
    mpfr_init2(r, EXACT_BITS);
    mpfr_init2(out, TRUNCATED_BITS);
    unsigned quadrant = (reduce(r, x) + offset) & 3;
    if ((quadrant & 1) != 0)
        mpfr_cos(out, r, MPFR_RNDZ);
    else
        mpfr_sin(out, r, MPFR_RNDZ);
    struct fp_wide w = to_wide(out, true);
    if (quadrant >= 2)
        w.sign = !w.sign;
    mpfr_clears(r, out, (mpfr_ptr)0);
    return w;
}

static struct fp_wide fsin(struct f80 x)
{
    return sine(x, 0);
}

static struct fp_wide fcos(struct f80 x)
{
    return sine(x, 1);
}

static struct fp_wide fptan(struct f80 x)
{
    mpfr_t r, out;
    mpfr_init2(r, EXACT_BITS);
    mpfr_init2(out, TRUNCATED_BITS);
    bool odd = (reduce(r, x) & 1) != 0;
    if (odd)
        mpfr_cot(out, r, MPFR_RNDZ);
    else
        mpfr_tan(out, r, MPFR_RNDZ);
    struct fp_wide w = to_wide(out, true);
    if (odd)
        w.sign = !w.sign;
    mpfr_clears(r, out, (mpfr_ptr)0);
    return w;
}

const struct fp_transcendentals exact_transcendentals = {
    .f2xm1 = f2xm1,
    .fyl2x = fyl2x,
    .fyl2xp1 = fyl2xp1,
    .fpatan = fpatan,
    .fsin = fsin,
    .fcos = fcos,
    .fptan = fptan,
};

/* ---- quickly, where that says the same ---- */

static struct fp_wide quick_fpatan(struct f80 y, struct f80 x)
{
    struct fp_wide w;
    return quick_arctangent(y, x, &w) ? w : fpatan(y, x);
}

static struct fp_wide quick_fsin(struct f80 x)
{
    struct fp_wide w;
    return quick_sine(x, 0, &w) ? w : fsin(x);
}

static struct fp_wide quick_fcos(struct f80 x)
{
    struct fp_wide w;
    return quick_sine(x, 1, &w) ? w : fcos(x);
}

const struct fp_transcendentals mpfr_transcendentals = {
    .f2xm1 = f2xm1,
    .fyl2x = fyl2x,
    .fyl2xp1 = fyl2xp1,
    .fpatan = quick_fpatan,
    .fsin = quick_fsin,
    .fcos = quick_fcos,
    .fptan = fptan,
};
