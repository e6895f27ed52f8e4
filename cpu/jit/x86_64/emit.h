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

ALWAYS_INLINE bool emit_has_room(struct emit *e, size_t size)
{
    if (likely((size_t)(e->end - e->p) >= size))
        return true;
    e->full = true;
    return false;
}

/* size: 1, 2, 4 or 8 bytes. */
ALWAYS_INLINE void emit_number(struct emit *e, uint64_t v, unsigned size)
{
    if (!emit_has_room(e, size))
        return;
    switch (size) {
    case 1:
        *e->p = (uint8_t)v;
        break;
    case 2:
        le16_store(e->p, (uint16_t)v);
        break;
    case 4:
        le32_store(e->p, (uint32_t)v);
        break;
    default:
        le64_store(e->p, v);
        break;
    }
    e->p += size;
}

/* Bytes up to the displacement or constant, eight at most: they are written at once. */
struct emit_word {
    uint64_t bytes;
    unsigned count;
};

ALWAYS_INLINE void word_8(struct emit_word *w, unsigned v)
{
    w->bytes |= (uint64_t)v << (8 * w->count++);
}

/* What is behind them in the buffer is nobody's yet. */
ALWAYS_INLINE void emit_word(struct emit *e, const struct emit_word *w)
{
    if (!emit_has_room(e, sizeof(w->bytes)))
        return;
    le64_store(e->p, w->bytes);
    e->p += w->count;
}

/* Where the next instruction will run. */
ALWAYS_INLINE uint8_t *emit_here(const struct emit *e)
{
    return e->p + e->delta;
}

/* Prefixes and opcode; size is the operand's, 1, 2, 4 or 8 bytes. */
void emit_opcode(struct emit *e, unsigned op, unsigned size, unsigned reg, unsigned index,
                 unsigned base, bool byte_rm);

/* op reg, rm or op rm, reg, as the opcode says; size 1: low bytes. */
void emit_rr(struct emit *e, unsigned op, unsigned size, unsigned reg, unsigned rm);

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

/* Prefixes, opcode and the memory operand. */
void emit_word_mem(struct emit *e, struct emit_word w, unsigned reg, struct host_mem m);

void emit_rm(struct emit *e, unsigned op, unsigned size, unsigned reg, struct host_mem m);

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
void emit_mov_ri(struct emit *e, unsigned dst, uint64_t v);

/* imm as the instruction takes it: sign-extended to size. */
void emit_alu_ri(struct emit *e, enum host_alu op, unsigned size, unsigned dst, int32_t imm);

void emit_alu_mi(struct emit *e, enum host_alu op, unsigned size, struct host_mem m, int32_t imm);

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
void emit_rorx(struct emit *e, unsigned dst, unsigned src, unsigned count);

/* ---- jumps: rel32, to be filled in ---- */

/* The place of a rel32, in the written mapping. */
typedef uint8_t *emit_label;

#define EMIT_ALWAYS 16 /* a condition: JMP */

emit_label emit_jump(struct emit *e, unsigned cc);

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

void emit_jump_to(struct emit *e, unsigned cc, const uint8_t *target);

/* ---- the same as rel8: to somewhere near ---- */

/* The place of a rel8. */
typedef uint8_t *emit_near;

emit_near emit_jump_near(struct emit *e, unsigned cc);
void emit_bind_near(struct emit *e, emit_near at);
void emit_jump_back(struct emit *e, unsigned cc, const uint8_t *target); /* not before it */

void emit_call_to(struct emit *e, const uint8_t *target);
