/* SPDX-License-Identifier: MIT */
/*
 * FADD FMUL FSUB FSUBR FDIV FDIVR in all their forms: register with register, with pop, and with a
 * float, double or integer in memory. Normal numbers take a quick path in the handler; the rest
 * goes to the softfloat.
 */
#include "cpu/interp/x87_operand.h"

enum { REVERSED = 4 }; /* in kind, beside enum fp_op: DEST := SRC op DEST */

static struct f80 compute(struct fp_env *env, unsigned kind, struct f80 dst, struct x87_operand src)
{
    enum fp_op op = (enum fp_op)(kind & 3);
    if (kind & REVERSED)
        return f80_arith(env, op, src.value, dst, src.denormal);
    return f80_arith(env, op, dst, src.value, src.denormal);
}

/* ST(i) := ST(i) op SRC. */
static void arith(struct vcpu *vcpu, const struct rec *rec, unsigned i, bool is_empty,
                  struct x87_operand src)
{
    if (is_empty) {
        if (x87_underflow(vcpu)) {
            st_set(vcpu, i, f80_indefinite());
            st_pops(vcpu, x87_pops(rec));
        }
        return;
    }
    struct fp_env env = x87_env(vcpu);
    struct f80 r = compute(&env, x87_kind(rec), st_get(vcpu, i), src);
    x87_settle(vcpu, &env);
    if (fp_x87_commits(&env)) {
        st_set(vcpu, i, r);
        st_pops(vcpu, x87_pops(rec));
    }
}

static NOINLINE bool arith_reg(struct vcpu *vcpu, const struct rec *rec)
{
    struct x87_operand src = {.value = st_get(vcpu, rec->src), .ok = true};
    x87_point(vcpu, rec);
    arith(vcpu, rec, rec->dst, st_empty(vcpu, rec->dst) || st_empty(vcpu, rec->src), src);
    return true;
}

static NOINLINE bool arith_mem(struct vcpu *vcpu, const struct rec *rec)
{
    struct x87_operand src = x87_operand(vcpu, rec);
    if (!src.ok)
        return false;
    x87_point_mem(vcpu, rec);
    arith(vcpu, rec, 0, st_empty(vcpu, 0), src);
    return true;
}

X87_EXEC(arith_mem, arith_mem)

/* ---- quick ---- */

ALWAYS_INLINE struct x87_quick quick(const struct vcpu *vcpu, unsigned kind, struct f80 dst,
                                     struct f80 src)
{
    unsigned fcw = vcpu->arch.fcw;
    struct f80 a = kind & REVERSED ? src : dst;
    struct f80 b = kind & REVERSED ? dst : src;
    if (unlikely(!f80_is_normal(a) || !f80_is_normal(b) || !x87_is_plain(vcpu)))
        return (struct x87_quick){.ok = false};
    switch (kind & 3) {
    case FP_MUL:
        return x87_quick_mul(fcw, a, b);
    case FP_DIV:
        return x87_quick_div(fcw, a, b);
    case FP_SUB:
        b.se ^= 0x8000;
        return x87_quick_add(fcw, a, b);
    default:
        return x87_quick_add(fcw, a, b);
    }
}

/* The outcome of a quick path: PE is masked. */
ALWAYS_INLINE void commit(struct vcpu *vcpu, unsigned i, struct x87_quick q)
{
    x87_set_cc(vcpu, FSW_C1, q.up ? FSW_C1 : 0);
    vcpu->arch.fsw |= q.inexact ? FP_PE : 0;
    st_set(vcpu, i, q.value);
}

/* Registers with each other: one body, a handler per operation. */
ALWAYS_INLINE bool reg_form(struct vcpu *vcpu, const struct rec *rec, unsigned kind)
{
    unsigned d = rec->dst, s = rec->src;
    if (unlikely(!x87_ready(vcpu)))
        return false;
    if (likely(!st_empty(vcpu, d) && !st_empty(vcpu, s))) {
        struct x87_quick q = quick(vcpu, kind, st_get(vcpu, d), st_get(vcpu, s));
        if (likely(q.ok)) {
            x87_point(vcpu, rec);
            commit(vcpu, d, q);
            if (x87_pops(rec))
                st_pop(vcpu);
            return true;
        }
    }
    return arith_reg(vcpu, rec);
}

/* ST(0) with a float or double in memory. */
ALWAYS_INLINE bool mem_form(struct vcpu *vcpu, const struct rec *rec, unsigned kind, bool is_double)
{
    if (unlikely(!x87_ready(vcpu)))
        return false;
    struct loaded m = x87_load(vcpu, rec, is_double ? 8 : 4);
    if (unlikely(!m.ok))
        return false;
    struct x87_quick src = is_double ? x87_quick_f64(m.value) : x87_quick_f32((uint32_t)m.value);
    if (likely(src.ok && !st_empty(vcpu, 0))) {
        struct x87_quick q = quick(vcpu, kind, st_get(vcpu, 0), src.value);
        if (likely(q.ok)) {
            x87_point_mem(vcpu, rec);
            commit(vcpu, 0, q);
            return true;
        }
    }
    return arith_mem(vcpu, rec);
}

#define FORMS(name, kind)                                                                          \
    EXEC(name##_reg)                                                                               \
    {                                                                                              \
        if (unlikely(!reg_form(vcpu, rec, (kind))))                                                \
            return exec_fault(vcpu, rec);                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    EXEC(name##_m32)                                                                               \
    {                                                                                              \
        if (unlikely(!mem_form(vcpu, rec, (kind), false)))                                         \
            return exec_fault(vcpu, rec);                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    EXEC(name##_mem)                                                                               \
    {                                                                                              \
        if (x87_format(rec) == X87_F32)                                                            \
            return exec_##name##_m32(vcpu, rec);                                                   \
        if (unlikely(!mem_form(vcpu, rec, (kind), true)))                                          \
            return exec_fault(vcpu, rec);                                                          \
        NEXT;                                                                                      \
    }

FORMS(fadd, FP_ADD)
FORMS(fmul, FP_MUL)
FORMS(fsub, FP_SUB)
FORMS(fsubr, FP_SUB | REVERSED)
FORMS(fdiv, FP_DIV)
FORMS(fdivr, FP_DIV | REVERSED)

const struct x87_row x87_arith_rows[] = {
    {OP_FADD, exec_fadd_reg, exec_fadd_mem, FP_ADD, 0},
    {OP_FMUL, exec_fmul_reg, exec_fmul_mem, FP_MUL, 0},
    {OP_FSUB, exec_fsub_reg, exec_fsub_mem, FP_SUB, 0},
    {OP_FSUBR, exec_fsubr_reg, exec_fsubr_mem, FP_SUB | REVERSED, 0},
    {OP_FDIV, exec_fdiv_reg, exec_fdiv_mem, FP_DIV, 0},
    {OP_FDIVR, exec_fdivr_reg, exec_fdivr_mem, FP_DIV | REVERSED, 0},
    {OP_FADDP, exec_fadd_reg, NULL, FP_ADD, 1},
    {OP_FMULP, exec_fmul_reg, NULL, FP_MUL, 1},
    {OP_FSUBP, exec_fsub_reg, NULL, FP_SUB, 1},
    {OP_FSUBRP, exec_fsubr_reg, NULL, FP_SUB | REVERSED, 1},
    {OP_FDIVP, exec_fdiv_reg, NULL, FP_DIV, 1},
    {OP_FDIVRP, exec_fdivr_reg, NULL, FP_DIV | REVERSED, 1},
    {OP_FIADD, NULL, exec_arith_mem, FP_ADD, 0},
    {OP_FIMUL, NULL, exec_arith_mem, FP_MUL, 0},
    {OP_FISUB, NULL, exec_arith_mem, FP_SUB, 0},
    {OP_FISUBR, NULL, exec_arith_mem, FP_SUB | REVERSED, 0},
    {OP_FIDIV, NULL, exec_arith_mem, FP_DIV, 0},
    {OP_FIDIVR, NULL, exec_arith_mem, FP_DIV | REVERSED, 0},
    {OP_INVALID, NULL, NULL, 0, 0},
};
