/* SPDX-License-Identifier: MIT */
/*
 * Names of translated code for GDB, by its interface for just-in-time compilers (GDB manual, "JIT
 * Compilation Interface"): a list of object files in memory, and a function that GDB stops at
 * whenever one comes or goes. A file has a symbol per block. Called by run.c. The list is the
 * process's, as the interface wants it: one session at a time.
 */
#pragma once

#include "base/types.h"

/* ---- the interface, with GDB's names ---- */

enum jit_actions { JIT_NOACTION, JIT_REGISTER, JIT_UNREGISTER };

struct jit_code_entry {
    struct jit_code_entry *next; /* in the list */
    struct jit_code_entry *prev; /* the same */
    const char *symfile_addr;    /* the object file */
    uint64_t symfile_size;       /* bytes of it */
};

struct jit_descriptor {
    uint32_t version;                      /* 1 */
    uint32_t action_flag;                  /* enum jit_actions */
    struct jit_code_entry *relevant_entry; /* it is about */
    struct jit_code_entry *first_entry;    /* the list */
};

extern struct jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code(void);

/* ---- ours ---- */

struct gdb_jit;

/* NULL: no memory. */
struct gdb_jit *gdb_jit_create(void);

/* All names go. gj may be NULL. */
void gdb_jit_destroy(struct gdb_jit *gj);

/* config.translated, with a struct gdb_jit. Code is made upwards: what is below an earlier one says
 * that the cache was emptied. */
void gdb_jit_add(void *gj, const void *code, size_t size, uint64_t rip, uint64_t physical);
