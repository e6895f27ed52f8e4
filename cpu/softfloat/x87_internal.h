/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The x87 rules shared by the files of this directory: NaN choice and unsupported operands.
 * Private.
 */

#include "cpu/softfloat/internal.h"

/*
 * The x87 NaN rule: the quiet one of a mixed pair, else the larger significand, else the positive
 * one; quieted, IE for an SNaN. At least one operand is a NaN, neither is unsupported. SDM Vol. 1,
 * table "Rules for Handling NaNs".
 */
struct fp_num x87_nan(struct fp_env *env, const struct fp_num *a, const struct fp_num *b);

/* Unsupported formats, then NaNs: true when one of them decided *out. Pass an operand twice if
 * single. */
bool x87_special(struct fp_env *env, const struct fp_num *a, const struct fp_num *b,
                 struct fp_num *out);
