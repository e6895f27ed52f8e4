/* SPDX-License-Identifier: MIT */
/*
 * What the translator knows at a place of a block: where the guest's flags are, and what a memory
 * operand is. Part of jit_priv.h.
 */
#pragma once

#include "base/types.h"
#include "cpu/jit/x86_64/emit.h"

/* run.flag_image: OF in bit 0; SF ZF AF PF CF in bits 15:8 as LAHF has them. That takes six
 * instructions, so mostly it is not made: run.flag_how says of what it would be. */
enum flag_how {
    HOW_IMAGE,   /* it is there: the lowest byte of flag_how is 0 */
    HOW_ADD,     /* of flag_a = DEST + flag_b */
    HOW_SUB,     /* of flag_a = DEST - flag_b */
    HOW_CMP,     /* of flag_a - flag_b */
    HOW_LOGIC,   /* of the result flag_a */
    HOW_SHL,     /* of flag_a << flag_b, which is not 0 */
    HOW_SHR,     /* the same */
    HOW_SAR,     /* the same */
    HOW_PRODUCT, /* of a product with the low half flag_a; bit 0 of flag_b is CF and OF */
    HOW_ADC,     /* of flag_a = DEST + flag_b + flag_c */
    HOW_SBB,     /* of flag_a = DEST - flag_b - flag_c */
};

/* Part of a recipe: a host register, or one of these. */
enum {
    IN_GPR = 0x40,    /* and a guest register that is in memory */
    IN_MEMORY = 0xfe, /* run.flag_a, or run.flag_b */
};

/* How to make the flags again of parts that still are what they were. That is not what flag_how
 * says until somebody stores it, which mostly is late code: only parts that change are stored
 * before. */
struct recipe {
    uint8_t op;   /* enum flag_how but for shifts and products; HOW_IMAGE: there is none */
    uint8_t size; /* of the operation, bytes */
    uint8_t a;    /* part: as flag_a */
    uint8_t b;    /* part: as flag_b, or H_NONE: imm */
    int32_t imm;  /* second operand */
};

/* Where the guest's flags are; at least one holds. */
struct flag_state {
    bool memory;          /* in run.flag_image or as flag_how says, or nobody will look */
    bool plain;           /* the lowest byte of run.flag_how is 0 */
    bool host;            /* in the host's flags, now */
    bool is_logic;        /* if host: AF is to be 0 and is not */
    bool is_shift;        /* if host: OF may be another one; memory is true */
    uint16_t by;          /* instruction that has made them, and 1; 0: one before the block */
    struct recipe recipe; /* or can be made again */
};

/*
 * A guest memory operand: base + index << scale + shifted << scale + parts + disp + rest. What is
 * H_NONE or REG_NONE is 0. Narrow: modulo 4 GiB.
 */
struct address {
    uint8_t base;    /* host register */
    uint8_t index;   /* host register */
    uint8_t shifted; /* guest register that is in memory */
    uint8_t scale;   /* shift, 0..3 */
    uint8_t parts;   /* of part */
    uint8_t seg;     /* 32-bit code: the one that is not flat, its base a part; or SEG_NONE */
    bool narrow;     /* 32-bit code: the sum may wrap around, and not only to a miss */
    struct host_mem part[3]; /* in memory: segment base, jit_page, registers that are not pinned */
    int32_t disp;
    int64_t rest; /* of a displacement that has more than 32 bits */
};

struct mem_access {
    struct address address;
    uint8_t size; /* bytes */
    bool write;   /* or read */
    bool aligned; /* it has to be: the handler raises #GP */
};
