/* SPDX-License-Identifier: MIT */
/* Late code: what is rarely run, at the end of a block. Part of jit_priv.h. */
#pragma once

#include "cpu/jit/x86_64/fp.h"
#include "cpu/jit/x86_64/proof.h"
#include "cpu/jit/x86_64/state.h"

struct jit_exit;
struct jit_site;
struct unit;

/* What late code does before it gives up. */
enum late_try {
    TRY_NOTHING,
    TRY_WINDOW,    /* open the stack window; probe the array */
    TRY_PROOF,     /* open the stack window, and check again */
    TRY_WIDE,      /* the proof of a range that may be in two pages */
};

/* Work for the end of a block: code that is rarely run. */
struct late {
    emit_label from;          /* jumps here */
    const uint8_t *back;      /* where it goes on, or NULL: does not */
    struct flag_state flags;  /* at the jump */
    struct flag_state after;  /* where it goes on */
    struct jit_site *site;    /* its handler does the instruction, or NULL */
    struct jit_exit *exit;    /* taken branch, or NULL */
    bool is_first;            /* TRY_PROOF of the path's first instruction: it is done without, then exit */
    bool is_over;             /* it is not taken, for the budget does not reach */
    bool starts_over;         /* to where the loop's first round begins */
    bool is_edge;             /* the same, or not linked: a loop's */
    uint32_t bring;           /* a unit of the guest's is to be brought: fp_want; or 0 */
    struct fp_state fp;       /* at the jump */
    bool lent;                /* unit.lent, there */
    struct fp_state fp_after; /* where it goes on */
    enum late_try try;        /* first */
    const uint8_t *hit;       /* where that goes on if it succeeds; T1: entry, or window's addend */
    struct mem_access access; /* what is probed */
    int32_t low;              /* TRY_PROOF: first byte, from RSP */
    int32_t high;             /* the same: behind the last one */
    unsigned before;          /* unit.stack.proof at the jump */
    unsigned proof;           /* the same where it goes on: not without it */
    struct base_proofs proofs; /* if proves: at the jump, with its own */
    unsigned made;             /* unit.proofs.made at the jump */
    unsigned made_after;       /* the same where it goes on: not without those either */
    uint8_t proves;            /* slot of what the probe was to prove */
    bool is_proof;             /* it has one */
    bool keeps;                /* something is proved of a base where it goes on */
    struct jit_exit *next;     /* to the next instruction, when a proof is gone; or NULL */
    uint16_t xmm;              /* unit.xmm where it goes on */
    bool touches_flags;        /* the handler needs them */
    bool tails;                /* the handler goes on by itself */
    bool plain;                /* the flags to run.flag_image */
};

/* Late code for the jump that was just emitted: the instruction by its handler; a unit of the guest's to be brought, to go on here; a taken branch. */
void late_handler(struct unit *u, emit_label from);
void late_window(struct unit *u, emit_label from, const struct mem_access *x);
void late_proof(struct unit *u, emit_label from, int32_t low, int32_t high);
void late_first_proof(struct unit *u, emit_label from, int32_t low, int32_t high);
void late_prove(struct unit *u, emit_label from, const struct mem_access *x, unsigned slot);
void late_bring(struct unit *u, emit_label from, uint32_t want);
struct jit_exit *late_exit(struct unit *u, emit_label from, int64_t target, int64_t refund);
void late_over(struct unit *u, emit_label from, struct jit_exit *exit); /* the budget does not reach it */
void late_edge(struct unit *u, emit_label from, struct jit_exit *exit); /* or not linked */
void late_again(struct unit *u, emit_label from); /* a round by the code of the first */
void late_plain(struct unit *u, emit_label from); /* flags to run.flag_image, to go on here */

/* Here the late code of this instruction goes on. */
void late_back(struct unit *u);

/* What is emitted from here on is late code, elsewhere; and as it was. */
bool go_late(struct unit *u);
void go_back(struct unit *u, bool was_late);

/* The code of all of it, when all instructions of the block have theirs: first taken branches, which stay near. */
void emit_all_late(struct unit *u);
