/* SPDX-License-Identifier: MIT */
/*
 * What the translator knows at a place of a block: where the guest's flags are, and what a memory
 * operand is. Part of jit_priv.h.
 */
#pragma once

#include "base/types.h"
#include "cpu/jit/x86_64/emit.h"

enum recipe_op { RECIPE_NONE, RECIPE_ADD, RECIPE_SUB, RECIPE_CMP, RECIPE_LOGIC };

/* How to make the host's flags again from registers that still hold what they held. */
struct recipe {
    uint8_t op;   /* enum recipe_op */
    uint8_t size; /* of the operation, bytes */
    uint8_t a;    /* host register: result (CMP: first operand) */
    uint8_t b;    /* host register: second operand, or H_NONE: imm */
    int32_t imm;  /* second operand */
};

/* Where the guest's flags are; at least one holds. */
struct flag_state {
    bool memory;          /* in run.flag_image or as flag_how says, or nobody will look */
    bool plain;           /* run.flag_how is 0 */
    bool host;            /* in the host's flags, now */
    bool is_logic;        /* if host: AF is to be 0 and is not */
    bool is_shift;        /* if host: OF may be another one; memory is true */
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
