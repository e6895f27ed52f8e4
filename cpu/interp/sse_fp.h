/* SPDX-License-Identifier: MIT */
/* What the floating-point files of SSE share. Included by sse_fp*.c and sse_convert.c alone; owns
 * nothing. */
#pragma once

#include "cpu/interp/sse.h"
#include "cpu/softfloat/sse_fast.h"

/* The lowest single. */
static inline uint32_t low_f32(const union v128 *v)
{
    return (uint32_t)v->q[0];
}

/* Only the lowest single changes. */
static inline void set_f32(union v128 *d, uint32_t v)
{
    d->q[0] = (d->q[0] & ~UINT64_C(0xffffffff)) | v;
}

/* Two doublewords as a quadword, low first. */
static inline uint64_t pair32(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

/* CVTSI2SS, CVTSI2SD, CVTSS2SI ...: their meaning depends on the size of the general register. */
select_fn sse_select_convert_gpr;

/* DPPS, DPPD. */
select_fn sse_select_dot;
