/* SPDX-License-Identifier: MIT */
/* Shared by the files of monitor/pv: a hypercall under way. Nobody else includes it. */
#pragma once

#include "monitor/machine.h"
#include "monitor/pv/pv.h"
#include "roms/trapline_pv.h"

/* Hypercalls of KVM's return these, negated (Linux, include/uapi/linux/kvm_para.h says that they are of its ABI). */
enum { KVM_EPERM = 1, KVM_EINVAL = 22, KVM_ENOSYS = 1000 };

struct pv_call {
    struct monitor_vcpu *mv; /* who calls */
    uint64_t args[4];        /* RBX RCX RDX RSI, or a MULTICALL entry's */
    bool is_64;              /* they have 64 bits */
    bool is_nested;          /* an entry of a MULTICALL */
    enum sens_result then;   /* how the instruction ends: SENS_NEXT unless the call sets it */
};

/* The meanings: each returns what RAX becomes. */
#define CALL(number, function, needs, nests, doc) int64_t pv_##function(struct pv_call *c);
#include "monitor/pv/calls.def"
#undef CALL

/* Make one call by its number: privilege has been checked. */
int64_t pv_dispatch(struct pv_call *c, uint64_t number);

/* The vCPU with this APIC ID, or NULL. */
struct monitor_vcpu *pv_find_vcpu(struct vm *vm, uint64_t apic_id);

/* Is all of it RAM that can be written? */
bool pv_is_ram(const struct vm *vm, uint64_t pa, uint64_t length);

/* A time in arguments low and high: one of 64 bits, or its halves. */
ALWAYS_INLINE uint64_t pv_time_argument(const struct pv_call *c, unsigned low, unsigned high)
{
    return c->is_64 ? c->args[low] : c->args[high] << 32 | c->args[low];
}

/* The timer is due, or a sleep too long: an event; opaque is the struct monitor_vcpu. */
void pv_event_fire(void *opaque, vtime now);

/* The event of the earlier of what the vCPU waits for. */
void pv_arm(struct monitor_vcpu *mv);
