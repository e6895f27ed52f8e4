/* SPDX-License-Identifier: MIT */
/* Fused multiply-add and half precision: what FMA3 and F16C bring. */

#include "cpu/softfloat/internal.h"

#define QUIET_BIT UINT64_C(0x4000000000000000)

/* The first NaN of a * b + c, quieted; IE if any of them signals, but 0 * Inf is not looked at. */
static struct fp_num fma_nan(struct fp_env *env, const struct fp_num *a, const struct fp_num *b,
                             const struct fp_num *c)
{
    if (a->cls == FPC_SNAN || b->cls == FPC_SNAN || c->cls == FPC_SNAN)
        fp_raise(env, FP_IE);
    struct fp_num n = fp_is_nan(a) ? *a : fp_is_nan(b) ? *b : *c;
    n.sig |= QUIET_BIT;
    n.cls = FPC_QNAN;
    return n;
}

/* Without NaNs; the sign of the product and of c are as they enter the sum. */
static struct fp_num fma_number(struct fp_env *env, const struct fp_format *f,
                                const struct fp_num *a, const struct fp_num *b,
                                const struct fp_num *c, bool sign)
{
    bool inf_a = a->cls == FPC_INF, inf_b = b->cls == FPC_INF, inf_c = c->cls == FPC_INF;
    bool invalid = (inf_a && b->cls == FPC_ZERO) || (inf_b && a->cls == FPC_ZERO) ||
                   ((inf_a || inf_b) && inf_c && sign != c->sign);
    if (invalid) {
        fp_raise(env, FP_IE);
        return fp_indefinite();
    }
    if ((a->denormal || b->denormal || c->denormal) && fp_raise(env, FP_DE))
        return fp_indefinite();
    if (inf_a || inf_b)
        return fp_infinity(sign);
    if (inf_c)
        return fp_infinity(c->sign);
    struct fp_wide product = fp_wide_mul(a, b);
    product.sign = sign;
    return fp_finish(env, f, f->prec, fp_wide_sum(product, fp_widen(c), env->rc));
}

static struct fp_num multiply_add(struct fp_env *env, const struct fp_format *f,
                                  const struct fp_num *a, const struct fp_num *b, struct fp_num c,
                                  unsigned negate)
{
    if (fp_is_nan(a) || fp_is_nan(b) || fp_is_nan(&c))
        return fma_nan(env, a, b, &c);
    c.sign = c.sign != ((negate & FP_NEGATE_ADDEND) != 0);
    bool sign = (a->sign != b->sign) != ((negate & FP_NEGATE_PRODUCT) != 0);
    return fma_number(env, f, a, b, &c, sign);
}

uint32_t f32_fma(struct fp_env *env, uint32_t a, uint32_t b, uint32_t c, unsigned negate)
{
    struct fp_num x = fp_unpack32(a, env->daz), y = fp_unpack32(b, env->daz);
    x = multiply_add(env, &fp_format32, &x, &y, fp_unpack32(c, env->daz), negate);
    return fp_pack32(&x);
}

uint64_t f64_fma(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c, unsigned negate)
{
    struct fp_num x = fp_unpack64(a, env->daz), y = fp_unpack64(b, env->daz);
    x = multiply_add(env, &fp_format64, &x, &y, fp_unpack64(c, env->daz), negate);
    return fp_pack64(&x);
}

static void quiet(struct fp_env *env, struct fp_num *n)
{
    if (n->cls == FPC_SNAN)
        fp_raise(env, FP_IE);
    n->sig |= QUIET_BIT;
    n->cls = FPC_QNAN;
}

uint32_t f16_to_f32(struct fp_env *env, uint16_t a)
{
    struct fp_num n = fp_unpack16(a);
    if (fp_is_nan(&n))
        quiet(env, &n);
    return fp_pack32(&n);
}

uint16_t f32_to_f16(struct fp_env *env, uint32_t a, uint8_t rc)
{
    struct fp_num n = fp_unpack32(a, env->daz);
    if (fp_is_nan(&n)) {
        quiet(env, &n);
        return fp_pack16(&n);
    }
    if (n.denormal && fp_raise(env, FP_DE))
        return 0;
    if (n.cls == FPC_FINITE) {
        struct fp_env half = *env;
        half.rc = rc;
        half.ftz = false;
        n = fp_finish(&half, &fp_format16, fp_format16.prec, fp_widen(&n));
        env->flags = half.flags;
    }
    return fp_pack16(&n);
}
