/* SPDX-License-Identifier: MIT */
/* Traces to read: a line for each step. */
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/trace_format.h"

#define WIDE 512

static void begin(struct trace_output *o)
{
    fprintf(o->out, "# trapline trace, version 1\n# %12s %2s %-6s %3s  %-32s  %s\n", "TICK", "vC", "MODE", "CPL", "PLACE",
            "INSTRUCTION OR EVENT ; WHAT CAME OF IT");
}

/* Who saw it, as what. */
static void print_class(FILE *out, const struct trapline_step *s)
{
    char set[64];
    trace_sensitivity(s->sensitivity, set, sizeof(set));
    fprintf(out, " ; %s", s->what);
    if (set[0])
        fprintf(out, " (%s)", set);
    if (s->reason)
        fprintf(out, "; exit: %s; owner: %s", s->reason, s->owner ? s->owner : "none");
    else if (s->kind == TRAPLINE_STEP_SENSITIVE)
        fprintf(out, "; no exit");
}

static void print_value(FILE *out, const struct trapline_step *s)
{
    bool is_memory = s->kind == TRAPLINE_STEP_MMIO_READ || s->kind == TRAPLINE_STEP_MMIO_WRITE;
    const char *what = is_memory ? "pa" : s->width == 8 ? "MSR" : "port";
    fprintf(out, "; %s 0x%" PRIx64 " = 0x%" PRIx64, what, s->address, s->value);
}

static void print_event(FILE *out, const struct trapline_step *s)
{
    fprintf(out, "; vector %u", s->vector);
    if (s->has_error_code)
        fprintf(out, ", error code 0x%" PRIx32, s->error_code);
    if (s->kind == TRAPLINE_STEP_EXCEPTION && s->vector == 14)
        fprintf(out, ", address 0x%" PRIx64, s->address);
}

static bool is_event(const struct trapline_step *s)
{
    return s->kind == TRAPLINE_STEP_EXCEPTION || s->kind == TRAPLINE_STEP_INTERRUPT || s->kind == TRAPLINE_STEP_NMI;
}

static void print_instruction(const struct trace_context *c, FILE *out, const struct trapline_step *s)
{
    char text[160] = "";
    if (s->length)
        trapline_step_text(c->m, s, text, sizeof(text));
    if (is_event(s) || s->kind >= TRAPLINE_STEP_MMIO_READ)
        fprintf(out, "%s%s%s", s->name, text[0] ? " in " : "", text);
    else
        fputs(text[0] ? text : s->name, out);
    if (s->kind == TRAPLINE_STEP_IDLE)
        fprintf(out, " for %" PRIu64 " ns", s->duration_ns);
    if (s->ticks > 1)
        fprintf(out, " (%" PRIu64 "%s)", s->ticks, s->kind == TRAPLINE_STEP_RUN ? " instructions" : " iterations");
}

/* Where control went, if not behind. *mark: what stands before the next part. */
static void print_flow(const struct trace_context *c, FILE *out, const struct trapline_step *s, const char **mark)
{
    char place[128];
    if (s->flow == TRAPLINE_FLOW_NEXT)
        return;
    trace_place(c, s->next_rip, place, sizeof(place));
    fprintf(out, "%s to %s", *mark, place);
    *mark = ";";
    if (s->next_cpl != s->cpl)
        fprintf(out, " at CPL %u", s->next_cpl);
}

static void step(struct trace_output *o, const struct trapline_step *s, bool is_shown)
{
    const struct trace_context *c = o->context;
    char place[128], changes[WIDE];
    if (!is_shown)
        return;
    trace_place(c, s->rip, place, sizeof(place));
    fprintf(o->out, "%14" PRIu64 " %2u %-6s %3u  %-32s  ", s->tick, s->vcpu, trace_mode_name(s->mode), s->cpl, place);
    print_instruction(c, o->out, s);
    bool is_plain = s->kind == TRAPLINE_STEP_INSN || s->kind == TRAPLINE_STEP_RUN || s->kind == TRAPLINE_STEP_IDLE;
    const char *mark = is_plain ? " ;" : ";";
    if (!is_plain)
        print_class(o->out, s);
    if (s->has_value)
        print_value(o->out, s);
    if (is_event(s))
        print_event(o->out, s);
    if (s->is_fault)
        fputs("; raises an exception", o->out);
    print_flow(c, o->out, s, &mark);
    trace_changes(c, s, changes, sizeof(changes));
    if (changes[0])
        fprintf(o->out, "%s %s", mark, changes);
    fputc('\n', o->out);
}

const struct trace_format trace_text = {.name = "text", .suffix = ".txt", .level = TRAPLINE_LEVEL_EXITS, .begin = begin, .step = step};

/* ---- CSV: RFC 4180, a head line ---- */

static void csv_string(FILE *out, const char *s)
{
    bool is_plain = strpbrk(s, ",\"\r\n") == NULL;
    if (!is_plain)
        fputc('"', out);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', out);
        fputc(*s, out);
    }
    if (!is_plain)
        fputc('"', out);
    fputc(',', out);
}

static void csv_begin(struct trace_output *o)
{
    fputs("tick,ticks,vtime_ns,duration_ns,vcpu,cpl,mode,kind,rip,place,code,text,name,reason,class,sensitivity,owner,fault,flow,"
          "next_rip,next_cpl,vector,error_code,address,value,changes\r\n",
          o->out);
}

static void csv_where(struct trace_output *o, const struct trapline_step *s)
{
    char place[128];
    trace_place(o->context, s->rip, place, sizeof(place));
    fprintf(o->out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u,%u,%s,%s,0x%" PRIx64 ",", s->tick, s->ticks, s->vtime_ns,
            s->duration_ns, s->vcpu, s->cpl, trace_mode_name(s->mode), trace_kind_name(s->kind), s->rip);
    csv_string(o->out, place);
    for (unsigned i = 0; i < s->length; i++)
        fprintf(o->out, "%02x", s->code[i]);
    fputc(',', o->out);
}

static void csv_what(struct trace_output *o, const struct trapline_step *s)
{
    char text[160] = "", set[64];
    if (s->length)
        trapline_step_text(o->context->m, s, text, sizeof(text));
    trace_sensitivity(s->sensitivity, set, sizeof(set));
    csv_string(o->out, text);
    csv_string(o->out, s->name);
    csv_string(o->out, s->reason ? s->reason : "");
    csv_string(o->out, s->what);
    csv_string(o->out, set);
    csv_string(o->out, s->owner ? s->owner : "");
}

static void csv_step(struct trace_output *o, const struct trapline_step *s, bool is_shown)
{
    static const char *const flows[] = {"next", "jump", "call", "return", "enter", "leave"};
    char changes[WIDE];
    if (!is_shown)
        return;
    csv_where(o, s);
    csv_what(o, s);
    fprintf(o->out, "%d,%s,0x%" PRIx64 ",%u,", s->is_fault, flows[s->flow], s->next_rip, s->next_cpl);
    if (is_event(s))
        fprintf(o->out, "%u,", s->vector);
    else
        fputc(',', o->out);
    if (s->has_error_code)
        fprintf(o->out, "0x%" PRIx32, s->error_code);
    if (s->has_value || (s->kind == TRAPLINE_STEP_EXCEPTION && s->vector == 14))
        fprintf(o->out, ",0x%" PRIx64 ",", s->address);
    else
        fputs(",,", o->out);
    if (s->has_value)
        fprintf(o->out, "0x%" PRIx64, s->value);
    fputc(',', o->out);
    trace_changes(o->context, s, changes, sizeof(changes));
    fprintf(o->out, "\"%s\"\r\n", changes);
}

const struct trace_format trace_csv = {.name = "csv", .suffix = ".csv", .level = TRAPLINE_LEVEL_EXITS, .begin = csv_begin, .step = csv_step};
