/* SPDX-License-Identifier: MIT */
/*
 * VEX-encoded host instructions: SDM Vol. 2A, "Intel Advanced Vector Extensions"; always three
 * bytes of prefix. For the lowerings of cpu/jit that re-encode the guest's.
 */
#pragma once

#include "cpu/jit/x86_64/jit_priv.h"

struct vex {
    uint8_t pp;     /* 0: none, 1: 66, 2: F3, 3: F2 */
    uint8_t map;    /* 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t opcode; /* the byte */
    bool w;         /* VEX.W */
    bool l;         /* VEX.L: 256 bits */
};

#define MOVE_LOAD                                                                                  \
    (struct vex)                                                                                   \
    {                                                                                              \
        .map = 1, .opcode = 0x10                                                                   \
    } /* VMOVUPS xmm, xmm/m */
#define MOVE_STORE                                                                                 \
    (struct vex)                                                                                   \
    {                                                                                              \
        .map = 1, .opcode = 0x11                                                                   \
    } /* VMOVUPS m, xmm */

/* vvvv: a register, or 0 for none. */
static inline struct emit_word word_vex(struct vex x, unsigned reg, unsigned vvvv, unsigned index,
                                        unsigned base)
{
    struct emit_word w = {0};
    word_8(&w, 0xc4);
    word_8(&w, (reg < 8 ? 0x80u : 0) | (index < 8 || index == H_NONE ? 0x40u : 0) |
                   (base < 8 ? 0x20u : 0) | x.map);
    word_8(&w, (x.w ? 0x80u : 0) | (~vvvv & 15) << 3 | (x.l ? 4u : 0) | x.pp);
    word_8(&w, x.opcode);
    return w;
}

static inline void emit_vex_rr(struct emit *e, struct vex x, unsigned reg, unsigned vvvv,
                               unsigned rm)
{
    struct emit_word w = word_vex(x, reg, vvvv, H_NONE, rm);
    word_8(&w, 0xc0 | (reg & 7) << 3 | (rm & 7));
    emit_word(e, &w);
}

static inline void emit_vex_rm(struct emit *e, struct vex x, unsigned reg, unsigned vvvv,
                               struct host_mem m)
{
    m = emit_rsp(e, m);
    emit_word_mem(e, word_vex(x, reg, vvvv, m.index, m.base), reg, m);
}

/* The guest's own; the row knows its prefix. */
/*
 * VEX.W counts for the host as it does for the guest. In 32-bit code it does not where it would
 * choose a general register, or part of memory, of 64 bits: not worth telling which these are.
 */
static inline bool vex_is_native(const struct unit *u)
{
    const struct insn *in = u->in;
    bool is_fma = in->has_vex && in->map == 2 && in->opcode >= 0x96 && in->opcode <= 0xbf;
    if (!u->is_32 || !in->has_vex || !in->vex_w || is_fma)
        return true;
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_GPR ||
            (in->operands[i].kind == OPND_MEM && in->operands[i].size < 16))
            return false;
    return true;
}

static inline struct vex own_vex(const struct insn *in)
{
    const char *encoding = insn_row(in->row)->encoding;
    struct vex x = {.map = in->map, .opcode = in->opcode, .w = in->vex_w, .l = in->vex_l};
    if (strncmp(encoding, "VEX_66", 6) == 0)
        x.pp = 1;
    else if (strncmp(encoding, "VEX_F3", 6) == 0)
        x.pp = 2;
    else if (strncmp(encoding, "VEX_F2", 6) == 0)
        x.pp = 3;
    return x;
}
