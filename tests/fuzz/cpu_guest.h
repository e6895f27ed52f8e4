/* SPDX-License-Identifier: MIT */
/*
 * The guest of cpu_fuzz: input bytes become memory with descriptor tables, page tables and code,
 * and the state of a vCPU in one of eight modes. Exceptions go to handlers inside the code, so that
 * a run goes on after them. Everything is a function of the input.
 */
#pragma once

#include "cpu/state.h"
#include "decoder/insn.h"

/* Memory. */
enum {
    GUEST_RAM = 0x20000,
    GUEST_CODE = 0x1000,  /* 8 KiB; the code begins here, or near the end of this page */
    GUEST_STACK = 0x3000, /* one page */
    GUEST_GDT = 0x4000,
    GUEST_LDT = 0x4800,
    GUEST_IDT = 0x5000,
    GUEST_TSS = 0x6000,
    GUEST_TSS2 = 0x7000,
    GUEST_TABLES =
        0x8000, /* PML4, PDPT, PD, page table of the second 2 MiB; legacy directory and table */
    GUEST_DATA = 0x10000,    /* 64 KiB */
    GUEST_WINDOW = 0x200000, /* linear: pages of memory as the input maps them */
};

enum guest_mode {
    GUEST_REAL,
    GUEST_V86,
    GUEST_PROT16,
    GUEST_PROT32,
    GUEST_PAGED32,
    GUEST_PAE32,
    GUEST_COMPAT,
    GUEST_LONG,
    GUEST_MODES
};

#define GUEST_HEADER 64u
#define GUEST_CODE_MAX 1024u

/* The input: GUEST_HEADER bytes of choices, then code. */
struct guest_input {
    uint8_t header[GUEST_HEADER]; /* zero-padded */
    const uint8_t *code;          /* the rest; borrowed */
    size_t code_size;             /* of it, at most GUEST_CODE_MAX */
};

void guest_input(struct guest_input *in, const uint8_t *data, size_t size);

enum guest_mode guest_mode(const struct guest_input *in);
enum decode_mode guest_decode_mode(enum guest_mode mode);

/* What memory holds at the start. */
void guest_image(const struct guest_input *in, uint8_t ram[GUEST_RAM]);

/* The state at the start; *cpu is as after power-on. */
void guest_state(const struct guest_input *in, struct cpu *cpu);
