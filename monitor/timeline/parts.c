/* SPDX-License-Identifier: MIT */
#include "monitor/timeline/parts.h"

#include <stdio.h>
#include <string.h>

#define MACHINE_VERSION 3
#define PV_VERSION 1
#define CPU_VERSION 4
#define REAL_VERSION 1

/* The real machines of classic. */
static unsigned real_count(const struct machine *m)
{
    return m->policy.policy == POLICY_CLASSIC ? m->vm->vcpu_count : 0;
}

unsigned part_count(const struct machine *m)
{
    return 2 + 3 * m->vm->vcpu_count + real_count(m) + m->vm->device_count;
}

static struct part real_part(struct machine *m, unsigned i)
{
    struct part p = {.version = REAL_VERSION, .fields = real_fields, .base = &m->vm->vcpus[i].vcpu->real};
    snprintf(p.name, sizeof(p.name), "real%u", i);
    return p;
}

static struct part vcpu_part(struct machine *m, unsigned i)
{
    struct monitor_vcpu *mv = &m->vm->vcpus[i / 3];
    struct part parts[] = {
        {"cpu", CPU_VERSION, cpu_fields, &mv->vcpu->arch, NULL},
        {"vcpu", CPU_VERSION, monitor_vcpu_state_fields, &mv->s, NULL},
        {"pv", PV_VERSION, pv_vcpu_state_fields, &mv->pv.s, NULL},
    };
    struct part *p = &parts[i % 3];
    size_t n = strlen(p->name);
    snprintf(p->name + n, sizeof(p->name) - n, "%u", i / 3);
    return *p;
}

struct part part_get(struct machine *m, unsigned i)
{
    unsigned vcpu_parts = 3 * m->vm->vcpu_count;
    if (i == 0)
        return (struct part){"machine", MACHINE_VERSION, machine_state_fields, &m->s, NULL};
    if (i == 1)
        return (struct part){"pv", PV_VERSION, pv_state_fields, &m->vm->pv.s, NULL};
    if (i < 2 + vcpu_parts)
        return vcpu_part(m, i - 2);
    if (i < 2 + vcpu_parts + real_count(m))
        return real_part(m, i - 2 - vcpu_parts);
    const struct device *d = &m->vm->devices[i - 2 - vcpu_parts - real_count(m)];
    struct part p = {
        .version = d->ops->version, .fields = d->ops->fields, .base = d->self, .device = d};
    snprintf(p.name, sizeof(p.name), "%s", d->name);
    return p;
}
