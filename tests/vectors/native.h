/* SPDX-License-Identifier: MIT */
/*
 * One instruction on the CPU this program runs on (x86-64 Linux): its state is put into a signal
 * frame, sigreturn loads it, the trap flag brings it back. For the recorder only. Needs pages below
 * 64 KiB: root, or vm.mmap_min_addr = 0.
 */
#pragma once

#include "tests/vectors/vector.h"

/* Map the vector's memory, install the signal handlers. False: said why on stderr. */
bool native_init(void);

/* Run v's instruction from v->before; fills v->after. is_rep: step on while RIP stays. False: it
 * could not be recorded. */
bool native_run(struct vector *v, bool is_rep);
