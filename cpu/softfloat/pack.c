/* SPDX-License-Identifier: MIT */
/* Take the formats apart and put them together. SDM Vol. 1, "Floating-Point Format". */

#include "cpu/softfloat/internal.h"
#include "cpu/softfloat/u128.h"

const struct fp_format fp_format16 = {11, -14, 15, 0};
const struct fp_format fp_format32 = {24, -126, 127, 0};
const struct fp_format fp_format64 = {53, -1022, 1023, 0};
const struct fp_format fp_format80 = {64, -16382, 16383, 24576};

#define J_BIT UINT64_C(0x8000000000000000)
#define QUIET_BIT UINT64_C(0x4000000000000000)

/* A fraction that is not zero under the smallest exponent: normalise it. */
static void set_denormal(struct fp_num *n, uint64_t sig, int32_t emin, bool daz)
{
    if (daz) {
        n->cls = FPC_ZERO;
        return;
    }
    unsigned shift = u64_clz(sig);
    n->cls = FPC_FINITE;
    n->denormal = true;
    n->sig = sig << shift;
    n->exp = emin - (int32_t)shift;
}

/* fraction is left-aligned below J; biased is the exponent field, special its largest value. */
static struct fp_num unpack(bool sign, uint32_t biased, uint32_t special, uint64_t fraction,
                            bool daz)
{
    struct fp_num n = {.sign = sign};
    int32_t bias = (int32_t)(special >> 1);
    if (biased == special) {
        n.sig = fraction | J_BIT;
        n.cls = fraction == 0 ? FPC_INF : (fraction & QUIET_BIT) != 0 ? FPC_QNAN : FPC_SNAN;
    } else if (biased != 0) {
        n.cls = FPC_FINITE;
        n.sig = fraction | J_BIT;
        n.exp = (int32_t)biased - bias;
    } else if (fraction != 0) {
        set_denormal(&n, fraction, 1 - bias, daz);
    } else {
        n.cls = FPC_ZERO;
    }
    return n;
}

struct fp_num fp_unpack16(uint16_t v)
{
    return unpack(v >> 15 != 0, v >> 10 & 0x1f, 0x1f, (uint64_t)(v & 0x3ff) << 53, false);
}

struct fp_num fp_unpack32(uint32_t v, bool daz)
{
    return unpack(v >> 31 != 0, v >> 23 & 0xff, 0xff, (uint64_t)(v & 0x7fffff) << 40, daz);
}

struct fp_num fp_unpack64(uint64_t v, bool daz)
{
    return unpack(v >> 63 != 0, (uint32_t)(v >> 52) & 0x7ff, 0x7ff, (v << 12) >> 1, daz);
}

struct fp_num fp_unpack80(struct f80 v)
{
    uint32_t biased = v.se & 0x7fff;
    bool sign = v.se >> 15 != 0;
    struct fp_num n = {.sign = sign};
    if (biased == 0) {
        if (v.mant != 0)
            set_denormal(&n, v.mant, fp_format80.emin, false); /* J set: pseudo-denormal */
        return n;
    }
    if ((v.mant & J_BIT) == 0) {
        n.cls = FPC_UNSUPPORTED;
        return n;
    }
    return unpack(sign, biased, 0x7fff, v.mant & ~J_BIT, false);
}

/* Exponent field of a result: 0 for zeros and denormals. */
static uint32_t biased_exponent(const struct fp_num *n, uint32_t special)
{
    if (n->cls == FPC_ZERO)
        return 0;
    if (n->cls != FPC_FINITE)
        return special;
    return (n->sig & J_BIT) != 0 ? (uint32_t)(n->exp + (int32_t)(special >> 1)) : 0;
}

/* Fraction of a result, left-aligned below J. */
static uint64_t fraction_of(const struct fp_num *n)
{
    return n->cls == FPC_ZERO || n->cls == FPC_INF ? 0 : n->sig & ~J_BIT;
}

uint16_t fp_pack16(const struct fp_num *n)
{
    return (uint16_t)((uint32_t)n->sign << 15 | biased_exponent(n, 0x1f) << 10 |
                      (uint32_t)(fraction_of(n) >> 53));
}

uint32_t fp_pack32(const struct fp_num *n)
{
    return (uint32_t)n->sign << 31 | biased_exponent(n, 0xff) << 23 |
           (uint32_t)(fraction_of(n) >> 40);
}

uint64_t fp_pack64(const struct fp_num *n)
{
    return (uint64_t)n->sign << 63 | (uint64_t)biased_exponent(n, 0x7ff) << 52 |
           fraction_of(n) >> 11;
}

struct f80 fp_pack80(const struct fp_num *n)
{
    struct f80 v;
    v.se = (uint16_t)((uint32_t)n->sign << 15 | biased_exponent(n, 0x7fff));
    v.mant = n->cls == FPC_ZERO ? 0 : n->cls == FPC_INF ? J_BIT : n->sig;
    return v;
}

struct fp_num fp_indefinite(void)
{
    return (struct fp_num){.sign = true, .cls = FPC_QNAN, .sig = J_BIT | QUIET_BIT};
}

struct fp_num fp_zero(bool sign)
{
    return (struct fp_num){.sign = sign, .cls = FPC_ZERO};
}

struct fp_num fp_infinity(bool sign)
{
    return (struct fp_num){.sign = sign, .cls = FPC_INF, .sig = J_BIT};
}
