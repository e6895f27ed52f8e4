/* SPDX-License-Identifier: MIT */
/* Blocks on their way to code: their entries are counted, and hot ones translated. */
#include "cpu/jit/x86_64/jit_priv.h"
#include "cpu/jit/x86_64/worker.h"

/* ---- the first record's handler ---- */

/* A block over two pages has no room for it but in its end record, whose handler does not link. */
static exec_fn *first_fn(const struct block *b)
{
    if (b->crosses)
        return (exec_fn *)(uintptr_t)b->rec[b->count].link;
    return fn_from_32(b->first_fn);
}

static void keep_first_fn(struct block *b)
{
    exec_fn *fn = b->rec[0].fn;
    if (b->crosses)
        b->rec[b->count].link = (uintptr_t)fn;
    else
        b->first_fn = fn_to_32(fn);
}

/* How often it was entered: in its header, which whoever enters it has looked at; else there too.
 */
static int32_t *entries_of(struct block *b)
{
    return b->crosses ? &b->rec[b->count].disp : &b->entries;
}

/* ---- becoming code ---- */

static int exec_jit_count(struct vcpu *vcpu, const struct rec *rec);
static int exec_jit_await(struct vcpu *vcpu, const struct rec *rec);

/* Every record of a translated block but the first: handlers that were called come back through it.
 */
static int exec_jit_resume(struct vcpu *vcpu, const struct rec *rec)
{
    (void)vcpu, (void)rec;
    return EXEC_NEXT;
}

void jit_install(struct jit *jit, struct block *b, uint64_t rip)
{
    b->jit->fns[0] = fn_to_32(first_fn(b));
    if (!b->crosses)
        b->code = b->jit->entry;
    for (unsigned i = 1; i <= b->count; i++) {
        b->jit->fns[i] = fn_to_32(b->rec[i].fn);
        if (i < b->count || !b->jit->tails)
            b->rec[i].fn = exec_jit_resume;
    }
    b->rec[0].fn = exec_jit_enter;
    jit_list(jit, b->jit);
    if (jit->config.translated)
        jit->config.translated(jit->config.opaque, b->jit->entry, b->jit->size, rip, b->pa);
}

static void install(struct jit *jit, struct block *b, uint64_t rip)
{
    jit_install(jit, b, rip);
    jit->stats.translated++;
    jit->stats.insns += b->jit->insns;
    jit->stats.lowered += b->jit->lowered;
}

const uint8_t *jit_block_bytes(struct physmem *pm, const struct block *b, uint8_t *crossing)
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
    return (struct jit_source){.part[0] = {.home = b,
                                           .block = b,
                                           .bytes = bytes,
                                           .sites = b->sites,
                                           .last = (uint8_t)(b->count - 1),
                                           .end = PART_ENDS},
                               .part_count = 1,
                               .decoder = vcpu->run.decoder,
                               .fsw = vcpu->arch.fsw,
                               .ftw = vcpu->arch.ftw,
                               .drops = vcpu->run.jit->drops[fp_drops(b->pa)],
                               .is_narrow = vcpu->run.jit->narrow[fp_drops(b->pa)]};
}

/* What the worker was asked for is counted again. */
void jit_make_room(struct jit *jit)
{
    struct jit_made made;
    if (jit->worker)
        worker_settle(jit->worker);
    while (jit->worker && worker_take(jit->worker, &made))
        if (made.block) {
            made.block->rec[0].fn = first_fn(made.block);
            jit_count_entries(made.block);
        }
    jit_flush(jit);
}

/* What the worker has made is code from now on. */
static void take_made(struct jit *jit)
{
    struct jit_made made;
    while (worker_take(jit->worker, &made)) {
        struct block *b = made.block;
        jit_bury_dead(jit);
        if (b) {
            b->rec[0].fn = first_fn(b);
            b->jit = made.to;
            if (b->jit)
                install(jit, b, made.rip);
            else if (made.is_full)
                jit_count_entries(b);
        }
        if (made.is_full)
            jit_make_room(jit);
    }
}

/* At once, or by the worker: then it becomes code when take_made has it. False: it cannot be. */
static bool translate(struct vcpu *vcpu, struct block *b)
{
    struct jit *jit = vcpu->run.jit;
    uint8_t crossing[INSN_MAX_LEN];
    const uint8_t *bytes = jit_block_bytes(vcpu->run.pm, b, crossing);
    if (!bytes)
        return false;
    b->rec[0].fn = first_fn(b);
    struct jit_source from = source_of(vcpu, b, bytes);
    if (jit->worker) {
        take_made(jit);
        if (unlikely(jit->tags == MMU_LINKS))
            jit_make_room(jit);
        bool is_asked = worker_ask(jit->worker, &from, vcpu->run.insn_base);
        b->rec[0].fn = is_asked ? exec_jit_await : exec_jit_count;
        return true;
    }
    jit_bury_dead(jit);
    bool is_full = !code_memory_has_room(&jit->memory, JIT_BLOCK_ROOM);
    if (is_full || jit->tags == MMU_LINKS) {
        jit_flush(jit);
        code_memory_has_room(&jit->memory, JIT_BLOCK_ROOM);
    }
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

void jit_count_entries(struct block *b)
{
    *entries_of(b) = 0;
    keep_first_fn(b);
    b->rec[0].fn = exec_jit_count;
}

bool jit_unwatch(struct jit *jit, struct block *b)
{
    if (b->jit)
        jit_restore_handlers(b->jit);
    else if (b->rec[0].fn == exec_jit_count || b->rec[0].fn == exec_jit_await)
        b->rec[0].fn = first_fn(b);
    return jit_forget(jit, b);
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
    jit_count_entries(b);
    if (jit->config.threshold <= INT32_MAX / 256)
        *entries_of(b) = -(int32_t)(rewritten * jit->config.threshold);
}
