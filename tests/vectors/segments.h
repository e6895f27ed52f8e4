/* SPDX-License-Identifier: MIT */
/*
 * The local descriptor table of segmented vectors: 16-bit code, stacks of both sizes, limits inside
 * the memory, segments that wrap around at 64 KiB and at 4 GiB. Part of the vector format. The
 * recorder gives it to the system, the player writes it into its vCPU's memory. Constant.
 */
#pragma once

#include "tests/vectors/vector.h"

struct vector_segment {
    uint32_t base;  /* less vector.base */
    uint32_t limit; /* in bytes, or in pages */
    uint32_t attr;  /* as in seg_attr of cpu/state.h */
};

enum {
    VECTOR_LDT_CODE16,           /* 64 KiB */
    VECTOR_LDT_CODE16_HIGH,      /* 64 KiB, ending with the code page */
    VECTOR_LDT_CODE32,           /* ends with the code page */
    VECTOR_LDT_DATA,             /* the first segment for data */
    VECTOR_LDT_CODE32_FLAT = 10, /* not readable */
    VECTOR_LDT_COUNT = 14,
};

#define VECTOR_SELECTOR(n) ((uint16_t)((n) << 3 | 7))

extern const struct vector_segment vector_segments[VECTOR_LDT_COUNT];

/* The segment that a selector names, NULL if it is not in the table. */
const struct vector_segment *vector_segment(unsigned selector);

/* Base and largest offset of v's segment register (ES to GS) before the instruction. */
uint64_t vector_segment_base(const struct vector *v, unsigned seg);

/* The bytes of descriptor n. */
uint64_t vector_descriptor(const struct vector *v, unsigned n);

/* Selectors and RIP of v->before as the mode has them. */
void vector_segments_init(struct vector *v);
