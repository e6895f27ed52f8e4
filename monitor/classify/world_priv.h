/* SPDX-License-Identifier: MIT */
/* What the files world*.c share. Nobody else includes it. */
#pragma once

#include "monitor/classify/world.h"

extern const struct emulate_host world_host;

/* Frames and page tables, by guest-physical address. */
enum {
    FRAMES_A = 0x10000,
    FRAMES_B = 0x20000,
    PAGE_TABLES_A = 0x30000, /* bit 15 is clear, so that XOR leads to the other set */
    PAGE_TABLES_B = 0x38000,
    WORLD_RAM = 0x40000,
};

/* The pages that are mapped. */
static const uint16_t world_pages[] = {WORLD_CODE,   WORLD_DATA, WORLD_STACK,
                                       WORLD_STACK0, WORLD_GDT,  WORLD_IDT};

/* Fill the image with descriptor tables and tasks. */
void world_make_tables(struct world *w);
