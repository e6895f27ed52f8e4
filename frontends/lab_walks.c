/* SPDX-License-Identifier: MIT */
/* The lab `walks`: what an address costs under direct, shadow and nested translation, by the
 * guest's paging mode. */
#include "frontends/lab.h"

#include "base/compiler.h"
#include "frontends/lab_guest.h"

/* The guest's experiments, by their marks, and its numbers (roms/labs/walks.c). */
enum { MISSES, CHURN, SWITCHES, PCID_SWITCHES, FORKS, EXPERIMENTS };
enum { OPERATIONS = 4096, SWITCH_PAGES = 8, FORKS_COUNTED = 63, FORK_READS = 16, FORK_WRITES = 8 };
enum { TLB = 64 };

/* The guest's paging. */
struct guest {
    const char *name;
    const unsigned char *image;
    const size_t *size;
    const char *append;
    unsigned levels; /* that a walk of a 4 KiB page reads */
    unsigned pdptes; /* references to PDPTEs where they are in memory */
    unsigned stores; /* that write an entry */
};

static const struct guest guests[] = {
    {"4 levels", lab_walks64, &lab_walks64_size, "", 4, 0, 1},
    {"PAE", lab_walks32, &lab_walks32_size, "pae", 2, 1, 2},
    {"2 levels", lab_walks32, &lab_walks32_size, "legacy", 2, 0, 1},
};

enum { WAYS_UNTAGGED = 3 }; /* direct, shadow, nested with 4 levels: measured without tags too */

struct way {
    const char *name;
    struct trapline_paging paging;
    unsigned levels; /* that a walk of its own tables reads: shadow's, or nested ones */
};

static const struct way ways[] = {
    {"direct", {.mmu = TRAPLINE_MMU_DIRECT, .no_walk_caches = true}, 0},
    {"shadow",
     {.mmu = TRAPLINE_MMU_SHADOW, .no_walk_caches = true},
     4}, /* 3 below a root of level 3 */
    {"nested, 4 levels",
     {.mmu = TRAPLINE_MMU_NESTED, .nested_page = 4096, .no_walk_caches = true},
     4},
    {"nested, 4 levels, 2M",
     {.mmu = TRAPLINE_MMU_NESTED, .nested_page = 2 << 20, .no_walk_caches = true},
     3},
    {"nested, PAE",
     {.mmu = TRAPLINE_MMU_NESTED,
      .nested_format = TRAPLINE_NESTED_PAE,
      .nested_page = 4096,
      .no_walk_caches = true},
     3},
    {"nested, PAE, APM",
     {.mmu = TRAPLINE_MMU_NESTED,
      .nested_format = TRAPLINE_NESTED_PAE,
      .nested_page = 4096,
      .no_walk_caches = true,
      .is_pdpte_in_memory = true},
     3},
    {"nested, 2 levels",
     {.mmu = TRAPLINE_MMU_NESTED,
      .nested_format = TRAPLINE_NESTED_LEGACY,
      .nested_page = 4096,
      .no_walk_caches = true},
     2},
};

/* One run: what was counted between the guest's marks. */
struct session {
    struct trapline_machine *m;
    int at;                                               /* experiment under way; -1: none */
    struct trapline_paging_counters before;               /* at its start */
    struct trapline_paging_counters counted[EXPERIMENTS]; /* in each */
};

/* What was counted since; the struct is its size and then counters. */
static struct trapline_paging_counters difference(struct trapline_paging_counters now,
                                                  const struct trapline_paging_counters *before)
{
    const uint64_t *old = &before->misses;
    uint64_t *counter = &now.misses;
    for (size_t i = 0;
         i < (sizeof(now) - offsetof(struct trapline_paging_counters, misses)) / sizeof(*counter);
         i++)
        counter[i] -= old[i];
    return now;
}

static void on_mark(void *opaque, uint8_t byte)
{
    struct session *s = opaque;
    struct trapline_paging_counters now = TRAPLINE_PAGING_COUNTERS_INIT;
    trapline_paging_counters(s->m, &now);
    if (byte == '.' && s->at >= 0)
        s->counted[s->at] = difference(now, &s->before);
    s->at = byte >= 'A' && byte < 'A' + EXPERIMENTS ? byte - 'A' : -1;
    s->before = now;
}

/* Run one guest in one way. The TLB is small, so that misses are what is measured. */
static int measure(const struct guest *g, const struct way *w, struct session *s)
{
    struct trapline_config config = lab_guest_config(g->image, *g->size, on_mark, s);
    config.append = g->append;
    config.tlb_entries = TLB;
    config.paging = w->paging;
    *s = (struct session){.at = -1};
    return lab_guest_run(&config, &s->m);
}

/* ---- theory ---- */

/* References of a cold miss; shadow: of its own tables only, once they know. */
static unsigned predicted_refs(const struct guest *g, const struct way *w)
{
    switch (w->paging.mmu) {
    case TRAPLINE_MMU_SHADOW:
        return g->levels == 4 ? 4
                              : 3; /* a context without four levels has a private root of level 3 */
    case TRAPLINE_MMU_NESTED:
        return (g->levels + 1) * (w->levels + 1) - 1 +
               (w->paging.is_pdpte_in_memory ? g->pdptes * (w->levels + 1) : 0);
    default:
        return g->levels;
    }
}

static double references(const struct trapline_paging_counters *c)
{
    return (double)(c->guest_refs + c->nested_refs + c->shadow_refs);
}

/* Exits to the monitor that hardware would take: nested paging sees neither misses nor writes to
 * tables; a software TLB's own misses are not exits either. */
static uint64_t exits(const struct way *w, const struct trapline_paging_counters *c)
{
    if (w->paging.mmu == TRAPLINE_MMU_SHADOW)
        return c->true_faults + c->hidden_faults + c->protect_faults + c->traced_writes;
    return w->paging.mmu == TRAPLINE_MMU_NESTED ? c->violations : 0;
}

static double cycles(const struct way *w, const struct trapline_paging_counters *c,
                     const struct lab_costs *costs)
{
    return references(c) * (double)costs->reference + (double)exits(w, c) * (double)costs->exit;
}

/* References of a switch that has to translate all anew: its pages, and the loop's code and data in
 * pages of 2 MiB, which save a level of the guest's tables. */
static unsigned predicted_switch(const struct way *w)
{
    struct guest large = guests[0];
    if (w->paging.mmu != TRAPLINE_MMU_SHADOW)
        large.levels--;
    return SWITCH_PAGES * predicted_refs(&guests[0], w) + 2 * predicted_refs(&large, w);
}

/* Exits of a fork: see its theory. */
static unsigned predicted_fork(const struct way *w)
{
    enum { NEW_FRAMES = 4 };
    switch (w->paging.mmu) {
    case TRAPLINE_MMU_SHADOW:
        return 1 + NEW_FRAMES + FORK_READS + 8 * FORK_WRITES;
    case TRAPLINE_MMU_NESTED:
        return w->paging.nested_page == 4096 ? NEW_FRAMES : 0;
    default:
        return 0;
    }
}

/* Exits of an operation. */
static unsigned predicted_exits(const struct guest *g, const struct way *w, unsigned experiment)
{
    return experiment == CHURN && w->paging.mmu == TRAPLINE_MMU_SHADOW ? g->stores + 1 : 0;
}

/* ---- the parts ---- */

/* Memory PDPTEs are another way for PAE guests only. */
static bool is_of_interest(const struct guest *g, const struct way *w)
{
    return !w->paging.is_pdpte_in_memory || g->pdptes;
}

struct results {
    struct session of[ARRAY_SIZE(guests)][ARRAY_SIZE(ways)];
    struct session untagged[WAYS_UNTAGGED]; /* the first guest, in the first ways */
};

/* Per miss in the first experiment, per operation in the others. */
static struct lab_row row_of(const struct results *r, unsigned g, unsigned w, unsigned experiment,
                             const struct lab_costs *costs)
{
    const struct trapline_paging_counters *c = &r->of[g][w].counted[experiment];
    bool is_miss = experiment == MISSES;
    double n = is_miss ? (double)c->misses : OPERATIONS;
    double refs = references(c) / n, out = (double)exits(&ways[w], c) / n;
    return (struct lab_row){
        .group = guests[g].name,
        .label = ways[w].name,
        .measured = is_miss ? refs : out,
        .predicted = is_miss ? predicted_refs(&guests[g], &ways[w])
                             : predicted_exits(&guests[g], &ways[w], experiment),
        .extra = is_miss ? n : refs,
        .cycles = cycles(&ways[w], c, costs) / n,
    };
}

static const struct text {
    const char *title, *unit, *extra, *theory;
} texts[] = {
    {"A. A TLB miss: one word of each of 256 pages, again and again, through a TLB of 64; per miss",
     "references", "misses",
     "Theory: n guest levels and m nested ones cost (n + 1)(m + 1) - 1 references; a shadow that "
     "knows costs its own four (below a guest without four levels: three), whatever the guest's. "
     "PAE counts n = 2 because the SDM has its PDPTEs in registers; the APM's nested paging refers "
     "to them in memory, by one more nested walk. Large nested pages save a level of each nested "
     "walk."},
    {"B. Page-table churn: a page gets another frame, INVLPG, and is read; per change", "exits",
     "references",
     "Theory: the shadow takes a trace fault at the store and a hidden fault at the read (INVLPG "
     "has nothing left to do here; without tracing it would be the exit). An entry of PAE takes "
     "two stores in 32-bit code, so three. Nested paging takes none, and pays by the references of "
     "the miss: shadow paging wins where misses are many and tables stay, nested paging where "
     "tables change."},
    {"C. Context switches: CR3 is loaded with the other of two address spaces, 8 pages are read; "
     "per switch",
     "exits", "references",
     "Theory: translations are tagged by address space, so a switch back finds what it left: no "
     "exits and nearly no references, in each way. (A monitor with shadow tables has to see each "
     "load of CR3, which is one exit more on a processor; a nested one does not.)"},
    {"D. The same switches, when a load of CR3 empties the TLB; with PCIDs, whose bit 63 asks it "
     "not "
     "to; and with tags, as in C; per switch",
     "references", "flushes",
     "Theory: without tags each of the 8 pages is missed again, at the price of A, and so are the "
     "loop's own code and data, at the price of a page of 2 MiB: one level less in the guest's "
     "tables, but none less in the shadow's, whose pages have 4 KiB. With PCIDs, and with tags "
     "(VPID, ASID), nothing is missed: the flush was all that a switch cost."},
    {"E. Fork: a page table is copied, 8 writable pages are protected, the child reads 16 pages "
     "and "
     "writes 8, the parent writes the same 8; per fork",
     "exits", "references",
     "Theory: a shadow takes 5 + R + 8 W exits for R pages read and W written. Hidden faults: the "
     "child's root, the 4 new frames of its tables, R reads, and W pages that are read to be "
     "copied. A trace fault for each entry of the parent's that is protected. And for each write, "
     "in the child and then in the parent, a true fault that the guest is told of, a trace fault "
     "for the entry that it mends, and a hidden fault at the second try. Nested paging takes none "
     "but for frames that are used for the first time (4, where nested pages have 4 KiB), and "
     "pays by references."},
};

static void add_rows(unsigned experiment, struct lab_row *rows, unsigned count,
                     struct lab_report *report)
{
    const struct text *t = &texts[experiment];
    const struct lab_part part = {.title = t->title,
                                  .columns = {"guest", "translation"},
                                  .unit = t->unit,
                                  .extra = t->extra,
                                  .theory = t->theory,
                                  .rows = rows,
                                  .count = count};
    lab_add(report, &part);
}

/* Each guest in each way. */
static void add_matrix(const struct results *r, unsigned experiment, const struct lab_costs *costs,
                       struct lab_report *report)
{
    struct lab_row rows[ARRAY_SIZE(guests) * ARRAY_SIZE(ways)];
    unsigned count = 0;
    for (unsigned g = 0; g < ARRAY_SIZE(guests); g++)
        for (unsigned w = 0; w < ARRAY_SIZE(ways); w++)
            if (is_of_interest(&guests[g], &ways[w]))
                rows[count++] = row_of(r, g, w, experiment, costs);
    add_rows(experiment, rows, count, report);
}

/* The first guest: without tags, with PCIDs, with tags. */
static void add_switches(const struct results *r, const struct lab_costs *costs,
                         struct lab_report *report)
{
    static const char *const names[] = {"no tags", "PCIDs", "tags"};
    struct lab_row rows[ARRAY_SIZE(names) * WAYS_UNTAGGED];
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned kind = i / WAYS_UNTAGGED, w = i % WAYS_UNTAGGED;
        const struct trapline_paging_counters *c = kind == 0 ? &r->untagged[w].counted[SWITCHES]
                                                   : kind == 1
                                                       ? &r->untagged[w].counted[PCID_SWITCHES]
                                                       : &r->of[0][w].counted[SWITCHES];
        rows[i] = (struct lab_row){
            .group = names[kind],
            .label = ways[w].name,
            .measured = references(c) / OPERATIONS,
            .predicted = kind == 0 ? predicted_switch(&ways[w]) : 0,
            .extra = (double)c->flushes / OPERATIONS,
            .cycles = cycles(&ways[w], c, costs) / OPERATIONS,
        };
    }
    add_rows(PCID_SWITCHES, rows, ARRAY_SIZE(rows), report);
}

static void add_forks(const struct results *r, const struct lab_costs *costs,
                      struct lab_report *report)
{
    struct lab_row rows[ARRAY_SIZE(ways)];
    unsigned count = 0;
    for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
        const struct trapline_paging_counters *c = &r->of[0][w].counted[FORKS];
        if (!is_of_interest(&guests[0], &ways[w]))
            continue;
        rows[count++] = (struct lab_row){
            .group = guests[0].name,
            .label = ways[w].name,
            .measured = (double)exits(&ways[w], c) / FORKS_COUNTED,
            .predicted = predicted_fork(&ways[w]),
            .extra = references(c) / FORKS_COUNTED,
            .cycles = cycles(&ways[w], c, costs) / FORKS_COUNTED,
        };
    }
    add_rows(FORKS, rows, count, report);
}

static int measure_all(struct results *r)
{
    for (unsigned g = 0; g < ARRAY_SIZE(guests); g++) {
        for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
            int status = measure(&guests[g], &ways[w], &r->of[g][w]);
            if (status)
                return status;
        }
    }
    for (unsigned w = 0; w < WAYS_UNTAGGED; w++) {
        struct way way = ways[w];
        way.paging.is_untagged = true;
        int status = measure(&guests[0], &way, &r->untagged[w]);
        if (status)
            return status;
    }
    return 0;
}

static int run_walks(const struct lab_costs *costs, struct lab_report *report)
{
    static struct results r;
    int status = lab_guests_check();
    if (status == 0)
        status = measure_all(&r);
    if (status)
        return status;
    for (unsigned i = MISSES; i <= SWITCHES; i++)
        add_matrix(&r, i, costs, report);
    add_switches(&r, costs, report);
    add_forks(&r, costs, report);
    return 0;
}

const struct lab lab_walks = {
    "walks", "what does an address cost under direct, shadow and nested paging?", run_walks};
