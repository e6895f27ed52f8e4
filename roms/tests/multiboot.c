/* SPDX-License-Identifier: MIT */
/* What a Multiboot 1 loader hands over: command line, two modules with theirs, the memory map. */
#include "roms/lib/guest.h"

enum {
    MAGIC = 0x2BADB002,
    HAS_MEMORY = 1 << 0,
    HAS_CMDLINE = 1 << 2,
    HAS_MODULES = 1 << 3,
    HAS_MMAP = 1 << 6
};

/* "Multiboot Specification version 0.6.96", "Boot information format". */
struct info {
    uint32_t flags;                  /* which members are valid */
    uint32_t mem_lower, mem_upper;   /* KiB from 0 and from 1 MiB */
    uint32_t boot_device;            /* BIOS drive */
    uint32_t cmdline;                /* string */
    uint32_t mods_count, mods_addr;  /* struct module[] */
    uint32_t syms[4];                /* symbols */
    uint32_t mmap_length, mmap_addr; /* struct region[], by their sizes */
};

struct module {
    uint32_t start, end; /* bytes [start, end) */
    uint32_t string;     /* its command line */
    uint32_t reserved;   /* 0 */
};

struct region {
    uint32_t size;   /* of what follows */
    uint64_t base;   /* first byte */
    uint64_t length; /* bytes */
    uint32_t type;   /* 1: RAM */
} __attribute__((packed));

static bool is_same(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && memcmp(a, b, n) == 0;
}

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && is_same(text + n - m, tail);
}

static bool holds(const struct module *m, const char *text)
{
    size_t n = strlen(text);
    return m->end - m->start == n && memcmp((const void *)(uintptr_t)m->start, text, n) == 0;
}

static const char *text_at(uint32_t at)
{
    return (const char *)(uintptr_t)at;
}

static void modules(const struct info *info)
{
    const struct module *m = (const struct module *)(uintptr_t)info->mods_addr;
    if (!check_equal("there are two modules", 2, info->mods_count))
        return;
    check("the first holds its file", holds(&m[0], "the first module\n"));
    check("the second holds its file", holds(&m[1], "module number two\n"));
    check("the first's string has its arguments",
          ends_with(text_at(m[0].string), "module1.txt with arguments"));
    check("the second's string is its name alone", ends_with(text_at(m[1].string), "module2.txt"));
    check("modules start on pages", m[0].start % GUEST_PAGE == 0 && m[1].start % GUEST_PAGE == 0);
    check("and lie behind the image and each other",
          m[0].start >= (uintptr_t)image_end && m[1].start >= m[0].end);
}

static void memory(const struct info *info)
{
    const struct region *last = NULL;
    uint64_t ram = 0;
    for (uint32_t at = 0; at < info->mmap_length; at += last->size + 4) {
        last = (const struct region *)(uintptr_t)(info->mmap_addr + at);
        if (last->size < 20)
            break;
        ram += last->type == 1 ? last->length : 0;
    }
    check("lower memory is 639 or 640 KiB", info->mem_lower == 639 || info->mem_lower == 640);
    check_equal("upper memory is 63 MiB", 63 * 1024, info->mem_upper);
    check("the map has nearly 64 MiB of RAM", ram > 63u << 20 && ram <= 64u << 20);
}

int main(void)
{
    const struct info *info = (const struct info *)(uintptr_t)boot_info;
    if (!check_equal("EAX has the loader's magic", MAGIC, boot_magic))
        return checks_result();
    check_equal("memory, command line, modules and map are there",
                HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_MMAP,
                info->flags & (HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_MMAP));
    check("the command line is the kernel's name and -append",
          ends_with(text_at(info->cmdline), ".elf first=1 second"));
    modules(info);
    memory(info);
    return checks_result();
}
