/* SPDX-License-Identifier: MIT */
/* Out of line, each but once: the translator runs little at a time and waits for its own code. */
#include "cpu/jit/x86_64/emit.h"

/* As emit_word, and so many bytes of a displacement. */
ALWAYS_INLINE void emit_word_disp(struct emit *e, const struct emit_word *w, int32_t disp,
                                  unsigned size)
{
    if (!emit_has_room(e, sizeof(w->bytes) + sizeof(disp)))
        return;
    le64_store(e->p, w->bytes);
    le32_store(e->p + w->count, (uint32_t)disp);
    e->p += w->count + size;
}

ALWAYS_INLINE struct emit_word word_opcode(unsigned op, unsigned size, unsigned reg, unsigned index,
                                           unsigned base, bool byte_rm)
{
    struct emit_word w = {0};
    unsigned rex = (size == 8 ? 8u : 0) | (reg >> 1 & 4) | (index != H_NONE ? index >> 2 & 2 : 0) |
                   (base != H_NONE ? base >> 3 & 1 : 0);
    bool bytes = size == 1 || (op & X_BYTE);
    if (likely(op <= 0xff && size >= 4)) {
        w.bytes = rex ? op << 8 | 0x40 | rex : op;
        w.count = rex ? 2 : 1;
        return w;
    }
    if (size == 2)
        word_8(&w, 0x66);
    if (op >> 16 & 0xff)
        word_8(&w, op >> 16 & 0xff);
    if (rex || (size == 1 && reg >= 4) || (bytes && byte_rm && base >= 4))
        word_8(&w, 0x40 | rex);
    if ((op >> 8 & 0xff) != 0)
        word_8(&w, 0x0f);
    if ((op >> 8 & 0xff) == 0x38 || (op >> 8 & 0xff) == 0x3a)
        word_8(&w, op >> 8 & 0xff);
    word_8(&w, op & 0xff);
    return w;
}

void emit_opcode(struct emit *e, unsigned op, unsigned size, unsigned reg, unsigned index,
                 unsigned base, bool byte_rm)
{
    struct emit_word w = word_opcode(op, size, reg, index, base, byte_rm);
    emit_word(e, &w);
}

void emit_rr(struct emit *e, unsigned op, unsigned size, unsigned reg, unsigned rm)
{
    struct emit_word w = word_opcode(op, size, reg, H_NONE, rm, true);
    word_8(&w, 0xc0 | (reg & 7) << 3 | (rm & 7));
    emit_word(e, &w);
}

ALWAYS_INLINE void word_mem(struct emit *e, struct emit_word w, unsigned reg, struct host_mem m)
{
    static const uint8_t disp_size[] = {0, 1, 4};
    unsigned sib = (unsigned)m.scale << 6 | (m.index == H_NONE ? 4u : m.index & 7u) << 3;
    if (m.base == H_NONE) { /* SIB without a base: a displacement of 32 bits */
        word_8(&w, (reg & 7) << 3 | 4);
        word_8(&w, sib | 5);
        emit_word_disp(e, &w, m.disp, 4);
        return;
    }
    bool has_sib = m.index != H_NONE || (m.base & 7) == H_RSP;
    bool small = m.disp == (int8_t)m.disp, none = m.disp == 0 && (m.base & 7) != H_RBP;
    unsigned mod = none ? 0 : small ? 1 : 2;
    unsigned modrm = mod << 6 | (reg & 7) << 3 | (has_sib ? 4 : m.base & 7);
    uint64_t both = has_sib ? modrm | (sib | (m.base & 7)) << 8 : modrm;
    w.bytes |= both << (8 * w.count);
    w.count += has_sib ? 2 : 1;
    emit_word_disp(e, &w, m.disp, disp_size[mod]);
}

void emit_word_mem(struct emit *e, struct emit_word w, unsigned reg, struct host_mem m)
{
    word_mem(e, w, reg, m);
}

/* A field of the vCPU and an opcode of one byte, which is what is written most. */
ALWAYS_INLINE void emit_field(struct emit *e, unsigned op, unsigned size, unsigned reg,
                              int32_t disp)
{
    bool small = disp == (int8_t)disp;
    unsigned rex = (size == 8 ? 0x48u : 0x40u) | (reg >> 1 & 4);
    unsigned mod = disp == 0 ? 0 : small ? 0x40 : 0x80;
    struct emit_word w = {.bytes = op | (mod | (reg & 7) << 3 | 4) << 8 | 0x24 << 16, .count = 3};
    if (rex != 0x40)
        w = (struct emit_word){.bytes = w.bytes << 8 | rex, .count = 4};
    emit_word_disp(e, &w, disp, disp == 0 ? 0 : small ? 1 : 4);
}

void emit_rm(struct emit *e, unsigned op, unsigned size, unsigned reg, struct host_mem m)
{
    m = emit_rsp(e, m);
    if (likely(m.base == H_RSP && m.index == H_NONE && op <= 0xff && size >= 4))
        emit_field(e, op, size, reg, m.disp);
    else
        word_mem(e, word_opcode(op, size, reg, m.index, m.base, false), reg, m);
}

void emit_mov_ri(struct emit *e, unsigned dst, uint64_t v)
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

void emit_alu_ri(struct emit *e, enum host_alu op, unsigned size, unsigned dst, int32_t imm)
{
    bool small = size == 1 || imm == (int8_t)imm;
    emit_rr(e, size == 1 ? 0x80 : small ? 0x83 : 0x81, size, op, dst);
    emit_number(e, (uint32_t)imm, small ? 1 : size == 2 ? 2 : 4);
}

void emit_alu_mi(struct emit *e, enum host_alu op, unsigned size, struct host_mem m, int32_t imm)
{
    bool small = size == 1 || imm == (int8_t)imm;
    emit_rm(e, size == 1 ? 0x80 : small ? 0x83 : 0x81, size, op, m);
    emit_number(e, (uint32_t)imm, small ? 1 : size == 2 ? 2 : 4);
}

void emit_rorx(struct emit *e, unsigned dst, unsigned src, unsigned count)
{
    struct emit_word w = {0};
    word_8(&w, 0xc4);
    word_8(&w, (dst < 8 ? 0x80u : 0) | 0x40 | (src < 8 ? 0x20u : 0) | 3);
    word_8(&w, 0xfb);
    word_8(&w, 0xf0);
    word_8(&w, 0xc0 | (dst & 7) << 3 | (src & 7));
    word_8(&w, count);
    emit_word(e, &w);
}

emit_label emit_jump(struct emit *e, unsigned cc)
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

void emit_jump_to(struct emit *e, unsigned cc, const uint8_t *target)
{
    emit_label at = emit_jump(e, cc);
    emit_set_target(e, at, target);
}

emit_near emit_jump_near(struct emit *e, unsigned cc)
{
    emit_8(e, cc == EMIT_ALWAYS ? 0xeb : 0x70 | cc);
    emit_8(e, 0);
    return e->p - 1;
}

void emit_bind_near(struct emit *e, emit_near at)
{
    ptrdiff_t distance = e->p - (at + 1);
    if (e->full)
        return;
    assert(distance <= INT8_MAX);
    *at = (uint8_t)distance;
}

void emit_jump_back(struct emit *e, unsigned cc, const uint8_t *target)
{
    ptrdiff_t distance = target - (emit_here(e) + 2);
    if (!e->full)
        assert(distance >= INT8_MIN);
    emit_8(e, cc == EMIT_ALWAYS ? 0xeb : 0x70 | cc);
    emit_8(e, (uint8_t)distance);
}

void emit_call_to(struct emit *e, const uint8_t *target)
{
    emit_8(e, 0xe8);
    emit_number(e, 0, 4);
    emit_set_target(e, e->p - 4, target);
}
