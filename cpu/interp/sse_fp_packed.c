/* SPDX-License-Identifier: MIT */
/* Floating point that is not hot: horizontal and alternating sums, dot products, compares to masks,
 * rounding to integral values, and the estimates of reciprocals. */
#include "cpu/interp/sse_fp.h"

/* ---- neighbours ---- */

/* SDM Vol. 2A, "HADDPS", "HSUBPS": pairs of DEST, then pairs of SRC. */
static uint64_t pair_f32(struct fp_env *env, uint64_t v,
                         uint32_t (*op)(struct fp_env *, uint32_t, uint32_t))
{
    return op(env, (uint32_t)v, (uint32_t)(v >> 32));
}

SIMD_FN(haddps)
{
    uint64_t d0 = pair_f32(env, d->q[0], sse_add32), d1 = pair_f32(env, d->q[1], sse_add32);
    uint64_t s0 = pair_f32(env, s->q[0], sse_add32), s1 = pair_f32(env, s->q[1], sse_add32);
    *d = v128_make(d0 | d1 << 32, s0 | s1 << 32);
}

SIMD_FN(hsubps)
{
    uint64_t d0 = pair_f32(env, d->q[0], sse_sub32), d1 = pair_f32(env, d->q[1], sse_sub32);
    uint64_t s0 = pair_f32(env, s->q[0], sse_sub32), s1 = pair_f32(env, s->q[1], sse_sub32);
    *d = v128_make(d0 | d1 << 32, s0 | s1 << 32);
}

SIMD_FN(haddpd)
{
    uint64_t low = sse_add64(env, d->q[0], d->q[1]);
    *d = v128_make(low, sse_add64(env, s->q[0], s->q[1]));
}

SIMD_FN(hsubpd)
{
    uint64_t low = sse_sub64(env, d->q[0], d->q[1]);
    *d = v128_make(low, sse_sub64(env, s->q[0], s->q[1]));
}

/* SDM Vol. 2A, "ADDSUBPS": even lanes are subtracted, odd ones added. */
SIMD_FN(addsubps)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t *lane = &d->d[LANE_D(i)];
        *lane =
            i & 1 ? sse_add32(env, *lane, s->d[LANE_D(i)]) : sse_sub32(env, *lane, s->d[LANE_D(i)]);
    }
}

SIMD_FN(addsubpd)
{
    uint64_t low = sse_sub64(env, d->q[0], s->q[0]);
    *d = v128_make(low, sse_add64(env, d->q[1], s->q[1]));
}

/* ---- dot products.  SDM Vol. 2A, "DPPS", "DPPD" ---- */

/* Products chosen by imm 7:4 (else +0.0), added in pairs, then the pairs; written where imm 3:0
 * says. */
static bool step_done(struct vcpu *vcpu, struct fp_env *env)
{
    bool ok = sse_settle(vcpu, env);
    env->flags &= env->masks == FP_ALL ? FP_ALL : 0;
    return ok;
}

bool sse_dpps(struct vcpu *vcpu, union v128 *d, const union v128 *s, unsigned lanes, unsigned imm)
{
    struct fp_env env = sse_env(vcpu);
    uint32_t p[8] = {0};
    for (unsigned i = 0; i < 4 * lanes; i++)
        if (imm >> (4 + (i & 3)) & 1)
            p[i] = sse_mul32(&env, d[i / 4].d[LANE_D(i & 3)], s[i / 4].d[LANE_D(i & 3)]);
    if (!step_done(vcpu, &env))
        return false;
    for (unsigned i = 0; i < 2 * lanes; i++)
        p[i] = sse_add32(&env, p[2 * i], p[2 * i + 1]);
    if (!step_done(vcpu, &env))
        return false;
    for (unsigned i = 0; i < lanes; i++)
        p[i] = sse_add32(&env, p[2 * i], p[2 * i + 1]);
    if (!step_done(vcpu, &env))
        return false;
    for (unsigned i = 0; i < 4 * lanes; i++)
        d[i / 4].d[LANE_D(i & 3)] = imm >> (i & 3) & 1 ? p[i / 4] : 0;
    return true;
}

bool sse_dppd(struct vcpu *vcpu, union v128 *d, const union v128 *s, unsigned imm)
{
    struct fp_env env = sse_env(vcpu);
    uint64_t p[2] = {0};
    for (unsigned i = 0; i < 2; i++)
        if (imm >> (4 + i) & 1)
            p[i] = sse_mul64(&env, d->q[i], s->q[i]);
    if (!step_done(vcpu, &env))
        return false;
    uint64_t sum = sse_add64(&env, p[0], p[1]);
    if (!step_done(vcpu, &env))
        return false;
    *d = v128_make(imm & 1 ? sum : 0, imm & 2 ? sum : 0);
    return true;
}

static NOINLINE bool dpps_work(struct vcpu *vcpu, const struct rec *rec)
{
    union v128 s, d = xmm_get(vcpu, rec->dst);
    if (!simd_source(vcpu, rec, &s) || !sse_dpps(vcpu, &d, &s, 1, simd_imm8(rec)))
        return false;
    xmm_set(vcpu, rec->dst, d);
    return true;
}

static NOINLINE bool dppd_work(struct vcpu *vcpu, const struct rec *rec)
{
    union v128 s, d = xmm_get(vcpu, rec->dst);
    if (!simd_source(vcpu, rec, &s) || !sse_dppd(vcpu, &d, &s, simd_imm8(rec)))
        return false;
    xmm_set(vcpu, rec->dst, d);
    return true;
}

EXEC(dpps)
{
    if (unlikely(!dpps_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

EXEC(dppd)
{
    if (unlikely(!dppd_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

exec_fn *sse_select_dot(struct selection *s, struct rec *rec)
{
    if (s->in->op != OP_DPPS && s->in->op != OP_DPPD)
        return NULL;
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    simd_prepare(s, rec, NULL, ROW_FP);
    return s->in->op == OP_DPPS ? exec_dpps : exec_dppd;
}

/* ---- compares to masks.  SDM Vol. 2A, "CMPPS", table "Comparison Predicate for CMPPD and CMPPS"
 * ---- */

/*
 * Predicates 0 to 15; 16 to 31 are the same, but what signals on QNaNs and what does not changes
 * places. Only 0 to 7 exist without VEX.
 */
static bool is_signalling(unsigned imm)
{
    return (((imm & 3) == 1) | ((imm & 3) == 2)) != (imm >> 4 & 1);
}

static bool holds(enum fp_relation r, unsigned imm)
{
    enum { L = 1 << FP_LESS, E = 1 << FP_EQUAL, G = 1 << FP_GREATER, U = 1 << FP_UNORDERED };
    /* EQ LT LE UNORD NEQ NLT NLE ORD, EQ_UQ NGE NGT FALSE NEQ_OQ GE GT TRUE */
    static const uint8_t relations[] = {
        E,     L,     L | E,     U, L | G | U, E | G | U, G | U, L | E | G,
        E | U, L | U, L | E | U, 0, L | G,     E | G,     G,     L | E | G | U};
    return relations[imm & 15] >> r & 1;
}

static uint32_t cmp_f32(struct fp_env *env, uint32_t a, uint32_t b, unsigned imm)
{
    return holds(compare_f32(env, a, b, is_signalling(imm)), imm) ? UINT32_MAX : 0;
}

static uint64_t cmp_f64(struct fp_env *env, uint64_t a, uint64_t b, unsigned imm)
{
    return holds(compare_f64(env, a, b, is_signalling(imm)), imm) ? UINT64_MAX : 0;
}

SIMD_FN(vcmpss)
{
    set_f32(d, cmp_f32(env, low_f32(d), low_f32(s), imm));
}

SIMD_FN(vcmpsd)
{
    d->q[0] = cmp_f64(env, d->q[0], s->q[0], imm);
}

SIMD_FN(vcmpps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = cmp_f32(env, d->d[i], s->d[i], imm);
}

SIMD_FN(vcmppd)
{
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = cmp_f64(env, d->q[i], s->q[i], imm);
}

/* clang-format off */
SIMD_FN(cmpss) { do_vcmpss(env, d, s, imm & 7); }
SIMD_FN(cmpsd) { do_vcmpsd(env, d, s, imm & 7); }
SIMD_FN(cmpps) { do_vcmpps(env, d, s, imm & 7); }
SIMD_FN(cmppd) { do_vcmppd(env, d, s, imm & 7); }
/* clang-format on */

/* ---- rounding.  SDM Vol. 2B, "ROUNDPD": imm 2 MXCSR.RC, else imm 1:0; imm 3 no PE ---- */

static uint8_t round_rc(const struct fp_env *env, unsigned imm)
{
    return imm & 4 ? env->rc : (uint8_t)(imm & 3);
}

SIMD_FN(roundss)
{
    set_f32(d, integral_f32(env, low_f32(s), round_rc(env, imm), imm & 8));
}

SIMD_FN(roundsd)
{
    d->q[0] = integral_f64(env, s->q[0], round_rc(env, imm), imm & 8);
}

SIMD_FN(roundps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = integral_f32(env, s->d[i], round_rc(env, imm), imm & 8);
}

SIMD_FN(roundpd)
{
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = integral_f64(env, s->q[i], round_rc(env, imm), imm & 8);
}

/* ---- estimates.  SDM Vol. 2B, "RCPPS", "RSQRTPS": relative error at most 1.5 * 2^-12, no
 * exceptions ---- */

/*
 * The manual leaves the bits open; ours are those of the table the first SSE processors had, given
 * by its rule: the argument's first bits choose an interval, and every argument in it gets the
 * result for the interval's middle, rounded to 12 (RCP) or 13 (RSQRT) bits. Half an interval and
 * half a last place are the 1.5 * 2^-12. MXCSR plays no part: denormals are zeros, tiny results are
 * zeros.
 */

#define F32_SIGN 0x80000000u
#define F32_INF 0x7f800000u
#define F32_QUIET 0x00400000u
#define F32_INDEFINITE 0xffc00000u

/* 1 / 1.f for the interval i of 2048, as the 11 fraction bits of a number in [1, 2). */
static uint32_t rcp_fraction(uint32_t i)
{
    uint32_t middle = 4097 + 2 * i; /* of the interval, * 4096 */
    return (2 * 2048 * (8192 - middle) + middle) / (2 * middle);
}

static uint32_t rcp_estimate(uint32_t a)
{
    uint32_t sign = a & F32_SIGN, exponent = a >> 23 & 0xff;
    if ((a & ~F32_SIGN) > F32_INF)
        return a | F32_QUIET;
    if (exponent == 0xff)
        return sign;
    if (exponent == 0)
        return sign | F32_INF;
    if (exponent >= 253) /* below 2^-126 */
        return sign;
    return sign | (253 - exponent) << 23 | rcp_fraction(a >> 12 & 0x7ff) << 12;
}

/* The integer square root, rounded down. */
static uint32_t square_root(uint64_t v)
{
    uint64_t root = 0;
    for (uint64_t bit = BIT(20); bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= v)
            root += bit;
    return (uint32_t)root;
}

/* 1 / sqrt of 1.f (is_odd: of 2 * 1.f) for the interval i of 1024, as the 12 fraction bits of a
 * number in [1, 2). */
static uint32_t rsqrt_fraction(uint32_t i, bool is_odd)
{
    uint64_t middle = (2049 + 2 * i) << is_odd; /* * 2048 */
    uint32_t twice = square_root(BIT(39) / middle);
    return (((twice + 1) >> 1) - 4096) & 0xfff;
}

static uint32_t rsqrt_estimate(uint32_t a)
{
    uint32_t sign = a & F32_SIGN, exponent = a >> 23 & 0xff;
    if ((a & ~F32_SIGN) > F32_INF)
        return a | F32_QUIET;
    if (exponent == 0)
        return sign | F32_INF;
    if (sign)
        return F32_INDEFINITE;
    if (exponent == 0xff)
        return 0;
    /* a = 2^(2k) * [1, 4): the result is 2^(-k) / [1, 2). */
    bool is_odd = !(exponent & 1);
    return (380 - exponent) >> 1 << 23 | rsqrt_fraction(a >> 13 & 0x3ff, is_odd) << 11;
}

SIMD_FN(rcpss)
{
    set_f32(d, rcp_estimate(low_f32(s)));
}

SIMD_FN(rcpps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = rcp_estimate(s->d[i]);
}

SIMD_FN(rsqrtss)
{
    set_f32(d, rsqrt_estimate(low_f32(s)));
}

SIMD_FN(rsqrtps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = rsqrt_estimate(s->d[i]);
}

/* clang-format off */
#define FP_ROW(OP, name) [OP_##OP] = {.fn = do_##name, .attr = ROW_FP}
const struct simd_row simd_packed_rows[] = {
    FP_ROW(HADDPS, haddps), FP_ROW(HADDPD, haddpd), FP_ROW(HSUBPS, hsubps), FP_ROW(HSUBPD, hsubpd),
    FP_ROW(ADDSUBPS, addsubps), FP_ROW(ADDSUBPD, addsubpd),
    FP_ROW(CMPSS, cmpss), FP_ROW(CMPSD_XMM, cmpsd), FP_ROW(CMPPS, cmpps), FP_ROW(CMPPD, cmppd),
    FP_ROW(VCMPSS, vcmpss), FP_ROW(VCMPSD, vcmpsd), FP_ROW(VCMPPS, vcmpps), FP_ROW(VCMPPD, vcmppd),
    FP_ROW(ROUNDSS, roundss), FP_ROW(ROUNDSD, roundsd), FP_ROW(ROUNDPS, roundps), FP_ROW(ROUNDPD, roundpd),
    [OP_RCPSS] = {.fn = do_rcpss}, [OP_RCPPS] = {.fn = do_rcpps},
    [OP_RSQRTSS] = {.fn = do_rsqrtss}, [OP_RSQRTPS] = {.fn = do_rsqrtps},
};
/* clang-format on */
const size_t simd_packed_count = ARRAY_SIZE(simd_packed_rows);
