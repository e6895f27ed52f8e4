/* SPDX-License-Identifier: MIT */
/* The lab `locks`: vCPUs on one physical CPU that want one spin lock, whose holder is preempted; what waiting costs, by the way of
 * waiting. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "frontends/html.h"
#include "frontends/lab.h"
#include "frontends/lab_guest.h"

enum { QUANTUM = 20000, WINDOW = 4000, LOCKS = 2, WAYS = 5, TICKS_MAX = 2000000000, NUMBERS = 4 };

/* The guest's way to wait, and what the monitor does of PAUSE meanwhile. */
static const struct way {
    const char *name;
    const char *word; /* of the guest's command line */
    enum trapline_pause pause;
    unsigned exits; /* that a wait takes: its own, and one of who ends it */
} ways[WAYS] = {
    {"spin", "pause", TRAPLINE_PAUSE_NEVER, 0},
    {"PAUSE-loop exit", "pause", TRAPLINE_PAUSE_LOOP, 1},
    {"yield: PAUSE exits", "pause", TRAPLINE_PAUSE_ALWAYS, 1},
    {"directed yield", "yield", TRAPLINE_PAUSE_NEVER, 1},
    {"halt and kick", "halt", TRAPLINE_PAUSE_NEVER, 2},
};
enum { SPIN, LOOP_EXIT, YIELD, DIRECTED, HALT };

static const char *const locks[LOCKS] = {"tas", "ticket"};
static const char *const lock_names[LOCKS] = {"test-and-set", "ticket"};

/* One run, between the guest's marks. */
struct session {
    struct trapline_machine *m;
    uint8_t mark;                 /* the last one: 0, 'A' or '.' */
    unsigned bytes;               /* that came behind it */
    uint32_t view;                /* address of the guest's struct view */
    uint64_t began;               /* virtual time of mark A: a tick is a ns */
    struct trapline_turns before; /* at mark A */
    double host;                  /* host's clock at A; from A to the end */
    uint64_t ticks;               /* from A to the end */
    struct trapline_turns turns;  /* in that time */
    uint32_t number[NUMBERS];     /* the guest's: see enum */
};
enum { ACQUIRED, CONTENDED, PREEMPTED, WAITS };

static void on_mark(struct session *s, uint8_t mark)
{
    struct trapline_turns now = TRAPLINE_TURNS_INIT;
    trapline_turns(s->m, &now);
    s->mark = mark;
    s->bytes = 0;
    if (mark == 'A') {
        s->began = trapline_vtime_ns(s->m);
        s->before = now;
        s->host = lab_host_clock();
    } else {
        s->host = lab_host_clock() - s->host;
        s->ticks = trapline_vtime_ns(s->m) - s->began;
        s->turns = now;
    }
}

static void on_byte(void *opaque, uint8_t byte)
{
    struct session *s = opaque;
    unsigned at = s->bytes++;
    if ((s->mark == 0 && byte == 'A') || (s->mark == 'A' && at >= 4 && byte == '.'))
        on_mark(s, byte);
    else if (s->mark == 'A' && at < 4)
        s->view |= (uint32_t)byte << 8 * at;
    else if (s->mark == '.' && at < sizeof(s->number))
        s->number[at / 4] |= (uint32_t)byte << 8 * (at % 4);
}

static int guest_failed(const struct trapline_stop *stop)
{
    bool has_no_calls = stop->reason == TRAPLINE_STOP_DEBUG_EXIT && stop->code == 2;
    return lab_guest_failed(stop, has_no_calls ? "it finds no hypercalls: CPUID 40000001H" : "");
}

static int create(unsigned lock, const struct way *w, unsigned vcpus, struct session *s)
{
    struct trapline_config config = lab_guest_config(lab_locks64, lab_locks64_size, on_byte, s);
    char append[64];
    snprintf(append, sizeof(append), "%s %s%s", locks[lock], w->word, vcpus == 1 ? " alone" : "");
    config.vcpus = vcpus;
    config.append = append;
    config.virt.policy = TRAPLINE_POLICY_PV;
    config.scheduling = (struct trapline_scheduling){.quantum = QUANTUM, .pause = w->pause, .pause_window = WINDOW};
    config.max_ticks = TICKS_MAX;
    *s = (struct session){.m = NULL};
    return lab_guest_create(&config, &s->m);
}

static int measure(unsigned lock, const struct way *w, unsigned vcpus, struct session *s)
{
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    int status = create(lock, w, vcpus, s);
    if (status)
        return status;
    trapline_run(s->m, UINT64_MAX, &stop);
    trapline_destroy(s->m);
    s->m = NULL;
    bool is_done = s->mark == '.' && s->bytes == sizeof(s->number);
    return stop.reason == TRAPLINE_STOP_DEBUG_EXIT && stop.code == 0 && is_done ? 0 : guest_failed(&stop);
}

/* ---- the picture ---- */

enum { CELL = 1000, CELLS = 84, SETTLE = 300000, TRACKS = 2, PICTURES = WAYS + 2 };

static const struct html_state states[] = {
    {'=', "#8fb8de", "works"},
    {'#', "#1d3f66", "holds the lock"},
    {'!', "#d1495b", "wants the lock and spins"},
    {'o', "#e9b44c", "holds the lock and does not run"},
    {'.', "#e8e8e8", "does not run"},
};

/* Who ran in the last cell, and what everybody is at now. */
static char mark_of(struct session *s, unsigned vcpu, uint64_t ran)
{
    uint8_t view[4 * (1 + TRACKS)] = {0};
    trapline_read(s->m, s->view, view, sizeof(view), NULL);
    bool holds_it = le32_load(view) == vcpu + 1;
    if (ran <= CELL / 2)
        return holds_it ? 'o' : '.';
    if (le32_load(view + 4 + 4 * vcpu))
        return '!';
    return holds_it ? '#' : '=';
}

/* Run on in small steps from when the work is well under way. */
static void draw(struct session *s, char cells[TRACKS][CELLS + 1])
{
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    uint64_t at = 0;
    while (!(s->mark == 'A' && s->bytes == 4) && at < TICKS_MAX)
        trapline_run(s->m, at += QUANTUM, &stop);
    trapline_run(s->m, at += SETTLE, &stop);
    for (unsigned i = 0; i < CELLS; i++) {
        uint64_t before[TRACKS];
        for (unsigned v = 0; v < TRACKS; v++)
            before[v] = trapline_vcpu_ticks(s->m, v);
        trapline_run(s->m, at += CELL, &stop);
        for (unsigned v = 0; v < TRACKS; v++)
            cells[v][i] = mark_of(s, v, trapline_vcpu_ticks(s->m, v) - before[v]);
    }
}

static int add_pictures(struct lab_report *report)
{
    static char cells[PICTURES][TRACKS][CELLS + 1], titles[PICTURES][64];
    static const char *const names[TRACKS] = {"vCPU 0", "vCPU 1"};
    const char *tracks[PICTURES][TRACKS];
    struct html_strip strips[PICTURES];
    for (unsigned i = 0; i < PICTURES; i++) {
        unsigned lock = i < WAYS ? 0 : 1, way = i < WAYS ? i : i - WAYS;
        struct session s;
        int status = create(lock, &ways[way], TRACKS, &s);
        if (status)
            return status;
        draw(&s, cells[i]);
        trapline_destroy(s.m);
        snprintf(titles[i], sizeof(titles[i]), "%s, %s", lock_names[lock], ways[way].name);
        for (unsigned v = 0; v < TRACKS; v++)
            tracks[i][v] = cells[i][v];
        strips[i] = (struct html_strip){titles[i], names, tracks[i], TRACKS, states, ARRAY_SIZE(states)};
    }
    lab_add_strips(report,
                   &(struct lab_strips){
                       .title = "What it looks like: two vCPUs, 84000 ticks, four turns",
                       .cell = "1000 ticks",
                       .text = "A turn that ends while the lock is held leaves a holder that does not run, and the other one spins until "
                               "its own turn is over. Look for ! and red: that is the time that each remedy saves. The ticket lock makes a "
                               "turn of one round and wastes the rest.",
                       .strips = strips,
                       .count = PICTURES});
    return 0;
}

/* ---- what a run says ---- */

/* A run and the same work without anybody to wait for. */
struct result {
    struct session run, alone;
};

/* Ticks beyond those of the work itself. */
static double wasted(const struct result *r)
{
    return r->run.ticks > r->alone.ticks ? (double)(r->run.ticks - r->alone.ticks) : 0;
}

static double exits(const struct result *r, const struct way *w)
{
    const struct trapline_turns *b = &r->run.before, *t = &r->run.turns;
    double pauses = (double)(t->pause_yields - b->pause_yields);
    return w->pause == TRAPLINE_PAUSE_NEVER ? (double)(r->run.number[WAITS] + (t->kicks - b->kicks)) : pauses;
}

/* Ticks of one round of the guest: the lock taken, held, released, and the work outside. */
static double round_ticks(const struct result *r)
{
    return (double)r->alone.ticks / r->alone.number[ACQUIRED];
}

/* How often a turn that is used up ends with the lock held: the part of a round for which it is. */
static double holds(const struct result *r)
{
    enum { CRITICAL = 2 * 500 }; /* roms/labs/locks.c */
    return CRITICAL / round_ticks(r);
}

/* By the model. */
static double cycles_of(double ticks, double out, const struct lab_costs *costs)
{
    return ticks * (double)costs->instruction + out * (double)(costs->exit + costs->call);
}

/* ---- theory ---- */

/* Ticks that a waiter burns before somebody else runs. */
static double burnt(unsigned way)
{
    return way == SPIN ? QUANTUM : way == LOOP_EXIT ? WINDOW : 0;
}

/*
 * Share of the time that is wasted. Test-and-set: a turn of work, then, if it ended with the lock held, each of the others burns what
 * it does before it is their turn again. Ticket: everybody waits in line all the time, so each burns it once a round.
 */
static double predicted_waste(const struct result *r, unsigned lock, unsigned way, unsigned vcpus)
{
    double burn = burnt(way), work = round_ticks(r);
    if (lock == 1)
        return way == SPIN ? 1 - work / QUANTUM : burn / (burn + work);
    burn *= (vcpus - 1) * holds(r);
    return burn / (QUANTUM + burn);
}

/* ---- the parts ---- */

struct results {
    struct result of[LOCKS][WAYS], four[WAYS];
};

static void add_preempted(const struct results *all, const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_row rows[WAYS];
    for (unsigned w = 0; w < WAYS; w++) {
        const struct result *r = &all->of[0][w];
        double n = r->run.number[PREEMPTED], each = wasted(r) / n, out = exits(r, &ways[w]) / n;
        rows[w] = (struct lab_row){.group = lock_names[0],
                                   .label = ways[w].name,
                                   .measured = each,
                                   .predicted = burnt(w),
                                   .extra = out,
                                   .cycles = cycles_of(each, out, costs)};
    }
    lab_add(report,
            &(struct lab_part){
                .title = "A. A preempted lock holder: two vCPUs on one physical CPU; wasted time, each time it happens",
                .columns = {"lock", "who waits does"},
                .unit = "ticks",
                .extra = "exits",
                .theory = "Theory: whoever finds the lock held can't get it before the holder runs, which is not before the waiter's "
                          "turn is over. Spinning burns the turn, 20000 ticks; PAUSE-loop exiting its window, 4000; a yield nothing "
                          "but its exit; halt and kick nothing but two. Spinning is a little cheaper than predicted: the waiter "
                          "first has work of its own to do, outside the lock, and that is not wasted. The few ticks of the others are the "
                          "instructions of waiting and waking. One in a hundred exits is for a holder that the guest does not count: it was "
                          "preempted between taking the lock and looking at the clock.",
                .plots_cycles = true,
                .rows = rows,
                .count = WAYS});
}

static void add_waste(const struct results *all, const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_row rows[LOCKS * WAYS];
    for (unsigned i = 0; i < LOCKS * WAYS; i++) {
        unsigned lock = i / WAYS, w = i % WAYS;
        const struct result *r = &all->of[lock][w];
        double taken = r->run.number[ACQUIRED], ticks = (double)r->run.ticks;
        rows[i] = (struct lab_row){.group = lock_names[lock],
                                   .label = ways[w].name,
                                   .measured = 100 * wasted(r) / ticks,
                                   .predicted = 100 * predicted_waste(r, lock, w, 2),
                                   .extra = 1e6 * taken / ticks,
                                   .cycles = cycles_of(ticks, exits(r, &ways[w]), costs) / taken,
                                   .host = r->run.host / taken};
    }
    lab_add(report,
            &(struct lab_part){
                .title = "B. The same two, as a whole: part of the time that is wasted, how often the lock is taken; cycles and host time each time",
                .columns = {"lock", "who waits does"},
                .unit = "% wasted",
                .extra = "per 10^6",
                .theory = "Theory, test-and-set: a turn of work ends with the lock held with probability p, the part of a round for "
                          "which it is held (about a half); the other then burns b, so p b / (Q + p b) is wasted. Ticket: it is "
                          "first come, first served, and the next in line need not be running: once the two have met, each passes the "
                          "lock to one that does not run, and then waits for it. A turn has one round, whatever its length: "
                          "1 - U / Q is wasted by spinning, w / (w + U) with a window, for a round of U ticks. Fairness in taking "
                          "turns is what does it; with yields or halts there is a switch for each round, but no waste, only the instructions of "
                          "waiting: some 20 to 30 of 2000.",
                .plots_cycles = true,
                .has_host = true,
                .rows = rows,
                .count = LOCKS * WAYS});
}

static void add_four(const struct results *all, const struct lab_costs *costs, struct lab_report *report)
{
    struct lab_row rows[WAYS];
    for (unsigned w = 0; w < WAYS; w++) {
        const struct result *r = &all->four[w];
        double n = r->run.number[PREEMPTED], out = exits(r, &ways[w]) / n;
        static const double predicted[WAYS] = {[LOOP_EXIT] = 3, [YIELD] = 3, [DIRECTED] = 1, [HALT] = 6};
        rows[w] = (struct lab_row){.group = lock_names[0],
                                   .label = ways[w].name,
                                   .measured = out,
                                   .predicted = predicted[w],
                                   .extra = 100 * wasted(r) / (double)r->run.ticks,
                                   .cycles = cycles_of(wasted(r) / n, out, costs)};
    }
    lab_add(report,
            &(struct lab_part){
                .title = "C. Four vCPUs on one physical CPU: exits for one preempted holder",
                .columns = {"lock", "who waits does"},
                .unit = "exits",
                .extra = "% wasted",
                .theory = "Theory: a blind exit passes the turn to the next in order, and with three waiters it takes three of them to "
                          "come to the holder; a directed yield names it. Spinning has no exits and burns three turns. Halting puts "
                          "all three to sleep, and the holder kicks each.",
                .plots_cycles = true,
                .rows = rows,
                .count = WAYS});
}

static int run_locks(const struct lab_costs *costs, struct lab_report *report)
{
    static struct results all;
    int status = lab_guests_check();
    for (unsigned w = 0; w < WAYS && status == 0; w++) {
        for (unsigned lock = 0; lock < LOCKS && status == 0; lock++) {
            status = measure(lock, &ways[w], 2, &all.of[lock][w].run);
            if (status == 0)
                status = measure(lock, &ways[w], 1, &all.of[lock][w].alone);
        }
        all.four[w].alone = all.of[0][w].alone;
        if (status == 0)
            status = measure(0, &ways[w], 4, &all.four[w].run);
    }
    if (status)
        return status;
    add_preempted(&all, costs, report);
    add_waste(&all, costs, report);
    add_four(&all, costs, report);
    return add_pictures(report);
}

const struct lab lab_locks = {"locks", "what does it cost to wait for a lock whose holder does not run?", run_locks};
