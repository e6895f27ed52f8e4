/* SPDX-License-Identifier: MIT */
#include "frontends/lab_calls.h"

#include <string.h>

#include "base/compiler.h"
#include "frontends/lab_guest.h"

enum { RUNS = 5 };

/* One run. */
struct session {
    struct trapline_machine *m;
    struct lab_calls_result r;
    struct lab_probe before; /* at the letter; host_ns is the clock */
    int at;                  /* experiment under way; -1: none */
    int number;              /* that is being received; -1: none yet */
};

static struct lab_probe look(struct session *s)
{
    static const char *const names[LAB_EXITS] = {"CLI", "STI", "VMCALL", "WRMSR", "RDTSC", "IN", "MMIO"};
    struct lab_probe p = {.ticks = trapline_vtime_ns(s->m)}; /* a tick is a ns here, and nobody idles */
    for (unsigned i = 0; i < LAB_EXITS; i++) {
        struct trapline_exit_count n;
        if (trapline_count_exits(s->m, names[i], &n) == 0) {
            p.executed[i] = n.executed;
            p.called[i] = n.called;
        }
    }
    return p;
}

static void end_experiment(struct session *s, double now)
{
    struct lab_probe p = look(s), *out = &s->r.of[s->at];
    out->ticks = p.ticks - s->before.ticks;
    out->host_ns = now - s->before.host_ns;
    for (unsigned i = 0; i < LAB_EXITS; i++) {
        out->executed[i] = p.executed[i] - s->before.executed[i];
        out->called[i] = p.called[i] - s->before.called[i];
    }
    s->r.has[s->at] = true;
    s->at = -1;
}

static void on_byte(void *opaque, uint8_t byte)
{
    struct session *s = opaque;
    double now = lab_host_clock();
    if (byte >= 'A' && byte < 'A' + LAB_CALLS_EXPERIMENTS) {
        s->at = byte - 'A';
        s->before = look(s);
        s->before.host_ns = lab_host_clock();
    } else if (byte == '.' && s->at >= 0) {
        end_experiment(s, now);
    } else if (byte == '#' && s->number + 1 < LAB_CALLS_NUMBERS) {
        s->number++;
    } else if (s->number >= 0) {
        uint32_t digit = byte >= 'a' ? byte - 'a' + 10u : (uint32_t)byte - '0';
        s->r.number[s->number] = s->r.number[s->number] << 4 | (digit & 15);
    }
}

static int run_once(const struct lab_calls *how, struct session *s)
{
    struct trapline_config config = lab_guest_config(lab_calls64, lab_calls64_size, on_byte, s);
    config.append = how->name;
    config.virt = how->virt;
    config.engine = how->engine;
    config.jit_threshold = how->translates_at_once ? 1 : 0;
    *s = (struct session){.at = -1, .number = -1};
    return lab_guest_run(&config, &s->m);
}

/* Counts are the same each time; of host times the least is nearest to what the work takes. */
int lab_calls_measure(const struct lab_calls *how, struct lab_calls_result *result)
{
    struct session s;
    int status = lab_guests_check();
    for (unsigned run = 0; run < RUNS && status == 0; run++) {
        status = run_once(how, &s);
        if (status)
            return status;
        for (unsigned i = 0; run > 0 && i < LAB_CALLS_EXPERIMENTS; i++)
            if (s.r.of[i].host_ns > result->of[i].host_ns)
                s.r.of[i].host_ns = result->of[i].host_ns;
        *result = s.r;
    }
    return status;
}
