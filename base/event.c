/* SPDX-License-Identifier: MIT */
#include "base/event.h"

void event_queue_init(struct event_queue *q, vtime (*now)(void *), void (*deadline_moved)(void *),
                      void *opaque)
{
    *q = (struct event_queue){
        .next = VTIME_NEVER, .now = now, .deadline_moved = deadline_moved, .opaque = opaque};
}

void event_register(struct event_queue *q, struct event *ev, const char *name, uint8_t priority,
                    void (*fire)(void *, vtime), void *opaque)
{
    assert(q->count < EVENT_MAX);
    *ev = (struct event){.name = name,
                         .fire = fire,
                         .opaque = opaque,
                         .queue = q,
                         .when = VTIME_NEVER,
                         .priority = priority};
    q->events[q->count++] = ev;
}

/* Lowest (when, priority, registration), or NULL if none is armed. */
static struct event *earliest(const struct event_queue *q)
{
    struct event *best = NULL;
    for (unsigned i = 0; i < q->count; i++) {
        struct event *ev = q->events[i];
        if (ev->when == VTIME_NEVER)
            continue;
        if (!best || ev->when < best->when ||
            (ev->when == best->when && ev->priority < best->priority))
            best = ev;
    }
    return best;
}

static void find_next(struct event_queue *q)
{
    struct event *ev = earliest(q);
    vtime next = ev ? ev->when : VTIME_NEVER;
    bool is_earlier = next < q->next;
    q->next = next;
    if (is_earlier && q->deadline_moved)
        q->deadline_moved(q->opaque);
}

void event_arm(struct event *ev, vtime when)
{
    if (ev->when == when)
        return;
    ev->when = when;
    find_next(ev->queue);
}

void event_cancel(struct event *ev)
{
    event_arm(ev, VTIME_NEVER);
}

void event_queue_run(struct event_queue *q, vtime now)
{
    struct event *ev;
    while ((ev = earliest(q)) && ev->when <= now) {
        ev->when = VTIME_NEVER;
        ev->fire(ev->opaque, now);
    }
    find_next(q);
}
