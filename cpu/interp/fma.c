/* SPDX-License-Identifier: MIT */
/* FMA3: SDM Vol. 1, "Fused-Multiply-ADD (FMA) Numeric Behavior"; Vol. 2C, "VFMADD132PD" ... */
#include "cpu/interp/avx.h"

#include "cpu/softfloat/sse_fast.h"

/* rec->link. */
enum {
    FMA_NEGATE = 3 << 0, /* FP_NEGATE_* */
    FMA_ADDSUB = 1 << 2, /* odd elements add, even ones subtract */
    FMA_SUBADD = 1 << 3, /* the reverse */
    FMA_DOUBLE = 1 << 4, /* of elements */
    FMA_SCALAR = 1 << 5, /* the lowest element only */
    FMA_ORDER_SHIFT = 6, /* 2 bits: enum fma_order */
};

/* The digits of the mnemonic: which operands are multiplied, and which is added. */
enum fma_order { FMA_132, FMA_213, FMA_231 };

struct fma_operands {
    struct v256 x, y, z; /* x * y + z */
};

static struct fma_operands in_order(const struct rec *rec, struct v256 d, struct v256 a,
                                    struct v256 b)
{
    switch ((enum fma_order)(rec->link >> FMA_ORDER_SHIFT & 3)) {
    case FMA_132:
        return (struct fma_operands){d, b, a};
    case FMA_213:
        return (struct fma_operands){a, d, b};
    default:
        return (struct fma_operands){a, b, d};
    }
}

/* FP_NEGATE_* of element i. */
static unsigned negate_of(const struct rec *rec, unsigned i)
{
    if (rec->link & FMA_ADDSUB)
        return i & 1 ? 0 : FP_NEGATE_ADDEND;
    if (rec->link & FMA_SUBADD)
        return i & 1 ? FP_NEGATE_ADDEND : 0;
    return (unsigned)rec->link & FMA_NEGATE;
}

/* Elements of the lanes there are; of a scalar form one. What is not computed stays in *d. */
static void compute(const struct rec *rec, struct fp_env *env, const struct fma_operands *o,
                    struct v256 *d)
{
    unsigned lanes = rec->imm & VEX_256 ? 2 : 1;
    unsigned count = rec->link & FMA_SCALAR ? 1 : lanes * (rec->link & FMA_DOUBLE ? 2 : 4);
    for (unsigned i = 0; i < count; i++) {
        unsigned negate = negate_of(rec, i);
        if (rec->link & FMA_DOUBLE) {
            unsigned l = i / 2, e = i & 1;
            d->lane[l].q[e] =
                sse_fma64(env, o->x.lane[l].q[e], o->y.lane[l].q[e], o->z.lane[l].q[e], negate);
        } else {
            unsigned l = i / 4, e = LANE_D(i & 3);
            d->lane[l].d[e] =
                sse_fma32(env, o->x.lane[l].d[e], o->y.lane[l].d[e], o->z.lane[l].d[e], negate);
        }
    }
}

static NOINLINE bool fma_work(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = sse_env(vcpu);
    struct v256 b, d = ymm_get(vcpu, rec->dst);
    if (!vex_source(vcpu, rec, &b))
        return false;
    struct fma_operands o = in_order(rec, d, ymm_get(vcpu, vex_a(rec)), b);
    compute(rec, &env, &o, &d);
    if (!sse_settle(vcpu, &env))
        return false;
    if (!(rec->imm & VEX_256))
        d.lane[1] = v128_make(0, 0);
    ymm_set(vcpu, rec->dst, d);
    return true;
}

EXEC(fma)
{
    if (unlikely(!fma_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/*
 * The opcode says it all: high digit 9, A, B the order; low digit 6 ADDSUB, 7 SUBADD, from 8 on
 * MADD, MSUB, NMADD, NMSUB, each packed, then scalar. VEX.W: double.
 */
exec_fn *avx_select_fma(struct selection *s, struct rec *rec)
{
    static const uint8_t negate[] = {0, FP_NEGATE_ADDEND, FP_NEGATE_PRODUCT,
                                     FP_NEGATE_PRODUCT | FP_NEGATE_ADDEND};
    unsigned low = s->in->opcode & 15;
    if (insn_row(s->in->row)->feature != FEAT_FMA)
        return NULL;
    vex_prepare(s, rec, NULL, ROW_FP);
    rec->link = (uint64_t)((s->in->opcode >> 4) - 9u) << FMA_ORDER_SHIFT;
    if (low < 8)
        rec->link |= low == 6 ? FMA_ADDSUB : FMA_SUBADD;
    else
        rec->link |= negate[(low - 8) >> 1] | (low & 1 ? FMA_SCALAR : 0u);
    rec->link |= s->in->vex_w ? FMA_DOUBLE : 0;
    return exec_fma;
}
