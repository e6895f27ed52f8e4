/* SPDX-License-Identifier: MIT */
/*
 * A block under construction, and the steps of its making, for build.c and self_check.c, which makes single records anew. Lives on
 * the stack; owns nothing.
 */
#pragma once

#include "cpu/build.h"

struct breakpoints;

/* What is gathered while decoding, before sizes are known. */
struct draft {
    struct vcpu *vcpu;                           /* borrowed */
    uint64_t rip;                                /* of the first instruction */
    paddr pa;                                    /* of the first byte */
    uint32_t mode;                               /* mode word */
    const uint8_t *page;                         /* host's bytes of the page that pa is in, for block_build; NULL: not RAM */
    unsigned count;                              /* instructions decoded */
    unsigned bytes;                              /* their length */
    bool crosses;                                /* the one instruction continues on the next page */
    paddr pa2;                                   /* start of that page */
    bool is_ended;                               /* the last instruction ends the block */
    bool checks;                                 /* the block is to know its bytes (self_check.h) */
    const struct breakpoints *breakpoints;       /* that it ends before, or NULL */
    uint64_t live;                               /* bit i: flags written by insn i are live */
    uint64_t wants_insn;                         /* bit i: record i keeps its struct insn */
    uint64_t sites;                              /* bit i: record i is sensitive */
    struct insn insn[BLOCK_MAX_RECORDS];         /* decoded */
    exec_fn *forced[BLOCK_MAX_RECORDS];          /* handler of a record that only raises, or NULL */
    struct fuse_key fuse[BLOCK_MAX_RECORDS];     /* what fusion may know of it */
};

/* All but the instructions, which are large and written one by one. */
void draft_init(struct draft *d, struct vcpu *vcpu, uint64_t rip, paddr pa, uint32_t mode);

/*
 * decoder_decode, but in real-address and virtual-8086 mode VEX is not recognized, and the bytes are LES or LDS of a
 * register: #UD, and no byte after the ModRM is looked at. SDM Vol. 2A, "Exceptions Type 1" and following.
 */
enum decode_result draft_decode(const struct draft *d, const uint8_t *p, size_t avail, struct insn *in);

/* insn[count], as decoded, is the next one: forced, is_ended. */
void draft_add(struct draft *d, enum decode_result result);

/* May instruction i fault, exit or be followed by an event that sees the flags? Anything but plain register work. */
bool draft_shows_flags(const struct draft *d, unsigned i);

/* Record i of b, whose count is known, off bytes after its start; sites and wants_insn say what it needs beside it. */
void draft_record(struct draft *d, struct block *b, unsigned i, unsigned off);
