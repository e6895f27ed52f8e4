/* SPDX-License-Identifier: MIT */
/* The HTML report of a trace: one file, no network. Counts of exits, time, the guest's page tables, and with blocks a flame graph. */
#include "frontends/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/flame.h"
#include "frontends/html.h"
#include "frontends/trace_format.h"

#define COUNTERS 256
#define PLACES 8192 /* a power of two */
#define TOP 25

/* How often something happened; names live as long as the program. */
struct counter {
    const char *name, *other;
    uint64_t count;
};

struct place {
    uint64_t address; /* of a function if there are symbols */
    uint64_t count;
};

struct state {
    struct timeline timeline;
    struct counter reasons[COUNTERS], classes[COUNTERS], insns[COUNTERS];
    struct place places[PLACES]; /* a hash table, half full at most */
    unsigned place_count;
    uint64_t elsewhere; /* exits at places that did not fit */
    uint64_t exits, steps, first_tick, last_tick;
    uint64_t fault_address; /* of the last #PF */
    bool has_fault;
    struct stacks *stacks; /* owned; NULL: the level has no calls */
};

/* ---- counting ---- */

static void count(struct counter *all, const char *name, const char *other)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        struct counter *c = &all[i];
        if (c->name && (strcmp(c->name, name) != 0 || strcmp(c->other, other) != 0))
            continue;
        c->name = name;
        c->other = other;
        c->count++;
        return;
    }
}

static void count_place(struct state *st, const struct symbols *symbols, uint64_t rip)
{
    uint64_t offset, address = symbols && symbols_find(symbols, rip, &offset) ? rip - offset : rip;
    uint64_t at = (address * UINT64_C(0x9e3779b97f4a7c15)) >> 51 & (PLACES - 1);
    while (st->places[at].count && st->places[at].address != address)
        at = (at + 1) & (PLACES - 1);
    if (!st->places[at].count && st->place_count == PLACES / 2) {
        st->elsewhere++;
        return;
    }
    st->place_count += !st->places[at].count;
    st->places[at].address = address;
    st->places[at].count++;
}

static void begin(struct trace_output *o)
{
    struct state *st = o->state;
    if (o->context->options->level < TRAPLINE_LEVEL_BLOCKS)
        return;
    st->stacks = stacks_create(o->context->symbols, o->context->options->weight);
    o->is_full = !st->stacks;
}

static void step(struct trace_output *o, const struct trapline_step *s, bool is_shown)
{
    struct state *st = o->state;
    bool is_exit = is_shown && s->reason;
    if (st->steps++ == 0)
        st->first_tick = s->tick;
    st->last_tick = s->tick + s->ticks;
    bool is_idle = s->kind == TRAPLINE_STEP_IDLE;
    timeline_add(&st->timeline, s->vtime_ns + (is_idle ? s->duration_ns : 0), is_idle ? s->duration_ns : 0, s->cpl == 3, is_exit);
    if (st->stacks)
        stacks_step(st->stacks, s, is_shown);
    if (!is_exit)
        return;
    st->exits++;
    count(st->reasons, s->reason, "");
    count(st->classes, s->what, s->cpl == 3 ? "user" : "kernel");
    count(st->insns, s->name, s->what);
    count_place(st, o->context->symbols, s->rip);
    if (s->kind == TRAPLINE_STEP_EXCEPTION && s->vector == 14) {
        st->fault_address = s->address;
        st->has_fault = true;
    }
}

/* ---- printing ---- */

static int by_count(const void *a, const void *b)
{
    const struct counter *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->name && y->name ? strcmp(x->name, y->name) : (x->name == NULL) - (y->name == NULL);
}

static int by_place_count(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->address > y->address) - (x->address < y->address);
}

static void row(FILE *out, const char *first, const char *second, uint64_t n, uint64_t total)
{
    char number[32], percent[32];
    snprintf(number, sizeof(number), "%" PRIu64, n);
    snprintf(percent, sizeof(percent), "%.2f%%", total ? 100.0 * (double)n / (double)total : 0);
    const char *const cells[] = {first, second, number, percent};
    html_row(out, "td", cells, ARRAY_SIZE(cells));
}

static void print_table(FILE *out, const char *title, const char *first, const char *second, struct counter *all, uint64_t total)
{
    const char *const heads[] = {first, second, "exits", "share"};
    qsort(all, COUNTERS, sizeof(*all), by_count);
    html_element(out, "h2", title);
    fputs("<table><thead>", out);
    html_row(out, "th", heads, ARRAY_SIZE(heads));
    fputs("</thead><tbody>\n", out);
    for (unsigned i = 0; i < TOP && all[i].count; i++)
        row(out, all[i].name, all[i].other, all[i].count, total);
    fputs("</tbody></table>\n", out);
}

static void print_places(const struct trace_output *o, struct state *st)
{
    const char *const heads[] = {o->context->symbols ? "function" : "address", "", "exits", "share"};
    char name[128];
    qsort(st->places, PLACES, sizeof(*st->places), by_place_count);
    html_element(o->out, "h2", "Where exits happened");
    fputs("<table><thead>", o->out);
    html_row(o->out, "th", heads, ARRAY_SIZE(heads));
    fputs("</thead><tbody>\n", o->out);
    for (unsigned i = 0; i < TOP && st->places[i].count; i++) {
        uint64_t offset;
        const char *symbol = o->context->symbols ? symbols_find(o->context->symbols, st->places[i].address, &offset) : NULL;
        snprintf(name, sizeof(name), "0x%" PRIx64, st->places[i].address);
        row(o->out, symbol ? symbol : name, "", st->places[i].count, st->exits);
    }
    fputs("</tbody></table>\n", o->out);
    if (st->elsewhere) {
        snprintf(name, sizeof(name), "%" PRIu64 " exits were at more places than are counted.", st->elsewhere);
        html_element(o->out, "p", name);
    }
}

/* Without what stands in brackets, and no longer than a chart's label. */
static void short_name(char *text, size_t size, const char *name)
{
    const char *bracket = strstr(name, " (");
    int n = bracket ? (int)(bracket - name) : (int)strlen(name);
    snprintf(text, size, n > 27 ? "%.*s..." : "%.*s", n > 27 ? 24 : n, name);
}

static void print_histogram(FILE *out, struct state *st)
{
    struct html_bar bars[TOP];
    char labels[TOP][32];
    unsigned n = 0;
    qsort(st->reasons, COUNTERS, sizeof(st->reasons[0]), by_count);
    html_element(out, "h2", "Exits by reason");
    fputs("<style>#histogram svg text{font-size:11px}</style><div id=\"histogram\">", out);
    for (; n < TOP && st->reasons[n].count; n++) {
        short_name(labels[n], sizeof(labels[n]), st->reasons[n].name);
        bars[n] = (struct html_bar){"exits", labels[n], (double)st->reasons[n].count, -1};
    }
    if (n)
        html_bars(out, "exits", bars, n);
    else
        html_element(out, "p", "There were none.");
    fputs("</div>\n", out);
}

static void print_walk(const struct trace_output *o, const char *what, uint64_t address)
{
    struct trapline_walk w = TRAPLINE_WALK_INIT;
    struct trapline_error e;
    if (trapline_walk(o->context->m, 0, address, &w, &e) == 0)
        report_walk(o->out, what, &w);
}

static uint64_t reg(const struct trace_output *o, const char *name)
{
    struct trapline_error e;
    uint64_t v = 0;
    (void)trapline_get(o->context->m, 0, name, 0, &v, &e);
    return v;
}

static void print_walks(const struct trace_output *o, const struct state *st)
{
    const struct trace_options *t = o->context->options;
    html_element(o->out, "h2", "How addresses are translated at the end");
    fputs("<style>.walk{margin:.6em 0}.walk .head{font-weight:bold}.walk .code{font-family:'DejaVu Sans Mono',Consolas,monospace}.walk "
          ".small{font-size:12px;fill:#555}.walk .table,.walk .page{fill:#f6f6f6;stroke:#888}.walk .page{fill:#e3f0e3}.walk "
          ".entry{fill:#fff3cd;stroke:#c9a227}.walk .absent{fill:#f6c6c0;stroke:#d1495b}.walk .bits{fill:#dfe9f5;stroke:#3b6ea5}.walk "
          ".arrow{fill:none;stroke:#555;stroke-width:1.6}</style>\n",
          o->out);
    print_walk(o, "RIP", reg(o, "rip"));
    print_walk(o, "stack pointer", reg(o, "rsp"));
    if (st->has_fault)
        print_walk(o, "the last page fault", st->fault_address);
    for (unsigned i = 0; i < t->walk_count; i++)
        print_walk(o, "asked for", t->walks[i]);
    html_element(o->out, "p class=\"theory\"",
                 "Each box is a table of the guest in its memory; the yellow entry is the one that these bits of the address choose, with "
                 "what stood in it when the run ended. A miss of the translation buffer costs one reference for each box but the page.");
}

static void print_summary(const struct trace_output *o, const struct state *st)
{
    char text[256];
    fputs("<p><code>", o->out);
    html_text(o->out, o->context->title);
    fputs("</code></p>\n", o->out);
    snprintf(text, sizeof(text),
             "Ticks %" PRIu64 " to %" PRIu64 " (a tick is one instruction), %.3f ms of virtual time; level %s: %" PRIu64 " steps, %" PRIu64
             " exits. Every number is exact, and the same in every run.",
             st->first_tick, st->last_tick, (double)(st->timeline.last - st->timeline.begin) / 1e6, trace_level_name(o->context->options->level),
             st->steps, st->exits);
    html_element(o->out, "p", text);
}

static void end(struct trace_output *o)
{
    struct state *st = o->state;
    html_begin(o->out, "What the guest did");
    print_summary(o, st);
    html_element(o->out, "h2", "Time");
    timeline_print(o->out, &st->timeline);
    print_histogram(o->out, st);
    print_table(o->out, "Popek and Goldberg's classes", "class", "mode", st->classes, st->exits);
    html_element(o->out, "p class=\"theory\"",
                 "Privileged instructions trap in user mode by themselves: for them a monitor that only catches traps would do. Sensitive, "
                 "unprivileged ones do not; the guest's kernel runs correctly because they are caught all the same.");
    print_table(o->out, "Instructions and events", "name", "class", st->insns, st->exits);
    print_places(o, st);
    print_walks(o, st);
    if (st->stacks) {
        html_element(o->out, "h2", "Who called whom");
        flame_print(o->out, st->stacks, o->context->options->weight == WEIGHT_EXITS ? "exits" : "instructions", false);
    }
    html_end(o->out);
}

static void dispose(struct trace_output *o)
{
    stacks_destroy(((struct state *)o->state)->stacks);
}

const struct trace_format trace_html = {
    .name = "html",
    .suffix = ".html",
    .level = TRAPLINE_LEVEL_EXITS,
    .state_size = sizeof(struct state),
    .begin = begin,
    .step = step,
    .end = end,
    .dispose = dispose,
};
