/* SPDX-License-Identifier: MIT */
/*
 * An exception as a value: what a fault path returns instead of jumping. Filled by the page walk and by
 * handlers, delivered by monitor/reflect. Nothing of the machine has changed when a fault is returned, except
 * where the manual says so.
 */
#pragma once

#include "base/types.h"

enum exception_vector {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
    /* No exception: an x87 exception is pending, CR0.NE = 0 and IGNNE# is not asserted. The processor asserts FERR# and stops. */
    FAULT_FERR = 0x40,
};

/* Page-fault error code bits (SDM Vol. 3A, "Page-Fault Exceptions"). */
enum { PF_P = 1, PF_WR = 2, PF_US = 4, PF_RSVD = 8, PF_ID = 16, PF_PK = 32 };

struct fault {
    uint8_t vector;      /* enum exception_vector */
    bool has_error_code; /* error_code is pushed */
    uint32_t error_code; /* as pushed */
    laddr cr2;           /* #PF: the linear address */
    uint64_t dr6;        /* #DB: the DR6 bits to set */
};

/* #VECTOR with or without an error code. */
ALWAYS_INLINE struct fault fault_plain(uint8_t vector)
{
    return (struct fault){.vector = vector};
}

ALWAYS_INLINE struct fault fault_code(uint8_t vector, uint32_t error_code)
{
    return (struct fault){.vector = vector, .has_error_code = true, .error_code = error_code};
}
