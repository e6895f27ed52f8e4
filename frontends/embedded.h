/* SPDX-License-Identifier: MIT */
/*
 * The small guest of roms/ that `trapline` without arguments runs, as the build puts it into the
 * program; of size 0 when it was built without one.
 */
#pragma once

#include <stddef.h>

extern const unsigned char embedded_guest[];
extern const size_t embedded_guest_size;
