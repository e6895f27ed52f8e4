/* SPDX-License-Identifier: MIT */
/*
 * The FXSAVE image and the XSAVE area: what both kinds of instruction and CPUID leaf 0DH share.
 * Called by the fxsave handlers, by the emulators of XSAVES and XRSTORS, and by CPUID for sizes.
 * SDM Vol. 1, "Managing State Using the XSAVE Feature Set".
 */
#pragma once

#include "cpu/vcpu.h"

/* State components: bits of XCR0 and XSTATE_BV. */
#define XSTATE_X87 BIT(0)
#define XSTATE_SSE BIT(1)
#define XSTATE_AVX BIT(2)
#define XSTATE_PKRU BIT(9)
#define XSTATE_KNOWN (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX | XSTATE_PKRU)

enum {
    FXSAVE_SIZE = 512,
    FXSAVE_ALIGN = 16,
    XSAVE_ALIGN = 64,
    XSAVE_HEADER = 512,   /* offset of the header */
    XSAVE_EXTENDED = 576, /* offset of the first extended component, in both formats */
    XSTATE_FIRST = 2,     /* first extended component */
    XSTATE_COUNT = 10,    /* bits of XSTATE_KNOWN */
};

#define MXCSR_MASK 0xffffu
#define MXCSR_INIT 0x1f80u

/* How an image is laid out. */
struct fx_format {
    bool wide; /* FIP and FDP are 64 bits, without selectors (REX.W in 64-bit mode) */
    bool xmm8; /* XMM8-XMM15 (YMM) are there: 64-bit mode */
};

/* ---- images: buf is the legacy region, 512 bytes ---- */

void fx_put_x87(const struct cpu *cpu, struct fx_format f, uint8_t *buf); /* bytes 0-23, 32-159 */
void fx_put_mxcsr(const struct cpu *cpu, uint8_t *buf);                   /* bytes 24-31 */
void fx_put_sse(const struct cpu *cpu, struct fx_format f, uint8_t *buf); /* XMM registers */
void fx_get_x87(struct vcpu *vcpu, struct fx_format f, const uint8_t *buf);
void fx_get_sse(struct cpu *cpu, struct fx_format f, const uint8_t *buf);
bool fx_mxcsr_valid(const uint8_t *buf); /* no reserved bit is set */

/* An extended component, as CPUID leaf 0DH tells of it. Size 0: there is none of this number. */
struct xsave_component {
    uint16_t size;   /* bytes */
    uint16_t offset; /* in the standard format: where Intel's parts have it */
};
struct xsave_component xsave_component(unsigned i);

/* Bytes of an area that holds these components, in either format: CPUID leaf 0DH. */
uint32_t xsave_size(uint64_t components, bool is_compact);

/* Components that are not in their initial configuration (XINUSE): SDM Vol. 1, "Processor Tracking
 * of XSAVE-Managed State". MXCSR does not count. */
uint64_t xsave_in_use(const struct cpu *cpu, bool xmm8);

/* The same as XGETBV tells it: with MXCSR. */
uint64_t xsave_in_use_with_mxcsr(const struct cpu *cpu, bool xmm8);

/*
 * A memory area that is read or written in pieces without a fault in between. Linear address
 * checked by the caller of the instruction's own shape.
 */
struct xarea {
    laddr la;           /* its start */
    struct fx_format f; /* layout */
    uint64_t rfbm;      /* requested-feature bitmap */
};

enum xsave_kind { XSAVE_PLAIN, XSAVE_OPT, XSAVE_COMPACT };

/* The instructions, once #UD, #NM, privilege and alignment are checked. False: run.fault.
 * supervisor: XRSTORS. */
bool xsave_save(struct vcpu *vcpu, const struct xarea *a, enum xsave_kind kind);
bool xsave_restore(struct vcpu *vcpu, const struct xarea *a, bool supervisor);

/* XSAVES and XRSTORS whole, for their emulators: all checks included. False: run.fault. */
bool xsave_xsaves(struct vcpu *vcpu, const struct insn *in);
bool xsave_xrstors(struct vcpu *vcpu, const struct insn *in);
