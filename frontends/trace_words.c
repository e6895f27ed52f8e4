/* SPDX-License-Identifier: MIT */
/* What formats of traces have in common: words for the parts of a step. */
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/html.h"
#include "frontends/trace_format.h"

static const struct trace_format *const formats[] = {&trace_text, &trace_csv, &trace_chrome, &trace_folded, &trace_svg, &trace_html};

const struct trace_format *trace_format_at(unsigned i)
{
    return i < ARRAY_SIZE(formats) ? formats[i] : NULL;
}

const struct trace_format *trace_format_of_path(const char *path)
{
    size_t n = strlen(path);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        size_t k = strlen(formats[i]->suffix);
        if (n > k && strcmp(path + n - k, formats[i]->suffix) == 0)
            return formats[i];
    }
    return NULL;
}

void trace_place(const struct trace_context *c, uint64_t address, char *text, size_t size)
{
    uint64_t offset;
    const char *name = c->symbols ? symbols_find(c->symbols, address, &offset) : NULL;
    if (name)
        snprintf(text, size, "%.96s+0x%" PRIx64, name, offset);
    else
        snprintf(text, size, "0x%" PRIx64, address);
}

/* ---- changes ---- */

/* Single bits of RFLAGS and CR0 that a reader knows by name. */
static const struct bit {
    const char *field, *name;
    uint64_t mask;
} bits[] = {
    {"rflags", "CF", 1 << 0},   {"rflags", "PF", 1 << 2},    {"rflags", "AF", 1 << 4},    {"rflags", "ZF", 1 << 6},
    {"rflags", "SF", 1 << 7},   {"rflags", "TF", 1 << 8},    {"rflags", "IF", 1 << 9},    {"rflags", "DF", 1 << 10},
    {"rflags", "OF", 1 << 11},  {"rflags", "IOPL", 3 << 12}, {"rflags", "NT", 1 << 14},   {"rflags", "RF", 1 << 16},
    {"rflags", "VM", 1 << 17},  {"rflags", "AC", 1 << 18},   {"rflags", "VIF", 1 << 19},  {"rflags", "VIP", 1 << 20},
    {"rflags", "ID", 1 << 21},  {"cr0", "CR0.PE", 1 << 0},   {"cr0", "CR0.TS", 1 << 3},   {"cr0", "CR0.WP", 1 << 16},
    {"cr0", "CR0.PG", UINT64_C(1) << 31},
};

struct words {
    char *text;
    size_t size, used;
};

static void add(struct words *w, const char *name, uint64_t before, uint64_t after)
{
    if (w->used + 1 >= w->size)
        return;
    int n = snprintf(w->text + w->used, w->size - w->used, "%s%s %" PRIx64 " -> %" PRIx64, w->used ? ", " : "", name, before, after);
    w->used += n > 0 ? (size_t)n : 0;
    w->used = w->used < w->size ? w->used : w->size - 1;
}

static uint64_t shifted(uint64_t v, uint64_t mask)
{
    v &= mask;
    while (!(mask & 1)) {
        mask >>= 1;
        v >>= 1;
    }
    return v;
}

static void add_change(struct words *w, const struct trapline_change *c)
{
    uint64_t rest = c->before ^ c->after;
    char name[48];
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        if (strcmp(bits[i].field, c->name) != 0 || !(rest & bits[i].mask))
            continue;
        add(w, bits[i].name, shifted(c->before, bits[i].mask), shifted(c->after, bits[i].mask));
        rest &= ~bits[i].mask;
    }
    if (!rest)
        return;
    snprintf(name, sizeof(name), c->count > 1 ? "%s[%u]" : "%s", c->name, c->index);
    add(w, name, c->before, c->after);
}

void trace_changes(const struct trace_context *c, const struct trapline_step *s, char *text, size_t size)
{
    struct trapline_change changes[24];
    struct words w = {.text = text, .size = size};
    unsigned n = trapline_step_changes(c->m, s, changes, ARRAY_SIZE(changes));
    text[0] = 0;
    for (unsigned i = 0; i < n && i < ARRAY_SIZE(changes); i++)
        add_change(&w, &changes[i]);
    if (n > ARRAY_SIZE(changes) && w.used < size)
        snprintf(text + w.used, size - w.used, ", and %u more", n - (unsigned)ARRAY_SIZE(changes));
}

void trace_sensitivity(unsigned set, char *text, size_t size)
{
    static const char *const names[] = {"control", "mode", "location", "time"};
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(names) && used < size; i++) {
        if (!(set & 1u << i))
            continue;
        int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "", names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* ---- names ---- */

const char *trace_mode_name(enum trapline_cpu_mode mode)
{
    static const char *const names[] = {"real", "vm86", "prot16", "prot32", "long64"};
    return mode < ARRAY_SIZE(names) ? names[mode] : "?";
}

const char *trace_kind_name(enum trapline_step_kind kind)
{
    static const char *const names[] = {"insn", "run", "exit", "exception", "interrupt", "nmi", "mmio-read", "mmio-write", "idle"};
    return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

const char *trace_level_name(enum trapline_trace_level level)
{
    static const char *const names[] = {"none", "events", "exits", "blocks", "insns"};
    return level < ARRAY_SIZE(names) ? names[level] : "?";
}

/* ---- JSON ---- */

void trace_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        unsigned n = utf8_length(text);
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else if (n)
            fwrite(text, 1, n, out);
        else
            fputs("\\ufffd", out);
        text += n ? n : 1;
    }
    fputc('"', out);
}
