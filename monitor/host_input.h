/* SPDX-License-Identifier: MIT */
/*
 * The one door (design section 4): everything that is not a function of the machine's own state enters here, at quantum
 * boundaries and while idle only. A source is a file descriptor whose bytes go to a sink; each admitted item has a vtime. This
 * file is the only one that may look at the host's clock.
 */
#pragma once

#include "base/types.h"

#define DOOR_SOURCES 16
#define DOOR_BUFFER 4096

struct door_source {
    int fd;                                             /* readable, non-blocking; -1: free slot; borrowed */
    unsigned (*room)(void *opaque);                     /* bytes the sink takes now */
    void (*put)(void *opaque, const uint8_t *p, size_t n); /* at most room() bytes */
    void *opaque;                                       /* the sink */
    /* Look at raw bytes first (escape keys); may be NULL. Returns how many of them to pass on, compacted in p. */
    size_t (*filter)(void *opaque, uint8_t *p, size_t n);
    void *filter_opaque;                                /* of filter */
    uint8_t buffer[DOOR_BUFFER];                        /* read and not yet admitted */
    size_t used;                                        /* bytes in buffer */
    bool at_eof;                                        /* the peer is gone */
    bool stays_open;                                    /* and another may come: fd and at_eof will change */
    bool is_wake;                                       /* only ends a wait: no input ever comes from here */
};

struct host_input {
    struct door_source sources[DOOR_SOURCES]; /* count of them */
    unsigned count;                           /* of sources[] */
    bool is_interactive;                      /* idle time is slept, not skipped */
    uint64_t wall_start;                      /* host ns when vtime was wall_vtime */
    vtime wall_vtime;                         /* see wall_start */
    bool has_wall;                            /* the two above are set */
    const volatile int *interrupted;          /* a signal handler's flag: stop sleeping; may be NULL */
    void (*flush)(void *opaque);              /* show output kept so far: called at every poll and wait; may be NULL */
    void *flush_opaque;                       /* of flush */
};

/* Add a source; its index, or -1 when there are too many. */
int door_add(struct host_input *d, const struct door_source *source);

/* Admit what is there without waiting. True if anything was admitted. */
bool door_poll(struct host_input *d);

/*
 * While idle: sleep until the wall clock reaches the vtime `until` (VTIME_NEVER: for ever) or a source has something. now is the
 * current vtime. Returns the vtime that the wait reached (<= until) and admits input. Without is_interactive it returns `until` at once,
 * but for VTIME_NEVER, when it waits for input and no time passes.
 */
vtime door_wait(struct host_input *d, vtime now, vtime until);

/* Can input still arrive? */
bool door_is_open(const struct host_input *d);
