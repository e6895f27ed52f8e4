/* SPDX-License-Identifier: MIT */
/*
 * The macros of insn.def's encoding, operands and attributes columns, and what they expand to:
 * struct form. For decoder/ and the tools that print the table; owns nothing, holds no code.
 */
#pragma once

#include "decoder/insn.h"

/* Where an operand is: SDM Vol. 2, "Codes for Addressing Method". */
enum method {
    M_NONE,       /* no operand */
    M_E,          /* GPR or memory by ModRM.rm */
    M_G,          /* GPR by ModRM.reg */
    M_R,          /* GPR by ModRM.rm */
    M_M,          /* memory by ModRM */
    M_Z,          /* GPR by the opcode */
    M_GPR,        /* a fixed GPR */
    M_DX,         /* port number in DX */
    M_ONE,        /* constant 1 */
    M_IMM,        /* immediate, zero-extended */
    M_IMM_SIGNED, /* immediate, sign-extended */
    M_J,          /* relative offset */
    M_A,          /* far pointer */
    M_O,          /* moffs */
    M_SREG,       /* segment register by ModRM.reg */
    M_SREG_FIXED, /* a fixed segment register */
    M_CR,         /* control register by ModRM.reg */
    M_DR,         /* debug register by ModRM.reg */
    M_FLAGS,      /* the flags register */
    M_X,          /* string source */
    M_Y,          /* string destination */
    M_ST0,        /* ST(0) */
    M_STI,        /* ST(ModRM.rm) */
    M_P,          /* MMX by ModRM.reg */
    M_N,          /* MMX by ModRM.rm */
    M_Q,          /* MMX or memory by ModRM.rm */
    M_V,          /* XMM by ModRM.reg */
    M_U,          /* XMM by ModRM.rm */
    M_W,          /* XMM or memory by ModRM.rm */
    M_H,          /* XMM by VEX.vvvv */
    M_B,          /* GPR by VEX.vvvv */
    M_L,          /* XMM by imm8[7:4] */
    M_VSIB,       /* elements of memory, by a vector of indices */
};

/* Operand letters as numbers; with the access in the high byte: r_Ev, w_Ev, rw_Ev, a_Ev. */
enum operand_code {
    CODE_NONE,
#define OPERAND(code, ...) CODE_##code,
#include "decoder/operands.def"
#undef OPERAND
    CODE_COUNT
};
enum operand_spec {
#define OPERAND(code, ...)                                                                         \
    r_##code = CODE_##code | ACC_R << 8, w_##code = CODE_##code | ACC_W << 8,                      \
    rw_##code = CODE_##code | ACC_RW << 8, a_##code = CODE_##code | ACC_ADDR << 8,
#include "decoder/operands.def"
#undef OPERAND
};

/* The attributes column: see the legend of insn.def. */
enum {
    A_LOCK = 1 << 0,
    A_END = 1 << 1,
    A_I64 = 1 << 2,
    A_O64 = 1 << 3,
    A_D64 = 1 << 4,
    A_F64 = 1 << 5,
    A_MOD3 = 1 << 6,
    A_FALL = 1 << 7,
};

/* Which mandatory prefixes select the row. */
enum prefix_selector {
    SEL_ANY, /* any or none */
    SEL_NFX, /* not F2, F3 */
    SEL_NP,  /* none of 66, F2, F3 */
    SEL_66,  /* 66 without F2, F3 */
    SEL_F3,  /* F3 (the last of F2 and F3) */
    SEL_F2,  /* F2 */
};

enum { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_COUNT };
enum { MOD_ANY, MOD_IS_MEM, MOD_IS_REG };

/* The encoding column. Optional selectors hold value + 1, so that 0 is "any". */
struct encoding {
    uint8_t map;    /* MAP_* */
    uint8_t prefix; /* enum prefix_selector */
    uint8_t opcode; /* first opcode byte of the row */
    uint8_t span;   /* opcodes covered beyond the first: 0, 7 or 15 */
    uint8_t reg;    /* ModRM.reg + 1 */
    uint8_t rm;     /* ModRM.rm + 1, with mod 3 */
    uint8_t mod;    /* MOD_* */
    uint8_t w;      /* REX.W or VEX.W + 1 */
    uint8_t rexb0;  /* only with REX.B = 0 */
    uint8_t vex;    /* in the space of VEX */
    uint8_t l;      /* VEX.L + 1 */
};

/* The macros take selectors as further arguments: OP_0F(0x01, REG(0)). */
/* clang-format off */
#define OP(...)          {.map = MAP_ONE, .prefix = SEL_ANY, .opcode = __VA_ARGS__}
#define OP_F3(...)       {.map = MAP_ONE, .prefix = SEL_F3, .opcode = __VA_ARGS__}
#define OP_0F(...)       {.map = MAP_0F, .prefix = SEL_ANY, .opcode = __VA_ARGS__}
#define OP_NFX_0F(...)   {.map = MAP_0F, .prefix = SEL_NFX, .opcode = __VA_ARGS__}
#define OP_NP_0F(...)    {.map = MAP_0F, .prefix = SEL_NP, .opcode = __VA_ARGS__}
#define OP_66_0F(...)    {.map = MAP_0F, .prefix = SEL_66, .opcode = __VA_ARGS__}
#define OP_F3_0F(...)    {.map = MAP_0F, .prefix = SEL_F3, .opcode = __VA_ARGS__}
#define OP_F2_0F(...)    {.map = MAP_0F, .prefix = SEL_F2, .opcode = __VA_ARGS__}
#define OP_NFX_0F38(...) {.map = MAP_0F38, .prefix = SEL_NFX, .opcode = __VA_ARGS__}
#define OP_NP_0F38(...)  {.map = MAP_0F38, .prefix = SEL_NP, .opcode = __VA_ARGS__}
#define OP_66_0F38(...)  {.map = MAP_0F38, .prefix = SEL_66, .opcode = __VA_ARGS__}
#define OP_F3_0F38(...)  {.map = MAP_0F38, .prefix = SEL_F3, .opcode = __VA_ARGS__}
#define OP_F2_0F38(...)  {.map = MAP_0F38, .prefix = SEL_F2, .opcode = __VA_ARGS__}
#define OP_NP_0F3A(...)  {.map = MAP_0F3A, .prefix = SEL_NP, .opcode = __VA_ARGS__}
#define OP_66_0F3A(...)  {.map = MAP_0F3A, .prefix = SEL_66, .opcode = __VA_ARGS__}
#define VEX_NP_0F(...)   {.map = MAP_0F, .vex = 1, .prefix = SEL_NP, .opcode = __VA_ARGS__}
#define VEX_66_0F(...)   {.map = MAP_0F, .vex = 1, .prefix = SEL_66, .opcode = __VA_ARGS__}
#define VEX_F3_0F(...)   {.map = MAP_0F, .vex = 1, .prefix = SEL_F3, .opcode = __VA_ARGS__}
#define VEX_F2_0F(...)   {.map = MAP_0F, .vex = 1, .prefix = SEL_F2, .opcode = __VA_ARGS__}
#define VEX_NP_0F38(...) {.map = MAP_0F38, .vex = 1, .prefix = SEL_NP, .opcode = __VA_ARGS__}
#define VEX_66_0F38(...) {.map = MAP_0F38, .vex = 1, .prefix = SEL_66, .opcode = __VA_ARGS__}
#define VEX_F3_0F38(...) {.map = MAP_0F38, .vex = 1, .prefix = SEL_F3, .opcode = __VA_ARGS__}
#define VEX_F2_0F38(...) {.map = MAP_0F38, .vex = 1, .prefix = SEL_F2, .opcode = __VA_ARGS__}
#define VEX_66_0F3A(...) {.map = MAP_0F3A, .vex = 1, .prefix = SEL_66, .opcode = __VA_ARGS__}
#define VEX_F2_0F3A(...) {.map = MAP_0F3A, .vex = 1, .prefix = SEL_F2, .opcode = __VA_ARGS__}
#define L0 .l = 1
#define L1 .l = 2
#define PLUS_R .span = 7
#define PLUS_CC .span = 15
#define REG(n) .reg = (n) + 1
#define RM(n) .rm = (n) + 1, .mod = MOD_IS_REG
#define MOD_REG .mod = MOD_IS_REG
#define W0 .w = 1
#define W1 .w = 2
#define REXB0 .rexb0 = 1

/* A tuple of operand specs, or (). The leading 0 keeps the empty one legal C. */
#define OPERANDS(...) {0, __VA_ARGS__}
/* clang-format on */

/* One row, as the decoder uses it. */
struct form {
    struct encoding encoding; /* which bytes select it */
    uint16_t operands[5];     /* enum operand_spec from [1] on, 0 ends the list */
    uint16_t attributes;      /* A_* */
};

/* Size rules of operands.def. */
enum size_rule {
    SIZE_0,
    SIZE_B,
    SIZE_W,
    SIZE_D,
    SIZE_Q,
    SIZE_T,
    SIZE_X,
    SIZE_V,
    SIZE_Z,
    SIZE_Y,
    SIZE_P,
    SIZE_S,
    SIZE_A,
    SIZE_L,
    SIZE_QQ,
    SIZE_RULES
};

/* One row of operands.def. */
struct operand_letters {
    const char *name; /* as in insn.def */
    uint8_t method;   /* enum method */
    uint8_t reg_size; /* enum size_rule */
    uint8_t mem_size; /* enum size_rule */
    uint8_t number;   /* fixed register */
};

extern const struct operand_letters operand_letters[CODE_COUNT];

/* The form of a row; row < insn_row_count(). */
const struct form *insn_form(unsigned row);
