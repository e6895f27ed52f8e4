/* SPDX-License-Identifier: MIT */
/* The likeliest path from a block, by what its code and that of its followers has counted. */
#include "cpu/jit/x86_64/region.h"

enum {
    ENTRIES_ENOUGH = 32, /* to say anything of a block */
    PATH_PERCENT = 40, /* a path goes on while it is walked so often */
};

/* ---- what was counted ---- */

static uint32_t entries(const struct jit *jit, const struct jit_block *t)
{
    return t->counts[0] + jit->config.regions;
}

/* The exit at its end, if it has a direct one. */
static const struct jit_exit *end_exit(const struct jit_block *t)
{
    for (unsigned i = t->exit_count; i-- > 0;)
        if (!t->exits[i].taken && !t->exits[i].is_computed && !t->exits[i].is_return && t->exits[i].refund == 0)
            return &t->exits[i];
    return NULL;
}

struct likely path_likely(const struct jit *jit, const struct jit_block *t)
{
    uint32_t all = entries(jit, t), rest = all, most = 0;
    struct likely best = {0};
    if (all < ENTRIES_ENOUGH && all < jit->config.regions)
        return best;
    for (unsigned i = 0; i < t->exit_count; i++) {
        const struct jit_exit *x = &t->exits[i];
        uint32_t taken = x->taken ? t->counts[x->taken] : 0;
        rest -= taken < rest ? taken : rest;
        if (taken > most) {
            most = taken;
            best.exit = x;
        }
    }
    if (rest >= most) {
        most = rest;
        best.exit = end_exit(t);
    }
    uint64_t percent = (uint64_t)most * 100 / all;
    best.percent = (uint8_t)(percent < 100 ? percent : 100);
    return best;
}

/* The same, of the block's first-tier code, whether or not it still runs. */
static struct likely likely_of(const struct jit *jit, const struct block *b)
{
    const struct jit_block *t = b->jit->region ? b->jit->region->first : b->jit;
    if (t->likely.percent || !t->counts)
        return t->likely;
    return path_likely(jit, t);
}

/* ---- the path ---- */

struct walk {
    const struct vcpu *vcpu;
    struct jit_source *path;
    unsigned records;            /* on it */
    unsigned percent;            /* of its entries get here */
    unsigned calls;              /* of returns */
    paddr returns[REGION_PARTS]; /* to behind the calls that it is in */
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

/* Where the path goes behind the part, whose end is set; BLOCK_DEAD: nowhere. */
static paddr follow(struct walk *w, struct jit_part *part, const struct jit_exit *x)
{
    const struct block *b = part->home;
    if (x && x->taken) {
        part->last = (uint8_t)(x->rec - b->rec);
        part->end = PART_TAKEN;
        return exit_is_far(x) ? BLOCK_DEAD : x->pa;
    }
    switch (last_op(w, part)) {
    case OP_RET_NEAR:
        part->end = PART_RETURNS;
        return w->calls > 0 ? w->returns[--w->calls] : BLOCK_DEAD;
    case OP_CALL_NEAR:
        w->returns[w->calls++] = b->pa + b->bytes;
        part->end = PART_JUMPS;
        break;
    case OP_JMP_NEAR:
        part->end = PART_JUMPS;
        break;
    default:
        part->end = PART_FALLS;
    }
    return x && !exit_is_far(x) ? x->pa : BLOCK_DEAD;
}

static void add_part(struct walk *w, struct block *b, struct part_copy *copy)
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
        .last = (uint8_t)(b->count - 1),
        .end = PART_ENDS,
    };
    path->drops = path->drops > jit->drops[drops] ? path->drops : jit->drops[drops];
    path->is_narrow |= jit->narrow[drops];
}

/* The block that the path goes on with, if it can. */
static struct block *next_block(const struct walk *w, paddr pa)
{
    const struct block *head = w->path->part[0].home;
    struct block *b;
    if (pa == BLOCK_DEAD || (pa ^ head->pa) & PAGE_MASK)
        return NULL;
    b = block_lookup((const struct block_table *)(const void *)w->vcpu->run.blocks, pa, head->mode);
    return b && b->jit && !b->crosses ? b : NULL;
}

static bool is_on(const struct jit_source *path, const struct block *b)
{
    for (unsigned i = 0; i < path->part_count; i++)
        if (path->part[i].home == b)
            return true;
    return false;
}

void path_choose(const struct vcpu *vcpu, struct block *b, struct part_copy *copies,
                 struct jit_source *path)
{
    struct walk w = {.vcpu = vcpu, .path = path, .percent = 100};
    *path = (struct jit_source){
        .decoder = vcpu->run.decoder, .fsw = vcpu->arch.fsw, .ftw = vcpu->arch.ftw};
    for (;;) {
        struct likely likely = likely_of(vcpu->run.jit, b);
        add_part(&w, b, &copies[path->part_count]);
        struct jit_part *part = &path->part[path->part_count - 1];
        w.records += b->count;
        w.percent = w.percent * likely.percent / 100;
        if (path->part_count == REGION_PARTS || w.percent < PATH_PERCENT)
            return;
        b = next_block(&w, follow(&w, part, likely.exit));
        path->loops = b && b == path->part[0].home;
        if (path->loops)
            return;
        if (!b || is_on(path, b) || w.records + b->count > REGION_RECORDS) {
            part->end = PART_ENDS;
            part->last = (uint8_t)(part->home->count - 1);
            return;
        }
    }
}
