/* SPDX-License-Identifier: MIT */
#include "frontends/stacks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX (1u << 19)
#define HASH_SIZE (1u << 20) /* of nodes by parent and key */
#define CONTEXTS 1024        /* a power of two */
#define DEPTH 96
#define KERNEL_STACK 14 /* log2 of Linux's THREAD_SIZE on x86-64; smaller ones lie within */

enum { KEY_KERNEL = 1, KEY_USER, KEY_UNKNOWN };

struct frame {
    uint64_t slot;   /* where the return address is */
    uint64_t callee; /* what was called */
    unsigned node;   /* the caller's */
};

struct context {
    uint64_t key; /* 0: unused */
    unsigned depth;
    struct frame frames[DEPTH];
};

struct stacks {
    const struct symbols *symbols; /* borrowed; NULL: none */
    enum trace_weight weight;
    struct stack_node *nodes;
    unsigned count, room;
    unsigned *hash;
    struct context *contexts;
    bool is_full;
};

struct stacks *stacks_create(const struct symbols *symbols, enum trace_weight weight)
{
    struct stacks *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->symbols = symbols;
    s->weight = weight;
    s->room = 1024;
    s->nodes = calloc(s->room, sizeof(*s->nodes));
    s->hash = calloc(HASH_SIZE, sizeof(*s->hash));
    s->contexts = calloc(CONTEXTS, sizeof(*s->contexts));
    s->count = 1;
    if (s->nodes && s->hash && s->contexts)
        return s;
    stacks_destroy(s);
    return NULL;
}

void stacks_destroy(struct stacks *s)
{
    if (!s)
        return;
    free(s->nodes);
    free(s->hash);
    free(s->contexts);
    free(s);
}

/* ---- the tree ---- */

static uint64_t mix(uint64_t v)
{
    v *= UINT64_C(0x9e3779b97f4a7c15);
    return v ^ v >> 29;
}

static bool grow(struct stacks *s)
{
    if (s->count < s->room)
        return true;
    struct stack_node *more = s->room < NODES_MAX ? realloc(s->nodes, 2 * s->room * sizeof(*more)) : NULL;
    s->is_full |= !more;
    if (!more)
        return false;
    s->nodes = more;
    s->room *= 2;
    return true;
}

/* The child of parent with this key; the parent itself when there is no room. */
static unsigned child_of(struct stacks *s, unsigned parent, uint64_t key)
{
    uint64_t at = mix(key ^ mix(parent)) & (HASH_SIZE - 1);
    for (; s->hash[at]; at = (at + 1) & (HASH_SIZE - 1)) {
        const struct stack_node *n = &s->nodes[s->hash[at]];
        if (n->parent == parent && n->key == key)
            return s->hash[at];
    }
    if (!grow(s))
        return parent;
    unsigned new = s->count++;
    s->nodes[new] = (struct stack_node){.key = key, .parent = parent, .sibling = s->nodes[parent].child};
    s->nodes[parent].child = new;
    s->hash[at] = new;
    return new;
}

/* ---- stacks ---- */

static struct context *context_of(struct stacks *s, const struct trapline_step *step)
{
    uint64_t stack = (step->rsp - 1) >> KERNEL_STACK; /* an empty one's pointer is the first address above it */
    uint64_t key = (step->cpl == 3 ? (step->cr3 & ~UINT64_C(0xfff)) | 1 : stack << 1) ^ (uint64_t)step->vcpu << 60;
    key = key ? key : 2;
    struct context *c = &s->contexts[mix(key) & (CONTEXTS - 1)];
    if (c->key != key) { /* another one had its place, or nobody */
        c->key = key;
        c->depth = 0;
    }
    return c;
}

/* The function that runs: by its symbol, or else by the address that was called. */
static uint64_t function_at(const struct stacks *s, const struct context *c, uint64_t rip)
{
    uint64_t offset;
    if (s->symbols && symbols_find(s->symbols, rip, &offset))
        return rip - offset;
    return c->depth > 0 ? c->frames[c->depth - 1].callee : KEY_UNKNOWN;
}

static void push(struct context *c, uint64_t slot, uint64_t callee, unsigned node)
{
    while (c->depth > 0 && c->frames[c->depth - 1].slot <= slot)
        c->depth--;
    if (c->depth < DEPTH)
        c->frames[c->depth++] = (struct frame){slot, callee, node};
}

static uint64_t weight_of(const struct stacks *s, const struct trapline_step *step)
{
    if (s->weight == WEIGHT_EXITS)
        return step->reason != NULL;
    return step->ticks;
}

void stacks_step(struct stacks *s, const struct trapline_step *step, bool is_counted)
{
    if (step->kind == TRAPLINE_STEP_IDLE)
        return;
    struct context *c = context_of(s, step);
    while (c->depth > 0 && c->frames[c->depth - 1].slot < step->rsp)
        c->depth--;
    unsigned root = child_of(s, 0, step->cpl == 3 ? KEY_USER : KEY_KERNEL);
    unsigned caller = c->depth > 0 ? c->frames[c->depth - 1].node : root;
    unsigned node = child_of(s, caller, function_at(s, c, step->rip));
    if (is_counted)
        s->nodes[node].self += weight_of(s, step);
    bool stays = step->next_cpl == step->cpl && step->next_rsp < step->rsp;
    if (step->flow == TRAPLINE_FLOW_CALL || (step->flow == TRAPLINE_FLOW_ENTER && stays))
        push(c, step->next_rsp, step->next_rip, node);
}

/* ---- looking ---- */

const struct stack_node *stacks_node(const struct stacks *s, unsigned i)
{
    return i < s->count ? &s->nodes[i] : NULL;
}

void stacks_name(const struct stacks *s, unsigned node, char *text, size_t size)
{
    static const char *const names[] = {"all", "kernel", "user", "no symbol"};
    uint64_t key = s->nodes[node].key, offset;
    const char *name = key <= KEY_UNKNOWN ? names[key] : s->symbols ? symbols_find(s->symbols, key, &offset) : NULL;
    if (name)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "0x%" PRIx64, key);
}

bool stacks_is_full(const struct stacks *s)
{
    return s->is_full;
}
