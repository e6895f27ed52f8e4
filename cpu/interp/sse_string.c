/* SPDX-License-Identifier: MIT */
/* PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. SDM Vol. 1, "String and Text Processing
 * Instructions"; Vol. 2B, "Imm8 Control Byte Operation for
 * PCMPESTRI/PCMPESTRM/PCMPISTRI/PCMPISTRM". */
#include "cpu/interp/sse.h"

/* The immediate. */
enum {
    STR_WORDS = 1 << 0,
    STR_SIGNED = 1 << 1,
    STR_AGGREGATION = 3 << 2,
    STR_EQUAL_ANY = 0 << 2,
    STR_RANGES = 1 << 2,
    STR_EQUAL_EACH = 2 << 2,
    STR_EQUAL_ORDERED = 3 << 2,
    STR_NEGATIVE = 1 << 4, /* polarity */
    STR_MASKED = 1 << 5,   /* of valid elements only */
    STR_LAST = 1 << 6,     /* index of the most significant; mask of whole elements */
};

/* One operand as elements, widened by their sign. */
struct text {
    int32_t at[16]; /* elements */
    unsigned valid; /* how many are */
};

/* Elements of v; those before the first null are valid. */
static struct text text_of(const union v128 *v, unsigned imm)
{
    struct text t = {.valid = 0};
    unsigned n = imm & STR_WORDS ? 8 : 16;
    bool ended = false;
    for (unsigned i = 0; i < n; i++) {
        uint32_t e = imm & STR_WORDS ? v->w[LANE_W(i)] : v->b[LANE_B(i)];
        ended |= e == 0;
        t.valid += !ended;
        if (imm & STR_SIGNED)
            e = (uint32_t)sext(e, imm & STR_WORDS ? 16 : 8);
        t.at[i] = (int32_t)e;
    }
    return t;
}

static bool equal_any(const struct text *set, int32_t e)
{
    for (unsigned i = 0; i < set->valid; i++)
        if (set->at[i] == e)
            return true;
    return false;
}

/* Pairs of bounds; an odd one at the end is no pair. */
static bool in_ranges(const struct text *set, int32_t e)
{
    for (unsigned i = 0; i + 1 < set->valid; i += 2)
        if (set->at[i] <= e && e <= set->at[i + 1])
            return true;
    return false;
}

/* Does `needle` stand at element j, as far as the register goes? Its invalid elements match
 * anything. */
static bool stands_at(const struct text *needle, const struct text *hay, unsigned j, unsigned n)
{
    for (unsigned i = 0; i < needle->valid && i + j < n; i++)
        if (i + j >= hay->valid || needle->at[i] != hay->at[i + j])
            return false;
    return true;
}

/* Bit j of IntRes1. */
static bool compare_at(const struct text *a, const struct text *b, unsigned imm, unsigned j,
                       unsigned n)
{
    switch (imm & STR_AGGREGATION) {
    case STR_EQUAL_ANY:
        return j < b->valid && equal_any(a, b->at[j]);
    case STR_RANGES:
        return j < b->valid && in_ranges(a, b->at[j]);
    case STR_EQUAL_EACH:
        if (j < a->valid && j < b->valid)
            return a->at[j] == b->at[j];
        return j >= a->valid && j >= b->valid;
    default:
        return stands_at(a, b, j, n);
    }
}

/* IntRes2. */
static unsigned compare(const struct text *a, const struct text *b, unsigned imm)
{
    unsigned n = imm & STR_WORDS ? 8 : 16, result = 0;
    for (unsigned j = 0; j < n; j++)
        result |= (unsigned)compare_at(a, b, imm, j, n) << j;
    if (imm & STR_NEGATIVE)
        result ^= imm & STR_MASKED ? (1u << b->valid) - 1 : (1u << n) - 1;
    return result;
}

/* ---- handlers ---- */

/* rec->link. */
enum { STR_EXPLICIT = 1, STR_WIDE = 2, STR_INDEX = 4, STR_VEX = 8 };

/* |EAX| or |RAX|, at most n. */
static unsigned explicit_length(const struct vcpu *vcpu, unsigned gpr, bool is_wide, unsigned n)
{
    int64_t v = is_wide ? (int64_t)vcpu->arch.gpr[gpr] : (int32_t)vcpu->arch.gpr[gpr];
    uint64_t length = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return length > n ? n : (unsigned)length;
}

static void put_index(struct vcpu *vcpu, unsigned result, unsigned imm, unsigned n)
{
    unsigned index = n;
    if (result)
        index =
            imm & STR_LAST ? 31 - (unsigned)__builtin_clz(result) : (unsigned)__builtin_ctz(result);
    vcpu->arch.gpr[REG_RCX] = index;
}

static void put_mask(struct vcpu *vcpu, unsigned result, unsigned imm, unsigned n, bool is_vex)
{
    union v128 v = v128_make(result, 0);
    if (imm & STR_LAST)
        for (unsigned i = 0; i < 16; i++)
            v.b[LANE_B(i)] = result >> (i / (16 / n)) & 1 ? 0xff : 0;
    xmm_set(vcpu, 0, v);
    if (is_vex)
        vcpu->arch.ymm[2] = vcpu->arch.ymm[3] = 0;
}

static NOINLINE bool string_work(struct vcpu *vcpu, const struct rec *rec)
{
    union v128 s, d = xmm_get(vcpu, rec->dst);
    unsigned imm = simd_imm8(rec), n = imm & STR_WORDS ? 8 : 16;
    if (!simd_source(vcpu, rec, &s))
        return false;
    struct text a = text_of(&d, imm), b = text_of(&s, imm);
    if (rec->link & STR_EXPLICIT) {
        a.valid = explicit_length(vcpu, REG_RAX, rec->link & STR_WIDE, n);
        b.valid = explicit_length(vcpu, REG_RDX, rec->link & STR_WIDE, n);
    }
    unsigned result = compare(&a, &b, imm);
    if (rec->link & STR_INDEX)
        put_index(vcpu, result, imm, n);
    else
        put_mask(vcpu, result, imm, n, rec->link & STR_VEX);
    flags_set_status(vcpu, (result ? F_CF : 0u) | (b.valid < n ? F_ZF : 0u) |
                               (a.valid < n ? F_SF : 0u) | (result & 1 ? F_OF : 0u));
    return true;
}

EXEC(string)
{
    if (unlikely(!string_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

exec_fn *sse_select_string(struct selection *s, struct rec *rec)
{
    unsigned kind;
    switch (s->in->op) {
    case OP_PCMPESTRI:
    case OP_VPCMPESTRI:
        kind = STR_EXPLICIT | STR_INDEX;
        break;
    case OP_PCMPESTRM:
    case OP_VPCMPESTRM:
        kind = STR_EXPLICIT;
        break;
    case OP_PCMPISTRI:
    case OP_VPCMPISTRI:
        kind = STR_INDEX;
        break;
    case OP_PCMPISTRM:
    case OP_VPCMPISTRM:
        kind = 0;
        break;
    default:
        return NULL;
    }
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    simd_prepare(s, rec, NULL, ROW_UNALIGNED);
    bool is_wide = s->in->has_vex ? s->in->opsize == 8 : s->in->prefixes & PFX_REX_W;
    rec->link = kind | (is_wide ? STR_WIDE : 0u) | (s->in->has_vex ? STR_VEX : 0u);
    return exec_string;
}
