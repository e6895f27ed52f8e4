/* SPDX-License-Identifier: MIT */
/*
 * The mode word: every bit of machine state that decoding or handler selection depends on. Part of the key of a block.
 * Computed by mode_word() whenever one of its sources changes; a changed word ends the block.
 */
#pragma once

#include "cpu/state.h"
#include "decoder/insn.h"

/* clang-format off */
enum mode_bits {
    MODE_CODE_MASK = 3,          /* enum decode_mode: CS.L and CS.D */
    MODE_STACK32   = 1 << 2,     /* SS.B (32-bit stack pointer); in 64-bit mode clear */
    MODE_FLAT_CS   = 1 << 3,     /* base 0, limit 4 GiB - 1 (always set in 64-bit mode, as the next three) */
    MODE_FLAT_SS   = 1 << 4,     /* base 0, limit 4 GiB - 1, expand-up, writable */
    MODE_FLAT_DS   = 1 << 5,     /* the same */
    MODE_FLAT_ES   = 1 << 6,     /* the same */
    MODE_PE        = 1 << 7,     /* CR0.PE */
    MODE_VM        = 1 << 8,     /* EFLAGS.VM */
    MODE_USER      = 1 << 9,     /* CPL = 3 */
    MODE_EM        = 1 << 10,    /* CR0.EM */
    MODE_TS        = 1 << 11,    /* CR0.TS */
    MODE_MP        = 1 << 12,    /* CR0.MP */
    MODE_OSFXSR    = 1 << 13,    /* CR4.OSFXSR */
    MODE_AVX       = 1 << 14,    /* CR4.OSXSAVE and XCR0 has SSE and AVX */
    MODE_ALIGN     = 1 << 15,    /* CR0.AM, EFLAGS.AC and CPL = 3 */
    MODE_TF        = 1 << 16,    /* EFLAGS.TF: one-instruction blocks */
    MODE_BREAK     = 1 << 17,    /* a DR7 data or instruction breakpoint is armed */
    MODE_LMA       = 1 << 18,    /* EFER.LMA */
    MODE_EXACT     = 1 << 19,    /* no dead-flag handlers, no fusion: the block may be left after any record */
    MODE_POLICY    = 3 << 20,    /* virtualization policy */
};
/* clang-format on */

#define MODE_FLAT_ALL (MODE_FLAT_CS | MODE_FLAT_SS | MODE_FLAT_DS | MODE_FLAT_ES)
#define MODE_SEGMENTS (MODE_CODE_MASK | MODE_STACK32 | MODE_FLAT_ALL) /* what segment registers decide */

ALWAYS_INLINE enum decode_mode mode_code(uint32_t mode)
{
    return (enum decode_mode)(mode & MODE_CODE_MASK);
}

/* May blocks of this mode be entered from another without the run loop: a RIP is a linear address, nobody steps or breaks? */
ALWAYS_INLINE bool mode_chains(uint32_t mode)
{
    return (mode & (MODE_FLAT_CS | MODE_TF | MODE_BREAK)) == MODE_FLAT_CS;
}

/* The word for this state (MODE_EXACT and MODE_POLICY clear). */
uint32_t mode_word(const struct cpu *cpu);
