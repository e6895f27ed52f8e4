/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: bytes become the code and the state of one vCPU in any mode (cpu_guest.h), which
 * runs for some thousand ticks. It never crashes; wherever it is stopped its state is one that a
 * processor can be in (cpu_check.h); and runs with a small virtual TLB, odd stops and dropped
 * caches, or translated, end in the same state and memory, for the same reason. So do runs under -virt classic, whose ring the input
 * chooses; there a vCPU's state may be one that no processor can be in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/flags.h"
#include "cpu/jit/jit.h"
#include "monitor/dispatcher.h"
#include "monitor/emulate/real.h"
#include "monitor/machine.h"
#include "tests/fuzz/cpu_check.h"
#include "tests/fuzz/cpu_guest.h"
#include "tests/fuzz/fuzz.h"

#define MAX_TICKS 3000

/* How a run treats its machine. */
struct habit {
    const char *name;             /* for messages */
    unsigned entries;             /* of the virtual TLB */
    const struct jit_config *jit; /* translate; NULL: interpret */
    bool is_odd;                  /* stops at odd positions, and forgets caches there */
    enum policy policy;           /* the same for those that are compared */
};

static const struct jit_config translate = {.threshold = 1, .cache = JIT_CACHE_MIN};
static const struct habit habits[] = {
    {"plain", 4096, NULL, false, POLICY_BT},
    {"16 entries, odd stops, dropped caches", 16, NULL, true, POLICY_BT},
    {"translated", 1024, &translate, false, POLICY_BT},
    {"translated, odd stops, dropped caches", 16, &translate, true, POLICY_BT},
    {"classic", 4096, NULL, false, POLICY_CLASSIC},
    {"classic, 16 entries, odd stops, dropped caches", 16, NULL, true, POLICY_CLASSIC},
    {"classic, translated, odd stops, dropped caches", 16, &translate, true, POLICY_CLASSIC},
};

/* A machine that is used for every input: making one would be most of the work. */
struct runner {
    const struct habit *habit;  /* of it */
    struct machine *m;          /* owned, for ever */
    struct machine_state start; /* of the machine, at first */
    struct cpu power_on;        /* of the vCPU, at first */
    enum stop_reason reason;    /* how the run ended */
    uint8_t state[4096];        /* fields of struct cpu there */
    uint8_t ram[GUEST_RAM];     /* and memory */
};

static struct runner *runner_create(const struct habit *habit)
{
    const struct machine_config config = {.memory_size = 2 * MiB,
                                          .seed = 1,
                                          .ns_per_tick = 1,
                                          .tlb_entries = habit->entries,
                                          .policy = {.policy = habit->policy, .ring = 1},
                                          .jit = habit->jit};
    struct runner *r = calloc(1, sizeof(*r));
    struct cpu_model model;
    struct err err;
    CHECK(r && fields_bytes(cpu_fields) <= sizeof(r->state));
    CHECK(machine_create(&config, &r->m, &err) == 0);
    CHECK(cpu_model_parse("max", &model, &err) == 0);
    CHECK(vm_create(r->m, 1, &model, &err) == 0);
    CHECK(physmem_add(r->m->vm->pm, 0, GUEST_RAM, 0, false, &err) == 0);
    r->m->no_reboot = true;
    r->habit = habit;
    r->start = r->m->s;
    r->power_on = r->m->vm->vcpus[0].vcpu->arch;
    return r;
}

static void drop_caches(struct machine *m, uint32_t dice)
{
    if (dice & 1)
        block_cache_drop_all(m->vm->blocks);
    if (dice & 2)
        mmu_drop_caches(&m->vm->vcpus[0].vcpu->run.mmu);
}

/* As after loading a saved state. */
static void restart(struct runner *r, const struct guest_input *in, const uint8_t *image)
{
    struct vcpu *vcpu = r->m->vm->vcpus[0].vcpu;
    r->m->s = r->start;
    r->m->reset_requested = r->m->turn_ended = false;
    vcpu->arch = r->power_on;
    guest_state(in, &vcpu->arch);
    if (r->habit->policy == POLICY_CLASSIC)
        real_init(&vcpu->real, in->header[GUEST_HEADER - 3] & 1 ? 3 : 1, in->header[GUEST_HEADER - 3] & 2);
    physmem_load(r->m->vm->pm, 0, image, GUEST_RAM);
    drop_caches(r->m, 3);
    vcpu->run.attention = true;
    flags_set_status(vcpu, vcpu->arch.rflags);
    pmu_rebuild(vcpu);
    cpu_update_mmu(vcpu);
}

static enum stop_reason run_until(struct runner *r, uint64_t ticks)
{
    struct vcpu *vcpu = r->m->vm->vcpus[0].vcpu;
    r->m->stop_at = ticks;
    enum stop_reason reason = machine_run(r->m);
    CHECK(reason != STOP_POSITION || r->m->s.ticks == ticks);
    CHECK(r->m->s.ticks <= ticks && vcpu->arch.ticks == r->m->s.ticks &&
          vcpu->arch.retired <= vcpu->arch.ticks);
    const char *complaint = r->habit->policy == POLICY_CLASSIC ? NULL : cpu_complaint(vcpu, &r->m->vm->model);
    if (complaint) {
        fprintf(stderr, "%s, tick %llu: no CPU is like this, it should hold: %s\n", r->habit->name,
                (unsigned long long)r->m->s.ticks, complaint);
        abort();
    }
    return reason;
}

static void run(struct runner *r, const struct guest_input *in, const uint8_t *image)
{
    uint32_t dice = le32_load(in->header + GUEST_HEADER - 4) | 1;
    restart(r, in, image);
    r->reason = STOP_POSITION;
    while (r->habit->is_odd && r->reason == STOP_POSITION) {
        uint64_t next = r->m->s.ticks + 1 + (dice >> 16) % 61;
        if (next >= MAX_TICKS)
            break;
        r->reason = run_until(r, next);
        dice = dice * 1103515245 + 12345;
        if (dice >> 28 == 0) /* seldom: to walk through the block cache takes long */
            drop_caches(r->m, dice >> 12);
    }
    if (r->reason == STOP_POSITION)
        r->reason = run_until(r, MAX_TICKS);
    fields_store(cpu_fields, &r->m->vm->vcpus[0].vcpu->arch, r->state);
    CHECK(physmem_read(r->m->vm->pm, 0, r->ram, GUEST_RAM));
}

/* Name the first field that differs. */
static void compare(const struct runner *a, const struct runner *b)
{
    size_t at = 0;
    const struct field *f = cpu_fields;
    for (; f->name && memcmp(a->state + at, b->state + at, field_bytes(f)) == 0; f++)
        at += field_bytes(f);
    if (!f->name && a->reason == b->reason && memcmp(a->ram, b->ram, GUEST_RAM) == 0)
        return;
    fprintf(stderr, "%s: stop %d, ticks %llu; %s: stop %d, ticks %llu; %s differs\n",
            a->habit->name, (int)a->reason, (unsigned long long)a->m->s.ticks, b->habit->name,
            (int)b->reason, (unsigned long long)b->m->s.ticks,
            f->name ? f->name : "memory or the reason");
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct runner *runners[ARRAY_SIZE(habits)];
    static uint8_t image[GUEST_RAM];
    struct guest_input in;
    unsigned first = 0;
    guest_input(&in, data, size);
    guest_image(&in, image);
    for (unsigned i = 0; i < ARRAY_SIZE(habits); i++) {
        bool is_long = guest_mode(&in) >= GUEST_COMPAT;
        bool is_wanted = (!habits[i].jit || (jit_is_available() && guest_mode(&in) >= GUEST_PROT32)) &&
                         (habits[i].policy != POLICY_CLASSIC || !is_long);
        if (!runners[i] && is_wanted)
            runners[i] = runner_create(&habits[i]);
        if (!is_wanted)
            continue;
        if (habits[i].policy != habits[first].policy)
            first = i;
        run(runners[i], &in, image);
        compare(runners[first], runners[i]);
    }
    return 0;
}
