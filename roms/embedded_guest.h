/* SPDX-License-Identifier: MIT */
/*
 * The guest that runs when none is given: roms/demo as a Multiboot ELF image, made by the build.
 * The command line hands it to the loader like the contents of a -kernel file.
 */
#pragma once

#include <stddef.h>

extern const unsigned char embedded_guest[];
extern const size_t embedded_guest_size; /* 0: built without a compiler for x86, there is none */

/* The guests of the labs, roms/labs, in the same way; for 32 and 64 bits. */
extern const unsigned char lab_walks32[], lab_walks64[];
extern const size_t lab_walks32_size, lab_walks64_size;
extern const unsigned char lab_holes32[];
extern const size_t lab_holes32_size;
extern const unsigned char lab_locks64[], lab_steal64[], lab_calls64[];
extern const size_t lab_locks64_size, lab_steal64_size, lab_calls64_size;
