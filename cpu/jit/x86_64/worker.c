/* SPDX-License-Identifier: MIT */
/*
 * A ring of jobs with two ends: `asked` is written by the guest's thread, `done` by the worker, and
 * a job belongs to the side that has yet to move past it. Waking a thread costs a system call, so a
 * sleeping worker is woken for some jobs together, or when a block that waits comes by again.
 */
#include "cpu/jit/x86_64/worker.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <threads.h>

enum { JOBS = 32, WORTH_WAKING = 8 };

/* All that the translator looks at, so that the guest may go on and the block may die. */
struct job {
    struct jit_source from;
    struct jit_made made; /* made.block belongs to the guest's thread */
    uint8_t bytes[BLOCK_MAX_BYTES + 1];
    struct site sites[BLOCK_MAX_RECORDS];
    alignas(struct block) uint8_t block[sizeof(struct block) + (BLOCK_MAX_RECORDS + 1) * sizeof(struct rec)];
};

struct jit_worker {
    struct jit *jit;      /* borrowed */
    unsigned taken;       /* of the guest's thread: jobs that it has got back */
    atomic_uint asked;    /* jobs that were ever handed over */
    atomic_bool sleeps;   /* or is about to */
    mtx_t lock;           /* of the two below, and of stop */
    cnd_t work;           /* for the worker: there are jobs, or it is to stop */
    cnd_t idle;           /* for the guest's thread: it has gone to sleep */
    bool stop;
    thrd_t thread;
    alignas(64) atomic_uint done; /* jobs that the worker has finished */
    struct job jobs[JOBS];
};

/* ---- the worker's side ---- */

static void translate(struct jit *jit, struct job *job)
{
    struct code_memory *m = &jit->memory;
    job->made.is_full = !code_memory_has_room(m, JIT_BLOCK_ROOM);
    if (job->made.is_full)
        return;
    code_memory_join(m, m->used + JIT_BLOCK_ROOM);
    job->made.to = jit_translate(jit, &job->from);
}

static bool has_work(struct jit_worker *w)
{
    return atomic_load(&w->asked) != atomic_load_explicit(&w->done, memory_order_relaxed);
}

/* Returns when there is work. False: it is to stop. */
static bool wait_for_work(struct jit_worker *w)
{
    mtx_lock(&w->lock);
    atomic_store(&w->sleeps, true);
    while (!has_work(w) && !w->stop) {
        cnd_signal(&w->idle);
        cnd_wait(&w->work, &w->lock);
    }
    atomic_store(&w->sleeps, false);
    bool go_on = !w->stop;
    mtx_unlock(&w->lock);
    return go_on;
}

static int work(void *opaque)
{
    struct jit_worker *w = opaque;
    for (;;) {
        if (!has_work(w) && !wait_for_work(w))
            return 0;
        unsigned done = atomic_load_explicit(&w->done, memory_order_relaxed);
        translate(w->jit, &w->jobs[done % JOBS]);
        atomic_store_explicit(&w->done, done + 1, memory_order_release);
    }
}

/* ---- the guest's side ---- */

static void wake(struct jit_worker *w)
{
    mtx_lock(&w->lock);
    cnd_signal(&w->work);
    mtx_unlock(&w->lock);
}

static bool start(struct jit_worker *w)
{
    if (mtx_init(&w->lock, mtx_plain) != thrd_success)
        return false;
    if (cnd_init(&w->work) == thrd_success) {
        if (cnd_init(&w->idle) == thrd_success) {
            if (thrd_create(&w->thread, work, w) == thrd_success)
                return true;
            cnd_destroy(&w->idle);
        }
        cnd_destroy(&w->work);
    }
    mtx_destroy(&w->lock);
    return false;
}

struct jit_worker *worker_create(struct jit *jit)
{
    size_t size = (sizeof(struct jit_worker) + alignof(struct jit_worker) - 1) &
                  ~(alignof(struct jit_worker) - 1);
    struct jit_worker *w = aligned_alloc(alignof(struct jit_worker), size);
    if (!w)
        return NULL;
    memset(w, 0, offsetof(struct jit_worker, jobs));
    w->jit = jit;
    if (!start(w)) {
        free(w);
        return NULL;
    }
    return w;
}

void worker_destroy(struct jit_worker *w)
{
    if (!w)
        return;
    mtx_lock(&w->lock);
    w->stop = true;
    cnd_signal(&w->work);
    mtx_unlock(&w->lock);
    thrd_join(w->thread, NULL);
    cnd_destroy(&w->idle);
    cnd_destroy(&w->work);
    mtx_destroy(&w->lock);
    free(w);
}

static void copy_source(struct job *job, const struct jit_source *from)
{
    struct jit_part *part = &job->from.part[0];
    const struct block *b = from->part[0].block;
    memcpy(job->block, b, sizeof(*b) + (b->count + 1u) * sizeof(struct rec));
    memcpy(job->bytes, from->part[0].bytes, b->bytes);
    if (b->site_count > 0)
        memcpy(job->sites, b->sites, b->site_count * sizeof(struct site));
    job->from = *from;
    part->block = (const struct block *)(const void *)job->block;
    part->bytes = job->bytes;
    part->sites = job->sites;
}

bool worker_ask(struct jit_worker *w, const struct jit_source *from, uint64_t rip)
{
    unsigned asked = atomic_load_explicit(&w->asked, memory_order_relaxed);
    struct job *job = &w->jobs[asked % JOBS];
    if (asked - w->taken == JOBS) {
        worker_hurry(w);
        return false;
    }
    copy_source(job, from);
    job->made = (struct jit_made){.block = from->part[0].home, .rip = rip};
    atomic_store(&w->asked, asked + 1);
    if (asked + 1 - atomic_load_explicit(&w->done, memory_order_relaxed) >= WORTH_WAKING)
        worker_hurry(w);
    return true;
}

void worker_hurry(struct jit_worker *w)
{
    if (atomic_load(&w->sleeps) && has_work(w))
        wake(w);
}

void worker_forget(struct jit_worker *w, const struct block *b)
{
    unsigned asked = atomic_load_explicit(&w->asked, memory_order_relaxed);
    for (unsigned i = w->taken; i != asked; i++)
        if (w->jobs[i % JOBS].made.block == b)
            w->jobs[i % JOBS].made.block = NULL;
}

bool worker_take(struct jit_worker *w, struct jit_made *made)
{
    if (likely(w->taken == atomic_load_explicit(&w->done, memory_order_acquire)))
        return false;
    *made = w->jobs[w->taken++ % JOBS].made;
    return true;
}

void worker_settle(struct jit_worker *w)
{
    mtx_lock(&w->lock);
    while (has_work(w) || !atomic_load(&w->sleeps)) {
        cnd_signal(&w->work);
        cnd_wait(&w->idle, &w->lock);
    }
    mtx_unlock(&w->lock);
}
