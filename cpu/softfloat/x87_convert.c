/* SPDX-License-Identifier: MIT */
/* x87 loads, stores, integers, packed BCD and constants. */

#include "cpu/softfloat/u128.h"
#include "cpu/softfloat/x87_internal.h"

#define QUIET_BIT UINT64_C(0x4000000000000000)
#define BCD_MAX UINT64_C(999999999999999999)

/* FLD of a narrower format: always exact, but a denormal and an SNaN are noticed. */
static struct f80 load(struct fp_env *env, struct fp_num n)
{
    env->c1_up = false;
    if (n.cls == FPC_SNAN) {
        fp_raise(env, FP_IE);
        n.sig |= QUIET_BIT;
    } else if (n.denormal) {
        fp_raise(env, FP_DE);
    }
    return fp_pack80(&n);
}

struct f80 f80_load_f32(struct fp_env *env, uint32_t v)
{
    return load(env, fp_unpack32(v, false));
}

struct f80 f80_load_f64(struct fp_env *env, uint64_t v)
{
    return load(env, fp_unpack64(v, false));
}

struct f80 f80_widen_f32(uint32_t v, bool *m_denormal)
{
    struct fp_num n = fp_unpack32(v, false);
    *m_denormal = n.denormal;
    return fp_pack80(&n);
}

struct f80 f80_widen_f64(uint64_t v, bool *m_denormal)
{
    struct fp_num n = fp_unpack64(v, false);
    *m_denormal = n.denormal;
    return fp_pack80(&n);
}

/*
 * FST to a narrower format; a denormal source is not an exception here. When overflow or underflow
 * is unmasked and the destination is memory, "the inexact-result condition is ignored": SDM Vol. 1,
 * "Inexact-Result (Precision) Exception (#P)" of the x87.
 */
static struct fp_num store(struct fp_env *env, const struct fp_format *f, struct f80 a)
{
    struct fp_num n = fp_unpack80(a), r;
    env->c1_up = false;
    if (x87_special(env, &n, &n, &r))
        return r;
    if (n.cls != FPC_FINITE)
        return n;
    uint8_t before = env->flags;
    env->flags = 0;
    r = fp_finish(env, f, f->prec, fp_widen(&n));
    if ((env->flags & ~env->masks & (FP_OE | FP_UE)) != 0) {
        env->flags &= FP_OE | FP_UE;
        env->c1_up = false;
    }
    env->flags |= before;
    return r;
}

uint32_t f80_store_f32(struct fp_env *env, struct f80 a)
{
    struct fp_num n = store(env, &fp_format32, a);
    return fp_pack32(&n);
}

uint64_t f80_store_f64(struct fp_env *env, struct f80 a)
{
    struct fp_num n = store(env, &fp_format64, a);
    return fp_pack64(&n);
}

struct f80 f80_from_i64(int64_t v)
{
    bool sign = v < 0;
    struct fp_num n = fp_from_integer(sign ? 0 - (uint64_t)v : (uint64_t)v, sign);
    return fp_pack80(&n);
}

static int64_t to_signed(struct fp_env *env, struct f80 a, unsigned bits, uint8_t rc)
{
    struct fp_num n = fp_unpack80(a);
    env->c1_up = false;
    return fp_to_signed(env, &n, bits, rc);
}

int16_t f80_to_i16(struct fp_env *env, struct f80 a, uint8_t rc)
{
    return (int16_t)to_signed(env, a, 16, rc);
}

int32_t f80_to_i32(struct fp_env *env, struct f80 a, uint8_t rc)
{
    return (int32_t)to_signed(env, a, 32, rc);
}

int64_t f80_to_i64(struct fp_env *env, struct f80 a, uint8_t rc)
{
    return to_signed(env, a, 64, rc);
}

struct f80 f80_from_bcd(const uint8_t bcd[10])
{
    uint64_t mag = 0;
    for (int i = 8; i >= 0; i--)
        mag = mag * 100 + (uint64_t)(bcd[i] >> 4) * 10 + (bcd[i] & 15);
    struct fp_num n = fp_from_integer(mag, bcd[9] >> 7 != 0);
    return fp_pack80(&n);
}

/* Packed BCD integer indefinite: SDM Vol. 1, "BCD and Packed BCD Integers". */
static void bcd_indefinite(uint8_t bcd[10])
{
    for (int i = 0; i < 7; i++)
        bcd[i] = 0;
    bcd[7] = 0xc0;
    bcd[8] = 0xff;
    bcd[9] = 0xff;
}

void f80_to_bcd(struct fp_env *env, struct f80 a, uint8_t bcd[10])
{
    struct fp_num n = fp_unpack80(a);
    struct fp_integer r = {.too_big = true};
    env->c1_up = false;
    if (n.cls == FPC_ZERO || n.cls == FPC_FINITE)
        r = fp_to_integer(&n, env->rc);
    if (r.too_big || r.mag > BCD_MAX) {
        fp_raise(env, FP_IE);
        bcd_indefinite(bcd);
        return;
    }
    if (r.inexact)
        env->flags |= FP_PE;
    env->c1_up = r.up;
    for (int i = 0; i < 9; i++) {
        unsigned pair = (unsigned)(r.mag % 100);
        r.mag /= 100;
        bcd[i] = (uint8_t)(pair / 10 << 4 | pair % 10);
    }
    bcd[9] = n.sign ? 0x80 : 0;
}

struct f80 f80_constant(enum f80_const which, uint8_t rc)
{
    /* The first 128 bits of each; nothing here is a tie or exact but 1 and 0. */
    static const struct fp_wide table[F80_CONST_COUNT] = {
        [F80_1] = {UINT64_C(0x8000000000000000), 0, 0, false},
        [F80_L2T] = {UINT64_C(0xd49a784bcd1b8afe), UINT64_C(0x492bf6ff4dafdb4d), 1, false},
        [F80_L2E] = {UINT64_C(0xb8aa3b295c17f0bb), UINT64_C(0xbe87fed0691d3e89), 0, false},
        [F80_PI] = {UINT64_C(0xc90fdaa22168c234), UINT64_C(0xc4c6628b80dc1cd1), 1, false},
        [F80_LG2] = {UINT64_C(0x9a209a84fbcff798), UINT64_C(0x8f8959ac0b7c9178), -2, false},
        [F80_LN2] = {UINT64_C(0xb17217f7d1cf79ab), UINT64_C(0xc9e3b39803f2f6af), -1, false},
        [F80_0] = {0, 0, 0, false},
    };
    struct fp_env env = {.rc = rc, .pc = 64, .masks = FP_ALL};
    struct fp_num n = fp_finish(&env, &fp_format80, 64, table[which]);
    return fp_pack80(&n);
}
