/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/host_input.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t host_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

int door_add(struct host_input *d, const struct door_source *source)
{
    if (d->count == DOOR_SOURCES)
        return -1;
    d->sources[d->count] = *source;
    return (int)d->count++;
}

/* More can be read now, or this may become so. */
static bool has_peer(const struct door_source *s)
{
    return !s->is_wake && (!s->at_eof || s->stays_open);
}

/* A full buffer that finds no room will find none while every vCPU is halted. */
static bool can_bring_input(const struct door_source *s)
{
    return (s->used > 0 && s->room(s->opaque) > 0) || (has_peer(s) && s->used < sizeof(s->buffer));
}

bool door_is_open(const struct host_input *d)
{
    for (unsigned i = 0; i < d->count; i++)
        if (can_bring_input(&d->sources[i]))
            return true;
    return false;
}

static void fill(struct door_source *s)
{
    size_t room = sizeof(s->buffer) - s->used;
    if (s->at_eof || room == 0)
        return;
    ssize_t n = read(s->fd, s->buffer + s->used, room);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        s->at_eof = true;
    } else if (n > 0) {
        size_t got = (size_t)n;
        if (s->filter)
            got = s->filter(s->filter_opaque, s->buffer + s->used, got);
        s->used += got;
    }
}

static bool admit(struct door_source *s)
{
    size_t n = s->room(s->opaque);
    if (n > s->used)
        n = s->used;
    if (n == 0)
        return false;
    s->put(s->opaque, s->buffer, n);
    s->used -= n;
    memmove(s->buffer, s->buffer + n, s->used);
    return true;
}

/* Wait up to timeout ms (-1: for ever) for a source; fill the ready ones. */
static void wait_for_sources(struct host_input *d, const struct timespec *timeout)
{
    struct pollfd fds[DOOR_SOURCES];
    for (unsigned i = 0; i < d->count; i++) {
        const struct door_source *s = &d->sources[i];
        bool wanted = !s->at_eof && s->used < sizeof(s->buffer);
        fds[i] = (struct pollfd){.fd = wanted ? s->fd : -1, .events = POLLIN};
    }
    if (ppoll(fds, d->count, timeout, NULL) <= 0)
        return;
    for (unsigned i = 0; i < d->count; i++)
        if (fds[i].revents)
            fill(&d->sources[i]);
}

static bool admit_all(struct host_input *d)
{
    bool any = false;
    for (unsigned i = 0; i < d->count; i++)
        any |= admit(&d->sources[i]);
    return any;
}

static void flush(struct host_input *d)
{
    if (d->flush)
        d->flush(d->flush_opaque);
}

bool door_poll(struct host_input *d)
{
    static const struct timespec at_once = {0, 0};
    flush(d);
    if (d->count == 0)
        return false;
    wait_for_sources(d, &at_once);
    return admit_all(d);
}

/* Tie wall time to virtual time; again when the guest has fallen more than a tenth of a second behind. */
static void anchor(struct host_input *d, vtime now)
{
    uint64_t wall = host_ns();
    const uint64_t slack = NS_PER_SECOND / 10;
    if (d->has_wall && wall - d->wall_start <= now - d->wall_vtime + slack)
        return;
    d->has_wall = true;
    d->wall_start = wall;
    d->wall_vtime = now;
}

static vtime reached(const struct host_input *d, vtime now, vtime until)
{
    vtime v = d->wall_vtime + (host_ns() - d->wall_start);
    return v < now ? now : v > until ? until : v;
}

static bool is_connected(const struct host_input *d)
{
    for (unsigned i = 0; i < d->count; i++)
        if (has_peer(&d->sources[i]))
            return true;
    return false;
}

/* Nothing else can happen: for input, however long it takes. */
static vtime wait_for_input(struct host_input *d, vtime now)
{
    while (!admit_all(d) && door_is_open(d) && !(d->interrupted && *d->interrupted))
        wait_for_sources(d, NULL);
    return now;
}

vtime door_wait(struct host_input *d, vtime now, vtime until)
{
    flush(d);
    if (!d->is_interactive && until == VTIME_NEVER)
        return wait_for_input(d, now);
    if (!d->is_interactive || !is_connected(d))
        return until;
    anchor(d, now);
    for (;;) {
        if (admit_all(d) || (d->interrupted && *d->interrupted))
            return reached(d, now, until);
        vtime v = reached(d, now, until);
        if (v >= until || !is_connected(d) || (until == VTIME_NEVER && !door_is_open(d)))
            return v;
        uint64_t left = until - v;
        struct timespec t = {(time_t)(left / NS_PER_SECOND), (long)(left % NS_PER_SECOND)};
        wait_for_sources(d, until == VTIME_NEVER ? NULL : &t);
    }
}
