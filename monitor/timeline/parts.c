/* SPDX-License-Identifier: MIT */
#include "monitor/timeline/parts.h"

#include <stdio.h>

#define MACHINE_VERSION 3
#define CPU_VERSION 4

unsigned part_count(const struct machine *m)
{
    return 1 + 2 * m->vm->vcpu_count + m->vm->device_count;
}

static struct part vcpu_part(struct machine *m, unsigned i)
{
    struct monitor_vcpu *mv = &m->vm->vcpus[i / 2];
    bool is_arch = i % 2 == 0;
    struct part p = {
        .version = CPU_VERSION,
        .fields = is_arch ? cpu_fields : monitor_vcpu_state_fields,
        .base = is_arch ? (void *)&mv->vcpu->arch : (void *)&mv->s,
    };
    snprintf(p.name, sizeof(p.name), is_arch ? "cpu%u" : "vcpu%u", i / 2);
    return p;
}

struct part part_get(struct machine *m, unsigned i)
{
    unsigned vcpu_parts = 2 * m->vm->vcpu_count;
    if (i == 0)
        return (struct part){"machine", MACHINE_VERSION, machine_state_fields, &m->s, NULL};
    if (i <= vcpu_parts)
        return vcpu_part(m, i - 1);
    const struct device *d = &m->vm->devices[i - 1 - vcpu_parts];
    struct part p = {
        .version = d->ops->version, .fields = d->ops->fields, .base = d->self, .device = d};
    snprintf(p.name, sizeof(p.name), "%s", d->name);
    return p;
}
