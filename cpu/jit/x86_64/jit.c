/* SPDX-License-Identifier: MIT */
/* Life of translated blocks: entered, left, forgotten. */
#include "cpu/jit/jit.h"

#include <stdlib.h>

#include "cpu/jit/x86_64/jit_priv.h"
#include "cpu/jit/x86_64/region.h"
#include "cpu/jit/x86_64/worker.h"

bool jit_is_available(void)
{
    return true;
}

/* Thunks stand at the start of code memory and stay. */
static bool make_thunks(struct jit *jit)
{
    struct code_memory *m = &jit->memory;
    struct emit e = {.p = m->write, .end = m->write + m->size, .delta = m->run - m->write};
    jit_make_thunks(jit, &e);
    m->used = m->fixed = (size_t)(e.p - m->write);
    return !e.full;
}

static void places_forget(struct jit *jit)
{
    for (unsigned i = 0; i < JIT_PLACES; i++)
        jit->places[i].pa = BLOCK_DEAD;
}

struct jit *jit_create(const struct jit_config *config)
{
    struct jit *jit = calloc(1, sizeof(*jit));
    if (!jit)
        return NULL;
    jit->config = *config;
    if (!config->plain_host)
        host_features(jit->host_has);
    jit->places = malloc(JIT_PLACES * sizeof(jit->places[0]));
    if (!jit->places ||
        code_memory_init(&jit->memory, config->cache, config->translated != NULL) < 0 ||
        !make_thunks(jit)) {
        jit_destroy(jit);
        return NULL;
    }
    if (config->regions > 0 && !(jit->copies = malloc(REGION_PARTS * sizeof(*jit->copies)))) {
        jit_destroy(jit);
        return NULL;
    }
    places_forget(jit);
    jit->tags = JIT_NO_TAG + 1;
    if (!config->has_thread) /* pieces are one thread's */
        jit->tables.pieces = jit->exits.pieces = config->pieces;
    if (config->has_thread && !(jit->worker = worker_create(jit))) {
        jit_destroy(jit);
        return NULL;
    }
    return jit;
}

/* ---- handlers ---- */

/* All code was thrown away since this vCPU last ran some. */
static void forget_flushed_jumps(struct vcpu *vcpu)
{
    if (likely(vcpu->run.jit_flushes == vcpu->run.jit->stats.flushes))
        return;
    vcpu->run.jit_flushes = vcpu->run.jit->stats.flushes;
    memset(&vcpu->jumps, 0, sizeof(vcpu->jumps));
}

static int interpret(struct vcpu *vcpu, const struct rec *rec);

/* 32-bit code may take it for granted that RSP has no upper half; only 64-bit mode could give it
 * one. */
static bool is_suited(const struct vcpu *vcpu, const struct block *b)
{
    return mode_code(b->mode) != DECODE_32 || vcpu->arch.gpr[REG_RSP] <= UINT32_MAX;
}

const uint8_t *jit_entry_of(struct vcpu *vcpu, const struct block *b)
{
    forget_flushed_jumps(vcpu);
    vcpu->run.jit_page = vcpu->run.insn_base - (b->pa & ~PAGE_MASK);
    return b->crosses ? b->jit->entry : b->code;
}

int exec_jit_enter(struct vcpu *vcpu, const struct rec *rec)
{
    struct block *b = block_of_first(rec);
    if (unlikely(!is_suited(vcpu, b)))
        return interpret(vcpu, rec);
    assert(vcpu->run.jit_host_stack);
    jit_flags_to_memory(vcpu);
    return vcpu->run.jit->enter(vcpu, jit_entry_of(vcpu, b));
}

/* Status with which translated code is left; flags: they are C's already. */
static const uint8_t *leave_step(struct vcpu *vcpu, int status, bool flags)
{
    if (!flags)
        jit_flags_from_memory(vcpu);
    vcpu->aside.jit_status = status;
    return NULL;
}

const uint8_t *jit_step(struct vcpu *vcpu, struct jit_site *site)
{
    struct run *run = &vcpu->run;
    bool flags = site->needs_flags;
    site->calls++;
    run->block = site->block;
    run->insn_base = run->jit_page + site->offset;
    if (flags)
        jit_flags_from_memory(vcpu);
    int status = exec_sensitive_step(vcpu, site->rec);
    if (status == EXEC_NEXT && unlikely(run->patched))
        return leave_step(vcpu, exec_break(vcpu, site->rec + 1), flags); /* it is that record */
    if (status == EXEC_NEXT) {
        if (flags)
            jit_flags_to_memory(vcpu);
        return JIT_STEP_NEXT;
    }
    if (status != EXEC_CHAIN || run->rec->fn != exec_jit_enter)
        return leave_step(vcpu, status, flags);
    const struct block *b = block_of_first(run->rec);
    if (unlikely(!is_suited(vcpu, b)))
        return leave_step(vcpu, status, flags);
    if (flags)
        jit_flags_to_memory(vcpu);
    return jit_entry_of(vcpu, b);
}

/* ---- making and unmaking ---- */

void jit_list(struct jit *jit, struct jit_block *t)
{
    t->next = jit->blocks;
    if (t->next)
        t->next->prev = t;
    jit->blocks = t;
}

static void list_remove(struct jit *jit, struct jit_block *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        jit->blocks = t->next;
    if (t->next)
        t->next->prev = t->prev;
}

/* Jumps to it and from it. True: region_detach. */
static bool detach(struct jit *jit, struct jit_block *t)
{
    struct block *b = t->block;
    bool is_region = region_detach(jit, t);
    while (t->in)
        exit_unlink(jit, t->in);
    for (unsigned i = 0; i < t->exit_count; i++) {
        if (t->exits[i].to)
            exit_unlink(jit, &t->exits[i]);
        if (t->exits[i].is_return)
            return_kill(jit, &t->exits[i]);
        t->exits[i].charge = NULL;
    }
    list_remove(jit, t);
    entry_kill(jit, t);
    place_forget(jit, b);
    b->jit = NULL;
    return is_region;
}

bool jit_retire(struct jit *jit, struct jit_block *t)
{
    bool is_region = detach(jit, t);
    t->next = jit->dead;
    jit->dead = t;
    return is_region;
}

/* Its records get their own handlers back. */
void jit_restore_handlers(struct jit_block *t)
{
    for (unsigned i = 0; i <= t->block->count; i++)
        t->block->rec[i].fn = fn_from_32(t->fns[i]);
}

/*
 * Code of a dead block may still be running, in a handler that killed it: it goes on counting until
 * nothing runs, which is when the next block is translated.
 */
bool jit_forget(struct jit *jit, struct block *b)
{
    if (b->jit)
        return jit_retire(jit, b->jit);
    if (jit->worker)
        worker_forget(jit->worker, b);
    return false;
}

/* What its sites counted stays. */
static void add_calls(const struct jit_block *t, struct jit_calls calls[])
{
    for (unsigned i = 0; i < t->site_count; i++) {
        const struct jit_site *s = &t->sites[i];
        *(s->is_lowered ? &calls[s->op].rarely : &calls[s->op].always) += s->calls;
    }
}

void jit_bury_dead(struct jit *jit)
{
    while (jit->dead) {
        struct jit_block *t = jit->dead;
        jit->dead = t->next;
        add_calls(t, jit->calls);
    }
}

/* All code goes; the blocks are interpreted, and counted, again. No translated code may be running.
 */
void jit_flush(struct jit *jit)
{
    jit_bury_dead(jit); /* they are in the same memory */
    for (struct jit_block *t = jit->blocks; t; t = t->next)
        t->memberships = NULL, t->region = NULL; /* all go anyway */
    while (jit->blocks) {
        struct jit_block *t = jit->blocks;
        struct block *b = t->block;
        jit_restore_handlers(t);
        detach(jit, t);
        add_calls(t, jit->calls);
        jit_count_entries(b);
    }
    chunks_reset(&jit->tables);
    chunks_reset(&jit->exits);
    code_memory_empty(&jit->memory);
    jit->tags = JIT_NO_TAG + 1;
    jit->stats.flushes++;
}

void jit_destroy(struct jit *jit)
{
    if (!jit)
        return;
    worker_destroy(jit->worker);
    chunks_reset(&jit->tables);
    chunks_reset(&jit->exits);
    code_memory_fini(&jit->memory);
    free(jit->places);
    free(jit->copies);
    free(jit);
}

/* ---- leaving it for the interpreter ---- */

/* The loop dispatcher has not seen the blocks that were run since it entered translated code: it is
 * told where to go on. */
int exec_jit_tail(struct vcpu *vcpu, const struct rec *rec, exec_fn *fn)
{
    if (HAVE_TAIL_CALLS)
        return fn(vcpu, rec);
    int status = fn(vcpu, rec);
    if (status != EXEC_NEXT)
        return status;
    vcpu->run.rec = rec + 1;
    return EXEC_CHAIN;
}

/* The running block's own handlers, from rec on; it is counted again. */
static int interpret(struct vcpu *vcpu, const struct rec *rec)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = vcpu->run.block;
    if (vcpu->run.patched || !b->jit)
        return exec_break(vcpu, rec);
    jit_restore_handlers(b->jit);
    exec_fn *fn = rec->fn;
    jit_forget(jit, b);
    jit_count_entries(b);
    return exec_jit_tail(vcpu, rec, fn);
}

/*
 * The code was made for another state of the floating-point units than it has met at rec, or behind
 * it, or its wide proofs fail: the block is interpreted again, from here.
 */
int exec_jit_drop(struct vcpu *vcpu, const struct rec *rec, unsigned how)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = vcpu->run.block;
    rec += how & DROP_BEHIND;
    if (!vcpu->run.patched && b->jit && (how & DROP_WIDE)) {
        jit->narrow[fp_drops(b->pa)] = true;
    } else if (!vcpu->run.patched && b->jit) {
        uint8_t *drops = &jit->drops[fp_drops(b->pa)];
        *drops = (uint8_t)(*drops + (*drops < FP_DROPS_MAX));
    }
    return interpret(vcpu, rec);
}

void jit_count_calls(const struct jit *jit, struct jit_calls calls[])
{
    for (unsigned op = 0; op < OP_COUNT; op++) {
        calls[op].always += jit->calls[op].always;
        calls[op].rarely += jit->calls[op].rarely;
    }
    for (const struct jit_block *t = jit->blocks; t; t = t->next)
        add_calls(t, calls);
}

bool jit_code(const struct block *b, const uint8_t **code, size_t *size)
{
    if (b->crosses || !b->jit)
        return false;
    *code = b->jit->entry;
    *size = b->jit->size;
    return true;
}

void jit_sabotage(struct jit *jit, unsigned n)
{
    jit->sabotage = n;
}

struct jit_stats jit_stats(const struct jit *jit)
{
    struct jit_stats s = jit->stats;
    if (jit->worker)
        worker_settle(jit->worker);
    s.code_bytes = jit->memory.used + jit->memory.late_used;
    s.cache_bytes = jit->memory.size;
    return s;
}
