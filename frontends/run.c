/* SPDX-License-Identifier: MIT */
#include "frontends/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/chain.h"
#include "frontends/monitor.h"
#include "frontends/gdb_jit.h"
#include "frontends/perf_map.h"
#include "frontends/serial.h"
#include "frontends/stat.h"
#include "frontends/terminal.h"

/* One run, while it lasts. */
struct session {
    const struct options *o;    /* borrowed */
    struct channels channels;   /* serial ports */
    struct chain chain;         /* --hash-every */
    struct trapline_machine *m; /* owned */
    FILE *log;                  /* -D, or standard error */
    FILE *perf_map;             /* owned; NULL: none is wanted */
    struct gdb_jit *gdb_jit;    /* owned; the same */
    struct symbols *symbols;    /* owned; NULL: none were given */
    struct monitor monitor;     /* its prompt */
    uint64_t monitor_at;        /* position at which it comes again; UINT64_MAX: none */
    bool has_progress;          /* a line of progress stands on the terminal */
    bool is_saved;              /* --save is done */
    bool differs;               /* --verify: the engines do */
};

int report_error(const char *text, const char *hint)
{
    fprintf(stderr, "trapline: %s\n", text);
    if (hint[0])
        fprintf(stderr, "hint: %s\n", hint);
    return TRAPLINE_EXIT_ERROR;
}

int report_output(int status)
{
    enum { READER_GONE = 128 + SIGPIPE };
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno == EPIPE)
        return READER_GONE;
    return report_error("cannot write to standard output", errno ? strerror(errno) : "");
}

static int report_err(const struct err *err)
{
    return report_error(err->text, err->hint);
}

/* ---- call-backs ---- */

static void log_event(void *opaque, const struct trapline_event *e)
{
    const struct session *s = opaque;
    fprintf(s->log, "%" PRIu64 " %" PRIu64 ".%09" PRIu64 " %s%s%s %s\n", e->ticks,
            e->vtime_ns / 1000000000, e->vtime_ns % 1000000000, e->name, e->who ? " " : "",
            e->who ? e->who : "", e->text);
}

static void show_progress(void *opaque, const char *what, uint64_t done, uint64_t total)
{
    struct session *s = opaque;
    if (!isatty(STDERR_FILENO))
        return;
    bool is_done = done >= total;
    s->has_progress = !is_done;
    fprintf(stderr, "\r\033[K");
    if (!is_done)
        fprintf(stderr, "trapline: %s %u%%", what,
                total ? (unsigned)(100 * (double)done / (double)total) : 0);
    fflush(stderr);
}

static void end_progress(struct session *s)
{
    if (s->has_progress)
        fprintf(stderr, "\r\033[K");
    s->has_progress = false;
}

/* ---- before the first instruction ---- */

static int start_gdb_jit(struct session *s, struct err *err)
{
    if (!s->o->has_gdb_jit)
        return 0;
    s->gdb_jit = gdb_jit_create();
    return s->gdb_jit ? 0 : err_set(err, ENOMEM, "no memory for names of translated code");
}

static int open_outputs(struct session *s, struct err *err)
{
    int rc = start_gdb_jit(s, err);
    if (rc < 0)
        return rc;
    s->log = s->o->log_path ? fopen(s->o->log_path, "w") : stderr;
    if (s->log)
        return s->o->has_perf_map ? perf_map_open(&s->perf_map, err) : 0;
    int code = errno;
    err_set(err, code, "cannot write '%s': %s", s->o->log_path, strerror(code));
    err_hint(err, "-D wants a file that can be written");
    return -code;
}

static int from_library(struct err *err, const struct trapline_error *e, int rc)
{
    if (rc < 0) {
        err_set(err, -rc, "%s", e->text);
        err_hint(err, "%s", e->hint);
    }
    return rc;
}

/* Unknown patterns are an error: a trace that stays silent would be taken for a quiet guest. */
static int start_traces(struct session *s, struct err *err)
{
    for (unsigned i = 0; i < s->o->trace_count; i++) {
        if (trapline_trace(s->m, s->o->traces[i], true) == 0) {
            err_set(err, EINVAL, "no trace point is called '%s'", s->o->traces[i]);
            err_hint(err, "-trace help lists them");
            return -EINVAL;
        }
    }
    return 0;
}

/* Translated code has a name for whoever looks into this process. */
static void name_code(void *opaque, const void *code, size_t size, uint64_t rip, uint64_t physical)
{
    struct session *s = opaque;
    if (s->perf_map)
        perf_map_add(s->perf_map, code, size, rip, physical);
    if (s->gdb_jit)
        gdb_jit_add(s->gdb_jit, code, size, rip, physical);
}

static struct trapline_config complete_config(struct session *s)
{
    struct trapline_config config = s->o->config;
    channels_connect(&s->channels, &config);
    config.is_interactive = channels_are_interactive(&s->channels);
    config.interrupted = terminal_flag();
    config.wake_fd = terminal_wake_fd();
    config.trace = log_event;
    config.trace_opaque = s;
    config.progress = show_progress;
    config.progress_opaque = s;
    if (s->perf_map || s->gdb_jit) {
        config.translated = name_code;
        config.translated_opaque = s;
    }
    return config;
}

static int make_machine(struct session *s, struct err *err)
{
    struct trapline_config config = complete_config(s);
    struct trapline_error e;
    int rc = trapline_create(&config, &s->m, &e);
    end_progress(s);
    if (rc == 0 && s->o->load_path)
        rc = trapline_load(s->m, s->o->load_path, &e);
    if (rc == 0 && s->o->shows_places)
        rc = trapline_count_places(s->m, &e);
    s->channels.machine = s->m;
    return from_library(err, &e, rc);
}

static int prepare(struct session *s, struct err *err)
{
    const struct options *o = s->o;
    int rc = open_outputs(s, err);
    if (rc == 0 && o->symbols_path)
        rc = symbols_load(o->symbols_path, &s->symbols, err);
    s->monitor.symbols = s->symbols;
    if (rc == 0)
        rc = channels_open(&s->channels, o, err);
    if (rc == 0)
        rc = channels_wait(&s->channels, err);
    if (rc == 0)
        rc = make_machine(s, err);
    if (rc == 0)
        rc = start_traces(s, err);
    if (rc == 0)
        rc = chain_open(&s->chain, o->hash_every, o->hash_path, trapline_ticks(s->m),
                        o->load_path != NULL, err);
    if (rc == 0 && o->watch)
        rc = o->watch->begin(o->watch->opaque, s->m, s->symbols, err);
    return rc;
}

/* The terminal is made raw when a port reads from it. Ctrl-C goes to the guest when there are keys
 * to leave with. */
static void take_terminal(const struct session *s)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++)
        if (s->channels.serial[i].fd == STDIN_FILENO)
            terminal_raw(!s->channels.serial[i].has_keys);
}

/* ---- the run ---- */

static uint64_t next_position(const struct session *s)
{
    uint64_t save = s->o->save_path && !s->is_saved ? s->o->save_at : UINT64_MAX;
    uint64_t next = save < s->chain.next ? save : s->chain.next;
    if (s->o->watch && s->o->watch->until < next)
        next = s->o->watch->until;
    return s->monitor_at < next ? s->monitor_at : next;
}

/* The prompt has the terminal until a command runs the machine. False: it ended the run. */
static bool ask_monitor(struct session *s)
{
    bool goes_on = monitor_prompt(&s->monitor, s->m, &s->monitor_at) == MONITOR_GO;
    if (goes_on)
        take_terminal(s);
    return goes_on;
}

static int save(struct session *s, struct err *err)
{
    struct trapline_error e;
    s->is_saved = true;
    return from_library(err, &e, trapline_save(s->m, s->o->save_path, &e));
}

/* What is due at this position. */
static int at_position(struct session *s, struct err *err)
{
    uint64_t ticks = trapline_ticks(s->m);
    int rc = 0;
    if (s->chain.out && ticks == s->chain.next)
        rc = chain_add(&s->chain, s->m, err);
    if (rc == 0 && s->o->save_path && !s->is_saved && ticks == s->o->save_at)
        rc = save(s, err);
    return rc;
}

/* True: the request was a small matter, and the run goes on. */
static bool attend(struct session *s)
{
    int attention = terminal_take();
    if (attention & ATTENTION_CONNECT)
        channels_accept(&s->channels);
    if (attention & ~(ATTENTION_CONNECT | ATTENTION_MONITOR))
        return false;
    return !(attention & ATTENTION_MONITOR) || ask_monitor(s);
}

static bool at_breakpoint(struct session *s, const struct trapline_stop *stop)
{
    monitor_stopped(&s->monitor, stop);
    return ask_monitor(s);
}

/* A position was reached: whose? False: the run ends. */
static bool pass_position(struct session *s)
{
    const struct run_watch *w = s->o->watch;
    if (w && (w->is_over || trapline_ticks(s->m) >= w->until))
        return false;
    return trapline_ticks(s->m) != s->monitor_at || ask_monitor(s);
}

static int run_machine(struct session *s, struct trapline_stop *stop, struct err *err)
{
    if (s->o->has_monitor && !ask_monitor(s)) {
        stop->reason = TRAPLINE_STOP_INTERRUPTED;
        return 0;
    }
    for (;;) {
        trapline_run(s->m, next_position(s), stop);
        channels_flush(&s->channels);
        int rc = at_position(s, err);
        if (rc == 0)
            rc = channels_check(&s->channels, err);
        if (rc < 0)
            return rc;
        bool goes_on = (stop->reason == TRAPLINE_STOP_POSITION && pass_position(s)) ||
                       (stop->reason == TRAPLINE_STOP_BREAKPOINT && at_breakpoint(s, stop)) ||
                       (stop->reason == TRAPLINE_STOP_INTERRUPTED && attend(s));
        if (!goes_on)
            return 0;
    }
}

static int save_at_end(struct session *s, struct err *err)
{
    if (!s->o->save_path || s->is_saved)
        return 0;
    if (s->o->save_at == UINT64_MAX)
        return save(s, err);
    err_set(err, ERANGE, "the run ended at tick %" PRIu64 ", before --save-at %" PRIu64,
            trapline_ticks(s->m), s->o->save_at);
    err_hint(err, "nothing was saved; without --save-at the end is saved");
    return -ERANGE;
}

/* -verify: the library runs its own machines. */
static int verify(struct session *s, struct trapline_stop *stop, struct err *err)
{
    struct trapline_error e;
    int rc = open_outputs(s, err);
    if (rc == 0)
        rc = channels_open(&s->channels, s->o, err);
    if (rc == 0)
        rc = channels_wait(&s->channels, err);
    if (rc < 0)
        return rc;
    struct trapline_config config = complete_config(s);
    rc = trapline_verify(&config, s->log, stop, &e);
    end_progress(s);
    s->differs = rc > 0;
    return from_library(err, &e, rc < 0 ? rc : 0);
}

/* ---- after the last ---- */

#define CLASSIC_HINT "-virt bt runs this guest; docs/classic.md says what goes wrong in another ring than 0"

static const char *hint_for(enum trapline_reason reason)
{
    switch (reason) {
    case TRAPLINE_STOP_TRIPLE_FAULT:
        return "-d int shows the exceptions that led to it";
    case TRAPLINE_STOP_LONG_MODE:
        return "-virt bt, or a guest of 16 or 32 bits";
    case TRAPLINE_STOP_DEAD_HALT:
        return "-d int,irq shows what the guest was waiting for";
    default:
        return "";
    }
}

static int report_end(const struct session *s, const struct trapline_stop *stop)
{
    int status = trapline_exit_status(stop);
    char text[256];
    if (status >= TRAPLINE_EXIT_ERROR && stop->reason != TRAPLINE_STOP_DEBUG_EXIT) {
        int n = snprintf(text, sizeof(text), "%s", trapline_reason_text(stop->reason));
        if (s->m)
            snprintf(text + n, sizeof(text) - (size_t)n, ", at tick %" PRIu64, trapline_ticks(s->m));
        bool is_explained = s->m && stop->reason == TRAPLINE_STOP_TRIPLE_FAULT && trapline_explain_classic(s->m, stderr);
        report_error(text, is_explained ? CLASSIC_HINT : hint_for(stop->reason));
    } else if (stop->reason == TRAPLINE_STOP_INTERRUPTED && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\ntrapline: ended by its user\n");
    }
    return status;
}

static void print_tables(struct session *s)
{
    if (!s->m)
        return;
    fflush(stdout);
    if (s->o->shows_exits)
        trapline_print_exits(s->m, s->log);
    struct trapline_error e;
    if (s->o->shows_places && stat_print(s->m, s->symbols, s->o->top, s->log, &e) < 0)
        report_error(e.text, e.hint);
    if (s->o->shows_rows)
        trapline_print_rows(s->m, s->log);
    if (s->o->shows_jit)
        trapline_print_jit(s->m, s->log);
    if (s->o->shows_turns)
        trapline_print_turns(s->m, s->log);
    if (s->o->shows_paging)
        trapline_print_paging(s->m, s->log);
    if (s->o->shows_hypercalls)
        trapline_print_hypercalls(s->m, s->log);
}

static int close_log(struct session *s, struct err *err)
{
    if (!s->log || s->log == stderr)
        return 0;
    bool is_bad = ferror(s->log);
    if (fclose(s->log) == 0 && !is_bad)
        return 0;
    return err_set(err, EIO, "cannot write all of '%s'", s->o->log_path);
}

/* The first trouble stays. */
static int end_watch(struct session *s, int rc, struct err *err)
{
    struct err late;
    if (!s->o->watch || !s->m)
        return rc;
    int more = s->o->watch->end(s->o->watch->opaque, rc == 0 ? err : &late);
    return rc == 0 ? more : rc;
}

/* Give everything back; the first trouble stays. */
static int finish(struct session *s, int rc, struct err *err)
{
    struct err late;
    channels_close(&s->channels);
    terminal_restore();
    end_progress(s);
    print_tables(s);
    int more = channels_check(&s->channels, &late);
    if (more == 0)
        more = chain_close(&s->chain, &late);
    if (more == 0)
        more = close_log(s, &late);
    if (rc == 0 && more < 0) {
        *err = late;
        rc = more;
    }
    return rc;
}

int run(const struct options *o)
{
    struct err err = {{0}, {0}};
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return report_error("out of memory", "");
    s->o = o;
    s->monitor_at = UINT64_MAX;
    channels_init(&s->channels);
    int rc = o->verifies ? verify(s, &stop, &err) : prepare(s, &err);
    if (rc == 0 && !o->verifies) {
        take_terminal(s);
        rc = run_machine(s, &stop, &err);
    }
    if (rc == 0 && !o->verifies)
        rc = save_at_end(s, &err);
    rc = end_watch(s, rc, &err);
    rc = finish(s, rc, &err);
    int number = terminal_signal();
    int status = TRAPLINE_EXIT_ERROR;
    if (rc == 0 && !number)
        status = s->differs ? TRAPLINE_EXIT_DIFFERENCE : report_end(s, &stop);
    else if (!number)
        report_err(&err);
    trapline_destroy(s->m);
    symbols_free(s->symbols);
    if (s->perf_map)
        fclose(s->perf_map);
    gdb_jit_destroy(s->gdb_jit);
    free(s);
    if (number)
        terminal_die(number);
    return status;
}
