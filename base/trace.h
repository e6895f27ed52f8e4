/* SPDX-License-Identifier: MIT */
/*
 * Trace points. The events are listed in trace.def; a struct trace says which are on and where they go. Off, a point
 * costs one load and one branch. Everything that can trace holds a borrowed pointer to its VM's struct trace, which
 * may be NULL in unit tests.
 */
#pragma once

#include "base/compiler.h"

enum trace_id {
#define TRACE_EVENT(id, args, format, doc) TRACE_##id,
#include "base/trace.def"
#undef TRACE_EVENT
    TRACE_COUNT
};

struct trace_desc {
    const char *name;   /* "io_read" */
    const char *format; /* printf-like, every argument is %llx or %llu of unsigned long long */
    const char *doc;    /* one line */
    unsigned args;      /* how many arguments */
};

extern const struct trace_desc trace_descs[TRACE_COUNT];

struct trace {
    bool on[TRACE_COUNT];            /* enabled */
    uint64_t seen[TRACE_COUNT];      /* how often each enabled point fired: rate limits, statistics */
    void (*emit)(void *opaque, enum trace_id id, const char *who, const uint64_t args[4]);
    void *opaque;                    /* of emit */
};

/* 0: a build without them (CMake's TRAPLINE_TRACE_POINTS=OFF), to measure what they cost. */
#ifndef TRACE_POINTS
#define TRACE_POINTS 1
#endif

/* Fire a point if it is on. who: device or module instance, may be NULL. */
ALWAYS_INLINE void trace_point(struct trace *t, enum trace_id id, const char *who, uint64_t a, uint64_t b,
                               uint64_t c, uint64_t d)
{
    if (TRACE_POINTS && unlikely(t && t->on[id])) {
        const uint64_t args[4] = {a, b, c, d};
        t->seen[id]++;
        t->emit(t->opaque, id, who, args);
    }
}

/* The guest did what the datasheet forbids, or asked for what we do not have: traced, counted, never fatal. */
#define guest_error(t, who, what) trace_point((t), TRACE_guest_error, (who), (uint64_t)(uintptr_t)(what), 0, 0, 0)
#define unimplemented(t, who, what) trace_point((t), TRACE_unimplemented, (who), (uint64_t)(uintptr_t)(what), 0, 0, 0)

/* Switch on or off the events whose name matches the glob; how many matched. */
unsigned trace_enable(struct trace *t, const char *glob, bool on);
