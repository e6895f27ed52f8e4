/* SPDX-License-Identifier: MIT */
#include "base/trace.h"

#include <fnmatch.h>

const struct trace_desc trace_descs[TRACE_COUNT] = {
#define TRACE_EVENT(id, args, format, doc) {#id, format, doc, args},
#include "base/trace.def"
#undef TRACE_EVENT
};

unsigned trace_enable(struct trace *t, const char *glob, bool on)
{
    unsigned matched = 0;
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        if (fnmatch(glob, trace_descs[i].name, 0) == 0) {
            t->on[i] = on;
            matched++;
        }
    }
    return matched;
}
