/* SPDX-License-Identifier: MIT */
/*
 * x87 functions of the stack's top: FSQRT FRNDINT FSCALE FXTRACT FPREM FPREM1 and the
 * transcendentals. None is quick by nature, so each is a plain function behind a handler.
 */
#include "cpu/interp/x87_operand.h"

/* A masked stack fault of a function of ST(0) alone gives it the indefinite. */
static bool underflow_result(struct vcpu *vcpu, unsigned i, unsigned pops)
{
    if (x87_underflow(vcpu)) {
        st_set(vcpu, i, f80_indefinite());
        st_pops(vcpu, pops);
    }
    return true;
}

static void commit(struct vcpu *vcpu, const struct fp_env *env, unsigned i, struct f80 v)
{
    x87_settle(vcpu, env);
    if (fp_x87_commits(env))
        st_set(vcpu, i, v);
}

/* ---- one operand, one result ---- */

enum { SQRT, RNDINT, POW2M1 }; /* kind */

static NOINLINE bool unary(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    struct f80 v = st_get(vcpu, 0);
    x87_point(vcpu, rec);
    if (st_empty(vcpu, 0))
        return underflow_result(vcpu, 0, 0);
    if (x87_kind(rec) == SQRT)
        v = f80_sqrt(&env, v);
    else if (x87_kind(rec) == RNDINT)
        v = f80_rndint(&env, v);
    else
        v = f80_f2xm1(&env, vcpu->run.transcendentals, v);
    commit(vcpu, &env, 0, v);
    return true;
}

/* ---- ST(0) and ST(1) ---- */

/* ST(0) := ST(0) * 2^ST(1). */
static NOINLINE bool fscale(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    x87_point(vcpu, rec);
    if (st_empty(vcpu, 0) || st_empty(vcpu, 1))
        return underflow_result(vcpu, 0, 0);
    commit(vcpu, &env, 0, f80_scale(&env, st_get(vcpu, 0), st_get(vcpu, 1)));
    return true;
}

/* FPREM, FPREM1: C0 C3 C1 are Q2 Q1 Q0 (C0 and C3 stay when there is no quotient), C2 an incomplete
 * reduction. kind: round the quotient to nearest. */
static NOINLINE bool fprem(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_C2, 0);
    if (st_empty(vcpu, 0) || st_empty(vcpu, 1))
        return underflow_result(vcpu, 0, 0);
    struct f80_rem r = f80_rem(&env, st_get(vcpu, 0), st_get(vcpu, 1), x87_kind(rec));
    bool is_nan = (r.value.se & 0x7fff) == 0x7fff;
    commit(vcpu, &env, 0, r.value);
    if (is_nan || !fp_x87_commits(&env))
        return true;
    x87_set_cc(vcpu, FSW_CC,
               (r.quotient & 4 ? FSW_C0 : 0u) | (r.quotient & 2 ? FSW_C3 : 0u) |
                   (r.quotient & 1 ? FSW_C1 : 0u) | (r.partial ? FSW_C2 : 0u));
    return true;
}

enum { YL2X, YL2XP1, PATAN }; /* kind */

/* ST(1) := f(ST(1), ST(0)), pop. */
static NOINLINE bool binary(struct vcpu *vcpu, const struct rec *rec)
{
    const struct fp_transcendentals *t = vcpu->run.transcendentals;
    struct fp_env env = x87_env(vcpu);
    struct f80 x = st_get(vcpu, 0), y = st_get(vcpu, 1), r;
    x87_point(vcpu, rec);
    if (st_empty(vcpu, 0) || st_empty(vcpu, 1))
        return underflow_result(vcpu, 1, 1);
    if (x87_kind(rec) == YL2X)
        r = f80_fyl2x(&env, t, y, x);
    else if (x87_kind(rec) == YL2XP1)
        r = f80_fyl2xp1(&env, t, y, x);
    else
        r = f80_fpatan(&env, t, y, x);
    commit(vcpu, &env, 1, r);
    if (fp_x87_commits(&env))
        st_pop(vcpu);
    return true;
}

/* ---- one operand, two results ---- */

/* The stack faults of an instruction that replaces ST(0) and pushes: true if there was one. */
static bool pair_faults(struct vcpu *vcpu)
{
    if (!st_empty(vcpu, 0) && st_empty(vcpu, 7))
        return false;
    if (st_empty(vcpu, 0) ? x87_underflow(vcpu) : x87_overflow(vcpu)) {
        st_set(vcpu, 0, f80_indefinite());
        st_push(vcpu, f80_indefinite());
    }
    return true;
}

static void commit_pair(struct vcpu *vcpu, const struct fp_env *env, struct f80 below,
                        struct f80 top)
{
    x87_settle(vcpu, env);
    if (fp_x87_commits(env)) {
        st_set(vcpu, 0, below);
        st_push(vcpu, top);
    }
}

/* FXTRACT: the exponent stays below the significand. */
static NOINLINE bool fxtract(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    struct f80 exponent;
    x87_point(vcpu, rec);
    if (pair_faults(vcpu))
        return true;
    struct f80 significand = f80_extract(&env, st_get(vcpu, 0), &exponent);
    commit_pair(vcpu, &env, exponent, significand);
    return true;
}

/* C2 of FSIN, FCOS, FSINCOS, FPTAN: the operand is out of range and stays. */
static bool out_of_range(struct vcpu *vcpu)
{
    x87_set_cc(vcpu, FSW_C1 | FSW_C2, FSW_C2);
    return true;
}

/* FPTAN: the tangent, then 1.0; or the same NaN twice. */
static NOINLINE bool fptan(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    struct f80 r;
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_C2, 0);
    if (pair_faults(vcpu))
        return true;
    if (!f80_fptan(&env, vcpu->run.transcendentals, st_get(vcpu, 0), &r))
        return out_of_range(vcpu);
    bool is_nan = (r.se & 0x7fff) == 0x7fff && r.mant << 1;
    commit_pair(vcpu, &env, r, is_nan ? r : f80_constant(F80_1, FP_RC_NEAREST));
    return true;
}

static NOINLINE bool fsincos(struct vcpu *vcpu, const struct rec *rec)
{
    const struct fp_transcendentals *t = vcpu->run.transcendentals;
    struct fp_env env = x87_env(vcpu);
    struct f80 x = st_get(vcpu, 0), sine, cosine;
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_C2, 0);
    if (pair_faults(vcpu))
        return true;
    if (!f80_fsin(&env, t, x, &sine) || !f80_fcos(&env, t, x, &cosine))
        return out_of_range(vcpu);
    commit_pair(vcpu, &env, sine, cosine);
    return true;
}

/* FSIN, FCOS. kind: cosine. */
static NOINLINE bool sine(struct vcpu *vcpu, const struct rec *rec)
{
    const struct fp_transcendentals *t = vcpu->run.transcendentals;
    struct fp_env env = x87_env(vcpu);
    struct f80 x = st_get(vcpu, 0), r;
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_C2, 0);
    if (st_empty(vcpu, 0))
        return underflow_result(vcpu, 0, 0);
    if (!(x87_kind(rec) ? f80_fcos(&env, t, x, &r) : f80_fsin(&env, t, x, &r)))
        return out_of_range(vcpu);
    commit(vcpu, &env, 0, r);
    return true;
}

X87_EXEC(unary, unary)

/* The root of a normal number that is not negative; the rest goes the long way. */
EXEC(fsqrt)
{
    struct f80 v = st_get(vcpu, 0);
    bool is_plain = !st_empty(vcpu, 0) && f80_is_normal(v) && !(v.se >> 15) && x87_is_plain(vcpu);
    if (likely(is_plain && !(vcpu->arch.fsw & FSW_ES))) {
        struct f80_root r = f80_root(v);
        unsigned exponent =
            (v.se + 0x3fffu) / 2; /* the bias is odd: half of the exponent, rounded down */
        struct x87_quick q = x87_quick_round(vcpu->arch.fcw, 0, exponent, r.hi, r.lo);
        x87_point(vcpu, rec);
        x87_set_cc(vcpu, FSW_C1, q.up ? FSW_C1 : 0);
        vcpu->arch.fsw |= q.inexact ? FP_PE : 0;
        st_set(vcpu, 0, q.value);
        NEXT;
    }
    return exec_unary(vcpu, rec);
}

X87_EXEC(fscale, fscale)
X87_EXEC(fprem, fprem)
X87_EXEC(binary, binary)
X87_EXEC(fxtract, fxtract)
X87_EXEC(fptan, fptan)
X87_EXEC(fsincos, fsincos)
X87_EXEC(sine, sine)

const struct x87_row x87_function_rows[] = {
    {OP_FSQRT, exec_fsqrt, NULL, SQRT, 0},    {OP_FRNDINT, exec_unary, NULL, RNDINT, 0},
    {OP_F2XM1, exec_unary, NULL, POW2M1, 0},  {OP_FSCALE, exec_fscale, NULL, 0, 0},
    {OP_FPREM, exec_fprem, NULL, 0, 0},       {OP_FPREM1, exec_fprem, NULL, 1, 0},
    {OP_FYL2X, exec_binary, NULL, YL2X, 1},   {OP_FYL2XP1, exec_binary, NULL, YL2XP1, 1},
    {OP_FPATAN, exec_binary, NULL, PATAN, 1}, {OP_FXTRACT, exec_fxtract, NULL, 0, 0},
    {OP_FPTAN, exec_fptan, NULL, 0, 0},       {OP_FSINCOS, exec_fsincos, NULL, 0, 0},
    {OP_FSIN, exec_sine, NULL, 0, 0},         {OP_FCOS, exec_sine, NULL, 1, 0},
    {OP_INVALID, NULL, NULL, 0, 0},
};
