/* SPDX-License-Identifier: MIT */
/* -mmu KIND[,KEY=VALUE...]: how guest addresses are translated. */
#include <string.h>

#include "frontends/options.h"
#include "frontends/values.h"

#define MMU_HINT                                                                                   \
    "direct, shadow or nested; then tlb=N (a power of two, 16 to 65536), tags=on|off; direct: "    \
    "caches=on|off; shadow: memory=SIZE "                                                          \
    "(256K to 1G), unsync=N; nested: memory, caches, format=long|pae|legacy, page=4K|2M|1G, "      \
    "pdpte=registers|memory"

/* The index of a piece's value in names; negative: none of them. */
static int value_index(const struct piece *p, const char *key, const char *const *names, int count)
{
    for (int i = 0; p->has_value && strcmp(p->key, key) == 0 && i < count; i++)
        if (strcmp(p->value, names[i]) == 0)
            return i;
    return -1;
}

/* tlb, memory, unsync. False: another key, or a value that cannot be. */
static bool mmu_number(struct trapline_config *c, const struct piece *p)
{
    uint64_t n = 0;
    if (!p->has_value)
        return false;
    if (strcmp(p->key, "tlb") == 0 && parse_number(p->value, &n) && n >= 16 && n <= 65536 &&
        !(n & (n - 1))) {
        c->tlb_entries = (unsigned)n;
        return true;
    }
    if (strcmp(p->key, "memory") == 0 && parse_size(p->value, 1, &n) &&
        n >= TRAPLINE_MMU_MEMORY_MIN && n <= TRAPLINE_MMU_MEMORY_MAX) {
        c->paging.memory = n;
        return true;
    }
    if (strcmp(p->key, "unsync") == 0 && parse_number(p->value, &n) && n <= INT32_MAX) {
        c->paging.unsync = n;
        c->paging.has_unsync = true;
        return true;
    }
    return false;
}

static bool mmu_word(struct trapline_paging *g, const struct piece *p)
{
    static const char *const formats[] = {"long", "pae", "legacy"},
                             *const pages[] = {"4K", "2M", "1G"}, *const off_on[] = {"off", "on"},
                             *const pdptes[] = {"registers", "memory"};
    static const uint64_t page_size[] = {UINT64_C(1) << 12, UINT64_C(1) << 21, UINT64_C(1) << 30};
    int format = value_index(p, "format", formats, 3), page = value_index(p, "page", pages, 3);
    int caches = value_index(p, "caches", off_on, 2), pdpte = value_index(p, "pdpte", pdptes, 2);
    int tags = value_index(p, "tags", off_on, 2);
    if (format >= 0)
        g->nested_format = (enum trapline_nested_format)format;
    if (page >= 0)
        g->nested_page = page_size[page];
    if (caches >= 0)
        g->no_walk_caches = !caches;
    if (tags >= 0)
        g->is_untagged = !tags;
    if (pdpte >= 0)
        g->is_pdpte_in_memory = pdpte;
    return format >= 0 || page >= 0 || caches >= 0 || tags >= 0 || pdpte >= 0;
}

/* Kinds of translation, bit per enum trapline_mmu. */
enum {
    DIRECT = 1 << TRAPLINE_MMU_DIRECT,
    SHADOW = 1 << TRAPLINE_MMU_SHADOW,
    NESTED = 1 << TRAPLINE_MMU_NESTED
};

/* Which of them have the key. */
static unsigned kinds_with(const char *key)
{
    static const struct {
        const char *key;
        unsigned kinds;
    } some[] = {{"memory", SHADOW | NESTED},
                {"caches", DIRECT | NESTED},
                {"unsync", SHADOW},
                {"format", NESTED},
                {"page", NESTED},
                {"pdpte", NESTED}};
    for (unsigned i = 0; i < ARRAY_SIZE(some); i++)
        if (strcmp(some[i].key, key) == 0)
            return some[i].kinds;
    return DIRECT | SHADOW | NESTED;
}

/* KIND[,KEY=VALUE]... */
int option_mmu(struct options *o, const char *argument, struct err *err)
{
    static const char *const kinds[] = {"direct", "shadow", "nested"};
    struct trapline_paging *g = &o->config.paging;
    struct piece p;
    for (const char *rest = argument; next_piece(&rest, &p);) {
        int kind = 0;
        while (kind < 3 && (p.has_value || strcmp(p.key, kinds[kind]) != 0))
            kind++;
        if (kind < 3)
            g->mmu = (enum trapline_mmu)kind;
        else if (!mmu_number(&o->config, &p) && !mmu_word(g, &p))
            return bad_value(err, p.key, MMU_HINT);
    }
    for (const char *rest = argument; next_piece(&rest, &p);)
        if (!(kinds_with(p.key) & 1u << g->mmu))
            return bad_value(err, p.key,
                             "direct has tlb, tags, caches; shadow tlb, tags, memory, unsync; "
                             "nested tlb, tags, memory, caches, format, page, pdpte");
    return 0;
}
