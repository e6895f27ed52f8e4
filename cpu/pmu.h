/* SPDX-License-Identifier: MIT */
/*
 * Architectural performance monitoring, version 2: four general counters, three fixed ones, 48 bits
 * each (SDM Vol. 3B, "Performance Monitoring"; docs/pmu.md). Nothing counts in hot code: a counter
 * is its value at the last settlement and follows from the ticks and retired instructions since.
 * Settled before every instruction that looks or changes a control, where CPL leaves or reaches 0,
 * after every delivery and whenever cpu_run returns, so that at rest struct cpu is complete.
 * Called by cpu_update_mode, the dispatcher and monitor/emulate/pmu.c. Owns struct pmu_run only.
 *
 * What counts where: an instruction, and its ticks, belong to the CPL at which it began; the tick
 * of a delivery to the CPL of its handler, so that interrupts don't show in what a program used. A
 * WRMSR that starts or stops a counter is not counted by it.
 */
#pragma once

#include "base/compiler.h"
#include "base/types.h"

struct vcpu;

enum { PMU_GENERAL = 4, PMU_FIXED = 3, PMU_COUNTERS = PMU_GENERAL + PMU_FIXED, PMU_WIDTH = 48 };

#define PMU_COUNTER_MASK ((UINT64_C(1) << PMU_WIDTH) - 1)
#define PMU_GLOBAL_MASK                                                                            \
    UINT64_C(0x70000000f)                      /* of IA32_PERF_GLOBAL_CTRL, _STATUS and _OVF_CTRL  \
                                                */
#define PMU_EVENTSEL_MASK UINT64_C(0xffdfffff) /* bit 21 is AnyThread, of version 3 */
#define PMU_FIXED_CTRL_MASK UINT64_C(0xbbb)    /* the same: bits 2, 6, 10 */
#define DEBUGCTL_FREEZE_PERFMON (UINT64_C(1) << 12)
#define DEBUGCTL_FREEZE_LBRS (UINT64_C(1) << 11)

/* What the PMU keeps beside arch: can be rebuilt at any instruction boundary. */
struct pmu_run {
    uint64_t ticks;     /* arch.ticks up to which the counters are settled */
    uint64_t retired;   /* arch.retired at that point */
    uint64_t tsc_hz;    /* reference cycles are those of the TSC; set by the monitor */
    uint32_t tick_ns;   /* what a tick takes; the same */
    bool is_on;         /* some counter may count */
    bool is_user;       /* CPL is not 0, since the settlement */
    bool has_interrupt; /* a counter overflowed that wants an interrupt: the dispatcher sends it */
};

/* Count up to this instruction boundary, or up to the instruction being executed. */
void pmu_settle(struct vcpu *vcpu);

/* CPL has changed between 0 and not 0: what ran until now counts for the old one. */
void pmu_cpl_changed(struct vcpu *vcpu);

/* Rebuild run.pmu from arch, which is settled: after reset and load. The clock is left alone. */
void pmu_rebuild(struct vcpu *vcpu);

/* Ticks that may run before some counter can overflow into an interrupt: at least 1. Settled. */
uint64_t pmu_budget(const struct vcpu *vcpu);

/* Could a state have these registers? For loaders. */
struct cpu;
bool pmu_is_possible(const struct cpu *cpu);

/*
 * The registers, settled. Writes take values that were checked; they ask for a break, so that the
 * budget is computed anew. Counter i: 0-3 general, 4-6 fixed.
 */
uint64_t pmu_counter(struct vcpu *vcpu, unsigned i);
void pmu_set_counter(struct vcpu *vcpu, unsigned i, uint64_t v);
void pmu_set_eventsel(struct vcpu *vcpu, unsigned i, uint64_t v);
void pmu_set_fixed_ctrl(struct vcpu *vcpu, uint64_t v);
void pmu_set_global_ctrl(struct vcpu *vcpu, uint64_t v);
uint64_t pmu_global_status(struct vcpu *vcpu);
void pmu_clear_status(struct vcpu *vcpu, uint64_t v);
