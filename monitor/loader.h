/* SPDX-License-Identifier: MIT */
/*
 * What every loader of guest programs takes and gives (load_bzimage.c, elf_load.c, multiboot.c). A loader puts bytes into guest
 * memory through physmem_load and says in what state the boot processor is to start; the board applies it, again after every
 * reset. Files are read by the frontends' side of trapline.c: a loader sees bytes, which may be hostile.
 */
#pragma once

#include "base/err.h"
#include "mmu/physmem.h"

struct pieces;

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
    struct pieces *pieces;             /* who takes memory that was only needed for loading; NULL: the host. Borrowed */
    bool is_once;                      /* it is not loaded again: the blobs are the caller's own after the first time */
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

/*
 * Load boot->kernel, whatever it is: a Linux bzImage, a Multiboot 1 image, or an ELF with a PVH note, tried in this order;
 * a gzip file of one of them is unpacked first.
 * 0 and *entry, or -EINVAL (not a kernel, damaged, cannot run here), -ENOSPC (too little memory: err says how much is
 * needed), -ENOMEM (of the host).
 */
int loader_load(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry, struct err *err);

/* One module of an -initrd option "file arguments,file arguments". */
struct module_spec {
    const char *command; /* the whole piece: the module's command line */
    size_t path_len;     /* its first word, the file */
};

/* Split such an option in place (",," stands for a comma). The number of modules, at most max; empty pieces are skipped. */
unsigned loader_split_modules(char *option, struct module_spec *out, unsigned max);

/*
 * ---- for loaders ----
 *
 * Low memory that a loader uses for what it hands over; kernels that want to stand here are refused.
 *   6000h GDT   7000h boot_params, start info, Multiboot information   8000h stack (grows down from 9000h)
 *   9000h page tables (six pages)   10000h lists of modules and memory   20000h strings, up to 2FFFFh
 */
enum {
    LOADER_GDT = 0x6000,
    LOADER_INFO = 0x7000,
    LOADER_STACK = 0x9000,
    LOADER_PAGE_TABLES = 0x9000,
    LOADER_LISTS = 0x10000,
    LOADER_STRINGS = 0x20000,
    LOADER_AREA_END = 0x30000,
};

/* Put bytes (zeros) at pa; -ENOSPC with err naming `what` when not all of it is memory. */
int loader_put(struct physmem *pm, paddr pa, const void *data, uint64_t size, const char *what, struct err *err);
int loader_zero(struct physmem *pm, paddr pa, uint64_t size, const char *what, struct err *err);

/* [base, base + size) lies in one E820 range of RAM. */
bool loader_is_ram(const struct boot_info *boot, paddr base, uint64_t size);

/* The highest page-aligned place for size bytes of RAM in [floor, ceiling); 0: there is none. */
paddr loader_place_high(const struct boot_info *boot, uint64_t size, paddr floor, paddr ceiling);

/* -ENOSPC, and how much memory would do: `end` is the first byte above what must be RAM. */
int loader_too_small(const struct boot_info *boot, const char *what, uint64_t end, struct err *err);

/* Write the flat GDT of the Linux boot protocol (code 10h, data 18h, 64-bit or 32-bit) and say so in *entry. */
int loader_flat_gdt(struct physmem *pm, struct entry_state *entry, bool is_64, struct err *err);

/* Page tables that map the first 4 GiB to themselves with 2 MiB pages; entry->cr3. */
int loader_identity_map(struct physmem *pm, struct entry_state *entry, struct err *err);
