/* SPDX-License-Identifier: MIT */
/*
 * Starting an ELF by its PVH note: 32-bit protected mode, EBX = hvm_start_info. Xen, "x86/HVM
 * direct boot ABI" and "start_info.h"; the same as other monitors do for their -kernel.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/elf_load.h"

enum { START_MAGIC = 0x336EC578, START_BYTES = 56, MODULE_BYTES = 32, MEMMAP_BYTES = 24 };
enum { MODULES_MAX = 17, MEMMAP_AT = LOADER_LISTS + 0x1000 };

/* Where the next string and the next module go. */
struct cursor {
    paddr strings; /* first free byte of the string area */
    paddr floor;   /* modules stand above this */
    paddr ceiling; /* and below this */
};

/* Copy a string to the string area; *at is its place, 0 for an empty one. */
static int put_string(struct physmem *pm, struct cursor *c, const char *s, uint64_t *at,
                      struct err *err)
{
    size_t n = strlen(s) + 1;
    *at = 0;
    if (n == 1)
        return 0;
    if (n > LOADER_AREA_END - c->strings)
        return err_set(err, EINVAL,
                       "the command lines of kernel and modules are longer than 64 KiB");
    *at = c->strings;
    c->strings += n;
    return loader_put(pm, *at, s, n, "command line", err);
}

static int put_module(const struct boot_info *boot, const struct blob *m, bool has_line,
                      struct physmem *pm, struct cursor *c, uint8_t *entry, struct err *err)
{
    paddr at = loader_place_high(boot, m->size, c->floor, c->ceiling);
    uint64_t line = 0;
    int r = at ? loader_put(pm, at, m->data, m->size, "module", err)
               : loader_too_small(boot, "kernel and its modules", c->floor + m->size, err);
    if (!r && has_line)
        r = put_string(pm, c, m->name, &line, err);
    le64_store(entry, at);
    le64_store(entry + 8, m->size);
    le64_store(entry + 16, line);
    if (!r)
        c->ceiling = at;
    return r;
}

/* The initrd, if any, is module 0, as Linux wants it. */
static int put_modules(const struct boot_info *boot, struct physmem *pm, struct cursor *c,
                       uint8_t *start, struct err *err)
{
    uint8_t list[MODULES_MAX * MODULE_BYTES] = {0};
    unsigned n = 0;
    int r = 0;
    if (boot->initrd.size)
        r = put_module(boot, &boot->initrd, false, pm, c, list + MODULE_BYTES * n++, err);
    for (unsigned i = 0; i < boot->module_count && !r; i++)
        r = put_module(boot, &boot->modules[i], true, pm, c, list + MODULE_BYTES * n++, err);
    if (r || !n)
        return r;
    le32_store(start + 12, n);
    le64_store(start + 16, LOADER_LISTS);
    return loader_put(pm, LOADER_LISTS, list, n * MODULE_BYTES, "module list", err);
}

static int put_memmap(const struct boot_info *boot, struct physmem *pm, uint8_t *start,
                      struct err *err)
{
    uint8_t map[E820_MAX * MEMMAP_BYTES] = {0};
    for (unsigned i = 0; i < boot->e820_count; i++) {
        le64_store(map + MEMMAP_BYTES * i, boot->e820[i].base);
        le64_store(map + MEMMAP_BYTES * i + 8, boot->e820[i].size);
        le32_store(map + MEMMAP_BYTES * i + 16, boot->e820[i].type);
    }
    le64_store(start + 40, MEMMAP_AT);
    le32_store(start + 48, boot->e820_count);
    return loader_put(pm, MEMMAP_AT, map, sizeof(map), "memory map", err);
}

int elf_load_pvh(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                 struct err *err)
{
    uint8_t start[START_BYTES] = {0};
    struct cursor c = {.strings = LOADER_STRINGS, .ceiling = boot->low_ram_end};
    struct elf_info info;
    uint64_t line = 0;
    int r = elf_inspect(&boot->kernel, &info, err);
    if (r)
        return r;
    if (!info.has_pvh) {
        err_set(err, EINVAL, "%s is an ELF file without a PVH entry point", boot->kernel.name);
        err_hint(err, "build Linux with CONFIG_PVH, or give its bzImage");
        return -EINVAL;
    }
    c.floor = info.high > MiB ? info.high : MiB;
    r = elf_load_segments(boot, &boot->kernel, pm, err);
    if (!r)
        r = put_modules(boot, pm, &c, start, err);
    if (!r)
        r = put_memmap(boot, pm, start, err);
    if (!r)
        r = put_string(pm, &c, boot->cmdline, &line, err);
    le32_store(start, START_MAGIC);
    le32_store(start + 4, 1); /* version: has the memory map */
    le64_store(start + 24, line);
    le64_store(start + 32, boot->rsdp);
    if (!r)
        r = loader_put(pm, LOADER_INFO, start, sizeof(start), "start information", err);
    if (!r)
        r = loader_flat_gdt(pm, entry, false, err);
    entry->mode = ENTRY_PROT32;
    entry->rip = info.pvh_entry;
    entry->gpr[3] = LOADER_INFO; /* EBX */
    return r;
}
