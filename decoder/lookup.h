/* SPDX-License-Identifier: MIT */
/*
 * The index over insn.def that decoder_create builds and decode.c walks: one load by mode, REX.W,
 * map, mandatory prefix and opcode, then, where ModRM selects, one by mod and reg, then at most one
 * by rm. Private to decoder/.
 */
#pragma once

#include "decoder/encoding.h"

/* First index: which table of cells. */
enum { VARIANT_LEGACY, VARIANT_64_W0, VARIANT_64_W1, VARIANT_COUNT };

/* The same for VEX: a set of these bits. */
enum { VEX_W = 1, VEX_L = 2, VEX_64 = 4, VEX_VARIANT_COUNT = 8 };
#define VEX_MAPS (MAP_COUNT - MAP_0F)

/* Mandatory prefix as found: none, 66, F3, F2. */
enum { PP_NONE, PP_66, PP_F3, PP_F2, PP_COUNT };

/* A slot holds 0: #UD; SLOT_TABLE | index of the next table; or row + 1. */
#define SLOT_TABLE 0x8000u
#define GROUPS_MAX 2048
#define RM_TABLES_MAX 320

/* Of operand sizes 2, 4, 8, and of 4 and 8 with VEX.L. */
#define SIZES 5
static inline unsigned size_index(unsigned opsize, unsigned vex_l)
{
    return (opsize >> 2) + 2 * vex_l;
}

/* How decode.c must treat a row: insn.def's columns, digested. */
struct plan_operand {
    uint8_t method;          /* enum method */
    uint8_t access;          /* ACC_* */
    uint8_t number;          /* fixed register */
    uint8_t size[SIZES];     /* bytes as register or immediate, by size_index */
    uint8_t mem_size[SIZES]; /* bytes in memory or in the instruction, by size_index */
};
struct plan {
    uint16_t op;                     /* enum op */
    uint16_t attributes;             /* A_* */
    bool has_modrm;                  /* a ModRM byte follows the opcode */
    bool has_memory;                 /* ModRM with mod != 3 names memory */
    bool uses_vvvv;                  /* VEX.vvvv names an operand; else it must be 1111b */
    uint8_t vsib;                    /* operand with M_VSIB + 1 */
    uint8_t operand_count;           /* of operands[] */
    struct plan_operand operands[4]; /* in order */
};

struct decoder {
    uint16_t cells[VARIANT_COUNT][MAP_COUNT][PP_COUNT][256];        /* first slots */
    uint16_t vex_cells[VEX_VARIANT_COUNT][VEX_MAPS][PP_COUNT][256]; /* first slots by VEX */
    uint16_t groups[GROUPS_MAX][16];      /* slots by (mod is 3) * 8 + reg */
    uint16_t rm_tables[RM_TABLES_MAX][8]; /* rows + 1 by rm */
    unsigned group_count;                 /* used of groups */
    unsigned rm_table_count;              /* used of rm_tables */
    uint16_t xchg_r8;                     /* slot of opcode 90 with REX.B */
    unsigned row_count;                   /* of plans */
    struct plan plans[];                  /* by row */
};
