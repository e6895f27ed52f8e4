/* SPDX-License-Identifier: MIT */
/* "Multiboot Specification version 0.6.96": "The Multiboot header", "Machine state", "Boot
 * information format". */
#include "monitor/multiboot.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/elf_load.h"

enum {
    SEARCH = 8192,
    HEADER_BYTES = 12,
    AOUT_BYTES = 32,
    HEADER_AOUT = 0x10000,
    HEADER_KNOWN = 0x7,
    HEADER_REQUIRED = 0xFFFF
};
enum {
    INFO_MEMORY = 1,
    INFO_CMDLINE = 4,
    INFO_MODULES = 8,
    INFO_MMAP = 64,
    INFO_LOADER = 512,
    INFO_BYTES = 120
};
enum {
    MODULE_BYTES = 16,
    MMAP_BYTES = 24,
    MMAP_AT = LOADER_LISTS + 0x1000,
    GPR_RAX = 0,
    GPR_RBX = 3
};

#define HEADER_MAGIC 0x1BADB002u
#define LOADER_MAGIC 0x2BADB002u

/* What the header asks, and how far loading has come. */
struct image {
    const struct boot_info *boot; /* borrowed */
    uint32_t flags;               /* of the header */
    size_t at;                    /* offset of the header in the file */
    paddr entry;                  /* where to start */
    paddr end;                    /* first byte above the kernel, then above the modules */
    paddr strings;                /* first free byte of the string area */
};

/* The header is 4-byte aligned, wholly in the first 8192 bytes, and its three words sum to zero. */
static bool find_header(const uint8_t *data, size_t size, size_t *at)
{
    for (size_t i = 0; i + HEADER_BYTES <= size && i + HEADER_BYTES <= SEARCH; i += 4)
        if (le32_load(data + i) == HEADER_MAGIC &&
            (uint32_t)(le32_load(data + i) + le32_load(data + i + 4) + le32_load(data + i + 8)) ==
                0) {
            *at = i;
            return true;
        }
    return false;
}

bool multiboot_recognises(const uint8_t *data, size_t size)
{
    size_t at;
    return find_header(data, size, &at);
}

/* "The address fields of Multiboot header": addresses in memory, from which the place in the file
 * follows. */
static int load_aout(struct image *m, struct physmem *pm, struct err *err)
{
    const struct blob *k = &m->boot->kernel;
    const uint8_t *h = k->data + m->at;
    uint32_t header_addr, load_addr, load_end, bss_end;
    uint64_t offset, size, memory;
    int r;
    if (k->size - m->at < AOUT_BYTES)
        return err_set(err, EINVAL, "%s: the Multiboot header is cut off", k->name);
    header_addr = le32_load(h + 12);
    load_addr = le32_load(h + 16);
    load_end = le32_load(h + 20);
    bss_end = le32_load(h + 24);
    m->entry = le32_load(h + 28);
    if (load_addr > header_addr || header_addr - load_addr > m->at ||
        (load_end && load_end < load_addr) || (bss_end && bss_end < load_addr))
        return err_set(err, EINVAL,
                       "%s: the addresses of the Multiboot header contradict each other", k->name);
    offset = m->at - (header_addr - load_addr);
    size = load_end ? load_end - load_addr : k->size - offset;
    if (size > k->size - offset)
        return err_set(err, EINVAL, "%s: the file is shorter than its Multiboot header says",
                       k->name);
    memory = bss_end && bss_end - load_addr > size ? bss_end - load_addr : size;
    m->end = load_addr + memory;
    if (load_addr < LOADER_AREA_END && m->end > LOADER_GDT)
        return err_set(err, EINVAL, "%s: its load address %#x overlaps the boot information",
                       k->name, load_addr);
    if (!loader_is_ram(m->boot, load_addr, memory))
        return loader_too_small(m->boot, "kernel", m->end, err);
    r = loader_put(pm, load_addr, k->data + offset, size, "kernel", err);
    return r ? r : loader_zero(pm, load_addr + size, memory - size, "kernel", err);
}

static int load_elf(struct image *m, struct physmem *pm, struct err *err)
{
    struct elf_info info;
    int r = elf_inspect(&m->boot->kernel, &info, err);
    if (r)
        return r;
    if (info.entry > UINT32_MAX)
        return err_set(err, EINVAL, "%s: the entry point lies above 4 GiB", m->boot->kernel.name);
    m->entry = info.entry;
    m->end = info.high;
    return elf_load_segments(m->boot, &m->boot->kernel, pm, err);
}

static int load_image(struct image *m, struct physmem *pm, struct err *err)
{
    const struct blob *k = &m->boot->kernel;
    if (!find_header(k->data, k->size, &m->at))
        return err_set(err, EINVAL, "%s has no Multiboot header", k->name);
    m->flags = le32_load(k->data + m->at + 4);
    if (m->flags & HEADER_REQUIRED & ~(uint32_t)HEADER_KNOWN)
        return err_set(err, EINVAL,
                       "%s: its Multiboot header requires features we do not have (flags %#x)",
                       k->name, m->flags);
    if (m->flags & HEADER_AOUT)
        return load_aout(m, pm, err);
    if (!elf_is_elf(k->data, k->size))
        return err_set(err, EINVAL, "%s: a Multiboot image must be ELF or give its addresses",
                       k->name);
    return load_elf(m, pm, err);
}

/* Two pieces and a zero into the string area. */
static int put_string(struct image *m, struct physmem *pm, const char *a, const char *b,
                      uint32_t *at, struct err *err)
{
    size_t n = strlen(a), l = strlen(b) + 1;
    int r;
    if (n > LOADER_AREA_END - m->strings || l > LOADER_AREA_END - m->strings - n)
        return err_set(err, EINVAL,
                       "the command lines of kernel and modules are longer than 64 KiB");
    *at = (uint32_t)m->strings;
    r = loader_put(pm, m->strings, a, n, "command line", err);
    if (!r)
        r = loader_put(pm, m->strings + n, b, l, "command line", err);
    m->strings += n + l;
    return r;
}

/* The command line begins with the kernel's name; its directory is the host's affair. */
static int put_cmdline(struct image *m, struct physmem *pm, uint8_t *info, struct err *err)
{
    const char *name = strrchr(m->boot->kernel.name, '/');
    uint32_t at = 0, rest = 0;
    int r = put_string(m, pm, name ? name + 1 : m->boot->kernel.name, *m->boot->cmdline ? " " : "",
                       &at, err);
    if (!r && *m->boot->cmdline) {
        m->strings--; /* over the zero: one string */
        r = put_string(m, pm, m->boot->cmdline, "", &rest, err);
    }
    le32_store(info + 16, at);
    return r;
}

/* Above the kernel, each on a page of its own. */
static int put_module(struct image *m, const struct blob *module, struct physmem *pm,
                      uint8_t *entry, struct err *err)
{
    paddr at = (m->end + PAGE_SIZE - 1) & PAGE_MASK;
    uint32_t line = 0;
    int r;
    if (at < MiB)
        at = MiB;
    if (!loader_is_ram(m->boot, at, module->size) || at + module->size > UINT32_MAX)
        return loader_too_small(m->boot, "kernel and its modules", at + module->size, err);
    r = loader_put(pm, at, module->data, module->size, "module", err);
    if (!r)
        r = put_string(m, pm, module->name, "", &line, err);
    m->end = at + module->size;
    le32_store(entry, (uint32_t)at);
    le32_store(entry + 4, (uint32_t)m->end);
    le32_store(entry + 8, line);
    return r;
}

static int put_modules(struct image *m, struct physmem *pm, uint8_t *info, struct err *err)
{
    const struct boot_info *boot = m->boot;
    uint8_t list[(ARRAY_SIZE(boot->modules) + 1) * MODULE_BYTES] = {0};
    unsigned n = 0;
    int r = 0;
    for (unsigned i = 0; i < boot->module_count && !r; i++)
        r = put_module(m, &boot->modules[i], pm, list + MODULE_BYTES * n++, err);
    if (!r && !n && boot->initrd.size) /* a caller that did not split its -initrd */
        r = put_module(m, &boot->initrd, pm, list + MODULE_BYTES * n++, err);
    le32_store(info + 20, n);
    le32_store(info + 24, LOADER_LISTS);
    return r ? r : loader_put(pm, LOADER_LISTS, list, n * MODULE_BYTES, "module list", err);
}

/* KiB of the RAM range that holds `at`, counted from there. */
static uint32_t kib_from(const struct boot_info *boot, paddr at)
{
    for (unsigned i = 0; i < boot->e820_count; i++) {
        const struct e820_entry *e = &boot->e820[i];
        uint64_t kib;
        if (e->type != E820_RAM || at - e->base >= e->size)
            continue;
        kib = (e->size - (at - e->base)) / KiB;
        return kib < UINT32_MAX ? (uint32_t)kib : UINT32_MAX;
    }
    return 0;
}

/* mmap entries: a size that does not count itself, then base, length, type. */
static int put_memory(const struct boot_info *boot, struct physmem *pm, uint8_t *info,
                      struct err *err)
{
    uint8_t map[E820_MAX * MMAP_BYTES] = {0};
    uint32_t lower = kib_from(boot, 0);
    for (unsigned i = 0; i < boot->e820_count; i++) {
        uint8_t *e = map + i * MMAP_BYTES;
        le32_store(e, MMAP_BYTES - 4);
        le64_store(e + 4, boot->e820[i].base);
        le64_store(e + 12, boot->e820[i].size);
        le32_store(e + 20, boot->e820[i].type);
    }
    le32_store(info + 4, lower < 640 ? lower : 640);
    le32_store(info + 8, kib_from(boot, MiB));
    le32_store(info + 44, boot->e820_count * MMAP_BYTES);
    le32_store(info + 48, MMAP_AT);
    return loader_put(pm, MMAP_AT, map, sizeof(map), "memory map", err);
}

int multiboot_load(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                   struct err *err)
{
    struct image m = {.boot = boot, .strings = LOADER_STRINGS};
    uint8_t info[INFO_BYTES] = {0};
    uint32_t name = 0;
    int r = load_image(&m, pm, err);
    if (!r)
        r = put_cmdline(&m, pm, info, err);
    if (!r)
        r = put_modules(&m, pm, info, err);
    if (!r)
        r = put_memory(boot, pm, info, err);
    if (!r)
        r = put_string(&m, pm, "trapline", "", &name, err);
    le32_store(info, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER);
    le32_store(info + 64, name);
    if (!r)
        r = loader_put(pm, LOADER_INFO, info, sizeof(info), "Multiboot information", err);
    if (!r)
        r = loader_flat_gdt(pm, entry, false, err);
    entry->mode = ENTRY_PROT32;
    entry->rip = m.entry;
    entry->gpr[GPR_RAX] = LOADER_MAGIC;
    entry->gpr[GPR_RBX] = LOADER_INFO;
    return r;
}
