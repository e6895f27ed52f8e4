/* SPDX-License-Identifier: MIT */
/*
 * Two machines in lock-step. Both run a piece of the run; if they differ at its end, both are made anew, run to its begin, where
 * they were the same, and compared in pieces a 64th as long, until a piece is one tick.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/diff.h"
#include "frontends/trace_format.h"

#define FIRST_PIECE (UINT64_C(1) << 24)
#define FINER 64
#define CONTEXT 4
#define FIELDS_MOST 40
#define PLACES_MOST 8

struct side {
    const struct options *o;
    struct trapline_machine *m; /* owned */
    struct trapline_stop stop;
    uint64_t flow; /* of the piece */
};

struct pair {
    struct side side[2];
    enum diff_by by;
    const struct symbols *symbols;
    FILE *out;
    bool shows_progress;
};

/* ---- machines ---- */

static int from_library(struct err *err, const struct trapline_error *e, int rc)
{
    if (rc < 0) {
        err_set(err, -rc, "%s", e->text);
        err_hint(err, "%s", e->hint);
    }
    return rc;
}

static int make(struct pair *p, struct err *err)
{
    struct trapline_error e = {{0}, {0}};
    const struct trapline_stop nothing = TRAPLINE_STOP_INIT;
    int rc = 0;
    for (unsigned k = 0; rc == 0 && k < 2; k++) {
        struct trapline_config config = p->side[k].o->config;
        for (unsigned i = 0; i < TRAPLINE_SERIALS; i++)
            config.serial[i].fd = -1;
        trapline_destroy(p->side[k].m);
        p->side[k].m = NULL;
        p->side[k].stop = nothing;
        rc = trapline_create(&config, &p->side[k].m, &e);
        if (rc == 0 && p->side[k].o->load_path)
            rc = trapline_load(p->side[k].m, p->side[k].o->load_path, &e);
    }
    return from_library(err, &e, rc);
}

static void run_to(struct pair *p, uint64_t until)
{
    for (unsigned k = 0; k < 2; k++)
        trapline_run(p->side[k].m, until, &p->side[k].stop);
}

/* ---- comparing ---- */

static void take_flow(void *opaque, const struct trapline_step *s)
{
    struct side *side = opaque;
    const uint64_t parts[] = {s->tick, s->rip, s->vcpu, s->kind, s->ticks};
    if (s->kind == TRAPLINE_STEP_MMIO_READ || s->kind == TRAPLINE_STEP_MMIO_WRITE || s->kind == TRAPLINE_STEP_IDLE)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
        side->flow = (side->flow ^ parts[i]) * UINT64_C(0x100000001b3) + (side->flow >> 47);
}

static int follow_flow(struct pair *p, uint64_t from, struct err *err)
{
    struct trapline_error e = {{0}, {0}};
    int rc = 0;
    for (unsigned k = 0; rc == 0 && k < 2; k++) {
        const struct trapline_trace_config config = {
            .size = sizeof(config), .level = TRAPLINE_LEVEL_BLOCKS, .from = from, .step = take_flow, .opaque = &p->side[k]};
        p->side[k].flow = 0;
        rc = trapline_trace_steps(p->side[k].m, &config, &e);
    }
    return from_library(err, &e, rc);
}

/* Are they the same at the end of the piece? 1: yes. */
static int compare(struct pair *p, struct err *err)
{
    struct side *a = &p->side[0], *b = &p->side[1];
    uint8_t hash[2][TRAPLINE_HASH_BYTES];
    struct trapline_error e;
    if (trapline_ticks(a->m) != trapline_ticks(b->m) || a->stop.reason != b->stop.reason || a->stop.code != b->stop.code)
        return 0;
    if (p->by == DIFF_BY_FLOW)
        return a->flow == b->flow;
    for (unsigned k = 0; k < 2; k++) {
        int rc = trapline_hash(p->side[k].m, hash[k], &e);
        if (rc < 0)
            return from_library(err, &e, rc);
    }
    return memcmp(hash[0], hash[1], sizeof(hash[0])) == 0;
}

static bool is_over(const struct pair *p)
{
    return p->side[0].stop.reason != TRAPLINE_STOP_POSITION;
}

/* From *at on, in pieces: 1: *at is the begin of one at whose end they differ; 0: the guest is done, and they never do. */
static int search(struct pair *p, uint64_t *at, uint64_t piece, struct err *err)
{
    for (;;) {
        if (p->shows_progress)
            fprintf(stderr, "\r\033[Ktrapline: the same up to tick %" PRIu64, *at);
        int rc = p->by == DIFF_BY_FLOW ? follow_flow(p, *at, err) : 0;
        if (rc < 0)
            return rc;
        run_to(p, *at + piece);
        rc = compare(p, err);
        if (rc <= 0)
            return rc < 0 ? rc : 1;
        if (is_over(p))
            return 0;
        *at += piece;
    }
}

/* ---- what differs ---- */

struct context {
    struct trace_output output;
    struct trace_context context;
};

static void show_step(void *opaque, const struct trapline_step *s)
{
    struct context *c = opaque;
    trace_text.step(&c->output, s, true);
}

/* The instructions of one side from `from` for `ticks`. */
static int print_steps(struct pair *p, unsigned k, uint64_t from, uint64_t ticks, struct err *err)
{
    struct trapline_error e = {{0}, {0}};
    struct context c = {.context = {.m = p->side[k].m, .symbols = p->symbols}};
    c.output = (struct trace_output){.context = &c.context, .format = &trace_text, .out = p->out};
    const struct trapline_trace_config config = {
        .size = sizeof(config), .level = TRAPLINE_LEVEL_INSNS, .from = from, .ticks = ticks, .step = show_step, .opaque = &c};
    const struct trapline_trace_config none = TRAPLINE_TRACE_CONFIG_INIT;
    int rc = trapline_trace_steps(p->side[k].m, &config, &e);
    if (rc == 0)
        trapline_run(p->side[k].m, from + ticks, &p->side[k].stop);
    if (rc == 0)
        rc = trapline_trace_steps(p->side[k].m, &none, &e);
    return from_library(err, &e, rc);
}

static unsigned print_field(struct pair *p, unsigned part, unsigned f, const struct trapline_part *of, const struct trapline_field *field)
{
    unsigned n = 0;
    for (unsigned i = 0; i < field->count; i++) {
        uint64_t v[2] = {0, 0};
        if (!trapline_part_get(p->side[0].m, part, f, i, &v[0]) || !trapline_part_get(p->side[1].m, part, f, i, &v[1]) || v[0] == v[1])
            continue;
        if (n++ >= PLACES_MOST)
            continue;
        char name[96];
        snprintf(name, sizeof(name), field->count > 1 ? "%s.%s[%u]" : "%s.%s", of->name, field->name, i);
        fprintf(p->out, "  %-32s A %016" PRIx64 "  B %016" PRIx64 "\n", name, v[0], v[1]);
    }
    return n;
}

/* Registers of processors, devices, the clock: whatever has a field. */
static void print_fields(struct pair *p)
{
    unsigned n = 0;
    struct trapline_part part = {.size = sizeof(part)};
    for (unsigned i = 0; trapline_part(p->side[0].m, i, &part) && n < FIELDS_MOST; i++) {
        struct trapline_field field = TRAPLINE_FIELD_INIT;
        for (unsigned f = 0; trapline_part_field(p->side[0].m, i, f, &field); f++)
            n += print_field(p, i, f, &part, &field);
    }
    if (n >= FIELDS_MOST)
        fprintf(p->out, "  and more\n");
}

static unsigned print_page(struct pair *p, uint64_t address, const uint8_t *a, const uint8_t *b, unsigned n)
{
    for (unsigned i = 0; i < 4096; i += 8) {
        if (memcmp(a + i, b + i, 8) == 0)
            continue;
        if (n++ >= PLACES_MOST)
            continue;
        fprintf(p->out, "  memory at 0x%-21" PRIx64 " A ", address + i);
        for (unsigned k = 8; k-- > 0;)
            fprintf(p->out, "%02x", a[i + k]);
        fputs("  B ", p->out);
        for (unsigned k = 8; k-- > 0;)
            fprintf(p->out, "%02x", b[i + k]);
        fputc('\n', p->out);
    }
    return n;
}

static void print_memory(struct pair *p)
{
    uint8_t page[2][4096];
    uint64_t address, length;
    bool is_rom;
    unsigned n = 0;
    for (unsigned i = 0; trapline_memory_range(p->side[0].m, i, &address, &length, &is_rom); i++) {
        for (uint64_t at = 0; at + 4096 <= length; at += 4096) {
            bool ok = trapline_read(p->side[0].m, address + at, page[0], 4096, NULL) == 0 &&
                      trapline_read(p->side[1].m, address + at, page[1], 4096, NULL) == 0;
            if (ok && memcmp(page[0], page[1], 4096) != 0)
                n = print_page(p, address + at, page[0], page[1], n);
        }
    }
    if (n > PLACES_MOST)
        fprintf(p->out, "  and %u more quadwords of memory\n", n - PLACES_MOST);
}

static void print_end(struct pair *p, unsigned k)
{
    fprintf(p->out, "%s is at tick %" PRIu64 ": %s\n", k ? "B" : "A", trapline_ticks(p->side[k].m),
            trapline_reason_text(p->side[k].stop.reason));
}

/* They were the same before tick `at`, and are not after it. */
static int print_difference(struct pair *p, uint64_t at, struct err *err)
{
    uint64_t context = at < CONTEXT ? at : CONTEXT;
    fprintf(p->out, "the first difference is at tick %" PRIu64 "\n", at);
    int rc = make(p, err);
    if (rc < 0)
        return rc;
    run_to(p, at - context);
    if (context) {
        fprintf(p->out, "before it, in both:\n");
        rc = print_steps(p, 0, at - context, context, err);
        trapline_run(p->side[1].m, at, &p->side[1].stop);
    }
    for (unsigned k = 0; rc == 0 && k < 2; k++) {
        fprintf(p->out, "%s:\n", k ? "B" : "A");
        rc = print_steps(p, k, at, 1, err);
        if (p->side[k].stop.reason != TRAPLINE_STOP_POSITION)
            print_end(p, k);
    }
    if (rc < 0)
        return rc;
    fprintf(p->out, "after it these are not the same:\n");
    print_fields(p);
    print_memory(p);
    return 1;
}

/* Machines that are not the same at their start cannot be compared by state. */
static int check_start(struct pair *p)
{
    fprintf(p->out, "the machines are not the same before the first instruction:\n");
    print_fields(p);
    print_memory(p);
    fprintf(p->out, "(-by flow compares which instructions run, whatever the state)\n");
    return 1;
}

static int diff(struct pair *p, struct err *err)
{
    uint64_t at = 0;
    int rc = make(p, err);
    if (rc < 0)
        return rc;
    at = trapline_ticks(p->side[0].m);
    rc = compare(p, err);
    if (rc <= 0 && p->by == DIFF_BY_STATE)
        return rc < 0 ? rc : check_start(p);
    for (uint64_t piece = FIRST_PIECE;; piece = piece > FINER ? piece / FINER : 1) {
        rc = search(p, &at, piece, err);
        if (rc <= 0 || piece == 1)
            break;
        rc = make(p, err);
        if (rc < 0)
            return rc;
        run_to(p, at);
    }
    if (p->shows_progress)
        fprintf(stderr, "\r\033[K");
    if (rc == 0)
        fprintf(p->out, "no difference in %" PRIu64 " ticks: %s\n", trapline_ticks(p->side[0].m), trapline_reason_text(p->side[0].stop.reason));
    return rc <= 0 ? rc : print_difference(p, at, err);
}

int diff_machines(const struct options *const options[2], enum diff_by by, const struct symbols *symbols, FILE *out, struct err *err)
{
    struct pair p = {.by = by, .symbols = symbols, .out = out, .shows_progress = isatty(STDERR_FILENO)};
    p.side[0].o = options[0];
    p.side[1].o = options[1];
    int rc = diff(&p, err);
    trapline_destroy(p.side[0].m);
    trapline_destroy(p.side[1].m);
    return rc;
}
