/* SPDX-License-Identifier: MIT */
/* The path from a block that goes the way that the guest went. */
#include "cpu/jit/x86_64/region.h"

struct walk {
    const struct vcpu *vcpu;
    struct jit_source *path;
    unsigned records;                  /* on it */
    unsigned calls;                    /* of returns */
    struct step returns[REGION_PARTS]; /* to behind the calls that it is in */
};

static enum op last_op(const struct walk *w, const struct jit_part *part)
{
    const struct block *b = part->block;
    const struct rec *rec = &b->rec[b->count - 1];
    struct insn in;
    if (decoder_decode(w->vcpu->run.decoder, mode_code(b->mode), part->bytes + rec->off,
                       b->bytes - rec->off, &in) != DECODE_OK)
        return OP_INVALID;
    return in.op;
}

/* The direct exit of the block to there, from the start of its page, or NULL. */
static const struct jit_exit *exit_to(const struct block *b, int64_t target)
{
    const struct jit_block *t = b->jit->region ? b->jit->region->first : b->jit;
    for (unsigned i = 0; i < t->exit_count; i++) {
        const struct jit_exit *x = &t->exits[i];
        if (!x->is_computed && !x->is_return && x->target == target)
            return x;
    }
    return NULL;
}

static bool returns_to(struct walk *w, const struct step *to)
{
    if (w->calls == 0)
        return false;
    const struct step *back = &w->returns[--w->calls];
    return back->pa == to->pa && back->page == to->page;
}

/* Ends the part so that the path goes on there. False: it does not. */
static bool follow(struct walk *w, struct jit_part *part, const struct step *to)
{
    const struct block *b = part->home;
    int64_t target = (int64_t)(to->pa & ~PAGE_MASK) + to->page - part->page;
    const struct jit_exit *x = exit_to(b, target);
    if (x && x->refund > 0) {
        part->last = (uint8_t)(x->rec - b->rec);
        part->end = PART_TAKEN;
        return true;
    }
    switch (last_op(w, part)) {
    case OP_RET_NEAR:
        part->end = PART_RETURNS;
        return returns_to(w, to);
    case OP_CALL_NEAR:
        w->returns[w->calls++] = (struct step){.pa = b->pa + b->bytes, .page = part->page};
        part->end = PART_JUMPS;
        return x != NULL;
    case OP_JMP_NEAR:
        part->end = PART_JUMPS;
        return x != NULL;
    case OP_JCC:
        part->end = target == (int64_t)(b->pa & ~PAGE_MASK) + b->bytes ? PART_FALLS : PART_TAKEN;
        return x != NULL;
    default:
        part->end = PART_FALLS;
        return x != NULL;
    }
}

static void add_part(struct walk *w, struct block *b, int32_t page, struct part_copy *copy)
{
    struct jit_source *path = w->path;
    const struct jit *jit = w->vcpu->run.jit;
    struct block *to = (struct block *)(void *)copy->bytes;
    unsigned drops = fp_drops(b->pa);
    memcpy(copy->bytes, b, sizeof(*b) + (b->count + 1u) * sizeof(struct rec));
    for (unsigned i = 0; i <= b->count; i++)
        to->rec[i].fn = fn_from_32(b->jit->fns[i]);
    path->part[path->part_count++] = (struct jit_part){
        .home = b,
        .block = to,
        .bytes = jit_block_bytes(w->vcpu->run.pm, b, NULL),
        .sites = b->sites,
        .page = page,
        .last = (uint8_t)(b->count - 1),
        .end = PART_ENDS,
    };
    path->drops = path->drops > jit->drops[drops] ? path->drops : jit->drops[drops];
    path->is_narrow |= jit->narrow[drops];
}

/* The block of the path's mode there, if it is translated. */
static struct block *block_there(const struct walk *w, paddr pa)
{
    const struct block_table *table = (const struct block_table *)(const void *)w->vcpu->run.blocks;
    struct block *b = block_lookup(table, pa, w->path->part[0].home->mode);
    return b && b->jit && !b->crosses ? b : NULL;
}

static bool is_on(const struct jit_source *path, const struct block *b)
{
    for (unsigned i = 0; i < path->part_count; i++)
        if (path->part[i].home == b)
            return true;
    return false;
}

/* The path goes on there: 1, with *next; to its head: 0; not at all: -1. */
static int go_on(struct walk *w, const struct step *to, struct block **next)
{
    struct jit_source *path = w->path;
    *next = block_there(w, to->pa);
    if (!*next || !follow(w, &path->part[path->part_count - 1], to))
        return -1;
    if (*next == path->part[0].home)
        return to->page == 0 ? 0 : -1;
    bool fits = path->part_count < REGION_PARTS && w->records + (*next)->count <= REGION_RECORDS;
    return fits && !is_on(path, *next) ? 1 : -1;
}

void path_choose(const struct vcpu *vcpu, struct block *b, const struct way *way,
                 struct part_copy *copies, struct jit_source *path)
{
    struct walk w = {.vcpu = vcpu, .path = path};
    int goes = 1;
    *path = (struct jit_source){
        .decoder = vcpu->run.decoder, .fsw = vcpu->arch.fsw, .ftw = vcpu->arch.ftw};
    for (unsigned i = 1; goes > 0; i++) {
        add_part(&w, b, way->at[i - 1].page, &copies[path->part_count]);
        w.records += b->count;
        goes = i < way->count ? go_on(&w, &way->at[i], &b) : -1;
    }
    path->loops = goes == 0;
    if (!path->loops) {
        struct jit_part *part = &path->part[path->part_count - 1];
        part->end = PART_ENDS;
        part->last = (uint8_t)(part->home->count - 1);
    }
}
