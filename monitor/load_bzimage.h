/* SPDX-License-Identifier: MIT */
/*
 * Linux kernels as distributions ship them. The payload is unpacked on the host, in a fraction of
 * the time that the kernel's own stub would need as a guest, and entered where the stub would have
 * jumped; or, if the user asks or the payload is not known, the stub runs. Called by loader.c.
 * (Linux documentation, "The Linux/x86 Boot Protocol".)
 */
#pragma once

#include "monitor/loader.h"

/* Has the boot sector signature and the setup header of a bzImage. */
bool bzimage_recognises(const uint8_t *data, size_t size);

/* Load boot->kernel, the initrd and the zero page; *entry is the 64-bit or the 32-bit entry point.
 */
int bzimage_load(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                 struct err *err);
