/* SPDX-License-Identifier: MIT */
/*
 * What of an instruction's result may differ between a CPU and ours: the one table, allowed.def,
 * for recorded vectors and for the silicon test. Constant.
 */
#pragma once

#include "tests/vectors/vector.h"

/* Who made the CPU that gave the result. */
enum vendor { VENDOR_ANY, VENDOR_INTEL, VENDOR_AMD };

/* Where two results differ: bits of the fields' values, or of register numbers. */
struct difference {
    bool any;              /* something does */
    uint16_t gpr;          /* registers */
    uint64_t rip;          /* bits */
    uint64_t flags;        /* bits */
    uint8_t segments;      /* selectors 0 to 5, FS and GS bases 6 and 7 */
    uint16_t fcw, fsw;     /* bits */
    uint8_t ftw;           /* bits */
    uint16_t fop;          /* bits */
    uint64_t fip, fdp;     /* bits */
    uint8_t st;            /* physical registers */
    uint8_t st_ulp;        /* of them: by one unit in the last place */
    uint32_t mxcsr;        /* bits */
    uint16_t simd;         /* YMM registers */
    uint16_t simd_close;   /* of them: each single within 1.5 * 2^-11 of the other */
    uint8_t fault;         /* bits of the vector */
    uint64_t code;         /* bits of the error code */
    uint64_t cr2;          /* bits */
    unsigned mem_from;     /* first byte of memory, from VECTOR_MEM on */
    unsigned mem_to;       /* behind the last one */
    const uint8_t *mem[2]; /* the two memories; borrowed */
};

/* What differs between want and got. */
struct difference difference_between(const struct vector_state *want,
                                     const struct vector_state *got);

/*
 * Take out of *d what rows of the table allow for v (its result is in v->after) on a CPU of vendor.
 * count: per row, raised by one where the row took something out; NULL for none.
 */
void allowed_absorb(const struct vector *v, const struct insn *in, enum vendor vendor,
                    struct difference *d, unsigned *count);

/* Does a row that is a vendor's speak of v? Such results are not worth recording. */
bool allowed_differs_by_vendor(const struct vector *v, const struct insn *in);

/* The rows, for reports. */
struct allowed_row {
    const char *op;     /* mnemonic, "*" for any */
    const char *fields; /* as in the table */
    const char *vendor; /* "any", "Intel", "AMD" */
    const char *source; /* the manual's place */
};
unsigned allowed_row_count(void);
struct allowed_row allowed_row(unsigned i);

/* Why a row of insn.def need not be executed to its end by any test, only to its exception; or NULL.
 */
const char *allowed_to_only_fault(unsigned row);

/* Why the engine does not execute a row although it decodes: its feature is in no CPU model. NULL
 * when it does. */
const char *allowed_unimplemented(unsigned feature);
