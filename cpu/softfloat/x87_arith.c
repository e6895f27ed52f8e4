/* SPDX-License-Identifier: MIT */
/* x87 arithmetic and comparison. */

#include "cpu/softfloat/x87_internal.h"

#define QUIET_BIT UINT64_C(0x4000000000000000)

struct fp_num x87_nan(struct fp_env *env, const struct fp_num *a, const struct fp_num *b)
{
    bool signalling_a = a->cls == FPC_SNAN, signalling_b = b->cls == FPC_SNAN;
    if (signalling_a || signalling_b)
        fp_raise(env, FP_IE);
    bool take_a;
    if (!fp_is_nan(b))
        take_a = true;
    else if (!fp_is_nan(a))
        take_a = false;
    else if (signalling_a != signalling_b)
        take_a = signalling_b; /* the quiet one */
    else if (a->sig != b->sig)
        take_a = a->sig > b->sig;
    else
        take_a = !a->sign;
    struct fp_num n = take_a ? *a : *b;
    n.sig |= QUIET_BIT;
    n.cls = FPC_QNAN;
    return n;
}

bool x87_special(struct fp_env *env, const struct fp_num *a, const struct fp_num *b,
                 struct fp_num *out)
{
    if (a->cls == FPC_UNSUPPORTED || b->cls == FPC_UNSUPPORTED) {
        fp_raise(env, FP_IE);
        *out = fp_indefinite();
        return true;
    }
    if (!fp_is_nan(a) && !fp_is_nan(b))
        return false;
    *out = x87_nan(env, a, b);
    return true;
}

struct f80 f80_arith(struct fp_env *env, enum fp_op op, struct f80 a, struct f80 b, bool m_denormal)
{
    struct fp_num x = fp_unpack80(a), y = fp_unpack80(b), r;
    env->c1_up = false;
    if (!x87_special(env, &x, &y, &r)) {
        bool denormal = x.denormal || y.denormal || m_denormal;
        r = fp_arith(env, &fp_format80, env->pc, op, &x, &y, denormal);
    }
    return fp_pack80(&r);
}

struct f80 f80_sqrt(struct fp_env *env, struct f80 a)
{
    struct fp_num x = fp_unpack80(a), r;
    env->c1_up = false;
    if (!x87_special(env, &x, &x, &r))
        r = fp_root(env, &fp_format80, env->pc, &x);
    return fp_pack80(&r);
}

struct f80_root f80_root(struct f80 a)
{
    struct fp_num x = {.cls = FPC_FINITE, .exp = (a.se & 0x7fff) - 0x3fff, .sig = a.mant};
    struct fp_wide w = fp_wide_sqrt(&x);
    return (struct f80_root){w.hi, w.lo};
}

enum fp_relation f80_compare(struct fp_env *env, struct f80 a, struct f80 b, bool m_denormal,
                             bool signalling)
{
    struct fp_num x = fp_unpack80(a), y = fp_unpack80(b), r;
    env->c1_up = false;
    if (x87_special(env, &x, &y, &r)) {
        if (signalling)
            fp_raise(env, FP_IE);
        return FP_UNORDERED;
    }
    if (x.denormal || y.denormal || m_denormal)
        fp_raise(env, FP_DE);
    return fp_order(&x, &y);
}

uint8_t f80_examine(struct f80 a)
{
    static const uint8_t classes[] = {
        [FPC_ZERO] = 4, [FPC_FINITE] = 2, [FPC_INF] = 3,
        [FPC_QNAN] = 1, [FPC_SNAN] = 1,   [FPC_UNSUPPORTED] = 0,
    };
    struct fp_num n = fp_unpack80(a);
    return n.denormal ? 6 : classes[n.cls];
}
