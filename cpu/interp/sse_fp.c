/* SPDX-License-Identifier: MIT */
/*
 * Floating-point arithmetic: + - * / and square root, minimum and maximum, compares. The hot
 * handlers use the host's arithmetic where sse_fast.h allows it; the meanings are the softfloat's.
 * The rest is in sse_fp_packed.c and sse_convert.c.
 */
#include "cpu/interp/sse_fp.h"

/* ---- DEST := DEST op SRC ---- */

ALWAYS_INLINE int finish_sd(struct vcpu *vcpu, const struct rec *rec, struct sse_try64 r)
{
    if (unlikely(!sse_fast_mxcsr(vcpu->arch.mxcsr) || !r.ok))
        return exec_simd(vcpu, rec);
    xmm_set_low(vcpu, rec->dst, r.value);
    NEXT;
}

ALWAYS_INLINE int finish_ss(struct vcpu *vcpu, const struct rec *rec, struct sse_try32 r)
{
    if (unlikely(!sse_fast_mxcsr(vcpu->arch.mxcsr) || !r.ok))
        return exec_simd(vcpu, rec);
    xmm_set_low32(vcpu, rec->dst, r.value);
    NEXT;
}

/* clang-format off */
#define FP_HOT_SCALAR(name, t, bits, low)                                                               \
    ALWAYS_INLINE int name##t(struct vcpu *vcpu, const struct rec *rec, uint##bits##_t b)               \
    {                                                                                                   \
        return finish_##t(vcpu, rec, sse_try_##name##bits(low(vcpu, rec->dst), b));                     \
    }                                                                                                   \
    SCALAR_FORMS(name##t, name##t, bits, low)
#define FP_TRY_PACKED(name, t, lanes, array, bits)                                                      \
    ALWAYS_INLINE int name##t(struct vcpu *vcpu, const struct rec *rec, union v128 b)                   \
    {                                                                                                   \
        union v128 a = xmm_get(vcpu, rec->dst);                                                         \
        bool ok = sse_fast_mxcsr(vcpu->arch.mxcsr);                                                     \
        for (unsigned i = 0; i < (lanes); i++) {                                                        \
            struct sse_try##bits r = sse_try_##name##bits(a.array[i], b.array[i]);                      \
            a.array[i] = r.value;                                                                       \
            ok &= r.ok;                                                                                 \
        }                                                                                               \
        if (unlikely(!ok))                                                                              \
            return exec_simd(vcpu, rec);                                                                \
        xmm_set(vcpu, rec->dst, a);                                                                     \
        NEXT;                                                                                           \
    }                                                                                                   \
    EXEC(name##t##_r) { return name##t(vcpu, rec, xmm_get(vcpu, rec->src)); }                           \
    EXEC(name##t##_m)                                                                                   \
    {                                                                                                   \
        struct hit at = simd_hit16(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), true);           \
        if (unlikely(!at.ok))                                                                           \
            return exec_simd(vcpu, rec);                                                                \
        return name##t(vcpu, rec, v128_load(at.host));                                                  \
    }
#define FP_MEANINGS(name)                                                                               \
    SIMD_FN(name##ss) { set_f32(d, f32_##name(env, low_f32(d), low_f32(s))); }                          \
    SIMD_FN(name##sd) { d->q[0] = f64_##name(env, d->q[0], s->q[0]); }                                  \
    SIMD_FN(name##ps)                                                                                   \
    {                                                                                                   \
        for (unsigned i = 0; i < 4; i++)                                                                \
            d->d[i] = f32_##name(env, d->d[i], s->d[i]);                                                \
    }                                                                                                   \
    SIMD_FN(name##pd)                                                                                   \
    {                                                                                                   \
        for (unsigned i = 0; i < 2; i++)                                                                \
            d->q[i] = f64_##name(env, d->q[i], s->q[i]);                                                \
    }
#define FP_BINARY(name)                                                                                 \
    FP_HOT_SCALAR(name, ss, 32, xmm_low32) FP_HOT_SCALAR(name, sd, 64, xmm_low)                         \
    FP_TRY_PACKED(name, ps, 4, d, 32) FP_TRY_PACKED(name, pd, 2, q, 64)                                 \
    FP_MEANINGS(name)

/* SDM Vol. 2A, 2B, "ADDPD" ... "MINSS" */
FP_BINARY(add)
FP_BINARY(sub)
FP_BINARY(mul)
FP_BINARY(div)
FP_BINARY(min)
FP_BINARY(max)
/* clang-format on */

/* ---- square root ---- */

SIMD_FN(sqrtss)
{
    set_f32(d, f32_sqrt(env, low_f32(s)));
}

SIMD_FN(sqrtsd)
{
    d->q[0] = f64_sqrt(env, s->q[0]);
}

SIMD_FN(sqrtps)
{
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = f32_sqrt(env, s->d[i]);
}

SIMD_FN(sqrtpd)
{
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = f64_sqrt(env, s->q[i]);
}

ALWAYS_INLINE int sqrtss(struct vcpu *vcpu, const struct rec *rec, uint32_t a)
{
    return finish_ss(vcpu, rec, sse_try_sqrt32(a));
}

ALWAYS_INLINE int sqrtsd(struct vcpu *vcpu, const struct rec *rec, uint64_t a)
{
    return finish_sd(vcpu, rec, sse_try_sqrt64(a));
}

/* clang-format off */
SCALAR_FORMS(sqrtss, sqrtss, 32, xmm_low32)
SCALAR_FORMS(sqrtsd, sqrtsd, 64, xmm_low)

/* DEST, which packed forms don't read, is there to make them look like the others. */
#define sse_try_sqrt_of32(a, b) ((void)(a), sse_try_sqrt32(b))
#define sse_try_sqrt_of64(a, b) ((void)(a), sse_try_sqrt64(b))
FP_TRY_PACKED(sqrt_of, ps, 4, d, 32)
FP_TRY_PACKED(sqrt_of, pd, 2, q, 64)
/* clang-format on */

/* ---- compares into flags.  SDM Vol. 2A, "COMISD", Vol. 2B, "UCOMISD" ---- */

static uint64_t relation_flags(enum fp_relation r)
{
    static const uint8_t flags[] = {
        [FP_LESS] = F_CF, [FP_EQUAL] = F_ZF, [FP_GREATER] = 0, [FP_UNORDERED] = F_ZF | F_PF | F_CF};
    return flags[r];
}

SIMD_FN(comiss)
{
    d->q[0] = relation_flags(f32_compare(env, low_f32(d), low_f32(s), true));
}

SIMD_FN(comisd)
{
    d->q[0] = relation_flags(f64_compare(env, d->q[0], s->q[0], true));
}

SIMD_FN(ucomiss)
{
    d->q[0] = relation_flags(f32_compare(env, low_f32(d), low_f32(s), false));
}

SIMD_FN(ucomisd)
{
    d->q[0] = relation_flags(f64_compare(env, d->q[0], s->q[0], false));
}

/* Plain operands: never unordered, nothing raised, so COMIS and UCOMIS are the same. */
ALWAYS_INLINE int compare_sd(struct vcpu *vcpu, const struct rec *rec, uint64_t a, uint64_t b)
{
    if (unlikely(!sse_plain64(a) || !sse_plain64(b)))
        return exec_simd(vcpu, rec);
    flags_set_status(vcpu, sse_double(a) < sse_double(b)    ? F_CF
                           : sse_double(a) == sse_double(b) ? F_ZF
                                                            : 0);
    NEXT;
}

ALWAYS_INLINE int compare_ss(struct vcpu *vcpu, const struct rec *rec, uint32_t a, uint32_t b)
{
    if (unlikely(!sse_plain32(a) || !sse_plain32(b)))
        return exec_simd(vcpu, rec);
    flags_set_status(vcpu, sse_float(a) < sse_float(b)    ? F_CF
                           : sse_float(a) == sse_float(b) ? F_ZF
                                                          : 0);
    NEXT;
}

ALWAYS_INLINE int comiss(struct vcpu *vcpu, const struct rec *rec, uint32_t b)
{
    return compare_ss(vcpu, rec, xmm_low32(vcpu, rec->dst), b);
}

ALWAYS_INLINE int comisd(struct vcpu *vcpu, const struct rec *rec, uint64_t b)
{
    return compare_sd(vcpu, rec, xmm_low(vcpu, rec->dst), b);
}

/* clang-format off */
SCALAR_FORMS(comiss, comiss, 32, xmm_low32)
SCALAR_FORMS(comisd, comisd, 64, xmm_low)
/* clang-format on */

/* ---- table ---- */

/* clang-format off */
#define FP_ROW(OP, name) \
    [OP_##OP] = {.fn = do_##name, .hot_r = exec_##name##_r, .hot_m = exec_##name##_m, .attr = ROW_FP}
#define FP_ROWS(OP, name) FP_ROW(OP##SS, name##ss), FP_ROW(OP##SD, name##sd), FP_ROW(OP##PS, name##ps), FP_ROW(OP##PD, name##pd)

const struct simd_row simd_fp_rows[] = {
    FP_ROWS(ADD, add), FP_ROWS(SUB, sub), FP_ROWS(MUL, mul), FP_ROWS(DIV, div), FP_ROWS(MIN, min), FP_ROWS(MAX, max),
    [OP_SQRTSS] = {.fn = do_sqrtss, .hot_r = exec_sqrtss_r, .hot_m = exec_sqrtss_m, .attr = ROW_FP},
    [OP_SQRTSD] = {.fn = do_sqrtsd, .hot_r = exec_sqrtsd_r, .hot_m = exec_sqrtsd_m, .attr = ROW_FP},
    [OP_SQRTPS] = {.fn = do_sqrtps, .hot_r = exec_sqrt_ofps_r, .hot_m = exec_sqrt_ofps_m, .attr = ROW_FP},
    [OP_SQRTPD] = {.fn = do_sqrtpd, .hot_r = exec_sqrt_ofpd_r, .hot_m = exec_sqrt_ofpd_m, .attr = ROW_FP},
    [OP_COMISS] = {.fn = do_comiss, .hot_r = exec_comiss_r, .hot_m = exec_comiss_m, .attr = ROW_FP},
    [OP_COMISD] = {.fn = do_comisd, .hot_r = exec_comisd_r, .hot_m = exec_comisd_m, .attr = ROW_FP},
    [OP_UCOMISS] = {.fn = do_ucomiss, .hot_r = exec_comiss_r, .hot_m = exec_comiss_m, .attr = ROW_FP},
    [OP_UCOMISD] = {.fn = do_ucomisd, .hot_r = exec_comisd_r, .hot_m = exec_comisd_m, .attr = ROW_FP},
};
/* clang-format on */
const size_t simd_fp_count = ARRAY_SIZE(simd_fp_rows);

exec_fn *select_sse_fp(struct selection *s, struct rec *rec)
{
    unsigned op = s->in->op;
    const struct simd_row *row = simd_row_of(simd_fp_rows, simd_fp_count, op);
    if (!row)
        row = simd_row_of(simd_packed_rows, simd_packed_count, op);
    if (!row)
        row = simd_row_of(simd_convert_rows, simd_convert_count, op);
    if (row)
        return simd_select(row, s, rec);
    exec_fn *fn = sse_select_convert_gpr(s, rec, op);
    return fn ? fn : sse_select_dot(s, rec);
}
