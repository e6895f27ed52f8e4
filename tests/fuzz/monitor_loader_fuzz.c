/* SPDX-License-Identifier: MIT */
/*
 * Kernel images of all kinds. The first byte puts the magics of a format in place, so that the
 * parsers behind them are reached at once; the memory is 4 MiB.
 */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/loader.h"
#include "tests/unit/devices_memory.h"

#define RAM_SIZE (4 * MiB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dress(uint8_t *file, size_t size, unsigned kind)
{
    if (kind == 1 && size > 0x268) {
        le16_store(file + 0x1FE, 0xAA55);
        memcpy(file + 0x202, "HdrS", 4);
        file[0x207] = 2;
        file[0x211] |= 1;
    } else if (kind == 2 && size > 64) {
        memcpy(file,
               "\x7F"
               "ELF\1\1\1",
               7);
        le16_store(file + 16, 2);
        le16_store(file + 18, 3);
    } else if (kind == 3 && size > 64) {
        memcpy(file,
               "\x7F"
               "ELF\2\1\1",
               7);
        le16_store(file + 16, 2);
        le16_store(file + 18, 62);
    } else if (kind >= 4 && size > 64) {
        uint32_t flags = kind == 4 ? le32_load(file + 4) & 0x10007 : 0x10000;
        le32_store(file, 0x1BADB002);
        le32_store(file + 4, flags);
        le32_store(file + 8, 0u - (0x1BADB002 + flags));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m;
    struct entry_state entry;
    struct err err;
    uint8_t *file;
    if (size < 2)
        return 0;
    file = malloc(size - 1);
    if (!file)
        return 0;
    memcpy(file, data + 1, size - 1);
    dress(file, size - 1, data[0] % 6);
    memory_init(&m, RAM_SIZE);
    struct boot_info boot = {.kernel = {file, size - 1, "fuzz"},
                             .cmdline = "quiet",
                             .e820 = {{0, 0x9FC00, E820_RAM}, {MiB, RAM_SIZE - MiB, E820_RAM}},
                             .e820_count = 2,
                             .low_ram_end = RAM_SIZE,
                             .own_decompressor = data[0] & 0x80};
    boot.initrd = boot.kernel;
    boot.modules[0] = boot.kernel;
    boot.module_count = 1;
    (void)loader_load(&boot, m.pm, &entry, &err);
    memory_fini(&m);
    free(file);
    return 0;
}
