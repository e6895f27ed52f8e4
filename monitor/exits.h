/* SPDX-License-Identifier: MIT */
/*
 * Exit counters (design section 3): counted at their site, folded into totals by reason and instruction. Printed by `-d exits`.
 */
#pragma once

#include <stdio.h>

#include "cpu/record.h"
#include "decoder/insn.h"

struct exit_totals {
    uint64_t by_row[INSN_ROWS]; /* exits of sensitive instructions, by row of insn.def */
    uint64_t faults[INSN_ROWS]; /* of them, those that raised an exception */
    uint64_t exceptions[32];  /* exceptions delivered, by vector */
    uint64_t interrupts;      /* external interrupts delivered */
    uint64_t nmis;            /* NMIs delivered */
    uint64_t mmio_reads;      /* device accesses by memory */
    uint64_t mmio_writes;     /* device accesses by memory */
    uint64_t halts;           /* times every vCPU was halted */
    struct exit_places *places; /* owned; NULL: nobody asked where exits happen */
};

enum exit_place_kind { PLACE_INSN, PLACE_EXCEPTION, PLACE_INTERRUPT, PLACE_NMI, PLACE_MMIO_READ, PLACE_MMIO_WRITE };

/* What happened at one address. */
struct exit_place {
    uint64_t rip;
    bool is_user;  /* at CPL 3 */
    uint8_t kind;  /* enum exit_place_kind */
    uint16_t what; /* INSN: a row of insn.def; EXCEPTION: the vector; else 0 */
    uint64_t count; /* 0: unused */
};

#define EXIT_PLACES 16384 /* a power of two; half of them are used, a guest with more has the rest `elsewhere` */

struct exit_places {
    struct exit_place at[EXIT_PLACES]; /* a hash table */
    unsigned used;
    uint64_t elsewhere;
};

void exit_places_add(struct exit_places *places, const struct exit_place *p);

/* Count also where, from now on. -ENOMEM. */
int exits_count_places(struct exit_totals *t);
void exits_fini(struct exit_totals *t);

/* An exception was delivered, raised at rip. */
void exits_exception(struct exit_totals *t, uint8_t vector, uint64_t rip, bool is_user);

/* Something else happened at rip: counted there if places are. */
void exits_at(struct exit_totals *t, enum exit_place_kind kind, uint64_t rip, bool is_user);

/* A copy of the places, most frequent first; *count of them; the caller frees it. NULL: no memory, or nobody asked. */
struct exit_place *exit_places_sorted(const struct exit_totals *t, unsigned *count);

/* "#PF": the name of a vector. */
const char *exits_exception_name(unsigned vector);

/* The fold hook of the block cache; opaque is the struct exit_totals. */
void exits_fold(void *opaque, const struct site *site, uint32_t mode);

/* The tables at the end of a run, by reason and by instruction, most frequent first, in the shape of `perf kvm stat`. */
void exits_print(const struct exit_totals *t, uint64_t ticks, FILE *out);

/*
 * The rows of insn.def that caused exits, in the table's order, a line each: row number, exits without an exception,
 * exits with one, name, encoding, operands (docs/testing.md, "Executed rows").
 */
void exits_print_rows(const struct exit_totals *t, FILE *out);
