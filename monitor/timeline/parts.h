/* SPDX-License-Identifier: MIT */
/*
 * The state of a machine as a list of parts, each a struct with its field table: what the hash, the snapshot and `info` walk. The
 * order is fixed: machine, paravirtual interfaces, vCPUs, their real machines (-virt classic alone), devices in board order.
 */
#pragma once

#include "monitor/machine.h"

struct part {
    char name[32];              /* "machine", "pv", "cpu0", "vcpu0", "pv0", "pic" ... unique */
    uint32_t version;           /* of its layout */
    const struct field *fields; /* table */
    void *base;                 /* the struct */
    const struct device *device; /* NULL for machine and vCPUs */
};

/* How many parts there are, and the i-th. */
unsigned part_count(const struct machine *m);
struct part part_get(struct machine *m, unsigned i);
