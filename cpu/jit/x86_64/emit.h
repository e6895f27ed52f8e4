/* SPDX-License-Identifier: MIT */
/*
 * x86-64 machine code into a buffer: SDM Vol. 2A, "Instruction Format". For cpu/jit only. Owns
 * nothing: the buffer is code memory's (memory.h), written through one mapping and run through
 * another. Running out of room is remembered, and the translation is thrown away at its end.
 */
#pragma once

#include <string.h>

#include "base/endian.h"

/* Host registers by their numbers. */
enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0xff,
};

struct emit {
    uint8_t *p;     /* where the next byte is written */
    uint8_t *end;   /* of the room */
    intptr_t delta; /* address at which it runs - address at which it is written */
    bool full;      /* something did not fit: the code is useless */
    bool in_c;      /* on C's stack: the vCPU is at R15 (emit_rsp) */
    int32_t pushed; /* bytes on the stack of translated code, below the vCPU */
};

/* A memory operand of the host: [base + index << scale + disp]. */
struct host_mem {
    uint8_t base;  /* enum host_reg, or H_NONE */
    uint8_t index; /* enum host_reg but H_RSP, or H_NONE */
    uint8_t scale; /* shift, 0..3 */
    int32_t disp;  /* displacement */
};

/* Opcodes: the byte, with its map and mandatory prefix above. */
#define X_0F 0x0f00u
#define X_0F38 0x3800u
#define X_0F3A 0x3a00u
#define X_66 0x660000u
#define X_F2 0xf20000u
#define X_F3 0xf30000u
#define X_BYTE 0x1000000u /* register operands are bytes: numbers 4..7 need REX to be SPL..DIL */

ALWAYS_INLINE void emit_8(struct emit *e, unsigned v)
{
    if (likely(e->p < e->end))
        *e->p++ = (uint8_t)v;
    else
        e->full = true;
}

ALWAYS_INLINE void emit_number(struct emit *e, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        emit_8(e, (unsigned)(v >> (8 * i)) & 0xff);
}

/* Where the next instruction will run. */
ALWAYS_INLINE uint8_t *emit_here(const struct emit *e)
{
    return e->p + e->delta;
}

/* Prefixes and opcode; size is the operand's, 1, 2, 4 or 8 bytes. */
static inline void emit_opcode(struct emit *e, unsigned op, unsigned size, unsigned reg,
                               unsigned index, unsigned base, bool byte_rm)
{
    unsigned rex = (size == 8 ? 8u : 0) | (reg >> 1 & 4) | (index != H_NONE ? index >> 2 & 2 : 0) |
                   (base != H_NONE ? base >> 3 & 1 : 0);
    bool bytes = size == 1 || (op & X_BYTE);
    if (size == 2)
        emit_8(e, 0x66);
    if (op >> 16 & 0xff)
        emit_8(e, op >> 16 & 0xff);
    if (rex || (size == 1 && reg >= 4) || (bytes && byte_rm && base >= 4))
        emit_8(e, 0x40 | rex);
    if ((op >> 8 & 0xff) != 0)
        emit_8(e, 0x0f);
    if ((op >> 8 & 0xff) == 0x38 || (op >> 8 & 0xff) == 0x3a)
        emit_8(e, op >> 8 & 0xff);
    emit_8(e, op & 0xff);
}

/* op reg, rm or op rm, reg, as the opcode says; size 1: low bytes. */
static inline void emit_rr(struct emit *e, unsigned op, unsigned size, unsigned reg, unsigned rm)
{
    emit_opcode(e, op, size, reg, H_NONE, rm, true);
    emit_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* RSP as a base means where the stack of translated code begins, which is the vCPU: some bytes may
 * have been pushed since, or the stack be C's. */
static inline struct host_mem emit_rsp(const struct emit *e, struct host_mem m)
{
    if (m.base == H_RSP && e->in_c)
        m.base = H_R15;
    else if (m.base == H_RSP)
        m.disp += e->pushed;
    return m;
}

static inline void emit_modrm_mem(struct emit *e, unsigned reg, struct host_mem m)
{
    if (m.base == H_NONE) { /* SIB without a base: a displacement of 32 bits */
        emit_8(e, (reg & 7) << 3 | 4);
        emit_8(e, (unsigned)m.scale << 6 | (m.index == H_NONE ? 4u : m.index & 7u) << 3 | 5);
        emit_number(e, (uint32_t)m.disp, 4);
        return;
    }
    bool sib = m.index != H_NONE || (m.base & 7) == H_RSP;
    bool small = m.disp == (int8_t)m.disp, none = m.disp == 0 && (m.base & 7) != H_RBP;
    unsigned mod = none ? 0 : small ? 1 : 2;
    emit_8(e, mod << 6 | (reg & 7) << 3 | (sib ? 4 : m.base & 7));
    if (sib)
        emit_8(e, (unsigned)m.scale << 6 | (m.index == H_NONE ? 4u : m.index & 7u) << 3 |
                      (m.base & 7));
    if (mod)
        emit_number(e, (uint32_t)m.disp, mod == 1 ? 1 : 4);
}

static inline void emit_rm(struct emit *e, unsigned op, unsigned size, unsigned reg,
                           struct host_mem m)
{
    m = emit_rsp(e, m);
    emit_opcode(e, op, size, reg, m.index, m.base, false);
    emit_modrm_mem(e, reg, m);
}

/* ---- what is wanted most ---- */

/* The eight of 80-83, and of opcodes 00-3F. */
enum host_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

static inline void emit_mov_rr(struct emit *e, unsigned size, unsigned dst, unsigned src)
{
    if (size < 8 || dst != src)
        emit_rr(e, size == 1 ? 0x8a : 0x8b, size, dst, src);
}

static inline void emit_load(struct emit *e, unsigned size, unsigned dst, struct host_mem m)
{
    emit_rm(e, size == 1 ? 0x8a : 0x8b, size, dst, m);
}

static inline void emit_store(struct emit *e, unsigned size, unsigned src, struct host_mem m)
{
    emit_rm(e, size == 1 ? 0x88 : 0x89, size, src, m);
}

/* dst := zero-extended value, without touching flags. */
static inline void emit_mov_ri(struct emit *e, unsigned dst, uint64_t v)
{
    if (v == (uint32_t)v) {
        emit_opcode(e, 0xb8 | (dst & 7), 4, 0, H_NONE, dst, false);
        emit_number(e, v, 4);
    } else if ((int64_t)v == (int32_t)v) {
        emit_rr(e, 0xc7, 8, 0, dst);
        emit_number(e, v, 4);
    } else {
        emit_opcode(e, 0xb8 | (dst & 7), 8, 0, H_NONE, dst, false);
        emit_number(e, v, 8);
    }
}

/* imm as the instruction takes it: sign-extended to size. */
static inline void emit_alu_ri(struct emit *e, enum host_alu op, unsigned size, unsigned dst,
                               int32_t imm)
{
    bool small = size == 1 || imm == (int8_t)imm;
    emit_rr(e, size == 1 ? 0x80 : small ? 0x83 : 0x81, size, op, dst);
    emit_number(e, (uint32_t)imm, small ? 1 : size == 2 ? 2 : 4);
}

static inline void emit_alu_mi(struct emit *e, enum host_alu op, unsigned size, struct host_mem m,
                               int32_t imm)
{
    bool small = size == 1 || imm == (int8_t)imm;
    emit_rm(e, size == 1 ? 0x80 : small ? 0x83 : 0x81, size, op, m);
    emit_number(e, (uint32_t)imm, small ? 1 : size == 2 ? 2 : 4);
}

static inline void emit_alu_rr(struct emit *e, enum host_alu op, unsigned size, unsigned dst,
                               unsigned src)
{
    emit_rr(e, op << 3 | (size == 1 ? 2 : 3), size, dst, src);
}

static inline void emit_alu_rm(struct emit *e, enum host_alu op, unsigned size, unsigned dst,
                               struct host_mem m)
{
    emit_rm(e, op << 3 | (size == 1 ? 2 : 3), size, dst, m);
}

static inline void emit_alu_mr(struct emit *e, enum host_alu op, unsigned size, struct host_mem m,
                               unsigned src)
{
    emit_rm(e, op << 3 | (size == 1 ? 0 : 1), size, src, m);
}

static inline void emit_lea(struct emit *e, unsigned size, unsigned dst, struct host_mem m)
{
    emit_rm(e, 0x8d, size, dst, m);
}

/* SHL 4, SHR 5, SAR 7 by a constant. */
static inline void emit_shift_ri(struct emit *e, unsigned op, unsigned size, unsigned dst,
                                 unsigned count)
{
    emit_rr(e, size == 1 ? 0xc0 : 0xc1, size, op, dst);
    emit_8(e, count);
}

/* RORX of 64 bits (VEX.LZ.F2.0F3A.W1 F0 /r ib): no flags. The host has BMI2. */
static inline void emit_rorx(struct emit *e, unsigned dst, unsigned src, unsigned count)
{
    emit_8(e, 0xc4);
    emit_8(e, (dst < 8 ? 0x80u : 0) | 0x40 | (src < 8 ? 0x20u : 0) | 3);
    emit_8(e, 0xfb);
    emit_8(e, 0xf0);
    emit_8(e, 0xc0 | (dst & 7) << 3 | (src & 7));
    emit_8(e, count);
}

/* ---- jumps: rel32, to be filled in ---- */

/* The place of a rel32, in the written mapping. */
typedef uint8_t *emit_label;

#define EMIT_ALWAYS 16 /* a condition: JMP */

static inline emit_label emit_jump(struct emit *e, unsigned cc)
{
    if (cc == EMIT_ALWAYS) {
        emit_8(e, 0xe9);
    } else {
        emit_8(e, 0x0f);
        emit_8(e, 0x80 | cc);
    }
    emit_number(e, 0, 4);
    return e->p - 4;
}

/* Let the rel32 at `at` lead to target, an address that runs. */
static inline void emit_set_target(const struct emit *e, emit_label at, const uint8_t *target)
{
    if (!e->full)
        le32_store(at, (uint32_t)(target - (at + 4 + e->delta)));
}

static inline void emit_bind(const struct emit *e, emit_label at)
{
    emit_set_target(e, at, e->p + e->delta);
}

static inline void emit_jump_to(struct emit *e, unsigned cc, const uint8_t *target)
{
    emit_label at = emit_jump(e, cc);
    emit_set_target(e, at, target);
}

static inline void emit_call_to(struct emit *e, const uint8_t *target)
{
    emit_8(e, 0xe8);
    emit_number(e, 0, 4);
    emit_set_target(e, e->p - 4, target);
}
