/* SPDX-License-Identifier: MIT */
/*
 * What the VEX families share: the YMM registers, the record of such an instruction, and the one
 * handler that makes a three-operand instruction of a legacy SSE meaning (exec_vex). Included by
 * cpu/interp/avx*.c and fma.c alone. Owns nothing.
 *
 * Most VEX instructions do to each 128-bit lane what their legacy form does to an XMM register:
 * DEST starts as SRC1, takes the legacy meaning with SRC2, and what is above is zero. So their
 * meanings stand in the legacy rows (avx.c says which), and only what crosses lanes has a meaning
 * of its own.
 *
 * A record as in sse.h, but: `src` is the last source operand and `base` SRC1, or, where the last
 * source is memory, `src` is SRC1.
 */
#pragma once

#include "cpu/interp/sse.h"

struct v256 {
    union v128 lane[2]; /* bits 127:0, bits 255:128 */
};

/* rec->imm beyond the bits of sse.h. */
enum {
    VEX_256 = 1 << 21,    /* two lanes */
    VEX_MERGE = 1 << 22,  /* DEST starts as SRC1 */
    VEX_NARROW = 1 << 23, /* each lane has half a lane of result */
    VEX_STEP_SHIFT = 24,  /* 3 bits: enum vex_step */
    VEX_IMM_SHIFT = 27,   /* 3 bits: the upper lane's immediate is that far up */
};

/* Where the upper lane finds its source. */
enum vex_step {
    STEP_SAME, /* with the lower lane's: a count */
    STEP_2,    /* so many bytes on */
    STEP_4,
    STEP_8,
    STEP_16,
};

/* Attributes of a row beyond ROW_FP. */
enum {
    ROW_ALIGNED = 1 << 2, /* the memory operand must be aligned: few VEX instructions want that */
    ROW_COUNT = 1 << 3,   /* the last operand is a count for all lanes; an immediate is one too */
    ROW_IMM_UP_SHIFT = 4, /* 3 bits: VEX_IMM_SHIFT */
};
#define ROW_IMM_UP(n) ((n) << ROW_IMM_UP_SHIFT)

/* The handler for all that have a legacy meaning; hot handlers end in it when they can't. */
exec_fn exec_vex;

/* rec's operands, rec->imm and rec->link (fn) for exec_vex and the workers below. */
void vex_prepare(const struct selection *s, struct rec *rec, simd_fn *fn, unsigned attr);

/* The last source, zero-extended. False: run.fault. */
bool vex_source(struct vcpu *vcpu, const struct rec *rec, struct v256 *s);

/* Memory of 16 or 32 bytes := d. */
bool vex_store(struct vcpu *vcpu, const struct rec *rec, const struct v256 *d);

/* Is it one on YMM registers? */
bool vex_is_256(const struct insn *in);

/* Whole registers at once, for what crosses lanes and reports no exception of its own. */
struct vex_operands {
    struct v256 d;    /* what DEST was, or the first operand of a test */
    struct v256 a;    /* SRC1 */
    struct v256 b;    /* the last source, zero-extended */
    struct v256 mask; /* the register in the immediate's upper half */
    unsigned imm;     /* the immediate */
    unsigned lanes;   /* 1 or 2 */
};
typedef struct v256 vex_fn(const struct vex_operands *x);

/* The handler for a meaning on lanes, and for one on whole registers, with everything prepared. */
exec_fn *vex_select_lanes(const struct selection *s, struct rec *rec, simd_fn *fn, unsigned attr);
exec_fn *vex_select_whole(const struct selection *s, struct rec *rec, vex_fn *fn);

/* Families: NULL, not mine. */
select_fn avx_select_move;    /* moves, broadcasts, VZEROUPPER, VZEROALL */
select_fn avx_select_int;     /* packed integers without legacy form, tests, masks */
select_fn avx_select_fp;      /* dot products, half precision */
select_fn avx_select_permute; /* across lanes, blends by register */
select_fn avx_select_masked;  /* VMASKMOV, VPMASKMOV, gathers */
select_fn avx_select_fma;     /* FMA3 */

/* Short cuts for what exec_vex could do as well, or NULL. The record is prepared. */
exec_fn *avx_hot_int(const struct selection *s, const struct rec *rec);
exec_fn *avx_hot_fp(const struct selection *s, const struct rec *rec);

/* Index of a table of such handlers: by register or memory in SIMD_M64 shape, 128 or 256 bits. */
enum vex_form { VEX_R128, VEX_R256, VEX_M128, VEX_M256, VEX_FORMS };
enum vex_form vex_form_of(const struct selection *s,
                          const struct rec *rec); /* VEX_FORMS: neither */

/* ---- registers ---- */

ALWAYS_INLINE struct v256 ymm_get(const struct vcpu *vcpu, unsigned n)
{
    struct v256 v;
    memcpy(&v, &vcpu->arch.ymm[4 * n], sizeof(v));
    return v;
}

ALWAYS_INLINE void ymm_set(struct vcpu *vcpu, unsigned n, struct v256 v)
{
    memcpy(&vcpu->arch.ymm[4 * n], &v, sizeof(v));
}

/* Lane by lane, for short cuts: compilers keep a struct v256 in memory. */
ALWAYS_INLINE union v128 ymm_lane(const struct vcpu *vcpu, unsigned n, unsigned lane)
{
    union v128 v;
    memcpy(&v, &vcpu->arch.ymm[4 * n + 2 * lane], sizeof(v));
    return v;
}

ALWAYS_INLINE void ymm_set_lanes(struct vcpu *vcpu, unsigned n, union v128 low, union v128 high)
{
    memcpy(&vcpu->arch.ymm[4 * n], &low, sizeof(low));
    memcpy(&vcpu->arch.ymm[4 * n + 2], &high, sizeof(high));
}

/* Bits 255:128 := 0. */
ALWAYS_INLINE void ymm_set_low(struct vcpu *vcpu, unsigned n, union v128 v)
{
    ymm_set_lanes(vcpu, n, v, v128_make(0, 0));
}

ALWAYS_INLINE struct v256 v256_load(const uint8_t *p)
{
    return (struct v256){{v128_load(p), v128_load(p + 16)}};
}

ALWAYS_INLINE void v256_store(uint8_t *p, struct v256 v)
{
    v128_store(p, v.lane[0]);
    v128_store(p + 16, v.lane[1]);
}

/* SRC1. */
ALWAYS_INLINE unsigned vex_a(const struct rec *rec)
{
    return rec_source(rec) == PLACE_MEM ? rec->src : rec->base;
}
