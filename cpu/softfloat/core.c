/* SPDX-License-Identifier: MIT */
/* Exact arithmetic on unpacked numbers, and the four operations and the square root built on it. */

#include <math.h>

#include "cpu/softfloat/internal.h"
#include "cpu/softfloat/u128.h"

#define HALF UINT64_C(0x8000000000000000)

/* Bring the leading 1 of a nonzero significand to bit 127. */
static struct fp_wide normalise(bool sign, int32_t exp, struct u128 s)
{
    unsigned shift = s.hi != 0 ? u64_clz(s.hi) : 64 + u64_clz(s.lo);
    s = u128_shl(s, shift);
    return (struct fp_wide){.hi = s.hi, .lo = s.lo, .exp = exp - (int32_t)shift, .sign = sign};
}

struct fp_wide fp_widen(const struct fp_num *a)
{
    if (a->cls == FPC_ZERO)
        return (struct fp_wide){.sign = a->sign};
    return (struct fp_wide){.hi = a->sig, .exp = a->exp, .sign = a->sign};
}

/* a + b of nonzero numbers with a->exp >= b->exp; one bit of headroom, 63 of guard. */
static struct fp_wide add_aligned(const struct fp_num *a, const struct fp_num *b, bool subtract,
                                  uint8_t rc)
{
    struct u128 x = {a->sig >> 1, a->sig << 63};
    struct u128 y = {b->sig >> 1, b->sig << 63};
    y = u128_shr_sticky(y, (uint32_t)(a->exp - b->exp));
    bool sign = a->sign;
    if (!subtract)
        return normalise(sign, a->exp + 1, u128_add(x, y));
    if (u128_less(x, y)) {
        sign = !sign;
        return normalise(sign, a->exp + 1, u128_sub(y, x));
    }
    x = u128_sub(x, y);
    if ((x.hi | x.lo) == 0)
        return (struct fp_wide){.sign = rc == FP_RC_DOWN};
    return normalise(sign, a->exp + 1, x);
}

struct fp_wide fp_wide_add(const struct fp_num *a, const struct fp_num *b, bool subtract,
                           uint8_t rc)
{
    struct fp_num c = *b;
    c.sign = b->sign != subtract;
    if (a->cls == FPC_ZERO) {
        if (c.cls == FPC_ZERO && a->sign != c.sign)
            c.sign = rc == FP_RC_DOWN;
        return fp_widen(&c);
    }
    if (c.cls == FPC_ZERO)
        return fp_widen(a);
    bool opposite = a->sign != c.sign;
    if (a->exp >= c.exp)
        return add_aligned(a, &c, opposite, rc);
    return add_aligned(&c, a, opposite, rc);
}

static bool wide_is_zero(const struct fp_wide *w)
{
    return (w->hi | w->lo) == 0;
}

struct fp_wide fp_wide_sum(struct fp_wide a, struct fp_wide b, uint8_t rc)
{
    if (wide_is_zero(&a) && wide_is_zero(&b))
        return (struct fp_wide){.sign = a.sign == b.sign ? a.sign : rc == FP_RC_DOWN};
    if (wide_is_zero(&a) || wide_is_zero(&b))
        return wide_is_zero(&a) ? b : a;
    if (a.exp < b.exp || (a.exp == b.exp && (a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo))) {
        struct fp_wide t = a;
        a = b;
        b = t;
    }
    /* One bit of headroom; what is sticky of the smaller is far below what is kept. */
    struct u128 x = u128_shr_sticky((struct u128){a.hi, a.lo}, 1);
    struct u128 y = u128_shr_sticky((struct u128){b.hi, b.lo}, (uint32_t)(a.exp - b.exp) + 1);
    if (a.sign == b.sign)
        return normalise(a.sign, a.exp + 1, u128_add(x, y));
    x = u128_sub(x, y);
    if ((x.hi | x.lo) == 0)
        return (struct fp_wide){.sign = rc == FP_RC_DOWN};
    return normalise(a.sign, a.exp + 1, x);
}

struct fp_wide fp_wide_mul(const struct fp_num *a, const struct fp_num *b)
{
    bool sign = a->sign != b->sign;
    if (a->cls == FPC_ZERO || b->cls == FPC_ZERO)
        return (struct fp_wide){.sign = sign};
    return normalise(sign, a->exp + b->exp + 1, u64_mul(a->sig, b->sig));
}

/* Low half that says where the rest of a division lies: 0, below, at, or above one half. */
static uint64_t rest_of(uint64_t rem, uint64_t divisor)
{
    if (rem == 0)
        return 0;
    uint64_t other = divisor - rem;
    return rem > other ? HALF | 1 : rem == other ? HALF : 1;
}

struct fp_wide fp_wide_div(const struct fp_num *a, const struct fp_num *b)
{
    struct fp_wide w = {.sign = a->sign != b->sign, .exp = a->exp - b->exp};
    struct u128 n = {a->sig, 0};
    uint64_t rem;
    if (a->sig < b->sig)
        w.exp--;
    else
        n = (struct u128){a->sig >> 1, a->sig << 63};
    w.hi = u128_div(n, b->sig, &rem);
    w.lo = rest_of(rem, b->sig);
    return w;
}

/* Root, rounded down, of n in [2^62, 2^64); *rem gets n - root^2. The host's root is only a first
 * guess. */
static uint64_t root64(uint64_t n, uint64_t *rem)
{
    double guess = sqrt((double)n);
    uint64_t root = guess < 4294967295.0 ? (uint64_t)guess : UINT32_MAX;
    while (root * root > n)
        root--;
    while (n - root * root > 2 * root)
        root++;
    *rem = n - root * root;
    return root;
}

/*
 * The same of n in [2^126, 2^128): the root of the upper half, one division for the rest, and a
 * correction by at most one (P. Zimmermann, "Karatsuba Square Root").
 */
static uint64_t root128(struct u128 n, struct u128 *rem)
{
    uint64_t r, s = root64(n.hi, &r);
    uint64_t half = r << 31 | n.lo >> 33; /* half of r:digit, by s, is the whole by 2s */
    uint64_t q = half / s, u = (half % s) << 1 | (n.lo >> 32 & 1);
    uint64_t root = (s << 32) + q;
    struct u128 left = {u >> 32, u << 32 | (uint32_t)n.lo}, square = u64_mul(q, q);
    if (u128_less(left, square)) {
        root--;
        left = u128_add(left, u128_add((struct u128){0, root}, (struct u128){0, root}));
        left = u128_add(left, (struct u128){0, 1});
    }
    *rem = u128_sub(left, square);
    return root;
}

struct fp_wide fp_wide_sqrt(const struct fp_num *a)
{
    /* The radicand as an integer in [2^126, 2^128) with an even exponent; its root has 64 bits. */
    bool odd = (a->exp & 1) != 0;
    struct u128 rest;
    uint64_t root =
        root128(odd ? (struct u128){a->sig, 0} : (struct u128){a->sig >> 1, a->sig << 63}, &rest);
    struct fp_wide w = {.hi = root, .exp = (a->exp - (odd ? 1 : 0)) / 2};
    if (rest.hi != 0 || rest.lo > root)
        w.lo = HALF | 1; /* (root + 1/2)^2 is root^2 + root + 1/4: never a tie */
    else
        w.lo = rest.lo != 0;
    return w;
}

/* Inf - Inf, 0 * Inf, 0 / 0, Inf / Inf. */
static bool is_invalid(enum fp_op op, const struct fp_num *a, const struct fp_num *b)
{
    bool inf_a = a->cls == FPC_INF, inf_b = b->cls == FPC_INF;
    bool zero_a = a->cls == FPC_ZERO, zero_b = b->cls == FPC_ZERO;
    switch (op) {
    case FP_ADD:
        return inf_a && inf_b && a->sign != b->sign;
    case FP_SUB:
        return inf_a && inf_b && a->sign == b->sign;
    case FP_MUL:
        return (inf_a && zero_b) || (zero_a && inf_b);
    default:
        return (inf_a && inf_b) || (zero_a && zero_b);
    }
}

/* Result when at least one operand is infinite and the operation is valid. */
static struct fp_num with_infinity(enum fp_op op, const struct fp_num *a, const struct fp_num *b)
{
    switch (op) {
    case FP_ADD:
    case FP_SUB:
        return fp_infinity(a->cls == FPC_INF ? a->sign : b->sign != (op == FP_SUB));
    case FP_MUL:
        return fp_infinity(a->sign != b->sign);
    default:
        return a->cls == FPC_INF ? fp_infinity(a->sign != b->sign) : fp_zero(a->sign != b->sign);
    }
}

static struct fp_wide compute(enum fp_op op, const struct fp_num *a, const struct fp_num *b,
                              uint8_t rc)
{
    switch (op) {
    case FP_ADD:
        return fp_wide_add(a, b, false, rc);
    case FP_SUB:
        return fp_wide_add(a, b, true, rc);
    case FP_MUL:
        return fp_wide_mul(a, b);
    default:
        if (a->cls == FPC_ZERO)
            return (struct fp_wide){.sign = a->sign != b->sign};
        return fp_wide_div(a, b);
    }
}

struct fp_num fp_arith(struct fp_env *env, const struct fp_format *f, int prec, enum fp_op op,
                       const struct fp_num *a, const struct fp_num *b, bool denormal)
{
    if (is_invalid(op, a, b)) {
        fp_raise(env, FP_IE);
        return fp_indefinite();
    }
    bool infinite = a->cls == FPC_INF || b->cls == FPC_INF;
    if (op == FP_DIV && b->cls == FPC_ZERO && !infinite) {
        fp_raise(env, FP_ZE);
        return fp_infinity(a->sign != b->sign);
    }
    if (denormal && fp_raise(env, FP_DE))
        return fp_indefinite();
    if (infinite || (op == FP_DIV && b->cls == FPC_ZERO))
        return with_infinity(op, a, b);
    return fp_finish(env, f, prec, compute(op, a, b, env->rc));
}

struct fp_num fp_root(struct fp_env *env, const struct fp_format *f, int prec,
                      const struct fp_num *a)
{
    if (a->cls == FPC_ZERO)
        return *a;
    if (a->sign) {
        fp_raise(env, FP_IE);
        return fp_indefinite();
    }
    if (a->denormal && fp_raise(env, FP_DE))
        return fp_indefinite();
    if (a->cls == FPC_INF)
        return *a;
    return fp_finish(env, f, prec, fp_wide_sqrt(a));
}

enum fp_relation fp_order(const struct fp_num *a, const struct fp_num *b)
{
    if (a->cls == FPC_ZERO && b->cls == FPC_ZERO)
        return FP_EQUAL;
    bool neg_a = a->sign && a->cls != FPC_ZERO, neg_b = b->sign && b->cls != FPC_ZERO;
    if (neg_a != neg_b)
        return neg_a ? FP_LESS : FP_GREATER;
    bool less, equal;
    if (a->cls != b->cls) {
        less = a->cls < b->cls; /* zero, finite, infinite */
        equal = false;
    } else if (a->cls == FPC_INF) {
        less = false;
        equal = true;
    } else {
        less = a->exp != b->exp ? a->exp < b->exp : a->sig < b->sig;
        equal = a->exp == b->exp && a->sig == b->sig;
    }
    if (equal)
        return FP_EQUAL;
    return less != neg_a ? FP_LESS : FP_GREATER;
}
