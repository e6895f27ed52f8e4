/* SPDX-License-Identifier: MIT */
/* What all loaders share: placing, memory checks, the flat GDT and the identity map of the boot
 * protocols. */
#include "monitor/loader.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/elf_load.h"
#include "monitor/load_bzimage.h"
#include "monitor/multiboot.h"
#include "monitor/payload.h"

enum { ZERO_CHUNK = 65536 };
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, GDT_BYTES = 32 };
enum { PTE_P = 1, PTE_RW = 2, PDE_PS = 0x80, MAPPED_GIB = 4 };

#define UNPACKED_MAX ((size_t)512 * MiB) /* of a kernel that is a gzip file */

static int load_plain(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                      struct err *err)
{
    const struct blob *k = &boot->kernel;
    if (bzimage_recognises(k->data, k->size))
        return bzimage_load(boot, pm, entry, err);
    if (multiboot_recognises(k->data, k->size))
        return multiboot_load(boot, pm, entry, err);
    if (elf_is_elf(k->data, k->size))
        return elf_load_pvh(boot, pm, entry, err);
    err_set(err, EINVAL, "%s is not a kernel that can be started", k->name);
    err_hint(err,
             "-kernel takes a Linux bzImage, an ELF file with a PVH note, or a Multiboot 1 image");
    return -EINVAL;
}

/* RFC 1952: ID1, ID2, and the only compression method there is. */
static bool is_gzip(const struct blob *k)
{
    return k->size > 3 && k->data[0] == 0x1f && k->data[1] == 0x8b && k->data[2] == 8;
}

/* Kernels are distributed as gzip files because boot loaders unpack them. */
static int load_gzip(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                     struct err *err)
{
    struct boot_info plain = *boot;
    struct unpacked out;
    int r = payload_unpack(boot->kernel.data, boot->kernel.size, UNPACKED_MAX, NULL, &out, err);
    if (r)
        return r;
    plain.kernel.data = out.data;
    plain.kernel.size = out.size;
    r = load_plain(&plain, pm, entry, err);
    payload_free(&out, boot->pieces);
    return r;
}

int loader_load(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                struct err *err)
{
    *entry = (struct entry_state){.mode = ENTRY_RESET};
    return (is_gzip(&boot->kernel) ? load_gzip : load_plain)(boot, pm, entry, err);
}

unsigned loader_split_modules(char *option, struct module_spec *out, unsigned max)
{
    unsigned n = 0;
    char *in = option, *to = option;
    while (n < max && *in) {
        char *piece = to;
        for (; *in && (*in != ',' || in[1] == ','); in++) {
            if (*in == ',')
                in++;
            *to++ = *in;
        }
        if (*in)
            in++;
        *to++ = '\0';
        if (*piece)
            out[n++] = (struct module_spec){.command = piece, .path_len = strcspn(piece, " ")};
    }
    return n;
}

int loader_put(struct physmem *pm, paddr pa, const void *data, uint64_t size, const char *what,
               struct err *err)
{
    if (!size || (size <= SIZE_MAX && physmem_load(pm, pa, data, (size_t)size)))
        return 0;
    err_set(err, ENOSPC, "the %s (%llu bytes at %#llx) does not fit into memory", what,
            (unsigned long long)size, (unsigned long long)pa);
    err_hint(err, "give the machine more memory with -m");
    return -ENOSPC;
}

int loader_zero(struct physmem *pm, paddr pa, uint64_t size, const char *what, struct err *err)
{
    static const uint8_t zeros[ZERO_CHUNK];
    while (size) {
        uint64_t n = size < ZERO_CHUNK ? size : ZERO_CHUNK;
        int r = loader_put(pm, pa, zeros, n, what, err);
        if (r)
            return r;
        pa += n;
        size -= n;
    }
    return 0;
}

bool loader_is_ram(const struct boot_info *boot, paddr base, uint64_t size)
{
    for (unsigned i = 0; i < boot->e820_count; i++) {
        const struct e820_entry *e = &boot->e820[i];
        if (e->type == E820_RAM && base >= e->base && base - e->base <= e->size &&
            size <= e->size - (base - e->base))
            return true;
    }
    return false;
}

paddr loader_place_high(const struct boot_info *boot, uint64_t size, paddr floor, paddr ceiling)
{
    paddr best = 0;
    for (unsigned i = 0; i < boot->e820_count; i++) {
        const struct e820_entry *e = &boot->e820[i];
        paddr low = e->base > floor ? e->base : floor;
        paddr high = e->size < ceiling - e->base ? e->base + e->size : ceiling;
        paddr at;
        if (e->type != E820_RAM || e->base >= ceiling || high <= low || size > high - low)
            continue;
        at = (high - size) & PAGE_MASK;
        if (at >= low && at > best)
            best = at;
    }
    return best;
}

int loader_too_small(const struct boot_info *boot, const char *what, uint64_t end, struct err *err)
{
    unsigned long long mib = (unsigned long long)((end + MiB - 1) / MiB);
    err_set(err, ENOSPC, "%s: the %s needs memory up to %llu MiB, and the machine has %llu MiB",
            boot->kernel.name, what, mib, (unsigned long long)(boot->low_ram_end / MiB));
    err_hint(err, "try -m %lluM", mib + mib / 4 + 16);
    return -ENOSPC;
}

/*
 * "The Linux/x86 Boot Protocol", "32-bit" and "64-bit BOOT PROTOCOL": __BOOT_CS 10h execute/read,
 * __BOOT_DS 18h read/write, both 4 GiB flat.
 */
int loader_flat_gdt(struct physmem *pm, struct entry_state *entry, bool is_64, struct err *err)
{
    uint8_t gdt[GDT_BYTES] = {0};
    le64_store(gdt + BOOT_CS, is_64 ? UINT64_C(0x00AF9B000000FFFF) : UINT64_C(0x00CF9B000000FFFF));
    le64_store(gdt + BOOT_DS, UINT64_C(0x00CF93000000FFFF));
    entry->cs = BOOT_CS;
    entry->ds = BOOT_DS;
    entry->gdt_base = LOADER_GDT;
    entry->gdt_limit = GDT_BYTES - 1;
    return loader_put(pm, LOADER_GDT, gdt, sizeof(gdt), "boot GDT", err);
}

/* PML4, PDPT, and four page directories, in this order (SDM Vol. 3A, "4-Level Paging and 5-Level
 * Paging"). */
int loader_identity_map(struct physmem *pm, struct entry_state *entry, struct err *err)
{
    uint8_t table[PAGE_SIZE] = {0};
    const paddr pdpt = LOADER_PAGE_TABLES + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
    int r;
    entry->cr3 = LOADER_PAGE_TABLES;
    le64_store(table, pdpt | PTE_P | PTE_RW);
    r = loader_put(pm, LOADER_PAGE_TABLES, table, PAGE_SIZE, "boot page tables", err);
    for (unsigned i = 0; i < MAPPED_GIB; i++)
        le64_store(table + 8 * i, (pd + i * PAGE_SIZE) | PTE_P | PTE_RW);
    if (!r)
        r = loader_put(pm, pdpt, table, PAGE_SIZE, "boot page tables", err);
    for (unsigned i = 0; i < MAPPED_GIB && !r; i++) {
        for (unsigned j = 0; j < 512; j++)
            le64_store(table + 8 * j, (i * GiB + j * 2 * MiB) | PTE_P | PTE_RW | PDE_PS);
        r = loader_put(pm, pd + i * PAGE_SIZE, table, PAGE_SIZE, "boot page tables", err);
    }
    return r;
}
