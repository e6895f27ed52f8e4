/* SPDX-License-Identifier: MIT */
/* VEX instructions that move elements about by a control, and across 128-bit lanes: permutes,
 * inserts and extracts of lanes, blends by a register; sums of products onto DEST (AVX-VNNI). */
#include "cpu/interp/avx.h"

/* ---- within lanes.  SDM Vol. 2C, "VPERMILPS", "VPERMILPD" ---- */

SIMD_FN(permilps)
{
    union v128 a = *d;
    for (unsigned i = 0; i < 4; i++)
        d->d[LANE_D(i)] = a.d[LANE_D(s->d[LANE_D(i)] & 3)];
}

SIMD_FN(permilpd)
{
    *d = v128_make(d->q[s->q[0] >> 1 & 1], d->q[s->q[1] >> 1 & 1]);
}

SIMD_FN(permilps_imm)
{
    *d = v_pshufd(*s, imm);
}

SIMD_FN(permilpd_imm)
{
    *d = v128_make(s->q[imm & 1], s->q[imm >> 1 & 1]);
}

/* ---- across lanes ---- */

/* A lane of four, or zero. SDM Vol. 2C, "VPERM2F128", "VPERM2I128". */
static union v128 chosen_lane(const struct vex_operands *x, unsigned control)
{
    const struct v256 *v = control & 2 ? &x->b : &x->a;
    return control & 8 ? v128_make(0, 0) : v->lane[control & 1];
}

static struct v256 perm2x128(const struct vex_operands *x)
{
    return (struct v256){{chosen_lane(x, x->imm), chosen_lane(x, x->imm >> 4)}};
}

/* The last source's doublewords as SRC1's say. SDM Vol. 2C, "VPERMD/VPERMW", "VPERMPS". */
static struct v256 permd(const struct vex_operands *x)
{
    struct v256 r;
    for (unsigned i = 0; i < 8; i++) {
        unsigned from = x->a.lane[i / 4].d[LANE_D(i & 3)] & 7;
        r.lane[i / 4].d[LANE_D(i & 3)] = x->b.lane[from / 4].d[LANE_D(from & 3)];
    }
    return r;
}

/* SDM Vol. 2C, "VPERMQ", "VPERMPD" by immediate. */
static struct v256 permq(const struct vex_operands *x)
{
    struct v256 r;
    for (unsigned i = 0; i < 4; i++) {
        unsigned from = x->imm >> 2 * i & 3;
        r.lane[i / 2].q[i & 1] = x->b.lane[from / 2].q[from & 1];
    }
    return r;
}

static struct v256 insert128(const struct vex_operands *x)
{
    struct v256 r = x->a;
    r.lane[x->imm & 1] = x->b.lane[0];
    return r;
}

static struct v256 extract128(const struct vex_operands *x)
{
    return (struct v256){{x->b.lane[x->imm & 1], v128_make(0, 0)}};
}

/* ---- blends ---- */

/* clang-format off */
#define BLEND(name, bytes)                                                                   \
    static struct v256 name(const struct vex_operands *x)                                    \
    {                                                                                        \
        struct v256 r;                                                                       \
        for (unsigned i = 0; i < 2; i++)                                                     \
            r.lane[i] = simd_blend(x->a.lane[i], x->b.lane[i], x->mask.lane[i], bytes);      \
        return r;                                                                            \
    }
BLEND(pblendvb, 1)
BLEND(blendvps, 4)
BLEND(blendvpd, 8)
/* clang-format on */

/* ---- AVX-VNNI.  SDM Vol. 2C, "VPDPBUSD", "VPDPBUSDS", "VPDPWSSD", "VPDPWSSDS" ---- */

static uint32_t saturate(int64_t v)
{
    return (uint32_t)(v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v);
}

/* Four unsigned bytes of SRC1 by four signed ones. */
static int64_t dot_bytes(uint32_t a, uint32_t b)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < 32; i += 8)
        sum += (uint8_t)(a >> i) * (int8_t)(b >> i);
    return sum;
}

static int64_t dot_words(uint32_t a, uint32_t b)
{
    return (int64_t)((int16_t)a * (int16_t)b) + (int64_t)((int16_t)(a >> 16) * (int16_t)(b >> 16));
}

/* clang-format off */
#define DOT(name, dot, finish)                                                               \
    static struct v256 name(const struct vex_operands *x)                                    \
    {                                                                                        \
        struct v256 r;                                                                       \
        for (unsigned i = 0; i < 8; i++) {                                                   \
            int64_t sum = dot(x->a.lane[i / 4].d[i & 3], x->b.lane[i / 4].d[i & 3]);         \
            r.lane[i / 4].d[i & 3] = finish((int32_t)x->d.lane[i / 4].d[i & 3] + sum);       \
        }                                                                                    \
        return r;                                                                            \
    }
DOT(pdpbusd, dot_bytes, (uint32_t))
DOT(pdpbusds, dot_bytes, saturate)
DOT(pdpwssd, dot_words, (uint32_t))
DOT(pdpwssds, dot_words, saturate)
/* clang-format on */

/* ---- choosing ---- */

static exec_fn *select_whole(const struct selection *s, struct rec *rec)
{
    static const struct {
        uint16_t op; /* enum op */
        vex_fn *fn;  /* its meaning */
    } rows[] = {
        {OP_VPERM2F128, perm2x128},    {OP_VPERM2I128, perm2x128},  {OP_VPERMD, permd},
        {OP_VPERMPS, permd},           {OP_VPERMQ, permq},          {OP_VPERMPD, permq},
        {OP_VINSERTF128, insert128},   {OP_VINSERTI128, insert128}, {OP_VEXTRACTF128, extract128},
        {OP_VEXTRACTI128, extract128}, {OP_VPBLENDVB, pblendvb},    {OP_VBLENDVPS, blendvps},
        {OP_VBLENDVPD, blendvpd},      {OP_VPDPBUSD, pdpbusd},      {OP_VPDPBUSDS, pdpbusds},
        {OP_VPDPWSSD, pdpwssd},        {OP_VPDPWSSDS, pdpwssds},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].op == s->in->op)
            return vex_select_whole(s, rec, rows[i].fn);
    return NULL;
}

exec_fn *avx_select_permute(struct selection *s, struct rec *rec)
{
    bool by_imm = s->in->operand_count == 3 && s->in->operands[2].kind == OPND_IMM;
    switch (s->in->op) {
    case OP_VPERMILPS:
        return vex_select_lanes(s, rec, by_imm ? do_permilps_imm : do_permilps, 0);
    case OP_VPERMILPD:
        return vex_select_lanes(s, rec, by_imm ? do_permilpd_imm : do_permilpd, ROW_IMM_UP(2));
    default:
        return select_whole(s, rec);
    }
}
