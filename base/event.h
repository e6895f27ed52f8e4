/* SPDX-License-Identifier: MIT */
/*
 * The timeline of things to come: named events on virtual time. Devices register theirs once, arm and cancel
 * them; the monitor's run loop asks for the earliest deadline and runs what is due. Equal times fire by
 * priority, then by registration. Armed times are derived from device state (re-armed by after_load), so the
 * queue itself is never saved.
 */
#pragma once

#include "base/types.h"

#define EVENT_MAX 320

struct event_queue;

struct event {
    const char *name;                      /* for traces */
    void (*fire)(void *opaque, vtime now); /* called when now >= when, already disarmed */
    void *opaque;                          /* borrowed: the device */
    struct event_queue *queue;             /* borrowed; set by event_register */
    vtime when;                            /* VTIME_NEVER: not armed */
    uint8_t priority;                      /* lower fires first at equal times */
};

struct event_queue {
    struct event *events[EVENT_MAX];      /* in order of registration; borrowed */
    unsigned count;                       /* of events[] */
    vtime next;                           /* earliest `when`; VTIME_NEVER if none is armed */
    vtime (*now)(void *opaque);           /* the one clock of the machine */
    void (*deadline_moved)(void *opaque); /* called when `next` moves earlier, so that a running block ends */
    void *opaque;                         /* for now and deadline_moved */
};

/* An empty queue. now and deadline_moved as in the struct; deadline_moved may be NULL. */
void event_queue_init(struct event_queue *q, vtime (*now)(void *), void (*deadline_moved)(void *),
                      void *opaque);

/* Add ev (caller's storage, not armed) to q. The order of calls is the order at equal time and priority. */
void event_register(struct event_queue *q, struct event *ev, const char *name, uint8_t priority,
                    void (*fire)(void *, vtime), void *opaque);

/* (Re)arm: fire at `when`, at the next instruction boundary if that is past. VTIME_NEVER cancels. */
void event_arm(struct event *ev, vtime when);
void event_cancel(struct event *ev);

/* Fire all events due at `now`, in order; events armed meanwhile for a time <= now fire too. */
void event_queue_run(struct event_queue *q, vtime now);

/* The machine's virtual time. */
ALWAYS_INLINE vtime event_now(const struct event_queue *q)
{
    return q->now(q->opaque);
}
