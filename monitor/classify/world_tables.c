/* SPDX-License-Identifier: MIT */
/* Descriptor tables, task states and page tables of a world. */
#include "base/endian.h"
#include "mmu/physmem.h"
#include "monitor/classify/world_priv.h"
#include "monitor/emulate/descriptor.h"

static void image64(struct world *w, unsigned at, uint64_t v)
{
    le64_store(w->image + at, v);
}

/* attr as in seg_attr; limit in its 20 bits. */
static uint64_t descriptor_raw(uint32_t base, uint32_t limit20, uint32_t attr)
{
    return (limit20 & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)(attr & 0xf0ff) << 40 | (uint64_t)(limit20 >> 16 & 15) << 48 |
           (uint64_t)(base >> 24) << 56;
}

static void entry(struct world *w, unsigned sel, uint32_t base, uint32_t limit20, uint32_t attr)
{
    unsigned table = sel & 4 ? WORLD_LDT : WORLD_GDT;
    image64(w, table + (sel & 0xfff8), descriptor_raw(base, limit20, attr));
}

/* Code and data; 64-bit code with L. */
static void make_segments(struct world *w)
{
    const uint32_t wide = w->mode == CLASS_PROT16 ? 0u : (uint32_t)ATTR_DB;
    const uint32_t present = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_G;
    const uint32_t data = present | wide,
                   code = present | ATTR_CODE | (w->mode == CLASS_LONG64 ? (uint32_t)ATTR_L : wide);
    entry(w, SEL_CODE0, 0, 0xfffff, code);
    entry(w, SEL_DATA0, 0, 0xfffff, data);
    entry(w, SEL_CODE3, 0, 0xfffff, code | ATTR_DPL);
    entry(w, SEL_DATA3, 0, 0xfffff, data | ATTR_DPL);
    entry(w, SEL_TWIN3, 0, 0xfffff, data | ATTR_DPL);
    entry(w, SEL_CONFORMING, 0, 0xfffff, code | ATTR_DC);
    entry(w, SEL_READ_ONLY3, 0, 0xfffff, (data & ~(uint32_t)ATTR_RW) | ATTR_DPL);
    entry(w, SEL_FRESH3, 0, 0xfffff, (data & ~(uint32_t)ATTR_ACCESSED) | ATTR_DPL);
    entry(w, SEL_EXECUTE_ONLY3, 0, 0xfffff, (code & ~(uint32_t)ATTR_RW) | ATTR_DPL);
    entry(w, SEL_ABSENT3, 0, 0xfffff, (data & ~(uint32_t)ATTR_P) | ATTR_DPL);
    entry(w, SEL_LDT_CODE3, 0, 0xfffff, code | ATTR_DPL);
    entry(w, SEL_LDT_DATA3, 0, 0xfffff, data | ATTR_DPL);
}

static uint64_t gate_raw(uint32_t offset, uint16_t sel, unsigned type, unsigned dpl)
{
    uint64_t attr = ATTR_P | type | dpl << ATTR_DPL_SHIFT;
    return (offset & 0xffff) | (uint64_t)sel << 16 | attr << 40 | (uint64_t)(offset >> 16) << 48;
}

static void make_system(struct world *w)
{
    bool is_16 = w->mode == CLASS_PROT16;
    entry(w, SEL_LDT, WORLD_LDT, 8 * LDT_ENTRIES - 1, ATTR_P | TYPE_LDT);
    entry(w, SEL_TSS, WORLD_TSS, WORLD_TSS_LIMIT, ATTR_P | TYPE_TSS32_BUSY);
    entry(w, SEL_TSS2, WORLD_TSS2, WORLD_TSS_LIMIT, ATTR_P | TYPE_TSS32);
    image64(w, WORLD_GDT + (SEL_GATE3 & 0xfff8),
            gate_raw(WORLD_TARGET, SEL_CODE0, is_16 ? TYPE_CALL16 : TYPE_CALL32, 3));
}

/* Every fourth gate is for CPL 0 only, every eighth leads into conforming code. */
static void make_idt(struct world *w)
{
    static const uint8_t types[] = {TYPE_INTERRUPT32, TYPE_TRAP32};
    bool is_long = w->mode == CLASS_LONG64;
    for (unsigned v = 0; v < 256; v++) {
        unsigned type = types[v >> 1 & 1] & (w->mode == CLASS_PROT16 ? 7u : 15u);
        uint16_t sel = v % 8 == 5 ? SEL_CONFORMING : SEL_CODE0;
        uint64_t raw = gate_raw(WORLD_TARGET + 4 * v, sel, type, v % 4 == 2 ? 0 : 3);
        image64(w, WORLD_IDT + v * (is_long ? 16 : 8), raw);
    }
}

/* A task state: the stack for CPL 0, no port allowed, and what a switch to it would load. */
static void make_tss(struct world *w, unsigned at)
{
    uint8_t *tss = w->image + at;
    unsigned end = WORLD_STACK0 + PAGE_SIZE - 0x100;
    le32_store(tss + 4, end);
    if (w->mode != CLASS_LONG64) {
        le32_store(tss + 8, SEL_DATA0);
        le32_store(tss + 0x1c, PAGE_TABLES_A);
        le32_store(tss + 0x20, WORLD_TARGET);
        le32_store(tss + 0x24, 0x202);
        le32_store(tss + 0x38, WORLD_STACK + 0x400);
        for (unsigned s = 0; s < 6; s++)
            le32_store(tss + 0x48 + 4 * s, s == SEG_CS ? SEL_CODE3 : SEL_DATA3);
        le32_store(tss + 0x60, SEL_LDT);
    }
    le16_store(tss + 0x66, WORLD_IO_MAP);
    memset(tss + WORLD_IO_MAP, 0xff, WORLD_TSS_LIMIT + 1 - WORLD_IO_MAP);
}

static void poke(struct world *w, paddr pa, unsigned size, uint64_t v)
{
    uint8_t b[8];
    le_store(b, v, size);
    bool ok = physmem_write(w->pm, pa, b, size);
    assert(ok);
}

/* The pages, at 0 and at the alias. */
static void make_page_tables(struct world *w, paddr root, paddr frames)
{
    bool is_long = w->mode == CLASS_LONG64;
    unsigned size = is_long ? 8 : 4, upper = is_long ? 3 : 1;
    const uint64_t table = PF_P | PF_WR | PF_US | 0x20, page = table | 0x40;
    for (unsigned i = 0; i < upper; i++)
        poke(w, root + i * PAGE_SIZE, size, (root + (i + 1) * PAGE_SIZE) | table);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(world_pages); i++) {
        unsigned at = world_pages[i / 2];
        uint64_t number = (at + (i & 1) * WORLD_ALIAS) >> PAGE_SHIFT;
        poke(w, root + upper * PAGE_SIZE + number * size, size, (frames + at) | page);
    }
}

void world_make_tables(struct world *w)
{
    make_segments(w);
    make_system(w);
    make_idt(w);
    make_tss(w, WORLD_TSS);
    make_tss(w, WORLD_TSS2);
    make_page_tables(w, PAGE_TABLES_A, FRAMES_A);
    make_page_tables(w, PAGE_TABLES_B, FRAMES_B);
}
