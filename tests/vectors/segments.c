/* SPDX-License-Identifier: MIT */
#include "tests/vectors/segments.h"

#include "cpu/state.h"

enum {
    DATA = ATTR_P | ATTR_DPL | ATTR_S | ATTR_ACCESSED, /* read-only */
    CODE = DATA | ATTR_CODE,                           /* execute-only */
    RW = ATTR_RW,
    DOWN = ATTR_DC,
    BIG = ATTR_DB,
    PAGES = ATTR_G,
    ABSENT = ATTR_P, /* taken out again */
};

/* clang-format off */
const struct vector_segment vector_segments[VECTOR_LDT_COUNT] = {
    {0x5000,     0xffff,  CODE | RW},
    {0xffffa000, 0xffff,  CODE | RW},
    {0x1000,     0x8fff,  CODE | RW | BIG},
    {0x4800,     0xffff,  DATA | RW},              /* offsets wrap around at 64 KiB, into the alias */
    {0x3000,     0x2fff,  DATA | RW | BIG},
    {0x4000,     0x7fe,   DATA | RW},              /* an odd number of bytes */
    {0x3000,     0x2fff,  DATA | BIG},
    {0x3800,     0x1000,  DATA | RW | DOWN},       /* from 1001h to FFFFh */
    {0x3800,     0x1000,  DATA | RW | DOWN | BIG}, /* from 1001h to the end */
    {0xfffff000, 0xfffff, DATA | RW | BIG | PAGES}, /* linear addresses wrap around at 4 GiB */
    {0,          0xfffff, CODE | BIG | PAGES},
    {0x3000,     0x2fff,  CODE | RW},
    {0x3000,     0xffff,  (DATA | RW) & ~ABSENT},
    {0x3000,     0,       DATA | RW | BIG},        /* one byte */
};
/* clang-format on */

const struct vector_segment *vector_segment(unsigned selector)
{
    unsigned n = selector >> 3;
    return (selector & 4) && n < VECTOR_LDT_COUNT ? &vector_segments[n] : NULL;
}

uint64_t vector_segment_base(const struct vector *v, unsigned seg)
{
    if (v->mode == DECODE_64)
        return seg >= SEG_FS ? v->before.seg_base[seg - SEG_FS] : 0;
    const struct vector_segment *s = vector_segment(v->before.sel[seg]);
    return s ? s->base + v->base : 0;
}

uint64_t vector_descriptor(const struct vector *v, unsigned n)
{
    const struct vector_segment *s = &vector_segments[n];
    uint64_t base = s->base + v->base, limit = s->limit;
    uint64_t attr = s->attr & 0xf0ff;
    return (limit & 0xffff) | (base & 0xffffff) << 16 | attr << 40 | (limit >> 16 & 15) << 48 |
           (base >> 24 & 0xff) << 56;
}

void vector_segments_init(struct vector *v)
{
    uint16_t *sel = v->before.sel;
    unsigned data = v->mode == DECODE_16 ? VECTOR_LDT_DATA : VECTOR_LDT_DATA + 1;
    for (unsigned i = 0; i < 6; i++)
        sel[i] = v->segmented ? VECTOR_SELECTOR(data) : i < SEG_FS ? 0x2b : 0;
    sel[SEG_CS] = v->mode == DECODE_64   ? 0x33
                  : !v->segmented        ? 0x23
                  : v->mode == DECODE_32 ? VECTOR_SELECTOR(VECTOR_LDT_CODE32)
                                         : VECTOR_SELECTOR(VECTOR_LDT_CODE16);
    v->before.rip = VECTOR_INSN + v->base;
    if (v->mode != DECODE_64)
        v->before.rip = (uint32_t)(v->before.rip - vector_segment_base(v, SEG_CS));
}
