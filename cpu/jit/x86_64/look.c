/* SPDX-License-Identifier: MIT */
/*
 * Where the guest is, and where it goes from there. Every so many ticks the run loop is held back
 * to one block at a time, until the guest has gone as far as a region may.
 */
#include "cpu/jit/x86_64/region.h"
#include "cpu/jit/x86_64/worker.h"

enum { FAR = 1 << 30 }; /* no part is further from the first one */

/* For tests: one look is enough. */
static bool is_eager(const struct jit *jit)
{
    return jit->config.regions == 1;
}

/* ---- ways ---- */

static bool is_same_step(const struct step *a, const struct step *b)
{
    return a->pa == b->pa && a->page == b->page;
}

/* The block's way, or what of it was the same until now. */
static void way_learn(struct jit *jit, struct jit_block *t, const struct trail *l)
{
    struct way *way = t->way;
    if (!way) {
        way = t->way = (struct way *)(void *)chunks_take(&jit->tables, sizeof(*way));
        *way = (struct way){.count = (uint8_t)l->count};
        memcpy(way->at, l->at, sizeof(way->at));
    }
    unsigned same = 0;
    while (same < way->count && same < l->count && is_same_step(&way->at[same], &l->at[same]))
        same++;
    way->count = (uint8_t)same;
    way->looks++;
}

/* ---- the trail ---- */

static bool can_be_part(const struct block *b)
{
    return b->jit && !b->crosses;
}

/* May it become a region's first block? */
static bool can_be_first(const struct block *b)
{
    return can_be_part(b) && !b->jit->region && !(b->jit->way && b->jit->way->looks == LOOKS_DONE);
}

static void trail_end(struct vcpu *vcpu)
{
    struct jit *jit = vcpu->run.jit;
    struct trail *l = &jit->trail;
    struct block *first = block_lookup((const struct block_table *)(const void *)vcpu->run.blocks,
                                       l->at[0].pa, l->mode);
    l->vcpu = NULL;
    vcpu->run.look_left = jit->config.regions;
    if (!first || !can_be_first(first))
        return;
    if (jit->worker) /* it takes table memory, too */
        worker_settle(jit->worker);
    way_learn(jit, first->jit, l);
    if (first->jit->way->looks == LOOKS || is_eager(jit))
        region_grow(vcpu, first, l->rip);
}

static void trail_begin(struct vcpu *vcpu, const struct block *b)
{
    vcpu->run.jit->trail = (struct trail){
        .vcpu = vcpu, .rip = vcpu->arch.rip, .mode = b->mode, .count = 1, .at[0].pa = b->pa};
}

static void trail_follow(struct vcpu *vcpu, const struct block *b)
{
    struct trail *l = &vcpu->run.jit->trail;
    int64_t page = (int64_t)((vcpu->arch.rip & PAGE_MASK) - (l->rip & PAGE_MASK));
    struct step step = {.pa = b->pa, .page = (int32_t)page};
    bool goes_on = can_be_part(b) && b->mode == l->mode && page >= -FAR && page <= FAR;
    if (goes_on)
        l->at[l->count++] = step;
    if (!goes_on || l->count == ARRAY_SIZE(l->at) || is_same_step(&step, &l->at[0]))
        trail_end(vcpu);
}

/* Most blocks that are seen once are not seen again soon, and not worth to be followed. */
static bool is_seen_again(struct jit *jit, const struct block *b)
{
    uint32_t *seen = &jit->seen[fp_drops(b->pa) % JIT_SEEN];
    bool is_again = *seen == (uint32_t)b->pa;
    *seen = (uint32_t)b->pa;
    return is_again || is_eager(jit);
}

static void look(struct vcpu *vcpu, const struct block *b)
{
    struct jit *jit = vcpu->run.jit;
    bool in_region = vcpu->run.jit_at_seam || (b->jit && b->jit->region);
    jit->stats.looks++;
    jit->stats.looks_in_regions += in_region;
    if (!in_region && is_seen_again(jit, b) && can_be_first(b))
        trail_begin(vcpu, b);
    else
        vcpu->run.look_left = jit->config.regions;
}

int64_t jit_look(struct vcpu *vcpu, const struct block *b)
{
    struct run *run = &vcpu->run;
    struct jit *jit = run->jit;
    if (jit->config.regions == 0) {
        run->look_left = INT64_MAX;
        return 0;
    }
    if (jit->trail.vcpu == vcpu)
        trail_follow(vcpu, b);
    else if (run->look_left <= 0)
        look(vcpu, b);
    run->jit_at_seam = false;
    if (jit->trail.vcpu == vcpu) /* what the block gives back pays for no other one */
        return run->budget + BLOCK_MAX_RECORDS - b->count;
    int64_t limit = run->look_left > b->count ? run->look_left : b->count;
    return limit < run->budget ? run->budget - limit : 0;
}
