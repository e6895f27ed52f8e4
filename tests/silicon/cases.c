/* SPDX-License-Identifier: MIT */
/* A worker: makes cases, runs them on both, reports what differs. */
#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/silicon/silicon.h"

enum { TRIES = 60, SHOWN_PER_ROW = 1, LENGTH_EVERY = 16 };

struct context {
    const struct options *o;        /* borrowed */
    const struct row_set *set;      /* borrowed */
    const struct native_host *host; /* borrowed */
    struct worker *w;               /* borrowed */
    struct player *players[2];      /* owned; [1]: translates with dead flags, or NULL */
    struct player *player;          /* borrowed: the one of this case */
    struct decoder *decoder;        /* owned */
    struct pool pool;               /* of this chunk */
    enum decode_mode mode;          /* of all cases */
    bool segmented;                 /* of this chunk */
    enum vendor vendor;             /* of the host */
    csh capstone;                   /* 0 if there is none */
    struct vector v;                /* the case */
    struct vector_state got;        /* ours */
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t s = a ^ b * UINT64_C(0xd1342543de82ef95);
    vector_random(&s);
    return vector_random(&s);
}

/* Chunks of 32-bit code with and without segments take turns, two to one. */
static bool is_segmented(const struct context *c, uint64_t chunk)
{
    return c->mode == DECODE_16 ||
           (c->mode == DECODE_32 && c->host->has_segments && chunk % 3 == 2);
}

static void start_chunk(struct context *c, uint64_t chunk)
{
    uint64_t seed = mix(c->o->seed, chunk << 2 | c->mode);
    c->segmented = is_segmented(c, chunk);
    pool_fill(&c->pool, c->mode, c->segmented, c->host->base, &seed);
}

/* In turn; in flat code the next row that does not need segments. */
static unsigned choose_row(const struct context *c, uint64_t number)
{
    for (unsigned i = 0; i < c->set->count; i++) {
        unsigned row = c->set->rows[(number + i) % c->set->count];
        if (c->segmented || !row_needs_segments(row))
            return row;
    }
    return c->set->rows[number % c->set->count];
}

static bool generate(struct context *c, uint64_t number, struct insn *in)
{
    struct generator g = {.decoder = c->decoder,
                          .seed = mix(c->o->seed * 4 + c->mode, number),
                          .pool = &c->pool,
                          .is_wild = true};
    unsigned row = choose_row(c, number);
    c->v.mode = c->mode;
    c->v.segmented = c->segmented;
    c->v.base = c->host->base;
    for (unsigned i = 0; i < TRIES; i++)
        if (generate_vector(&g, row, &c->v, NULL, in))
            return true;
    return false;
}

/* Branches go where no way back is. */
static bool goes_on(const struct insn *in)
{
    return !insn_row(in->row)->ends_block || row_needs_segments(in->row);
}

/* Translated: every other round of the rows with flags that nobody looks at. */
static struct player *choose_player(const struct context *c, uint64_t number)
{
    return c->players[c->players[1] != NULL && number / c->set->count % 2 == 1];
}

static bool run_native(struct context *c, const struct insn *in)
{
    return goes_on(in) ? native_run_direct(&c->v, native_size(&c->v))
                       : native_run(&c->v, vector_repeats(in));
}

static void disassemble(const struct context *c, char *text, size_t size)
{
    cs_insn *insn = NULL;
    snprintf(text, size, "?");
    size_t n = cs_disasm(c->capstone, c->v.bytes, c->v.len, c->v.before.rip, 1, &insn);
    if (n > 0) {
        snprintf(text, size, "%s %s", insn[0].mnemonic, insn[0].op_str);
        cs_free(insn, n);
    }
}

/* A vector with its name, and below it, as comments, what differs. One write, so that reports of
 * workers do not mix. */
static void show(struct context *c, uint64_t number, const struct insn *in, const char *text)
{
    static struct vector plain;
    static const char *const modes[] = {"16", "32", "64"};
    const struct insn_desc *d = insn_row(in->row);
    char *out = NULL, name[256];
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    if (f == NULL)
        return;
    disassemble(c, name, sizeof name);
    plain = c->v;
    vector_expand(&plain);
    fprintf(f,
            "# %s %s %s: %s; silicon --mode %s --seed %" PRIu64 " --first %" PRIu64 " --cases 1\n",
            d->name, d->encoding, d->operands, name, modes[c->mode], c->o->seed, number);
    vector_write(f, &c->v, &plain.before);
    for (const char *at = text; *at != 0;) {
        size_t n = strcspn(at, "\n");
        fprintf(f, "#%.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
    fclose(f);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(STDOUT_FILENO, out + done, size - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    free(out);
}

static void report_difference(struct context *c, uint64_t number, struct insn *in)
{
    static char text[4096];
    static struct vector failed;
    if (run_again(c->player, &c->v, in, c->vendor, NULL, 0)) {
        c->w->unstable++;
        return;
    }
    c->w->differ++;
    if (c->w->differ_row[in->row]++ >= SHOWN_PER_ROW)
        return;
    failed = c->v;
    shrink(c->player, &c->v, in, c->vendor);
    text[0] = 0;
    if (run_again(c->player, &c->v, in, c->vendor, text, sizeof text)) {
        c->v = failed;
        run_again(c->player, &c->v, in, c->vendor, text, sizeof text);
    }
    show(c, number, in, text);
}

/* Silicon has just said what the length is. */
static void ask_capstone(struct context *c)
{
    cs_insn *insn = NULL;
    if (c->capstone == 0)
        return;
    size_t n = cs_disasm(c->capstone, c->v.bytes, c->v.len, c->v.before.rip, 1, &insn);
    c->w->lengths++;
    c->w->disagree += n == 0 || insn[0].size != c->v.len;
    if (n > 0)
        cs_free(insn, n);
}

/* A segment of the host's GDT was loaded, or could not be. */
static bool names_host_segment(const struct vector *v)
{
    const struct vector_state *t = &v->after;
    for (unsigned i = 0; i < 6; i++)
        if (t->sel[i] != v->before.sel[i] && t->sel[i] > 3 && !(t->sel[i] & 4))
            return true;
    return t->fault != VECTOR_NO_FAULT && t->fault_code > 3 && !(t->fault_code & 4) &&
           t->fault_code < 0x80 && t->fault != 14;
}

/* Translated: the bytes in the code page are other ones there. Did the case read them? */
static bool meets_other_code(struct context *c, const struct insn *in)
{
    if (!c->o->translates)
        return false;
    player_interpret(c->player, true);
    bool same = run_again(c->player, &c->v, in, c->vendor, NULL, 0);
    player_interpret(c->player, false);
    c->w->taken += !same;
    return !same;
}

static void run_case(struct context *c, uint64_t number)
{
    struct insn in;
    struct worker *w = c->w;
    w->current = number;
    if (!generate(c, number, &in) || !run_native(c, &in)) {
        w->ungenerated++;
        return;
    }
    c->player = choose_player(c, number);
    player_run(c->player, &c->v, &in, true, &c->got);
    if (c->got.fault == 14 && c->v.after.fault != 14 &&
        native_is_taken(&c->v, c->got.fault_address)) {
        w->taken++;
        return;
    }
    if (row_needs_segments(in.row) && names_host_segment(&c->v)) {
        w->taken++;
        return;
    }
    w->cases++;
    w->faults += c->v.after.fault != VECTOR_NO_FAULT;
    w->direct += goes_on(&in);
    w->per_row[in.row]++;
    if (c->o->print)
        show(c, number, &in, "");
    if (!player_compare(&c->v, &in, &c->got, c->vendor, w->absorbed, NULL, 0) &&
        !meets_other_code(c, &in))
        report_difference(c, number, &in);
    else if (number % LENGTH_EVERY == 0 && c->v.after.fault == VECTOR_NO_FAULT &&
             native_is_at_end(&c->v))
        ask_capstone(c);
}

static void make_players(struct context *c)
{
    c->players[0] = player_create();
    if (!c->o->translates)
        return;
    c->players[1] = player_create();
    player_translate(c->players[0], PLAYER_FLAGS_LIVE);
    player_translate(c->players[1], PLAYER_FLAGS_DEAD);
}

static void free_players(struct context *c)
{
    for (unsigned i = 0; i < 2 && c->players[i] != NULL; i++) {
        c->w->translated += player_translated(c->players[i]);
        player_destroy(c->players[i]);
    }
}

void run_worker(const struct options *o, enum decode_mode mode, const struct row_set *set,
                struct shared *shared, unsigned number)
{
    static struct context c;
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    char name[64];
    uint64_t end = o->first + o->cases;
    c.o = o;
    c.set = set;
    c.host = &shared->host;
    c.w = &shared->workers[number];
    make_players(&c);
    c.decoder = decoder_create();
    c.mode = mode;
    c.vendor = host_vendor(name, sizeof name);
    if (cs_open(CS_ARCH_X86, modes[mode], &c.capstone) != CS_ERR_OK)
        c.capstone = 0;
    for (;;) {
        uint64_t chunk = atomic_fetch_add(&shared->next, 1);
        uint64_t from = chunk * CHUNK, to = from + CHUNK;
        if (from >= end)
            break;
        start_chunk(&c, chunk);
        for (uint64_t n = from < o->first ? o->first : from; n < to && n < end; n++)
            run_case(&c, n);
    }
    free_players(&c);
    decoder_destroy(c.decoder);
    cs_close(&c.capstone);
}
