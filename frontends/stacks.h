/* SPDX-License-Identifier: MIT */
/*
 * Call stacks from traced calls and returns, and the tree of what ran under which callers. Exact for code that calls and returns:
 * a frame lives from its CALL until the stack pointer is above its return address. Each kernel stack (by its 16 KiB) and each
 * address space's user code has a stack of its own, so that a switch of tasks mixes nothing; user threads of one address space
 * are told apart by their stack pointers only. Wants steps of BLOCKS or INSNS.
 */
#pragma once

#include "frontends/symbols.h"
#include "frontends/trace_options.h"

struct stacks;

/* A function under its callers. */
struct stack_node {
    uint64_t key;        /* the function's address, or a number of its own for "user", "kernel" */
    uint64_t self;       /* weight of its own */
    unsigned parent;     /* index; of the root 0 */
    unsigned child;      /* first, or 0 */
    unsigned sibling;    /* next, or 0 */
};

struct stacks *stacks_create(const struct symbols *symbols, enum trace_weight weight); /* NULL: no memory */
void stacks_destroy(struct stacks *s);                                                 /* NULL is fine */

/* is_counted: its weight is added; else it only moves the stack. */
void stacks_step(struct stacks *s, const struct trapline_step *step, bool is_counted);

/* Node i, or NULL past the last; 0 is the root. Parents come before their children. */
const struct stack_node *stacks_node(const struct stacks *s, unsigned i);

void stacks_name(const struct stacks *s, unsigned node, char *text, size_t size);

/* Some paths did not fit and were counted to their callers. */
bool stacks_is_full(const struct stacks *s);
