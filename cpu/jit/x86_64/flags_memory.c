/* SPDX-License-Identifier: MIT */
/*
 * What run.flag_how says, made: for C in the words of alu.h, for translated code by the host's own
 * instructions.
 */
#include "cpu/alu.h"
#include "cpu/jit/x86_64/jit_priv.h"

static struct alu with_width(enum flag_how kind, unsigned width, uint64_t a, uint64_t b, bool c)
{
    struct alu old = {.value = a};
    switch (kind) {
    case HOW_ADD:
        return alu_add(width, a - b, b);
    case HOW_SUB:
        return alu_sub(width, a + b, b);
    case HOW_ADC:
        return alu_adc(width, a - b - c, b, c);
    case HOW_SBB:
        return alu_sbb(width, a + b + c, b, c);
    case HOW_CMP:
        return alu_sub(width, a, b);
    case HOW_SHL:
        return alu_shl(width, old, b);
    case HOW_SHR:
        return alu_shr(width, old, b);
    case HOW_SAR:
        return alu_sar(width, old, b);
    case HOW_PRODUCT:
        return alu_make(width, a, carry_of(b & 1, b & 1));
    default:
        return alu_make(width, a, 0);
    }
}

static void from_image(struct vcpu *vcpu)
{
    unsigned image = vcpu->run.flag_image;
    flags_set_status(vcpu,
                     (image >> 8 & (F_SF | F_ZF | F_AF | F_PF | F_CF)) | (image & 1 ? F_OF : 0));
}

void jit_flags_from_memory(struct vcpu *vcpu)
{
    uint32_t how = vcpu->run.flag_how;
    uint64_t b = vcpu->run.flag_b;
    if (how & HOW_IMM)
        b = (uint64_t)(int64_t)((int32_t)how >> HOW_IMM_SHIFT);
    unsigned width = 8u << (how >> HOW_SIZE_SHIFT & 3);
    if ((how & 15) == HOW_IMAGE)
        from_image(vcpu);
    else
        flags_commit(vcpu, with_width((enum flag_how)(how & 15), width, vcpu->run.flag_a, b,
                                      vcpu->run.flag_c & 1));
    if (how & HOW_OVER)
        vcpu->run.flag_carry = (vcpu->run.flag_carry & ~(FC_CF | FC_IN)) |
                               carry_of(vcpu->run.flag_o & 1, vcpu->run.flag_o >> 1 & 1);
}

void jit_flags_to_memory(struct vcpu *vcpu)
{
    uint32_t f = flags_status(vcpu);
    vcpu->run.flag_image = (uint16_t)((f & 0xff) << 8 | (f & F_OF ? 1 : 0));
    vcpu->run.flag_how = HOW_IMAGE;
}

/* ---- the same in translated code ---- */

enum { HOWS = 16, HOW_MASK = 0x3f, AH_NOT_AF = 0xef };

static void bytes(struct emit *e, const uint8_t *code, size_t n)
{
    for (size_t i = 0; i < n; i++)
        emit_8(e, code[i]);
}

/* AH as LAHF has it, less AF. */
static void lahf_without_af(struct emit *e)
{
    const uint8_t code[] = {0x9f, 0x80, 0xe4, AH_NOT_AF}; /* LAHF; AND AH, imm8 */
    bytes(e, code, sizeof(code));
}

/* T0: flag_a; RCX: flag_b. AX := the image, or the host's flags and a jump to where that is done.
 */
static void emit_how(struct emit *e, enum flag_how kind, unsigned size, const uint8_t *host)
{
    static const uint8_t shl[] = {0x88, 0xe0, 0xc0, 0xe8, 7, 0x30, 0xe0, 0x24, 1};
    static const uint8_t zero[] = {0xb0, 0};
    static const uint8_t carry[] = {0x80, 0xe1, 1, 0x88, 0xc8, 0x08, 0xc4};
    switch (kind) {
    case HOW_IMAGE:
        emit_rm(e, X_0F | 0xb7, 4, H_RAX, RUN(flag_image));
        break;
    case HOW_ADD:
    case HOW_SUB:
        emit_alu_rr(e, kind == HOW_ADD ? ALU_SUB : ALU_ADD, size, T0, H_RCX);
        emit_alu_rr(e, kind == HOW_ADD ? ALU_ADD : ALU_SUB, size, T0, H_RCX);
        emit_jump_to(e, EMIT_ALWAYS, host);
        break;
    case HOW_ADC:
    case HOW_SBB:
        for (unsigned k = 0; k < 2; k++) { /* MOVZX EAX, flag_c; ADD AL, FF: CF */
            emit_rm(e, X_0F | 0xb6, 4, H_RAX, RUN(flag_c));
            emit_alu_ri(e, ALU_ADD, 1, H_RAX, 0xff);
            emit_alu_rr(e, (kind == HOW_ADC) == (k == 0) ? ALU_SBB : ALU_ADC, size, T0, H_RCX);
        }
        emit_jump_to(e, EMIT_ALWAYS, host);
        break;
    case HOW_CMP:
        emit_alu_rr(e, ALU_CMP, size, T0, H_RCX);
        emit_jump_to(e, EMIT_ALWAYS, host);
        break;
    case HOW_SHL: /* MOV AL, AH; SHR AL, 7; XOR AL, AH; AND AL, 1 */
        emit_rr(e, size == 1 ? 0xd2 : 0xd3, size, 4, T0);
        lahf_without_af(e);
        bytes(e, shl, sizeof(shl));
        break;
    case HOW_SHR: /* the bit under the sign */
        emit_rr(e, size == 1 ? 0xd2 : 0xd3, size, 5, T0);
        lahf_without_af(e);
        emit_shift_ri(e, 5, size, T0, 8 * size - 2);
        emit_mov_rr(e, 1, H_RAX, T0);
        break;
    case HOW_SAR: /* MOV AL, 0 */
        emit_rr(e, size == 1 ? 0xd2 : 0xd3, size, 7, T0);
        lahf_without_af(e);
        bytes(e, zero, sizeof(zero));
        break;
    default:
        emit_rr(e, size == 1 ? 0x84 : 0x85, size, T0, T0);
        lahf_without_af(e);
        if (kind == HOW_PRODUCT) /* AND CL, 1; MOV AL, CL; OR AH, AL */
            bytes(e, carry, sizeof(carry));
        else
            bytes(e, zero, sizeof(zero));
    }
}

static void push_all(struct emit *e, bool pops)
{
    static const uint8_t regs[] = {H_RAX, H_RCX, T0, T1};
    for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
        unsigned reg = regs[pops ? ARRAY_SIZE(regs) - 1 - i : i];
        emit_opcode(e, (pops ? 0x58u : 0x50u) | (reg & 7), 4, 0, H_NONE, reg, false);
    }
}

/* AX to the image, with the CF and OF that are in place of its own; what was pushed back. */
static void emit_image(struct emit *e)
{
    /* AND AH, ~CF; MOV AL, CL; AND CL, 1; OR AH, CL; SHR AL, 1 */
    static const uint8_t over[] = {0x80, 0xe4, 0xfe, 0x88, 0xc8, 0x80,
                                   0xe1, 1,    0x08, 0xcc, 0xd0, 0xe8};
    emit_rm(e, X_0F | 0xb6, 4, H_RCX, RUN(flag_how)); /* MOVZX */
    emit_8(e, 0xf6); /* TEST CL, imm8 */
    emit_8(e, 0xc1);
    emit_8(e, HOW_OVER);
    emit_label whole = emit_jump(e, 4);
    emit_rm(e, X_0F | 0xb6, 4, H_RCX, RUN(flag_o)); /* MOVZX */
    bytes(e, over, sizeof(over));
    emit_bind(e, whole);
    emit_store(e, 2, H_RAX, RUN(flag_image));
    emit_rm(e, 0xc7, 4, 0, RUN(flag_how));
    emit_number(e, HOW_IMAGE, 4);
    push_all(e, true);
    emit_8(e, 0xc3);
}

void jit_make_plain_flags(struct jit *jit, struct emit *e)
{
    const uint8_t *host = emit_here(e), *entry[HOWS * 4];
    e->in_c = false;
    e->pushed = 8 + 4 * 8;                /* the return address, and push_all */
    emit_8(e, 0x9f);                      /* LAHF */
    emit_rr(e, X_0F | 0x90, 1, 0, H_RAX); /* SETO AL */
    const uint8_t *image = emit_here(e);
    emit_image(e);
    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++) {
        entry[i] = emit_here(e);
        emit_how(e, (enum flag_how)(i & 15), 1u << (i >> HOW_SIZE_SHIFT), host);
        emit_jump_to(e, EMIT_ALWAYS, image);
    }
    const uint8_t *table = emit_here(e);
    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++)
        emit_number(e, (uintptr_t)entry[i], 8);
    jit->plain_flags = emit_here(e);
    push_all(e, false);
    emit_rm(e, X_0F | 0xb6, 4, H_RAX, RUN(flag_how)); /* MOVZX: no wider than it was stored */
    emit_load(e, 8, H_RCX, RUN(flag_b));
    emit_8(e, 0xa8); /* TEST AL, imm8 */
    emit_8(e, HOW_IMM);
    emit_near in_memory = emit_jump_near(e, 4);
    emit_rm(e, 0x63, 8, H_RCX, RUN(flag_how)); /* MOVSXD */
    emit_shift_ri(e, 7, 8, H_RCX, HOW_IMM_SHIFT);
    emit_bind_near(e, in_memory);
    emit_load(e, 8, T0, RUN(flag_a));
    emit_alu_ri(e, ALU_AND, 4, H_RAX, HOW_MASK);
    emit_mov_ri(e, T1, (uintptr_t)table);
    emit_rm(e, 0xff, 4, 4, (struct host_mem){T1, H_RAX, 3, 0});
}
