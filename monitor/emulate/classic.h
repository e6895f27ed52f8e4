/* SPDX-License-Identifier: MIT */
/*
 * The slots of `-virt classic` that are not those of bt: the guest is deprivileged by architecture alone, so what does not trap in ring R
 * runs on the real machine (cpu/real.h). Only monitor/policy.c looks here.
 */
#pragma once

#include "monitor/emulate/emulate.h"

#define EMULATOR(op, function, reason)
#define CLASSIC(op, function, reason)                                                              \
    enum sens_result classic_##function(struct vcpu *vcpu, const struct insn *in);
#include "monitor/emulate/emulators.def"
#undef EMULATOR
