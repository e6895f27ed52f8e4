/* SPDX-License-Identifier: MIT */
#include "cpu/block.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/block_memory.h"
#include "cpu/build.h"
#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "cpu/self_check.h"

#define PAGE_HASH_BITS 14
#define DEFAULT_LIMIT (128 * MiB)

#define LINES 64           /* of a page, of 64 bytes each */
#define TURNS_TO_CHECK 3   /* blocks of a page know their bytes once so many of them followed written ones */
#define IDLE_WRITES 1024   /* to lines without code, until the page is given up */

/* Which bytes of a page are code that would run: a bit for each. */
struct code_map {
    uint64_t line[LINES];
};

/* A physical page that blocks were decoded from. */
struct code_page {
    paddr page;             /* its address */
    struct block *blocks;   /* that start here, by page_next */
    struct block *crossing; /* that end here, by page2_next */
    struct code_page *next; /* chain of the hash table */
    struct code_map *map;   /* owned; NULL while no write beside the code was seen */
    uint16_t idle;          /* writes to lines without code, weighed by length, since a block was last made or picked up */
    uint8_t turns;          /* blocks made after others were written */
    bool was_written;       /* blocks were, since one was last made */
};

struct block_cache {
    struct block_table table;                      /* first: by (pa, mode) */
    struct code_page *pages[1 << PAGE_HASH_BITS];  /* by page number; owned */
    struct physmem *pm;                            /* borrowed */
    struct vcpu *running;                          /* inside a handler now, or NULL */
    struct jit *jit;                               /* borrowed; may be NULL */
    struct block *dead;                            /* to be recycled when nothing runs; by hash_next */
    struct block_memory memory;                    /* of blocks */
    struct block_stats stats;                      /* for info */
    uint64_t limit;                                /* bytes */
    void (*fold)(void *opaque, const struct site *s, uint32_t mode); /* totals of dying sites; may be NULL */
    void *fold_opaque;                             /* of fold */
    struct block nowhere;                          /* what `recent` holds where it knows nothing; last: rec[] is flexible */
};

static void forget_recent(struct block_cache *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->table.recent); i++)
        c->table.recent[i] = (struct block_guess){.block = &c->nowhere};
}

struct block_cache *block_cache_create(struct physmem *pm)
{
    struct block_cache *c = calloc(1, sizeof(*c));
    if (c) {
        c->pm = pm;
        c->limit = DEFAULT_LIMIT;
        c->nowhere.pa = BLOCK_DEAD;
        forget_recent(c);
    }
    return c;
}

void block_cache_set_pieces(struct block_cache *c, struct pieces *pieces)
{
    c->memory.chunks.pieces = pieces;
}

struct block_memory *block_cache_memory(struct block_cache *c)
{
    return &c->memory;
}

struct block_table *block_cache_table(struct block_cache *c)
{
    return &c->table;
}

static uint64_t block_bytes(const struct block *b)
{
    return sizeof(*b) + (b->count + 1u) * sizeof(struct rec) + b->site_count * sizeof(struct site) +
           b->insn_count * sizeof(struct insn) + (b->checks ? sizeof(struct self_check) : 0);
}

/* ---- pages ---- */

static struct code_page **page_slot(struct block_cache *c, paddr page)
{
    uint64_t h = (page >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);
    struct code_page **p = &c->pages[h >> (64 - PAGE_HASH_BITS)];
    while (*p && (*p)->page != page)
        p = &(*p)->next;
    return p;
}

static struct code_page *page_get(struct block_cache *c, paddr page)
{
    struct code_page **slot = page_slot(c, page);
    if (!*slot) {
        *slot = calloc(1, sizeof(**slot));
        assert(*slot);
        (*slot)->page = page;
    }
    return *slot;
}

/* The 64-byte lines of a page that [from, from + len) covers; from is an offset in the page, len > 0, cut at its end. */
static uint64_t lines_of(uint64_t from, uint64_t len)
{
    uint64_t last = from + len - 1;
    if (last >= PAGE_SIZE)
        last = PAGE_SIZE - 1;
    unsigned lo = (unsigned)(from >> 6), hi = (unsigned)(last >> 6);
    return low_mask(hi - lo + 1) << lo;
}

static uint64_t head_bytes(const struct block *b)
{
    uint64_t room = PAGE_SIZE - (b->pa & ~PAGE_MASK);
    return b->bytes < room ? b->bytes : room;
}

static uint64_t page_lines(const struct code_page *p)
{
    uint64_t lines = 0;
    for (const struct block *b = p->blocks; b; b = b->page_next)
        if (!block_is_aside(b))
            lines |= lines_of(b->pa & ~PAGE_MASK, head_bytes(b));
    for (const struct block *b = p->crossing; b; b = b->page2_next)
        lines |= lines_of(0, b->bytes - head_bytes(b));
    return lines;
}

/* Bits [from, from + len) of a page's bytes, len > 0. */
static void map_set(struct code_map *map, uint64_t from, uint64_t len, bool on)
{
    while (len > 0) {
        uint64_t at = from % 64, room = 64 - at, part = len < room ? len : room, bits = low_mask((unsigned)part) << at;
        map->line[from / 64] = on ? map->line[from / 64] | bits : map->line[from / 64] & ~bits;
        from += part, len -= part;
    }
}

static void map_block(struct code_page *p, const struct block *b, bool on)
{
    if (!p->map)
        return;
    if (p->page == (b->pa & PAGE_MASK))
        map_set(p->map, b->pa & ~PAGE_MASK, head_bytes(b), on);
    else
        map_set(p->map, 0, b->bytes - head_bytes(b), on);
}

static void map_fill(struct code_page *p)
{
    memset(p->map, 0, sizeof(*p->map));
    for (const struct block *b = p->blocks; b; b = b->page_next)
        if (!block_is_aside(b))
            map_block(p, b, true);
    for (const struct block *b = p->crossing; b; b = b->page2_next)
        map_block(p, b, true);
}

/* Without memory for a map all that is written to lines with code is looked for in the lists. */
static void map_make(struct code_page *p)
{
    p->map = malloc(sizeof(*p->map));
    if (p->map)
        map_fill(p);
}

static void add_lines(struct block_cache *c, paddr pa, uint64_t lines)
{
    if (physmem_is_ram(c->pm, pa))
        physmem_set_code_lines(c->pm, pa, physmem_code_lines(c->pm, pa) | lines);
}

/* ---- life and death ---- */

static void block_insert(struct block_cache *c, struct block *b)
{
    uint32_t h = block_hash(b->pa, b->mode);
    struct code_page *page = page_get(c, b->pa & PAGE_MASK);
    b->hash_next = c->table.head[h];
    c->table.head[h] = b;
    b->page_next = page->blocks;
    page->blocks = b;
    map_block(page, b, true);
    page->turns = (uint8_t)(page->turns + (page->was_written && page->turns < TURNS_TO_CHECK));
    page->was_written = false;
    page->idle = 0;
    add_lines(c, b->pa, lines_of(b->pa & ~PAGE_MASK, head_bytes(b)));
    if (b->crosses) {
        struct code_page *page2 = page_get(c, b->pa2);
        b->page2_next = page2->crossing;
        page2->crossing = b;
        map_block(page2, b, true);
        add_lines(c, b->pa2, lines_of(0, b->bytes - head_bytes(b)));
    }
    if (c->jit)
        jit_watch(c->jit, b, 0);
    c->stats.built++;
    c->stats.live++;
    c->stats.bytes += block_bytes(b);
}

static void fold_sites(struct block_cache *c, struct block *b)
{
    for (unsigned i = 0; i < b->site_count; i++) {
        if (c->fold && b->sites[i].count)
            c->fold(c->fold_opaque, &b->sites[i], b->mode);
        b->sites[i].count = b->sites[i].faults = 0;
    }
}

static void unlink_hash(struct block_cache *c, struct block *b)
{
    struct block **p = &c->table.head[block_hash(b->pa, b->mode)];
    while (*p != b)
        p = &(*p)->hash_next;
    *p = b->hash_next;
}

static void unlink_pages(struct block_cache *c, struct block *b)
{
    struct block **p = &(*page_slot(c, b->pa & PAGE_MASK))->blocks;
    while (*p != b)
        p = &(*p)->page_next;
    *p = b->page_next;
    if (!b->crosses)
        return;
    p = &(*page_slot(c, b->pa2))->crossing;
    while (*p != b)
        p = &(*p)->page2_next;
    *p = b->page2_next;
}

/* Take b out of every table; it is freed later, for a handler of it may be running. Links to it are the caller's to clear. */
static void block_kill(struct block_cache *c, struct block *b)
{
    bool runs_elsewhere = c->jit && jit_forget(c->jit, b);
    unlink_hash(c, b);
    unlink_pages(c, b);
    c->stats.dropped++;
    c->stats.live--;
    c->stats.bytes -= block_bytes(b);
    b->pa = BLOCK_DEAD;
    b->hash_next = c->dead;
    c->dead = b;
    if (c->running && (runs_elsewhere || c->running->run.block == b))
        cpu_request_refetch(c->running);
}

/* Links never leave a page, so whoever may point to a block that died here is here. */
static void clear_links(struct code_page *page)
{
    for (struct block *b = page->blocks; b; b = b->page_next) {
        if (b->crosses)
            continue;
        for (uint64_t mask = b->link_mask; mask; mask &= mask - 1)
            b->rec[__builtin_ctzll(mask)].link = 0;
        b->link_mask = 0;
    }
}

static void free_side(struct block *b)
{
    if (b->checks)
        free(self_check_of(b));
    else
        free(b->sites);
}

static void bury_dead(struct block_cache *c)
{
    while (c->dead) {
        struct block *b = c->dead;
        c->dead = b->hash_next;
        fold_sites(c, b);
        free_side(b);
        block_memory_give(&c->memory, b);
    }
}

static void page_sync_lines(struct block_cache *c, struct code_page *page)
{
    if (physmem_is_ram(c->pm, page->page))
        physmem_set_code_lines(c->pm, page->page, page_lines(page));
}

/* What it would run is not what is there any more. */
static void block_written(struct block_cache *c, struct block *b, bool *is_killed)
{
    bool is_running = c->running && c->running->run.block == b;
    if (!b->checks || is_running) {
        block_kill(c, b);
        *is_killed = true;
        return;
    }
    if (c->jit && jit_unwatch(c->jit, b) && c->running)
        cpu_request_refetch(c->running);
    self_check_lay_aside(b);
}

/* Which of two ranges of bytes share one? */
static bool shares(paddr a, uint64_t a_len, paddr b, uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

/* Blocks that the write touches are gone or laid aside, all between low and high: what others have there stays code. */
static void map_after_write(struct code_page *p, paddr low, paddr high)
{
    if (!p->map)
        return;
    map_set(p->map, low & ~PAGE_MASK, high - low, false);
    for (const struct block *b = p->blocks; b; b = b->page_next)
        if (shares(b->pa, head_bytes(b), low, high - low) && !block_is_aside(b))
            map_block(p, b, true);
    for (const struct block *b = p->crossing; b; b = b->page2_next)
        map_block(p, b, true);
}

/* The blocks of one page that [pa, pa + len) touches: killed, or laid aside. False: there is none. */
static bool blocks_written(struct block_cache *c, struct code_page *page, paddr pa, uint64_t len)
{
    bool is_killed = false;
    paddr low = pa, high = pa;
    struct block *next;
    for (struct block *b = page->blocks; b; b = next) {
        next = b->page_next;
        if (shares(b->pa, head_bytes(b), pa, len) && !block_is_aside(b)) {
            low = b->pa < low ? b->pa : low;
            high = b->pa + head_bytes(b) > high ? b->pa + head_bytes(b) : high;
            block_written(c, b, &is_killed);
        }
    }
    for (struct block *b = page->crossing; b; b = next) {
        next = b->page2_next;
        uint64_t tail = b->bytes - head_bytes(b);
        if (shares(b->pa2, tail, pa, len)) {
            low = page->page;
            high = b->pa2 + tail > high ? b->pa2 + tail : high;
            block_written(c, b, &is_killed);
        }
    }
    if (is_killed)
        clear_links(page);
    if (low == high)
        return false;
    map_after_write(page, low, high);
    return true;
}

/* It was code, and now seems to be data. */
static void page_give_up(struct block_cache *c, struct code_page *page)
{
    struct block *next;
    for (struct block *b = page->blocks; b; b = next) {
        next = b->page_next;
        if (block_is_aside(b))
            block_kill(c, b);
    }
    clear_links(page);
    page->turns = 0;
    page->idle = 0;
    page_sync_lines(c, page);
}

/* A write beside all that would run; from is its offset. Lines that have code only in blocks laid aside go on being told of, for
 * a while: most likely they are being written anew. */
static void written_beside(struct block_cache *c, struct code_page *page, uint64_t from, uint64_t len)
{
    if (!page->map)
        map_make(page);
    if (!page->map || page->map->line[from / 64])
        return;
    uint64_t idle = page->idle + len / 8 + 1;
    page->idle = (uint16_t)(idle < IDLE_WRITES ? idle : IDLE_WRITES);
    if (page->idle == IDLE_WRITES)
        page_give_up(c, page);
}

static bool map_has(const struct code_map *map, uint64_t from, uint64_t len)
{
    uint64_t at = from % 64;
    if (likely(at + len <= 64))
        return map->line[from / 64] & low_mask((unsigned)len) << at;
    for (uint64_t i = from; i < from + len; i++)
        if (map->line[i / 64] >> i % 64 & 1)
            return true;
    return false;
}

static void page_written(struct block_cache *c, struct code_page *page, paddr pa, uint64_t len)
{
    uint64_t from = pa & ~PAGE_MASK;
    if ((page->map && !map_has(page->map, from, len)) || !blocks_written(c, page, pa, len)) {
        written_beside(c, page, from, len);
        return;
    }
    page->was_written = true;
    if (page->turns < TURNS_TO_CHECK)
        page_sync_lines(c, page);
}

void block_code_written(void *opaque, paddr pa, size_t len)
{
    struct block_cache *c = opaque;
    while (len > 0) {
        uint64_t room = PAGE_SIZE - (pa & ~PAGE_MASK);
        uint64_t part = len < room ? len : room;
        struct code_page *page = *page_slot(c, pa & PAGE_MASK);
        if (page)
            page_written(c, page, pa, part);
        pa += part;
        len -= (size_t)part;
    }
}

void block_cache_drop_all(struct block_cache *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->pages); i++) {
        for (struct code_page *page = c->pages[i]; page; page = page->next) {
            while (page->blocks)
                block_kill(c, page->blocks);
            while (page->crossing)
                block_kill(c, page->crossing);
            page->turns = 0;
            page->was_written = false;
            page_sync_lines(c, page);
        }
    }
}

/* What blocks own besides their memory; with them goes everything that could point to them. */
static void free_sites(struct block_cache *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->pages); i++)
        for (struct code_page *page = c->pages[i]; page; page = page->next)
            for (struct block *b = page->blocks; b; b = b->page_next)
                free_side(b);
}

static void pages_free(struct block_cache *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->pages); i++) {
        while (c->pages[i]) {
            struct code_page *page = c->pages[i];
            c->pages[i] = page->next;
            free(page->map);
            free(page);
        }
    }
}

void block_cache_destroy(struct block_cache *c)
{
    if (!c)
        return;
    bury_dead(c);
    free_sites(c);
    pages_free(c);
    block_memory_reset(&c->memory);
    free(c);
}

/* ---- finding ---- */

/* A block over two pages is right only while the second page is still mapped there. */
static bool crossing_is_valid(struct vcpu *vcpu, const struct block *b, laddr la, bool *is_fault)
{
    paddr pa2;
    laddr next = ((la | ~PAGE_MASK) + 1) & vcpu->run.la_mask;
    *is_fault = !mmu_fetch(&vcpu->run.mmu, next, &pa2, &vcpu->run.fault);
    return !*is_fault && pa2 == b->pa2;
}

static void make_room(struct block_cache *c)
{
    bury_dead(c);
    if (c->stats.bytes < c->limit)
        return;
    block_cache_drop_all(c);
    bury_dead(c);
    pages_free(c);
    forget_recent(c);
    block_memory_reset(&c->memory);
}

/* Do blocks of the page at pa know their bytes? */
static bool is_rewritten(struct block_cache *c, paddr pa)
{
    const struct code_page *page = *page_slot(c, pa & PAGE_MASK);
    return page && page->turns == TURNS_TO_CHECK && physmem_is_ram(c->pm, pa);
}

/* One that was laid aside runs again, as memory says now. False: it was killed. */
static bool pick_up(struct vcpu *vcpu, struct block *b)
{
    struct block_cache *c = vcpu->run.blocks;
    struct code_page *page = *page_slot(c, b->pa & PAGE_MASK);
    if (!self_check_pick_up(vcpu, b)) {
        block_kill(c, b);
        clear_links(page);
        return false;
    }
    page->idle = 0;
    map_block(page, b, true);
    add_lines(c, b->pa, lines_of(b->pa & ~PAGE_MASK, head_bytes(b)));
    if (c->jit)
        jit_watch(c->jit, b, self_check_of(b)->times);
    c->stats.picked_up++;
    return true;
}

/* Before the first record of a block that was laid aside. */
int exec_self_check(struct vcpu *vcpu, const struct rec *rec)
{
    vcpu->run.rec = rec;
    if (!pick_up(vcpu, vcpu->run.block))
        return exec_break(vcpu, rec);
    return rec->fn(vcpu, rec);
}

/* One of the table's that may be entered; NULL: it is gone. */
static struct block *checked(struct vcpu *vcpu, struct block *b)
{
    return b && unlikely(block_is_aside(b)) && !pick_up(vcpu, b) ? NULL : b;
}

struct block *block_find(struct vcpu *vcpu, uint64_t rip, bool exact)
{
    struct block_cache *c = vcpu->run.blocks;
    uint32_t mode = vcpu->run.mode | (exact ? MODE_EXACT : 0);
    laddr la = (vcpu->run.seg_base_fast[SEG_CS] + rip) & vcpu->run.la_mask;
    paddr pa;
    bool is_fault;
    if (unlikely(c->dead))
        bury_dead(c);
    if (!mmu_fetch(&vcpu->run.mmu, la, &pa, &vcpu->run.fault))
        return NULL;
    struct block *b = checked(vcpu, block_lookup(&c->table, pa, mode));
    if (likely(b && !b->crosses))
        return b;
    if (b) {
        if (crossing_is_valid(vcpu, b, la, &is_fault))
            return b;
        if (is_fault)
            return NULL;
        block_kill(c, b);
        page_sync_lines(c, *page_slot(c, pa & PAGE_MASK));
        clear_links(*page_slot(c, pa & PAGE_MASK));
    }
    make_room(c);
    b = block_build(vcpu, rip, pa, mode, is_rewritten(c, pa));
    if (b)
        block_insert(c, b);
    return b;
}

/* ---- odds and ends ---- */

void block_cache_set_jit(struct block_cache *c, struct jit *jit)
{
    block_cache_drop_all(c);
    c->jit = jit;
}

void block_cache_set_running(struct block_cache *c, struct vcpu *vcpu)
{
    c->running = vcpu;
}

void block_cache_set_fold(struct block_cache *c, void (*fold)(void *, const struct site *, uint32_t), void *opaque)
{
    c->fold = fold;
    c->fold_opaque = opaque;
}

void block_cache_fold_all(struct block_cache *c)
{
    bury_dead(c);
    for (size_t i = 0; i < ARRAY_SIZE(c->pages); i++)
        for (struct code_page *page = c->pages[i]; page; page = page->next)
            for (struct block *b = page->blocks; b; b = b->page_next)
                fold_sites(c, b);
}

struct block_stats block_cache_stats(const struct block_cache *c)
{
    return c->stats;
}

void block_cache_set_limit(struct block_cache *c, uint64_t bytes)
{
    c->limit = bytes;
}
