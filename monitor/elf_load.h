/* SPDX-License-Identifier: MIT */
/*
 * ELF executables into guest memory, and the PVH way to start one. elf_load.c is the one door to
 * libelf. Called by loader.c, load_bzimage.c (vmlinux inside a bzImage) and multiboot.c. Bytes are
 * hostile. (System V ABI, "Object Files"; Xen, "x86/HVM direct boot ABI".)
 */
#pragma once

#include "monitor/loader.h"

struct elf_info {
    bool is_64;         /* ELFCLASS64 */
    bool is_x86_64;     /* EM_X86_64, else EM_386 */
    paddr entry;        /* e_entry as a physical address */
    paddr low;          /* lowest byte of all PT_LOADs */
    paddr high;         /* first byte above them */
    bool has_pvh;       /* there is an XEN_ELFNOTE_PHYS32_ENTRY */
    uint32_t pvh_entry; /* and what it says */
};

/* Starts with the ELF magic. */
bool elf_is_elf(const uint8_t *data, size_t size);

/* Read the headers; -EINVAL and err when it is no little-endian x86 executable or is damaged. */
int elf_inspect(const struct blob *file, struct elf_info *info, struct err *err);

/* Put the PT_LOADs (and zeros behind them) at their physical addresses. -EINVAL; -ENOSPC: not all
 * of it is RAM. */
int elf_load_segments(const struct boot_info *boot, const struct blob *file, struct physmem *pm,
                      struct err *err);

/* Load boot->kernel with modules and start information, to be entered at its PVH entry point. */
int elf_load_pvh(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                 struct err *err);
