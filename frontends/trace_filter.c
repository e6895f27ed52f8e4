/* SPDX-License-Identifier: MIT */
#include "frontends/trace_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

static int resolve(struct trace_range *r, const struct symbols *symbols, struct err *err)
{
    if (!r->name)
        return 0;
    if (symbols && symbols_range(symbols, r->name, &r->first, &r->last))
        return 0;
    err_set(err, EINVAL, "-address: %s '%.60s'", symbols ? "no symbol is called" : "there are no symbols to find", r->name);
    err_hint(err, "-symbols FILE says where functions are: a System.map, a saved /proc/kallsyms, an ELF file");
    return -EINVAL;
}

int trace_filter_resolve(struct trace_options *o, const struct symbols *symbols, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < o->range_count; i++)
        rc = resolve(&o->ranges[i], symbols, err);
    if (rc == 0 && o->symbol_count > 0 && !symbols) {
        rc = err_set(err, EINVAL, "-symbol: there are no symbols");
        err_hint(err, "-symbols FILE says where functions are: a System.map, a saved /proc/kallsyms, an ELF file");
    }
    return rc;
}

static bool is_in_range(const struct trace_options *o, uint64_t rip)
{
    for (unsigned i = 0; i < o->range_count; i++)
        if (rip >= o->ranges[i].first && rip <= o->ranges[i].last)
            return true;
    return o->range_count == 0;
}

static bool matches(const char *const *patterns, unsigned count, const char *name)
{
    for (unsigned i = 0; name && i < count; i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    return false;
}

static bool is_in_symbol(const struct trace_options *o, const struct symbols *symbols, uint64_t rip)
{
    uint64_t offset;
    return o->symbol_count == 0 || (symbols && matches(o->symbols, o->symbol_count, symbols_find(symbols, rip, &offset)));
}

static bool is_in_mode(unsigned modes, const struct trapline_step *s)
{
    static const unsigned bits[] = {SHOW_REAL, SHOW_VM86, SHOW_PROT, SHOW_PROT, SHOW_LONG};
    bool ok = !(modes & SHOW_ANY_MODE) || (modes & bits[s->mode]);
    return ok && (!(modes & SHOW_ANY_CPL) || (modes & (unsigned)SHOW_CPL0 << s->cpl));
}

static bool is_for_reason(const struct trace_options *o, const struct trapline_step *s)
{
    if (o->reason_count == 0)
        return true;
    if (s->kind == TRAPLINE_STEP_INSN || s->kind == TRAPLINE_STEP_RUN)
        return false;
    return matches(o->reasons, o->reason_count, s->reason) || matches(o->reasons, o->reason_count, s->name);
}

bool trace_filter_shows(const struct trace_options *o, const struct symbols *symbols, const struct trapline_step *s)
{
    return (!o->has_vcpu || s->vcpu == o->vcpu) && is_in_range(o, s->rip) && is_in_mode(o->modes, s) && is_for_reason(o, s) &&
           is_in_symbol(o, symbols, s->rip);
}
