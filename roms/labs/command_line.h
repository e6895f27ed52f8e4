/* SPDX-License-Identifier: MIT */
/* The Multiboot command line of a lab's guest. */
#pragma once

#include "roms/lib/guest.h"

/* Multiboot information: flags bit 2 says that cmdline, at 16, is there. */
static inline const char *command_line(void)
{
    const uint32_t *info = (const uint32_t *)(reg_t)boot_info;
    return info[0] & 4 ? (const char *)(reg_t)info[4] : "";
}

static inline bool command_line_has(const char *word)
{
    const char *line = command_line();
    size_t n = strlen(word);
    for (; *line; line++)
        if (memcmp(line, word, n) == 0)
            return true;
    return false;
}
