/* SPDX-License-Identifier: MIT */
/* The lab `walks`: what an address costs under direct, shadow and nested translation, by the
 * guest's paging mode. */
#include "frontends/lab.h"

#include "base/compiler.h"
#include "frontends/run.h"
#include "monitor/trapline.h"
#include "roms/embedded_guest.h"

enum { EXPERIMENTS = 3, TLB = 64, OPERATIONS = 4096, TICKS_MAX = 100000000 };

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
    for (size_t i = 0; i < (sizeof(now) - offsetof(struct trapline_paging_counters, misses)) / sizeof(*counter); i++)
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
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    struct trapline_error e;
    config.memory = 32 << 20;
    config.kernel = (struct trapline_file){.path = "lab walks", .data = g->image, .size = *g->size};
    config.append = g->append;
    config.tlb_entries = TLB;
    config.paging = w->paging;
    config.max_ticks = TICKS_MAX;
    config.no_reboot = true;
    config.debug_exit_base = 0xf4;
    config.debug_exit_size = 4;
    config.debugcon = on_mark;
    config.debugcon_opaque = s;
    *s = (struct session){.at = -1};
    if (trapline_create(&config, &s->m, &e) < 0)
        return report_error(e.text, e.hint);
    trapline_run(s->m, UINT64_MAX, &stop);
    trapline_destroy(s->m);
    if (stop.reason != TRAPLINE_STOP_DEBUG_EXIT || stop.code != 0)
        return report_error("the guest of the lab failed", trapline_reason_text(stop.reason));
    return 0;
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

/* Exits of an operation. */
static unsigned predicted_exits(const struct guest *g, const struct way *w, unsigned experiment)
{
    return experiment == 1 && w->paging.mmu == TRAPLINE_MMU_SHADOW ? g->stores + 1 : 0;
}

/* ---- the parts ---- */

/* Memory PDPTEs are another way for PAE guests only. */
static bool is_of_interest(const struct guest *g, const struct way *w)
{
    return !w->paging.is_pdpte_in_memory || g->pdptes;
}

struct results {
    struct session of[ARRAY_SIZE(guests)][ARRAY_SIZE(ways)];
};

/* Per miss in the first experiment, per operation in the others. */
static struct lab_row row_of(const struct results *r, unsigned g, unsigned w, unsigned experiment,
                             const struct lab_costs *costs)
{
    const struct trapline_paging_counters *c = &r->of[g][w].counted[experiment];
    double n = experiment == 0 ? (double)c->misses : OPERATIONS;
    double refs = references(c) / n, out = (double)exits(&ways[w], c) / n;
    return (struct lab_row){
        .group = guests[g].name,
        .label = ways[w].name,
        .measured = experiment == 0 ? refs : out,
        .predicted = experiment == 0 ? predicted_refs(&guests[g], &ways[w])
                                     : predicted_exits(&guests[g], &ways[w], experiment),
        .extra = experiment == 0 ? n : refs,
        .cycles = cycles(&ways[w], c, costs) / n,
    };
}

static const struct {
    const char *title, *unit, *extra, *theory;
} experiments[EXPERIMENTS] = {
    {"A. A TLB miss: one word of each of 256 pages, again and again, through a TLB of 64; per miss",
     "references", "misses",
     "Theory: n guest levels and m nested ones cost (n + 1)(m + 1) - 1 references; a shadow that "
     "knows costs its own four (below a guest "
     "without four levels: three), whatever the guest's. PAE counts n = 2 because the SDM has its "
     "PDPTEs in registers; the APM's nested "
     "paging refers to them in memory, by one more nested walk. Large nested pages save a level of "
     "each nested walk."},
    {"B. Page-table churn: a page gets another frame, INVLPG, and is read; per change", "exits",
     "references",
     "Theory: the shadow takes a trace fault at the store and a hidden fault at the read (INVLPG "
     "has nothing left to do here; without "
     "tracing it would be the exit). An entry of PAE takes two stores in 32-bit code, so three. "
     "Nested paging takes none, and pays by the "
     "references of the miss: shadow paging wins where misses are many and tables stay, nested "
     "paging where tables change."},
    {"C. Context switches: CR3 is loaded with the other of two address spaces, 8 pages are read; "
     "per switch",
     "exits", "references",
     "Theory: translations are tagged by address space, so a switch back finds what it left: no "
     "exits and nearly no references, in each "
     "way. Without tags each of the 8 pages would be missed again, at the price of A."},
};

static void add_part(const struct results *r, unsigned experiment, const struct lab_costs *costs,
                     struct lab_report *report)
{
    struct lab_row rows[ARRAY_SIZE(guests) * ARRAY_SIZE(ways)];
    struct lab_part part = {.title = experiments[experiment].title,
                            .columns = {"guest", "translation"},
                            .unit = experiments[experiment].unit,
                            .extra = experiments[experiment].extra,
                            .theory = experiments[experiment].theory,
                            .rows = rows};
    for (unsigned g = 0; g < ARRAY_SIZE(guests); g++)
        for (unsigned w = 0; w < ARRAY_SIZE(ways); w++)
            if (is_of_interest(&guests[g], &ways[w]))
                rows[part.count++] = row_of(r, g, w, experiment, costs);
    lab_add(report, &part);
}

static int run_walks(const struct lab_costs *costs, struct lab_report *report)
{
    static struct results r;
    if (lab_walks64_size == 0)
        return report_error("this trapline was built without the guests of the labs",
                            "build it where there is a gcc for x86");
    for (unsigned g = 0; g < ARRAY_SIZE(guests); g++) {
        for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
            int status = measure(&guests[g], &ways[w], &r.of[g][w]);
            if (status)
                return status;
        }
    }
    for (unsigned i = 0; i < EXPERIMENTS; i++)
        add_part(&r, i, costs, report);
    return 0;
}

const struct lab lab_walks = {
    "walks", "what does an address cost under direct, shadow and nested paging?", run_walks};
