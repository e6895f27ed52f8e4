/* SPDX-License-Identifier: MIT */
/*
 * From a decoded instruction to a handler. The block builder fills the record's operands by the conventions of
 * record.h, then asks each family of innocuous instructions in turn; the first that knows the op answers. Families live in
 * cpu/interp, one file each; a family may adjust the record (dst, src, imm, link).
 */
#pragma once

#include "cpu/fuse.h"
#include "cpu/mode.h"

enum { WIDTH_8, WIDTH_16, WIDTH_32, WIDTH_64 }; /* index of handler tables: log2 of bytes */

struct selection {
    const struct insn *in; /* decoded */
    uint32_t mode;         /* mode word */
    uint16_t page_offset;  /* of the block in its page */
    uint8_t width;         /* WIDTH_* of operands[0] (1, 2, 4, 8 bytes); 0 otherwise */
    bool mem64;            /* the memory operand may use rec_la64; else rec_la_checked */
    bool flags_live;       /* some status flag this instruction writes is read later, or may be seen at a boundary */
    bool wants_insn;       /* out: set rec->link to the block's copy of *in (const struct insn *) */
    bool ends_block;       /* in: from the table; out: a family may set it */
    struct fuse_key fuse;  /* out: what fusion may know of it */
};

typedef exec_fn *select_fn(struct selection *s, struct rec *rec);

/* The families. NULL: not mine. */
select_fn select_arith;   /* ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT XADD CMPXCHG CMPXCHG8B/16B */
select_fn select_move;    /* MOV MOVZX MOVSX MOVSXD LEA XCHG CMOVCC SETCC BSWAP MOVBE XLAT CBW.. flags ops NOP fences */
select_fn select_shift;   /* ROL ROR RCL RCR SHL SHR SAR SHLD SHRD */
select_fn select_muldiv;  /* MUL IMUL DIV IDIV, AAM AAD AAA AAS DAA DAS */
select_fn select_bit;     /* BT BTS BTR BTC BSF BSR POPCNT TZCNT LZCNT CRC32 */
select_fn select_bmi;     /* ANDN BLSR BLSMSK BLSI BEXTR BZHI PDEP PEXT MULX SHLX SHRX SARX RORX */
select_fn select_stack;   /* PUSH POP PUSHA POPA ENTER LEAVE */
select_fn select_branch;  /* JCC JMP CALL RET near, LOOPcc, JCXZ, BOUND, INTO's trap aside */
select_fn select_string;  /* MOVS CMPS STOS LODS SCAS with REP */
select_fn select_x87;     /* D8-DF, FWAIT */
select_fn select_fxsave;  /* FXSAVE FXRSTOR XSAVE* XRSTOR LDMXCSR STMXCSR XGETBV */
select_fn select_mmx;     /* MMX registers */
select_fn select_avx;     /* whatever has a VEX prefix and works on vectors */
select_fn select_sse_move; /* MOVAPS, MOVDQA, shuffles, unpacks, inserts, extracts */
select_fn select_sse_fp;  /* float and double arithmetic, conversions, compares */
select_fn select_sse_int; /* packed integer, SSSE3, SSE4, AES, PCLMULQDQ */

/* Handlers every family may return: #UD, #NM, #GP(0) as the instruction's only act. */
exec_fn exec_ud;
exec_fn exec_nm;
exec_fn exec_gp0;

/* The first family's handler for s->in, or exec_ud. */
exec_fn *select_handler(struct selection *s, struct rec *rec);

/* The engine's own records. */
exec_fn exec_sensitive;  /* through the slot in its site */
exec_fn exec_sensitive_step; /* the same, but returns when it is done: EXEC_NEXT, or EXEC_CHAIN to run.rec */
exec_fn exec_block_end;  /* after the last instruction: falls through to the next block */
exec_fn exec_block_end64; /* the same in 64-bit mode without TF or breakpoints; the next block is in the same page */
exec_fn exec_block_end_crossing; /* of one over two pages */
exec_fn exec_block_end64_far; /* the same where the block ends with its page */
exec_fn exec_far_branch; /* direct branch whose displacement does not fit a record */
exec_fn exec_break;      /* patched over a record to leave before it */
