/* SPDX-License-Identifier: MIT */
/*
 * A test vector: one instruction, the machine before it, the machine after it as a real CPU left
 * it. Written by the recorder, read by the player; the text format is in docs/testing.md,
 * "Instruction vectors". Owns nothing, knows no CPU.
 *
 * The state before is expanded from a seed by vector_expand, which is therefore part of the format:
 * change it and every recorded vector must be recorded again.
 */
#pragma once

#include <stdio.h>

#include "base/types.h"
#include "decoder/insn.h"

/* Where things are: linear addresses less vector.base, the same on the real CPU and in the emulator.
 * All else is not present. */
enum {
    VECTOR_MEM = 0x3000,      /* first page: read-only */
    VECTOR_DATA = 0x4000,     /* two pages: read-write, not executable */
    VECTOR_DATA_END = 0x6000, /* not present from here */
    VECTOR_MEM_SIZE = VECTOR_DATA_END - VECTOR_MEM,
    VECTOR_ALIAS = 0x10000, /* VECTOR_MEM to VECTOR_DATA_END once more, so much higher */
    VECTOR_CODE = 0x9000, /* one page: read-only, executable */
    VECTOR_INSN = 0x9100, /* the instruction */
};

#define VECTOR_NO_FAULT 0xff
#define VECTOR_LINE_MAX 8192

/* All that a vector compares. */
struct vector_state {
    uint64_t gpr[16];             /* RAX..R15 */
    uint64_t rip;                 /* after: of the next instruction, or of the one that faulted */
    uint64_t rflags;              /* status flags, DF, AC */
    uint64_t seg_base[2];         /* FS, GS in 64-bit code */
    uint16_t sel[6];              /* ES, CS, SS, DS, FS, GS */
    uint16_t fop;                 /* x87 last opcode */
    uint64_t fip;                 /* x87 last instruction pointer, 64 bits of it */
    uint64_t fdp;                 /* x87 last data pointer, 64 bits of it */
    uint64_t fp_mant[8];          /* R0-R7 (physical): significand */
    uint16_t fp_se[8];            /* R0-R7: sign and exponent */
    uint16_t fcw;                 /* x87 control word */
    uint16_t fsw;                 /* x87 status word */
    uint8_t ftw;                  /* abridged tags, by physical register */
    uint32_t mxcsr;               /* MXCSR */
    uint64_t xmm[16][2];          /* XMM0..15, low half first */
    uint64_t ymm_high[16][2];     /* bits 128 to 255 of YMM0..15 */
    uint8_t mem[VECTOR_MEM_SIZE]; /* from VECTOR_MEM on */
    uint8_t fault;                /* after: exception vector, or VECTOR_NO_FAULT */
    uint64_t fault_code;          /* its error code, 0 if it has none */
    uint64_t fault_address;       /* #PF: CR2 */
};

/* One line of a vector file. */
struct vector {
    enum decode_mode mode;       /* DECODE_16 and DECODE_32 are compatibility mode */
    bool segmented;              /* segments of vector_segments; always in DECODE_16 */
    uint32_t base;               /* added to all addresses above; 0 in files */
    char profile;                /* what XMM registers and memory are filled with: PROFILE_* */
    uint32_t seed;               /* of the state before */
    uint8_t bytes[INSN_MAX_LEN]; /* the instruction */
    uint8_t len;                 /* of it */
    struct vector_state before;  /* expanded, overrides applied */
    struct vector_state after;   /* as recorded */
};

/* Values that memory and XMM registers hold. */
#define PROFILE_INTEGER 'i'
#define PROFILE_SINGLE 's'
#define PROFILE_DOUBLE 'd'
#define PROFILE_EXTENDED 'x'
#define PROFILE_BCD 'b'

/* Deterministic numbers (splitmix64). */
uint64_t vector_random(uint64_t *state);

/* The state before from mode, profile and seed. */
void vector_expand(struct vector *v);

/* Values of a profile, half of them special. slot: 16 bytes. */
void vector_random_slot(uint64_t *s, char profile, uint64_t slot[2]);
uint64_t vector_random_integer(uint64_t *s);

/* Draw the parts of a state anew: general registers and flags; x87 but its registers' values; MXCSR. */
void vector_random_general(struct vector *v, uint64_t *s);
void vector_random_x87(struct vector_state *t, uint64_t *s);
uint32_t vector_random_mxcsr(uint64_t *s);

/* Write the line of v as far as the colon; with the result, to its end. `plain` is the state that
 * the seed gives. */
void vector_write(FILE *f, const struct vector *v, const struct vector_state *plain);

/* Parse a line (changed in the process) into *v, expanding the state. False: not a vector line,
 * *why says why. */
bool vector_parse(char *line, struct vector *v, const char **why);

/* May a single step end in the middle of it? REP strings; gathers, where an element faults. */
bool vector_repeats(const struct insn *in);

/* ST(i) is physical register (TOP + i) mod 8. */
static inline unsigned vector_st(const struct vector_state *s, unsigned i)
{
    return ((unsigned)(s->fsw >> 11) + i) & 7;
}
