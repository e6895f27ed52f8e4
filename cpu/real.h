/* SPDX-License-Identifier: MIT */
/*
 * The real machine under `-virt classic`, beside the virtual one that arch always is (design section 3). There is no hardware below
 * us: these are the registers that the processor would hold while the monitor has lent it to a guest that is deprivileged by
 * architecture alone. What does not follow from arch is kept here, saved and hashed; what follows is said below, computed where it
 * is needed (monitor/emulate/real.c), and stored nowhere twice.
 *
 * The relation of real and virtual. R is the ring of the guest's ring 0, 1 or 3.
 *
 *   mode         virtual real mode and virtual-8086 mode run in virtual-8086 mode, protected mode in protected mode
 *   CPL          3 in virtual-8086 mode, else max(R, virtual CPL). An instruction that leaves the real CPL as it is leaves the virtual
 *                one as it is, too: the monitor has not seen it. One that changes it makes R the virtual 0 and 3 the virtual 3
 *   IF, IOPL     1 and 0: the host takes its interrupts, and CLI, STI and I/O trap. VIF = VIP = 0
 *   other flags  the virtual ones (VM by the mode)
 *   GDTR         the monitor's table of 64 KiB: the guest's descriptors, and at its end (REAL_SLOTS) the monitor's own
 *   LDTR         the monitor's copy of the guest's LDT
 *   descriptors  code and data: DPL at least R, accessed; with R = 1 the last 4 MiB, where the monitor is, are cut off by the limit.
 *                gates, TSSs, LDTs: DPL 0, so that no program starts what the monitor has to do. The monitor traces the guest's tables:
 *                its own are a function of them at any time
 *   IDTR         the monitor's; all gates have DPL 0 and lead to the monitor, which reflects through the guest's
 *   TR           the monitor's TSS; no back link, no port is open
 *   CR0          `cr0`, and TS and EM as the guest has them
 *   CR4          UMIP as the guest has it, TSD = 1, PCE = VME = PVI = 0
 *   selectors    as the guest loaded them; RPL of CS and SS is the real CPL
 *   caches       of the monitor's descriptors, where arch has the guest's
 *
 * For snapshots and hashes a part of the machine of its own, only under this policy (monitor/timeline/parts.c).
 */
#pragma once

#include "base/fields.h"

/* clang-format off */
#define REAL_STATE(ONE, ARR, S)                                                                                       \
    ONE(S, uint8_t,  ring,            "ring of the guest's ring 0: 1 or 3; 0: the policy is another")                 \
    ONE(S, bool,     emulates_faults, "a fault of an unprivileged instruction is emulated if the virtual machine would not have it") \
    ONE(S, uint64_t, cr0,             "CR0 but for TS and EM")                                                        \
    ONE(S, uint64_t, gdtr_base,       "GDTR base")                                                                    \
    ONE(S, uint16_t, gdtr_limit,      "GDTR limit")                                                                   \
    ONE(S, uint64_t, idtr_base,       "IDTR base")                                                                    \
    ONE(S, uint16_t, idtr_limit,      "IDTR limit")                                                                   \
    ONE(S, uint16_t, ldtr_sel,        "LDTR selector")                                                                \
    ONE(S, uint16_t, tr_sel,          "TR selector")
/* clang-format on */

STATE_STRUCT(real, REAL_STATE);

/* The last fault of an instruction on the real machine, for messages: not state. */
struct real_fault {
    bool is_valid;        /* there was one */
    bool has_error_code;  /* error_code is valid */
    uint8_t vector;       /* of the exception */
    uint8_t virtual_cpl;  /* what the guest took its CPL for */
    uint8_t real_cpl;     /* what it was */
    uint16_t row;         /* of insn.def */
    uint8_t length;       /* of the instruction */
    uint32_t error_code;  /* as pushed */
    uint64_t rip;         /* where */
    uint64_t linear;      /* the same with the base of CS */
    uint64_t ticks;       /* when, of the vCPU */
};

/* Selectors from here to the end of the monitor's GDT are its own. */
#define REAL_SLOTS 0xffc0u
