/* SPDX-License-Identifier: MIT */
/*
 * What a BIOS would have left in the first and the last KiB of the first megabyte, for guests that
 * a loader starts without one: interrupt vectors, BIOS data area, extended BIOS data area, and a
 * ROM end that knows two things, to return and to reset. Called by pc_boot.c.
 */
#pragma once

#include "mmu/physmem.h"

/*
 * Put it into memory.
 *   ebda      where the extended BIOS data area is; base memory ends there
 *   com[n]    port of each serial port, `coms` of them, at most 4
 */
void pc_bios_data_load(struct physmem *pm, paddr ebda, const uint16_t *com, unsigned coms);
