/* SPDX-License-Identifier: MIT */
/* Life of translated blocks: counted, made, linked, forgotten. */
#include "cpu/jit/jit.h"

#include <stdlib.h>

#include "cpu/jit/x86_64/jit_priv.h"
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
    host_features(jit->host_has);
    jit->places = malloc(JIT_PLACES * sizeof(jit->places[0]));
    if (!jit->places ||
        code_memory_init(&jit->memory, config->cache, config->translated != NULL) < 0 ||
        !make_thunks(jit)) {
        jit_destroy(jit);
        return NULL;
    }
    places_forget(jit);
    jit->tags = JIT_NO_TAG + 1;
    if (config->has_thread && !(jit->worker = worker_create(jit))) {
        jit_destroy(jit);
        return NULL;
    }
    return jit;
}

/* ---- the first record's handler ---- */

/* A block over two pages has no room for it but in its end record, whose handler does not link. */
static exec_fn *first_fn(const struct block *b)
{
    if (b->crosses)
        return (exec_fn *)(uintptr_t)b->rec[b->count].link;
    return (exec_fn *)((uintptr_t)exec_break + (uintptr_t)(intptr_t)b->first_fn);
}

static void keep_first_fn(struct block *b)
{
    uintptr_t fn = (uintptr_t)b->rec[0].fn;
    if (b->crosses)
        b->rec[b->count].link = fn;
    else
        b->first_fn = (int32_t)(intptr_t)(fn - (uintptr_t)exec_break);
}

/* How often it was entered: in its header, which whoever enters it has looked at; else there too.
 */
static int32_t *entries_of(struct block *b)
{
    return b->crosses ? &b->rec[b->count].disp : &b->entries;
}

/* ---- handlers ---- */

/* Every record of a translated block but the first: handlers that were called come back through it.
 */
static int exec_jit_resume(struct vcpu *vcpu, const struct rec *rec)
{
    (void)vcpu, (void)rec;
    return EXEC_NEXT;
}

static struct block *block_of_first(const struct rec *rec)
{
    return container_of(rec, struct block, rec);
}

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

static int exec_jit_enter(struct vcpu *vcpu, const struct rec *rec)
{
    struct block *b = block_of_first(rec);
    if (unlikely(!is_suited(vcpu, b)))
        return interpret(vcpu, rec);
    assert(vcpu->run.jit_host_stack);
    forget_flushed_jumps(vcpu);
    jit_flags_to_memory(vcpu);
    vcpu->run.jit_page = vcpu->run.insn_base - (b->pa & ~PAGE_MASK);
    return vcpu->run.jit->enter(vcpu, b->crosses ? b->jit->entry : b->code);
}

/* ---- making and unmaking ---- */

static void list_insert(struct jit *jit, struct jit_block *t)
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

static void exit_set(const struct jit *jit, struct jit_exit *x, const uint8_t *target,
                     unsigned count)
{
    const struct emit e = {.delta = jit->memory.run - jit->memory.write};
    int64_t charge = (int64_t)count - x->refund;
    emit_set_target(&e, x->jump, target);
    le32_store(x->charge, (uint32_t)charge);
    x->give_back = count;
}

static void exit_unlink(const struct jit *jit, struct jit_exit *x)
{
    if (x->prev)
        x->prev->next = x->next;
    else
        x->to->in = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->to = NULL;
    x->prev = x->next = NULL;
    exit_set(jit, x, x->jump + 4 + (jit->memory.run - jit->memory.write), 0);
}

/* With another tag: whoever has seen the frame before must not take that for this one. */
static void exit_set_frame(struct jit *jit, struct jit_exit *x, paddr frame)
{
    x->frames++;
    x->tag_at = (int64_t)(offsetof(struct vcpu, jumps.link) + jit->tags++ * sizeof(uint64_t));
    le32_store(x->tag, (uint32_t)x->tag_at);
    x->frame = frame;
}

static void exit_link(struct jit *jit, struct jit_exit *x, struct jit_block *to)
{
    paddr frame = to->block->pa & PAGE_MASK;
    if (x->tag && x->frame != frame)
        exit_set_frame(jit, x, frame);
    x->to = to;
    x->prev = NULL;
    x->next = to->in;
    if (x->next)
        x->next->prev = x;
    to->in = x;
    exit_set(jit, x, to->entry, to->block->count);
}

static void place_forget(const struct jit *jit, const struct block *b)
{
    struct jit_place *p = jit_place_of(jit, b->pa);
    if (p->pa == b->pa && p->mode == b->mode)
        p->pa = BLOCK_DEAD;
}

static void place_set(const struct jit *jit, const struct block *b)
{
    uint32_t to = (uint32_t)(b->jit->computed - jit->memory.run);
    *jit_place_of(jit, b->pa) = (struct jit_place){.pa = b->pa, .mode = b->mode, .to = to};
}

/* Jumps to it and from it; its records get their handlers back. */
static void detach(struct jit *jit, struct jit_block *t)
{
    struct block *b = t->block;
    while (t->in)
        exit_unlink(jit, t->in);
    for (unsigned i = 0; i < t->exit_count; i++) {
        if (t->exits[i].to)
            exit_unlink(jit, &t->exits[i]);
        t->exits[i].charge = NULL;
    }
    list_remove(jit, t);
    entry_kill(jit, t);
    place_forget(jit, b);
    b->jit = NULL;
}

/* Its records get their own handlers back. */
static void restore_handlers(struct jit_block *t)
{
    for (unsigned i = 0; i <= t->block->count; i++)
        t->block->rec[i].fn = t->fns[i];
}

/*
 * Code of a dead block may still be running, in a handler that killed it: it goes on counting until
 * nothing runs, which is when the next block is translated.
 */
void jit_forget(struct jit *jit, struct block *b)
{
    struct jit_block *t = b->jit;
    if (!t) {
        if (jit->worker)
            worker_forget(jit->worker, b);
        return;
    }
    detach(jit, t);
    t->next = jit->dead;
    jit->dead = t;
}

/* What its sites counted stays. */
static void add_calls(const struct jit_block *t, struct jit_calls calls[])
{
    for (unsigned i = 0; i < t->site_count; i++) {
        const struct jit_site *s = &t->sites[i];
        *(s->is_lowered ? &calls[s->op].rarely : &calls[s->op].always) += s->calls;
    }
}

static void bury_dead(struct jit *jit)
{
    while (jit->dead) {
        struct jit_block *t = jit->dead;
        jit->dead = t->next;
        add_calls(t, jit->calls);
    }
}

static void count_entries(struct block *b);
static int exec_jit_count(struct vcpu *vcpu, const struct rec *rec);
static int exec_jit_await(struct vcpu *vcpu, const struct rec *rec);

/* All code goes; the blocks are interpreted, and counted, again. No translated code may be running.
 */
static void flush(struct jit *jit)
{
    while (jit->blocks) {
        struct jit_block *t = jit->blocks;
        struct block *b = t->block;
        restore_handlers(t);
        detach(jit, t);
        add_calls(t, jit->calls);
        count_entries(b);
    }
    chunks_reset(&jit->tables);
    chunks_reset(&jit->exits);
    jit->memory.used = jit->memory.fixed;
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
    free(jit);
}

/* ---- counting ---- */

/* rip: of its first byte now, for a map of the code. */
static void install(struct jit *jit, struct block *b, uint64_t rip)
{
    b->jit->fns[0] = first_fn(b);
    if (!b->crosses)
        b->code = b->jit->entry;
    for (unsigned i = 1; i <= b->count; i++) {
        b->jit->fns[i] = b->rec[i].fn;
        if (i < b->count || !b->jit->tails)
            b->rec[i].fn = exec_jit_resume;
    }
    b->rec[0].fn = exec_jit_enter;
    list_insert(jit, b->jit);
    jit->stats.translated++;
    jit->stats.insns += b->jit->insns;
    jit->stats.lowered += b->jit->lowered;
    if (jit->config.translated)
        jit->config.translated(jit->config.opaque, b->jit->entry, b->jit->size, rip, b->pa);
}

/* The block's bytes: where they are, or together in `crossing`, INSN_MAX_LEN bytes. */
static const uint8_t *block_bytes(struct physmem *pm, const struct block *b, uint8_t *crossing)
{
    const uint8_t *page = physmem_page(pm, b->pa);
    size_t offset = b->pa & ~PAGE_MASK, head = PAGE_SIZE - offset;
    if (!page || !b->crosses)
        return page ? page + offset : NULL;
    const uint8_t *page2 = physmem_page(pm, b->pa2);
    if (!page2 || head >= b->bytes || b->bytes > INSN_MAX_LEN)
        return NULL;
    memcpy(crossing, page + offset, head);
    memcpy(crossing + head, page2, b->bytes - head);
    return crossing;
}

static struct jit_source source_of(const struct vcpu *vcpu, struct block *b, const uint8_t *bytes)
{
    return (struct jit_source){.home = b,
                               .block = b,
                               .bytes = bytes,
                               .sites = b->sites,
                               .decoder = vcpu->run.decoder,
                               .fsw = vcpu->arch.fsw,
                               .ftw = vcpu->arch.ftw,
                               .drops = vcpu->run.jit->drops[fp_drops(b->pa)],
                               .is_narrow = vcpu->run.jit->narrow[fp_drops(b->pa)]};
}

/* There was no room for what was asked for: it is counted again. */
static void make_room(struct jit *jit)
{
    struct jit_made made;
    worker_settle(jit->worker);
    while (worker_take(jit->worker, &made))
        if (made.block) {
            made.block->rec[0].fn = first_fn(made.block);
            count_entries(made.block);
        }
    flush(jit);
}

/* What the worker has made is code from now on. */
static void take_made(struct jit *jit)
{
    struct jit_made made;
    while (worker_take(jit->worker, &made)) {
        struct block *b = made.block;
        bury_dead(jit);
        if (b) {
            b->rec[0].fn = first_fn(b);
            b->jit = made.to;
            if (b->jit)
                install(jit, b, made.rip);
            else if (made.is_full)
                count_entries(b);
        }
        if (made.is_full)
            make_room(jit);
    }
}

/* At once, or by the worker: then it becomes code when take_made has it. False: it cannot be. */
static bool translate(struct vcpu *vcpu, struct block *b)
{
    struct jit *jit = vcpu->run.jit;
    uint8_t crossing[INSN_MAX_LEN];
    const uint8_t *bytes = block_bytes(vcpu->run.pm, b, crossing);
    if (!bytes)
        return false;
    b->rec[0].fn = first_fn(b);
    struct jit_source from = source_of(vcpu, b, bytes);
    if (jit->worker) {
        take_made(jit);
        if (unlikely(jit->tags == MMU_LINKS))
            make_room(jit);
        bool is_asked = worker_ask(jit->worker, &from, vcpu->run.insn_base);
        b->rec[0].fn = is_asked ? exec_jit_await : exec_jit_count;
        return true;
    }
    bury_dead(jit);
    if (jit->memory.size - jit->memory.used < JIT_BLOCK_ROOM || jit->tags == MMU_LINKS)
        flush(jit);
    code_memory_join(&jit->memory, jit->memory.used + JIT_BLOCK_ROOM);
    b->jit = jit_translate(jit, &from);
    if (b->jit)
        install(jit, b, vcpu->run.insn_base);
    return b->jit != NULL;
}

/* A block that the worker has, or had. */
static int exec_jit_await(struct vcpu *vcpu, const struct rec *rec)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = block_of_first(rec);
    if (!vcpu->run.patched)
        take_made(jit);
    if (b->rec[0].fn == exec_jit_enter)
        return exec_jit_enter(vcpu, rec);
    worker_hurry(jit->worker);
    return first_fn(b)(vcpu, rec);
}

static int exec_jit_count(struct vcpu *vcpu, const struct rec *rec)
{
    struct block *b = block_of_first(rec);
    exec_fn *fn = first_fn(b);
    if (++*entries_of(b) >= (int64_t)vcpu->run.jit->config.threshold && !vcpu->run.patched) {
        if (!translate(vcpu, b))
            b->rec[0].fn = fn; /* never again */
        else if (b->jit)
            return exec_jit_enter(vcpu, rec);
    }
    return fn(vcpu, rec);
}

static void count_entries(struct block *b)
{
    *entries_of(b) = 0;
    keep_first_fn(b);
    b->rec[0].fn = exec_jit_count;
}

void jit_unwatch(struct jit *jit, struct block *b)
{
    if (b->jit)
        restore_handlers(b->jit);
    else if (b->rec[0].fn == exec_jit_count || b->rec[0].fn == exec_jit_await)
        b->rec[0].fn = first_fn(b);
    jit_forget(jit, b);
}

bool jit_takes(const struct jit *jit, uint32_t mode)
{
    const uint32_t protected_flat = MODE_PE | MODE_FLAT_CS;
    (void)jit;
    if (mode & (MODE_EXACT | MODE_TF | MODE_BREAK))
        return false;
    return mode_code(mode) == DECODE_64 ||
           (mode_code(mode) == DECODE_32 && (mode & (protected_flat | MODE_VM)) == protected_flat);
}

void jit_watch(struct jit *jit, struct block *b, unsigned rewritten)
{
    if (!jit_takes(jit, b->mode))
        return;
    count_entries(b);
    if (jit->config.threshold <= INT32_MAX / 256)
        *entries_of(b) = -(int32_t)(rewritten * jit->config.threshold);
}

/* ---- leaving translated code by a transfer ---- */

/*
 * The block that an exit leads to; in the same page one over its end is not yet looked at. There it
 * is remembered until the exit is linked: most exits are taken some times before what they lead to
 * is translated.
 */
static struct block *exit_target(struct vcpu *vcpu, struct jit_exit *x, uint64_t target)
{
    struct block *b = x->to ? NULL : x->guess;
    if (x->tag || !x->charge)
        return block_find_recent(vcpu, target);
    if (b && b->pa == x->pa && b->mode == x->mode)
        return b;
    b = block_lookup((struct block_table *)(void *)vcpu->run.blocks, x->pa, x->mode);
    if (b && !b->crosses && !x->to)
        x->guess = b;
    return b;
}

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
    restore_handlers(b->jit);
    exec_fn *fn = rec->fn;
    jit_forget(jit, b);
    count_entries(b);
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

/* Not if it has been made for other frames too often. */
static bool exit_may_lead_to(const struct jit *jit, const struct jit_exit *x, const struct block *b)
{
    if (!x->tag || x->frame == (b->pa & PAGE_MASK))
        return true;
    return x->frames < JIT_EXIT_FRAMES && jit->tags < MMU_LINKS;
}

/* The block at the target, or NULL; linked, if it can be. */
static struct block *link_exit(struct vcpu *vcpu, struct jit_exit *x, uint64_t target)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = exit_target(vcpu, x, target);
    if (b && b->jit && x->to != b->jit && x->charge && exit_may_lead_to(jit, x, b)) {
        if (x->to)
            exit_unlink(jit, x);
        exit_link(jit, x, b->jit);
        jit->stats.links++;
    } else {
        jit->stats.unlinked++;
    }
    return b;
}

static uint64_t target_of(const struct vcpu *vcpu, const struct jit_exit *x)
{
    return (vcpu->run.jit_page + (uint64_t)x->target) & vcpu->run.la_mask;
}

int exec_jit_call(struct vcpu *vcpu, const struct rec *rec, struct jit_exit *x)
{
    link_exit(vcpu, x, target_of(vcpu, x));
    return exec_jit_tail(vcpu, rec, x->fn);
}

int exec_jit_link(struct vcpu *vcpu, const struct rec *rec, struct jit_exit *x)
{
    uint64_t target = target_of(vcpu, x);
    struct block *b = link_exit(vcpu, x, target);
    vcpu->run.budget += x->refund;
    return b && !b->crosses ? exec_goto_block(vcpu, rec, b, target) : exec_goto(vcpu, rec, target);
}

int exec_jit_indirect(struct vcpu *vcpu, const struct rec *rec, uint64_t target)
{
    struct jit *jit = vcpu->run.jit;
    struct block *b = block_find_recent(vcpu, target);
    jit->stats.indirect++;
    if (!b || b->crosses)
        return exec_goto(vcpu, rec, target);
    if (b->jit)
        place_set(jit, b);
    return exec_goto_block(vcpu, rec, b, target);
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
    s.code_bytes = jit->memory.used;
    s.cache_bytes = jit->memory.size;
    return s;
}
