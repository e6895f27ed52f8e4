/* SPDX-License-Identifier: MIT */
/*
 * Binary translation: hot blocks become x86-64 code (design section 6). A translated block is a
 * block whose first record's handler is exec_jit_enter: the interpreter runs it like any other
 * record, and it goes on from block to block by itself until something needs C. What no lowering
 * covers is done by the record's own handler, called from translated code.
 *
 * Called by block.c (a block is built, dies, all are dropped) and by the monitor (options, info).
 * Owns the code. Without a host it can translate for, jit_create says so and blocks are never hot.
 */
#pragma once

#include "cpu/vcpu.h"

struct jit;
struct jit_block;
struct pieces;

struct jit_config {
    uint32_t threshold; /* times a block is entered before it is translated; 1: at once */
    uint64_t cache;     /* bytes of code; at least JIT_CACHE_MIN */
    uint32_t regions;   /* ticks between two looks at where the guest is; where it often is becomes a region. 0: never; 1: with the first look */
    bool has_ring;      /* returns are looked for in a ring that calls fill, before the table of computed jumps */
    bool has_thread;    /* translate on a thread of its own; when code is ready is then the host's business */
    bool plain_host;    /* for tests: use nothing that a first x86-64 processor did not have */
    struct pieces *pieces; /* where the memory of tables comes from: borrowed, to outlive the jit; NULL: the host */
    bool lends_always;  /* for tests: blocks lend registers wherever they may, other ones in each (loan.c) */
    /* Told of every block translated; may be NULL. */
    void (*translated)(void *opaque, const void *code, size_t size, uint64_t rip, paddr pa);
    void *opaque;       /* of translated */
};

#define JIT_THRESHOLD 40
#define JIT_CACHE (64 * MiB)
#define JIT_CACHE_MIN (256 * KiB)

/* Is there a translator for this host, in this build? */
bool jit_is_available(void);

/* NULL: no memory for code, or not available. */
struct jit *jit_create(const struct jit_config *config);
void jit_destroy(struct jit *jit);

/* Are blocks of this mode translated when they are hot? Then their records are to have their own handlers. */
bool jit_takes(const struct jit *jit, uint32_t mode);

/* A block was built: its entries are counted from now on, if it is of a kind that is translated. rewritten: how often its code was
 * another before; so much longer it is interpreted. */
void jit_watch(struct jit *jit, struct block *b, unsigned rewritten);

/* It was written, but goes on living: its records have their own handlers again until it is watched anew. It is not running. True: as
 * jit_forget. */
bool jit_unwatch(struct jit *jit, struct block *b);

/* A block dies: jumps to it are undone and what was made for it is freed. Its code stays where it
 * is until the cache is full, for it may be running. True: the running block may be in code that was made from this one's bytes,
 * too, and is to be left at the next boundary. */
bool jit_forget(struct jit *jit, struct block *b);

/* b is about to be entered: is it where the guest often is? Returns how many ticks of the budget are to be held back until it is left:
 * it may want to look again. To be called once no more than run.look_left ticks may be run without. */
int64_t jit_look(struct vcpu *vcpu, const struct block *b);

/* The code that b was translated to: where it runs, and its size. False: it is not translated. */
bool jit_code(const struct block *b, const uint8_t **code, size_t *size);

/* For tests of those who look for wrong code: the n-th block translated from now on adds 1 to RBX. */
void jit_sabotage(struct jit *jit, unsigned n);

struct jit_stats {
    uint64_t translated;  /* blocks */
    uint64_t code_bytes;  /* of the cache in use */
    uint64_t cache_bytes; /* of the cache */
    uint64_t flushes;     /* times that it was full */
    uint64_t insns;       /* guest instructions translated */
    uint64_t lowered;     /* of them, those that need no handler */
    uint64_t links;       /* direct exits that were linked to a block */
    uint64_t unlinked;    /* direct exits taken that could not be */
    uint64_t indirect;    /* computed targets that code did not find by itself */
    uint64_t looks;       /* at where the guest is */
    uint64_t looks_in_regions; /* of them, those that found it in a region */
    uint64_t ways;        /* blocks where it was often enough for a region */
    uint64_t regions;     /* of them, those that became one */
    uint64_t parts;       /* blocks that those are made of */
    uint64_t loops;        /* of them, those that are a loop of two rounds */
    uint64_t region_insns; /* their instructions */
    uint64_t killed;      /* regions that one of their blocks took with it */
};
struct jit_stats jit_stats(const struct jit *jit);

/* Handlers that translated code called. */
struct jit_calls {
    uint64_t always; /* the instruction has no lowering */
    uint64_t rarely; /* it has, and this was its slow path: a miss, a fault, a rare operand */
};

/* Add those of each enum op to calls[], OP_COUNT of them. */
void jit_count_calls(const struct jit *jit, struct jit_calls calls[]);
