/* SPDX-License-Identifier: MIT */
/* Small kernels made by hand, and a guest memory to load them into. For the loaders' tests. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/loader.h"
#include "tests/unit/devices_memory.h"

#define RAM_SIZE (8 * MiB)

/* Memory of 8 MiB described as a PC describes it. */
struct bench {
    struct memory m;          /* guest memory */
    struct boot_info boot;    /* what to load */
    struct entry_state entry; /* where it starts */
    struct err err;           /* what went wrong */
};

UNUSED static void bench_init(struct bench *b, const uint8_t *kernel, size_t size)
{
    *b = (struct bench){.err = {.text = "", .hint = ""}};
    memory_init(&b->m, RAM_SIZE);
    b->boot = (struct boot_info){.kernel = {kernel, size, "/boot/kernel"},
                                 .cmdline = "console=ttyS0",
                                 .e820 = {{0, 0x9FC00, E820_RAM},
                                          {0x9FC00, 0x400, E820_RESERVED},
                                          {0xE0000, 0x20000, E820_RESERVED},
                                          {MiB, RAM_SIZE - MiB, E820_RAM}},
                                 .e820_count = 4,
                                 .low_ram_end = RAM_SIZE,
                                 .rsdp = 0xE0000};
}

UNUSED static void bench_fini(struct bench *b)
{
    memory_fini(&b->m);
}

UNUSED static int bench_load(struct bench *b)
{
    return loader_load(&b->boot, b->m.pm, &b->entry, &b->err);
}

#define ELF_CODE_AT 0x200 /* file offset of the segment's bytes */
#define ELF_CODE                                                                                   \
    "\x90\x90\xEB\xFC"                                                                             \
    "code"
enum { ELF_CODE_SIZE = 8, ELF_BSS = 0x3000, ELF_SIZE = 0x220 };

/* How to make an ELF. */
struct elf_shape {
    bool is_64;     /* ELFCLASS64, EM_X86_64 */
    paddr at;       /* p_paddr of its only segment */
    uint64_t above; /* p_vaddr - p_paddr */
    uint64_t entry; /* e_entry */
    uint32_t pvh;   /* PVH entry; 0: no note */
};

UNUSED static void elf_header(uint8_t *e, const struct elf_shape *s)
{
    memcpy(e,
           "\x7F"
           "ELF",
           4);
    e[4] = s->is_64 ? 2 : 1;
    e[5] = e[6] = 1;
    le16_store(e + 16, 2);
    le16_store(e + 18, s->is_64 ? 62 : 3);
    le32_store(e + 20, 1);
    le_store(e + 24, s->entry, s->is_64 ? 8 : 4);
    le_store(e + (s->is_64 ? 32 : 28), 64, s->is_64 ? 8 : 4);
    le16_store(e + (s->is_64 ? 52 : 40), s->is_64 ? 64 : 52);
    le16_store(e + (s->is_64 ? 54 : 42), s->is_64 ? 56 : 32);
    le16_store(e + (s->is_64 ? 56 : 44), 2);
}

UNUSED static void elf_phdr(uint8_t *p, bool is_64, uint32_t type, const uint64_t field[5])
{
    static const uint8_t at_64[5] = {8, 16, 24, 32, 40}, at_32[5] = {4, 8, 12, 16, 20};
    le32_store(p, type);
    for (unsigned i = 0; i < 5; i++) /* offset, vaddr, paddr, filesz, memsz */
        le_store(p + (is_64 ? at_64[i] : at_32[i]), field[i], is_64 ? 8 : 4);
    le_store(p + (is_64 ? 48 : 28), 4, is_64 ? 8 : 4);
}

/* ELF_SIZE bytes: one PT_LOAD and one PT_NOTE. */
UNUSED static void make_elf(uint8_t *e, const struct elf_shape *s)
{
    const uint64_t load[5] = {ELF_CODE_AT, s->at + s->above, s->at, ELF_CODE_SIZE, ELF_BSS};
    const uint64_t note[5] = {0x100, 0, 0, s->pvh ? 20 : 0, s->pvh ? 20 : 0};
    memset(e, 0, ELF_SIZE);
    elf_header(e, s);
    elf_phdr(e + 64, s->is_64, 1, load);
    elf_phdr(e + 64 + (s->is_64 ? 56 : 32), s->is_64, 4, note);
    le32_store(e + 0x100, 4);
    le32_store(e + 0x104, 4);
    le32_store(e + 0x108, 18);
    memcpy(e + 0x10C, "Xen", 4);
    le32_store(e + 0x110, s->pvh);
    memcpy(e + ELF_CODE_AT, ELF_CODE, ELF_CODE_SIZE);
}
