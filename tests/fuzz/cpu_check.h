/* SPDX-License-Identifier: MIT */
/*
 * What is true of a vCPU at rest, whatever program brought it there: for cpu_fuzz. Reads only, but
 * for caches that it rebuilds to see whether they were right.
 */
#pragma once

#include "cpu/cpuid.h"
#include "cpu/vcpu.h"

/* What no processor can be in, as text; NULL: nothing. */
const char *cpu_complaint(struct vcpu *vcpu, const struct cpu_model *model);
