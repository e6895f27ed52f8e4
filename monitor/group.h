/* SPDX-License-Identifier: MIT */
/*
 * Several machines on few physical CPUs: proportional-share, work-conserving scheduling in virtual time (docs/scheduling.md). For the
 * library's public face; owns no machine and looks at no host clock, so every run is the same.
 *
 * The group has a clock of its own, and the clock of each machine keeps pace with it: while a machine has a pcpu by what it
 * executes, while all its vCPUs are halted by idle time, and while it is runnable and has none by waiting, which its guest sees as
 * stolen. A machine has one pcpu at a time. Machines share nothing, so slices on several pcpus are run one after the other, and only
 * decisions come in the order of the group's clock.
 *
 * Who is next: earliest eligible virtual deadline first (Stoica et al., RTSS 1996). A machine's pass is its time on a pcpu divided
 * by its weight; it is eligible when its pass is not ahead of the mean, and its deadline is a slice further on. On one pcpu no machine
 * that stays runnable is ever more than a slice from its exact share (stride scheduling, which takes the least pass, can be several
 * slices off for a heavy one among many). One that was idle comes back with at least the mean: no credit for having slept. With several
 * pcpus a weight that asks for more than one whole pcpu has one (Chandra et al., OSDI 2000, "weight readjustment").
 */
#pragma once

#include "monitor/machine.h"

#define GROUP_MEMBERS 64
#define GROUP_PCPUS 64
#define GROUP_WEIGHT_MAX 65536
#define GROUP_SLICE_NS 1000000 /* by default */
#define GROUP_SLICE_MIN 1000
#define GROUP_SLICE_MAX 1000000000

enum member_state {
    MEMBER_ASLEEP,  /* no vCPU is runnable */
    MEMBER_READY,   /* waits for a pcpu */
    MEMBER_RUNNING, /* has one */
    MEMBER_OVER,    /* its guest is done */
};

struct group_member {
    struct machine *m;       /* borrowed */
    uint32_t weight;         /* 1 to GROUP_WEIGHT_MAX */
    enum member_state state; /* at the group's clock */
    vtime added;             /* the group's clock less the machine's */
    uint64_t pass;           /* time on a pcpu by weight, with bits behind the point */
    uint64_t rest;           /* of the division by weight that made it */
    bool is_whole;           /* its weight is worth a whole pcpu: it shares none */
    enum stop_reason stop;   /* MEMBER_OVER: why */
    uint64_t run_ns;         /* on a pcpu */
    uint64_t idle_ns;        /* asleep */
    uint64_t waited_ns;      /* ready */
    uint64_t slices;         /* begun */
};

struct group_pcpu {
    int member;        /* that has it, or -1 */
    vtime charged;     /* what its member executed until then is in its pass */
    vtime slice_end;   /* when it is taken away */
    vtime reached;     /* how far the member has been run */
    bool is_done;      /* the member needs it no longer than until `reached` */
    uint64_t busy_ns;  /* with a member */
    vtime idle_since;  /* without one */
    uint64_t idle_ns;  /* before that */
};

struct group {
    vtime now;                                  /* of the group */
    uint64_t virtual_time;                      /* that those who share have reached together, as a pass */
    uint64_t slice_ns;                          /* longest time on a pcpu without a decision */
    unsigned pcpu_count;                        /* of pcpus[] */
    unsigned member_count;                      /* of members[] */
    struct group_pcpu pcpus[GROUP_PCPUS];       /* pcpu_count of them */
    struct group_member members[GROUP_MEMBERS]; /* member_count of them */
};

void group_init(struct group *g, unsigned pcpus, uint64_t slice_ns);

/* A machine joins at the group's present time; the caller has checked the numbers. Its index. */
unsigned group_add(struct group *g, struct machine *m, uint32_t weight);

/*
 * Until the group's clock has reached `until`, or nobody can ever run again, or a person wishes it (false). Where runs stop makes no
 * difference to what happens. All clocks stand at `until` then, or up to a tick of their machine behind it.
 */
bool group_run(struct group *g, vtime until);

/* Machines that are not over. */
unsigned group_alive(const struct group *g);

/* The machines are anybody's again. */
void group_fini(struct group *g);
