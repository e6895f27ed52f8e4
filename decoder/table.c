/* SPDX-License-Identifier: MIT */
/* The instruction table as data: insn.def and operands.def expanded, and what can be asked of them.
 */
#include "decoder/encoding.h"

const struct insn_desc insn_rows[] = {
#define INSN(name_, encoding_, operands_, attributes_, tested_, written_, undef_, privilege_,      \
             sensitivity_, cpuid_, manual_)                                                        \
    {.name = #name_,                                                                               \
     .encoding = #encoding_,                                                                       \
     .operands = #operands_,                                                                       \
     .manual = manual_,                                                                            \
     .op = OP_##name_,                                                                             \
     .privilege = privilege_,                                                                      \
     .sensitivity = sensitivity_,                                                                  \
     .feature = cpuid_,                                                                            \
     .tested = tested_,                                                                            \
     .written = written_,                                                                          \
     .undefined = undef_,                                                                          \
     .ends_block = ((attributes_)&A_END) != 0,                                                     \
     .lockable = ((attributes_)&A_LOCK) != 0},
#include "decoder/insn.def"
#undef INSN
};

enum {
    ROWS = 0
#define INSN(...) +1
#include "decoder/insn.def"
#undef INSN
};

_Static_assert(ROWS == INSN_ROWS, "mkops.awk counts the rows");

static const struct form forms[INSN_ROWS] = {
#define INSN(name, encoding_, operands_, attributes_, ...)                                         \
    {.encoding = encoding_, .operands = OPERANDS operands_, .attributes = attributes_},
#include "decoder/insn.def"
#undef INSN
};

const struct operand_letters operand_letters[CODE_COUNT] = {
    [CODE_NONE] = {"", M_NONE, SIZE_0, SIZE_0, 0},
#define OPERAND(code, method_, reg_, mem_, number_)                                                \
    [CODE_##code] = {#code, method_, SIZE_##reg_, SIZE_##mem_, number_},
#include "decoder/operands.def"
#undef OPERAND
};

static const char *const op_names[OP_COUNT] = {[OP_INVALID] = "(invalid)",
#define X(name) [OP_##name] = #name,
                                               DECODER_OPS(X)
#undef X
};

static const char *const feature_names[FEATURE_COUNT] = {
#define X(name) #name,
    DECODER_FEATURES(X)
#undef X
};

unsigned insn_row_count(void)
{
    return INSN_ROWS;
}

const struct form *insn_form(unsigned row)
{
    return &forms[row];
}

const char *op_name(unsigned op)
{
    return op < OP_COUNT ? op_names[op] : "(none)";
}

const char *feature_name(unsigned feature)
{
    return feature < FEATURE_COUNT ? feature_names[feature] : "(none)";
}

uint32_t cc_flags_tested(unsigned cc)
{
    static const uint32_t tested[8] = {
        F_OF, F_CF, F_ZF, F_CF | F_ZF, F_SF, F_PF, F_SF | F_OF, F_ZF | F_SF | F_OF,
    };
    return tested[(cc & 15) >> 1];
}

/* A shift or rotate by an immediate that is not zero keeps no flag it changes. */
static bool shifts_by_nonzero_constant(const struct insn *in)
{
    if (in->operand_count == 0 || in->operands[in->operand_count - 1].kind != OPND_IMM)
        return false;
    return (in->imm & (in->operands[0].size == 8 ? 63 : 31)) != 0;
}

uint32_t insn_flags_tested(const struct insn *in)
{
    uint32_t row = insn_rows[in->row].tested;
    if (row == 0)
        return 0;
    switch (in->op) {
    case OP_JCC:
    case OP_SETCC:
    case OP_CMOVCC:
        return cc_flags_tested(in->opcode & 15u);
    case OP_CMPS:
    case OP_SCAS:
        return in->prefixes & (PFX_REP | PFX_REPNE) ? row : F_DF;
    case OP_ROL:
    case OP_ROR:
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_SHLD:
    case OP_SHRD:
        return shifts_by_nonzero_constant(in) ? 0 : row;
    case OP_RCL:
    case OP_RCR:
        return shifts_by_nonzero_constant(in) ? F_CF : row;
    default:
        return row;
    }
}
