/* SPDX-License-Identifier: MIT */
/* How elements of the resource state that are no single field are brought to their other value. */
#include "base/endian.h"
#include "monitor/classify/world.h"

#define TABLES_B UINT64_C(0x8000) /* from one set of page tables to the other (world.c) */

/* A descriptor's bits, in its eight bytes. */
#define RAW_AVL BIT(52)
#define RAW_LIMIT BIT(4)
#define RAW_W BIT(41)
#define RAW_DPL (UINT64_C(3) << 45)
#define RAW_S BIT(44)

void vary_cpl(struct world *w, struct cpu *cpu)
{
    world_set_cpl(w, cpu, cpu->cpl ? 0 : 3);
}

void vary_cr3(struct world *w, struct cpu *cpu)
{
    (void)w;
    cpu->cr3 ^= TABLES_B;
}

void vary_selectors(struct world *w, struct cpu *cpu)
{
    (void)w;
    for (unsigned s = 0; s < 6; s++)
        if (s != SEG_CS && s != SEG_SS)
            cpu->seg_sel[s] ^= SEL_DATA3 ^ SEL_TWIN3;
}

void vary_bases(struct world *w, struct cpu *cpu)
{
    (void)w;
    for (unsigned s = 0; s < 6; s++)
        cpu->seg_base[s] ^= WORLD_ALIAS;
}

/* Turn bits of the code and data descriptors round; system ones stay. */
static void vary_descriptors(struct world *w, uint64_t mask)
{
    for (unsigned table = 0; table < 2; table++) {
        unsigned at = table ? WORLD_LDT : WORLD_GDT, n = table ? LDT_ENTRIES : GDT_ENTRIES;
        for (unsigned i = 1; i < n; i++)
            if (w->image[at + 8 * i + 5] & (RAW_S >> 40))
                le64_store(w->image + at + 8 * i, le64_load(w->image + at + 8 * i) ^ mask);
        world_flush(w, at, 8 * (size_t)n);
    }
}

void vary_desc_avl(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    vary_descriptors(w, RAW_AVL);
}

void vary_desc_limit(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    vary_descriptors(w, RAW_LIMIT);
}

void vary_desc_type(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    vary_descriptors(w, RAW_W);
}

void vary_desc_dpl(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    vary_descriptors(w, RAW_DPL);
}

void vary_idt(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    unsigned step = w->mode == CLASS_LONG64 ? 16 : 8;
    for (unsigned v = 0; v < 256; v++)
        w->image[WORLD_IDT + v * step + 1] ^= 8;
    world_flush(w, WORLD_IDT, PAGE_SIZE);
}

void vary_tss_stack(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    w->image[WORLD_TSS + 5] ^= 2;
    world_flush(w, WORLD_TSS, 8);
}

void vary_tss_io(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    for (unsigned at = WORLD_IO_MAP; at < WORLD_TSS_LIMIT; at++)
        w->image[WORLD_TSS + at] ^= 0xff;
    world_flush(w, WORLD_TSS, WORLD_TSS_LIMIT);
}

void vary_sysenter(struct world *w, struct cpu *cpu)
{
    (void)w;
    cpu->sysenter_eip ^= 0x100;
    cpu->sysenter_esp ^= 0x100;
}

void vary_entropy(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    w->entropy = ~w->entropy;
}

void vary_ports(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    w->port_value = ~w->port_value;
}

void vary_tpr(struct world *w, struct cpu *cpu)
{
    (void)cpu;
    w->cr8 ^= 5;
}
