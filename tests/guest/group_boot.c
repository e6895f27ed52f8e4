/* SPDX-License-Identifier: MIT */
/*
 * Two Debian guests share one physical CPU by weight, and each says in /proc/stat how much of its time was stolen.
 *
 *   group_boot DIR      the guests' directory, if $TRAPLINE_GUEST does not say where it is
 *
 * Exit status: 0 what they say is what the scheduler counted, 1 not, 77 skipped: a file is not there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/trapline.h"

enum { GUESTS = 2, TEXT = 65536, SKIPPED = 77, JIFFY_NS = 10000000 };

struct guest {
    struct trapline_machine *m;
    uint32_t weight;
    char text[TEXT]; /* its console */
    size_t used;     /* of it */
};

static const char script[] =
    "console=ttyS0 quiet rdinit=/bin/busybox -- sh -c \"b=/bin/busybox; $b mkdir -p /proc; $b mount -t proc proc /proc; "
    "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; $b head -1 /proc/stat; $b sleep 0.3; $b poweroff -f\"";

static bool put(void *opaque, uint8_t byte)
{
    struct guest *g = opaque;
    if (g->used < TEXT - 1)
        g->text[g->used++] = (char)byte;
    return true;
}

static bool make(const char *kernel, const char *initrd, struct guest *g)
{
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_error e;
    config.memory = 256 << 20;
    config.kernel.path = kernel;
    config.initrd = initrd;
    config.append = script;
    config.virt.policy = TRAPLINE_POLICY_PV;
    config.no_reboot = true;
    config.serial[0] = (struct trapline_serial){.is_present = true, .put = put, .put_opaque = g, .fd = -1};
    if (trapline_create(&config, &g->m, &e) == 0)
        return true;
    fprintf(stderr, "%s\n", e.text);
    return false;
}

/* The first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal, in jiffies. */
static bool judge(const struct guest *g, const struct trapline_group_member *k)
{
    const char *line = strstr(g->text, "cpu  ");
    unsigned long long v[8] = {0};
    int n = line ? sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) : 0;
    double guest = (double)v[7] * JIFFY_NS, counted = (double)trapline_stolen_ns(g->m, 0);
    printf("weight %u: %d numbers; steal %.2f s in /proc/stat, %.3f s by the scheduler; on a CPU %.3f s, idle %.3f s, %s\n",
           (unsigned)g->weight, n, guest / 1e9, counted / 1e9, (double)k->run_ns / 1e9, (double)k->idle_ns / 1e9,
           trapline_reason_text(k->stop.reason));
    return n == 8 && k->is_over && k->stop.reason == TRAPLINE_STOP_POWER_OFF && guest > 0.9 * counted && guest <= counted + JIFFY_NS;
}

static int run(const char *kernel, const char *initrd)
{
    static struct guest guests[GUESTS] = {{.weight = 1}, {.weight = 3}};
    struct trapline_group_config config = TRAPLINE_GROUP_CONFIG_INIT;
    struct trapline_group *group;
    struct trapline_error e;
    bool ok = trapline_group_create(&config, &group, &e) == 0;
    for (unsigned i = 0; i < GUESTS && ok; i++)
        ok = make(kernel, initrd, &guests[i]) && trapline_group_add(group, guests[i].m, guests[i].weight, &e) >= 0;
    if (!ok)
        return 1;
    int alive = trapline_group_run(group, UINT64_C(60000000000));
    for (unsigned i = 0; i < GUESTS; i++) {
        struct trapline_group_member k = TRAPLINE_GROUP_MEMBER_INIT;
        trapline_group_member(group, i, &k);
        ok &= judge(&guests[i], &k);
    }
    if (!ok)
        printf("%d still run\n%s\n%s\n", alive, guests[0].text, guests[1].text);
    trapline_group_destroy(group);
    for (unsigned i = 0; i < GUESTS; i++)
        trapline_destroy(guests[i].m);
    return !ok;
}

int main(int argc, char *argv[])
{
    char kernel[4096], initrd[4096];
    const char *dir = getenv("TRAPLINE_GUEST");
    if (argc != 2)
        return 1;
    dir = dir ? dir : argv[1];
    snprintf(kernel, sizeof(kernel), "%s/vmlinuz", dir);
    snprintf(initrd, sizeof(initrd), "%s/initrd.gz", dir);
    if (access(kernel, R_OK) != 0 || access(initrd, R_OK) != 0) {
        printf("no %s or no %s: tests/guest/mkguest\n", kernel, initrd);
        return SKIPPED;
    }
    return run(kernel, initrd);
}
