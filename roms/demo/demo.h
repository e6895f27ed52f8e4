/* SPDX-License-Identifier: MIT */
/*
 * The guest that runs when none is given: a walk through a handful of traps, told on COM1 by the
 * guest that takes them. 64-bit; ends by ACPI power-off, so with exit status 0. Each step prints
 * its own paragraph; what ring 3 did is kept for the table at the end.
 */
#pragma once

#include "roms/lib/chips.h"
#include "roms/lib/traps.h"

/* ring3.c: the same instruction in ring 0 and in ring 3. */
void show_ring_3(void);
void show_popf(void);
void print_table(void);

/* traps.c: what exceptions, interrupts and gates are for. */
void show_gate(void);
void show_syscall(void);
void show_page_fault(void);
void show_single_step(void);
void show_halt(void);
void show_cpuid(void);
void show_time(void);

/* A numbered heading. */
void heading(const char *title);
