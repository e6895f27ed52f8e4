/* SPDX-License-Identifier: MIT */
/* Positions (hash, save, load), exits, trace points and the instruction table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/policy.h"
#include "monitor/timeline/timeline.h"
#include "monitor/trapline_priv.h"

/* ---- positions ---- */

static int hash_failed(struct trapline_error *error, int rc)
{
    struct err err;
    if (rc < 0)
        err_set(&err, -rc, "cannot hash the machine: %s", strerror(-rc));
    return trapline_fail(error, &err, rc);
}

int trapline_hash(struct trapline_machine *t, uint8_t hash[TRAPLINE_HASH_BYTES],
                  struct trapline_error *error)
{
    return hash_failed(error, timeline_hash(t->m, hash));
}

int trapline_hash_chain(struct trapline_machine *t, uint8_t link[TRAPLINE_HASH_BYTES],
                        struct trapline_error *error)
{
    uint8_t state[HASH_BYTES];
    _Static_assert(HASH_BYTES == TRAPLINE_HASH_BYTES, "the public size is the inside's");
    int rc = timeline_hash(t->m, state);
    if (rc == 0)
        timeline_chain(link, state);
    return hash_failed(error, rc);
}

int trapline_save(struct trapline_machine *t, const char *path, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    return trapline_fail(error, &err, timeline_save(t->m, path, &err));
}

int trapline_load(struct trapline_machine *t, const char *path, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    return trapline_fail(error, &err, timeline_load(t->m, path, &err));
}

/* ---- exits ---- */

void trapline_print_exits(struct trapline_machine *t, FILE *out)
{
    struct vm *vm = t->m->vm;
    block_cache_fold_all(vm->blocks);
    exits_print(&vm->exits, t->m->s.ticks, out);
}

const char *trapline_pv_feature(unsigned i)
{
    return pv_feature_name(i);
}

void trapline_revoke(struct trapline_machine *t, uint32_t features)
{
    pv_revoke(t->m->vm, features);
}

uint64_t trapline_hypercalls(const struct trapline_machine *t, uint64_t number)
{
    return pv_count(t->m->vm, number);
}

void trapline_print_hypercalls(const struct trapline_machine *t, FILE *out)
{
    pv_print(t->m->vm, out);
}

int trapline_count_places(struct trapline_machine *t, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    int rc = exits_count_places(&t->m->vm->exits);
    if (rc < 0)
        err_set(&err, -rc, "no memory to count where exits happen");
    return trapline_fail(error, &err, rc);
}

static void describe_event(struct trapline_exit_place *out, const struct exit_place *p)
{
    static const struct {
        const char *name, *reason, *what;
    } others[] = {
        [PLACE_INTERRUPT] = {"interrupt", NULL, "interrupt"},
        [PLACE_NMI] = {"NMI", NULL, "interrupt"},
        [PLACE_MMIO_READ] = {"MMIO read", "memory-mapped I/O read", "device access"},
        [PLACE_MMIO_WRITE] = {"MMIO write", "memory-mapped I/O write", "device access"},
    };
    if (p->kind == PLACE_EXCEPTION) {
        out->name = exits_exception_name(p->what);
        out->reason = exit_reason_name(REASON_EXCEPTION_NMI);
        out->what = "exception";
        return;
    }
    out->name = others[p->kind].name;
    out->what = others[p->kind].what;
    out->reason = others[p->kind].reason;
    if (!out->reason)
        out->reason = exit_reason_name(p->kind == PLACE_NMI ? REASON_EXCEPTION_NMI : REASON_EXTERNAL_INTERRUPT);
}

static struct trapline_exit_place describe(const struct exit_place *p)
{
    struct trapline_exit_place out = {.size = sizeof(out), .rip = p->rip, .is_user = p->is_user, .count = p->count};
    if (p->kind != PLACE_INSN) {
        describe_event(&out, p);
        return out;
    }
    const struct insn_desc *d = insn_row(p->what);
    out.name = d->name;
    out.reason = exit_reason_name(policy_exit_reason(d->op, NULL));
    out.what = policy_class(p->what);
    return out;
}

int trapline_exit_places(struct trapline_machine *t,
                         bool (*visit)(void *opaque, const struct trapline_exit_place *place), void *opaque,
                         struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct vm *vm = t->m->vm;
    const struct exit_places *places = vm->exits.places;
    unsigned count;
    bool goes_on = true;
    block_cache_fold_all(vm->blocks);
    struct exit_place *all = exit_places_sorted(&vm->exits, &count);
    if (!all && places)
        return trapline_fail(error, &err, err_set(&err, ENOMEM, "no memory to sort places"));
    for (unsigned i = 0; i < count && goes_on; i++) {
        struct trapline_exit_place out = describe(&all[i]);
        goes_on = visit(opaque, &out);
    }
    free(all);
    if (goes_on && places && places->elsewhere)
        visit(opaque, &(struct trapline_exit_place){.size = sizeof(struct trapline_exit_place), .count = places->elsewhere});
    return 0;
}

void trapline_print_rows(struct trapline_machine *t, FILE *out)
{
    struct vm *vm = t->m->vm;
    block_cache_fold_all(vm->blocks);
    exits_print_rows(&vm->exits, out);
}

/* ---- trace points ---- */

static bool is_text(const struct trace_desc *d)
{
    return strcmp(d->format, "%s") == 0;
}

static void format_event(char *text, size_t size, const struct trace_desc *d, const uint64_t a[4])
{
    if (is_text(d))
        snprintf(text, size, "%s", (const char *)(uintptr_t)a[0]);
    else
        snprintf(text, size, d->format, (unsigned long long)a[0], (unsigned long long)a[1],
                 (unsigned long long)a[2], (unsigned long long)a[3]);
}

static void emit(void *opaque, enum trace_id id, const char *who, const uint64_t args[4])
{
    const struct trapline_machine *t = opaque;
    char text[256];
    format_event(text, sizeof(text), &trace_descs[id], args);
    vtime now = machine_now(t->m);
    struct trapline_event event = {
        .size = sizeof(event),
        .name = trace_descs[id].name,
        .who = who,
        .text = text,
        .ticks = (now - t->m->s.idle_ns - t->m->s.waited_ns) / t->m->s.ns_per_tick,
        .vtime_ns = now,
    };
    if (!is_text(&trace_descs[id]))
        memcpy(event.args, args, sizeof(event.args));
    t->config.trace(t->config.trace_opaque, &event);
}

void trapline_connect_trace(struct trapline_machine *t)
{
    t->m->trace.emit = emit;
    t->m->trace.opaque = t;
}

unsigned trapline_trace(struct trapline_machine *t, const char *pattern, bool on)
{
    return t->config.trace ? trace_enable(&t->m->trace, pattern, on) : 0;
}

bool trapline_trace_point(unsigned i, const char **name, const char **doc)
{
    if (i >= TRACE_COUNT)
        return false;
    *name = trace_descs[i].name;
    *doc = trace_descs[i].doc;
    return true;
}

bool trapline_cpu_model(unsigned i, const char **name, const char **doc)
{
    *name = cpu_model_name(i, doc);
    return *name;
}

bool trapline_cpu_feature(unsigned i, const char **name, const char **doc, bool *is_executed)
{
    *name = cpu_feature_name(i, doc, is_executed);
    return *name;
}

/* ---- the instruction table ---- */

static const char *privilege_name(uint8_t privilege)
{
    static const char *const names[] = {
        [PRIV_NONE] = "",           [PRIV_CPL0] = "CPL0",       [PRIV_IOPL] = "IOPL",
        [PRIV_IO] = "IO",           [PRIV_VM86] = "VM86",       [PRIV_UMIP] = "UMIP",
        [PRIV_TSD] = "TSD",         [PRIV_PCE] = "PCE",         [PRIV_PE] = "PE",
        [PRIV_GATE] = "GATE",       [PRIV_FSGS] = "FSGS",       [PRIV_OSXSAVE] = "OSXSAVE",
        [PRIV_CPL0_PE] = "CPL0_PE", [PRIV_UMIP_PE] = "UMIP_PE",
    };
    return privilege < ARRAY_SIZE(names) && names[privilege] ? names[privilege] : "?";
}

bool trapline_insn_row(unsigned i, struct trapline_insn *row)
{
    if (i >= insn_row_count())
        return false;
    const struct insn_desc *d = insn_row(i);
    struct trapline_insn out = {
        .size = row->size,
        .name = d->name,
        .encoding = d->encoding,
        .operands = d->operands,
        .manual = d->manual,
        .feature = feature_name(d->feature),
        .privilege = privilege_name(d->privilege),
        .sensitivity = d->sensitivity,
        .flags_tested = d->tested,
        .flags_written = d->written,
        .flags_undefined = d->undefined,
    };
    memcpy(row, &out, row->size < sizeof(out) ? row->size : sizeof(out));
    return true;
}
