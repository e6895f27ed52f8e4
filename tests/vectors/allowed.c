/* SPDX-License-Identifier: MIT */
#include "tests/vectors/allowed.h"

/*
 * Undefined flags: the row's `undef` column, narrowed by the count of shifts: 0 changes no flag,
 * and OF is defined for 1. SDM Vol. 2B, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD".
 */
static bool is_shift(unsigned op)
{
    switch (op) {
    case OP_ROL:
    case OP_ROR:
    case OP_RCL:
    case OP_RCR:
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_SHLD:
    case OP_SHRD:
        return true;
    default:
        return false;
    }
}

static unsigned shift_count(const struct insn *in, const struct vector_state *before)
{
    const struct operand *o = &in->operands[in->operand_count - 1];
    unsigned count =
        o->kind == OPND_ONE ? 1 : (unsigned)(o->kind == OPND_IMM ? in->imm : before->gpr[REG_RCX]);
    return count & (in->operands[0].size == 8 ? 63 : 31);
}

static bool shifts_beyond_operand(const struct insn *in, const struct vector_state *before)
{
    bool is_double = in->op == OP_SHLD || in->op == OP_SHRD;
    return is_double && shift_count(in, before) > in->operands[0].size * 8u;
}

uint64_t allowed_flags(const struct insn *in, const struct vector_state *before)
{
    uint64_t undefined = insn_row(in->row)->undefined;
    if (!is_shift(in->op))
        return undefined;
    unsigned count = shift_count(in, before), bits = in->operands[0].size * 8u;
    bool is_shl = in->op == OP_SHL || in->op == OP_SHR;
    if (count == 0)
        return 0;
    if (shifts_beyond_operand(in, before))
        return F_OSZAPC;
    if (count == 1)
        undefined &= ~(uint64_t)F_OF;
    if (is_shl && count >= bits)
        undefined |=
            F_CF; /* "the CF flag is undefined for SHL and SHR where the count is >= the size" */
    return undefined;
}

enum match allowed_gpr(const struct insn *in, const struct vector_state *before, bool faults,
                       unsigned reg)
{
    /* SDM Vol. 2B, "SHLD": "If the count is greater than the operand size, the destination operand
     * is undefined." */
    bool is_destination =
        in->operand_count > 0 && in->operands[0].kind == OPND_GPR && in->operands[0].reg == reg;
    if (is_destination && shifts_beyond_operand(in, before))
        return MATCH_ANY;
    if (in->op == OP_POPA && faults)
        return MATCH_ANY; /* AMD parts leave what was popped before the fault in its register */
    return MATCH_EXACT;
}

static bool is_transcendental(unsigned op)
{
    switch (op) {
    case OP_F2XM1:
    case OP_FYL2X:
    case OP_FYL2XP1:
    case OP_FPTAN:
    case OP_FPATAN:
    case OP_FSIN:
    case OP_FCOS:
    case OP_FSINCOS:
        return true;
    default:
        return false;
    }
}

/* SDM Vol. 1, "Transcendental Instruction Accuracy": errors under 1 ulp, no more is promised. */
enum match allowed_x87(const struct insn *in)
{
    return is_transcendental(in->op) ? MATCH_ULP : MATCH_EXACT;
}

/*
 * MMX instructions that AMD parts execute in several steps, the first of which makes TOP 0 and
 * every tag valid; and CVTPI2PS with a memory operand, which goes to MMX state by the SDM but does
 * not on AMD parts.
 */
static bool may_differ_in_mmx_state(const struct insn *in, bool faults)
{
    unsigned op = in->op;
    if (op == OP_CVTPI2PS)
        return in->has_mem || faults;
    return faults && (op == OP_MASKMOVQ || op == OP_CVTPS2PI || op == OP_CVTTPS2PI ||
                      op == OP_CVTPD2PI || op == OP_CVTTPD2PI);
}

/*
 * Transcendentals: C1 (rounded up) goes with the last bit, and AMD parts report exact results as
 * inexact, and exact denormal ones as underflow. FCOMI and relatives: C1. SDM Vol. 2A, "FCOMI": "C1 Set to 0"; AMD parts leave it.
 */
uint16_t allowed_fsw(const struct insn *in, bool faults)
{
    switch (in->op) {
    case OP_FCOMI:
    case OP_FCOMIP:
    case OP_FUCOMI:
    case OP_FUCOMIP:
        return 0x0200;
    default:
        if (may_differ_in_mmx_state(in, faults))
            return 0x3800;
        return is_transcendental(in->op) ? 0x0230 : 0;
    }
}

uint8_t allowed_ftw(const struct insn *in, bool faults)
{
    return may_differ_in_mmx_state(in, faults) ? 0xff : 0;
}

/* SDM Vol. 2B, "RCPPS", "RSQRTPS": |relative error| <= 1.5 * 2^-12; other parts have other tables.
 */
enum match allowed_xmm(const struct insn *in)
{
    switch (in->op) {
    case OP_RCPPS:
    case OP_RCPSS:
    case OP_RSQRTPS:
    case OP_RSQRTSS:
        return MATCH_APPROX_4;
    default:
        return MATCH_EXACT;
    }
}

/*
 * The x87 instruction and data pointers. They are in images only; a vector's state has none, and
 * AMD parts write them only while an exception is pending (APM Vol. 2, "FXSAVE and FXRSTOR
 * Instructions"). MXCSR_MASK differs too: AMD has bit 17, MM.
 */
bool allowed_memory(const struct insn *in, const struct vector_state *before, uint64_t offset)
{
    if (shifts_beyond_operand(in, before))
        return offset < 2;
    switch (in->op) {
    case OP_FNSTENV:
    case OP_FNSAVE:
        return in->opsize == 2 ? offset >= 6 && offset < 14 : offset >= 12 && offset < 28;
    case OP_FXSAVE:
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
        return (offset >= 6 && offset < 24) || (offset >= 28 && offset < 32);
    default:
        return false;
    }
}

/* Of an image: AMD parts touch its last byte first. Either is an address "that generated the
 * exception". */
uint64_t allowed_cr2(const struct insn *in)
{
    switch (in->op) {
    case OP_FLDENV:
    case OP_FNSTENV:
    case OP_FRSTOR:
    case OP_FNSAVE:
    case OP_FXSAVE:
    case OP_FXRSTOR:
    case OP_XSAVE:
    case OP_XRSTOR:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
        return 4 * PAGE_SIZE - 1;
    default:
        return 0;
    }
}

const char *allowed_without_vector(unsigned row)
{
    static const struct {
        uint16_t op;
        const char *reason;
    } rows[] = {
        {OP_SERIALIZE, "the AMD part that vectors are recorded on has no SERIALIZE; it changes "
                       "nothing that a vector sees"},
        {OP_UD0, "all it does is to fault, which its vectors show"},
        {OP_UD1, "all it does is to fault, which its vectors show"},
        {OP_UD2, "all it does is to fault, which its vectors show"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (insn_row(row)->op == rows[i].op)
            return rows[i].reason;
    return NULL;
}

const char *allowed_unimplemented(unsigned feature)
{
    static const struct {
        uint8_t feature;
        const char *reason;
    } features[] = {
        {FEAT_SHA, "no CPU model has SHA"},
        {FEAT_GFNI, "no CPU model has GFNI"},
        {FEAT_SSE4A, "AMD only; no CPU model has SSE4A"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(features); i++)
        if (features[i].feature == feature)
            return features[i].reason;
    return NULL;
}
