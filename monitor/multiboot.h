/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 images: ELF, or a.out-like by the addresses in the header. Called by loader.c.
 * ("Multiboot Specification version 0.6.96".)
 */
#pragma once

#include "monitor/loader.h"

/* Has a valid Multiboot header in its first 8 KiB. */
bool multiboot_recognises(const uint8_t *data, size_t size);

/* Load boot->kernel and its modules; *entry: 32-bit protected mode, EAX = 2BADB002h, EBX =
 * information structure. */
int multiboot_load(const struct boot_info *boot, struct physmem *pm, struct entry_state *entry,
                   struct err *err);
