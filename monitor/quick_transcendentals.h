/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * FSIN, FCOS and FPATAN of common operands in 128-bit integers: what MPFR would say, sooner. A
 * value is computed with an error that is known to be small, and given only where it cannot matter
 * to the rounding; else, and for other operands, MPFR is asked. For mpfr_transcendentals.c. Owns
 * nothing; results depend on the arguments alone, and are the same on every host.
 */

#include "cpu/softfloat/softfloat.h"

/*
 * False: ask MPFR. True: *w rounds, in every mode, as the true value does; arguments and values are
 * those of struct fp_transcendentals. offset: 0 FSIN, 1 FCOS.
 */
bool quick_sine(struct f80 x, unsigned offset, struct fp_wide *w);
bool quick_arctangent(struct f80 y, struct f80 x, struct fp_wide *w);
