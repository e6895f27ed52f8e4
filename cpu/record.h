/* SPDX-License-Identifier: MIT */
/*
 * The 32-byte record that decoding leaves for the engines, and the block of them. Shared by interpreter and JIT.
 * Built by block.c, run by cpu/interp and cpu/jit, dropped when the bytes they came from change.
 */
#pragma once

#include "decoder/insn.h"

struct vcpu;
struct rec;
struct block;
struct jit_block;

/* A handler runs one record and tail-calls the next one's. See exec.h for EXEC and NEXT. */
typedef int exec_fn(struct vcpu *vcpu, const struct rec *rec);

/*
 * Registers in a record are indices into the register file of exec.h: REC_NONE reads as zero, REC_RIP as the RIP
 * of the block's first byte, REC_GPR + r is GPR r. For 8-bit operands dst and src are byte offsets into the register
 * file instead (rec_reg8), so that AH..BH cost nothing. XMM, MMX and ST operands are plain numbers.
 */
enum { REC_NONE = 0, REC_RIP = 1, REC_GPR = 2 };

struct rec {
    exec_fn *fn;   /* handler */
    uint64_t link; /* direct branch: struct block * of the target or 0, a guess to be checked if the target is on another
                      page; sensitive: struct site *; wants_insn: const struct insn *; MOV r64, imm64: the immediate */
    int32_t imm;   /* immediate, sign-extended on use; near branch: target - RIP of the block */
    int32_t disp;  /* displacement; RIP-relative: relative to the RIP of the block; Jcc: instructions after it in the block */
    uint8_t dst;   /* first register operand */
    uint8_t src;   /* second register operand */
    uint8_t base;  /* register file index */
    uint8_t index; /* register file index */
    uint8_t scale; /* 0..3 */
    uint8_t seg;   /* segment of the memory operand; SEG_ZERO.. in 64-bit mode */
    uint8_t len;   /* instruction length */
    uint8_t off;   /* of the instruction in the block, in bytes */
};

/*
 * Indices into run.seg_base_fast beyond the segment registers. 64-bit mode: ES CS DS read as SEG_ZERO, SS as SEG_ZERO_SS (the same base;
 * a non-canonical address is #SS(0) instead of #GP(0)). The biased ones add 256 to the base, for a RIP-relative displacement that
 * would not fit 32 bits after it was made relative to the block.
 */
enum { SEG_ZERO = 8, SEG_ZERO_SS, SEG_ZERO_BIASED, SEG_FS_BIASED, SEG_GS_BIASED, SEG_FAST_COUNT };
#define SEG_BIAS 256

#define BLOCK_MAX_RECORDS 63 /* insn_count has 6 bits */
#define BLOCK_MAX_BYTES 255

/* 0: a build that does not count exits (CMake's TRAPLINE_COUNT_EXITS=OFF), to measure what counting costs. */
#ifndef COUNT_EXITS
#define COUNT_EXITS 1
#endif

/* A sensitive instruction's place in a block: where its exits are counted. */
struct site {
    const struct sens_ops *ops; /* borrowed: the slot it calls */
    uint64_t count;             /* exits taken here; folded into totals when the block dies */
    uint64_t faults;            /* of them, those that raised an exception */
    uint64_t rip;               /* where the instruction was when the block was made (the same code may run elsewhere too) */
    struct insn insn;           /* decoded */
};

/*
 * One cache line, then the records. It lives in block memory (block_memory.h), where a header once made stays a header: a
 * pointer to a block that died can still be asked for pa and mode, and a dead or recycled block never has the ones wanted.
 */
struct block {
    paddr pa;                /* of the first byte; BLOCK_DEAD: unlinked, to be recycled when no handler of it can be running */
    uint32_t mode;           /* mode word (mode.h) */
    uint8_t bytes;           /* length in bytes */
    uint8_t count;           /* records that are instructions: ticks it charges */
    uint8_t site_count;      /* of sites[] */
    uint8_t crosses : 1;     /* one-record block over two pages */
    uint8_t checks : 1;      /* it knows its bytes (self_check.h), before sites[] */
    uint8_t insn_count : 6;  /* of insns behind sites[] */
    struct block *hash_next; /* chain of the hash table */
    struct block *page_next; /* other blocks of the page */
    struct jit_block *jit;   /* its translation, or NULL */
    union {
        struct block *page2_next; /* crossing: the same for the second page */
        uint64_t link_mask;       /* else: bit i: rec[i].link is a struct block * of the same page */
    };
    union {
        paddr pa2;         /* crossing: first byte of the second page */
        struct {           /* else, while its entries are counted (jit/x86_64/hot.c) */
            int32_t entries;  /* so far; less: of a block that is translated later */
            int32_t first_fn; /* the first record's handler, from exec_break on */
        };
        const uint8_t *code; /* else: where its translation is entered */
    };
    struct site *sites;      /* owned, with what is before it: one per sensitive record, then the insns of wants_insn records */
    struct rec rec[];        /* count records, then one that ends the block and is not an instruction */
};

#define BLOCK_DEAD UINT64_MAX

static inline bool block_is_dead(const struct block *b)
{
    return b->pa == BLOCK_DEAD;
}
