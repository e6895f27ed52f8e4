/* SPDX-License-Identifier: MIT */
/*
 * SSE4A's bit fields: EXTRQ, INSERTQ (APM Vol. 4). MOVNTSS and MOVNTSD are moves: sse_move.c. AMD
 * only. Where the manual says "undefined" (bits 127:64 of DEST, a field that reaches beyond bit 63)
 * this does what family 1Ah does: zeros above, and the field is cut off.
 */
#include "cpu/interp/sse.h"

/* A field: its length in bits (0 means 64) and its lowest bit. */
static uint64_t field_mask(unsigned length)
{
    length &= 63;
    return length == 0 ? UINT64_MAX : low_mask(length);
}

static uint64_t extract(uint64_t v, unsigned length, unsigned index)
{
    return v >> (index & 63) & field_mask(length);
}

static uint64_t insert(uint64_t v, uint64_t field, unsigned length, unsigned index)
{
    uint64_t mask = field_mask(length);
    index &= 63;
    return (v & ~(mask << index)) | (field & mask) << index;
}

/* rec->imm: the first immediate; the second took the place of a displacement. */
EXEC(extrq_i)
{
    uint64_t v = xmm_low(vcpu, rec->dst);
    xmm_set(vcpu, rec->dst, v128_make(extract(v, simd_imm8(rec), (unsigned)rec->disp), 0));
    NEXT;
}

EXEC(extrq_r)
{
    unsigned control = xmm_low32(vcpu, rec->src);
    uint64_t v = xmm_low(vcpu, rec->dst);
    xmm_set(vcpu, rec->dst, v128_make(extract(v, control, control >> 8), 0));
    NEXT;
}

EXEC(insertq_i)
{
    uint64_t v = insert(xmm_low(vcpu, rec->dst), xmm_low(vcpu, rec->src), simd_imm8(rec),
                        (unsigned)rec->disp);
    xmm_set(vcpu, rec->dst, v128_make(v, 0));
    NEXT;
}

EXEC(insertq_r)
{
    unsigned control = (unsigned)vcpu->arch.ymm[4 * rec->src + 1];
    uint64_t v = insert(xmm_low(vcpu, rec->dst), xmm_low(vcpu, rec->src), control, control >> 8);
    xmm_set(vcpu, rec->dst, v128_make(v, 0));
    NEXT;
}

exec_fn *sse_select_sse4a(struct selection *s, struct rec *rec)
{
    bool by_imm = s->in->operand_count > 2;
    if (s->in->op != OP_EXTRQ && s->in->op != OP_INSERTQ)
        return NULL;
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    rec->disp = (int32_t)s->in->imm2;
    if (s->in->op == OP_EXTRQ)
        return by_imm ? exec_extrq_i : exec_extrq_r;
    return by_imm ? exec_insertq_i : exec_insertq_r;
}
