/* SPDX-License-Identifier: MIT */
/*
 * What every loader of guest programs takes and gives (load_bzimage.c, elf_load.c, multiboot.c). A loader puts bytes into guest
 * memory through physmem_load and says in what state the boot processor is to start; the board applies it, again after every
 * reset. Files are read by the frontends' side of trapline.c: a loader sees bytes, which may be hostile.
 */
#pragma once

#include "base/err.h"
#include "mmu/physmem.h"

/* An E820 entry, for boot_params, PVH, Multiboot and fw_cfg. */
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
    paddr base;    /* first byte */
    uint64_t size; /* bytes */
    uint32_t type; /* E820_* */
};

#define E820_MAX 16

/* A file in memory. */
struct blob {
    const uint8_t *data; /* borrowed */
    size_t size;         /* bytes */
    const char *name;    /* as the user gave it, for errors */
};

struct boot_info {
    struct blob kernel;                /* -kernel */
    struct blob initrd;                /* -initrd; size 0: none. Multiboot: modules come in modules[] */
    struct blob modules[16];           /* Multiboot and PVH modules; name is the module's command line */
    unsigned module_count;             /* of modules[] */
    const char *cmdline;               /* -append, never NULL */
    struct e820_entry e820[E820_MAX];  /* the memory map */
    unsigned e820_count;               /* of e820[] */
    paddr low_ram_end;                 /* end of RAM below 4 GiB */
    paddr rsdp;                        /* of the ACPI tables; 0: none */
    bool own_decompressor;             /* let the kernel's own stub unpack it, instead of the host */
    /* Progress of long work, 0..total; may be NULL. */
    void (*progress)(void *opaque, const char *what, uint64_t done, uint64_t total);
    void *progress_opaque;             /* of progress */
};

enum entry_mode {
    ENTRY_RESET,  /* at the reset vector, F000:FFF0 */
    ENTRY_REAL,   /* real mode: cs:ip and sp in rip/gpr, all data segments = cs's paragraph in seg */
    ENTRY_PROT32, /* protected mode, paging off, flat 4 GiB segments */
    ENTRY_LONG64, /* 64-bit mode, paging on with cr3, flat segments */
};

/* The boot processor's state at the guest's first instruction; registers not named here are as after reset. */
struct entry_state {
    enum entry_mode mode;
    uint64_t rip;      /* offset in CS */
    uint64_t gpr[16];  /* RAX.. */
    uint64_t cr3;      /* ENTRY_LONG64 */
    uint16_t cs, ds;   /* selectors that the flat segments get (they match the GDT below, when there is one) */
    uint64_t gdt_base; /* GDTR; the loader has put the table there; 0: none */
    uint16_t gdt_limit; /* GDTR */
};
