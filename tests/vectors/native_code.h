/* SPDX-License-Identifier: MIT */
/*
 * The way into a test instruction and back without the kernel: code and data that native.c copies
 * to two pages below 4 GiB, so that far jumps of 16- and 32-bit code reach them. The data page
 * follows the code page.
 */
#pragma once

#include "base/types.h"

/* What native_code.c's assembly reads and writes; it has the offsets by number. */
struct native_data {
    uint64_t gpr_in[16]; /* 000h */
    uint64_t flags_in;   /* 080h */
    uint64_t target;     /* 088h: near, 64-bit code */
    uint32_t far_offset; /* 090h: far, other code */
    uint16_t far_sel;    /* 094h */
    uint16_t sel_in[6];  /* 096h: ES, CS (unused), SS, DS, FS, GS */
    uint16_t pad0[3];
    uint64_t fs_in, gs_in;     /* 0a8h, 0b0h */
    uint64_t host_rsp;         /* 0b8h */
    uint64_t host_fs, host_gs; /* 0c0h, 0c8h */
    uint32_t kind;             /* 0d0h: enum native_kind */
    uint32_t components;       /* 0d4h: of XSAVE */
    uint32_t mxcsr_init;       /* 0d8h */
    uint32_t pad1[9];
    uint64_t gpr_out[16];    /* 100h */
    uint64_t flags_out;      /* 180h */
    uint64_t fs_out, gs_out; /* 188h, 190h */
    uint16_t sel_out[6];     /* 198h */
    uint16_t pad2[46];
    uint8_t image_in[1024];  /* 200h: XSAVE area */
    uint8_t image_out[1024]; /* 600h: the same */
};

enum native_kind { NATIVE_64, NATIVE_FLAT_32, NATIVE_SEGMENTED };

static_assert(offsetof(struct native_data, sel_in) == 0x96, "native_code.c knows it");
static_assert(offsetof(struct native_data, fs_in) == 0xa8, "native_code.c knows it");
static_assert(offsetof(struct native_data, gpr_out) == 0x100, "native_code.c knows it");
static_assert(offsetof(struct native_data, sel_out) == 0x198, "native_code.c knows it");
static_assert(offsetof(struct native_data, image_in) == 0x200, "native_code.c knows it");

/* In the program's own text: copied from begin to end. */
extern const uint8_t native_code_begin[], native_code_end[];
extern const uint8_t native_code_enter[]; /* void enter(void): to the instruction, and back */
extern const uint8_t native_code_land[];  /* where the instruction is to go on, in 64-bit code */
extern const uint8_t native_code_abort[]; /* the same after a signal: state is saved, RSP is ours */
