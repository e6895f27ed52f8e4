/* SPDX-License-Identifier: MIT */
/*
 * What a block knows of memory operands [base + disp], or [base + index * scale + disp], that differ
 * in their displacements: the first proves for all that they lie in one page, and keeps what is to
 * be added to get host addresses; the others need no probe. For cpu/jit/x86_64 only.
 */
#pragma once

#include "base/types.h"
#include "cpu/jit/x86_64/emit.h"

struct insn;
struct late;
struct host_mem;
struct mem_access;
struct unit;

enum {
    PROOFS = 4,        /* at a time: slots in the red zone (jit_priv.h) */
    PROOF_REACH = 256, /* longest range: the longer, the oftener it is in two pages */
    PROOF_WIDE = 4096, /* the same, of one with several indices in it: it may be in two */
    PROVE_LABELS = 3,
};

struct base_proof {
    uint8_t base;  /* guest register; REG_RIP: the start of the page that runs; or REG_NONE */
    uint8_t index; /* guest register, of all its operands; or REG_NONE */
    uint8_t scale; /* of index: log2 */
    bool write;    /* by the write array, which is good for reads too */
    bool is_wide;  /* there are operands with several indices */
    bool is_early; /* the access that proves is a read, by the write array for one that follows */
    bool has_base; /* what is kept has the base in it, as it was: it is wide, or was in memory; and the index */
    uint8_t last;  /* record behind which nobody needs it; 0: nothing is proved */
    int32_t low;   /* from base + index * scale now: its first byte */
    int32_t high;  /* behind its last byte */
    int32_t moved; /* base + index * scale now - at the proof */
};

struct base_proofs {
    struct base_proof slot[PROOFS];
    unsigned made; /* in this block, so far */
};

/* The second round of a loop begins: what goes on being so in all rounds is kept. */
void proof_keep_in_loop(struct unit *u);

/* A memory operand of a loop whose address moves by a constant in each round, or several (stride.c). */
struct stride {
    bool used;
    bool write;    /* by the write array */
    bool has_base; /* the base stays: what is kept has it in it */
    uint8_t base;  /* guest registers */
    uint8_t index; /* or REG_NONE */
    uint8_t scale;
    int32_t step; /* in each round */
    int32_t low;  /* from base and index where the round begins: its first byte */
    int32_t high; /* behind its last byte */
};

/* The second rounds begin; each of them does; an operand of theirs is one of those. */
void strides_begin(struct unit *u);
void strides_count(struct unit *u);
bool stride_operand(struct unit *u, const struct mem_access *x, struct host_mem *m);
unsigned strides_in_loop(const struct unit *u, unsigned edge); /* of instructions 0 to `edge` */

/* How many of the loop's instructions 0 to `edge` access what is proved once. */
unsigned proofs_in_loop(const struct unit *u, unsigned edge);

/* Can the instruction's operand be proved or made use of? Then *m is the host's operand: either a
 * probe that proves, or none. */
bool proof_operand(struct unit *u, struct mem_access *x, struct host_mem *m);

/* Is anything proved? */
bool proof_any(const struct unit *u);

/* The instruction has been translated: its effect on bases and indices. Or: C may have run. */
void proof_after_insn(struct unit *u);
void proof_forget(struct unit *u);
void proof_forget_base(struct unit *u, unsigned base); /* what was proved of one guest register */

/* Late code of the probe that was to prove. A wide range may be in two pages: on if it is. After
 * the handler: once more; the labels are for what can't be proved. */
void prove_wide(struct unit *u, const struct late *l);
unsigned prove_again(struct unit *u, const struct late *l, emit_label fails[PROVE_LABELS]);
