/* SPDX-License-Identifier: MIT */
#include "frontends/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/out_file.h"
#include "frontends/run.h"
#include "frontends/terminal.h"
#include "frontends/trace_filter.h"
#include "frontends/trace_format.h"

#define PROGRESS_STEPS 65536

/* A trace, while it lasts. */
struct trace_run {
    struct trace_options o;
    struct trace_context context;
    struct trace_output outputs[TRACE_OUTPUTS];
    struct out_file files[TRACE_OUTPUTS];
    struct run_watch watch;
    uint64_t steps; /* told */
    uint64_t shown; /* of them, written */
    bool has_progress;
    bool shows_progress;
    char title[1024];
};

/* ---- steps ---- */

static void progress(struct trace_run *t, const struct trapline_step *s)
{
    t->has_progress = true;
    fprintf(stderr, "\r\033[Ktrapline: tick %" PRIu64 ", %" PRIu64 " steps", s->tick, t->shown);
    fflush(stderr);
}

static void take_step(void *opaque, const struct trapline_step *s)
{
    struct trace_run *t = opaque;
    if (t->watch.is_over)
        return;
    bool is_shown = trace_filter_shows(&t->o, t->context.symbols, s);
    for (unsigned i = 0; i < t->o.output_count; i++)
        t->outputs[i].format->step(&t->outputs[i], s, is_shown);
    t->steps++;
    t->shown += is_shown;
    if (t->shows_progress && t->steps % PROGRESS_STEPS == 0)
        progress(t, s);
    if (t->o.limit && t->shown >= t->o.limit) {
        t->watch.is_over = true;
        trapline_end_run(t->context.m);
    }
}

/* ---- begin and end ---- */

static int open_output(struct trace_run *t, unsigned i, struct err *err)
{
    struct trace_output *o = &t->outputs[i];
    *o = (struct trace_output){.context = &t->context, .format = t->o.outputs[i].format};
    int rc = out_file_open(&t->files[i], t->o.outputs[i].path, "-o wants a file that can be written", err);
    if (rc < 0)
        return rc;
    o->out = t->files[i].out;
    o->state = calloc(1, o->format->state_size + 1);
    if (!o->state)
        return err_set(err, ENOMEM, "out of memory");
    if (o->format->begin)
        o->format->begin(o);
    return 0;
}

static int begin(void *opaque, struct trapline_machine *m, const struct symbols *symbols, struct err *err)
{
    struct trace_run *t = opaque;
    struct trapline_error e = {{0}, {0}};
    t->context = (struct trace_context){.m = m, .symbols = symbols, .options = &t->o, .title = t->title};
    int rc = trace_filter_resolve(&t->o, symbols, err);
    for (unsigned i = 0; rc == 0 && i < t->o.output_count; i++)
        rc = open_output(t, i, err);
    if (rc < 0)
        return rc;
    const struct trapline_trace_config config = {
        .size = sizeof(config), .level = t->o.level, .from = t->o.from, .ticks = t->o.ticks, .step = take_step, .opaque = t};
    rc = trapline_trace_steps(m, &config, &e);
    if (rc < 0) {
        err_set(err, -rc, "%s", e.text);
        err_hint(err, "%s", e.hint);
    }
    return rc;
}

static int end_output(struct trace_run *t, unsigned i, struct err *err)
{
    struct trace_output *o = &t->outputs[i];
    if (o->format->end)
        o->format->end(o);
    if (o->is_full)
        return err_set(err, ENOMEM, "no memory for all that -format %s wants to keep", o->format->name);
    return out_file_finish(&t->files[i], err);
}

static int end(void *opaque, struct err *err)
{
    struct trace_run *t = opaque;
    int rc = 0;
    if (t->has_progress)
        fprintf(stderr, "\r\033[K");
    for (unsigned i = 0; rc == 0 && i < t->o.output_count; i++)
        if (t->outputs[i].state)
            rc = end_output(t, i, err);
    return rc;
}

static void dispose(struct trace_run *t)
{
    for (unsigned i = 0; i < t->o.output_count; i++) {
        struct trace_output *o = &t->outputs[i];
        if (o->state && o->format->dispose)
            o->format->dispose(o);
        free(o->state);
        out_file_discard(&t->files[i]);
    }
}

/* ---- the verb ---- */

static void make_title(struct trace_run *t, int count, char *const words[])
{
    size_t used = (size_t)snprintf(t->title, sizeof(t->title), "trapline trace");
    for (int i = 0; i < count && used < sizeof(t->title); i++) {
        bool is_plain = words[i][0] && !strpbrk(words[i], " \t'\"");
        int n = snprintf(t->title + used, sizeof(t->title) - used, is_plain ? " %s" : " '%s'", words[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool writes_to_stdout(const struct trace_options *o)
{
    for (unsigned i = 0; i < o->output_count; i++)
        if (!o->outputs[i].path)
            return true;
    return false;
}

/* Standard output has the trace or the guest's first port, not both. */
static int share_stdout(struct options *o, const struct trace_options *t, struct err *err)
{
    if (!writes_to_stdout(t))
        return 0;
    if (o->serials == 0 && !o->nographic) {
        o->serial[0] = (struct channel){.kind = CHANNEL_NULL};
        return 0;
    }
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        if (o->serial[i].kind == CHANNEL_STDIO) {
            err_set(err, EINVAL, "both the trace and a serial port want standard output");
            err_hint(err, "-o FILE for the trace");
            return -EINVAL;
        }
    }
    return 0;
}

static int run_traced(struct trace_run *t, struct options *o, int count, char *const words[])
{
    struct err err = {{0}, {0}};
    options_init(o);
    int rc = options_parse(o, count, words, &err);
    if (rc == 0 && o->action == ACTION_RUN)
        rc = share_stdout(o, &t->o, &err);
    if (rc == 0 && o->action != ACTION_RUN)
        rc = err_set(&err, EINVAL, "trapline trace runs a guest; for -version, help lists and -print-config there is trapline run");
    if (rc == 0 && o->verifies)
        rc = err_set(&err, EINVAL, "-verify runs two machines; trapline trace wants one");
    if (rc < 0)
        return report_error(err.text, err.hint);
    t->watch = (struct run_watch){.begin = begin, .end = end, .opaque = t, .until = UINT64_MAX};
    if (t->o.ticks && t->o.ticks < UINT64_MAX - t->o.from)
        t->watch.until = t->o.from + t->o.ticks;
    o->watch = &t->watch;
    t->shows_progress = isatty(STDERR_FILENO) && !(writes_to_stdout(&t->o) && isatty(STDOUT_FILENO));
    return run(o);
}

int verb_trace(int count, char *const words[])
{
    struct err err = {{0}, {0}};
    struct trace_run *t = calloc(1, sizeof(*t));
    struct options *o = calloc(1, sizeof(*o));
    char **rest = calloc((size_t)count + 1, sizeof(*rest));
    int rest_count = 0, status;
    if (!t || !o || !rest) {
        status = report_error("out of memory", "");
    } else if (trace_options_parse(&t->o, count, words, rest, &rest_count, &err) < 0) {
        status = report_error(err.text, err.hint);
    } else if (t->o.is_help) {
        trace_options_print_help(stdout);
        status = 0;
    } else {
        make_title(t, count, words);
        status = run_traced(t, o, rest_count, rest);
        dispose(t);
    }
    free(rest);
    free(o);
    free(t);
    return status;
}
