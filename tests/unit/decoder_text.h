/* SPDX-License-Identifier: MIT */
/*
 * A decoded instruction as one line of text, for the decoder's tests: what a vector expects is
 * written in it. MOV w:ax.8 r:[ds:dx+cx*4+10].8      access : place . size in bytes; numbers in
 * hex, sign shown Called by tests only. Owns nothing.
 */
#pragma once

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "decoder/insn.h"

struct text {
    char s[200]; /* zero-terminated */
    size_t used; /* of s */
};

static inline void text_add(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
static inline void text_add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->s + t->used, sizeof t->s - t->used, format, args);
    va_end(args);
    if (n > 0)
        t->used = t->used + (size_t)n < sizeof t->s ? t->used + (size_t)n : sizeof t->s - 1;
}

static inline const char *text_gpr(unsigned reg)
{
    static const char *const names[] = {"ax", "cx",  "dx",  "bx",  "sp",  "bp",  "si",  "di", "r8",
                                        "r9", "r10", "r11", "r12", "r13", "r14", "r15", "-",  "ip"};
    return reg < ARRAY_SIZE(names) ? names[reg] : "?";
}

static inline const char *text_seg(unsigned seg)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    return seg < ARRAY_SIZE(names) ? names[seg] : "?";
}

static inline void text_signed(struct text *t, uint64_t v)
{
    bool negative = (int64_t)v < 0;
    text_add(t, "%s%" PRIx64, negative ? "-" : "", negative ? 0 - v : v);
}

static inline void text_memory(struct text *t, const struct insn *in)
{
    const char *plus = "";
    text_add(t, "[%s:", text_seg(in->seg));
    if (in->base != REG_NONE) {
        text_add(t, "%s", text_gpr(in->base));
        plus = "+";
    }
    if (in->index != REG_NONE) {
        if (in->vsib)
            text_add(t, "%s%cmm%u*%u", plus, in->vsib == 32 ? 'y' : 'x', in->index,
                     1u << in->scale);
        else
            text_add(t, "%s%s*%u", plus, text_gpr(in->index), 1u << in->scale);
        plus = "+";
    }
    if (in->disp != 0 || *plus == 0) {
        text_add(t, "%s", in->disp < 0 ? "" : plus);
        text_signed(t, (uint64_t)(int64_t)in->disp);
    }
    text_add(t, "]");
}

static inline void text_place(struct text *t, const struct insn *in, const struct operand *o)
{
    static const char *const high[] = {"ah", "ch", "dh", "bh"};
    static const char *const letters[] = {[OPND_CR] = "cr",
                                          [OPND_DR] = "dr",
                                          [OPND_ST] = "st",
                                          [OPND_MMX] = "mm",
                                          [OPND_XMM] = "xmm"};
    switch (o->kind) {
    case OPND_GPR:
        text_add(t, "%s", text_gpr(o->reg));
        break;
    case OPND_GPR_HIGH:
        text_add(t, "%s", high[o->reg & 3]);
        break;
    case OPND_MEM:
        text_memory(t, in);
        break;
    case OPND_IMM:
        text_add(t, "#");
        text_signed(t, in->imm);
        break;
    case OPND_IMM2:
        text_add(t, "#%" PRIx64, in->imm2);
        break;
    case OPND_REL:
        text_add(t, "rel ");
        text_signed(t, in->imm);
        break;
    case OPND_FAR:
        text_add(t, "%" PRIx64 ":%" PRIx64, in->imm2, in->imm);
        break;
    case OPND_MOFFS:
        text_add(t, "[%s:%" PRIx64 "]", text_seg(in->seg), in->imm);
        break;
    case OPND_SREG:
        text_add(t, "%s", text_seg(o->reg));
        break;
    case OPND_STR_SRC:
        text_add(t, "%s:[si]", text_seg(in->seg));
        break;
    case OPND_STR_DST:
        text_add(t, "es:[di]");
        break;
    case OPND_ONE:
        text_add(t, "1");
        break;
    case OPND_PORT_DX:
        text_add(t, "port dx");
        break;
    case OPND_FLAGS:
        text_add(t, "flags");
        break;
    default:
        text_add(t, "%s%u", o->kind < ARRAY_SIZE(letters) ? letters[o->kind] : "?", o->reg);
        break;
    }
}

/* "UD", "TRUNCATED", "TOO_LONG", or the instruction. */
static inline struct text text_insn(enum decode_result result, const struct insn *in)
{
    static const char *const results[] = {"", "UD", "TRUNCATED", "TOO_LONG"};
    static const char *const access[] = {"-", "r", "w", "rw", "a"};
    struct text t = {.used = 0};
    t.s[0] = 0;
    text_add(&t, "%s", results[result]);
    if (result != DECODE_OK)
        return t;
    text_add(&t, "%s", op_name(in->op));
    for (unsigned i = 0; i < in->operand_count; i++) {
        const struct operand *o = &in->operands[i];
        text_add(&t, " %s:", access[o->access]);
        text_place(&t, in, o);
        text_add(&t, ".%u", o->size);
    }
    return t;
}
