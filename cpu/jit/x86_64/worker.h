/* SPDX-License-Identifier: MIT */
/*
 * Translation beside the guest (-engine jit,thread=on): the guest's thread hands over copies of hot
 * blocks, goes on interpreting them, and takes the code when it next counts an entry. When code is
 * there is the host's business and no guest can tell: it does what the interpreter does, instruction
 * by instruction.
 *
 * While anything is asked for, the worker alone uses the free end of code memory, the tables and
 * jit.unit; worker_settle gives them back. All functions are for the guest's thread.
 */
#pragma once

#include "cpu/jit/x86_64/jit_priv.h"

struct jit_worker;

/* NULL: no memory, or no thread. */
struct jit_worker *worker_create(struct jit *jit);

/* Waits; what it has made is lost. NULL is allowed. */
void worker_destroy(struct jit_worker *w);

/* Translate, some time: rip is kept for the taker. False: too much is asked for already. */
bool worker_ask(struct jit_worker *w, const struct jit_source *from, uint64_t rip);

/* Somebody waits for what was asked for: not to be put off any longer. */
void worker_hurry(struct jit_worker *w);

/* The block dies: its code will not be taken. */
void worker_forget(struct jit_worker *w, const struct block *b);

struct jit_made {
    struct block *block;  /* NULL: it has died */
    struct jit_block *to; /* its code; NULL: there was no room for it in code memory, or it cannot be */
    uint64_t rip;
    bool is_full;         /* code memory has no room for another block */
};

/* The next one that is done, in the order in which they were asked for. False: none. */
bool worker_take(struct jit_worker *w, struct jit_made *made);

/* Wait until all that was asked for is done. */
void worker_settle(struct jit_worker *w);
