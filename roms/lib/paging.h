/* SPDX-License-Identifier: MIT */
/*
 * Edits of the 64-bit page tables that boot.S made (4-level, one to one). Tables come from a small
 * pool; they are never given back. Nothing here flushes a translation: that is the test's subject.
 */
#pragma once

#include "roms/lib/traps.h"

#define PT_P 0x1u
#define PT_W 0x2u
#define PT_U 0x4u
#define PT_A 0x20u
#define PT_D 0x40u
#define PT_PS 0x80u
#define PT_G 0x100u
#define PT_NX (UINT64_C(1) << 63)
#define PT_ADDRESS UINT64_C(0x000FFFFFFFFFF000)

/* The entry of level 4 (PML4E) to 1 (PTE) that translates la; tables on the way are made, and a
 * larger page on the way is split. */
volatile uint64_t *page_entry(reg_t la, unsigned level);

/* Map a 4 KiB page; not flushed. */
void page_map(reg_t la, uint64_t pa, uint64_t flags);

/* A zeroed page of the pool. */
void *page_alloc(void);

/* Reload CR3. */
void pages_flush(void);
