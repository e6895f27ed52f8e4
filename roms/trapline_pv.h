/* SPDX-License-Identifier: MIT */
/*
 * trapline's own paravirtual interface, version 1.0: numbers, structures, and a client in C for guests (roms/trapline_pv.c). The
 * specification is docs/hypercalls.md. The monitor includes this header for the numbers; a guest copies header and source, which need
 * nothing but a C compiler for x86 and CPL 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* ---- CPUID ---- */

enum {
    TPV_CPUID_BASE = 0x40000100,     /* EAX: the last leaf of the range; EBX, ECX, EDX: TPV_SIGNATURE */
    TPV_CPUID_VERSION = 0x40000101,  /* EAX: TPV_VERSION; EBX: TPV_BASE */
    TPV_CPUID_FEATURES = 0x40000102, /* EAX: features offered now; EBX: of them and those revoked */
    TPV_CPUID_LIMITS = 0x40000103,   /* EAX: entries of a batch; EBX: steps of time in ns, 0: none; ECX: clock reads per ms, 0: any */
    TPV_CPUID_LAST = TPV_CPUID_LIMITS
};
#define TPV_SIGNATURE "TraplinePV\0\0"
#define TPV_VERSION 0x00010000u /* major, minor: a minor version only adds */

/* Features: bit n of TPV_CPUID_FEATURES. */
enum {
    TPV_FEATURE_TIMER = 1 << 0,      /* SET_TIMER */
    TPV_FEATURE_EOI = 1 << 1,        /* EOI */
    TPV_FEATURE_TIME_PAGE = 1 << 2,  /* TIME_PAGE */
    TPV_FEATURE_TIME = 1 << 3,       /* GET_TIME */
    TPV_FEATURE_MULTICALL = 1 << 4,  /* MULTICALL */
    TPV_FEATURE_WRITE_MSRS = 1 << 5, /* WRITE_MSRS */
    TPV_FEATURE_SLEEP = 1 << 6,      /* CHECK_AND_SLEEP, KICK */
    TPV_FEATURE_YIELD = 1 << 7,      /* YIELD_TO */
    TPV_FEATURE_INTERRUPTS = 1 << 8, /* SET_INTERRUPTS */
    TPV_FEATURES = (1 << 9) - 1
};

/*
 * ---- calls: VMCALL or VMMCALL at CPL 0; RAX number; RBX, RCX, RDX, RSI arguments; RAX result ----
 * In 32-bit code they have 32 bits; times are halves there: SET_TIMER's high one is the third argument, CHECK_AND_SLEEP's the
 * fourth, GET_TIME's result EDX:EAX.
 */

#define TPV_BASE 0x54500000u
enum {
    TPV_GET_VERSION = 0x54500000,     /* () -> TPV_VERSION */
    TPV_SET_TIMER = 0x54500001,       /* (time in ns, vector) */
    TPV_EOI = 0x54500002,             /* () */
    TPV_TIME_PAGE = 0x54500003,       /* (physical address, 1: on, 0: off) */
    TPV_GET_TIME = 0x54500004,        /* () -> time in ns */
    TPV_MULTICALL = 0x54500005,       /* (physical address of struct tpv_entry[], count) -> entries done */
    TPV_WRITE_MSRS = 0x54500006,      /* (physical address of struct tpv_msr[], count) -> registers written */
    TPV_CHECK_AND_SLEEP = 0x54500007, /* (physical address of a word, value, latest time in ns or TPV_NEVER) -> enum tpv_slept */
    TPV_KICK = 0x54500008,            /* (APIC ID) */
    TPV_YIELD_TO = 0x54500009,        /* (APIC ID) */
    TPV_SET_INTERRUPTS = 0x5450000a,  /* (0 or 1) -> IF as it was */
};

#define TPV_NEVER UINT64_MAX
#define TPV_BATCH_MAX 64 /* entries of a MULTICALL or WRITE_MSRS */

/* Errors: a result of -n. */
enum {
    TPV_EPERM = 1,      /* not at CPL 0 */
    TPV_ESRCH = 3,      /* no processor has this APIC ID */
    TPV_ENXIO = 6,      /* the processor has no local APIC */
    TPV_E2BIG = 7,      /* a batch of more than TPV_BATCH_MAX entries */
    TPV_EFAULT = 14,    /* not RAM that can be written */
    TPV_EINVAL = 22,    /* an argument that cannot be: alignment, vector, value */
    TPV_ENESTED = 40,   /* not from within a MULTICALL */
    TPV_EREVOKED = 128, /* the feature was offered and has been revoked */
    TPV_ENOSYS = 1000   /* no such call */
};

enum tpv_slept {
    TPV_SLEPT = 0,  /* and woke: kicked, interrupted, late, or for no reason */
    TPV_CHANGED = 1 /* the word has another value: there was no sleep */
};

/* An entry of a MULTICALL, 8-byte aligned. */
struct tpv_entry {
    uint64_t number;  /* TPV_*, or a hypercall of KVM's */
    uint64_t args[4]; /* of the call */
    int64_t result;   /* out */
};

/* An entry of WRITE_MSRS, 8-byte aligned. */
struct tpv_msr {
    uint32_t msr;      /* number */
    uint32_t reserved; /* 0 */
    uint64_t value;    /* to write */
};

/* The time page: 64 bytes, 64-byte aligned, one for each processor. The monitor writes it. */
struct tpv_time {
    uint32_t sequence;   /* odd while it is being written */
    uint32_t flags;      /* TPV_TIME_* */
    uint64_t tsc;        /* time-stamp counter at `time` */
    uint64_t time;       /* ns since the machine was made */
    uint32_t multiplier; /* time passed = ((TSC passed << shift) * multiplier) >> 32 */
    int8_t shift;        /* negative: to the right */
    uint8_t reserved[3]; /* 0 */
    uint64_t step;       /* ns by which time advances; 0: by each */
    uint64_t wall;       /* seconds since 1970 UTC at time 0 */
    uint32_t features;   /* TPV_FEATURE_* offered when this was written */
    uint32_t reserved2;  /* 0 */
    uint64_t reserved3;  /* 0 */
};

enum {
    TPV_TIME_VALID = 1 << 0,    /* else: switched off or revoked, take another clock */
    TPV_TIME_QUANTIZED = 1 << 1 /* step is not 0 */
};

/* ---- the client; only for code compiled for x86 ---- */

/* Is the interface there? Then *features, if not NULL, are those offered now. */
bool tpv_detect(uint32_t *features);

/* A hypercall. Whether it is VMCALL or VMMCALL: the monitor takes either. */
int64_t tpv_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* The time of a page that is valid; false: it is not, or no more. */
bool tpv_read_time(const volatile struct tpv_time *page, uint64_t *ns);

/*
 * Wait until *word is not `value` any more. Whoever changes it calls tpv_wake with this processor's APIC ID afterwards. No wake-up
 * is lost. Identity-mapped memory is assumed: word's address is taken for the physical one.
 */
void tpv_wait_while(const volatile uint32_t *word, uint32_t value);
void tpv_wake(uint32_t apic_id);
