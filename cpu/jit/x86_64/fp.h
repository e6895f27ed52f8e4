/* SPDX-License-Identifier: MIT */
/*
 * Where the guest's MXCSR and its x87 unit are while a block is translated. For cpu/jit only.
 *
 * While all exceptions are masked the host's units do the guest's work: the host's MXCSR is the
 * guest's (run.jit_fp), and the host's x87 unit is the guest's, register by register, with its
 * control and status words (run.jit_x87). The first instruction that needs a unit brings it, out of
 * line; it stays over any number of blocks, until C is entered: thunk_fp.c. Code is made for the
 * stack as it is when the block is translated: TOP, and so many registers from TOP on that are not
 * empty; all others are. Where that does not hold, or something is unmasked, the block is dropped,
 * and left to the handlers when it happens again.
 *
 * In memory at any entry into C: FOP, FIP, FCS, FDS of the last instruction (fp_settle), FDP (at
 * once).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct unit;

struct fp_state {
    bool never;      /* this block goes to the handlers */
    bool mxcsr;      /* the host's MXCSR is the guest's */
    bool x87;        /* the host's x87 unit is the guest's */
    bool is_known;   /* top and count are what is expected */
    uint8_t top;     /* TOP */
    uint8_t count;   /* registers from TOP on that are not empty */
    uint8_t stored;  /* run.jit_x87, if x87 */
    bool points;     /* FOP, FIP, FCS are to be stored */
    bool points_mem; /* FDS as well */
    uint8_t seg;     /* for FDS */
    uint16_t fop;    /* FOP */
    uint32_t ip;     /* FIP, from the start of the page */
    bool upper;      /* the host's YMM registers may have upper halves that are not 0 */
    uint16_t ymm;    /* if so, bit g: all 32 bytes of the host's YMM g are the guest's */
};

/* A block that was dropped so often is not translated like that again. */
enum { FP_DROPS = 4096, FP_DROPS_MAX = 3 };

unsigned fp_drops(uint64_t pa);

/* run.jit_x87 and what bring_x87 takes in T0: that in 7:0, the tags in 15:8, TOP of FSW above. */
#define FP_WANT_MXCSR 1u /* no such value */
uint8_t fp_signature(const struct fp_state *s);
uint32_t fp_want(const struct fp_state *s);

/* At the start of a block. */
void fp_start(struct unit *u);

/* The guest's unit is in the host's from here on. False: it can't be, for the handler. Destroys the
 * host's flags unless it is there already. */
bool fp_need_mxcsr(struct unit *u);
bool fp_need_x87(struct unit *u);

/* Before C is entered or the block left: what it may look at. T1 is used, flags are kept. */
void fp_settle(struct unit *u);

/* The host's upper halves become 0, which its legacy SSE and C expect; lower halves stay. */
void fp_zero_upper(struct unit *u);

/* C has been entered by this instruction's handler. */
void fp_after_handler(struct unit *u);

/* The units as they were at the place that late code goes back to, after C. Jumps to fail, with T0
 * free, if that is not possible. */
void fp_bring_again(struct unit *u, const struct fp_state *s, uintptr_t site);
