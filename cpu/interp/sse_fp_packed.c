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

/*
 * Products chosen by imm 7:4 (else +0.0), added in pairs, then the pairs; written where imm 3:0
 * says. Each step reports its exceptions before the next is computed: an unmasked one ends the
 * instruction with the flags so far.
 */
static bool step_done(struct vcpu *vcpu, struct fp_env *env)
{
    bool ok = sse_settle(vcpu, env);
    env->flags &= env->masks == FP_ALL ? FP_ALL : 0;
    return ok;
}

static NOINLINE bool dpps_work(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = sse_env(vcpu);
    union v128 s, d = xmm_get(vcpu, rec->dst);
    unsigned imm = simd_imm8(rec);
    uint32_t p[4] = {0};
    if (!simd_source(vcpu, rec, &s))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (imm >> (4 + i) & 1)
            p[i] = sse_mul32(&env, d.d[LANE_D(i)], s.d[LANE_D(i)]);
    if (!step_done(vcpu, &env))
        return false;
    uint32_t low = sse_add32(&env, p[0], p[1]), high = sse_add32(&env, p[2], p[3]);
    if (!step_done(vcpu, &env))
        return false;
    uint32_t sum = sse_add32(&env, low, high);
    if (!step_done(vcpu, &env))
        return false;
    for (unsigned i = 0; i < 4; i++)
        d.d[LANE_D(i)] = imm >> i & 1 ? sum : 0;
    xmm_set(vcpu, rec->dst, d);
    return true;
}

static NOINLINE bool dppd_work(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = sse_env(vcpu);
    union v128 s, d = xmm_get(vcpu, rec->dst);
    unsigned imm = simd_imm8(rec);
    uint64_t p[2] = {0};
    if (!simd_source(vcpu, rec, &s))
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (imm >> (4 + i) & 1)
            p[i] = sse_mul64(&env, d.q[i], s.q[i]);
    if (!step_done(vcpu, &env))
        return false;
    uint64_t sum = sse_add64(&env, p[0], p[1]);
    if (!step_done(vcpu, &env))
        return false;
    xmm_set(vcpu, rec->dst, v128_make(imm & 1 ? sum : 0, imm & 2 ? sum : 0));
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

/* Predicates 1, 2, 5, 6 signal on QNaNs. Only imm 2:0 counts without VEX. */
static bool is_signalling(unsigned imm)
{
    return ((imm & 3) == 1) | ((imm & 3) == 2);
}

static bool holds(enum fp_relation r, unsigned imm)
{
    bool yes = false;
    switch (imm & 3) {
    case 0:
        yes = r == FP_EQUAL;
        break;
    case 1:
        yes = r == FP_LESS;
        break;
    case 2:
        yes = r == FP_LESS || r == FP_EQUAL;
        break;
    default:
        yes = r == FP_UNORDERED;
        break;
    }
    return yes != (imm >> 2 & 1);
}

static uint32_t cmp_f32(struct fp_env *env, uint32_t a, uint32_t b, unsigned imm)
{
    return holds(compare_f32(env, a, b, is_signalling(imm)), imm) ? UINT32_MAX : 0;
}

static uint64_t cmp_f64(struct fp_env *env, uint64_t a, uint64_t b, unsigned imm)
{
    return holds(compare_f64(env, a, b, is_signalling(imm)), imm) ? UINT64_MAX : 0;
}

SIMD_FN(cmpss)
{
    set_f32(d, cmp_f32(env, low_f32(d), low_f32(s), imm));
}

SIMD_FN(cmpsd)
{
    d->q[0] = cmp_f64(env, d->q[0], s->q[0], imm);
}

SIMD_FN(cmpps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = cmp_f32(env, d->d[i], s->d[i], imm);
}

SIMD_FN(cmppd)
{
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = cmp_f64(env, d->q[i], s->q[i], imm);
}

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
    FP_ROW(ROUNDSS, roundss), FP_ROW(ROUNDSD, roundsd), FP_ROW(ROUNDPS, roundps), FP_ROW(ROUNDPD, roundpd),
    [OP_RCPSS] = {.fn = do_rcpss}, [OP_RCPPS] = {.fn = do_rcpps},
    [OP_RSQRTSS] = {.fn = do_rsqrtss}, [OP_RSQRTPS] = {.fn = do_rsqrtps},
};
/* clang-format on */
const size_t simd_packed_count = ARRAY_SIZE(simd_packed_rows);
