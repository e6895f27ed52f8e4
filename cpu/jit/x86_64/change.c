/* SPDX-License-Identifier: MIT */
/* What instructions do to guest registers: by how much they change one, and which they use without
 * saying so. */
#include "cpu/jit/x86_64/jit_priv.h"

static bool has_xmm(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_XMM)
            return true;
    return false;
}

#define RAX_AND_RDX (1u << REG_RAX | 1u << REG_RDX)

unsigned hidden_registers(const struct insn *in)
{
    switch (in->op) {
    case OP_ADD:
    case OP_OR:
    case OP_ADC:
    case OP_SBB:
    case OP_AND:
    case OP_SUB:
    case OP_XOR:
    case OP_CMP:
    case OP_TEST:
    case OP_INC:
    case OP_DEC:
    case OP_NEG:
    case OP_NOT:
    case OP_MOV:
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
    case OP_LEA:
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_ROL:
    case OP_ROR:
    case OP_NOP:
    case OP_CMOVCC:
    case OP_SETCC:
    case OP_BSWAP:
    case OP_PUSH:
    case OP_POP:
    case OP_BT:
    case OP_JCC:
    case OP_JMP_NEAR:
    case OP_CALL_NEAR:
    case OP_RET_NEAR:
    case OP_XCHG:
    case OP_SHLD:
    case OP_SHRD:
    case OP_BSF:
    case OP_BSR:
    case OP_TZCNT:
    case OP_LZCNT:
    case OP_POPCNT:
    case OP_ANDN:
    case OP_BEXTR:
    case OP_BLSI:
    case OP_BLSMSK:
    case OP_BLSR:
    case OP_BZHI:
    case OP_PDEP:
    case OP_PEXT:
    case OP_RORX:
    case OP_SARX:
    case OP_SHLX:
    case OP_SHRX:
    case OP_ADCX:
    case OP_ADOX:
        return 0;
    case OP_MULX:
        return 1u << REG_RDX;
    case OP_IMUL:
        return in->operand_count > 1 ? 0 : RAX_AND_RDX;
    case OP_MUL:
    case OP_DIV:
    case OP_IDIV:
    case OP_CBW:
    case OP_CWD:
        return RAX_AND_RDX;
    case OP_PCMPESTRI:
    case OP_PCMPISTRI:
    case OP_PCMPESTRM:
    case OP_VPCMPESTRI:
    case OP_VPCMPISTRI:
    case OP_VPCMPESTRM:
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
        return ALL_REGISTERS;
    default:
        return has_xmm(in) && !in->vsib ? 0 : ALL_REGISTERS;
    }
}

/* The start of the page that runs, which the last instruction of a part may leave. */
static bool page_change(const struct unit *u, unsigned i, int32_t *delta)
{
    const struct path_insn *next = &u->path[i + 1 < u->count ? i + 1 : u->second];
    *delta = next->page - u->path[i].page;
    return is_near(*delta);
}

bool register_change(const struct unit *u, const struct insn *in, unsigned reg, int32_t *delta)
{
    const struct operand *o = in->operands;
    *delta = 0;
    if (reg == REG_NONE)
        return true;
    if (reg == REG_RIP)
        return page_change(u, (unsigned)(in - u->insn), delta);
    if (reg == REG_RSP)
        return stack_change(u, in, delta);
    bool is_it = o[0].kind == OPND_GPR && o[0].reg == reg && o[0].size == 8;
    int64_t imm = (int64_t)in->imm;
    if (is_it && (in->op == OP_ADD || in->op == OP_SUB) && o[1].kind == OPND_IMM && is_near(imm)) {
        *delta = in->op == OP_ADD ? (int32_t)imm : -(int32_t)imm;
        return true;
    }
    if (is_it && (in->op == OP_INC || in->op == OP_DEC)) {
        *delta = in->op == OP_INC ? 1 : -1;
        return true;
    }
    if (is_it && in->op == OP_LEA && in->base == reg && in->index == REG_NONE &&
        in->addrsize == 8 && is_near(in->disp)) {
        *delta = in->disp;
        return true;
    }
    if (hidden_registers(in) >> reg & 1)
        return false;
    for (unsigned i = 0; i < in->operand_count; i++)
        if ((o[i].kind == OPND_GPR || o[i].kind == OPND_GPR_HIGH) && o[i].reg == reg &&
            (o[i].access & ACC_W))
            return false;
    return true;
}
