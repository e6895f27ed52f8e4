/* SPDX-License-Identifier: MIT */
/* System V ABI, "Program Header"; Xen public headers "elfnote" and "start_info". The only file that
 * includes libelf. */
#include "monitor/elf_load.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>

#include "base/endian.h"

enum { PHDRS_MAX = 64, PHYS32_ENTRY = 18 };

bool elf_is_elf(const uint8_t *data, size_t size)
{
    return size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

static int damaged(const struct blob *file, const char *what, struct err *err)
{
    return err_set(err, EINVAL, "%s: the ELF file is damaged: %s", file->name, what);
}

/* libelf takes a non-const image, but ELF_C_READ from memory does not write to it. */
static Elf *open_image(const struct blob *file)
{
    if (elf_version(EV_CURRENT) == EV_NONE || !elf_is_elf(file->data, file->size))
        return NULL;
    return elf_memory((char *)(uintptr_t)file->data, file->size);
}

static int check_header(Elf *elf, const struct blob *file, GElf_Ehdr *h, size_t *phnum,
                        struct err *err)
{
    if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, h))
        return damaged(file, "no file header", err);
    if (h->e_ident[EI_DATA] != ELFDATA2LSB || (h->e_machine != EM_386 && h->e_machine != EM_X86_64))
        return err_set(err, EINVAL, "%s is an ELF file of another processor (machine %u)",
                       file->name, h->e_machine);
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return err_set(err, EINVAL, "%s is an ELF file, but no executable (type %u)", file->name,
                       h->e_type);
    if (elf_getphdrnum(elf, phnum) != 0 || !*phnum)
        return damaged(file, "no program headers", err);
    if (*phnum > PHDRS_MAX)
        return damaged(file, "too many program headers", err);
    return 0;
}

/* Segment i, its bounds checked against the file and the address space. */
static int segment(Elf *elf, const struct blob *file, size_t i, GElf_Phdr *p, struct err *err)
{
    if (!gelf_getphdr(elf, (int)i, p))
        return damaged(file, "program headers are cut off", err);
    if (p->p_type != PT_LOAD && p->p_type != PT_NOTE)
        return 0;
    if (p->p_offset > file->size || p->p_filesz > file->size - p->p_offset)
        return damaged(file, "a segment lies behind the end of the file", err);
    if (p->p_type == PT_LOAD && (p->p_filesz > p->p_memsz || p->p_memsz > UINT64_MAX - p->p_paddr))
        return damaged(file, "a segment has impossible sizes", err);
    return 0;
}

/* A PVH note: the entry point as a 32- or 64-bit number ("x86/HVM direct boot ABI"). */
static void scan_notes(Elf *elf, const GElf_Phdr *p, struct elf_info *info)
{
    Elf_Data *d = elf_getdata_rawchunk(elf, (int64_t)p->p_offset, (size_t)p->p_filesz,
                                       p->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    size_t at = 0, name, desc;
    GElf_Nhdr n;
    while (d && (at = gelf_getnote(d, at, &n, &name, &desc)) > 0) {
        const uint8_t *bytes = d->d_buf;
        if (n.n_type != PHYS32_ENTRY || n.n_namesz != 4 || memcmp(bytes + name, "Xen", 4) != 0)
            continue;
        if (n.n_descsz != 4 && n.n_descsz != 8)
            continue;
        info->pvh_entry = le32_load(bytes + desc);
        info->has_pvh = true;
    }
}

static void extend(struct elf_info *info, const GElf_Phdr *p)
{
    if (!p->p_memsz)
        return;
    if (p->p_paddr < info->low)
        info->low = p->p_paddr;
    if (p->p_paddr + p->p_memsz > info->high)
        info->high = p->p_paddr + p->p_memsz;
}

/*
 * e_entry is a virtual address by the ABI, yet kernels that run above their physical addresses
 * often give a physical one: it is one if it lies in some segment's physical range.
 */
static paddr physical_entry(const GElf_Phdr *loads, size_t n, uint64_t entry)
{
    for (size_t i = 0; i < n; i++)
        if (entry - loads[i].p_paddr < loads[i].p_memsz)
            return entry;
    for (size_t i = 0; i < n; i++)
        if (entry - loads[i].p_vaddr < loads[i].p_memsz)
            return entry - loads[i].p_vaddr + loads[i].p_paddr;
    return entry;
}

static int inspect(Elf *elf, const struct blob *file, struct elf_info *info, struct err *err)
{
    GElf_Phdr loads[PHDRS_MAX], p;
    GElf_Ehdr h;
    size_t phnum, n = 0;
    int r = check_header(elf, file, &h, &phnum, err);
    *info = (struct elf_info){.low = UINT64_MAX};
    for (size_t i = 0; !r && i < phnum; i++) {
        r = segment(elf, file, i, &p, err);
        if (!r && p.p_type == PT_LOAD) {
            loads[n++] = p;
            extend(info, &p);
        } else if (!r && p.p_type == PT_NOTE) {
            scan_notes(elf, &p, info);
        }
    }
    if (r)
        return r;
    if (!info->high)
        return damaged(file, "nothing to load", err);
    info->is_64 = h.e_ident[EI_CLASS] == ELFCLASS64;
    info->is_x86_64 = h.e_machine == EM_X86_64;
    info->entry = physical_entry(loads, n, h.e_entry);
    return 0;
}

int elf_inspect(const struct blob *file, struct elf_info *info, struct err *err)
{
    Elf *elf = open_image(file);
    int r = inspect(elf, file, info, err);
    elf_end(elf);
    return r;
}

static int load_one(const struct boot_info *boot, const struct blob *file, const GElf_Phdr *p,
                    struct physmem *pm, struct err *err)
{
    int r;
    if (p->p_paddr < LOADER_AREA_END && p->p_paddr + p->p_memsz > LOADER_GDT)
        return err_set(err, EINVAL,
                       "%s: a segment at %#llx overlaps the boot information at %x-%xh", file->name,
                       (unsigned long long)p->p_paddr, LOADER_GDT, LOADER_AREA_END - 1);
    if (!loader_is_ram(boot, p->p_paddr, p->p_memsz))
        return loader_too_small(boot, "kernel", p->p_paddr + p->p_memsz, err);
    r = loader_put(pm, p->p_paddr, file->data + p->p_offset, p->p_filesz, "kernel", err);
    if (!r)
        r = loader_zero(pm, p->p_paddr + p->p_filesz, p->p_memsz - p->p_filesz, "kernel", err);
    return r;
}

int elf_load_segments(const struct boot_info *boot, const struct blob *file, struct physmem *pm,
                      struct err *err)
{
    Elf *elf = open_image(file);
    GElf_Ehdr h;
    GElf_Phdr p;
    size_t phnum;
    int r = check_header(elf, file, &h, &phnum, err);
    for (size_t i = 0; !r && i < phnum; i++) {
        r = segment(elf, file, i, &p, err);
        if (!r && p.p_type == PT_LOAD && p.p_memsz)
            r = load_one(boot, file, &p, pm, err);
    }
    elf_end(elf);
    return r;
}
