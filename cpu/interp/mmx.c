/* SPDX-License-Identifier: MIT */
/*
 * MMX registers: moves and EMMS; arithmetic is by the tables of the SSE families. MMi is the
 * significand of R(i). SDM Vol. 1, "Programming with Intel MMX Technology"; Vol. 3A, "Aliasing of
 * the x87 FPU Registers", table "Effects of MMX Instructions on x87 FPU State".
 */
#include "cpu/interp/sse.h"
#include "cpu/interp/x87.h"

/* MOVD, MOVQ, MOVNTQ, MOVQ2DQ, MOVDQ2Q: zero-extended. */
SIMD_FN(copy)
{
    *d = *s;
}

/* All registers empty, TOP 0. */
EXEC(emms)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    vcpu->arch.fsw &= (uint16_t)~FSW_TOP;
    vcpu->arch.ftw = 0;
    NEXT;
}

static const struct simd_row *row_of(unsigned op)
{
    static const struct simd_row copy = {.fn = do_copy, .mmx = do_copy};
    switch (op) {
    case OP_MOVD:
    case OP_MOVQ:
    case OP_MOVNTQ:
    case OP_MOVQ2DQ:
    case OP_MOVDQ2Q:
        return &copy;
    default:
        break;
    }
    const struct simd_row *row = simd_row_of(simd_int_rows, simd_int_count, op);
    if (!row)
        row = simd_row_of(simd_shuffle_rows, simd_shuffle_count, op);
    return row && row->mmx ? row : NULL;
}

exec_fn *select_mmx(struct selection *s, struct rec *rec)
{
    exec_fn *unavailable = simd_unavailable(s);
    if (s->in->op == OP_EMMS)
        return unavailable ? unavailable : exec_emms;
    if (!simd_has_mmx(s->in))
        return NULL;
    const struct simd_row *row = row_of(s->in->op);
    return row ? simd_select(row, s, rec) : sse_select_masked(s, rec);
}
