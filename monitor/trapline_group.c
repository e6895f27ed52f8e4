/* SPDX-License-Identifier: MIT */
/* libtrapline's public face: several machines on few physical CPUs. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/group.h"
#include "monitor/trapline_priv.h"

_Static_assert(TRAPLINE_GROUP_MACHINES == GROUP_MEMBERS && TRAPLINE_WEIGHT_MAX == GROUP_WEIGHT_MAX,
               "the public limits are the inside's");

struct trapline_group {
    struct group g;                                   /* owned */
    struct trapline_machine *machines[GROUP_MEMBERS]; /* borrowed */
};

static int check(const struct trapline_group_config *c, struct err *err)
{
    if (c->pcpus < 1 || c->pcpus > GROUP_PCPUS)
        return err_set(err, EINVAL, "a group cannot have %u physical CPUs: from 1 to %d", c->pcpus, GROUP_PCPUS);
    if (c->slice_ns && (c->slice_ns < GROUP_SLICE_MIN || c->slice_ns > GROUP_SLICE_MAX))
        return err_set(err, EINVAL, "a slice of %" PRIu64 " ns is not possible: from %d to %d", c->slice_ns, GROUP_SLICE_MIN,
                       GROUP_SLICE_MAX);
    return 0;
}

int trapline_group_create(const struct trapline_group_config *config, struct trapline_group **out,
                          struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct trapline_group_config full = TRAPLINE_GROUP_CONFIG_INIT;
    memcpy(&full, config, config->size < sizeof(full) ? config->size : sizeof(full));
    int rc = check(&full, &err);
    struct trapline_group *t = rc == 0 ? calloc(1, sizeof(*t)) : NULL;
    if (rc == 0 && !t)
        rc = err_set(&err, ENOMEM, "out of memory");
    if (rc < 0)
        return trapline_fail(error, &err, rc);
    group_init(&t->g, full.pcpus, full.slice_ns ? full.slice_ns : GROUP_SLICE_NS);
    *out = t;
    return 0;
}

void trapline_group_destroy(struct trapline_group *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->g.member_count; i++)
        t->machines[i]->group = NULL;
    group_fini(&t->g);
    free(t);
}

static int check_member(const struct trapline_group *t, const struct trapline_machine *machine, uint32_t weight,
                        struct err *err)
{
    if (machine->group)
        return err_set(err, EBUSY, "the machine is in a group already");
    if (t->g.member_count == GROUP_MEMBERS)
        return err_set(err, ENOSPC, "a group has at most %d machines", GROUP_MEMBERS);
    if (weight < 1 || weight > GROUP_WEIGHT_MAX)
        return err_set(err, EINVAL, "a weight of %" PRIu32 " is not possible: from 1 to %d", weight, GROUP_WEIGHT_MAX);
    if (door_is_open(&machine->m->door) || machine->config.is_interactive || machine->config.drop_caches)
        return err_set(err, ENOTSUP, "a machine in a group takes no input, no wall clock and no -drop-caches");
    return 0;
}

int trapline_group_add(struct trapline_group *t, struct trapline_machine *machine, uint32_t weight,
                       struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    int rc = check_member(t, machine, weight, &err);
    if (rc < 0)
        return trapline_fail(error, &err, rc);
    machine->group = t;
    t->machines[t->g.member_count] = machine;
    return (int)group_add(&t->g, machine->m, weight);
}

int trapline_group_run(struct trapline_group *t, uint64_t until_ns)
{
    return group_run(&t->g, until_ns) ? (int)group_alive(&t->g) : -EINTR;
}

uint64_t trapline_group_now_ns(const struct trapline_group *t)
{
    return t->g.now;
}

bool trapline_group_member(const struct trapline_group *t, unsigned i, struct trapline_group_member *out)
{
    if (i >= t->g.member_count)
        return false;
    const struct group_member *k = &t->g.members[i];
    struct trapline_group_member all = TRAPLINE_GROUP_MEMBER_INIT;
    all.size = out->size;
    all.weight = k->weight;
    all.run_ns = k->run_ns;
    all.idle_ns = k->idle_ns;
    all.waited_ns = k->waited_ns;
    all.slices = k->slices;
    all.is_over = k->state == MEMBER_OVER;
    if (all.is_over) {
        all.stop.reason = trapline_reason_of(k->stop);
        all.stop.code = k->m->stop_code;
    }
    memcpy(out, &all, out->size < sizeof(all) ? out->size : sizeof(all));
    return true;
}

bool trapline_group_pcpu(const struct trapline_group *t, unsigned i, uint64_t *busy_ns, uint64_t *idle_ns)
{
    if (i >= t->g.pcpu_count)
        return false;
    *busy_ns = t->g.pcpus[i].busy_ns;
    *idle_ns = t->g.pcpus[i].idle_ns;
    return true;
}
