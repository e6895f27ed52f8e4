/* SPDX-License-Identifier: MIT */
/*
 * Paravirtualization, `-virt pv` (docs/hypercalls.md): the hypercalls and MSRs of KVM's interface for stock kernels, and our own
 * range at CPUID 40000100H. The emulators of VMCALL, WRMSR and CPUID come here through struct emulate_host, the LAPIC for its EOI by
 * memory, the scheduler at the ends of turns. Owns the states below. All memory that a guest points at goes through physmem_read and
 * physmem_write: checked, page state and dirty logs kept.
 */
#pragma once

#include <stdio.h>

#include "base/event.h"
#include "base/fields.h"
#include "cpu/cpuid.h"
#include "cpu/vcpu.h"

struct machine;
struct monitor_vcpu;
struct vm;

/* clang-format off */
#define PV_STATE(ONE, ARR, S)                                                                                \
    ONE(S, uint32_t, features,     "TPV_FEATURE_* offered now")                                              \
    ONE(S, uint32_t, revoke,       "of them, those that will be revoked at revoke_at")                       \
    ONE(S, vtime,    revoke_at,    "virtual ns; UINT64_MAX: nothing is planned")                             \
    ONE(S, uint64_t, time_step,    "ns by which the time that a guest reads advances; 0: by each")           \
    ONE(S, uint64_t, time_reads,   "reads per ms of virtual time that see it advance; 0: all")
#define PV_VCPU_STATE(ONE, ARR, S)                                                                           \
    ONE(S, uint64_t, steal_time,   "MSR_KVM_STEAL_TIME as written")                                          \
    ONE(S, uint64_t, eoi,          "MSR_KVM_EOI_EN as written")                                              \
    ONE(S, uint64_t, time_page,    "physical address of the time page; bit 0: on")                           \
    ONE(S, uint32_t, time_sequence, "its sequence when last written")                                        \
    ONE(S, vtime,    timer,        "when the timer fires; UINT64_MAX: not armed")                            \
    ONE(S, uint8_t,  timer_vector, "with which vector")                                                      \
    ONE(S, vtime,    sleeps_until, "when CHECK_AND_SLEEP ends at the latest; UINT64_MAX: never, or no sleep") \
    ONE(S, vtime,    window,       "ms of virtual time in which clock_reads were counted")                   \
    ONE(S, uint64_t, clock_reads,  "reads of the clock in it")                                               \
    ONE(S, vtime,    seen,         "what the last of them saw, in ns")
/* clang-format on */
STATE_STRUCT(pv_state, PV_STATE);
STATE_STRUCT(pv_vcpu_state, PV_VCPU_STATE);

/* Of calls.def, in its order. */
enum pv_call_index {
#define CALL(number, function, needs, nests, doc) PV_CALL_##function,
#include "monitor/pv/calls.def"
#undef CALL
    PV_CALLS
};

/* What happened; not state. */
struct pv_counts {
    uint64_t calls[PV_CALLS]; /* that were made, those in a MULTICALL too */
    uint64_t refused;         /* unknown, revoked, not at CPL 0 */
    uint64_t eois_by_memory;  /* EOIs that took no exit */
    uint64_t eois_offered;    /* interrupts whose EOI could have been by memory */
    uint64_t steal_updates;   /* of steal time records */
    uint64_t flushes;         /* TLB flushes that a record asked for */
    uint64_t time_updates;    /* of time pages */
};

/* What the machine's options say of pv; all zero: everything offered, exact time. */
struct pv_config {
    uint64_t time_step;  /* see PV_STATE */
    uint64_t time_reads; /* see PV_STATE */
    uint32_t revoke;     /* features to revoke */
    vtime revoke_at;     /* then */
};

/* Of a VM. */
struct pv {
    struct pv_state s;       /* first: saved and hashed */
    struct pv_config config; /* as at creation: a saved state must agree */
    struct event revocation; /* wiring: at s.revoke_at */
    struct pv_counts counts; /* of all its vCPUs */
};

/* Of a vCPU. */
struct pv_vcpu {
    struct pv_vcpu_state s; /* first: saved and hashed */
    struct event event;     /* wiring: at the earlier of timer and sleeps_until */
};

/* ---- life ---- */

/* A VM, and then each of its vCPUs, is new. Without -virt pv nothing is offered and nothing ever happens. */
void pv_init(struct vm *vm, const struct pv_config *config);
void pv_vcpu_init(struct monitor_vcpu *mv);

/* RESET# of the VM, and INIT of a vCPU: what its guest switched on is off. What was revoked stays so. */
void pv_reset(struct vm *vm);
void pv_vcpu_reset(struct monitor_vcpu *mv);

/* Saved fields are in place: check them and arm the events. -EINVAL and *err: no machine can be in this state, or another's. */
int pv_after_load(struct vm *vm, struct err *err);

/* Withdraw features from now on. Calls that need them fail with TPV_EREVOKED; time pages become invalid. */
void pv_revoke(struct vm *vm, uint32_t features);

/* "timer": the name of feature bit i; NULL past the last. */
const char *pv_feature_name(unsigned i);

/* ---- for emulators ---- */

/* VMCALL or VMMCALL, of a guest that is offered hypercalls. */
enum sens_result pv_hypercall(struct vcpu *vcpu);

/* CPUID 400001xxH. */
struct cpuid_regs pv_cpuid(const struct vm *vm, uint32_t leaf);

/* MSR_KVM_STEAL_TIME and MSR_KVM_EOI_EN; false: #GP(0). */
bool pv_msr_read(struct monitor_vcpu *mv, uint32_t msr, uint64_t *v);
bool pv_msr_write(struct monitor_vcpu *mv, uint32_t msr, uint64_t v);

/* The time as this vCPU may see it: quantized, and if this is a read of its clock, rate-limited. */
vtime pv_clock(const struct vm *vm, vtime now);
vtime pv_clock_read(struct monitor_vcpu *mv, vtime now);
/* The first time that a guest sees as `when` or later. */
vtime pv_clock_when(const struct vm *vm, vtime when);

/* The TSC of this vCPU moved, or the step of time: write its time page again, if it is on. */
void pv_time_changed(struct monitor_vcpu *mv);

/* ---- for the LAPIC: struct lapic_host ---- */

/* An interrupt is in service, alone and edge-triggered: true if its EOI may be by memory, where this was noted. */
bool pv_offer_eoi(void *opaque);
/* What was offered ends: true if the guest has used it. */
bool pv_take_eoi(void *opaque);

/* ---- for the scheduler ---- */

void pv_turn_begins(struct monitor_vcpu *mv);
void pv_turn_ends(struct monitor_vcpu *mv);

/* The vCPU leaves a HLT, for whatever reason. */
void pv_woken(struct monitor_vcpu *mv);

/* ---- what happened ---- */

/* Tables of calls and of events, most frequent first; "no hypercalls" without any. */
void pv_print(const struct vm *vm, FILE *out);
uint64_t pv_count(const struct vm *vm, uint64_t number); /* calls of this number */
