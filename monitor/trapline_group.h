/* SPDX-License-Identifier: MIT */
/* Several machines on few physical CPUs (docs/scheduling.md). Part of monitor/trapline.h, which includes it. */
#pragma once

#include "monitor/trapline.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A group of machines shares `pcpus` physical CPUs in virtual time, in proportion to weights and work-conserving: what one does not
 * use goes to the others. The clocks of all machines go at the pace of the group's: while a machine executes, is halted, or waits
 * for a pcpu, which its guest may see as stolen time. A machine uses one pcpu at a time. The same every time
 * (docs/scheduling.md).
 */
struct trapline_group;

#define TRAPLINE_GROUP_MACHINES 64
#define TRAPLINE_WEIGHT_MAX 65536

struct trapline_group_config {
    size_t size;       /* sizeof(struct trapline_group_config) */
    unsigned pcpus;    /* 1 to 64 */
    uint64_t slice_ns; /* longest time on a pcpu without a decision, 1000 to 10^9; 0: 1 ms */
};

#define TRAPLINE_GROUP_CONFIG_INIT                                                                 \
    {                                                                                              \
        .size = sizeof(struct trapline_group_config), .pcpus = 1                                   \
    }

/* -EINVAL: the numbers; -ENOMEM. */
int trapline_group_create(const struct trapline_group_config *config, struct trapline_group **out,
                          struct trapline_error *error);
void trapline_group_destroy(struct trapline_group *g); /* the machines stay; NULL is fine */

/*
 * m joins at the group's present time and belongs to it until the group is destroyed: until then it is not run, loaded or destroyed
 * by others; it may be looked at, hashed and saved. The index of m in the group, or -EINVAL: a weight from 1 to
 * TRAPLINE_WEIGHT_MAX; -EBUSY: m is in a group; -ENOTSUP: it waits for a person's or another program's input, or drops caches;
 * -ENOSPC: TRAPLINE_GROUP_MACHINES are there.
 */
int trapline_group_add(struct trapline_group *g, struct trapline_machine *m, uint32_t weight, struct trapline_error *error);

/*
 * Run all until the group's clock says until_ns, or all guests are over. How many are not. -EINTR: *config.interrupted of one of
 * them; run on with another call.
 */
int trapline_group_run(struct trapline_group *g, uint64_t until_ns);

uint64_t trapline_group_now_ns(const struct trapline_group *g);

/* What became of a machine: the three times are the time that it has been in the group. */
struct trapline_group_member {
    size_t size;               /* sizeof(struct trapline_group_member) */
    uint32_t weight;           /* as given */
    uint64_t run_ns;           /* on a pcpu */
    uint64_t idle_ns;          /* all its vCPUs halted */
    uint64_t waited_ns;        /* runnable, without a pcpu */
    uint64_t slices;           /* times on a pcpu */
    bool is_over;              /* its guest is done: stop says how */
    struct trapline_stop stop; /* see is_over */
};

#define TRAPLINE_GROUP_MEMBER_INIT                                                                 \
    {                                                                                              \
        .size = sizeof(struct trapline_group_member), .stop = TRAPLINE_STOP_INIT                   \
    }

/* Machine i; false past the last. */
bool trapline_group_member(const struct trapline_group *g, unsigned i, struct trapline_group_member *out);

/* Time that pcpu i had a machine, and had none; false past the last. */
bool trapline_group_pcpu(const struct trapline_group *g, unsigned i, uint64_t *busy_ns, uint64_t *idle_ns);

enum trapline_inject {
    TRAPLINE_INJECT_INTERRUPT, /* as an acknowledged external interrupt; IF is not asked */
    TRAPLINE_INJECT_NMI,       /* non-maskable interrupt */
    TRAPLINE_INJECT_EXCEPTION, /* with error_code where the vector has one */
};

/*
 * Deliver an event into the guest now, through its IDT; takes a tick. -EINVAL: no such vCPU, kind
 * or vector; -EIO: it ended in a triple fault, and the vCPU is shut down.
 */
int trapline_inject(struct trapline_machine *m, unsigned vcpu, enum trapline_inject kind,
                    unsigned vector, uint32_t error_code, struct trapline_error *error);

/* Where the run is. */
uint64_t trapline_ticks(const struct trapline_machine *m);
uint64_t trapline_vtime_ns(const struct trapline_machine *m);

/* Bytes for serial port n come from fd from now on (-1: from nowhere): somebody connected. -ENODEV:
 * no such port. */
int trapline_serial_connect(struct trapline_machine *m, unsigned n, int fd);

/*
 * Stop trapline_run and trapline_step before the instruction at this linear address, in every vCPU and address space. The guest cannot
 * tell. Not for machines in a group: there it ends the member. trapline_break: -EEXIST, or -ENOSPC beyond 64. trapline_unbreak: -ENOENT. trapline_breakpoint: the n-th; false: there are not so many.
 */
int trapline_break(struct trapline_machine *m, uint64_t address, struct trapline_error *error);
int trapline_unbreak(struct trapline_machine *m, uint64_t address, struct trapline_error *error);
bool trapline_breakpoint(const struct trapline_machine *m, unsigned n, uint64_t *address);

/* Forget everything that can be rebuilt: decoded blocks, cached translations. The guest can't tell.
 */
void trapline_drop_caches(struct trapline_machine *m);

#ifdef __cplusplus
}
#endif
