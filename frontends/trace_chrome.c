/* SPDX-License-Identifier: MIT */
/*
 * Chrome's trace event format, which Perfetto opens ("Trace Event Format", JSON Object Format). A track for each vCPU: spans of
 * user and kernel mode (B, E), on them exits and instructions as slices of the ticks they took (X), idle time as one. Times are
 * virtual, in microseconds, and never go back.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "frontends/trace_format.h"

enum span { SPAN_NONE, SPAN_KERNEL, SPAN_USER };

struct state {
    bool has_events; /* a comma is due */
    uint64_t now;    /* the last time written */
    enum span span[64];
};

static void begin(struct trace_output *o)
{
    fputs("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"producer\":\"trapline\",\"version\":", o->out);
    trace_json_string(o->out, trapline_version());
    fputs(",\"command\":", o->out);
    trace_json_string(o->out, o->context->title);
    fputs("},\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"ts\":0,\"name\":\"process_name\",\"args\":{\"name\":\"guest\"}}", o->out);
}

/* The head of an event; the caller closes the brace. Times are brought into order: a slice of one tick may begin in it. */
static void event(struct trace_output *o, char ph, unsigned vcpu, uint64_t ns, const char *name)
{
    struct state *st = o->state;
    st->now = ns > st->now ? ns : st->now;
    fprintf(o->out, ",\n{\"ph\":\"%c\",\"pid\":1,\"tid\":%u,\"ts\":%" PRIu64 ".%03u,\"name\":", ph, vcpu, st->now / 1000,
            (unsigned)(st->now % 1000));
    trace_json_string(o->out, name);
}

static void set_span(struct trace_output *o, unsigned vcpu, uint64_t ns, enum span next)
{
    struct state *st = o->state;
    enum span *span = &st->span[vcpu % 64];
    char name[32];
    if (*span == next)
        return;
    if (*span == SPAN_NONE) {
        snprintf(name, sizeof(name), "vCPU %u", vcpu);
        event(o, 'M', vcpu, ns, "thread_name");
        fprintf(o->out, ",\"args\":{\"name\":\"%s\"}}", name);
    } else {
        event(o, 'E', vcpu, ns, *span == SPAN_USER ? "user" : "kernel");
        fputc('}', o->out);
    }
    *span = next;
    if (next == SPAN_NONE)
        return;
    event(o, 'B', vcpu, ns, next == SPAN_USER ? "user" : "kernel");
    fputs(",\"cat\":\"mode\"}", o->out);
}

static enum span span_of(unsigned cpl)
{
    return cpl == 3 ? SPAN_USER : SPAN_KERNEL;
}

static void string(FILE *out, const char *key, const char *value)
{
    if (!value || !value[0])
        return;
    fprintf(out, ",\"%s\":", key);
    trace_json_string(out, value);
}

static void arguments(struct trace_output *o, const struct trapline_step *s)
{
    char place[128], text[160] = "", changes[512];
    trace_place(o->context, s->rip, place, sizeof(place));
    if (s->length)
        trapline_step_text(o->context->m, s, text, sizeof(text));
    trace_changes(o->context, s, changes, sizeof(changes));
    fprintf(o->out, ",\"args\":{\"tick\":%" PRIu64 ",\"rip\":\"0x%" PRIx64 "\"", s->tick, s->rip);
    string(o->out, "place", place);
    string(o->out, "instruction", text);
    string(o->out, "reason", s->reason);
    string(o->out, "class", s->what);
    string(o->out, "owner", s->owner);
    string(o->out, "changes", changes);
    if (s->has_value || s->address)
        fprintf(o->out, ",\"address\":\"0x%" PRIx64 "\"", s->address);
    if (s->has_value)
        fprintf(o->out, ",\"value\":\"0x%" PRIx64 "\"", s->value);
    if (s->has_error_code)
        fprintf(o->out, ",\"error_code\":%" PRIu32, s->error_code);
    if (s->kind == TRAPLINE_STEP_INTERRUPT)
        fprintf(o->out, ",\"vector\":%u", s->vector);
    fputs("}}", o->out);
}

static void step(struct trace_output *o, const struct trapline_step *s, bool is_shown)
{
    uint64_t begins = s->vtime_ns, lasts = s->duration_ns;
    set_span(o, s->vcpu, begins, span_of(s->cpl));
    if (is_shown) {
        event(o, 'X', s->vcpu, begins, s->name);
        fprintf(o->out, ",\"dur\":%" PRIu64 ".%03u,\"cat\":\"%s\"", lasts / 1000, (unsigned)(lasts % 1000), trace_kind_name(s->kind));
        arguments(o, s);
    }
    if (s->next_cpl != s->cpl)
        set_span(o, s->vcpu, begins + lasts, span_of(s->next_cpl));
}

static void end(struct trace_output *o)
{
    struct state *st = o->state;
    uint64_t now = trapline_vtime_ns(o->context->m);
    for (unsigned i = 0; i < 64; i++)
        if (st->span[i] != SPAN_NONE)
            set_span(o, i, now, SPAN_NONE);
    fputs("\n]}\n", o->out);
}

const struct trace_format trace_chrome = {
    .name = "chrome",
    .suffix = ".json",
    .level = TRAPLINE_LEVEL_EXITS,
    .state_size = sizeof(struct state),
    .begin = begin,
    .step = step,
    .end = end,
};
