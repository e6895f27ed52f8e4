/* SPDX-License-Identifier: MIT */
/* VMCALL and VMMCALL: which call it is, and who may make it. */
#include "monitor/pv/call.h"

#include <inttypes.h>

#define KVM UINT32_MAX /* not a feature of ours */
#define NOTHING 0
#define TIMER TPV_FEATURE_TIMER
#define EOI TPV_FEATURE_EOI
#define TIME_PAGE TPV_FEATURE_TIME_PAGE
#define TIME TPV_FEATURE_TIME
#define MULTICALL TPV_FEATURE_MULTICALL
#define WRITE_MSRS TPV_FEATURE_WRITE_MSRS
#define SLEEP TPV_FEATURE_SLEEP
#define YIELD TPV_FEATURE_YIELD
#define INTERRUPTS TPV_FEATURE_INTERRUPTS

struct call_row {
    uint64_t number;                       /* in RAX */
    uint32_t needs;                        /* feature, KVM or NOTHING */
    bool nests;                            /* in a MULTICALL */
    int64_t (*function)(struct pv_call *); /* its meaning */
    const char *name;                      /* for tables */
    const char *doc;                       /* the same */
};

static const struct call_row rows[PV_CALLS] = {
#define CALL(number_, function_, needs_, nests_, doc_) {number_, needs_, nests_, pv_##function_, #function_, doc_},
#include "monitor/pv/calls.def"
#undef CALL
};

static const struct call_row *find(uint64_t number)
{
    for (unsigned i = 0; i < PV_CALLS; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

/* 0, or why this guest does not get this call now. */
static int64_t refusal(const struct pv_call *c, const struct call_row *row)
{
    const struct vm *vm = c->mv->vm;
    if (!row || (row->needs == KVM && !vm->model.kvm))
        return -TPV_ENOSYS;
    if (row->needs != KVM && (row->needs & ~vm->pv.s.features))
        return -TPV_EREVOKED;
    return c->is_nested && !row->nests ? -TPV_ENESTED : 0;
}

int64_t pv_dispatch(struct pv_call *c, uint64_t number)
{
    struct pv_counts *counts = &c->mv->vm->pv.counts;
    const struct call_row *row = find(number);
    int64_t error = refusal(c, row);
    trace_point(&c->mv->vm->machine->trace, TRACE_hypercall, NULL, number, c->args[0], c->args[1], c->args[2]);
    if (error) {
        counts->refused++;
        return error;
    }
    counts->calls[row - rows]++;
    return row->function(c);
}

/* KVM's convention, for our calls as well: in 32-bit code registers have 32 bits. */
enum sens_result pv_hypercall(struct vcpu *vcpu)
{
    struct monitor_vcpu *mv = vcpu->run.owner;
    const uint64_t *gpr = vcpu->arch.gpr;
    bool is_64 = mode_code(vcpu->run.mode) == DECODE_64;
    uint64_t mask = is_64 ? UINT64_MAX : UINT32_MAX, number = gpr[REG_RAX] & mask;
    struct pv_call c = {.mv = mv, .is_64 = is_64, .then = SENS_NEXT};
    const unsigned registers[] = {REG_RBX, REG_RCX, REG_RDX, REG_RSI};
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
        c.args[i] = gpr[registers[i]] & mask;
    int64_t result = -TPV_EPERM;
    if (vcpu->arch.cpl == 0)
        result = pv_dispatch(&c, number);
    else
        mv->vm->pv.counts.refused++;
    vcpu->arch.gpr[REG_RAX] = (uint64_t)result & mask;
    if (!is_64 && number == TPV_GET_TIME && result >= 0)
        vcpu->arch.gpr[REG_RDX] = (uint64_t)result >> 32;
    return c.then;
}

/* ---- what calls share ---- */

struct monitor_vcpu *pv_find_vcpu(struct vm *vm, uint64_t apic_id)
{
    return apic_id < vm->vcpu_count ? &vm->vcpus[apic_id] : NULL;
}

bool pv_is_ram(const struct vm *vm, uint64_t pa, uint64_t length)
{
    if (pa > UINT64_MAX - length)
        return false;
    for (paddr page = pa & PAGE_MASK; page < pa + length; page += PAGE_SIZE)
        if (!physmem_is_ram(vm->pm, page) || (physmem_state(vm->pm, page) & PAGE_ROM))
            return false;
    return true;
}

/* ---- what happened ---- */

uint64_t pv_count(const struct vm *vm, uint64_t number)
{
    const struct call_row *row = find(number);
    return row ? vm->pv.counts.calls[row - rows] : 0;
}

static void print_event(const char *name, uint64_t n, FILE *out)
{
    if (n)
        fprintf(out, "%-20s %14" PRIu64 "\n", name, n);
}

void pv_print(const struct vm *vm, FILE *out)
{
    const struct pv_counts *n = &vm->pv.counts;
    fprintf(out, "%-20s %14s  %s\n", "HYPERCALL", "Calls", "Meaning");
    for (unsigned i = 0; i < PV_CALLS; i++)
        if (n->calls[i])
            fprintf(out, "%-20s %14" PRIu64 "  %s\n", rows[i].name, n->calls[i], rows[i].doc);
    print_event("refused", n->refused, out);
    print_event("EOIs by memory", n->eois_by_memory, out);
    print_event("EOIs offered", n->eois_offered, out);
    print_event("steal time updates", n->steal_updates, out);
    print_event("TLB flushes asked", n->flushes, out);
    print_event("time page updates", n->time_updates, out);
    fputc('\n', out);
}
