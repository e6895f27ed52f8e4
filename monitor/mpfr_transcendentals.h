/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * True values of the x87 transcendentals, computed by MPFR. The one door to that library: the
 * monitor hands this table down to the CPU, which links no library itself. Results depend on the
 * arguments alone. Owns nothing; MPFR's own cache of constants lives in the library.
 */

#include "cpu/softfloat/softfloat.h"

/* The table for f80_f2xm1(), f80_fsin() and the others. */
extern const struct fp_transcendentals mpfr_transcendentals;

/* The same without the quick ways of quick_transcendentals.h: for their test. */
extern const struct fp_transcendentals exact_transcendentals;
