/* SPDX-License-Identifier: MIT */
/* Started by the PVH note alone (lib/pvh.ld). Run with -append "first=1 second". Xen, "x86/HVM
 * direct boot ABI". */
#include "roms/lib/guest.h"

/* hvm_start_info, version 1. */
struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
    uint32_t memmap_entries, reserved;
};

struct memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

static uint64_t ram_bytes(const struct start_info *start)
{
    const struct memmap_entry *map = (const struct memmap_entry *)(reg_t)start->memmap_paddr;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < start->memmap_entries && i < 64; i++)
        if (map[i].type == 1)
            sum += map[i].size;
    return sum;
}

int main(void)
{
    const struct start_info *start = (const struct start_info *)(reg_t)boot_info;
    const char *line;
    if (!check_equal("EBX leads to the start information", 0x336EC578, start->magic))
        return checks_result();
    check("EAX is not Multiboot's", boot_magic != 0x2BADB002);
    check_equal("version 1", 1, start->version);
    check_equal("no modules", 0, start->nr_modules);
    line = (const char *)(reg_t)start->cmdline_paddr;
    check("the command line", line && !memcmp(line, "first=1 second", 15));
    check("the RSDP", !memcmp((const void *)(reg_t)start->rsdp_paddr, "RSD PTR ", 8));
    check("the memory map has 64 MiB less what is reserved below 1 MiB",
          ram_bytes(start) > (UINT64_C(63) << 20) && ram_bytes(start) <= (UINT64_C(64) << 20));
    return checks_result();
}
